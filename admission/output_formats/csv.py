"""CSV: one row for each object.

The content of a feed may be meant for the program that opens the file.  No spreadsheet takes a
part of it for a formula, and it holds no control characters.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.entries import parse_object, tlp_label

COLUMNS = (
    "id",
    "type",
    "value",
    "pattern",
    "tlp",
    "confidence",
    "valid_from",
    "valid_until",
    "labels",
    "revoked",
    "name",
)
_FORMULA = compile_lazily(r"(^|;)(?=[\s\"'`]*([^\s\"'`]))")
"""The start of a cell, or of a part after `;`, which some spreadsheets take for a separator, and
its first character.

Spreadsheets skip blanks and quotes before a formula; in many countries `;` separates cells."""
_FORMULA_STARTS = frozenset("=+-@\N{MINUS SIGN}")
_LONGEST_CELL = 32_767
"""Characters; a spreadsheet would go on in the next cell, where a formula could begin."""
_EQUALITY_OPERATORS = ("=", "IN")


def format_csv_row(object: bytes) -> bytes:
    """The row of an object, given as its JSON, with its line end."""
    subject = parse_object(object)
    labels = subject.get("labels")
    cells = {
        **subject,
        "value": " | ".join(_named_values(subject)),
        "tlp": tlp_label(subject),
        "labels": ", ".join(map(str, labels)) if isinstance(labels, list) else "",
        "revoked": "true" if subject.get("revoked") is True else "",
    }
    return _format_line([cells.get(name, "") for name in COLUMNS])


def _named_values(subject: Mapping[str, Any]) -> list[str]:
    """The values that an object names by equality, of any kind, also if it is revoked.

    Readers of the table look for the earlier row of a value by the value.
    """
    return [
        each.value
        for each in extract_observables(dict(subject))
        if each.operator in _EQUALITY_OPERATORS and not each.negated and each.value.isprintable()
    ]


def _format_line(cells: Sequence[object]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([_format_cell(each) for each in cells])
    return line.getvalue().encode(errors="replace")


def _format_cell(value: object) -> str:
    """One line of text without control characters that no spreadsheet takes for a formula.

    >>> _format_cell(" =1+1")
    "' =1+1"
    """
    text = "" if value is None else str(value)
    if len(text) > _LONGEST_CELL:
        text = f"{text[: _LONGEST_CELL - 1]}…"
    mark = "'" if text[:1] in ("\t", "\r", "\n") else ""
    plain = " ".join(text.splitlines())
    if not plain.isprintable():
        plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in plain)
    return mark + _FORMULA.sub(_disarm, plain)


def _disarm(beginning: re.Match[str]) -> str:
    """An apostrophe before what would begin a formula, in whichever width it is written."""
    first = unicodedata.normalize("NFKC", beginning[2])[:1]
    return beginning[1] + ("'" if first in _FORMULA_STARTS else "")


CSV_HEADER = _format_line(COLUMNS)
"""The first line, with its line end."""


def _write(state: CurrentState) -> Iterator[OutputFile]:
    def lines() -> Iterator[bytes]:
        yield CSV_HEADER
        yield from map(format_csv_row, state.objects())

    yield OutputFile("objects.csv", joined_lines(lines()), "text/csv; charset=utf-8")


FORMAT = OutputFormat(
    "csv", "a table with one row for each object", _write, is_indicators_only=False
)
