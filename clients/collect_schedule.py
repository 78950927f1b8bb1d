"""Run sources by their schedules until stopped: `tocsin collect` as a service.

Each run has a process of its own, so a source that hangs, or is large, delays no other one, and
can be stopped.  A source that fails is tried again after growing pauses, or after the pause that
its server asks for.  The outcomes of the runs are in a file, `status.json`, which is replaced after
each run.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import logging
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec

from tocsin.admission.errors import Conflict, ShareError
from tocsin.clients.check_processes import end_with_parent
from tocsin.clients.collect import Run, run_source
from tocsin.clients.files import Replacement, remove_abandoned_files
from tocsin.clients.http import Hub
from tocsin.clients.sources import Source, parse_duration_seconds
from tocsin.config.settings import ClientSettings

log = logging.getLogger(__name__)

STATUS_FILE, LOCK_FILE = "status.json", "lock"
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 6 * 3600.0
"""Seconds after the first failure, doubled from failure to failure; at most the second."""
_SPREAD = 1.1
"""Factor by which a pause is longer at most, so that not all sources run at the same moment."""
_MAX_AT_ONCE = 32
_SPAWN = multiprocessing.get_context("spawn")

OpenHub = Callable[[ClientSettings], Hub]


@dataclass(slots=True)
class SourceStatus:
    """Status of a source."""

    source: str
    last_run: float | None = None
    """Begin of the last run, in seconds since 1970 UTC; None: it has not run."""
    last_success: float | None = None
    next_run: float | None = None
    seconds: float = 0.0
    """Duration of the last run."""
    failures: int = 0
    """Failed runs in a row."""
    wait: float = 0.0
    """Seconds after the last run that the other side asked for."""
    error: str = ""
    """Error that ended the last run; empty if it reached the end of the source."""
    notes: tuple[str, ...] = ()
    """Documents of the last run that could not be read."""
    reasons: tuple[Mapping[str, Any], ...] = ()
    """Why objects of the last run were held or refused; see Run.reasons."""
    counts: dict[str, int] = field(default_factory=dict)
    """Counts of the last run; see Run.counts."""
    totals: dict[str, int] = field(default_factory=dict)
    """The same over all runs."""

    def note(self, run: Run) -> None:
        """Take over what became of a run."""
        self.last_run, self.seconds, self.counts = run.began, run.seconds, dict(run.counts)
        self.error, self.notes, self.wait = run.error, run.notes, run.wait
        self.reasons = tuple(asdict(each) for each in run.reasons)
        self.failures = self.failures + 1 if run.error else 0
        if not run.error:
            self.last_success = run.began
        self.totals = dict(Counter(self.totals) + Counter(run.counts))

    def pause(self, every: float) -> float:
        """Seconds until the next run."""
        if not self.failures:
            return every
        growing = min(_FIRST_PAUSE * 2.0 ** min(self.failures - 1, 16), _LONGEST_PAUSE)
        return max(growing, self.wait)

    def limit_next_run(self, every: float, now: float) -> float:
        """The time of the next run; one that a clock that was ahead had set comes sooner.

        0: at once, since it has not run yet.
        """
        if self.next_run is not None:
            self.next_run = min(self.next_run, now + _SPREAD * self.pause(every))
        return self.next_run or 0.0


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder of the sources' memory.  Raises Conflict if another process has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(
                f"another `tocsin collect` works with {folder}; stop it, or name another --state"
            ) from error
        yield


def read_statuses(folder: Path) -> dict[str, SourceStatus]:
    """The statuses that the last run left, by source; empty if there is none.

    A file that is not one of this program counts as missing, with a warning: the schedule and the
    totals begin anew, and nothing is lost.
    """
    path = folder / STATUS_FILE
    try:
        # Not by msgspec alone, which refuses half characters; messages of servers may have some.
        found = msgspec.convert(json.loads(path.read_bytes()), _StatusFile)
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error.strerror)
        return {}
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        log.warning("%s is damaged and counts as missing: %s", path, error)
        return {}
    return {each.source: each for each in found.sources}


@dataclass(frozen=True, slots=True)
class _StatusFile:
    """The content of the file; fields that a later version may add are ignored."""

    sources: tuple[SourceStatus, ...]


class Collector:
    """The sources, their schedules and the processes of their runs."""

    def __init__(
        self,
        sources: Sequence[Source],
        settings: ClientSettings,
        open_hub: OpenHub,
        folder: Path,
        report: Callable[[Run], None],
    ) -> None:
        """`open_hub` is run in another process, so it must be a function of a module.

        `report` is called after each run.
        """
        self._sources = {each.name: each for each in sources}
        self._settings, self._open_hub, self._folder = settings, open_hub, folder
        self._report = report
        known = read_statuses(folder)
        self.statuses = {n: known.get(n) or SourceStatus(n) for n in self._sources}
        self._others = [each for name, each in known.items() if name not in self._sources]
        self._due: list[tuple[float, str]] = []
        self._running: dict[Connection, _Running] = {}

    def run_once(self, show: Callable[[Sequence[str]], None] = lambda names: None) -> bool:
        """Run each source once; True if all reached their end.

        `show` is called again and again with the names of those that are being read.
        """
        self._due = [(0.0, name) for name in self._sources]
        runs = []
        while self._due or self._running:
            self._start_due(time.time())
            show([each.source.name for each in self._running.values()])
            runs += self._finish(1.0)
        return all(not run.error for run in runs)

    def run(self, stopped: Event) -> None:
        """Run the sources by their schedules until `stopped` is set."""
        self._due = [(0.0, name) for name in self.statuses]
        try:
            while not stopped.is_set():
                now = time.time()
                self._limit_due(now)
                self._start_due(now)
                for run in self._finish(0.5):
                    self._schedule(run)
                if not self._running:
                    stopped.wait(0.5)
        finally:
            for each in self._running.values():
                each.stop()
            self._write()

    def _limit_due(self, now: float) -> None:
        """Schedule as if the sources had not been stopped, and no later than their pauses allow."""
        self._due = [
            (self.statuses[name].limit_next_run(self._every(name), now), name)
            for _, name in self._due
        ]
        heapq.heapify(self._due)

    def _every(self, name: str) -> float:
        return float(parse_duration_seconds(self._sources[name].every))

    def _schedule(self, run: Run) -> None:
        status = self.statuses[run.source]
        pause = status.pause(self._every(run.source))
        status.next_run = time.time() + pause * random.uniform(1.0, _SPREAD)  # noqa: S311
        heapq.heappush(self._due, (status.next_run, run.source))
        self._write()

    def _start_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now and len(self._running) < _MAX_AT_ONCE:
            _, name = heapq.heappop(self._due)
            source = self._sources[name]
            task = (source, self._settings, self._open_hub, self._folder)
            running = _Running.start(source, task)
            self._running[running.answer] = running

    def _finish(self, seconds: float) -> list[Run]:
        """The runs that have ended, or were stopped; waits for them up to `seconds`."""
        ended = [self._running[each] for each in self._wait(seconds)]
        late = [each for each in self._running.values() if each.is_late()]
        runs = []
        for each in {id(each): each for each in (*ended, *late)}.values():
            del self._running[each.answer]
            run = each.result()
            self.statuses[run.source].note(run)
            runs.append(run)
        if runs:
            self._write()
        for run in runs:
            self._report(run)
        return runs

    def _wait(self, seconds: float) -> list[Connection]:
        return [e for e in wait(list(self._running), seconds) if isinstance(e, Connection)]

    def _write(self) -> None:
        """Write the statuses; on a full disk only a warning, since the sources must go on."""
        path = self._folder / STATUS_FILE
        kept = (*self.statuses.values(), *self._others)  # of --only, or a source that is disabled
        content = {"sources": [asdict(each) for each in kept]}
        try:
            remove_abandoned_files(path)
            replacement = Replacement(path)
            try:
                replacement.stream.write(json.dumps(content, indent=1).encode() + b"\n")
                replacement.finish()
            finally:
                replacement.abandon()
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error.strerror or error)


@dataclass(frozen=True, slots=True)
class _Running:
    """A run in a process of its own."""

    source: Source
    process: BaseProcess
    answer: Connection
    began: float
    deadline: float
    """Seconds of `time.monotonic`."""

    @classmethod
    def start(cls, source: Source, task: tuple[Any, ...]) -> _Running:
        mine, theirs = _SPAWN.Pipe(duplex=False)
        process = _SPAWN.Process(target=_run, args=(*task, theirs), name=source.name, daemon=True)
        process.start()
        theirs.close()
        deadline = time.monotonic() + parse_duration_seconds(source.longest_run)
        return cls(source, process, mine, time.time(), deadline)

    def is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def result(self) -> Run:
        """Return the outcome; the process has ended after that."""
        error = f"stopped after {self.source.longest_run}: raise longest_run if it is right"
        try:
            if self.answer.poll():
                run = self.answer.recv()
                self.process.join()
                if isinstance(run, Run):
                    return run
        except (EOFError, OSError):
            self.process.join()
            error = f"the run ended with exit code {self.process.exitcode}; see the log"
        self.stop()
        return Run(self.source.name, self.began, time.time() - self.began, error=error)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.answer.close()


def _run(
    source: Source, settings: ClientSettings, open_hub: OpenHub, folder: Path, answer: Connection
) -> None:
    """The process of a run."""
    # Nobody would stop a run that takes too long, and another run might use the same memory.
    Thread(target=end_with_parent, daemon=True).start()
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both; ours stops this one
    try:
        with open_hub(settings) as hub:
            answer.send(run_source(source, settings, hub, folder))
    except ShareError as error:
        answer.send(Run(source.name, time.time(), error=str(error)))


def format_metrics(statuses: Mapping[str, SourceStatus]) -> str:
    """The statuses in the text format of Prometheus (version 0.0.4)."""
    lines = []
    for name, kind, help_text, read in _METRICS:
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
        for source, status in statuses.items():
            for label, value in read(status):
                labels = f'source="{source}"{f",{label}" if label else ""}'
                lines.append(f"{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n"


def _totals(status: SourceStatus) -> list[tuple[str, float]]:
    return [(f'outcome="{name}"', value) for name, value in sorted(status.totals.items())]


_METRICS: tuple[tuple[str, str, str, Callable[[SourceStatus], list[tuple[str, float]]]], ...] = (
    (
        "tocsin_collect_failures",
        "gauge",
        "Failed runs in a row.",
        lambda status: [("", status.failures)],
    ),
    (
        "tocsin_collect_last_success_timestamp_seconds",
        "gauge",
        "When the last successful run began; 0: never.",
        lambda status: [("", status.last_success or 0)],
    ),
    (
        "tocsin_collect_run_seconds",
        "gauge",
        "How long the last run took.",
        lambda status: [("", round(status.seconds, 3))],
    ),
    (
        "tocsin_collect_total",
        "counter",
        "Documents read, objects found, and what became of them.",
        _totals,
    ),
)
