"""What can be put right without asking: STIX 2.0 objects, and the spelling of timestamps.

Runs before the schemas look, since they would refuse what it mends.
"""

import re
from collections.abc import Callable

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Action, Finding, StixObject
from tocsin.admission.schemas import Schema
from tocsin.admission.timestamps import micros, stix_time, timestamp

TIMES = frozenset(
    (
        "created",
        "modified",
        "valid_from",
        "valid_until",
        "first_seen",
        "last_seen",
        "first_observed",
        "last_observed",
        "published",
        "start_time",
        "stop_time",
    )
)
"""The timestamps of SDOs and SROs."""

_MILLIS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_TYPED_LABELS = {
    "indicator": "indicator_types",
    "malware": "malware_types",
    "report": "report_types",
    "threat-actor": "threat_actor_types",
    "tool": "tool_types",
    "identity": "roles",
}
"""Where STIX 2.1 keeps what STIX 2.0 kept in `labels`."""


def mended(subject: StixObject, schema: Schema | None) -> tuple[StixObject, tuple[Finding, ...]]:
    """The object as STIX 2.1 with timestamps in UTC, and what was done to it."""
    findings: list[Finding] = []
    mended = subject
    older = subject.get("spec_version", "2.0") == "2.0"
    if schema and not schema.observable and older:
        mended = _upgraded(subject)
        findings.append(_repaired("upgrade", "upgraded from STIX 2.0 to 2.1", ""))
    times = {name: mended[name] for name in sorted(TIMES) if isinstance(mended.get(name), str)}
    for name, text in times.items():
        spelt = _spelt(name, text)
        if spelt != text:
            mended = {**mended, name: spelt}
            if not _UTC.fullmatch(text):
                findings.append(_repaired("timestamps", f"{name} written in UTC", name))
    return mended, tuple(findings)


def _spelt(name: str, text: str) -> str:
    spell: Callable[[int], str] = timestamp
    if name in ("created", "modified"):
        if _MILLIS.fullmatch(text):
            return text
        spell = stix_time
    elif _UTC.fullmatch(text):
        return text
    try:
        return spell(micros(text))
    except Malformed:
        return text  # the schema refuses it and says where


def _upgraded(subject: StixObject) -> StixObject:
    kind = subject["type"]
    newer = {**subject, "spec_version": "2.1"}
    typed = _TYPED_LABELS.get(kind)
    labels = newer.get("labels")
    if typed and typed not in newer and isinstance(labels, list) and labels:
        newer[typed] = newer.pop("labels")
    if kind == "indicator":
        newer.setdefault("pattern_type", "stix")
        if "valid_from" not in newer and "created" in newer:
            newer["valid_from"] = newer["created"]
    if kind == "malware":
        newer.setdefault("is_family", False)
    if kind == "report" and "published" not in newer and "created" in newer:
        newer["published"] = newer["created"]
    return newer


def _repaired(rule: str, message: str, path: str) -> Finding:
    return Finding("normalise", rule, Action.REPAIRED, message, path)
