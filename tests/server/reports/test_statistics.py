"""Statistics: every settled object is counted once, and nobody learns of the counts of others."""

from typing import Any

import pytest
from pymongo.errors import OperationFailure
from support.clock import ManualClock
from support.databases import open_watched_store
from support.hub import HubInProcess, indicator

from tocsin.admission.errors import NotAllowed
from tocsin.admission.timestamps import DAY
from tocsin.server.model import Account
from tocsin.server.reports.statistics import Series, find_quantile
from tocsin.server.store import Store
from tocsin.server.store.statistics import KEPT_DAYS, LATENCIES

OPERATOR = Account("operator", "", operator=True)


def count(hub: HubInProcess) -> None:
    """Count everything that was settled."""
    while hub.store.statistics.count_next():
        pass


def today(hub: HubInProcess, partner: str = "", days: int = 1) -> Series:
    count(hub)
    return hub.services.statistics.by_day(OPERATOR, days, partner)


def settle_as_before(hub: HubInProcess) -> None:
    """Make what was settled look as if a version without statistics had done it."""
    base = hub.store._base
    base.submissions.update_many({}, {"$unset": {"tallied": ""}})
    base.verdicts.update_many({}, {"$unset": {"uncounted": "", "tally": "", "at": ""}})
    base.hub_state.delete_one({"_id": "statistics"})


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

    @pytest.mark.slow
    def test_what_an_earlier_version_settled_is_added_once(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        settle_as_before(hub)
        hub.push(indicator("two.top"))
        found = today(hub)
        assert (found.published, found.submissions) == ((2,), (2,))
        assert today(hub) == found

    @pytest.mark.slow
    def test_a_decision_on_what_an_earlier_version_held_is_counted(self, hub: HubInProcess) -> None:
        hub.push(
            indicator(
                name="x",
                object_marking_refs=[
                    "marking-definition--" + "1" * 8 + "-1111-4111-8111-" + "1" * 12
                ],
            )
        )
        settle_as_before(hub)
        before = today(hub)
        [review] = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.reject(review, "operator", "no")
        hub.push(indicator("two.top"))
        after = today(hub)
        assert (before.held, before.refused, before.published) == ((1,), (0,), (0,))
        assert (after.held, after.refused, after.published) == ((1,), (1,), (1,))
        assert today(hub) == after

    @pytest.mark.slow
    def test_a_new_database_is_not_searched_for_what_an_earlier_version_settled(
        self, engine_uri: str
    ) -> None:
        with open_watched_store(engine_uri) as (store, commands):
            commands.names.clear()
            assert not store.statistics.count_next()
            assert commands.names.count("find") < 5

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

    @pytest.mark.slow
    def test_the_series_of_a_partner_does_not_depend_on_others(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        before = today(hub, "acme")
        hub.push(indicator(), indicator("two.top"), who="north")
        assert today(hub, "acme") == before


class TestConcentration:
    @pytest.mark.slow
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


class TestValueReturned:
    @pytest.mark.slow
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


@pytest.mark.slow
def test_a_removed_partner_leaves_no_series(hub: HubInProcess, store: Store) -> None:
    hub.push(indicator())
    count(hub)
    hub.services.partner_data.remove("acme", "operator", "it left")
    names = [str(each["_id"]) for each in store._base.stats.find({})]
    assert not any(name.startswith("acme|") for name in names)


@pytest.mark.slow
def test_a_removed_partner_has_no_share_of_what_all_published(
    hub: HubInProcess, store: Store
) -> None:
    hub.push(indicator())
    hub.push(indicator("other.top"), who="north")
    count(hub)
    hub.services.partner_data.remove("acme", "operator", "it left")
    (day,) = store._base.stats.find({"_id": {"$regex": "^[|]day"}})
    assert day["shares"] == {"north": 1} and day["submissions"] == 2
