"""Runs programs on a terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence
from contextlib import closing, suppress

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""The sequences that colour text and move the cursor."""


def run_on_terminal(
    command: Sequence[object],
    columns: int,
    timeout: float,
    typed: str = "",
    answers: Sequence[tuple[str, str]] = (),
) -> tuple[int, str]:
    """Return the exit code, and everything written to the terminal (standard output and error).

    `typed` is there from the beginning.  Each of `answers` is typed after its question.
    """
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "CI")}
    with closing(os.fdopen(ours, "rb", buffering=0)) as screen:
        program = subprocess.Popen(
            [str(word) for word in command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment | {"TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(theirs)
        written, waiting = bytearray(), list(answers)
        overdue = threading.Timer(timeout, program.kill)  # it may wait for another answer
        overdue.start()
        with suppress(OSError):  # the terminal is closed when the last program has ended
            while read := screen.read(65_536):
                written += read
                if waiting and waiting[0][0].encode() in written:
                    os.write(screen.fileno(), waiting.pop(0)[1].encode())
        overdue.cancel()
        return program.wait(timeout), written.decode()


def with_controlling_terminal(command: str) -> list[str]:
    """Return the command that runs a command of the shell, for which `/dev/tty` is its terminal."""
    opens = "import os; os.open(os.ttyname(0), os.O_RDWR); "
    return [sys.executable, "-c", f"{opens}os.execv('/bin/sh', ['sh', '-c', {command!r}])"]


def lines_of(written: str) -> list[str]:
    """Return the lines that remain on the screen, without colours and overwritten text."""
    plain = CONTROL.sub("", written).replace("\r\n", "\n")
    return [line.rpartition("\r")[2].rstrip() for line in plain.split("\n")]
