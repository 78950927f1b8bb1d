"""The order of tests for several processes that each begin with a run of consecutive ones.

pytest-xdist gives each process an equal part of the list (`--dist worksteal`); one that has done
its part takes from the end of another's.  Slow tests wait a lot: for programs that start, leases,
time limits.  So they come first, but not in as many processes as there are processors: those only
compute.  Quick ones are left at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar


class Marked(Protocol):
    """A test, as pytest collects it."""

    @property
    def nodeid(self) -> str:
        """The path of its file, and its name."""

    def get_closest_marker(self, name: str) -> object | None:
        """The marker of this name; None if the test has none."""


T = TypeVar("T", bound=Marked)


def spread(tests: Sequence[T], processes: int, processors: int) -> list[T]:
    """Order tests so that all processes but one for each processor begin with slow ones.

    At least one process does; the longest tests come first.  Those of a file stay together as far
    as they can.
    """
    slow = [each for each in tests if _is_slow(each)]
    quick = [each for each in tests if not _is_slow(each)]
    heads = _deal(slow, max(1, processes - processors))
    arranged: list[T] = []
    place = 0
    for number, size in enumerate(_parts(len(tests), processes)):
        head = heads[number] if number < len(heads) else []
        rest = max(0, size - len(head))
        arranged += [*head, *quick[place : place + rest]]
        place += rest
    return [*arranged, *quick[place:]]


def _is_slow(test: Marked) -> bool:
    return any(test.get_closest_marker(each) is not None for each in ("slow", "long"))


def _deal(slow: Sequence[T], hands: int) -> list[list[T]]:
    """The slow tests in several parts, the longest ones first in each."""
    longest = [each for each in slow if each.get_closest_marker("long") is not None]
    others = [each for each in slow if each.get_closest_marker("long") is None]
    dealt = [longest[number::hands] for number in range(hands)]
    for number, (_, group) in enumerate(groupby(others, key=_file_of)):
        dealt[number % hands] += group
    return dealt


def _file_of(test: Marked) -> str:
    return test.nodeid.partition("::")[0]


def _parts(total: int, processes: int) -> Iterator[int]:
    """The sizes of the parts that pytest-xdist makes."""
    for left in range(processes, 0, -1):
        yield total // left
        total -= total // left
