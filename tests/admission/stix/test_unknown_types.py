"""Objects of types that STIX 2.1 does not define: `unknown_types` of the policy."""

import re
from typing import Any

import pytest
from support.hub import GREEN, HubInProcess, details, relationship, sdo
from support.stix_objects import TIME, make_object, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config.loading import policy_text
from tocsin.server.store import Store

NOW = 1_790_000_000_000_000
EXTENSION = ref("extension-definition")
COMMON_PROPERTIES = {
    "type": "x-flow",
    "spec_version": "2.1",
    "id": ref("x-flow"),
    "created": TIME,
    "modified": TIME,
    "name": "Container escape",
    "description": "How they got out",
    "labels": ["cloud"],
    "confidence": 70,
    "external_references": [{"source_name": "blog", "url": "https://blog.example.com/1"}],
    "object_marking_refs": [GREEN],
}
TYPE_PROPERTIES = {
    "technique_id": "T1610",
    "start_refs": [ref("x-step")],
    "extensions": {EXTENSION: {"extension_type": "new-sdo"}},
}


def policy_with(mode: Any) -> Any:
    return parse_policy(
        policy_text(None).replace('unknown_types = "strip"', f'unknown_types = "{mode}"')
    )


def examine_object(subject: Any, mode: Any = "strip") -> Any:
    acme = Submitter(partner="acme", names=("ACME Corp",), terms=("Widget Pro",))
    sent = Candidate(0, subject, subject["id"], subject.get("modified"))
    [candidate] = Pipeline(policy_with(mode), acme, WarningLists([])).examine([sent], NOW)
    return candidate


def refusals(candidate: Any) -> Any:
    assert not candidate.is_open
    return {(each.rule, each.path) for each in candidate.findings if each.action == "refused"}


class TestStrip:
    """The mode of the shipped policy."""

    def test_strip_refuses_a_custom_type_and_says_what_to_send_instead(self) -> None:
        candidate = examine_object(COMMON_PROPERTIES | TYPE_PROPERTIES)
        assert refusals(candidate) == {("unknown_types", "type")}
        [finding] = candidate.findings
        assert "does not define the type x-flow" in finding.message
        assert "send what it says as objects of types that STIX defines" in finding.message

    def test_strip_accepts_a_revocation_of_a_custom_type_without_its_texts(self) -> None:
        revoked = COMMON_PROPERTIES | TYPE_PROPERTIES | {"revoked": True}
        candidate = examine_object(revoked)
        assert candidate.is_open
        assert candidate.object.keys() == (COMMON_PROPERTIES | {"revoked": True}).keys() - {
            "name",
            "description",
        }

    @pytest.mark.parametrize(
        "kind", ["x-acme-corp-case", "acme-case", "x-widget-pro", "xacmecase", "x-theacmecorp"]
    )
    def test_a_custom_type_that_names_the_submitter_is_refused(self, kind: str) -> None:
        candidate = examine_object(COMMON_PROPERTIES | {"type": kind, "id": ref(kind)})
        assert not candidate.is_open
        assert kind not in str(
            [each.as_json() for each in candidate.findings if each.stage == "sanitise"]
        )

    def test_strip_refuses_a_custom_observable(self) -> None:
        hook = {"type": "windows-hook", "id": ref("windows-hook"), "win_hook": "WH_KEYBOARD"}
        assert refusals(examine_object(hook)) == {("unknown_types", "type")}


class TestKeep:
    """The mode for a hub whose partners have agreed on custom types."""

    def test_keep_changes_nothing_of_a_custom_type(self) -> None:
        assert (
            examine_object(COMMON_PROPERTIES | TYPE_PROPERTIES, "keep").object
            == COMMON_PROPERTIES | TYPE_PROPERTIES
        )

    def test_keep_accepts_a_custom_observable(self) -> None:
        hook = {"type": "windows-hook", "id": ref("windows-hook"), "win_hook": "WH_KEYBOARD"}
        assert examine_object(hook, "keep").is_open

    def test_keep_masks_personal_data_in_a_custom_property(self) -> None:
        candidate = examine_object(COMMON_PROPERTIES | {"story": "ask jane.doe@bank.test"}, "keep")
        assert candidate.is_open and "jane" not in candidate.object["story"]

    @pytest.mark.parametrize(
        "name",
        [
            *("name", "description", "story", "pattern", "date", "start", "published"),
            *("payload_bin", "definition_type", "valid_from", "value", "key", "path"),
        ],
    )
    @pytest.mark.parametrize("deep", [False, True])
    @pytest.mark.parametrize("observable", [False, True])
    def test_every_text_of_a_kept_type_goes_through_the_rules(
        self, name: str, deep: bool, observable: bool
    ) -> None:
        text = "ask jane.doe@bank.test at vpn7.acme.example"
        subject = COMMON_PROPERTIES | {name: {"a": [text]} if deep and name != "name" else text}
        if observable:
            subject = {k: v for k, v in subject.items() if k not in ("created", "modified")}
        candidate = examine_object(subject, "keep")
        assert not candidate.is_open or not {"jane", "vpn7"} & set(
            re.findall(r"\w+", str(candidate.object))
        )

    def test_a_custom_type_of_stix_2_0_is_upgraded(self) -> None:
        older = {name: value for name, value in COMMON_PROPERTIES.items() if name != "spec_version"}
        assert examine_object(older, "keep").object == COMMON_PROPERTIES

    def test_a_custom_type_that_names_the_submitter_is_refused(self) -> None:
        assert not examine_object(
            COMMON_PROPERTIES | {"type": "x-acme", "id": ref("x-acme")}, "keep"
        ).is_open


class TestEveryMode:
    @pytest.mark.parametrize("mode", ["keep"])
    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"name": 5}, "name"),
            ({"labels": "cloud"}, "labels"),
            ({"modified": "2025-02-30T00:00:00.000Z"}, "modified"),
            ({"modified": "2025-01-01T00:00:00.000Z"}, "modified"),
            ({"created_by_ref": "me"}, "created_by_ref"),
            ({"object_marking_refs": [ref("tool")]}, "object_marking_refs[0]"),
            ({"extensions": 5}, "extensions"),
            ({"confidence": 101}, "confidence"),
            ({"lang": "not a language"}, "lang"),
        ],
    )
    def test_common_properties_of_a_custom_type_are_validated(
        self, mode: str, change: Any, path: str
    ) -> None:
        assert path in {
            path for _, path in refusals(examine_object(COMMON_PROPERTIES | change, mode))
        }

    @pytest.mark.parametrize("mode", ["strip", "keep", "refuse"])
    def test_a_bundle_inside_a_submission_is_refused(self, mode: str) -> None:
        candidate = examine_object(
            {"type": "bundle", "id": ref("bundle"), "objects": [make_object("tool")]}, mode
        )
        assert refusals(candidate) == {("unknown_types", "type")}
        assert "send its objects" in candidate.findings[-1].message

    def test_refuse_refuses_a_custom_type(self) -> None:
        assert refusals(examine_object(COMMON_PROPERTIES, "refuse")) == {("unknown_types", "type")}


@pytest.fixture
def keeping(store: Store) -> HubInProcess:
    """A hub whose policy keeps unknown types."""
    return HubInProcess(store, keeps_unknown_types=True)


class TestPublished:
    def test_a_relationship_to_a_kept_custom_type_is_published(self, keeping: HubInProcess) -> None:
        hub = keeping
        flow = sdo("x-flow", name="Escape", object_marking_refs=[GREEN], technique_id="T1610")
        tool = sdo("tool", name="runc", object_marking_refs=[GREEN])
        status = hub.push(relationship(flow, "uses", tool, object_marking_refs=[GREEN]), flow, tool)
        assert hub.verdicts(status) == ["admitted"] * 3
        found = {each["type"]: each for each in hub.feed("green", "north")}
        assert found["relationship"]["source_ref"] == found["x-flow"]["id"] != flow["id"]
        assert found["x-flow"]["name"] == "Escape" and "technique_id" in found["x-flow"]
        assert found["x-flow"]["created_by_ref"] == hub.identity

    @pytest.mark.slow
    def test_a_kept_custom_type_has_versions_and_can_be_revoked(
        self, keeping: HubInProcess
    ) -> None:
        hub = keeping
        flow = sdo("x-flow", name="Escape", object_marking_refs=[GREEN])
        hub.push(flow)
        hub.push(flow | {"name": "Jailbreak", "modified": "2026-02-01T00:00:00.000Z"})
        [seen] = hub.feed("green", "north")
        assert seen["name"] == "Jailbreak"
        hub.push(flow | {"revoked": True, "modified": "2026-03-01T00:00:00.000Z"})
        assert [each["revoked"] for each in hub.feed("green", "north")] == [True]

    def test_the_status_explains_the_refusal_of_a_custom_observable(
        self, hub: HubInProcess
    ) -> None:
        hook = {"type": "windows-hook", "id": ref("windows-hook"), "hook": "WH_KEYBOARD"}
        [entry] = details(hub.push(hook))
        assert entry["x_tocsin_verdict"] == "refused" and "objects of types that STIX" in str(entry)
