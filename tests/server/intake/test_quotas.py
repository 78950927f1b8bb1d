"""Quotas of partners: what is above them is refused and not kept."""

import json
from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import HubInProcess, indicator
from support.stix_objects import yara_bomb

from tocsin.admission.descriptions import format_duration
from tocsin.admission.errors import TooManyRequests
from tocsin.config.settings import HubSettings
from tocsin.server.model import Quota
from tocsin.server.store import Store
from tocsin.server.store.quotas import Quotas
from tocsin.server.store.submissions import find_body

NOON = 20_000 * 86_400_000_000 + 43_200_000_000


def post(hub: HubInProcess, *objects: object, who: str = "acme") -> Any:
    """Post objects; return the response."""
    body = json.dumps({"objects": objects}).encode()
    return hub.ask("collections/inbox/objects/", who, "POST", data=body)


def bodies(hub: HubInProcess) -> list[bytes]:
    """The bodies that are kept, short and long."""
    base = hub.store._base
    found = [find_body(base, None, each) for each in base.submissions.find({})]
    return [body for body in found if body]


def count_kept(hub: HubInProcess) -> tuple[int, int]:
    """Return the numbers of submissions, and of bodies that are kept."""
    return hub.store._base.submissions.count_documents({}), len(bodies(hub))


class TestRequests:
    def test_objects_beyond_the_day_s_quota_are_refused_until_midnight_and_not_kept(
        self, store: Store
    ) -> None:
        hub = HubInProcess(store, settings=HubSettings(objects_per_day=3))
        assert post(hub, indicator("a.top"), indicator("b.top")).status_code == 202
        kept = count_kept(hub)
        answer = post(hub, indicator("c.top"), indicator("d.top"))
        assert (answer.status_code, count_kept(hub)) == (429, kept)
        assert "midnight UTC" in answer.json["description"]
        assert 0 < int(answer.headers["Retry-After"]) <= 86_400
        assert post(hub, indicator("c.top")).status_code == 202

    @pytest.mark.parametrize(
        "settings",
        [HubSettings(objects_per_day=1), HubSettings(octets_kept=500)],
        ids=["objects", "octets"],
    )
    def test_what_alone_exceeds_a_quota_is_too_large(
        self, store: Store, settings: HubSettings
    ) -> None:
        hub = HubInProcess(store, settings=settings)
        answer = post(hub, indicator("a.top"), indicator("b.top"))
        assert (answer.status_code, count_kept(hub)) == (413, (0, 0))
        assert "send it in smaller parts" in answer.json["description"]
        assert "Retry-After" not in answer.headers

    def test_a_quota_belongs_to_one_partner(self, store: Store) -> None:
        hub = HubInProcess(store, settings=HubSettings(objects_per_day=1))
        assert post(hub, indicator("a.top")).status_code == 202
        assert post(hub, indicator("b.top")).status_code == 429
        assert post(hub, indicator("c.top"), who="north").status_code == 202

    @pytest.mark.slow
    @pytest.mark.parametrize("length", [6_000, 30_000], ids=["short", "long"])
    def test_octets_beyond_the_quota_are_not_kept(self, store: Store, length: int) -> None:
        quota = length * 10 // 3
        hub = HubInProcess(store, settings=HubSettings(octets_kept=quota))
        answers = [post(hub, indicator(description="x" * length)).status_code for _ in range(40)]
        assert answers == [202] * 3 + [429] * 37
        assert length * 3 < sum(map(len, bodies(hub))) <= quota

    def test_the_submissions_of_a_partner_in_the_queue_are_limited(self, store: Store) -> None:
        hub = HubInProcess(store, settings=HubSettings(queued_submissions=2))
        bomb = indicator(pattern_type="yara", pattern=yara_bomb(100))
        assert [post(hub, bomb).status_code for _ in range(3)] == [202, 202, 429]
        assert post(hub, bomb, who="north").status_code == 202
        assert count_kept(hub) == (3, 3)
        while hub.services.intake.work():
            pass
        assert post(hub, bomb).status_code == 202


class TestCounting:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(NOON)

    def take(self, quotas: Quotas, quota: Quota, objects: int, octets: int = 0) -> bool:
        """Return whether the quota allows it."""
        try:
            quotas.take("acme", quota, objects, octets)
        except Exception as error:
            assert type(error).__name__ == "TooManyRequests"
            return False
        return True

    def test_several_processes_share_one_quota(self, store: Store, clock: ManualClock) -> None:
        processes = [Quotas(store._base, clock) for _ in range(3)]
        taken = sum(self.take(processes[n % 3], Quota(50), 1) for n in range(90))
        assert taken == 50

    def test_the_next_day_begins_anew(self, store: Store, clock: ManualClock) -> None:
        quotas, quota = Quotas(store._base, clock), Quota(1_000)
        assert self.take(quotas, quota, 1_000)
        assert not self.take(quotas, quota, 1)
        clock.advance(days=1)
        assert self.take(quotas, quota, 1_000)

    def test_octets_count_as_long_as_bodies_are_kept(
        self, store: Store, clock: ManualClock
    ) -> None:
        quotas, quota = Quotas(store._base, clock), Quota(0, 1_000, kept_days=14)
        assert self.take(quotas, quota, 1, 1_000)
        clock.advance(days=13)
        assert not self.take(quotas, quota, 1, 500)
        clock.advance(days=1)
        assert self.take(quotas, quota, 1, 500)

    def wait(self, quotas: Quotas, quota: Quota, octets: int) -> int:
        """The seconds after which a refused submission is to be retried."""
        with pytest.raises(TooManyRequests) as refused:
            quotas.take("acme", quota, 1, octets)
        assert f"retry in {format_duration(refused.value.seconds)}" in str(refused.value)
        return refused.value.seconds

    def test_octets_are_free_when_enough_of_the_oldest_days_are_deleted(
        self, store: Store, clock: ManualClock
    ) -> None:
        quotas, quota = Quotas(store._base, clock), Quota(0, 1_000, kept_days=14)
        assert self.take(quotas, quota, 1, 300)
        clock.advance(days=2)
        assert self.take(quotas, quota, 1, 600)
        half_a_day = 43_200
        for octets, days in ((390, 11), (391, 13)):
            seconds = self.wait(quotas, quota, octets)
            assert seconds == days * 86_400 + half_a_day + 1
        clock.now += 1_000_000 * self.wait(quotas, quota, 390)
        assert self.take(quotas, quota, 1, 390)

    def test_at_a_collision_with_others_the_wait_is_short(
        self, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Quotas, "_replace", lambda *_: False)
        assert self.wait(Quotas(store._base, clock), Quota(1_000), 1) == 1

    def test_most_submissions_cost_no_command(self, store: Store, clock: ManualClock) -> None:
        quotas, quota = Quotas(store._base, clock), Quota(100_000, 1_000_000_000)
        for _ in range(1_000):
            assert self.take(quotas, quota, 1, 1_000)
        document = store._base.quotas.find_one({"_id": "acme"})
        assert document is not None and document["changes"] == 1
