"""The table of verdicts is complete, and docs/merging.md prints the same one.

Of many findings, a status shows the reasons for the verdict.
"""

import itertools
from typing import Any

import pytest
from support.paths import ROOT

from tocsin.admission.model import Action, Finding, Verdict
from tocsin.server.publishing.verdicts import (
    MOST_FINDINGS,
    TABLE,
    Effect,
    OwnState,
    PublicState,
    VerdictRow,
    find_row,
    limit_findings,
)


def printed() -> list[list[str]]:
    """The rows of the table below the heading Verdicts."""
    text = (ROOT / "docs" / "merging.md").read_text("utf-8")
    lines = text.split("\n## Verdicts\n")[1].split("\n|---|---|---|---|---|\n")[1].splitlines()
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def cells(row: VerdictRow) -> list[str]:
    """A row as the document prints it."""
    states = (" / ".join(state.value for state in each) or "–" for each in (row.public, row.own))
    message = row.finding.message.strip() if row.finding else "–"
    return [*states, row.verdict.value, row.effect.value, message]


def test_the_document_prints_the_table_of_the_code() -> None:
    assert printed() == [cells(row) for row in TABLE]


@pytest.mark.parametrize("public", PublicState)
@pytest.mark.parametrize("own", OwnState)
def test_every_pair_of_states_has_a_verdict(public: Any, own: Any) -> None:
    row = find_row(public, own)
    assert row.verdict in set(Verdict) - {Verdict.OPEN}
    assert (row.verdict in (Verdict.REFUSED, Verdict.HELD)) <= (row.effect is not Effect.JOIN)


def test_every_row_decides_on_some_pair_of_states() -> None:
    pairs = itertools.product(PublicState, OwnState)
    assert {find_row(*pair) for pair in pairs} == set(TABLE)


def test_an_object_that_the_partner_may_not_read_counts_as_not_published() -> None:
    for own in OwnState:
        assert find_row(PublicState.HIDDEN, own) is find_row(PublicState.ABSENT, own)


def test_a_revoked_id_is_refused_in_every_state_of_the_public_object() -> None:
    living = (PublicState.ABSENT, PublicState.OWN, PublicState.SHARED, PublicState.HIDDEN)
    verdicts = {find_row(public, OwnState.REVOKED).verdict for public in living}
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
