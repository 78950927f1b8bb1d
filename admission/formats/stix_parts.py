"""STIX files that are larger than memory: cut into parts, each of which is read by itself.

A part is some objects that follow each other.  The first reading checks the whole file and finds
the parts; later, and in other processes, a part is read from its octets, which must be the same.
`stix.py` reads files in memory; the candidates are the same.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import BinaryIO

from tocsin.admission.errors import Malformed, Unprocessable
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.json_split import split_object
from tocsin.admission.extraction.json_stream import (
    LONGEST_ELEMENT,
    MARK,
    ArrayStream,
    Element,
    find_elements,
)
from tocsin.admission.extraction.verified_file import CHANGED
from tocsin.admission.formats import detect_format, stix
from tocsin.admission.formats.stix import is_container, parse_place, split_json_line
from tocsin.admission.model import Candidate
from tocsin.admission.stix.ijson import parse_object

_SAMPLE = 65_536
_PART_OCTETS = 262_144
_PART_OBJECTS = 500


@dataclass(frozen=True, slots=True)
class Part:
    """Some objects of a file that follow each other."""

    start: int
    """The first octet."""
    end: int
    """The octet after the last."""
    index: int
    """The index of its first candidate."""
    place: int
    """The number of its first object, or line, from 1."""
    digest: bytes = b""
    """SHA-256 of its objects, or lines; empty if it is a single one that is too long."""


@dataclass(frozen=True, slots=True)
class LargeStix:
    """A STIX file, as its beginning shows it."""

    is_lines: bool
    """True for one object, or bundle, on each line; else one bundle, envelope or list."""
    is_marked: bool
    """True if it begins with a byte order mark."""
    longest: int = LONGEST_ELEMENT
    """Octets of the longest object, or line, that is read."""
    part_octets: int = _PART_OCTETS
    """Octets of a part, if its last object does not exceed them."""

    def cut(self, stream: BinaryIO) -> Iterator[tuple[Part, list[Candidate]]]:
        """The parts of the file with their candidates, at the first reading.

        Raises Malformed if the file as a whole is not STIX.
        """
        index = 0
        for elements in self._gather(self._find(stream)):
            (place, first), (_, last) = elements[0], elements[-1]
            raws = [(number, each.raw) for number, each in elements]
            digest = b"" if first.raw is None else _digest(raw or b"" for _, raw in raws)
            part = Part(first.start, last.end, index, place, digest)
            candidates = self._parse(raws, index)
            if not self.is_lines and any(each.object is None for each in candidates):
                _check_syntax(raws)
            yield part, candidates
            index += len(candidates)

    def read_part(self, part: Part, stream: BinaryIO) -> list[Candidate]:
        """The candidates of a part.

        Raises Unprocessable if the file is not the one that was cut.
        """
        if not part.digest:
            return self._parse([(part.place, None)], part.index)
        stream.seek(part.start)
        octets = stream.read(part.end - part.start)
        raws = (
            octets.removesuffix(b"\n").split(b"\n")
            if self.is_lines
            else list(find_elements(octets))
        )
        if _digest(raws) != part.digest:
            raise Unprocessable(CHANGED)
        return self._parse(list(enumerate(raws, part.place)), part.index)

    def _find(self, stream: BinaryIO) -> Iterator[tuple[int, Element]]:
        """The objects or lines, each with its number from 1."""
        if self.is_lines:
            yield from enumerate(_find_lines(stream, self.longest), 1)
            return
        array = ArrayStream(stream, self.longest)
        yield from enumerate(array.read(), 1)
        if array.is_nested:
            _check_members(array.members)

    def _gather(self, found: Iterable[tuple[int, Element]]) -> Iterator[list[tuple[int, Element]]]:
        """The elements in parts; one that is too long is a part of its own."""
        part: list[tuple[int, Element]] = []
        size = 0
        for number, element in found:
            length = element.end - element.start
            is_full = size + length > self.part_octets or len(part) >= _PART_OBJECTS
            if part and (is_full or element.raw is None):
                yield part
                part, size = [], 0
            part.append((number, element))
            size += length
            if element.raw is None:
                yield part
                part, size = [], 0
        if part:
            yield part

    def _parse(self, raws: Iterable[tuple[int, bytes | None]], index: int) -> list[Candidate]:
        candidates: list[Candidate] = []
        for number, raw in raws:
            place = f"{'line' if self.is_lines else 'object'} {number}"
            at = index + len(candidates)
            if raw is None:
                message = f"{place}: longer than {self.longest} octets: split it"
                candidates.append(replace(refused_candidate(at, message), salvaged={}))
            elif not self.is_lines:
                candidates += parse_place(place, raw, at, marked=self.is_marked and not at)
            elif raw.strip():
                line = raw.removeprefix(MARK) if number == 1 else raw
                for _, each in split_json_line(number, line):
                    at = index + len(candidates)
                    candidates += parse_place(place, each, at, marked=self.is_marked and not at)
        return candidates


def detect_large(name: str, stream: BinaryIO) -> LargeStix | None:
    """The STIX file that begins in a stream; None if it has to be read as a whole.

    That is the case for other formats and encodings, and if the beginning is broken.
    """
    is_marked = stream.read(len(MARK)) == MARK
    stream.seek(0)
    sample = _sample_lines(stream)
    is_lines = bool(sample)
    if not is_lines:
        stream.seek(0)
        sample = _sample_array(stream)
    stream.seek(0)
    if not sample or detect_format(name, sample) is not stix.FORMAT:
        return None
    return LargeStix(is_lines, is_marked)


def _sample_lines(stream: BinaryIO) -> bytes:
    """The first lines, if each is an object; else nothing."""
    first = stream.readline(LONGEST_ELEMENT)
    if not first.endswith(b"\n") or split_object(first.removeprefix(MARK)) is None:
        return b""
    rest = stream.read(_SAMPLE)
    return first + rest[: rest.rfind(b"\n") + 1] if rest.strip() else b""


def _sample_array(stream: BinaryIO) -> bytes:
    """The members that begin the file, with the first objects, as a complete file."""
    array = ArrayStream(stream)
    objects: list[bytes] = []
    try:
        for element in islice(array.read(), _PART_OBJECTS):
            objects.append(element.raw or b"{}")
            if element.end > _SAMPLE:
                break
    except Malformed:
        return b""
    if not array.has_array:
        return b""
    text = b"[" + b",".join(objects) + b"]"
    if not array.is_nested:
        return text
    members = [name + b":" + value for name, value in array.members if value != b"null"]
    return b"{" + b",".join([*members, b'"objects":' + text]) + b"}"


def _find_lines(stream: BinaryIO, longest: int) -> Iterator[Element]:
    start = 0
    while line := stream.readline(longest + 1):
        end = start + len(line)
        is_long = len(line) > longest and not line.endswith(b"\n")
        while is_long and not line.endswith(b"\n") and (line := stream.readline(longest)):
            end += len(line)
        yield Element(start, end, None if is_long else line.removesuffix(b"\n"))
        start = end


def _check_members(members: list[tuple[bytes, bytes]]) -> None:
    """Raise Malformed if the object around the array is not a bundle or an envelope."""
    text = b"{" + b",".join(name + b":" + value for name, value in members) + b"}"
    parse_object(text)
    parts = split_object(text)
    if parts is None or not is_container(parts, b"null"):
        raise Malformed("not STIX: send a bundle, a list of objects or one object per line")


def _check_syntax(raws: Iterable[tuple[int, bytes | None]]) -> None:
    """Raise Malformed if an object is not JSON: then the others may not be either."""
    for number, raw in raws:
        try:
            if raw is not None:
                parse_object(raw)
        except Malformed:
            _check_leniently(number, raw or b"")


def _check_leniently(number: int, raw: bytes) -> None:
    try:
        json.loads(raw.decode("utf-8", "replace"))
    except RecursionError:
        return
    except json.JSONDecodeError as error:
        problem = f"{error.msg.lower()} at character {error.pos + 1} of object {number}"
        raise Malformed(f"not JSON: {problem}") from error


def _digest(raws: Iterable[bytes]) -> bytes:
    found = hashlib.sha256()
    for raw in raws:
        found.update(raw)
        found.update(b"\n")
    return found.digest()
