"""The hub's start and end."""

import subprocess
import sys

from support.hub import HUB_SECRETS, HubInProcess, default_admission, indicator

from tocsin.server import runtime
from tocsin.server.store import Store

_SIGNAL_AT_THE_WORST_MOMENT = """
import signal, threading
from tocsin.server import runtime
stop = threading.Event()
runtime.stop_on_signal(stop)
with stop._cond:  # as for a moment in `stop.wait`
    signal.raise_signal(signal.SIGTERM)
assert stop.wait(10)
"""


_SIGNAL_IN_ANOTHER_THREAD = """
import signal, threading, time
from tocsin.server import runtime
stop = threading.Event()
runtime.stop_on_signal(stop)
def send():
    time.sleep(0.2)  # the main thread waits by then
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=send).start()
runtime.await_stop(stop)
"""


def test_a_signal_that_another_thread_receives_ends_the_hub() -> None:
    command = [sys.executable, "-c", _SIGNAL_IN_ANOTHER_THREAD]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_a_signal_that_comes_when_the_hub_begins_to_wait_ends_it() -> None:
    command = [sys.executable, "-c", _SIGNAL_AT_THE_WORST_MOMENT]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0


def test_the_queue_of_reviews_is_read_before_the_first_request(store: Store) -> None:
    hub = HubInProcess(store)
    hub.push(indicator(description="Reported by Jane Doe, who saw it"))
    assert store.review_queue.size is None
    policy = default_admission().policy
    runtime._read_reviews(runtime.Runtime(hub.settings, HUB_SECRETS, hub.services, policy))
    assert store.review_queue.size == 1
