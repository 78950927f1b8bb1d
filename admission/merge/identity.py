"""When are two submissions the same thing?

The key is computed from the object as it stands before sanitising and kept
beside it; otherwise a resubmission of the original would look new.  The
sharing scope is part of it: what is known at AMBER never meets what is known
at GREEN.
"""

import hashlib
import uuid

import rfc8785

from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    StixObject,
)
from tocsin.admission.stix.history_extension import AUTHOR, EXTENSION
from tocsin.admission.stix.schemas import schemas

SCO_NAMESPACE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The namespace of deterministic SCO ids (STIX 2.1 section 2.9)."""

MITRE = "identity--c78cb6e5-0c4b-4611-8297-d1b8b55e40b5"
"""The identity under which MITRE publishes ATT&CK."""

MITRE_MARKING = "marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168"
"""ATT&CK's statement marking."""

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
        "start",
        "end",
        "src_ref",
        "dst_ref",
        "src_port",
        "dst_port",
        "protocols",
        "extensions",
    ),
    "software": ("name", "cpe", "swid", "vendor", "version"),
    "url": ("value",),
    "user-account": ("account_type", "user_id", "account_login"),
    "windows-registry-key": ("key", "values"),
    "x509-certificate": ("hashes", "serial_number"),
}
"""ID contributing properties (STIX 2.1 section 6).  `process` has none."""

_PREFERRED_HASHES = ("MD5", "SHA-1", "SHA-256", "SHA-512")


def identify(candidate: Candidate, partner: str) -> Candidate:
    """The candidate with its key.

    Indicators, SCOs and relationships are the same whoever sends them; any
    other object is its submitter's own, so that nobody speaks for another.
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
        whose = "" if has_contributing_properties(subject) else f"{partner}:"
        return candidate.with_key(f"sco:{whose}{name}").with_findings(*_renamed(subject, name))
    else:
        return candidate.with_key(submitter_key(partner, subject["id"], candidate.scope))


def submitter_key(partner: str, name: str, scope: str) -> str:
    """What makes an object that is its submitter's own the same again; `name` is its id there."""
    parts = (name.rpartition("--")[0], partner, name, scope)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def indicator_key(pattern_type: str, pattern: str, scope: str) -> str:
    """What makes two indicators the same: language, canonical pattern, scope."""
    parts = ("indicator", pattern_type, pattern, scope)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _renamed(subject: StixObject, name: str) -> tuple[Finding, ...]:
    """That an SCO is published under another id, which its values give it."""
    sent = subject["id"]
    if name != sent:
        message = f"published as {name}, the id that its values give it"
    elif (
        not has_contributing_properties(subject)
        and uuid.UUID(sent.rpartition("--")[2]).version != 4
    ):
        message = "nothing of it can give it an id: a UUID of version 4 is wanted"
    else:
        return ()
    return (Finding("normalise", "observable_id", Action.REPAIRED, message, "id"),)


def has_contributing_properties(subject: StixObject) -> bool:
    """Whether an SCO has anything that gives it its id."""
    return bool(_made_of(subject))


def _made_of(subject: StixObject) -> list[str]:
    """The properties that the object has and that give it its id."""
    return [name for name in contributing_properties(subject["type"]) if name in subject]


def relationship_key(subject: StixObject, scope: str) -> str:
    """What makes two relationships the same: type, ends and scope.

    The hub asks again with the public ends; a client has only the submitter's.
    """
    ends = (subject["source_ref"], subject["target_ref"])
    parts = ("relationship", subject["relationship_type"], *ends, scope)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_observable_type(kind: str) -> bool:
    """Whether `kind` is a STIX Cyber-observable Object type."""
    schema = schemas().get(kind)
    return schema is not None and schema.observable


def observable_id(subject: StixObject) -> str:
    """The deterministic id of an SCO (STIX 2.1 section 2.9).

    An SCO without any contributing property keeps the id that it came with.
    """
    kind = subject["type"]
    chosen = {
        name: _preferred(subject[name]) if name == "hashes" else subject[name]
        for name in _made_of(subject)
    }
    if not chosen:
        return str(subject["id"])
    named = uuid.uuid5(SCO_NAMESPACE, rfc8785.dumps(chosen).decode())
    return f"{kind}--{named}"


def contributing_properties(kind: str) -> tuple[str, ...]:
    """The properties that make an observable of this type what it is."""
    return CONTRIBUTING_PROPERTIES.get(kind, ())


def is_well_known(subject: StixObject) -> bool:
    """Whether it is one of MITRE's ATT&CK, or defines the hubs' extension: the same everywhere."""
    name = subject.get("id")
    if name in (MITRE_MARKING, EXTENSION, AUTHOR):
        return True
    return MITRE in (subject.get("created_by_ref"), name)


def _preferred(hashes: dict[str, str]) -> dict[str, str]:
    """The one hash that contributes: the first of a fixed order, else the first by name."""
    name = next((name for name in _PREFERRED_HASHES if name in hashes), min(hashes, default=""))
    return {name: hashes[name]} if name else {}
