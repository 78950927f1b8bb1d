"""MISP files that are larger than memory: their structure first, then event by event.

The first reading checks the whole file, so that one whose end is broken gives no event at all.  A
long event is read attribute by attribute, others as in memory; the candidates are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import orjson

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.json_stream import (
    LONGEST_ELEMENT,
    Element,
    find_document,
    measure_depth,
    read_elements,
    read_members,
)
from tocsin.admission.extraction.verified_file import VerifiedFile
from tocsin.admission.formats.misp.event import LISTS, EventParts
from tocsin.admission.formats.misp.wrappers import find_wrapper, unwrap
from tocsin.admission.stix.ijson import parse_json, parse_object

_LONGEST_EVENT = 1_000_000
"""Octets of an event that is read as a whole."""
_LONGEST_MEMBER = 8_000_000
"""Octets of a value that is read as a whole beside events, attributes and objects."""
_LONGEST_KEPT = 65_536
"""Octets of a value that is kept until it is known what it is."""
_DEEPEST = 200
"""Levels that every parser can read."""


class _Unsuitable(Exception):
    """The file has to be read as a whole, or is not MISP."""


class _NotParsed(_Unsuitable):
    """Another parser may be able to read it."""


@dataclass(frozen=True, slots=True)
class _LongEvent:
    """Places in the file of a long event."""

    start: int
    end: int
    lists: Mapping[str, Element]
    """Its lists of attributes and objects, by name."""


@dataclass(frozen=True, slots=True)
class LargeMisp:
    """The events of a file."""

    file: VerifiedFile
    start: int = -1
    """The list of events; -1 for one event without a list."""
    count: int = 1
    long: Mapping[int, _LongEvent] = field(default_factory=dict)
    """The long events, by the place of what is in the list."""
    is_attribute_search: bool = False

    def events(self) -> Iterator[Callable[[], EventParts]]:
        """Take each event apart when it is called, which raises Malformed if it is broken."""
        if self.start < 0:
            yield from (partial(_split, self.file, each) for each in self.long.values())
            return
        for element in read_elements(self.file, self.start, _LONGEST_EVENT):
            long = self.long.get(element.start)
            if long is not None:
                yield partial(_split, self.file, long)
            else:
                raw = element.raw or b""
                yield partial(EventParts.split, unwrap(raw) or raw)


def find_events(file: VerifiedFile) -> LargeMisp | None:
    """The events of a file; None if it has to be read as a whole, or is not MISP.

    The parsers differ in what they let pass, and one of them must be able to read all.
    """
    for parse in (orjson.loads, _parse_leniently):
        try:
            return _Finder(file, parse).find()
        except _NotParsed:
            continue
        except (_Unsuitable, Malformed):
            break
    return None


def _parse_leniently(raw: bytes) -> object:
    """Parse JSON also with NaN and halves of surrogate pairs, which only spoil what they are in."""
    return json.loads(raw.decode())


@dataclass(slots=True)
class _Finder:
    """Finds the events, and checks everything.  Raises Malformed or _Unsuitable."""

    file: VerifiedFile
    parse: Callable[[bytes], object]
    long: dict[int, _LongEvent] = field(default_factory=dict)

    def find(self) -> LargeMisp:
        """The events of the file."""
        document = find_document(self.file)
        if self._opening(document) == b"[":
            return self._find_in_list(document)
        members = self._read_members(document)
        answer = members.pop("response", None)
        if answer is None:
            return self._find_single(document, members)
        self._check_short(members.values())
        if self._opening(answer) == b"[":
            return self._find_in_list(answer)
        members = self._read_members(answer)
        if "Attribute" not in members:
            return self._find_single(answer, members)
        for each in members.values():
            self._check_list(each)
        return LargeMisp(self.file, is_attribute_search=True)

    def _find_single(self, value: Element, members: dict[str, Element]) -> LargeMisp:
        if find_wrapper(members) is None:
            raise _Unsuitable
        self._add_long(value, members)
        return LargeMisp(self.file, long=self.long)

    def _find_in_list(self, events: Element) -> LargeMisp:
        is_misp, count = False, 0
        for each in read_elements(self.file, events.start, _LONGEST_EVENT):
            count += 1
            is_object = each.raw is not None and each.raw.startswith(b"{")
            if each.raw is not None:
                if count == 1 and not is_object:
                    raise _Unsuitable  # a long list of values, as a rule
                self._check(each.raw)
                is_misp = is_misp or (is_object and unwrap(each.raw) is not None)
            elif self._opening(each) != b"{":
                raise _Unsuitable
            else:
                members = self._read_members(each)
                is_misp = is_misp or find_wrapper(members) is not None
                self._add_long(each, members)
        if not is_misp:
            raise _Unsuitable
        return LargeMisp(self.file, events.start, count, self.long)

    def _add_long(self, outer: Element, members: dict[str, Element]) -> None:
        """Find the lists of the event that a value is, or that is in it."""
        event = outer
        if find_wrapper(members) == "Event":
            event = members.pop("Event")
            self._check_short(members.values())
            members = self._read_members(event)
        lists = {}
        for name in LISTS:
            if name in members and self._opening(members[name]) == b"[":
                found = members.pop(name)
                self._check_list(found)
                if found.end - found.start > len("[]"):
                    lists[name] = found._replace(raw=None)
        self._check_short(members.values())
        size = event.end - event.start - sum(each.end - each.start for each in lists.values())
        if size > LONGEST_ELEMENT:
            raise _Unsuitable
        self.long[outer.start] = _LongEvent(event.start, event.end, lists)

    def _opening(self, value: Element) -> bytes:
        self.file.seek(value.start)
        return self.file.read(1)

    def _read_members(self, value: Element) -> dict[str, Element]:
        """The members of an object; those with octets have been checked."""
        members: dict[str, Element] = {}
        size = 0
        for name, each in read_members(self.file, value.start, _LONGEST_KEPT):
            if each.raw is not None:
                self._check(each.raw)
            text = parse_json(name)
            size += len(name) + len(each.raw or b"")
            if text in members or size > LONGEST_ELEMENT:
                raise _Unsuitable
            members[text] = each
        return members

    def _check_list(self, value: Element) -> None:
        """Check the elements of a list, one by one if it is long."""
        if value.raw is not None:
            return
        for each in read_elements(self.file, value.start, LONGEST_ELEMENT):
            self._check(each.raw)

    def _check_short(self, values: Iterable[Element]) -> None:
        """Check values that are not lists of events, attributes or objects."""
        for each in values:
            if each.end - each.start > _LONGEST_MEMBER:
                raise _Unsuitable
            if each.raw is None:
                self._check(_read(self.file, each.start, each.end))

    def _check(self, raw: bytes | None) -> None:
        """Raise _Unsuitable if a value cannot be parsed, or is too long."""
        if raw is None:
            raise _Unsuitable
        if raw.count(b"[") + raw.count(b"{") > _DEEPEST and measure_depth(raw) > _DEEPEST:
            raise _Unsuitable
        try:
            self.parse(raw)
        except (ValueError, RecursionError):
            raise _NotParsed from None


@dataclass(frozen=True, slots=True)
class _Elements:
    """The elements of an array in a file, again and again."""

    file: VerifiedFile
    start: int

    def __iter__(self) -> Iterator[bytes]:
        """Read the array."""
        for each in read_elements(self.file, self.start, LONGEST_ELEMENT):
            yield each.raw or b""


def _split(file: VerifiedFile, event: _LongEvent) -> EventParts:
    """The parts of a long event; see `EventParts.split`."""
    frame, at = b"", event.start
    for start, end, _ in sorted(event.lists.values()):
        frame += _read(file, at, start) + b"null"
        at = end
    body = parse_object(frame + _read(file, at, event.end))
    found: list[Iterable[bytes]] = []
    for name in LISTS:
        if name not in event.lists and body.get(name) not in (None, []):
            raise Malformed(f"{name} is not a list")
        found.append(_Elements(file, event.lists[name].start) if name in event.lists else ())
    attributes, objects = found
    return EventParts(body, attributes, objects, is_large=True)


def _read(file: VerifiedFile, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
