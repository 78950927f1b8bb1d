"""The outbox: tasks that a transaction left to be done after it.

There are few at any time, so they are read without an index.  Each is done
right after its transaction, unless the process that left it has died.
"""

from __future__ import annotations

from collections.abc import Callable

from pymongo.client_session import ClientSession

from tocsin.server.model import ArrivedIds, OutboxTask
from tocsin.server.store.connection import Base, Document, Session
from tocsin.server.store.submissions import FREE, is_free, lease_end


class Outbox:
    """Tasks that are not done yet; `Transaction.put_outbox_task` adds them."""

    def __init__(self, base: Base, clock: Callable[[], int]) -> None:
        """`clock` tells when a lease runs out, in µs since 1970 UTC."""
        self._base, self._errands, self._clock = base, base.errands, clock

    def lease(self, owner: str, seconds: int, most: int) -> list[OutboxTask]:
        """Lease at most `most` free tasks, the oldest first, to `owner` for `seconds`."""
        now = self._clock()
        change = {"$set": {"lease": lease_end(now, seconds), "owner": owner}}
        every = self._errands.find({}).sort("left")
        free = [each for each in every if is_free(each, now, seconds)][:most]
        return [_errand(each) for each in free if self._change(each, change)]

    def _change(self, found: Document, change: Document) -> bool:
        """True if the task was still as it was found, and is changed now."""
        key = {"_id": found["_id"], "lease": found["lease"]}
        return self._errands.update_one(key, change).matched_count > 0

    def renew(self, id: str, owner: str, seconds: int) -> bool:
        """Extend a lease to `seconds` from now; False if the task is done or another owner's."""
        change = {"$set": {"lease": lease_end(self._clock(), seconds)}}
        return self._errands.update_one({"_id": id, "owner": owner}, change).matched_count > 0

    def remove(self, id: str) -> None:
        """See `Transaction.remove_outbox_task`."""
        remove_task(self._base, id)

    def release_all(self) -> None:
        """End every lease; only while no other process is at work."""
        self._errands.update_many({}, {"$set": FREE})


def put_task(base: Base, session: ClientSession, task: OutboxTask, lease: Document) -> None:
    """See `Transaction.put_outbox_task`."""
    base.errands.replace_one(
        {"_id": task.id}, _document(task) | lease, upsert=True, session=session
    )


def remove_task(base: Base, id: str, session: Session = None) -> None:
    """See `Transaction.remove_outbox_task`."""
    base.errands.delete_one({"_id": id}, session=session)


def _document(task: OutboxTask) -> Document:
    return {
        "_id": task.id,
        "partner": task.arrived.partner,
        "sources": sorted(task.arrived.source_ids),
        "publics": sorted(task.arrived.public_ids),
        "after": task.resume_after,
        "revoked": sorted(task.revoked_ids),
    }


def _errand(document: Document) -> OutboxTask:
    arrivals = ArrivedIds(
        document["partner"], frozenset(document["sources"]), frozenset(document["publics"])
    )
    return OutboxTask(document["_id"], arrivals, document["after"], frozenset(document["revoked"]))
