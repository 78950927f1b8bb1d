"""Indicators made of single values, as STIX 2.1 objects.

The id follows from the pattern, so that whoever sends the same file again
sends the same indicators again.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tocsin.admission.formats import Reading
from tocsin.admission.markings import TLP_2
from tocsin.admission.model import Action, Candidate, Finding, StixObject, Tlp, Verdict
from tocsin.admission.timestamps import stix_time

_NAMESPACE = uuid.UUID("7f0c0b52-5d0f-4b3e-9a57-6f1f1d3c9b4e")
"""Of the ids of indicators that were made from plain values."""


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

    reading: Reading
    places: dict[str, int] = field(default_factory=dict)
    """The line on which each pattern came first."""
    count: int = 0
    """Candidates so far: the next one's index."""

    def numbered(self) -> int:
        """The next candidate's index."""
        self.count += 1
        return self.count - 1

    def first(self, value: Told, line: int) -> bool:
        """Whether the value is new in this file."""
        return self.places.setdefault(value.pattern, line) == line

    def candidate(
        self, value: Told, remarks: Remarks, findings: Sequence[Finding] = ()
    ) -> Candidate:
        """The next candidate: an indicator for `value`."""
        made = indicator(value, remarks, self.reading)
        return Candidate(
            index=self.numbered(),
            object=made,
            source_id=made["id"],
            source_version=made["modified"],
            findings=tuple(findings),
        )

    def placed(
        self,
        value: Told,
        remarks: Remarks,
        place: tuple[str, int],
        findings: Sequence[Finding] = (),
    ) -> Candidate:
        """The next candidate, settled if an earlier place, `("line", 3)`, has the value as well."""
        what, number = place
        new = self.first(value, number)
        candidate = self.candidate(value, remarks, findings)
        if new:
            return candidate
        said = f"{what} {number}: says again what {what} {self.places[value.pattern]} says"
        finding = Finding("validate", "format", Action.NOTED, said)
        return replace(candidate.noting(finding), verdict=Verdict.DUPLICATE)


def indicator(value: Told, remarks: Remarks, reading: Reading) -> StixObject:
    """A STIX 2.1 indicator that matches `value`."""
    pattern = value.pattern
    stamp = stix_time(reading.now if remarks.seen is None else remarks.seen)
    made: StixObject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid5(_NAMESPACE, pattern)}",
        "created": stamp,
        "modified": stamp,
        "name": remarks.name or value.value,
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": stamp,
    }
    tlp = reading.tlp if remarks.tlp is None else remarks.tlp
    if tlp is not None:
        made["object_marking_refs"] = [TLP_2[tlp]]
    return made | _said(remarks)


def _said(remarks: Remarks) -> StixObject:
    links = [{"source_name": "report", "url": url} for url in remarks.references]
    said: StixObject = {
        "description": remarks.description,
        "indicator_types": list(remarks.types),
        "labels": list(remarks.labels),
        "external_references": links,
        "valid_until": None if remarks.until is None else stix_time(remarks.until),
    }
    said = {name: value for name, value in said.items() if value}
    if remarks.confidence is not None:
        said["confidence"] = remarks.confidence
    return said
