"""Several feeds as one log: the guarantees of aggregates and snapshots for pollers."""

import itertools
import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support.databases import open_watched_store
from support.feed_postings import ALL, FIRST, Feed, object_id, posting, version
from support.view_feeds import add_view, entry_keys, marked_posting, merge_feeds, pin, walk

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.server.model import (
    Collection,
    CollectionKind,
    FeedHead,
    NewEntry,
    Query,
    VersionKeyword,
    View,
)
from tocsin.server.store import Store, Transaction, wall_clock
from tocsin.server.store.feeds import views
from tocsin.server.store.feeds.views import MAX_VIEW_ENTRIES

pytestmark = pytest.mark.slow

INDICATORS = frozenset({"indicator"})
ADDRESSES = frozenset({"ipv4-addr"})


def definition(number: int, body: str = "", *, ends: bool = False) -> NewEntry:
    """Build a marking definition that was published long before any snapshot, or late: from 4."""
    made = posting(number, at=1 if number < 4 else "2999-01-01T00:00:00.000Z", body=body)
    id = object_id(number, "marking-definition")
    return replace(made, id=id, type="marking-definition", ends=ends)


def publish_in_all(feeds: list[Feed], entries: list[NewEntry], txn: Transaction) -> None:
    """Publish the entries in all of these feeds, together as the publisher does."""
    wanted = {feed.id: entries for feed in feeds}
    txn.begin_publication(wanted).write(wanted)


class TestUnion:
    def test_is_its_sources_in_the_order_in_which_they_were_written(
        self, one: Any, other: Any
    ) -> None:
        both = add_view(one, other)
        one.publish(posting(1))
        other.publish(posting(2), posting(3))
        one.publish(posting(4))
        assert [entry.id for entry in both.page()] == [
            object_id(1),
            object_id(2),
            object_id(3),
            object_id(4),
        ]
        assert [entry.body for entry in both.page()] == [posting(n).body for n in (1, 2, 3, 4)]
        assert [entry.position for entry in both.page()] == [e.stamp for e in both.page()]

    def test_an_object_in_two_sources_is_there_once_where_it_came_first(
        self, one: Any, other: Any
    ) -> None:
        both = add_view(one, other)
        other.publish(posting(1))
        one.publish(posting(1), posting(2), posting(3, at=""))
        other.publish(posting(3, at=""))
        assert entry_keys(both.page()) == entry_keys([other.page()[0], *one.page()[1:]])

    def test_the_last_version_is_chosen_among_all_sources(self, one: Any, other: Any) -> None:
        both = add_view(one, other)
        one.publish(posting(1, at=1), posting(2))
        assert both.versions(ids=frozenset({object_id(1)})) == [version(1)]
        other.publish(posting(1, at=2))
        assert [(e.id, e.version) for e in both.page(Query())] == [
            (object_id(2), version(1)),
            (object_id(1), version(2)),
        ]
        assert both.versions(keywords=FIRST, ids=frozenset({object_id(1)})) == [version(1)]

    def test_an_older_version_in_another_source_is_old_at_once(self, one: Any, other: Any) -> None:
        both = add_view(one, other)
        one.publish(posting(1, at=2))
        reached = both.page()[0].stamp
        other.publish(posting(1, at=1))
        assert both.versions(added_after=reached) == []
        assert both.versions(added_after=reached, keywords=ALL) == [version(1)]

    def test_the_latest_spec_version_is_chosen_among_all_sources(
        self, one: Any, other: Any
    ) -> None:
        both = add_view(one, other)
        one.publish(posting(1, spec="2.0"))
        other.publish(posting(1, spec="2.1"))
        assert [entry.spec for entry in both.page(Query())] == ["2.1"]
        assert [e.spec for e in both.page(Query(specs=frozenset({"2.0"})))] == ["2.0"]

    def test_of_two_contents_of_one_version_the_first_stands(self, one: Any, other: Any) -> None:
        both = add_view(one, other)
        one.publish(posting(1, body="first"))
        other.publish(posting(1, body="second"))
        assert [entry.body for entry in both.page()] == [posting(1, body="first").body]

    def test_an_object_without_versions_comes_again_when_its_content_changes(
        self, one: Any, other: Any
    ) -> None:
        both, bodies = add_view(one, other), ("a", "b", "a")
        for body, feed in itertools.product(bodies, (one, other)):
            feed.publish(replace(posting(1, at="", body=body)), replace=True)
        assert [entry.body for entry in both.page()] == [
            posting(1, "", body=b).body for b in bodies
        ]
        assert both.page(Query())[0].body == posting(1, at="", body="a").body

    def test_what_was_hidden_shows_when_what_hid_it_is_removed(self, one: Any, other: Any) -> None:
        both = add_view(one, other)
        one.publish(posting(1))
        other.publish(posting(1))
        one.remove(object_id(1))
        assert entry_keys(both.page()) == entry_keys(other.page())

    def test_an_object_whose_changes_were_removed_stays(self, one: Any, other: Any) -> None:
        both, id = add_view(one, other), object_id(1, "ipv4-addr")
        for feed, body in ((one, "a"), (other, "a"), (one, "b"), (one, "a")):
            feed.publish(posting(1, at="", body=body), replace=True)
        one.remove(id, versions=frozenset({micros(one.page()[1].version)}))
        assert entry_keys(both.page(Query())) == entry_keys(one.page(Query())) != []

    def test_nobody_writes_to_it(self, one: Any, other: Any) -> None:
        both = add_view(one, other)
        with pytest.raises(NotFound):
            both.publish(posting(1))
        with pytest.raises(NotFound):
            both.remove(object_id(1))

    def test_one_that_nobody_made_is_not_found(self, store: Store) -> None:
        for ask in (store.feeds.head, lambda id: store.feeds.page(id, Query())):
            with pytest.raises(NotFound):
                ask("nowhere")


@pytest.fixture(scope="module")
def long(common_store: Store) -> Any:
    """A union of two feeds of some 2,000 entries, many of them in both, in odd batches.

    With what it has, in order.
    """
    feeds = []
    for id in (str(uuid.uuid4()), str(uuid.uuid4())):
        common_store.feeds.add(Collection(id, f"alias-{id}", CollectionKind.FEED, "A feed"))
        feeds.append(Feed(common_store, id))
    dice, numbers = random.Random(5), itertools.count()
    for size in (1, 700, 3, 996, 2, 300):
        batch = [next(numbers) for _ in range(size)]
        feeds[0].publish(*(posting(n) for n in batch))
        again = dice.sample(batch, len(batch) // 2)
        feeds[1].publish(*(posting(n, at=dice.choice((1, 2))) for n in again))
    return add_view(*feeds), merge_feeds(*feeds)


class TestPages:
    @pytest.mark.parametrize("how", ["position", "added_after"])
    @pytest.mark.parametrize("limit", [333, MAX_VIEW_ENTRIES + 1])
    def test_a_walk_meets_each_once_in_order(self, long: Any, limit: int, how: str) -> None:
        both, whole = long
        assert entry_keys(walk(both, Query(limit=limit, keywords=ALL), how)) == whole

    def test_a_walk_of_the_last_versions_too(self, long: Any) -> None:
        both, whole = long
        last = {id: entry for *entry, id in ((s, v, id) for s, id, v in whole)}
        wanted = sorted((stamp, id, v) for id, (stamp, v) in last.items())
        assert entry_keys(walk(both, Query(limit=500))) == wanted

    def test_more_is_exact(self, long: Any) -> None:
        both, whole = long
        last = Query(position=whole[-301][0], keywords=ALL)  # before the last 300
        for limit in (299, 300, 301):
            page = both.store.feeds.page(both.id, replace(last, limit=limit))
            assert (len(page.entries), page.more) == (min(limit, 300), limit < 300)

    def test_of_a_view_has_a_greatest_length(self, long: Any) -> None:
        both, _ = long
        page = both.store.feeds.page(both.id, Query(limit=5_000, keywords=ALL))
        assert (len(page.entries), page.more) == (MAX_VIEW_ENTRIES, True)

    @pytest.mark.parametrize("definition", [{"active": True}, {"max_tlp": Tlp.RED}, {}])
    def test_of_objects_with_one_entry_needs_few_queries(
        self, engine_uri: str, definition: Any
    ) -> None:
        with open_watched_store(engine_uri) as (store, commands):
            id = str(uuid.uuid4())
            store.feeds.add(Collection(id, "alias", CollectionKind.FEED, "A feed"))
            feed = Feed(store, id)
            feed.publish(*(marked_posting(n, "clear") for n in range(1_000)))
            view = add_view(feed, **definition)
            commands.names.clear()
            assert len(view.page(Query(limit=1_000, keywords=ALL))) == 1_000
            assert commands.names.count("find") < 25

    @pytest.mark.parametrize("definition", [{"active": True}, {"max_tlp": Tlp.RED}, {}])
    def test_of_objects_in_several_feeds_needs_few_queries(
        self, engine_uri: str, definition: Any
    ) -> None:
        entries = [marked_posting(n, "clear") for n in range(600)]
        with open_watched_store(engine_uri) as (store, commands):
            feeds = [Feed(store, str(uuid.uuid4())) for _ in range(3)]
            for feed in feeds:
                store.feeds.add(Collection(feed.id, feed.id, CollectionKind.FEED, "A feed"))
            for part in (entries[:400], entries[400:]):
                store.commit(partial(publish_in_all, feeds, part))
            view = add_view(*feeds, **definition)
            first = view.page(Query(limit=250, keywords=ALL))
            commands.names.clear()
            rest = view.page(Query(limit=600, keywords=ALL, position=first[-1].position))
            assert {entry.id for entry in (*first, *rest)} == {entry.id for entry in entries}
            assert len(first) + len(rest) == 600
            assert commands.names.count("find") < 70

    def test_does_not_grow_with_what_was_stamped_near_it(
        self, engine_uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entries = [posting(n) for n in range(600)]
        monkeypatch.setattr(views, "_NEAR", 10**15)
        monkeypatch.setattr(views, "_MOST_NEAR", 20)
        with open_watched_store(engine_uri) as (store, commands):
            feeds = [Feed(store, str(uuid.uuid4())) for _ in range(2)]
            for feed in feeds:
                store.feeds.add(Collection(feed.id, feed.id, CollectionKind.FEED, "A feed"))
            store.commit(partial(publish_in_all, feeds, entries))
            view = add_view(*feeds)
            half = view.page(Query(limit=300))
            commands.names.clear()
            found = view.page(Query(limit=5, position=half[-1].position))
            assert [entry.id for entry in found] == [object_id(n) for n in range(300, 305)]
            assert commands.names.count("find") < 60

    def test_any_instant_finds_its_place(self, long: Any) -> None:
        both, whole = long
        for i in (0, 5, 702, 1_000, 1_702, len(whole) - 2):
            for query in (Query(added_after=whole[i][0]), Query(position=whole[i][0])):
                page = both.page(replace(query, limit=1, keywords=ALL))
                assert entry_keys(page) == [whole[i + 1]]
        assert not both.page(Query(added_after=whole[-1][0]))

    def test_bodies_are_left_out_on_demand(self, long: Any) -> None:
        both, _ = long
        full = both.page(Query(limit=3))
        bare = both.store.feeds.page(both.id, Query(limit=3), bodies=False).entries
        assert list(bare) == [replace(entry, body=b"") for entry in full]


class TestFilters:
    def test_only_the_types_that_it_shows(self, one: Any, other: Any) -> None:
        both = add_view(one, other, types=ADDRESSES)
        one.publish(posting(1), posting(2, at=""))
        other.publish(posting(3), posting(4, at=""))
        assert [entry.id for entry in both.page()] == [object_id(n, "ipv4-addr") for n in (2, 4)]
        assert [e.id for e in both.page(Query(types=ADDRESSES | INDICATORS))] == [
            object_id(n, "ipv4-addr") for n in (2, 4)
        ]
        assert not both.page(Query(types=INDICATORS))
        assert not both.page(Query(ids=frozenset({object_id(1)})))
        assert not both.store.feeds.knows(both.id, object_id(1))
        assert both.store.feeds.knows(both.id, object_id(4, "ipv4-addr"))

    def test_only_up_to_a_level(self, one: Any, other: Any) -> None:
        both = add_view(one, other, max_tlp=Tlp.GREEN)
        one.publish(
            marked_posting(1, "clear"), marked_posting(2, "amber"), marked_posting(3, "green")
        )
        other.publish(
            marked_posting(4, "amber+strict"),
            marked_posting(5, "red"),
            marked_posting(6, "green"),
            posting(7),
        )
        assert [entry.id for entry in both.page()] == [object_id(1), object_id(3), object_id(6)]
        assert not both.page(Query(ids=frozenset({object_id(2)})))
        assert not both.store.feeds.knows(both.id, object_id(2))

    def test_what_a_stricter_version_says_is_not_seen_by_its_absence(self, one: Any) -> None:
        green = add_view(one, max_tlp=Tlp.GREEN)
        one.publish(marked_posting(1, "green", at=1))
        one.publish(marked_posting(1, "amber", at=2))
        assert green.versions() == [version(1)]

    def test_a_rare_level_is_found_wherever_it_is(self, one: Any) -> None:
        clear = add_view(one, max_tlp=Tlp.CLEAR)
        one.publish(*(marked_posting(n, "amber") for n in range(990)))
        one.publish(marked_posting(5_000, "clear"))
        one.publish(*(marked_posting(n, "amber") for n in range(1_000, 2_500)))
        one.publish(marked_posting(5_001, "clear"))
        assert [e.id for e in walk(clear, Query(limit=1))] == [object_id(5_000), object_id(5_001)]

    def test_only_what_is_active(self, one: Any, other: Any) -> None:
        both = add_view(one, other, active=True)
        future, past = wall_clock() + 3_600_000_000, wall_clock() - 3_600_000_000
        one.publish(marked_posting(1, "green"), marked_posting(2, "green", until=past))
        other.publish(
            marked_posting(3, "green", until=future), marked_posting(4, "green", revoked=True)
        )
        assert [entry.id for entry in both.page()] == [object_id(1), object_id(3)]

    def test_a_revocation_in_another_source_counts(self, one: Any, other: Any) -> None:
        both = add_view(one, other, active=True)
        one.publish(marked_posting(1, "green", at=1))
        assert both.versions() == [version(1)]
        other.publish(marked_posting(1, "green", at=2, revoked=True))
        for keywords in (ALL, FIRST, frozenset({VersionKeyword.LAST})):
            assert both.versions(keywords=keywords) == []

    def test_of_what_is_active_only_current_versions(self, one: Any) -> None:
        active = add_view(one, active=True)
        one.publish(marked_posting(1, "green", at=1))
        one.publish(marked_posting(1, "green", at=2))
        assert active.versions(keywords=ALL) == [version(2)]

    def test_what_expires_leaves_and_the_head_says_so(self, store: Store, engine_uri: str) -> None:
        now = [micros("2026-01-01T00:00:00Z")]
        timed = Store.connect(engine_uri, name=store._base.name, clock=lambda: now[0])
        feed = Feed(timed, "one")
        timed.feeds.add(Collection("one", "one", CollectionKind.FEED, "One"))
        active = add_view(feed, active=True)
        feed.publish(
            marked_posting(1, "green", until=now[0] + 90_000_000), marked_posting(2, "green")
        )
        before = timed.feeds.head(active.id)
        assert [entry.id for entry in active.page()] == [object_id(1), object_id(2)]
        now[0] += 59_000_000
        assert timed.feeds.head(active.id) == before and len(active.page()) == 2
        now[0] += 100_000_000
        assert [entry.id for entry in active.page()] == [object_id(2)]
        assert timed.feeds.head(active.id).writes > before.writes
        timed.close()

    def test_entries_of_which_nothing_was_written_down_are_left_out(self, one: Any) -> None:
        strict, active = add_view(one, max_tlp=Tlp.AMBER_STRICT), add_view(one, active=True)
        one.publish(marked_posting(1, "clear"))
        one.store._base.id_index.update_many({"feed": one.id}, {"$unset": {"traits": 1}})
        assert not strict.page() and not active.page()
        assert len(add_view(one).page()) == 1


class TestSnapshot:
    def test_stays_as_it_was_while_its_source_goes_on(self, one: Any) -> None:
        one.publish(posting(1, at=2), posting(2), posting(3, at=""))
        kept = add_view(one, at=pin(one))
        before = kept.page(), kept.page(Query()), kept.store.feeds.head(kept.id)
        one.publish(posting(4), posting(2, at=2), posting(1, at=1), posting(3, at="", body="b"))
        assert (kept.page(), kept.page(Query()), kept.store.feeds.head(kept.id)) == before
        assert kept.versions(keywords=FIRST) == [version(2), version(1), one.page()[2].version]

    def test_loses_what_is_removed_from_its_source(self, one: Any) -> None:
        one.publish(posting(1, body="jane-doe"), posting(2))
        kept = add_view(one, at=pin(one))
        before = kept.store.feeds.head(kept.id)
        one.remove(object_id(1))
        assert [entry.id for entry in kept.page()] == [object_id(2)]
        assert kept.store.feeds.head(kept.id).writes > before.writes

    @pytest.mark.parametrize("how", ["position", "added_after"])
    def test_has_what_is_left_of_a_definition_that_ended_since(
        self, one: Any, other: Any, how: str
    ) -> None:
        for feed in (one, other):
            feed.publish(definition(1), definition(2), posting(3))
        kept = add_view(one, other, at=pin(one))
        before = kept.store.feeds.head(kept.id)
        one.publish(definition(4), posting(5))
        assert kept.store.feeds.head(kept.id) == before
        for number in (4, 1, 2):
            for feed in (one, other):
                feed.publish(definition(number, "left", ends=True), replace=True)
        left = [definition(number, "left") for number in (1, 2)]
        found = walk(kept, Query(limit=1), how)
        assert [each.body for each in found] == [each.body for each in (posting(3), *left)]
        [alone] = kept.page(Query(ids=frozenset({left[0].id})))
        assert alone == found[1]
        assert not kept.page(Query(types=INDICATORS, added_after=found[0].stamp))
        assert kept.store.feeds.head(kept.id).writes > before.writes

    def test_of_a_moment_that_has_passed(self, one: Any) -> None:
        one.publish(posting(1), posting(2))
        one.publish(posting(2, at=2), posting(3))
        first = one.page()[0].stamp
        assert [entry.id for entry in add_view(one, at=pin(one, first)).page()] == [object_id(1)]
        assert not add_view(one, at=pin(one, first - 1)).page()
        assert entry_keys(add_view(one, at=pin(one)).page()) == entry_keys(one.page())

    def test_of_several_sources(self, one: Any, other: Any) -> None:
        one.publish(posting(1, at=1))
        other.publish(posting(1, at=2), posting(2))
        kept = add_view(one, other, at=pin(one))
        one.publish(posting(2, at=2))
        assert [(e.id, e.version) for e in walk(kept, Query(limit=1))] == [
            (object_id(1), version(2)),
            (object_id(2), version(1)),
        ]

    def test_what_was_active_then_is_in_it_for_ever(self, one: Any) -> None:
        soon = pin(one) + 60_000_000
        one.publish(marked_posting(1, "green", until=soon), marked_posting(2, "green", until=1))
        kept = add_view(one, active=True, at=pin(one, one.page()[1].stamp))
        one.publish(marked_posting(1, "green", at=2, revoked=True))
        assert [entry.id for entry in kept.page()] == [object_id(1)]

    def test_nothing_is_added_before_a_moment_that_was_pinned(
        self, one: Any, engine_uri: str
    ) -> None:
        at = pin(one)
        late = Store.connect(engine_uri, name=one.store._base.name, clock=lambda: at - 10_000_000)
        late.commit(lambda txn: txn.publish(one.id, [posting(1)]))
        late.close()
        assert one.page()[0].stamp > at

    def test_one_of_the_future_is_refused(self, one: Any) -> None:
        with pytest.raises(Malformed, match="future"):
            pin(one, wall_clock() + 60_000_000)


class TestHead:
    def test_moves_whenever_a_source_does(self, one: Any, other: Any) -> None:
        both = add_view(one, other)
        assert both.store.feeds.head(both.id) == FeedHead()
        seen = []
        acts: tuple[Callable[[], Any], ...] = (
            lambda: one.publish(posting(1)),
            lambda: other.publish(posting(2)),
            lambda: one.remove(object_id(1)),
            lambda: other.publish(posting(2, at=2)),
        )
        for act in acts:
            act()
            seen.append(both.store.feeds.head(both.id))
        assert [head.writes for head in seen] == [1, 2, 3, 4]
        assert seen[-1].position == seen[-1].stamp == other.page()[-1].stamp

    def test_does_not_move_with_other_feeds(
        self, one: Any, other: Any, new: Callable[[], Feed]
    ) -> None:
        both = add_view(one, other)
        one.publish(posting(1))
        before = both.store.feeds.head(both.id)
        new().publish(posting(1))
        assert both.store.feeds.head(both.id) == before


class TestSources:
    @pytest.mark.parametrize("kind", [CollectionKind.INBOX, CollectionKind.AGGREGATE])
    def test_inboxes_and_views_are_none(self, store: Store, kind: Any) -> None:
        inner = View(("feed",)) if kind is CollectionKind.AGGREGATE else None
        store.feeds.add(Collection("feed", "feed", CollectionKind.FEED, "Feed"))
        store.feeds.add(Collection("c", "c", kind, "C", view=inner))
        for sources in (("c",), ("feed", "c"), ("nowhere",), ()):
            with pytest.raises(Conflict, match="only feeds and verbatim"):
                store.feeds.add(
                    Collection("v", "v", CollectionKind.AGGREGATE, "V", view=View(sources))
                )

    def test_definitions_are_kept(self, store: Store) -> None:
        store.feeds.add(Collection("feed", "feed", CollectionKind.VERBATIM, "Feed"))
        shown = View(("feed",), INDICATORS, Tlp.GREEN, active=True)
        added = [
            Collection("v", "alias-v", CollectionKind.AGGREGATE, "V", view=shown),
            Collection(
                "w",
                "alias-w",
                CollectionKind.SNAPSHOT,
                "W",
                view=replace(shown, at=5, max_tlp=None),
            ),
        ]
        for each in added:
            store.feeds.add(each)
        assert store.feeds.collections()[1:] == added
