"""Which candidates of a large file have an id that another one has too."""

from __future__ import annotations

import struct
from itertools import pairwise

from tocsin.admission.extraction.sorted_records import MOST_IN_MEMORY, RecordSorter

_RECORD = struct.Struct(">qQ")
_HASH = 8


class Positions:
    """Some positions of candidates in their file, from 0, in one bit for each candidate."""

    def __init__(self) -> None:
        """None at first."""
        self._octets = bytearray()

    def __bool__(self) -> bool:
        """True if there is a position."""
        return bool(self._octets)

    def __contains__(self, position: int) -> bool:
        """True if it is one of them."""
        octet = position >> 3
        return octet < len(self._octets) and bool(self._octets[octet] >> (position & 7) & 1)

    def add(self, position: int) -> None:
        """Add a position."""
        missing = (position >> 3) + 1 - len(self._octets)
        if missing > 0:
            self._octets.extend(bytes(missing))
        self._octets[position >> 3] |= 1 << (position & 7)


class RepeatedIds:
    """Finds ids that come more than once; most of what it needs is on disk."""

    def __init__(self, most_in_memory: int = MOST_IN_MEMORY) -> None:
        """`most_in_memory` ids are kept off the disk."""
        self._records = RecordSorter(_RECORD.size, most_in_memory)
        self._count = 0

    def add(self, id_: object) -> None:
        """Add the id of the next candidate.  Raises Unavailable if the disk has no room."""
        self._records.add(_RECORD.pack(hash(id_), self._count))
        self._count += 1

    def find(self) -> Positions:
        """The positions of all candidates whose id comes more than once.

        Two ids are taken for one once in 10^19 pairs, which costs time and nothing else.
        """
        found = Positions()
        for record, next_record in pairwise(self._records):
            if record[:_HASH] == next_record[:_HASH]:
                found.add(_RECORD.unpack(record)[1])
                found.add(_RECORD.unpack(next_record)[1])
        return found
