"""Passages of a text: which values, and which CVE and ATT&CK ids, stand beside each other.

A passage is a paragraph, an item of a list, or a row of a table.  The ids of a passage
belong to all of its values; the ids of a heading to all values until the next heading.
An id alone on its line belongs to no value but to the heading above.  In a list of values,
each line is a passage and a comment is a heading.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tocsin.admission.extraction.external_ids import (
    ExternalId,
    has_only_signs,
    join_ids,
    take_external_ids,
)
from tocsin.admission.observables.ioc_types import RecognisedIoc

_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d{1,4}[.)])\s+")


class Found(NamedTuple):
    """A value in a text."""

    line: int
    """The number of its line from 1."""
    value: RecognisedIoc | None
    """None for an address with a placeholder."""
    ids: tuple[ExternalId, ...] = ()
    """The ids beside it."""


@dataclass(slots=True)
class Passages:
    """Collects values and ids line by line, and gives each value the ids beside it."""

    single_lines: bool
    """True if each line is a passage: in a list of values."""
    unrelated: list[ExternalId] = field(default_factory=list)
    """Ids beside no value so far."""
    _heading: list[ExternalId] = field(default_factory=list)
    _heading_used: bool = False
    _after_heading: bool = False
    _values: list[Found] = field(default_factory=list)
    _ids: list[ExternalId] = field(default_factory=list)

    def take_ids(self, line: str, is_heading: bool) -> tuple[str, list[Found]]:
        """Begin a line: the line without its ids, and the values of passages that end before it."""
        rest, ids = take_external_ids(line)
        ended: list[Found] = []
        if is_heading:
            ended = self.end() if self._after_heading else self.end_section()
            self._heading.extend(ids)
        elif self.single_lines or not line.strip() or _begins_passage(line):
            ended = self.end()
        if ids and not is_heading:
            (self.unrelated if has_only_signs(rest) else self._ids).extend(ids)
        self._after_heading = is_heading
        return rest, ended

    def add(self, number: int, values: Iterable[RecognisedIoc | None]) -> None:
        """Add values of the current line."""
        self._values.extend(Found(number, value) for value in values)

    def end(self) -> list[Found]:
        """The values of the current passage with its ids; the next passage begins."""
        values, ids = self._values, self._ids
        self._values, self._ids = [], []
        if not values:
            self.unrelated.extend(ids)
            return []
        self._heading_used = True
        joined = join_ids((ids, self._heading))
        return [each._replace(ids=joined) for each in values] if joined else values

    def end_section(self) -> list[Found]:
        """The values of the last passage below a heading; the heading's ids end."""
        ended = self.end()
        if not self._heading_used:
            self.unrelated.extend(self._heading)
        self._heading, self._heading_used = [], False
        return ended


def _begins_passage(line: str) -> bool:
    """True for an item of a list and a row of a table."""
    return line.count("|") > 1 or "\t" in line.strip() or _ITEM.match(line) is not None
