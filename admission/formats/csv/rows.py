"""The rows of a table, whatever its delimiter and however broken its quotes.

In most readers a quote that is never closed swallows the rest of a file, or every
second row if each has one.  Here a row may span a bounded number of lines if its
quotes close at the end of cells; otherwise quotes are plain characters.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

DELIMITERS = (",", "\t", ";", "|")
NO_DELIMITER = "\x1f"
"""In place of a delimiter, for a table of one column: a character that does not occur in text."""
_LONGEST_ROW = 65_536
_MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    line: int
    """The line on which it begins, from 1."""
    cells: tuple[str, ...]
    broken: bool = False
    """True if it opens a quote that is never closed."""
    doubt: str = ""
    """Why its values are held; empty if they are not."""

    @property
    def comment(self) -> bool:
        """True if it is a comment."""
        return self.cells[0].lstrip("\ufeff \t").startswith(("#", "//"))

    @property
    def blank(self) -> bool:
        """True if it is empty, a comment or the title of a section."""
        filled = list(islice((cell for cell in self.cells if cell and not cell.isspace()), 2))
        if not filled:
            return True
        return self.comment or (len(filled) == 1 and self.cells[0].endswith(":"))


def parse_rows(lines: Sequence[str], delimiter: str) -> Iterator[Row]:
    """Every row of a table, broken ones included."""
    number = 0
    while number < len(lines):
        line = lines[number]
        if '"' not in line:
            yield Row(number + 1, tuple(line.split(delimiter)))
            number += 1
            continue
        line_count = _count_lines_of_row(lines, number)
        if not line_count:
            yield Row(number + 1, tuple(line.split(delimiter)), broken=True)
            number += 1
            continue
        row, line_count = _parse_quoted(number + 1, lines[number : number + line_count], delimiter)
        if line_count > 1 and not _quotes_end_cells(lines[number : number + line_count], delimiter):
            row, line_count = Row(number + 1, tuple(line.split(delimiter)), broken=True), 1
        yield row
        number += line_count


def detect_delimiter(text: str, ending: str) -> str:
    """The delimiter of a table, by its first lines; the `ending` of the file name breaks a tie."""
    sample = [line for line in text[:_LONGEST_ROW].split("\n")[:40] if has_cells(line)]
    likely = "\t" if ending == ".tsv" else ","
    return max(DELIMITERS, key=lambda each: (_regularity(sample, each), each == likely))


def has_cells(line: str) -> bool:
    """True for a line of a table that is neither blank nor a comment."""
    return bool(line.strip()) and not line.startswith("#")


def _regularity(sample: Sequence[str], delimiter: str) -> float:
    """The share of lines with the same number of delimiters outside quotes, from 0 to 1."""
    if not sample:
        return 0
    counts = ["".join(line.split('"')[::2]).count(delimiter) for line in sample]
    if not counts[0]:
        return sum(count > 0 for count in counts) / len(counts) / 4
    return sum(count == counts[0] for count in counts) / len(counts)


def _count_lines_of_row(lines: Sequence[str], start: int) -> int:
    """The number of lines that the row at `start` spans; 0 if its quotes never close."""
    quotes = length = 0
    for line_count in range(1, min(_MOST_LINES, len(lines) - start) + 1):
        line = lines[start + line_count - 1]
        quotes += line.count('"')
        length += len(line)
        if length > _LONGEST_ROW:
            return 0
        if quotes % 2 == 0:
            return line_count
    return 0


def _parse_quoted(number: int, lines: Sequence[str], delimiter: str) -> tuple[Row, int]:
    """The first row of these lines, and the number of lines that it takes.

    A quote in the middle of a cell is a plain character, so it may be fewer than all.
    """
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    cells = next(reader, [])
    return Row(number, tuple(cells)), reader.line_num


def _quotes_end_cells(lines: Sequence[str], delimiter: str) -> bool:
    """True if each quote of a row ends a cell, so that none belongs to an earlier row."""
    outside = "\n".join(lines).replace('""', "").split('"')[2::2]
    return all(part.lstrip(" \t\r")[:1] in ("", delimiter, "\n") for part in outside)
