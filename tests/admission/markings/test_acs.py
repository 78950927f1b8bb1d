"""Access control specification markings (ACS 3.0a): published byte for byte, or held."""

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
    """A hub whose readers belong to the federal government (scope USA.USG)."""
    hub = HubInProcess(store)
    policy = parse_policy(policy_text() + '\n[rules.marking]\nacs_scopes = ["USA.USG"]\n')
    hub.services = build_services(
        store, HUB_SECRETS, HubSettings(), AdmissionConfig(policy, warning_lists())
    )
    hub.client = create_app(hub.services, HUB_SECRETS, HubSettings()).test_client()
    return hub


def with_marked_indicator(definition: Any, level: Any = AMBER, **more: Any) -> Any:
    """The definition and an indicator that carries it."""
    return definition, indicator(object_marking_refs=[level, ID], **more)


class TestPublication:
    def test_an_acs_definition_is_published_byte_for_byte(self, hub: HubInProcess) -> None:
        definition = json.dumps(acs(name="Bits \u00e9"), indent=3, ensure_ascii=True)
        carrier = json.dumps(indicator(object_marking_refs=[AMBER, ID]))
        hub.push_raw(f'{{"objects": [{carrier}, {definition}]}}'.encode())
        answer = hub.ask("collections/amber/objects/")
        assert definition.encode() in answer.data
        indicators = [o for o in answer.json["objects"] if o["type"] == "indicator"]
        assert indicators[0]["object_marking_refs"] == [AMBER, ID]

    def test_an_acs_definition_is_only_in_the_feeds_of_the_objects_that_carry_it(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs(), AMBER))
        feeds = ("clear", "green", "amber")

        def feeds_with_definition() -> Any:
            return [f for f in feeds if ID in hub.ask(f"collections/{f}/objects/").text]

        assert feeds_with_definition() == ["amber"]
        hub.push(*with_marked_indicator(acs(), GREEN), who="north")
        assert feeds_with_definition() == ["green", "amber"]

    def test_an_acs_definition_that_is_too_long_is_refused(self, hub: HubInProcess) -> None:
        too_long = json.dumps(acs()).replace(": ", ":" + " " * 600_000, 2)
        status = hub.push_raw(f'{{"objects": [{too_long}]}}'.encode())
        assert hub.verdicts(status) == ["refused"]

    def test_an_acs_definition_cannot_be_replaced_by_another_partner(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs()))
        status = hub.push(*with_marked_indicator(acs(further_sharing=None), AMBER), who="north")
        assert "admitted" not in hub.verdicts(status)
        assert "USA.USG" in hub.ask("collections/amber/objects/").text

    def test_an_acs_definition_that_names_its_sender_is_held_unchanged(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push(acs(name="From Acme Corporation"))
        assert hub.verdicts(status) == ["held"]
        assert hub.verdicts(hub.push({**acs(), "created_by_ref": f"identity--{ID[20:]}"})) == [
            "held"
        ]

    def test_an_object_with_an_unknown_acs_definition_is_held(self, hub: HubInProcess) -> None:
        assert hub.verdicts(hub.push(indicator(object_marking_refs=[AMBER, ID]))) == ["held"]


class TestVerdicts:
    def test_classified_content_is_refused(self, hub: HubInProcess) -> None:
        status = hub.push(*with_marked_indicator(control(classification="S")))
        assert hub.verdicts(status) == ["refused", "refused"]
        assert "classified" in details(status)[1]["message"]

    def test_a_hub_without_acs_scopes_holds_restricted_content(self, store: Store) -> None:
        default_hub = HubInProcess(store)
        assert set(default_hub.verdicts(default_hub.push(*with_marked_indicator(acs())))) == {
            "held"
        }

    def test_an_invalid_acs_definition_is_held_with_the_reason(self, hub: HubInProcess) -> None:
        status = hub.push(*with_marked_indicator(acs(policy_reference="none")))
        assert set(hub.verdicts(status)) == {"held"}
        assert "policy_reference" in details(status)[1]["message"]

    @pytest.mark.parametrize("part", ["description", "pattern"])
    def test_a_granular_acs_marking_applies_to_the_whole_object(
        self, hub: HubInProcess, part: str
    ) -> None:
        granular = [{"marking_ref": ID, "selectors": [part]}]
        restricted = acs(further_sharing=None)
        status = hub.push(restricted, indicator(description="d", granular_markings=granular))
        assert hub.verdicts(status)[1] == "held"


class TestSharingObstacles:
    usg = ("USA.USG",)

    def test_a_definition_of_ais_may_be_shared_with_its_sharing_scope_only(self) -> None:
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
    def test_a_definition_narrower_than_the_readers_or_against_its_tlp_has_an_obstacle(
        self, definition: Any
    ) -> None:
        assert find_errors(definition) == ()
        assert find_sharing_obstacles(definition, Tlp.AMBER, self.usg) != ()

    def test_tlp_clear_needs_a_definition_for_public_release(self) -> None:
        public = acs(
            control_set={"classification": "U", "formal_determination": ["PUBREL"]},
            policy_reference=POLICY.format("permit", "permit"),
            further_sharing=None,
        )
        assert find_sharing_obstacles(public, Tlp.CLEAR, ()) == ()
        assert find_sharing_obstacles(public, Tlp.GREEN, ()) != ()
        assert find_sharing_obstacles(acs(), Tlp.CLEAR, self.usg) != ()

    def test_a_denial_for_other_scopes_is_not_an_obstacle_for_the_readers(self) -> None:
        denied = [{"sharing_scope": ["FOREIGNGOV"], "rule_effect": "deny"}]
        permitting = acs(policy_reference=POLICY.format("deny", "permit"), further_sharing=denied)
        assert find_sharing_obstacles(permitting, Tlp.AMBER, self.usg) == ()
        assert find_sharing_obstacles(permitting, Tlp.AMBER, ("SECTOR",)) != ()


class TestErrors:
    def test_a_valid_acs_definition_has_no_error(self) -> None:
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
    def test_each_error_in_an_acs_definition_is_found_and_an_obstacle(self, change: Any) -> None:
        assert find_errors(acs(**change))
        assert find_sharing_obstacles(acs(**change), Tlp.AMBER, ("USA.USG",))

    def test_any_json_value_as_acs_extension_is_an_error_without_an_exception(self) -> None:
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

    def test_an_acs_definition_named_like_a_tlp_level_is_not_a_tlp_level(
        self, hub: HubInProcess
    ) -> None:
        named = {**acs(), "name": "TLP:CLEAR"}
        hub.push(*with_marked_indicator(named, AMBER))
        assert ID not in hub.ask("collections/clear/objects/").text
        assert CLEAR not in hub.ask("collections/amber/objects/").json["objects"][-1].get(
            "object_marking_refs", ()
        )
