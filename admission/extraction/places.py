"""Where each value of a file came first, in memory that hardly grows with their number.

The newest values are in a dictionary, all others in sorted runs on disk.  A filter in memory tells
of most new values that no run has them.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterable
from hashlib import blake2b

from tocsin.admission.extraction.sorted_records import MOST_IN_MEMORY, SortedRuns

_DIGEST = 16
_PLACE = 8
_HALVES = struct.Struct("=QQ")
_KEY = os.urandom(16)
"""The key of the digests: without it nobody can choose values that collide."""
_BITS = 12
"""Bits of the filter for each value; it takes one new value of a hundred for a known one."""
_FIRST_CAPACITY = 1 << 20
_LAST_CAPACITY = 1 << 24
"""Values for which a filter is made, of 25 MB; with more of them it errs more often."""


class Places:
    """Digests of 128 bits with the places of their values.

    Raises Unavailable if the disk has no room for them.
    """

    def __init__(
        self, most_in_memory: int = MOST_IN_MEMORY, first_capacity: int = _FIRST_CAPACITY
    ) -> None:
        """The first filter, made with the first run, is for `first_capacity` values."""
        self._most_in_memory = most_in_memory
        self._first_capacity = first_capacity
        self._newest: dict[bytes, int] = {}
        self._runs = SortedRuns(_DIGEST + _PLACE)
        self._on_disk = 0
        self._filter = _Filter(0)

    def __len__(self) -> int:
        """The number of values."""
        return len(self._newest) + self._on_disk

    def __contains__(self, value: str) -> bool:
        """True if a value was added."""
        return self._find(_digest(value)) is not None

    def find_or_add(self, value: str, place: int) -> int | None:
        """The place, from 0, at which a value came first; None if it is new: `place` is kept."""
        digest = _digest(value)
        found = self._find(digest)
        if found is None:
            self._newest[digest] = place
            if len(self._newest) >= self._most_in_memory:
                self._write_newest()
        return found

    def _find(self, digest: bytes) -> int | None:
        found = self._newest.get(digest)
        if found is None and self._on_disk and self._filter.may_have(digest):
            kept = self._runs.find(digest)
            found = None if kept is None else int.from_bytes(kept, "big")
        return found

    def _write_newest(self) -> None:
        newest = self._newest
        records = [digest + place.to_bytes(_PLACE, "big") for digest, place in newest.items()]
        records.sort()
        self._runs.add(records)
        self._on_disk += len(records)
        newest.clear()
        if self._on_disk > self._filter.capacity < _LAST_CAPACITY:
            self._filter = _Filter(max(self._filter.capacity * 4, self._first_capacity))
            self._filter.add(self._runs)
        else:
            self._filter.add(records)


def _digest(value: str) -> bytes:
    octets = value.encode("utf-8", "surrogatepass")
    return blake2b(octets, digest_size=_DIGEST, key=_KEY).digest()


class _Filter:
    """A Bloom filter in words of 64 bits: each digest sets four bits of one word."""

    def __init__(self, capacity: int) -> None:
        """`capacity` is the number of digests for which it is made; it may have more."""
        self.capacity = capacity
        self._words = array("Q", [0]) * (capacity * _BITS // 64 + 1)

    def add(self, records: Iterable[bytes]) -> None:
        """Add the digests with which records begin."""
        words, locate = self._words, self._locate
        for record in records:
            number, bits = locate(record)
            words[number] |= bits

    def may_have(self, digest: bytes) -> bool:
        """False if a digest was not added."""
        number, bits = self._locate(digest)
        return self._words[number] & bits == bits

    def _locate(self, record: bytes) -> tuple[int, int]:
        """The number of the digest's word, and its bits there."""
        one, other = _HALVES.unpack_from(record)
        bits = 1 << (one & 63) | 1 << (one >> 6 & 63) | 1 << (one >> 12 & 63)
        return other % len(self._words), bits | 1 << (one >> 18 & 63)
