"""The tables of verdicts are complete, and docs/merging.md prints the same ones.

Of many findings, a status shows the reasons for the verdict.
"""

import itertools
from typing import Any

import pytest
from support.paths import ROOT

from tocsin.admission.model import Action, Finding, Verdict
from tocsin.server.publishing.verdicts import (
    MOST_FINDINGS,
    SPECIAL_CASES,
    TABLE,
    Effect,
    OwnState,
    PublicState,
    Ruling,
    SpecialCase,
    find_ruling,
    limit_findings,
)


def printed(head: str) -> list[list[str]]:
    """The rows of the table with this head below the heading Verdicts."""
    text = (ROOT / "docs" / "merging.md").read_text("utf-8").split("\n## Verdicts\n")[1]
    lines = text.split(f"\n{head}\n")[1].splitlines()[1:]
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def cells(ruling: Ruling) -> list[str]:
    """A ruling as the document prints it."""
    message = ruling.finding.message.strip() if ruling.finding else "–"
    return [ruling.verdict.value, ruling.effect.value, message]


def test_the_document_prints_the_table_of_the_code() -> None:
    states = "public object | what the partner published under the id"
    rows = [[row.public or "–", row.own or "–", *cells(row.ruling)] for row in TABLE]
    assert printed(f"| {states} | verdict | effect | message |") == rows


def test_the_document_prints_the_special_cases_of_the_code() -> None:
    rows = [[str(case), *cells(ruling)] for case, ruling in SPECIAL_CASES.items()]
    assert printed("| a candidate that | verdict | effect | message |") == rows


def test_every_special_case_has_a_ruling() -> None:
    assert list(SPECIAL_CASES) == list(SpecialCase)


@pytest.mark.parametrize("public", PublicState)
@pytest.mark.parametrize("own", OwnState)
def test_every_pair_of_states_has_a_ruling(public: Any, own: Any) -> None:
    assert is_sound(find_ruling(public, own))


@pytest.mark.parametrize("case", SpecialCase)
def test_no_special_case_lets_a_contribution_join(case: Any) -> None:
    assert is_sound(case.ruling)
    assert case.ruling.effect is not Effect.JOIN


def is_sound(ruling: Ruling) -> bool:
    """True if it decides, and nothing joins that is held or refused."""
    joins = ruling.effect is Effect.JOIN
    return ruling.verdict is not Verdict.OPEN and not (
        joins and ruling.verdict in (Verdict.REFUSED, Verdict.HELD)
    )


def test_every_row_decides_on_some_pair_of_states() -> None:
    pairs = itertools.product(PublicState, OwnState)
    assert {id(find_ruling(*pair)) for pair in pairs} == {id(row.ruling) for row in TABLE}


def test_an_object_that_the_partner_may_not_read_counts_as_not_published() -> None:
    for own in OwnState:
        assert find_ruling(PublicState.HIDDEN, own) is find_ruling(PublicState.ABSENT, own)


def test_a_revoked_id_is_refused_in_every_state_of_the_public_object() -> None:
    living = (PublicState.ABSENT, PublicState.OWN, PublicState.SHARED, PublicState.HIDDEN)
    verdicts = {find_ruling(public, OwnState.REVOKED).verdict for public in living}
    assert verdicts == {Verdict.REFUSED}


def noted(number: int) -> Finding:
    return Finding("sanitise", "benign", Action.NOTED, f"note {number}")


def test_few_findings_are_all_shown() -> None:
    few = tuple(noted(n) for n in range(2 * MOST_FINDINGS))
    assert limit_findings(few) == few


def test_of_many_findings_the_reasons_for_the_verdict_are_shown_wherever_they_stand() -> None:
    why = Finding("sanitise", "victim_terms", Action.HELD, "a reviewer decides")
    many = [noted(n) for n in range(6 * MOST_FINDINGS)]
    many[3 * MOST_FINDINGS] = why
    assert limit_findings(tuple(many)) == (*many[:MOST_FINDINGS], why, *many[-MOST_FINDINGS:])
    assert len(limit_findings((why,) * 10 * MOST_FINDINGS)) == 3 * MOST_FINDINGS
