"""Finding the entries of a feed that filters by facets ask for, from the cards alone.

Spans are asked about in growing groups, so a rare facet of a large feed is
found in a few questions and a common one costs no more than its first span.
Of several filters the one that has left the fewest entries so far goes first,
and the next ones are asked only about the spans that it has left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tocsin.server.model import Query, Wanted
from tocsin.server.store.cards import keys, read, span_of, takes
from tocsin.server.store.connection import Base
from tocsin.server.store.runs import BLOCK, block_of
from tocsin.server.store.steady import Steady

KEYS = 128
"""Keys in one question, if the values of one filter are not more already."""
MANY = 20_000
"""Entries that the filters of one group of spans may find before the next group is smaller."""


@dataclass(frozen=True, slots=True)
class Pick:
    """An entry that the filters ask for."""

    first: int
    """Where its run began when it was written."""
    doubts: tuple[Wanted, ...] = ()
    """The filters that only the object itself can answer."""


@dataclass(slots=True)
class _Found:
    """What one filter takes, by position."""

    sure: dict[int, int] = field(default_factory=dict)
    doubtful: dict[int, int] = field(default_factory=dict)


def filters(query: Query) -> tuple[Wanted, ...]:
    """All that a query asks by facets, its types among it."""
    if not query.types:
        return query.wanted
    types = Wanted("type", tuple(sorted(f"type={type}" for type in query.types)))
    return (*query.wanted, types)


class Picking:
    """The filters of one query on their way through one feed."""

    def __init__(self, base: Base, feed: str, wanted: Sequence[Wanted]) -> None:
        """`wanted`, joined by AND, is not empty."""
        self._base, self._feed, self._wanted = base, feed, wanted
        self._names = {each.field: _named(each) for each in wanted}
        self._left: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()

    def picks(self, first: int, last: int, steady: Steady) -> Iterator[tuple[int, Pick]]:
        """The positions, in order, of what all filters take from block `first` to `last`."""
        spans = range(span_of(first), span_of(last) + 1)
        width = 1
        while spans:
            before = self._left.total()
            picked = steady.read(self._feed, partial(self.among, spans[:width]))
            found = sorted(picked.items(), key=lambda item: item[0])
            yield from (each for each in found if block_of(each[0]) >= first)
            few = self._left.total() - before < MANY
            spans, width = spans[width:], min(width * 2, KEYS) if few else max(width // 2, 1)

    def among(self, spans: Iterable[int]) -> dict[int, Pick]:
        """The entries in some spans that all filters take, by position.

        True only while nothing of the feed is packed (steady.py).
        """
        left, picked = list(spans), None
        for wanted in sorted(self._wanted, key=self._cost):
            found = self._found(wanted, left)
            picked = _both(picked, found, wanted)
            self._asked[wanted.field] += len(left)
            self._left[wanted.field] += len(found.sure) + len(found.doubtful)
            left = sorted({span_of(block_of(position)) for position in picked})
            if not left:
                break
        return picked or {}

    def _cost(self, wanted: Wanted) -> tuple[float, int]:
        asked = self._asked[wanted.field]
        return (self._left[wanted.field] / asked if asked else 0.0), len(wanted.facets)

    def _found(self, wanted: Wanted, spans: Sequence[int]) -> _Found:
        names, found = self._names[wanted.field], _Found()
        width = max(1, KEYS // len(names))
        for i in range(0, len(spans), width):
            asked = {"feed": self._feed, "facets": {"$in": keys(spans[i : i + width], names)}}
            for card in self._base.cards.find(asked):
                before = card["block"] * BLOCK + 1
                for facet, holders in read(card, names):
                    into = found.doubtful if facet == wanted.unsure else found.sure
                    for place in takes(wanted, facet, holders):
                        into[before + place] = card["first"]
        return found


def _named(wanted: Wanted) -> frozenset[str]:
    """The facets that are looked up for a filter."""
    return frozenset((*wanted.facets, wanted.edge, wanted.unsure)) - {""}


def _both(picked: dict[int, Pick] | None, found: _Found, wanted: Wanted) -> dict[int, Pick]:
    """What was picked by the filters before and is found by this one."""
    every = found.doubtful | found.sure
    if picked is None:
        picked = {position: Pick(first) for position, first in every.items()}
    return {
        position: pick if position in found.sure else Pick(pick.first, (*pick.doubts, wanted))
        for position, pick in picked.items()
        if position in every
    }
