"""The cells of a table of records: the values of their members as texts."""

from collections.abc import Iterator, Sequence

from tocsin.admission.documents import as_seen
from tocsin.admission.formats.csv.cells import is_value
from tocsin.admission.formats.csv.columns import Role
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.timestamps import stix_time

LONGEST_CELL = 8_000
"""Characters of a cell; longer ones are cut, or left empty."""
_NAMED = ("name", "value", "id")
"""The members by which an object in a list is known."""
_SPACE = compile_lazily(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")
"""Characters that end a line, or a cell of a line."""
_SECONDS = range(600_000_000, 10_000_000_000)
"""Seconds since 1970 that a number may be as a date; later ones are milliseconds."""


def format_cell(value: object, role: Role) -> str:
    """The text of a cell; of objects in a list, only tags have a name to be known by."""
    if isinstance(value, list):
        return (" " if role is Role.REFERENCE else "; ").join(_format_each(value, role))
    if isinstance(value, dict):
        named = map(value.get, _NAMED if role is Role.TAGS else ())
        return next((_SPACE.sub(" ", each) for each in named if isinstance(each, str)), "")
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else join_lines(str(value))


def _format_each(values: Sequence[object], role: Role) -> Iterator[str]:
    """The texts of a list, up to more characters than a cell may have; no values among tags."""
    length = 0
    for each in values:
        text = format_cell(each, role)
        if text and not (role is Role.TAGS and is_value(text)):
            yield text
            length += len(text)
        if length > LONGEST_CELL:
            return


def format_date(number: int) -> str:
    """The time that a number of seconds or milliseconds stands for; the number if it is none."""
    if number in _SECONDS:
        return stix_time(number * 1_000_000)
    return stix_time(number * 1000) if number // 1000 in _SECONDS else str(number)


def join_lines(text: str) -> str:
    """A text as readers see it, in one line."""
    return _SPACE.sub(" ", as_seen(text))
