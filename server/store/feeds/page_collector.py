"""Collect a page from the blocks in memory, and read only what is not there.

A page is valid for one head; the caller reads the head again afterwards and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from tocsin.server.model import MAX_PAGE_OCTETS, ObjectPage, Query, Representation
from tocsin.server.processes.nonblocking import check_may_block
from tocsin.server.store.feeds.block_cache import Block, BlockCache, Superseded
from tocsin.server.store.feeds.blocks import BLOCK_SIZE, PackedHead, block_number
from tocsin.server.store.feeds.versions import IndexedEntry

_QUICK_BLOCKS = 4
"""Blocks that are looked at on the event loop's thread: most entries of more may be superseded."""
_MOST_BLOCKS = 4
"""Maximum number of blocks that are read as a whole for a page of a few objects."""


class BlockReader(Protocol):
    """The cache of blocks, and the reads that fill it."""

    blocks: BlockCache
    """The blocks that this process remembers."""

    def in_order(self) -> AbstractContextManager[None]:
        """Within it, reads see what earlier ones saw."""
        ...

    def read_block(
        self, feed: str, number: int, known: PackedHead, representation: Representation
    ) -> tuple[Block, Superseded]:
        """A block from the database in a representation, and its superseded entries."""
        ...

    def read_superseded(
        self, feed: str, numbers: Sequence[int], known: PackedHead
    ) -> dict[int, Superseded]:
        """The superseded entries of some blocks from the database."""
        ...

    def first_block(self, feed: str, query: Query, last: int) -> int:
        """The block in which a page of the query begins, `last` being the feed's last one."""
        ...

    def select_objects(self, feed: str, query: Query, last: int) -> list[IndexedEntry]:
        """The entries up to position `last` that a query for ids selects."""
        ...


@dataclass(slots=True)
class _UnfinishedPage:
    """A page that is being collected."""

    limit: int
    slices: list[bytes] = field(default_factory=list)
    octets: int = 0
    count: int = 0
    first_stamp: int = 0
    last_stamp: int = 0
    position: int = 0
    more: bool = False
    """Something did not fit, or something else follows."""

    def add(self, block: Block, start: int, end: int) -> None:
        """Add a block's entries from one position to another, both included, if they fit."""
        first, beyond = start - block.first, end - block.first + 1
        fitting = min(beyond, first + self.limit - self.count)
        fitting = block.fit(first, fitting, MAX_PAGE_OCTETS - self.octets)
        if not self.count:
            fitting = max(fitting, first + 1)
            self.first_stamp = block.stamps[first]
        self.more = fitting < beyond
        if fitting > first:
            self.slices.append(block.slice(first, fitting))
            self.octets += len(self.slices[-1])
            self.count += fitting - first
            self.last_stamp, self.position = block.stamps[fitting - 1], block.first + fitting - 1

    def finish(self) -> ObjectPage:
        """The page."""
        stamps = self.first_stamp, self.last_stamp
        objects = b",".join(self.slices)
        return ObjectPage(objects, self.count, *stamps, self.position, more=self.more)


class PageCollector:
    """Collects one page at one head, from memory as far as that is possible."""

    def __init__(
        self,
        reader: BlockReader,
        feed: str,
        known: PackedHead,
        reading: ExitStack,
        representation: Representation,
    ) -> None:
        """`known` is the head at which blocks in memory must hold.

        Blocks that must be read are read in order, up to the end of `reading`.
        """
        self._reader, self._feed, self._known = reader, feed, known
        self._representation = representation
        self._head = known.head
        self._blocks: dict[int, Block] = {}
        self._superseded: dict[int, Superseded] = {}
        self._reading = reading
        self.has_read = False
        """Something was read that holds only if the head has not changed since."""

    def _begin_reading(self) -> None:
        if not self.has_read:
            self._reading.enter_context(self._reader.in_order())
            self.has_read = True

    def keep(self) -> None:
        """Keep in memory what was read; the head was still the same afterwards."""
        for number, block in self._blocks.items():
            self._reader.blocks.put(self._feed, number, block, self._head, self._representation)
        for number, superseded in self._superseded.items():
            self._reader.blocks.put_superseded(self._feed, number, superseded, self._head)

    def collect(self, query: Query) -> ObjectPage:
        """The page."""
        page = _UnfinishedPage(query.limit)
        for visited, (number, begin, last) in enumerate(self._spans(query)):
            if visited == _QUICK_BLOCKS:
                check_may_block()
            if page.count == query.limit:
                page.more = self._has_entries(number, begin, last)
            else:
                block = self._block(number, last)
                begin = max(begin, block.first + block.index_after(query.after))
                for start, end in self._ranges(number, block, begin, last):
                    if not page.more:
                        page.add(block, start, end)
            if page.more:
                break
        return page.finish()

    def collect_objects(self, query: Query) -> ObjectPage | None:
        """The page of a query for ids; None if the objects lie in too many blocks."""
        self._begin_reading()
        chosen = self._reader.select_objects(self._feed, query, self._head.position)
        page = _UnfinishedPage(query.limit)
        positions = [entry.position for entry in chosen[: query.limit]]
        if len(set(map(block_number, positions))) > _MOST_BLOCKS:
            return None
        for position in positions:
            block = self._block(block_number(position), position)
            index = position - block.first
            if index not in block.gone and not page.more:  # or removed just now: see the head
                page.add(block, position, position)
        page.more = page.more or len(chosen) > query.limit
        return page.finish()

    def _spans(self, query: Query) -> Iterator[tuple[int, int, int]]:
        """The blocks of the page and behind it: number, first and last position of interest."""
        end = block_number(self._head.position)
        for number in range(self._reader.first_block(self._feed, query, end), end + 1):
            last = min(self._head.position, (number + 1) * BLOCK_SIZE)
            yield number, max(query.position, number * BLOCK_SIZE) + 1, last

    def _ranges(
        self, number: int, block: Block, first: int, last: int
    ) -> Iterator[tuple[int, int]]:
        """The ranges of positions of a block that are served, both ends included."""
        superseded = self._find_superseded(number)
        if block.gone:
            removed = {block.first + i for i in block.gone}
            superseded = Superseded(sorted(removed.union(superseded.positions)), 0)
        return superseded.gaps(first, last)

    def _has_entries(self, number: int, first: int, last: int) -> bool:
        """True if anything is served from a position to another of a block."""
        if self._head.removals:
            return any(self._ranges(number, self._block(number, last), first, last))
        return self._find_superseded(number).count(first, last) <= last - first

    def _block(self, number: int, last: int) -> Block:
        block = self._blocks.get(number) or self._reader.blocks.block(
            self._feed, number, self._head, last, self._representation
        )
        if block is None:
            self._begin_reading()
            found = self._reader.read_block(self._feed, number, self._known, self._representation)
            block, self._superseded[number] = found
            self._blocks[number] = block
        return block

    def _find_superseded(self, number: int) -> Superseded:
        found = self._superseded.get(number) or self._reader.blocks.superseded(
            self._feed, number, self._head
        )
        if found is None:
            self._begin_reading()
            following = [n for n in (number, number + 1) if n <= block_number(self._head.position)]
            self._superseded |= self._reader.read_superseded(self._feed, following, self._known)
            found = self._superseded[number]
        return found
