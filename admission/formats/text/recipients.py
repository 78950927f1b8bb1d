"""Recipients of messages in a text: in tables (Markdown, or out of a page) and in JSON events."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tocsin.admission.extraction.places import Places
from tocsin.admission.extraction.prose import find_in_line
from tocsin.admission.formats.csv.columns import names_recipients
from tocsin.admission.observables.ioc_types import IocType, RecognisedIoc
from tocsin.admission.observables.refang import refang

_DELIMITERS = ("|", "\t", ";", ",")
_LONGEST_HEADINGS = 400
_LONGEST_HEADING = 40
_MOST_BETWEEN = 4
"""Lines between the headings and the first row: blank ones, or a ruler."""
_LONGEST_ROW = 4_000
_ENDS_AT_BLANK = (";", ",")
"""Delimiters that are also in sentences."""
_JSON_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?|[\[\]{},]')
_JSON_MEMBER = re.compile(r'"\s*:')
_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class _Table:
    first: int
    end: int
    """The number of its first line and of the one after its last, from 0."""
    delimiter: str
    delimiters: int
    """How many of them the headings have."""
    recipients: frozenset[int]
    """The numbers of the cells with recipients."""


class Recipients:
    """The mailboxes of recipients in the tables and the JSON of a text."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._tables = list[_Table]()
        self._in_json = Places()
        end, json = 0, _JsonReader()
        for number, line in enumerate(lines):
            if number >= end and (table := _find_table(lines, number, line)) is not None:
                self._tables.append(table)
                end = table.end
            for mailbox in json.find_recipients(line):
                self._in_json.find_or_add(mailbox, 0)

    def __contains__(self, value: RecognisedIoc) -> bool:
        """True if a value is the mailbox of a recipient in JSON, or in `recipient=j@lab.org`."""
        if value.kind is not IocType.EMAIL:
            return False
        key, equals, _ = value.value.partition("=")
        return value.value in self._in_json or (bool(equals) and names_recipients(key))

    def remove_mailboxes(self, number: int, line: str) -> str:
        """The line with that number without cells that hold a recipient's mailbox."""
        place = bisect_right(self._tables, number, key=lambda table: table.first) - 1
        if place >= 0 and number < self._tables[place].end:
            return _remove_from_row(line, self._tables[place])
        return _remove_after_labels(line) if "|" in line or "\t" in line else line


def _find_table(lines: Sequence[str], number: int, line: str) -> _Table | None:
    """The table below a line, if that holds headings and the first row a mailbox."""
    if len(line) > _LONGEST_HEADINGS or "@" in line:
        return None
    delimiter = next((each for each in _DELIMITERS if each in line), "")
    row = _find_first_row(lines, number, delimiter) if delimiter else None
    if row is None:
        return None
    cells = line.split(delimiter)
    recipients = frozenset(n for n, cell in enumerate(cells) if names_recipients(cell))
    if not recipients or any(len(cell) > _LONGEST_HEADING for cell in cells):
        return None
    return _Table(row, _find_end(lines, row, delimiter), delimiter, len(cells) - 1, recipients)


def _find_first_row(lines: Sequence[str], number: int, delimiter: str) -> int | None:
    in_sentences = delimiter in _ENDS_AT_BLANK
    end = number + (2 if in_sentences else _MOST_BETWEEN + 2)
    for row in range(number + 1, min(len(lines), end)):
        if _has_mailbox(lines[row][:_LONGEST_ROW]):
            same = lines[row].count(delimiter) == lines[number].count(delimiter)
            return row if same or (delimiter in lines[row] and not in_sentences) else None
    return None


def _find_end(lines: Sequence[str], row: int, delimiter: str) -> int:
    for number in range(row, len(lines)):
        blank = not lines[number].strip()
        if (delimiter in _ENDS_AT_BLANK) if blank else delimiter not in lines[number]:
            return number
    return len(lines)


def _remove_from_row(line: str, table: _Table) -> str:
    cells = line.split(table.delimiter)
    shifted = len(cells) - 1 != table.delimiters
    kept = (
        "" if (shifted or n in table.recipients) and _has_mailbox(cell) else cell
        for n, cell in enumerate(cells)
    )
    return table.delimiter.join(kept)


def _remove_after_labels(line: str) -> str:
    """`| To | jane@example.com |` without the mailbox."""
    delimiter = "|" if "|" in line else "\t"
    labels = line.split(delimiter)
    cells = (
        "" if _has_mailbox(cell) and _is_label(label) else cell for label, cell in pairwise(labels)
    )
    return delimiter.join((labels[0], *cells))


def _is_label(cell: str) -> bool:
    return 1 < len(cell.strip()) <= _LONGEST_HEADING and names_recipients(cell)


def _has_mailbox(cell: str) -> bool:
    return "@" in cell or "@" in refang(cell)


class _JsonReader:
    """Follows JSON through the lines of a text, whether it is all of the text or a part of it."""

    def __init__(self) -> None:
        self._open = list[bool]()
        """For each array and object that is open, True if it belongs to a recipients' member."""
        self._member = False
        """True after the name of such a member."""

    def find_recipients(self, line: str) -> Iterator[str]:
        """The mailboxes of recipients in the next line."""
        if not self._open and _JSON_MEMBER.search(line) is None:
            return
        for token in _JSON_TOKEN.finditer(line):
            if token[2]:
                self._member = names_recipients(token[1])
            elif token[1] is None:
                self._follow(token[0])
            elif (self._member or any(self._open[-1:])) and _has_mailbox(token[1]):
                found = find_in_line(token[1], False)
                yield from (each.value for each in found if each.kind is IocType.EMAIL)

    def _follow(self, mark: str) -> None:
        if mark in "[{":
            self._open.append(self._member or any(self._open[-1:]))
            del self._open[:-_DEEPEST]
        elif mark in "]}":
            del self._open[-1:]
        self._member = False
