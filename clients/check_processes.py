"""Examine the candidates of a large file in several processes, while it is still being read.

That is possible for what a list, a table or a text gives: indicators that say nothing about each
other.  Admission judges such an indicator alike, whatever stands beside it, so a file is cut into
parts.  An object that occurs several times is judged together with its other occurrences.  As soon
as a file has anything else (a report, a marking definition, an author), it is examined as one, in
this process.

A worker process ends with the program, even if that is killed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.markings.tlp import official_ids
from tocsin.admission.model import Candidate, Submitter
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.config.cache import load_or_build

_PART = 500
"""Candidates that are sent to a process at once; fewer than eight times as many are not worth the
start of a process."""
_PARTS_AHEAD = 4
"""Parts for each process that are read and not yet examined."""
_PLAIN = frozenset(
    (
        *("type", "spec_version", "id", "created", "modified", "name", "description", "labels"),
        *("pattern", "pattern_type", "valid_from", "valid_until", "confidence"),
        *("indicator_types", "external_references", "object_marking_refs"),
    )
)
"""Properties of an indicator that concern nothing else in its file."""

Advance = Callable[[int], None]
"""Called with the number of further candidates that are examined."""


@dataclass(frozen=True, slots=True)
class ExaminerSettings:
    """Everything that a process needs to examine candidates as this one would."""

    policy: str
    """The text of the policy, of which the preview's version is used."""
    file: Path | None
    """Source of that text, for messages."""
    submitter: Submitter


def build_pipeline(settings: ExaminerSettings) -> Pipeline:
    """The stages of the preview."""
    policy = parse_policy(settings.policy, settings.file).for_preview()
    return Pipeline(policy, settings.submitter, load_warning_lists(keep=load_or_build))


class CheckProcesses:
    """Processes that examine candidates; they are started when they are first needed."""

    def __init__(
        self, settings: ExaminerSettings, count: int | None = None, part: int = _PART
    ) -> None:
        """`count` processes; by default as many as this program may use processors.

        `part` candidates are sent to a process at once, and a file has at least eight parts.
        """
        self._settings = settings
        self.part, self.fewest = part, part * 8
        self._count = _count_processors() if count is None else count
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> CheckProcesses:
        """The processes."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        if self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)

    @property
    def capacity(self) -> int:
        """Parts that are worth having in hand; 0 if there is nothing to gain from processes."""
        return self._count * _PARTS_AHEAD if self._count > 1 else 0

    def submit(self, part: Sequence[Candidate], now: int) -> Future[list[Candidate]]:
        """Examine a part in one of the processes."""
        if not self._executor:
            self._executor = ProcessPoolExecutor(
                self._count, get_context("spawn"), _begin, (self._settings,)
            )
        return self._executor.submit(_examine, part, now)


@dataclass(slots=True)
class ExaminationAhead:
    """The examination of one file while it is read.

    `add` each candidate; then `finish` has the results, or None if the candidates have to be
    examined as one.
    """

    processes: CheckProcesses
    now: int
    advance: Advance
    _part: list[Candidate] = field(default_factory=list)
    _running: deque[tuple[list[Candidate], Future[list[Candidate]]]] = field(default_factory=deque)
    _examined: list[Candidate] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    """The index of each id that has come."""
    _repeated: set[str] = field(default_factory=set)
    _all: list[Candidate] = field(default_factory=list)
    _is_possible: bool = True

    def add(self, candidate: Candidate) -> None:
        """Take the next candidate of the file."""
        self._all.append(candidate)
        if not self._is_possible or not self.processes.capacity:
            return
        self._is_possible = is_plain(candidate)
        name = candidate.source_id
        if name is not None:
            if name in self._places:
                self._repeated.add(name)
            self._places.setdefault(name, candidate.index)
        self._part.append(candidate)
        if len(self._part) >= self.processes.part and len(self._all) >= self.processes.fewest:
            self._submit_parts()

    def finish(self) -> list[Candidate] | None:
        """The candidates as they were examined."""
        if not self._is_worth_it():
            return None
        try:
            self._submit_parts()
            while self._is_possible and self._running:
                self._take_oldest()
            self._judge_repeated()
        except BrokenProcessPool:
            return None
        return self._examined if self._is_possible else None

    def _is_worth_it(self) -> bool:
        return bool(
            self._is_possible
            and self.processes.capacity
            and len(self._all) >= self.processes.fewest
        )

    def _submit_parts(self) -> None:
        """Hand over what has been read, and wait while too much is in hand."""
        part = self.processes.part
        try:
            for begin in range(0, len(self._part), part):
                chosen = self._part[begin : begin + part]
                self._running.append((chosen, self.processes.submit(chosen, self.now)))
                if len(self._running) > self.processes.capacity:
                    self._take_oldest()
        except BrokenProcessPool:
            self._is_possible = False
        self._part = []

    def _take_oldest(self) -> None:
        sent, part = self._running.popleft()
        results = part.result()
        self._examined += map(_share_object, sent, results)
        self.advance(len(results))

    def _judge_repeated(self) -> None:
        """Examine all occurrences of each repeated id together."""
        together = [
            (place, each)
            for place, each in enumerate(self._all)
            if each.source_id in self._repeated
        ]
        if together:
            judged = self.processes.submit([each for _, each in together], self.now).result()
            for (place, _), result in zip(together, judged, strict=True):
                self._examined[place] = result


def _share_object(sent: Candidate, examined: Candidate) -> Candidate:
    """The result, without a second copy in memory of an object that did not change."""
    if sent.object is None or examined.object != sent.object:
        return examined
    return examined.with_object(sent.object)


def is_plain(candidate: Candidate) -> bool:
    """True if the verdict on a candidate cannot depend on others of its file, but for copies."""
    subject = candidate.object
    if subject is None:
        return candidate.salvaged is None and not candidate.is_open
    if subject.get("type") != "indicator" or subject.get("pattern_type") != "stix":
        return False
    refs = subject.get("object_marking_refs", [])
    marked = isinstance(refs, list) and official_ids().issuperset(map(str, refs))
    return marked and _PLAIN.issuperset(subject)


_pipeline: Pipeline | None = None
"""The stages of this process, if it is a worker."""


def _begin(settings: ExaminerSettings) -> None:
    """Prepare a worker process.  An interrupt is the business of the program that started it."""
    global _pipeline  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _pipeline = build_pipeline(settings)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _examine(part: Sequence[Candidate], now: int) -> list[Candidate]:
    assert _pipeline is not None  # noqa: S101  (set by _begin)
    return _pipeline.examine(part, now)


def _count_processors() -> int:
    with suppress(AttributeError):  # Linux has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
