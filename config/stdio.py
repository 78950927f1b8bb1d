"""Standard streams and exit codes of the two commands, `tocsin` and `tocsin-hub`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DONE, FAILED, WRONG_USAGE, UNAVAILABLE, PARTLY = 0, 1, 2, 3, 4
"""Exit codes.  UNAVAILABLE: the hub or its database cannot be reached.  PARTLY: some objects failed
or were not sent, others were taken."""
INTERRUPTED, PIPE_CLOSED = 130, 141
"""The exit codes that shells report for SIGINT and SIGPIPE: 128 and the signal's number."""


def open_missing_streams() -> None:
    """Connect streams that the shell closed (`>&-`) to the null device.

    Otherwise the next file that is opened would take the place of standard output.  That one is
    opened for reading only, so that a write to it fails as on a full disk: otherwise a command
    would report as delivered what nobody has.
    """
    for name, mode, flags in (
        ("stdin", "r", os.O_RDONLY),
        ("stdout", "w", os.O_RDONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


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
