"""Passages of a text: which values, and which CVE and ATT&CK ids, stand beside each other.

A passage is a paragraph, an item of a list, or a row of a table.  The ids of a passage
belong to all of its values; the ids of a heading to all values until the next heading.
An id alone on its line belongs to no value but to the heading above.  In a list of values,
each line is a passage and a comment is a heading.

Only passages with ids are read here, so that a text can be read line by line otherwise.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tocsin.admission.extraction.external_ids import (
    MOST_IDS,
    ExternalId,
    has_only_signs,
    join_ids,
    take_external_ids,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import RecognisedIoc

_ITEM = compile_lazily(r"\s*(?:[-*+\u2022]|\d{1,4}[.)])\s+")


@dataclass(frozen=True, slots=True)
class TextLines:
    """The lines of a text, and what a passage is in it."""

    lines: Sequence[str]
    is_heading: Callable[[int], bool]
    """True if the line with a number from 0 is a heading."""
    single_lines: bool
    """True if each line is a passage: in a list of values."""

    def begins_passage(self, number: int) -> bool:
        """True if a passage ends before that line: at blanks, items of lists, rows, headings."""
        line = self.lines[number]
        if self.single_lines or not line or line.isspace():
            return True
        if _is_row(line) or _ITEM.match(line) is not None:
            return True
        return self.is_heading(number) or (number > 0 and _is_row(self.lines[number - 1]))


def _is_row(line: str) -> bool:
    """True for a row of a table: a passage of one line."""
    return line.count("|") > 1 or "\t" in line.strip()


FindValues = Callable[[int, str], Iterable[RecognisedIoc | None]]
"""Finds the values in a line, given its number from 0 and its text without ids."""


@dataclass(slots=True)
class RelatedIds:
    """The ids of a text and the values that they stand beside."""

    of_values: dict[RecognisedIoc, tuple[ExternalId, ...]] = field(default_factory=dict)
    unrelated: list[ExternalId] = field(default_factory=list)
    """Ids beside no value."""
    values_of_lines: dict[int, list[RecognisedIoc | None]] = field(default_factory=dict)
    """The values in the lines that were read, by number from 0; all lines with ids are."""


def relate_ids(text: TextLines, numbers: Iterable[int], find: FindValues) -> RelatedIds:
    """The ids in the lines with these numbers, in order, and the values beside them."""
    reader = _PassageReader(text, find)
    for start, end in _find_passages(text, numbers):
        reader.read(range(start, end))
    return reader.found


def _find_passages(text: TextLines, numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """The passages and sections with these lines: first line, and the line after the last."""
    end = 0
    for number in numbers:
        if number < end:
            continue
        start = number
        while start > end and not text.begins_passage(start):
            start -= 1
        ends = _ends_section if text.is_heading(number) else TextLines.begins_passage
        end = number + 1
        while end < len(text.lines) and not ends(text, end):
            end += 1
        yield start, end


def _ends_section(text: TextLines, number: int) -> bool:
    """True for a heading, unless it follows another at once."""
    return text.is_heading(number) and not text.is_heading(number - 1)


class _PassageReader:
    """Relates the ids and values of passages, line by line."""

    def __init__(self, text: TextLines, find: FindValues) -> None:
        self.found = RelatedIds()
        self._text = text
        self._find = find
        self._heading: list[ExternalId] = []
        self._heading_used = False
        self._values: list[RecognisedIoc] = []
        self._ids: list[ExternalId] = []

    def read(self, numbers: Iterable[int]) -> None:
        """Read the lines of a passage or section."""
        after_heading = False
        for number in numbers:
            rest, ids = take_external_ids(self._text.lines[number])
            is_heading = self._text.is_heading(number)
            if is_heading and not after_heading:
                self._end_section()
            elif self._text.begins_passage(number):
                self._end_passage()
            self._add_ids(ids, rest, is_heading=is_heading)
            values = self.found.values_of_lines[number] = list(self._find(number, rest))
            self._values.extend(value for value in values if value is not None)
            after_heading = is_heading
        self._end_section()

    def _add_ids(self, ids: Sequence[ExternalId], rest: str, *, is_heading: bool) -> None:
        if is_heading:
            self._heading.extend(ids)
        elif ids:
            (self.found.unrelated if has_only_signs(rest) else self._ids).extend(ids)

    def _end_passage(self) -> None:
        if not self._values:
            self.found.unrelated.extend(self._ids)
        else:
            self._heading_used = True
            self._relate(join_ids((self._ids, self._heading)))
        self._values, self._ids = [], []

    def _relate(self, ids: Sequence[ExternalId]) -> None:
        """Relate ids to the values of the passage."""
        self.found.unrelated.extend(ids[MOST_IDS:])
        for value in self._values if ids else ():
            joined = join_ids((self.found.of_values.get(value, ()), ids[:MOST_IDS]))
            self.found.of_values[value] = joined[:MOST_IDS]
            self.found.unrelated.extend(joined[MOST_IDS:])

    def _end_section(self) -> None:
        self._end_passage()
        if not self._heading_used:
            self.found.unrelated.extend(self._heading)
        self._heading, self._heading_used = [], False
