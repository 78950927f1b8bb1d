"""Where each value of a file came first, in some 35 octets for a value, however long it is.

A dictionary takes 250 for each of the millions of values of a large list.
"""

from __future__ import annotations

import os
import struct
from array import array
from hashlib import blake2b

_DIGEST = struct.Struct("=QQ")
_KEY = os.urandom(16)
"""Of the digests, so that nobody can choose values that all fall into one slot."""
_TABLES = 16
"""Tables that grow one by one, so that there is never much room for two copies of all."""
_FIRST_SLOTS = 64


class Places:
    """Digests of 128 bits in hash tables, with the places of their values."""

    def __init__(self) -> None:
        self._tables = [_Table(_FIRST_SLOTS) for _ in range(_TABLES)]

    def __len__(self) -> int:
        """The number of values."""
        return sum(each.count for each in self._tables)

    def __contains__(self, value: str) -> bool:
        """True if the value has a place."""
        high, low = _digest(value)
        table = self._tables[low % _TABLES]
        return table.places[table.find(high, low)] > 0

    def find_or_add(self, value: str, place: int) -> int | None:
        """The place, from 0, at which a value came first; None if it is new: `place` is kept."""
        high, low = _digest(value)
        number: int = low % _TABLES
        table = self._tables[number]
        slot = table.find(high, low)
        if table.places[slot]:
            return table.places[slot] - 1
        table.put(slot, high, low, place + 1)
        if table.count * 4 > len(table.places) * 3:
            self._tables[number] = table.copy(len(table.places) * 3 // 2)
        return None


def _digest(value: str) -> tuple[int, int]:
    octets = value.encode("utf-8", "surrogatepass")
    high, low = _DIGEST.unpack(blake2b(octets, digest_size=_DIGEST.size, key=_KEY).digest())
    return high, low


class _Table:
    """A hash table with open addressing; a place of 0 marks a free slot."""

    __slots__ = ("count", "highs", "lows", "places")

    def __init__(self, slots: int) -> None:
        self.highs: array[int] = array("Q", bytes(8 * slots))
        self.lows: array[int] = array("Q", bytes(8 * slots))
        self.places: array[int] = array("I", bytes(4 * slots))
        self.count = 0

    def find(self, high: int, low: int) -> int:
        """The slot of a digest, or the free one in which it belongs."""
        highs, lows, places = self.highs, self.lows, self.places
        slots = len(places)
        slot = high % slots
        while places[slot] and (highs[slot] != high or lows[slot] != low):
            slot = slot + 1 if slot + 1 < slots else 0
        return slot

    def put(self, slot: int, high: int, low: int, place: int) -> None:
        """Fill a free slot."""
        self.highs[slot], self.lows[slot], self.places[slot] = high, low, place
        self.count += 1

    def copy(self, slots: int) -> _Table:
        """A table with more slots and the same content."""
        found = _Table(slots)
        for high, low, place in zip(self.highs, self.lows, self.places, strict=True):
            if place:
                found.put(found.find(high, low), high, low, place)
        return found
