"""Build STIX 2.1 indicators, and their candidates, from single values of a file.

The id is derived from the pattern, so the same file sent twice gives the same
indicators.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha1
from typing import Any, Protocol

from tocsin.admission.extraction.external_ids import MOST_IDS, ExternalId, format_ids
from tocsin.admission.extraction.places import Places
from tocsin.admission.extraction.rewritten_links import is_wrapped, unwrap
from tocsin.admission.formats import ReadOptions
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Action, Candidate, Finding, StixObject, Tlp, Verdict
from tocsin.admission.observables.domain_names import parse_host_name
from tocsin.admission.observables.ioc_types import (
    IocType,
    RecognisedIoc,
    recognise_ioc,
    recognise_without_scheme,
)
from tocsin.admission.observables.refang import refang
from tocsin.admission.timestamps import stix_time

_WILDCARD = compile_lazily(r"\*\.([\w.-]+)")
_NAMESPACE = uuid.UUID("7f0c0b52-5d0f-4b3e-9a57-6f1f1d3c9b4e").bytes
"""UUID namespace for the ids of indicators that are built from plain values."""
_VARIANT = {f"{digit:x}": f"{digit & 3 | 8:x}" for digit in range(16)}
"""Hexadecimal digits with the variant bits of a UUID (RFC 9562 section 4.1) set."""
_RESTORED = "the link is restored that a mail filter rewrote"
_UNREADABLE = "a link that a mail filter rewrote, and that cannot be read, is left out"
_stix_time = lru_cache(maxsize=1024)(stix_time)  # the rows of a file share their dates


class IndicatorValue(Protocol):
    """A value that an indicator matches, with its pattern."""

    @property
    def value(self) -> str:
        """The value as people write it; the default name of the indicator."""
        ...

    @property
    def pattern(self) -> str:
        """The STIX pattern that matches it."""
        ...


@dataclass(frozen=True, slots=True)
class IndicatorDetails:
    """The details that a file gives about a value."""

    first_seen: int | None = None
    """µs since 1970 UTC; when it was first seen or recorded."""
    valid_until: int | None = None
    """µs since 1970 UTC; when it expires."""
    name: str = ""
    description: str = ""
    tlp: Tlp | None = None
    confidence: int | None = None
    types: tuple[str, ...] = ()
    """`indicator_types` in the words of the open vocabulary (STIX 2.1 section 10.13)."""
    labels: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    """URLs of reports."""
    external_ids: tuple[ExternalId, ...] = ()
    """CVE and ATT&CK ids that stand beside the value."""


@dataclass(slots=True)
class CandidateBuilder:
    """Numbers the candidates of one file and detects values that it repeats."""

    options: ReadOptions
    places: Places = field(default_factory=Places)
    """The line or entry on which each pattern came first."""
    count: int = 0
    """Candidates so far; the index of the next."""

    def next_index(self) -> int:
        """The next candidate's index."""
        self.count += 1
        return self.count - 1

    def build_unless_seen(
        self,
        value: IndicatorValue,
        details: IndicatorDetails,
        line: int,
        findings: Sequence[Finding] = (),
    ) -> Candidate | None:
        """The next candidate, an indicator for `value`; None if an earlier line has the value.

        A link that a mail filter rewrote is restored, or else refused: it names the recipient.
        """
        restored, notes = _restore_link(value)
        if restored is None:
            return refused_candidate(self.next_index(), f"line {line}: {_UNREADABLE}")
        pattern = restored.pattern
        if self.places.find_or_add(pattern, line) is not None:
            return None
        subject = _build(restored.value, pattern, details, self.options)
        return Candidate.from_object(self.next_index(), subject, *findings, *notes)

    def build(
        self,
        value: IndicatorValue,
        details: IndicatorDetails,
        place: tuple[str, int],
        findings: Sequence[Finding] = (),
    ) -> Candidate:
        """The next candidate, an indicator for `value`.

        It is a duplicate if the value occurred before `place`, `("line", 3)`.  Links are restored
        as by `build_unless_seen`.
        """
        unit, number = place
        restored, notes = _restore_link(value)
        if restored is None:
            return refused_candidate(self.next_index(), f"{unit} {number}: {_UNREADABLE}")
        pattern, findings = restored.pattern, (*findings, *notes)
        before = self.places.find_or_add(pattern, number)
        subject = _build(restored.value, pattern, details, self.options)
        if before is None or before == number:
            return Candidate.from_object(self.next_index(), subject, *findings)
        message = f"{unit} {number}: duplicate of {unit} {before}"
        noted = (*findings, Finding("validate", "format", Action.NOTED, message))
        return Candidate.from_object(self.next_index(), subject, *noted, verdict=Verdict.DUPLICATE)


def _restore_link(value: IndicatorValue) -> tuple[IndicatorValue | None, Sequence[Finding]]:
    """A value, or the link that a mail filter rewrote; None if that cannot be read; findings."""
    if not isinstance(value, RecognisedIoc) or not is_wrapped(value.value):
        return value, ()
    inner = recognise_ioc(unwrap(value.value))
    if inner is None or is_wrapped(inner.value):
        return None, ()
    return inner, (Finding("validate", "format", Action.REPAIRED, _RESTORED, "pattern"),)


def build_indicator(
    value: IndicatorValue, details: IndicatorDetails, options: ReadOptions
) -> StixObject:
    """A STIX 2.1 indicator that matches `value`."""
    return _build(value.value, value.pattern, details, options)


def derive_id(pattern: str) -> str:
    """The id of an indicator that is built from a single value, by its pattern."""
    return f"indicator--{_uuid5(pattern)}"


def replace_derived_id(candidate: Candidate) -> Candidate:
    """The candidate with a random id, if its id is derived from its pattern; else the same one."""
    subject = candidate.object or {}
    if subject.get("id") != derive_id(str(subject.get("pattern"))):
        return candidate
    id = f"indicator--{uuid.uuid4()}"
    return replace(candidate, object={**subject, "id": id}, source_id=id)


def refused_candidate(index: int, message: str, excerpt: str = "") -> Candidate:
    """A candidate for a part that is not read; the message names its place and the remedy.

    `excerpt`: its value, for the submitter.
    """
    finding = Finding("validate", "format", Action.REFUSED, message)
    refused = Candidate(index=index, object=None, verdict=Verdict.REFUSED, findings=(finding,))
    return replace(refused, excerpt=excerpt) if excerpt else refused


def note_wildcard(value: object, text: str) -> Iterator[Finding]:
    """A finding if a text has `*.` before the domain: the indicator is not about subdomains."""
    if "*" not in text or not isinstance(value, RecognisedIoc):
        return
    if value.kind is IocType.DOMAIN and value.value in _find_wildcards(text):
        message = "`*.` is left out: the indicator names the domain itself, not its subdomains"
        yield Finding("validate", "format", Action.NOTED, message, "pattern")


@lru_cache(maxsize=1)
def _find_wildcards(text: str) -> frozenset[str]:
    """The domains that follow `*.` in a line or row, which may have thousands of values."""
    return frozenset(each.rstrip(".-") for each in _WILDCARD.findall(refang(text).lower()))


def with_closing_notes(
    candidates: Iterable[Candidate],
    describe: Callable[[], Iterable[str]],
    builder: CandidateBuilder,
) -> Iterator[Candidate]:
    """A file's candidates; the last has findings that can only be described after all of them.

    Without candidates, some that are refused have the findings.
    """
    last: Candidate | None = None
    for candidate in candidates:
        if last is not None:
            yield last
        last = candidate
    if last is None:
        for text in describe():
            yield refused_candidate(builder.next_index(), f"no indicator found; {text}")
    else:
        notes = (Finding("validate", "format", Action.NOTED, text) for text in describe())
        yield last.with_findings(*notes)


def with_note_of_unrelated_ids(
    candidates: Iterable[Candidate], unrelated: Sequence[ExternalId], builder: CandidateBuilder
) -> Iterator[Candidate]:
    """A file's candidates; the last has a finding about ids that stand beside none of them.

    `unrelated` is read at the end.  Without candidates, one that is refused has the finding.
    """

    def describe() -> Iterator[str]:
        if unrelated:
            yield (
                "not shared, since no indicator stands beside them, or one that has"
                f" {MOST_IDS} ids already: {format_ids(unrelated)}"
            )

    return with_closing_notes(candidates, describe, builder)


def recognise_declared(refanged: str, *, host: bool) -> RecognisedIoc | None:
    """The value of a cell or attribute that is declared to be an indicator.

    More lenient than `recognise_ioc`: any top-level domain if it is declared a `host`, URLs
    without their scheme, and invisible characters around it.
    """
    found = recognise_ioc(refanged)
    if found is None and host and (name := parse_host_name(refanged)):
        return RecognisedIoc(IocType.DOMAIN, name)
    if found is None and "/" in refanged and "://" not in refanged:
        return recognise_without_scheme(refanged)
    if found is None and not refanged.isascii():
        return recognise_ioc(refanged.strip("\u200e\u200f\u2060\ufeff"))
    return found


def _build(value: str, pattern: str, details: IndicatorDetails, options: ReadOptions) -> StixObject:
    moment = options.now if details.first_seen is None else details.first_seen
    stamp = _stix_time(moment)
    subject: StixObject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": derive_id(pattern),
        "created": stamp,
        "modified": stamp,
        "name": details.name or value,
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": _stix_time(moment // 1_000_000 * 1_000_000),
    }
    tlp = options.tlp if details.tlp is None else details.tlp
    if tlp is not None:
        subject["object_marking_refs"] = [TLP_2_IDS[tlp]]
    subject.update(_optional_properties(details))
    return subject


def _optional_properties(details: IndicatorDetails) -> Iterator[tuple[str, Any]]:
    if details.description:
        yield "description", details.description
    if details.types:
        yield "indicator_types", list(details.types)
    if details.labels:
        yield "labels", list(details.labels)
    if details.references or details.external_ids:
        links = [{"source_name": "report", "url": url} for url in details.references]
        yield "external_references", links + [each.as_reference for each in details.external_ids]
    if details.valid_until is not None:
        yield "valid_until", _stix_time(details.valid_until)
    if details.confidence is not None:
        yield "confidence", details.confidence


def _uuid5(pattern: str) -> str:
    """`uuid.uuid5` as text, faster since no object is made: a file has thousands."""
    digits = sha1(_NAMESPACE + pattern.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
