"""Find what has been kept long enough, and delete it.

Everything that expires has the UTC day on which it came, in days since 1970, in a field with
an index.  A sweep asks for single days since the last one, never for an open
range, so that its cost depends only on what has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from pymongo.client_session import ClientSession

from tocsin.server.store.connection import Base, Document, chunk_keys
from tocsin.server.store.submissions import put_body

OVERLAP = 40
"""Days before the last sweep that are looked at again: large submissions are settled late."""
FIRST = 3_650
"""Days that the first sweep of an older program's database looks back."""
_DAYS = 500
"""Days in one `$in`."""
_MAX_KEYS = 100
_DECIDED_BY = {"open": 1, "aside": 1, "counts": 1}
"""The fields of a submission that tell if it may be forgotten."""


class Kept(Enum):
    """Kinds of data kept for a time: the collection in the database, and the field with the day."""

    BODY = ("submissions", "body_day")
    REFUSED_BODY = ("submissions", "refused_day")  # nothing in it was taken
    STATUS = ("submissions", "day")
    REVIEW = ("reviews", "day")  # one that waits
    DECIDED = ("reviews", "decided_day")  # what is left of one, without the object


class Expired:
    """Finds what has expired."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def find(self, kept: Kept, last: int, limit: int) -> list[str]:
        """Ids of at most `limit` things of one kind that came on day `last` or before."""
        swept = self.swept_day(kept)
        first = last - FIRST if swept is None else min(swept, last) - OVERLAP
        return self.find_days(kept, range(first, last + 1), limit)

    def find_days(self, kept: Kept, days: Sequence[int], limit: int) -> list[str]:
        """Ids of at most `limit` things of one kind that came on one of these days."""
        name, field = kept.value
        found: list[str] = []
        for start in range(0, len(days), _DAYS):
            wanted = {field: {"$in": list(days[start : start + _DAYS])}}
            left = limit - len(found)
            found += [each["_id"] for each in self._base[name].find(wanted, {"_id": 1}).limit(left)]
            if len(found) >= limit:
                break
        return found

    def swept_day(self, kept: Kept) -> int | None:
        """The day up to which everything of this kind was deleted; None if none is stored."""
        document = self._base.hub_state.find_one({"_id": f"kept {kept.name}"})
        return None if document is None else int(document["day"])

    def begin(self, today: int) -> None:
        """Record for a new database that nothing in it came before today."""
        for kept in Kept:
            change = {"$setOnInsert": {"day": today - 1}}
            self._base.hub_state.update_one({"_id": f"kept {kept.name}"}, change, upsert=True)

    def mark_swept(self, kept: Kept, day: int) -> None:
        """Record that everything of this kind was deleted up to this day."""
        change = {"$set": {"day": day}}
        self._base.hub_state.update_one({"_id": f"kept {kept.name}"}, change, upsert=True)


def _is_undecided(document: Document) -> bool:
    """True if a submission waits for a worker or for the operator."""
    return bool(document["open"] or document.get("aside"))


def forget_body(base: Base, session: ClientSession, submission: str, again: int) -> bool:
    """See `Transaction.forget_body`."""
    document = base.submissions.find_one({"_id": submission}, _DECIDED_BY, session=session)
    if document is None:
        return False
    key = {"_id": submission}
    if _is_undecided(document):
        base.submissions.update_one(key, {"$set": {"body_day": again}}, session=session)
        return False
    put_body(base, session, submission, b"")
    change = {"$unset": {"body_day": "", "refused_day": ""}}
    base.submissions.update_one(key, change, session=session)
    return True


def forget_submission(base: Base, session: ClientSession, submission: str, again: int) -> bool:
    """See `Transaction.forget_submission`."""
    document = base.submissions.find_one({"_id": submission}, _DECIDED_BY, session=session)
    if document is None:
        return False
    key = {"_id": submission}
    if _is_undecided(document) or document["counts"].get("held"):
        base.submissions.update_one(key, {"$set": {"day": again}}, session=session)
        return False
    delete_submission(base, session, submission)
    return True


def forget_review(base: Base, session: ClientSession, review: str) -> None:
    """See `Transaction.forget_review`."""
    document = base.reviews.find_one({"_id": review}, {"state": 1}, session=session)
    if document is not None and document["state"] != "waiting":
        base.reviews.delete_one({"_id": review}, session=session)


def delete_submission(base: Base, session: ClientSession, submission: str) -> None:
    """See `Transaction.delete_submission`."""
    put_body(base, session, submission, b"")
    batches = base.verdicts.find({"submission": submission}, {"_id": 1}, session=session)
    for chunk in chunk_keys([batch["_id"] for batch in batches], _MAX_KEYS):
        base.verdicts.delete_many({"_id": {"$in": list(chunk)}}, session=session)
    base.submissions.delete_one({"_id": submission}, session=session)
