"""The outbox: tasks that a transaction left to be done after it.

There are few at any time, so they are read without an index.  Each is done
right after its transaction, or when it is due; if the process dies, another one does it.
"""

from __future__ import annotations

from collections.abc import Callable

from tocsin.admission.timestamps import DAY
from tocsin.server.model import ArrivedIds, OutboxTask
from tocsin.server.store.connection import Base, Document, Session
from tocsin.server.store.submissions import FREE, is_free, lease_end

_LONGEST_DELAY = 2 * DAY
"""µs between a task and the time at which it is due are fewer than this."""


class Outbox:
    """Pending tasks; within a transaction they are `Transaction.outbox`."""

    def __init__(self, base: Base, clock: Callable[[], int], session: Session = None) -> None:
        """`clock` returns µs since 1970 UTC; leases expire by it.

        With a `session`, tasks are put, found and removed in it.
        """
        self._tasks, self._clock, self._session = base.outbox, clock, session

    def put(self, task: OutboxTask, owner: str = "", seconds: int = 0) -> None:
        """Put a task into the outbox, or record its progress.

        It is leased to `owner` for `seconds`; after that, or without one, any worker may take it.
        """
        now = self._clock()
        lease = {"lease": lease_end(now, seconds), "owner": owner} if owner else FREE
        document = _task_to_document(task) | {"left": now, **lease}
        self._tasks.replace_one({"_id": task.id}, document, upsert=True, session=self._session)

    def find_of_authors(self, partner: str) -> list[OutboxTask]:
        """The tasks that will end identities of a partner."""
        found = map(_task_from_document, self._tasks.find({}, session=self._session))
        return [each for each in found if each.is_of_authors and each.arrived.partner == partner]

    def lease(self, owner: str, seconds: int, most: int) -> list[OutboxTask]:
        """Lease at most `most` free tasks that are due, the oldest first, for `seconds`."""
        now = self._clock()
        change = {"$set": {"lease": lease_end(now, seconds), "owner": owner}}
        tasks = self._tasks.find({}).sort("left")
        free = [each for each in tasks if is_free(each, now, seconds) and _is_due(each, now)][:most]
        return [_task_from_document(each) for each in free if self._update_unchanged(each, change)]

    def _update_unchanged(self, found: Document, change: Document) -> bool:
        """Change a task unless its lease has changed since it was read; True if it was changed."""
        key = {"_id": found["_id"], "lease": found["lease"]}
        return self._tasks.update_one(key, change).matched_count > 0

    def renew(self, id: str, owner: str, seconds: int) -> bool:
        """Extend a lease to `seconds` from now; False if the task is done or another owner's."""
        change = {"$set": {"lease": lease_end(self._clock(), seconds)}}
        return self._tasks.update_one({"_id": id, "owner": owner}, change).matched_count > 0

    def give_back(self, id: str, owner: str, group: str = "") -> None:
        """End the lease of a task that is not done; with `group`, it joins one."""
        change = FREE | ({"group": group} if group else {})
        self._tasks.update_one({"_id": id, "owner": owner}, {"$set": change})

    def remove(self, id: str) -> None:
        """Delete a task that is done; nothing happens if it is gone already."""
        self._tasks.delete_one({"_id": id}, session=self._session)

    def release_all(self) -> None:
        """End every lease; only while no other process is running."""
        self._tasks.update_many({}, {"$set": FREE})

    def release_owner(self, owner: str) -> None:
        """End the leases of a process that has ended."""
        for document in list(self._tasks.find({}, {"owner": 1})):
            if document.get("owner") == owner:
                self._tasks.update_one({"_id": document["_id"], "owner": owner}, {"$set": FREE})


def _is_due(document: Document, now: int) -> bool:
    due = int(document.get("due", 0))  # an older task has none
    return not now < due <= now + _LONGEST_DELAY  # later, if the clock was set back


def _task_to_document(task: OutboxTask) -> Document:
    return {
        "_id": task.id,
        "partner": task.arrived.partner,
        "sources": sorted(task.arrived.source_ids),
        "publics": sorted(task.arrived.public_ids),
        "after": task.resume_after,
        "revoked": sorted(task.revoked_ids),
        "due": task.due,
        "act": task.is_act,
        "authors": task.is_of_authors,
        "group": task.group,
    }


def _task_from_document(document: Document) -> OutboxTask:
    arrivals = ArrivedIds(
        document["partner"], frozenset(document["sources"]), frozenset(document["publics"])
    )
    return OutboxTask(
        document["_id"],
        arrivals,
        document["after"],
        frozenset(document["revoked"]),
        document.get("due", 0),
        document.get("act", False),
        document.get("authors", False),
        document.get("group", ""),
    )
