"""The extension that a hub adds to public indicators: how many sources reported one, and when.

A STIX 2.1 property extension (section 7.3).  Its id and author are the same in
every hub, so that a consumer of several hubs handles it once.
"""

from __future__ import annotations

import orjson

from tocsin.admission.model import StixObject

EXTENSION_ID = "extension-definition--df3e89f8-38ab-4d37-839d-35f32bcda63e"
"""The id of the extension's definition."""

AUTHOR_ID = "identity--784a4cac-fbfa-4500-832e-71cb084c051a"
"""The identity that defines it."""

_SINCE = "2026-11-25T00:00:00.000Z"
_COUNT = {"type": "integer", "minimum": 0}
_DAY = {
    "type": "string",
    "pattern": "T00:00:00\\.000Z$",
    "description": "A UTC day, at its beginning.",
}
_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "extension_type": {"const": "property-extension"},
        "hub_ref": {"type": "string", "description": "The identity of the hub that counted."},
        "contributors": {"type": "integer", "minimum": 1, "description": "Independent sources."},
        "first_reported": _DAY,
        "last_reported": _DAY,
        "sightings": {**_COUNT, "description": "Independent sources that have seen it."},
        "false_positives": {**_COUNT, "description": "Independent sources: a false alarm."},
    },
    "required": ["extension_type", "hub_ref", "contributors", "first_reported", "last_reported"],
}


def has_history(subject: StixObject) -> bool:
    """True for an indicator as a hub publishes it: each of them has the extension."""
    extensions = subject.get("extensions")
    return isinstance(extensions, dict) and EXTENSION_ID in extensions


def extension_author() -> StixObject:
    """The identity that the definition refers to."""
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": AUTHOR_ID,
        "created": _SINCE,
        "modified": _SINCE,
        "name": "Tocsin",
        "description": "Defines the extension that hubs of this kind add to indicators.",
        "identity_class": "system",
    }


def extension_definition() -> StixObject:
    """The definition, for readers; its schema is in it."""
    return {
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": EXTENSION_ID,
        "created_by_ref": AUTHOR_ID,
        "created": _SINCE,
        "modified": _SINCE,
        "name": "Tocsin history",
        "description": "How many independent sources reported an indicator to a hub, on which day "
        "first and last, how many have seen it, and how many say that it raises false alarms.",
        "schema": orjson.dumps(_SCHEMA).decode(),
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    }
