"""Reviews: objects that wait for a reviewer's decision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from typing import TypeVar

from pymongo import ReturnDocument
from pymongo.client_session import ClientSession

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.markings.tlp import read_markings
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.stix.object_titles import object_title
from tocsin.admission.timestamps import DAY
from tocsin.server.model import (
    ArrivedIds,
    Claim,
    DecisionKind,
    OutboxTask,
    PendingDecision,
    Review,
    ReviewKind,
)
from tocsin.server.store.connection import (
    MAX_KEYS,
    Base,
    Document,
    Session,
    chunk_keys,
    find_by_keys,
    time_limit,
)
from tocsin.server.store.public_objects import concerns

K = TypeVar("K")
WAITING = "waiting"
_ORDER = {"asked": 1, "submission": 1, "index": 1}
"""The fields by which reviews are put in order."""
ANSWERS = ("released", "rejected")
REVISION = "reviews"
"""The document in `hub_state` with the number of the last change of reviews, claims left out."""
CLAIM_FIELDS = ("claimed_by", "claimed_login", "claimed_until")
_TITLE_FIELDS = dict.fromkeys(("title", "state", *CLAIM_FIELDS), 1)


class Overtaken(Conflict):
    """A decision that was to take effect does not stand any more."""


@dataclass(frozen=True, slots=True)
class ReviewTitle:
    """Fields of a review that a list shows and does not keep in memory."""

    title: str
    """The value that the object is about, else its name; empty if it has neither."""
    claim: Claim | None


class Reviews:
    """Reviews, for reading; a `Transaction` adds and decides them."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def list_waiting(self, partner: str | None = None, most: int | None = None) -> list[Review]:
        """Waiting reviews, the oldest first; of one partner if one is named, at most `most`."""
        query = {"state": WAITING} | ({} if partner is None else {"partner": partner})
        if most is None:
            return _sort_reviews(self._base.reviews.find(query))
        heads = nsmallest(most, self._base.reviews.find(query, _ORDER), key=place_in_order)
        ids = list(chunk_keys([head["_id"] for head in heads], MAX_KEYS))
        found = find_by_keys(self._base.reviews, ids, lambda keys: {"_id": {"$in": keys}}, None)
        return _sort_reviews(each for each in found if each["state"] == WAITING)

    @time_limit()
    def count_waiting(self, most: int) -> int:
        """Count the reviews of all partners that wait, up to `most`."""
        found = self._base.reviews.find({"state": WAITING}, {"_id": 0, "state": 1}).limit(most)
        return sum(1 for _ in found)

    def list_all(self, partner: str) -> list[Review]:
        """Every review of a partner that is kept, decided or not, the oldest first."""
        found: list[Document] = []
        for state in (WAITING, *ANSWERS):
            found.extend(self._base.reviews.find({"state": state, "partner": partner}))
        return _sort_reviews(found)

    def list_waiting_under(self, partner: str, sources: Iterable[str]) -> list[Review]:
        """Waiting reviews of these ids of a partner's own, the oldest first."""
        return list_waiting_under(self._base, None, partner, sources)

    def find(self, id: str) -> Review | None:
        """The review, or None."""
        document = self._base.reviews.find_one({"_id": id})
        return None if document is None else _review_from_document(document)

    def find_all(self, ids: Sequence[str]) -> list[Review]:
        """The reviews with these ids, in this order; ids without one are left out."""
        return find_reviews(self._base, None, ids)

    @time_limit()
    def list_titles(self, ids: Sequence[str]) -> dict[str, ReviewTitle]:
        """The titles of a page of open reviews, by id."""
        found = self._base.reviews.find({"_id": {"$in": list(ids)}}, _TITLE_FIELDS)
        return {
            each["_id"]: ReviewTitle(each.get("title", ""), claim_from_document(each))
            for each in found
            if each["state"] == WAITING
        }

    def place_of(self, review: Review) -> tuple[int, str, str]:
        """The place of a review among others; see `QueuedReview.place`."""
        return place_in_order(_review_to_document(replace(review, object=b"")))

    def list_waiting_for(self, arrivals: ArrivedIds) -> list[Review]:
        """Waiting reviews that wait for any of the arrived ids, the oldest first."""
        found = {d["_id"]: d for d in _find_by_arrivals(self._base, None, arrivals)}
        return _sort_reviews(each for each in found.values() if _waits_for(each, arrivals))


def count_waiting(base: Base, session: ClientSession, partner: str, most: int) -> int:
    """See `Transaction.count_waiting_reviews`."""
    query = {"state": WAITING, "partner": partner}
    return sum(1 for _ in base.reviews.find(query, {"_id": 1}, session=session).limit(most))


def list_waiting_under(
    base: Base, session: Session, partner: str, sources: Iterable[str]
) -> list[Review]:
    """See `Transaction.list_waiting_reviews`."""
    found = _find_by_sources(base, session, partner, sources)
    return _sort_reviews(each for each in found if each["state"] == WAITING)


class ReviewWriter:
    """Adds, changes and decides reviews in a transaction.

    All that it changes gets the next revision of the queue, by which `ReviewQueue` finds it.
    """

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """`now` is the time of the transaction."""
        self._base, self._session, self._now = base, session, now
        self._revision = 0

    def insert(self, reviews: Sequence[Review]) -> None:
        """See `Transaction.add_reviews`."""
        if reviews:
            revision = {"revision": self._raise_revision()}
            documents = [_review_to_document(each) | revision for each in reviews]
            self._base.reviews.insert_many(documents, session=self._session)

    def update(self, review: Review) -> None:
        """See `Transaction.update_review`."""
        document = _review_to_document(review)
        changes = {name: document[name] for name in ("rules", "findings", "waits_for")}
        self._change({"_id": review.id, "state": WAITING}, {"$set": changes})

    def decide(self, review_id: str, state: str, who: str = "", act: str = "") -> Review:
        """See `Transaction.decide_review`."""
        if state not in ANSWERS:
            raise ValueError(f"a review is {' or '.join(ANSWERS)}, not {state}")
        document = self._require(review_id)
        if document["state"] != WAITING:
            raise Conflict(f"this review has been {document['state']} already")
        # No arrival concerns it any more, and nobody needs what a rule removed from it.
        change: Document = {"state": state, "waits_for": [], "object": b""}
        change |= {"decided_day": self._now // DAY, "decided_by": who, "decided_at": self._now}
        if document.get("decision"):
            carried_out = document["decision"]["act"] == act
            change["decision"] = document["decision"] | {"masks": []} if carried_out else None
        gone = dict.fromkeys(("day", "title", "returned", *CLAIM_FIELDS), "")
        self._change({"_id": review_id}, {"$set": change, "$unset": gone})
        return _review_from_document(document | change)

    def put_decision(self, reviews: Sequence[Review], decision: PendingDecision) -> None:
        """See `Transaction.put_review_decision`."""
        # It is kept as long as if it was asked today: retention does not overtake a decision.
        today = self._now // DAY
        gone = dict.fromkeys(("returned", *CLAIM_FIELDS), "")
        for rules, ids in _group(reviews, lambda each: each.rules).items():
            made = _decision_to_document(replace(decision, rules=rules))
            change = {"$set": {"decision": made, "day": today}, "$unset": gone}
            self._change_many(ids, change)

    def withdraw(self, reviews: Sequence[Review], act: str) -> list[str]:
        """See `Transaction.withdraw_review_decision`."""
        waiting = [
            r for r in reviews if r.state == WAITING and r.decision and r.decision.act == act
        ]
        for day, ids in _group(waiting, lambda each: each.created // DAY).items():
            self._change_many(ids, {"$set": {"day": day}, "$unset": {"decision": ""}})
        return [each.id for each in waiting]

    def return_review(self, review_id: str, act: str, why: str) -> bool:
        """See `Transaction.return_review`."""
        document = self._require(review_id)
        if not _carries(document, act):
            return False
        change = {"day": document["asked"] // DAY, "returned": why}
        self._change({"_id": review_id}, {"$set": change, "$unset": {"decision": ""}})
        return True

    def check_decision(self, review_id: str, act: str) -> None:
        """See `Transaction.check_review_decision`."""
        document = self._require(review_id)
        if not _carries(document, act):
            raise Overtaken("this decision was withdrawn, or another one was made before it")
        if document["decision"]["rules"] != document["rules"]:
            raise Conflict("other rules ask about it since it was decided: look at it again")

    def purge(self, review_id: str, redact: Callable[[list[Document]], list[Document]]) -> None:
        """See `Transaction.purge_review`; `redact` takes findings and returns what may stay."""
        document = self._base.reviews.find_one({"_id": review_id}, session=self._session)
        if document is None:
            return
        change: Document = {"object": b"", "waits_for": []}
        change["findings"] = redact(document["findings"])
        gone = dict.fromkeys(("day", "title", "returned", *CLAIM_FIELDS), "")
        if document["state"] == WAITING:
            change |= {"state": "rejected", "decided_day": self._now // DAY}
            gone["decision"] = ""
        self._change({"_id": review_id}, {"$set": change, "$unset": gone})

    def find(self, review_ids: Sequence[str]) -> list[Review]:
        """See `Transaction.find_reviews`."""
        return find_reviews(self._base, self._session, review_ids)

    def _require(self, review_id: str) -> Document:
        document = self._base.reviews.find_one({"_id": review_id}, session=self._session)
        if document is None:
            raise NotFound("there is no such review")
        return document

    def _change(self, key: Document, change: Document) -> None:
        setting = change.get("$set", {}) | {"revision": self._raise_revision()}
        self._base.reviews.update_one(key, change | {"$set": setting}, session=self._session)

    def _change_many(self, ids: Sequence[str], change: Document) -> None:
        setting = change["$set"] | {"revision": self._raise_revision()}
        for keys in chunk_keys(ids, MAX_KEYS):
            query = {"_id": {"$in": list(keys)}}
            changes = change | {"$set": setting}
            self._base.reviews.update_many(query, changes, session=self._session)

    def _raise_revision(self) -> int:
        """The revision of this transaction; the first call raises that of the queue."""
        if not self._revision:
            self._revision = increment_queue_revision(self._base, self._session)
        return self._revision


def increment_queue_revision(base: Base, session: Session = None) -> int:
    """Raise the revision of the queue, and return it."""
    found = base.hub_state.find_one_and_update(
        {"_id": REVISION},
        {"$inc": {"revision": 1}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
        session=session,
    ) or {"revision": 0}
    return int(found["revision"])


def _group(reviews: Iterable[Review], key: Callable[[Review], K]) -> dict[K, list[str]]:
    """The ids of reviews, by something that they have in common."""
    groups: dict[K, list[str]] = {}
    for each in reviews:
        groups.setdefault(key(each), []).append(each.id)
    return groups


def _carries(document: Document, act: str) -> bool:
    """True if a review waits for a decision to take effect, of this act."""
    decision = document.get("decision") or {}
    return document["state"] == WAITING and decision.get("act") == act


def has_waiting_review(base: Base, session: ClientSession, task: OutboxTask) -> bool:
    """See `Transaction.has_waiting_review`."""
    fields = {"state": 1, "partner": 1, "waits_for": 1}
    arrived = _find_by_arrivals(base, session, task.arrived, fields)
    if any(_waits_for(each, task.arrived) for each in arrived):
        return True
    partner = task.arrived.partner
    revoked = _find_by_sources(base, session, partner, task.revoked_ids, {"state": 1})
    return any(document["state"] == WAITING for document in revoked)


def _waits_for(document: Document, arrivals: ArrivedIds) -> bool:
    """True if a review is not decided and waits for something that has arrived."""
    if document["state"] != WAITING:
        return False
    return concerns(arrivals, document["partner"], document["waits_for"])


def _find_by_arrivals(
    base: Base, session: Session, arrivals: ArrivedIds, fields: Document | None = None
) -> Iterator[Document]:
    """Reviews that wait, or waited, for any of the arrived ids.

    No query names the state as well: the embedded engine uses an index only if it has exactly
    the fields of the query.
    """
    portions = list(chunk_keys(sorted(arrivals.source_ids | arrivals.public_ids), MAX_KEYS))
    return find_by_keys(
        base.reviews, portions, lambda keys: {"waits_for": {"$in": keys}}, session, fields
    )


def _find_by_sources(
    base: Base,
    session: Session,
    partner: str,
    sources: Iterable[str],
    fields: Document | None = None,
) -> Iterator[Document]:
    """A partner's reviews of some of its own ids."""

    def query(keys: Sequence[str]) -> Document:
        return {"partner": partner, "source_id": {"$in": keys}}

    portions = list(chunk_keys(sorted(sources), MAX_KEYS))
    return find_by_keys(base.reviews, portions, query, session, fields)


def _sort_reviews(documents: Iterable[Document]) -> list[Review]:
    """The reviews, the oldest first; those of one submission in an order that tells nothing.

    It is always the same one: what they publish is stamped in this order.
    """
    return list(map(_review_from_document, sorted(documents, key=place_in_order)))


def place_in_order(document: Document) -> tuple[int, str, str]:
    """The place of a review among others; see `_sort_reviews`."""
    place = f"{document['submission']} {document['index']}"
    mixed = hashlib.sha256(place.encode()).hexdigest()
    return document["asked"], mixed, document["_id"]


def _review_to_document(review: Review) -> Document:
    return {
        "_id": review.id,
        "question": review.kind.value,
        "submission": review.submission,
        "index": review.index,
        "partner": review.partner,
        "source_id": review.source_id,
        "asked": review.created,
        "object": review.object,
        "rules": list(review.rules),
        "findings": [dict(finding) for finding in review.findings],
        "state": review.state,
        "waits_for": list(review.waits_for),
        "anonymous": review.anonymous,
        "day": review.created // DAY,
        **describe(review.object, review.tlp),
    }


def describe(body: bytes, tlp: str = "") -> Document:
    """The fields of an object that waits as lists show them: its type, level and title.

    `tlp` is the label of its level if that is known.
    """
    try:
        subject = parse_object(body)
    except Malformed:
        return {"type": "", "tlp": tlp, "title": ""}
    if not tlp:
        level = read_markings(subject, {}).tlp
        tlp = "" if level is None else level.label
    return {"type": str(subject.get("type", "")), "tlp": tlp, "title": object_title(subject)}


def find_reviews(base: Base, session: Session, ids: Sequence[str]) -> list[Review]:
    """See `Reviews.find_all`."""
    found: dict[str, Document] = {}
    for keys in chunk_keys(list(ids), MAX_KEYS):
        query = {"_id": {"$in": list(keys)}}
        found |= {each["_id"]: each for each in base.reviews.find(query, session=session)}
    return [_review_from_document(found[id]) for id in ids if id in found]


def claim_to_document(claim: Claim) -> Document:
    """The fields of a claim in the document of its review."""
    return {
        "claimed_by": claim.person,
        "claimed_login": claim.login,
        "claimed_until": claim.until,
    }


def claim_from_document(document: Document) -> Claim | None:
    """The claim on a review; None if nobody has it open."""
    if not document.get("claimed_by"):
        return None
    fields = (document[name] for name in CLAIM_FIELDS)
    return Claim(*fields)


def _decision_to_document(decision: PendingDecision) -> Document:
    return {
        "act": decision.act,
        "by": decision.by,
        "kind": decision.kind.value,
        "at": decision.at,
        "due": decision.due,
        "rules": list(decision.rules),
        "masks": [[list(path), start, end] for path, start, end in decision.masks],
    }


def _decision_from_document(document: Document | None) -> PendingDecision | None:
    if not document:
        return None
    return PendingDecision(
        act=document["act"],
        by=document["by"],
        kind=DecisionKind(document["kind"]),
        at=document["at"],
        due=document["due"],
        rules=tuple(document["rules"]),
        masks=tuple((tuple(path), start, end) for path, start, end in document["masks"]),
    )


def _review_from_document(document: Document) -> Review:
    return Review(
        id=document["_id"],
        kind=ReviewKind(document["question"]),
        submission=document["submission"],
        index=document["index"],
        partner=document["partner"],
        source_id=document["source_id"],
        created=document["asked"],
        object=document["object"],
        rules=tuple(document["rules"]),
        findings=tuple(document["findings"]),
        state=document["state"],
        waits_for=tuple(document["waits_for"]),
        anonymous=document.get("anonymous", False),  # an older document has none of these
        tlp=document.get("tlp", ""),
        revision=document.get("revision", 0),
        decision=_decision_from_document(document.get("decision")),
        claim=claim_from_document(document),
        returned=document.get("returned", ""),
        decided_by=document.get("decided_by", ""),
        decided_at=document.get("decided_at", 0),
    )
