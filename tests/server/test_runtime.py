"""The hub's start and end."""

import subprocess
import sys

_SIGNAL_AT_THE_WORST_MOMENT = """
import signal, threading
from tocsin.server import runtime
stop = threading.Event()
runtime._stop_on_signal(stop)
with stop._cond:  # as for a moment in `stop.wait`
    signal.raise_signal(signal.SIGTERM)
assert stop.wait(10)
"""


def test_a_signal_that_comes_when_the_hub_begins_to_wait_ends_it() -> None:
    command = [sys.executable, "-c", _SIGNAL_AT_THE_WORST_MOMENT]
    assert subprocess.run(command, check=False, timeout=30).returncode == 0
