"""Files to be shared: their candidates, with what the user adds to all of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.extraction.indicators import IndicatorDetails, build_indicator
from tocsin.admission.formats import ReadOptions, detect_format, explain_unreadable, read
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Candidate, StixObject, Tlp
from tocsin.admission.timestamps import micros, stix_time

_REMEDY = "; name its format with --as (report.txt)"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be shared."""

    name: str
    """As the user gave it; every result names it."""
    content: bytes = field(repr=False)
    """Empty if the file is read from `path`."""
    form: str = ""
    """A file name that shows the format if `name` does not: `report.txt`."""
    new_ids: bool = False
    """Give indicators whose id follows from their value random ids instead."""
    labels: tuple[str, ...] = ()
    """Labels to add to every object that can have some."""
    valid_for: int = 0
    """µs for which indicators without `valid_until` are valid from now on; 0: as the file says."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """See ReadOptions.columns."""
    path: Path | None = None
    """Its path, if it is so large that it is not kept in memory if that can be avoided."""
    keep_before: bool = False
    """Keep every object as it was read, not only those that a rule changed."""

    def read(self) -> bytes:
        """The whole content."""
        return self.content if self.path is None else self.path.read_bytes()


def read_candidates(file: InputFile, now: int, tlp: Tlp) -> Iterator[Candidate]:
    """The candidates of a file, with what the user adds to all of them.

    Raises ShareError if no format reads it.
    """
    name, content = file.form or file.name, file.read()
    if detect_format(name, content) is None:
        raise Unprocessable(explain_unreadable(name, content, _REMEDY))
    options = ReadOptions(now=now, tlp=tlp, columns=file.columns)
    for candidate in read(name, content, options):
        yield complete(candidate, file, now)


_UNLABELLED = ("marking-definition", "bundle")
"""Types to which no label is added, as to observables."""


def complete(candidate: Candidate, file: InputFile, now: int) -> Candidate:
    """The candidate with what the user gave for the whole file."""
    if file.new_ids:
        candidate = _renew_id(candidate)
    return _add_given(candidate, file, now) if file.labels or file.valid_for else candidate


def _add_given(candidate: Candidate, file: InputFile, now: int) -> Candidate:
    """The candidate with the labels and the end that the user gave for the whole file.

    That makes it a new version, so `modified` moves to `now`.
    """
    subject = candidate.object
    if subject is None or not isinstance(subject.get("type"), str):
        return candidate
    added = _missing_labels(subject, file.labels) | _missing_end(subject, file.valid_for, now)
    if not added:
        return candidate
    if "modified" in subject and subject["modified"] != stix_time(now):
        added["modified"] = stix_time(max(now, _parse_micros(subject["modified"], 0) + 1000))
    version = added.get("modified", candidate.source_version)
    return replace(candidate, object={**subject, **added}, source_version=version)


def _missing_labels(subject: StixObject, labels: tuple[str, ...]) -> dict[str, Any]:
    kind, present = subject["type"], subject.get("labels", [])
    if kind in _UNLABELLED or is_observable_type(kind) or not isinstance(present, list):
        return {}
    missing = [label for label in dict.fromkeys(labels) if label not in present]
    return {"labels": [*present, *missing]} if missing else {}


def _missing_end(subject: StixObject, valid_for: int, now: int) -> dict[str, Any]:
    if not valid_for or subject["type"] != "indicator" or "valid_until" in subject:
        return {}
    begin = max(now, _parse_micros(subject.get("valid_from"), now))
    return {"valid_until": stix_time(begin + valid_for)}


def _parse_micros(text: object, otherwise: int) -> int:
    try:
        return micros(str(text))
    except Malformed:
        return otherwise


@dataclass(frozen=True, slots=True)
class _Value:
    value: str
    pattern: str


def _renew_id(candidate: Candidate) -> Candidate:
    """The candidate under a random id, if its id follows from its value."""
    subject = candidate.object or {}
    value = _Value("", str(subject.get("pattern")))
    derived = build_indicator(value, IndicatorDetails(), ReadOptions(now=0))["id"]
    if subject.get("id") != derived:
        return candidate
    id = f"indicator--{uuid.uuid4()}"
    return replace(candidate, object={**subject, "id": id}, source_id=id)
