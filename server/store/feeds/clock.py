"""The hub's one clock: the stamps of all feeds.

A stamp is taken inside the publishing transaction from one document, which is
written with it.  Of two concurrent transactions one retries, so stamps are
unique among all feeds and become visible in order: a reader that sees a stamp
sees everything stamped before it, in every feed.  Merging feeds by stamp rests
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
        """Nothing is read before the first stamp is wanted; `now` is that of the transaction."""
        self._base, self._session, self._now = base, session, now
        self._read: int | None = None
        self._latest = 0
        self._reserved = 0
        """The clock stands at least there already."""

    def next(self, after: int) -> int:
        """A stamp later than all that were given, and than `after`."""
        self._latest = max(self._now, self._current() + 1, after + 1)
        return self._latest

    def pin(self, at: int | None) -> int:
        """See `Transaction.pin_stamp`."""
        latest = max(self._now, self._current())
        if at is not None and at > latest:
            raise Malformed("a snapshot of the future cannot be made: give a time that has passed")
        at = latest if at is None else at
        self._latest = max(self._current(), at)
        return at

    def take(self, most: int = 0) -> None:
        """Take the clock in hand, for at most so many stamps if that is known.

        It is written at once, so that of two who want it one fails now, with little done,
        and not at the end with everything done in vain.  Unless the clock is ahead of the
        world, what is written now is not exceeded, so that nothing is written at the end.
        """
        if self._read is None:
            self._reserved = self._now + most - 1 if most else 0
            change = {"$inc": {"takes": 1}, "$max": {"stamp": self._reserved}}
            kept = self._base.clock.find_one_and_update(
                {"_id": _HUB}, change, session=self._session
            )
            if kept is None:
                raise LookupError("the database has no clock: it was not prepared")
            self._read = self._latest = kept["stamp"]

    def write(self) -> None:
        """Write the clock down, if it was moved."""
        if self._read is not None and self._latest > max(self._read, self._reserved):
            change = {"$set": {"stamp": self._latest}}
            self._base.clock.update_one({"_id": _HUB}, change, session=self._session)

    def _current(self) -> int:
        self.take()
        return self._latest


def ensure_clock(base: Base) -> None:
    """Make the clock, later than every stamp so far; harmless when there is one."""
    if base.clock.find_one({"_id": _HUB}) is None:
        latest = max((head["stamp"] for head in base.heads.find({})), default=0)
        try:
            base.clock.insert_one({"_id": _HUB, "stamp": latest, "since": latest})
        except DuplicateKeyError:
            return  # another process was quicker, and nobody publishes without a clock


def joint_clock_since(base: Base) -> int:
    """The stamp up to which feeds had clocks of their own; 0: never."""
    kept = base.clock.find_one({"_id": _HUB})
    if kept is None:
        raise LookupError("the database has no clock: it was not prepared")
    return int(kept["since"])
