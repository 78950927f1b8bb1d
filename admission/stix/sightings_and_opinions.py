"""Build and read the word of a reader on a public indicator: a sighting, or a false alarm.

A sighting is a STIX sighting.  A false alarm is an opinion that strongly disagrees: STIX says of a
sighting with `count: 0` only that something was not seen, which another reader may not take for
a false alarm.  A Tocsin hub counts both alike.  Neither has a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS
from tocsin.admission.model import AssessmentKind, StixObject, Tlp
from tocsin.admission.stix.history_extension import has_history
from tocsin.admission.timestamps import HOUR, stix_time

REPEAT_WINDOW = HOUR
"""µs within which the console takes the same statement of the same partner only once."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Statement of a reader about an indicator."""

    false_alarm: bool = False
    count: int = 1
    """Number of times that it was seen."""
    seen: int = 0
    """Time of the last sighting, in µs since 1970 UTC; 0: now."""


def build_statement(
    target: StixObject, observation: Observation, now: int, number: UUID
) -> StixObject:
    """The object to send; it is at the level of its target.

    `now` in µs since 1970 UTC; `number` becomes its id.
    """
    kind = "opinion" if observation.false_alarm else "sighting"
    stamp = stix_time(now)
    common: StixObject = {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{number}",
        "created": stamp,
        "modified": stamp,
        **_markings(target),
    }
    if observation.false_alarm:
        return common | {"opinion": "strongly-disagree", "object_refs": [target["id"]]}
    seen = stix_time(min(observation.seen or now, now) // 1_000_000 * 1_000_000)
    times = {"first_seen": seen, "last_seen": seen} if observation.count == 1 else {}
    return common | times | {"sighting_of_ref": target["id"], "count": observation.count}


def read_statement(subject: StixObject) -> tuple[AssessmentKind, list[str]] | None:
    """The kind of a sighting or an opinion, and the ids of what it is about; None for other types.

    A sighting with a count of 0 is a false alarm, and so is an opinion that disagrees, strongly or
    not.
    """
    match subject["type"]:
        case "sighting":
            is_denied = subject.get("count") == 0
            kind = AssessmentKind.FALSE_POSITIVE if is_denied else AssessmentKind.SIGHTING
            return kind, [subject["sighting_of_ref"]]
        case "opinion":
            is_denied = "disagree" in subject["opinion"]
            kind = AssessmentKind.FALSE_POSITIVE if is_denied else AssessmentKind.OTHER
            return kind, subject["object_refs"]
    return None


def _markings(target: StixObject) -> Mapping[str, object]:
    """The markings of the whole object; those of its parts say nothing of the statement.

    A hub publishes nothing at RED, but shows AMBER+STRICT so to those that read TLP 1.0.
    """
    refs = target.get("object_marking_refs")
    if not isinstance(refs, list) or not refs:
        return {}
    if has_history(target):
        strict = TLP_2_IDS[Tlp.AMBER_STRICT]
        refs = [strict if each == TLP_1_IDS[Tlp.RED] else each for each in refs]
    return {"object_marking_refs": refs}
