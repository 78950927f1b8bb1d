"""The last version of a revoked object: what it was, without the text that was revoked with it.

A *revoked version* keeps what readers need to find the object in their own systems: its
type, its pattern or observable value, its references and markings.  A *purged version*
keeps not even those: harmless reserved values stand where STIX requires a value.

Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tocsin.admission.markings.revoked_definitions import PURGED_TEXT, REVOKED_TEXT
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.merge.identity import contributing_properties, observable_id
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.stix.free_text import RELATIONSHIP_TYPES
from tocsin.admission.stix.schemas import schema_for

PURGED_PATTERN = "[domain-name:value = 'purged.invalid']"
"""A pattern that can match nothing: RFC 6761 reserves `.invalid`."""

_COMMON = (
    *("type", "spec_version", "id", "created_by_ref", "created", "modified", "revoked"),
    "object_marking_refs",
)
_DEFINITION = tuple(name for name in _COMMON if name not in ("modified", "revoked"))
_MATCHED = ("pattern", "pattern_type", "pattern_version")
_CLOSED = (
    *("valid_from", "valid_until", "is_family", "context", "opinion", "published"),
    *("first_observed", "last_observed", "number_observed", "relationship_type"),
    *("source_ref", "target_ref", "sighting_of_ref", "object_ref", "object_refs"),
    *("analysis_sco_refs", "src_ref", "dst_ref"),
)
"""Properties that hold no text of the submitter's where STIX defines them: times, numbers, words of
STIX, ids."""
_WORDS = {
    "grouping": ("context", frozenset(("suspicious-activity", "malware-analysis", "unspecified"))),
    "relationship": ("relationship_type", RELATIONSHIP_TYPES),
}
"""By type of object: the property that takes any word, and the words that STIX lists for it."""
_TEXTS_OF_VALUES = {"email-message": ("subject", "body")}
"""Contributing properties of observables that are texts all the same."""
_OFTEN_REQUIRED = ("name", "content", "product", "result", "contents", "schema", "version")
"""Tried first where STIX requires more than is kept."""

_RESERVED: Mapping[str, StixObject] = {
    "domain-name": {"value": "purged.invalid"},
    "email-addr": {"value": "purged@purged.invalid"},
    "ipv4-addr": {"value": "192.0.2.0"},
    "ipv6-addr": {"value": "2001:db8::"},
    "mac-addr": {"value": "00:00:00:00:00:00"},
    "url": {"value": "http://purged.invalid/"},
    "autonomous-system": {"number": 0},
    "artifact": {"payload_bin": "AA=="},
    "process": {"pid": 0},
    "email-message": {"is_multipart": False},
    "x509-certificate": {"is_self_signed": False},
    "network-traffic": {"protocols": ["tcp"]},
    "location": {"region": "world"},
    "observed-data": {"number_observed": 1},
    "malware": {"is_family": False},
    "malware-analysis": {"result": "unknown"},
    "grouping": {"context": "unspecified"},
    "opinion": {"opinion": "neutral"},
    "relationship": {"relationship_type": "related-to"},
}
"""Values that STIX requires and that nobody can have: reserved, empty or neutral ones."""
_PURGED: StixObject = {
    **dict.fromkeys(("name", "content", "product", "path", "key", "user_id"), PURGED_TEXT),
    "contents": {"en": {"name": PURGED_TEXT}},
    "schema": PURGED_TEXT,
    "version": "0.0.0",
    "extension_types": ["property-extension"],
}
"""Required properties of all types, as they are in a purged object."""
_ENDS = ("source_ref", "target_ref", "sighting_of_ref", "object_ref")
_RESERVED_ADDRESS = observable_id({"type": "ipv4-addr", "value": "192.0.2.0"})
_TIMES = ("valid_from", "published", "first_observed", "last_observed")


def revoked_version(subject: StixObject) -> StixObject:
    """A revoked object without name, description, labels, references to reports and the like."""
    kind = str(subject["type"])
    if kind == "marking-definition":
        return _emptied_definition(subject, REVOKED_TEXT)
    texts = _TEXTS_OF_VALUES.get(kind, ())
    values = [name for name in contributing_properties(kind) if name not in texts]
    closed = [name for name in (*_MATCHED, *_CLOSED) if name in schema_for(subject).properties]
    kept = _bare(subject, (*_COMMON, *closed, *values))
    name, words = _WORDS.get(kind, ("", frozenset()))
    if name in kept and kept[name] not in words:
        kept |= _RESERVED[kind]
    return _complete(kept, {name: _mask(value) for name, value in subject.items()})


def purged_version(subject: StixObject, tlp: Tlp, hub: str) -> StixObject:
    """The rest of a purged object in a feed of level `tlp`: it says only that there was one.

    Of `subject` it has the type, id, author and times.  References that STIX requires lead to
    `hub`, the id of the hub's identity, or to a reserved address.
    """
    kind = str(subject["type"])
    if kind == "marking-definition":
        return _emptied_definition(subject, PURGED_TEXT) | {"object_marking_refs": [TLP_2_IDS[tlp]]}
    bare = _bare(subject, _COMMON) | _RESERVED.get(kind, {})
    bare |= {"revoked": True, "object_marking_refs": [TLP_2_IDS[tlp]]}
    if kind == "indicator":
        bare |= {"pattern": PURGED_PATTERN, "pattern_type": "stix"}
    spare = _PURGED | dict.fromkeys(_TIMES, subject.get("created"))
    spare |= dict.fromkeys(_ENDS, hub) | {"object_refs": [hub], "src_ref": _RESERVED_ADDRESS}
    if kind == "observed-data":
        spare["object_refs"] = [_RESERVED_ADDRESS]
    own = schema_for(bare).properties
    return _complete(bare, {name: value for name, value in spare.items() if name in own})


def ended_definition(id_: str) -> StixObject:
    """A definition of which nothing is known but that it has ended."""
    return _emptied_definition({"type": "marking-definition", "id": id_}, REVOKED_TEXT)


def _emptied_definition(subject: StixObject, text: str) -> StixObject:
    """A marking definition that only says that its text is gone: STIX has no `revoked` for it."""
    kept = _bare(subject, _DEFINITION)
    return kept | {"definition_type": "statement", "definition": {"statement": text}}


def _bare(subject: StixObject, names: tuple[str, ...]) -> StixObject:
    return {name: subject[name] for name in names if name in subject}


def _complete(kept: StixObject, spare: StixObject) -> StixObject:
    """With as many of the spare properties as STIX requires; with none if all do not suffice."""
    valid = schema_for(kept).validator.is_valid
    if valid(kept):
        return kept
    found = kept
    for name in _by_need(spare, kept):
        alone = {**kept, name: spare[name]}
        if valid(alone):
            return alone
        found = {**found, name: spare[name]}
        if valid(found):
            return found
    return kept


def _by_need(spare: StixObject, kept: StixObject) -> Iterator[str]:
    """The names that `kept` lacks, those first that STIX most often requires."""
    yield from (name for name in _OFTEN_REQUIRED if name in spare and name not in kept)
    yield from sorted(spare.keys() - kept.keys() - set(_OFTEN_REQUIRED))


def _mask(value: Any) -> Any:
    """The value with a mask for every text in it; of a list, the first element."""
    if isinstance(value, str):
        return REVOKED_TEXT
    if isinstance(value, list):
        return [_mask(each) for each in value[:1]]
    if isinstance(value, dict):
        return {name: _mask(each) for name, each in value.items()}
    return value
