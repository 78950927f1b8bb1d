"""How long a read may take: the reader gets an error, and the database stops working on it."""

import uuid
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener
from support.feed_postings import Feed, posting

from tocsin.admission.errors import Unavailable
from tocsin.server.model import Collection, CollectionKind, Query
from tocsin.server.store import Store
from tocsin.server.store.connection import QUERY_SECONDS, time_limit


class Limits(CommandListener):
    """The maxTimeMS of every find, by collection."""

    def __init__(self) -> None:
        self.by_collection: dict[str, Any] = {}

    def started(self, event: Any) -> None:
        if event.command_name == "find":
            self.by_collection[event.command["find"]] = event.command.get("maxTimeMS")

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def test_a_read_that_takes_too_long_ends_with_a_sentence(feed: Feed) -> None:
    with pytest.raises(Unavailable, match="does not answer in time"), time_limit(0.000_001):
        feed.store.feeds.head(feed.id)


def test_a_read_works_again_after_one_that_took_too_long(feed: Feed) -> None:
    feed.publish(posting(1))
    with pytest.raises(Unavailable), time_limit(0.000_001):
        feed.page()
    assert len(feed.page()) == 1


@pytest.mark.slow
def test_each_read_of_a_poll_sends_its_time_limit_to_the_database(engine_uri: str) -> None:
    limits = Limits()
    with MongoClient[dict[str, Any]](engine_uri, event_listeners=[limits]) as client:
        store = Store(client, f"test_{uuid.uuid4().hex}")
        store.prepare()
        id = str(uuid.uuid4())
        store.feeds.add(Collection(id, "timely", CollectionKind.FEED, "A feed"))
        Feed(store, id).publish(posting(1))
        limits.by_collection.clear()
        store.accounts.find_account_by_credential("nobody")
        store.feeds.collections()
        store.feeds.page(id, Query())
        store.submissions.find("none")
        store.submissions.records("none")
        client.drop_database(store.feeds._base.name)
    reads = {"keys", "collections", "heads", "submissions", "verdicts"}
    reads |= {"entry_batches", "status_bits"}
    assert set(limits.by_collection) == reads
    assert all(0 < each <= QUERY_SECONDS * 1_000 for each in limits.by_collection.values())
