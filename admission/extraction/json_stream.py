"""Split JSON that is larger than memory: the elements of one long array, one after another.

The array is the document itself, or the member `objects` of the object that the document is.
Only the boundaries are found here; the caller parses each element by itself.  Elements and other
members may have a bounded length; of a longer one nothing is kept.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple, NoReturn

from tocsin.admission.errors import Malformed
from tocsin.admission.stix.ijson import parse_json

LONGEST_ELEMENT = 32_000_000
"""Octets of the longest element."""
_LONGEST_MEMBER = 1_000_000
"""Octets of the longest member beside the array, and of all names."""
_PIECE = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_UP_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([{}\[\]])', re.DOTALL)
"""Whole strings and other signs, and the next bracket."""
_SCALAR = re.compile(rb"[^\s,:\]}\[{\"]*")
_OPENING = frozenset(b"{[")
_NESTED = frozenset((b"{", b"[", b'"'))
"""The first octet of a value that ends with its last bracket or quote."""
_OTHERS = frozenset((b"}", b"]", b",", b":", b""))
MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""


class Element(NamedTuple):
    """An element of the array."""

    start: int
    """Its first octet in the file."""
    end: int
    """The octet after its last."""
    raw: bytes | None
    """Its octets; None if they are too many."""


@dataclass(slots=True)
class ArrayStream:
    """Reads the elements of a long array from a stream."""

    stream: BinaryIO
    longest: int = LONGEST_ELEMENT
    members: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names and values beside the array, so far; the array's own value is `null`."""
    is_nested: bool = False
    """True if the document is an object."""
    has_array: bool = False
    """True if the array has begun."""
    _buffer: bytes = b""
    _at: int = 0
    """The next octet of the buffer."""
    _before: int = 0
    """The octets of the file before the buffer."""
    _ended: bool = False

    def read(self) -> Iterator[Element]:
        """The elements; `members` is complete at the end.

        Raises Malformed if the document is neither, or if its syntax is broken around the elements.
        """
        self._fill()
        if self._buffer.startswith(MARK):
            self._at = len(MARK)
        opening = self._peek()
        if opening == b"[":
            yield from self._read_array()
        elif opening == b"{":
            self.is_nested = True
            yield from self._read_members()
        else:
            self._fail("expecting value")
        if self._peek():
            self._fail("extra data")

    def _read_members(self) -> Iterator[Element]:
        self._at += 1
        size = 0
        while self._peek() != b"}":
            if self.members:
                self._expect(b",")
            name = self._take_value(_LONGEST_MEMBER)
            if not name or not name.startswith(b'"'):
                self._fail("expecting property name")
            self._expect(b":")
            value: bytes | None = b"null"
            if parse_json(name) == "objects" and self._peek() == b"[":
                yield from self._read_array()
            else:
                value = self._take_value(_LONGEST_MEMBER)
            size += len(name) + len(value or b"")
            if value is None or size > _LONGEST_MEMBER:
                raise Malformed(f"beside its objects it has more than {_LONGEST_MEMBER} octets")
            self.members.append((name, value))
        self._at += 1

    def _read_array(self) -> Iterator[Element]:
        self.has_array = True
        self._at += 1
        count = 0
        while self._peek() != b"]":
            if count:
                self._expect(b",")
                self._peek()
            start = self._before + self._at
            raw = self._take_value(self.longest)
            yield Element(start, self._before + self._at, raw)
            count += 1
        self._at += 1

    def _expect(self, sign: bytes) -> None:
        if self._peek() != sign:
            self._fail(f"expecting '{sign.decode()}' delimiter")
        self._at += 1

    def _peek(self) -> bytes:
        """The next octet that is not space; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._fill():
                return b""

    def _take_value(self, most: int) -> bytes | None:
        """The next value as octets, None if it has more than `most`."""
        first = self._peek()
        if first in _OTHERS:
            self._fail("expecting value")
        if first in _NESTED:
            return self._take_nested(most)
        return self._take_scalar()

    def _take_scalar(self) -> bytes:
        while True:
            found = _SCALAR.match(self._buffer, self._at)
            end = found.end() if found else self._at
            if end < len(self._buffer) or not self._fill():
                break
            if end - self._at > _LONGEST_MEMBER:
                self._fail("expecting value")
        raw = self._buffer[self._at : end]
        self._at = end
        return raw

    def _take_nested(self, most: int) -> bytes | None:
        """A string, an object or an array."""
        depth, place, start = 0, self._at, self._before + self._at
        while True:
            place, depth, is_complete = _find_end(self._buffer, place, depth)
            is_long = self._before + place - start > most
            if is_complete:
                raw = None if is_long else self._buffer[self._at : place]
                self._at = place
                return raw
            if is_long:
                self._at = place  # what is before is not kept
            moved = self._before
            if not self._fill(most):
                self._fail("unterminated value")
            place -= self._before - moved

    def _fill(self, most: int = LONGEST_ELEMENT) -> bool:
        """Read on, and drop what was read; False at the end of the file.

        Raises Malformed if more than twice `most` octets would be kept.
        """
        rest = self._buffer[self._at :]
        if len(rest) > 2 * max(most, _PIECE):
            self._fail(f"a value is longer than {most} octets")
        more = self.stream.read(max(_PIECE, len(rest)))
        self._before += self._at
        self._buffer, self._at = rest + more, 0
        return bool(more)

    def _fail(self, problem: str) -> NoReturn:
        raise Malformed(f"not JSON: {problem} at byte {self._before + self._at}")


def _find_end(octets: bytes, place: int, depth: int) -> tuple[int, int, bool]:
    """Go on to the end of a string, an object or an array; `depth` brackets are open.

    Gives the place and depth reached, and True if that is the end; else more octets are needed.
    """
    if not depth and octets[place : place + 1] == b'"':
        found = _STRING.match(octets, place)
        return (found.end(), 0, True) if found else (place, 0, False)
    while (found := _UP_TO_BRACKET.match(octets, place)) is not None:
        place = found.end()
        depth += 1 if octets[place - 1] in _OPENING else -1
        if not depth:
            return place, 0, True
    return place, depth, False


def find_elements(octets: bytes) -> Iterator[bytes]:
    """The elements in a part of an array, cut at boundaries that `ArrayStream` found."""
    place = _skip(octets, 0)
    while place < len(octets):
        start = place
        if octets[place : place + 1] in _NESTED:
            place, _, _ = _find_end(octets, place, 0)
        else:
            found = _SCALAR.match(octets, place)
            place = found.end() if found else place
        yield octets[start:place]
        place = _skip(octets, _skip(octets, place) + 1)


def _skip(octets: bytes, place: int) -> int:
    found = _SPACE.match(octets, place)
    return found.end() if found else place
