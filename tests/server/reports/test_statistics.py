"""Statistics: every settled object is counted once, and nobody learns of the counts of others."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo.collection import Collection as PyMongoCollection
from pymongo.errors import OperationFailure
from support.clock import ManualClock
from support.hub import GREEN, HubInProcess, indicator

from tocsin.admission.errors import NotAllowed
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
from tocsin.server.reports.statistics import Series, StatisticsReader, find_quantile
from tocsin.server.store import Store
from tocsin.server.store.deliveries import Deliveries
from tocsin.server.store.statistics import KEPT_DAYS, LATENCIES

OPERATOR = Account("operator", "", operator=True)
GERMAN = Audience(frozenset({"DE"}))
PERSON = "Reported by Jane Doe, who saw it"


@pytest.fixture
def moved(
    store: Store, engine_uri: str, timed: tuple[HubInProcess, ManualClock]
) -> Iterator[HubInProcess]:
    """The hub of `timed`, whose database has the clock that tests can move, too."""
    _, clock = timed
    opened = Store.connect(engine_uri, name=store._base.name, clock=clock)
    yield HubInProcess(opened, clock, founded=True)
    opened.close()


def count(hub: HubInProcess) -> None:
    """Count everything that was settled."""
    while hub.store.statistics.count_next():
        pass


def today(hub: HubInProcess, partner: str = "", days: int = 1) -> Series:
    count(hub)
    return hub.services.statistics.by_day(OPERATOR, days, partner)


def account(hub: HubInProcess, name: str) -> Account:
    found = hub.store.accounts.find_account(name)
    assert found is not None
    return found


class TestCounts:
    def test_verdicts_are_counted_for_all_and_for_each_partner(self, hub: HubInProcess) -> None:
        hub.push(indicator(), indicator("two.top"), {"type": "indicator"})
        hub.push(indicator(), who="north")
        every, acme, north = today(hub), today(hub, "acme"), today(hub, "north")
        assert (every.submissions, every.published, every.merged) == ((2,), (2,), (1,))
        assert every.refused == acme.refused == (1,)
        assert (acme.published, acme.merged) == ((2,), (0,))
        assert (north.published, north.merged, north.submissions) == ((0,), (1,), (1,))

    def test_withdrawals_count_neither_as_published_nor_as_sent_before(
        self, hub: HubInProcess
    ) -> None:
        one, two = indicator(), indicator("two.top")
        hub.push(one, two)
        before = today(hub)
        gone = [{**e, "revoked": True, "modified": "2026-01-02T00:00:00.000Z"} for e in (one, two)]
        assert hub.verdicts(hub.push(*gone)) == ["admitted", "admitted"]
        assert hub.verdicts(hub.push(*gone)) == ["duplicate", "duplicate"]
        after, [share] = today(hub), hub.services.statistics.concentration(OPERATOR, 1)
        assert (after.published, after.duplicate, share.objects) == ((2,), (0,), 2)
        assert (after.median, after.p95) == (before.median, before.p95)
        assert after.submissions == (3,)

    def test_nothing_is_counted_twice(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        assert today(hub).published == today(hub).published == (1,)

    def test_what_was_held_counts_as_published_when_it_is_released(self, hub: HubInProcess) -> None:
        hub.push(
            indicator(
                name="x",
                object_marking_refs=[
                    "marking-definition--" + "1" * 8 + "-1111-4111-8111-" + "1" * 12
                ],
            )
        )
        before = today(hub)
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.reject(review, "operator", "no")
        after = today(hub)
        assert (before.held, before.refused) == ((1,), (0,))
        assert (after.held, after.refused) == ((1,), (1,))

    def test_a_decision_before_the_first_count_is_not_lost(self, hub: HubInProcess) -> None:
        hub.push(
            indicator(
                name="x",
                object_marking_refs=[
                    "marking-definition--" + "1" * 8 + "-1111-4111-8111-" + "1" * 12
                ],
            )
        )
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.reject(review, "operator", "no")
        found = today(hub)
        assert (found.held, found.refused) == ((1,), (1,))

    def test_an_interrupted_step_is_repeated_without_counting_twice(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.push(indicator())
        statistics = hub.store.statistics
        written = statistics._write

        def fail(*arguments: Any) -> None:
            written(*arguments)
            raise OperationFailure("the power went away")

        with monkeypatch.context() as broken:
            broken.setattr(statistics, "_write", fail)
            with pytest.raises(OperationFailure):
                statistics.count_next()
        assert today(hub).published == (1,)

    def test_days_without_anything_are_zero(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        found = today(hub, days=30)
        assert len(found.starts) == len(found.published) == 30
        assert (sum(found.published), found.published[-1]) == (1, 1)

    def test_what_an_earlier_version_settled_is_added_once(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        base = hub.store._base
        base.submissions.update_many({}, {"$unset": {"tallied": ""}})
        base.verdicts.update_many({}, {"$unset": {"uncounted": "", "tally": "", "at": ""}})
        hub.push(indicator("two.top"))
        found = today(hub)
        assert (found.published, found.submissions) == ((2,), (2,))
        assert today(hub) == found

    def test_old_counts_are_deleted(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        count(hub)
        base, now = hub.store._base, hub.store.clock()
        base.stats.update_many({}, {"$set": {"ends": now // DAY - 1}})
        base.stats.insert_one({"_id": "|day|1", "ends": now // DAY + KEPT_DAYS})
        hub.store.statistics.forget()
        assert {each["_id"] for each in base.stats.find({})} == {"|day|1", "sender|acme"}


class TestTimes:
    def test_the_time_from_receipt_to_feed_has_a_median_and_a_95th_percentile(
        self, hub: HubInProcess
    ) -> None:
        hub.push(indicator())
        found = today(hub)
        [median], [p95] = found.median, found.p95
        assert median is not None and p95 is not None and 0 < median <= p95 < 60_000_000

    def test_quantiles_lie_in_the_bucket_that_holds_them(self) -> None:
        buckets = [0] * (len(LATENCIES) + 1)
        assert find_quantile(buckets, 0.5) is None
        buckets[4], buckets[9] = 90, 10
        half, most = find_quantile(buckets, 0.5), find_quantile(buckets, 0.95)
        assert half is not None and LATENCIES[3] < half <= LATENCIES[4]
        assert most is not None and LATENCIES[8] < most <= LATENCIES[9]
        assert find_quantile([*[0] * len(LATENCIES), 1], 0.5) == LATENCIES[-1]


class TestWhoMayRead:
    def test_a_partner_reads_its_own_series_and_no_other(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        count(hub)
        acme, statistics = account(hub, "acme"), hub.services.statistics
        assert statistics.by_day(acme, 7, "acme").published[-1] == 1
        for refused in (
            lambda: statistics.by_day(acme, 7),
            lambda: statistics.by_day(acme, 7, "north"),
            lambda: statistics.concentration(acme, 30),
            lambda: statistics.pollers(acme),
            lambda: statistics.value_returned(acme, "north"),
        ):
            with pytest.raises(NotAllowed):
                refused()

    def test_the_series_of_a_partner_does_not_depend_on_others(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        before = today(hub, "acme")
        hub.push(indicator(), indicator("two.top"), who="north")
        assert today(hub, "acme") == before


class TestConcentration:
    def test_the_share_of_each_partner_in_what_was_published_is_shown(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*(indicator(f"n{number}.top") for number in range(9)))
        hub.push(indicator("other.top"), who="north")
        count(hub)
        found = hub.services.statistics.concentration(OPERATOR, 30)
        assert [(each.partner, each.objects, each.percent) for each in found] == [
            ("acme", 9, 90.0),
            ("north", 1, 10.0),
        ]


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


class TestValueReturned:
    def test_objects_that_others_reported_or_sighted_and_what_was_received_count(
        self, timed: tuple[HubInProcess, ManualClock]
    ) -> None:
        hub, clock = timed
        hub.push(indicator(), indicator("two.top"))
        hub.push(indicator(), who="north")
        clock.now += DAY
        hub.sweep()
        received = len(
            hub.ask("collections/green/objects/", "acme", query_string={"limit": "1000"}).json[
                "objects"
            ]
        )
        hub.store.deliveries.flush()
        found = hub.services.statistics.value_returned(account(hub, "acme"), "acme")
        assert (found.objects, found.seen_by_others, found.sightings) == (2, 1, 0)
        assert found.received >= received - 1

    def test_what_the_partner_may_not_read_does_not_count(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        blind = Account("blind", "acme")
        found = hub.services.statistics.value_returned(blind, "acme")
        assert (found.objects, found.seen_by_others, found.received) == (0, 0, 0)


def test_a_removed_partner_leaves_no_series(hub: HubInProcess, store: Store) -> None:
    hub.push(indicator())
    count(hub)
    hub.services.partner_data.remove("acme", "operator", "it left")
    names = [str(each["_id"]) for each in store._base.stats.find({})]
    assert not any(name.startswith("acme|") for name in names)


def test_a_removed_partner_has_no_share_of_what_all_published(
    hub: HubInProcess, store: Store
) -> None:
    hub.push(indicator())
    hub.push(indicator("other.top"), who="north")
    count(hub)
    hub.services.partner_data.remove("acme", "operator", "it left")
    (day,) = store._base.stats.find({"_id": {"$regex": "^[|]day"}})
    assert day["shares"] == {"north": 1} and day["submissions"] == 2
