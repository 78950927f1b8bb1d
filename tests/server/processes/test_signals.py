"""How the signals that end a process are heeded."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from tocsin.server.processes.signals import call_at_sighup

_SIGNAL_AT_THE_WORST_MOMENT = """
import signal, threading
from tocsin.server.processes import signals
stop = threading.Event()
signals.stop_on_signal(stop)
with stop._cond:  # as for a moment in `stop.wait`
    signal.raise_signal(signal.SIGTERM)
assert stop.wait(10)
"""


_SIGNAL_IN_ANOTHER_THREAD = """
import signal, threading, time
from tocsin.server.processes import signals
stop = threading.Event()
signals.stop_on_signal(stop)
def send():
    time.sleep(0.2)  # the main thread waits by then
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=send).start()
signals.await_stop(stop)
"""


@pytest.mark.slow
def test_a_signal_that_another_thread_receives_ends_the_hub() -> None:
    command = [sys.executable, "-c", _SIGNAL_IN_ANOTHER_THREAD]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_a_signal_that_comes_when_the_hub_begins_to_wait_ends_it() -> None:
    command = [sys.executable, "-c", _SIGNAL_AT_THE_WORST_MOMENT]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


@pytest.fixture
def _handler() -> Iterator[None]:
    earlier = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, earlier)


@pytest.mark.usefixtures("_handler")
def test_signals_that_come_during_a_call_are_one_further_call() -> None:
    begun: SimpleQueue[None] = SimpleQueue()
    may_end = threading.Event()

    def act() -> None:
        begun.put(None)
        may_end.wait(60)

    call_at_sighup(act)
    signal.raise_signal(signal.SIGHUP)
    begun.get(timeout=10)
    for _ in range(300):  # each of them waited in the one before, until the hub ended
        signal.raise_signal(signal.SIGHUP)
    may_end.set()
    begun.get(timeout=10)
    assert begun.empty()


@pytest.mark.usefixtures("_handler")
def test_a_call_that_fails_prevents_neither_others_nor_the_next() -> None:
    failed, done = SimpleQueue[None](), SimpleQueue[None]()

    def fail() -> None:
        failed.put(None)
        raise OSError

    call_at_sighup(fail)
    call_at_sighup(lambda: done.put(None))
    for _ in range(2):
        signal.raise_signal(signal.SIGHUP)
        failed.get(timeout=10)
        done.get(timeout=10)
