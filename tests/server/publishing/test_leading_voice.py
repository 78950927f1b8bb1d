"""One contribution leads a public object: nobody changes what another partner says of it."""

from collections.abc import Callable
from typing import Any

import pytest
from support.clock import LATER, ManualClock, hub_extension, stix_time_after
from support.hub import HubInProcess, Object, indicator, relationship
from support.several_ids import revoke

from tocsin.admission.errors import Malformed, NotFound
from tocsin.server.model import Partner

pytestmark = pytest.mark.slow

FIRST = {"name": "Portal", "description": "Login page", "labels": ["seen-in-spring"]}


@pytest.fixture
def reports(hub: HubInProcess, clock: ManualClock) -> Callable[..., Object]:
    """Sends what a partner says, an hour after what was said before; the public indicator then."""

    def report(who: str, **more: Any) -> Object:
        clock.advance(hours=2)
        hub.push(indicator("evil.top", **more), who=who)
        hub.sweep()
        [public] = [each for each in hub.feed("green") if each["type"] == "indicator"]
        return public

    return report


class TestOthersAddNoWords:
    @pytest.mark.parametrize(
        "more",
        [
            {"name": "A much longer name, which says that it is harmless"},
            {"description": "Harmless. " * 40, "modified": LATER},
            {"labels": ["false-positive"]},
            {"external_references": [{"source_name": "x", "url": "https://x.example/spam"}]},
            {"valid_from": "1971-01-01T00:00:00Z"},
            {"indicator_types": ["benign"]},
            {"indicator_types": ["call-0800-spam"]},
            {"kill_chain_phases": [{"kill_chain_name": "x", "phase_name": "false-positive"}]},
            {"kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "harmless"}]},
            {"lang": "fr", "pattern_version": "9"},
        ],
    )
    def test_a_later_report_changes_nothing_that_the_first_one_says(
        self, reports: Callable[..., Object], more: Object
    ) -> None:
        before = reports("acme", **FIRST)
        after = reports("north", **more)
        assert hub_extension(after)["contributors"] == 2
        for each in (before, after):
            del each["extensions"], each["modified"]
        assert after == before

    def test_the_first_report_keeps_the_lead_when_it_is_corrected(
        self, hub: HubInProcess, reports: Callable[..., Object], clock: ManualClock
    ) -> None:
        sent = indicator("evil.top", **FIRST)
        hub.push(sent)
        reports("north", name="Of north")
        hub.push({**sent, "modified": LATER, "name": "Corrected"})
        assert hub.feed("green")[0]["name"] == "Corrected"

    def test_a_relationship_is_what_the_first_partner_says_of_it(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        def link(who: str, **more: Any) -> None:
            ends = indicator("evil.top"), indicator("else.top")
            hub.push(*ends, relationship(ends[0], "related-to", ends[1], **more), who=who)
            clock.advance(hours=2)

        begun = {"start_time": "2026-01-01T00:00:00Z"}
        link("acme", description="as it is", **begun)
        link("north", **begun, description="harmless", labels=["x"], modified=LATER)
        ended = {**begun, "stop_time": "2026-01-02T00:00:00Z"}
        link("east", **ended, description="it has ended", modified=LATER)
        first, other = [each for each in hub.feed("green") if each["type"] == "relationship"]
        assert first["description"] == "as it is"
        assert not {"stop_time", "labels"} & first.keys()
        assert other["description"] == "it has ended"

    def test_an_observable_is_what_the_first_partner_says_of_it(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        file = {"type": "file", "spec_version": "2.1", "hashes": {"MD5": "a" * 32}}
        file |= {"object_marking_refs": indicator()["object_marking_refs"]}
        hub.push({**file, "id": "file--11111111-1111-4111-8111-111111111111", "size": 6})
        clock.advance(hours=2)
        later = {**file, "id": "file--22222222-2222-4222-8222-222222222222", "size": 5}
        hub.push(later, who="north")
        assert hub.feed("green")[0]["size"] == 6


class TestOthersAdd:
    def test_others_add_types_of_the_vocabulary_and_phases_of_known_kill_chains(
        self, reports: Callable[..., Object]
    ) -> None:
        phase = {"kill_chain_name": "mitre-attack", "phase_name": "command-and-control"}
        reports("acme", indicator_types=["compromised"])
        types = ["malicious-activity", "benign", "unknown"]
        public = reports("north", indicator_types=types, kill_chain_phases=[phase])
        assert public["indicator_types"] == ["compromised", "malicious-activity"]
        assert public["kill_chain_phases"] == [phase]

    def test_others_put_the_end_off_but_neither_advance_nor_remove_it(
        self, reports: Callable[..., Object], clock: ManualClock
    ) -> None:
        near, far = (stix_time_after(clock, days=days) for days in (20, 40))
        assert reports("acme", valid_until=near)["valid_until"] == near
        assert reports("north")["valid_until"] == near
        assert reports("east", valid_until=far)["valid_until"] == far
        sooner = stix_time_after(clock, days=2)
        assert reports("sister", valid_until=sooner)["valid_until"] == far

    def test_others_set_no_end_to_a_report_without_one(
        self, reports: Callable[..., Object], clock: ManualClock
    ) -> None:
        reports("acme")
        assert "valid_until" not in reports("north", valid_until=stix_time_after(clock, days=1))


class TestWhoLeads:
    def test_the_most_reliable_source_leads_whenever_it_comes(
        self, hub: HubInProcess, reports: Callable[..., Object]
    ) -> None:
        hub.join(Partner("sure", "Sure Limited", reliability=80))
        hub.join(Partner("weak", "Weak Limited", reliability=20))
        names = {"weak": "one", "acme": "two", "sure": "three", "north": "four"}
        said = [reports(who, name=name)["name"] for who, name in names.items()]
        assert said == ["one", "two", "three", "three"]

    def test_the_next_voice_leads_when_the_leading_one_withdraws(
        self, hub: HubInProcess, reports: Callable[..., Object], clock: ManualClock
    ) -> None:
        sent = indicator("evil.top", **FIRST)
        hub.push(sent)
        reports("north", name="second"), reports("east", name="third")
        hub.push(revoke(sent))
        [public] = hub.feed("green")
        assert (public["name"], "description" in public) == ("second", False)

    def test_an_analyst_lets_another_voice_lead(
        self, hub: HubInProcess, reports: Callable[..., Object]
    ) -> None:
        reports("acme", name="first")
        public = reports("north", name="second")
        hub.services.lifecycle.lead(public["id"], "north", "operator")
        assert hub.feed("green")[0]["name"] == "second"
        assert reports("east", name="third")["name"] == "second"
        hub.services.lifecycle.lead(public["id"], "", "operator")
        assert hub.feed("green")[0]["name"] == "first"
        entries = [
            each for each in hub.store.journal.list_entries() if each.action == "object.lead"
        ]
        assert [each.details["partner"] for each in entries] == ["north", ""]

    def test_only_a_partner_that_contributes_can_lead(
        self, hub: HubInProcess, reports: Callable[..., Object]
    ) -> None:
        public = reports("acme")
        with pytest.raises(Malformed, match="north does not contribute"):
            hub.services.lifecycle.lead(public["id"], "north", "operator")
        with pytest.raises(NotFound):
            hub.services.lifecycle.lead("indicator--x", "acme", "operator")

    def test_the_choice_ends_when_the_chosen_partner_withdraws(
        self, hub: HubInProcess, reports: Callable[..., Object]
    ) -> None:
        reports("acme", name="first")
        sent = indicator("evil.top", name="second")
        hub.push(sent, who="north")
        [public] = hub.feed("green")
        hub.services.lifecycle.lead(public["id"], "north", "operator")
        assert hub.feed("green")[0]["name"] == "second"
        hub.push(revoke(sent), who="north")
        assert reports("north", name="third")["name"] == "first"


@pytest.mark.parametrize("guess", ["INC-271", "INC-272"])
def test_the_count_of_sources_does_not_tell_what_another_partner_cites(
    hub: HubInProcess, reports: Callable[..., Object], clock: ManualClock, guess: str
) -> None:
    def case(id: str) -> Object:
        return {"external_references": [{"source_name": "case", "external_id": id}]}

    sent = indicator("evil.top", **FIRST)
    hub.push(sent)
    assert hub_extension(reports("north", **case("INC-271")))["contributors"] == 2
    for _ in range(2):
        modified = stix_time_after(clock, hours=-1)
        hub.push(sent | case(guess) | {"modified": modified})
        [public] = [each for each in hub.feed("green") if each["type"] == "indicator"]
        assert public["external_references"][0]["external_id"] == guess
        assert hub_extension(public)["contributors"] == 2
        clock.advance(hours=2)
