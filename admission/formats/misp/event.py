"""One MISP event: which of its attributes become indicators, and which are left out.

An event may be larger than memory: its attributes are read several times, one after another.
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.indicators import refused_candidate
from tocsin.admission.extraction.json_split import split_array, split_object
from tocsin.admission.extraction.json_stream import read_members
from tocsin.admission.extraction.places import Places
from tocsin.admission.extraction.tlp_words import find_tlp_levels
from tocsin.admission.formats import ReadOptions
from tocsin.admission.formats.misp.attribute_types import HASHES, SECTION_HASHES, is_private_type
from tocsin.admission.formats.misp.distribution import refuse_distribution
from tocsin.admission.formats.misp.private_names import (
    LONGEST_TEXT,
    MASK,
    PrivateNames,
    find_private_names,
)
from tocsin.admission.formats.misp.stix_objects import (
    ObjectContext,
    StixBuilder,
    attribute_type,
    build_report,
    build_vulnerability,
    count_unreadable_sightings,
    is_true,
)
from tocsin.admission.formats.misp.tags import TAG_PROPERTIES
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Action, Candidate, Finding, StixObject, Verdict
from tocsin.admission.stix.ijson import parse_json, parse_object

LISTS = ("Attribute", "Object")
"""The members of an event that may be long."""
_MOST_MEMBERS = 1_000
"""Objects that a report lists; events with more get no report."""
_MOST_KINDS = 12
_MOST_LINKS = 5
_PUBLIC = "External analysis"
_LINK = compile_lazily(r"https?://[^\s@]{4,1000}", re.IGNORECASE)
_TYPES_BY_OBJECT = {
    ("android-app", "certificate", "sha1"): "x509-fingerprint-sha1",
    ("android-app", "certificate", "sha256"): "x509-fingerprint-sha256",
    ("ja3", "ja3-fingerprint-md5", "md5"): "ja3-fingerprint-md5",
    ("ja3s", "ja3s-fingerprint-md5", "md5"): "ja3s-fingerprint-md5",
}
"""(object, relation, type) of attributes to which their object gives another type."""
_FILE_PARTS = ("elf-section", "macho-section", "favicon")
"""Objects whose hashes are of a part of a file that STIX cannot name."""
_PEOPLE = ("person", "victim", "employee", "legal-entity")


@dataclass(slots=True)
class CandidateCollector:
    """Numbers the candidates of all events of a file and detects repeated ids."""

    options: ReadOptions
    count: int = 0
    seen: Places = field(default_factory=Places)
    """The ids so far, and the content that each had first."""

    def next_index(self) -> int:
        """The index of the next candidate."""
        self.count += 1
        return self.count - 1

    def add(self, subject: StixObject, findings: Sequence[Finding] = ()) -> Candidate:
        """The next candidate; a duplicate if the file holds the same object already."""
        index = self.next_index()
        candidate = Candidate.from_object(index, subject, *findings)
        content = msgspec.json.encode(subject, order="sorted").decode()
        if self.seen.find_or_add(subject["id"], index) is None:
            self.seen.find_or_add(content, index)
            return candidate
        if content in self.seen or subject["type"] == "vulnerability":
            duplicate = replace(candidate, verdict=Verdict.DUPLICATE)
            return duplicate.with_findings(_finding(Action.NOTED, "duplicate within the file"))
        message = "another attribute in the file has the same uuid: give each its own"
        return candidate.refuse(_finding(Action.REFUSED, message))


@dataclass(frozen=True, slots=True)
class _Attribute:
    place: str
    body: StixObject
    kind: str
    """Its type, corrected by the object that it is in."""
    owner: StixObject | None = None
    """The object that it is in."""
    context: ObjectContext = ObjectContext()

    @property
    def parts(self) -> list[StixObject]:
        """The object that the attribute is in, if any, and the attribute."""
        return [self.body] if self.owner is None else [self.owner, self.body]


@dataclass(frozen=True, slots=True)
class EventParts:
    """The JSON of an event, taken apart."""

    body: StixObject
    """The event without its attributes and objects."""
    attributes: Iterable[bytes]
    """The JSON of each; may be read again and again."""
    objects: Iterable[bytes]
    is_large: bool = False
    """True if attributes and objects are read from a file each time."""

    @classmethod
    def split(cls, raw: bytes) -> "EventParts":
        """The parts of an event in memory.

        Raises Malformed if it cannot be read.
        """
        parts = split_object(raw)
        if parts is None:
            raise Malformed("not an event: send a JSON object with attributes")
        body = _parse_frame(raw, parts)
        attributes, objects = (list(map(bytes, _split_list(parts, name))) for name in LISTS)
        return cls(body, attributes, objects)


@dataclass(frozen=True, slots=True)
class _Items:
    """The attributes of an event, those of its objects included; may be read again and again."""

    parts: EventParts
    prefix: str
    """The beginning of their places."""

    def __iter__(self) -> Iterator[_Attribute | str]:
        """Each attribute; of a part that cannot be read, a message with its place."""
        yield from _parse_attributes(self.parts.attributes, self.prefix)
        for number, each in enumerate(self.parts.objects, 1):
            yield from _parse_object(each, f"{self.prefix}object {number}")


@dataclass(slots=True)
class Event:
    """A MISP event whose frame is readable; single attributes may not be."""

    body: StixObject
    items: Iterable[_Attribute | str]
    """See `_Items`."""
    builder: StixBuilder
    collector: CandidateCollector
    place: str
    is_broken: bool
    """True if some part cannot be read."""
    left: Counter[str] = field(default_factory=Counter)
    """Numbers of parts that are not shared, by type and reason."""
    shared: dict[str, None] = field(default_factory=dict)
    """Ids of the objects that the report lists; one more than it may list, if they are more."""

    @classmethod
    def read(cls, parts: EventParts, place: str, collector: CandidateCollector) -> "Event":
        """Find out what applies to all attributes of an event.

        Raises Malformed if it cannot be read or must not be shared at all.
        """
        if why := refuse_distribution(parts.body):
            raise Malformed(why)
        found = _Items(parts, f"{place}, " if place else "")
        items: Iterable[_Attribute | str] = found if parts.is_large else list(found)
        is_broken = has_links = False

        def name_owners() -> Iterator[tuple[str, StixObject]]:
            nonlocal is_broken, has_links
            for each in items:
                if isinstance(each, str):
                    is_broken = True
                else:
                    has_links = has_links or _is_report_link(each)
                    yield str((each.owner or {}).get("name", "")), each.body

        names = find_private_names(parts.body, name_owners())
        links = _find_public_links(items, names) if has_links else ()
        builder = StixBuilder(parts.body, names, collector.options, links)
        return cls(parts.body, items, builder, collector, place, is_broken)

    @property
    def is_draft(self) -> bool:
        """True if MISP would not share the event yet; exports without the flag are not drafts."""
        published = self.body.get("published")
        return published is not None and not is_true(published)

    def build_candidates(self) -> Iterator[Candidate]:
        """The event's objects, refusals of its broken parts, and a report or a final finding.

        Those of a draft are held: some publishers never set `published`.
        """
        for candidate in self._build_candidates():
            yield candidate.hold(_DRAFT) if self.is_draft and candidate.is_open else candidate

    def _build_candidates(self) -> Iterator[Candidate]:
        last: Candidate | None = None
        for candidate in self._build_parts():
            if last is not None:
                yield last
            last = candidate
        yield from self._build_end(last)

    def _build_parts(self) -> Iterator[Candidate]:
        for each in self.items if self.is_broken else ():
            if isinstance(each, str):
                yield refused_candidate(self.collector.next_index(), each)
        for each in self.items:
            if isinstance(each, str):
                continue
            try:
                yield from self._build_attribute(each)
            except Malformed as error:
                message = f"{each.place} ({each.kind}): {error}"
                yield refused_candidate(self.collector.next_index(), message)

    def _build_attribute(self, attribute: _Attribute) -> Iterator[Candidate]:
        body, kind = attribute.body, attribute.kind
        why = self._reason_to_leave_out(attribute)
        if why in (_AS_REFERENCE, _AS_NAME):
            return
        if why:
            self.left[f"{kind} {why}"] += 1
            self.left["sightings of these"] += len(_list(body, "Sighting"))
            return
        if why := next(filter(None, map(refuse_distribution, attribute.parts)), ""):
            raise Malformed(why)
        self.left["proposals"] += len(_list(body, "ShadowAttribute"))
        self.left["sightings without a date"] += count_unreadable_sightings(
            body, self.collector.options.now
        )
        if kind == "vulnerability":
            yield self._add_to_report(build_vulnerability(self.builder, body, attribute.parts))
            return
        if not isinstance(body.get("value"), str):
            raise Malformed("the value is not text")
        if _is_report_link(attribute):
            raise Malformed("a link to an analysis is not an indicator: unset to_ids")
        typed = body | {"type": kind}
        for subject, notes in self.builder.build_indicators(
            typed, attribute.parts, attribute.context
        ):
            findings = [_finding(Action.REPAIRED, f"{attribute.place}: {each}") for each in notes]
            findings += self._note_masking(subject, body.get("comment"))
            yield self._add_to_report(subject, findings)
            yield from map(self.collector.add, self.builder.build_sightings(subject, body))

    def _note_masking(self, subject: StixObject, text: object) -> Iterator[Finding]:
        """Findings about names that were masked in an object's texts, or texts left out."""
        for name in ("name", "description"):
            if MASK in subject.get(name, ""):
                message = "names of senders, victims and persons in the event are masked"
                yield Finding("validate", "format", Action.REPLACED, message, name)
        if isinstance(text, str) and len(text.strip()) > LONGEST_TEXT:
            message = f"of its text, {LONGEST_TEXT} characters are kept"
            yield Finding("validate", "format", Action.STRIPPED, message, "description")
        if text and self.builder.private_names.too_many:
            message = "the event names too many parties to mask, so its texts are left out"
            yield Finding("validate", "format", Action.STRIPPED, message, "description")

    def _add_to_report(self, subject: StixObject, findings: Sequence[Finding] = ()) -> Candidate:
        candidate = self.collector.add(subject, findings)
        if candidate.verdict is not Verdict.REFUSED and len(self.shared) <= _MOST_MEMBERS:
            self.shared[subject["id"]] = None
        return candidate

    def _reason_to_leave_out(self, attribute: _Attribute) -> str:
        """Why an attribute is left out without an error; empty if it is not."""
        body, owner = attribute.body, attribute.owner or {}
        if any(map(_is_deleted, attribute.parts)):
            return "deleted"
        if _is_report_link(attribute) and str(body.get("value")).strip() in self.builder.links:
            return _AS_REFERENCE
        if attribute.kind == "vulnerability":
            return ""
        if not is_true(body.get("to_ids")):
            return "without to_ids"
        if owner.get("name") in _PEOPLE and not is_private_type(attribute.kind):
            return "of a person or victim"
        if owner.get("name") in _FILE_PARTS and attribute.kind in HASHES:
            return "of a part of a file"
        if attribute.kind != "filename" or not attribute.context.hashed:
            return ""
        is_name = attribute.body.get("value") == attribute.context.file_name
        return _AS_NAME if is_name else "of a file that has hashes"

    def _build_end(self, last: Candidate | None) -> Iterator[Candidate]:
        """The last candidate and the report; a finding counts the parts that are not shared."""
        counts, listed = self._count_left_out(), list(self.shared)
        notes = [_finding(Action.NOTED, f"{self._title}: {counts}")] if counts else []
        if len(listed) > _MOST_MEMBERS and last is not None:
            message = f"{self._title}: no report, since it would list over {_MOST_MEMBERS} objects"
            yield last.with_findings(_finding(Action.NOTED, message), *notes)
            return
        if last is not None:
            yield last
        if listed:
            subject = build_report(self.builder, self.body, listed)
            notes += self._note_masking(subject, self.body.get("info"))
            yield self.collector.add(subject, notes)
        else:
            message = f"{self._title}: it has no indicators to share"
            yield refused_candidate(
                self.collector.next_index(), f"{message}; {counts}" if counts else message
            )

    @property
    def _title(self) -> str:
        return self.place or "the event"

    def _count_left_out(self) -> str:
        for name, words in _UNSHARED_LISTS.items():
            self.left[words] += len(_list(self.body, name))
        self.left["tags"] += self.builder.tags_left
        counts = [(name, count) for name, count in self.left.most_common() if count]
        if not counts:
            return ""
        counted = [f"{count} {name}" for name, count in counts[:_MOST_KINDS]]
        rest = sum(count for _, count in counts[_MOST_KINDS:])
        return "not shared: " + ", ".join(counted + ([f"{rest} others"] if rest else []))


_DRAFT = Finding(
    "validate",
    "format",
    Action.HELD,
    "the event is not published in MISP (published is false): if it may be shared, send what is"
    " held, or publish the event first",
)
_AS_REFERENCE = "shared as a reference"
_AS_NAME = "shared as the name of its hashes"
_NO = (None, False, 0, "0", "", "false", "False")
_UNSHARED_LISTS = {"ShadowAttribute": "proposals", "EventReport": "reports as text"}


def _parse_frame(raw: bytes, parts: dict[str, msgspec.Raw]) -> StixObject:
    """An event or object without its attributes and objects."""
    lists = [bytes(parts.get(name, b"")) for name in LISTS]
    lists = [each for each in lists if each.startswith(b"[") and len(each) > len(b"[]")]
    places = [raw.find(each) for each in lists]
    if any(raw.find(each, at + 1) >= 0 for each, at in zip(lists, places, strict=True)):
        return parse_object(_cut_lists(raw))  # another member has the same octets
    rest = raw
    for each in lists:
        rest = rest.replace(each, b"null", 1)
    return parse_object(rest)


def _cut_lists(raw: bytes) -> bytes:
    """The JSON of an event or object, with null in place of its attributes and objects."""
    members = read_members(io.BytesIO(raw), 0, len(raw))
    values = {parse_json(name): value for name, value in members}
    cuts = sorted(value for name, value in values.items() if name in LISTS)
    rest, at = b"", 0
    for start, end, value in cuts:
        if value and value.startswith(b"["):
            rest += raw[at:start] + b"null"
            at = end
    return rest + raw[at:]


def _split_list(parts: dict[str, msgspec.Raw], name: str) -> list[msgspec.Raw]:
    raw = bytes(parts.get(name, b"null"))
    found = [] if raw.strip() == b"null" else split_array(raw)
    if found is None:
        raise Malformed(f"{name} is not a list")
    return found


def _parse_attributes(items: Iterable[bytes], prefix: str) -> Iterator[_Attribute | str]:
    for number, each in enumerate(items, 1):
        place = f"{prefix}attribute {number}"
        try:
            body = parse_object(each)
        except Malformed as error:
            yield f"{place}: {error}"
        else:
            yield _Attribute(place, body, attribute_type(body))


def _parse_object(raw: bytes, place: str) -> Iterator[_Attribute | str]:
    try:
        parts = split_object(raw)
        if parts is None:
            raise Malformed("not a JSON object")
        owner, items = _parse_frame(raw, parts), _split_list(parts, "Attribute")
    except Malformed as error:
        yield f"{place}: {error}"
        return
    found = list(_parse_attributes(map(bytes, items), f"{place}, "))
    attributes = [each for each in found if isinstance(each, _Attribute)]
    context = ObjectContext.parse([each.body for each in attributes])
    for each in found:
        if isinstance(each, str):
            yield each
        else:
            kind = _correct_type(owner, each.body)
            yield replace(each, owner=owner, context=context, kind=kind)


def _correct_type(owner: StixObject, body: StixObject) -> str:
    kind = attribute_type(body)
    relation = body.get("object_relation")
    if owner.get("name") == "pe-section" and kind in SECTION_HASHES:
        return f"pe-section {kind}"
    key = (str(owner.get("name")), str(relation), kind)
    return _TYPES_BY_OBJECT.get(key, kind)


def _find_public_links(items: Iterable[_Attribute | str], names: PrivateNames) -> tuple[str, ...]:
    """The first links to public reports, except those restricted further than the event."""
    found: dict[str, None] = {}
    last: tuple[StixObject | None, bool] = None, False
    """The last object, and True if it is restricted: checked once for all its attributes."""
    for each in items:
        if isinstance(each, str) or not _is_public_link(each):
            continue
        owner, url = each.owner, each.body["value"].strip()
        if last[0] is not owner:
            last = owner, owner is not None and _is_withheld(owner)
        is_restricted = _is_withheld(each.body) or (owner is not None and last[1])
        if not is_restricted and not names.occur_in(url):
            found[url] = None
        if len(found) == _MOST_LINKS:
            break
    return tuple(found)


def _is_public_link(attribute: _Attribute) -> bool:
    url = attribute.body.get("value")
    public = _is_report_link(attribute) and attribute.body.get("category") == _PUBLIC
    return public and isinstance(url, str) and _LINK.fullmatch(url.strip()) is not None


def _is_withheld(part: StixObject) -> bool:
    return _is_deleted(part) or _is_restricted(part)


def _is_report_link(attribute: _Attribute) -> bool:
    """True if an attribute links to a report on the event."""
    listed = attribute.body.get("category") in (_PUBLIC, "Internal reference")
    return listed and attribute.kind in ("link", "url", "uri")


def _is_restricted(part: StixObject) -> bool:
    tagged = any(part.get(name) for name in TAG_PROPERTIES)
    restricted = str(part.get("distribution", "5")) not in ("3", "5")
    return tagged or restricted or any(True for _ in find_tlp_levels(str(part.get("comment", ""))))


def _is_deleted(part: StixObject) -> bool:
    """True if a part is deleted; any value but a clear no counts."""
    return part.get("deleted") not in _NO


def _list(body: StixObject, name: str) -> list[object]:
    found = body.get(name)
    return found if isinstance(found, list) else []


def _finding(action: Action, message: str) -> Finding:
    return Finding("validate", "format", action, message)
