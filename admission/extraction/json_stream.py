"""Split JSON that is larger than memory: the elements of long arrays, the members of long objects.

Only the boundaries are found here; the caller parses each value by itself.  Values may have a
bounded length; of a longer one nothing is kept, but it can be split in its turn.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, Protocol

from tocsin.admission.errors import Malformed
from tocsin.admission.stix.ijson import parse_json

LONGEST_ELEMENT = 32_000_000
"""Octets of the longest element."""
_LONGEST_MEMBER = 1_000_000
"""Octets of the longest member beside the array, and of all names."""
_PIECE = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_UP_TO_BRACKET = re.compile(
    rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+([{}\[\]])?', re.DOTALL
)
"""Whole strings and other signs, and the next bracket if there is one."""
_SCALAR = re.compile(rb"[^\s,:\]}\[{\"]*")
_OPENING = frozenset(b"{[")
_NESTED = frozenset((b"{", b"[", b'"'))
"""The first octet of a value that ends with its last bracket or quote."""
_OTHERS = frozenset((b"}", b"]", b",", b":", b""))
MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""


class Octets(Protocol):
    """A file, as far as it is needed here."""

    def seek(self, place: int, /) -> int:
        """Read on from an octet of the file."""
        ...

    def read(self, size: int, /) -> bytes:
        """The next octets; none at the end."""
        ...


class Element(NamedTuple):
    """An element of an array, or another value."""

    start: int
    """Its first octet in the file."""
    end: int
    """The octet after its last."""
    raw: bytes | None
    """Its octets; None if they are too many."""


@dataclass(slots=True)
class _Scanner:
    """Finds the values of JSON in a stream."""

    stream: Octets
    longest: int = LONGEST_ELEMENT
    """Octets of the longest value that is kept."""
    _buffer: bytes = b""
    _at: int = 0
    """The next octet of the buffer."""
    _before: int = 0
    """The octets of the file before the buffer."""
    _is_shared: bool = False
    """True if others read from the stream meanwhile."""

    def go_to(self, start: int) -> None:
        """Go on at an octet of the file, from which others may read meanwhile."""
        self._buffer, self._at, self._before = b"", 0, start
        self._is_shared = True

    def find_document(self) -> bytes:
        """Go to the document and give its first octet; empty if there is none."""
        self._fill()
        if self._buffer.startswith(MARK):
            self._at = len(MARK)
        return self._peek()

    @property
    def place(self) -> int:
        """The next octet of the file."""
        return self._before + self._at

    def check_end(self) -> None:
        """Raise Malformed if anything but space follows."""
        if self._peek():
            self.fail("extra data")

    def take_elements(self) -> Iterator[Element]:
        """The elements of the array that begins here."""
        self._expect(b"[")
        count = 0
        while self._peek() != b"]":
            if count:
                self._expect(b",")
            yield self.take_element(self.longest)
            count += 1
        self._at += 1

    def take_names(self) -> Iterator[bytes]:
        """The names of the object that begins here; before the next one, its value is taken."""
        self._expect(b"{")
        count = 0
        while self._peek() != b"}":
            if count:
                self._expect(b",")
            name = self._take_value(_LONGEST_MEMBER)
            if not name or not name.startswith(b'"'):
                self.fail("expecting property name")
            self._expect(b":")
            yield name
            count += 1
        self._at += 1

    def take_element(self, most: int) -> Element:
        """The next value."""
        self._peek()
        start = self.place
        raw = self._take_value(most)
        return Element(start, self.place, raw)

    def _expect(self, sign: bytes) -> None:
        if self._peek() != sign:
            self.fail(f"expecting '{sign.decode()}' delimiter")
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
            self.fail("expecting value")
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
                self.fail("expecting value")
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
            if not self._fill(LONGEST_ELEMENT if self._is_shared else most):
                self.fail("unterminated value")
            place -= self._before - moved

    def _fill(self, most: int = LONGEST_ELEMENT) -> bool:
        """Read on, and drop what was read; False at the end of the file.

        Raises Malformed if more than twice `most` octets would be kept.
        """
        rest = self._buffer[self._at :]
        if len(rest) > 2 * max(most, _PIECE):
            self.fail(f"a value is longer than {most} octets")
        if self._is_shared:
            self.stream.seek(self._before + len(self._buffer))
        more = self.stream.read(max(_PIECE, len(rest)))
        self._before += self._at
        self._buffer, self._at = rest + more, 0
        return bool(more)

    def fail(self, problem: str) -> NoReturn:
        """Raise Malformed about the next octet."""
        raise Malformed(f"not JSON: {problem} at byte {self._before + self._at}")


@dataclass(slots=True)
class ArrayStream(_Scanner):
    """Reads the elements of a long array: the document, or the member `objects` of its object."""

    members: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names and values beside the array, so far; the array's own value is `null`."""
    is_nested: bool = False
    """True if the document is an object."""
    has_array: bool = False
    """True if the array has begun."""

    def read(self) -> Iterator[Element]:
        """The elements; `members` is complete at the end.

        Raises Malformed if the document is neither, or if its syntax is broken around the elements.
        """
        opening = self.find_document()
        if opening == b"[":
            self.has_array = True
            yield from self.take_elements()
        elif opening == b"{":
            self.is_nested = True
            yield from self._read_members()
        else:
            self.fail("expecting value")
        self.check_end()

    def _read_members(self) -> Iterator[Element]:
        size = 0
        for name in self.take_names():
            value: bytes | None = b"null"
            if parse_json(name) == "objects" and self._peek() == b"[":
                self.has_array = True
                yield from self.take_elements()
            else:
                value = self._take_value(_LONGEST_MEMBER)
            size += len(name) + len(value or b"")
            if value is None or size > _LONGEST_MEMBER:
                raise Malformed(f"beside its objects it has more than {_LONGEST_MEMBER} octets")
            self.members.append((name, value))


def find_document(stream: Octets) -> Element:
    """The only value of a file, an array or object, without its octets.

    Raises Malformed if it has something else.
    """
    scanner = _Scanner(stream)
    scanner.go_to(0)
    if scanner.find_document() not in (b"{", b"["):
        scanner.fail("expecting value")
    scanner.go_to(scanner.place)
    document = scanner.take_element(0)
    scanner.check_end()
    return document


def read_elements(stream: Octets, start: int, longest: int) -> Iterator[Element]:
    """The elements of the array that begins at an octet of a file.

    Raises Malformed if the syntax around them is broken.
    """
    scanner = _Scanner(stream, longest)
    scanner.go_to(start)
    yield from scanner.take_elements()


def read_members(stream: Octets, start: int, longest: int) -> Iterator[tuple[bytes, Element]]:
    """The members of the object that begins at an octet of a file; see `read_elements`.

    Names have their quotes, as they are written.
    """
    scanner = _Scanner(stream, longest)
    scanner.go_to(start)
    for name in scanner.take_names():
        yield name, scanner.take_element(longest)


def measure_depth(octets: bytes) -> int:
    """The number of arrays and objects of a value that are in each other."""
    depth = deepest = place = 0
    while (found := _UP_TO_BRACKET.match(octets, place)) is not None and found[1]:
        place = found.end()
        depth += 1 if octets[place - 1] in _OPENING else -1
        deepest = max(deepest, depth)
    return deepest


def _find_end(octets: bytes, place: int, depth: int) -> tuple[int, int, bool]:
    """Go on to the end of a string, an object or an array; `depth` brackets are open.

    Gives the place and depth reached, and True if that is the end; else more octets are needed.
    """
    if not depth and octets[place : place + 1] == b'"':
        found = _STRING.match(octets, place)
        return (found.end(), 0, True) if found else (place, 0, False)
    while (found := _UP_TO_BRACKET.match(octets, place)) is not None:
        place = found.end()
        if found[1] is None:
            break
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
