"""Standard streams and exit codes of the two commands, `tocsin` and `tocsin-hub`."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

DONE, FAILED, WRONG_USAGE, UNAVAILABLE, PARTLY = 0, 1, 2, 3, 4
"""Exit codes.  UNAVAILABLE: the hub or its database cannot be reached.  PARTLY: some objects failed
or were not sent, others were taken."""
STANDARD_OUTPUT = "standard output"
"""The name of standard output in errors."""
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
"""The exit codes that shells report for SIGINT, SIGPIPE and SIGTERM: 128 and its number."""


class _StandardOutput(BufferedWriter):
    """Names itself in its errors; otherwise those of a full disk say nothing of where it was.

    A pipe that the shell or another program made non-blocking is waited for until it has room.
    Its file is Python's own: if one of ours counted what the system takes, an interrupt could come
    before the count is noted, and the same octets would be written once more at the exit.
    """

    def write(self, octets: Any) -> int:
        """See io."""
        rest = memoryview(octets)
        while True:
            try:
                super().write(rest)
                return len(octets)
            except BlockingIOError as error:
                rest = rest[error.characters_written :]
                self._wait()
            except OSError as error:
                error.filename = STANDARD_OUTPUT
                raise

    def flush(self) -> None:
        """See io."""
        while True:
            try:
                return super().flush()
            except BlockingIOError:
                self._wait()
            except OSError as error:
                error.filename = STANDARD_OUTPUT
                raise

    def _wait(self) -> None:
        """Wait until a non-blocking pipe has room."""
        select.select((), (self,), ())


def prepare_streams() -> None:
    """Let every character be printed and errors name standard output; replace closed streams.

    A character that the terminal's encoding lacks is written as an escape, as Python does on
    standard error.  Streams that the shell closed (`>&-`) lead to the null device: otherwise the
    next file that is opened would take the place of standard output.  That one is opened for
    reading only, so that a write to it fails as on a full disk: otherwise a command would report as
    delivered what nobody has.
    """
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY))
    if sys.stdout is None:
        sys.stdout = _open_output(os.open(os.devnull, os.O_RDONLY), "utf-8")
    elif sys.stdout is sys.__stdout__:
        sys.stdout = _reopen(sys.__stdout__)
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _reopen(output: TextIOWrapper[Any]) -> TextIOWrapper[Any]:
    """Standard output as Python opened it; without a buffer there (PYTHONUNBUFFERED), by lines."""
    by_line = output.line_buffering or isinstance(output.buffer, FileIO)
    return _open_output(output.fileno(), output.encoding, by_line=by_line)


def _open_output(number: int, encoding: str, *, by_line: bool = False) -> TextIOWrapper[Any]:
    """Standard output at a file's number, which stays open."""
    buffer = _StandardOutput(FileIO(number, "w", closefd=False))
    return TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=by_line)


def discard_closed_output() -> None:
    """Let a service run on whose standard output the shell closed: it only says what it does."""
    if sys.__stdout__ is None:
        discard_output()


@contextmanager
def passing_note(text: str) -> Iterator[None]:
    """Show a text on a terminal's standard error for as long as the block takes."""
    if not text or not sys.stderr.isatty():
        yield
        return
    print(text, end="\r", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print(" " * len(text), end="\r", file=sys.stderr, flush=True)


def discard_output() -> None:
    """Send what standard output still holds in its buffer to the null device.

    Otherwise Python would report the closed pipe once more at exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
