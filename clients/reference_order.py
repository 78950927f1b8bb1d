"""The order in which objects are sent, so that each comes after those that it needs.

A hub sorts what one submission has; a file is cut into several.  Most objects need no look at the
others: the types in their references tell that they come first or second, in the order of the
file.  Of the rest, numbers for their ids and references are kept, and not the objects.

An object that needs none may list some: the traffic of an address waits for it, a malware is
completed when its samples come.  If a file has very many of these, as a log of traffic has, they
stay in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from tocsin.admission.stix.references import REQUIRED_REFERENCES, referenced_ids

_MOST_LISTING = 200_000
"""Objects that list others and are sorted; each takes some 300 octets of memory."""
_NOT_AWAITED = ("identity", "marking-definition", "extension-definition")
"""Types of authors, and of what is sent before all others or not at all."""


class Step(IntEnum):
    """The place of an object among those that need others."""

    FIRST = 0  # it refers to none but its author, or there are too many that do
    LISTING = 1  # it needs none, but lists some: a malware with its samples
    SECOND = 2  # it needs only such as need none: most relationships
    SORTED = 3  # it refers to some that need others: a report on a relationship


SORTED_STEPS = (Step.LISTING, Step.SORTED)
"""The steps whose objects are sorted."""


class ReferenceOrder:
    """Finds out what comes when.

    All objects are added first, then the references of those of each step of SORTED_STEPS.
    """

    def __init__(self) -> None:
        """Without objects."""
        self._has_second = self._has_many = False
        self._listing: set[int] = set()
        self._sorted: set[int] = set()
        self._references: dict[int, tuple[int, ...]] = {}

    def add(self, subject: Mapping[str, Any]) -> None:
        """Add an object."""
        if _needs_others(subject):
            self._has_second = True
            if any(_find_needing(subject)):
                self._sorted.add(_number(subject))
        elif not self._has_many and any(_find_listed(subject)):
            self._listing.add(_number(subject))
            if len(self._listing) > _MOST_LISTING:
                self._has_many = True
                self._listing.clear()

    @property
    def steps(self) -> list[Step]:
        """The steps that objects may have, in their order."""
        is_there = {
            Step.FIRST: True,
            Step.LISTING: self._listing,
            Step.SECOND: self._has_second,
            Step.SORTED: self._sorted,
        }
        return [step for step in Step if is_there[step]]

    def find_step(self, subject: Mapping[str, Any]) -> Step:
        """The step of an object that was added; all versions of an id have the same."""
        if not _needs_others(subject):
            return Step.LISTING if _number(subject) in self._listing else Step.FIRST
        return Step.SORTED if _number(subject) in self._sorted else Step.SECOND

    def add_references(self, subject: Mapping[str, Any]) -> int:
        """Add those of an object of a step that is sorted; the number by which `sort` knows it."""
        id = _number(subject)
        if _needs_others(subject):
            found = (each for each in _find_needing(subject) if each in self._sorted)
        else:
            found = (each for each in _find_listed(subject) if each in self._listing)
        self._references[id] = tuple(dict.fromkeys((*self._references.get(id, ()), *found)))
        return id

    def sort(self) -> dict[int, int]:
        """The place of each id of the step: after those that it refers to, and near them.

        In a circle one comes before another that it refers to.  The next step is begun.
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
        self._references.clear()
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


def _find_listed(subject: Mapping[str, Any]) -> Iterator[int]:
    """The ids, as numbers, of objects to which one refers and that may come later than it."""
    for id in referenced_ids(dict(subject)):
        if id.partition("--")[0] not in _NOT_AWAITED:
            yield hash(id)
