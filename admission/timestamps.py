"""Instants as int64 microseconds since 1970 UTC: parsing and formatting timestamps.

A float loses microseconds and a BSON date keeps only milliseconds, so neither
is used anywhere.  TAXII requires exactly six decimals, STIX `modified` exactly
three; parsing accepts any number of them.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = compile_lazily(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,40}))?([Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)
_DATE = compile_lazily(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME_FORMS = "write it like 2026-01-31 or 2026-01-31T00:00:00Z"
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def micros(text: str) -> int:
    """The instant that an RFC 3339 timestamp names, in microseconds since 1970 UTC.

    Any number of decimals is taken (what is finer than a microsecond is cut
    off towards the past), as is any offset.

    >>> micros("2023-11-14T22:13:20Z")
    1700000000000000
    >>> micros("2023-11-14T23:13:20.5+01:00")
    1700000000500000

    Raises Malformed if `text` is not an RFC 3339 timestamp or not a real date.
    """
    if not isinstance(text, str):
        raise Malformed(f"not an RFC 3339 timestamp: {_quote(text)}")
    return _micros(text)


@lru_cache(maxsize=4096)  # objects of one submission share their dates
def _micros(text: str) -> int:
    found = _RFC3339.fullmatch(text)
    if not found:
        raise Malformed(f"not an RFC 3339 timestamp: {_quote(text)}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    leap, second = second == 60, min(second, 59)  # RFC 3339 allows a leap second
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise Malformed(f"not a real date: {_quote(text)}") from error
    whole = (moment - _EPOCH) // _MICROSECOND + leap * 1_000_000
    decimals = (found[7] or "")[:6].ljust(6, "0")
    return whole + int(decimals) - _offset(found[8])


def is_timestamp(value: object) -> bool:
    """True for an RFC 3339 timestamp of a real date."""
    try:
        return isinstance(value, str) and _micros(value) is not None
    except Malformed:
        return False


def parse_time(text: str) -> int:
    """The instant that a date or an RFC 3339 timestamp names, as `micros` gives it.

    >>> timestamp(parse_time("2026-01-31"))
    '2026-01-31T00:00:00.000000Z'

    Raises Malformed for anything else.
    """
    try:
        return micros(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except Malformed as error:
        raise Malformed(f"{error}; {_TIME_FORMS}") from error


def parse_past_time(text: str, now: int) -> int:
    """As `parse_time`; also takes the time from then to `now`, as `parse_duration` does.

    >>> timestamp(parse_past_time("12h", micros("2026-01-31T18:00:00Z")))
    '2026-01-31T06:00:00.000000Z'

    Raises Malformed for anything else.
    """
    if text[-1:].lower() in _UNITS and text[:-1].isdecimal():
        return now - parse_duration(text)
    try:
        return parse_time(text)
    except Malformed as error:
        raise Malformed(f"{error}, or 12h, 30d or 8w for a time ago") from error


def parse_duration(text: str) -> int:
    """The duration in µs that `12h`, `30d` or `8w` names.  Raises Malformed for anything else."""
    number, unit = text[:-1], text[-1:].lower()
    if not (number.isascii() and number.isdecimal() and unit in _UNITS) or len(number) > 6:
        raise Malformed("must be a number of hours, days or weeks, as 12h, 30d or 8w")
    duration = int(number) * _UNITS[unit]
    if not 0 < duration <= _LONGEST:
        raise Malformed("must be longer than nothing and at most a hundred years")
    return duration


def find_instant(value: object) -> int | None:
    """The instant that a value names, as `micros` gives it; None if it names none."""
    try:
        return micros(value) if isinstance(value, str) else None
    except Malformed:
        return None


def timestamp(stamp: int) -> str:
    """Format an instant for TAXII, with six decimals (TAXII 2.1 section 2).

    >>> timestamp(1700000000000001)
    '2023-11-14T22:13:20.000001Z'

    Raises Malformed outside the years 1 to 9999.
    """
    if not _FIRST <= stamp <= _LAST:
        raise Malformed("outside the years 1 to 9999 in UTC")
    moment = _EPOCH.replace(tzinfo=None) + timedelta(microseconds=stamp)
    return moment.isoformat(timespec="microseconds") + "Z"


def stix_time(stamp: int) -> str:
    """Format an instant for STIX `created` and `modified`, three decimals (STIX 2.1 section 3.2).

    >>> stix_time(1700000000123999)
    '2023-11-14T22:13:20.123Z'
    """
    return timestamp(stamp)[:-4] + "Z"


def _offset(text: str) -> int:
    if text in "Zz":
        return 0
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise Malformed(f"not a real offset from UTC: {text}")
    return (-1 if text[0] == "-" else 1) * (hours * 60 + minutes) * 60_000_000


def _quote(text: object) -> str:
    return ascii(str(text)[:60])


HOUR = 3_600_000_000
"""One hour in µs."""
DAY = 24 * HOUR
"""One day in µs."""
_UNITS = {"h": HOUR, "d": DAY, "w": 7 * DAY}
_LONGEST = 100 * 365 * DAY
