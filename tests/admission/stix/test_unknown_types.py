"""Objects of types that STIX 2.1 does not define: `unknown_types` of the policy."""

from typing import Any

import pytest
from support.hub import (
    GREEN,
    HubInProcess,
    details,
    findings,
    relationship,
    sdo,
)
from support.stix_objects import TIME, made, ref

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.warninglists.index import WarningLists
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
EXTENSION = ref("extension-definition")
COMMON = {
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
OWN = {
    "technique_id": "T1610",
    "start_refs": [ref("x-step")],
    "extensions": {EXTENSION: {"extension_type": "new-sdo"}},
}


def policy(mode: Any) -> Any:
    return parse_policy(
        policy_text(None).replace('unknown_types = "strip"', f'unknown_types = "{mode}"')
    )


def judged(subject: Any, mode: Any = "strip") -> Any:
    acme = Submitter(partner="acme", names=("ACME Corp",), terms=("Widget Pro",))
    candidate = Candidate(0, subject, subject["id"], subject.get("modified"))
    [told] = Pipeline(policy(mode), acme, WarningLists([])).examine([candidate], NOW)
    return told


def refusals(told: Any) -> Any:
    assert not told.is_open
    return {(each.rule, each.path) for each in told.findings if each.action == "refused"}


class TestStripped:
    """As the policy ships."""

    def test_what_every_object_has_stays_and_what_the_type_says_goes(self) -> None:
        told = judged(COMMON | OWN)
        assert told.is_open and told.object == COMMON
        gone = {each.path for each in told.findings if each.action == "stripped"}
        assert gone == {"technique_id", "start_refs", f"extensions.{EXTENSION}"}
        [noted] = [each for each in told.findings if each.rule == "unknown_types"]
        assert "does not define the type x-flow" in noted.message

    def test_a_mark_on_what_goes_goes_too(self) -> None:
        marks = [{"marking_ref": ref("marking-definition"), "selectors": ["technique_id"]}]
        assert judged(COMMON | OWN | {"granular_markings": marks}).object == COMMON

    def test_personal_data_is_masked(self) -> None:
        told = judged(COMMON | {"description": "ask jane.doe@bank.test"})
        assert told.is_open and "jane" not in told.object["description"]

    @pytest.mark.parametrize(
        "kind", ["x-acme-corp-case", "acme-case", "x-widget-pro", "xacmecase", "x-theacmecorp"]
    )
    def test_a_type_that_names_the_submitter_is_refused(self, kind: str) -> None:
        told = judged(COMMON | {"type": kind, "id": ref(kind)})
        assert not told.is_open
        assert kind not in str(
            [each.as_json() for each in told.findings if each.stage == "sanitise"]
        )

    def test_of_an_observable_nothing_would_be_left(self) -> None:
        hook = {"type": "windows-hook", "id": ref("windows-hook"), "win_hook": "WH_KEYBOARD"}
        assert refusals(judged(hook)) == {("unknown_types", "type")}

    def test_an_object_of_stix_2_0_is_upgraded(self) -> None:
        older = {name: value for name, value in COMMON.items() if name != "spec_version"}
        assert judged(older).object == COMMON


class TestKept:
    """Where the operator knows the types that the partners agreed on."""

    def test_everything_stays(self) -> None:
        assert judged(COMMON | OWN, "keep").object == COMMON | OWN

    def test_an_observable_too(self) -> None:
        hook = {"type": "windows-hook", "id": ref("windows-hook"), "win_hook": "WH_KEYBOARD"}
        assert judged(hook, "keep").is_open

    def test_a_text_of_its_own_is_looked_at(self) -> None:
        told = judged(COMMON | {"story": "ask jane.doe@bank.test"}, "keep")
        assert told.is_open and "jane" not in told.object["story"]

    def test_a_type_that_names_the_submitter_is_refused(self) -> None:
        assert not judged(COMMON | {"type": "x-acme", "id": ref("x-acme")}, "keep").is_open


class TestEitherWay:
    @pytest.mark.parametrize("mode", ["strip", "keep"])
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
    def test_what_holds_for_every_object_is_checked(
        self, mode: str, change: Any, path: str
    ) -> None:
        assert path in {path for _, path in refusals(judged(COMMON | change, mode))}

    @pytest.mark.parametrize("mode", ["strip", "keep", "refuse"])
    def test_a_bundle_is_no_object(self, mode: str) -> None:
        told = judged({"type": "bundle", "id": ref("bundle"), "objects": [made("tool")]}, mode)
        assert refusals(told) == {("unknown_types", "type")}
        assert "send its objects" in told.findings[-1].message

    def test_refused_if_the_policy_says_so(self) -> None:
        assert refusals(judged(COMMON, "refuse")) == {("unknown_types", "type")}


class TestThroughTheHub:
    def test_what_refers_to_it_is_published_whole(self, hub: HubInProcess) -> None:
        flow = sdo("x-flow", name="Escape", object_marking_refs=[GREEN], technique_id="T1610")
        tool = sdo("tool", name="runc", object_marking_refs=[GREEN])
        status = hub.push(relationship(flow, "uses", tool, object_marking_refs=[GREEN]), flow, tool)
        assert hub.verdicts(status) == ["admitted"] * 3
        found = {each["type"]: each for each in hub.feed("green", "north")}
        assert found["relationship"]["source_ref"] == found["x-flow"]["id"] != flow["id"]
        assert found["x-flow"]["name"] == "Escape" and "technique_id" not in found["x-flow"]
        assert found["x-flow"]["created_by_ref"] == hub.identity
        [gone] = [each for each in findings(status) if each["path"] == "technique_id"]
        assert gone["action"] == "stripped"

    def test_it_has_versions_and_can_be_revoked(self, hub: HubInProcess) -> None:
        flow = sdo("x-flow", name="Escape", object_marking_refs=[GREEN])
        hub.push(flow)
        hub.push(flow | {"name": "Jailbreak", "modified": "2026-02-01T00:00:00.000Z"})
        [seen] = hub.feed("green", "north")
        assert seen["name"] == "Jailbreak"
        hub.push(flow | {"revoked": True, "modified": "2026-03-01T00:00:00.000Z"})
        assert [each["revoked"] for each in hub.feed("green", "north")] == [True]

    def test_the_status_says_what_to_do_with_an_observable(self, hub: HubInProcess) -> None:
        hook = {"type": "windows-hook", "id": ref("windows-hook"), "hook": "WH_KEYBOARD"}
        [entry] = details(hub.push(hook))
        assert entry["x_tocsin_verdict"] == "refused" and "nothing else of an observable" in str(
            entry
        )
