"""Additions to all objects of a file: labels, and an end for indicators without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Candidate, StixObject
from tocsin.admission.timestamps import micros, stix_time

_UNLABELLED = ("marking-definition", "bundle")
"""Types to which no label is added, as to observables."""


@dataclass(frozen=True, slots=True)
class Additions:
    """Labels and validity for all objects of a file."""

    labels: tuple[str, ...] = ()
    """Labels to add to every object that can have some."""
    valid_for: int = 0
    """µs for which indicators without `valid_until` are valid from now on; 0: as the file says."""


def complete(candidate: Candidate, additions: Additions, now: int) -> Candidate:
    """The candidate with the labels and the end that were given for the whole file.

    That makes it a new version, so `modified` moves to `now`.
    """
    subject = candidate.object
    if not (additions.labels or additions.valid_for):
        return candidate
    if subject is None or not isinstance(subject.get("type"), str):
        return candidate
    added = _missing_labels(subject, additions.labels)
    added |= _missing_end(subject, additions.valid_for, now)
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
