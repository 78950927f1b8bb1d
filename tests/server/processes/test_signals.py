"""How the signals that end a process are heeded."""

import subprocess
import sys

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


def test_a_signal_that_another_thread_receives_ends_the_hub() -> None:
    command = [sys.executable, "-c", _SIGNAL_IN_ANOTHER_THREAD]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_a_signal_that_comes_when_the_hub_begins_to_wait_ends_it() -> None:
    command = [sys.executable, "-c", _SIGNAL_AT_THE_WORST_MOMENT]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0
