"""Excel workbooks (XLSX): each visible sheet is read as a table, as if it were CSV."""

import csv
import io
import re
from collections.abc import Iterator

from tocsin.admission.documents import Sheet, Workbook
from tocsin.admission.documents.bounded import (
    join_parts,
    read_document,
    rewrite_messages,
    with_notes,
)
from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.formats import Format, ReadOptions
from tocsin.admission.formats import csv as tables
from tocsin.admission.model import Candidate

_LINE = re.compile(r"\bline (\d+)")
_SPACE = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""Characters at which a reader of lines or cells would cut a cell."""


def _accepts(name: str, content: bytes) -> bool:
    return content.startswith(b"PK\x03\x04") and b"xl/workbook.xml" in content


def _read_file(name: str, content: bytes, options: ReadOptions) -> Iterator[Candidate]:
    book = read_document("xlsx", content, Workbook)
    parts = ((f"sheet {each.name!a}", _read_sheet(each, options)) for each in book.sheets)
    return with_notes(join_parts(parts), book.notes)


def _read_sheet(sheet: Sheet, options: ReadOptions) -> Iterator[Candidate]:
    """The candidates of a sheet; their messages name it and its rows."""
    numbers = [number for number, _ in sheet.rows]
    name = f"sheet {sheet.name!a}"

    def name_row(line: re.Match[str]) -> str:
        return f"{name}, row {numbers[min(int(line[1]), len(numbers)) - 1]}"

    def name_place(message: str) -> str:
        if message.startswith(tables.READ_AS):
            return f"{name}: {message}"
        return _LINE.sub(name_row, message, count=1)

    try:
        for candidate in tables.FORMAT.read("sheet.tsv", _format_table(sheet).encode(), options):
            yield rewrite_messages(candidate, name_place)
    except Unprocessable as error:  # it lacks a column that the user maps
        yield refused_candidate(0, f"{name}: {error}")


def _format_table(sheet: Sheet) -> str:
    """The rows of the sheet as lines of a table."""
    table = io.StringIO()
    writer = csv.writer(table, delimiter="\t", lineterminator="\n")
    writer.writerows([_SPACE.sub(" ", cell) for cell in cells] for _, cells in sheet.rows)
    return table.getvalue()


FORMAT = Format(
    name="xlsx",
    description="an Excel workbook (XLSX): each visible sheet as a table, with or without headings",
    never_shared="hidden sheets and rows, and cells of columns that the notes call ignored",
    extensions=(".xlsx", ".xlsm"),
    accepts=_accepts,
    read=_read_file,
)
