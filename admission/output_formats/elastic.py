"""Elastic: documents in the Elastic Common Schema (`threat.indicator`), one for each value."""

import uuid
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, joined_lines
from tocsin.admission.output_formats.listed_values import OBSERVABLE_TYPES
from tocsin.admission.output_formats.siem import SiemIndicator, present, siem_indicators

_NAMESPACE = uuid.UUID("f2e0c2c6-5a83-4c3c-9a3e-30b3ce9f8f1c")
_CONFIDENCE = ((70, "High"), (30, "Medium"), (1, "Low"), (0, "None"))
"""ECS knows words only; the scale is that of STIX (appendix A)."""


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("elastic.ndjson", joined_lines(_documents(state)), "application/x-ndjson")


def _documents(state: CurrentState) -> Iterator[bytes]:
    for each in siem_indicators(state):
        for kind, value in each.values:
            yield msgspec.json.encode(_document(state.lasting_name, each, kind, value)) + b"\n"


def _document(feed: str, each: SiemIndicator, kind: str, value: str) -> dict[str, object]:
    subject = each.object
    created, modified = subject.get("created"), subject.get("modified")
    indicator = {
        "type": OBSERVABLE_TYPES.get(kind, "file"),
        "confidence": _confidence(subject.get("confidence")),
        "description": each.description,
        "first_seen": subject.get("valid_from") or created,
        "modified_at": modified,
        "provider": feed,
        "name": value,
        "marking": present({"tlp": each.tlp.upper()}),
        **_fields(kind, value),
    }
    return {
        "@timestamp": modified or created or "1970-01-01T00:00:00Z",
        "event": {
            "id": str(uuid.uuid5(_NAMESPACE, f"{subject.get('id')} {kind} {value}")),
            "kind": "enrichment",
            "category": ["threat"],
            "type": ["indicator"],
            "dataset": "tocsin.indicator",
        },
        "threat": {"feed": {"name": feed}, "indicator": present(indicator)},
    }


def _fields(kind: str, value: str) -> Mapping[str, object]:
    """The fields of ECS that have the value."""
    if kind in ("ipv4", "ipv6"):
        return {"ip": value}
    if kind == "url":
        return {"url": present({"full": value, "domain": urlsplit(value).hostname})}
    if kind == "domain":
        return {"url": {"domain": value}}
    return {"email": {"address": value}} if kind == "email" else {"file": {"hash": {kind: value}}}


def _confidence(number: object) -> str:
    if not isinstance(number, int) or isinstance(number, bool):
        return "Not Specified"
    return next((word for least, word in _CONFIDENCE if number >= least), "Not Specified")


FORMAT = OutputFormat("elastic", "documents for Elastic, as ECS threat.indicator", _write)
