"""The demo (scripts/demo): its outcome, and its output on a terminal."""

import json
import sys

import pytest
from support.paths import ROOT
from support.terminal import lines_of, run_on_terminal

pytestmark = pytest.mark.slow

DEMO = ROOT / "scripts" / "demo.py"


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_a_terminal_and_has_the_expected_outcome(columns: int) -> None:
    for_programs = ["--json"] if columns == 120 else []
    command = [sys.executable, DEMO, "--once", *for_programs]
    code, written = run_on_terminal(command, columns, timeout=300)
    lines = [line for line in lines_of(written) if line]
    text = "\n".join(lines)
    assert code == 0, text
    if for_programs:
        *lines, last = lines
        outcome = json.loads(last)
        assert (outcome["ok"], outcome["faults"]) == (True, [])
        assert outcome["seen"] == {"press": 1, "neighbour": 14, "sister-cert": 16}
    text = "\n".join(lines)
    assert [line for line in lines if len(line) > columns] == []
    assert '{"' not in text  # what programs read is not shown to people
    for title in (
        "Submitted objects by verdict",
        "Objects not published, and why",
        "Objects visible to each reader",
    ):
        assert title in text
    for word in ("received", "admitted", "duplicate", "refused", "masked", "by type"):
        assert f" {word}" in text  # no heading is cut
    assert "marked TLP:RED" in text.replace("\n", " ")
