"""What is made of MISP: indicators, vulnerabilities, sightings, and a report on the event.

An indicator has the UUID of its attribute, which is the id under which MISP's own
export to STIX sends it; so both ways of sending one attribute are one.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.dates import instant
from tocsin.admission.extraction.indicators import Remarks, indicator
from tocsin.admission.extraction.tlp_words import levels
from tocsin.admission.extraction.vocabulary import types_of, without_types
from tocsin.admission.formats import ReadOptions
from tocsin.admission.formats.misp.attributes import (
    HASHES,
    Meaning,
    meanings,
    registry_value,
)
from tocsin.admission.formats.misp.distribution import (
    Stated,
    labels,
    level,
    stated,
    tags,
)
from tocsin.admission.formats.misp.people import People
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import micros, stix_time

_NAMESPACE = uuid.UUID("2d6f3f5c-0f0d-4d53-8f1c-7a3a0c9b6e11")
"""Of the ids of what MISP gives no UUID of its own."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9|/_-]{0,59}")
_CVE = re.compile(r"CVE-\d{4}-\d{4,19}", re.ASCII)
_SECONDS = re.compile(r"\d{9,11}", re.ASCII)
_LONGEST_NAME = 200
_SEEN, _FALSE, _EXPIRED = "0", "1", "2"
_MOST_SIGHTINGS = 999_999_999


def yes(value: object) -> bool:
    """Whether something is true as MISP and those who write for it spell it."""
    return value is True or value in (1, "1", "true", "True")


def kind_of(attribute: StixObject) -> str:
    """The type of an attribute, safe to be shown."""
    kind = attribute.get("type")
    return kind if isinstance(kind, str) and _KIND.fullmatch(kind) else "no type of MISP's"


@dataclass(frozen=True, slots=True)
class Beside:
    """What an object says that bears on each of its attributes."""

    hashed: bool = False
    """Whether a hash of the file is among them."""
    name: object = None
    """Of a value in the registry."""
    data: object = None
    """The same."""

    @classmethod
    def of(cls, attributes: Sequence[StixObject]) -> "Beside":
        """The same for all attributes of one object."""
        hashed = any(kind_of(each) in HASHES and yes(each.get("to_ids")) for each in attributes)
        under = {str(each.get("object_relation")): each.get("value") for each in attributes}
        return cls(hashed, under.get("name"), under.get("data"))


@dataclass(slots=True)
class Maker:
    """What all objects of one event have in common."""

    body: StixObject
    people: People
    reading: ReadOptions
    links: tuple[str, ...] = ()
    """Public reports on the same, as URLs."""
    tags_left: int = field(init=False)
    """How many tags of the event are not shared."""
    labels: tuple[str, ...] = field(init=False)
    """The tags of the event that are shared."""
    _stated: Stated = field(init=False)
    _last: tuple[StixObject, Stated] = field(init=False)
    """The object that was asked last, and what it says."""
    _named_last: tuple[StixObject, tuple[str, ...]] = field(init=False)
    """The same of its tags."""

    def __post_init__(self) -> None:
        """Raises Malformed if the event is marked in a way that nobody can read."""
        self.labels, self.tags_left = self._named(self.body)
        own = stated(self.body)
        self._last = self.body, own
        self._named_last = self.body, self.labels
        self._stated = Stated((*own.levels, *levels(str(self.body.get("info", "")))), own.floor)

    def level_of(self, parts: Sequence[StixObject]) -> Tlp | None:
        """The level of something in the event, by itself and what it is in."""
        return level((self._stated, *map(self._said, parts)), self.reading.tlp)

    def _said(self, part: StixObject) -> Stated:
        """What a part says; an object is asked once for all its attributes."""
        known, said = self._last
        if known is not part:
            said = stated(part)
            if "Attribute" in part:
                self._last = part, said
        return said

    def stamp(self, *parts: StixObject) -> int:
        """When something was last changed, by itself or what it is in; in µs."""
        now = self.reading.now
        for part in (*reversed(parts), self.body):
            for name in ("timestamp", "publish_timestamp"):
                when = _epoch(part.get(name), now)
                if when is not None:
                    return when
        day = self.body.get("date")
        found = instant(day, now) if isinstance(day, str) else None
        return now if found is None else found

    def indicators(
        self, attribute: StixObject, parts: Sequence[StixObject], beside: Beside
    ) -> Iterator[tuple[StixObject, list[str]]]:
        """The indicators of an attribute, each with what was read otherwise than written.

        Raises Malformed if it is none.
        """
        remarks = self._remarks(attribute, parts)
        meant = _together(attribute, beside) or meanings(attribute["type"], attribute["value"])
        for meaning in meant:
            if meaning.value.lower() in self.people.attacked:
                raise Malformed("the event names this as sender or victim, which is never shared")
            made = indicator(meaning, remarks, self.reading)
            made |= {"pattern_type": meaning.language, "name": self._name(meaning)}
            made["id"] = f"indicator--{_id(attribute, meaning, len(meant) > 1)}"
            made["created"] = made["modified"] = stix_time(self.stamp(*parts))
            yield made, [meaning.note] if meaning.note else []

    def sightings(self, made: StixObject, attribute: StixObject) -> Iterator[StixObject]:
        """Who saw an indicator and who took it for a false alarm, each as one sighting."""
        dates = _sighted(attribute, self.reading.now)
        for word in (_SEEN, _FALSE):
            if not dates[word]:
                continue
            first, last = min(dates[word]), max(dates[word])
            sighting = {
                "type": "sighting",
                "spec_version": "2.1",
                "id": f"sighting--{uuid.uuid5(_NAMESPACE, made['id'] + word)}",
                "created": stix_time(first),
                "modified": stix_time(last),
                "first_seen": stix_time(first),
                "last_seen": stix_time(last),
                "count": min(len(dates[word]), _MOST_SIGHTINGS) if word == _SEEN else 0,
                "sighting_of_ref": made["id"],
            }
            yield sighting | _marked(made.get("object_marking_refs"))

    def _remarks(self, attribute: StixObject, parts: Sequence[StixObject]) -> Remarks:
        comment = self.people.clean(attribute.get("comment"))
        own = [label for part in parts for label in self._counted(part)]
        found = list(dict.fromkeys((*own, *self.labels)))
        stamp = self.stamp(*parts)
        return Remarks(
            seen=_instant(attribute.get("first_seen"), self.reading.now) or stamp,
            until=_expiry(attribute, self.reading.now, stamp),
            description=comment,
            tlp=self.level_of(parts),
            types=types_of(found),
            labels=without_types(found),
            references=self.links,
        )

    def _counted(self, part: StixObject) -> tuple[str, ...]:
        known, found = self._named_last
        if known is not part:
            found, left = self._named(part)
            self.tags_left += left
            if "Attribute" in part:
                self._named_last = part, found
        return found

    def _named(self, part: StixObject) -> tuple[tuple[str, ...], int]:
        found, left = labels(tags(part))
        kept = tuple(label for label in found if not self.people.in_label(label))
        return kept, left + len(found) - len(kept)

    def _name(self, meaning: Meaning) -> str:
        name = meaning.value[:_LONGEST_NAME]
        return name if meaning.value in meaning.pattern else self.people.clean(name)


def unread(attribute: StixObject, now: int) -> int:
    """How many sightings of an attribute say neither when nor what."""
    listed = attribute.get("Sighting")
    count = len(listed) if isinstance(listed, list) else 0
    return count - sum(map(len, _sighted(attribute, now).values()))


def vulnerability(maker: Maker, attribute: StixObject, parts: Sequence[StixObject]) -> StixObject:
    """A vulnerability by its number, which is the same for everybody.

    Raises Malformed if the value is no number of CVE.
    """
    value = attribute.get("value")
    number = value.strip().upper() if isinstance(value, str) else ""
    if not _CVE.fullmatch(number):
        raise Malformed("not a number of CVE, such as CVE-2021-44228")
    stamp = stix_time(maker.stamp(*parts))
    made: StixObject = {
        "type": "vulnerability",
        "spec_version": "2.1",
        "id": f"vulnerability--{uuid.uuid5(_NAMESPACE, number)}",
        "created": stamp,
        "modified": stamp,
        "name": number,
        "external_references": [{"source_name": "cve", "external_id": number}],
    }
    return made | _at(maker.level_of(parts))


def report(maker: Maker, body: StixObject, listed: Sequence[str]) -> StixObject:
    """A report that lists what an event tells, under the event's words for it."""
    stamp = stix_time(maker.stamp())
    own = body.get("uuid")
    known = own.lower() if isinstance(own, str) and _UUID.fullmatch(own.lower()) else ""
    made: StixObject = {
        "type": "report",
        "spec_version": "2.1",
        "id": f"report--{known or uuid.uuid5(_NAMESPACE, chr(10).join(listed))}",
        "created": stamp,
        "modified": stamp,
        "published": stamp,
        "name": maker.people.clean(body.get("info"))[:_LONGEST_NAME] or "MISP event",
        "object_refs": list(listed),
    }
    links = [{"source_name": "report", "url": url} for url in maker.links]
    more = {"external_references": links, "labels": list(without_types(maker.labels))}
    made |= {name: value for name, value in more.items() if value}
    return made | _at(maker.level_of(()))


def _at(tlp: Tlp | None) -> StixObject:
    return {} if tlp is None else {"object_marking_refs": [TLP_2_IDS[tlp]]}


def _marked(refs: list[str] | None) -> StixObject:
    return {"object_marking_refs": list(refs)} if refs else {}


def _together(attribute: StixObject, beside: Beside) -> tuple[Meaning, ...]:
    """A key of the registry with the value that its object says stands under it."""
    name, data = beside.name, beside.data
    if attribute["type"] != "regkey" or not (name or data):
        return ()
    return (registry_value(attribute["value"], name, data),)


def _id(attribute: StixObject, meaning: Meaning, several: bool) -> str:  # noqa: FBT001
    own = attribute.get("uuid")
    known = own.lower() if isinstance(own, str) else ""
    if not _UUID.fullmatch(known):
        return str(uuid.uuid5(_NAMESPACE, meaning.pattern))
    return str(uuid.uuid5(_NAMESPACE, known + meaning.pattern)) if several else known


def _epoch(value: object, now: int) -> int | None:
    """Seconds since 1970, as text or as a number; None if they are none, or later than now."""
    text = str(value) if isinstance(value, str | int) else ""
    stamp = int(text) * 1_000_000 if _SECONDS.fullmatch(text) else 0
    return stamp if 0 < stamp <= now else None


def _instant(value: object, now: int) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        stamp = micros(value)
    except Malformed:
        return instant(value, now)
    return stamp if 0 < stamp <= now else None


def _sighted(attribute: StixObject, now: int) -> dict[str, list[int]]:
    """The dates of an attribute's sightings, by kind; those without a date are left out."""
    found: dict[str, list[int]] = {_SEEN: [], _FALSE: [], _EXPIRED: []}
    listed = attribute.get("Sighting")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            when = _epoch(each.get("date_sighting"), now)
            kind = str(each.get("type", _SEEN))
            if when is not None and kind in found:
                found[kind].append(when)
    return found


def _expiry(attribute: StixObject, now: int, stamp: int) -> int | None:
    """When somebody let an attribute expire, unless it was seen since."""
    dates = _sighted(attribute, now)
    end = max(dates[_EXPIRED], default=0)
    first = _instant(attribute.get("first_seen"), now) or stamp
    return end if end > max(first, *dates[_SEEN], 0) else None
