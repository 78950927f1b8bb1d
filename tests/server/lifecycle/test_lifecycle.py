"""Life after publication (docs/merging.md): age, expiry, revocation, the worker."""

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.clock import LATER, ManualClock, hub_extension, indicators, opinion, stix_time_after
from support.databases import open_again
from support.hub import AMBER, HubInProcess, indicator, work_off
from support.presence import present
from support.processes import HubProcess

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.timestamps import HOUR
from tocsin.server.lifecycle import lifecycle
from tocsin.server.lifecycle.lifecycle import PAUSE, Lifecycle
from tocsin.server.model import Partner
from tocsin.server.store import Store
from tocsin.server.store.public_objects import DueObjects
from tocsin.server.worker import run_intake


@pytest.fixture
def second(store: Store) -> Iterator[Any]:
    """Another worker's store on the same database."""
    with open_again(store) as other:
        yield other


def due(hub: HubInProcess, clock: ManualClock, days: int = 0) -> list[DueObjects]:
    """The documents of the schedule up to that many days from now."""
    hour = clock.now // HOUR
    return hub.store.schedule.find_due(range(hour - 300, hour + 24 * days + 2), 1000)


class TestAge:
    @pytest.mark.slow
    def test_confidence_falls_by_steps_and_pollers_receive_each(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(pattern="[ipv4-addr:value = '45.12.1.2']", confidence=80))
        values = []
        for _ in range(61):
            clock.advance(days=1)
            hub.sweep()
            [public] = hub.feed("green")
            values.append(public["confidence"])
        versions = hub.ask(f"collections/green/objects/{public['id']}/versions/").json["versions"]
        assert values[0] == 80 and values[29] == 50 and values[30] == 40
        assert (values[-1], len(versions)) == (20, 7)

    def test_a_day_on_which_nothing_falls_costs_nothing(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(confidence=80))
        clock.advance(days=2)
        assert (
            hub.store.schedule.find_due(range(clock.now // HOUR - 100, clock.now // HOUR + 1), 10)
            == []
        )

    @pytest.mark.slow
    def test_a_later_report_of_the_same_makes_it_young_again(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = indicator(pattern="[ipv4-addr:value = '45.12.1.2']", confidence=80)
        hub.push(sent)
        clock.advance(days=31)
        hub.sweep()
        assert hub.feed("green")[0]["confidence"] == 40
        clock.advance(days=1)
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        [public] = hub.feed("green")
        assert public["confidence"] == 80
        assert hub_extension(public)["last_reported"] > hub_extension(public)["first_reported"]

    @pytest.mark.slow
    def test_the_same_sent_daily_makes_a_version_a_week(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = indicator()
        for _ in range(15):
            hub.push(sent)
            clock.advance(days=1)
        [public] = hub.feed("green")
        versions = hub.ask(f"collections/green/objects/{public['id']}/versions/").json["versions"]
        assert len(versions) == 3


class TestExpiry:
    def test_pollers_learn_that_it_has_expired(self, hub: HubInProcess, clock: ManualClock) -> None:
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        clock.advance(hours=23)
        hub.sweep()
        assert "revoked" not in hub.feed("green")[0]
        clock.advance(hours=2)
        hub.sweep()
        [public] = hub.feed("green")
        assert public["revoked"] is True
        assert present(hub.store.journal.last_entry()).action == "expire"

    def test_a_sweep_that_is_repeated_does_nothing(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        clock.advance(days=2)
        hub.sweep()
        before = hub.ask("collections/green/manifest/").json
        hub.sweep()
        assert hub.ask("collections/green/manifest/").json == before

    @pytest.mark.slow
    def test_a_hub_that_was_down_for_long_catches_up(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.sweep()
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        clock.advance(days=400)
        hub.sweep()
        assert hub.feed("green")[0]["revoked"] is True

    @pytest.mark.slow
    def test_several_workers_may_sweep_at_once(
        self, hub: HubInProcess, clock: ManualClock, second: Any
    ) -> None:
        names = [f"evil{n}.top" for n in range(250)]
        hub.push(*(indicator(name, valid_until=stix_time_after(clock, days=1)) for name in names))
        clock.advance(days=2)
        one, two = (Lifecycle(s, hub.services.publisher, clock) for s in (hub.store, second))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work_off, (one.work, two.work)))
        everything = {"limit": 1000, "match[version]": "all", "match[type]": "indicator"}
        versions = hub.ask("collections/green/manifest/", query_string=everything).json["objects"]
        expired = [o for o in hub.feed("green") if o.get("revoked")]
        assert (len(expired), len(versions)) == (250, 500)

    @pytest.mark.slow
    def test_a_worker_that_dies_in_between_leaves_the_rest_due(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [f"evil{n}.top" for n in range(250)]
        hub.push(*(indicator(name, valid_until=stix_time_after(clock, days=1)) for name in names))
        clock.advance(days=2)
        dying = Lifecycle(hub.store, hub.services.publisher, clock)
        sweeps = [dying._sweep]
        monkeypatch.setattr(dying, "_sweep", lambda *words: sweeps.pop()(*words))
        with pytest.raises(IndexError):
            dying.sweep_once(clock.now)
        assert 0 < sum(o.get("revoked", False) for o in hub.feed("green")) < 250
        work_off(Lifecycle(hub.store, hub.services.publisher, clock).work)
        assert sum(o.get("revoked", False) for o in hub.feed("green")) == 250

    def test_what_is_due_together_is_one_document(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        names = [f"evil{n}.top" for n in range(30)]
        hub.push(*(indicator(name, valid_until=stix_time_after(clock, days=1)) for name in names))
        [document] = due(hub, clock, days=1)
        assert len(document.ids) == 30

    @pytest.mark.slow
    def test_what_was_put_off_is_looked_at_once_and_stays(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        first = indicator(valid_until=stix_time_after(clock, days=1))
        hub.push(first)
        longer = {"valid_until": stix_time_after(clock, days=5), "modified": LATER}
        hub.push(first | longer)
        [put_off] = due(hub, clock, days=1)
        clock.advance(days=2)
        hub.sweep()
        assert put_off not in due(hub, clock)
        assert "revoked" not in hub.feed("green")[0]
        clock.advance(days=4)
        hub.sweep()
        assert hub.feed("green")[0]["revoked"] is True
        assert due(hub, clock) == []

    def test_what_stays_due_is_kept(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        clock.advance(days=2)
        with monkeypatch.context() as patch:
            patch.setattr(lifecycle, "apply_time", lambda copy, merge: copy)
            assert hub.services.lifecycle.sweep_once(clock.now)
        hub.sweep()
        assert hub.feed("green")[0]["revoked"] is True

    def test_schedules_of_versions_before_7_are_swept(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        [document] = due(hub, clock, days=1)
        schedule = hub.store._base.schedule
        hour = (schedule.find_one() or {})["hour"]
        schedule.delete_many({})
        schedule.insert_one({"_id": document.ids[0], "hour": hour})
        clock.advance(days=2)
        hub.sweep()
        assert hub.feed("green")[0]["revoked"] is True
        assert schedule.find_one() is None

    @pytest.mark.slow
    def test_reported_with_a_later_end_it_comes_back_under_a_new_id(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = indicator(valid_until=stix_time_after(clock, days=1))
        hub.push(sent)
        clock.advance(days=2)
        hub.sweep()
        assert hub.verdicts(hub.push(sent)) == ["duplicate"]
        assert hub.verdicts(hub.push(sent, who="north")) == ["duplicate"]
        longer = {**sent, "modified": LATER, "valid_until": stix_time_after(clock, days=9)}
        assert hub.verdicts(hub.push(longer)) == ["admitted"]
        old, new = hub.feed("green")
        assert (old["revoked"], new.get("revoked"), old["id"] == new["id"]) == (True, None, False)

    def test_nobody_learns_that_something_expired_which_it_may_not_see(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("green",))
        sent = indicator(valid_until=stix_time_after(clock, days=1), object_marking_refs=[AMBER])
        hub.push(sent, who="acme")
        clock.advance(days=2)
        hub.sweep()
        other = {**sent, "id": indicator()["id"]}
        assert hub.verdicts(hub.push(other, who="low")) == ["admitted"]

    @pytest.mark.slow
    def test_a_later_end_in_time_keeps_it_alive(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)), who="acme")
        hub.push(indicator(valid_until=stix_time_after(clock, days=9)), who="north")
        clock.advance(days=2)
        hub.sweep()
        assert "revoked" not in hub.feed("green")[0]

    def test_what_had_expired_before_it_came_is_published_as_it_is(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(valid_until="2026-03-01T00:00:00Z"))
        clock.advance(days=2)
        hub.sweep()
        assert "revoked" not in hub.feed("green")[0]

    @pytest.mark.slow
    def test_what_expires_while_stamps_are_ahead_of_the_clock_is_revoked(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.store.clock = clock
        clock.advance(days=365)
        hub.push(indicator("other.top"))
        clock.advance(days=-365)
        hub.push(indicator("ends.top", valid_until=stix_time_after(clock, hours=1)))
        hub.push(indicator("had-ended.top", valid_until=stix_time_after(clock, hours=-1)))
        clock.advance(hours=3)
        hub.sweep()
        revoked = [each["pattern"] for each in hub.feed("green") if "revoked" in each]
        assert revoked == ["[domain-name:value = 'ends.top']"]

    def test_what_falls_due_while_the_hub_is_down_after_its_clock_was_ahead_is_revoked(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        clock.advance(days=40)
        hub.sweep()
        clock.advance(days=-40)
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        hub.sweep()
        clock.advance(days=5)
        hub.sweep()
        assert hub.feed("green")[0]["revoked"] is True


class TestTheWorker:
    @pytest.mark.slow
    def test_a_served_hub_sweeps_by_itself(self, hub: HubInProcess, clock: ManualClock) -> None:
        hub.push(indicator(valid_until=stix_time_after(clock, days=1)))
        clock.advance(days=2)
        stop = threading.Event()
        worker = threading.Thread(target=run_intake, args=(hub.services, stop))
        worker.start()
        try:
            deadline = time.monotonic() + 60
            while "revoked" not in hub.feed("green")[0] and time.monotonic() < deadline:
                time.sleep(0.1)
            assert hub.feed("green")[0]["revoked"] is True
        finally:
            stop.set()
            worker.join(60)

    def test_it_rests_when_nothing_is_due(self, hub: HubInProcess, clock: ManualClock) -> None:
        assert not hub.services.lifecycle.work()
        hub.push(indicator(valid_until=stix_time_after(clock, hours=1)))
        clock.now += PAUSE // 2
        assert not hub.services.lifecycle.work()
        clock.advance(hours=2)
        assert hub.services.lifecycle.work()

    def test_it_goes_on_after_the_clock_was_ahead_and_is_set_back(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        clock.advance(days=365)
        work_off(hub.services.lifecycle.work)
        clock.advance(days=-365)
        hub.push(indicator(valid_until=stix_time_after(clock, hours=1)))
        clock.advance(hours=2)
        assert hub.services.lifecycle.work()


@pytest.mark.slow
class TestCommands:
    def test_an_operator_has_a_command_for_each(self, tmp_path: Path) -> None:
        hub = HubProcess(tmp_path / "data").start()
        rights = ("--name", "ACME", "--reliability", "b", "--group", "family")
        hub.command("partner", "add", "acme", *rights)
        [partner] = hub.command("partner", "list")
        assert (partner["reliability"], partner["group"]) == (80, "family")
        [added] = hub.command("exclusion", "add", "Our-CDN.top", "--reason", "ours")
        value = {"kind": "domain-name", "value": "our-cdn.top"}
        assert added == value | {"revoked": 0, "also_in": []}
        [listed] = hub.command("exclusion", "list")
        assert (listed["value"], listed["reason"]) == ("our-cdn.top", "ours")
        hub.command("exclusion", "remove", "our-cdn.top")
        assert hub.command("exclusion", "list") == []
        with pytest.raises(subprocess.CalledProcessError):
            hub.command("object", "revoke", "indicator--x", "--reason", "none")
        hub.kill()


class TestAnalysts:
    @pytest.mark.slow
    def test_an_analyst_revokes_for_all(self, hub: HubInProcess) -> None:
        hub.push(indicator(), who="acme")
        hub.push(indicator(), who="north")
        [public] = hub.feed("green")
        hub.services.lifecycle.revoke(public["id"], "operator", "cleaned")
        assert hub.feed("green")[0]["revoked"] is True
        act = hub.store.journal.last_entry()
        assert (present(act).action, present(act).details["reason"]) == ("object.revoke", "cleaned")

    def test_reported_again_it_is_a_new_object(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        hub.services.lifecycle.revoke(hub.feed("green")[0]["id"], "operator", "cleaned")
        hub.push(indicator(), who="north")
        assert [o.get("revoked") for o in hub.feed("green")] == [True, None]

    def test_what_is_not_there_cannot_be_revoked(self, hub: HubInProcess) -> None:
        with pytest.raises(NotFound):
            hub.services.lifecycle.revoke("indicator--x", "operator", "why")
        hub.push(indicator())
        name = hub.feed("green")[0]["id"]
        hub.services.lifecycle.revoke(name, "operator", "why")
        with pytest.raises(Malformed):
            hub.services.lifecycle.revoke(name, "operator", "why")

    @pytest.mark.slow
    def test_a_sighting_that_is_revoked_is_taken_back(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(confidence=60))
        hub.push(opinion(hub.feed("green")[0]), who="north")
        [said] = [o for o in hub.feed("green") if o["type"] == "opinion"]
        hub.services.lifecycle.revoke(said["id"], "operator", "spite")
        clock.advance(hours=2)
        hub.sweep()
        assert indicators(hub)[0]["confidence"] == 60
