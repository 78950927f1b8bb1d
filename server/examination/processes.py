"""Examine submissions in worker processes with limits of time and memory.

A hard submission then keeps no request waiting, and one that ends its process or
exceeds a limit ends nothing else: the next request starts another process.  The
processes end with this one, because their standard input does.

Their answers are decoded into values and nothing else, so a process that was
taken over by its input cannot run code in this one.
"""

from __future__ import annotations

import itertools
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tocsin.admission.bounded_process import ProcessPipes
from tocsin.admission.errors import Unavailable
from tocsin.admission.model import Candidate
from tocsin.config.settings import HubSettings
from tocsin.server.examination.examiner import ExaminationTask, WorkerEnded
from tocsin.server.examination.program import FRAME, Setup, WorkerAnswer, WorkerRequest
from tocsin.server.examination.reading import ReadFile, ReadTask

log = logging.getLogger(__name__)

_PROGRAM = "tocsin.server.examination.program"
_LOST = "an examination was lost with its process; it begins again"
_ENDED = "it ended"
_CLOSED = "the hub is stopping"
_LOADED = 300_000_000
"""Octets of address space of a process without a submission; measured: 96 MB are in use."""
_MEMORY_PER_OCTET = 32
"""Octets of memory for each octet of a submission; measured: up to 30, for small objects."""
_STARTING_SECONDS = 30.0
"""Seconds for a process to load its lists; with `ExaminerLimits.wall` less than a lease."""
_ENDING_SECONDS = 5.0
_BY_DEFAULT = 2
"""Processes that examine, if the settings do not say how many."""


def count_examiners(settings: HubSettings) -> int:
    """The number of processes that examine submissions; 0: the worker does it itself."""
    return _BY_DEFAULT if settings.admission_processes < 0 else settings.admission_processes


@dataclass(frozen=True, slots=True)
class ExaminerLimits:
    """Limits of one process."""

    seconds: float = 20.0
    """Processor time for one request."""
    wall: float = 70.0
    """Seconds until a process that does not answer is ended."""
    memory: int = 1_500_000_000
    """Octets of address space."""
    answer: int = 100_000_000
    """Octets of the longest answer."""
    niceness: int = 0
    """Precedence that it gives other processes, from 0 to 19 (see nice(2))."""

    @classmethod
    def for_bodies(cls, octets: int, sessions: int) -> ExaminerLimits:
        """Limits for submissions of up to this many octets, `sessions` of them at a time.

        High enough that none of them can fail because of the others.
        """
        memory = _LOADED + sessions * _MEMORY_PER_OCTET * octets
        return cls(memory=memory, answer=100_000_000 + 8 * octets)


class ExaminerProcesses:
    """Processes that examine submissions.  Safe for threads."""

    def __init__(
        self, processes: int, policy: str, limits: ExaminerLimits, lists: Path | None = None
    ) -> None:
        """`processes`: their number; `policy`: the text of policy.toml.

        `lists`: the file of warning lists that the operator loaded.
        """
        self._setup = Setup(
            policy, limits.memory, limits.seconds, limits.niceness, str(lists or "")
        )
        self._processes = [_Process(self._setup, limits) for _ in range(processes)]
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def begin(self, task: ExaminationTask) -> RemoteExamination:
        """See `Examiner.begin`.  The process with the fewest examinations takes it."""
        with self._lock:
            process = min(self._processes, key=lambda each: len(each.sessions))
            number = next(self._numbers)
            process.sessions.add(number)
        return RemoteExamination(process, number, task)

    def read(self, task: ReadTask) -> ReadFile:
        """Read a file in the process with the fewest examinations.

        Raises Unavailable if this system is too busy, WorkerEnded if the file ended the process.
        """
        with self._lock:
            process = min(self._processes, key=lambda each: len(each.sessions))
        with process.in_turn():
            process.start()
            answer = process.ask(WorkerRequest(0, file=task))
        if answer.unavailable:
            raise Unavailable(answer.unavailable)
        if answer.file is None:
            raise WorkerEnded("its answer is not about a file")
        return answer.file

    def end_idle(self) -> None:
        """End the processes that examine nothing now; the next request starts others."""
        for process in self._processes:
            with process.in_turn():
                if not process.sessions:
                    process.end()

    def close(self) -> None:
        """End all processes; none is started any more."""
        for process in self._processes:
            process.is_closed = True
            process.end()

    def process_ids(self) -> list[int]:
        """The ids of the processes that run now."""
        return [child.pid for each in self._processes if (child := each.child) is not None]


class RemoteExamination:
    """An examination in another process."""

    def __init__(self, process: _Process, number: int, task: ExaminationTask) -> None:
        self._process = process
        self._number = number
        self._task: ExaminationTask | None = task
        self._life = 0

    def examine_next(self, most: int) -> list[Candidate]:
        """See `Examination.examine_next`."""
        with self._process.in_turn():
            if self._task is not None:
                self._life = self._process.start()
            elif self._life != self._process.life or not self._process.is_alive():
                raise Unavailable(_LOST)
            request, self._task = WorkerRequest(self._number, most, self._task), None
            answer = self._process.ask(request)
        if answer.unavailable:
            raise Unavailable(answer.unavailable)
        return answer.candidates

    def close(self) -> None:
        """See `Examination.close`."""
        with self._process.in_turn():
            self._process.sessions.discard(self._number)
            if self._task is None and self._life == self._process.life:
                self._process.tell(WorkerRequest(self._number))


class _Process:
    """One process, started when it is first needed; to be used `in_turn`."""

    def __init__(self, setup: Setup, limits: ExaminerLimits) -> None:
        self._setup, self._limits = setup, limits
        self.child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._next = threading.Lock()
        """Held by the thread that uses the process next."""
        self.is_closed = False
        self.sessions: set[int] = set()
        self.life = 0
        """The number of processes that were started so far."""
        self._pipes: ProcessPipes | None = None

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Use the process alone; who comes again does not overtake the one that waits."""
        with self._next:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def is_alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def start(self) -> int:
        """Start a process if none is running; its number."""
        if self.is_alive():
            return self.life
        self.end()
        if self.is_closed:
            raise Unavailable(_CLOSED)
        try:
            self.child = subprocess.Popen(  # noqa: S603  (our own program, no shell)
                [sys.executable, "-m", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # a terminal's Ctrl-C is for us to handle
            )
        except OSError as error:
            raise Unavailable(f"a worker process cannot be started: {error.strerror}") from error
        self.life += 1
        self._pipes = ProcessPipes(self.child)
        deadline = time.monotonic() + _STARTING_SECONDS
        try:
            self._send(msgspec.msgpack.encode(self._setup), deadline)
            self._read(FRAME.size, deadline)  # an empty answer: it has loaded what it needs
        except WorkerEnded as error:
            raise Unavailable(f"a worker process did not start: {error}") from error
        return self.life

    def ask(self, request: WorkerRequest) -> WorkerAnswer:
        """The answer to a request.  Raises WorkerEnded if there is none in time."""
        deadline = time.monotonic() + self._limits.wall
        self._send(msgspec.msgpack.encode(request), deadline)
        size = FRAME.unpack(self._read(FRAME.size, deadline))[0]
        if size > self._limits.answer:
            raise self._failure("its answer is too long")
        try:
            return msgspec.msgpack.decode(self._read(size, deadline), type=WorkerAnswer)
        except msgspec.DecodeError as error:
            raise self._failure("its answer cannot be read") from error

    def tell(self, request: WorkerRequest) -> None:
        """Send a request that has no answer."""
        if self.is_alive():
            with suppress(WorkerEnded):
                self._send(msgspec.msgpack.encode(request), time.monotonic() + self._limits.wall)

    def end(self) -> None:
        """End the process, whatever it does."""
        child, self.child, self._pipes = self.child, None, None
        if child is None:
            return
        with suppress(OSError), child:  # closes its pipes, and waits for its end
            child.kill()

    def _send(self, octets: bytes, deadline: float) -> None:
        with self._running() as pipes:
            pipes.write(FRAME.pack(len(octets)) + octets, deadline)

    def _read(self, size: int, deadline: float) -> bytes:
        with self._running() as pipes:
            return pipes.read(size, deadline)

    @contextmanager
    def _running(self) -> Iterator[ProcessPipes]:
        """The pipes of the process, which is ended with WorkerEnded if it fails."""
        assert self._pipes is not None  # noqa: S101  (it was started)
        try:
            yield self._pipes
        except EOFError:
            raise self._failure(_ENDED) from None
        except TimeoutError:
            raise self._failure("it did not answer in time") from None

    def _failure(self, reason: str) -> WorkerEnded:
        """End the process; the error to raise."""
        code = None
        if self.child is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self.child.wait(_ENDING_SECONDS if reason == _ENDED else 0)
        self.end()
        if code == -signal.SIGPROF:
            reason = f"it took more than {self._limits.seconds:g} s of processor time"
        elif code == -signal.SIGABRT:
            reason = f"it took more than {self._limits.memory // 1_000_000} MB of memory"
        return WorkerEnded(f"{reason} (exit code {code})")
