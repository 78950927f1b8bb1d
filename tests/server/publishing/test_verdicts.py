"""What a person is told of an object (tocsin.server.publishing.verdicts)."""

from tocsin.admission.model import Action, Finding
from tocsin.server.publishing.verdicts import MOST, telling


def noted(number: int) -> Finding:
    return Finding("sanitise", "benign", Action.NOTED, f"note {number}")


def test_few_findings_are_all_told():
    few = tuple(noted(n) for n in range(2 * MOST))
    assert telling(few) == few


def test_of_many_the_reasons_for_the_verdict_are_told_wherever_they_stand():
    why = Finding("sanitise", "victim_terms", Action.HELD, "an analyst decides")
    many = [noted(n) for n in range(6 * MOST)]
    many[3 * MOST] = why
    told = telling(tuple(many))
    assert told == (*many[:MOST], why, *many[-MOST:])
    assert len(telling((why,) * 10 * MOST)) == 3 * MOST
