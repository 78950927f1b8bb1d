"""The hub's own words on an indicator (docs/merging.md): sources, echoes, sightings."""

import uuid
from typing import Any

import pytest
from support.clock import (
    LATER,
    ManualClock,
    hub_extension,
    indicators,
    opinion,
    report_counts,
    sighting,
    stix_time_after,
)
from support.hub import AMBER, HubInProcess, details, indicator

from tocsin.admission.stix.history_extension import AUTHOR_ID, EXTENSION_ID
from tocsin.admission.timestamps import DAY, stix_time
from tocsin.server.model import Partner

pytestmark = pytest.mark.slow


class TestTheExtension:
    def test_an_indicator_tells_how_many_and_since_when(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator())
        [public] = hub.feed("green")
        today = stix_time(clock.now // DAY * DAY)
        assert report_counts(public) == (1, 0, 0)
        assert (
            hub_extension(public)["first_reported"]
            == hub_extension(public)["last_reported"]
            == today
        )
        assert hub_extension(public)["hub_ref"] == hub.identity

    def test_its_definition_is_in_every_feed(self, hub: HubInProcess) -> None:
        for feed in ("clear", "green", "amber"):
            found = hub.ask(f"collections/{feed}/objects/").json["objects"]
            assert {AUTHOR_ID, EXTENSION_ID} <= {each["id"] for each in found}

    def test_what_only_rises_waits_for_the_quiet_period_and_then_is_published_once(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator(confidence=60), who="acme")
        before = hub.feed("green")
        for partner in ("north", "east"):
            hub.push(indicator(), who=partner)
        assert hub.feed("green") == before
        clock.advance(hours=2)
        hub.sweep()
        [public] = hub.feed("green")
        assert (report_counts(public), public["confidence"]) == ((3, 0, 0), 68)
        hub.sweep()
        assert hub.feed("green") == [public]

    def test_the_first_day_stays_when_a_partner_sends_a_new_version(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        sent = indicator(confidence=50)
        hub.push(sent)
        clock.advance(days=3)
        hub.push({**sent, "modified": LATER, "description": "more"})
        [public] = hub.feed("green")
        days = (hub_extension(public)["first_reported"], hub_extension(public)["last_reported"])
        assert [day[:10] for day in days] == [
            stix_time_after(clock, days=-3)[:10],
            stix_time_after(clock)[:10],
        ]

    def test_a_group_of_partners_is_one_source(self, hub: HubInProcess, clock: ManualClock) -> None:
        for partner in ("sister", "brother"):
            hub.push(indicator(confidence=60), who=partner)
        clock.advance(hours=2)
        hub.sweep()
        [public] = hub.feed("green")
        assert (report_counts(public), public["confidence"]) == ((1, 0, 0), 60)

    def test_a_partners_reliability_weighs_its_word(self, hub: HubInProcess) -> None:
        hub.join(Partner("sure", "Sure Limited", reliability=100))
        hub.push(indicator(confidence=60), who="sure")
        assert hub.feed("green")[0]["confidence"] == 68


class TestEcho:
    def copy(self, hub: Any, **more: Any) -> Any:
        [public] = hub.feed("green")
        return {**public, "id": f"indicator--{uuid.uuid4()}", **more}

    @pytest.mark.parametrize("lost", ["created_by_ref", "extensions"])
    def test_a_copy_under_a_new_id_corroborates_nothing(
        self, hub: HubInProcess, clock: ManualClock, lost: str
    ) -> None:
        hub.push(indicator(confidence=60), who="acme")
        [public] = hub.feed("green")
        copy = {name: value for name, value in self.copy(hub).items() if name != lost}
        status = hub.push(copy, sighting(copy), who="north")
        assert hub.verdicts(status) == ["duplicate", "admitted"]
        assert details(status)[0]["x_tocsin_public_id"] == public["id"]
        clock.advance(hours=2)
        hub.sweep()
        assert report_counts(indicators(hub)[0]) == (1, 1, 0)

    def test_what_the_hub_never_made_is_refused_in_its_name(self, hub: HubInProcess) -> None:
        status = hub.push(indicator(created_by_ref=hub.identity))
        assert hub.verdicts(status) == ["refused"]
        assert "send it as your own" in details(status)[0]["message"]

    def test_nobody_learns_so_of_what_it_may_not_see(self, hub: HubInProcess) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("clear",))
        hub.push(indicator(object_marking_refs=[AMBER]), who="acme")
        forged = indicator(object_marking_refs=[AMBER], created_by_ref=hub.identity)
        assert hub.verdicts(hub.push(forged, who="low")) == ["refused"]

    def test_the_object_of_another_hub_is_a_report_like_any(self, hub: HubInProcess) -> None:
        hub.push(indicator(), who="acme")
        [public] = hub.feed("green")
        other = f"identity--{uuid.uuid4()}"
        extension = {EXTENSION_ID: {**hub_extension(public), "hub_ref": other, "contributors": 99}}
        sent = self.copy(hub, created_by_ref=other, extensions=extension)
        assert hub.verdicts(hub.push(sent, who="north")) == ["merged"]

    def test_the_definitions_coming_back_are_known(self, hub: HubInProcess) -> None:
        found = hub.ask("collections/green/objects/").json["objects"]
        assert set(hub.verdicts(hub.push(*found))) == {"duplicate"}


class TestSightings:
    def public(self, hub: Any, **more: Any) -> Any:
        hub.push(indicator(confidence=60, **more), who="acme")
        return indicators(hub, "amber")[0]

    def later(self, hub: Any, clock: Any, feed: Any = "green") -> Any:
        clock.advance(hours=2)
        hub.sweep()
        return indicators(hub, feed)[0]

    def test_a_sighting_adds_to_history_and_confidence(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(sighting(self.public(hub), count=7), who="north")
        public = self.later(hub, clock)
        assert (report_counts(public), public["confidence"]) == ((1, 1, 0), 64)

    @pytest.mark.parametrize(
        "denial",
        [
            lambda target: sighting(target, count=0),
            lambda target: opinion(target),
            lambda target: opinion(target, "disagree"),
        ],
    )
    def test_a_false_alarm_lowers_confidence_at_once(self, hub: HubInProcess, denial: Any) -> None:
        hub.push(denial(self.public(hub)), who="north")
        [public] = indicators(hub)
        assert (report_counts(public), public["confidence"]) == ((1, 0, 1), 48)

    def test_each_partner_has_one_voice(self, hub: HubInProcess, clock: ManualClock) -> None:
        target = self.public(hub)
        hub.push(*(sighting(target, count=n) for n in range(1, 9)), who="north")
        hub.push(opinion(target), who="east")
        hub.push(opinion(target, "disagree"), who="east")
        assert report_counts(self.later(hub, clock)) == (1, 1, 1)

    def test_one_that_is_withdrawn_is_taken_back(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        target = self.public(hub)
        said = opinion(target)
        hub.push(said, who="north")
        hub.push({**said, "modified": LATER, "revoked": True}, who="north")
        public = self.later(hub, clock)
        assert (report_counts(public), public["confidence"]) == ((1, 0, 0), 60)

    def test_a_new_version_replaces_what_it_said(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        said = sighting(self.public(hub), count=0)
        hub.push(said, who="north")
        hub.push({**said, "modified": LATER, "count": 3}, who="north")
        assert report_counts(self.later(hub, clock)) == (1, 1, 0)

    def test_one_at_a_stricter_level_shows_nothing_in_a_less_strict_indicator(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        target = self.public(hub)
        before = hub.feed("green")
        strict: dict[str, Any] = {"object_marking_refs": [AMBER]}
        hub.push(sighting(target, count=5, **strict), opinion(target, **strict), who="north")
        self.later(hub, clock)
        assert hub.feed("green") == before

    def test_nobody_speaks_of_what_it_may_not_see(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("green",))
        target = self.public(hub, object_marking_refs=[AMBER])
        status = hub.push(opinion(target, object_marking_refs=[AMBER]), who="low")
        assert hub.verdicts(status) == ["held"]
        assert report_counts(self.later(hub, clock, "amber")) == (1, 0, 0)

    def test_it_may_come_before_its_indicator_in_one_submission(self, hub: HubInProcess) -> None:
        sent = indicator(confidence=60)
        hub.push(sighting(sent), sent)
        assert report_counts(indicators(hub)[0]) == (1, 1, 0)

    def test_it_may_come_in_an_earlier_batch_of_a_large_submission(self, hub: HubInProcess) -> None:
        sent = indicator(confidence=60)
        filling = [{"type": "x"}] * 600
        hub.push(sighting(sent), *filling, sent)
        assert report_counts(indicators(hub)[0]) == (1, 1, 0)

    @pytest.mark.parametrize("order", [("acme", "north", "east"), ("east", "north", "acme")])
    def test_the_order_of_partners_does_not_matter(
        self, hub: HubInProcess, clock: ManualClock, order: Any
    ) -> None:
        sent = {
            "acme": indicator(confidence=60, labels=["a"], seed="acme"),
            "north": indicator(confidence=30, labels=["b"], seed="north"),
            "east": indicator(labels=["c"], seed="east"),
        }
        said = {"acme": sighting(sent["acme"]), "north": opinion(sent["north"])}
        for partner in order:
            hub.push(sent[partner], *(said[partner] for _ in [0] if partner in said), who=partner)
        public = self.later(hub, clock)
        assert (report_counts(public), len(public["labels"])) == ((3, 1, 1), 1)
        assert public["confidence"] == 54  # (95 - 35 x 7/8 x 7/8) x 4/5
