"""Find what has been kept long enough.

Everything that expires has the UTC day on which it came, in days since 1970, in a field with
an index.  A sweep asks for single days since the last one, never for an open
range, so that its cost depends only on what has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from tocsin.server.store.connection import Base

OVERLAP = 40
"""Days before the last sweep that are looked at again: large submissions are settled late."""
FIRST = 3_650
"""Days that the first sweep of an older program's database looks back."""
_DAYS = 500
"""Days in one `$in`."""


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
