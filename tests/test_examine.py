"""One submission, examined as a whole (tocsin.admission)."""

import json

import pytest

from tocsin.admission import Examiner, policy_of
from tocsin.admission.benign import load
from tocsin.admission.formats import Reading, read
from tocsin.admission.model import Submitter, Tlp
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000


@pytest.fixture(scope="module")
def examiner():
    return Examiner(policy_of(policy_text(None)), Submitter(partner="acme"), load())


def examined(examiner, *subjects):
    sent = json.dumps({"objects": subjects}).encode()
    return examiner.examine(read("sent.json", sent, Reading(NOW, Tlp.GREEN)), NOW)


def indicator(name, **more):
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
    def test_a_copy_fares_like_the_first_and_keeps_its_place(self, examiner):
        first, copy = examined(
            examiner, indicator("evil.test-bad.org"), indicator("evil.test-bad.org")
        )
        assert (first.index, copy.index) == (0, 1)
        assert first.open and copy.object == first.object

    def test_a_refused_copy_is_refused_with_the_same_words(self, examiner):
        broken = indicator("evil.test-bad.org", confidence=400)
        first, copy = examined(examiner, broken, broken)
        assert first.verdict == "refused" and copy.findings == first.findings

    def test_the_same_id_with_other_content_is_examined_by_itself(self, examiner):
        first, other = examined(
            examiner, indicator("evil.test-bad.org"), indicator("bad.test-bad.org")
        )
        assert first.object["pattern"] != other.object["pattern"]
