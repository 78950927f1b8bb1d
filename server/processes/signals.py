"""Signals that each process of a hub obeys.

A handler only notes that a signal has come: it interrupts the main thread wherever that is, even
within itself, so it must neither wait for a lock nor take long.
"""

from __future__ import annotations

import logging
import signal
import threading
from _thread import start_new_thread
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType

log = logging.getLogger(__name__)

_SIGNAL_SECONDS = 0.5
"""Seconds after which the main thread looks if a signal has come."""


def stop_on_signal(stop: threading.Event) -> None:
    """Set `stop` at SIGTERM or SIGINT."""

    def end(number: int, frame: FrameType | None) -> None:
        # Not here: this thread may hold the lock that `set` takes (`await_stop`).
        start_new_thread(stop.set, ())

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


def await_stop(stop: threading.Event) -> None:
    """Wait until `stop` is set.  For the main thread.

    The system may hand a signal to another thread; its handler runs when this one wakes up.
    """
    while not stop.wait(_SIGNAL_SECONDS):
        pass


def call_at_sighup(act: Callable[[], None]) -> None:
    """Let a thread call `act` after each SIGHUP, in addition to what was to be done before.

    Signals that come while it acts are one further call.
    """
    earlier = signal.getsignal(signal.SIGHUP)
    come: SimpleQueue[None] = SimpleQueue()  # its `put` may interrupt itself

    def note(number: int, frame: FrameType | None) -> None:
        if callable(earlier):
            earlier(number, frame)
        come.put(None)

    def work() -> None:
        while True:
            come.get()
            while not come.empty():
                come.get()
            try:
                act()
            except Exception:  # the next signal is heeded all the same
                log.exception("what SIGHUP asks for was not done")

    threading.Thread(target=work, name="sighup", daemon=True).start()
    signal.signal(signal.SIGHUP, note)
