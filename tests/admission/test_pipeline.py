"""One submission through the whole pipeline (tocsin.admission)."""

import json
from typing import Any

import pytest
from support.warning_lists import warning_lists

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.merge.identity import observable_id
from tocsin.admission.model import Submitter, Tlp
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return Pipeline(parse_policy(policy_text(None)), Submitter(partner="acme"), warning_lists())


def examine_objects(pipeline: Any, *subjects: Any) -> Any:
    sent = json.dumps({"objects": subjects}).encode()
    return pipeline.examine(read("sent.json", sent, ReadOptions(NOW, Tlp.GREEN)), NOW)


def indicator(name: Any, **more: Any) -> Any:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": "indicator--11111111-1111-4111-8111-111111111111",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00.000Z",
        "pattern_type": "stix",
        "pattern": f"[domain-name:value = '{name}']",
        **more,
    }


class TestDuplicateObjects:
    def test_a_duplicate_object_gets_the_same_result_at_its_own_index(self, pipeline: Any) -> None:
        first, copy = examine_objects(
            pipeline, indicator("evil.test-bad.org"), indicator("evil.test-bad.org")
        )
        assert (first.index, copy.index) == (0, 1)
        assert first.is_open and copy.object == first.object

    def test_a_duplicate_of_a_refused_object_is_refused_with_the_same_findings(
        self, pipeline: Any
    ) -> None:
        broken = indicator("evil.test-bad.org", confidence=400)
        first, copy = examine_objects(pipeline, broken, broken)
        assert first.verdict == "refused" and copy.findings == first.findings

    def test_two_objects_with_one_id_and_different_content_are_examined_separately(
        self, pipeline: Any
    ) -> None:
        first, other = examine_objects(
            pipeline, indicator("evil.test-bad.org"), indicator("bad.test-bad.org")
        )
        assert first.object["pattern"] != other.object["pattern"]


class TestRepairs:
    DEFINITION = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": "TLP:GREEN",
        "definition": {"tlp": "green"},
    }

    def repair_rules(self, candidate: Any) -> Any:
        return {f.rule for f in candidate.findings if f.action == "repaired"}

    def test_a_tlp_definition_with_additional_properties_is_reported_as_repaired(
        self, pipeline: Any
    ) -> None:
        more = self.DEFINITION | {"object_marking_refs": [self.DEFINITION["id"]]}
        (plain,) = examine_objects(pipeline, self.DEFINITION)
        (candidate,) = examine_objects(pipeline, more)
        assert plain.verdict == candidate.verdict == "duplicate"
        assert (self.repair_rules(plain), self.repair_rules(candidate)) == (set(), {"well_known"})

    def test_an_observable_with_an_id_not_derived_from_its_value_is_reported_as_repaired(
        self, pipeline: Any
    ) -> None:
        right = "domain-name--d07661f6-db81-5e3c-ba95-1ee9fed0f9af"
        name = {"type": "domain-name", "spec_version": "2.1", "value": "evil.test-bad.org"}
        (candidate,) = examine_objects(pipeline, name | {"id": right[:-1] + "0"})
        (again,) = examine_objects(pipeline, name | {"id": observable_id(name)})
        assert "observable_id" in self.repair_rules(candidate)
        assert candidate.is_open and "observable_id" not in self.repair_rules(again)

    @pytest.mark.parametrize(("version", "repaired"), [("4", False), ("5", True)])
    def test_a_process_whose_id_is_not_a_random_uuid_is_reported_as_repaired(
        self, pipeline: Any, version: str, repaired: bool
    ) -> None:
        name = f"process--ff1e0780-358c-{version}808-a8c7-d0fca4ef6ef4"
        process = {"type": "process", "spec_version": "2.1", "id": name, "pid": 1}
        assert (
            "observable_id" in self.repair_rules(examine_objects(pipeline, process)[0])
        ) is repaired
