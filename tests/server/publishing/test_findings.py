"""The findings that a status shows (tocsin.server.publishing.findings)."""

from tocsin.admission.model import Action, Finding
from tocsin.server.publishing.findings import MOST, limit_findings


def noted(number: int) -> Finding:
    return Finding("sanitise", "benign", Action.NOTED, f"note {number}")


def test_few_findings_are_all_shown() -> None:
    few = tuple(noted(n) for n in range(2 * MOST))
    assert limit_findings(few) == few


def test_of_many_findings_the_reasons_for_the_verdict_are_shown_wherever_they_stand() -> None:
    why = Finding("sanitise", "victim_terms", Action.HELD, "a reviewer decides")
    many = [noted(n) for n in range(6 * MOST)]
    many[3 * MOST] = why
    assert limit_findings(tuple(many)) == (*many[:MOST], why, *many[-MOST:])
    assert len(limit_findings((why,) * 10 * MOST)) == 3 * MOST
