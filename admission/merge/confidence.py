"""How sure the hub is of a public object: the formula of docs/merging.md.

Pure and exact: fractions until the last step, so that neither the order of the
sources nor a rounding in between changes anything.  The result is never above
the ceiling; it never falls when a source joins, is more reliable or surer, and
never rises with age or with a report of a false alarm.  What nobody stated is
not invented.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tocsin.admission.model import StixObject
from tocsin.admission.observables.extract import extract_observables

NEUTRAL = 50
"""The reliability of a source that nobody has judged: what it states counts as it stands."""

ADMIRALTY: Mapping[str, int] = {"A": 100, "B": 80, "C": 60, "D": 40, "E": 20, "F": NEUTRAL}
"""The reliability that each letter of the Admiralty code stands for; F: cannot be judged."""

DECAY_KINDS: Mapping[str, str] = {
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "domain-name": "domain",
    "url": "url",
    "email-addr": "email",
}
"""Observables that age, by their names in the policy; besides there are `hash` and `other`."""

DAY = 86_400_000_000
"""µs."""


@dataclass(frozen=True, slots=True)
class ConfidenceSettings:
    """The numbers of the formula, from the tables [merge] and [decay] of the policy."""

    ceiling: int
    """Nothing is surer than this."""
    corroboration_percent: int
    """Percent of the doubt that remains which a wholly reliable further source removes."""
    unreliable_percent: int
    """Percent of its word that the least reliable source loses."""
    reliable_percent: int
    """Percent of the doubt in its word that the most reliable source is spared."""
    false_positive_percent: int
    """Percent of the confidence that a wholly reliable source's report of a false alarm takes."""
    refresh_interval: int
    """µs by which `last_reported` must have moved before that alone makes a new version."""
    step: int
    """Points by which confidence falls with age, all at once."""
    half_lives: Mapping[str, int]
    """µs after which half of the confidence is left, by kind of observable."""


@dataclass(frozen=True, slots=True)
class Source:
    """One independent source: all contributions that go back to one origin."""

    reliability: int
    """From 0 to 100; that of its most reliable partner."""
    confidence: int | None
    """The highest weighed confidence that was stated; None: none was."""


def weigh_confidence(stated: int, reliability: int, scale: ConfidenceSettings) -> int:
    """A stated confidence as the source's reliability makes it; unchanged at NEUTRAL."""
    away = Fraction(reliability - NEUTRAL, NEUTRAL)
    if away < 0:
        return math.floor(stated * (1 + away * Fraction(scale.unreliable_percent, 100)))
    return math.floor(stated + (100 - stated) * away * Fraction(scale.reliable_percent, 100))


def combine_confidence(
    sources: Iterable[Source], denials: Iterable[int], scale: ConfidenceSettings
) -> int | None:
    """What independent sources say together; `denials` are the reliabilities of who denies it.

    Each source in turn is taken at its word and corroborated by the others; the best counts.
    """
    everyone = list(sources)
    left = [
        1 - Fraction(scale.corroboration_percent * each.reliability, 10_000) for each in everyone
    ]
    all_left = math.prod(left)
    ceiling = scale.ceiling
    words = [
        ceiling - (ceiling - min(source.confidence, ceiling)) * all_left / own
        for source, own in zip(everyone, left, strict=True)
        if source.confidence is not None
    ]
    if not words:
        return None
    kept = (1 - Fraction(scale.false_positive_percent * each, 10_000) for each in denials)
    return math.floor(max(words) * math.prod(kept))


def decay_confidence(confidence: int, age: int, half_life: int, step: int) -> int:
    """What is left of it after `age` µs, falling by whole steps."""
    if half_life == 0 or age <= 0:
        return confidence
    lost = confidence - confidence * 2.0 ** (-age / half_life)
    falls = min(int(lost // step), (confidence - 1) // step)  # something is left for ever
    return confidence - step * falls


def next_decay(confidence: int, age: int, half_life: int, step: int) -> int | None:
    """The age in µs at which it falls by the next step; None: it has fallen for good."""
    left = decay_confidence(confidence, age, half_life, step) - step
    if half_life == 0 or left <= 0:
        return None
    return max(age + 1, math.ceil(half_life * math.log2(confidence / left)))


def half_life(subject: StixObject, scale: ConfidenceSettings) -> int:
    """µs in which the object loses half of its worth; 0: it does not age.

    Indicators age, as slowly as the most lasting thing that they are about.
    """
    if subject["type"] != "indicator":
        return 0
    kinds = {_kind(o.kind, o.property) for o in extract_observables(subject) if not o.negated}
    lives = [scale.half_lives[kind] for kind in kinds or {"other"}]
    return max(lives) if all(lives) else 0


def _kind(kind: str, path: str) -> str:
    return "hash" if ".hashes." in f".{path}" else DECAY_KINDS.get(kind, "other")


def parse_reliability(text: str) -> int:
    """The reliability that an operator writes: a letter of the Admiralty code, or 0 to 100.

    >>> reliability_of("b"), reliability_of("75")
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
    """One source in place of several that are not independent."""
    words = [source.confidence for source in sources if source.confidence is not None]
    return Source(max(s.reliability for s in sources), max(words, default=None))
