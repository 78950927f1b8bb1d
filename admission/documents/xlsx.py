"""The tables of an XLSX, cell by cell as a stream; only cells that hold something cost memory.

Hidden sheets and rows are not read: who hides them does not mean to send them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.admission.documents import Sheet, TextBudget, Workbook
from tocsin.admission.documents.zipped_xml import Archive, ignore
from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

_LAST_ROW = 1_048_576
_MOST_COLUMNS = 256
_MOST_CELLS = 10_000_000
"""Cells of one sheet, empty ones between others included."""
_REFERENCE = compile_lazily(r"([A-Z]{1,3})\d{1,7}")
_DATE_FORMATS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
"""Numbers of built-in formats of dates and times (ECMA-376, 18.8.30)."""
_ESCAPED = compile_lazily(r"_x(00[0-9A-Fa-f]{2})_")
_NOT_CODE = compile_lazily(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
_DATE_CODE = compile_lazily(r"[dmyhs]", re.IGNORECASE)
_DAY_ONE = datetime(1899, 12, 30)  # noqa: DTZ001  (Excel's days have no time zone)
_DAY_ONE_1904 = datetime(1904, 1, 1)  # noqa: DTZ001
_NO_SHEET = "the file has no sheet with a table: save it again as .xlsx"


@dataclass(slots=True)
class _Book:
    """The parts that the sheets of a workbook share."""

    budget: TextBudget = field(default_factory=TextBudget)
    strings: list[str] = field(default_factory=list)
    date_styles: frozenset[int] = frozenset()
    day_one: datetime = _DAY_ONE
    sheets: list[tuple[str, str, bool]] = field(default_factory=list)
    """The name, the part and whether it is hidden, of each sheet."""


class _SharedStrings:
    def __init__(self, book: _Book) -> None:
        self._book = book
        self._pieces: list[str] = []
        self._in_text = False
        self._phonetic = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._phonetic += name == "rPh"
        self._in_text = name == "t" and not self._phonetic

    def end(self, name: str) -> None:
        self._in_text = False
        self._phonetic -= name == "rPh"
        if name == "si":
            self._book.strings.append(_unescape("".join(self._pieces)))
            self._pieces = []

    def text(self, data: str) -> None:
        if self._in_text:
            self._pieces.append(data)


class _SheetReader:
    """Collects the cells of one sheet."""

    def __init__(self, book: _Book) -> None:
        self.rows: dict[int, dict[int, str]] = {}
        self.hidden = 0
        self.without_result = 0
        """Cells with a formula of which no program wrote the result."""
        self._book = book
        self._row = self._column = 0
        self._skipped = False
        self._kind = self._style = ""
        self._pieces: list[str] = []
        self._in_value = self._has_formula = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """See `Archive.parse`."""
        if name == "row":
            self._row = _row(attributes.get("r", "")) or self._row + 1
            self._column = 0
            self._skipped = attributes.get("hidden") in ("1", "true")
            self.hidden += self._skipped
        elif name == "c":
            found = _REFERENCE.fullmatch(attributes.get("r", ""))
            self._column = _column(found[1]) if found else self._column + 1
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._pieces = []
            self._has_formula = False
        elif name in ("v", "t"):
            self._in_value = not self._skipped
        elif name == "f":
            self._has_formula = not self._skipped

    def end(self, name: str) -> None:
        """See `Archive.parse`."""
        if name in ("v", "t"):
            self._in_value = False
        elif name == "c" and not self._pieces:
            self.without_result += self._has_formula
        elif name == "c":
            value = self._format("".join(self._pieces))
            if value:
                self._book.budget.add(value)
                self._book.budget.pieces.clear()  # only counted
                self.rows.setdefault(self._row, {})[self._column] = value

    def text(self, data: str) -> None:
        """See `Archive.parse`."""
        if self._in_value:
            self._pieces.append(data)

    def _format(self, value: str) -> str:
        if self._kind == "s":
            place = int(value) if value.isascii() and value.isdigit() else -1
            return self._book.strings[place] if 0 <= place < len(self._book.strings) else ""
        if self._kind == "e":
            return ""
        is_date = self._kind == "n" and self._style.isdigit()
        if is_date and int(self._style) in self._book.date_styles:
            return _format_date(value, self._book.day_one)
        return _unescape(value)


def _unescape(text: str) -> str:
    """The text of a cell in which Excel writes signs as their numbers: `_x000D_`."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def _row(number: str) -> int:
    """The number of a row; 0 if there is none, or none that a sheet can have."""
    found = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 0
    return found if found <= _LAST_ROW else 0


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


def _format_date(serial: str, day_one: datetime) -> str:
    try:
        moment = day_one + timedelta(seconds=round(float(serial) * 86_400))
    except (ValueError, OverflowError):
        return serial
    return moment.strftime("%Y-%m-%d" if moment.time().isoformat() == "00:00:00" else "%F %T")


def read(content: bytes) -> Workbook:
    """The tables of an XLSX.  Raises Malformed."""
    archive = Archive(content)
    book = _read_book(archive)
    if not book.sheets:
        raise Malformed(_NO_SHEET)
    sheets, notes = [], []
    for name, part, hidden in book.sheets:
        if hidden:
            notes.append(f"the hidden sheet {name!a} is not read: unhide it to send it")
            continue
        reader = _SheetReader(book)
        archive.parse(part, reader.start, reader.end, reader.text)
        if reader.hidden:
            notes.append(f"hidden rows of the sheet {name!a} are not read: {reader.hidden}")
        if reader.without_result:
            notes.append(
                f"formulas of the sheet {name!a} have no result: {reader.without_result}; "
                "open the file in a spreadsheet program and save it"
            )
        sheets.append(Sheet(name, list(_make_rows(reader.rows, name, notes))))
    return Workbook(sheets, notes)


def _make_rows(
    rows: Mapping[int, Mapping[int, str]], name: str, notes: list[str]
) -> Iterator[tuple[int, list[str]]]:
    """The rows, with a cell for each column from the first, or else for those that are used."""
    used = sorted({column for row in rows.values() for column in row})
    if used and used[-1] <= _MOST_COLUMNS:
        used = list(range(1, used[-1] + 1))
    if used[_MOST_COLUMNS:]:
        notes.append(f"of the sheet {name!a} only {_MOST_COLUMNS} columns are read")
        used = used[:_MOST_COLUMNS]
    if len(used) * len(rows) > _MOST_CELLS:
        raise Malformed(f"the sheet {name!a} has more than {_MOST_CELLS} cells: split it")
    for number in sorted(rows):
        yield number, [rows[number].get(column, "") for column in used]


def _read_book(archive: Archive) -> _Book:
    book = _Book()
    targets = _read_targets(archive)

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            part = targets.get(attributes.get("id", ""), "")
            hidden = attributes.get("state", "visible") != "visible"
            if part in archive.names:
                book.sheets.append((attributes.get("name", "")[:31], part, hidden))
        elif name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
            book.day_one = _DAY_ONE_1904

    archive.parse("xl/workbook.xml", start, ignore, ignore)
    strings = _SharedStrings(book)
    archive.parse("xl/sharedStrings.xml", strings.start, strings.end, strings.text)
    book.date_styles = _read_date_styles(archive)
    return book


def _read_targets(archive: Archive) -> dict[str, str]:
    """The parts that are sheets, by the id of their relationship."""
    targets: dict[str, str] = {}

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
            target = attributes.get("Target", "")
            part = target[1:] if target.startswith("/") else f"xl/{target}"
            targets[attributes.get("Id", "")] = part

    archive.parse("xl/_rels/workbook.xml.rels", start, ignore, ignore)
    return targets


def _read_date_styles(archive: Archive) -> frozenset[int]:
    """The numbers of the cell styles that show a number as a date."""
    formats, styles = set(_DATE_FORMATS), []
    inside: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        inside.append(name)
        number = attributes.get("numFmtId", "")
        if not number.isdigit():
            return
        if name == "numFmt" and _DATE_CODE.search(
            _NOT_CODE.sub("", attributes.get("formatCode", ""))
        ):
            formats.add(int(number))
        elif name == "xf" and inside[-2:-1] == ["cellXfs"]:
            styles.append(int(number))

    def end(name: str) -> None:
        inside.pop()

    archive.parse("xl/styles.xml", start, end, ignore)
    return frozenset(number for number, style in enumerate(styles) if style in formats)
