"""Many contributions, one public object.

Pure and independent of order: the public object is computed from all
contributions anew, so it does not matter which came first.  Nothing of a
partner gets in but the content that admission left.  docs/merging.md says what
the figures mean.
"""

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from tocsin.admission.merge.confidence import (
    DAY,
    ConfidenceSettings,
    Source,
    combine_confidence,
    decay_confidence,
    half_life,
    merge_sources,
    next_decay,
    weigh_confidence,
)
from tocsin.admission.model import (
    Assessment,
    AssessmentKind,
    Contribution,
    StixObject,
    Tlp,
)
from tocsin.admission.stix.history_extension import EXTENSION
from tocsin.admission.timestamps import micros, stix_time

_UNITED = ("indicator_types", "kill_chain_phases", "labels", "external_references")
_HUBS = ("id", "created", "modified", "created_by_ref", "revoked", "confidence")
_CATALOGUES = frozenset(("cve", "cwe", "capec", "mitre", "nvd", "attack", "d3fend"))
"""Beginnings of source names whose entries many quote who know nothing of each other."""

_Spoken = Contribution | Assessment


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What the hub itself says of a public object."""

    contributors: int
    """Independent sources."""
    first_day: int
    """The UTC day, counted from 1970, on which it was first reported."""
    last_day: int
    """The UTC day on which it was last reported or seen."""
    sightings: int
    """Independent sources that have seen it."""
    false_positives: int
    """Independent sources that say it raises false alarms."""
    confidence: int | None
    next_decay: int | None = field(default=None, compare=False)
    """When confidence falls next if nothing happens, in µs since 1970; None: never."""


def public_id(kind: str, key: str, namespace: uuid.UUID) -> str:
    """The hub's own id for what `key` names: a stable map without a table.

    `namespace` is secret, so nobody outside can compute the map.
    """
    return f"{kind}--{uuid.uuid5(namespace, key)}"


def public_id_v4(kind: str, key: str, namespace: uuid.UUID) -> str:
    """The same for an SCO that nothing gives an id: in the form of a random one (STIX 2.1 §2.9)."""
    derived = uuid.uuid5(namespace, key)
    return f"{kind}--{uuid.UUID(bytes=derived.bytes, version=4)}"


def object_digest(subject: StixObject, leaving_out: Iterable[str] = ()) -> bytes:
    """16 octets over the object's value; equal for equal objects however they are spelt."""
    skipped = set(leaving_out)
    chosen = {name: value for name, value in subject.items() if name not in skipped}
    return hashlib.blake2b(canonical_json(chosen), digest_size=16).digest()


def canonical_json(subject: StixObject) -> bytes:
    """The object as compact JSON with sorted keys."""
    return orjson.dumps(subject, option=orjson.OPT_SORT_KEYS)


def merge_contributions(contributions: Sequence[Contribution]) -> StixObject:
    """What all contributions together say, without what is the hub's own to say.

    Where several levels meet in one object (an SCO keeps its id at every
    level), only the least strict contributions count, so that nothing known
    at a stricter level shows.
    """
    seen = sorted(latest_by_partner(contributions), key=_newest_first)
    subjects = [contribution.object for contribution in seen]
    content = {name: value for name, value in subjects[0].items() if name not in _HUBS}
    if content["type"] == "indicator":
        content |= _texts(subjects) | _validity(_least_strict(contributions))
    for name in _UNITED:
        union = _union(subject.get(name, ()) for subject in subjects)
        if union:
            content[name] = union
    return {name: value for name, value in content.items() if value is not None}


def latest_by_partner(contributions: Sequence[Contribution]) -> list[Contribution]:
    """What counts of all that partners say: of each its newest word at the least strict level.

    It counts from when the partner first said so to when it last did, under whichever id.
    """
    if len(contributions) == 1:
        return list(contributions)
    words: dict[str, list[Contribution]] = {}
    for each in _least_strict(contributions):
        words.setdefault(each.partner, []).append(each)
    return [_voice(own) for own in words.values()]


def version_order(contribution: Contribution) -> tuple[int, str]:
    """By this a partner's words on one thing are in order, the newest last.

    Of two versions of one moment that with the greater id counts as the newer, so that the
    same one does whichever comes last.  What has no version is as new as it came.
    """
    version, received = contribution.version, contribution.received
    return (micros(version) if version else received, contribution.source_id)


def compute_statistics(
    contributions: Sequence[Contribution],
    testimonies: Sequence[Assessment],
    scale: ConfidenceSettings,
    now: int,
) -> HubStatistics:
    """How many independent sources say so, since when, and how sure the hub is, at `now`.

    Of testimonies only those count that every reader of the object may know of, and of each
    partner only its newest.
    """
    counted = latest_by_partner(contributions)
    heard = newest_by_partner(visible_assessments(testimonies, counted[0]))
    seen = [each for each in heard if each.kind is AssessmentKind.SIGHTING]
    denied = [each for each in heard if each.kind is AssessmentKind.FALSE_POSITIVE]
    sources = [_source(group, scale) for group in group_by_origin([*counted, *seen])]
    denials = [_source(group, scale).reliability for group in group_by_origin(denied)]
    spoken = [c.last_reported or c.received for c in counted] + [t.when for t in seen]
    full, last = combine_confidence(sources, denials, scale), max(spoken)
    confidence, falls = _as_time_goes(counted[0].object, full, now - last, scale)
    return HubStatistics(
        contributors=len(group_by_origin(counted)),
        first_day=min(c.first_reported or c.received for c in counted) // DAY,
        last_day=last // DAY,
        sightings=len(group_by_origin(seen)),
        false_positives=len(denials),
        confidence=confidence,
        next_decay=None if falls is None else last + falls,
    )


def add_statistics(content: StixObject, said: HubStatistics, hub: str) -> StixObject:
    """The content with the hub's own figures; `hub` is its identity."""
    if said.confidence is not None:
        content = {**content, "confidence": said.confidence}
    if content["type"] != "indicator":
        return content
    history = {
        "extension_type": "property-extension",
        "hub_ref": hub,
        "contributors": said.contributors,
        "first_reported": stix_time(said.first_day * DAY),
        "last_reported": stix_time(said.last_day * DAY),
        "sightings": said.sightings,
        "false_positives": said.false_positives,
    }
    return {**content, "extensions": {**content.get("extensions", {}), EXTENSION: history}}


def visible_assessments(testimonies: Iterable[Assessment], about: Contribution) -> list[Assessment]:
    """Those that whoever may read what they are about may know of.

    One at a stricter level, or under a further marking, is not among them.
    """
    marks = _marks(about.scope)
    return [t for t in testimonies if t.tlp <= about.tlp and _marks(t.scope) <= marks]


def newest_by_partner(testimonies: Iterable[Assessment]) -> list[Assessment]:
    """The newest of each partner: one voice."""
    latest: dict[str, Assessment] = {}
    for each in sorted(testimonies, key=_age):
        latest[each.partner] = each
    return list(latest.values())


def trim_assessments(testimonies: Iterable[Assessment]) -> tuple[Assessment, ...]:
    """What is remembered: the newest few of each partner, in order."""
    by_partner: dict[str, list[Assessment]] = {}
    for each in sorted(testimonies, key=_age):
        by_partner.setdefault(each.partner, []).append(each)
    return tuple(t for name in sorted(by_partner) for t in by_partner[name][-_MOST_TESTIMONIES:])


def parse_assessments(spoken: Contribution) -> dict[str, Assessment]:
    """What a sighting or an opinion says, by the ids of the indicators that it is about."""
    subject = spoken.object
    if subject["type"] == "sighting":
        targets = [subject["sighting_of_ref"]]
        word = (
            AssessmentKind.FALSE_POSITIVE if subject.get("count") == 0 else AssessmentKind.SIGHTING
        )
    elif subject["type"] == "opinion":
        targets = subject["object_refs"]
        word = (
            AssessmentKind.FALSE_POSITIVE
            if "disagree" in subject["opinion"]
            else AssessmentKind.OTHER
        )
    else:
        return {}
    at = subject.get("last_seen") or subject.get("first_seen") or spoken.version
    testimony = Assessment(
        partner=spoken.partner,
        source_id=spoken.source_id,
        kind=word,
        when=min(micros(at), spoken.received) if at else spoken.received,
        tlp=spoken.tlp,
        scope=spoken.scope,
        reliability=spoken.reliability,
        group=spoken.group,
    )
    return {target: testimony for target in targets if target.startswith("indicator--")}


def group_by_origin(spoken: Sequence[_Spoken]) -> list[list[_Spoken]]:
    """Those that go back to one origin together.

    One origin have: one partner, partners of one group, whoever forwards an object under
    its one id, unless that follows from the value, and whoever refers to one report.
    """
    parents: dict[object, object] = {}

    def root(node: object) -> object:
        parents.setdefault(node, node)
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for each in spoken:
        for origin in _origins(each):
            parents[root(origin)] = root(("partner", each.partner))
    groups: dict[object, list[_Spoken]] = {}
    for each in spoken:
        groups.setdefault(root(("partner", each.partner)), []).append(each)
    return list(groups.values())


_MOST_TESTIMONIES = 20
"""How many sightings and opinions of one partner on one object are remembered."""


def _origins(spoken: _Spoken) -> set[tuple[str, ...]]:
    origins: set[tuple[str, ...]] = set()
    if not _made_of_its_content(spoken.source_id):
        origins.add(("id", spoken.source_id))
    if spoken.group:
        origins.add(("group", spoken.group))
    if isinstance(spoken, Contribution):
        for reference in spoken.object.get("external_references", ()):
            origins |= _reports(reference)
    return origins


def _made_of_its_content(source_id: str) -> bool:
    """Whether an id is a name-based UUID: whoever sends the same value gives it by himself."""
    try:
        return uuid.UUID(source_id.rpartition("--")[2]).version in (3, 5)
    except ValueError:
        return False


def _reports(reference: StixObject) -> set[tuple[str, ...]]:
    """The report that a reference leads to; none, if it is a catalogue's entry or a mere site."""
    name = str(reference.get("source_name", "")).casefold()
    if any(name.startswith(each) for each in _CATALOGUES):
        return set()
    found: set[tuple[str, ...]] = set()
    if reference.get("external_id"):
        found.add(("report", name, str(reference["external_id"])))
    url = str(reference.get("url", ""))
    if _leads_somewhere(url):
        found.add(("url", url))
    return found


def _leads_somewhere(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)


def _source(group: Sequence[_Spoken], scale: ConfidenceSettings) -> Source:
    return merge_sources([Source(each.reliability, _stated(each, scale)) for each in group])


def _stated(spoken: _Spoken, scale: ConfidenceSettings) -> int | None:
    stated = spoken.object.get("confidence") if isinstance(spoken, Contribution) else None
    return None if stated is None else weigh_confidence(stated, spoken.reliability, scale)


def _as_time_goes(
    subject: StixObject, full: int | None, age: int, scale: ConfidenceSettings
) -> tuple[int | None, int | None]:
    """Confidence at that age, and the age at which it falls next."""
    if full is None:
        return None, None
    half = half_life(subject, scale)
    return decay_confidence(full, age, half, scale.step), next_decay(full, age, half, scale.step)


def _least_strict(contributions: Sequence[Contribution]) -> list[Contribution]:
    least: Tlp = min(contribution.tlp for contribution in contributions)
    return [contribution for contribution in contributions if contribution.tlp == least]


def _voice(own: Sequence[Contribution]) -> Contribution:
    if len(own) == 1:
        return own[0]
    first = min(each.first_reported or each.received for each in own)
    last = max(each.last_reported or each.received for each in own)
    return replace(max(own, key=version_order), first_reported=first, last_reported=last)


def _marks(scope: str) -> set[str]:
    """The markings of a scope that are no TLP level."""
    return set(scope.split("|")[1:])


def _age(testimony: Assessment) -> tuple[int, bool, str, str]:
    """Of two at one moment the one that denies is the newer."""
    denies = testimony.kind is AssessmentKind.FALSE_POSITIVE
    return (testimony.when, denies, testimony.source_id, testimony.kind.value)


def _newest_first(contribution: Contribution) -> tuple[int, bytes]:
    stamp = micros(contribution.version) if contribution.version else 0
    return (-stamp, canonical_json(contribution.object))


def _validity(spoken: Sequence[Contribution]) -> StixObject:
    """From when until when anybody stands behind it, a partner under whichever of its ids."""
    subjects = [contribution.object for contribution in spoken]
    until = None
    if all("valid_until" in subject for subject in subjects):
        until = max((subject["valid_until"] for subject in subjects), key=micros)
    since = min((subject["valid_from"] for subject in subjects), key=micros)
    return {"valid_from": since, "valid_until": until}


def _texts(subjects: Sequence[StixObject]) -> StixObject:
    content: StixObject = {}
    for name in ("name", "description"):
        texts = [subject[name] for subject in subjects if subject.get(name)]
        if texts:
            content[name] = min(texts, key=_fullest)
    return content


def _fullest(text: str) -> tuple[int, str]:
    """Masked texts come last, then the longest first."""
    return (-len(text) + 1000 * text.count("[removed"), text)


def _union(lists: Iterable[Sequence[Any]]) -> list[Any]:
    by_text: dict[bytes, Any] = {}

    for items in lists:
        by_text.update({orjson.dumps(item, option=orjson.OPT_SORT_KEYS): item for item in items})
    return [by_text[text] for text in sorted(by_text)]


def is_same_content(new: StixObject, old: StixObject) -> bool:
    """Whether it is the same again; the earliest `valid_from` counts, so a later one is nothing."""
    if new == old:
        return True
    if "valid_from" not in new or "valid_from" not in old:
        return False
    if micros(new["valid_from"]) < micros(old["valid_from"]):
        return False
    return {**new, "valid_from": ""} == {**old, "valid_from": ""}


def version_gap(new: Contribution, old: Contribution) -> int:
    """How much later, in µs, a partner's word is than what it said under the same id before.

    Where one has no version, what comes last is later.
    """
    if not (old.version and new.version):
        return 1
    return micros(new.version) - micros(old.version)


def is_same_definition(new: Contribution, old: Contribution) -> bool:
    """Whether two marking definitions that are passed on as they came say the same."""
    return bool(old.raw) and orjson.loads(old.raw) == orjson.loads(new.raw)
