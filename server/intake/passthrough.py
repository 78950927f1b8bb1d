"""Verbatim collections: readers get what an authorised account posts.

Nothing is evaluated but what would break the collection for its readers: an
object needs a type, an id of that type, and valid timestamps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tocsin.admission.errors import Malformed
from tocsin.admission.merge.content import object_digest
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import (
    Action,
    Finding,
    StixObject,
    Verdict,
)
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.timestamps import micros
from tocsin.server.index_terms import index_terms, strictest_tlp, visibility
from tocsin.server.model import (
    Collection,
    NewEntry,
    PublishOutcome,
    Record,
)
from tocsin.server.store import Transaction

_ID = re.compile(
    r"([a-z][a-z0-9-]{1,248}[a-z0-9])--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I
)
_META = ("marking-definition", "language-content", "extension-definition")


def deposited(
    txn: Transaction, collection: Collection, objects: Sequence[tuple[int, bytes]]
) -> list[Record]:
    """Publish the objects, each with its index, and return their records."""
    records: dict[int, Record] = {}
    postings: dict[int, NewEntry] = {}
    for index, raw in objects:
        try:
            postings[index] = posting(raw)
        except Malformed as error:
            records[index] = _refused(index, raw, str(error))
    outcomes = txn.publish(collection.id, list(postings.values()))
    unversioned = {one.id for one in postings.values() if not one.version}
    added = txn.find_first_added(collection.id, unversioned)
    for (index, one), outcome in zip(postings.items(), outcomes, strict=True):
        records[index] = _record(index, one, outcome, one.version or added[one.id, one.spec])
    return [records[index] for index, _ in objects]


def posting(raw: bytes) -> NewEntry:
    """An object as it goes into a collection, in its own bytes.

    Raises Malformed if it would break the collection for its readers.
    """
    subject = parse_object(raw)
    kind, name = subject.get("type"), subject.get("id")
    found = _ID.fullmatch(name) if isinstance(name, str) else None
    if not isinstance(kind, str) or found is None or found[1].lower() != kind:
        raise Malformed(
            "a STIX object needs a `type`, and an `id` of the type, two hyphens and a UUID"
        )
    for stamp in ("created", "modified"):
        if stamp in subject:
            _check(stamp, subject[stamp])
    found_by = index_terms(subject)
    return NewEntry(
        id=str(name),
        type=kind,
        spec=_spec(subject),
        version=subject.get("modified") or subject.get("created") or "",
        body=raw.strip(),
        digest=object_digest(subject),
        terms=found_by.terms,
        numeric_terms=found_by.numeric_terms,
        visibility=visibility(subject, strictest_tlp(subject)),
    )


def _check(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise Malformed(f"`{name}` must be a timestamp in text")
    try:
        micros(value)
    except Malformed as error:
        raise Malformed(f"`{name}`: {error}") from error


def _spec(subject: StixObject) -> str:
    """The STIX version: as stated, else 2.1 for types that STIX 2.0 lacks, else 2.0."""
    if "spec_version" not in subject:
        newer = is_observable_type(subject["type"]) or subject["type"] in _META[1:]
        return "2.1" if newer else "2.0"
    stated = subject["spec_version"]
    if stated not in ("2.0", "2.1"):
        raise Malformed("`spec_version` must be 2.0 or 2.1")
    return str(stated)


def _record(index: int, one: NewEntry, outcome: PublishOutcome, version: str) -> Record:
    """The record of one object; `version` is the one that readers of the collection see."""
    if outcome is PublishOutcome.CONFLICT:
        message = "this id and version are here with other content; raise `modified`"
        finding = Finding("publish", "versions", Action.REFUSED, message)
        refused = Verdict.REFUSED.value
        return Record(index, refused, one.id, version, "", (finding.as_json(),))
    verdict = Verdict.ADMITTED if outcome is PublishOutcome.STORED else Verdict.DUPLICATE
    return Record(index, verdict.value, one.id, version, one.id)


def _refused(index: int, raw: bytes, message: str) -> Record:
    finding = Finding("validate", "format", Action.REFUSED, message)
    name = version = ""
    try:
        subject = parse_object(raw)
    except Malformed:
        subject = {}  # too broken to have an id; the record's index tells which it was
    if isinstance(subject.get("id"), str):
        name = subject["id"][:300]
    if isinstance(subject.get("modified"), str):
        version = subject["modified"][:64]
    return Record(index, Verdict.REFUSED.value, name, version, "", (finding.as_json(),))
