"""Sorted records of equal length on disk, for more of them than should be in memory.

The files have no name and end with the program.
"""

from __future__ import annotations

import heapq
import tempfile
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from tocsin.admission.errors import Unavailable

_HEAD = 8
"""Octets by which blocks are found."""
_BLOCK = 64
"""Records of a block."""
_READ = 1_024
"""Records that are read at once when all are."""
_MOST_RUNS = 8
"""Runs of about the same size before they are merged into one."""
MOST_IN_MEMORY = 65_536
"""Records in memory before they are written; some 100 octets each."""


class SortedRuns:
    """Runs of records: each is in order, and they are merged before there are many."""

    def __init__(self, length: int) -> None:
        """`length` is that of a record, in octets; at least eight."""
        self._length = length
        self._levels: list[list[_Run]] = []
        """Runs by level; the runs of a level are eight times as long as those of the one before."""

    def __iter__(self) -> Iterator[bytes]:
        """All records, in order."""
        return heapq.merge(*chain.from_iterable(self._levels))

    def add(self, records: Iterable[bytes]) -> None:
        """Add records that come in order.  Raises Unavailable if the disk has no room."""
        run = _Run(records, self._length)
        for runs in self._levels:
            runs.append(run)
            if len(runs) < _MOST_RUNS:
                return
            run = _Run(heapq.merge(*runs), self._length)
            runs.clear()
        self._levels.append([run])

    def find(self, start: bytes) -> bytes | None:
        """The rest of a record that begins so; `start` has at least eight octets."""
        for run in chain.from_iterable(self._levels):
            rest = run.find(start)
            if rest is not None:
                return rest
        return None


class RecordSorter:
    """Sorts more records than should be in memory."""

    def __init__(self, length: int, most_in_memory: int = MOST_IN_MEMORY) -> None:
        """`length` is that of a record, in octets; at least eight."""
        self._newest: list[bytes] = []
        self._most_in_memory = most_in_memory
        self._runs = SortedRuns(length)

    def __iter__(self) -> Iterator[bytes]:
        """All records, in order."""
        return heapq.merge(sorted(self._newest), self._runs)

    def add(self, record: bytes) -> None:
        """Add a record.  Raises Unavailable if the disk has no room."""
        self._newest.append(record)
        if len(self._newest) >= self._most_in_memory:
            self._runs.add(sorted(self._newest))
            self._newest.clear()


class _Run:
    """Records in order.  Of each block of 64, eight octets are kept in memory."""

    def __init__(self, records: Iterable[bytes], length: int) -> None:
        self._length = length
        self._heads = array("Q")
        """The first octets of each block, as a number."""
        remaining = iter(records)
        try:
            self._stream = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, self._stream.close)
            while block := b"".join(islice(remaining, _BLOCK)):
                self._heads.append(int.from_bytes(block[:_HEAD], "big"))
                self._stream.write(block)
            self._stream.flush()
        except OSError as error:
            raise Unavailable(
                f"no room for a temporary file: {error.strerror};"
                " name a folder with more room in TMPDIR"
            ) from error

    def __iter__(self) -> Iterator[bytes]:
        length, size = self._length, self._length * _READ
        start = 0
        self._stream.seek(start)
        while octets := self._stream.read(size):
            yield from [octets[each : each + length] for each in range(0, len(octets), length)]
            start += size
            self._stream.seek(start)

    def find(self, start: bytes) -> bytes | None:
        length = self._length
        next_block = bisect_left(self._heads, int.from_bytes(start[:_HEAD], "big"))
        self._stream.seek(max(next_block - 1, 0) * _BLOCK * length)
        octets = self._stream.read(2 * _BLOCK * length)  # the next block may begin with it
        place = octets.find(start)
        while place > 0 and place % length:
            place = octets.find(start, place + 1)
        return None if place < 0 else octets[place + len(start) : place + length]
