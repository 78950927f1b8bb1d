"""The thread of the event loop, which reads and writes all connections and so must never wait.

A poll for which everything is in memory is answered on that thread: handing it to another one and
back costs more than the answer.  Whatever asks the database, waits, or computes for long calls
`check_may_wait` first; on that thread it ends the attempt, and the request is answered on a thread
that may wait.  Until then an attempt must not have changed anything that counts twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_thread = threading.local()


class MustWait(BaseException):
    """The request cannot be answered from memory; no error handler must catch this."""


def check_may_wait() -> None:
    """Raises MustWait where nothing may wait."""
    if getattr(_thread, "never_waits", False):
        raise MustWait


def run_without_waiting(work: Callable[[], T]) -> T:
    """Do `work` on this thread.  Raises MustWait if it would have to wait."""
    _thread.never_waits = True
    try:
        return work()
    finally:
        _thread.never_waits = False
