"""The demo (scripts/demo): its outcome, and its output on a terminal."""

import json
import subprocess
import sys

import pytest
from support.paths import ROOT
from support.terminal import lines_of, run_on_terminal

pytestmark = pytest.mark.slow

DEMO = ROOT / "scripts" / "demo.py"


@pytest.mark.slow
def test_the_outcome_is_the_expected_one() -> None:
    demo = subprocess.run(
        [sys.executable, DEMO, "--once", "--json"], capture_output=True, text=True, timeout=300
    )
    last = json.loads(demo.stdout.splitlines()[-1])
    assert (demo.returncode, last["ok"], last["faults"]) == (0, True, [])
    assert last["seen"] == {"press": 1, "neighbour": 14, "sister-cert": 16}


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.slow)])
def test_it_fits_a_terminal(columns: int) -> None:
    code, written = run_on_terminal([sys.executable, DEMO, "--once"], columns, timeout=300)
    lines = lines_of(written)
    text = "\n".join(lines)
    assert code == 0, text
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
