"""Objects whose markings no feed takes, or that nobody knows."""

from typing import Any

import pytest

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.merge.identity import MITRE_MARKING
from tocsin.admission.model import Candidate, RuleContext, Submitter, Tlp, Verdict
from tocsin.admission.rules import build_rule
from tocsin.admission.warninglists.index import WarningLists

FOREIGN = "marking-definition--00000000-1111-4222-8333-444444444444"


def apply_marking(
    subject: Any, settings: Any = None, submitter: Any = None, **candidate: Any
) -> Any:
    context = RuleContext(submitter or Submitter(), WarningLists([]), settings=settings or {})
    return build_rule("marking", context)(Candidate(0, subject, **candidate))


class TestMarking:
    def test_tlp_red_is_refused_whatever_the_partner_may_send(self) -> None:
        every = Submitter(max_tlp=Tlp.RED)
        candidate = apply_marking({}, submitter=every, tlp=Tlp.RED)
        assert candidate.verdict is Verdict.REFUSED

    def test_a_level_above_the_strictest_of_the_sender_is_refused_with_advice(self) -> None:
        candidate = apply_marking({}, tlp=Tlp.AMBER, submitter=Submitter(max_tlp=Tlp.GREEN))
        assert candidate.verdict is Verdict.REFUSED
        message = candidate.findings[0].message
        assert "above TLP:GREEN, the strictest that you may send: mark it lower" in message

    @pytest.mark.parametrize("tlp", [Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER])
    def test_a_level_up_to_the_agreement_passes(self, tlp: Any) -> None:
        subject = {"object_marking_refs": [TLP_2_IDS[tlp], MITRE_MARKING]}
        candidate = apply_marking(subject, tlp=tlp, scope=f"{tlp.label}|{MITRE_MARKING}")
        assert candidate.is_open and not candidate.findings

    def test_an_unknown_marking_is_held(self) -> None:
        subject = {"object_marking_refs": [TLP_2_IDS[Tlp.GREEN], FOREIGN]}
        candidate = apply_marking(subject, tlp=Tlp.GREEN, scope="green")
        assert candidate.verdict is Verdict.HELD

    def test_the_advice_on_an_unknown_marking_fits_one_that_has_ended_too(self) -> None:
        subject = {"object_marking_refs": [TLP_2_IDS[Tlp.GREEN], FOREIGN]}
        [finding] = apply_marking(subject, tlp=Tlp.GREEN, scope="green").findings
        assert "(one that was revoked, withdrawn or purged, under a new id)" in finding.message

    def test_an_unknown_marking_on_a_part_is_held(self) -> None:
        subject = {"granular_markings": [{"marking_ref": FOREIGN, "selectors": ["name"]}]}
        assert apply_marking(subject, tlp=Tlp.GREEN, scope="green").verdict is Verdict.HELD

    def test_an_unknown_marking_may_be_refused(self) -> None:
        subject = {"object_marking_refs": [FOREIGN]}
        candidate = apply_marking(subject, {"unknown": "refuse"}, tlp=Tlp.GREEN, scope="green")
        assert candidate.verdict is Verdict.REFUSED


class TestDefinitions:
    @staticmethod
    def message(definition: Any) -> str:
        context = RuleContext(Submitter(), WarningLists([]), definitions={FOREIGN: definition})
        marked = Candidate(0, {"object_marking_refs": [FOREIGN]}, tlp=Tlp.GREEN)
        held = build_rule("marking", context)(marked)
        assert held.verdict is Verdict.HELD
        return held.findings[-1].message

    def test_a_statement_that_seems_to_limit_sharing_is_held_with_that_reason(self) -> None:
        body = {"definition_type": "statement", "definition": {"statement": "This is TLP:RED"}}
        assert "limit sharing" in self.message({"type": "marking-definition", **body})

    def test_a_definition_that_contradicts_itself_is_held_as_is_what_carries_it(self) -> None:
        body = {"definition_type": "tlp", "definition": {"tlp": "white"}, "name": "TLP:RED"}
        definition = {"type": "marking-definition", "id": FOREIGN, **body}
        assert "different TLP levels" in self.message(definition)
        assert apply_marking(definition, tlp=Tlp.GREEN).verdict is Verdict.HELD
