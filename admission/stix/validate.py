"""Validate one object as STIX 2.1.

The OASIS schema of its type first, then what a schema cannot say: real dates
in the right order, references to the right types, selectors of what is there,
the pattern's grammar, hash lengths against their algorithm.  Every fault
becomes a finding; one is enough to refuse.  Personal data and what a marking
means are not looked at here.
"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import islice

import orjson

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.granular import drop_selectors, find_marking_errors, format_selector
from tocsin.admission.model import Action, Candidate, Finding, Observable, Path, StixObject
from tocsin.admission.observables.hashes import find_hash_faults, hash_algorithm, hash_fault
from tocsin.admission.observables.placeholders import EXPLANATION, has_placeholder
from tocsin.admission.observables.urls import find_url_fault
from tocsin.admission.observables.values import (
    extract_observables,
    find_value_fault,
    is_language_code,
)
from tocsin.admission.patterns.bounded_compiler import BoundedCompiler
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.patterns.grammar import LONG_PATTERN, parse_pattern
from tocsin.admission.patterns.languages import LANGUAGES
from tocsin.admission.policy import Policy
from tocsin.admission.quotations import format_plain_path
from tocsin.admission.stix.custom_properties import find_undefined_properties, remove_properties
from tocsin.admission.stix.free_text import matched_values
from tocsin.admission.stix.references import find_references, target_fault
from tocsin.admission.stix.repair import repair
from tocsin.admission.stix.schema_errors import explain_schema_error
from tocsin.admission.stix.schemas import Schema, schema_for, schemas
from tocsin.admission.timestamps import micros

_ID = compile_lazily(r"[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_ID = 288
_VERSION = compile_lazily(r"\d{1,9}\.\d{1,9}\.\d{1,9}(?:[-+][0-9A-Za-z.+-]{1,100})?", re.ASCII)
_PROPERTY_NAME = compile_lazily(r"[a-z0-9_]{3,250}", re.ASCII)
_TOPLEVEL = "toplevel-property-extension"
_MOST_FAULTS = 10
_PAIRS = (
    ("created", "modified"),
    ("valid_from", "valid_until"),
    ("first_seen", "last_seen"),
    ("first_observed", "last_observed"),
    ("start_time", "stop_time"),
    ("start", "end"),
    ("analysis_started", "analysis_ended"),
    ("account_first_login", "account_last_login"),
    ("validity_not_before", "validity_not_after"),
    ("private_key_usage_period_not_before", "private_key_usage_period_not_after"),
)
_STRICT_PAIRS = frozenset({"valid_from", "start_time"})
_DEEP_TIMES = frozenset(
    (
        *("private_key_usage_period_not_before", "private_key_usage_period_not_after"),
        "time_date_stamp",
    )
)
"""Timestamps inside a certificate's extensions and those of a program file."""
_CONTROL = compile_lazily("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NO_CONTROLS = "contains control characters: write what can be seen"
_CHECKED_KINDS = ("domain-name", "ipv4-addr", "ipv6-addr", "email-addr")
_SHOWN = compile_lazily(r"(?!(?:\D*\d){5})[\w.*:/?(){}[\]-]{1,60}", re.ASCII)
"""An impossible value that a message may show: signs of hosts and addresses, few digits."""
_EXACT = ("=", "!=", "IN")
_ADVICE = (
    "no rule knows what in it is private: send what it says as objects of types that STIX"
    " defines, such as a note, a grouping or a relationship"
)
_EXTENDING = ("marking-definition", "extension-definition")
"""Types whose extensions are never custom content."""
_MARKINGS = ("object_marking_refs", "created_by_ref")
_UNSIGNED = Finding(
    "validate",
    "extension",
    Action.REPAIRED,
    "an extension definition names its author: the hub's identity will stand there",
    "created_by_ref",
)
_IN_DISGUISE = "the pattern is a STIX pattern, whose values the rules must read: write `stix`"
_APART = (
    "observables inside an observed-data are of STIX 2.0: send them as objects of their own and "
    "refer to them in `object_refs`, as `tocsin push` does for files"
)


def validate(
    candidate: Candidate, policy: Policy, now: int, patterns: BoundedCompiler | None = None
) -> Candidate:
    """The candidate as STIX 2.1, or refused with every fault that was found.

    `patterns` checks those in other languages than STIX, once the rest of the object is valid:
    one for all candidates of a submission, which share what it allows.  Raises Unavailable if it
    cannot say.
    """
    subject = candidate.object
    if subject is None:
        return candidate.refuse(_fault("format", "not a JSON object"))
    terms = (policy, now, policy.custom_properties)
    if _last_valid.is_repeated(subject, terms) and not any(_value_faults_of(subject, policy)):
        return _check_language(candidate, patterns or BoundedCompiler())
    fault = _shape_fault(subject, policy)
    if fault:
        return candidate.refuse(fault)
    if subject["type"] not in schemas():
        return _foreign(candidate, subject, policy, now)
    checked = _check_against_schema(candidate, subject, policy, now, policy.custom_properties)
    return _check_language(checked, patterns or BoundedCompiler()) if checked.is_open else checked


def _check_against_schema(
    candidate: Candidate, subject: StixObject, policy: Policy, now: int, mode: str
) -> Candidate:
    """Check the candidate by its schema; `mode` is the treatment of undefined properties."""
    schema = schema_for(subject)
    subject, repairs = repair(subject, schema)
    subject, stripped = _within(subject, schema, mode)
    faults = tuple(islice(_faults(subject, schema, policy, now), _MOST_FAULTS))
    findings = (*repairs, *stripped, *(faults or _notes(subject)))
    if subject is candidate.object and not findings:
        _last_valid.remember(subject, (policy, now, mode))
        return candidate
    checked = candidate.with_object(subject, *findings)
    return checked.refuse() if any(f.action is Action.REFUSED for f in findings) else checked


_Terms = tuple[Policy, int, str]
"""The policy, the time in µs and the treatment of undefined properties."""


class _LastValid:
    """The last indicator that was valid as it was sent, without its id, name and pattern.

    Those of a list differ in nothing else, so only these need to be checked again while the terms
    are the same.  So a check uses the object and `_Terms` only.
    """

    __slots__ = ("_last", "_longest")

    def __init__(self) -> None:
        self._last: tuple[StixObject, _Terms | None] = ({}, None)
        self._longest = 0
        """Characters that name and pattern may have together, so that the object is not too long
        however they are written."""

    def remember(self, subject: StixObject, terms: _Terms) -> None:
        if subject["type"] == "indicator" and "granular_markings" not in subject:
            last = {k: v for k, v in subject.items() if k not in _OWN_PROPERTIES}
            self._last = last, terms
            room = terms[0].object_octets - len(orjson.dumps(last)) - _OCTETS_OF_OWN
            self._longest = room // _MOST_OCTETS

    def is_repeated(self, subject: StixObject, terms: _Terms) -> bool:
        """True if an indicator equals the last one but for valid ids and short texts."""
        last, last_terms = self._last
        if subject.get("created") != last.get("created") or len(subject) != len(last) + 3:
            return False
        id_, name, pattern = subject.get("id"), subject.get("name"), subject.get("pattern")
        if type(name) is not str or type(pattern) is not str or type(id_) is not str:
            return False
        if len(name) + len(pattern) > self._longest or not _OWN_ID.fullmatch(id_):
            return False
        if {**subject, **last} != subject:  # one by one takes three times as long
            return False
        # The terms last: nothing else is compared as slowly.
        return last_terms is not None and last_terms[1:] == terms[1:] and last_terms[0] is terms[0]


_last_valid = _LastValid()
_OWN_ID = compile_lazily(
    r"indicator--[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)
"""The form of an id that the schema and `_shape_fault` demand."""
_OWN_PROPERTIES = frozenset(("id", "name", "pattern"))
_OCTETS_OF_OWN = 100
"""More than these properties have in JSON without the two texts."""
_MOST_OCTETS = 6
"""Octets of a character in JSON: `\\u0007`."""


def _value_faults_of(subject: StixObject, policy: Policy) -> Iterator[Finding]:
    """The faults that the pattern of an indicator may have."""
    if _CONTROL.search(subject["pattern"]):
        yield _fault("value", _NO_CONTROLS, "pattern")
    yield from _pattern_faults(subject, policy)


def _check_language(candidate: Candidate, patterns: BoundedCompiler) -> Candidate:
    """The valid candidate, after its pattern was checked if it is in another language than STIX."""
    subject = candidate.object or {}
    if subject.get("type") != "indicator" or subject["pattern_type"] not in LANGUAGES:
        return candidate
    checked = patterns.check(subject["pattern_type"], subject["pattern"])
    if checked.fault:
        return candidate.refuse(_fault("pattern", checked.fault, "pattern"))
    if checked.warning:
        return candidate.with_findings(_note_pattern(checked.warning))
    return candidate


def _shape_fault(subject: StixObject, policy: Policy) -> Finding | None:
    kind, name = subject.get("type"), subject.get("id")
    if not isinstance(kind, str) or not isinstance(name, str):
        return _fault("shape", "a STIX object has a `type` and an `id`, both text")
    if not _ID.fullmatch(name) or not name.startswith(f"{kind}--"):
        return _fault("shape", "`id` must be the type, two hyphens and a UUID in lower case", "id")
    if len(orjson.dumps(subject)) > policy.object_octets:
        most = policy.object_octets
        message = f"the object is longer than {most} octets: split it, or shorten its texts"
        return _fault("size", message)
    return None


def _foreign(candidate: Candidate, subject: StixObject, policy: Policy, now: int) -> Candidate:
    """Validate an object of an undefined type, by the rules for all types."""
    what = f"STIX 2.1 does not define the type {subject['type']}"
    mode = policy.unknown_types
    if subject["type"] == "bundle":
        mode, what = "refuse", "a bundle is not an object (STIX 2.1 section 8): send its objects"
    elif mode != "keep":
        what = f"{what}, and {_ADVICE}"
    if mode == "strip" and subject.get("revoked") is True:
        # An earlier version may have been published when the policy said otherwise.
        bare = {k: v for k, v in subject.items() if k not in ("name", "description")}
        return _check_against_schema(candidate, bare, policy, now, mode)
    if mode != "keep":
        return candidate.refuse(_fault("unknown_types", what, "type"))
    noted = Finding("validate", "unknown_types", Action.NOTED, f"{what}; kept as it is", "type")
    return _check_against_schema(candidate.with_findings(noted), subject, policy, now, mode)


def _within(
    subject: StixObject, schema: Schema, mode: str
) -> tuple[StixObject, tuple[Finding, ...]]:
    """The object without what the schema does not define, unless the mode is to keep it."""
    if mode == "keep":
        return subject, ()
    names = [name for name in subject if name not in schema.properties]
    foreign: list[Path] = [(name,) for name in names]
    extensions = subject.get("extensions")
    if isinstance(extensions, dict) and subject["type"] not in _EXTENDING:
        foreign += (("extensions", name) for name in extensions.keys() - schema.extensions)
    outer = frozenset(names)
    foreign += (path for path in find_undefined_properties(subject) if path[0] not in outer)
    if not foreign:
        return subject, ()
    action = Action.REFUSED if mode == "refuse" else Action.STRIPPED
    message = "STIX 2.1 does not define this property"
    findings = tuple(
        Finding("validate", "custom_properties", action, message, format_plain_path(path)[:80])
        for path in foreign
    )
    if mode != "refuse":
        smaller = remove_properties(subject, foreign)
        if smaller.get("extensions") == {}:
            del smaller["extensions"]
        subject = drop_selectors(smaller, [format_selector(path) for path in foreign])
    return subject, findings


def _faults(subject: StixObject, schema: Schema, policy: Policy, now: int) -> Iterator[Finding]:
    if subject["type"] == "observed-data" and "objects" in subject:
        yield _fault("observed", _APART, "objects")
        return
    broken = list(_schema_faults(subject, schema))
    yield from broken
    if not broken:  # what follows may rely on the schema
        yield from _word_faults(subject)
        yield from _time_faults(subject, schema, policy, now)
        yield from _reference_faults(subject)
        yield from _value_faults(subject, schema, policy)


def _schema_faults(subject: StixObject, schema: Schema) -> Iterator[Finding]:
    """Find the places where the object breaks the schema, each once."""
    if schema.validator.is_valid(subject):
        return
    broken: set[str] = set()
    for error in islice(schema.validator.iter_errors(subject), _MOST_FAULTS * 4):
        place = format_plain_path(tuple(error.instance_path))
        if place not in broken or not place:
            yield _fault("schema", explain_schema_error(place, error), place)
        broken.add(place)


def _value_faults(subject: StixObject, schema: Schema, policy: Policy) -> Iterator[Finding]:
    for path, message in find_marking_errors(subject):
        yield _fault("selectors", message, format_plain_path(path))
    for path, message in find_hash_faults(subject):
        yield _fault("hashes", message, format_plain_path(path))
    for path, value in matched_values(subject):
        if _CONTROL.search(value):
            yield _fault("value", _NO_CONTROLS, format_plain_path(path))
    if subject["type"] == "indicator":
        yield from _pattern_faults(subject, policy)
    elif schema.observable and (found := find_value_fault(subject)):
        yield _fault("value", found[1], found[0])


def _word_faults(subject: StixObject) -> Iterator[Finding]:
    if "lang" in subject and not is_language_code(subject["lang"]):
        yield _fault("lang", "not a language code (RFC 5646), such as en or pt-BR", "lang")
    if subject["type"] == "language-content":
        for path, message in _find_translation_errors(subject):
            yield _fault("lang", message, format_plain_path(path))
    elif subject["type"] == "extension-definition":
        yield from _definition_faults(subject)


def _find_translation_errors(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The errors in the translations of a language-content object (STIX 2.1 section 7.1)."""
    for code, texts in subject["contents"].items():
        if not is_language_code(code):
            yield ("contents", code[:40]), "not a language code (RFC 5646), such as en or pt-BR"
        if not isinstance(texts, dict) or not texts:
            yield ("contents", code[:40]), "must be a dictionary of translated properties"
            continue
        for name in texts:
            if not _PROPERTY_NAME.fullmatch(name):
                yield ("contents", code[:40], name[:40]), "not the name of a property"


def _definition_faults(subject: StixObject) -> Iterator[Finding]:
    """Rules for an extension definition that the schema lacks (STIX 2.1 section 7.3)."""
    if not _VERSION.fullmatch(subject["version"]):
        yield _fault("extension", "not a semantic version, such as 1.0.0", "version")
    if "extension_properties" in subject and _TOPLEVEL not in subject["extension_types"]:
        message = f"goes with the extension type {_TOPLEVEL} only"
        yield _fault("extension", message, "extension_properties")


def _time_faults(
    subject: StixObject, schema: Schema, policy: Policy, now: int
) -> Iterator[Finding]:
    stamps: dict[str, int] = {}
    for name, text in _times(subject, schema):
        try:
            stamps[name] = micros(text)
        except Malformed as error:
            yield _fault("times", str(error), name)
    latest = now + policy.clock_skew
    for name in ("created", "modified"):
        if stamps.get(name, 0) > latest:
            yield _fault("times", "lies in the future; check the clock", name)
    for early, late in _PAIRS if schema.observable else _pairs(schema.times):
        if late in stamps and early in stamps:
            least = stamps[early] + (early in _STRICT_PAIRS)
            if stamps[late] < least:
                yield _fault("times", f"{late} must not be before {early}", late)


@cache
def _pairs(times: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in _PAIRS if pair[0] in times and pair[1] in times)


def _times(subject: StixObject, schema: Schema) -> Iterator[tuple[str, str]]:
    """The object's timestamps by name, those in its extensions included."""
    for name in schema.times:
        if name in subject:
            yield name, subject[name]
    if not schema.observable:
        return
    deep = [subject[name] for name in ("extensions", "x509_v3_extensions") if name in subject]
    for part in deep:
        for members in (part, *(each for each in part.values() if isinstance(each, dict))):
            yield from ((name, members[name]) for name in _DEEP_TIMES & members.keys())


def _reference_faults(subject: StixObject) -> Iterator[Finding]:
    for path, target in find_references(subject):
        if not isinstance(target, str) or len(target) > _LONGEST_ID or not _is_id(target):
            yield _fault("references", "not the id of a STIX object", format_plain_path(path))
            continue
        fault = target_fault(subject["type"], path, target.partition("--")[0])
        if not fault and target == subject["id"] and path[0] in _MARKINGS:
            fault = "a marking cannot mark itself"
        if fault:
            yield _fault("references", fault, format_plain_path(path))


@lru_cache(maxsize=1024)  # authors and markings are those of the object before
def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def _pattern_faults(subject: StixObject, policy: Policy) -> Iterator[Finding]:
    pattern, language = subject["pattern"], subject["pattern_type"]
    if len(pattern) > policy.pattern_characters:
        most = policy.pattern_characters
        yield _fault("pattern", LONG_PATTERN.format(most), "pattern")
    elif language == "stix":
        yield from _stix_faults(subject)
    elif language not in LANGUAGES and policy.unknown_patterns == "refuse":
        message = "patterns in this language are not accepted here"
        yield _fault("unknown_patterns", message, "pattern_type")
    elif subject.get("revoked") is not True and _is_stix_pattern(pattern):
        yield _fault("pattern", _IN_DISGUISE, "pattern_type")


def _is_stix_pattern(pattern: str) -> bool:
    try:
        parse_pattern(pattern)
    except Malformed:
        return False
    return True


def _stix_faults(subject: StixObject) -> Iterator[Finding]:
    try:
        canonical = canonical_pattern(subject["pattern"])  # normalising it must not fail
    except Malformed as error:
        yield _fault("pattern", str(error), "pattern")
        return
    observables = extract_observables(subject)
    if len(observables) == 1 and _is_url_with_placeholder(observables[0]):
        yield _fault("pattern", EXPLANATION, "pattern")
    same = canonical == subject["pattern"]
    for observable in (
        observables if same else extract_observables({**subject, "pattern": canonical})
    ):
        if fault := _find_impossible_value(observable):
            yield _fault("pattern", fault, "pattern")
    for observable in observables:
        algorithm = hash_algorithm(observable.property)
        if observable.operator in _EXACT and (fault := hash_fault(algorithm, observable.value)):
            yield _fault("hashes", fault, "pattern")


def _find_impossible_value(observable: Observable) -> str:
    """The fault of a value that nothing can be equal to; empty for a possible one.

    URLs may have no scheme: such ones are common, and tools compare them in their own ways.
    """
    kind, value = observable.kind, observable.value
    if observable.property != "value" or observable.operator != "=":
        return ""
    if kind == "url" and (fault := find_url_fault(value)):
        return f"the URL {fault}"
    if kind not in _CHECKED_KINDS:
        return ""
    found = find_value_fault({"type": kind, "value": value})
    if found is None:
        return ""
    shown = ascii(value) if _SHOWN.fullmatch(value) else f"a value of {kind}"
    return f"{shown} is {found[1]}: write the value, without wildcards or brackets"


def _is_url_with_placeholder(observable: Observable) -> bool:
    is_url = observable.kind == "url" and observable.operator in _EXACT
    return is_url and has_placeholder(observable.value)


def _notes(subject: StixObject) -> tuple[Finding, ...]:
    """Findings about an object that is accepted."""
    if subject["type"] == "extension-definition" and "created_by_ref" not in subject:
        return (_UNSIGNED,)  # a client took it out
    if subject["type"] != "indicator" or subject["pattern_type"] in ("stix", *LANGUAGES):
        return ()
    return (_note_pattern("a pattern in this language cannot be checked here; kept as it is"),)


def _note_pattern(note: str) -> Finding:
    return Finding("validate", "pattern", Action.NOTED, note, "pattern")


def _fault(rule: str, message: str, path: str = "") -> Finding:
    return Finding("validate", rule, Action.REFUSED, message, path)
