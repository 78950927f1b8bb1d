"""What a reader takes from the database at once: a block, or some entries of one.

Only what is to be read, and what of it was asked for; no database.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from tocsin.server.facets import holds
from tocsin.server.model import Wanted
from tocsin.server.store.picking import Pick
from tocsin.server.store.runs import Document, body_of

RUNS = 64
"""Runs of one portion at most."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A block, or the entries of it that filters pick."""

    block: int
    picks: Mapping[int, Pick] | None = None
    """By position, in order; None: the whole block."""

    @property
    def doubtful(self) -> bool:
        """Whether the bodies of some must be looked at."""
        return any(pick.doubts for pick in (self.picks or {}).values())

    def within(self, runs: Sequence[Document]) -> bool:
        """Whether the runs, in order, hold everything that was picked, and nothing twice."""
        begins = [run["first"] for run in runs]
        ends = [run["first"] + run["n"] for run in runs]
        apart = all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))
        places = ((position, bisect_right(begins, position)) for position in self.picks or ())
        return apart and all(i and position < ends[i - 1] for position, i in places)

    def holds(self, run: Document, index: int) -> bool:
        """Whether an entry that was picked is what was asked for."""
        doubts = self.picks[run["first"] + index].doubts if self.picks is not None else ()
        return not doubts or answered(body_of(run, index), doubts)


def divided_picks(block: int, picks: Mapping[int, Pick]) -> Iterator[Portion]:
    """The picks of a block in portions of a few runs each, in order."""
    part: dict[int, Pick] = {}
    runs: set[int] = set()
    for position, pick in picks.items():
        if len(runs | {pick.first}) > RUNS:
            yield Portion(block, part)
            part, runs = {}, set()
        part[position] = pick
        runs.add(pick.first)
    if part:
        yield Portion(block, part)


def answered(body: bytes | None, doubts: Iterable[Wanted]) -> bool:
    """Whether an object holds what is asked; one that was withdrawn meanwhile holds nothing."""
    return bool(body) and all(holds(orjson.loads(body or b""), each) for each in doubts)
