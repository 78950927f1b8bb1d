"""STIX objects built from a MISP event: indicators, vulnerabilities, sightings, a report.

An indicator has the UUID of its attribute, as in MISP's own STIX export, so an attribute
sent in both ways is one indicator.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.dates import parse_date
from tocsin.admission.extraction.external_ids import (
    MOST_IDS,
    ExternalId,
    join_ids,
    take_external_ids,
)
from tocsin.admission.extraction.indicator_types import drop_indicator_types, find_indicator_types
from tocsin.admission.extraction.indicators import IndicatorDetails, build_indicator
from tocsin.admission.extraction.tlp_words import find_tlp_levels
from tocsin.admission.formats import ReadOptions
from tocsin.admission.formats.misp.attribute_types import (
    HASHES,
    PatternedValue,
    parse_attribute,
    parse_registry_value,
)
from tocsin.admission.formats.misp.distribution import (
    SharingLimits,
    parse_sharing_limits,
    strictest_level,
)
from tocsin.admission.formats.misp.private_names import PrivateNames
from tocsin.admission.formats.misp.tags import TAG_PROPERTIES, parse_tags, select_labels
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import StixObject, Tlp
from tocsin.admission.timestamps import micros, stix_time

_NAMESPACE = uuid.UUID("2d6f3f5c-0f0d-4d53-8f1c-7a3a0c9b6e11")
"""UUID namespace for the ids of objects that have no UUID in MISP."""
_UUID = compile_lazily(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_KIND = compile_lazily(r"[A-Za-z0-9][A-Za-z0-9|/_ -]{0,59}")
_CVE = compile_lazily(r"CVE-\d{4}-\d{4,19}", re.ASCII)
_SECONDS = compile_lazily(r"\d{9,11}", re.ASCII)
_LONGEST_NAME = 200
_SEEN, _FALSE, _EXPIRED = "0", "1", "2"
_MOST_SIGHTINGS = 999_999_999


def is_true(value: object) -> bool:
    """True if a flag is set, in any of the spellings of MISP and its tools."""
    return value is True or value in (1, "1", "true", "True")


def attribute_type(attribute: StixObject) -> str:
    """The type of an attribute, safe to show in messages."""
    kind = attribute.get("type")
    return kind if isinstance(kind, str) and _KIND.fullmatch(kind) else "unknown type"


@dataclass(frozen=True, slots=True)
class ObjectContext:
    """The statements of a MISP object that apply to each of its attributes."""

    hashed: bool = False
    """True if the object has a hash of the file."""
    name: object = None
    """The name of a registry value."""
    data: object = None
    """The data of a registry value."""
    file_name: str = ""
    """The name of the file, if it has one that may be shared as widely as its hashes."""

    @classmethod
    def parse(cls, attributes: Sequence[StixObject]) -> "ObjectContext":
        """The context that an object's attributes share."""
        hashed = any(
            attribute_type(each) in HASHES and is_true(each.get("to_ids")) for each in attributes
        )
        under = {str(each.get("object_relation")): each.get("value") for each in attributes}
        names = {each["value"] for each in attributes if _is_shared_file_name(each)}
        only = names.pop() if hashed and len(names) == 1 else ""
        return cls(hashed, under.get("name"), under.get("data"), only)


def _is_shared_file_name(attribute: StixObject) -> bool:
    """True for the name of a file that is not restricted further than its object."""
    if attribute_type(attribute) != "filename" or not isinstance(attribute.get("value"), str):
        return False
    restricted = str(attribute.get("distribution", "5")) != "5" or attribute.get("deleted")
    restricted = restricted or any(attribute.get(name) for name in TAG_PROPERTIES)
    comment = find_tlp_levels(str(attribute.get("comment", "")))
    return is_true(attribute.get("to_ids")) and not restricted and not any(True for _ in comment)


@dataclass(slots=True)
class StixBuilder:
    """Builds the STIX objects of one event; holds what they share."""

    body: StixObject
    private_names: PrivateNames
    options: ReadOptions
    links: tuple[str, ...] = ()
    """URLs of public reports on the event."""
    tags_left: int = field(init=False)
    """The number of tags in the event that are not shared."""
    labels: tuple[str, ...] = field(init=False)
    """The tags of the event that become labels."""
    _limits: SharingLimits = field(init=False)
    _last_limits: tuple[StixObject, SharingLimits] = field(init=False)
    """The last object and its limits: computed once for all its attributes."""
    _last_labels: tuple[StixObject, tuple[str, ...]] = field(init=False)
    """The last object and its labels."""

    def __post_init__(self) -> None:
        """Raises Malformed if the event's tags or distribution cannot be read."""
        self.labels, self.tags_left = self._select_labels(self.body)
        own = parse_sharing_limits(self.body)
        self._last_limits = self.body, own
        self._last_labels = self.body, self.labels
        info = find_tlp_levels(str(self.body.get("info", "")))
        self._limits = SharingLimits((*own.levels, *info), own.widest)

    def level_of(self, parts: Sequence[StixObject]) -> Tlp | None:
        """The TLP level of an attribute, given it and its object."""
        return strictest_level((self._limits, *map(self._limits_of, parts)), self.options.tlp)

    def _limits_of(self, part: StixObject) -> SharingLimits:
        last, limits = self._last_limits
        if last is not part:
            limits = parse_sharing_limits(part)
            if "Attribute" in part:
                self._last_limits = part, limits
        return limits

    def last_change(self, *parts: StixObject) -> int:
        """The last change of an attribute, given its object and it; in µs since 1970 UTC."""
        now = self.options.now
        for part in (*reversed(parts), self.body):
            for name in ("timestamp", "publish_timestamp"):
                when = _parse_epoch(part.get(name), now)
                if when is not None:
                    return when
        day = self.body.get("date")
        found = parse_date(day, now) if isinstance(day, str) else None
        return now if found is None else found

    def build_indicators(
        self, attribute: StixObject, parts: Sequence[StixObject], context: ObjectContext
    ) -> Iterator[tuple[StixObject, list[str]]]:
        """The indicators of an attribute, each with notes on how its value was read.

        Raises Malformed if the attribute is not an indicator.
        """
        details = self._build_details(attribute, parts)
        values = _parse_registry_key(attribute, context)
        values = values or parse_attribute(attribute["type"], attribute["value"])
        for value in values:
            if value.value.lower() in self.private_names.attacked:
                raise Malformed("the event names it as sender or victim, which is never shared")
            subject = build_indicator(value, details, self.options)
            file_name = context.file_name if attribute["type"] in HASHES else ""
            name = self._name(value, file_name)
            subject |= {"pattern_type": value.language, "name": name}
            subject["id"] = f"indicator--{_uuid_of(attribute, value, len(values) > 1)}"
            subject["created"] = subject["modified"] = stix_time(self.last_change(*parts))
            yield subject, [value.note] if value.note else []

    def build_sightings(self, indicator: StixObject, attribute: StixObject) -> Iterator[StixObject]:
        """One sighting for all reports of an indicator, one for all false positives."""
        dates = _parse_sightings(attribute, self.options.now)
        for word in (_SEEN, _FALSE):
            if not dates[word]:
                continue
            first, last = min(dates[word]), max(dates[word])
            sighting: StixObject = {
                "type": "sighting",
                "spec_version": "2.1",
                "id": f"sighting--{uuid.uuid5(_NAMESPACE, indicator['id'] + word)}",
                "created": stix_time(first),
                "modified": stix_time(last),
                "first_seen": stix_time(first),
                "last_seen": stix_time(last),
                "count": min(len(dates[word]), _MOST_SIGHTINGS) if word == _SEEN else 0,
                "sighting_of_ref": indicator["id"],
            }
            if refs := indicator.get("object_marking_refs"):
                sighting["object_marking_refs"] = list(refs)
            yield sighting

    def _build_details(
        self, attribute: StixObject, parts: Sequence[StixObject]
    ) -> IndicatorDetails:
        comment = self.private_names.mask(attribute.get("comment"))
        own = [label for part in parts for label in self._labels_of(part)]
        found = list(dict.fromkeys((*own, *self.labels)))
        changed = self.last_change(*parts)
        return IndicatorDetails(
            first_seen=_parse_time(attribute.get("first_seen"), self.options.now) or changed,
            valid_until=_find_expiry(attribute, self.options.now, changed),
            description=comment,
            tlp=self.level_of(parts),
            types=find_indicator_types(found),
            labels=drop_indicator_types(found),
            references=self.links,
            external_ids=_find_external_ids(comment, found),
        )

    def _labels_of(self, part: StixObject) -> tuple[str, ...]:
        """The labels of a part; the tags that are not shared are counted."""
        last, labels = self._last_labels
        if last is not part:
            labels, omitted = self._select_labels(part)
            self.tags_left += omitted
            if "Attribute" in part:
                self._last_labels = part, labels
        return labels

    def _select_labels(self, part: StixObject) -> tuple[tuple[str, ...], int]:
        found, omitted = select_labels(parse_tags(part))
        labels = tuple(label for label in found if not self.private_names.occur_in(label))
        return labels, omitted + len(found) - len(labels)

    def _name(self, value: PatternedValue, file_name: str) -> str:
        """The name of the file whose hash a value is, or the value."""
        name = (file_name or value.value)[:_LONGEST_NAME]
        is_value = not file_name and value.value in value.pattern
        return name if is_value else self.private_names.mask(name)


def _find_external_ids(comment: str, labels: Sequence[str]) -> tuple[ExternalId, ...]:
    """The CVE and ATT&CK ids of a comment, and of labels that come from ATT&CK's galaxies."""
    galaxies = (each.upper() for each in labels if each.startswith("misp-galaxy:mitre-"))
    return join_ids(take_external_ids(text)[1] for text in (comment, *galaxies))[:MOST_IDS]


def count_unreadable_sightings(attribute: StixObject, now: int) -> int:
    """The number of an attribute's sightings without a date or a known type."""
    listed = attribute.get("Sighting")
    count = len(listed) if isinstance(listed, list) else 0
    return count - sum(map(len, _parse_sightings(attribute, now).values()))


def build_vulnerability(
    builder: StixBuilder, attribute: StixObject, parts: Sequence[StixObject]
) -> StixObject:
    """A vulnerability; its id is derived from the CVE number, so all submitters give the same.

    Raises Malformed if the value is not a CVE number.
    """
    value = attribute.get("value")
    number = value.strip().upper() if isinstance(value, str) else ""
    if not _CVE.fullmatch(number):
        raise Malformed("not a CVE number such as CVE-2021-44228")
    stamp = stix_time(builder.last_change(*parts))
    subject: StixObject = {
        "type": "vulnerability",
        "spec_version": "2.1",
        "id": f"vulnerability--{uuid.uuid5(_NAMESPACE, number)}",
        "created": stamp,
        "modified": stamp,
        "name": number,
        "external_references": [{"source_name": "cve", "external_id": number}],
    }
    return subject | _mark_level(builder.level_of(parts))


def build_report(builder: StixBuilder, body: StixObject, listed: Sequence[str]) -> StixObject:
    """A report that lists the objects of an event by id, named by the event's `info`."""
    stamp = stix_time(builder.last_change())
    own = body.get("uuid")
    known = own.lower() if isinstance(own, str) and _UUID.fullmatch(own.lower()) else ""
    subject: StixObject = {
        "type": "report",
        "spec_version": "2.1",
        "id": f"report--{known or uuid.uuid5(_NAMESPACE, chr(10).join(listed))}",
        "created": stamp,
        "modified": stamp,
        "published": stamp,
        "name": builder.private_names.mask(body.get("info"))[:_LONGEST_NAME] or "MISP event",
        "object_refs": list(listed),
    }
    links = [{"source_name": "report", "url": url} for url in builder.links]
    more = {"external_references": links, "labels": list(drop_indicator_types(builder.labels))}
    subject |= {name: value for name, value in more.items() if value}
    return subject | _mark_level(builder.level_of(()))


def _mark_level(tlp: Tlp | None) -> StixObject:
    return {} if tlp is None else {"object_marking_refs": [TLP_2_IDS[tlp]]}


def _parse_registry_key(
    attribute: StixObject, context: ObjectContext
) -> tuple[PatternedValue, ...]:
    """A registry key with the value that its object gives; empty if it gives none."""
    name, data = context.name, context.data
    if attribute["type"] != "regkey" or not (name or data):
        return ()
    return (parse_registry_value(attribute["value"], name, data),)


def _uuid_of(attribute: StixObject, value: PatternedValue, several: bool) -> str:
    own = attribute.get("uuid")
    known = own.lower() if isinstance(own, str) else ""
    if not _UUID.fullmatch(known):
        return str(uuid.uuid5(_NAMESPACE, value.pattern))
    return str(uuid.uuid5(_NAMESPACE, known + value.pattern)) if several else known


def _parse_epoch(value: object, now: int) -> int | None:
    """µs of seconds since 1970, as text or number; None if it is neither, or in the future."""
    text = str(value) if isinstance(value, str | int) else ""
    stamp = int(text) * 1_000_000 if _SECONDS.fullmatch(text) else 0
    return stamp if 0 < stamp <= now else None


def _parse_time(value: object, now: int) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        stamp = micros(value)
    except Malformed:
        return parse_date(value, now)
    return stamp if 0 < stamp <= now else None


def _parse_sightings(attribute: StixObject, now: int) -> dict[str, list[int]]:
    """The dates of an attribute's sightings, by their type; those without a date are left out."""
    found: dict[str, list[int]] = {_SEEN: [], _FALSE: [], _EXPIRED: []}
    listed = attribute.get("Sighting")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict):
            when = _parse_epoch(each.get("date_sighting"), now)
            kind = str(each.get("type", _SEEN))
            if when is not None and kind in found:
                found[kind].append(when)
    return found


def _find_expiry(attribute: StixObject, now: int, changed: int) -> int | None:
    """The latest expiration of an attribute, in µs; None if it was seen since."""
    dates = _parse_sightings(attribute, now)
    end = max(dates[_EXPIRED], default=0)
    first = _parse_time(attribute.get("first_seen"), now) or changed
    return end if end > max(first, *dates[_SEEN], 0) else None
