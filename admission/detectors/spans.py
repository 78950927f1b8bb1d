"""Stretches of a text that a detector found, and sets of them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of a text that holds something private."""

    start: int
    end: int
    what: str
    """Its kind in words, as masks and findings name it: `e-mail address`."""


def merge_overlapping_spans(spans: Iterable[Span]) -> list[Span]:
    """The spans in order; those that overlap become one, of the kind that starts first.

    Of two that start at the same place, the longer one gives the kind.
    """
    spans = list(spans)
    if len(spans) < 2:
        return spans
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
        elif span.end > merged[-1].end:
            merged[-1] = merged[-1]._replace(end=span.end)
    return merged


class SpanIndex:
    """Stretches of a text, searched in logarithmic time."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(stretches):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """The stretches in order; those that overlap or touch are one."""
        return zip(self._starts, self._ends, strict=True)

    def overlaps(self, start: int, end: int) -> bool:
        """True if a stretch of the index shares a character with this one."""
        place = bisect_left(self._starts, end) - 1
        return place >= 0 and self._ends[place] > start

    def contains(self, start: int, end: int) -> bool:
        """True if this stretch lies inside one of the index."""
        place = bisect_right(self._starts, start) - 1
        return place >= 0 and self._ends[place] >= end
