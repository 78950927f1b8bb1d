"""Results of a check or a push: the verdict on each object, in memory or on disk.

Knows no network.
"""

from __future__ import annotations

import tempfile
import weakref
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from tocsin.admission.descriptions import find_label
from tocsin.admission.markings.granular import join_layers
from tocsin.admission.model import (
    MAY_BE_RELEASED,
    Action,
    Candidate,
    Finding,
    StixObject,
    Verdict,
)
from tocsin.clients.files import UnusableFile

VERDICTS = (
    *("ready", "admitted", "merged", "duplicate", "held", "withheld", "refused"),
    *("pending", "unsent"),
)
"""The verdicts of an `ObjectResult`, in the order in which they are counted.

`ready` comes from the preview: fit to be sent.  `admitted` to `refused` are admission's verdicts,
but for `withheld`: the preview holds the object, so a push has not sent it.
`pending`: the hub has not decided.  `unsent`: the object did not reach the hub.
"""
_NOT_SENT = "; it is not sent, so no reviewer can release it"


class ResultsNotKept(UnusableFile):
    """The results of a file cannot be kept: the disk for temporary files is to blame."""


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """The verdict on one object of a file, with its findings."""

    file: str
    index: int
    source_id: str | None
    verdict: str
    """One of VERDICTS."""
    findings: tuple[Mapping[str, str], ...]
    object: StixObject | None = field(repr=False)
    """The object as it would be, or was, sent; None if it is not sent."""
    public_id: str = ""
    """The hub's id for it."""
    before: StixObject | None = field(default=None, repr=False)
    """The object as it was read; only on request."""
    held: StixObject | None = field(default=None, repr=False)
    """The object as it would be sent to a reviewer, if the preview holds it; not in the JSON."""
    label: str = field(default="", repr=False)
    """Its pattern, value or name, for people; not part of the JSON."""
    previewed: int = field(default=0, repr=False, compare=False)
    """Number of findings of the preview; they are the first ones."""

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it; `public_id` and `before` only if they are known."""
        result = {
            "file": self.file or None,
            "index": self.index,
            "source_id": self.source_id,
            "verdict": self.verdict,
            "findings": [dict(each) for each in self.findings],
            "object": self.object,
        }
        optional = {"public_id": self.public_id, "before": self.before}
        return result | {name: value for name, value in optional.items() if value}


def describe_candidate(file: str, candidate: Candidate) -> ObjectResult:
    """The result of a candidate after admission; open candidates are ready to be sent."""
    return ObjectResult(
        file=file,
        index=candidate.index,
        source_id=candidate.source_id,
        verdict="ready" if candidate.is_open else candidate.verdict.value,
        findings=tuple(each.as_json() for each in _describe_findings(candidate)),
        object=join_layers(candidate) if candidate.is_open else None,
        held=join_layers(candidate) if candidate.verdict is Verdict.HELD else None,
        label=find_label(candidate.object or {}) or candidate.excerpt,
        previewed=len(candidate.findings),
    )


def _describe_findings(candidate: Candidate) -> tuple[Finding, ...]:
    """The findings, with what the hub never gets: its reviewers cannot release that."""
    return tuple(
        each._replace(
            action=Action.STRIPPED, message=each.message.replace(MAY_BE_RELEASED, _NOT_SENT)
        )
        if each.action is Action.ASKED
        else each
        for each in candidate.findings
    )


def count_verdicts(results: Iterable[ObjectResult], always: Iterable[str] = ()) -> dict[str, int]:
    """The number of results in all and of each verdict; those in `always` even if zero."""
    return order_counts(Counter(each.verdict for each in results), always)


def order_counts(found: Counter[str], always: Iterable[str] = ()) -> dict[str, int]:
    """The counts by verdict as `count_verdicts` gives them."""
    required = set(always)
    counts = {word: found[word] for word in VERDICTS if found[word] or word in required}
    return {"received": found.total()} | counts


_CHANGING_ACTIONS = frozenset(("replaced", "stripped", "lowered"))
"""Actions of findings about values that are not shared as they were read."""


class ResultBlock(NamedTuple):
    """The results of some objects, as compressed octets."""

    octets: bytes
    counts: Mapping[str, int]
    """The number of results of each verdict."""


def encode_results(
    examined: Iterable[tuple[StixObject | None, Candidate]], *, keep_before: bool
) -> ResultBlock:
    """The results of candidates, each with the object as it was read.

    That is kept if a rule changed it; with `keep_before` always.
    """
    rows: list[list[Any]] = []
    counts: Counter[str] = Counter()
    for before, candidate in examined:
        is_open = candidate.verdict is Verdict.OPEN
        held = join_layers(candidate) if candidate.verdict is Verdict.HELD else None
        verdict = "ready" if is_open else candidate.verdict.value
        findings = _describe_findings(candidate)
        kept = keep_before or any(each.action in _CHANGING_ACTIONS for each in findings)
        counts[verdict] += 1
        rows.append(
            [
                candidate.index,
                candidate.source_id,
                verdict,
                findings,
                join_layers(candidate) if is_open else None,
                held,
                before if kept else None,
                "" if is_open else find_label(candidate.object or {}) or candidate.excerpt,
            ]
        )
    return ResultBlock(zlib.compress(_ENCODER.encode(rows), _COMPRESSION), counts)


_COMPRESSION = 1
"""The fastest; objects of a list are so alike that they need a tenth of the room."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder()


def _decode_row(file: str, row: list[Any]) -> ObjectResult:
    index, source_id, verdict, findings, subject, held, before, label = row
    return ObjectResult(
        file=file,
        index=index,
        source_id=source_id,
        verdict=verdict,
        findings=tuple(
            {"stage": stage, "rule": rule, "path": path, "action": action, "message": message}
            for stage, rule, action, message, path in findings
        ),
        object=subject,
        before=before,
        held=held,
        label=label or find_label(subject or {}),
        previewed=len(findings),
    )


class OctetStore:
    """Pieces of octets in a temporary file that has no name and ends with the program.

    They are read in the order in which they were added, as often as they are needed.  Raises
    ResultsNotKept if there is no room.
    """

    def __init__(self) -> None:
        """Make the file."""
        with writing_results():
            self._stream = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, self._stream.close)
        self._ends = array("Q", [0])

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, in order."""
        for start, end in pairwise(self._ends):
            self._stream.seek(start)
            yield self._stream.read(end - start)

    def add(self, piece: bytes) -> None:
        """Add the next piece."""
        with writing_results():
            self._stream.seek(self._ends[-1])
            self._stream.write(piece)
        self._ends.append(self._ends[-1] + len(piece))


class ResultStore:
    """The results of a large file, on disk.  Raises ResultsNotKept if there is no room for them."""

    def __init__(self, file: str) -> None:
        """`file` is the name that the results have."""
        self._name = file
        self._blocks = OctetStore()
        self._replacements: OctetStore | None = None
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        """The number of results."""
        return self.counts.total()

    def __iter__(self) -> Iterator[ObjectResult]:
        """The results, in order."""
        for row, replacement in self._rows():
            yield _decode_row(self._name, replacement or row)

    def add(self, block: ResultBlock) -> None:
        """Add the results that come next."""
        self._blocks.add(block.octets)
        self.counts.update(block.counts)

    def replace(self, blocks: Iterable[ResultBlock]) -> None:
        """Replace the results that have the same indexes; called once, with blocks in order."""
        self._replacements = OctetStore()
        for block in blocks:
            self._replacements.add(block.octets)
            self.counts.update(block.counts)
        self.counts.subtract(row[2] for row, replacement in self._rows() if replacement)

    def _rows(self) -> Iterator[tuple[list[Any], list[Any] | None]]:
        """The encoded results that were added, in order, each with the one that replaces it."""
        replacements = _decode_rows(self._replacements or ())
        replacement = next(replacements, None)
        for row in _decode_rows(self._blocks):
            if replacement and replacement[0] == row[0]:
                yield row, replacement
                replacement = next(replacements, None)
            else:
                yield row, None


def _decode_rows(pieces: Iterable[bytes]) -> Iterator[list[Any]]:
    for piece in pieces:
        yield from _DECODER.decode(zlib.decompress(piece))


@contextmanager
def writing_results() -> Iterator[None]:
    """Turn a failure to write a temporary file into ResultsNotKept."""
    try:
        yield
    except OSError as error:
        raise ResultsNotKept(
            f"its results cannot be kept in {tempfile.gettempdir()}: {error.strerror}; "
            "name a folder with more room in TMPDIR"
        ) from error
