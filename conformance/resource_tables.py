"""The property tables of TAXII 2.1, as they are printed (sections 3.6, 3.7, 4 and 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
"""A TAXII timestamp: UTC, exactly six decimals (section 2)."""
IDENTIFIER = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.I | re.ASCII
)
"""A UUID of version 4 (section 2)."""
STIX_ID = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]--[0-9a-f-]{36}", re.ASCII)
CUSTOM = re.compile(r"[a-z0-9_]{3,250}", re.ASCII)
"""The name of a custom property (section 7.1.1)."""

_WIDEST = 2**53 - 1


def parse_timestamp(text: object) -> str:
    """A timestamp, the same for all its spellings that differ in zeros alone.

    >>> parse_timestamp("2024-01-01T00:00:00.100Z"), parse_timestamp("2024-01-01T00:00:00.000Z")
    ('2024-01-01T00:00:00.1Z', '2024-01-01T00:00:00Z')
    """
    return re.sub(r"\.?0*Z$", "Z", str(text)) if "." in str(text) else str(text)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a resource has wrong."""

    rule: str
    """required, string, boolean, integer, identifier, timestamp, list, literal or name."""
    description: str


@dataclass(frozen=True, slots=True)
class _Type:
    rule: str
    description: str
    fits: Callable[[Any], bool]


_STRING = _Type("string", "a string", lambda v: isinstance(v, str))
_BOOLEAN = _Type("boolean", "true or false", lambda v: isinstance(v, bool))
_INTEGER = _Type(
    "integer",
    "an integer of at most 53 bits",
    lambda v: isinstance(v, int) and not isinstance(v, bool) and abs(v) <= _WIDEST,
)
_IDENTIFIER = _Type(
    "identifier",
    "a UUID of version 4",
    lambda v: isinstance(v, str) and bool(IDENTIFIER.fullmatch(v)),
)
_TIMESTAMP = _Type(
    "timestamp",
    "a timestamp with six decimals and Z",
    lambda v: isinstance(v, str) and bool(TIMESTAMP.fullmatch(v)),
)
_STRINGS = _Type(
    "list",
    "a list of at least one string",
    lambda v: isinstance(v, list) and bool(v) and all(isinstance(each, str) for each in v),
)
_LIST = _Type(
    "list",
    "a list of at least one object",
    lambda v: isinstance(v, list) and bool(v) and all(isinstance(each, dict) for each in v),
)
_DICTIONARY = _Type("string", "an object", lambda v: isinstance(v, dict))
_STATE = _Type("literal", '"complete" or "pending"', lambda v: v in ("complete", "pending"))

_Table = dict[str, tuple[_Type, bool]]
_PAGING: _Table = {"more": (_BOOLEAN, False), "next": (_STRING, False)}
_COUNTS = ("total_count", "success_count", "failure_count", "pending_count")

TABLES: dict[str, _Table] = {
    "discovery": {
        "title": (_STRING, True),
        "description": (_STRING, False),
        "contact": (_STRING, False),
        "default": (_STRING, False),
        "api_roots": (_STRINGS, False),
    },
    "api-root": {
        "title": (_STRING, True),
        "description": (_STRING, False),
        "versions": (_STRINGS, True),
        "max_content_length": (_INTEGER, True),
    },
    "status": {
        "id": (_IDENTIFIER, True),
        "status": (_STATE, True),
        "request_timestamp": (_TIMESTAMP, False),
        **{name: (_INTEGER, True) for name in _COUNTS},
        **{name: (_LIST, False) for name in ("successes", "failures", "pendings")},
    },
    "status-details": {
        "id": (_STRING, True),
        "version": (_STRING, True),
        "message": (_STRING, False),
    },
    "collections": {"collections": (_LIST, False)},
    "collection": {
        "id": (_IDENTIFIER, True),
        "title": (_STRING, True),
        "description": (_STRING, False),
        "alias": (_STRING, False),
        "can_read": (_BOOLEAN, True),
        "can_write": (_BOOLEAN, True),
        "media_types": (_STRINGS, False),
    },
    "manifest": {"objects": (_LIST, False), **_PAGING},
    "manifest-record": {
        "id": (_STRING, True),
        "date_added": (_TIMESTAMP, True),
        "version": (_STRING, True),
        "media_type": (_STRING, False),
    },
    "envelope": {"objects": (_LIST, False), **_PAGING},
    "versions": {"versions": (_STRINGS, False), "more": (_BOOLEAN, False)},
    "error": {
        "title": (_STRING, True),
        "description": (_STRING, False),
        "error_id": (_STRING, False),
        "error_code": (_STRING, False),
        "http_status": (_STRING, False),
        "external_details": (_STRING, False),
        "details": (_DICTIONARY, False),
    },
}
"""Each resource's properties: type, and whether they are required."""

_PARTS = {
    "collections": {"collections": "collection"},
    "manifest": {"objects": "manifest-record"},
    "status": dict.fromkeys(("successes", "failures", "pendings"), "status-details"),
}
"""The types of the items in a resource's lists."""


def find_faults(kind: str, resource: object) -> Iterator[Fault]:
    """Find the faults of a resource, those in its lists included.

    >>> [fault.description for fault in find_faults("collections", {"collections": []})]
    ['collections: collections is a list of at least one object, not []']
    """
    if not isinstance(resource, dict):
        yield Fault("required", f"{kind}: a JSON object")
        return
    yield from _own(kind, resource)
    for name, part in _PARTS.get(kind, {}).items():
        inside = resource.get(name)
        for each in inside if isinstance(inside, list) else []:
            yield from find_faults(part, each)


def _own(kind: str, resource: dict[str, Any]) -> Iterator[Fault]:
    for name, (type, required) in TABLES[kind].items():
        if name not in resource:
            if required:
                yield Fault("required", f"{kind}: {name} is required")
        elif not type.fits(resource[name]):
            shown = repr(resource[name])[:80]
            yield Fault(type.rule, f"{kind}: {name} is {type.description}, not {shown}")
    for name in unknown_properties(kind, resource):
        if not CUSTOM.fullmatch(name):
            yield Fault("name", f"{kind}: {name[:80]!r} is not a valid name for a custom property")


def unknown_properties(kind: str, resource: dict[str, Any]) -> list[str]:
    """The properties of a resource that are not in its table."""
    forgotten = {"next"} if kind == "versions" else set()  # which the standard left out
    return [name for name in resource if name not in TABLES[kind] and name not in forgotten]
