"""Blocks of feeds in memory, so that a page costs no look-up of what has not changed.

The entries of a block never change, apart from removals; the tail grows.  Later ones
may supersede entries, and then the feed's head changes too.  So a
block is remembered for a number of removals, its superseded entries for a number of
writes, and one look-up of the head tells if both still hold.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from tocsin.server.model import OBJECTS, FeedHead, Representation
from tocsin.server.store.connection import Document
from tocsin.server.store.feeds.blocks import entry_at, entry_body, entry_stamp, first_position

_MOST_OCTETS = 64 << 20
"""Octets of all blocks that are kept, at most."""
FORGOTTEN = 2.0
"""Seconds after which no process of the hub has in memory any more what was removed."""
_OVERHEAD = 20_000
"""Octets of a full block without its objects, roughly."""


@dataclass(frozen=True, slots=True)
class Block:
    """The entries of a block, as far as they existed when it was read."""

    first: int
    """Position of its first entry."""
    objects: bytes
    """All entries in one representation, joined by commas; empty where an entry was removed."""
    ends: Sequence[int]
    """Index in `objects` at which each entry ends."""
    stamps: Sequence[int]
    gone: frozenset[int]
    """Indexes of the entries that were removed."""
    removals: int
    """The feed's number of removals when it was read."""

    @classmethod
    def of(
        cls, batches: Sequence[Document], removals: int, representation: Representation = OBJECTS
    ) -> Block:
        """Join the batches of a block, which follow one another and are not compressed."""
        bodies = [_shown(batch, i, representation) for batch in batches for i in range(batch["n"])]
        ends = accumulate(bodies, lambda end, body: end + 1 + len(body), initial=-1)
        next(ends)
        first = batches[0]["first"]
        gone = (batch["first"] - first + i for batch in batches for i in batch["gone"])
        stamps = (entry_stamp(batch, i) for batch in batches for i in range(batch["n"]))
        return cls(
            first,
            b",".join(bodies),
            array("q", ends),
            array("q", stamps),
            frozenset(gone),
            removals,
        )

    @property
    def last(self) -> int:
        """Position of its last entry."""
        return self.first + len(self.stamps) - 1

    @property
    def octets(self) -> int:
        """Octets that it takes in memory."""
        return len(self.objects) + _OVERHEAD

    def index_after(self, stamp: int) -> int:
        """The index of the first entry with a later stamp; it may lie behind the last one."""
        return bisect_right(self.stamps, stamp)

    def fit(self, begin: int, end: int, octets: int) -> int:
        """The greatest end, up to `end`, of a slice from `begin` on of at most `octets`."""
        start = self.ends[begin - 1] + 1 if begin else 0
        return max(begin, min(end, bisect_right(self.ends, start + octets)))

    def slice(self, begin: int, end: int) -> bytes:
        """The objects with the indexes `begin` to `end` - 1, joined by commas."""
        start = self.ends[begin - 1] + 1 if begin else 0
        return self.objects[start : self.ends[end - 1]]


def _shown(batch: Document, i: int, representation: Representation) -> bytes:
    if representation.render is None:
        return entry_body(batch, i)
    return b"" if i in batch["gone"] else representation.render(entry_at(batch, i))


@dataclass(frozen=True, slots=True)
class Superseded:
    """The entries of a block that are not last versions."""

    positions: Sequence[int]
    """Positions of the entries, in ascending order."""
    writes: int
    """The feed's number of writes for which this holds."""

    @classmethod
    def of(cls, documents: Iterable[Document], writes: int) -> Superseded:
        """Read the status bit documents of a block."""
        found = {
            first_position(document) + i
            for document in documents
            for i in (*document["old"], *document["shadowed"])
        }
        return cls(array("q", sorted(found)), writes)

    def count(self, first: int, last: int) -> int:
        """The number of these entries from one position to another, both included."""
        return bisect_right(self.positions, last) - bisect_left(self.positions, first)

    def gaps(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The ranges of positions between them, both ends included, in order."""
        for i in range(bisect_left(self.positions, first), len(self.positions)):
            position = self.positions[i]
            if position > last:
                break
            if position > first:
                yield first, position - 1
            first = position + 1
        if first <= last:
            yield first, last


_Place = tuple[int, str]
"""A block's number, and the name of the representation of its entries."""


@dataclass(slots=True)
class _Feed:
    removals: int = 0
    blocks: dict[_Place, Block] = field(default_factory=dict)
    superseded: dict[int, Superseded] = field(default_factory=dict)


class BlockCache:
    """Blocks of all feeds, and their superseded entries.  Safe among threads."""

    def __init__(self, most_octets: int = _MOST_OCTETS) -> None:
        """Keep the blocks that were used last, `most_octets` in all."""
        self._most_octets = most_octets
        self._lock = threading.Lock()
        self._feeds: dict[str, _Feed] = {}
        self._used: OrderedDict[tuple[str, _Place], int] = OrderedDict()
        """Octets by feed and block, the block that was used last at the end."""
        self.octets = 0

    def block(
        self,
        feed: str,
        number: int,
        head: FeedHead,
        last: int,
        representation: Representation = OBJECTS,
    ) -> Block | None:
        """The block, if it is there with all entries up to position `last` at this head."""
        place = number, representation.name
        with self._lock:
            block = self._feed(feed, head).blocks.get(place)
            if block is None or block.removals != head.removals or block.last < last:
                return None
            self._used.move_to_end((feed, place))
            return block

    def superseded(self, feed: str, number: int, head: FeedHead) -> Superseded | None:
        """The superseded entries of a block at this head, if they are known."""
        with self._lock:
            found = self._feed(feed, head).superseded.get(number)
            return found if found and found.writes == head.writes else None

    def put_superseded(self, feed: str, number: int, new: Superseded, head: FeedHead) -> None:
        """Keep the superseded entries of a block that were read at this head."""
        with self._lock:
            known = self._feed(feed, head)
            if known.removals <= head.removals:
                known.superseded[number] = new

    def put(
        self,
        feed: str,
        number: int,
        new: Block,
        head: FeedHead,
        representation: Representation = OBJECTS,
    ) -> None:
        """Keep a block that was read at this head."""
        place = number, representation.name
        with self._lock:
            known = self._feed(feed, head)
            if known.removals > head.removals:
                return  # what has been removed since must not come back
            self._drop(feed, place)
            if new.octets > self._most_octets:
                return  # it would displace all others, and then itself
            known.blocks[place] = new
            self._used[feed, place] = new.octets
            self.octets += new.octets
            while self.octets > self._most_octets and self._used:
                self._drop(*next(iter(self._used)))

    def note(self, feed: str, head: FeedHead) -> None:
        """Forget a feed's blocks if anything was removed from it since they were read."""
        with self._lock:
            self._feed(feed, head)

    def _feed(self, feed: str, head: FeedHead) -> _Feed:
        known = self._feeds.setdefault(feed, _Feed(head.removals))
        if head.removals > known.removals:
            for place in list(known.blocks):
                self._drop(feed, place)
            known.superseded.clear()
            known.removals = head.removals
        return known

    def _drop(self, feed: str, place: _Place) -> None:
        known, (number, _) = self._feeds[feed], place
        if known.blocks.pop(place, None) is not None:
            self.octets -= self._used.pop((feed, place))
        if all(other != number for other, _ in known.blocks):
            known.superseded.pop(number, None)
