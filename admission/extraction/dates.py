"""Dates as people write them in tables; an ambiguous date is not read."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.timestamps import find_instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = 631_152_000_000_000  # 1990
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_ORDERED = compile_lazily(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d\d)(?::(\d\d))?)?(?:\.\d{1,9})?"
    r"(?: ?(?:UTC|GMT|Z))?",
    re.ASCII | re.IGNORECASE,
)
_COMPACT = compile_lazily(r"(\d{4})(\d\d)(\d\d)", re.ASCII)
_DOTTED = compile_lazily(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
"""With dots, the day comes first."""
_NAMED = compile_lazily(r"([A-Za-z]{3})[a-z]{0,6}\.? (\d{1,2}),? (\d{4})", re.ASCII)
_DAY_FIRST = compile_lazily(r"(\d{1,2})[ -]([A-Za-z]{3})[a-z]{0,6}[ -](\d{4})", re.ASCII)


def parse_date(text: str, latest: int) -> int | None:
    """The date of a cell in µs since 1970 UTC; None if it is ambiguous or out of range.

    `10/11/18` may be October or November.  Dates before 1990 and after `latest`
    are out of range.
    """
    found = _parse(text.strip()[:40])
    return found if found is not None and _EARLIEST <= found <= latest else None


@lru_cache(maxsize=1024)  # the rows of a table share their dates
def _parse(plain: str) -> int | None:
    found = _parse_numeric(plain) or _parse_with_month_name(plain)
    return find_instant(plain) if found is None else found


def _parse_numeric(text: str) -> int | None:
    if found := _ORDERED.fullmatch(text):
        return _to_micros([int(part or 0) for part in found.groups()])
    if found := _DOTTED.fullmatch(text):
        return _to_micros([int(part) for part in found.groups()[::-1]] + [0, 0, 0])
    found = _COMPACT.fullmatch(text)
    return _to_micros([int(part) for part in found.groups()] + [0, 0, 0]) if found else None


def _parse_with_month_name(text: str) -> int | None:
    if named := _NAMED.fullmatch(text):
        month, day, year = named.groups()
    elif first := _DAY_FIRST.fullmatch(text):
        day, month, year = first.groups()
    else:
        return None
    place = _MONTHS.find(month.lower())
    if place % 3:
        return None
    return _to_micros([int(year), place // 3 + 1, int(day), 0, 0, 0])


def _to_micros(parts: list[int]) -> int | None:
    year, month, day, hour, minute, second = parts
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1)
