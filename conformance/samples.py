"""Objects that the checks post: new ids each time, nothing that points at anybody."""

from __future__ import annotations

import uuid
from typing import Any

StixObject = dict[str, Any]

_DAY = "2024-03-01T00:00:00.000Z"


def indicator(**changes: Any) -> StixObject:
    """An indicator of a domain that nobody can own."""
    name = uuid.uuid4()
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{name}",
        "created": _DAY,
        "modified": _DAY,
        "name": "Conformance check",
        "indicator_types": ["benign"],
        "pattern": f"[domain-name:value = 'c{name.hex[:12]}.example']",
        "pattern_type": "stix",
        "valid_from": _DAY,
    } | changes


def address() -> StixObject:
    """An observable: neither created nor modified (RFC 5737 range)."""
    name = uuid.uuid4()
    value = f"192.0.2.{name.int % 254 + 1}"
    return {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": f"ipv4-addr--{name}",
        "value": value,
    }


def marking() -> StixObject:
    """A marking definition: created, never modified."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created": _DAY,
        "definition_type": "statement",
        "definition": {"statement": "Made by a conformance check"},
    }


def relationship(source: StixObject, target: StixObject) -> StixObject:
    """A relationship between two objects."""
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{uuid.uuid4()}",
        "created": _DAY,
        "modified": _DAY,
        "relationship_type": "related-to",
        "source_ref": source["id"],
        "target_ref": target["id"],
    }


def note(about: StixObject) -> StixObject:
    """A note with text of many scripts and properties of its own."""
    return {
        "type": "note",
        "spec_version": "2.1",
        "id": f"note--{uuid.uuid4()}",
        "created": "2024-03-01T00:00:00.123456Z",
        "modified": "2024-03-01T00:00:00.123456Z",
        "content": "Grüße, 脅威, \U0001f512, tab\there",
        "object_refs": [about["id"]],
        "x_conformance_count": 9007199254740991,
        "x_conformance_tree": {"list": [1, 1.5, True, "ü"], "deep": {"er": [{}]}},
    }


def old_indicator(id: str) -> StixObject:
    """An indicator of STIX 2.0 under a given id."""
    return {
        "type": "indicator",
        "id": id,
        "created": _DAY,
        "modified": _DAY,
        "name": "Conformance check",
        "labels": ["benign"],
        "pattern": "[domain-name:value = 'two-point-oh.example']",
        "valid_from": _DAY,
    }
