"""Read a feed in several steps while its batches may be packed.

Packing changes no response, but it moves entries from one document to another.  A
reader that read the batches before it and the status bits after it would apply
the bits to other batches.  So each packing increments a number in the feed's head,
and a read during which the number changed is repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tocsin.admission.errors import NotFound, Unavailable
from tocsin.server.store.connection import Base

T = TypeVar("T")
_ATTEMPTS = 5


class ConsistentReader:
    """Repeats reads during which a feed was packed; caches each feed's number of packings."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base
        self._packs: dict[str, int] = {}

    def read(self, feed: str, read_once: Callable[[], T | None]) -> T:
        """Return the result of `read_once` without concurrent packing; None repeats it.

        The cached number is used at first, so in most cases this costs one read of the head.
        Raises Unavailable if it does not succeed.
        """
        before = self._packs[feed] if feed in self._packs else self._read_packs(feed)
        for _ in range(_ATTEMPTS):
            result, after = read_once(), self._read_packs(feed)
            if result is not None and before == after:
                return result
            before = after
        raise Unavailable("the collection is being reorganised; try again in a moment")

    def _read_packs(self, feed: str) -> int:
        head = self._base.heads.find_one({"_id": feed}, {"packs": 1})
        if head is None:
            raise NotFound("there is no such collection")
        self._packs[feed] = packs = int(head.get("packs", 0))
        return packs
