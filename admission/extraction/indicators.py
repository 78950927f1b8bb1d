"""Indicators made of single values, as STIX 2.1 objects.

The id follows from the pattern, so that whoever sends the same file again
sends the same indicators again.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha1
from typing import Any, Protocol

from tocsin.admission.formats import ReadOptions
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    StixObject,
    Tlp,
    Verdict,
)
from tocsin.admission.timestamps import stix_time

_NAMESPACE = uuid.UUID("7f0c0b52-5d0f-4b3e-9a57-6f1f1d3c9b4e")
"""Of the ids of indicators that were made from plain values."""
_VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
"""The digit by which a UUID says whose it is (RFC 9562 section 4.1)."""
_stix_time = lru_cache(maxsize=1024)(stix_time)  # the rows of a file share their dates


class Told(Protocol):
    """What a file tells of: a value under its usual name, and the pattern that matches it."""

    @property
    def value(self) -> str:
        """How people call it."""
        ...

    @property
    def pattern(self) -> str:
        """What matches it."""
        ...


@dataclass(frozen=True, slots=True)
class Remarks:
    """What a file says about a value besides the value."""

    seen: int | None = None
    """µs since 1970 UTC; when it was first seen or noted down."""
    until: int | None = None
    """µs since 1970 UTC; when it ceases to matter."""
    name: str = ""
    description: str = ""
    tlp: Tlp | None = None
    confidence: int | None = None
    types: tuple[str, ...] = ()
    """In the words of STIX's open vocabulary for `indicator_types`."""
    labels: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """URLs of reports."""


@dataclass(slots=True)
class Collected:
    """The indicators of one file so far, each pattern once."""

    reading: ReadOptions
    places: dict[str, int] = field(default_factory=dict)
    """The line on which each pattern came first."""
    count: int = 0
    """Candidates so far: the next one's index."""

    def numbered(self) -> int:
        """The next candidate's index."""
        self.count += 1
        return self.count - 1

    def first(
        self, value: Told, remarks: Remarks, line: int, findings: Sequence[Finding] = ()
    ) -> Candidate | None:
        """The next candidate: an indicator for `value`; None if an earlier place has it as well."""
        pattern = value.pattern
        if pattern in self.places:
            return None
        self.places[pattern] = line
        made = _indicator(value.value, pattern, remarks, self.reading)
        return Candidate.from_object(self.numbered(), made, *findings)

    def placed(
        self,
        value: Told,
        remarks: Remarks,
        place: tuple[str, int],
        findings: Sequence[Finding] = (),
    ) -> Candidate:
        """The next candidate, settled if an earlier place, `("line", 3)`, has the value as well."""
        what, number = place
        pattern = value.pattern
        before = self.places.setdefault(pattern, number)
        made = _indicator(value.value, pattern, remarks, self.reading)
        if before == number:
            return Candidate.from_object(self.numbered(), made, *findings)
        said = f"{what} {number}: says again what {what} {before} says"
        finding = Finding("validate", "format", Action.NOTED, said)
        told = (*findings, finding)
        return Candidate.from_object(self.numbered(), made, *told, verdict=Verdict.DUPLICATE)


def indicator(value: Told, remarks: Remarks, reading: ReadOptions) -> StixObject:
    """A STIX 2.1 indicator that matches `value`."""
    return _indicator(value.value, value.pattern, remarks, reading)


def _indicator(value: str, pattern: str, remarks: Remarks, reading: ReadOptions) -> StixObject:
    stamp = _stix_time(reading.now if remarks.seen is None else remarks.seen)
    made: StixObject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{_uuid(pattern)}",
        "created": stamp,
        "modified": stamp,
        "name": remarks.name or value,
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": stamp,
    }
    tlp = reading.tlp if remarks.tlp is None else remarks.tlp
    if tlp is not None:
        made["object_marking_refs"] = [TLP_2_IDS[tlp]]
    made.update(_said(remarks))
    return made


def _said(remarks: Remarks) -> Iterator[tuple[str, Any]]:
    if remarks.description:
        yield "description", remarks.description
    if remarks.types:
        yield "indicator_types", list(remarks.types)
    if remarks.labels:
        yield "labels", list(remarks.labels)
    if remarks.references:
        links = [{"source_name": "report", "url": url} for url in remarks.references]
        yield "external_references", links
    if remarks.until is not None:
        yield "valid_until", _stix_time(remarks.until)
    if remarks.confidence is not None:
        yield "confidence", remarks.confidence


def _uuid(pattern: str) -> str:
    """What `uuid.uuid5` says, without an object for it: a file has thousands."""
    digits = sha1(_NAMESPACE.bytes + pattern.encode(), usedforsecurity=False).hexdigest()
    parts = (
        digits[:8],
        digits[8:12],
        "5" + digits[13:16],
        _VARIANT[digits[16]] + digits[17:20],
        digits[20:32],
    )
    return "-".join(parts)
