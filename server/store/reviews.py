"""Reviews: objects that wait for an analyst's decision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest

from pymongo.client_session import ClientSession

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.timestamps import DAY
from tocsin.server.model import (
    ArrivedIds,
    OutboxTask,
    Review,
    ReviewKind,
)
from tocsin.server.store.connection import (
    Base,
    Document,
    Session,
    chunk_keys,
    find_by_keys,
    time_limit,
)
from tocsin.server.store.feeds.id_index import MAX_KEYS
from tocsin.server.store.pending_references import concerns

WAITING = "waiting"
_ORDER = {"asked": 1, "submission": 1, "index": 1}
"""The fields by which reviews are put in order."""
ANSWERS = ("released", "rejected")


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
        heads = nsmallest(most, self._base.reviews.find(query, _ORDER), key=_place_in_order)
        ids = list(chunk_keys([head["_id"] for head in heads], MAX_KEYS))
        found = find_by_keys(self._base.reviews, ids, lambda keys: {"_id": {"$in": keys}}, None)
        return _sort_reviews(each for each in found if each["state"] == WAITING)

    @time_limit()
    def count_waiting(self, most: int) -> int:
        """How many reviews of all partners wait, up to `most`."""
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

    def list_waiting_for(self, arrivals: ArrivedIds) -> list[Review]:
        """Waiting reviews that wait for any of the arrived ids, the oldest first."""
        found = {d["_id"]: d for d in _find_by_arrivals(self._base, None, arrivals)}
        return _sort_reviews(each for each in found.values() if _waits_for(each, arrivals))


def insert_reviews(base: Base, session: ClientSession, reviews: Sequence[Review]) -> None:
    """See `Transaction.add_reviews`."""
    if reviews:
        base.reviews.insert_many(list(map(_review_to_document, reviews)), session=session)


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


def update_review(base: Base, session: ClientSession, review: Review) -> None:
    """See `Transaction.update_review`."""
    document = _review_to_document(review)
    changes = {name: document[name] for name in ("rules", "findings", "waits_for")}
    base.reviews.update_one(
        {"_id": review.id, "state": WAITING}, {"$set": changes}, session=session
    )


def decide_review(
    base: Base, session: ClientSession, review_id: str, state: str, now: int
) -> Review:
    """See `Transaction.decide_review`."""
    if state not in ANSWERS:
        raise ValueError(f"a review is {' or '.join(ANSWERS)}, not {state}")
    document = base.reviews.find_one({"_id": review_id}, session=session)
    if document is None:
        raise NotFound("there is no such review")
    if document["state"] != WAITING:
        raise Conflict(f"this review has been {document['state']} already")
    # No arrival concerns it any more, and nobody needs what a rule removed from it.
    change = {"state": state, "waits_for": [], "object": b""}
    changes = {"$set": change | {"decided_day": now // DAY}, "$unset": {"day": ""}}
    base.reviews.update_one({"_id": review_id}, changes, session=session)
    return _review_from_document(document | change)


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
    return list(map(_review_from_document, sorted(documents, key=_place_in_order)))


def _place_in_order(document: Document) -> tuple[int, str, str]:
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
    }


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
        anonymous=document.get("anonymous", False),  # an older document has none
    )
