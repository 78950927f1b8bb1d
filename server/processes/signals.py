"""Every process of a hub ends at a signal, and writes its log in this format."""

from __future__ import annotations

import signal
import threading
from _thread import start_new_thread
from types import FrameType

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
"""The format of a line in the log."""
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
