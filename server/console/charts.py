"""Geometry of the charts: numbers in, positions for SVG out.

Attributes only, since the content security policy bars styles in a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

WIDTH, HEIGHT = 320, 96
_TOP, _BOTTOM = 17, 18
"""Room for the largest number above the columns, and for the labels below them."""
_MOST_LABELS, _LABEL_WIDTH = 4, 50
"""Both hold for the larger letters of a chart that a narrow place makes smaller."""
_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a chart."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Label:
    """A text at the axis of time."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns on one axis of time."""

    columns: tuple[Column, ...]
    labels: tuple[Label, ...]
    largest: int
    width: int = WIDTH
    height: int = HEIGHT
    base: int = HEIGHT - _BOTTOM
    """y of the axis."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines over one axis of time, each as the points of polylines."""

    lines: tuple[tuple[str, ...], ...]
    """For each series its pieces: a gap where there is no value."""
    labels: tuple[Label, ...]
    largest: float
    width: int = WIDTH
    height: int = HEIGHT
    base: int = HEIGHT - _BOTTOM


def columns(starts: Sequence[int], values: Sequence[int]) -> Chart:
    """Draw a value for each of these times (µs since 1970 UTC), scaled to the largest."""
    largest = max((*values, 1))
    step, room = WIDTH / max(len(values), 1), HEIGHT - _BOTTOM - _TOP
    made = tuple(
        Column(
            round(i * step + step * 0.1, 1),
            round(HEIGHT - _BOTTOM - room * value / largest, 1),
            round(step * 0.8, 1),
            round(room * value / largest, 1),
        )
        for i, value in enumerate(values)
        if value
    )
    return Chart(made, _labels(starts), max(values, default=0))


def lines(starts: Sequence[int], *series: Sequence[int | None]) -> Lines:
    """Draw several series on one scale; None is a gap, and one value alone a short line."""
    largest = max((value for each in series for value in each if value is not None), default=1)
    step, room = WIDTH / max(len(starts), 1), HEIGHT - _BOTTOM - _TOP
    drawn = []
    for values in series:
        pieces: list[list[str]] = [[]]
        for i, value in enumerate(values):
            if value is None:
                pieces.append([])
                continue
            y = round(HEIGHT - _BOTTOM - room * value / (largest or 1), 1)
            pieces[-1] += [f"{round(i * step + step * at, 1)},{y}" for at in (0.3, 0.7)]
        drawn.append(tuple(" ".join(piece) for piece in pieces if piece))
    return Lines(tuple(drawn), _labels(starts), largest)


def _labels(starts: Sequence[int]) -> tuple[Label, ...]:
    if not starts:
        return ()
    step, every = WIDTH / len(starts), ceil(len(starts) / _MOST_LABELS)
    return tuple(
        Label(round(i * step, 1), _day(starts[i]))
        for i in range(0, len(starts), every)
        if i * step <= WIDTH - _LABEL_WIDTH
    )


def _day(micros: int) -> str:
    moment = datetime.fromtimestamp(micros / _SECOND, UTC)
    return f"{moment.day} {moment:%b}"
