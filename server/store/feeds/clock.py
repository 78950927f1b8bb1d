"""The hub's one clock: the stamps of all feeds.

A stamp is taken inside the publishing transaction from one document, which is
written with it.  One of two concurrent transactions retries, so stamps are
unique among all feeds and become visible in order: a reader that sees a stamp
sees everything stamped before it, in every feed.  Merging feeds by stamp depends
on that.
"""

from __future__ import annotations

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Malformed
from tocsin.server.store.connection import Base

_HUB = "hub"


class HubClock:
    """The clock within one transaction."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """Read nothing before the first stamp is needed; `now` is the transaction's time."""
        self._base, self._session, self._now = base, session, now
        self._initial: int | None = None
        self._stamp = 0
        self._reserved = 0
        """The clock in the database is at least this."""

    def next(self, after: int) -> int:
        """Return a stamp later than all earlier stamps, and than `after`."""
        self._stamp = max(self._now, self._current() + 1, after + 1)
        return self._stamp

    def pin(self, at: int | None) -> int:
        """See `Transaction.pin_stamp`."""
        latest = max(self._now, self._current())
        if at is not None and at > latest:
            raise Malformed("a snapshot of the future cannot be made: give a time that has passed")
        at = latest if at is None else at
        self._stamp = max(self._current(), at)
        return at

    def take(self, count: int = 0) -> None:
        """Lock the clock, for at most `count` stamps if that is known.

        It is written at once, so that one of two concurrent transactions fails early, not
        after all its work.  Unless the clock is ahead of the time of day, the stamps do not
        exceed the value written here, so that nothing has to be written at the end.
        """
        if self._initial is None:
            self._reserved = self._now + count - 1 if count else 0
            change = {"$inc": {"takes": 1}, "$max": {"stamp": self._reserved}}
            document = self._base.clock.find_one_and_update(
                {"_id": _HUB}, change, session=self._session
            )
            if document is None:
                raise LookupError("the database has no clock: it was not prepared")
            self._initial = self._stamp = document["stamp"]

    def write(self) -> None:
        """Store the clock, if it was moved."""
        if self._initial is not None and self._stamp > max(self._initial, self._reserved):
            change = {"$set": {"stamp": self._stamp}}
            self._base.clock.update_one({"_id": _HUB}, change, session=self._session)

    def _current(self) -> int:
        self.take()
        return self._stamp


def ensure_clock(base: Base) -> None:
    """Create the clock, later than every stamp so far.  Idempotent."""
    if base.clock.find_one({"_id": _HUB}) is None:
        latest = max((head["stamp"] for head in base.heads.find({})), default=0)
        try:
            base.clock.insert_one({"_id": _HUB, "stamp": latest, "since": latest})
        except DuplicateKeyError:
            return  # another process created it first; nothing is published without a clock


def joint_clock_since(base: Base) -> int:
    """The stamp up to which each feed had its own clock; 0: never."""
    document = base.clock.find_one({"_id": _HUB})
    if document is None:
        raise LookupError("the database has no clock: it was not prepared")
    return int(document["since"])
