"""The demo tells the truth (scripts/demo)."""

import json
import subprocess
import sys

from support.paths import ROOT

DEMO = ROOT / "scripts" / "demo.py"


def test_it_ends_as_it_says_it_should():
    told = subprocess.run(
        [sys.executable, DEMO, "--once", "--json"], capture_output=True, text=True, timeout=300
    )
    last = json.loads(told.stdout.splitlines()[-1])
    assert (told.returncode, last["ok"], last["faults"]) == (0, True, [])
    assert last["seen"] == {"press": 1, "neighbour": 14, "sister-cert": 16}
