"""Decay of confidence with age: in steps along a half-life per kind of observable.

Indicators decay; no other object does (docs/merging.md, "Age").
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tocsin.admission.merge.confidence import ConfidenceSettings
from tocsin.admission.model import StixObject
from tocsin.admission.observables.extract import extract_observables

DECAY_KINDS: Mapping[str, str] = {
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "domain-name": "domain",
    "url": "url",
    "email-addr": "email",
}
"""The policy's name of each SCO type with its own half-life; else `hash` or `other`."""


def decay_confidence(confidence: int, age: int, half_life: int, step: int) -> int:
    """The confidence left after `age` µs: it falls to multiples of `step`, and never to 0.

    It never is lower for a higher confidence.  A `half_life` of 0 means no decay.
    """
    if half_life == 0 or age <= 0:
        return confidence
    left: float = confidence * 2.0 ** (-age / half_life)
    return min(confidence, step * max(1, math.ceil(left / step)))


def next_decay(confidence: int, age: int, half_life: int, step: int) -> int | None:
    """The age in µs at which confidence falls by the next step; None if it falls no further."""
    remaining = step * math.ceil(decay_confidence(confidence, age, half_life, step) / step - 1)
    if half_life == 0 or remaining <= 0:
        return None
    return max(age + 1, math.ceil(half_life * math.log2(confidence / remaining)))


def half_life(subject: StixObject, scale: ConfidenceSettings) -> int:
    """The half-life of the object's confidence in µs; 0 if it does not decay.

    The longest half-life among the observables of an indicator's pattern counts.
    """
    if subject["type"] != "indicator":
        return 0
    kinds = {_kind(o.kind, o.property) for o in extract_observables(subject) if not o.negated}
    lives = [scale.half_lives[kind] for kind in kinds or {"other"}]
    return max(lives) if all(lives) else 0


def _kind(kind: str, path: str) -> str:
    return "hash" if ".hashes." in f".{path}" else DECAY_KINDS.get(kind, "other")
