"""Attempts on the event loop's thread, which reads and writes all connections and must not block.

A poll for which everything is in memory is answered on that thread: handing it to another one and
back costs more than the answer.  Whatever asks the database, waits, or computes for long calls
`check_may_block` first; on that thread it ends the attempt, and the request is answered on a thread
of the pool.  Until then an attempt must not have changed anything that counts twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_thread = threading.local()


class WouldBlock(BaseException):
    """The request cannot be answered from memory; no error handler must catch this."""


def check_may_block() -> None:
    """Call before anything that blocks.  Raises WouldBlock on the event loop's thread."""
    if getattr(_thread, "nonblocking", False):
        raise WouldBlock


def run_nonblocking(work: Callable[[], T]) -> T:
    """Run `work` on this thread.  Raises WouldBlock as soon as it would block."""
    _thread.nonblocking = True
    try:
        return work()
    finally:
        _thread.nonblocking = False
