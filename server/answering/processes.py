"""The processes that answer requests: started, watched, replaced and ended by the hub's first one.

All of them accept connections at one socket.  The first ones begin as copies of the hub's first
process, before it has threads, where the system allows it; others are programs of their own.  One
that ends by itself is replaced; what it had begun is given to others at once.  They end when the
first process does, because their standard input does.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tocsin.admission.bounded_process import count_processors
from tocsin.admission.errors import Unavailable
from tocsin.config.settings import HubSettings
from tocsin.server.processes.counters import SHARING
from tocsin.server.processes.forking import ForkedProcess, can_fork
from tocsin.server.processes.memory import ARENA_MAX, ARENA_VARIABLE

log = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "tocsin.server.answering.program")
CONSOLE = "console"
"""The argument of the one that serves the console."""
READY = b"ready\n"
"""The line by which a process says that it answers."""
_START_SECONDS = 60
_STOP_SECONDS = 70
"""Seconds that a process has to finish its requests: longer than the server drains."""
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
"""Seconds until one that ended is replaced; the pause doubles while they end soon."""
_SOON = 60.0
"""Seconds of life after which the end of a process counts as its first."""
_Child = subprocess.Popen[bytes] | ForkedProcess
_MOST_BY_DEFAULT = 4
"""Processes that answer, if the settings do not say how many."""
Answer = Callable[[], int]
"""Runs a process that answers, until it ends; its exit code."""


def count_answering(settings: HubSettings) -> int:
    """The number of processes that answer requests; 0: the first one does it itself."""
    if settings.answering_processes >= 0:
        return settings.answering_processes
    processors = count_processors()
    return 0 if processors == 1 else min(_MOST_BY_DEFAULT, processors // 2)


class AnsweringSetup(msgspec.Struct, frozen=True):
    """The configuration of a process: one line of JSON at its standard input.  Holds secrets."""

    settings: HubSettings
    policy: str
    """The text of the policy in force, which the file may not have any more."""
    uri: str
    """URI of the database; may hold a password."""
    shared_folder: str
    """Its path; empty: there is none."""
    socket_fd: int
    """The descriptor of the bound socket."""
    processes: int
    """The number of processes that answer."""
    main_pid: int
    """The id of the hub's first process."""
    place: int = 0
    """The place of the process itself among them, from 0."""
    name: str = ""
    """The name of the process itself, under which it leases submissions and tasks."""
    console: str = ""
    """The path of the console's socket; empty: those that answer also serve the console."""


def encode_setup(setup: AnsweringSetup) -> bytes:
    """A setup as one line."""
    return msgspec.json.encode(setup, enc_hook=str) + b"\n"


def decode_setup(line: bytes) -> AnsweringSetup:
    """The setup of `encode_setup`."""
    return msgspec.json.decode(line, type=AnsweringSetup, dec_hook=_decode_path)


def _decode_path(kind: type, value: Any) -> Path:
    if kind is not Path:
        raise NotImplementedError(kind)
    return Path(value)


class AnsweringProcesses:
    """The processes that answer requests; they start at once, and answer after `begin`."""

    def __init__(
        self,
        count: int,
        listening: socket.socket,
        program: Sequence[str] = PROGRAM,
        answer: Answer | None = None,
    ) -> None:
        """`answer` does in a copy of this process what `program` does; None: make no copies."""
        self._program, self._socket = program, listening
        self._stopping = threading.Event()
        self._deadline = math.inf
        """Until when they may finish their requests; see `begin_stop`."""
        self._setup: AnsweringSetup | None = None
        self._note_death: Callable[[int, str], None] = lambda place, name: None
        self._children = [self._begin(answer) for _ in range(count)]
        self._names = [""] * count
        self._watchers: list[threading.Thread] = []

    def begin(self, setup: AnsweringSetup, note_death: Callable[[int, str], None]) -> None:
        """Let all of them answer; returns when they do.

        `note_death` is called with the place and the name of each process that ends by itself.
        Raises Unavailable if one does not start.
        """
        self._setup, self._note_death = setup, note_death
        for place, child in enumerate(self._children):
            self._names[place] = _introduce(child, setup, place)
        deadline = time.monotonic() + _START_SECONDS
        for child in self._children:
            if not _is_ready(child, deadline):
                raise Unavailable(
                    "a process that answers requests did not start: see its error message above"
                )
        for place in range(len(self._children)):
            watcher = threading.Thread(target=self._watch, args=(place,), daemon=True)
            self._watchers.append(watcher)
            watcher.start()

    def signal(self, number: int) -> None:
        """Send a signal to all of them."""
        for child in list(self._children):
            child.send_signal(number)  # nothing happens if it has ended

    def begin_stop(self) -> None:
        """Ask all of them to end; they finish the requests that they have begun."""
        self._stopping.set()
        self._deadline = min(self._deadline, time.monotonic() + _STOP_SECONDS)
        self._socket.close()  # else those who connect would wait instead of being refused
        for child in list(self._children):
            if self._setup is None:
                child.kill()  # it has nothing in hand, and would wait for its setup
            else:
                child.terminate()

    def stop(self) -> None:
        """End all of them, and wait for it."""
        self.begin_stop()
        for watcher in self._watchers:
            watcher.join(max(0.1, self._deadline - time.monotonic()))
        for place, child in enumerate(self._children):
            try:
                child.wait(max(0.1, self._deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _end(child)
                self._report_death(place)
            _end(child)

    def _begin(self, answer: Answer | None) -> _Child:
        """Start a process; as a copy of this one, if that is possible."""
        # The child has SIGHUP blocked until it can read the certificate again.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            if answer is not None and can_fork():
                return ForkedProcess(answer, {self._socket.fileno()})
            environment = {name: value for name, value in os.environ.items() if name != SHARING}
            environment.setdefault(ARENA_VARIABLE, str(ARENA_MAX))
            return subprocess.Popen(  # noqa: S603  (our own program, no shell)
                self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(self._socket.fileno(),),
                env=environment,
                start_new_session=True,  # a terminal's Ctrl-C is for us to handle
            )
        except OSError as error:
            raise Unavailable(f"a process cannot be started: {error.strerror}") from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _watch(self, place: int) -> None:
        """Replace the process at a place whenever it ends, until `stop`."""
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = self._children[place].wait()
            if self._stopping.is_set():
                return
            log.error("a process that answers requests ended (exit code %d); another starts", code)
            self._report_death(place)
            _end(self._children[place])
            if time.monotonic() - began > _SOON:
                pause = _FIRST_PAUSE
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._replace(place)

    def _report_death(self, place: int) -> None:
        name, self._names[place] = self._names[place], ""
        if not name:  # it was never started
            return
        try:
            self._note_death(place, name)
        except Exception:  # it is tried again, and its leases run out by themselves
            log.exception("the work of a process that ended is released later")

    def _replace(self, place: int) -> None:
        """Start another process.  One that does not start is ended, and noticed."""
        assert self._setup is not None  # noqa: S101  (`begin` was called)
        try:
            child = self._begin(None)
        except Unavailable:
            log.exception("no process can be started")
            return
        self._children[place] = child
        self._names[place] = _introduce(child, self._setup, place)
        if self._stopping.is_set():
            child.terminate()
        if not _is_ready(child, time.monotonic() + _START_SECONDS):
            child.kill()


def _introduce(child: _Child, setup: AnsweringSetup, place: int) -> str:
    """Send a process its setup; its name."""
    name = uuid.uuid4().hex
    line = encode_setup(msgspec.structs.replace(setup, place=place, name=name))
    assert child.stdin is not None  # noqa: S101  (it is a pipe)
    with suppress(OSError):  # it has ended, which is noticed
        view = memoryview(line)
        while view:
            view = view[os.write(child.stdin.fileno(), view) :]
    return name


def _is_ready(child: _Child, deadline: float) -> bool:
    """Wait until a process says that it answers; False if it does not in time."""
    assert child.stdout is not None  # noqa: S101  (it is a pipe)
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), child.kill)
    timer.start()
    try:
        return child.stdout.readline() == READY
    finally:
        timer.cancel()


def _end(child: _Child) -> None:
    with suppress(OSError), child:  # closes its pipes, and waits for its end
        child.kill()
