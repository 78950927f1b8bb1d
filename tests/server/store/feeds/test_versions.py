"""Which of an object's versions a query is given, and what else it may ask for."""

import itertools
import random
from collections.abc import Sequence
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
    object_id,
    posting,
    version,
)

from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.model import Entry, NewEntry, Query, VersionKeyword


def definition(body: str = "", *, ends: bool = False) -> NewEntry:
    """A marking definition, of which a feed has one entry, or the entry that ends it."""
    return replace(posting(1, body=body), type="marking-definition", ends=ends)


class TestVersions:
    def test_a_new_version_supersedes(self, feed: Feed) -> None:
        feed.publish(posting(1, at=1), posting(2))
        feed.publish(posting(1, at=2))
        assert [(e.id, e.version) for e in feed.page(Query())] == [
            (object_id(2), version(1)),
            (object_id(1), version(2)),
        ]

    def test_an_older_version_that_arrives_late_is_old_at_once(self, feed: Feed) -> None:
        feed.publish(posting(1, at=2))
        feed.publish(posting(1, at=1))
        assert feed.versions() == [version(2)]
        assert feed.versions(added_after=feed.page()[0].stamp) == []
        assert feed.versions(keywords=FIRST) == [version(1)]
        assert feed.versions(keywords=ALL) == [version(2), version(1)]

    def test_they_may_come_in_one_call(self, feed: Feed) -> None:
        feed.publish(posting(1, at=2), posting(1, at=3), posting(1, at=1))
        assert feed.versions() == [version(3)]
        assert feed.versions(keywords=FIRST) == [version(1)]

    def test_the_choice_is_made_before_anything_else(self, feed: Feed) -> None:
        feed.publish(posting(1, at=1))
        feed.publish(posting(1, at=2))
        first = feed.page()[0]
        assert feed.versions(keywords=FIRST, added_after=first.stamp) == []

    @pytest.mark.parametrize(
        ("keywords", "exact", "expected"),
        [
            (LAST, (), [3]),
            (FIRST, (), [1]),
            (FIRST | LAST, (), [1, 3]),
            (ALL, (), [1, 2, 3]),
            (frozenset(), (2,), [2]),
            (frozenset(), (2, 9), [2]),
            (LAST, (1, 2), [1, 2, 3]),
            (FIRST, (1,), [1]),
            (frozenset(), (), [3]),
        ],
    )
    @pytest.mark.parametrize("ids", [(), (1,)])
    def test_keywords_and_exact_versions_are_joined_by_or(
        self, feed: Feed, keywords: Any, exact: Any, expected: Any, ids: Any
    ) -> None:
        feed.publish(*(posting(1, at=i) for i in (1, 2, 3)))
        found = feed.versions(
            keywords=keywords,
            versions=frozenset(micros(version(i)) for i in exact),
            ids=frozenset(object_id(i) for i in ids),
        )
        assert found == [version(i) for i in expected]

    def test_an_exact_version_is_an_instant(self, feed: Feed) -> None:
        feed.publish(posting(1, at="2024-01-01T01:00:01+01:00"))
        exact = frozenset({micros(version(1))})
        assert len(feed.versions(keywords=frozenset(), versions=exact)) == 1


class TestSpecVersions:
    def test_the_newest_of_each_object_is_the_default(self, feed: Feed) -> None:
        feed.publish(posting(1, at=5, spec="2.0"), posting(2, spec="2.0"))
        feed.publish(posting(1, at=1, spec="2.1"))
        assert [(e.id, e.spec) for e in feed.page(Query())] == [
            (object_id(2), "2.0"),
            (object_id(1), "2.1"),
        ]

    def test_an_older_one_that_arrives_late_is_shadowed_at_once(self, feed: Feed) -> None:
        feed.publish(posting(1, at=1, spec="2.1"))
        feed.publish(posting(1, at=5, spec="2.0"))
        assert [entry.spec for entry in feed.page(Query())] == ["2.1"]

    @pytest.mark.parametrize("specs", [{"2.0"}, {"2.1"}, {"2.0", "2.1"}, {"3.0"}])
    def test_the_last_is_chosen_within_each(self, feed: Feed, specs: Any) -> None:
        for spec, at in itertools.product(("2.0", "2.1"), (1, 2)):
            feed.publish(posting(1, at=at, spec=spec))
        found = [(e.spec, e.version) for e in feed.page(Query(specs=frozenset(specs)))]
        assert found == [(spec, version(2)) for spec in ("2.0", "2.1") if spec in specs]

    def test_all_means_all_of_the_newest(self, feed: Feed) -> None:
        feed.publish(posting(1, at=1, spec="2.0"), posting(1, at=2), posting(1, at=3))
        assert feed.versions(keywords=ALL) == [version(2), version(3)]


class TestObjectsWithoutVersions:
    def test_their_version_is_their_first_date_added(self, feed: Feed) -> None:
        feed.publish(posting(1, at=""))
        (entry,) = feed.page()
        assert entry.version == timestamp(entry.stamp)
        for keywords in (LAST, FIRST, ALL):
            assert feed.versions(keywords=keywords) == [entry.version]
        exact = frozenset({entry.stamp})
        assert feed.versions(keywords=frozenset(), versions=exact) == [entry.version]

    def test_it_stays_for_ever(self, feed: Feed) -> None:
        feed.publish(posting(1, at=""))
        before = feed.page()
        assert feed.publish(posting(1, at="")) == [KNOWN]
        assert feed.publish(posting(1, at="", body="other")) == [CONFLICT]
        assert feed.page() == before

    def test_replaced_they_become_a_newer_version(self, feed: Feed) -> None:
        feed.publish(posting(1, at=""))
        other = posting(1, at="", body="other")
        assert feed.publish(other, replace=True) == [STORED]
        assert [entry.body for entry in feed.page(Query())] == [other.body]
        assert feed.publish(other, posting(1, at=""), replace=True) == [KNOWN, STORED]

    def test_replacing_does_not_touch_versions_that_were_given(self, feed: Feed) -> None:
        feed.publish(posting(1))
        assert feed.publish(posting(1, body="other"), replace=True) == [CONFLICT]

    def test_the_end_of_a_marking_definition_takes_its_place(self, feed: Feed) -> None:
        first, other = definition(), definition("other", ends=True)
        feed.publish(first, posting(2))
        assert feed.publish(definition("of another author"), replace=True) == [CONFLICT]
        assert feed.publish(other) == [CONFLICT]
        assert feed.publish(first, other, replace=True) == [KNOWN, STORED]
        found = [(entry.position, entry.body) for entry in feed.page(Query(keywords=ALL))]
        assert found == [(2, posting(2).body), (3, other.body)]

    def test_two_of_one_version_cannot_come_at_once(self, feed: Feed) -> None:
        first, other = definition(), definition("other", ends=True)
        assert feed.publish(first, other, replace=True) == [STORED, CONFLICT]


class TestFilters:
    @pytest.fixture
    def mixed(self, feed: Feed) -> Any:
        feed.publish(*(posting(i, at="" if i % 3 == 0 else 1) for i in range(1, 10)))
        return feed

    def test_by_id(self, mixed: Any) -> None:
        wanted = frozenset({object_id(2), object_id(7), object_id(55)})
        assert [entry.position for entry in mixed.page(Query(ids=wanted))] == [2, 7]

    def test_by_many_ids(self, feed: Feed) -> None:
        feed.publish(*(posting(i) for i in range(200)))
        wanted = frozenset(object_id(i) for i in range(100, 300))
        page = feed.store.feeds.page(feed.id, Query(ids=wanted, limit=60, position=120))
        assert [entry.position for entry in page.entries] == list(range(121, 181))
        assert page.more
        assert page.entries[0].body == posting(120).body

    def test_by_type(self, mixed: Any) -> None:
        found = mixed.page(Query(types=frozenset({"ipv4-addr"})))
        assert [entry.position for entry in found] == [3, 6, 9]

    def test_fields_are_joined_by_and(self, mixed: Any) -> None:
        both = Query(
            ids=frozenset({object_id(2), object_id(3, "ipv4-addr")}), types=frozenset({"indicator"})
        )
        assert [entry.position for entry in mixed.page(both)] == [2]

    def test_an_unknown_value_matches_nothing(self, mixed: Any) -> None:
        assert not mixed.page(Query(types=frozenset({"malware"})))
        assert not mixed.page(Query(ids=frozenset({object_id(99)})))


def chosen(log: Sequence[Entry], query: Query) -> list[Entry]:
    """The entries that a query asks for, the slow and obvious way."""

    def rivals(entry: Entry) -> list[int]:
        return [micros(e.version) for e in log if (e.id, e.spec) == (entry.id, entry.spec)]

    def takes(entry: Entry) -> bool:
        instant = micros(entry.version)
        newest = max(e.spec for e in log if e.id == entry.id)
        return (
            (not query.ids or entry.id in query.ids)
            and (entry.spec in query.specs if query.specs else entry.spec == newest)
            and (
                VersionKeyword.ALL in query.keywords
                or (VersionKeyword.LAST in query.keywords and instant == max(rivals(entry)))
                or (VersionKeyword.FIRST in query.keywords and instant == min(rivals(entry)))
                or instant in query.versions
            )
        )

    found = [entry for entry in log if takes(entry)]
    return [e for e in found if e.position > query.position and e.stamp > (query.added_after or 0)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_history_reads_as_the_obvious_model_says(feed: Feed, seed: Any) -> None:
    dice = random.Random(seed)
    everything = Query(limit=10_000, keywords=ALL, specs=frozenset({"2.0", "2.1"}))
    for _ in range(12):
        feed.publish(
            *(
                posting(dice.randrange(8), dice.randrange(1, 6), dice.choice(("2.0", "2.1")))
                for _ in range(dice.randrange(1, 9))
            )
        )
        if dice.random() < 0.4:
            feed.remove(object_id(dice.randrange(8)), keywords=dice.choice((LAST, FIRST, ALL)))
    log = feed.page(everything)
    for _ in range(60):
        query = Query(
            limit=dice.choice((1, 2, 5, 100)),
            position=dice.choice((0, dice.randrange(40))),
            added_after=dice.choice((None, dice.choice(log).stamp)),
            ids=frozenset(object_id(i) for i in dice.choice(((), (1,), (2, 3, 4), (99,)))),
            specs=frozenset(dice.choice(((), ("2.0",), ("2.1",), ("2.0", "2.1")))),
            keywords=dice.choice((LAST, FIRST, ALL, FIRST | LAST)),
            versions=frozenset(micros(version(i)) for i in dice.choice(((), (2,), (1, 5)))),
        )
        page, expected = feed.store.feeds.page(feed.id, query), chosen(log, query)
        assert list(page.entries) == expected[: query.limit]
        assert page.more == (len(expected) > query.limit)
