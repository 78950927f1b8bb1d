"""Identity of reports: which ones describe the same thing, and the public id derived from that.

The key is computed before sanitising, so that a resubmission of the original
has the same key.  The sharing scope is part of it: reports at AMBER and at
GREEN are never merged.
"""

import hashlib
import uuid
from collections.abc import Iterable

import orjson
import rfc8785

from tocsin.admission.model import Action, Candidate, Finding, Layer, StixObject
from tocsin.admission.stix.history_extension import AUTHOR_ID, EXTENSION_ID
from tocsin.admission.stix.mitre_attack import attack_ids
from tocsin.admission.stix.references import referenced_ids
from tocsin.admission.stix.schemas import schemas
from tocsin.admission.timestamps import micros

SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The namespace of deterministic SCO ids (STIX 2.1 section 2.9)."""

MITRE = "identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"
"""The identity under which MITRE publishes ATT&CK."""

MITRE_MARKING = "marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168"
"""ATT&CK's statement marking."""

WELL_KNOWN_OBJECTS = frozenset((MITRE, MITRE_MARKING, EXTENSION_ID, AUTHOR_ID))
"""Ids of objects beside those of ATT&CK that are the same in every hub."""

CONTRIBUTING_PROPERTIES: dict[str, tuple[str, ...]] = {
    "artifact": ("hashes", "payload_bin"),
    "autonomous-system": ("number",),
    "directory": ("path",),
    "domain-name": ("value",),
    "email-addr": ("value",),
    "email-message": ("from_ref", "subject", "body"),
    "file": ("hashes", "name", "parent_directory_ref", "extensions"),
    "ipv4-addr": ("value",),
    "ipv6-addr": ("value",),
    "mac-addr": ("value",),
    "mutex": ("name",),
    "network-traffic": (
        *("start", "end", "src_ref", "dst_ref", "src_port", "dst_port", "protocols"),
        "extensions",
    ),
    "software": ("name", "cpe", "swid", "vendor", "version"),
    "url": ("value",),
    "user-account": ("account_type", "user_id", "account_login"),
    "windows-registry-key": ("key", "values"),
    "x509-certificate": ("hashes", "serial_number"),
}
"""ID contributing properties (STIX 2.1 section 6).  `process` has none."""

_NOT_DEFINING = (
    *("id", "created", "modified", "created_by_ref", "spec_version", "object_marking_refs"),
)
"""Properties of a marking definition that say nothing about what it means."""

_PREFERRED_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-512")


def identify(candidate: Candidate, partner: str) -> Candidate:
    """Set the candidate's key.

    Indicators, SCOs and relationships have the same key for every sender; any other object
    belongs to its submitter, so that no partner changes another's.
    """
    subject = candidate.object
    if subject is None:
        return candidate
    kind = subject["type"]
    if kind == "indicator":
        pattern = (subject["pattern_type"], subject["pattern"])
        return candidate.with_key(indicator_key(*pattern, candidate.scope))
    elif kind == "relationship":
        return candidate.with_key(relationship_key(subject, candidate.scope))
    elif is_observable_type(kind):
        name = observable_id(subject)
        owner_prefix = "" if has_contributing_properties(subject) else f"{partner}:"
        return candidate.with_key(f"sco:{owner_prefix}{name}").with_findings(
            *_id_findings(subject, name)
        )
    else:
        return candidate.with_key(submitter_key(partner, subject["id"], candidate.scope))


def submitter_key(partner: str, name: str, scope: str) -> str:
    """The key of an object that belongs to its submitter; `name` is the submitter's id for it."""
    parts = (name.rpartition("--")[0], partner, name, scope)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def definition_key(layers: Iterable[Layer], scope: str, partner: str) -> str:
    """The key of a marking definition: its content as published, and the scope.

    Partners that send the same content share one definition, and one id with different contents
    gives several.  A definition that refers to other objects of a partner is never shared.
    """
    content = [(level, _defining(layer)) for level, layer in layers]
    own = any(True for _, layer in content for _ in referenced_ids(layer))
    meanings = [f"{int(level)} {digest_definition(layer)}" for level, layer in content]
    parts = ("marking-definition", partner if own else "", scope, *meanings)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def digest_definition(definition: StixObject) -> str:
    """A hash of the content.

    Equal for definitions that differ only in id, dates, author or markings.
    """
    try:
        text = orjson.dumps(_defining(definition), option=orjson.OPT_SORT_KEYS)
    except (TypeError, RecursionError):
        return str(definition.get("id"))  # validation refuses it
    return hashlib.sha256(text).hexdigest()


def _defining(definition: StixObject) -> StixObject:
    return {name: value for name, value in definition.items() if name not in _NOT_DEFINING}


def indicator_key(pattern_type: str, pattern: str, scope: str) -> str:
    """The key of an indicator: pattern language, canonical pattern, scope."""
    parts = ("indicator", pattern_type, pattern, scope)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _id_findings(subject: StixObject, name: str) -> tuple[Finding, ...]:
    """Findings about an SCO whose id is not the deterministic one (STIX 2.1 section 2.9).

    They state no id: only publishing knows it, since references and removed values change it, and
    the object may yet be refused.
    """
    sent = subject["id"]
    if name != sent:
        message = "not the deterministic id for its values, under which observables are published"
    elif (
        not has_contributing_properties(subject)
        and uuid.UUID(sent.rpartition("--")[2]).version != 4
    ):
        message = (
            "has no ID contributing property and a UUID that is not version 4:"
            " such objects are published under a new id"
        )
    else:
        return ()
    return (Finding("normalise", "observable_id", Action.REPAIRED, message, "id"),)


def has_contributing_properties(subject: StixObject) -> bool:
    """True if an SCO has a property that contributes to its id."""
    return bool(_contributing_names(subject))


def _contributing_names(subject: StixObject) -> list[str]:
    """The names of the object's properties that contribute to its id."""
    return [name for name in contributing_properties(subject["type"]) if name in subject]


def relationship_key(subject: StixObject, scope: str) -> str:
    """The key of a relationship: type, ends, scope, and the time that it is said to hold.

    The hub computes it again with public ids as ends; a client has only the submitter's.
    """
    ends = (subject["source_ref"], subject["target_ref"])
    period = (f"{n} {micros(subject[n])}" for n in ("start_time", "stop_time") if n in subject)
    parts = ("relationship", subject["relationship_type"], *ends, scope, *period)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_observable_type(kind: str) -> bool:
    """True if `kind` is a STIX Cyber-observable Object type."""
    schema = schemas().get(kind)
    return schema is not None and schema.observable


def observable_id(subject: StixObject) -> str:
    """The deterministic id of an SCO (STIX 2.1 section 2.9).

    An SCO without a contributing property keeps the id it was sent with.
    """
    kind = subject["type"]
    chosen = {
        name: _contributing_hash(subject[name]) if name == "hashes" else subject[name]
        for name in _contributing_names(subject)
    }
    if not chosen:
        return str(subject["id"])
    identifier = uuid.uuid5(SCO_NAMESPACE, rfc8785.dumps(chosen).decode())
    return f"{kind}--{identifier}"


def contributing_properties(kind: str) -> tuple[str, ...]:
    """The ID contributing properties of an SCO type; empty for any other type."""
    return CONTRIBUTING_PROPERTIES.get(kind, ())


def is_well_known(subject: StixObject) -> bool:
    """True for objects of MITRE ATT&CK and for those that define the hubs' extension.

    `created_by_ref` alone proves nothing, since anybody can write it.  There is no list of MITRE's
    relationships and custom types: copies of them are recognised by `created_by_ref`, but
    references to them are not kept.
    """
    name, kind = str(subject.get("id")), str(subject.get("type"))
    if name in WELL_KNOWN_OBJECTS:
        return True
    made_by_mitre = subject.get("created_by_ref") == MITRE
    return made_by_mitre and (
        name in attack_ids() or kind == "relationship" or kind.startswith("x-mitre-")
    )


def has_well_known_id(name: str) -> bool:
    """True if every reader knows the object under this id; it is kept in references."""
    return name in WELL_KNOWN_OBJECTS or name in attack_ids()


def _contributing_hash(hashes: dict[str, str]) -> dict[str, str]:
    """The one hash that contributes: the first in the order of STIX 2.1, else by name."""
    name = next((name for name in _PREFERRED_HASHES if name in hashes), min(hashes, default=""))
    return {name: hashes[name]} if name else {}


def public_id(kind: str, key: str, namespace: uuid.UUID) -> str:
    """The hub's id for the object with this key: stable without a stored table.

    `namespace` is secret, so that outsiders cannot compute ids from values.
    """
    return f"{kind}--{uuid.uuid5(namespace, key)}"


def public_id_v4(kind: str, key: str, namespace: uuid.UUID) -> str:
    """The hub's id as a UUID of version 4: for an SCO without contributing properties.

    STIX 2.1 asks for that in section 2.9; see `public_id`.
    """
    derived = uuid.uuid5(namespace, key)
    return f"{kind}--{uuid.UUID(bytes=derived.bytes, version=4)}"
