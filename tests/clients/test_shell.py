"""Completion scripts and manual pages."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_asks_the_program_itself(tocsin: Run, shell: str) -> None:
    code, lines, stderr = tocsin("completion", shell)
    assert (code, stderr) == (0, "")
    assert f"_TOCSIN_COMPLETE={shell}_complete" in "\n".join(lines)


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_reads_its_completion_script(tocsin: Run) -> None:
    _, lines, _ = tocsin("completion", "bash")
    ran = subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_manual_page_has_synopsis_options_and_examples(tocsin: Run) -> None:
    code, lines, _ = tocsin("man", "push")
    assert (code, lines[0]) == (0, '.TH "TOCSIN-PUSH" "1" "" "Tocsin" "Tocsin"')
    for expected in (".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES"):
        assert expected in lines
    assert any(r"\-\-send\-held" in line for line in lines)


def test_all_pages_are_written_and_groff_takes_them(tocsin: Run, tmp_path: Path) -> None:
    assert tocsin("man", "--all", str(tmp_path / "man1"))[0] == 0
    pages = sorted((tmp_path / "man1").iterdir())
    assert {"tocsin.1", "tocsin-push.1", "tocsin-poll.1"} <= {page.name for page in pages}
    if shutil.which("groff"):
        ran = subprocess.run(
            ["groff", "-man", "-Tascii", "-Kutf8", "-ww", *map(str, pages)], capture_output=True
        )
        assert [line for line in ran.stderr.splitlines() if b"preconv" not in line] == []


def test_a_page_of_an_unknown_command_is_wrong_usage(tocsin: Run) -> None:
    assert tocsin("man", "nosuch")[0] == 2
