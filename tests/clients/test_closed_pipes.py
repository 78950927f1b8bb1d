"""A reader that goes away ends a command quietly, as it does other programs, and loses nothing."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.processes import BIN
from support.taxii_servers import COLLECTION, Medallion, indicator

COMMAND = " ".join([sys.executable, "-m", "tocsin.clients"])


def shell(line: str) -> tuple[list[str], str, str]:
    """Runs a pipe; answers the exit codes of its parts, its output and what was said."""
    told = f"{line}; echo ${{PIPESTATUS[*]}} > codes"
    ran = subprocess.run(["bash", "-c", told], capture_output=True, timeout=30, text=True)
    return Path("codes").read_text().split(), ran.stdout, ran.stderr


@pytest.mark.parametrize("form", ["jsonl", "list", "bundle"])
def test_a_poll_into_head_ends_with_141_and_no_word(partner: Medallion, form: str) -> None:
    partner.add(*(indicator(n) for n in range(300)))
    codes, out, said = shell(f"{COMMAND} poll {COLLECTION} --format {form} --limit 100 | head -1")
    assert (codes, out.count("\n"), said) == (["141", "0"], 1, "")


@pytest.mark.parametrize("options", ["", "--json"])
@pytest.mark.parametrize("command", ["collections", "check iocs.txt"])
def test_every_command_does_so(partner: Medallion, command: str, options: str) -> None:
    Path("iocs.txt").write_text("evil-portal.top\n")
    codes, _, said = shell(f"{COMMAND} {command} {options} | exec <&-")
    assert (codes[0], said) == ("141", "")


def test_the_cursor_never_moves_beyond_what_was_written(partner: Medallion) -> None:
    partner.add(*(indicator(n) for n in range(300)))
    poll = f"{COMMAND} poll {COLLECTION} --limit 100 --state s"
    shell(f"{poll} | (exec <&-; sleep 0.1)")
    _, first, _ = shell(f"{poll} | (sleep 1; cat > first)")
    written = Path("first").read_text().splitlines()
    assert [json.loads(line) for line in written] == [indicator(n) for n in range(300)]
    assert first == ""


def test_an_output_that_takes_no_more_is_1_and_moves_no_cursor(partner: Medallion) -> None:
    partner.add(*(indicator(n) for n in range(300)))
    codes, _, said = shell(f"{COMMAND} poll {COLLECTION} --state s > /dev/full")
    assert (codes, said) == (["1"], "tocsin: No space left on device: address, file or output\n")
    _, out, _ = shell(f"{COMMAND} poll {COLLECTION} --state s")
    assert out.count("\n") == 300


@pytest.mark.parametrize("command", ["conformance --list", "collection list --data d"])
def test_the_hubs_commands_do_so_too(alone: None, command: str) -> None:
    codes, _, said = shell(f"{BIN}/tocsin-hub {command} | exec <&-")
    assert codes[0] == "141" and "Broken pipe" not in said and "Traceback" not in said


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["check iocs.txt", "check iocs.txt --json", "check --help"])
def test_a_command_whose_streams_are_closed_does_its_work(
    alone: None, command: str, closed: str
) -> None:
    Path("iocs.txt").write_text("evil-portal.top\n")
    codes, _, said = shell(f"{COMMAND} {command} {closed}")
    assert codes == ["0"] and "Traceback" not in said
    ran = subprocess.run(
        ["bash", "-c", f"{COMMAND} check nofile {closed}"], check=False, timeout=30
    )
    assert ran.returncode == 1


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_no_file_of_a_hub_takes_the_place_of_a_closed_stream(alone: None, closed: str) -> None:
    codes, _, said = shell(f"{BIN}/tocsin-hub collection list --data d {closed}")
    assert codes == ["0"] and "Traceback" not in said
    codes, out, _ = shell(f"{BIN}/tocsin-hub collection list --data d")
    assert codes == ["0"] and "green" in out


def test_an_interrupted_command_of_the_hub_is_130_without_a_traceback(
    alone: None, tmp_path: Path
) -> None:
    line: list[str | Path] = [BIN / "tocsin-hub", "collection", "list", "--data", "d"]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as command:
        deadline = time.monotonic() + 30
        while not (tmp_path / "d").exists():
            assert time.monotonic() < deadline, "nothing began"
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert (command.returncode, said.splitlines()[-1]) == (130, "tocsin-hub: interrupted")
    assert "Traceback" not in said
