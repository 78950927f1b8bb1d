"""The facts about an object by which the state of a feed is kept: from its JSON to a `FeedEntry`.

Nothing is refused: another server may send anything, and an object whose facts cannot be read is
kept as it is, without values and without an end.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, TypeGuard

import msgspec

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings import tlp as markings
from tocsin.admission.output_formats.listed_values import Listed, listed_values
from tocsin.admission.timestamps import find_instant

_PLAIN_ID = compile_lazily(r"[A-Za-z0-9._-]{1,300}", re.ASCII)
_MOST_VALUES = 10_000
"""Values of one indicator; more than that are left out."""


class FeedEntry(NamedTuple):
    """An object of a feed, as its state keeps it."""

    id: str
    """A hash of the object if it has none, of the id if it could mean something in a file."""
    type: str
    modified: int
    """Its version in µs since 1970 UTC; 0 if it has none."""
    day: str
    """The day on which it was created, as `2026-01-31`; empty if it does not say."""
    confidence: int | None
    valid_until: int | None
    """µs since 1970 UTC."""
    revoked: bool
    values: tuple[Listed, ...]
    body: bytes


def read_entry(body: bytes) -> FeedEntry:
    """The facts about an object, given as its JSON."""
    subject = parse_object(body)
    confidence = subject.get("confidence")
    created = find_instant(subject.get("created"))
    modified = find_instant(subject.get("modified"))
    return FeedEntry(
        id=_read_id(subject.get("id"), body),
        type=str(subject.get("type", ""))[:250],
        modified=modified or created or 0,
        day=str(subject["created"])[:10] if created else "",
        confidence=confidence if _is_percentage(confidence) else None,
        valid_until=find_instant(subject.get("valid_until")),
        revoked=subject.get("revoked") is True,
        values=listed_values(subject)[:_MOST_VALUES],
        body=body,
    )


def _read_id(name: object, body: bytes) -> str:
    if isinstance(name, str) and _PLAIN_ID.fullmatch(name):
        return name
    octets = name.encode() if isinstance(name, str) and name else body
    return blake2b(octets, digest_size=18).hexdigest()


def parse_object(body: bytes) -> Mapping[str, Any]:
    """The object; empty if it has a number or a character that cannot be represented."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def has_ended(subject: Mapping[str, Any], now: int) -> bool:
    """True if `valid_until` has passed; `now` in µs since 1970 UTC."""
    end = find_instant(subject.get("valid_until"))
    return end is not None and end <= now


def tlp_label(subject: Mapping[str, Any]) -> str:
    """The strictest TLP level of an object in lower case; empty without one."""
    tlp = markings.read_markings(dict(subject), {}).tlp
    return "" if tlp is None else tlp.label


def single_line(value: object, longest: int = 500) -> str:
    """A text on one line without control characters, cut; empty for anything but a text."""
    text = value if isinstance(value, str) else ""
    plain = "".join(c if c.isprintable() else " " for c in text[: 2 * longest])
    return " ".join(plain.split())[:longest]


def _is_percentage(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100
