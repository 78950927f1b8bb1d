"""Which public objects must be looked at again, and in which hour.

Kept beside the public objects, for most of them are never due and none should
pay for an index more.  A sweep asks for the hours since the last one, each by
name: no open range, so it costs what is due and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pymongo import DeleteOne, ReplaceOne
from pymongo.client_session import ClientSession

from tocsin.server.store.connection import Base

_HOURS = 500
"""Hours in one `$in`."""
_SWEEP = "sweep"


class Schedule:
    """What is due, for reading; `Transaction.put_public_objects` writes it."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def find_due(self, hours: Sequence[int], limit: int) -> list[str]:
        """Ids of public objects that are due in one of these hours, at most `limit`."""
        found: list[str] = []
        for start in range(0, len(hours), _HOURS):
            wanted = {"hour": {"$in": list(hours[start : start + _HOURS])}}
            left = limit - len(found)
            found += [d["_id"] for d in self._base.dues.find(wanted, {"_id": 1}).limit(left)]
            if len(found) >= limit:
                break
        return found

    def swept_hour(self) -> int | None:
        """The hour up to which nothing is left; None before the first sweep."""
        kept = self._base.tails.find_one({"_id": _SWEEP})
        return None if kept is None else int(kept["hour"])

    def earliest_hour(self) -> int | None:
        """The first hour in which anything is due; asked once, before the first sweep."""
        first = self._base.dues.find_one({}, {"hour": 1}, sort=[("hour", 1)])
        return None if first is None else int(first["hour"])

    def mark_swept(self, hour: int) -> None:
        """Nothing is left up to this hour; never goes back."""
        tails = self._base.tails
        tails.update_one({"_id": _SWEEP}, {"$setOnInsert": {"hour": hour}}, upsert=True)
        tails.update_one({"_id": _SWEEP, "hour": {"$lt": hour}}, {"$set": {"hour": hour}})


def write_schedule(
    base: Base, session: ClientSession, hours: Mapping[str, int], fresh: Collection[str] = ()
) -> None:
    """The hours in which public objects are due now; 0: in none.

    Those that are `fresh` have not been due before, which saves looking for them.
    """
    new = [{"_id": id, "hour": hour} for id, hour in hours.items() if hour and id in fresh]
    if new:
        base.dues.insert_many(new, session=session)
    changes = [
        ReplaceOne({"_id": id}, {"_id": id, "hour": hour}, upsert=True)
        if hour
        else DeleteOne({"_id": id})
        for id, hour in hours.items()
        if id not in fresh
    ]
    if changes:
        base.dues.bulk_write(changes, session=session)
