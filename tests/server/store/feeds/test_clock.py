"""One clock for all feeds of a hub, and what a union of them rests on it."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from support.feed_postings import EVERY, LAST, Feed, follow, object_id, posting
from support.view_feeds import add_view, entry_keys, merge_feeds

from tocsin.admission.errors import Conflict
from tocsin.server.model import Collection, CollectionKind, Query
from tocsin.server.store import Store


def test_stamps_of_all_feeds_are_unique_and_in_the_order_of_writing(one: Any, other: Any) -> None:
    for n in range(10):
        one.publish(posting(n))
        other.publish(posting(n), posting(100 + n))
    one.store.commit(
        lambda txn: [txn.publish(f.id, [posting(n) for n in (200, 201)]) for f in (one, other)]
    )
    entries = [*one.page(), *other.page()]
    assert len({entry.stamp for entry in entries}) == 34
    assert [e.stamp for e in one.page()] < [e.stamp for e in other.page()]


def test_one_that_steps_back_loses_nothing_in_a_union(
    one: Any, other: Any, engine_uri: str
) -> None:
    both = add_view(one, other)
    one.publish(posting(1))
    reached = both.page()[0].stamp
    late = Store.connect(
        engine_uri, name=one.store._base.name, clock=lambda: reached - 3_600_000_000
    )
    late.commit(lambda txn: txn.publish(other.id, [posting(2)]))
    late.close()
    assert [entry.id for entry in both.page(Query(added_after=reached))] == [object_id(2)]


def test_a_transaction_that_is_given_up_moves_nothing(one: Any) -> None:
    before = one.store._base.clock.find_one({"_id": "hub"})

    def fail(txn: Any) -> None:
        txn.publish(one.id, [posting(1)])
        raise Conflict("given up")

    with pytest.raises(Conflict, match="given up"):
        one.store.commit(fail)
    assert one.store._base.clock.find_one({"_id": "hub"}) == before


@pytest.fixture
def old(store: Store) -> Any:
    """Two feeds of a database that was made when each had a clock of its own."""
    for id in ("one", "two"):
        store.feeds.add(Collection(id, id, CollectionKind.FEED, id))
    feeds = [Feed(store, id) for id in ("one", "two")]
    for feed in feeds:
        feed.publish(posting(1))
    store._base.clock.drop()
    store.prepare()
    return feeds


def test_it_goes_on_from_the_latest_stamp_of_an_older_database(old: Any) -> None:
    latest = max(feed.page()[-1].stamp for feed in old)
    assert old[0].store._base.clock.find_one({"_id": "hub"})["stamp"] == latest
    late = Store(old[0].store._client, old[0].store._base.name, clock=lambda: 1)
    late.commit(lambda txn: txn.publish("one", [posting(2)]))
    assert latest < old[0].page()[-1].stamp < latest + 1_000_000


def test_feeds_that_were_begun_without_it_are_not_gathered(old: Any) -> None:
    with pytest.raises(Conflict, match="no common order"):
        add_view(*old)
    assert len(add_view(old[0]).page()) == 1


def test_one_that_was_is_gathered_with_those_begun_since(old: Any) -> None:
    store = old[0].store
    store.feeds.add(Collection("new", "new", CollectionKind.FEED, "New"))
    new = Feed(store, "new")
    new.publish(posting(9))
    assert entry_keys(add_view(old[0], new).page()) == merge_feeds(old[0], new)


def publish_to_all(store: Store, feeds: list[str], sent: Any) -> None:
    store.commit(lambda txn: [txn.publish(feed, sent) for feed in feeds])


def write(store: Store, feeds: list[str], number: int) -> None:
    """Batches into one feed or all of them, some objects shared by all writers, some removed."""
    dice = random.Random(number)
    for batch in range(15):
        start = number * 10_000 + batch * 100
        sent = [posting(start + i) for i in range(dice.randrange(1, 12))]
        sent.append(posting(7_777, at=number * 15 + batch))
        into = feeds if batch % 3 == 0 else [dice.choice(feeds)]
        publish_to_all(store, into, sent)


@pytest.mark.slow
def test_publishers_and_followers_at_once_lose_and_repeat_nothing(
    new: Callable[[], Feed], engine_uri: str
) -> None:
    feeds = [new() for _ in range(3)]
    union, done = add_view(*feeds), threading.Event()
    stores = [Store.connect(engine_uri, name=union.store._base.name) for _ in range(4)]
    ids = [feed.id for feed in feeds]
    with ThreadPoolExecutor() as pool:
        logs = [
            pool.submit(follow, union, how, done) for how in ("position", "added_after", "both")
        ]
        last = pool.submit(follow, union, "position", done, LAST)
        writers = [pool.submit(write, stores[n], ids, n) for n in range(4)]
        try:
            for writer in writers:
                writer.result()
        finally:
            done.set()
    for store in stores:
        store.close()
    whole = merge_feeds(*feeds)
    assert len(whole) > 300
    assert whole == sorted(whole)
    for log in logs:
        assert entry_keys(log.result()) == whole
    assert entry_keys(union.page(EVERY)) == whole
    current = entry_keys(last.result())
    assert current == sorted(set(current)) and set(current) <= set(whole)
    assert set(entry_keys(union.page(replace(EVERY, keywords=LAST)))) <= set(current)
