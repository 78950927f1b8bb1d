"""Become the embedded database engine, tied to the process that started it.

`embedded.py` runs this file as a program; it imports nothing of ours and nothing
of the engine's.  It asks the kernel to kill this process when its parent ends,
and then replaces itself by the engine's own program, so that a hub that was
killed leaves no engine behind.  The engine journals every commit: being killed
loses nothing.  Requests to end are for its parent, which needs it to the end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_REQUESTS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that a service manager sends to all processes of a service at once."""


def main(parent: str, *program: str) -> None:
    """Run `program` until it or process `parent` ends.

    On other systems than Linux it outlives a parent that was killed, until it is stopped.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, _REQUESTS)  # the engine's program keeps this mask
    if os.getppid() == int(parent):  # else it ended before the kernel was asked
        os.execv(program[0], program)  # noqa: S606 - the program that embedded.py names


if __name__ == "__main__":
    main(*sys.argv[1:])
