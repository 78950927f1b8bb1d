"""The tables of a PDF's page, out of its text laid out with blanks as on the page.

The plain text of a page has no columns: who received a mail stands there beside who sent it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, pairwise, takewhile, zip_longest

from tocsin.admission.documents.broken_hashes import (
    HASH_DIGITS,
    find_digits,
    is_part_of_hash,
    is_rest_of_hash,
    join_words,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.refang import refang

_GAP = compile_lazily(r" {2,}")
_MAILBOX = compile_lazily(r"@|[\[({]\s?at\s?[\])}]", re.IGNORECASE)
VALUE_SIGN = compile_lazily(
    rf"{_MAILBOX.pattern}|://|\[\.\]|\(\.\)|\[:|(?<![0-9A-Za-z])[0-9a-f]{{16}}"
    r"|(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)",
    re.IGNORECASE,
)
"""A mailbox, or an address, a hash or a defanged host."""
MOST_PAGES_WITH_TABLES = 300
"""First pages of a file of which tables are read: it takes as long as reading their text, and the
time of a file is limited."""
_LONGEST_PAGE = 1_000_000
_MOST_ROWS = 400
_MOST_BLANK = 3
"""Blank lines that end a table."""
_ROWS_PER_FOOTER = 20
"""Rows for each of which one line may cross the columns, as the footer of a page does."""
_MOST_LINES_OF_HEADER = 20
"""Lines above a table that goes on, and repeats its headings."""
_MOST_LINES_OF_FOOTER = 2
"""Lines below a table that may go on with the next page."""
_LEAST_BLANK = 2
"""Blank lines above a footer."""
_LINES_ABOVE_FOOTER = 10
"""Lines above a footer of which none is as far from the one before."""
_LONGEST_HEADING = 40
_LEAST_SHARE = 3
"""A table has a value in at least one of three rows; two columns of sentences seldom do."""
_LONGEST_HEADINGS = 400
_LONGEST_PROSE = 60
"""Characters of a line in one piece beyond which it is a sentence, not the rest of a cell."""
_MOST_LINES_OF_HEADINGS = 10
"""Lines from the first headings to the first value, if these and the cells are broken."""
_LONGEST_VALUE = 2_000
_PART_OF_HOST = compile_lazily(r"(?=.*[0-9.-])[a-z0-9.-]{4,253}")
_REST = compile_lazily(r"\S{1,2000}")
_URL = compile_lazily(r"\S{1,20}://([^\s/:]{1,300})\S{0,2000}")
_OPEN_ENDS = ("/", "?", "&", "=")
"""Ends of URLs after which lines are broken before they are full."""
_BEGUN_MARKS = ("[", "[.", "[.]", "(", "(.", "(.)")
_ENDED_MARKS = ("]", ".]", "[.]", ".)", "(.)")
"""A dot of a defanged value at which a line was broken."""
_ADDRESS = compile_lazily(r"\d{1,3}(?:\.\d{1,3}){0,3}\.?$")
_WHOLE_ADDRESS = compile_lazily(r"\d{1,3}(?:\.\d{1,3}){3}(?=$|[:/]\d)")
_OF_ADDRESSES = compile_lazily(
    r"\bip|addr|host|server|\bc2|c&c|domain|network|indicator|\bioc|value|source|dest",
    re.IGNORECASE,
)
_NUMBER = compile_lazily(r"[0-9]{1,6}")
_NOTHING = ("n/a", "-", "none", "null", "unknown")
"""Cells without a value."""
_PIECE = compile_lazily(r"\S+(?: \S+)*")
_COLUMN = compile_lazily(r"x+(?: x+)*")
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
    columns: Sequence["_Column"]

    def write(self) -> list[str]:
        """The rows as in Markdown, those without a cell left out."""
        rows = (self._join(row) for row in self.rows if any(row))
        return [f"| {' | '.join(row)} |" for row in rows]

    def _join(self, row: Sequence[str]) -> Iterator[str]:
        """The cells with hashes whole; the heading above or a cell beside may name their kind."""
        beside = " ".join(row)
        for heading, cell in zip_longest(self.rows[0], row, fillvalue=""):
            yield join_words(cell, (heading, beside)).replace("|", r"\|")


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table that may go on with the next page."""

    headings: list[str]
    columns: Sequence["_Column"]


@dataclass(frozen=True, slots=True)
class PageTables:
    """The text of a page with its tables.

    The next page may complete the last row: write it only after that was read.
    """

    parts: Sequence[str | _Table]
    """Lines, and tables between them."""
    open_table: OpenTable | None

    def write(self) -> str:
        """The text of the page with its tables as in Markdown."""
        parts = ([each] if isinstance(each, str) else each.write() for each in self.parts)
        return "\n".join(chain.from_iterable(parts))


@lru_cache(maxsize=1_000)  # each line is asked for as many headings as there may be above it
def _has_value(line: str) -> bool:
    return VALUE_SIGN.search(line) is not None


def read_tables(layout: str, before: OpenTable | None = None) -> PageTables | None:
    """The tables in the layout of a page; None if none of them holds a value.

    One of the page `before` may go on here, without its headings or below them.
    """
    _has_value.cache_clear()
    lines = [line.rstrip() for line in layout.split("\n")]
    body = lines[: _find_footer(lines)]
    tables = list(_find_tables(body, before)) if len(layout) <= _LONGEST_PAGE else []
    if not tables:
        return None
    parts: list[str | _Table] = []
    end = 0
    for table in tables:
        parts += [*map(_squeeze, lines[end : table.first]), table]
        end = table.end
    parts += map(_squeeze, lines[end:])
    goes_on = len(list(filter(None, lines[end:]))) <= _MOST_LINES_OF_FOOTER
    last = tables[-1]
    return PageTables(parts, OpenTable(last.rows[0], last.columns) if goes_on else None)


def _find_footer(lines: Sequence[str]) -> int:
    """The first line of the page's footer: few, without a value, below more blank than others."""
    filled = [number for number, line in enumerate(lines) if line]
    for count in range(1, min(_MOST_LINES_OF_FOOTER, len(filled) - 1) + 1):
        if VALUE_SIGN.search(lines[filled[-count]]):
            break
        above = filled[-count - _LINES_ABOVE_FOOTER : -count]
        widest = max((two - one for one, two in pairwise(above)), default=0)
        if filled[-count] - above[-1] > max(widest, _LEAST_BLANK):
            return filled[-count]
    return len(lines)


def _squeeze(line: str) -> str:
    return " ".join(line.split())


def _find_tables(lines: Sequence[str], before: OpenTable | None) -> Iterator[_Table]:
    number = 0
    repeated = _find_repeated(lines, before) if before is not None else None
    if repeated is not None:
        yield repeated
        number, before = repeated.end, None
    while number < len(lines):
        table = _find_rest(lines, number, before) or _find_table(lines, number)
        if table is None:
            number += 1
        else:
            yield table
            number, before = table.end, None


def _find_repeated(lines: Sequence[str], before: OpenTable) -> _Table | None:
    """The rest of a table that begins on the page before, if the page repeats its headings."""
    for number in range(min(len(lines), _MOST_LINES_OF_HEADER)):
        table = _find_table(lines, number, before)
        if table is not None and table.rows[0] == before.headings:
            return table
    return None


def _find_table(lines: Sequence[str], first: int, before: OpenTable | None = None) -> _Table | None:
    """The table of which a line has the headings."""
    if not _are_headings(lines, first):
        return None
    end = _find_end(lines, first)
    places = _find_columns(lines[first:end])
    if len(places) < 2 or not _holds_values(lines[first + 1 : end], places[0]):
        return None
    reader = _RowReader(places, before)
    reader.read(lines[first:end])
    return _Table(first, end, reader.rows, reader.columns)


def _holds_values(lines: Sequence[str], first: slice) -> bool:
    """True if a line holds a mailbox, or many rows, counted in the `first` column, hold values."""
    count = sum(map(_has_value, lines))
    rows = sum(bool(line[first].strip()) for line in lines)
    return _LEAST_SHARE * count >= max(rows, 1) or (count > 0 and any(map(_MAILBOX.search, lines)))


def _find_rest(lines: Sequence[str], first: int, before: OpenTable | None) -> _Table | None:
    """The rest of a table that begins on the page before."""
    if before is None or not _may_begin_rest(lines, first):
        return None
    end = _find_end(lines, first)
    places = _find_columns(lines[first:end])
    if len(places) != len(before.headings) or not _holds_values(lines[first:end], places[0]):
        return None
    if len(_cells(lines[first])) < 2 and _begin(lines[first]) < places[1].start:
        return None
    reader = _RowReader(places, before)
    reader.rows.append(list(before.headings))
    reader.read(lines[first:end])
    return _Table(first, end, reader.rows, reader.columns)


def _may_begin_rest(lines: Sequence[str], first: int) -> bool:
    """True for a row, or for the end of a value just above one."""
    if len(_cells(lines[first])) > 1:
        return True
    above = list(takewhile(bool, lines[first : first + _FARTHEST + 1]))
    return (
        bool(above)
        and all(map(_REST.fullmatch, map(str.strip, above[:1])))
        and any(len(_cells(line)) > 1 for line in above)
    )


def _cells(line: str) -> list[str]:
    return _GAP.split(line.strip())


def _are_headings(lines: Sequence[str], number: int) -> bool:
    """True if a line has headings, and one of the next ones a value in one of several cells."""
    line = lines[number]
    if not line or len(line) > _LONGEST_HEADINGS or _has_value(line):
        return False
    cells = _cells(line)
    if len(cells) < 2 or max(map(len, cells)) > _LONGEST_HEADING:
        return False
    below = filter(None, lines[number + 1 : number + 1 + 2 * _MOST_LINES_OF_HEADINGS])
    for row in islice(below, _MOST_LINES_OF_HEADINGS):
        count = len(_cells(row))
        if count > 1 and _has_value(row):
            return True
        if count > len(cells):
            return False
    return False


def _find_end(lines: Sequence[str], first: int) -> int:
    """The line after a table: at the left a sentence, or one word after a blank line.

    Or any line of one piece that begins to the left of all rows.
    """
    left = _end_of_first_cell(lines[first])
    most = min(len(lines), first + _MOST_ROWS)
    margin = 0
    for number in range(first + 1, most):
        text = lines[number].strip()
        if not any(lines[number : number + _MOST_BLANK]):
            return number
        begin = _begin(lines[number])
        if len(_cells(text)) > 1:
            if _has_value(lines[number]):
                margin = min(margin or begin, begin)
        elif text and begin < left:
            is_prose = len(text) > _LONGEST_PROSE and " " in text
            if is_prose or not lines[number - 1] or begin < margin:
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

    def __init__(self, number: int, places: slice, rows: Sequence[Sequence[str]]) -> None:
        """Its number counts from 0; the first of the `rows` has the headings."""
        self.places = places
        self._rows = rows
        self._number = number
        self._full = _FULL * (places.stop - places.start)
        self._row: list[str] = []
        """The row with the last cell."""
        self._is_full = False
        self._lines_since = 0

    def go_on_from(self, before: "_Column") -> None:
        """Go on with the last cell of the same column on the page before."""
        self._row, self._is_full, self._lines_since = before._row, before._is_full, 0

    def add(self, text: str, row: list[str], *, is_alone: bool, is_next: bool) -> bool:
        """Add the cell of the next line to its row, or to the value that goes on there.

        `is_alone` if the line hardly begins another row, `is_next` if it certainly does.  True if a
        value goes on.
        """
        cell, number = text.strip(), self._number
        self._lines_since += 1
        if not cell:
            return False
        near = self._row and self._lines_since <= _FARTHEST and not is_next
        above = self._row[number] if near else ""
        last = above.rpartition(" ")[2]
        goes_on = False
        if is_part_of_hash(last) and is_part_of_hash(cell):
            is_rest = is_alone or is_rest_of_hash(above, cell, self.heading())
            self._append(cell, self._row if is_rest else row)
        elif last and _goes_on(
            last, cell, is_full=self._is_full, may_begin=not is_alone and not self._has_addresses()
        ):
            self._row[number] += cell
            goes_on = True
        else:
            self._append(cell, row)
        self._is_full, self._lines_since = len(text.rstrip()) >= self._full, 0
        return goes_on

    def heading(self) -> str:
        """Its heading; empty without one."""
        return next(iter(self._rows[0][self._number :]), "")

    def _has_addresses(self) -> bool:
        return _OF_ADDRESSES.search(self.heading()) is not None

    def _append(self, cell: str, row: list[str]) -> None:
        row[self._number] = f"{row[self._number]} {cell}".strip()
        self._row = row


class _RowReader:
    """Reads the headings and the rows of a table, line by line.

    Below a row, a line whose first cell is empty belongs to it.  A blank line comes between rows,
    and what belongs to headings holds no value.
    """

    def __init__(self, places: Sequence[slice], before: OpenTable | None) -> None:
        self.rows: list[list[str]] = []
        self.columns = [_Column(*each, self.rows) for each in enumerate(places)]
        around = (slice(0, 0), *places, slice(None, None))
        self._between = [slice(one.stop, two.start) for one, two in pairwise(around)]
        self._before = before
        self._above: Sequence[str] = ()
        """The text in each column of the line above; none below a blank line."""

    def read(self, lines: Sequence[str]) -> None:
        """Read all lines."""
        self._go_on()
        is_apart = True
        for line in lines:
            texts = self._split(line)
            if not texts:
                self.rows.append(_cells(line))  # a footer, or cells that cannot be told apart
            elif line:
                self._read(texts, is_apart=is_apart)
            is_apart, self._above = not line, texts if line else ()

    def _split(self, line: str) -> list[str]:
        """The text in each column; none if a piece of the line is in several or in none."""
        if not any(line[places].strip() for places in self._between):
            return [line[column.places] for column in self.columns]
        texts = [""] * len(self.columns)
        for piece in _PIECE.finditer(line):
            touched = [
                number
                for number, column in enumerate(self.columns)
                if piece.start() < column.places.stop and column.places.start < piece.end()
            ]
            if len(touched) != 1 or texts[touched[0]]:
                return []
            texts[touched[0]] = piece[0]
        return texts

    def _read(self, texts: Sequence[str], *, is_apart: bool) -> None:
        begins = bool(texts[0].strip())
        ends = not self.rows or len(self.rows[-1]) != len(self.columns)
        below_headings = len(self.rows) == 1 and (
            self._go_on() or any(map(VALUE_SIGN.search, texts))
        )
        if is_apart or begins or ends or below_headings:
            self.rows.append([""] * len(self.columns))
        is_alone = not begins or not any(map(str.strip, texts[1:]))
        is_next = False
        for column, text in zip(self.columns, texts, strict=True):
            goes_on = column.add(text, self.rows[-1], is_alone=is_alone, is_next=is_next)
            if column is self.columns[0]:
                is_next = not goes_on and _follows(self._above, text, column.heading())

    def _go_on(self) -> bool:
        """Go on with the table of the page before if the headings are the same."""
        before, self._before = self._before, None
        if before is None or len(before.columns) != len(self.columns):
            return False
        if self.rows[:1] != [before.headings]:
            self._before = before
            return False
        for one, two in zip(self.columns, before.columns, strict=True):
            one.go_on_from(two)
        return True


def _follows(above: Sequence[str], first: str, heading: str) -> bool:
    """True if the first cells of a line and of the one above show that each begins a row.

    Then no value goes on from the one to the other.  The `heading` may name another kind of hash,
    of which a cell has a part.
    """
    one, two = above[0].strip() if above else "", first.strip()
    if _NUMBER.fullmatch(one) and _NUMBER.fullmatch(two):
        return int(two) == int(one) + 1
    word = refang(two.partition(" ")[0])
    is_part = is_part_of_hash(word) and find_digits(heading) not in (0, len(word))
    return bool(one) and not is_part and _is_value(word)


def _is_value(word: str) -> bool:
    """True for a word that is a value as a whole, or the beginning of a URL."""
    if "://" in word or _WHOLE_ADDRESS.match(word):
        return True
    is_hash = is_part_of_hash(word) and len(word) in HASH_DIGITS
    return is_hash or parse_known_host(word) is not None


def _goes_on(cell: str, below: str, *, is_full: bool, may_begin: bool) -> bool:
    """True if a value that ends a cell, and perhaps fills it, goes on in the line below.

    `may_begin` if another row may begin there, with a version as this one.
    """
    if len(cell) > _LONGEST_VALUE or not _REST.fullmatch(below):
        return False
    if cell.endswith("-"):
        return cell[-2:-1].isalnum()
    if _is_broken_at_mark(cell, below):
        return True
    clear, rest = refang(cell), refang(below)
    if url := _URL.fullmatch(clear):
        return (is_full or clear.endswith(_OPEN_ENDS)) and _ends_url(url[1], rest)
    if _ADDRESS.match(clear):
        may_go_on = clear.endswith(".") or (is_full and not (may_begin and "." in rest))
        return may_go_on and _ends_address(clear, rest)
    _, sign, host = clear.rpartition("@")
    if parse_known_host(host):
        return False
    if sign:
        return "@" not in rest
    return is_full and _PART_OF_HOST.fullmatch(clear) is not None and _ends_host(clear + rest)


def _is_broken_at_mark(cell: str, below: str) -> bool:
    """True if a value is broken at its `@`, or at a defanged dot."""
    if below.startswith("@"):
        return "@" not in cell
    return cell.endswith(_BEGUN_MARKS) or below.startswith(_ENDED_MARKS)


def _ends_address(address: str, below: str) -> bool:
    """True if the line below is the rest of an IPv4 address, perhaps with a port."""
    found = _WHOLE_ADDRESS.match(address + below)
    if found is None or VALUE_SIGN.search(below):
        return False
    return found.end() > len(address) and all(int(part) < 256 for part in found[0].split("."))


def _ends_host(text: str) -> bool:
    return parse_known_host(text.partition("/")[0]) is not None


def _ends_url(host: str, below: str) -> bool:
    """True if the line below a URL may be its rest: neither a value of its own nor a word."""
    if VALUE_SIGN.search(below) or below.lower() in _NOTHING:
        return False
    is_whole = parse_known_host(host) or _WHOLE_ADDRESS.fullmatch(host)
    return not _ends_host(below) or not is_whole
