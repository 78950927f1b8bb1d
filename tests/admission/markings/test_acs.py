"""Access control specification markings (ACS 3.0a): enforced as sent, published without names."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.acs_markings import ID, POLICY, acs, control
from support.hub import (
    AMBER,
    CLEAR,
    GREEN,
    HUB_SECRETS,
    HubInProcess,
    default_admission,
    details,
    indicator,
)

from tocsin.admission import parse_policy
from tocsin.admission.markings.acs import (
    ACS_EXTENSION,
    find_errors,
    find_sharing_obstacles,
    is_acs,
    is_classified,
)
from tocsin.admission.model import Consent, Tlp
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.app import create_app
from tocsin.server.model import Partner
from tocsin.server.services import build_services
from tocsin.server.store import Store


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub whose readers belong to the federal government (scope USA.USG)."""
    hub = HubInProcess(store)
    policy = parse_policy(
        policy_text() + '\n[rules.marking]\nacs_scopes = ["USA.USG"]\nacs_custodian = "USA.DHS"\n'
    )
    hub.services = build_services(
        store, HUB_SECRETS, HubSettings(), replace(default_admission(), policy=policy)
    )
    hub.client = create_app(hub.services, HUB_SECRETS, HubSettings()).test_client()
    return hub


OTHER_ID = "marking-definition--44444444-4444-4444-8444-444444444444"
PATTERN = "[domain-name:value = 'public.evil-shop.ru']"
SECRETS = (
    "USA.DOC",
    "3bda2f6e",
    "2019-0",
    "Jane Roe",
    "urn:isa:authority:acme",
    "2020-0",
    "case",
    ID,
)
RELEASED = {"released_by": "USA.DOC.NIST", "released_on": "2019-05-05T00:00:00Z"}
ENFORCED = (
    *("policy_reference", "control_set", "access_privilege", "further_sharing"),
    "resource_disposition",
)


def telling(**changes: Any) -> Any:
    """A definition for public release that tells in every way who made it."""
    return acs(
        **{
            "name": "case 77",
            "create_date_time": "2019-01-01T00:00:00Z",
            "responsible_entity_custodian": "USA.DOC.NIST",
            "responsible_entity_originator": "USA.DOC",
            "authority_reference": ["urn:isa:authority:misa", "urn:isa:authority:acme"],
            "policy_reference": POLICY.format("permit", "permit"),
            "control_set": {"classification": "U", "formal_determination": ["PUBREL"]},
            "access_privilege": None,
            "further_sharing": None,
            "public_release": RELEASED,
            "derivative_classification": {
                "classified_by": "Jane Roe",
                "classified_on": "2020-01-01T00:00:00Z",
                "derived_from": "case 77",
            },
            "declassification": {"declass_event": "end of case 77"},
            **changes,
        }
    )


def published(hub: HubInProcess, feed: str = "amber") -> list[Any]:
    """The ACS definitions in a feed."""
    answer = hub.ask(f"collections/{feed}/objects/", query_string={"limit": 1000})
    return [each for each in answer.json["objects"] if is_acs(each)]


def with_marked_indicator(
    definition: Any, level: Any = AMBER, value: str = "evil-portal.top", **more: Any
) -> Any:
    """The definition and an indicator that carries it."""
    return definition, indicator(value, object_marking_refs=[level, ID], **more)


class TestPublication:
    def test_nothing_in_a_published_definition_tells_who_sent_it(self, hub: HubInProcess) -> None:
        hub.push(
            *with_marked_indicator(
                telling(), CLEAR, created="2026-01-01T00:00:00.000Z", pattern=PATTERN
            )
        )
        answer = hub.ask("collections/clear/objects/")
        [public] = published(hub, "clear")
        for secret in SECRETS:
            assert secret not in answer.text
        assert public["id"] != ID and find_errors(public) == ()
        marking = public["extensions"][ACS_EXTENSION]
        assert marking["responsible_entity_custodian"] == "USA.DHS"
        assert marking["responsible_entity_originator"] == "USA.DHS"
        assert marking["public_release"] == {"released_by": "USA.DHS"}
        assert marking["identifier"] == f"isa:guide.19001.ACS3-{public['id'][20:]}"
        assert marking["create_date_time"] == public["created"]
        assert marking["authority_reference"] == ["urn:isa:authority:misa"]

    def test_what_restricts_readers_is_published_as_it_was_sent(self, hub: HubInProcess) -> None:
        disposition = {"disposition_date": "2027-01-01T00:00:00Z", "disposition_process": "destroy"}
        sent = acs(resource_disposition=disposition)
        hub.push(*with_marked_indicator(sent))
        [public] = published(hub)
        [carrier] = [o for o in hub.feed("amber") if o["type"] == "indicator"]
        assert carrier["object_marking_refs"] == [AMBER, public["id"]]
        for name in ENFORCED:
            ours, theirs = (each["extensions"][ACS_EXTENSION] for each in (public, sent))
            assert ours[name] == theirs[name]

    @pytest.mark.parametrize("spell", [str, str.upper, str.lower])
    def test_a_definition_of_a_test_is_published_as_one_of_a_test(
        self, hub: HubInProcess, spell: Callable[[str], str]
    ) -> None:
        test = spell("isa:guide.999191.ACS3-3bda2f6e-cedc-4c0f-a756-c03d6b586917")
        hub.push(*with_marked_indicator(acs(identifier=test)))
        [public] = published(hub)
        assert public["extensions"][ACS_EXTENSION]["identifier"].startswith("isa:guide.999191.")

    def test_two_partners_who_send_the_same_content_meet_under_one_id(
        self, hub: HubInProcess
    ) -> None:
        other = telling() | {"id": OTHER_ID}
        hub.push(*with_marked_indicator(telling(), CLEAR, pattern=PATTERN))
        theirs = telling(responsible_entity_custodian="USA.DOD", public_release=RELEASED)
        carrier = indicator(object_marking_refs=[CLEAR, OTHER_ID], pattern=PATTERN)
        assert hub.verdicts(hub.push(theirs | {"id": OTHER_ID}, carrier, who="north")) == [
            "merged",
            "merged",
        ]
        assert other["id"] != ID and len(published(hub, "clear")) == 1

    def test_two_partners_who_send_one_id_with_different_content_never_meet(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs(), value="one.evil-shop.ru"))
        wider = acs(
            further_sharing=[{"sharing_scope": ["USA.USG", "FOREIGNGOV"], "rule_effect": "permit"}]
        )
        status = hub.push(*with_marked_indicator(wider, value="two.evil-shop.ru"), who="north")
        assert hub.verdicts(status) == ["admitted", "admitted"]
        carried = {
            each["pattern"]: each["object_marking_refs"][1]
            for each in hub.feed("amber")
            if each["type"] == "indicator"
        }
        scopes = {
            each["id"]: each["extensions"][ACS_EXTENSION]["further_sharing"][0]["sharing_scope"]
            for each in published(hub)
        }
        assert scopes[carried["[domain-name:value = 'one.evil-shop.ru']"]] == ["USA.USG"]
        assert scopes[carried["[domain-name:value = 'two.evil-shop.ru']"]][1:] == ["FOREIGNGOV"]

    def test_each_partners_objects_are_judged_by_its_own_definition(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs()))
        restricted = acs(further_sharing=None)
        status = hub.push(*with_marked_indicator(restricted, value="evil-shop.ru"), who="north")
        assert hub.verdicts(status) == ["held", "held"]

    def test_a_definition_sent_before_is_enforced_as_it_was_sent(self, hub: HubInProcess) -> None:
        hub.push(*with_marked_indicator(acs()))
        later = indicator("evil-shop.ru", object_marking_refs=[AMBER, ID])
        assert hub.verdicts(hub.push(later)) == ["admitted"]
        conflicting = indicator("bad-shop.ru", object_marking_refs=[CLEAR, ID])
        assert hub.verdicts(hub.push(conflicting)) == ["held"]

    def test_a_definition_changed_under_its_id_leaves_earlier_objects_with_theirs(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs(), value="one.evil-shop.ru"))
        disposition = {"disposition_date": "2027-01-01T00:00:00Z", "disposition_process": "destroy"}
        changed = acs(resource_disposition=disposition)
        hub.push(*with_marked_indicator(changed, value="two.evil-shop.ru"))
        marks = {o["object_marking_refs"][1] for o in hub.feed("amber") if o["type"] == "indicator"}
        assert len(marks) == 2 and marks == {each["id"] for each in published(hub)}

    def test_a_definition_at_a_level_that_the_sender_cannot_read_does_not_change_its_verdict(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("low", "Low Limited"), reads=("clear", "green"))
        hub.push(*with_marked_indicator(acs()), who="north")
        disposition = {"disposition_date": "2027-01-01T00:00:00Z", "disposition_process": "destroy"}
        for definition in (acs(), acs(resource_disposition=disposition)):
            status = hub.push(*with_marked_indicator(definition, GREEN), who="low")
            assert hub.verdicts(status)[0] == "admitted"

    def test_an_acs_definition_is_only_in_the_feeds_of_the_objects_that_carry_it(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs(), AMBER))
        feeds = ("clear", "green", "amber")

        def feeds_with_definition() -> Any:
            return [each for each in feeds if published(hub, each)]

        assert feeds_with_definition() == ["amber"]
        hub.push(*with_marked_indicator(acs(), GREEN), who="north")
        assert feeds_with_definition() == ["green", "amber"]

    def test_an_acs_definition_that_is_too_long_is_refused(self, hub: HubInProcess) -> None:
        too_long = json.dumps(acs()).replace(": ", ":" + " " * 600_000, 2)
        status = hub.push_raw(f'{{"objects": [{too_long}]}}'.encode())
        assert hub.verdicts(status) == ["refused"]

    def test_a_hub_that_has_no_custodian_token_holds_acs_definitions(self, store: Store) -> None:
        hub = HubInProcess(store, more='[rules.marking]\nacs_scopes = ["USA.USG"]')
        status = hub.push(acs())
        assert hub.verdicts(status) == ["held"]
        assert "acs_custodian" in details(status)[0]["message"]

    def test_a_partner_that_agreed_to_be_named_stays_custodian_and_originator(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("open", "Open Corporation", consent=Consent.EVERYONE))
        sent = acs(responsible_entity_originator="USA.DOD")
        hub.push(*with_marked_indicator(sent), who="open")
        [public] = published(hub)
        assert public["extensions"] == sent["extensions"] and public["id"] != ID

    def test_a_named_custodian_is_not_named_again_once_its_consent_ends(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("open", "Open Corporation", consent=Consent.EVERYONE))
        sent = acs(responsible_entity_originator="USA.DOD")
        hub.push(*with_marked_indicator(sent), who="open")
        hub.store.accounts.update_partner(Partner("open", "Open Corporation"))
        hub.push(*with_marked_indicator(sent, value="evil-shop.ru"), who="open")
        newest = {each["id"]: each for each in published(hub)}
        carriers = [o for o in hub.feed("amber") if "evil-shop.ru" in o.get("pattern", "")]
        [mark] = [ref for ref in carriers[0]["object_marking_refs"] if ref != AMBER]
        assert "USA.DOD" not in json.dumps(newest[mark])

    def test_the_hubs_own_definition_that_comes_back_is_a_duplicate(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*with_marked_indicator(acs()))
        [public] = published(hub)
        carrier = indicator("evil-shop.ru", object_marking_refs=[AMBER, public["id"]])
        status = hub.push(public, carrier, who="north")
        assert hub.verdicts(status) == ["duplicate", "admitted"]
        marks = {o["object_marking_refs"][1] for o in hub.feed("amber") if o["type"] == "indicator"}
        assert marks == {public["id"]} and len(published(hub)) == 1

    def test_an_acs_definition_in_which_a_rule_would_change_a_restriction_is_held(
        self, hub: HubInProcess
    ) -> None:
        process = {"disposition_process": "ask jane.roe@acme.example"}
        disposition = {"disposition_date": "2027-01-01T00:00:00Z", **process}
        assert hub.verdicts(hub.push(acs(resource_disposition=disposition))) == ["held"]

    @pytest.mark.parametrize("name", ["From Acme Corporation", "Case 2026-77"])
    def test_the_name_and_author_of_a_definition_are_left_out(
        self, hub: HubInProcess, name: str
    ) -> None:
        sent = acs() | {"name": name, "created_by_ref": f"identity--{ID[20:]}"}
        assert hub.verdicts(hub.push(*with_marked_indicator(sent))) == ["admitted", "admitted"]
        [public] = published(hub)
        assert "name" not in public and public["created_by_ref"] == hub.identity

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


def released(*determined: str, further_sharing: Any = None, **tags: Any) -> Any:
    """A definition that permits by default and has these determinations and tags."""
    found = {"classification": "U", "formal_determination": [*determined], **tags}
    return acs(
        policy_reference=POLICY.format("permit", "permit"),
        access_privilege=None,
        control_set=found,
        further_sharing=further_sharing,
    )


def privilege(action: str, effect: str, scope: Any) -> Any:
    return {"privilege_action": action, "privilege_scope": scope, "rule_effect": effect}


READER_LIMITS = {"restricts readers by a sensitivity", "restricts readers by shareability"}


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

    @pytest.mark.parametrize(
        ("definition", "level", "obstacles"),
        [
            (released("PUBREL"), Tlp.CLEAR, set()),
            (released("PUBREL", "FOUO"), Tlp.GREEN, {"contradict each other", "contradicts TLP:G"}),
            (released("PUBREL"), Tlp.GREEN, {"contradicts TLP:GREEN"}),
            (released("PUBREL"), None, set()),
            (released("AIS"), Tlp.CLEAR, {"needs PUBREL"}),
            (released("PUBREL", "FOUO"), Tlp.CLEAR, {"contradict each", "contradicts TLP:CLEAR"}),
            (released("NF"), Tlp.GREEN, set()),
            (released("FOUO", caveat=["FISA"]), Tlp.GREEN, {"FISA"}),
            (released("FOUO", caveat=["POSSIBLEPII"]), Tlp.GREEN, set()),
            (released("FOUO", permitted_organizations=["USA.DHS"]), Tlp.GREEN, {"do not cover"}),
            (released("FOUO", permitted_organizations=["CDC", "USA.USG"]), Tlp.GREEN, set()),
            (released("FOUO", sensitivity=["LES"], shareability=["LE"]), Tlp.GREEN, READER_LIMITS),
        ],
    )
    def test_each_obstacle_of_a_control_set_is_named(
        self, definition: Any, level: Any, obstacles: set[str]
    ) -> None:
        found = find_sharing_obstacles(definition, level, self.usg)
        assert len(found) == len(obstacles)
        assert all(any(part in each for each in found) for part in obstacles)

    @pytest.mark.parametrize("readers", [(), ("USA.USG", "FOREIGNGOV"), ("SECTOR",)])
    def test_what_foreigners_must_not_get_is_not_shared_with_readers_who_may_be_some(
        self, readers: Any
    ) -> None:
        [obstacle] = find_sharing_obstacles(released("NF"), Tlp.GREEN, readers)
        assert "foreign" in obstacle

    @pytest.mark.parametrize(
        ("scope", "is_shared"),
        [
            ({"entity": ["ALL"]}, True),
            ({"permitted_organizations": ["USA.USG"]}, True),
            ({"permitted_organizations": ["USA.USG"], "shareability": ["ALL"]}, True),
            ({"permitted_organizations": ["USA.USG"], "shareability": ["LE"]}, False),
            ({"permitted_organizations": ["ALL"], "entity": ["MIL"]}, False),
            ({"permitted_organizations": ["USA.DHS"], "entity": ["ALL"]}, False),
            ({}, False),
        ],
    )
    @pytest.mark.parametrize("action", ["ALL", "DSPLY", "CISAUSES", "TENOT"])
    def test_a_privilege_to_see_it_must_include_every_reader(
        self, scope: Any, is_shared: bool, action: str
    ) -> None:
        marked = acs(access_privilege=[privilege(action, "permit", scope)])
        found = find_sharing_obstacles(marked, Tlp.AMBER, self.usg)
        assert (found == ()) is (is_shared and action != "TENOT")

    @pytest.mark.parametrize(("action", "is_shared"), [("DSPLY", False), ("TENOT", True)])
    def test_a_denied_privilege_is_an_obstacle_if_it_is_one_to_see_it(
        self, action: str, is_shared: bool
    ) -> None:
        everybody = {"entity": ["ALL"]}
        rules = [privilege("ALL", "permit", everybody), privilege(action, "deny", everybody)]
        found = find_sharing_obstacles(acs(access_privilege=rules), Tlp.AMBER, self.usg)
        assert (found == ()) is is_shared

    @pytest.mark.parametrize(
        ("denied", "reader", "is_shared"),
        [
            ("USA.DOD", "USA.DHS", True),
            ("USA.DHS", "USA.DHS", False),
            ("USA.DHS", "USA.DHS.US-CERT", False),
            ("USA.DHS.US-CERT", "USA.DHS", False),
            ("USA.DHS", "USA.DHSX", True),
            ("USA.USG", "USA.DHS", False),
            ("USA.DHS", "USA.USG", False),
            ("FOREIGNGOV", "USA.DHS", True),
            ("USA.DHS", "FOREIGNGOV", True),
            ("FOREIGNGOV", "FOREIGNGOV", False),
            ("FOREIGNGOV", "CDC", False),
            ("SECTOR", "USA.DHS", False),
        ],
    )
    def test_a_denial_is_an_obstacle_unless_no_reader_can_be_in_its_scope(
        self, denied: str, reader: str, is_shared: bool
    ) -> None:
        rules = [{"sharing_scope": [denied], "rule_effect": "deny"}]
        marked = released("FOUO", further_sharing=rules)
        assert (find_sharing_obstacles(marked, Tlp.GREEN, (reader,)) == ()) is is_shared
        assert find_sharing_obstacles(marked, Tlp.GREEN, ()) != ()

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
        assert published(hub, "clear") == [] and len(published(hub)) == 1
        assert CLEAR not in hub.ask("collections/amber/objects/").json["objects"][-1].get(
            "object_marking_refs", ()
        )
