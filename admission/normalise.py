"""Normalise a candidate: one spelling per meaning, without changing its matches.

Patterns get their canonical form, observables their canonical spelling, open
vocabularies their standard words, and TLP markings of any version the ids of
TLP 2.0.  Idempotent.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import orjson

from tocsin.admission.detectors.person_names import find_person_names
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings import tlp as markings
from tocsin.admission.markings.granular import drop_selectors, selects_items_of
from tocsin.admission.model import Action, Candidate, Finding, Path, StixObject, Tlp
from tocsin.admission.observables.hashes import hash_name
from tocsin.admission.observables.values import canonical_value
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
        *("indicator_types", "malware_types", "report_types", "threat_actor_types", "tool_types"),
        *("infrastructure_types", "sectors", "roles", "capabilities", "labels"),
    )
)
_CANONICAL_PROPERTIES = ("value", "key")
_VOCABULARY_WORD = compile_lazily(r"(?!(?:\D*\d){5})[^\W_][\w -]*")
"""A vocabulary word; a string with five digits or more is not one."""
_INVISIBLE = compile_lazily(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060-\u2064\u2066-\u2069\u202a-\u202e\ufeff]"
)
"""Control characters but tabs and ends of lines, soft hyphens, zero-width spaces, direction
overrides; not the joiners that scripts need."""
_ESCAPED_CONTROL = re.compile(rb"\\(?:u00|[bf])")
"""In JSON; a backslash before these letters looks alike."""


@dataclass(frozen=True, slots=True)
class MarkingContext:
    """The meaning of markings in one submission, and the level of objects without any."""

    level: Tlp
    definitions: Mapping[str, Tlp]
    """By id of a marking definition: the level of the least strict object that carries it."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """By id of a marking definition: its content, digested; the same for every sender of it."""
    audience: str = ""
    """See `Submitter.audience`."""

    def level_of(self, subject: StixObject) -> Tlp:
        """The default level of one object."""
        return self.definitions.get(str(subject.get("id")), self.level)


def normalise(
    candidate: Candidate, defaults: MarkingContext, definitions: Mapping[str, StixObject]
) -> Candidate:
    """Normalise the candidate and set its TLP level and sharing scope.

    `definitions` are the marking definitions of the submission, by id.  A marking that is
    defined neither there nor in the hub stays in place: the rule `marking` holds the object.
    """
    subject = candidate.object
    if subject is None:
        return candidate
    visible = _remove_invisible(_normalise_pattern(subject))
    if visible is not subject:
        visible = _normalise_pattern(visible)  # it may have become canonical only now
    normalised = _normalise_vocabularies(_normalise_values(visible))
    if normalised is not subject:
        candidate = candidate.with_object(normalised, *_find_rewritten(subject, normalised))
    marked = _normalise_markings(candidate, defaults, definitions)
    return _normalise_released_items(marked) if "granular_markings" in normalised else marked


def _normalise_released_items(candidate: Candidate) -> Candidate:
    """Normalise vocabularies once more, now that no marking selects their items.

    A list item that a granular marking selects keeps its position; `_normalise_markings` moves
    that marking to the whole object.
    """
    subject = candidate.object
    assert subject is not None  # noqa: S101  (`normalise` checked it)
    normalised = _normalise_vocabularies(subject)
    if normalised is subject:
        return candidate
    findings = (
        each for each in _find_rewritten(subject, normalised) if each not in candidate.findings
    )
    return candidate.with_object(normalised, *findings)


def _find_rewritten(before: StixObject, after: StixObject) -> tuple[Finding, ...]:
    message = "rewritten in its canonical spelling"
    return tuple(
        Finding("normalise", "spelling", Action.REPAIRED, message, name)
        for name, value in before.items()
        if after.get(name) != value
    )


def _remove_invisible(subject: StixObject) -> StixObject:
    """Remove invisible and control characters, which hide words from rules and readers."""
    raw = orjson.dumps(subject)
    may_hold = b"\\" in raw and _ESCAPED_CONTROL.search(raw) is not None
    if raw.isascii() and not may_hold and b"\x7f" not in raw:  # ten times as fast as the texts
        return subject
    changes: dict[Path, str | None] = {
        path: _INVISIBLE.sub("", text)
        for path, text in free_texts(subject)
        if _INVISIBLE.search(text)
    }
    return replace_texts(subject, changes) if changes else subject


def _normalise_pattern(subject: StixObject) -> StixObject:
    if subject["type"] != "indicator" or subject.get("pattern_type") != "stix":
        return subject
    normalised = canonical_pattern(subject["pattern"])
    return subject if normalised == subject["pattern"] else {**subject, "pattern": normalised}


def _normalise_values(subject: StixObject) -> StixObject:
    """Rewrite the values of an SCO in their canonical spelling, hash names included."""
    kind = subject["type"]
    changes: StixObject = {}
    for name in _CANONICAL_PROPERTIES:
        value = subject.get(name)
        if isinstance(value, str):
            normalised = canonical_value(kind, name, value)
            if normalised != value:
                changes[name] = normalised
    hashes = subject.get("hashes")
    if isinstance(hashes, dict):
        normal_hashes = {
            hash_name(name): canonical_value(kind, f"hashes.'{hash_name(name)}'", text)
            for name, text in hashes.items()
        }
        if normal_hashes != hashes:
            changes["hashes"] = normal_hashes
    return {**subject, **changes} if changes else subject


def _normalise_vocabularies(subject: StixObject) -> StixObject:
    changes = {name: list(words) for name, words in _find_vocabulary_changes(subject)}
    if not changes:
        return subject
    merged = {**subject, **changes}
    empty = [name for name, value in merged.items() if value == []]
    kept = {name: value for name, value in merged.items() if value != []}
    return drop_selectors(kept, empty)


@memoize_nested
def _find_vocabulary_changes(subject: StixObject) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The vocabulary properties whose words change, with the normalised words."""
    for name in sorted(_VOCABULARIES & subject.keys()):
        words = subject[name]
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            normalised = _normalise_words(name, words)
            if not selects_items_of(subject, name):
                normalised = list(dict.fromkeys(word for word in normalised if word))
            if normalised != words:
                yield name, tuple(normalised)


def _normalise_words(name: str, words: list[Any]) -> list[str]:
    if name == "labels":
        plain = [word.strip() for word in words]
    else:
        plain = [_normalise_word(word.strip()) for word in words]
    if name == "indicator_types":
        plain = [_INDICATOR_TYPES.get(word, word) for word in plain]
    return plain


def _normalise_word(text: str) -> str:
    """Normalise a vocabulary word; other text stays as it is, so that the rules can read it.

    Without capitals and blanks nothing would find a person's name.
    """
    if not _VOCABULARY_WORD.fullmatch(text) or " " in text and any(find_person_names(text)):
        return text
    return text.lower().replace("_", "-").replace(" ", "-")


def _normalise_markings(
    candidate: Candidate, defaults: MarkingContext, definitions: Mapping[str, StixObject]
) -> Candidate:
    subject = candidate.object
    assert subject is not None  # noqa: S101  (the caller looked)
    marks = markings.read_markings(subject, definitions)
    findings: tuple[Finding, ...] = ()
    if marks.repaired:
        findings = tuple(
            _repair_finding(f"{old} is not an official TLP marking; read as {new}")
            for old, new in marks.repaired
        )
    labelled = markings.labelled_level(subject) if "labels" in subject else None
    if labelled is not None and markings.TLP_2_IDS[labelled] not in markings.marking_ids(subject):
        findings += (_label_finding(labelled),)
    tlp = marks.tlp
    if tlp is None:
        tlp = defaults.level_of(subject)
        if not marks.unknown_ids:
            findings += (_no_marking_finding(tlp),)
        marks = replace(marks, tlp=tlp)
    marked = markings.write_markings(subject, marks)
    if marked is not subject and not findings:
        message = "TLP marking rewritten with the id of TLP 2.0"
        place = "object_marking_refs"
        findings = (Finding("normalise", "spelling", Action.REPAIRED, message, place),)
    scope = _join_scope(tlp, marks.other_ids, defaults)
    return candidate.with_tlp(tlp, scope, marked, *findings)


def _join_scope(tlp: Tlp, others: Sequence[str], defaults: MarkingContext) -> str:
    """The sharing scope: the level, the meanings of further markings, the audience."""
    if not (others or defaults.audience):  # most objects have neither
        return tlp.label
    meanings = sorted({defaults.meanings.get(each, each) for each in others})
    audience = [defaults.audience] if defaults.audience else []
    return "|".join((tlp.label, *meanings, *audience))


@cache
def _no_marking_finding(tlp: Tlp) -> Finding:
    message = f"has no TLP marking: TLP:{tlp.label.upper()} is assumed"
    return Finding("normalise", "marking", Action.NOTED, message, "object_marking_refs")


@cache
def _label_finding(tlp: Tlp) -> Finding:
    message = f"a label says TLP:{tlp.label.upper()}: read as a marking, the strictest one counts"
    return Finding("normalise", "marking", Action.NOTED, message, "labels")


def _repair_finding(message: str) -> Finding:
    return Finding("normalise", "marking", Action.REPAIRED, message, "object_marking_refs")
