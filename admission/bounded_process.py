"""Run code that cannot be trusted with hostile input in processes with limits.

Compilers of foreign pattern languages and the converter of STIX 1.x are large,
are written by others, and can be made to compute for minutes by a few kilobytes.
A `BoundedTask` runs such code in processes of its own, each limited in processor
time and memory; see `bounded_program.py` for their side.

Processor time, not time on the wall, decides about a request, so a busy machine
comes to the same result as an idle one.  The wall clock is only a backstop: if it
runs out, nothing is decided and the caller has to try again later.  One thing that
is not the request's own can count against it: two processes in a row that die
without a reason, for instance killed by the system, which is short of memory.

Processes start with the first request and are kept for the next.  They end with
this process, because their standard input does; the kernel's signal at the end of
a parent is not used, for it already comes when the *thread* that started them ends.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

from tocsin.admission.errors import Unavailable

log = logging.getLogger(__name__)

_PROGRAM = Path(__file__).with_name("bounded_program.py")
_ANSWER_HEAD = struct.Struct("!BdQ")
_ANSWER, _END, _FAILED, _NOT_READY = range(4)
"""See `bounded_program.py`, which cannot be imported everywhere."""
_CHUNK = 1 << 20
_Result = TypeVar("_Result")
_BUSY = "a check could not be made because this system is too busy: try again later"


class Exceeded(StrEnum):
    """A limit that a request exceeded."""

    TIME = "time"
    MEMORY = "memory"
    CRASH = "crash"  # it ended its process in another way


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one process."""

    seconds: float
    """Processor time for one request."""
    memory: int
    """Octets of address space.  Not enforced on macOS."""
    answer: int
    """Octets of the longest answer."""
    wall: float = 60.0
    """Seconds until a process that does not answer is ended without a result."""
    file_octets: int = 0
    """The longest file that may be written while the task is loaded, in an empty home directory
    that is removed afterwards.  None can be written while it answers."""
    requests: int = 100_000
    """Requests that one process answers before another takes its place."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one request."""

    content: bytes
    """The answer; empty if a limit was exceeded."""
    seconds: float
    """Processor time."""
    exceeded: Exceeded | None = None


class RememberedResults(Generic[_Result]):
    """The results of the last requests, by a hash of each.  Safe for threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: OrderedDict[bytes, _Result] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: bytes) -> _Result | None:
        """The result under a key; None if it is not remembered."""
        with self._lock:
            found = self._results.get(key)
            if found is not None:
                self._results.move_to_end(key)
            return found

    def keep(self, key: bytes, result: _Result) -> None:
        """Remember a result, and forget the one that nobody asked for the longest."""
        with self._lock:
            self._results[key] = result
            if len(self._results) > self._most:
                self._results.popitem(last=False)


@cache
def is_supported() -> bool:
    """True if this system can limit a process."""
    return importlib.util.find_spec("resource") is not None and hasattr(select, "poll")


def count_processors() -> int:
    """The processors that this program may use, which can be fewer than the machine has."""
    with suppress(AttributeError):  # Linux has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class BoundedTask:
    """Code that answers requests in processes with limits; safe for threads.

    `task` names it: see `bounded_program.main`.
    """

    def __init__(self, task: str, limits: Limits, most: int | None = None) -> None:
        """`most`: processes that compute at the same time; by default one for each core."""
        self._task = task
        self._limits = limits
        self._most = most or max(2, min(4, count_processors()))
        self._idle: list[_Process] = []
        self._working: dict[_Process, str] = {}
        """The processes that compute, and for whom."""
        self._waiting: list[_Turn] = []
        self._changed = threading.Condition()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def run(self, requests: Sequence[bytes], owner: str = "") -> list[Outcome]:
        """The outcomes of the first requests, at least of one; ask again for the rest.

        Each owner has one process at a time, so that none of them can keep the others waiting.
        Raises Unavailable if nothing could be found out: the system is too busy, or it cannot
        start a process.
        """
        with self._process(owner) as process:
            outcomes = process.run(requests)
        if outcomes:
            return outcomes
        # It need not be the request that ended the process: a fresh one decides.
        with self._process(owner, fresh=True) as process:
            return process.run(requests[:1]) or [process.failure()]

    def close(self) -> None:
        """End all processes.  The next request starts others."""
        with self._changed:
            idle, self._idle = self._idle, []
            for process in self._working:
                process.kill()
        for process in idle:
            process.close()

    @contextmanager
    def _process(self, owner: str, fresh: bool = False) -> Iterator[_Process]:
        process = self._take(owner, fresh)
        try:
            yield process
        finally:
            self._give_back(process)

    def _take(self, owner: str, fresh: bool) -> _Process:
        turn = _Turn(owner)
        with self._changed:
            self._waiting.append(turn)
            try:
                if not self._changed.wait_for(lambda: self._is_next(turn), self._limits.wall):
                    raise Unavailable(_BUSY)
                process = (None if fresh else self._pop_idle()) or _Process(
                    self._task, self._limits
                )
                self._working[process] = owner
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
            return process

    def _is_next(self, turn: _Turn) -> bool:
        """True for the first of those who wait and whose owner has no process."""
        if len(self._working) >= self._most:
            return False
        busy = set(self._working.values())
        return next((each for each in self._waiting if each.owner not in busy), None) is turn

    def _pop_idle(self) -> _Process | None:
        while self._idle:
            process = self._idle.pop()
            if process.is_alive():
                return process
            process.close()
        return None

    def _give_back(self, process: _Process) -> None:
        with self._changed:
            self._working.pop(process, None)
            keep = not self._idle and process.is_alive()
            if keep:
                self._idle.append(process)
            self._changed.notify_all()
        if not keep:
            process.close()

    def _forget(self) -> None:
        """After a fork: the processes belong to the parent."""
        for process in (*self._idle, *self._working):
            process.disown()
        self._idle, self._working, self._waiting = [], {}, []
        self._changed = threading.Condition()


@dataclass(frozen=True, eq=False)
class _Turn:
    """One request that waits for a process."""

    owner: str


class ProcessPipes:
    """Standard input and output of a child process; deadlines are on the monotonic clock.

    To read and to write raises EOFError if the child has ended, TimeoutError if it is late.
    """

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdin and child.stdout  # noqa: S101  (they are pipes)
        self._stdin, self._stdout = child.stdin, child.stdout
        self._received = bytearray()
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)

    def write(self, octets: bytes, deadline: float) -> None:
        """Write all of it."""
        descriptor, left = self._stdin.fileno(), memoryview(octets)
        while left:
            _wait_for(descriptor, select.POLLOUT, deadline)
            try:
                left = left[os.write(descriptor, left[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise EOFError from None

    def read(self, size: int, deadline: float) -> bytes:
        """Read exactly this number of octets."""
        descriptor, received = self._stdout.fileno(), self._received
        while len(received) < size:
            _wait_for(descriptor, select.POLLIN, deadline)
            try:
                part = os.read(descriptor, _CHUNK)
            except BlockingIOError:
                continue
            if not part:
                raise EOFError
            received += part
        taken = bytes(received[:size])
        del received[:size]
        return taken

    def close(self) -> None:
        """Close both."""
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()


def _wait_for(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


class _Process:
    """One process; for one thread at a time."""

    def __init__(self, task: str, limits: Limits) -> None:
        self._task = task
        self._limits = limits
        self._left = limits.requests
        self._home = ""
        command = [
            *(sys.executable, "-I", str(_PROGRAM), task),
            *(str(limits.seconds), str(limits.memory), str(limits.file_octets)),
        ]
        try:
            if limits.file_octets:
                self._home = tempfile.mkdtemp(prefix="tocsin-")
            self._child = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env={"HOME": self._home} if self._home else {},
                start_new_session=True,  # a terminal's Ctrl-C is for us to handle
            )
        except OSError as error:
            self._remove_home()
            raise Unavailable(f"a check could not be started: {error.strerror}") from error
        self._pipes = ProcessPipes(self._child)

    def is_alive(self) -> bool:
        """True if it can answer another request."""
        return self._left > 0 and self._child.poll() is None

    def run(self, requests: Sequence[bytes]) -> list[Outcome]:
        """The outcomes of the first requests; empty if the process ended for an unclear reason."""
        requests = requests[: self._left]
        left, self._left = self._left - len(requests), 0
        deadline = time.monotonic() + self._limits.wall
        outcomes: list[Outcome] = []
        try:
            with suppress(EOFError):  # it ended before it read them, but may have said why
                self._write(requests, deadline)
            while (outcome := self._read_outcome(deadline)) is not None:
                outcomes.append(outcome)
                if outcome.exceeded is Exceeded.MEMORY:
                    return outcomes  # the rest of an answer must not be read as the next ones
            self._left = left
        except EOFError:
            outcomes += self._end_of_time()
        except TimeoutError:
            self._child.kill()
            raise Unavailable(_BUSY) from None
        return outcomes[: len(requests)]

    def failure(self) -> Outcome:
        """The reason why the process ended."""
        code = self._wait()
        no_memory = code == -signal.SIGABRT  # as do programs in Rust and C++ without memory
        return Outcome(b"", 0.0, Exceeded.MEMORY if no_memory else Exceeded.CRASH)

    def kill(self) -> None:
        """End it; the thread that uses it will find out."""
        self._child.kill()

    def close(self) -> None:
        """End it, whatever it does."""
        self._child.kill()
        self._wait()
        self._pipes.close()
        self._remove_home()

    def disown(self) -> None:
        """Let go of another process's child."""
        self._child.returncode = 0
        self._pipes.close()

    def _write(self, requests: Sequence[bytes], deadline: float) -> None:
        sizes = struct.pack(f"!I{len(requests)}Q", len(requests), *map(len, requests))
        self._pipes.write(b"".join((sizes, *requests)), deadline)

    def _read_outcome(self, deadline: float) -> Outcome | None:
        """The next answer; None at the end of the frame."""
        kind, seconds, size = _ANSWER_HEAD.unpack(self._pipes.read(_ANSWER_HEAD.size, deadline))
        if kind == _END:
            return None
        if size > self._limits.answer:
            self._child.kill()
            return Outcome(b"", seconds, Exceeded.MEMORY)
        content = self._pipes.read(size, deadline)
        if kind == _ANSWER:
            return Outcome(content, seconds)
        log.error("%s failed: %s", self._task, ascii(content.decode(errors="replace")))
        if kind == _NOT_READY:
            raise Unavailable("a check could not be made: its library cannot be loaded")
        return Outcome(b"", seconds, Exceeded.CRASH)

    def _end_of_time(self) -> list[Outcome]:
        """The outcome of the request during which the process ran out of processor time."""
        if self._wait() not in (-signal.SIGPROF, -signal.SIGXCPU):
            return []
        return [Outcome(b"", self._limits.seconds, Exceeded.TIME)]

    def _wait(self) -> int:
        try:
            return self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def _remove_home(self) -> None:
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)
