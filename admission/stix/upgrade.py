"""Upgrade STIX 2.0 objects to STIX 2.1: moved, renamed and newly required properties.

One object at a time; its meaning is kept.  The observables inside a STIX 2.0
observed-data become objects of their own: see `split_observed_data`.
"""

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.admission.markings.tlp import parse_tlp_label
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
"""The STIX 2.1 property for the values that STIX 2.0 kept in `labels`, by type."""

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
_MAX_OBSERVABLES = 1_000


def upgrade(subject: StixObject) -> StixObject:
    """A STIX 2.0 object as STIX 2.1.

    >>> upgrade({"type": "malware", "labels": ["worm"]})["malware_types"]
    ['worm']
    """
    newer = _move_labels({**subject, "spec_version": "2.1"})
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


def _move_labels(newer: StixObject) -> StixObject:
    """Move labels that classify the object to the property that STIX 2.1 has for them."""
    typed, labels = _TYPED_LABELS.get(newer["type"]), newer.get("labels")
    if not typed or typed in newer or not isinstance(labels, list) or not labels:
        return newer
    kept = [
        label
        for label in labels
        if isinstance(label, str)
        and (label.startswith(_CONSENT) or parse_tlp_label(label) is not None)
    ]
    moved = [label for label in labels if label not in kept]
    newer = {name: value for name, value in newer.items() if name != "labels"}
    return newer | ({typed: moved} if moved else {}) | ({"labels": kept} if kept else {})


def split_observed_data(subject: StixObject) -> list[StixObject]:
    """Split a STIX 2.0 observed-data into itself, with references, and its observables.

    The observed-data comes first.  Any other object is returned alone and unchanged.  Ids
    are deterministic, so the same file gives the same objects each time.
    """
    inside = subject.get("objects")
    if subject.get("type") != "observed-data" or not isinstance(inside, dict):
        return [subject]
    whole = all(
        isinstance(each, dict) and isinstance(each.get("type"), str) for each in inside.values()
    )
    if not whole or not 0 < len(inside) <= _MAX_OBSERVABLES or "object_refs" in subject:
        return [subject]
    parts = _InnerObservables(str(subject.get("id")), inside)
    found = [parts.object(key) for key in inside]
    marks = {name: subject[name] for name in ("object_marking_refs",) if name in subject}
    observed = {name: value for name, value in subject.items() if name != "objects"}
    observed["object_refs"] = list(dict.fromkeys(each["id"] for each in found))
    return [observed, *({**each, **marks} for each in found)]


class _InnerObservables:
    """The observables inside one observed-data, by their keys."""

    def __init__(self, owner: str, inside: Mapping[str, StixObject]) -> None:
        self._owner = owner
        self._inside = {key: _rename_properties(part) for key, part in inside.items()}
        self._ids: dict[str, str] = {}
        for key in self._inside:
            self._assign_id(key)

    def object(self, key: str) -> StixObject:
        """The observable as a separate object, with references by id."""
        return {**self._replace_references(self._inside[key]), "id": self._ids[key]}

    def _assign_id(self, key: str) -> None:
        """Assign the id of an observable, after the ids on which it depends."""
        waiting = [key]
        begun: set[str] = set()
        while waiting:
            current = waiting[-1]
            begun.add(current)
            core = self._id_properties(current)
            first = next(
                (k for k in self._inner_references(core) if k not in self._ids and k not in begun),
                "",
            )
            if first:
                waiting.append(first)
            else:  # in a cycle of references, _fallback_id replaces the unknown id
                content = self._replace_references(core) | {"id": self._fallback_id(current)}
                self._ids.setdefault(current, observable_id(content))
                waiting.pop()

    def _id_properties(self, key: str) -> StixObject:
        """The properties that determine the id of an observable."""
        part = self._inside[key]
        names = ("type", *CONTRIBUTING_PROPERTIES.get(part["type"], ()))
        return {name: part[name] for name in names if name in part}

    def _inner_references(self, core: StixObject) -> Iterator[str]:
        """The keys of the inner observables to which it refers."""
        return (target for target in referenced_ids(core) if target in self._inside)

    def _fallback_id(self, key: str) -> str:
        digest = hashlib.sha256(f"{self._owner}\n{key}".encode()).digest()
        return f"{self._inside[key]['type']}--{uuid.UUID(bytes=digest[:16], version=4)}"

    def _replace_references(self, part: Any, name: str = "") -> Any:
        if isinstance(part, dict):
            return {each: self._replace_references(value, each) for each, value in part.items()}
        if isinstance(part, list):
            return [self._replace_references(item, name) for item in part]
        if not (name.endswith(("_ref", "_refs")) and isinstance(part, str)):
            return part
        return (self._ids.get(part) or self._fallback_id(part)) if part in self._inside else part


def _rename_properties(part: StixObject) -> StixObject:
    kind = part["type"]
    names = _RENAMED.get(kind, {})
    dropped = _DROPPED.get(kind, ())
    kept = {names.get(name, name): v for name, v in part.items() if name not in dropped}
    command = part.get("arguments")
    if kind == "process" and isinstance(command, list) and "command_line" not in part:
        words = [str(word) for word in (part.get("name", ""), *command) if word]
        kept["command_line"] = " ".join(words)
    return {"spec_version": "2.1", **kept}
