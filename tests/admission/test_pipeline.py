"""One submission, examined as a whole (tocsin.admission)."""

import json
from typing import Any

import pytest
from support.warning_lists import warning_lists

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.formats import ReadOptions, read
from tocsin.admission.model import Submitter, Tlp
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def examiner() -> Any:
    return Pipeline(parse_policy(policy_text(None)), Submitter(partner="acme"), warning_lists())


def examined(examiner: Any, *subjects: Any) -> Any:
    sent = json.dumps({"objects": subjects}).encode()
    return examiner.examine(read("sent.json", sent, ReadOptions(NOW, Tlp.GREEN)), NOW)


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


class TestCopies:
    def test_a_copy_fares_like_the_first_and_keeps_its_place(self, examiner: Any) -> None:
        first, copy = examined(
            examiner, indicator("evil.test-bad.org"), indicator("evil.test-bad.org")
        )
        assert (first.index, copy.index) == (0, 1)
        assert first.is_open and copy.object == first.object

    def test_a_refused_copy_is_refused_with_the_same_words(self, examiner: Any) -> None:
        broken = indicator("evil.test-bad.org", confidence=400)
        first, copy = examined(examiner, broken, broken)
        assert first.verdict == "refused" and copy.findings == first.findings

    def test_the_same_id_with_other_content_is_examined_by_itself(self, examiner: Any) -> None:
        first, other = examined(
            examiner, indicator("evil.test-bad.org"), indicator("bad.test-bad.org")
        )
        assert first.object["pattern"] != other.object["pattern"]


class TestWhatIsPublishedOtherwise:
    DEFINITION = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
        "created": "2017-01-20T00:00:00.000Z",
        "definition_type": "tlp",
        "name": "TLP:GREEN",
        "definition": {"tlp": "green"},
    }

    def rules(self, candidate: Any) -> Any:
        return {f.rule for f in candidate.findings if f.action == "repaired"}

    def test_a_tlp_definition_that_says_more_than_the_standards_is_told(
        self, examiner: Any
    ) -> None:
        more = self.DEFINITION | {"object_marking_refs": [self.DEFINITION["id"]]}
        (plain,) = examined(examiner, self.DEFINITION)
        (told,) = examined(examiner, more)
        assert plain.verdict == told.verdict == "duplicate"
        assert (self.rules(plain), self.rules(told)) == (set(), {"well_known"})

    def test_an_observable_under_an_id_that_is_not_its_own_is_told(self, examiner: Any) -> None:
        right = "domain-name--d07661f6-db81-5e3c-ba95-1ee9fed0f9af"
        name = {"type": "domain-name", "spec_version": "2.1", "value": "evil.test-bad.org"}
        (told,) = examined(examiner, name | {"id": right[:-1] + "0"})
        (message,) = [f.message for f in told.findings if f.rule == "observable_id"]
        (again,) = examined(examiner, name | {"id": message.split()[2].rstrip(",")})
        assert told.is_open and "observable_id" not in self.rules(again)

    @pytest.mark.parametrize(("version", "told"), [("4", False), ("5", True)])
    def test_a_process_which_nothing_gives_an_id_wants_a_random_one(
        self, examiner: Any, version: str, told: bool
    ) -> None:
        name = f"process--ff1e0780-358c-{version}808-a8c7-d0fca4ef6ef4"
        process = {"type": "process", "spec_version": "2.1", "id": name, "pid": 1}
        assert ("observable_id" in self.rules(examined(examiner, process)[0])) is told
