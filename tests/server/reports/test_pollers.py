"""Pollers: how far each account has read a collection, and since when it is silent."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.collection import Collection as PyMongoCollection
from support.clock import ManualClock
from support.databases import open_again
from support.hub import GREEN, HubInProcess, indicator

from tocsin.admission.markings.audience import Audience
from tocsin.admission.timestamps import DAY, HOUR, timestamp
from tocsin.server.model import (
    Account,
    Agreement,
    Collection,
    CollectionKind,
    ObjectPage,
    Partner,
    Query,
    View,
)
from tocsin.server.reports.statistics import StatisticsReader
from tocsin.server.store import Store
from tocsin.server.store.deliveries import Deliveries

OPERATOR = Account("operator", "", operator=True)
GERMAN = Audience(frozenset({"DE"}))


@pytest.fixture
def moved(store: Store, timed: tuple[HubInProcess, ManualClock]) -> Iterator[HubInProcess]:
    """The hub of `timed`, whose database has the clock that tests can move, too."""
    _, clock = timed
    with open_again(store, clock) as opened:
        yield HubInProcess(opened, clock, founded=True)


def note(asked: list[str], of: object, name: str) -> Callable[..., Any]:
    """A method that notes its name each time it is called."""
    method = getattr(of, name)

    def noted(*arguments: Any, **more: Any) -> Any:
        asked.append(name)
        return method(*arguments, **more)

    return noted


class TestPollers:
    def find(self, hub: HubInProcess, name: str, alias: str = "green") -> Any:
        hub.store.deliveries.flush()
        found = hub.services.statistics.pollers(OPERATOR, name)
        return next(each for each in found if each.collection.alias == alias)

    def test_who_has_read_everything_is_not_behind(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        hub.feed("green", who="north")
        poller = self.find(hub, "north")
        assert poller.behind == 0 and poller.silent_since is None
        assert poller.last_polled is not None

    def test_who_has_not_come_back_is_behind_since_then(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        moved.push(indicator())
        moved.feed("green", who="north")
        moved.push(indicator("two.top"), indicator("three.top"))
        poller = self.find(moved, "north")
        assert (poller.behind, poller.silent_since) == (2, None), "it polled within a day"
        clock.now += DAY + HOUR
        poller = self.find(moved, "north")
        assert poller.behind == 2 and poller.last_polled <= poller.silent_since < clock.now - DAY

    def test_who_never_polled_is_behind_everything(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        poller = self.find(hub, "north")
        head = hub.store.feeds.head(hub.collection("green").id)
        assert (poller.last_polled, poller.behind) == (None, head.position)
        assert poller.silent_since is None

    def test_who_polls_a_quiet_feed_is_not_silent_when_something_comes(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        moved.push(indicator())
        moved.feed("green", who="north")
        clock.now += 4 * DAY
        before = moved.store.clock()
        moved.push(indicator("two.top"))
        poller = self.find(moved, "north")
        assert poller.behind == 1 and poller.silent_since >= before, "it waits since just now"
        clock.now += 4 * DAY
        moved.push(indicator("three.top"))
        assert self.find(moved, "north").silent_since == poller.silent_since

    @pytest.mark.parametrize("kind", [CollectionKind.AGGREGATE, CollectionKind.SNAPSHOT])
    def test_who_reads_a_view_is_silent_once_its_sources_have_something_new(
        self, moved: HubInProcess, clock: ManualClock, kind: CollectionKind
    ) -> None:
        moved.push(indicator())
        sources = (moved.collection("green").id, moved.collection("clear").id)
        end = moved.store.feeds.head(sources[0]).stamp
        view = View(sources, at=end if kind is CollectionKind.SNAPSHOT else None)
        name = "00000000-0000-4000-8000-000000000077"
        moved.store.feeds.add(Collection(name, "seen", kind, "Seen", view=view))
        moved.join(Partner("south", "South"), reads=("seen",))
        moved.feed("seen", who="south")
        hour = clock.now // HOUR * HOUR
        clock.now += 2 * DAY
        assert self.find(moved, "south", "seen").silent_since is None, "nothing is new"
        moved.push(indicator("two.top"))
        before = clock.now
        clock.now += 2 * DAY
        poller = self.find(moved, "south", "seen")
        assert (poller.behind, poller.last_polled) == (None, hour)
        if kind is CollectionKind.SNAPSHOT:
            assert poller.silent_since is None
        else:
            assert before <= poller.silent_since < clock.now

    def test_a_poll_by_a_clock_that_was_ahead_hides_no_silence(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        moved.push(indicator())
        clock.now += 400 * DAY
        moved.feed("green", who="north")
        moved.store.deliveries.flush()
        clock.now -= 400 * DAY
        moved.push(indicator("two.top"))
        clock.now += 4 * DAY
        silent = self.find(moved, "north").silent_since
        assert silent is not None and silent <= clock.now - 3 * DAY

    @pytest.mark.parametrize("is_unchanged", [False, True])
    def test_a_poll_without_anything_new_is_known(
        self, moved: HubInProcess, clock: ManualClock, *, is_unchanged: bool
    ) -> None:
        """Also that of a tool which wants only what the feed has no news of."""
        path, wanted = "collections/green/objects/", {"match[type]": "malware"}
        moved.push(indicator())
        first = moved.ask(path, "north", query_string=wanted)
        clock.now += 4 * DAY
        headers = {"If-None-Match": first.headers["ETag"]} if is_unchanged else {}
        moved.ask(path, "north", query_string=wanted, headers=headers)
        hour = clock.now // HOUR * HOUR
        clock.now += DAY + HOUR
        poller = self.find(moved, "north")
        assert poller.behind and poller.silent_since == poller.last_polled == hour

    @pytest.mark.parametrize("is_unchanged", [False, True])
    def test_who_is_told_that_nothing_is_left_is_not_behind(
        self, hub: HubInProcess, *, is_unchanged: bool
    ) -> None:
        hub.push(indicator())
        end = hub.store.feeds.head(hub.collection("green").id)
        path, cursor = "collections/green/objects/", {"added_after": timestamp(end.stamp)}
        first = hub.ask(path, "north", query_string=cursor)
        if is_unchanged:
            hub.store.deliveries._polls.clear()
            hub.store.deliveries._new_polls.clear()
            headers = {"If-None-Match": first.headers["ETag"]}
            answer = hub.ask(path, "north", query_string=cursor, headers=headers)
            assert answer.status_code == 304
        assert self.find(hub, "north").behind == 0
        hub.push(indicator("two.top"))
        assert self.find(hub, "north").behind == 1

    @pytest.mark.parametrize(
        "query", [{"match[type]": "malware"}, {"added_after": "2999-01-01T00:00:00Z"}]
    )
    def test_who_asks_for_something_else_is_behind(
        self, hub: HubInProcess, query: dict[str, str]
    ) -> None:
        hub.push(indicator())
        hub.ask("collections/green/objects/", "north", query_string=query)
        head = hub.store.feeds.head(hub.collection("green").id)
        assert self.find(hub, "north").behind == head.position

    def test_an_unchanged_first_page_does_not_say_that_nothing_is_left(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        moved.push(indicator(), indicator("two.top"))
        path, one = "collections/green/objects/", {"limit": "1"}
        first = moved.ask(path, "north", query_string=one)
        before = self.find(moved, "north")
        headers = {"If-None-Match": first.headers["ETag"]}
        assert moved.ask(path, "north", query_string=one, headers=headers).status_code == 304
        assert self.find(moved, "north") == before and before.behind

    def test_who_stopped_is_remembered_longer_than_its_deliveries(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        moved.push(indicator())
        moved.feed("green", who="north")
        moved.push(indicator("two.top"))
        clock.now += DAY + HOUR
        before = self.find(moved, "north")
        clock.now += 500 * DAY
        moved.store.deliveries.forget([moved.collection("green").id], clock.now)
        assert self.find(moved, "north") == before and before.behind == 1

    def test_pollers_that_stand_at_the_same_place_are_looked_up_once(
        self, moved: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moved.push(indicator())
        for name in ("acme", "north"):
            moved.feed("green", who=name)
        moved.store.deliveries.flush()
        moved.push(indicator("two.top"))
        asked: list[str] = []
        for name in ("position_at", "page"):
            monkeypatch.setattr(moved.store.feeds, name, note(asked, moved.store.feeds, name))
        assert [e.behind for e in self.read(moved)] == [1, 1] and asked == ["position_at"]
        clock.now += DAY + HOUR
        asked.clear()
        assert all(e.silent_since for e in self.read(moved)) and asked == ["position_at", "page"]

    def read(self, hub: HubInProcess) -> list[Any]:
        """All that have polled."""
        found = hub.services.statistics.pollers(OPERATOR)
        return [each for each in found if each.last_polled is not None]

    def test_a_process_that_is_late_does_not_set_a_poller_back(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        late = Deliveries(moved.store._base, clock)
        late.record("north", moved.collection("green"), Query(), ObjectPage())
        clock.now += 2 * HOUR
        moved.push(indicator())
        moved.feed("green", who="north")
        before = self.find(moved, "north")
        late.flush()
        assert self.find(moved, "north") == before and before.behind == 0

    def test_only_who_may_read_now_is_a_poller(self, hub: HubInProcess, clock: ManualClock) -> None:
        german = Collection("a-feed", "german", CollectionKind.FEED, "German", audience=GERMAN)
        hub.store.feeds.add(german)
        for slug, country in (("berlin", "DE"), ("boston", "US")):
            hub.join(Partner(slug, slug, country), ("green", "german"))
        within = frozenset({hub.collection("green").id})
        terms = Agreement("", "acme", within, starts=clock.now, until=clock.now + DAY)
        hub.services.agreements.add(terms, "t")
        assert self.names(hub, "acme") == ["acme green"]
        assert self.names(hub, "berlin") == ["berlin german", "berlin green"]
        assert self.names(hub, "boston") == ["boston green"]
        clock.now += DAY
        assert self.names(hub, "acme") == [] != self.names(hub, "north")
        strict = StatisticsReader(hub.store, clock, requires_agreements=True)
        assert strict.pollers(OPERATOR) == []

    def names(self, hub: HubInProcess, partner: str) -> list[str]:
        found = hub.services.statistics.pollers(OPERATOR, partner)
        return sorted(f"{each.account} {each.collection.alias}" for each in found)

    def test_who_has_the_name_of_a_removed_partner_has_none_of_its_polls(
        self, moved: HubInProcess, clock: ManualClock
    ) -> None:
        moved.push(indicator())
        moved.feed("green", who="north")
        moved.store.deliveries.flush()
        moved.services.partner_data.remove("north", "operator", "it left")
        moved.join(Partner("north", "Another one"))
        head = moved.store.feeds.head(moved.collection("green").id)
        poller = self.find(moved, "north")
        assert (poller.last_polled, poller.behind) == (None, head.position)
        moved.ask("collections/green/objects/", "north", query_string={"limit": "1"})
        poller = self.find(moved, "north")
        assert poller.last_polled == clock.now // HOUR * HOUR, "in the hour of the former one's"
        assert poller.behind == head.position - 1

    def test_a_removed_partner_leaves_no_polls(self, hub: HubInProcess) -> None:
        for name in ("acme", "north"):
            hub.feed("green", who=name)
        hub.store.deliveries.flush()
        hub.services.partner_data.remove("acme", "operator", "it left")
        assert [each["account"] for each in hub.store._base.polls.find({})] == ["north"]

    def test_polls_that_were_not_written_yet_go_with_their_partner(self, hub: HubInProcess) -> None:
        for name in ("acme", "north"):
            hub.feed("green", who=name)
        hub.services.partner_data.remove("acme", "operator", "it left")
        hub.store.deliveries.flush()
        assert [each["account"] for each in hub.store._base.polls.find({})] == ["north"]

    def test_polls_that_are_written_during_the_removal_go_with_their_partner(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.feed("green", who="acme")
        delete_one, deliveries = PyMongoCollection.delete_one, hub.store.deliveries

        def flush_first(self: Any, *arguments: Any, **more: Any) -> Any:
            if self.name == "accounts":
                deliveries.flush()
            return delete_one(self, *arguments, **more)

        monkeypatch.setattr(PyMongoCollection, "delete_one", flush_first)
        hub.services.partner_data.remove("acme", "operator", "it left")
        assert list(hub.store._base.polls.find({})) == []

    def test_the_position_of_a_stamp_is_exact_when_the_block_is_packed_or_not(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*(indicator(f"n{number}.top", object_marking_refs=[GREEN]) for number in range(9)))
        feeds, feed = hub.store.feeds, hub.collection("green").id
        entries = hub.ask("collections/green/manifest/", "acme").json["objects"]
        assert feeds.position_at(feed, 0) == 0
        assert feeds.position_at(feed, hub.store.clock() + DAY) == len(entries)
