"""The standard streams of a command, whatever the shell that started it made of them."""

import os
import sys

INTERRUPTED, PIPE_CLOSED = 130, 141
"""What a shell shows for programs that a signal ended: 128 and its number."""


def opened() -> None:
    """Has the streams that are closed (`>&-`) lead nowhere, so that no file takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def dropped() -> None:
    """What is still in the buffer of standard output must not complain at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
