"""Pages from memory: at every moment those that the database would give."""

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient
from support.databases import CommandNames
from support.feed_postings import Feed, object_id, posting

from tocsin.server import model
from tocsin.server.model import (
    OBJECTS,
    Account,
    Collection,
    CollectionKind,
    FeedHead,
    ObjectPage,
    Partner,
    Query,
    Representation,
    View,
)
from tocsin.server.store import Store
from tocsin.server.store.feeds import (
    block_cache,
    blocks,
    filter_index,
    packing,
    page_collector,
    reader,
    writer,
)
from tocsin.server.store.feeds.block_cache import Block, BlockCache, Superseded
from tocsin.server.store.feeds.packing import Packer

HEAD = FeedHead(3, 30, 5, 0)
MANIFEST = Representation(
    "manifest", lambda entry: f"{entry.id} {entry.version} {entry.stamp}".encode()
)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of seven entries."""
    for module in (blocks, page_collector, filter_index, packing, reader, writer):
        if hasattr(module, "BLOCK_SIZE"):
            monkeypatch.setattr(module, "BLOCK_SIZE", 7)


def collection(feed: Feed) -> Collection:
    return Collection(feed.id, "", CollectionKind.FEED, "A feed")


def from_memory(feed: Feed, query: Query, representation: Representation = OBJECTS) -> ObjectPage:
    state = feed.store.feeds.look(feed.id)
    head, page = feed.store.feeds.objects(collection(feed), query, state, representation)
    assert head == feed.store.feeds.head(feed.id)
    return page


def from_database(feed: Feed, query: Query, representation: Representation = OBJECTS) -> ObjectPage:
    return ObjectPage.of(
        feed.store.feeds.page(feed.id, query, bodies=representation is OBJECTS), representation
    )


def random_queries(chance: random.Random, feed: Feed) -> list[Query]:
    entries = feed.page()
    stamps = [entry.stamp for entry in entries] or [0]
    return [
        Query(
            limit=chance.choice([1, 2, 3, 6, 7, 8, 20, 1_000]),
            position=chance.choice([0, 0, chance.randint(0, len(entries) + 8)]),
            added_after=chance.choice([None, None, chance.choice(stamps) - chance.choice([0, 1])]),
            ids=frozenset(map(object_id, chance.sample(range(30), k=chance.choice([0, 0, 1, 9])))),
        )
        for _ in range(12)
    ]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def test_the_same_page_after_every_change(new: Callable[[], Feed], seed: int) -> None:
    feed, chance = new(), random.Random(seed)
    store = feed.store
    packer = Packer(store._client, store._base, store._lock, after_writes=2)
    for _ in range(18):
        what = chance.random()
        if what < 0.7:
            numbers = chance.sample(range(30), k=chance.choice([1, 1, 2, 9]))
            feed.publish(*(posting(number, chance.randint(1, 50)) for number in numbers))
        elif what < 0.85:
            feed.remove(object_id(chance.randrange(30)))
        else:
            packer.pack_next()
        for query in random_queries(chance, feed):
            for representation in (OBJECTS, MANIFEST):
                assert from_memory(feed, query, representation) == from_database(
                    feed, query, representation
                ), query


@pytest.mark.slow
@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("octets", [1, 130, 700, 701, 2_000])
def test_a_page_is_no_longer_than_clients_can_read(
    new: Callable[[], Feed], monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    for module in (model, page_collector):
        monkeypatch.setattr(module, "MAX_PAGE_OCTETS", octets)
    feed = new()
    feed.publish(*(posting(number) for number in range(20)))
    feed.publish(posting(5, 2), posting(6, 2))
    ids = frozenset(map(object_id, range(20)))
    for query in (Query(), Query(ids=ids)):
        found: list[bytes] = []
        more, position = True, 0
        while more:
            page = from_memory(feed, replace(query, position=position))
            assert page == from_database(feed, replace(query, position=position))
            assert page.count == 1 or len(page.objects) <= octets
            found.append(page.objects)
            more, position = page.more, page.last_position
        assert b",".join(found) == from_memory_whole(feed, monkeypatch).objects


def from_memory_whole(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> ObjectPage:
    with monkeypatch.context() as whole:
        whole.setattr(page_collector, "MAX_PAGE_OCTETS", 1 << 30)
        return from_memory(feed, Query())


@pytest.mark.usefixtures("small_blocks")
def test_an_entry_published_while_a_page_is_read_belongs_to_the_later_page(
    new: Callable[[], Feed], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = new()
    feed.publish(*(posting(number) for number in range(10)))
    read, more = feed.store.feeds.read_block, [posting(3, 2)]

    def read_late(*arguments: Any) -> Any:
        if more:
            feed.publish(more.pop())
        return read(*arguments)

    monkeypatch.setattr(feed.store.feeds, "read_block", read_late)
    page = from_memory(feed, Query(limit=100))
    assert page == from_database(feed, Query(limit=100))
    assert (page.count, page.last_position) == (10, 11)


@pytest.mark.parametrize("types", [(), ("indicator",)])
@pytest.mark.parametrize("is_view", [False, True])
def test_a_page_past_the_end_is_empty_at_the_head_that_was_looked_up(
    new: Callable[[], Feed], types: tuple[str, ...], is_view: bool
) -> None:
    feed = new()
    feeds, read = feed.store.feeds, collection(feed)
    if is_view:
        id = f"all-of-{feed.id}"
        read = Collection(id, "", CollectionKind.AGGREGATE, "All", view=View(sources=(feed.id,)))
        feeds.add(read)
    feed.publish(posting(1))
    state = feeds.look(read.id)
    feed.publish(posting(2))
    query = Query(added_after=state.head(read).stamp, types=frozenset(types))
    assert feeds.objects(read, query, state) == (state.head(read), ObjectPage())


def test_a_full_page_of_a_feed_at_rest_is_one_look_up(engine_uri: str, new: Any) -> None:
    feed = new()
    feed.publish(*(posting(number) for number in range(3)))
    listener = CommandNames()
    with MongoClient[dict[str, Any]](engine_uri, event_listeners=[listener]) as client:
        store = Store(client, feed.store._base.name)
        one = replace(Query(), ids=frozenset({object_id(1)}))
        plain = itertools.product((Query(limit=2), Query(limit=100)), (OBJECTS, MANIFEST))
        for query, representation, expected in (*((*each, 1) for each in plain), (one, OBJECTS, 3)):
            for most in (99, expected):
                listener.names.clear()
                state = store.feeds.look(feed.id)
                store.feeds.objects(collection(feed), query, state, representation)
                assert len(listener.names) <= most, listener.names


class TestMemory:
    def block(self, length: int = 10, removals: int = 0) -> Block:
        return Block(1, b"x" * length, [length], [30], frozenset(), removals)

    def test_is_bounded_by_what_was_used_last(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(block_cache, "_OVERHEAD", 0)
        cache = BlockCache(most_octets=25)
        for number in (0, 1):
            cache.put("f", number, self.block(), HEAD)
        assert cache.block("f", 0, HEAD, 1)  # used last
        cache.put("f", 2, self.block(), HEAD)
        found = [number for number in range(3) if cache.block("f", number, HEAD, 1)]
        assert (found, cache.octets) == ([0, 2], 20)

    def test_a_block_beyond_the_bound_displaces_no_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(block_cache, "_OVERHEAD", 0)
        cache = BlockCache(most_octets=25)
        cache.put("f", 0, self.block(), HEAD)
        cache.put("f", 1, self.block(length=26), HEAD)
        assert cache.block("f", 0, HEAD, 1)
        assert (cache.block("f", 1, HEAD, 1), cache.octets) == (None, 10)

    def test_forgets_a_feed_from_which_something_was_removed(self) -> None:
        cache, later = BlockCache(), HEAD._replace(removals=1)
        cache.put("f", 0, self.block(), HEAD)
        cache.put("g", 0, self.block(), HEAD)
        cache.note("f", later)
        assert cache.octets == self.block().octets
        cache.put("f", 0, self.block(), HEAD)  # read before the removal
        assert cache.block("f", 0, later, 1) is None
        assert cache.block("g", 0, HEAD, 1)

    def test_superseded_entries_hold_for_one_number_of_writes(self) -> None:
        cache = BlockCache()
        cache.put_superseded("f", 0, Superseded([2], HEAD.writes), HEAD)
        assert cache.superseded("f", 0, HEAD)
        assert cache.superseded("f", 0, HEAD._replace(writes=6)) is None


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(1, 9, [(1, 2), (5, 5), (7, 9)]), (3, 4, []), (4, 5, [(5, 5)]), (6, 6, []), (8, 7, [])],
)
def test_gaps(first: int, last: int, expected: list[tuple[int, int]]) -> None:
    assert list(Superseded([3, 4, 6], 0).gaps(first, last)) == expected


class TestConfiguration:
    def test_is_read_again_when_it_has_changed(self, store: Store) -> None:
        before = store.feeds.look("news")
        assert before.collections == ()
        news = Collection("id-of-news", "news", CollectionKind.FEED, "News")
        store.feeds.add(news)
        after = store.feeds.look("news")
        assert list(after.collections) == [news]
        assert after.head(news) == FeedHead()
        whole = Collection(
            "all", "", CollectionKind.AGGREGATE, "All", view=View(sources=("id-of-news",))
        )
        store.feeds.add(whole)
        assert store.feeds.look("all").head(whole) == store.feeds.head("all")

    def test_a_request_without_a_collection_reads_no_head(self, store: Store) -> None:
        store.feeds.add(Collection("no-alias", "", CollectionKind.FEED, "News"))
        store.feeds.look()
        assert store.feeds.look().documents == {}
        assert list(store.feeds.look("no-alias").documents) == ["no-alias"]

    def test_accounts_of_a_partner_that_was_deleted_are_remembered_no_longer(
        self, store: Store
    ) -> None:
        store.accounts.add_partner(Partner("acme", "Acme Limited"))
        store.accounts.add_account(Account("acme", "acme"))
        store.accounts.add_key("acme", "d1")
        assert store.feeds.look().find_account_by_credential("d1")
        store.partner_data.delete("acme")
        assert store.feeds.look().find_account_by_credential("d1") is None
