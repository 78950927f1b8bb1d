"""Access control markings (ACS 3.0a): kept byte for byte, and kept."""

import copy
import json
from typing import Any

import pytest
from support.acs_markings import ID, POLICY, acs, control
from support.hub import (
    AMBER,
    CLEAR,
    GREEN,
    HUB_SECRETS,
    HubInProcess,
    details,
    indicator,
)
from support.warning_lists import warning_lists

from tocsin.admission import parse_policy
from tocsin.admission.markings.acs import (
    ACS_EXTENSION,
    find_errors,
    find_sharing_obstacles,
    is_acs,
    is_classified,
)
from tocsin.admission.model import Tlp
from tocsin.config import HubSettings, policy_text
from tocsin.server.app import AdmissionConfig, build_services, create_app
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub for readers of the federal government."""
    made = HubInProcess(store)
    policy = parse_policy(policy_text() + '\n[rules.marking]\nacs_scopes = ["USA.USG"]\n')
    made.services = build_services(
        store, HUB_SECRETS, HubSettings(), AdmissionConfig(policy, warning_lists())
    )
    made.client = create_app(made.services, HUB_SECRETS, HubSettings()).test_client()
    return made


def sent(definition: Any, level: Any = AMBER, **more: Any) -> Any:
    """An indicator with the marking, after its definition."""
    return definition, indicator(object_marking_refs=[level, ID], **more)


class TestBytes:
    def test_the_bytes_of_the_feed_are_those_that_were_sent(self, hub: HubInProcess) -> None:
        spelt = json.dumps(acs(name="Bits \u00e9"), indent=3, ensure_ascii=True)
        carrier = json.dumps(indicator(object_marking_refs=[AMBER, ID]))
        hub.push_raw(f'{{"objects": [{carrier}, {spelt}]}}'.encode())
        answer = hub.ask("collections/amber/objects/")
        assert spelt.encode() in answer.data
        carried = [o for o in answer.json["objects"] if o["type"] == "indicator"]
        assert carried[0]["object_marking_refs"] == [AMBER, ID]

    def test_it_is_in_every_feed_of_what_carries_it_and_in_no_other(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*sent(acs(), AMBER))
        feeds = ("clear", "green", "amber")

        def having() -> Any:
            return [f for f in feeds if ID in hub.ask(f"collections/{f}/objects/").text]

        assert having() == ["amber"]
        hub.push(*sent(acs(), GREEN), who="north")
        assert having() == ["green", "amber"]

    def test_it_is_not_passed_on_at_any_length(self, hub: HubInProcess) -> None:
        long = json.dumps(acs()).replace(": ", ":" + " " * 600_000, 2)
        status = hub.push_raw(f'{{"objects": [{long}]}}'.encode())
        assert hub.verdicts(status) == ["refused"]

    def test_nobody_gives_it_other_content(self, hub: HubInProcess) -> None:
        hub.push(*sent(acs()))
        status = hub.push(*sent(acs(further_sharing=None), AMBER), who="north")
        assert "admitted" not in hub.verdicts(status)
        assert "USA.USG" in hub.ask("collections/amber/objects/").text

    def test_one_that_names_its_sender_waits_rather_than_be_changed(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push(acs(name="From Acme Corporation"))
        assert hub.verdicts(status) == ["held"]
        assert hub.verdicts(hub.push({**acs(), "created_by_ref": f"identity--{ID[20:]}"})) == [
            "held"
        ]

    def test_what_carries_a_definition_that_did_not_come_waits(self, hub: HubInProcess) -> None:
        assert hub.verdicts(hub.push(indicator(object_marking_refs=[AMBER, ID]))) == ["held"]


class TestKeeping:
    def test_classified_is_refused(self, hub: HubInProcess) -> None:
        status = hub.push(*sent(control(classification="S")))
        assert hub.verdicts(status) == ["refused", "refused"]
        assert "classified" in details(status)[1]["message"]

    def test_without_a_word_on_its_readers_a_hub_holds_what_is_restricted(
        self, store: Store
    ) -> None:
        plain = HubInProcess(store)
        assert set(plain.verdicts(plain.push(*sent(acs())))) == {"held"}

    def test_a_marking_that_is_out_of_shape_waits_with_a_sentence(self, hub: HubInProcess) -> None:
        status = hub.push(*sent(acs(policy_reference="none")))
        assert set(hub.verdicts(status)) == {"held"}
        assert "policy_reference" in details(status)[1]["message"]

    @pytest.mark.parametrize("part", ["description", "pattern"])
    def test_on_a_part_it_counts_for_the_whole(self, hub: HubInProcess, part: str) -> None:
        granular = [{"marking_ref": ID, "selectors": [part]}]
        narrow = acs(further_sharing=None)
        status = hub.push(narrow, indicator(description="d", granular_markings=granular))
        assert hub.verdicts(status)[1] == "held"


class TestReasons:
    usg = ("USA.USG",)

    def test_what_ais_sends_may_go_to_whom_it_says(self) -> None:
        assert find_sharing_obstacles(acs(), Tlp.AMBER, self.usg) == ()
        assert find_sharing_obstacles(acs(), Tlp.AMBER, ("FOREIGNGOV",)) != ()
        assert find_sharing_obstacles(acs(), Tlp.AMBER, ("USA.USG", "SECTOR")) != ()
        assert find_sharing_obstacles(acs(), Tlp.AMBER, ()) != ()

    @pytest.mark.parametrize(
        "definition",
        [
            acs(further_sharing=None),
            acs(further_sharing=[{"sharing_scope": ["USA.DHS"], "rule_effect": "permit"}]),
            acs(
                policy_reference=POLICY.format("permit", "permit"),
                further_sharing=[{"sharing_scope": ["USA.DOD"], "rule_effect": "deny"}],
            ),
            acs(access_privilege=None),
            control(permitted_nationalities=["USA"]),
            control(permitted_organizations=["USA.DHS"]),
            control(sensitivity=["PCII"]),
            control(caveat=["FISA"]),
            control(formal_determination=["PUBREL"]),
            control(formal_determination=["PUBREL", "FOUO"]),
        ],
    )
    def test_what_is_narrower_than_the_readers_or_at_odds_with_its_level_waits(
        self, definition: Any
    ) -> None:
        assert find_errors(definition) == ()
        assert find_sharing_obstacles(definition, Tlp.AMBER, self.usg) != ()

    def test_clear_is_for_the_public_or_not_at_all(self) -> None:
        public = acs(
            control_set={"classification": "U", "formal_determination": ["PUBREL"]},
            policy_reference=POLICY.format("permit", "permit"),
            further_sharing=None,
        )
        assert find_sharing_obstacles(public, Tlp.CLEAR, ()) == ()
        assert find_sharing_obstacles(public, Tlp.GREEN, ()) != ()
        assert find_sharing_obstacles(acs(), Tlp.CLEAR, self.usg) != ()

    def test_a_denial_to_others_than_the_readers_is_none_to_them(self) -> None:
        denied = [{"sharing_scope": ["FOREIGNGOV"], "rule_effect": "deny"}]
        open_ = acs(policy_reference=POLICY.format("deny", "permit"), further_sharing=denied)
        assert find_sharing_obstacles(open_, Tlp.AMBER, self.usg) == ()
        assert find_sharing_obstacles(open_, Tlp.AMBER, ("SECTOR",)) != ()


class TestShape:
    def test_a_right_one_has_no_fault(self) -> None:
        assert (is_acs(acs()), is_classified(acs()), find_errors(acs())) == (True, False, ())

    @pytest.mark.parametrize(
        "change",
        [
            {"extension_type": "new-sdo"},
            {"identifier": "isa:guide.19001.ACS3"},
            {"create_date_time": "yesterday"},
            {"responsible_entity_custodian": "Homeland"},
            {"policy_reference": POLICY.format("deny", "maybe")},
            {"control_set": None},
            {"control_set": {"classification": "X"}},
            {"control_set": {"classification": "U", "entity": []}},
            {"control_set": {"classification": "U", "colour": ["red"]}},
            {"access_privilege": [{"privilege_action": "ALL", "rule_effect": "permit"}]},
            {"further_sharing": [{"sharing_scope": ["everyone"], "rule_effect": "permit"}]},
            {"further_sharing": "USA.USG"},
            {"unheard_of": True},
        ],
    )
    def test_each_fault_is_found(self, change: Any) -> None:
        assert find_errors(acs(**change))
        assert find_sharing_obstacles(acs(**change), Tlp.AMBER, ("USA.USG",))

    def test_anything_may_come_in_its_place(self) -> None:
        oddities: tuple[Any, ...] = (
            None,
            7,
            [],
            "text",
            {"control_set": 7},
            {"control_set": {"classification": []}},
        )
        for odd in oddities:
            definition = copy.deepcopy(acs())
            definition["extensions"][ACS_EXTENSION] = odd
            assert find_errors(definition) and isinstance(is_classified(definition), bool)

    def test_it_is_no_level_whatever_its_name_says(self, hub: HubInProcess) -> None:
        named = {**acs(), "name": "TLP:CLEAR"}
        hub.push(*sent(named, AMBER))
        assert ID not in hub.ask("collections/clear/objects/").text
        assert CLEAR not in hub.ask("collections/amber/objects/").json["objects"][-1].get(
            "object_marking_refs", ()
        )
