"""What is in a submission: its objects, each as a candidate.  Knows no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from tocsin.admission.acs import is_acs
from tocsin.admission.errors import Malformed
from tocsin.admission.ijson import divisible, strict
from tocsin.admission.model import Action, Candidate, Finding

_MISP = Finding(
    "validate",
    "format",
    Action.REFUSED,
    "an event of MISP, of which many objects are made: send it with tocsin push, or as STIX",
)


def split(raw: bytes) -> list[bytes]:
    """The objects of an envelope that the door has understood already."""
    try:
        envelope = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        envelope = msgspec.json.decode(divisible(raw), type=dict[str, msgspec.Raw])
    return [bytes(one) for one in msgspec.json.decode(envelope["objects"], type=list[msgspec.Raw])]


def candidate_of(index: int, raw: bytes) -> Candidate:
    """One object as a candidate; refused if it cannot be read.  ACS markings keep their bytes."""
    try:
        subject = strict(raw)
    except Malformed as error:
        fault = Finding("validate", "format", Action.REFUSED, str(error))
        return Candidate(index, None).refused(fault)
    if "Event" in subject and "type" not in subject:
        return Candidate(index, None).refused(_MISP)
    candidate = Candidate.stated(index, subject)
    return replace(candidate, raw=raw) if is_acs(subject) else candidate


def about(candidates: Sequence[Candidate]) -> dict[str, tuple[str, ...]]:
    """The sightings and opinions of a submission, by the source ids that they are about."""
    found: dict[str, tuple[str, ...]] = {}
    for candidate in candidates:
        subject = candidate.object or {}
        if candidate.open and subject.get("type") in ("sighting", "opinion"):
            for target in (subject.get("sighting_of_ref"), *subject.get("object_refs", ())):
                if target is not None:
                    found[target] = (*found.get(target, ()), str(candidate.source_id))
    return found
