"""Ages of the reviews that wait, in a few bins for a small chart with its numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tocsin.admission.timestamps import HOUR
from tocsin.server.store.review_queue import QueuedReview

_BINS = (
    ("under 1 h", HOUR),
    ("1–4 h", 4 * HOUR),
    ("4–24 h", 24 * HOUR),
    ("1–3 days", 72 * HOUR),
)
"""Name of each bin, and the age in µs at which the next one begins."""
_LAST = "longer"
HEIGHT = 24
"""Height of the largest bar."""
_LOWEST = 2
"""Height of a bar of few among many, so that it is seen."""


@dataclass(frozen=True, slots=True)
class AgeBin:
    """Number of reviews of that age."""

    label: str
    count: int
    height: int
    """Height of its bar, at most `HEIGHT`; 0: there are none."""


def count_ages(waiting: Sequence[QueuedReview], now: int) -> list[AgeBin]:
    """The ages of reviews, the youngest bin first.

    `waiting` has the oldest first, so that a few look-ups find the bounds, however many there are.
    """
    bounds = [len(waiting)]
    bounds += [bisect_left(waiting, now - age + 1, key=lambda e: e.asked) for _, age in _BINS]
    counts = [later - earlier for later, earlier in pairwise([*bounds, 0])]
    largest = max((*counts, 1))
    labels = [*(label for label, _ in _BINS), _LAST]
    return [
        AgeBin(label, count, max(_LOWEST, round(HEIGHT * count / largest)) if count else 0)
        for label, count in zip(labels, counts, strict=True)
    ]
