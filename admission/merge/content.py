"""Merging the content of several contributions into one public object.

One contribution leads (`Precedence`) and the content is what it says; of an indicator, others add
words of closed vocabularies and a later end.  The content is computed from all
contributions every time, so their order does not matter.  Everything that each TLP level
shows is decided here too.  The hub's own statements are in `statistics`.

A public object is one document with all its contributions, and documents are limited.
Where they do not fit, the contributions that do not lead are shortened (`shorten`): a
merge still has what they add to the object, and who reported it when.  A digest of
what was left out tells whether the partner sends the same again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tocsin.admission.markings.granular import (
    add_granular_markings,
    layer_at,
    layers_of,
    mark_additions,
    resolve_selector,
    value_at,
)
from tocsin.admission.merge.identity import contributing_properties
from tocsin.admission.merge.sources import Evidence
from tocsin.admission.model import (
    Contribution,
    Layer,
    Path,
    StixObject,
    Tlp,
    UnchangedBelow,
)
from tocsin.admission.timestamps import DAY, micros

_SHARED_TYPES = frozenset(
    ("anomalous-activity", "anonymization", "attribution", "compromised", "malicious-activity")
)
"""Indicator types (STIX 2.1 section 10.13) that any contribution adds.

Not `benign`, which would contradict the leading contribution: a sighting with `count: 0` or an
opinion says that. `unknown` says nothing.
"""
_COMMON_TACTICS = (
    *("initial-access", "execution", "persistence", "privilege-escalation", "discovery"),
    *("lateral-movement", "collection", "command-and-control", "impact"),
)
_KILL_CHAINS: Mapping[str, frozenset[str]] = {
    "lockheed-martin-cyber-kill-chain": frozenset(
        (
            *("reconnaissance", "weaponization", "delivery", "exploitation", "installation"),
            *("command-and-control", "actions-on-objectives", "actions-on-objective"),
        )
    ),
    "mitre-attack": frozenset(
        (
            *("reconnaissance", "resource-development", "defense-evasion", "credential-access"),
            *("exfiltration", *_COMMON_TACTICS),
        )
    ),
    "mitre-mobile-attack": frozenset(
        (
            *("defense-evasion", "credential-access", "exfiltration"),
            *("network-effects", "remote-service-effects", *_COMMON_TACTICS),
        )
    ),
    "mitre-ics-attack": frozenset(
        (
            *("evasion", "inhibit-response-function", "impair-process-control"),
            *_COMMON_TACTICS,
        )
    ),
}
"""The phases of kill chains that any contribution adds: no text of its sender."""
_SET_BY_HUB = ("id", "created", "modified", "created_by_ref", "revoked", "confidence")
"""Properties that the hub sets; no contribution determines them."""


@dataclass(frozen=True, slots=True)
class Precedence:
    """The order of contributions to one public object; the same in whatever order they come."""

    public_id: str = ""
    chosen: str = ""
    """The partner that a reviewer lets lead; empty: none was chosen."""
    secret: bytes = field(default=b"", repr=False)
    """The hub's; decides between contributions that were received at the same moment."""

    def leader(self, voices: Sequence[Contribution]) -> Contribution:
        """The contribution that leads, of one for each partner.

        It is the chosen partner's, else that of the most reliable partner, of equally reliable
        ones that of the first to report.
        """
        return voices[0] if len(voices) == 1 else min(voices, key=self._rank)

    def from_weakest(self, contributions: Iterable[Contribution]) -> list[Contribution]:
        """The contributions in the reverse of the order in which they would lead."""
        return sorted(contributions, key=self._rank, reverse=True)

    def by_receipt(self, evidence: Iterable[Evidence]) -> list[Evidence]:
        """The evidence in order of receipt; an assessment counts from its own time."""
        return sorted(evidence, key=lambda each: (_received(each), self._tie(each.partner)))

    def _rank(self, voice: Contribution) -> tuple[bool, int, int, bytes]:
        first = voice.first_reported or voice.received
        return (
            voice.partner != self.chosen,
            -voice.reliability,
            first,
            self._tie(voice.partner),
        )

    def _tie(self, partner: str) -> bytes:
        text = f"{self.public_id} {partner}".encode()
        return hashlib.blake2b(text, key=self.secret, digest_size=16).digest()


BY_RECEIPT = Precedence()
"""By reliability and time of receipt alone."""


def object_digest(subject: StixObject, exclude: Iterable[str] = ()) -> bytes:
    """16 octets over the object's value; equal for equal objects in any order of properties."""
    skipped = set(exclude)
    chosen = {name: value for name, value in subject.items() if name not in skipped}
    return hashlib.blake2b(canonical_json(chosen), digest_size=16).digest()


def canonical_json(value: object) -> bytes:
    """The value as compact JSON with sorted keys."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def merge_contributions(
    contributions: Sequence[Contribution], precedence: Precedence = BY_RECEIPT
) -> StixObject:
    """Merge the contributions into the content of the public object, without `_SET_BY_HUB`.

    If contributions have several levels (an SCO keeps its id at every level), only those at the
    least strict level count, so that nothing known at a stricter level shows.
    """
    voices = latest_by_partner(contributions)
    leader = precedence.leader(voices)
    content = {name: value for name, value in leader.object.items() if name not in _SET_BY_HUB}
    if content["type"] == "language-content":
        content.pop("object_modified", None)  # no reader has the sender's version
    if content["type"] == "indicator":
        content |= _merge_validity(leader, _least_strict_only(contributions))
        for name, words in _shared_vocabulary(voices).items():
            if union := _append_missing(content.get(name, ()), words):
                content[name] = union
    return content


@dataclass(frozen=True, slots=True)
class _MergedLayer:
    """The content at one level."""

    level: Tlp
    leader: str
    """The partner whose contribution it is."""
    content: StixObject
    languages: list[StixObject]
    """Its language markings."""

    def adds_to(self, below: _MergedLayer) -> bool:
        """True if it says something else, or the same in other languages.

        The same said at a stricter level adds nothing: it may be known at the less strict one.
        """
        both = [{**each.content, _MARKINGS: ()} for each in (self, below)]
        return both[0] != both[1] or self.languages != below.languages


_MARKINGS = "object_marking_refs"


def merge_by_tlp(
    contributions: Sequence[Contribution],
    merge: Callable[[Sequence[Contribution]], StixObject],
    precedence: Precedence = BY_RECEIPT,
) -> list[Layer]:
    """Merge the contributions at each level, the least strict first.

    Readers of a level get what leads of all that they may see.  Parts are removed before merging.
    The parts that a layer adds to less strict ones with the same leader get a granular marking
    with the level that they need.  A layer that adds nothing is left out.
    """
    least = min(contribution.tlp for contribution in contributions)
    if not any(
        each.tlp != least or each.stricter_layers or "granular_markings" in each.object
        for each in contributions
    ):
        return [(least, merge(contributions))]
    levels = {level for each in contributions for level, _ in layers_of(each)}
    found: list[_MergedLayer] = []
    for level in sorted(levels):
        layer = _merge_at(level, contributions, merge, precedence)
        if not found or layer.adds_to(found[-1]):
            found.append(layer)
    return [(each.level, _mark_layer(found[: at + 1])) for at, each in enumerate(found)]


def leading_contribution(
    contributions: Sequence[Contribution], level: Tlp, precedence: Precedence = BY_RECEIPT
) -> Contribution:
    """The contribution that leads of those that readers of a level may see.

    The least strict ones count if they may see none.
    """
    seen = _seen_at(max(level, min(each.tlp for each in contributions)), contributions)
    leader = precedence.leader(latest_by_partner(seen))
    own = (leader.partner, leader.source_id)
    return next(each for each in contributions if (each.partner, each.source_id) == own)


def _received(evidence: Evidence) -> int:
    return evidence.received if isinstance(evidence, Contribution) else evidence.when


def _seen_at(level: Tlp, contributions: Sequence[Contribution]) -> list[Contribution]:
    """The contributions that readers of a level may see, as if all had one level."""
    least = min(contribution.tlp for contribution in contributions)
    return [
        replace(as_known_at(each, level), tlp=least) for each in contributions if each.tlp <= level
    ]


def as_known_at(contribution: Contribution, level: Tlp) -> Contribution:
    """The contribution with the version and time of receipt that readers of a level know."""
    if not contribution.unchanged:
        return contribution
    known = next((each for each in contribution.unchanged if level < each.level), None)
    if known is None:
        return replace(contribution, unchanged=())
    return replace(contribution, version=known.version, received=known.received, unchanged=())


def keep_unchanged(new: Contribution, old: Contribution) -> Contribution:
    """The new contribution, which repeats the old one for readers to whom it says nothing new.

    To those who may not see the parts that have changed, it must not show that anything has: its
    version and time of receipt decide what counts.
    """
    if old.removed or new.tlp != old.tlp or not is_same_content(new.object, old.object):
        return new
    if "valid_from" in old.object:
        new = with_valid_from(new, old.object["valid_from"])
    changed = _level_of_news(new, old)
    known = tuple(each for each in old.unchanged if changed is None or each.level < changed)
    before = as_known_at(old, Tlp((changed or 1) - 1))
    if changed is not None and (before.version, before.received) != (new.version, new.received):
        known += (UnchangedBelow(changed, before.version, before.received),)
    (_, subject), *stricter = _in_order_of(layers_of(old), layers_of(new))
    return replace(
        new,
        object=subject,
        stricter_layers=tuple(stricter),
        unresolved_layers=_in_order_of(old.unresolved_layers, new.unresolved_layers),
        unchanged=known,
        reliability=old.reliability,
        group=old.group,
        last_reported=date_of_last_report(new, old),
    )


def _in_order_of(former: Sequence[Layer], layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers with their properties in the order in which they were at the same level before.

    Another order in a next version would show that something else came.
    """
    if not former:
        return tuple(layers)
    return tuple((level, _order_like(layer_at(former, level), layer)) for level, layer in layers)


def _order_like(former: StixObject, subject: StixObject) -> StixObject:
    there = {name: value for name, value in former.items() if name in subject}
    kept = {n: v if v == subject[n] else subject[n] for n, v in there.items()}
    return kept | {name: value for name, value in subject.items() if name not in kept}


def _level_of_news(new: Contribution, old: Contribution) -> Tlp | None:
    """The least strict level at which a contribution says or awaits something else; None: none."""
    both = [layers_of(each) for each in (new, old)]
    levels = sorted({level for layers in both for level, _ in layers})
    said = [e for e in levels if layer_at(both[0], e) != layer_at(both[1], e)][:1]
    awaited = _level_of_other_drafts(new, old)
    return min(said if awaited is None else [*said, awaited], default=None)


def date_of_last_report(new: Contribution, old: Contribution) -> int:
    """The time of the last report after a repetition: of an indicator it moves by whole days."""
    before = old.last_reported or old.received
    is_later = new.received // DAY > before // DAY
    return new.received if is_later and new.object["type"] == "indicator" else before


def with_valid_from(contribution: Contribution, moment: str) -> Contribution:
    """The contribution with another `valid_from` at all levels."""

    def since(layers: Sequence[Layer]) -> tuple[Layer, ...]:
        return tuple((level, {**layer, "valid_from": moment}) for level, layer in layers)

    ((_, subject),) = since([(contribution.tlp, contribution.object)])
    fuller, draft = since(contribution.stricter_layers), since(contribution.unresolved_layers)
    return replace(contribution, object=subject, stricter_layers=fuller, unresolved_layers=draft)


def _merge_at(
    level: Tlp,
    contributions: Sequence[Contribution],
    merge: Callable[[Sequence[Contribution]], StixObject],
    precedence: Precedence,
) -> _MergedLayer:
    """Merge what readers of a level may see."""
    seen = [
        replace(each, object=layer_at(layers_of(each), level), stricter_layers=())
        for each in _seen_at(level, contributions)
    ]
    content = merge(seen)
    content.pop("granular_markings", None)
    leader = precedence.leader(latest_by_partner(seen))
    languages = _used_language_markings(content, leader.object)
    return _MergedLayer(level, leader.partner, content, languages)


def _mark_layer(layers: Sequence[_MergedLayer]) -> StixObject:
    """The content of the last layer, with the granular markings of its parts."""
    last = layers[-1]
    own = [(each.level, each.content) for each in layers if each.leader == last.leader]
    return add_granular_markings(last.content, [*mark_additions(own), *last.languages])


def latest_by_partner(contributions: Sequence[Contribution]) -> list[Contribution]:
    """The newest contribution of each partner at the least strict level.

    Its `first_reported` and `last_reported` cover all of the partner's ids for the object.
    """
    known = [as_known_at(each, each.tlp) for each in _least_strict_only(contributions)]
    if len(contributions) == 1:
        return known
    by_partner: dict[str, list[Contribution]] = {}
    for each in known:
        by_partner.setdefault(each.partner, []).append(each)
    return [_latest_version(own) for own in by_partner.values()]


def is_repeat(new: Contribution, old: Contribution) -> bool:
    """True if a contribution adds nothing to an earlier one at any level, now or later.

    Two that are published in the same words may wait for different objects.
    """
    if old.removed:
        new = shorten(new)
    if new.removed != old.removed:
        return False
    if [level for level, _ in new.stricter_layers] != [level for level, _ in old.stricter_layers]:
        return False
    both = zip(layers_of(new), layers_of(old), strict=True)
    if not all(is_same_content(now, before) for (_, now), (_, before) in both):
        return False
    return _level_of_other_drafts(new, old) is None


def _level_of_other_drafts(new: Contribution, old: Contribution) -> Tlp | None:
    """The least strict level at which two contributions wait in other words; None if at none.

    If all that was sent is the same, it does not count that one waits at fewer levels: something
    may have arrived between them.
    """
    if new.sent and new.sent == old.sent:
        return None
    levels = sorted({level for each in (new, old) for level, _ in each.unresolved_layers})
    return next((e for e in levels if _draft_at(new, e) != _draft_at(old, e)), None)


def _draft_at(contribution: Contribution, level: Tlp) -> StixObject | None:
    """The words in which a contribution waits at a level, without its version."""
    waiting = contribution.unresolved_layers
    if not waiting or waiting[0][0] > level:
        return None
    return {n: value for n, value in layer_at(waiting, level).items() if n not in _DATES}


def has_same_words(new: Contribution, old: Contribution) -> bool:
    """True if a contribution differs from an earlier one only in what its references lead to.

    So does the same report, sent again, once what it refers to has another public id, or another
    level, to which the report was raised.
    """
    if new.sent and new.sent == old.sent:
        return True
    if old.removed:
        new = shorten(new)
    if (new.tlp, new.removed) != (old.tlp, old.removed):
        return False
    now, before = layers_of(new), layers_of(old)
    return all(
        _without_references(layer_at(now, level)) == _without_references(layer_at(before, level))
        for level, _ in (*now, *before)
    )


_DATES = ("id", "created", "modified", "valid_from")


def digest_as_sent(layers: Iterable[Layer]) -> bytes:
    """16 octets over a contribution as it was sent, and 16 more over it without its references.

    `layers` have the partner's own ids and levels.  The public ids that they lead to, and levels to
    which they are raised, may depend on objects that the partner does not know of; so where it may
    not read, this is compared.
    """
    whole: list[object] = []
    parts: list[object] = []
    for level, layer in layers:
        said = {name: value for name, value in layer.items() if name not in _DATES}
        whole.append([level.label, said])
        parts.append([level.label, _without_references(said)])
    return object_digest({"layers": whole}) + object_digest({"layers": parts})


_REFERENCE_NAMES = ("_ref", "_refs", "object_modified")
"""Endings of properties that say to what, and to which version of it, an object refers."""


def _without_references(subject: StixObject) -> StixObject:
    return {
        name: value
        for name, value in subject.items()
        if not name.endswith(_REFERENCE_NAMES) or name == "object_marking_refs"
    }


def with_references_of(old: Contribution, new: Contribution) -> Contribution:
    """`old` with its references as in `new`, at each level that both have."""
    now = dict(layers_of(new))
    layers = [
        (level, {**layer, **_references(now[level])}) if level in now else (level, layer)
        for level, layer in layers_of(old)
    ]
    return replace(old, object=layers[0][1], stricter_layers=tuple(layers[1:]), sent=new.sent)


def _references(subject: StixObject) -> StixObject:
    kept = _without_references(subject)
    return {name: value for name, value in subject.items() if name not in kept}


def is_same_content(new: StixObject, old: StixObject) -> bool:
    """True if `new` adds nothing to `old`; a later `valid_from` is nothing new."""
    if new == old:
        return True
    if "valid_from" not in new or "valid_from" not in old:
        return False
    if micros(new["valid_from"]) < micros(old["valid_from"]):
        return False
    return {**new, "valid_from": ""} == {**old, "valid_from": ""}


def version_gap(new: Contribution, old: Contribution) -> int:
    """The time in µs by which `new` is later than the partner's previous version under the same id.

    1 if one of them has no version: the last to arrive is the newer.
    """
    if not (old.version and new.version):
        return 1
    return micros(new.version) - micros(old.version)


def version_order(contribution: Contribution) -> tuple[int, str]:
    """Sort key for one partner's contributions to one object, newest last.

    At the same moment the greater id counts as the newer, so the order of arrival does not
    matter.  Without a version the time of receipt counts.
    """
    known = as_known_at(contribution, contribution.tlp)
    return (micros(known.version) if known.version else known.received, known.source_id)


def _used_language_markings(content: StixObject, sent: StixObject) -> list[StixObject]:
    """Language markings of parts that the merged content has exactly as sent."""
    found: dict[tuple[str, str], None] = {}
    unchanged: dict[Path, bool] = {}  # one part may be selected any number of times
    for marking in sent.get("granular_markings", ()):
        for selector in marking["selectors"]:
            path = resolve_selector(content, selector)
            if path is None or path != resolve_selector(sent, selector):
                continue
            if path not in unchanged:
                unchanged[path] = value_at(content, path) == value_at(sent, path)
            if unchanged[path]:
                found[str(marking.get("lang")), selector] = None
    by_language: dict[str, list[str]] = {}
    for language, selector in sorted(found):
        by_language.setdefault(language, []).append(selector)
    return [{"lang": lang, "selectors": selectors} for lang, selectors in by_language.items()]


def _least_strict_only(contributions: Sequence[Contribution]) -> list[Contribution]:
    least: Tlp = min(contribution.tlp for contribution in contributions)
    return [contribution for contribution in contributions if contribution.tlp == least]


def _latest_version(own: Sequence[Contribution]) -> Contribution:
    if len(own) == 1:
        return own[0]
    first = min(each.first_reported or each.received for each in own)
    last = max(each.last_reported or each.received for each in own)
    return replace(max(own, key=version_order), first_reported=first, last_reported=last)


def _merge_validity(leader: Contribution, contributions: Sequence[Contribution]) -> StixObject:
    """The earliest `valid_from` of the leading partner; the latest `valid_until`, if it has one."""
    own = [each.object for each in contributions if each.partner == leader.partner]
    merged: StixObject = {"valid_from": min((subject["valid_from"] for subject in own), key=micros)}
    if "valid_until" in leader.object:
        ends = (each.object.get("valid_until") for each in contributions)
        merged["valid_until"] = max((end for end in ends if end is not None), key=micros)
    return merged


def _shared_vocabulary(voices: Sequence[Contribution]) -> StixObject:
    """The words of closed vocabularies in all contributions."""
    types = [t for each in voices for t in each.object.get("indicator_types", ())]
    phases = [p for each in voices for p in each.object.get("kill_chain_phases", ())]
    return {
        "indicator_types": [each for each in types if each in _SHARED_TYPES],
        "kill_chain_phases": [each for each in phases if _is_known_phase(each)],
    }


def _is_known_phase(phase: StixObject) -> bool:
    known = _KILL_CHAINS.get(phase["kill_chain_name"], frozenset())
    return len(phase) == 2 and phase["phase_name"] in known


def _append_missing(items: Sequence[Any], added: Iterable[Any]) -> list[Any]:
    """The list in its own order, by which translations and markings select; then missing items.

    Those are sorted, so that the order of arrival does not matter.
    """
    known = {canonical_json(item) for item in items}
    missing = {canonical_json(item): item for item in added}
    return [*items, *(missing[text] for text in sorted(missing.keys() - known))]


SHORT_OCTETS = 256
"""Octets of a property, as JSON, that may stay whatever it says."""
SHORT_OCTETS_OF_ALL = 4_096
"""Octets of all such properties together."""
REFERENCE_OCTETS = 65_536
"""Octets of the external references that stay; they tell independent sources apart."""
_MERGED = frozenset(
    (
        *("type", "spec_version", "pattern", "pattern_type", "pattern_version"),
        *("valid_from", "valid_until", "indicator_types", "kill_chain_phases", "confidence"),
        *("relationship_type", "start_time", "stop_time", "definition", "definition_type"),
    )
)
"""Properties that a merge or the standard needs, apart from references to objects."""
_OF_REFERENCES = ("source_name", "url", "external_id")


def shorten(contribution: Contribution) -> Contribution:
    """The contribution without long texts; what was shortened before stays as it is."""
    if contribution.removed:
        return contribution
    removed: list[StixObject] = []

    def cut(subject: StixObject) -> StixObject:
        kept, left_out = _split(subject)
        removed.append(left_out)
        return kept

    subject = cut(contribution.object)
    stricter = tuple((level, cut(layer)) for level, layer in contribution.stricter_layers)
    digest = hashlib.blake2b(canonical_json(removed), digest_size=16).digest()
    drafts = tuple((level, cut(layer)) for level, layer in contribution.unresolved_layers)
    return replace(
        contribution,
        object=subject,
        stricter_layers=stricter,
        unresolved_layers=drafts,
        removed=digest,
    )


def stored_octets(contribution: Contribution) -> int:
    """About how many octets the contribution takes where it is stored."""
    layers = (*contribution.stricter_layers, *contribution.unresolved_layers)
    texts = (contribution.object, *(layer for _, layer in layers))
    return 500 + len(contribution.raw) + sum(len(orjson.dumps(each)) for each in texts)


def _split(subject: StixObject) -> tuple[StixObject, StixObject]:
    """The properties that stay, and those that are left out."""
    needed = _MERGED | set(contributing_properties(subject["type"]))
    kept: StixObject = {}
    left_out: StixObject = {}
    room = SHORT_OCTETS_OF_ALL
    for name in sorted(subject):
        value = subject[name]
        if name in needed or name.endswith(("_ref", "_refs")):
            kept[name] = value
        elif name == "external_references":
            kept[name] = _shorten_references(value)
            if kept[name] != value:
                left_out[name] = value
        elif (octets := len(orjson.dumps(value))) <= min(SHORT_OCTETS, room):
            kept[name] = value
            room -= octets
        else:
            left_out[name] = value
    if left_out and "granular_markings" in kept:  # they name properties that are gone
        left_out["granular_markings"] = kept.pop("granular_markings")
    return kept, left_out


def _shorten_references(references: list[Any]) -> list[Any]:
    kept: list[Any] = []
    room = REFERENCE_OCTETS
    for each in references:
        short = {name: each[name] for name in _OF_REFERENCES if name in each}
        room -= len(orjson.dumps(short))
        if room < 0:
            break
        kept.append(short)
    return kept
