"""The preview: run admission on files before anything is sent.

It is the hub's own admission, run on the partner's side, so that what must not be shared never
leaves it.  Knows no network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import BinaryIO

from tocsin.admission import Pipeline
from tocsin.admission.errors import ShareError, Unavailable
from tocsin.admission.formats.stix_parts import LargeStix, Part, detect_large
from tocsin.admission.model import Candidate, Consent, StixObject, Submitter, Tlp, Warninglists
from tocsin.admission.policy import Policy
from tocsin.clients.check_processes import (
    Advance,
    CheckProcesses,
    ExaminationAhead,
    KeptCandidates,
    LargeExaminer,
    LargeFile,
    PlainWork,
    Surveyed,
    SurveyedExaminer,
    cut_parts,
    is_plain,
)
from tocsin.clients.input_files import CandidateReader, InputFile, complete, open_input
from tocsin.clients.results import (
    ObjectResult,
    ResultBlock,
    ResultsNotKept,
    ResultStore,
    describe_candidate,
)
from tocsin.config.settings import ClientSettings

_MOST_KEPT = 4_000
"""Candidates of a large file that are kept, if there are no processes."""
_PART = 500
"""Candidates that are examined at once."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The objects of a file with the verdicts that are known without a hub."""

    file: str
    candidates: tuple[Candidate, ...] = ()
    """Empty if the results are on disk."""
    error: str = ""
    """Why the file as a whole could not be read; then there are no objects."""
    has_temporary_error: bool = False
    """True if the error is not the file's fault, and the file may be read later."""
    originals: tuple[StixObject | None, ...] = field(default=(), repr=False)
    """The candidates' objects as they were read."""
    store: ResultStore | None = field(default=None, repr=False)
    """The results of a large file."""

    @property
    def count(self) -> int:
        """The number of objects."""
        return len(self.candidates) if self.store is None else len(self.store)

    @property
    def counts(self) -> Counter[str]:
        """The number of results of each verdict."""
        if self.store is not None:
            return self.store.counts
        return Counter("ready" if each.is_open else each.verdict.value for each in self.candidates)

    def results(self, *, before: bool = False) -> Iterator[ObjectResult]:
        """The result of each object, in order; with `before`, including it as it was read.

        Of a large file, only the objects that a rule changed are kept as they were read.
        """
        for each in () if self.store is None else self.store:
            yield each if before or each.before is None else replace(each, before=None)
        for position, candidate in enumerate(self.candidates):
            result = describe_candidate(self.file, candidate)
            if before and self.originals:
                result = replace(result, before=self.originals[position])
            yield result


@dataclass(frozen=True, slots=True)
class PreviewResults:
    """The results of some previews, as often as they are asked for."""

    previews: Sequence[Preview]
    before: bool = False
    """True for results with the objects as they were read."""

    def __iter__(self) -> Iterator[ObjectResult]:
        """Read all results."""
        for each in self.previews:
            yield from each.results(before=self.before)

    def __len__(self) -> int:
        """The number of results."""
        return sum(each.count for each in self.previews)

    @property
    def counts(self) -> Counter[str]:
        """The number of results of each verdict."""
        return sum((each.counts for each in self.previews), Counter())


class Checker:
    """Reads and examines the files of one partner."""

    def __init__(
        self, settings: ClientSettings, policy: Policy, lists: Warninglists, tlp: str = ""
    ) -> None:
        """`tlp` overrides the settings' level for objects without a TLP marking.

        Raises ValueError if a level or a consent is unknown.
        """
        self.submitter = describe_submitter(settings, tlp)
        self._pipeline = Pipeline(policy.for_preview(), self.submitter, lists)

    def preview(
        self,
        file: InputFile,
        now: int,
        processes: CheckProcesses | None = None,
        advance: Advance = lambda count: None,
    ) -> Preview:
        """Run admission on a file; `now` in µs since 1970 UTC.

        `processes` examine the candidates of a large file.  `advance` is called with the number
        of further candidates that are examined.
        """
        try:
            if file.path is not None and not file.new_ids:
                store = self._examine_large(file, now, processes, advance)
                if store is not None:
                    return Preview(file.name, store=store)
            read = self._read(file, now, processes, advance)
            if isinstance(read, ResultStore):
                return Preview(file.name, store=read)
            examined = tuple(self._examine(read, now, advance))
        except ShareError as error:
            return _failed_preview(file, error)
        originals = tuple(candidate.object for candidate in read)
        return Preview(file.name, examined, originals=originals)

    def _read(
        self, file: InputFile, now: int, processes: CheckProcesses | None, advance: Advance
    ) -> list[Candidate] | ResultStore:
        """The candidates of a file; of many that are plain, the results."""
        is_useful = processes and (processes.capacity or file.path is not None)
        fewest = processes.fewest if processes else _MOST_KEPT
        reader = CandidateReader(file, now, self.submitter.default_tlp)
        candidates: list[Candidate] = []
        found = iter(reader)
        for each in found:
            candidates.append(each)
            if len(candidates) != fewest:
                continue
            every: Iterator[Candidate] = chain(candidates, found)
            if processes and is_useful and all(map(is_plain, candidates)):
                work = PlainWork(now, file.keep_before, file.new_ids)
                ahead = ExaminationAhead(processes, work, advance, ResultStore(file.name))
                if self._examine_ahead(reader, ahead, every):
                    return ahead.results
                if not reader.is_streamed or file.new_ids:
                    return list(reader)
                every = iter(reader)
            if reader.is_streamed and not file.new_ids:
                kept = KeptCandidates(cut_parts(every, _PART))
                return self._examine_surveyed(reader, kept, processes, advance)
        return candidates

    def _examine_ahead(
        self, reader: CandidateReader, ahead: ExaminationAhead, candidates: Iterable[Candidate]
    ) -> bool:
        """Examine the candidates while they are read; False if they must be examined as one."""
        for each in candidates:
            ahead.add(each)
            if not ahead.is_possible:
                return False
        if repeated := ahead.finish():
            ahead.judge_together(reader, repeated, self._pipeline)
        return ahead.is_possible

    def _examine_surveyed(
        self,
        reader: CandidateReader,
        kept: KeptCandidates,
        processes: CheckProcesses | None,
        advance: Advance,
    ) -> ResultStore:
        """The results of a file that is not in memory, whose candidates may concern each other."""
        facts = self._pipeline.survey(kept.read)
        surveyed = Surveyed(facts, reader.now, reader.file.keep_before)
        if processes and processes.capacity:
            blocks = processes.examine_surveyed(surveyed, kept.parts())
        else:
            blocks = map(SurveyedExaminer(self._pipeline, surveyed).examine, kept.parts())
        store = ResultStore(reader.file.name)
        for block in blocks:
            store.add(block)
            advance(sum(block.counts.values()))
        return store

    def _examine_large(
        self, file: InputFile, now: int, processes: CheckProcesses | None, advance: Advance
    ) -> ResultStore | None:
        """The results of a large STIX file; None if it has to be read as a whole."""
        with open_input(file) as stream:
            layout = detect_large(file.form or file.name, stream)
            if layout is None:
                return None
            reading = _PartsReader(file, now, layout, stream)
            facts = self._pipeline.survey(reading.read)
        large = LargeFile(file, layout, facts, now)
        store = ResultStore(file.name)
        if processes and processes.capacity:
            blocks: Iterator[ResultBlock] = processes.examine_large(large, reading.parts)
        else:
            blocks = map(LargeExaminer(self._pipeline, large).examine, reading.parts)
        for block in blocks:
            store.add(block)
            advance(sum(block.counts.values()))
        return store

    def _examine(
        self, candidates: Sequence[Candidate], now: int, advance: Advance
    ) -> Iterator[Candidate]:
        for each in self._pipeline.examine_each(candidates, now):
            advance(1)
            yield each


@dataclass(slots=True)
class _PartsReader:
    """Reads the candidates of a large file, again and again; the first time finds its parts."""

    file: InputFile
    now: int
    layout: LargeStix
    stream: BinaryIO
    parts: list[Part] = field(default_factory=list)
    _has_all: bool = False
    """All parts are known; a first reading that was broken off begins anew."""

    def read(self) -> Iterator[Candidate]:
        """The candidates, with what the user adds to all of them.

        Raises ShareError if the file is not STIX, or changed since the first time.
        """
        for candidates in self._read_again() if self._has_all else self._read_first():
            for each in candidates:
                yield complete(each, self.file, self.now)

    def _read_first(self) -> Iterator[list[Candidate]]:
        self.stream.seek(0)
        self.parts.clear()
        for part, candidates in self.layout.cut(self.stream):
            self.parts.append(part)
            yield candidates
        self._has_all = True

    def _read_again(self) -> Iterator[list[Candidate]]:
        for part in self.parts:
            yield self.layout.read_part(part, self.stream)


def describe_submitter(settings: ClientSettings, tlp: str = "") -> Submitter:
    """The partner as the preview knows it; `tlp` overrides the default level of the settings.

    Raises ValueError if a level or a consent is unknown.
    """
    return Submitter(
        partner=settings.partner,
        names=settings.names,
        terms=settings.terms,
        consent=Consent(settings.consent),
        default_tlp=Tlp.parse(tlp or settings.default_tlp),
        max_tlp=Tlp.AMBER_STRICT,  # only the hub knows the agreed limit
    )


def read_unexamined(file: InputFile, now: int, tlp: Tlp) -> Preview:
    """The objects of a file as they are, for a collection that keeps them unchanged.

    `now` in µs since 1970 UTC.
    """
    try:
        return Preview(file.name, tuple(CandidateReader(file, now, tlp)))
    except ShareError as error:
        return _failed_preview(file, error)


def _failed_preview(file: InputFile, error: ShareError) -> Preview:
    """The preview of a file that could not be read."""
    has_temporary_error = isinstance(error, Unavailable | ResultsNotKept)
    return Preview(file.name, error=str(error), has_temporary_error=has_temporary_error)
