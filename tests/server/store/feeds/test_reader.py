"""How a poller never misses an object: what a feed promises."""

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from support.feed_postings import (
    ALL,
    CONFLICT,
    FIRST,
    KNOWN,
    LAST,
    STORED,
    Feed,
    follow,
    object_id,
    posting,
    version,
)
from support.presence import present

from tocsin.admission.errors import Conflict, Malformed, NotFound, TooLarge
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.server.model import Collection, CollectionKind, Entry, FeedHead, Query
from tocsin.server.store import Store


class TestCollections:
    def test_are_listed_by_id_as_they_were_added(self, store: Store) -> None:
        added = [
            Collection(str(uuid.uuid4()), f"c{i}", CollectionKind.INBOX, "T", "D", Tlp.GREEN)
            for i in range(5)
        ]
        for collection in added:
            store.feeds.add(collection)
        assert store.feeds.collections() == sorted(added, key=lambda c: c.id)

    def test_an_alias_is_not_given_twice(self, store: Store) -> None:
        store.feeds.add(Collection("id-1", "green", CollectionKind.FEED, "One"))
        with pytest.raises(Conflict, match="green"):
            store.feeds.add(Collection("id-2", "green", CollectionKind.FEED, "Two"))

    def test_an_alias_is_not_the_id_of_another_one(self, store: Store) -> None:
        store.feeds.add(Collection("id-1", "green", CollectionKind.FEED, "One"))
        with pytest.raises(Conflict, match="id-1"):
            store.feeds.add(Collection("id-2", "id-1", CollectionKind.FEED, "Two"))

    def test_an_id_is_not_the_alias_of_another_one(self, store: Store) -> None:
        store.feeds.add(Collection("id-1", "green", CollectionKind.FEED, "One"))
        with pytest.raises(Conflict, match="green"):
            store.feeds.add(Collection("green", "blue", CollectionKind.FEED, "Two"))

    def test_several_may_have_no_alias(self, store: Store) -> None:
        for id in ("id-1", "id-2"):
            store.feeds.add(Collection(id, "", CollectionKind.FEED, "No alias"))
        assert [c.alias for c in store.feeds.collections()] == ["", ""]

    def test_a_new_one_is_empty(self, feed: Feed) -> None:
        assert feed.store.feeds.head(feed.id) == FeedHead()
        assert not feed.page()

    def test_an_unknown_one_is_not_found(self, store: Store) -> None:
        with pytest.raises(NotFound):
            store.feeds.page("nowhere", Query())
        with pytest.raises(NotFound):
            store.commit(lambda txn: txn.publish("nowhere", [posting(1)]))


class TestPublishing:
    def test_positions_are_dense_and_begin_at_one(self, feed: Feed) -> None:
        feed.publish(posting(1), posting(2))
        feed.publish(posting(3))
        assert [entry.position for entry in feed.page()] == [1, 2, 3]

    def test_an_entry_is_given_back_as_it_was_posted(self, feed: Feed) -> None:
        feed.publish(posting(1), posting(2, body="second"))
        entry = feed.page()[1]
        assert (entry.id, entry.version, entry.spec) == (object_id(2), version(1), "2.1")
        assert entry.body == posting(2, body="second").body

    def test_bodies_are_left_out_on_demand(self, feed: Feed) -> None:
        feed.publish(posting(1))
        (entry,) = feed.store.feeds.page(feed.id, Query(), bodies=False).entries
        assert entry == replace(feed.page()[0], body=b"")

    def test_the_same_again_is_known_and_changes_nothing(self, feed: Feed) -> None:
        feed.publish(posting(1), posting(2))
        before = feed.page(), feed.store.feeds.head(feed.id)
        assert feed.publish(posting(2), posting(1)) == [KNOWN, KNOWN]
        assert (feed.page(), feed.store.feeds.head(feed.id)) == before

    def test_the_same_version_with_other_content_is_a_conflict(self, feed: Feed) -> None:
        feed.publish(posting(1))
        assert feed.publish(posting(1, body="other"), posting(2)) == [CONFLICT, STORED]
        assert [entry.body for entry in feed.page()] == [posting(1).body, posting(2).body]

    def test_one_call_is_judged_as_if_it_were_many(self, feed: Feed) -> None:
        twice = posting(1), posting(1), posting(1, body="other"), posting(1, at=2)
        assert feed.publish(*twice) == [STORED, KNOWN, CONFLICT, STORED]

    def test_two_spellings_of_an_instant_are_one_version(self, feed: Feed) -> None:
        spelt = posting(1, "2024-01-01T00:00:01Z")
        feed.publish(posting(1))
        assert feed.publish(replace(spelt, digest=posting(1).digest)) == [KNOWN]
        assert feed.publish(spelt) == [CONFLICT]

    def test_an_object_may_be_in_several_feeds(self, new: Callable[[], Feed]) -> None:
        one, other = new(), new()
        one.publish(posting(1))
        assert other.publish(posting(1)) == [STORED]

    def test_nothing_is_kept_of_a_call_that_fails(self, feed: Feed) -> None:
        with pytest.raises(Malformed):
            feed.publish(posting(1), posting(2), posting(2, at="yesterday"))
        assert feed.store.feeds.head(feed.id) == FeedHead()
        assert not feed.store.feeds.knows(feed.id, object_id(1))

    def test_an_object_that_no_document_can_hold_is_refused(self, feed: Feed) -> None:
        with pytest.raises(TooLarge, match=r"indicator--.* is longer than 15,000,000 octets"):
            feed.publish(posting(1, body="x" * 15_000_001))

    @pytest.mark.slow
    def test_long_bodies_are_divided(self, feed: Feed) -> None:
        large = [posting(i, body=str(i) * 3_000_000) for i in range(1, 5)]
        feed.publish(*large)
        assert [entry.body for entry in feed.page()] == [p.body for p in large]


class TestTheClock:
    def test_stamps_are_unique_and_strictly_increase(self, feed: Feed) -> None:
        feed.publish(*(posting(i) for i in range(20)))
        stamps = [entry.stamp for entry in feed.page()]
        assert stamps == sorted(set(stamps))

    def test_a_clock_that_steps_back_changes_nothing(self, feed: Feed, engine_uri: str) -> None:
        feed.publish(posting(1))
        (first,) = feed.page()
        database = feed.store._base.name
        late = Store.connect(engine_uri, name=database, clock=lambda: first.stamp - 3_600_000_000)
        late.commit(lambda txn: txn.publish(feed.id, [posting(2)]))
        late.close()
        assert first.stamp < feed.page()[1].stamp < first.stamp + 1_000_000

    def test_a_stamp_is_in_the_window_that_begins_with_the_publication(
        self, store: Store, engine_uri: str
    ) -> None:
        feed, database = Feed(store, "id-1"), store._base.name
        store.feeds.add(Collection(feed.id, "green", CollectionKind.FEED, "One"))
        early = Store.connect(engine_uri, name=database, clock=lambda: 1_700_000_000_000_000)
        early.commit(lambda txn: txn.publish(feed.id, [posting(1), posting(2)]))
        early.close()
        assert [entry.stamp for entry in feed.page()] == [
            1_700_000_000_004_999,
            1_700_000_000_005_000,
        ]


class TestBlocks:
    """2,500 objects in odd batches: runs end at the borders of blocks, walks do not."""

    SIZES = (1, 7, 990, 5, 1_000, 496, 1)

    @pytest.fixture
    def long(self, feed: Feed) -> Any:
        numbers = itertools.count()
        for size in self.SIZES:
            feed.publish(*(posting(i) for i in itertools.islice(numbers, size)))
        return feed

    def test_no_border_is_visible_page_by_page(self, long: Any) -> None:
        whole = long.page()
        assert [entry.id for entry in whole] == [object_id(i) for i in range(2_500)]
        assert [entry.position for entry in whole] == list(range(1, 2_501))
        for limit in (997, 1_000, 2_499):
            assert tuple(long.walk(Query(limit=limit))) == whole

    def test_no_run_crosses_a_border(self, long: Any) -> None:
        for run in long.store._base.entry_batches.find({"feed": long.id}):
            assert (run["first"] - 1) // 1_000 == (run["first"] + run["n"] - 2) // 1_000

    def test_more_is_exact_at_every_border(self, long: Any) -> None:
        for position, limit in ((0, 1_000), (1_000, 1_000), (1_500, 999), (1_500, 1_000)):
            page = long.store.feeds.page(long.id, Query(limit=limit, position=position))
            assert page.more == (position + limit < 2_500)
            assert len(page.entries) == limit

    def test_any_instant_finds_its_place(self, long: Any) -> None:
        whole = long.page()
        for entry in (whole[0], whole[7], whole[998], whole[999], whole[1_000], whole[2_498]):
            after = long.page(Query(limit=1, added_after=entry.stamp))
            assert after == (whole[entry.position],)
            assert long.page(Query(limit=1, added_after=entry.stamp - 1)) == (entry,)
        assert not long.page(Query(added_after=whole[-1].stamp))
        assert long.page(Query(limit=1, added_after=0)) == whole[:1]

    def test_walking_by_added_after_alone_loses_nothing(self, long: Any) -> None:
        seen: list[Entry] = []
        while page := long.page(Query(limit=333, added_after=seen[-1].stamp if seen else None)):
            seen.extend(page)
        assert tuple(seen) == long.page()

    def test_a_rare_type_is_found_wherever_it_is(self, long: Any) -> None:
        long.publish(posting(9_000, at=""))
        long.publish(*(posting(i) for i in range(3_000, 4_000)))
        query = Query(limit=1, types=frozenset({"ipv4-addr"}))
        page = long.store.feeds.page(long.id, query)
        assert ([entry.position for entry in page.entries], page.more) == ([2_501], False)
        assert len(long.page(replace(query, limit=9, types=query.types | {"indicator"}))) == 9


class TestPages:
    @pytest.mark.parametrize(("limit", "more"), [(1, True), (6, True), (7, False), (8, False)])
    def test_more_is_exact(self, feed: Feed, limit: int, more: bool) -> None:
        feed.publish(*(posting(i) for i in range(7)))
        page = feed.store.feeds.page(feed.id, Query(limit=limit))
        assert (len(page.entries), page.more) == (min(limit, 7), more)

    def test_more_counts_only_what_matches(self, feed: Feed) -> None:
        feed.publish(posting(1), posting(2, at=""), posting(3))
        page = feed.store.feeds.page(feed.id, Query(limit=1, types=frozenset({"ipv4-addr"})))
        assert (len(page.entries), page.more) == (1, False)

    def test_the_same_question_has_the_same_answer(self, feed: Feed) -> None:
        feed.publish(*(posting(i) for i in range(9)))
        query = Query(limit=3, position=2)
        assert feed.page(query) == feed.page(query)

    def test_a_page_does_not_move_when_something_is_published(self, feed: Feed) -> None:
        feed.publish(*(posting(i) for i in range(9)))
        before = feed.page(Query(limit=3, position=2))
        feed.publish(posting(77))
        assert feed.page(Query(limit=3, position=2)) == before

    def test_position_and_added_after_both_hold(self, feed: Feed) -> None:
        feed.publish(*(posting(i) for i in range(9)))
        third = feed.page()[2].stamp
        positions = [
            [entry.position for entry in feed.page(Query(position=p, added_after=third))]
            for p in (1, 6)
        ]
        assert positions == [[4, 5, 6, 7, 8, 9], [7, 8, 9]]


class TestRemoving:
    @pytest.fixture
    def versioned(self, feed: Feed) -> Any:
        feed.publish(posting(1, at=1), posting(2, body="kept"), posting(1, at=2))
        feed.publish(posting(1, at=3), posting(1, at=9, spec="2.0"))
        return feed

    def test_all_versions_go_unless_some_are_named(self, versioned: Any) -> None:
        assert versioned.remove(object_id(1)) == 4
        assert not versioned.store.feeds.knows(versioned.id, object_id(1))
        assert [entry.id for entry in versioned.page()] == [object_id(2)]
        assert versioned.page()[0].body == posting(2, body="kept").body

    def test_the_last_is_worked_out_anew(self, versioned: Any) -> None:
        assert versioned.remove(object_id(1), keywords=LAST) == 1
        assert versioned.versions(ids=frozenset({object_id(1)})) == [version(2)]

    def test_the_first_is_worked_out_anew(self, versioned: Any) -> None:
        assert versioned.remove(object_id(1), keywords=FIRST) == 1
        assert versioned.versions(ids=frozenset({object_id(1)}), keywords=FIRST) == [version(2)]

    def test_an_exact_version(self, versioned: Any) -> None:
        gone = frozenset({micros(version(2))})
        assert versioned.remove(object_id(1), versions=gone) == 1
        assert versioned.remove(object_id(1), versions=gone) == 0
        assert versioned.versions(ids=frozenset({object_id(1)}), keywords=ALL) == [
            version(1),
            version(3),
        ]

    def test_one_spec_version(self, versioned: Any) -> None:
        assert versioned.remove(object_id(1), specs=frozenset({"2.1"})) == 3
        assert [(e.id, e.spec) for e in versioned.page(Query())] == [
            (object_id(2), "2.1"),
            (object_id(1), "2.0"),
        ]

    def test_the_head_tells_that_something_went(self, versioned: Any) -> None:
        before = versioned.store.feeds.head(versioned.id)
        versioned.remove(object_id(1))
        after = versioned.store.feeds.head(versioned.id)
        assert after[:2] == before[:2] and after.writes > before.writes

    def test_the_head_does_not_move_if_nothing_went(self, versioned: Any) -> None:
        before = versioned.store.feeds.head(versioned.id)
        versioned.remove(object_id(99))
        assert versioned.store.feeds.head(versioned.id) == before

    def test_positions_stay(self, versioned: Any) -> None:
        head = versioned.store.feeds.head(versioned.id)
        versioned.remove(object_id(1))
        versioned.publish(posting(3))
        assert [entry.position for entry in versioned.page()] == [2, head[0] + 1]

    def test_it_may_be_posted_again(self, versioned: Any) -> None:
        versioned.remove(object_id(1))
        assert versioned.publish(posting(1, at=1)) == [STORED]
        assert versioned.versions(ids=frozenset({object_id(1)})) == [version(1)]

    def test_an_unknown_object_is_no_removal(self, versioned: Any) -> None:
        assert versioned.remove(object_id(99)) == 0

    def test_no_trace_stays_in_the_database(self, feed: Feed) -> None:
        feed.publish(posting(1, body="jane-doe"), posting(2, body="kept"))
        feed.remove(object_id(1))
        base = feed.store._base
        kept = [
            d
            for collection in ("entry_batches", "id_index", "filter_index", "status_bits")
            for d in base[collection].find({"feed": feed.id})
        ]
        assert "jane-doe" not in str(kept)
        assert object_id(1) not in str(kept)
        assert posting(1, body="jane-doe").digest not in b"".join(
            d.get("digests", b"") for d in kept
        )
        assert present(base.filter_index.find_one({"feed": feed.id}))["facets"] == [
            "0|kept",
            "0|labels=a",
            "0|level=red",
            "0|type=indicator",
        ]


def publish(store: Store, feed: str, sent: Any) -> None:
    store.commit(lambda txn: txn.publish(feed, sent))


def write(store: Store, feed: str, number: int) -> None:
    """Fifteen batches of a writer's own objects, each with one that all writers share."""
    dice = random.Random(number)
    for batch in range(15):
        start = number * 10_000 + batch * 100
        sent = [posting(start + i) for i in range(dice.randrange(1, 14))]
        sent.append(posting(7_777, at=batch))
        publish(store, feed, sent)


@pytest.mark.slow
def test_four_writers_and_two_followers_at_once_lose_and_repeat_nothing(
    feed: Feed, engine_uri: str
) -> None:
    database, done = feed.store._base.name, threading.Event()
    stores = [Store.connect(engine_uri, name=database) for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        logs = [pool.submit(follow, feed, how, done) for how in ("position", "added_after")]
        writers = [pool.submit(write, stores[n], feed.id, n) for n in range(4)]
        try:
            for writer in writers:
                writer.result()
        finally:
            done.set()
    for store in stores:
        store.close()
    whole = list(feed.page())
    stamps = [entry.stamp for entry in whole]
    assert len(whole) > 300
    assert [entry.position for entry in whole] == list(range(1, len(whole) + 1))
    assert stamps == sorted(set(stamps))
    assert [log.result() for log in logs] == [whole, whole]
