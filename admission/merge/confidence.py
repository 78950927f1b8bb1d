"""Confidence from several sources, and its decay with age: the formula of docs/merging.md.

Exact: fractions until the last step, so neither the order of the sources nor
intermediate rounding matters.  The result never exceeds the ceiling, never
falls when a source joins, is more reliable or more confident, and never rises
with a false positive.  If no source states a confidence, the result is None.
The grouping into sources is the matter of `sources`.

The confidence of indicators decays, in steps along a half-life per kind of
observable; no other object's does (docs/merging.md, "Age").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tocsin.admission.model import StixObject
from tocsin.admission.observables.hashes import hash_algorithm
from tocsin.admission.observables.values import extract_observables

NEUTRAL = 50
"""The reliability of an unrated source: its stated confidence is unchanged."""

ADMIRALTY: Mapping[str, int] = {"A": 100, "B": 80, "C": 60, "D": 40, "E": 20, "F": NEUTRAL}
"""The reliability for each letter of the Admiralty code; F means that it cannot be judged."""


@dataclass(frozen=True, slots=True)
class ConfidenceSettings:
    """The numbers of the formula, from the tables [merge] and [decay] of the policy."""

    ceiling: int
    """The highest confidence that is published."""
    corroboration_percent: int
    """Percent of the remaining doubt that one more source of reliability 100 removes."""
    unreliable_percent: int
    """Percent of its stated confidence that a source of reliability 0 loses."""
    reliable_percent: int
    """Percent of the doubt in its statement that a source of reliability 100 is spared."""
    false_positive_percent: int
    """Percent of the confidence that a false positive of reliability 100 takes away."""
    refresh_interval: int
    """µs by which `last_reported` must move before that alone makes a new version."""
    step: int
    """Points by which decaying confidence falls at a time."""
    half_lives: Mapping[str, int]
    """µs after which half of the confidence is left, by kind of observable (`decay`)."""


@dataclass(frozen=True, slots=True)
class Source:
    """One independent source: everything that goes back to one origin."""

    reliability: int
    """From 0 to 100: that of its most reliable partner."""
    confidence: int | None
    """The highest weighed confidence that it states; None if it states none."""


def weigh_confidence(stated: int, reliability: int, scale: ConfidenceSettings) -> int:
    """Adjust a stated confidence by the source's reliability; unchanged at NEUTRAL."""
    offset = Fraction(reliability - NEUTRAL, NEUTRAL)
    if offset < 0:
        return math.floor(stated * (1 + offset * Fraction(scale.unreliable_percent, 100)))
    return math.floor(stated + (100 - stated) * offset * Fraction(scale.reliable_percent, 100))


def combine_confidence(sources: Iterable[Source], scale: ConfidenceSettings) -> int | None:
    """Combine independent sources.

    Each source in turn is taken as the first and corroborated by the others; the best result
    counts.  None if no source states a confidence.
    """
    everyone = list(sources)
    if all(source.confidence is None for source in everyone):
        return None  # of most objects: fractions are slow
    doubt_left = [
        1 - Fraction(scale.corroboration_percent * each.reliability, 10_000) for each in everyone
    ]
    total_doubt = math.prod(doubt_left)
    ceiling = scale.ceiling
    confidences = [
        ceiling - (ceiling - min(source.confidence, ceiling)) * total_doubt / own
        for source, own in zip(everyone, doubt_left, strict=True)
        if source.confidence is not None
    ]
    return math.floor(max(confidences))


def lower_by_denials(confidence: int, denials: Iterable[int], scale: ConfidenceSettings) -> int:
    """Lower the confidence; `denials` are the reliabilities of the sources that deny it."""
    kept = (1 - Fraction(scale.false_positive_percent * each, 10_000) for each in denials)
    return math.floor(confidence * math.prod(kept))


def parse_reliability(text: str) -> int:
    """Parse the reliability an operator writes: a letter of the Admiralty code, or 0 to 100.

    >>> parse_reliability("b"), parse_reliability("75")
    (80, 75)

    Raises ValueError for anything else.
    """
    word = text.strip().upper()
    if word in ADMIRALTY:
        return ADMIRALTY[word]
    if not (word.isascii() and word.isdigit() and int(word) <= 100):
        raise ValueError(f"not a reliability: {ascii(text[:20])}; use A to F, or 0 to 100")
    return int(word)


def merge_sources(sources: Sequence[Source]) -> Source:
    """One source in place of several that share an origin."""
    confidences = [source.confidence for source in sources if source.confidence is not None]
    return Source(max(s.reliability for s in sources), max(confidences, default=None))


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
    return "hash" if hash_algorithm(path) else DECAY_KINDS.get(kind, "other")
