"""The effects of a reviewer's yes, from the question to the feed."""

from typing import Any

import pytest
from support.acs_markings import ID, control
from support.hub import AMBER, GREEN, RED, HubInProcess, details, indicator, sdo

from tocsin.server.model import Partner
from tocsin.server.store import Store

PERSON = "Reported by Jane Doe"
MASKED = "Reported by [removed: person's name]"
PRIVATE = "[domain-name:value = 'vpn.acme.example' OR ipv4-addr:value = '10.1.2.3']"
PATH = r"[file:name MATCHES 'C:\\Users\\jroe\\x.exe']"
OBSERVABLE = {"spec_version": "2.1", "object_marking_refs": [GREEN]}
UNKNOWN = "marking-definition--11111111-1111-4111-8111-111111111111"


def waiting(hub: Any) -> Any:
    return [(each.kind.value, each.rules) for each in hub.store.reviews.list_waiting()]


def release(hub: Any) -> Any:
    """A yes to the only question; the verdict that follows."""
    [review] = hub.store.reviews.list_waiting()
    return hub.services.intake.reviewer.release(review, "analyst").verdict


def observable(kind: Any, **more: Any) -> Any:
    return {"type": kind, "id": f"{kind}--3bc740bc-763a-5f0a-8c7c-c85f319ae188"} | OBSERVABLE | more


class TestHeldByTwoRules:
    def test_one_yes_to_both_is_enough(self, hub: HubInProcess) -> None:
        status = hub.push(indicator(pattern=PRIVATE))
        assert hub.verdicts(status) == ["held"]
        assert waiting(hub) == [("held", ("private_addresses", "victim_terms"))]
        assert release(hub) == "admitted"
        assert len(hub.feed("green")) == 1 and waiting(hub) == []

    def test_what_holds_it_only_since_then_is_asked_further(self, hub: HubInProcess) -> None:
        hub.push(indicator(object_marking_refs=[GREEN, UNKNOWN]))
        hub.join(Partner("west", "West", terms=("evil-portal.top",), mask_everywhere=True))
        assert release(hub) == "held"
        assert waiting(hub) == [("held", ("marking", "victim_terms"))]
        assert release(hub) == "admitted"

    def test_what_nobody_may_release_is_refused_at_once(self, hub: HubInProcess) -> None:
        status = hub.push(indicator("vpn.acme.example", object_marking_refs=[RED]))
        assert hub.verdicts(status) == ["refused"] and waiting(hub) == []
        [entry] = details(status)
        assert "held" not in {each["action"] for each in entry["x_tocsin_findings"]}


class TestAskedBesides:
    """A question of one rule about what another one holds."""

    def test_it_is_asked_after_the_yes_to_the_other(self, hub: HubInProcess) -> None:
        hub.push(indicator("vpn.acme.example", description=PERSON))
        assert waiting(hub) == [("held", ("victim_terms",))]
        assert release(hub) == "admitted"
        assert [each["description"] for each in hub.feed("green")] == [MASKED]
        assert release(hub) == "admitted"
        assert [each["description"] for each in hub.feed("green")] == [PERSON]
        assert waiting(hub) == []

    @pytest.mark.slow
    def test_it_is_asked_once_what_the_object_refers_to_has_come(self, hub: HubInProcess) -> None:
        malware = sdo("malware", name="evil", is_family=False)
        hub.push(sdo("note", content=PERSON, object_refs=[malware["id"]]))
        hub.push(malware)
        assert waiting(hub) == [("asked", ("personal_data",))]
        release(hub)
        assert [each["content"] for each in hub.feed("green") if "content" in each] == [PERSON]


class TestAYes:
    """To each kind of question ends it, and to what is refused there is none."""

    @pytest.mark.parametrize(
        ("more", "subject"),
        [
            ('[rules.user_paths]\nvalue_users = "generalise"', indicator(pattern=PATH)),
            (
                '[rules.user_paths]\nvalue_users = "generalise"',
                observable("directory", path=r"C:\Users\jroe\x"),
            ),
            (
                '[rules.payloads]\nartifact = "ask"',
                observable("artifact", payload_bin="enpob3N0", mime_type="text/plain"),
            ),
            ("", observable("process", command_line="whoami", environment_variables={"A": "b"})),
            ('[rules.personal_data]\nus_ssn = "ask"', observable("file", hashes={"_": "0" * 32})),
        ],
    )
    def test_lets_out_what_waited(self, store: Store, more: str, subject: Any) -> None:
        if "hashes" in subject:
            subject = subject | {"hashes": {"078-05-1121": "0" * 32}}
        hub = HubInProcess(store, more=more)
        assert hub.verdicts(hub.push(subject)) == ["held"] and hub.feed("green") == []
        assert release(hub) == "admitted" and len(hub.feed("green")) == 1

    @pytest.mark.parametrize(
        ("more", "subject"),
        [
            (
                '[rules.payloads]\nartifact = "strip"',
                observable("artifact", payload_bin="enpob3N0", mime_type="text/plain"),
            ),
            ("", observable("process", environment_variables={"A": "b"})),
        ],
    )
    def test_is_not_asked_for_where_nothing_is_left_by_the_policys_own_word(
        self, store: Store, more: str, subject: Any
    ) -> None:
        hub = HubInProcess(store, more=more)
        assert hub.verdicts(hub.push(subject)) == ["refused"]
        assert waiting(hub) == [] and hub.feed("green") == []


class TestMarkings:
    def test_what_is_classified_is_refused_beside_a_marking_that_nobody_knows(
        self, hub: HubInProcess
    ) -> None:
        marks = [AMBER, ID, UNKNOWN]
        status = hub.push(control(classification="S"), indicator(object_marking_refs=marks))
        assert hub.verdicts(status) == ["refused", "refused"] and waiting(hub) == []

    def test_all_reasons_are_shown_before_the_decision(self, hub: HubInProcess) -> None:
        marks = [AMBER, ID, UNKNOWN]
        status = hub.push(control(), indicator(object_marking_refs=marks))
        messages = [each["message"] for each in details(status)[1]["x_tocsin_findings"]]
        assert any("without a known definition" in each for each in messages)
        assert any(each.startswith("ACS marking") for each in messages)


class TestTheHubsOwnList:
    """Never again, whatever the policy says of other lists."""

    @pytest.mark.parametrize("mode", ["refuse", "hold", "lower", "ignore"])
    def test_is_above_every_mode(self, store: Store, mode: str) -> None:
        hub = HubInProcess(store, more=f'[rules.benign]\nexact = "{mode}"')
        hub.services.lifecycle.exclude("evil-portal.top", "analyst", "ours")
        assert hub.verdicts(hub.push(indicator())) == ["refused"]

    def test_an_exclusion_is_above_a_release(self, store: Store) -> None:
        hub = HubInProcess(store, more='[rules.benign]\nexact = "hold"')
        assert hub.verdicts(hub.push(indicator("google.com"))) == ["held"]
        hub.services.lifecycle.exclude("google.com", "analyst", "ours")
        assert release(hub) == "refused" and hub.feed("green") == []

    def test_what_names_other_values_as_well_still_goes_with_a_yes(self, hub: HubInProcess) -> None:
        hub.services.lifecycle.exclude("ours.top", "analyst", "ours")
        both = "[domain-name:value = 'ours.top' OR domain-name:value = 'evil-portal.top']"
        assert hub.verdicts(hub.push(indicator(pattern=both))) == ["held"]
        assert release(hub) == "admitted"
