"""Verbatim collections: readers get what an authorised account posts.

Nothing is evaluated but what would break the collection for its readers: an
object needs a type, an id of that type, and valid timestamps, and no stricter
marking than its partner may send.  An id belongs to the partner that sent it
first: nobody else replaces or revokes the object.

An account that may not read the collection learns only what follows from its object
alone, since anything more would say which objects others have here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.admission.errors import Malformed, NotAllowed
from tocsin.admission.markings.tlp import read_markings, strictest_tlp
from tocsin.admission.merge.content import object_digest
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Action, Finding, StixObject, Tlp, Verdict
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.timestamps import micros
from tocsin.server.agreements import PartnerAgreements
from tocsin.server.auth import may_read
from tocsin.server.model import Account, Collection, NewEntry, PublishOutcome, Record, Submission
from tocsin.server.store import Transaction
from tocsin.server.store.match_filters import index_terms, visibility

log = logging.getLogger(__name__)

_ID = re.compile(
    r"([a-z][a-z0-9-]{1,248}[a-z0-9])--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I
)
_META = ("marking-definition", "language-content", "extension-definition")


NO_AGREEMENT = Finding(
    "validate",
    "agreement",
    Action.REFUSED,
    "no agreement in force allowed this when it was examined: send it again when one does",
)
_NOT_BOUNDED = Finding(
    "validate",
    "agreement",
    Action.REFUSED,
    "your agreement bounds the countries or sectors to which your data may go, and nothing bounds "
    "the readers of this collection: send it to an inbox",
)
_FOREIGN = "this id belongs to another partner here: send it under an id of your own"
_CONFLICT = "this id and version are here with other content; raise `modified`"
TAKEN_UNSEEN = (
    "taken; an account that may not read the collection does not learn what readers see: "
    "an id belongs to the partner that sent it first, and a version keeps its first content"
)
"""The message to an account that may not read the collection."""


@dataclass(frozen=True, slots=True)
class Depositor:
    """The sender of a submission to a verbatim collection; by default the operator."""

    owner: str = ""
    """The partner to which new ids will belong; empty: the operator, who may add to all."""
    max_tlp: Tlp = Tlp.RED
    """The strictest marking that it may send."""
    reads: bool = True
    """It may read the collection, and so learn its content."""

    @classmethod
    def find(
        cls,
        txn: Transaction,
        submission: Submission,
        collection: Collection,
        rights: tuple[Account, PartnerAgreements],
    ) -> Depositor | Finding:
        """The sender of a submission, with the rights that its account has now, or why it has none.

        The record of a partner that is gone allows it nothing beyond TLP:CLEAR.
        """
        account, agreements = rights
        if account.operator:
            return cls(max_tlp=Tlp.AMBER_STRICT)
        level = agreements.highest_tlp(collection.id)
        if level is None:
            return NO_AGREEMENT
        if not agreements.audience(collection.id, submission.received).is_everybody:
            return _NOT_BOUNDED
        partner = txn.accounts.find_partner(submission.partner)
        max_tlp = Tlp.CLEAR if partner is None else min(partner.max_tlp, level, Tlp.AMBER_STRICT)
        reads = may_read(agreements.narrow(account, [collection]), collection)
        return cls(submission.partner or submission.account, max_tlp, reads)


def deposited(
    txn: Transaction,
    collection: Collection,
    objects: Sequence[tuple[int, bytes]],
    sender: Depositor = Depositor(),
) -> list[Record]:
    """Publish the objects, each with its index, and return their records."""
    records: dict[int, Record] = {}
    postings: dict[int, NewEntry] = {}
    for index, raw in objects:
        try:
            postings[index] = posting(raw, sender)
        except Malformed as error:
            records[index] = _refused(index, raw, str(error))
    outcomes = txn.publish(collection.id, list(postings.values()))
    if foreign := outcomes.count(PublishOutcome.FOREIGN):
        log.info("collection=%s partner=%s foreign=%d", collection.alias, sender.owner, foreign)
    if not sender.reads:
        records |= {index: _unseen_record(index, one) for index, one in postings.items()}
        return [records[index] for index, _ in objects]
    unversioned = {one.id for one in postings.values() if not one.version}
    added = txn.find_first_added(collection.id, unversioned)
    for (index, one), outcome in zip(postings.items(), outcomes, strict=True):
        version = one.version or added.get((one.id, one.spec), "")
        records[index] = outcome_record(index, one, outcome, version)
    return [records[index] for index, _ in objects]


def posting(raw: bytes, sender: Depositor = Depositor()) -> NewEntry:
    """An object as it goes into a collection, in its own bytes.

    Raises Malformed if it would break the collection for its readers, or is marked more strictly
    than its sender may.
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
    _check_level(subject, sender)
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
        owner=sender.owner,
    )


def _check_level(subject: StixObject, sender: Depositor) -> None:
    """Raise Malformed if the object is marked more strictly than its sender may.

    An object without a level is within the sender's agreement.
    """
    level = read_markings(subject, {}).tlp
    if level is None or level <= sender.max_tlp:
        return
    if level is Tlp.RED:
        raise Malformed("marked TLP:RED, for its recipients only: it cannot be shared here")
    raise Malformed(
        f"marked TLP:{level.label.upper()}, above TLP:{sender.max_tlp.label.upper()}, the strictest"
        " that you may send: mark it lower if you may, or ask the operator to allow it"
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


def outcome_record(index: int, one: NewEntry, outcome: PublishOutcome, version: str) -> Record:
    """The record of one object; `version` is the one that readers of the collection see."""
    if outcome in (PublishOutcome.CONFLICT, PublishOutcome.FOREIGN):
        message = _CONFLICT if outcome is PublishOutcome.CONFLICT else _FOREIGN
        finding = Finding("publish", "versions", Action.REFUSED, message)
        refused = Verdict.REFUSED.value
        return Record(index, refused, one.id, version, "", (finding.as_json(),))
    verdict = Verdict.ADMITTED if outcome is PublishOutcome.STORED else Verdict.DUPLICATE
    return Record(index, verdict.value, one.id, version, one.id)


def check_deletion(
    txn: Transaction, account: Account, collection: Collection, object_id: str
) -> None:
    """Check that an account may delete an object of a verbatim collection (TAXII 2.1 §5.7).

    Raises NotAllowed if it is another partner's.  Operators may delete every object.
    """
    owner = "" if account.operator else account.partner or account.name
    if owner and txn.find_owners(collection.id, object_id) - {owner}:
        raise NotAllowed("another partner sent this object first: only it may delete it")


def _unseen_record(index: int, one: NewEntry) -> Record:
    """The record of an object for a sender that may not read what is in the collection."""
    finding = Finding("publish", "versions", Action.NOTED, TAKEN_UNSEEN)
    return Record(index, Verdict.ADMITTED.value, one.id, one.version, one.id, (finding.as_json(),))


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
