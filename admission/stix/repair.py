"""Repair unambiguous errors before the schemas refuse them.

STIX 2.0 objects, the format of timestamps, an author that is not an identity,
duplicates in lists, the spelling of MAC addresses, registry keys, hash names and pattern languages.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.granular import drop_selectors, selects_items_of
from tocsin.admission.model import Action, Finding, StixObject
from tocsin.admission.observables.hashes import (
    find_contradictions,
    find_hash_tables,
    hash_name,
    is_hash_table,
)
from tocsin.admission.observables.values import canonical_value
from tocsin.admission.quotations import format_plain_path
from tocsin.admission.stix.free_text import PATTERN_LANGUAGES
from tocsin.admission.stix.memo import memoize_nested
from tocsin.admission.stix.schemas import Schema
from tocsin.admission.stix.upgrade import upgrade
from tocsin.admission.timestamps import micros, stix_time, timestamp

_MILLIS = compile_lazily(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_UTC = compile_lazily(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)
_MILLISECOND_TIMES = frozenset(("created", "modified", "object_modified"))
"""Timestamps that have exactly three decimals (STIX 2.1 sections 3.2 and 7.1)."""
_LONGEST_TIME = 80
"""Characters of a timestamp with all decimals that are read; longer ones are refused."""
_UNORDERED_LISTS = frozenset(
    (
        *("labels", "aliases", "roles", "sectors", "capabilities", "indicator_types"),
        *("malware_types", "report_types", "threat_actor_types", "tool_types", "languages"),
        *("infrastructure_types", "secondary_motivations", "implementation_languages"),
    )
)
"""Lists in which duplicates have no meaning."""
_LONGEST_LANGUAGE = 80
_CANONICAL_PROPERTIES = {"mac-addr": "value", "windows-registry-key": "key"}
_VERSIONED_TLSH = compile_lazily(r"[Tt]1[0-9A-Fa-f]{70}")
"""A TLSH as its programs write it since version 4; STIX 2.1 has the digits alone."""
_AUTHOR = "created_by_ref"
_OPENCTI = "extension-definition--ea279b3e-5c71-4632-ac08-831c66a786ba"
"""The extension in which OpenCTI exports its own properties."""


def repair(subject: StixObject, schema: Schema) -> tuple[StixObject, tuple[Finding, ...]]:
    """The object as the schemas of STIX 2.1 require it, and a finding for each repair."""
    findings: list[Finding] = []
    changes: StixObject = {}
    if not schema.observable and subject.get("spec_version", "2.0") == "2.0":
        subject = upgrade(subject)
        findings.append(_repair_finding("upgrade", "upgraded from STIX 2.0 to 2.1", ""))
    for repair in _REPAIRS:
        for name, value, finding in repair(subject, schema):
            changes[name] = value
            if finding:
                findings.append(finding)
    if changes:
        subject = {**subject, **changes}
    return _remove_wrong_author(subject, findings), tuple(findings)


_Change = tuple[str, object, Finding | None]


def _repair_times(subject: StixObject, schema: Schema) -> Iterator[_Change]:
    for name in schema.times:
        text = subject.get(name)
        if not isinstance(text, str) or len(text) > _LONGEST_TIME:
            continue  # the schema refuses it
        if (canonical := _format_time(name in _MILLISECOND_TIMES, text)) != text:
            finding = None
            if not _UTC.fullmatch(text):
                finding = _repair_finding("timestamps", f"{name} written in UTC", name)
            yield name, canonical, finding


@lru_cache(maxsize=4096)  # objects of one submission share their dates
def _format_time(precise: bool, text: str) -> str:  # noqa: FBT001
    format_instant: Callable[[int], str] = timestamp
    if precise:
        if _MILLIS.fullmatch(text):
            return text
        format_instant = stix_time
    elif _UTC.fullmatch(text):
        return text
    try:
        return format_instant(micros(text))
    except Malformed:
        return text  # the schema refuses it


def _repair_lists(subject: StixObject, schema: Schema) -> Iterator[_Change]:
    for name in _lists_with_duplicates(subject):
        distinct = list(dict.fromkeys(subject[name]))
        yield name, distinct, _repair_finding("duplicates", "duplicate values removed", name)


@memoize_nested
def _lists_with_duplicates(subject: StixObject) -> Iterator[str]:
    """The names of lists with duplicates."""
    for name, value in subject.items():
        if (
            type(value) is list
            and len(value) > 1
            and (name in _UNORDERED_LISTS or name.endswith("_refs"))
        ):
            only_strings = all(type(each) is str for each in value)
            if (
                only_strings
                and len(set(value)) < len(value)
                and not selects_items_of(subject, name)
            ):
                yield name


def _repair_values(subject: StixObject, schema: Schema) -> Iterator[_Change]:
    name = _CANONICAL_PROPERTIES.get(subject["type"])
    value = subject.get(name) if name else None
    if name and isinstance(value, str):
        canonical = canonical_value(subject["type"], name, value)
        if canonical != value:
            message = "rewritten in its canonical spelling"
            yield name, canonical, _repair_finding("spelling", message, name)


def _repair_language(subject: StixObject, schema: Schema) -> Iterator[_Change]:
    """The language of a pattern in the spelling by which the checks and rules know it."""
    word = subject.get("pattern_type")
    if subject["type"] != "indicator" or not isinstance(word, str) or word in PATTERN_LANGUAGES:
        return
    folded = unicodedata.normalize("NFKC", word[:_LONGEST_LANGUAGE]).casefold()
    known = "".join(filter(str.isalnum, folded))  # neither blanks nor what is not seen
    if known in PATTERN_LANGUAGES:
        message = "rewritten in its canonical spelling"
        yield "pattern_type", known, _repair_finding("spelling", message, "pattern_type")


def _repair_hashes(subject: StixObject, schema: Schema) -> Iterator[_Change]:
    """Hashes of references and extensions under their STIX names; `normalise` has the others.

    A TLSH loses its `T1` wherever it stands, since the schema allows the 70 digits only.
    """
    for name, finding in _examine_hash_names(subject):
        yield name, _rename_hashes(subject[name], name), finding


@memoize_nested
def _examine_hash_names(subject: StixObject) -> Iterator[tuple[str, Finding]]:
    """The properties with hashes in other spellings, or with two values for one algorithm."""
    for name in ("hashes", "external_references", "extensions"):
        tables = list(find_hash_tables({name: subject[name]})) if name in subject else ()
        if any(_strip_tlsh(each, value) != value for _, t in tables for each, value in t.items()):
            message = "the `T1` before a TLSH removed: STIX has its 70 digits only"
            yield name, _repair_finding("spelling", message, name)
        if name != "hashes" and any(hash_name(each) != each for _, t in tables for each in t):
            message = "hash algorithms under the names of STIX"
            yield name, _repair_finding("spelling", message, name)
        for path, table in tables:
            for algorithm in find_contradictions(table):
                message = f"{algorithm} is given twice with different values: keep one"
                place = format_plain_path(path)
                yield name, Finding("validate", "hashes", Action.REFUSED, message, place)


def _rename_hashes(part: object, name: str = "") -> object:
    if isinstance(part, dict) and is_hash_table(name):
        return {hash_name(each): _strip_tlsh(each, value) for each, value in part.items()}
    if isinstance(part, dict):
        return {each: _rename_hashes(value, each) for each, value in part.items()}
    return [_rename_hashes(item, "") for item in part] if isinstance(part, list) else part


def _strip_tlsh(algorithm: str, value: object) -> object:
    """The value of a hash, which for TLSH is without the version `T1`."""
    if (
        isinstance(value, str)
        and hash_name(algorithm) == "TLSH"
        and _VERSIONED_TLSH.fullmatch(value)
    ):
        return value[2:]
    return value


def _repair_score(subject: StixObject, schema: Schema) -> Iterator[_Change]:
    """The score of an indicator from OpenCTI as its confidence.

    OpenCTI's users act on the score; its confidence is that in the source, 100 by default.
    """
    if subject["type"] != "indicator":
        return
    score = _opencti_score(subject)
    if score is not None and subject.get("confidence") != score:
        message = "OpenCTI's score is read as the confidence"
        yield "confidence", score, _repair_finding("score", message, "confidence")


def _opencti_score(subject: StixObject) -> int | None:
    """The score from 0 to 100; None if there is none."""
    extensions = subject.get("extensions")
    extension = extensions.get(_OPENCTI) if isinstance(extensions, dict) else None
    inner = extension.get("score") if isinstance(extension, dict) else None
    for score in (subject.get("x_opencti_score"), inner):
        if type(score) is int and 0 <= score <= 100:
            return score
    return None


def _remove_wrong_author(subject: StixObject, findings: list[Finding]) -> StixObject:
    """Remove an author that is not an identity."""
    author = subject.get(_AUTHOR, "identity--")
    if not isinstance(author, str) or author.startswith("identity--") or "--" not in author:
        return subject  # the schema refuses it
    message = "removed: must point at identity"
    findings.append(Finding("validate", "references", Action.STRIPPED, message, _AUTHOR))
    remaining = {name: value for name, value in subject.items() if name != _AUTHOR}
    return drop_selectors(remaining, (_AUTHOR,))


def _repair_finding(rule: str, message: str, path: str) -> Finding:
    return Finding("normalise", rule, Action.REPAIRED, message, path)


_REPAIRS = (
    *(_repair_times, _repair_lists, _repair_values, _repair_language, _repair_hashes),
    _repair_score,
)
