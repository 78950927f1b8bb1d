"""What a reader takes from the database at once: a block, or some entries of a few runs.

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
from tocsin.server.store.runs import Document, block_of, body_of

RUNS = 8
"""Runs of one portion at most; each may be as long as a body may be."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Whole blocks, or the entries of them that filters pick."""

    blocks: tuple[int, ...]
    picks: Mapping[int, Pick] | None = None
    """By position, in order; None: whole blocks."""

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


def divided_picks(picks: Iterable[tuple[int, Pick]], enough: int) -> Iterator[Portion]:
    """Picks, in order of position, in portions of a few runs and no more than enough entries."""
    part: dict[int, Pick] = {}
    runs: set[int] = set()
    for position, pick in picks:
        if len(runs | {pick.first}) > RUNS:
            yield _portion(part)
            part, runs = {}, set()
        part[position] = pick
        runs.add(pick.first)
        if len(part) == enough:  # before the next pick is looked for
            yield _portion(part)
            part, runs = {}, set()
    if part:
        yield _portion(part)


def _portion(picks: Mapping[int, Pick]) -> Portion:
    return Portion(tuple(sorted({block_of(position) for position in picks})), picks)


def answered(body: bytes | None, doubts: Iterable[Wanted]) -> bool:
    """Whether an object holds what is asked; one that was withdrawn meanwhile holds nothing."""
    return bool(body) and all(holds(orjson.loads(body or b""), each) for each in doubts)
