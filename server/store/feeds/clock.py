"""The hub's one clock: the stamps of all feeds.

A transaction publishes in windows of time, which are taken from one document inside
the transaction and written with it.  One of two concurrent transactions retries, so
windows never overlap and become visible in order: a reader that sees a stamp sees
everything stamped before it, in every feed.  Merging feeds by stamp depends on that.

To take the clock is the first thing that a transaction does.  So of two transactions one
fails before it has done any work, and who has the clock is not overtaken by anybody: a
large batch would otherwise lose all its work to each small one (docs/decisions/0061).

Within its windows a transaction stamps each feed on its own, so that the stamps of a
feed tell nothing about what goes into the others.  A window is for one group of at
most 199 entries.  It begins on a whole millisecond, and every feed has one millisecond
of it, by its number: the last entry of the group stands on the end of that
millisecond, the others 1 µs apart before it (docs/protocol.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Malformed
from tocsin.server.store.commits import Writes
from tocsin.server.store.configuration import ONLY_FEEDS
from tocsin.server.store.connection import Base, Session

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

    def _end(self, feed: str, index: int) -> int:
        return self.begin(index) + (_LEAD + 1 + self.numbers[feed]) * MILLISECOND


class HubClock:
    """The clock within one transaction."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """Take the clock in a transaction that has read nothing yet; `now` is its time."""
        self._now = now
        document = base.clock.find_one_and_update(
            {"_id": _HUB}, {"$inc": {"takes": 1}}, session=session
        )
        if document is None:
            raise LookupError("the database has no clock: it was not prepared")
        self._initial = self._stamp = int(document["stamp"])
        self.takes = int(document.get("takes", 0))
        """How often the clock was taken before, by transactions that were kept."""

    def open(self, numbers: Mapping[str, int], after: int = 0) -> Windows:
        """The next windows of these feeds, later than all earlier stamps and than `after`."""
        return Windows(_whole(max(self._now, self._stamp, after)), numbers)

    def use(self, last: int) -> None:
        """Note that stamps up to `last` were given out."""
        self._stamp = max(self._stamp, last)

    def pin(self, at: int | None) -> int:
        """See `Transaction.pin_stamp`."""
        latest = max(self._now, self._stamp)
        if at is not None and at > latest:
            raise Malformed("a snapshot of the future cannot be made: give a time that has passed")
        at = latest if at is None else at
        self.use(at)
        return at

    def write(self, writes: Writes) -> None:
        """Store the clock, if it was moved."""
        if self._stamp > self._initial:
            writes.update("clock", {"_id": _HUB}, {"$set": {"stamp": self._stamp}})


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
    kinds = {each["_id"]: each["kind"] for each in base.collections.find({}, {"kind": 1})}
    for head in list(
        base.heads.find({**ONLY_FEEDS, "number": {"$exists": False}}, {"_id": 1}).sort("_id", 1)
    ):
        if kinds.get(head["_id"]) != "inbox":  # nothing is published into one
            number_feed(base, head["_id"])


class ClockState(NamedTuple):
    """The hub's clock at one moment."""

    stamp: int
    """The latest stamp that was given out, or reserved."""
    epoch: str
    """Changes when a backup is restored, since positions are used again then; "": never was."""


def read_clock(base: Base, session: Session = None) -> ClockState:
    """The clock as the database has it; at its begin if it has none yet."""
    document = base.clock.find_one({"_id": _HUB}, session=session) or {"stamp": 0}
    return ClockState(int(document["stamp"]), str(document.get("epoch", "")))


def begin_epoch(base: Base, stamp: int) -> ClockState:
    """Let the clock of a restored hub go on in another epoch, not before this stamp."""
    state = ClockState(stamp, uuid.uuid4().hex)
    change = {"$set": {"epoch": state.epoch}, "$max": {"stamp": state.stamp}}
    if base.clock.update_one({"_id": _HUB}, change).matched_count != 1:
        raise LookupError("the database has no clock: it was not prepared")
    return state


def joint_clock_since(base: Base) -> int:
    """The stamp up to which each feed had its own clock; 0: never."""
    document = base.clock.find_one({"_id": _HUB})
    if document is None:
        raise LookupError("the database has no clock: it was not prepared")
    return int(document["since"])
