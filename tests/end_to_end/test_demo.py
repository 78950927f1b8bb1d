"""The demo (scripts/demo): its outcome, and its output on a terminal."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_stops_the_hub_and_deletes_its_data_when_it_is_ended(
    tmp_path: Path, number: signal.Signals
) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    demo = subprocess.Popen([sys.executable, DEMO], env=environment, stdout=subprocess.PIPE)
    with demo:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("tocsin-demo-*/ready.json")):
            assert demo.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        demo.send_signal(number)
        demo.communicate(timeout=120)
    assert demo.returncode == 128 + number
    assert list(tmp_path.iterdir()) == []


def test_it_ends_with_an_error_if_the_hub_ends(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(
        [sys.executable, DEMO],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with demo:
        assert demo.stdout is not None
        assert any("Ctrl-C stops the hub" in line for line in demo.stdout)
        (hub,) = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
        os.kill(int(hub), signal.SIGTERM)
        _, stderr = demo.communicate(timeout=120)
    assert (demo.returncode, "the hub ended by itself" in stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []
