"""The program of a process that answers: `python -m tocsin.server.answering.program [console]`.

It answers the requests of clients, or the console's.  It reads its `AnsweringSetup` from standard
input, and ends when that ends.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

from tocsin.server.answering.processes import CONSOLE, READY, decode_setup
from tocsin.server.processes.forking import ANSWERING_NAME, CONSOLE_NAME, name_process
from tocsin.server.processes.log import begin_log
from tocsin.server.processes.signals import await_stop, stop_on_signal
from tocsin.server.serving import answer_apart, answer_console_apart
from tocsin.server.store import Clock, wall_clock

_STDIN, _STDOUT = 0, 1
_PIECE = 65_536
_END_SECONDS = 3
"""Seconds to finish requests when the first process is gone."""


def main(clock: Clock = wall_clock, *, serves_console: bool = False) -> int:
    """Answer until SIGTERM, or until the hub's first process ends."""
    stop = threading.Event()
    stop_on_signal(stop)
    name_process(CONSOLE_NAME if serves_console else ANSWERING_NAME)
    setup = decode_setup(_read_line())
    begin_log(setup.settings.log_level)
    answer = answer_console_apart if serves_console else answer_apart
    with answer(setup, socket.socket(fileno=setup.socket_fd), stop, clock):
        threading.Thread(target=_await_end, args=(stop,), daemon=True).start()
        os.write(_STDOUT, READY)
        await_stop(stop)
    return 0


def _read_line() -> bytes:
    """The first line of standard input.  Not buffered: a thread waits for its end later."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(_STDIN, _PIECE)
        if not part:
            raise SystemExit(0)  # the first process ended before it had a database
        line += part
    return line


def _await_end(stop: threading.Event) -> None:
    """Stop when standard input ends: the process that started this one is gone."""
    while os.read(_STDIN, _PIECE):
        pass
    stop.set()
    time.sleep(_END_SECONDS)
    os._exit(1)  # the database may be gone as well


if __name__ == "__main__":
    sys.exit(main(serves_console=CONSOLE in sys.argv[1:]))
