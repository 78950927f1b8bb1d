"""The tables of a PDF's page, out of its text laid out with blanks as on the page.

The plain text of a page has no columns: who received a mail stands there beside who sent it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, zip_longest

from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.refang import refang

_GAP = re.compile(r" {2,}")
_MAILBOX = re.compile(r"@|[\[({]\s?at\s?[\])}]", re.IGNORECASE)
VALUE_SIGN = re.compile(
    rf"{_MAILBOX.pattern}|://|\[\.\]|\(\.\)|\[:|(?<![0-9A-Za-z])[0-9a-f]{{16}}"
    r"|(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)",
    re.IGNORECASE,
)
"""A mailbox, or an address, a hash or a defanged host."""
_LONGEST_PAGE = 1_000_000
_MOST_ROWS = 400
_MOST_BLANK = 3
"""Blank lines that end a table."""
_ROWS_PER_FOOTER = 20
"""Rows for each of which one line may cross the columns, as the footer of a page does."""
_MOST_LINES_OF_FOOTER = 2
"""Lines below a table that may go on with the next page."""
_LONGEST_HEADING = 40
_LEAST_SHARE = 3
"""A table has a value in at least one of three rows; two columns of sentences seldom do."""
_LONGEST_HEADINGS = 400
_LONGEST_PROSE = 60
"""Characters of a line in one piece beyond which it is a sentence, not the rest of a cell."""
_MOST_LINES_OF_HEADINGS = 10
"""Lines from the first headings to the first value, if these and the cells are broken."""
_LONGEST_VALUE = 2_000
HASH_DIGITS = (32, 40, 64, 128)
"""The numbers of digits of MD5, SHA-1, SHA-256 and SHA-512."""
_HEX = re.compile(r"[0-9A-Fa-f]{16,127}")
_HEX_DIGITS = re.compile(r"[0-9A-Fa-f]{1,127}")
_PART_OF_HOST = re.compile(r"(?=.*[0-9.-])[a-z0-9.-]{4,253}")
_REST = re.compile(r"\S{1,2000}")
_URL = re.compile(r"\S{1,20}://([^\s/:]{1,300})\S{0,2000}")
_NOTHING = ("n/a", "-", "none", "null", "unknown")
"""Cells without a value."""
_COLUMN = re.compile(r"x+(?: x+)*")
_FULL = 0.8
"""The share of a column's width from which a cell may fill it: characters differ in width."""
_FARTHEST = 2
"""Lines from one part of a value to the next: cells beside it may be between them in height."""


@dataclass(frozen=True, slots=True)
class _Table:
    first: int
    end: int
    """The numbers of its first line on the page and of the one after its last."""
    rows: list[list[str]]
    """The headings, even if only the page before has them, and a row for each line."""

    def write(self) -> list[str]:
        """The rows as in Markdown, those without a cell left out."""
        rows = ([cell.replace("|", r"\|") for cell in row] for row in self.rows if any(row))
        return [f"| {' | '.join(row)} |" for row in rows]


def write_tables(layout: str, headings: Sequence[str] = ()) -> tuple[str, Sequence[str]] | None:
    """The text of a page with its tables as in Markdown; None if none of them holds a value.

    `headings` are those of a table that may go on from the page before.  With the text come
    those of one that may go on with the next page, if there is one.
    """
    lines = [line.rstrip() for line in layout.split("\n")]
    tables = list(_find_tables(lines, headings)) if len(layout) <= _LONGEST_PAGE else []
    if not tables:
        return None
    written: list[str] = []
    end = 0
    for table in tables:
        written += [*map(_squeeze, lines[end : table.first]), *table.write()]
        end = table.end
    written += map(_squeeze, lines[end:])
    goes_on = len(list(filter(None, lines[end:]))) <= _MOST_LINES_OF_FOOTER
    return "\n".join(written), tables[-1].rows[0] if goes_on else ()


def _squeeze(line: str) -> str:
    return " ".join(line.split())


def _find_tables(lines: Sequence[str], headings: Sequence[str]) -> Iterator[_Table]:
    number = 0
    while number < len(lines):
        table = _find_rest(lines, number, headings) or _find_table(lines, number)
        if table is None:
            number += 1
        else:
            yield table
            number, headings = table.end, ()


def _find_table(lines: Sequence[str], first: int) -> _Table | None:
    """The table of which a line has the headings."""
    if not _are_headings(lines, first):
        return None
    end = _find_end(lines, first)
    columns = _find_columns(lines[first:end])
    if len(columns) < 2 or not _holds_values(lines[first + 1 : end]):
        return None
    return _Table(first, end, _read_rows(lines[first:end], columns))


def _holds_values(rows: Sequence[str]) -> bool:
    """True if a row holds a mailbox, or many hold values."""
    count = sum(VALUE_SIGN.search(row) is not None for row in rows)
    return any(map(_MAILBOX.search, rows)) or _LEAST_SHARE * count >= len(list(filter(None, rows)))


def _find_rest(lines: Sequence[str], first: int, headings: Sequence[str]) -> _Table | None:
    """The rest of a table that begins on the page before."""
    if not headings or len(_cells(lines[first])) < 2:
        return None
    end = _find_end(lines, first)
    columns = _find_columns(lines[first:end])
    if len(columns) != len(headings) or not _holds_values(lines[first:end]):
        return None
    return _Table(first, end, [list(headings), *_read_rows(lines[first:end], columns)])


def _cells(line: str) -> list[str]:
    return _GAP.split(line.strip())


def _are_headings(lines: Sequence[str], number: int) -> bool:
    """True if a line has headings, and one of the next ones a value in one of several cells."""
    line = lines[number]
    if not line or len(line) > _LONGEST_HEADINGS or VALUE_SIGN.search(line):
        return False
    cells = _cells(line)
    if len(cells) < 2 or max(map(len, cells)) > _LONGEST_HEADING:
        return False
    below = filter(None, lines[number + 1 : number + 1 + 2 * _MOST_LINES_OF_HEADINGS])
    for row in islice(below, _MOST_LINES_OF_HEADINGS):
        count = len(_cells(row))
        if count > 1 and VALUE_SIGN.search(row):
            return True
        if count > len(cells):
            return False
    return False


def _find_end(lines: Sequence[str], first: int) -> int:
    """The line after a table: at the left a sentence, or one word after a blank line."""
    left = _end_of_first_cell(lines[first])
    most = min(len(lines), first + _MOST_ROWS)
    for number in range(first + 1, most):
        text = lines[number].strip()
        if not any(lines[number : number + _MOST_BLANK]):
            return number
        if text and len(_cells(text)) == 1 and _begin(lines[number]) < left:
            is_prose = len(text) > _LONGEST_PROSE and " " in text
            if is_prose or not lines[number - 1]:
                return number
    return most


def _begin(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end_of_first_cell(line: str) -> int:
    return _begin(line) + len(_cells(line)[0])


def _find_columns(lines: Sequence[str]) -> list[slice]:
    """The places of each column: between them, two or more are blank in nearly all rows."""
    left = _end_of_first_cell(lines[0])
    rows = [line for line in lines if len(_cells(line)) > 1 or _begin(line) >= left]
    most = len(rows) // _ROWS_PER_FOOTER
    places = zip_longest(*rows, fillvalue=" ")
    shape = "".join("x" if len(rows) - each.count(" ") > most else " " for each in places)
    return [slice(*found.span()) for found in _COLUMN.finditer(shape)]


class _Column:
    """A column of a table, read from the top."""

    def __init__(self, number: int, places: slice) -> None:
        """Its number counts from 0."""
        self._number, self._places = number, places
        self._full = _FULL * (places.stop - places.start)
        self._row: list[str] = []
        """The row with the last cell."""
        self._is_full = False
        self._lines_since = 0

    def add(self, line: str, row: list[str]) -> None:
        """Add the cell of the next line to its row, or to the value that goes on there."""
        text, number = line[self._places].rstrip(), self._number
        cell = text.strip()
        self._lines_since += 1
        if not cell:
            return
        is_alone = not line[: self._places.start].strip()
        near = self._row and self._lines_since <= _FARTHEST
        above = self._row[number].rpartition(" ")[2] if near else ""
        if above and _goes_on(above, cell, is_full=self._is_full, is_alone=is_alone):
            self._row[number] += cell
        else:
            row[number] = f"{row[number]} {cell}".strip()
            self._row = row
        self._is_full, self._lines_since = len(text) >= self._full, 0


def _read_rows(lines: Sequence[str], columns: Sequence[slice]) -> list[list[str]]:
    """The headings and the rows: below one, a line whose first cell is empty belongs to it.

    A blank line comes between rows, and what belongs to headings holds no value.
    """
    readers = [_Column(*each) for each in enumerate(columns)]
    between = [slice(one.stop, two.start) for one, two in pairwise(columns)]
    rows: list[list[str]] = []
    is_apart = True
    for line in lines:
        if any(line[places].strip() for places in between):
            rows.append(_cells(line))  # a footer, or cells that cannot be told apart
        elif line:
            begins = (
                is_apart or not rows or line[columns[0]].strip() or len(rows[-1]) != len(columns)
            )
            if begins or (len(rows) == 1 and VALUE_SIGN.search(line)):
                rows.append([""] * len(columns))
            for reader in readers:
                reader.add(line, rows[-1])
        is_apart = not line
    return rows


def _goes_on(cell: str, below: str, *, is_full: bool, is_alone: bool) -> bool:
    """True if a value that ends a cell, and perhaps fills it, goes on in the line below.

    `is_alone` if no cell is before that below: then it is hardly that of another row.
    """
    if len(cell) > _LONGEST_VALUE or not _REST.fullmatch(below):
        return False
    if cell.endswith("-"):
        return cell[-2:-1].isalnum()
    if _HEX.fullmatch(cell):
        return _ends_hash(cell, below, is_alone=is_alone)
    clear, rest = refang(cell), refang(below)
    if url := _URL.fullmatch(clear):
        return (is_full or clear.endswith("/")) and _ends_url(url[1], rest)
    _, sign, host = clear.rpartition("@")
    if parse_known_host(host):
        return False
    if sign:
        return "@" not in rest
    return is_full and _PART_OF_HOST.fullmatch(clear) is not None and _ends_host(clear + rest)


def _ends_hash(digits: str, below: str, *, is_alone: bool) -> bool:
    """True if the line below is the rest of a hash; one that may be whole goes on only alone."""
    if not _HEX_DIGITS.fullmatch(below) or len(below) in HASH_DIGITS:
        return False
    return is_alone or len(digits) not in HASH_DIGITS


def _ends_host(text: str) -> bool:
    return parse_known_host(text.partition("/")[0]) is not None


def _ends_url(host: str, below: str) -> bool:
    """True if the line below a URL may be its rest: neither a value of its own nor a word."""
    if VALUE_SIGN.search(below) or below.lower() in _NOTHING:
        return False
    return not _ends_host(below) or not parse_known_host(host)
