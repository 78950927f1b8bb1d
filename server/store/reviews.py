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
    ReviewOutcome,
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
from tocsin.server.store.purged_content import redact

K = TypeVar("K")
T = TypeVar("T")
WAITING = "waiting"
_ORDER = {"asked": 1, "submission": 1, "index": 1}
"""The fields by which reviews are put in order."""
ANSWERS = ("released", "rejected")
BY_ITSELF = ("references",)
"""The rules of a review on which nobody need decide: it ends when what it references comes."""
REVISION = "reviews"
"""The document in `hub_state` with the number of the last change of reviews, claims left out."""
CLAIM_FIELDS = ("claimed_by", "claimed_login", "claimed_until")
_OUTCOME_FIELDS = dict.fromkeys(
    (
        *("question", "submission", "source_id", "version", "state", "rules"),
        *("decided_at", "published", "digest"),
    ),
    1,
)
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
    """Reviews, for reading; `Transaction.reviews` adds and decides them too."""

    def __init__(self, base: Base, session: Session = None) -> None:
        """Read in `session`, if there is one."""
        self._base, self._reviews, self._session = base, base.reviews, session

    def list_waiting(self, partner: str | None = None, most: int | None = None) -> list[Review]:
        """Waiting reviews, the oldest first; of one partner if one is named, at most `most`."""
        query = {"state": WAITING} | ({} if partner is None else {"partner": partner})
        if most is None:
            return _sort_reviews(self._reviews.find(query, session=self._session))
        return self._read_first(most, self._reviews.find(query, _ORDER, session=self._session))

    def list_for_reviewers(self, partner: str | None, most: int) -> tuple[list[Review], int]:
        """Waiting reviews on which somebody decides, the oldest first; the number of the others.

        The others wait for what they reference.
        """
        query = {"state": WAITING} | ({} if partner is None else {"partner": partner})
        every = list(self._reviews.find(query, {**_ORDER, "rules": 1}, session=self._session))
        asked = [each for each in every if tuple(each["rules"]) != BY_ITSELF]
        return self._read_first(most, asked), len(every) - len(asked)

    def _read_first(self, most: int, every: Iterable[Document]) -> list[Review]:
        heads = nsmallest(most, every, key=place_in_order)
        ids = list(chunk_keys([head["_id"] for head in heads], MAX_KEYS))
        found = find_by_keys(self._reviews, ids, lambda keys: {"_id": {"$in": keys}}, self._session)
        return _sort_reviews(each for each in found if each["state"] == WAITING)

    @time_limit()
    def count_waiting(self, most: int) -> tuple[int, int]:
        """Count what waits for a reviewer, and what for references; together up to `most`."""
        fields = {"_id": 0, "state": 1, "rules": 1}
        found = self._reviews.find({"state": WAITING}, fields, session=self._session)
        by_itself = [tuple(each["rules"]) == BY_ITSELF for each in found.limit(most)]
        return by_itself.count(False), by_itself.count(True)

    def list_all(self, partner: str) -> list[Review]:
        """Every review of a partner that is kept, decided or not, the oldest first."""
        found: list[Document] = []
        for state in (WAITING, *ANSWERS):
            query = {"state": state, "partner": partner}
            found.extend(self._reviews.find(query, session=self._session))
        return _sort_reviews(found)

    def list_waiting_under(self, partner: str, sources: Iterable[str]) -> list[Review]:
        """Waiting reviews of these ids of a partner's own, the oldest first."""
        found = self._find_by_sources(partner, sources)
        return _sort_reviews(each for each in found if each["state"] == WAITING)

    def list_outcomes_under(self, partner: str, sources: Iterable[str]) -> list[ReviewOutcome]:
        """The outcomes of reviews of these ids of a partner's own."""
        found = self._find_by_sources(partner, sources, _OUTCOME_FIELDS)
        return [
            ReviewOutcome(
                kind=ReviewKind(each["question"]),
                submission=each["submission"],
                source_id=each["source_id"],
                version=each.get("version", ""),
                state=each["state"],
                rules=frozenset(each["rules"]),
                decided_at=each.get("decided_at", 0),
                published=each.get("published", 0),
                digest=each.get("digest", b""),
            )
            for each in found
        ]

    def find(self, id: str) -> Review | None:
        """The review, or None."""
        document = self._reviews.find_one({"_id": id}, session=self._session)
        return None if document is None else _review_from_document(document)

    def find_all(self, ids: Sequence[str]) -> list[Review]:
        """The reviews with these ids, in this order; ids without one are left out."""
        found: dict[str, Document] = {}
        for keys in chunk_keys(list(ids), MAX_KEYS):
            query = {"_id": {"$in": list(keys)}}
            found |= {
                each["_id"]: each for each in self._reviews.find(query, session=self._session)
            }
        return [_review_from_document(found[id]) for id in ids if id in found]

    @time_limit()
    def list_titles(self, ids: Sequence[str]) -> dict[str, ReviewTitle]:
        """The titles of a page of open reviews, by id."""
        query = {"_id": {"$in": list(ids)}}
        found = self._reviews.find(query, _TITLE_FIELDS, session=self._session)
        return {
            each["_id"]: ReviewTitle(each.get("title", ""), claim_from_document(each))
            for each in found
            if each["state"] == WAITING
        }

    def place_of(self, review: Review) -> tuple[int, str, str]:
        """The place of a review among others; see `QueuedReview.place`."""
        return place_in_order(_review_to_document(replace(review, object=b"")))

    def list_waiting_for(self, arrivals: ArrivedIds, read: Callable[[Review], T]) -> list[T]:
        """The result of `read` for each review that waits for one of the ids, the oldest first.

        Thousands may wait for one id, so one review at a time is in memory.
        """
        found: dict[str, tuple[tuple[int, str, str], T]] = {}
        for each in self._find_by_arrivals(arrivals):
            if each["_id"] not in found and _waits_for(each, arrivals):
                found[each["_id"]] = place_in_order(each), read(_review_from_document(each))
        return [said for _, said in sorted(found.values(), key=lambda item: item[0])]

    def _find_by_arrivals(
        self, arrivals: ArrivedIds, fields: Document | None = None
    ) -> Iterator[Document]:
        """Reviews that wait, or waited, for any of the arrived ids.

        No query names the state as well: the embedded engine uses an index only if it has exactly
        the fields of the query.
        """
        portions = list(chunk_keys(sorted(arrivals.source_ids | arrivals.public_ids), MAX_KEYS))
        return find_by_keys(
            self._reviews,
            portions,
            lambda keys: {"waits_for": {"$in": keys}},
            self._session,
            fields,
        )

    def _find_by_sources(
        self, partner: str, sources: Iterable[str], fields: Document | None = None
    ) -> Iterator[Document]:
        """A partner's reviews of some of its own ids."""

        def query(keys: Sequence[str]) -> Document:
            return {"partner": partner, "source_id": {"$in": keys}}

        portions = list(chunk_keys(sorted(sources), MAX_KEYS))
        return find_by_keys(self._reviews, portions, query, self._session, fields)


class ReviewWriter(Reviews):
    """Adds, changes and decides reviews in a transaction.

    All that it changes gets the next revision of the queue, by which `ReviewQueue` finds it.
    """

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """`now` is the time of the transaction."""
        super().__init__(base, session)
        self._now, self._revision = now, 0

    def count_waiting_of(self, partner: str, most: int) -> int:
        """The number of a partner's waiting reviews; not counted beyond `most`."""
        query = {"state": WAITING, "partner": partner}
        found = self._reviews.find(query, {"_id": 1}, session=self._session)
        return sum(1 for _ in found.limit(most))

    def has_waiting(self, task: OutboxTask) -> bool:
        """True if a review waits for the task's ids."""
        fields = {"state": 1, "partner": 1, "waits_for": 1}
        arrived = self._find_by_arrivals(task.arrived, fields)
        if any(_waits_for(each, task.arrived) for each in arrived):
            return True
        revoked = self._find_by_sources(task.arrived.partner, task.revoked_ids, {"state": 1})
        return any(document["state"] == WAITING for document in revoked)

    def add(self, reviews: Sequence[Review]) -> None:
        """Store reviews for a reviewer."""
        if reviews:
            revision = {"revision": self._raise_revision()}
            documents = [_review_to_document(each) | revision for each in reviews]
            self._reviews.insert_many(documents, session=self._session)

    def update(self, review: Review) -> None:
        """Replace the rules, findings and pending references of a waiting review."""
        document = _review_to_document(review)
        changes = {name: document[name] for name in ("rules", "findings", "waits_for")}
        self._change({"_id": review.id, "state": WAITING}, {"$set": changes})

    def decide(
        self,
        review_id: str,
        state: str,
        who: str = "",
        act: str = "",
        *,
        published: int | None = None,
    ) -> Review:
        """Decide a review, `released` or `rejected`; return the decided review.

        `who` decides, in the act of this id if there is one; a decision of another one that has
        not taken effect yet is dropped.  It holds for what is sent again unchanged, too, unless
        `published` is None (see `ReviewOutcome`).  Raises NotFound, or Conflict if it was decided
        before.
        """
        if state not in ANSWERS:
            raise ValueError(f"a review is {' or '.join(ANSWERS)}, not {state}")
        document = self._require(review_id)
        if document["state"] != WAITING:
            raise Conflict(f"this review has been {document['state']} already")
        # No arrival concerns it any more, and nobody needs what a rule removed from it.
        change: Document = {"state": state, "waits_for": [], "object": b""}
        change |= {"decided_day": self._now // DAY, "decided_by": who, "decided_at": self._now}
        change["published"] = published or 0
        if document.get("decision"):
            carried_out = document["decision"]["act"] == act
            change["decision"] = document["decision"] | {"masks": []} if carried_out else None
        gone = dict.fromkeys(("day", "title", "returned", *CLAIM_FIELDS), "")
        if published is None:
            gone["digest"] = ""
        self._change({"_id": review_id}, {"$set": change, "$unset": gone})
        return _review_from_document(document | change)

    def forget_decision(self, review_id: str) -> Review:
        """Let a decision hold no more for what is sent again; return the review.

        Raises NotFound, or Conflict unless it was decided.
        """
        document = self._require(review_id)
        if document["state"] == WAITING:
            raise Conflict("this review waits: it has not been decided yet")
        self._change({"_id": review_id}, {"$unset": {"digest": ""}})
        return _review_from_document(document)

    def put_decision(self, reviews: Sequence[Review], decision: PendingDecision) -> None:
        """Write down the decision on open reviews, which takes effect later.

        The rules of the decision are those of each review.
        """
        # It is kept as long as if it was asked today: retention does not overtake a decision.
        today = self._now // DAY
        gone = dict.fromkeys(("returned", *CLAIM_FIELDS), "")
        for rules, ids in _group(reviews, lambda each: each.rules).items():
            made = _decision_to_document(replace(decision, rules=rules))
            change = {"$set": {"decision": made, "day": today}, "$unset": gone}
            self._change_many(ids, change)

    def withdraw_decision(self, reviews: Sequence[Review], act: str) -> list[str]:
        """Take the decision of this act off those of these reviews that wait with it; their ids."""
        waiting = [
            r for r in reviews if r.state == WAITING and r.decision and r.decision.act == act
        ]
        for day, ids in _group(waiting, lambda each: each.created // DAY).items():
            self._change_many(ids, {"$set": {"day": day}, "$unset": {"decision": ""}})
        return [each.id for each in waiting]

    def put_back(self, review_id: str, act: str, why: str) -> bool:
        """Take a decision off a waiting review, on which it did not take effect.

        False if it is not that of this act.
        """
        document = self._require(review_id)
        if not _carries(document, act):
            return False
        change = {"day": document["asked"] // DAY, "returned": why}
        self._change({"_id": review_id}, {"$set": change, "$unset": {"decision": ""}})
        return True

    def check_decision(self, review_id: str, act: str) -> None:
        """Raises Overtaken unless the decision of this act stands on a waiting review.

        Conflict if other rules ask about it than then.
        """
        document = self._require(review_id)
        if not _carries(document, act):
            raise Overtaken("this decision was withdrawn, or another one was made before it")
        if document["decision"]["rules"] != document["rules"]:
            raise Conflict("other rules ask about it since it was decided: look at it again")

    def purge(self, review_id: str, values: Sequence[str]) -> None:
        """Close a review; delete its object, and findings that name one of the values."""
        document = self._reviews.find_one({"_id": review_id}, session=self._session)
        if document is None:
            return
        change: Document = {"object": b"", "waits_for": []}
        change["findings"] = redact(document["findings"], values)
        gone = dict.fromkeys(("day", "title", "returned", "digest", *CLAIM_FIELDS), "")
        if document["state"] == WAITING:
            change |= {"state": "rejected", "decided_day": self._now // DAY}
            gone["decision"] = ""
        self._change({"_id": review_id}, {"$set": change, "$unset": gone})

    def forget(self, review_id: str) -> None:
        """Delete what is left of a review, unless it waits."""
        found = self._reviews.find_one({"_id": review_id}, {"state": 1}, session=self._session)
        if found is not None and found["state"] != WAITING:
            self._reviews.delete_one({"_id": review_id}, session=self._session)

    def _require(self, review_id: str) -> Document:
        document = self._reviews.find_one({"_id": review_id}, session=self._session)
        if document is None:
            raise NotFound("there is no such review")
        return document

    def _change(self, key: Document, change: Document) -> None:
        setting = change.get("$set", {}) | {"revision": self._raise_revision()}
        self._reviews.update_one(key, change | {"$set": setting}, session=self._session)

    def _change_many(self, ids: Sequence[str], change: Document) -> None:
        setting = change["$set"] | {"revision": self._raise_revision()}
        for keys in chunk_keys(ids, MAX_KEYS):
            query = {"_id": {"$in": list(keys)}}
            changes = change | {"$set": setting}
            self._reviews.update_many(query, changes, session=self._session)

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


def _waits_for(document: Document, arrivals: ArrivedIds) -> bool:
    """True if a review is not decided and waits for something that has arrived."""
    if document["state"] != WAITING:
        return False
    return concerns(arrivals, document["partner"], document["waits_for"])


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
        # A newer version of it may come, which overtakes it.
        "waits_for": [*review.waits_for, review.source_id],
        "anonymous": review.anonymous,
        "day": review.created // DAY,
        "version": review.version,
        "digest": review.digest,
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
        waits_for=tuple(w for w in document["waits_for"] if w != document["source_id"]),
        anonymous=document.get("anonymous", False),  # an older document has none of these
        tlp=document.get("tlp", ""),
        revision=document.get("revision", 0),
        decision=_decision_from_document(document.get("decision")),
        claim=claim_from_document(document),
        returned=document.get("returned", ""),
        decided_by=document.get("decided_by", ""),
        decided_at=document.get("decided_at", 0),
        version=document.get("version", ""),
        digest=document.get("digest", b""),
    )
