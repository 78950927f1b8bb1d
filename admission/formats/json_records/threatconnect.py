"""Indicators of ThreatConnect, whose `ownerName` is the list that they are from."""

from collections.abc import Iterable, Iterator

from tocsin.admission.formats.json_records.exported_values import (
    ExportedValue,
    Members,
    find_texts,
    list_objects,
)

_KINDS = {
    "address": "ip",
    "cidr": "ip",
    "emailaddress": "email",
    "file": "hash",
    "host": "domain",
    "url": "url",
}
_NEEDED = frozenset(("type", "rating", "confidence", "ownerName"))
_DETAILS = ("confidence", "active", "privateFlag")


def read_threatconnect(value: object) -> Iterator[ExportedValue] | None:
    """The values of a list of indicators, or an answer with some; None if it is something else."""
    objects = [
        part for each in list_objects(value) for part in list_objects(each.get("data", each))
    ]
    return _read_objects(objects) if any(map(_is_indicator, objects)) else None


def _is_indicator(found: Members) -> bool:
    return found.keys() >= _NEEDED and ("summary" in found or "indicator" in found)


def _read_objects(objects: Iterable[Members]) -> Iterator[ExportedValue]:
    for each in filter(_is_indicator, objects):
        kind = _KINDS.get(str(each["type"]).lower().replace(" ", ""), "")
        details = {name: each[name] for name in _DETAILS if name in each}
        texts = find_texts(each, "summary" if "summary" in each else "indicator")
        for text in texts if kind else ():
            for part in text.split(" : ") if kind == "hash" else [text]:
                yield ExportedValue(kind, part, each, details=details)
