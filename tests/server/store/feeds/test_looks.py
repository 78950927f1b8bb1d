"""A process remembers its look at a collection, and knows when to look again."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from support.databases import CommandNames
from support.feed_postings import posting

from tocsin.server.model import Account, Collection, CollectionKind, Partner
from tocsin.server.processes.shared_folder import CommitCount, LocalNumbers, Process
from tocsin.server.store import Store, Transaction
from tocsin.server.store.feeds import views

GREEN = Collection("green", "", CollectionKind.FEED, "Green")


class Two(NamedTuple):
    """Two processes of a hub, and the commands of the one that reads."""

    writer: Store
    reader: Store
    commands: CommandNames


@pytest.fixture
def open_two(store: Store, engine_uri: str) -> Iterator[Callable[..., Two]]:
    """A function that opens two stores on the test's database, which count commits or do not."""
    clients: list[MongoClient[dict[str, Any]]] = []

    def open_both(*, counted: bool = True) -> Two:
        numbers, commands = LocalNumbers(), CommandNames()
        stores: list[Store] = []
        watches: tuple[list[CommandNames], ...] = ([], [commands])
        for listeners in watches:
            client = MongoClient[dict[str, Any]](engine_uri, event_listeners=listeners)
            clients.append(client)
            count = CommitCount(numbers if counted else None)
            stores.append(Store(client, store._base.name, process=Process(commits=count)))
        stores[0].feeds.add(GREEN)
        stores[1].feeds.look("green")
        commands.names.clear()
        return Two(stores[0], stores[1], commands)

    yield open_both
    for client in clients:
        client.close()


def publish(store: Store, number: int = 1) -> None:
    store.commit(lambda txn: txn.publish("green", [posting(number)]))


def position(store: Store) -> int:
    return store.feeds.look("green").head(GREEN).position


def test_nothing_is_asked_while_nothing_was_committed(open_two: Callable[..., Two]) -> None:
    two = open_two()
    for _ in range(10):
        assert position(two.reader) == 0
    assert two.commands.names == []


@pytest.mark.slow
def test_a_commit_of_another_process_is_seen_at_once(open_two: Callable[..., Two]) -> None:
    two = open_two()
    for number in range(1, 20):
        publish(two.writer, number)
        assert position(two.reader) == number


def test_a_collection_that_another_process_adds_is_seen_at_once(
    open_two: Callable[..., Two],
) -> None:
    two = open_two()
    two.writer.feeds.add(Collection("amber", "", CollectionKind.FEED, "Amber"))
    assert {each.id for each in two.reader.feeds.look("green").collections} == {"green", "amber"}


def test_a_key_that_another_process_takes_away_is_refused_at_once(
    open_two: Callable[..., Two],
) -> None:
    two = open_two()

    def add(txn: Transaction) -> None:
        txn.accounts.add_partner(Partner("acme", name="ACME"))
        txn.accounts.add_account(Account("acme", "acme"))
        txn.accounts.add_key("acme", "digest")

    two.writer.commit(add)
    assert two.reader.feeds.look("green").find_account_by_credential("digest") is not None
    two.writer.partner_data.delete("acme")
    assert two.reader.feeds.look("green").find_account_by_credential("digest") is None


def test_a_commit_that_ends_with_an_error_is_counted_too(open_two: Callable[..., Two]) -> None:
    two = open_two()

    def fail(txn: Transaction) -> None:
        raise PyMongoError

    with pytest.raises(PyMongoError):
        two.writer.commit(fail)
    position(two.reader)
    assert two.commands.names == ["find"]


def test_a_commit_that_was_not_counted_is_seen_after_a_second(
    open_two: Callable[..., Two], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = open_two()
    monkeypatch.setattr(CommitCount, "note", lambda self: None)
    publish(two.writer)
    monkeypatch.setattr(views, "_LOOK_SECONDS", 0.0)
    assert position(two.reader) == 1


def test_without_a_count_every_look_asks(open_two: Callable[..., Two]) -> None:
    two = open_two(counted=False)
    for _ in range(3):
        position(two.reader)
    assert two.commands.names == ["find"] * 3
