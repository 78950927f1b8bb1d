"""Aggregates and snapshots, filters and packing together: no answer of one depends on another."""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.feed_postings import ALL, EVERY, FIRST, LAST, Feed, object_id, posting
from support.naive_filters import EVERY_FIELD, make_objects, matches, values_of
from support.view_feeds import add_view, marked_posting, pin, walk

from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.server.intake.verbatim import posting as deposited
from tocsin.server.model import Collection, CollectionKind, Entry, Query, TermFilter
from tocsin.server.store import Store
from tocsin.server.store.feeds.packing import Packer
from tocsin.server.store.match_filters import parse_filter

LEVELS = ("clear", "green", "amber", "amber+strict", "red")
LATER = micros("2099-01-01T00:00:00Z")


def pack(*feeds: Feed) -> int:
    """Pack all that is due; how many runs were made."""
    store = feeds[0].store
    packing = Packer(store._client, store._base, threading.Lock(), after_writes=1)
    while packing.pack_next():
        pass
    return packing.packed


@pytest.fixture
def sources(new: Callable[[], Feed]) -> Any:
    """Two feeds of small runs: all levels, some revoked or expired, copies, versions, removals."""
    one, other = new(), new()
    for number in range(36):
        until = (None, 1, LATER)[number % 3]
        first = marked_posting(number, LEVELS[number % 5], 1, until, revoked=number % 7 == 0)
        later = marked_posting(number, LEVELS[number % 4], 2, until, revoked=number % 11 == 0)
        one.publish(first, posting(1_000 + number, at="", body=f"own {number % 4}"))
        if number % 2:
            other.publish(first)
        if number % 3 == 0:
            other.publish(later)
        if number % 8 == 0:
            one.publish(later)
    one.remove(object_id(4))
    return one, other


def build_views(one: Feed, other: Feed) -> dict[str, Feed]:
    """Build views of each kind."""
    whole = one.page()
    middle = whole[len(whole) // 2].stamp
    return {
        "union": add_view(one, other),
        "up to a level": add_view(one, other, max_tlp=Tlp.GREEN),
        "active only": add_view(one, other, active=True),
        "of a type": add_view(one, other, types=frozenset({"ipv4-addr"})),
        "snapshot": add_view(one, other, at=pin(one)),
        "snapshot of the past": add_view(one, other, at=pin(one, middle)),
        "strict snapshot": add_view(
            one, other, active=True, max_tlp=Tlp.AMBER, at=pin(one, middle)
        ),
    }


def answers(shown: Feed) -> list[object]:
    """The pages and manifests of readers with different filters."""
    whole = shown.page(EVERY)
    middle, some = whole[len(whole) // 2].stamp, frozenset(map(object_id, range(9)))
    asked = (
        Query(1_000),
        Query(7, position=middle),
        Query(7, added_after=middle),
        Query(1_000, ids=some),
        Query(1_000, types=frozenset({"ipv4-addr"})),
    )
    labels = ((), (TermFilter("labels", ("labels=a",)),), (TermFilter("labels", ("own 1",)),))
    queries = [
        replace(query, keywords=keywords, filters=filters)
        for i, keywords in enumerate((LAST, FIRST, ALL))
        for k, filters in enumerate(labels)
        for query in asked[(i + k) % 3 :: 3]  # each with each keyword, and with each filter
    ]
    head = shown.store.feeds.head(shown.id)
    pages = [shown.store.feeds.page(shown.id, query) for query in queries]
    return [whole, (head.position, head.stamp), *pages]


@pytest.mark.slow
class TestPacking:
    @pytest.mark.slow
    def test_changes_no_view(self, sources: Any) -> None:
        views = build_views(*sources)
        before = {kind: answers(shown) for kind, shown in views.items()}
        assert all(each[0] for each in before.values())
        assert pack(*sources) >= 2
        for kind, shown in views.items():
            assert answers(shown) == before[kind], kind

    def test_changes_no_head_of_a_view(self, sources: Any) -> None:
        both = add_view(*sources)
        before = both.store.feeds.head(both.id)
        assert pack(*sources)
        assert both.store.feeds.head(both.id) == before

    def test_leaves_views_right_when_more_is_published_and_removed_after_it(
        self, sources: Any
    ) -> None:
        one, other = sources
        views = build_views(one, other)
        pack(*sources)
        before = {kind: shown.page(EVERY) for kind, shown in views.items()}
        gone = {object_id(number) for number in (3, 9, 11)}
        for id in gone:
            one.remove(id)
            other.remove(id)
        for kind, shown in views.items():
            left = tuple(entry for entry in before[kind] if entry.id not in gone)
            assert shown.page(EVERY) == left, kind
        one.publish(marked_posting(6, "clear", 3))
        assert views["snapshot"].page(EVERY) == tuple(
            entry for entry in before["snapshot"] if entry.id not in gone
        )
        assert (
            views["union"].page(Query(ids=frozenset({object_id(6)})))[0].body == posting(6, 3).body
        )

    def test_lets_a_walk_go_on_where_it_was(self, sources: Any) -> None:
        both = add_view(*sources)
        whole = both.page(EVERY)
        begun = both.page(replace(EVERY, limit=25))
        pack(*sources)
        rest = walk(both, replace(EVERY, limit=25, position=begun[-1].position))
        assert [*begun, *rest] == list(whole)


@pytest.fixture(scope="module")
def shelf(common_store: Store) -> Any:
    """A union of two feeds that share some of their objects, and those of one level; packed."""
    feeds = []
    for id in (str(uuid.uuid4()), str(uuid.uuid4())):
        common_store.feeds.add(Collection(id, f"alias-{id}", CollectionKind.VERBATIM, "A feed"))
        feeds.append(Feed(common_store, id))
    objects = [deposited(json.dumps(one).encode()) for one in make_objects(200, seed=3)]
    for start in range(0, 200, 20):
        batch = objects[start : start + 20]
        feeds[0].publish(*batch[:14])
        feeds[1].publish(*batch[10:])
    assert pack(*feeds)
    feeds[0].publish(*(deposited(json.dumps(one).encode()) for one in make_objects(60, seed=4)))
    return {
        "union": add_view(*feeds),
        "green": add_view(*feeds, max_tlp=Tlp.GREEN),
        "one": feeds[0],
    }


def parse(entries: tuple[Entry, ...]) -> list[tuple[int, Any]]:
    """The stamp and the object of each entry."""
    return [(entry.stamp, json.loads(entry.body)) for entry in entries]


def true(parsed: list[tuple[int, Any]], field: str, values: list[str]) -> list[int]:
    """The stamps of what looking at each object gives."""
    return [stamp for stamp, one in parsed if matches(one, field, values)]


class TestFilters:
    @pytest.mark.parametrize("keywords", [LAST, ALL])
    @pytest.mark.parametrize("shown", ["union", "green"])
    @pytest.mark.slow
    def test_on_a_view_are_what_looking_at_every_object_gives(
        self, shelf: Any, shown: str, keywords: Any
    ) -> None:
        seen = shelf[shown]
        plain = Query(5_000, keywords=keywords)
        parsed, found = parse(seen.page(plain)), 0
        for field in EVERY_FIELD:
            value = values_of(field)[1]
            asked = replace(plain, filters=(parse_filter(field, [value]),))
            expected = true(parsed, field, [value])
            assert [e.stamp for e in seen.page(asked)] == expected, field
            found += bool(expected)
        assert found > len(EVERY_FIELD) / 2

    @pytest.mark.slow
    def test_by_level_find_in_a_union_what_either_source_has(self, shelf: Any) -> None:
        parsed = parse(shelf["union"].page(Query(5_000)))
        for value in values_of("tlp"):
            asked = Query(5_000, filters=(parse_filter("tlp", [value]),))
            stamps = [entry.stamp for entry in shelf["union"].page(asked)]
            assert stamps == true(parsed, "tlp", [value]) != []

    @pytest.mark.slow
    def test_by_level_never_widen_what_a_view_shows(self, shelf: Any) -> None:
        asked = Query(5_000, keywords=ALL, filters=(parse_filter("tlp", ["red", "amber"]),))
        assert not shelf["green"].page(asked)
        assert shelf["union"].page(asked)

    @pytest.mark.parametrize("limit", [1, 13])
    @pytest.mark.slow
    def test_on_a_view_can_be_walked(self, shelf: Any, limit: int) -> None:
        asked = Query(limit, filters=(parse_filter("labels", ["labels 1"]),))
        expected = true(parse(shelf["union"].page(Query(5_000))), "labels", ["labels 1"])
        assert [entry.stamp for entry in walk(shelf["union"], asked)] == expected
