"""A process that has ended is known by its mark, and taken for no other one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.presence import present

from tocsin.server.processes import liveness
from tocsin.server.processes.liveness import ProcessMark, find_own_mark, has_ended


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def mark_of(process: subprocess.Popen[bytes]) -> ProcessMark:
    _, started = present(liveness._read_state(process.pid))
    return present(find_own_mark())._replace(number=process.pid, started=started)


def test_a_living_process_has_not_ended(child: subprocess.Popen[bytes]) -> None:
    assert not has_ended(mark_of(child))
    assert not has_ended(present(find_own_mark()))


def test_a_killed_process_has_ended_before_and_after_its_parent_takes_note(
    child: subprocess.Popen[bytes],
) -> None:
    mark = mark_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(mark)
    child.wait()
    assert has_ended(mark)


def test_another_process_with_its_number_is_not_taken_for_it() -> None:
    own = present(find_own_mark())
    assert has_ended(own._replace(started=own.started - 1))


def test_a_process_that_cannot_be_looked_at_counts_as_living(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(number: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(liveness, "_read_state", lambda number: None)
    assert not has_ended(ProcessMark("m", 1, 1))


def test_nothing_is_known_where_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", fail)
    assert find_own_mark() is None
