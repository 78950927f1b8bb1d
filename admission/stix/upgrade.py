"""Upgrade STIX 2.0 objects to STIX 2.1: moved, renamed and newly required properties.

One object at a time, whose meaning stays.  The observables of a STIX 2.0
observed-data stand inside it, and become objects of their own: see `split_observed_data`.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.admission.merge.identity import CONTRIBUTING_PROPERTIES, observable_id
from tocsin.admission.model import StixObject
from tocsin.admission.stix.references import referenced_ids

_TYPED_LABELS = {
    "indicator": "indicator_types",
    "malware": "malware_types",
    "report": "report_types",
    "threat-actor": "threat_actor_types",
    "tool": "tool_types",
    "identity": "roles",
}
"""Where STIX 2.1 keeps what STIX 2.0 kept in `labels`."""

_RENAMED: Mapping[str, Mapping[str, str]] = {
    "directory": {"created": "ctime", "modified": "mtime", "accessed": "atime"},
    "file": {"created": "ctime", "modified": "mtime", "accessed": "atime"},
    "process": {"created": "created_time", "binary_ref": "image_ref"},
    "user-account": {"password_last_changed": "credential_last_changed"},
    "windows-registry-key": {"modified": "modified_time"},
}
_DROPPED: Mapping[str, tuple[str, ...]] = {
    "file": ("is_encrypted", "encryption_algorithm", "decryption_key"),
    "process": ("name", "arguments"),
}
_CONSENT = "ais-consent"
_MOST_PARTS = 1_000


def upgrade(subject: StixObject) -> StixObject:
    """A STIX 2.0 object as STIX 2.1.

    >>> upgrade({"type": "malware", "labels": ["worm"]})["malware_types"]
    ['worm']
    """
    newer = _retyped({**subject, "spec_version": "2.1"})
    kind, created = subject["type"], subject.get("created")
    if kind == "indicator":
        newer.setdefault("pattern_type", "stix")
    if kind == "malware":
        newer.setdefault("is_family", False)
    start = {"indicator": "valid_from", "report": "published"}.get(kind)
    if start and created is not None:
        newer.setdefault(start, created)
    if kind == "marking-definition" and "definition_type" in subject:
        newer.pop("modified", None)  # markings have no versions
    return newer


def _retyped(newer: StixObject) -> StixObject:
    """Labels that said what kind of thing it is, under their new name."""
    typed, labels = _TYPED_LABELS.get(newer["type"]), newer.get("labels")
    if not typed or typed in newer or not isinstance(labels, list) or not labels:
        return newer
    kept = [label for label in labels if isinstance(label, str) and label.startswith(_CONSENT)]
    moved = [label for label in labels if label not in kept]
    newer = {name: value for name, value in newer.items() if name != "labels"}
    return newer | ({typed: moved} if moved else {}) | ({"labels": kept} if kept else {})


def split_observed_data(subject: StixObject) -> list[StixObject]:
    """An observed-data whose observables stand inside it, as one object and theirs.

    The first is the observed-data, with references in their place.  Whatever
    is not an observed-data of that kind comes back alone, as it is.  Ids are
    the deterministic ones, so the same file gives the same objects again.
    """
    inside = subject.get("objects")
    if subject.get("type") != "observed-data" or not isinstance(inside, dict):
        return [subject]
    whole = all(
        isinstance(each, dict) and isinstance(each.get("type"), str) for each in inside.values()
    )
    if not whole or not 0 < len(inside) <= _MOST_PARTS or "object_refs" in subject:
        return [subject]
    parts = _Parts(str(subject.get("id")), inside)
    found = [parts.object(key) for key in inside]
    marks = {name: subject[name] for name in ("object_marking_refs",) if name in subject}
    observed = {name: value for name, value in subject.items() if name != "objects"}
    observed["object_refs"] = list(dict.fromkeys(each["id"] for each in found))
    return [observed, *({**each, **marks} for each in found)]


class _Parts:
    """The observables inside one observed-data, by their keys."""

    def __init__(self, owner: str, inside: Mapping[str, StixObject]) -> None:
        self._owner = owner
        self._inside = {key: _renamed(part) for key, part in inside.items()}
        self._ids: dict[str, str] = {}
        for key in self._inside:
            self._settle(key)

    def object(self, key: str) -> StixObject:
        """One of them as an object of its own, references to the others included."""
        return {**self._referring(self._inside[key]), "id": self._ids[key]}

    def _settle(self, key: str) -> None:
        """Assign its id, after the ids of the observables that its own id depends on."""
        waiting = [key]
        begun: set[str] = set()
        while waiting:
            current = waiting[-1]
            begun.add(current)
            core = self._core(current)
            first = next(
                (k for k in self._within(core) if k not in self._ids and k not in begun), ""
            )
            if first:
                waiting.append(first)
            else:  # what leads back to itself stands under an id of its own meanwhile
                told = self._referring(core) | {"id": self._own(current)}
                self._ids.setdefault(current, observable_id(told))
                waiting.pop()

    def _core(self, key: str) -> StixObject:
        """The properties that determine its id."""
        part = self._inside[key]
        names = ("type", *CONTRIBUTING_PROPERTIES.get(part["type"], ()))
        return {name: part[name] for name in names if name in part}

    def _within(self, core: StixObject) -> Iterator[str]:
        """The keys of the others to which it refers."""
        return (target for target in referenced_ids(core) if target in self._inside)

    def _own(self, key: str) -> str:
        spelt = hashlib.sha256(f"{self._owner}\n{key}".encode()).digest()
        return f"{self._inside[key]['type']}--{uuid.UUID(bytes=spelt[:16], version=4)}"

    def _referring(self, part: Any, name: str = "") -> Any:
        if isinstance(part, dict):
            return {each: self._referring(value, each) for each, value in part.items()}
        if isinstance(part, list):
            return [self._referring(item, name) for item in part]
        if not (name.endswith(("_ref", "_refs")) and isinstance(part, str)):
            return part
        return (self._ids.get(part) or self._own(part)) if part in self._inside else part


def _renamed(part: StixObject) -> StixObject:
    kind = part["type"]
    names = _RENAMED.get(kind, {})
    dropped = _DROPPED.get(kind, ())
    kept = {names.get(name, name): v for name, v in part.items() if name not in dropped}
    command = part.get("arguments")
    if kind == "process" and isinstance(command, list) and "command_line" not in part:
        words = [str(word) for word in (part.get("name", ""), *command) if word]
        kept["command_line"] = " ".join(words)
    return {"spec_version": "2.1", **kept}
