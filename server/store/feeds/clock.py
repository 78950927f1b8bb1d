"""The hub's one clock: the stamps of all feeds.

A transaction publishes in windows of time, which are taken from one document inside
the transaction and written with it.  One of two concurrent transactions retries, so
windows never overlap and become visible in order: a reader that sees a stamp sees
everything stamped before it, in every feed.  Merging feeds by stamp depends on that.

Within its windows a transaction stamps each feed on its own, so that the stamps of a
feed tell nothing about what goes into the others.  A window is for one group of at
most 199 entries.  It begins on a whole millisecond, and every feed has one millisecond
of it, by its number: the last entry of the group stands on the end of that
millisecond, the others 1 µs apart before it (docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Malformed
from tocsin.server.store.configuration import ONLY_FEEDS
from tocsin.server.store.connection import Base

_HUB = "hub"
MILLISECOND = 1_000
GROUP = 199
"""Maximum number of entries of a feed in one window: a client that asks for 200 after the greatest
`modified` that it has receives at least one of the next group, which is later."""
_LEAD = 4
"""Milliseconds between the begin of a window and the first stamp: `modified` of what is
published lies there, one for each level of an object."""
_SLOTS = 124
"""Feeds in a window; with the lead they make its length."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of one publication into some feeds."""

    base: int
    """The begin of the first window."""
    numbers: Mapping[str, int]
    """The number of each feed that is published into."""

    @property
    def _length(self) -> int:
        """µs from one window to the next; a constant unless a hub has very many feeds."""
        pages = 1 + max(self.numbers.values(), default=0) // _SLOTS
        return pages * (_LEAD + _SLOTS) * MILLISECOND

    def begin(self, index: int) -> int:
        """The begin of the window in which the entry with this index is published."""
        return self.base + index // GROUP * self._length

    def stamps(self, feed: str, indexes: Iterable[int]) -> list[int]:
        """The stamps of a feed's new entries, given their increasing indexes."""
        groups: dict[int, list[int]] = {}
        for index in indexes:
            groups.setdefault(index // GROUP, []).append(index)
        found: list[int] = []
        for inside in groups.values():
            last = self._end(feed, inside[0])
            found += range(last - len(inside) + 1, last + 1)
        return found

    def end(self, counts: Mapping[str, int]) -> int:
        """The last stamp, if feeds get entries with the indexes 0 to `counts` - 1."""
        ends = [self._end(feed, count - 1) for feed, count in counts.items() if count]
        return max(ends, default=self.base)

    def _end(self, feed: str, index: int) -> int:
        return self.begin(index) + (_LEAD + 1 + self.numbers[feed]) * MILLISECOND


class HubClock:
    """The clock within one transaction."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """Read nothing before the first stamp is needed; `now` is the transaction's time."""
        self._base, self._session, self._now = base, session, now
        self._initial: int | None = None
        self._stamp = 0
        self._reserved = 0
        """The clock in the database is at least this."""

    def open(
        self, numbers: Mapping[str, int], counts: Mapping[str, int], after: int = 0
    ) -> Windows:
        """The next windows, for these numbers of entries of these feeds, at most.

        They are later than all earlier stamps, and than `after`.
        """
        self.lock(Windows(_whole(max(self._now, after)), numbers).end(counts))
        return Windows(_whole(max(self._now, self._stamp, after)), numbers)

    def use(self, last: int) -> None:
        """Note that stamps up to `last` were given out."""
        self._stamp = max(self._stamp, last)

    def pin(self, at: int | None) -> int:
        """See `Transaction.pin_stamp`."""
        self.lock()
        latest = max(self._now, self._stamp)
        if at is not None and at > latest:
            raise Malformed("a snapshot of the future cannot be made: give a time that has passed")
        at = latest if at is None else at
        self.use(at)
        return at

    def lock(self, end: int = 0) -> None:
        """Lock the clock, for stamps up to `end` if that is known.

        It is written at once, so that one of two concurrent transactions fails early, not
        after all its work.  Unless the clock is ahead of the time of day, the stamps do not
        exceed the value written here, so that nothing has to be written at the end.
        """
        if self._initial is None:
            self._reserved = end
            change = {"$inc": {"takes": 1}, "$max": {"stamp": end}}
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


def _whole(stamp: int) -> int:
    """The first whole millisecond that is not earlier."""
    return -(-stamp // MILLISECOND) * MILLISECOND


def number_feed(base: Base, feed: str) -> None:
    """Give a feed the number of its slot, if it has none.  Numbers are never used twice."""
    unnumbered = {"_id": feed, "number": {"$exists": False}}
    if base.heads.find_one(unnumbered) is None:
        return
    document = base.clock.find_one_and_update({"_id": _HUB}, {"$inc": {"numbers": 1}})
    if document is None:
        raise LookupError("the database has no clock: it was not prepared")
    base.heads.update_one(unnumbered, {"$set": {"number": document.get("numbers", 0)}})


def ensure_clock(base: Base) -> None:
    """Create the clock, later than every stamp so far, and number the feeds.  Idempotent."""
    if base.clock.find_one({"_id": _HUB}) is None:
        latest = max((head["stamp"] for head in base.heads.find(ONLY_FEEDS)), default=0)
        with suppress(DuplicateKeyError):  # another process created it first
            base.clock.insert_one({"_id": _HUB, "stamp": latest, "since": latest})
    for head in list(
        base.heads.find({**ONLY_FEEDS, "number": {"$exists": False}}, {"_id": 1}).sort("_id", 1)
    ):
        number_feed(base, head["_id"])


def joint_clock_since(base: Base) -> int:
    """The stamp up to which each feed had its own clock; 0: never."""
    document = base.clock.find_one({"_id": _HUB})
    if document is None:
        raise LookupError("the database has no clock: it was not prepared")
    return int(document["since"])
