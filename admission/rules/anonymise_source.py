"""Remove the sender of an object, and mask its reporters.

The hub publishes under its own identity, so the reference to the author is removed and the
submitter's names are masked, unless the submitter consents to be named to everyone.
Handles of reporters (`@name`, links to their posts) belong to people who were not asked,
so they are masked whatever the submitter consents to.

AIS consent labels on a submitter's own identities can only reduce its consent: anybody who
forwards an identity can add one, so a label never grants more than the partner agreed to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from tocsin.admission.detectors.social_media import HANDLE, find_handles, is_post
from tocsin.admission.detectors.spans import Span, SpanIndex
from tocsin.admission.detectors.terms import OWN_TERM, SUBMITTER, is_domain_term, term_matcher
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    VALUE_MODES,
    TextSearch,
    exclude_own_values,
    hold_or_refuse,
    mask_texts,
)
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Consent,
    Finding,
    Path,
    Rule,
    RuleContext,
    StixObject,
    Submitter,
    format_path,
)
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.stix.free_text import replace_texts
from tocsin.admission.stix.schemas import standard_types
from tocsin.admission.timestamps import micros, stix_time

DEFAULTS: Mapping[str, object] = {
    "handles": True,  # mask reporters' handles and links to their posts
    "posts": "hold",  # an indicator or observable on a person's post: or refuse, keep
}
MODES = {"posts": VALUE_MODES}

AUTHOR_REMOVED = "removed: the hub publishes under its own identity"
"""The message on every object of a partner that stays anonymous, if it names an author."""
ROUNDED = "rounded to whole seconds"
"""The message on an indicator whose validity has fractions of a second."""
_REDUCING_LABELS = {f"ais-consent-{each.value}": each for each in (Consent.NONE, Consent.USG)}
_RULE = "anonymise_source"
_SEPARATORS = compile_lazily(r"[\W_]+")
_SECOND = 1_000_000
_LAST = micros("9999-12-31T23:59:59Z")
_LONGEST_AMBIGUOUS = 3
"""Names of at most this many letters are part of too many words."""


def build_rule(context: RuleContext) -> Rule:
    """Remove the author's reference; mask the submitter's names and reporters' handles."""
    settings = {**DEFAULTS, **context.settings}
    posts = str(settings["posts"])
    anonymous = context.submitter.consent not in CONSENTS_TO_NAME
    names = context.submitter.names_and_slug if anonymous else ()
    domains = _domains(context.submitter)
    search = _text_search(names, domains, bool(settings["handles"]))

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None or subject.get("id") in context.authors:
            return candidate  # publishing replaces an author's identity by the hub's
        if anonymous:
            if subject.get("id") in context.author_links:
                message = "describes the submitter, who stays anonymous: leave it out"
                return hold_or_refuse(candidate, _RULE, "refuse", message)
            candidate = _round_validity(_remove_author(candidate, subject, names))
            if _type_contains_name(str(subject.get("type")), names):
                message = "the type contains the submitter's name: give the type another name"
                return hold_or_refuse(candidate, _RULE, "refuse", message)
        if posts != "keep" and _is_about_post(subject):
            return _block_post(candidate, posts)
        return mask_texts(candidate, _RULE, search, filter_spans=_exclude_own_handles)

    return apply


def apply_consent_labels(submitter: Submitter, subjects: Iterable[StixObject]) -> Submitter:
    """Reduce the submitter's consent to what its identities in this submission state."""
    if submitter.consent not in CONSENTS_TO_NAME:
        return submitter
    sent = list(subjects)
    creators = {str(each.get("created_by_ref")) for each in sent}
    names = {name.casefold() for name in submitter.names}
    for each in sent:
        own = str(each.get("id")) in creators or str(each.get("name", "")).casefold() in names
        labels = each.get("labels")
        if own and each.get("type") == "identity" and isinstance(labels, list):
            consents = (_REDUCING_LABELS.get(str(label).strip().lower()) for label in labels)
            if reduced := next(filter(None, consents), None):
                return replace(submitter, consent=reduced)
    return submitter


def anonymise_object(subject: StixObject, submitter: Submitter) -> StixObject:
    """The object without its author and with the submitter's names masked.

    For objects admitted while the submitter consented to be named, once the consent ends.
    """
    names = submitter.names_and_slug
    candidate = _remove_author(Candidate(0, subject), subject, names)
    search = _text_search(names, _domains(submitter), handles=False)
    masked = mask_texts(candidate, _RULE, search, filter_spans=_exclude_own_handles)
    return masked.object or subject


@lru_cache(maxsize=1024)
def _type_contains_name(kind: str, names: tuple[str, ...]) -> bool:
    """True for a custom type with one of the names in it, also as a part of a word."""
    if kind in standard_types():
        return False
    joined = (_SEPARATORS.sub("", name.lower()) for name in names)
    return any(
        len(name) > _LONGEST_AMBIGUOUS and name in _SEPARATORS.sub("", kind) for name in joined
    )


@lru_cache(maxsize=64)
def _text_search(
    names: tuple[str, ...],
    domains: tuple[str, ...],
    handles: bool,  # noqa: FBT001
) -> TextSearch:
    matcher, domain_matcher = term_matcher(names), term_matcher(domains)

    def find(text: str) -> list[Span]:
        named = SpanIndex(matcher.find(text))
        # The whole host name or mailbox goes, even if victim_terms would keep it: a part of it
        # names the submitter.
        spans = [
            Span(start, end, OWN_TERM)
            for start, end in (domain_matcher.find(text) if named else ())
            if named.overlaps(start, end)
        ]
        spans += [Span(start, end, SUBMITTER) for start, end in named]
        return [*spans, *find_handles(text)] if handles else spans

    return TextSearch(find, spares=lambda text: not matcher.find(text))


def _exclude_own_handles(subject: StixObject, text: str, spans: Sequence[Span]) -> list[Span]:
    """The spans without the handles that the object is about; names always stay."""
    names = [span for span in spans if span.what != HANDLE]
    handles = [span for span in spans if span.what == HANDLE] if names else spans
    return [*names, *exclude_own_values(subject, text, handles)]


def _domains(submitter: Submitter) -> tuple[str, ...]:
    return tuple(filter(is_domain_term, submitter.terms))


def _is_about_post(subject: StixObject) -> bool:
    """True for the URL of a person's post: usually the report, rarely a dead drop."""
    return any(each.kind == "url" and is_post(each.value) for each in extract_observables(subject))


def _block_post(candidate: Candidate, mode: str) -> Candidate:
    path = "pattern" if "pattern" in (candidate.object or {}) else "value"
    message = "about a person's post, most likely the one that reported it: leave it out"
    if mode == "hold":
        message = (
            "held for review: about a person's post, most likely the one that reported it;"
            " a reviewer of the hub decides whether an attacker wrote it"
        )
    return hold_or_refuse(candidate, _RULE, mode, message, path)


def _round_validity(candidate: Candidate) -> Candidate:
    """Round an indicator's validity to whole seconds, outwards: fractions tell reports apart."""
    subject = candidate.object or {}
    if subject.get("type") != "indicator":
        return candidate
    changes: dict[Path, str] = {}
    for name, up in (("valid_from", 0), ("valid_until", _SECOND)):
        if name in subject and (fraction := (at := micros(subject[name])) % _SECOND):
            rounded = at - fraction + up
            changes[(name,)] = stix_time(rounded if rounded <= _LAST else rounded - up)
    if not changes:
        return candidate
    findings = (
        Finding("sanitise", _RULE, Action.REPLACED, ROUNDED, format_path(path)) for path in changes
    )
    return candidate.with_object(replace_texts(subject, changes), *findings)


def _remove_author(candidate: Candidate, subject: StixObject, names: tuple[str, ...]) -> Candidate:
    """Remove `created_by_ref`, `authors`, and references to the submitter's own documents."""
    removals: list[tuple[Path, str]] = []
    if "created_by_ref" in subject:
        removals.append((("created_by_ref",), AUTHOR_REMOVED))
    if "authors" in subject and subject.get("type") in ("note", "opinion"):
        removals.append((("authors",), "removed: names of the people who wrote it"))
    matcher = term_matcher(names)
    references = subject.get("external_references")
    for i, reference in enumerate(references if isinstance(references, list) else ()):
        source = reference.get("source_name") if isinstance(reference, dict) else None
        if isinstance(source, str) and matcher.find(source):
            message = "removed: a reference to the submitter's own source"
            removals.append((("external_references", i), message))
    if not removals:
        return candidate
    findings = (
        Finding("sanitise", _RULE, Action.STRIPPED, message, format_path(path))
        for path, message in removals
    )
    changes = dict.fromkeys(path for path, _ in removals)
    return candidate.with_object(replace_texts(subject, changes), *findings)
