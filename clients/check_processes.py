"""Examine the candidates of a large file in several processes, part by part.

A list, a table or a text gives indicators that say nothing about each other.  Admission judges such
an indicator alike, whatever stands beside it, so its parts are examined while the file is still
being read.  An object that occurs several times is judged together with its other occurrences.  As
soon as such a file has anything else (a report, a marking definition, an author), it is examined as
one, in this process.

Another large file is read once for the facts that its objects state about each other
(`admission/survey.py`); with these, its parts are examined by themselves.  Parts of a STIX file are
read by the process that examines them.  Those of others are built by this one and kept on disk.

Results are kept on disk.  A worker process ends with the program, even if that is killed.
"""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from multiprocessing import active_children, connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.bounded_process import count_processors
from tocsin.admission.errors import Unavailable, Unprocessable
from tocsin.admission.extraction.verified_file import CHANGED
from tocsin.admission.formats.stix_parts import LargeStix, Part
from tocsin.admission.markings.tlp import official_ids
from tocsin.admission.model import Candidate, Finding, StixObject, Submitter, Tlp, Verdict
from tocsin.admission.pipeline import SubmissionContext
from tocsin.admission.survey import CopyKey, SubmissionFacts, copy_key
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.clients.input_files import InputFile, complete, open_input
from tocsin.clients.repeated_ids import Positions, RepeatedIds
from tocsin.clients.results import OctetStore, ResultBlock, ResultStore, encode_results
from tocsin.config.cache import load_or_build

_PART = 500
"""Candidates that are sent to a process at once; fewer than eight times as many are not worth the
start of a process."""
_PARTS_AHEAD = 4
"""Parts for each process that are read and not yet examined."""
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
_WORKER_ENDED = (
    "a process that checks the file was killed, probably for lack of memory; close other programs "
    "or split the file, then try again"
)
_MOST_FOR_LARGE = 2
"""Processes that have the facts of a large file: more would need more memory than promised."""
_PLAIN = frozenset(
    (
        *("type", "spec_version", "id", "created", "modified", "name", "description", "labels"),
        *("pattern", "pattern_type", "valid_from", "valid_until", "confidence"),
        *("indicator_types", "external_references", "object_marking_refs"),
    )
)
"""Properties of an indicator that concern nothing else in its file."""

_Argument = TypeVar("_Argument")

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


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A STIX file that was surveyed, and everything that a process needs to examine its parts."""

    file: InputFile
    layout: LargeStix
    facts: SubmissionFacts
    now: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The facts of a file whose candidates are examined in parts."""

    facts: SubmissionFacts
    now: int
    keep_before: bool


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
        self._count = count_processors() if count is None else count
        self._executor: ProcessPoolExecutor | None = None
        self._others: list[BaseProcess] = []
        """Processes that this program had started before."""

    def __enter__(self) -> CheckProcesses:
        """The processes."""
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """End them; at once if nobody waits for their results any more."""
        if error is not None and self._executor:
            self._kill(self._executor)
        self._end()

    @property
    def capacity(self) -> int:
        """Parts that are worth having in hand; 0 if there is nothing to gain from processes."""
        return self._count * _PARTS_AHEAD if self._count > 1 else 0

    def submit(
        self,
        part: bytes,
        work: PlainWork,
        copies: Mapping[CopyKey, Tlp] = MappingProxyType({}),
    ) -> Future[ResultBlock]:
        """Examine plain candidates, as octets, in one of the processes.

        `copies`: see SubmissionFacts; of these candidates.
        """
        if not self._executor:
            self._executor = self._start(None)
        return _submit(self._executor, _examine_plain, part, work, dict(copies))

    def examine_large(self, large: LargeFile, parts: Iterable[Part]) -> Iterator[ResultBlock]:
        """Yield the results of the parts of a large STIX file, in order.

        Raises Unavailable if a process ends.
        """
        return self._examine_all(large, _examine_part, parts)

    def examine_surveyed(self, surveyed: Surveyed, parts: Iterable[bytes]) -> Iterator[ResultBlock]:
        """Yield the results of `KeptCandidates.parts` of another file; see `examine_large`."""
        return self._examine_all(surveyed, _examine_surveyed, parts)

    def _examine_all(
        self,
        large: LargeFile | Surveyed,
        examine: Callable[[_Argument], ResultBlock],
        parts: Iterable[_Argument],
    ) -> Iterator[ResultBlock]:
        self._end()  # so that there are never more processes than processors
        running: deque[Future[ResultBlock]] = deque()
        executor = self._start(large)
        try:
            for part in parts:
                running.append(_submit(executor, examine, part))
                if len(running) > _MOST_FOR_LARGE * _PARTS_AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise Unavailable(_WORKER_ENDED) from error
        except BaseException:
            self._kill(executor)
            raise
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def _start(self, large: LargeFile | Surveyed | None) -> ProcessPoolExecutor:
        self._others = active_children()
        count = min(self._count, _MOST_FOR_LARGE) if large else self._count
        return ProcessPoolExecutor(count, get_context("spawn"), _begin, (self._settings, large))

    def _kill(self, executor: ProcessPoolExecutor) -> None:
        """Kill the processes, which have nothing of their own to keep.

        One that starts does not hear of any other end until it has read its lists, and the executor
        waits for it: on a busy machine longer than this program may take to end.
        """
        for process in active_children():
            if process not in self._others:
                process.kill()
        executor.shutdown(cancel_futures=True)  # its thread would close what the exit still uses

    def _end(self) -> None:
        if self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


def _submit(
    executor: ProcessPoolExecutor, examine: Callable[..., ResultBlock], *arguments: object
) -> Future[ResultBlock]:
    """Hand over work.  A process that is started for it inherits that signals are blocked.

    Interrupts are the business of this program, and a process that starts cannot ignore them yet.
    SIGTERM would end this program before the new process has read what it is to do.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        return executor.submit(examine, *arguments)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        return executor.submit(examine, *arguments)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True, slots=True)
class PlainWork:
    """How parts of a list, a table or a text are examined."""

    now: int
    keep_before: bool
    new_ids: bool = False
    """See `InputFile.new_ids`."""


class Fingerprint:
    """Tells if the candidates of two readings of a file that is not STIX are the same."""

    def __init__(self, *, new_ids: bool) -> None:
        """With `new_ids`, ids may be random and differ."""
        self._hash = hashlib.blake2b()
        self._new_ids = new_ids

    def add(self, candidate: Candidate) -> None:
        """Take the next candidate."""
        if self._new_ids and candidate.object is not None:
            candidate = replace(candidate, object={**candidate.object, "id": ""})
        self._hash.update(_pack([candidate]))

    def add_part(self, part: Sequence[Candidate], octets: bytes) -> None:
        """Take the next candidates, given as octets too: the same ones at each reading."""
        if not self._new_ids:
            self._hash.update(octets)
            return
        for each in part:
            self.add(each)

    @property
    def digest(self) -> bytes:
        """The same for the same candidates, or the same parts."""
        return self._hash.digest()


@dataclass(slots=True)
class ExaminationAhead:
    """The examination of the plain candidates of one file while it is read."""

    processes: CheckProcesses
    work: PlainWork
    advance: Advance
    results: ResultStore
    is_possible: bool = True
    """False if the candidates have to be examined as one."""
    _part: list[Candidate] = field(default_factory=list)
    _running: deque[Future[ResultBlock]] = field(default_factory=deque)
    _ids: RepeatedIds = field(default_factory=RepeatedIds)
    _read: Fingerprint = field(init=False)

    def __post_init__(self) -> None:
        self._read = Fingerprint(new_ids=self.work.new_ids)

    def add(self, candidate: Candidate) -> None:
        """Take the next candidate of the file."""
        self.is_possible = self.is_possible and is_plain(candidate)
        if not self.is_possible:
            return
        self._ids.add(candidate.source_id or candidate.index)
        self._part.append(candidate)
        if len(self._part) >= self.processes.part:
            self._submit_part()

    def finish(self) -> Positions:
        """Wait for the results; the positions of candidates whose id came more than once."""
        try:
            self._submit_part()
            while self.is_possible and self._running:
                self._take_oldest()
        except BrokenProcessPool:
            self.is_possible = False
        return self._ids.find()

    def judge_together(
        self, again: Iterable[Candidate], repeated: Positions, pipeline: Pipeline
    ) -> None:
        """Examine candidates whose id came more than once, given all that have it.

        `again` are all candidates, read a second time.  Raises Unprocessable if they are others.
        """
        read, parts = Fingerprint(new_ids=self.work.new_ids), OctetStore()
        for part in cut_parts(self._select(again, repeated, read), self.processes.part):
            parts.add(_pack(part))
        if read.digest != self._read.digest:
            raise Unprocessable(CHANGED)
        copies = pipeline.survey(lambda: chain.from_iterable(map(_unpack, parts))).copies
        try:
            self.results.replace(self._examine_again(parts, copies))
        except BrokenProcessPool:
            self.is_possible = False

    def _select(
        self, again: Iterable[Candidate], repeated: Positions, read: Fingerprint
    ) -> Iterator[Candidate]:
        position = 0
        for part in cut_parts(again, self.processes.part):
            read.add_part(part, _pack(part))
            for candidate in part:
                if position in repeated:
                    yield candidate
                position += 1

    def _examine_again(
        self, parts: Iterable[bytes], copies: Mapping[CopyKey, Tlp]
    ) -> Iterator[ResultBlock]:
        for part in parts:
            keys = map(copy_key, _unpack(part)) if copies else ()
            own = {key: copies[key] for key in keys if key in copies}
            self._running.append(self.processes.submit(part, self.work, own))
            if len(self._running) > self.processes.capacity:
                yield self._running.popleft().result()
        while self._running:
            yield self._running.popleft().result()

    def _submit_part(self) -> None:
        """Hand over what has been read, and wait while too much is in hand."""
        try:
            if self._part:
                octets = _pack(self._part)
                self._read.add_part(self._part, octets)
                self._running.append(self.processes.submit(octets, self.work))
            if len(self._running) > self.processes.capacity:
                self._take_oldest()
        except BrokenProcessPool:
            self.is_possible = False
        self._part = []

    def _take_oldest(self) -> None:
        block = self._running.popleft().result()
        self.results.add(block)
        self.advance(sum(block.counts.values()))


class KeptCandidates:
    """The candidates of a file, read from it once and from the disk again and again.

    To build one costs some forty times as much as to read it again.  Raises UnusableFile if the
    disk has no room for them.
    """

    def __init__(self, parts: Iterator[list[Candidate]]) -> None:
        """`parts` are read from the file as they are needed."""
        self._remaining = parts
        self._kept = OctetStore()

    def read(self) -> Iterator[Candidate]:
        """All candidates, in order.  The first reading may end early: the next one goes on."""
        for octets in self._kept:
            yield from _unpack_kept(octets)
        for part in self._remaining:
            self._kept.add(zlib.compress(_pack(part), _COMPRESSION))
            yield from part

    def parts(self) -> Iterator[bytes]:
        """The parts as they are kept, once all candidates have been read."""
        return iter(self._kept)


def cut_parts(candidates: Iterable[Candidate], length: int) -> Iterator[list[Candidate]]:
    """The candidates in lists of this length; the last may be shorter."""
    remaining = iter(candidates)
    return iter(lambda: list(islice(remaining, length)), [])


def _pack(part: Sequence[Candidate]) -> bytes:
    """Candidates that were just read, as octets: this costs a third of pickling them.

    Not those of STIX, which may be salvaged.
    """
    return _PACK.encode([(each.index, each.object, each.verdict, each.findings) for each in part])


def _unpack_kept(octets: bytes) -> list[Candidate]:
    return _unpack(zlib.decompress(octets))


def _unpack(octets: bytes) -> list[Candidate]:
    return [_build(*each) for each in _UNPACK.decode(octets)]


def _build(
    index: int, subject: StixObject | None, verdict: Verdict, findings: tuple[Finding, ...]
) -> Candidate:
    if subject is None:
        return Candidate(index, None, verdict=verdict, findings=findings)
    if verdict is Verdict.HELD:
        return Candidate.from_object(index, subject, *findings).hold()
    return Candidate.from_object(index, subject, *findings, verdict=verdict)


_COMPRESSION = 1
"""The fastest."""
_PACK = msgspec.msgpack.Encoder()
_UNPACK = msgspec.msgpack.Decoder(list[tuple[int, StixObject | None, Verdict, tuple[Finding, ...]]])


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


class LargeExaminer:
    """Examines parts of a large file in this process."""

    def __init__(self, pipeline: Pipeline, large: LargeFile) -> None:
        """Prepare the examination."""
        self._pipeline = pipeline
        self._large = large
        self._context = pipeline.build_context(large.facts, large.now)

    def examine(self, part: Part) -> ResultBlock:
        """The results of a part.  Raises ShareError if the file has changed."""
        large = self._large
        with open_input(large.file) as stream:
            read = large.layout.read_part(part, stream)
        candidates = [complete(each, large.file, large.now) for each in read]
        examined = self._pipeline.examine_part(candidates, self._context)
        return _encode(candidates, examined, keep_before=large.file.keep_before)


class SurveyedExaminer:
    """Examines candidates of a file whose facts are known, in this process."""

    def __init__(self, pipeline: Pipeline, surveyed: Surveyed) -> None:
        """Prepare the examination."""
        self._pipeline = pipeline
        self._keep_before = surveyed.keep_before
        self._context = pipeline.build_context(surveyed.facts, surveyed.now)

    def examine(self, part: bytes) -> ResultBlock:
        """The results of one of `KeptCandidates.parts`."""
        candidates = _unpack_kept(part)
        examined = self._pipeline.examine_part(candidates, self._context)
        return _encode(candidates, examined, keep_before=self._keep_before)


def _encode(
    candidates: Sequence[Candidate], examined: Iterable[Candidate], *, keep_before: bool
) -> ResultBlock:
    befores = (each.object for each in candidates)
    return encode_results(zip(befores, examined, strict=True), keep_before=keep_before)


@dataclass(slots=True)
class _Worker:
    """The state of a worker process."""

    pipeline: Pipeline
    examiner: LargeExaminer | None = None
    surveyed: SurveyedExaminer | None = None
    plain: SubmissionContext | None = None
    """The context of plain candidates, at the time of the last part."""


_worker: _Worker | None = None
"""None if this process is not a worker."""


def _begin(settings: ExaminerSettings, large: LargeFile | Surveyed | None) -> None:
    """Prepare a worker process."""
    global _worker  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # see _submit; Windows blocks none
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
    threading.Thread(target=end_with_parent, daemon=True).start()
    pipeline = build_pipeline(settings)
    _worker = _Worker(pipeline)
    if isinstance(large, LargeFile):
        _worker.examiner = LargeExaminer(pipeline, large)
    elif large is not None:
        _worker.surveyed = SurveyedExaminer(pipeline, large)
    gc.freeze()  # all of this lasts as long as the process
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)  # examining leaves hardly any cycles


def end_with_parent() -> None:
    """End this process when the one that started it has ended, however that was."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _examine_plain(part: bytes, work: PlainWork, copies: dict[CopyKey, Tlp]) -> ResultBlock:
    assert _worker is not None  # noqa: S101  (set by _begin)
    candidates = _unpack(part)
    if _worker.plain is None or _worker.plain.now != work.now:
        facts = _worker.pipeline.survey(lambda: ())  # plain candidates state no others
        _worker.plain = _worker.pipeline.build_context(facts, work.now)
    context = _worker.plain
    if copies:
        context = replace(context, facts=replace(context.facts, copies=copies))
    examined = _worker.pipeline.examine_part(candidates, context)
    return _encode(candidates, examined, keep_before=work.keep_before)


def _examine_part(part: Part) -> ResultBlock:
    assert _worker is not None and _worker.examiner is not None  # noqa: S101  (set by _begin)
    return _worker.examiner.examine(part)


def _examine_surveyed(part: bytes) -> ResultBlock:
    assert _worker is not None and _worker.surveyed is not None  # noqa: S101  (set by _begin)
    return _worker.surveyed.examine(part)
