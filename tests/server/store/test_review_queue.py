"""The queue of reviews in memory: right after every change, and cheap however much waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from support.databases import CommandNames, open_watched_store

from tocsin.admission.timestamps import DAY, HOUR
from tocsin.server.model import (
    ArrivedIds,
    Claim,
    DecisionKind,
    OutboxTask,
    PendingDecision,
    Review,
    ReviewKind,
)
from tocsin.server.store import Store, Transaction, review_queue
from tocsin.server.store.review_queue import ReviewQueue
from tocsin.server.store.schema import describe_reviews


def make_review(number: int, **more: Any) -> Review:
    subject = {"type": "malware", "name": f"m{number}", "labels": ["tlp:amber"]}
    values: dict[str, Any] = {
        "id": f"review-{number}",
        "kind": ReviewKind.HELD,
        "submission": "s",
        "index": number,
        "partner": "acme",
        "source_id": f"malware--{number}",
        "created": number,
        "object": orjson.dumps(subject),
        "rules": ("personal_data",),
    }
    return Review(**(values | more))


def add(store: Store, *numbers: int) -> None:
    store.commit(lambda txn: txn.reviews.add([make_review(number) for number in numbers]))


def names(queue: ReviewQueue) -> list[str]:
    return [each.id.removeprefix("review-") for each in queue.look()]


def put_decision(txn: Transaction) -> None:
    decision = PendingDecision("act", "jane", DecisionKind.REJECT, 1, 2)
    txn.reviews.put_decision(txn.reviews.find_all(["review-1"]), decision)


@pytest.fixture
def counted(engine_uri: str) -> Iterator[tuple[Store, CommandNames]]:
    with open_watched_store(engine_uri) as watched:
        yield watched


def test_has_the_oldest_first_with_type_and_level(store: Store) -> None:
    add(store, 2, 1)
    [first, second] = store.review_queue.look()
    assert (first.id, second.id) == ("review-1", "review-2")
    assert (first.type, first.tlp, first.partner) == ("malware", "amber", "acme")


def test_follows_every_change_of_another_process(store: Store) -> None:
    queue = ReviewQueue(store._base)
    add(store, 1, 2, 3)
    assert names(queue) == ["1", "2", "3"]
    store.commit(lambda txn: txn.reviews.decide("review-2", "released"))
    add(store, 4)
    assert names(queue) == ["1", "3", "4"]
    store.commit(put_decision)
    store.commit(lambda txn: txn.reviews.purge("review-3", ()))
    assert names(queue) == ["4"]
    store.commit(lambda txn: txn.reviews.put_back("review-1", "act", "why"))
    assert names(queue) == ["1", "4"]


def test_reads_all_again_when_too_much_has_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_queue, "_MOST_BEHIND", 1)
    queue = ReviewQueue(store._base)
    add(store, 1, 2)
    assert names(queue) == ["1", "2"]
    for number in (1, 2):
        store.commit(lambda txn, n=number: txn.reviews.decide(f"review-{n}", "rejected"))  # type: ignore[misc]
    add(store, 3)
    assert names(queue) == ["3"]


@pytest.mark.slow
def test_costs_two_commands_however_much_waits(counted: tuple[Store, CommandNames]) -> None:
    store, count = counted
    add(store, *range(1_000))
    assert len(store.review_queue.look()) == 1_000
    store.commit(lambda txn: txn.reviews.decide("review-7", "rejected"))
    count.names.clear()
    assert len(store.review_queue.look()) == 999
    assert count.names == ["find", "find"]
    count.names.clear()
    store.review_queue.look()
    assert count.names == ["find"]


@pytest.mark.slow
def test_a_decision_on_five_hundred_costs_few_commands(
    counted: tuple[Store, CommandNames],
) -> None:
    store, count = counted
    add(store, *range(500))
    count.names.clear()

    def write(txn: Transaction) -> None:
        reviews = txn.reviews.find_all([f"review-{number}" for number in range(500)])
        decision = PendingDecision("act", "jane", DecisionKind.REJECT, 1, 2)
        txn.reviews.put_decision(reviews, decision)

    store.commit(write)
    assert len(count.names) < 40
    assert store.review_queue.look() == ()


def test_reviews_of_an_older_hub_are_described_by_the_migration(store: Store) -> None:
    add(store, 1, 2)
    old = {"revision": "", "type": "", "tlp": "", "title": ""}
    store._base.reviews.update_many({}, {"$unset": old})
    store._base.hub_state.delete_one({"_id": "reviews"})
    describe_reviews(store._base)
    describe_reviews(store._base)  # it can be interrupted
    assert [each.tlp for each in ReviewQueue(store._base).look()] == ["amber", "amber"]
    assert store.reviews.list_titles(["review-1"])["review-1"].title == "m1"
    store.commit(lambda txn: txn.reviews.decide("review-1", "released"))
    assert names(store.review_queue) == ["2"]


def test_a_decided_review_has_no_title_any_more(store: Store) -> None:
    add(store, 1)
    store.commit(lambda txn: txn.reviews.decide("review-1", "released"))
    assert "title" not in (store._base.reviews.find_one({}) or {})


def test_is_read_in_the_background_only_where_it_is_shown(
    counted: tuple[Store, CommandNames],
) -> None:
    store, count = counted
    add(store, 1)
    count.names.clear()
    store.review_queue.refresh()
    assert count.names == []
    store.review_queue.is_shown = True
    store.review_queue.refresh()
    assert count.names == ["find", "find"]


def test_a_claim_of_a_clock_that_was_ahead_ends_when_it_is_set_back(store: Store) -> None:
    add(store, 1)
    claim = store.review_queue.claim
    assert claim("review-1", "j", "jane", 40 * DAY) == Claim("j", "jane", 40 * DAY + HOUR // 4)
    assert claim("review-1", "k", "kim", 40 * DAY) == Claim("j", "jane", 40 * DAY + HOUR // 4)
    assert claim("review-1", "k", "kim", DAY) == Claim("k", "kim", DAY + HOUR // 4)


def test_a_task_of_a_clock_that_was_ahead_is_due_when_it_is_set_back(store: Store) -> None:
    now = store.clock()
    for name, due in (("ahead", now + 40 * DAY), ("later", now + DAY)):
        task = OutboxTask(name, ArrivedIds(""), due=due)
        store.commit(lambda txn, task=task: txn.outbox.put(task, "o", 0))  # type: ignore[misc]
    store.outbox.release_all()
    assert [each.id for each in store.outbox.lease("o", 60, 9)] == ["ahead"]
