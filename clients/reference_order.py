"""The order in which objects are sent, so that each comes after those that it needs.

A hub sorts what one submission has; a file is cut into several.  Most objects need no look at the
others: the types in their references tell that they come first or second, in the order of the
file; what they list of each other is completed as it comes.  Of the rest, numbers for their ids and
references are kept, and not the objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from tocsin.admission.stix.references import REQUIRED_REFERENCES, referenced_ids


class Step(IntEnum):
    """The place of an object among those that need others."""

    FIRST = 0  # it needs none
    SECOND = 1  # it needs only such as need none: most relationships
    SORTED = 2  # it refers to some that need others: a report on a relationship


class ReferenceOrder:
    """Finds out what comes when.

    All objects are added first, then the references of those of the step SORTED.
    """

    def __init__(self) -> None:
        """Without objects."""
        self._has_second = False
        self._sorted: set[int] = set()
        self._references: dict[int, tuple[int, ...]] = {}

    def add(self, subject: Mapping[str, Any]) -> None:
        """Add an object."""
        if _needs_others(subject):
            self._has_second = True
            if any(_find_needing(subject)):
                self._sorted.add(_number(subject))

    @property
    def steps(self) -> list[Step]:
        """The steps that objects may have, in their order."""
        is_there = {Step.FIRST: True, Step.SECOND: self._has_second, Step.SORTED: self._sorted}
        return [step for step in Step if is_there[step]]

    def find_step(self, subject: Mapping[str, Any]) -> Step:
        """The step of an object that was added; all versions of an id have the same."""
        if not _needs_others(subject):
            return Step.FIRST
        return Step.SORTED if _number(subject) in self._sorted else Step.SECOND

    def add_references(self, subject: Mapping[str, Any]) -> int:
        """Add those of an object of the step SORTED; the number by which `sort` knows its id."""
        id = _number(subject)
        found = (each for each in _find_needing(subject) if each in self._sorted)
        self._references[id] = tuple(dict.fromkeys((*self._references.get(id, ()), *found)))
        return id

    def sort(self) -> dict[int, int]:
        """The place of each id: after those that it refers to, and near them.

        In a circle one comes before another that it refers to.
        """
        places: dict[int, int] = {}
        begun: set[int] = set()
        for first in self._references:
            waiting = [first]
            while waiting:
                id = waiting[-1]
                left = () if id in begun else self._references[id]
                begun.add(id)
                waiting += (more := [each for each in left if each not in begun])
                if not more:
                    places.setdefault(waiting.pop(), len(places))
        return places


def _needs_others(subject: Mapping[str, Any]) -> bool:
    return str(subject.get("type")) in REQUIRED_REFERENCES


def _number(subject: Mapping[str, Any]) -> int:
    return hash(str(subject.get("id")))


def _find_needing(subject: Mapping[str, Any]) -> Iterator[int]:
    """The ids, as numbers, of objects to which one refers and that need others themselves."""
    for id in referenced_ids(dict(subject)):
        if id.partition("--")[0] in REQUIRED_REFERENCES:
            yield hash(id)
