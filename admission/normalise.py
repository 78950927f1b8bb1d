"""One spelling for one meaning; what an object matches is never changed.

Idempotent: what has been normalised once comes out as it went in.  Patterns
take their canonical form, observables their one spelling, open vocabularies
their words, and TLP markings of every generation become those of TLP 2.0.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import orjson

from tocsin.admission.markings import tlp as markings
from tocsin.admission.markings.selectors import drop_selectors, selects_items_of
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Path,
    StixObject,
    Tlp,
)
from tocsin.admission.observables.canonical_values import canonical_value
from tocsin.admission.observables.hashes import hash_name
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.stix.free_text import free_texts, replace_texts
from tocsin.admission.stix.memo import memoize_nested

_INDICATOR_TYPES = {
    "malicious": "malicious-activity",
    "malware": "malicious-activity",
    "phishing": "malicious-activity",
    "anomalous": "anomalous-activity",
    "anonymisation": "anonymization",
    "good": "benign",
}
_VOCABULARIES = frozenset(
    (
        "indicator_types",
        "malware_types",
        "report_types",
        "threat_actor_types",
        "tool_types",
        "infrastructure_types",
        "sectors",
        "roles",
        "capabilities",
        "labels",
    )
)
_SPELT = ("value", "key")
_WORD = re.compile(r"(?!(?:\D*\d){5})[^\W_][\w -]*")
"""As vocabularies have them; a number is none."""
_INVISIBLE = re.compile("[\u00ad\u200b\u2060-\u2064\u2066-\u2069\u202a-\u202e\ufeff]")
"""Soft hyphens, zero-width spaces, direction overrides; not the joiners that scripts need."""


@dataclass(frozen=True, slots=True)
class DefaultTlp:
    """The levels of what carries no TLP marking."""

    level: Tlp
    definitions: Mapping[str, Tlp]
    """Of marking definitions, by id: as wide as what is marked with them."""

    def level_of(self, subject: StixObject) -> Tlp:
        """The level of one object."""
        return self.definitions.get(str(subject.get("id")), self.level)


def normalise(
    candidate: Candidate, defaults: DefaultTlp, definitions: Mapping[str, StixObject]
) -> Candidate:
    """The candidate in normal form, its strictest TLP level and its sharing scope set.

    `definitions` are the marking definitions that came in the same
    submission, by id; a marking that neither they nor the hub define is left
    in place for the marking rule to hold.
    """
    subject = candidate.object
    if subject is None:
        return candidate
    visible = _visible(_pattern(subject))
    if visible is not subject:
        visible = _pattern(visible)  # what was hidden in a value kept it from its one spelling
    spelt = _vocabularies(_values(visible))
    if spelt is not subject:
        candidate = candidate.with_object(spelt, *_respelt(subject, spelt))
    marked = _marked(candidate, defaults, definitions)
    return _free_list_items(marked) if "granular_markings" in spelt else marked


def _free_list_items(candidate: Candidate) -> Candidate:
    """The candidate with vocabularies respelt once more, if items had to keep their place.

    A list item that a granular marking selects keeps its place; once `_marked` has moved
    that marking to the object as a whole, nothing selects the item any more.
    """
    subject = candidate.object
    assert subject is not None  # noqa: S101  (`normalise` checked it)
    respelt = _vocabularies(subject)
    if respelt is subject:
        return candidate
    findings = (each for each in _respelt(subject, respelt) if each not in candidate.findings)
    return candidate.with_object(respelt, *findings)


def _respelt(before: StixObject, after: StixObject) -> tuple[Finding, ...]:
    message = "written in the one spelling of its meaning"
    return tuple(
        Finding("normalise", "spelling", Action.REPAIRED, message, name)
        for name, value in before.items()
        if after.get(name) != value
    )


def _visible(subject: StixObject) -> StixObject:
    """Texts without invisible characters: they hide words from rules and from readers."""
    if orjson.dumps(subject).isascii():  # a tenth of what it costs to look for texts
        return subject
    changes: dict[Path, str | None] = {
        path: _INVISIBLE.sub("", text)
        for path, text in free_texts(subject)
        if not text.isascii() and _INVISIBLE.search(text)
    }
    return replace_texts(subject, changes) if changes else subject


def _pattern(subject: StixObject) -> StixObject:
    if subject["type"] != "indicator" or subject.get("pattern_type") != "stix":
        return subject
    spelt = canonical_pattern(subject["pattern"])
    return subject if spelt == subject["pattern"] else {**subject, "pattern": spelt}


def _values(subject: StixObject) -> StixObject:
    """Observables of an SCO in their one spelling, hash names included."""
    kind = subject["type"]
    changes: StixObject = {}
    for name in _SPELT:
        value = subject.get(name)
        if isinstance(value, str):
            spelt = canonical_value(kind, name, value)
            if spelt != value:
                changes[name] = spelt
    hashes = subject.get("hashes")
    if isinstance(hashes, dict):
        spelt_hashes = {
            hash_name(name): canonical_value(kind, f"hashes.'{hash_name(name)}'", text)
            for name, text in hashes.items()
        }
        if spelt_hashes != hashes:
            changes["hashes"] = spelt_hashes
    return {**subject, **changes} if changes else subject


def _vocabularies(subject: StixObject) -> StixObject:
    changes = {name: list(words) for name, words in _respelt_words(subject)}
    if not changes:
        return subject
    merged = {**subject, **changes}
    empty = [name for name, value in merged.items() if value == []]
    kept = {name: value for name, value in merged.items() if value != []}
    return drop_selectors(kept, empty)


@memoize_nested
def _respelt_words(subject: StixObject) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The words of vocabularies as they are to be spelt, where they are not."""
    for name in sorted(_VOCABULARIES & subject.keys()):
        words = subject[name]
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            spelt = _words(name, words)
            if not selects_items_of(subject, name):
                spelt = list(dict.fromkeys(word for word in spelt if word))
            if spelt != words:
                yield name, tuple(spelt)


def _words(name: str, words: list[Any]) -> list[str]:
    if name == "labels":
        plain = [word.strip() for word in words]
    else:
        plain = [_word(word.strip()) for word in words]
    if name == "indicator_types":
        plain = [_INDICATOR_TYPES.get(word, word) for word in plain]
    return plain


def _word(text: str) -> str:
    """A word as vocabularies spell it; what is no word stays, for the rules to read it."""
    return text.lower().replace("_", "-").replace(" ", "-") if _WORD.fullmatch(text) else text


def _marked(
    candidate: Candidate, defaults: DefaultTlp, definitions: Mapping[str, StixObject]
) -> Candidate:
    subject = candidate.object
    assert subject is not None  # noqa: S101  (the caller looked)
    marks = markings.read_markings(subject, definitions)
    findings = tuple(
        _repaired(f"{old} is not a TLP marking of FIRST's; read as {new}")
        for old, new in marks.repaired
    )
    tlp = marks.tlp
    if tlp is None:
        tlp = defaults.level_of(subject)
        if not marks.unknown_ids:
            findings += (_unmarked(tlp),)
        marks = replace(marks, tlp=tlp)
    marked = markings.write_markings(subject, marks)
    if marked is not subject and not findings:
        message = "TLP written with the ids of TLP 2.0"
        place = "object_marking_refs"
        findings = (Finding("normalise", "spelling", Action.REPAIRED, message, place),)
    scope = "|".join((tlp.label, *marks.other_ids))
    return candidate.with_tlp(tlp, scope, marked, *findings)


@cache
def _unmarked(tlp: Tlp) -> Finding:
    message = f"carries no TLP marking; TLP:{tlp.label.upper()} is taken"
    return Finding("normalise", "marking", Action.NOTED, message, "object_marking_refs")


def _repaired(message: str) -> Finding:
    return Finding("normalise", "marking", Action.REPAIRED, message, "object_marking_refs")
