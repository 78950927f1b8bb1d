"""One event of MISP: which of its attributes are shared, and what becomes of the others."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.decode import refusal
from tocsin.admission.extraction.json_split import elements, members
from tocsin.admission.extraction.tlp_words import levels
from tocsin.admission.formats import ReadOptions
from tocsin.admission.formats.misp.attributes import HASHES, private
from tocsin.admission.formats.misp.distribution import TAGS, closed
from tocsin.admission.formats.misp.objects import (
    Beside,
    Maker,
    kind_of,
    report,
    unread,
    vulnerability,
    yes,
)
from tocsin.admission.formats.misp.people import MASK, named
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    StixObject,
    Verdict,
)
from tocsin.admission.stix.ijson import parse_object

_LISTS = ("Attribute", "Object")
_MOST_MEMBERS = 1_000
"""Objects that a report lists; of events with more, no report is made."""
_MOST_KINDS = 12
_MOST_LINKS = 5
_PUBLIC = "External analysis"
_LINK = re.compile(r"https?://[^\s@]{4,1000}", re.IGNORECASE)
_RELATED = {
    ("android-app", "certificate", "sha1"): "x509-fingerprint-sha1",
    ("android-app", "certificate", "sha256"): "x509-fingerprint-sha256",
    ("ja3", "ja3-fingerprint-md5", "md5"): "ja3-fingerprint-md5",
    ("ja3s", "ja3s-fingerprint-md5", "md5"): "ja3s-fingerprint-md5",
}
"""Attributes whose type alone would say something else than their object does."""
_OF_PARTS = ("pe-section", "elf-section", "macho-section", "favicon")
"""Objects whose hashes are of something within a file."""
_PEOPLE = ("person", "victim", "employee", "legal-entity")


@dataclass(slots=True)
class Numbers:
    """What the events of one file share: places, and the ids that were given."""

    reading: ReadOptions
    count: int = 0
    seen: dict[str, StixObject] = field(default_factory=dict)

    def next(self) -> int:
        """The next candidate's place."""
        self.count += 1
        return self.count - 1

    def candidate(self, made: StixObject, findings: Sequence[Finding] = ()) -> Candidate:
        """The next candidate; settled at once if the file says the same already."""
        before = self.seen.setdefault(made["id"], made)
        candidate = Candidate.from_object(self.next(), made, *findings)
        if before is made:
            return candidate
        if before == made or made["type"] == "vulnerability":
            said = replace(candidate, verdict=Verdict.DUPLICATE)
            return said.with_findings(_finding(Action.NOTED, "the file says so already"))
        message = "another attribute of the file has the same uuid: give each its own"
        return candidate.refuse(_finding(Action.REFUSED, message))


@dataclass(frozen=True, slots=True)
class _Attribute:
    place: str
    body: StixObject
    kind: str
    """Its type, as its object means it."""
    owner: StixObject | None = None
    """The object that it is in."""
    beside: Beside = Beside()
    """What else that object says."""

    @property
    def parts(self) -> list[StixObject]:
        """The attribute and what it is in."""
        return [self.body] if self.owner is None else [self.owner, self.body]


@dataclass(slots=True)
class Event:
    """An event of which at least the frame could be read."""

    body: StixObject
    attributes: list[_Attribute]
    maker: Maker
    numbers: Numbers
    place: str
    broken: list[str]
    """What could not be read, each with its place."""
    left: Counter[str] = field(default_factory=Counter)
    """What is not shared and why, by kind."""
    shared: list[str] = field(default_factory=list)
    """Ids of what a report may list."""

    @classmethod
    def of(cls, raw: bytes, place: str, numbers: Numbers) -> "Event":
        """The event that `raw` is.

        Raises Malformed if it cannot be read, or if MISP would share it with nobody.
        """
        parts = members(raw)
        if parts is None:
            raise Malformed("not an event: a JSON object with attributes is wanted")
        body = _frame(raw, parts)
        lists = {name: _listed(parts, name) for name in _LISTS}
        if body.get("published") is not None and not yes(body["published"]):
            raise Malformed("a draft, published is false: publish it in MISP, then send it")
        if why := closed(body):
            raise Malformed(why)
        broken: list[str] = []
        prefix = f"{place}, " if place else ""
        attributes = list(_attributes(lists["Attribute"], prefix, broken))
        for number, each in enumerate(lists["Object"], 1):
            attributes += _object(bytes(each), f"{prefix}object {number}", broken)
        told = [(_name(each), each.body) for each in attributes]
        proposed = [each for part in (body, *(one for _, one in told)) for each in _proposals(part)]
        people = named(body, [*told, *proposed])
        links = tuple(url for url in _links(attributes) if not people.in_label(url))[:_MOST_LINKS]
        maker = Maker(body, people, numbers.reading, links)
        return cls(body, attributes, maker, numbers, place, broken)

    def candidates(self) -> Iterator[Candidate]:
        """What becomes of the event: its objects, what is wrong, and what is not shared."""
        last: Candidate | None = None
        for candidate in self._each():
            if last is not None:
                yield last
            last = candidate
        yield from self._closing(last)

    def _each(self) -> Iterator[Candidate]:
        for message in self.broken:
            yield refusal(self.numbers.next(), message)
        for attribute in self.attributes:
            try:
                yield from self._of(attribute)
            except Malformed as error:
                message = f"{attribute.place} ({attribute.kind}): {error}"
                yield refusal(self.numbers.next(), message)

    def _of(self, attribute: _Attribute) -> Iterator[Candidate]:
        body, kind = attribute.body, attribute.kind
        why = self._left_out(attribute)
        if why == _CARRIED:
            return
        if why:
            self.left[f"{kind} {why}"] += 1
            self.left["sightings of these"] += len(_list(body, "Sighting"))
            return
        if why := next(filter(None, map(closed, attribute.parts)), ""):
            raise Malformed(why)
        self.left["proposals"] += len(_list(body, "ShadowAttribute"))
        self.left["sightings without a date"] += unread(body, self.numbers.reading.now)
        if kind == "vulnerability":
            yield self._listed(vulnerability(self.maker, body, attribute.parts))
            return
        if not isinstance(body.get("value"), str):
            raise Malformed("its value is not text")
        if _about(attribute):
            raise Malformed("a link to an analysis is no indicator: take to_ids away")
        seen = body | {"type": kind}
        for made, notes in self.maker.indicators(seen, attribute.parts, attribute.beside):
            findings = [_finding(Action.REPAIRED, f"{attribute.place}: {each}") for each in notes]
            yield self._listed(made, [*findings, *self._masked(made, body.get("comment"))])
            yield from map(self.numbers.candidate, self.maker.sightings(made, body))

    def _masked(self, made: StixObject, comment: object) -> Iterator[Finding]:
        """A word about texts from which people were taken."""
        for name in ("name", "description"):
            if MASK in made.get(name, ""):
                message = "whom the event names is masked"
                yield Finding("validate", "format", Action.REPLACED, message, name)
        if comment and self.maker.people.silent:
            message = "the event names too many to look for them in its texts, so it has none"
            yield Finding("validate", "format", Action.STRIPPED, message, "description")

    def _listed(self, made: StixObject, findings: Sequence[Finding] = ()) -> Candidate:
        candidate = self.numbers.candidate(made, findings)
        if candidate.verdict is not Verdict.REFUSED:
            self.shared.append(made["id"])
        return candidate

    def _left_out(self, attribute: _Attribute) -> str:
        """Why an attribute is no indicator, without being a fault; empty if it may be one."""
        body, owner = attribute.body, attribute.owner or {}
        if any(map(_deleted, attribute.parts)):
            return "deleted"
        if _about(attribute) and _stripped(body.get("value")) in self.maker.links:
            return _CARRIED
        if attribute.kind == "vulnerability":
            return ""
        if not yes(body.get("to_ids")):
            return "without to_ids"
        if owner.get("name") in _PEOPLE and not private(attribute.kind):
            return "of a person or victim"
        if owner.get("name") in _OF_PARTS and attribute.kind in HASHES:
            return "of a part of a file"
        named_only = attribute.kind == "filename" and attribute.beside.hashed
        return "of a file whose hashes say it" if named_only else ""

    def _closing(self, last: Candidate | None) -> Iterator[Candidate]:
        """The last candidate, and a report that lists all, with a word on what is not shared."""
        told, listed = self._told(), list(dict.fromkeys(self.shared))
        notes = [_finding(Action.NOTED, f"{self._called}: {told}")] if told else []
        if len(listed) > _MOST_MEMBERS and last is not None:
            message = f"{self._called}: no report, since it would list more than {_MOST_MEMBERS}"
            yield last.with_findings(_finding(Action.NOTED, message), *notes)
            return
        if last is not None:
            yield last
        if listed:
            made = report(self.maker, self.body, listed)
            notes += self._masked(made, self.body.get("info"))
            yield self.numbers.candidate(made, notes)
        else:
            message = f"{self._called}: nothing in it is shared as an indicator"
            yield refusal(self.numbers.next(), f"{message}; {told}" if told else message)

    @property
    def _called(self) -> str:
        return self.place or "the event"

    def _told(self) -> str:
        for name, words in _MORE.items():
            self.left[words] += len(_list(self.body, name))
        self.left["tags"] += self.maker.tags_left
        counts = [(name, count) for name, count in self.left.most_common() if count]
        if not counts:
            return ""
        told = [f"{count} {name}" for name, count in counts[:_MOST_KINDS]]
        rest = sum(count for _, count in counts[_MOST_KINDS:])
        return "not shared: " + ", ".join(told + ([f"{rest} others"] if rest else []))


_CARRIED = "told as a reference"
_NO = (None, False, 0, "0", "", "false", "False")
_MORE = {"ShadowAttribute": "proposals", "EventReport": "reports as text"}


def _frame(raw: bytes, parts: dict[str, msgspec.Raw]) -> StixObject:
    """What an event or object says besides its attributes and objects."""
    rest = raw
    for name in _LISTS:
        held = bytes(parts.get(name, b""))
        if held.startswith(b"[") and len(held) > 2:
            rest = rest.replace(held, b"null", 1)
    return parse_object(rest)


def _listed(parts: dict[str, msgspec.Raw], name: str) -> list[msgspec.Raw]:
    raw = bytes(parts.get(name, b"null"))
    found = [] if raw.strip() == b"null" else elements(raw)
    if found is None:
        raise Malformed(f"{name} is not a list")
    return found


def _attributes(
    held: Sequence[msgspec.Raw], prefix: str, broken: list[str]
) -> Iterator[_Attribute]:
    for number, each in enumerate(held, 1):
        place = f"{prefix}attribute {number}"
        try:
            body = parse_object(bytes(each))
        except Malformed as error:
            broken.append(f"{place}: {error}")
            continue
        yield _Attribute(place, body, kind_of(body))


def _object(raw: bytes, place: str, broken: list[str]) -> list[_Attribute]:
    try:
        parts = members(raw)
        if parts is None:
            raise Malformed("not a JSON object")
        owner, held = _frame(raw, parts), _listed(parts, "Attribute")
    except Malformed as error:
        broken.append(f"{place}: {error}")
        return []
    found = list(_attributes(held, f"{place}, ", broken))
    beside = Beside.of([each.body for each in found])
    return [
        replace(each, owner=owner, beside=beside, kind=_meant(owner, each.body)) for each in found
    ]


def _meant(owner: StixObject, body: StixObject) -> str:
    kind = kind_of(body)
    relation = body.get("object_relation")
    key = (str(owner.get("name")), str(relation), kind)
    return _RELATED.get(key, kind)


def _links(attributes: Sequence[_Attribute]) -> Iterator[str]:
    """Links to public reports, as long as nobody restricts them beyond the event."""
    found: dict[str, None] = {}
    asked: dict[int, bool] = {}  # an object once for all that is in it
    for each in attributes:
        url = each.body.get("value")
        public = _about(each) and each.body.get("category") == _PUBLIC
        if not public or not isinstance(url, str) or not _LINK.fullmatch(url.strip()):
            continue
        for part in each.parts:
            if id(part) not in asked:
                asked[id(part)] = _deleted(part) or _restricted(part)
        if not any(asked[id(part)] for part in each.parts):
            found[url.strip()] = None
    yield from found


def _about(attribute: _Attribute) -> bool:
    """Whether an attribute leads to what somebody wrote about the matter."""
    listed = attribute.body.get("category") in (_PUBLIC, "Internal reference")
    return listed and attribute.kind in ("link", "url", "uri")


def _restricted(part: StixObject) -> bool:
    tagged = any(part.get(name) for name in TAGS)
    apart = str(part.get("distribution", "5")) not in ("3", "5")
    return tagged or apart or any(True for _ in levels(str(part.get("comment", ""))))


def _deleted(part: StixObject) -> bool:
    """Whether it is no more; what cannot be read as a no is a yes."""
    return part.get("deleted") not in _NO


def _name(attribute: _Attribute) -> str:
    return str((attribute.owner or {}).get("name", ""))


def _stripped(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _proposals(part: StixObject) -> Iterator[tuple[str, StixObject]]:
    """What somebody would have changed: whom that names is named as well."""
    yield from (("", each) for each in _list(part, "ShadowAttribute") if isinstance(each, dict))


def _list(body: StixObject, name: str) -> list[object]:
    found = body.get(name)
    return found if isinstance(found, list) else []


def _finding(action: Action, message: str) -> Finding:
    return Finding("validate", "format", action, message)
