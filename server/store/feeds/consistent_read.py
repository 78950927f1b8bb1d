"""Read a feed in several steps while its batches may be packed.

Packing changes no answer, but it moves entries from one document to another.  A
reader that took the batches before it and the status bits after it would apply
the bits to other batches.  So each packing raises a number in the feed's head,
and what was read while it rose is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tocsin.admission.errors import NotFound, Unavailable
from tocsin.server.store.connection import Base

T = TypeVar("T")
_ATTEMPTS = 5


class ConsistentReader:
    """Remembers how often each feed was packed when this process last looked."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base
        self._packs: dict[str, int] = {}

    def read(self, feed: str, look: Callable[[], T | None]) -> T:
        """The result of `look` while nothing of the feed is packed; None makes it look again.

        A number that was seen at any time before will do to begin with, so in most cases
        this costs one reading of the head.  Raises Unavailable if it does not succeed.
        """
        before = self._packs[feed] if feed in self._packs else self._seen(feed)
        for _ in range(_ATTEMPTS):
            found, after = look(), self._seen(feed)
            if found is not None and before == after:
                return found
            before = after
        raise Unavailable("the collection is being reorganised; try again in a moment")

    def _seen(self, feed: str) -> int:
        head = self._base.heads.find_one({"_id": feed}, {"packs": 1})
        if head is None:
            raise NotFound("there is no such collection")
        self._packs[feed] = packs = int(head.get("packs", 0))
        return packs
