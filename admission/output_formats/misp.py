"""A MISP feed: `manifest.json`, `hashes.csv`, and an event for each day on which indicators began.

MISP fetches an event again when its timestamp has grown, and deletes an attribute only if the
event says so.  So an indicator that has ended stays as an attribute that is marked as deleted and
has no value any more, and the timestamp of an event is that of its latest change or end.

MISP takes a value once in an event.  A value that several indicators of a day list is an attribute
of each of them all the same: MISP keeps the one that it took first, and takes another when that
one ends.  One attribute for all would have to be as new as the last end among its indicators, and
an indicator that has ended no longer has its values.
"""

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from tocsin.admission.output_formats import (
    JSON,
    CurrentState,
    IndicatorRecord,
    OutputFile,
    OutputFormat,
    joined_lines,
)
from tocsin.admission.output_formats.entries import parse_object, single_line, tlp_label
from tocsin.admission.output_formats.listed_values import listed_values

_NAMESPACE = uuid.UUID("6f2f0e88-3f4c-4b7c-8a52-0f5c6d7a9d10")
_SECOND = 1_000_000
_NETWORK, _DELIVERY = "Network activity", "Payload delivery"
_TYPES = {
    "ipv4": ("ip-dst", _NETWORK),
    "ipv6": ("ip-dst", _NETWORK),
    "domain": ("domain", _NETWORK),
    "url": ("url", _NETWORK),
    "email": ("email-src", _DELIVERY),
}
_COLOURS = {
    "": "",
    "clear": "#ffffff",
    "green": "#339900",
    "amber": "#FFC000",
    "amber+strict": "#FFC000",
    "red": "#CC0033",
}
"""The colours of MISP's taxonomy `tlp`, by level, the strictest last."""
_LEVELS = tuple(_COLOURS)
_NO_DAY = "1970-01-01"
_INHERIT, _THIS_ORGANISATION_ONLY = "5", "0"


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("manifest.json", _manifest(state), JSON)
    yield OutputFile("hashes.csv", joined_lines(_hashes(state)), "text/csv; charset=utf-8")
    for day in state.days():
        yield OutputFile(f"{_event_uuid(state, day)}.json", _event_file(state, day), JSON)


def _event_uuid(state: CurrentState, day: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{state.lasting_name} {day}"))


def _manifest(state: CurrentState) -> Iterator[bytes]:
    yield b"{"
    shown = ("Orgc", "Tag", "info", "date", "analysis", "threat_level_id", "timestamp")
    for n, day in enumerate(state.days()):
        event = _event_head(state, day)
        text = msgspec.json.encode({name: event[name] for name in shown})
        yield (b",\n" if n else b"\n") + f'"{event["uuid"]}":'.encode() + text
    yield b"\n}\n"


def _hashes(state: CurrentState) -> Iterator[bytes]:
    for day in state.days():
        event = _event_uuid(state, day)
        for record in state.indicators_of(day):
            for _, value in listed_values(parse_object(record.body)):
                digest = hashlib.md5(value.encode(), usedforsecurity=False)
                yield f"{digest.hexdigest()},{event}\n".encode()


def _event_file(state: CurrentState, day: str) -> Iterator[bytes]:
    """The event of a day; its attributes are written one by one, since there may be many."""
    head = msgspec.json.encode(_event_head(state, day))
    yield b'{"Event":' + head[:-1] + b',"Attribute":['
    separator = b"\n"
    for each in _attributes(state, day):
        yield separator + msgspec.json.encode(each)
        separator = b",\n"
    yield b"\n]}}\n"


def _attributes(state: CurrentState, day: str) -> Iterator[dict[str, Any]]:
    """The attributes of an event, in the order in which MISP is to take them.

    Ended ones are first, so that their values can be taken anew; of equal values that come at
    once, that of the strictest level is.
    """
    levels = set[str]()
    for record in state.indicators_of(day):
        subject = parse_object(record.body) if record.is_current else {}
        if record.is_current:
            levels.add(tlp_label(subject))
        yield from _ended(record, len(listed_values(subject)))
    for level in sorted(levels, key=_LEVELS.index, reverse=True):
        for record in state.indicators_of(day):
            if record.is_current:
                yield from _current(record, level)


def _event_head(state: CurrentState, day: str) -> dict[str, Any]:
    """An event without its attributes."""
    latest, levels = 0, set()
    for record in state.indicators_of(day):
        latest = max(latest, record.modified)
        if record.is_current:
            levels.add(tlp_label(parse_object(record.body)))
    strictest = max(levels, key=_LEVELS.index, default="")
    feed = single_line(state.feed, 100)
    return {
        "uuid": _event_uuid(state, day),
        "info": f"{feed}: indicators of {day or 'an unknown day'}",
        "date": day or _NO_DAY,
        "timestamp": str(latest // _SECOND),
        "analysis": "2",
        "threat_level_id": "4",
        "published": True,
        "distribution": _THIS_ORGANISATION_ONLY,
        "Orgc": {"name": feed, "uuid": str(uuid.uuid5(_NAMESPACE, state.lasting_name))},
        "Tag": _tags(strictest),
    }


def _tags(level: str) -> list[dict[str, Any]]:
    if not level:
        return []
    return [{"name": f"tlp:{level}", "colour": _COLOURS[level], "exportable": True}]


def _current(record: IndicatorRecord, level: str) -> Iterator[dict[str, Any]]:
    """An attribute for each value of an indicator, if it has this level."""
    subject = parse_object(record.body)
    if tlp_label(subject) != level:
        return
    comment = single_line(subject.get("name"), 250)
    for n, (kind, value) in enumerate(listed_values(subject)):
        type_, category = _TYPES.get(kind, (kind, _DELIVERY))
        yield {
            "uuid": _attribute_uuid(record, n),
            "type": type_,
            "category": category,
            "value": value,
            "to_ids": True,
            "comment": comment,
            "timestamp": str(record.modified // _SECOND),
            "distribution": _INHERIT,
            "deleted": False,
            "Tag": _tags(level),
        }


def _ended(record: IndicatorRecord, begin: int) -> Iterator[dict[str, Any]]:
    """An attribute for each value that an indicator had beyond the first ones, without it."""
    for n in range(begin, record.listed):
        yield {
            "uuid": _attribute_uuid(record, n),
            "type": "other",
            "category": "Other",
            "value": "revoked or expired",
            "to_ids": False,
            "timestamp": str(record.modified // _SECOND),
            "distribution": _INHERIT,
            "deleted": True,
        }


def _attribute_uuid(record: IndicatorRecord, n: int) -> str:
    """The UUID of an attribute: two servers' indicators with the same id have different ones."""
    return str(uuid.uuid5(_NAMESPACE, f"{record.id} {n} {record.server}".rstrip()))


FORMAT = OutputFormat("misp", "a feed for MISP", _write, has_one_file=False)
