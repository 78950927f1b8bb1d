"""The queue of reviews, as a light list in the memory of a process, and who has one open.

Reading all that waits costs a second or two where 10,000 wait: the embedded engine takes a tenth
of a millisecond for a document, whatever is asked of it.  So a process reads it once, before it
answers requests, and then only what has changed: each transaction that changes reviews raises a
number (`ReviewWriter`), and what it changed has that number.  Every look-up is by a bounded set of
keys.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tocsin.server.model import Claim
from tocsin.server.store.connection import Base, Document, in_order, time_limit
from tocsin.server.store.reviews import (
    CLAIM_FIELDS,
    REVISION,
    WAITING,
    claim_from_document,
    claim_to_document,
    place_in_order,
)

CLAIM_SECONDS = 15 * 60
"""Seconds for which a review that a person opened is theirs."""
_SECOND = 1_000_000
_MOST_BEHIND = 2_000
"""Revisions that are looked up; from there on all that waits is read again."""
_KEYS = 100
"""Revisions in one look-up."""
_FIELDS = dict.fromkeys(
    (
        *("state", "decision.act", "partner", "rules", "type", "tlp", "asked", "revision"),
        *("submission", "index", "question"),
    ),
    1,
)
_CLAIMED = dict.fromkeys(("state", "decision", *CLAIM_FIELDS), 1)


@dataclass(frozen=True, slots=True)
class QueuedReview:
    """A review that waits for a person, without any of its content."""

    id: str
    asked: int
    """µs since 1970 UTC."""
    partner: str
    rules: tuple[str, ...]
    type: str
    tlp: str
    """Label; empty: unknown."""
    kind: str
    """A `ReviewKind`."""
    revision: int
    place: tuple[int, str, str]
    """Its place among others."""


class ReviewQueue:
    """The open reviews, the oldest first.  Safe for threads."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database; nothing is read before the first look."""
        self._base = base
        self._lock = threading.Lock()
        self._revision: int | None = None
        self._open: dict[str, QueuedReview] = {}
        self._sorted: tuple[QueuedReview, ...] = ()
        self.is_shown = False
        """Somebody looks at it here, so that it is kept up to date."""

    def refresh(self) -> None:
        """Catch up in the background, so that a look need not wait for much."""
        if self.is_shown:
            self.look()

    @time_limit()
    def look(self) -> Sequence[QueuedReview]:
        """All open reviews as they are now, the oldest first."""
        with self._lock, in_order(self._base):
            found = self._base.hub_state.find_one({"_id": REVISION})
            revision = 0 if found is None else int(found["revision"])
            if revision != self._revision:
                self._catch_up(revision)
            return self._sorted

    @time_limit()
    def claim(self, id: str, person: str, login: str, now: int) -> Claim | None:
        """Claim an open review for `CLAIM_SECONDS`, unless another person has; who has it then.

        `person` and `login` are who opens it, `now` is in µs.  None if it is not open.
        """
        found = self._base.reviews.find_one({"_id": id}, _CLAIMED)
        if found is None or found["state"] != WAITING or found.get("decision"):
            return None
        held = claim_from_document(found)
        if held is not None and held.person != person and held.holds(now):
            return held
        claim = Claim(person, login, now + CLAIM_SECONDS * _SECOND)
        # Equalities only: an alternative in the filter would read the whole collection.
        key = {"_id": id, "state": WAITING, "claimed_until": found.get("claimed_until")}
        if self._base.reviews.update_one(key, {"$set": claim_to_document(claim)}).matched_count:
            return claim
        again = self._base.reviews.find_one({"_id": id}, _CLAIMED)
        return None if again is None else claim_from_document(again)

    def end_claim(self, id: str, person: str) -> None:
        """Let others open a review that this person has claimed."""
        key, gone = {"_id": id, "claimed_by": person}, dict.fromkeys(CLAIM_FIELDS, "")
        self._base.reviews.update_one(key, {"$unset": gone})

    def end_claims(self, person: str) -> None:
        """Let others open every review that this person has claimed."""
        waiting = list(self._base.reviews.find({"state": WAITING}, {"claimed_by": 1}))
        for each in waiting:
            if each.get("claimed_by") == person:
                self.end_claim(each["_id"], person)

    def _catch_up(self, revision: int) -> None:
        known = self._revision
        if known is None or not 0 < revision - known <= _MOST_BEHIND:
            self._open.clear()
            self._take(self._base.reviews.find({"state": WAITING}, _FIELDS))
        else:
            for first in range(known + 1, revision + 1, _KEYS):
                numbers = range(first, min(first + _KEYS, revision + 1))
                wanted = {"revision": {"$in": list(numbers)}}
                self._take(self._base.reviews.find(wanted, _FIELDS))
        self._sorted = tuple(sorted(self._open.values(), key=lambda each: each.place))
        self._revision = revision

    def _take(self, documents: Iterable[Document]) -> None:
        for each in documents:
            if each["state"] == WAITING and not each.get("decision"):
                self._open[each["_id"]] = _queued(each)
            else:
                self._open.pop(each["_id"], None)


def _queued(document: Document) -> QueuedReview:
    return QueuedReview(
        id=document["_id"],
        asked=document["asked"],
        partner=document["partner"],
        rules=tuple(document["rules"]),
        type=document.get("type", ""),
        tlp=document.get("tlp", ""),
        kind=document["question"],
        revision=document.get("revision", 0),
        place=place_in_order(document),
    )
