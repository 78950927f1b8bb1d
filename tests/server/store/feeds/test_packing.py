"""Packing: history moves into fewer documents, and nobody who reads it can tell."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from support.feed_postings import ALL, EVERY, FIRST, LAST, Feed, object_id, posting

from tocsin.admission.errors import Unavailable
from tocsin.server.model import Query, TermFilter
from tocsin.server.store import Store
from tocsin.server.store.feeds.blocks import MAX_BODY_OCTETS
from tocsin.server.store.feeds.consistent_read import ConsistentReader
from tocsin.server.store.feeds.packing import MAX_BATCHES_PER_STEP, PACK_AFTER_WRITES, Packer

pytestmark = pytest.mark.slow


def pack(feed: Feed, many: int = PACK_AFTER_WRITES) -> int:
    """Pack all that is due; how many runs were made."""
    store = feed.store
    packing = Packer(store._client, store._base, threading.Lock(), many)
    while packing.pack_next():
        pass
    return packing.packed


def publish(store: Store, feed: str, sent: Any) -> None:
    store.commit(lambda txn: txn.publish(feed, sent))


def remove(store: Store, feed: str, id: str) -> None:
    store.commit(lambda txn: txn.remove(feed, id))


def runs(feed: Feed) -> list[dict[str, Any]]:
    found = feed.store._base.entry_batches.find({"feed": feed.id})
    return sorted(found, key=lambda run: run["first"])


def answers(feed: Feed) -> list[object]:
    """The pages and manifests of readers with different filters."""
    whole = feed.page(replace(EVERY, specs=frozenset({"2.0", "2.1"})))
    middle = whole[len(whole) // 2]
    queries = [
        Query(10_000, 0, None, frozenset(ids), frozenset(types), specs, keywords)
        for keywords in (LAST, FIRST, ALL)
        for specs in (frozenset(), frozenset({"2.0"}), frozenset({"2.1"}))
        for types, ids in (
            (set(), set()),
            ({"ipv4-addr"}, set()),
            (set(), map(object_id, range(4))),
        )
    ]
    asked = TermFilter("labels", ("body 0", "body 3"))
    queries += [replace(q, filters=(asked,)) for q in queries]
    queries += [replace(q, limit=7, position=middle.position) for q in queries[::3]]
    queries += [replace(q, limit=7, added_after=middle.stamp) for q in queries[1::3]]
    return [whole, *(feed.store.feeds.page(feed.id, query) for query in queries)]


FACETS = (("labels=a",), ("labels=b",), ("labels?",))
SOME = frozenset(map(object_id, range(5, 15)))
SURE = (TermFilter("labels", ("labels=a",)),)
UNSURE = (TermFilter("labels", ("labels=a", "labels=b"), recheck_term="labels?"),)
ASKED = {
    "all": Query(50),
    "filtered": Query(50, filters=SURE),
    "doubtful": Query(50, filters=UNSURE),
    "by id": Query(50, ids=SOME),
    "filtered by id": Query(50, ids=SOME, filters=UNSURE),
}


class ConcurrentPacker(monitoring.CommandListener):
    """Packs a feed when a reader is about to ask for documents of a collection, once."""

    def __init__(self, feed: Feed, collection: str) -> None:
        self.feed, self.collection, self.packed = feed, collection, 0
        self.asked: set[Any] = set()

    def started(self, event: Any) -> None:
        self.asked.add(event.command.get("find"))
        if self.collection in self.asked and not self.packed:
            self.packed = pack(self.feed, many=1)

    def succeeded(self, event: Any) -> None:
        """Nothing is done then."""

    def failed(self, event: Any) -> None:
        raise AssertionError(event.failure)


@pytest.fixture
def small(feed: Feed) -> Any:
    """A full block and a half, in small runs."""
    numbers = itertools.count()
    for size in itertools.cycle((1, 60, 50, 80)):
        sent = list(itertools.islice(numbers, size))
        feed.publish(*(posting(i, body=f"body {i}") for i in sent))
        if sent[-1] > 1_500:
            return feed


class TestABlock:
    def test_becomes_one_run_when_it_is_full(self, small: Any) -> None:
        assert pack(small) > 0
        assert [run["n"] for run in runs(small)][0] == 1_000
        assert len([run for run in runs(small) if run["block"] == 0]) == 1

    def test_that_is_being_filled_is_left_alone_for_a_while(self, small: Any) -> None:
        before = len([run for run in runs(small) if run["block"] == 1])
        pack(small)
        assert len([run for run in runs(small) if run["block"] == 1]) == before

    def test_that_is_being_filled_is_packed_so_far_after_many_writes(self, feed: Feed) -> None:
        for i in range(PACK_AFTER_WRITES):
            feed.publish(posting(i))
        assert pack(feed) == 1
        feed.publish(posting(1_000))
        assert [run["n"] for run in runs(feed)] == [PACK_AFTER_WRITES, 1]

    def test_what_was_packed_so_far_is_not_packed_again_until_it_is_full(self, feed: Feed) -> None:
        for i in range(2 * PACK_AFTER_WRITES):
            feed.publish(posting(i))
            pack(feed)
        assert [run["n"] for run in runs(feed)] == [PACK_AFTER_WRITES, PACK_AFTER_WRITES]
        for start in range(1_000, 2_000, 100):
            feed.publish(*(posting(i) for i in range(start, start + 100)))
        pack(feed)
        (full, *rest) = [run["n"] for run in runs(feed)]
        assert full == 1_000 and sum(rest) == 2 * PACK_AFTER_WRITES

    def test_of_very_many_runs_is_packed_in_small_steps(self, feed: Feed) -> None:
        for i in range(2 * MAX_BATCHES_PER_STEP + 50):
            feed.publish(posting(i))
        feed.publish(*(posting(i) for i in range(1_000, 2_000)))
        sizes = []
        while feed.store.packing.pack_next():
            sizes.append([run["n"] for run in runs(feed) if run["block"] == 0 and run["n"] > 1])
        rest = 1_000 - 2 * MAX_BATCHES_PER_STEP - 50
        assert [each[: n + 1] for n, each in enumerate(sizes[:2])] == [
            [MAX_BATCHES_PER_STEP],
            [MAX_BATCHES_PER_STEP, MAX_BATCHES_PER_STEP],
        ]
        assert sum(sizes[0][1:]) == sum(sizes[1][2:]) == rest
        assert sizes[-1] == [1_000]

    def test_of_long_bodies_stays_several_runs(self, feed: Feed) -> None:
        long = "x" * (MAX_BODY_OCTETS // 5)
        for i in range(9):
            feed.publish(posting(i, body=long))
        before = feed.page()
        assert pack(feed, many=1) == 2
        assert [run["n"] for run in runs(feed)] == [4, 4, 1]
        assert feed.page() == before

    def test_is_looked_at_once_when_there_is_nothing_to_pack(self, feed: Feed) -> None:
        for start in range(0, 1_000, 100):
            feed.publish(*(posting(i) for i in range(start, start + 100)))
        assert (pack(feed), pack(feed), pack(feed)) == (1, 0, 0)
        assert not feed.store.packing.pack_next()

    def test_that_large_publications_fill_is_written_as_packed(self, feed: Feed) -> None:
        for start in (0, 300, 700):
            feed.publish(*(posting(i) for i in range(start, start + 400)), replace=True)
        assert [run["n"] for run in runs(feed)] == [400, 300, 300, 100]
        assert all(run["zstd"] and len(run["stamps"]) == run["n"] for run in runs(feed))
        before = feed.page()
        assert pack(feed) == 0
        assert feed.page() == before

    def test_of_some_small_and_a_large_publication_becomes_one_run(self, feed: Feed) -> None:
        for i in range(10):
            feed.publish(posting(i))
        feed.publish(*(posting(i) for i in range(10, 1_010)))
        before = feed.page()
        pack(feed)
        assert [run["n"] for run in runs(feed)] == [1_000, 10]
        assert feed.page() == before

    def test_takes_far_fewer_documents_and_octets(self, small: Any) -> None:
        base = small.store._base
        counted = [
            base[c].count_documents({"feed": small.id}) for c in ("entry_batches", "id_index")
        ]
        octets = sum(len(run["body"]) for run in runs(small))
        pack(small)
        fewer = [base[c].count_documents({"feed": small.id}) for c in ("entry_batches", "id_index")]
        assert all(after < before for after, before in zip(fewer, counted, strict=True))
        assert sum(len(run["body"]) for run in runs(small)) < octets / 2


class TestReaders:
    @pytest.mark.parametrize("seed", range(2))
    def test_receive_the_same_after_every_history(self, feed: Feed, seed: Any) -> None:
        dice = random.Random(seed)
        for _ in range(4):
            for _ in range(4):
                sent = [
                    posting(dice.randrange(9), dice.randrange(1, 6), dice.choice(("2.0", "2.1")))
                    for _ in range(dice.randrange(1, 6))
                ]
                feed.publish(*sent, posting(dice.randrange(50, 99), "", body="own"), replace=True)
            if dice.random() < 0.5:
                feed.remove(object_id(dice.randrange(9)), keywords=dice.choice((LAST, FIRST, ALL)))
            before = answers(feed)
            assert pack(feed, many=1) == 1
            assert answers(feed) == before

    def test_who_know_the_feed_need_nothing_new(self, small: Any) -> None:
        before = small.store.feeds.head(small.id)
        assert pack(small)
        assert small.store.feeds.head(small.id) == before

    def test_walk_on_where_they_were(self, small: Any) -> None:
        walk = small.walk(Query(limit=170, keywords=ALL))
        begun = list(itertools.islice(walk, 400))
        pack(small)
        assert [*begun, *walk] == list(small.page())

    def test_find_entries_by_their_facets_in_fewer_documents(self, feed: Feed) -> None:
        for i in range(PACK_AFTER_WRITES):
            feed.publish(posting(i, body=f"label {i % 3}"))
        asked = [replace(EVERY, filters=(TermFilter("labels", (f"label {i}",)),)) for i in range(3)]
        before, index = [feed.page(each) for each in asked], feed.store._base.filter_index
        assert index.count_documents({"feed": feed.id}) == PACK_AFTER_WRITES
        pack(feed)
        assert [feed.page(each) for each in asked] == before
        assert sum(map(len, before)) == PACK_AFTER_WRITES
        assert index.count_documents({"feed": feed.id}) == 1

    def test_meet_every_field_in_a_packed_run_that_others_have(self, small: Any) -> None:
        pack(small)
        packed, *_, fresh = runs(small)
        assert packed.keys() == fresh.keys() | {"stamps", "zstd"}
        id_index = small.store._base.id_index
        of_packed, of_fresh = (id_index.find_one({"run": run["_id"]}) for run in (packed, fresh))
        assert of_packed.keys() == of_fresh.keys() - {"stamp"} | {"stamps"}

    def test_read_again_what_was_packed_while_they_read(self, small: Any) -> None:
        steady, looks = ConsistentReader(small.store._base), []

        def look() -> int:
            looks.append(pack(small))
            return len(looks)

        assert steady.read(small.id, look) == 2
        assert looks == [1, 0]

    @pytest.mark.parametrize("asked", ["all", "filtered", "doubtful", "by id", "filtered by id"])
    @pytest.mark.parametrize(
        "collection", ["filter_index", "entry_batches", "status_bits", "id_index"]
    )
    def test_receive_the_same_when_it_is_packed_between_two_requests(
        self, feed: Feed, engine_uri: str, asked: str, collection: str
    ) -> None:
        for first in range(15):
            sent = [posting(i % 20, at=1 + i // 20) for i in (first, first + 15)]
            feed.publish(*(replace(each, terms=FACETS[first % 3]) for each in sent))
        query = ASKED[asked]
        before, packer = feed.page(query), ConcurrentPacker(feed, collection)
        with MongoClient[dict[str, Any]](engine_uri, event_listeners=[packer]) as client:
            assert Feed(Store(client, feed.store._base.name), feed.id).page(query) == before
        assert bool(packer.packed) == (collection in packer.asked)
        assert before and feed.page(query) == before

    def test_give_up_on_what_never_holds_still(self, feed: Feed) -> None:
        with pytest.raises(Unavailable, match="reorganised"):
            ConsistentReader(feed.store._base).read(feed.id, lambda: None)


class TestWriters:
    def test_supersede_what_is_packed(self, small: Any) -> None:
        pack(small)
        small.publish(posting(3, at=2))
        assert [e.version for e in small.page(Query(ids=frozenset({object_id(3)})))] == [
            posting(3, at=2).version
        ]
        assert object_id(3) not in [e.id for e in small.page(Query(limit=1_000))]

    def test_know_what_is_packed(self, small: Any) -> None:
        pack(small)
        assert [each.value for each in small.publish(posting(3, body="body 3"))] == ["known"]

    def test_remove_what_is_packed_without_a_trace(self, small: Any) -> None:
        small.publish(posting(3, at=2, body="jane-doe"))
        for i in range(PACK_AFTER_WRITES):
            small.publish(posting(10_000 + i))
        pack(small)
        before = {entry.id: entry for entry in small.page()}
        assert small.remove(object_id(3)) == 2
        del before[object_id(3)]
        assert {entry.id: entry for entry in small.page()} == before
        some = frozenset(map(object_id, range(200)))
        found = {entry.id: entry for entry in small.page(replace(EVERY, ids=some))}
        assert found == {id: entry for id, entry in before.items() if id in some}
        documents = [
            document
            for collection in ("entry_batches", "id_index", "status_bits")
            for document in small.store._base[collection].find({"feed": small.id})
        ]
        assert "jane-doe" not in str(documents) and object_id(3) not in str(documents)

    def test_go_first(self, small: Any, engine_uri: str) -> None:
        other = Store.connect(engine_uri, name=small.store._base.name)
        tries = []

        def work(txn: Any) -> None:
            tries.append(txn.publish(small.id, [posting(7_000)]))
            assert txn.holds(small.id, object_id(7_000))  # it is written now, not at the end
            other.packing.pack_next()

        small.store.commit(work)
        assert (len(tries), other.packing.packed) == (1, 0)
        while other.packing.pack_next():
            pass
        other.close()
        assert len([run for run in runs(small) if run["block"] == 0]) == 1


def disturb(store: Store, feed: str, number: int) -> set[str]:
    """New objects, new versions of old ones, and removals; what was removed."""
    dice, gone = random.Random(number), set()
    old: list[Any] = []
    for batch in range(24):
        start = 1_000 * number + 10 * batch
        sent = [posting(start + i) for i in range(3)]
        sent += [posting(dice.choice([*old, start]), at=2 + batch)]
        publish(store, feed, sent)
        old.append(start + 1)
        if batch % 8 == 7:
            id = object_id(start)
            remove(store, feed, id)
            gone.add(id)
    return gone


ALIKE = TermFilter("labels", ("labels=a",))
"""A property of all objects, so that a reader who filters by it is given everything too."""


def watch(
    feed: Feed, done: threading.Event, wanted: tuple[TermFilter, ...]
) -> list[tuple[int, str, str]]:
    """All that a poller is given until the writers are done."""
    log: list[tuple[int, str, str]] = []
    while True:
        ended = done.is_set()
        at = log[-1][0] if log else 0
        page = feed.store.feeds.page(
            feed.id, Query(limit=50, position=at, keywords=ALL, filters=wanted)
        )
        log.extend((entry.position, entry.id, entry.version) for entry in page.entries)
        if ended and not page.more:
            return log
        if not page.entries:
            done.wait(0.005)  # or pollers keep writers from writing


@pytest.mark.slow
def test_writers_packers_and_pollers_at_once_lose_and_repeat_nothing(
    feed: Feed, engine_uri: str
) -> None:
    base, done = feed.store._base.name, threading.Event()
    stores = [Store.connect(engine_uri, name=base) for _ in range(5)]

    def keep_packing(store: Store) -> int:
        packing = Packer(store._client, store._base, store._lock, after_writes=4)
        while not done.wait(0.02):
            packing.pack_next()
        return packing.packed

    with ThreadPoolExecutor() as pool:
        packers = [pool.submit(keep_packing, store) for store in stores[:2]]
        pollers = [pool.submit(watch, feed, done, wanted) for wanted in ((), (), (ALIKE,))]
        writers = [pool.submit(disturb, stores[2 + n], feed.id, n) for n in range(3)]
        try:
            gone = set().union(*(writer.result() for writer in writers))
        finally:
            done.set()
    for store in stores:
        store.close()
    assert sum(packer.result() for packer in packers) > 0
    final = [(e.position, e.id, e.version) for e in feed.page()]
    assert not {id for _, id, _ in final} & gone
    for poller in pollers:
        log = poller.result()
        assert [position for position, _, _ in log] == sorted({position for position, _, _ in log})
        assert set(final) <= set(log)
        assert {id for _, id, _ in set(log) - set(final)} <= gone
    before = answers(feed)
    pack(feed, many=1)
    assert answers(feed) == before
