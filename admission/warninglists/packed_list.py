"""Lists of values and networks as one block of bytes, searched where it lies.

Nothing is unpacked, so a block in a file can be mapped into memory and every
process that maps it shares the same pages.  Values stand in order of their
checksum, text beside it.  Networks are cut at each of their ends, so that one
search tells all that an address lies in.  In the machine's own byte order.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal
from zlib import crc32

Network = tuple[int, int, int]
"""A network: IP version, prefix length, first address as a number."""
ListNumbers = tuple[int, ...]
"""Numbers of lists."""
Cover = tuple[tuple[int, int], ...]
"""Lists that name an address, each with the prefix length at which it does."""

_CODES: Mapping[str, Literal["B", "I", "Q"]] = {
    **{"sums": "I", "ends": "Q", "named": "I", "text": "B"},  # values
    **{"v4": "I", "v4covers": "I", "high": "Q", "low": "Q", "v6covers": "I"},  # networks
}
_HALF, _LOW = 64, 2**64 - 1


def pack(
    about: object, values: Mapping[str, ListNumbers], networks: Mapping[Network, ListNumbers]
) -> bytes:
    """The block for values and networks, each with the numbers of the lists that name it.

    `about` is any JSON value; `PackedList.about` gives it back.
    """
    numbers_of: dict[Any, int] = {}
    parts = {**_values(values, numbers_of), **_networks(networks, numbers_of)}
    places, at = {}, 0
    for name, code in _CODES.items():
        places[name] = (at, len(parts[name]) * array(code).itemsize)
        at += -(-places[name][1] // 8) * 8
    header = json.dumps([about, places, list(numbers_of)]).encode()
    rest = (bytes(parts[name]).ljust(-(-places[name][1] // 8) * 8, b"\0") for name in _CODES)
    return b"".join((array("Q", [len(header)]).tobytes(), header, *rest))


class PackedList:
    """A block that answers."""

    def __init__(self, block: bytes | memoryview) -> None:
        """Raises ValueError if `block` is not a packed list."""
        view = memoryview(block)
        start = array("Q", view[:8].tobytes())
        body = 8 + (start[0] if start else 0)
        self.about, places, sets = json.loads(view[8:body].tobytes())
        part = {
            name: view[body + at : body + at + size].cast(_CODES[name])
            for name, (at, size) in places.items()
        }
        self._sums, self._ends, self._named = part["sums"], part["ends"], part["named"]
        self._text = part["text"]
        self._v4, self._v4_covers = part["v4"], part["v4covers"]
        self._high, self._low, self._v6_covers = part["high"], part["low"], part["v6covers"]
        self._sets: list[Any] = [
            tuple(tuple(each) if isinstance(each, list) else each for each in members)
            for members in sets
        ]

    def names(self, value: str) -> ListNumbers:
        """The lists that name a value."""
        wanted = value.encode("utf-8", "surrogatepass")
        total = crc32(wanted)
        at = bisect_left(self._sums, total)
        while at < len(self._sums) and self._sums[at] == total:
            if self._text[self._ends[at - 1] if at else 0 : self._ends[at]] == wanted:
                found: ListNumbers = self._sets[self._named[at]]
                return found
            at += 1
        return ()

    def covers(self, place: Network) -> Iterator[tuple[int, int]]:
        """The lists that name a network in which all of `place` lies; its prefix length."""
        version, length, at = place
        if version == 4:
            cover = self._v4_covers[bisect_right(self._v4, at) - 1]
        else:
            high, low = at >> _HALF, at & _LOW
            first = bisect_left(self._high, high)
            last = bisect_right(self._high, high, first)
            cover = self._v6_covers[bisect_right(self._low, low, first, last) - 1]
        return ((number, wide) for number, wide in self._sets[cover] if wide <= length)


def _values(values: Mapping[str, ListNumbers], numbers_of: dict[Any, int]) -> dict[str, array[int]]:
    encoded = ((value.encode("utf-8", "surrogatepass"), names) for value, names in values.items())
    ordered = sorted((crc32(text), text, names) for text, names in encoded)
    found = {name: array(_CODES[name]) for name in ("sums", "ends", "named", "text")}
    for total, text, names in ordered:
        found["sums"].append(total)
        found["text"].frombytes(text)
        found["ends"].append(len(found["text"]))
        found["named"].append(numbers_of.setdefault(names, len(numbers_of)))
    return found


def _networks(
    networks: Mapping[Network, ListNumbers], numbers_of: dict[Any, int]
) -> dict[str, array[int]]:
    found = {name: array(_CODES[name]) for name in ("v4", "v4covers", "high", "low", "v6covers")}
    for version, bits in ((4, 32), (6, 128)):
        own = {place[1:]: names for place, names in networks.items() if place[0] == version}
        for at, cover in _stretches(own, bits):
            found[f"v{version}covers"].append(numbers_of.setdefault(cover, len(numbers_of)))
            if version == 4:
                found["v4"].append(at)
            else:
                found["high"].append(at >> _HALF)
                found["low"].append(at & _LOW)
    return found


def _stretches(
    networks: Mapping[tuple[int, int], ListNumbers], bits: int
) -> Iterable[tuple[int, Cover]]:
    """Starts of address stretches that the same networks cover, from address 0 on.

    Networks never overlap but one lies in another, so the open ones form a stack.
    """
    covers: dict[int, Cover] = {0: ()}
    inside: list[tuple[int, Cover]] = [(1 << bits, ())]
    for at, length in sorted((at, length) for length, at in networks):
        while inside[-1][0] <= at:
            end, _ = inside.pop()
            covers[end] = inside[-1][1]
        cover = inside[-1][1] + tuple((number, length) for number in networks[length, at])
        inside.append((at + (1 << (bits - length)), cover))
        covers[at] = cover
    for (end, _), (_, outer) in pairwise(reversed(inside)):
        covers[end] = outer
    return [each for each in sorted(covers.items()) if each[0] >> bits == 0]
