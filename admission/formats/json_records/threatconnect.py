"""Indicators of ThreatConnect, whose `ownerName` is the list that they are from."""

from collections.abc import Iterable, Iterator

from tocsin.admission.formats.json_records.exported_values import (
    ExportedValue,
    Members,
    find_texts,
    list_parts,
)
from tocsin.admission.formats.list_names import names_allowed, names_victims_or_own

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
_ALLOWED = "not an indicator, since it is allowed, or from a list of what is allowed or of machines"


def read_threatconnect(value: object) -> Iterator[ExportedValue] | None:
    """The values of a list of indicators, or an answer with some; None if it is something else."""
    parts = list(list_parts(value, "data"))
    return _read_parts(parts) if any(_is_indicator(each) for each, _ in parts) else None


def _is_indicator(found: Members) -> bool:
    return found.keys() >= _NEEDED and ("summary" in found or "indicator" in found)


def _is_of_others(owner: str) -> bool:
    return names_allowed(owner) or names_victims_or_own(owner)


def _read_parts(parts: Iterable[tuple[Members, Members | None]]) -> Iterator[ExportedValue]:
    for each, around in parts:
        if not _is_indicator(each):
            continue
        is_allowed = each.get("whitelistActive") is True or _is_of_others(str(each["ownerName"]))
        refusal = _ALLOWED if is_allowed else ""
        kind = _KINDS.get(str(each["type"]).lower().replace(" ", ""), "")
        details = {name: each[name] for name in _DETAILS if name in each}
        texts = find_texts(each, "summary" if "summary" in each else "indicator")
        for text in texts if kind else ():
            for part in text.split(" : ") if kind == "hash" else [text]:
                yield ExportedValue(kind, part, each, around, refusal, details=details)
