"""Standard streams and exit codes of the two commands, `tocsin` and `tocsin-hub`."""

import os
import sys

DONE, FAILED, WRONG_USAGE, UNAVAILABLE, PARTLY = 0, 1, 2, 3, 4
"""Exit codes.  UNAVAILABLE: the hub or its database cannot be reached.  PARTLY: some objects failed
or were not sent, others were taken."""
INTERRUPTED, PIPE_CLOSED = 130, 141
"""The exit codes that shells report for SIGINT and SIGPIPE: 128 and the signal's number."""


def open_missing_streams() -> None:
    """Connect streams that the shell closed (`>&-`) to the null device.

    Otherwise the next file that is opened would take the place of standard output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def discard_output() -> None:
    """Send what standard output still holds in its buffer to the null device.

    Otherwise Python would report the closed pipe once more at exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
