"""Is it a STIX 2.1 object that we take?

The OASIS schema of its type first, then what a schema cannot say: real dates
in the right order, reference targets of the right type, the pattern's
grammar, hash lengths against their algorithm.  Every fault becomes a finding;
one is enough to refuse.  Personal data and markings are not looked at here.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import orjson

from tocsin.admission import values
from tocsin.admission.errors import Malformed
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Observable,
    Path,
    StixObject,
    shown,
)
from tocsin.admission.patterns import canonical, observables
from tocsin.admission.policy import Policy
from tocsin.admission.repair import TIMES, mended
from tocsin.admission.schemas import Schema, schemas
from tocsin.admission.timestamps import micros

_ID = re.compile(r"[a-z][a-z0-9-]{1,248}[a-z0-9]--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_-]+)*", re.I)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,6}")
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")
_MOST_FAULTS = 10
_PAIRS = (
    ("created", "modified"),
    ("valid_from", "valid_until"),
    ("first_seen", "last_seen"),
    ("first_observed", "last_observed"),
    ("start_time", "stop_time"),
)
_STRICT_PAIRS = frozenset({"valid_from", "start_time"})
_TARGETS: dict[str, tuple[str, ...]] = {
    "created_by_ref": ("identity",),
    "object_marking_refs": ("marking-definition",),
    "where_sighted_refs": ("identity", "location"),
    "observed_data_refs": ("observed-data",),
    "resolves_to_refs": ("ipv4-addr", "ipv6-addr", "domain-name", "mac-addr"),
}
_NO_END = ("relationship", "sighting", "bundle", "marking-definition", "language-content")


def validate(candidate: Candidate, policy: Policy, now: int) -> Candidate:
    """The candidate as STIX 2.1, or refused with every fault that was found."""
    subject = candidate.object
    if subject is None:
        return candidate.refused(_fault("format", "not a JSON object"))
    fault = _shape_fault(subject, policy)
    if fault:
        return candidate.refused(fault)
    kind = subject["type"]
    schema = schemas().get(kind)
    if schema is None:
        return _unknown(candidate, kind, policy)
    subject, repairs = mended(subject, schema)
    subject, stripped = _within(subject, schema, policy)
    faults = tuple(islice(_faults(subject, schema, policy, now), _MOST_FAULTS))
    checked = replace(candidate, object=subject).noting(*repairs, *stripped)
    return checked.refused(*faults) if faults else checked


def _shape_fault(subject: StixObject, policy: Policy) -> Finding | None:
    kind, name = subject.get("type"), subject.get("id")
    if not isinstance(kind, str) or not isinstance(name, str):
        return _fault("shape", "a STIX object has a `type` and an `id`, both text")
    if not _ID.fullmatch(name) or not name.startswith(f"{kind}--"):
        return _fault("shape", "`id` must be the type, two hyphens and a UUID in lower case", "id")
    if len(orjson.dumps(subject)) > policy.object_octets:
        return _fault("size", f"the object is longer than {policy.object_octets} octets")
    return None


def _unknown(candidate: Candidate, kind: str, policy: Policy) -> Candidate:
    if policy.unknown_types == "keep":
        note = f"STIX 2.1 does not define the type {kind}; kept as it is"
        return candidate.noting(Finding("validate", "unknown_types", Action.NOTED, note))
    return candidate.refused(
        _fault("unknown_types", f"STIX 2.1 does not define the type {kind}", "type")
    )


def _within(
    subject: StixObject, schema: Schema, policy: Policy
) -> tuple[StixObject, tuple[Finding, ...]]:
    """The object without what the standard does not define, unless the policy keeps it."""
    if policy.custom_properties == "keep":
        return subject, ()
    foreign = [name for name in subject if name not in schema.properties]
    extensions = subject.get("extensions")
    if isinstance(extensions, dict) and subject["type"] not in (
        "marking-definition",
        "extension-definition",
    ):
        kept = {name: body for name, body in extensions.items() if name in schema.extensions}
        if len(kept) < len(extensions):
            foreign.extend(f"extensions.{name}" for name in extensions.keys() - kept.keys())
            subject = {**subject, "extensions": kept}
            if not kept:
                del subject["extensions"]
    refuse = policy.custom_properties == "refuse"
    action = Action.REFUSED if refuse else Action.STRIPPED
    message = "STIX 2.1 does not define this property"
    findings = tuple(
        Finding("validate", "custom_properties", action, message, name[:80]) for name in foreign
    )
    if foreign and not refuse:
        subject = {name: value for name, value in subject.items() if name not in foreign}
    return subject, findings


def _faults(subject: StixObject, schema: Schema, policy: Policy, now: int) -> Iterator[Finding]:
    broken: set[str] = set()
    for error in schema.validator.iter_errors(subject):
        place = shown(tuple(error.instance_path))
        if place not in broken or not place:
            yield _fault("schema", _said(place, str(error.message)), place)
        broken.add(place)
    if broken:
        return  # what follows may rely on the schema
    if not _LANGUAGE.fullmatch(subject.get("lang", "en")):
        yield _fault("lang", "not a language code (RFC 5646), such as en or pt-BR", "lang")
    yield from _time_faults(subject, policy, now)
    yield from _reference_faults(subject)
    if subject["type"] == "indicator":
        yield from _pattern_faults(subject, policy)
    else:
        for observable in observables(subject):
            yield from _value_faults(observable)


def _said(place: str, message: str) -> str:
    """A schema's complaint in words; its regular expressions help nobody."""
    if place in TIMES:
        return "not a timestamp: write it as 2026-01-31T23:59:59.000Z"
    if place == "id":
        return "`id` must be the type, two hyphens and a UUID of version 1 to 5"
    return message[:200]


def _time_faults(subject: StixObject, policy: Policy, now: int) -> Iterator[Finding]:
    stamps: dict[str, int] = {}
    for name in TIMES & subject.keys():
        try:
            stamps[name] = micros(subject[name])
        except Malformed as error:
            yield _fault("times", str(error), name)
    for name in ("created", "modified"):
        if stamps.get(name, 0) > now + policy.clock_skew:
            yield _fault("times", "lies in the future; check the clock", name)
    for early, late in _PAIRS:
        if early in stamps and late in stamps:
            least = stamps[early] + (early in _STRICT_PAIRS)
            if stamps[late] < least:
                yield _fault("times", f"{late} must not be before {early}", late)


def _reference_faults(subject: StixObject) -> Iterator[Finding]:
    for name, value in subject.items():
        if name.endswith("_refs") and isinstance(value, list):
            for place, target in enumerate(value):
                yield from _target_faults(subject, (name, place), target)
        elif name.endswith("_ref"):
            yield from _target_faults(subject, (name,), value)


def _target_faults(subject: StixObject, path: Path, target: object) -> Iterator[Finding]:
    if not isinstance(target, str) or not _ID.fullmatch(target):
        yield _fault("references", "not the id of a STIX object", shown(path))
        return
    kind = target.partition("--")[0]
    wanted = _TARGETS.get(str(path[0]))
    if wanted and kind not in wanted:
        yield _fault("references", f"must point at {' or '.join(wanted)}", shown(path))
    if path[0] in ("source_ref", "target_ref") and kind in _NO_END:
        yield _fault("references", f"a relationship cannot join a {kind}", shown(path))


def _pattern_faults(subject: StixObject, policy: Policy) -> Iterator[Finding]:
    pattern = subject["pattern"]
    if len(pattern) > policy.pattern_characters:
        most = policy.pattern_characters
        yield _fault("pattern", f"the pattern is longer than {most} characters", "pattern")
        return
    if subject["pattern_type"] != "stix":
        return
    try:
        canonical(pattern)  # not only its grammar: normalising it must not fail
    except Malformed as error:
        yield _fault("pattern", str(error), "pattern")
        return
    for observable in observables(subject):
        if observable.operator in ("=", "IN") and ".hashes." in f".{observable.property}":
            yield from _hash_faults(observable, "pattern")


def _value_faults(observable: Observable) -> Iterator[Finding]:
    kind, value = observable.kind, observable.value
    if ".hashes." in f".{observable.property}":
        yield from _hash_faults(observable, "hashes")
    elif kind in ("ipv4-addr", "ipv6-addr"):
        if not _network(value, 4 if kind == "ipv4-addr" else 6):
            yield _fault("value", f"not an address of type {kind}", "value")
    elif kind == "domain-name" and not _DOMAIN.fullmatch(values.host(value)):
        yield _fault("value", "not a domain name", "value")
    elif kind == "url" and "://" not in value[:40]:
        yield _fault("value", "not a URL: the scheme is missing", "value")
    elif kind == "email-addr" and "@" not in value:
        yield _fault("value", "not an e-mail address", "value")


def _hash_faults(observable: Observable, path: str) -> Iterator[Finding]:
    name = values.hash_name(observable.property.rpartition(".")[2].strip("'"))
    digits = values.HASHES.get(name)
    value = observable.value
    if digits and (len(value) != digits or not _HEXADECIMAL.fullmatch(value)):
        yield _fault("hashes", f"a {name} has {digits} hexadecimal digits, not {len(value)}", path)


def _network(value: str, version: int) -> bool:
    try:
        return ipaddress.ip_network(value, strict=False).version == version
    except ValueError:
        return False


def _fault(rule: str, message: str, path: str = "") -> Finding:
    return Finding("validate", rule, Action.REFUSED, message, path)
