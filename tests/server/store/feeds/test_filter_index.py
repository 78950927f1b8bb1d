"""The optional match filters: exact, from an index, whatever the objects are."""

import json
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import MongoClient, monitoring
from support.examples import examples
from support.feed_postings import ALL, Feed, version
from support.naive_filters import (
    BOUNDED,
    EVERY_FIELD,
    LISTS,
    OWNERS,
    make_object,
    make_objects,
    matches,
    values_of,
)

from tocsin.admission.timestamps import micros
from tocsin.server.intake.verbatim import posting
from tocsin.server.model import Collection, CollectionKind, Query
from tocsin.server.store import Store
from tocsin.server.store.feeds.packing import Packer
from tocsin.server.store.match_filters import (
    FIELDS,
    MAX_TERMS,
    index_terms,
    matches_filter,
    parse_filter,
)

pytestmark = pytest.mark.slow

SIZE = 2_100
BATCH = 150


def publish(feed: Any, objects: Any) -> None:
    feed.publish(*(posting(json.dumps(each).encode()) for each in objects))


def keys(entries: Any) -> Any:
    return [(entry.id, entry.version) for entry in entries]


def query(*asked: Any, **more: Any) -> Any:
    return Query(filters=tuple(parse_filter(field, values) for field, values in asked), **more)


class Library:
    """A feed with the corpus in it, and the corpus as it stands there."""

    def __init__(self, feed: Any) -> None:
        self.feed, self.everything = feed, make_objects(SIZE)
        for start in range(0, SIZE, BATCH):
            publish(feed, self.everything[start : start + BATCH])
        self.stored = [
            json.loads(entry.body) for entry in feed.walk(Query(limit=900, keywords=ALL))
        ]
        newest: dict[Any, Any] = {}
        for one in self.stored:
            newest.setdefault(one["id"], []).append(one)
        last = [max(each, key=lambda one: micros(one["modified"])) for each in newest.values()]
        kept = {(one["id"], one["modified"]) for one in last}
        self.last = [one for one in self.stored if (one["id"], one["modified"]) in kept]

    def found(self, *asked: Any, limit: Any = 1_000, **more: Any) -> Any:
        return keys(self.feed.walk(query(*asked, limit=limit, **more)))

    def true(self, *asked: Any, among: Any = None) -> Any:
        return [
            (one["id"], one["modified"])
            for one in (self.last if among is None else among)
            if all(matches(one, field, values) for field, values in asked)
        ]


@pytest.fixture(scope="module")
def library(common_store: Store) -> Any:
    id = str(uuid.uuid4())
    common_store.feeds.add(Collection(id, "library", CollectionKind.VERBATIM, "Library"))
    return Library(Feed(common_store, id))


class TestEveryFilter:
    def test_all_five_groups_are_there(self) -> None:
        assert sorted(FIELDS) == sorted(EVERY_FIELD)
        assert len(FIELDS) == 22 + 16 + 19 + 1 + 12

    @pytest.mark.parametrize("field", EVERY_FIELD)
    def test_is_what_looking_at_every_object_gives(self, library: Any, field: Any) -> None:
        values = values_of(field)
        asked = [[values[0]], [values[len(values) // 2]], values[-1:]]
        asked += [values[1::2]] if field != "revoked" else []
        for some in asked:
            assert library.found((field, some)) == library.true((field, some)), some

    @pytest.mark.parametrize("field", EVERY_FIELD)
    def test_tells_some_from_others(self, library: Any, field: Any) -> None:
        pairs = [(one, [value]) for value in values_of(field) for one in library.last]
        assert any(matches(one, field, values) for one, values in pairs)
        assert not all(matches(one, field, values) for one, values in pairs)

    @settings(max_examples=examples(30), deadline=None)
    @given(
        st.lists(st.sampled_from(EVERY_FIELD), min_size=2, max_size=3, unique=True),
        st.randoms(use_true_random=False),
    )
    def test_several_join_by_and(self, library: Any, fields: Any, dice: Any) -> None:
        asked = [(field, [dice.choice(values_of(field))]) for field in fields]
        assert library.found(*asked) == library.true(*asked)

    @pytest.mark.parametrize("limit", [1, 2, 7, 30])
    def test_pages_of_any_length_follow_each_other(self, library: Any, limit: int) -> None:
        asked = [("labels", ["labels 1"]), ("number-gte", ["65000"])]
        found = library.true(*asked)
        assert len(found) > 8
        assert library.found(*asked, limit=limit) == found
        exact = library.feed.store.feeds.page(library.feed.id, query(*asked, limit=len(found)))
        assert (keys(exact.entries), exact.more) == (found, False)

    def test_works_with_types_and_ids_and_versions(self, library: Any) -> None:
        asked = ("labels", ["labels 1"])
        some = library.last[::7]
        ids = frozenset(one["id"] for one in some)
        assert library.found(asked, ids=ids) == library.true(asked, among=some)
        typed = [one for one in library.last if one["type"] == "x-one"]
        assert library.found(asked, types=frozenset({"x-one"})) == library.true(asked, among=typed)
        assert library.found(asked, keywords=ALL) == library.true(asked, among=library.stored)

    def test_begins_after_added_after(self, library: Any) -> None:
        entries = list(library.feed.walk(query(("labels", ["labels 1"]), limit=900)))
        middle = entries[len(entries) // 2]
        rest = library.found(("labels", ["labels 1"]), added_after=middle.stamp)
        assert rest == keys(entries)[len(entries) // 2 + 1 :]

    def test_the_manifest_is_of_the_same_entries(self, library: Any) -> None:
        asked = query(("relationships-all", [OWNERS[3]]), limit=60)
        store = library.feed.store
        listed = store.feeds.page(library.feed.id, asked, bodies=False)
        page = store.feeds.page(library.feed.id, asked)
        assert (keys(listed.entries), listed.more) == (keys(page.entries), page.more)
        assert not any(entry.body for entry in listed.entries)


class Watch(monitoring.CommandListener):
    """The questions to the database, and its answers."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.given: list[Any] = []

    def started(self, event: Any) -> None:
        self.asked.append((event.command_name, dict(event.command)))

    def succeeded(self, event: Any) -> None:
        cursor = event.reply.get("cursor", {})
        self.given += cursor.get("firstBatch", []) + cursor.get("nextBatch", [])

    def failed(self, event: Any) -> None:
        raise AssertionError(event.failure)


@pytest.fixture
def watched(library: Any, engine_uri: str) -> Iterator[Any]:
    """The library's feed through a connection that is watched."""
    watch = Watch()
    base = library.feed.store._base
    with MongoClient[dict[str, Any]](engine_uri, event_listeners=[watch]) as client:
        feed = Feed(Store(client, base.name), library.feed.id)
        feed.store.feeds.head(feed.id)
        watch.asked, watch.given = [], []
        yield watch, feed, base


RARE = [
    [("name", ["name 1"]), ("labels", ["labels 2"])],
    [("valid_until-gte", ["9999-12-31T23:59:59.999Z"]), ("SHA-256", ["SHA-256 0"])],
    [("confidence-gte", ["200"]), ("number-lte", ["-5"])],
    [("tlp", ["amber+strict"]), ("src_port", ["70000"])],
]


class TestReading:
    @pytest.mark.parametrize("asked", RARE)
    def test_reads_only_runs_that_hold_matches(
        self, library: Any, watched: Any, asked: Any
    ) -> None:
        watch, feed, base = watched
        page = feed.store.feeds.page(feed.id, query(*asked, limit=1_000, keywords=ALL))
        runs = [document for document in watch.given if "versions" in document]
        spans = [(run["first"], run["n"]) for run in base.entry_batches.find({"feed": feed.id})]
        holding = [
            first
            for first, length in spans
            if any(first <= entry.position < first + length for entry in page.entries)
        ]
        assert keys(page.entries) == library.true(*asked, among=library.stored)
        assert sorted(run["first"] for run in runs) == sorted(holding) != sorted(dict(spans))

    @pytest.mark.parametrize("asked", RARE)
    def test_every_question_is_answered_from_an_index_alone(self, watched: Any, asked: Any) -> None:
        watch, feed, base = watched
        feed.store.feeds.page(feed.id, query(*asked, limit=1_000))
        assert {name for name, _ in watch.asked} <= {"find", "getMore"}
        examined = 0
        for command in [command for name, command in watch.asked if name == "find"]:
            plain = {name: command[name] for name in ("find", "filter")}
            plan = base.command("explain", plain, verbosity="executionStats")
            assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
            examined += plan["executionStats"]["totalDocsExamined"]
        assert examined == len(watch.given)

    def test_a_card_is_read_only_where_the_facet_is_on_it(self, watched: Any) -> None:
        watch, feed, _ = watched
        rare = query(("name", ["name 1"]), limit=1_000)
        feed.store.feeds.page(feed.id, rare)
        documents = [document for document in watch.given if "facets" in document]
        assert documents
        for each in documents:
            assert {f.partition("|")[2] for f in each["facets"]} & {"name=name 1", "name?"}

    def test_the_first_page_of_a_common_value_reads_no_further_than_it_must(
        self, watched: Any
    ) -> None:
        watch, feed, _ = watched
        feed.store.feeds.page(feed.id, query(("revoked", ["false"]), limit=10))
        runs = [document for document in watch.given if "versions" in document]
        assert {run["block"] for run in runs} == {0}

    def test_a_rare_value_of_a_long_feed_takes_few_questions(
        self, feed: Feed, engine_uri: str
    ) -> None:
        """400 blocks, of which the index alone is written, and nothing is in them but one."""
        publish(feed, [make_object(1, random.Random(1))])
        base, watch = feed.store._base, Watch()
        base.heads.update_one({"_id": feed.id}, {"$set": {"position": 400_000}})
        with MongoClient[dict[str, Any]](engine_uri, event_listeners=[watch]) as client:
            there = Feed(Store(client, base.name), feed.id)
            assert not there.page(query(("name", ["nowhere"])))
        assert Counter(command.get("find") for _, command in watch.asked)["filter_index"] == 7


class TestPackedBlocks:
    @pytest.mark.slow
    def test_give_the_same_answers_from_fewer_documents(self, new: Callable[[], Feed]) -> None:
        feed = new()
        objects = make_objects(400, seed=9)
        for start in range(0, 400, 20):
            publish(feed, objects[start : start + 20])
        asked = [query((field, [values_of(field)[1]]), limit=1_000) for field in EVERY_FIELD]
        before, index = [keys(feed.page(each)) for each in asked], feed.store._base.filter_index
        many = index.count_documents({"feed": feed.id})
        packing = Packer(feed.store._client, feed.store._base, threading.Lock(), after_writes=1)
        while packing.pack_next():
            pass
        assert packing.packed and any(before)
        assert index.count_documents({"feed": feed.id}) < many / 2
        assert [keys(feed.page(each)) for each in asked] == before
        assert [keys(feed.walk(replace(each, limit=3))) for each in asked[::5]] == before[::5]


NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.integers(-5, 70_000) | st.integers(0, 130)


class TestBounds:
    @settings(max_examples=examples(150), deadline=None)
    @given(NUMBER, NUMBER, st.sampled_from(["confidence", "number", "src_port", "dst_port"]))
    def test_the_index_alone_tells_which_numbers_are_within(
        self, number: Any, bound: Any, name: Any
    ) -> None:
        for field, within in ((f"{name}-gte", number >= bound), (f"{name}-lte", number <= bound)):
            assert indexed({name: number}, parse_filter(field, [str(bound)])) is within

    @settings(max_examples=examples(80), deadline=None)
    @given(st.datetimes(), st.datetimes())
    def test_the_index_alone_tells_which_instants_are_within(
        self, instant: Any, bound: Any
    ) -> None:
        text, asked = (f"{each.isoformat(timespec='microseconds')}Z" for each in (instant, bound))
        for field, within in (
            ("modified-gte", instant >= bound),
            ("modified-lte", instant <= bound),
        ):
            assert indexed({"modified": text}, parse_filter(field, [asked])) is within

    @pytest.mark.parametrize("field", BOUNDED)
    def test_a_bound_is_few_facets(self, field: Any) -> None:
        for value in values_of(field):
            assert len(parse_filter(field, [value]).terms) < 50


def indexed(subject: Any, asked: Any) -> Any:
    """True if an object would be found by its terms, without a look at it."""
    own = index_terms(subject)
    edges = [number for facet, number in own.numeric_terms if facet == asked.boundary_term]
    finest = {facet for facet, _ in own.numeric_terms}
    return bool({*own.terms, *finest} & {*asked.terms}) or any(map(asked.includes, edges))


class TestHostileObjects:
    def test_a_hundred_thousand_labels_make_no_more_facets_than_the_bound(self) -> None:
        one = make_object(1, random.Random(1)) | {"labels": [f"label {n}" for n in range(100_000)]}
        assert len(index_terms(one).terms) < MAX_TERMS + 40

    def test_an_object_with_too_many_values_is_still_found_by_each(self, feed: Feed) -> None:
        many = make_object(1, random.Random(1)) | {"labels": [f"label {n}" for n in range(100_000)]}
        few = make_object(2, random.Random(2)) | {"labels": ["label 99999"], "modified": version(1)}
        publish(feed, [many, few])
        documents = list(feed.store._base.filter_index.find({"feed": feed.id}))
        assert sum(len(str(each)) for each in documents) < 50_000
        both = [many["id"], few["id"]]
        assert [each.id for each in feed.page(query(("labels", ["label 99999"])))] == both
        assert [each.id for each in feed.page(query(("labels", ["label 5"])))] == both[:1]
        assert not feed.page(query(("labels", ["label 100000"])))
        one = query(("labels", ["label 5"]), ids=frozenset(both))
        assert [each.id for each in feed.page(one)] == both[:1]
        found = feed.store.feeds.page(feed.id, query(("labels", ["label 5"])), bodies=False)
        assert [(each.id, each.body) for each in found.entries] == [(many["id"], b"")]

    def test_many_fields_with_many_values_are_bounded_together(self) -> None:
        wide = {name: [f"{name} {n}" for n in range(30)] for name in LISTS}
        own = index_terms(make_object(1, random.Random(1)) | wide)
        assert len(own.terms) < MAX_TERMS + 40
        assert "name=" in " ".join(own.terms) or "name?" not in own.terms

    def test_a_value_cannot_pose_as_the_digest_of_a_long_one(self) -> None:
        (long,) = parse_filter("name", ["x" * 200]).terms
        posing = {"type": "x-a", "id": "x-a--1", "name": long.partition("#")[2]}
        assert long.startswith("name#") and len(long) < 80
        assert long not in index_terms(posing).terms
        assert not matches_filter(posing, parse_filter("name", ["x" * 200]))

    def test_what_was_removed_is_found_no_more(self, feed: Feed) -> None:
        objects = [
            make_object(n, random.Random(n)) | {"labels": ["shared", f"own {n}"]} for n in (1, 2)
        ]
        publish(feed, objects)
        feed.remove(objects[0]["id"])
        assert [e.id for e in feed.page(query(("labels", ["shared"])))] == [objects[1]["id"]]
        assert "own 1" not in str(list(feed.store._base.filter_index.find({"feed": feed.id})))
