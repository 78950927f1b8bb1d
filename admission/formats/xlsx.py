"""Excel workbooks (XLSX): each visible sheet is read as a table, as if it were CSV.

Sheets, and rows below titles, of which the name says that they are about victims are not read,
nor are sheets of allowed values.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from tocsin.admission.documents import Sheet, Workbook, as_seen
from tocsin.admission.documents.bounded import (
    join_parts,
    read_document,
    rewrite_messages,
    with_notes,
)
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.field_names import names_recipients, names_victims
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats import csv as tables
from tocsin.admission.formats.csv.cells import is_value
from tocsin.admission.formats.list_names import names_allowed_file
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Candidate
from tocsin.admission.observables.ioc_types import may_be_ioc

_LINE = compile_lazily(r"\bline (\d+)")
_MOST_TITLES = 20
"""Rows among which the headings of the first table are."""
_COUNT = compile_lazily(r"[\d().:#_-]+")
"""Signs beside the words of a sheet's name: `2. Victims (3)`."""
_SPACE = compile_lazily(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""Characters at which a reader of lines or cells would cut a cell."""


def _accepts(name: str, content: bytes) -> bool:
    return content.startswith(b"PK\x03\x04") and b"xl/workbook.xml" in content


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    book = read_document("xlsx", content, Workbook)
    notes = list(book.notes)
    reasons = [_explain_unread(each.name, options) for each in book.sheets]
    paired = list(zip(book.sheets, reasons, strict=True))
    shared = [_leave_out_victims(each, notes) for each, reason in paired if not reason]
    parts = (
        (f"sheet {each.name!a}", _read_sheet(each, name, options))
        for sheet in shared
        for each in ([sheet] if options.columns else _split(sheet))
    )
    notes += [
        f"the sheet {each.name!a} is not read, for it {reason}: rename it to send it"
        for each, reason in paired
        if reason
    ]
    return with_notes(join_parts(parts), notes)


def _explain_unread(title: str, options: ReadOptions) -> str:
    """Why a sheet of this name is not read; empty if it is."""
    if _is_of_victims(title):
        return "is about victims"
    is_allowed = names_allowed_file(f"{title}.tsv") and not options.columns
    return "is named as a list of allowed values" if is_allowed else ""


def _is_of_victims(title: str) -> bool:
    """True if the name of a sheet, or a title, is that of victims or recipients."""
    plain = _COUNT.sub(" ", title).strip()
    return names_victims(plain) or names_recipients(plain)


def _leave_out_victims(sheet: Sheet, notes: list[str]) -> Sheet:
    """The sheet without the rows from a title of victims to the next blank row or title."""
    kept: list[tuple[int, list[str]]] = []
    left_out = list[int]()
    victims = _Victims()
    before = -1
    for number, cells in sheet.rows:
        if victims.takes(cells, is_apart=number > before + 1):
            left_out.append(number)
        else:
            kept.append((number, cells))
        before = number
    if left_out:
        notes.append(
            f"rows of the sheet {sheet.name!a} below a title of victims are not read: "
            f"{len(left_out) - 1}, from row {left_out[0]} on"
        )
    return Sheet(sheet.name, kept)


class _Victims:
    """Takes the rows of victims of a sheet, from the first row to the last."""

    def __init__(self) -> None:
        self._above: Sequence[str] = ()
        self._taken = -1
        """Rows since the last title of victims; negative outside of the rows below one."""
        self._is_list = False
        """True for the heading of a list that begins the sheet; names may come between values."""

    def takes(self, cells: Sequence[str], *, is_apart: bool) -> bool:
        """True if a row is one of victims, or their title; `is_apart` if it is below a blank one.

        Right below other cells, one to the right of their first is a remark and no title.
        """
        text = _only_text(cells)
        title = "" if may_be_ioc(text.rstrip(": ")) else text
        is_remark = not is_apart and _first(cells) > _first(self._above)
        if _is_of_victims(text) and not is_remark:
            self._is_list = not self._above
            self._taken = 0
        elif self._taken >= 0:
            self._taken = -1 if self._ends(cells, title, is_apart=is_apart) else self._taken + 1
            self._is_list = self._is_list and not (self._taken == 1 and tables.names_columns(cells))
        self._above = cells
        return self._taken >= 0

    def _ends(self, cells: Sequence[str], title: str, *, is_apart: bool) -> bool:
        """True if a row below a title of victims is about something else."""
        if self._taken == 0:  # else it has a second title, or the headings
            return bool(title) and is_apart
        if self._is_list:
            return is_apart and (bool(title) or tables.names_columns(cells))
        return bool(title) or is_apart


def _first(cells: Sequence[str]) -> int:
    """The number of the first cell of a row that holds anything."""
    return next((number for number, cell in enumerate(cells) if cell.strip()), 0)


def _only_text(cells: Sequence[str]) -> str:
    """The text of a row that has one, which may be a title; else empty."""
    filled = [cell for cell in cells if cell.strip()]
    return filled[0] if len(filled) == 1 else ""


def _split(sheet: Sheet) -> Iterator[Sheet]:
    """The tables of a sheet: one ends at a blank row above the headings of the next.

    Each has the titles above the first one, which may state a TLP level, but no value among them:
    that would be reported twice, and no headings follow one.
    """
    parts: list[list[tuple[int, list[str]]]] = [[]]
    titles: list[tuple[int, list[str]]] | None = None
    for place, (number, cells) in enumerate(sheet.rows):
        is_apart = place > 0 and number > sheet.rows[place - 1][0] + 1
        if titles is not None and is_apart and _begins_table(sheet, place):
            parts.append(list(titles))
        elif titles is None and place < _MOST_TITLES and tables.names_columns(cells):
            titles = [row for row in parts[0] if not any(map(is_value, row[1]))]
        parts[-1].append((number, cells))
    yield from (Sheet(sheet.name, rows) for rows in parts)


def _begins_table(sheet: Sheet, place: int) -> bool:
    """True if the row at that place has headings, or is a title above them."""
    return any(tables.names_columns(cells) for _, cells in sheet.rows[place : place + 2])


def _read_sheet(sheet: Sheet, book: str, options: ReadOptions) -> Iterator[Candidate]:
    """The candidates of a sheet in the file `book`; their messages name it and its rows."""
    numbers = [number for number, _ in sheet.rows]
    name = f"sheet {sheet.name!a}"

    def name_row(line: re.Match[str]) -> str:
        return f"{name}, row {numbers[min(int(line[1]), len(numbers)) - 1]}"

    def name_place(message: str) -> str:
        if message.startswith(tables.READ_AS):
            return f"{name}: {message}"
        return _LINE.sub(name_row, message, count=1)

    try:
        content = _format_table(sheet).encode()
        for candidate in tables.FORMAT.read(f"{PurePath(book).stem}.tsv", content, options):
            yield rewrite_messages(candidate, name_place)
    except Unprocessable as error:  # it lacks a column that the user maps
        yield refused_candidate(0, f"{name}: {error}")


def _format_table(sheet: Sheet) -> str:
    """The rows of the sheet as lines of a table."""
    table = io.StringIO()
    writer = csv.writer(table, delimiter="\t", lineterminator="\n")
    writer.writerows([_SPACE.sub(" ", as_seen(cell)) for cell in cells] for _, cells in sheet.rows)
    return table.getvalue()


FORMAT = Format(
    name="xlsx",
    description="an Excel workbook (XLSX): each visible sheet as a table, with or without headings",
    never_shared="hidden sheets and rows, and cells of columns that the notes call ignored",
    extensions=(".xlsx", ".xlsm"),
    accepts=_accepts,
    read=_read_file,
)
