"""Mask the submitter's own names, domains and networks, which identify the victim.

In a text they are masked.  An indicator or an observable that is itself about them is
held, since a mask would change what it matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_network
from itertools import chain

from tocsin.admission.detectors.disguises import decode_text
from tocsin.admission.detectors.ip_addresses import (
    Network,
    find_abbreviated_networks,
    find_ip_networks,
    overlaps_any,
)
from tocsin.admission.detectors.lookalikes import holds_lookalike, skeletons
from tocsin.admission.detectors.rule_exceptions import names_own_exceptions
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.terms import OWN_TERM, is_name_with_wildcard, term_matcher
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    PROPERTY_MODES,
    TEXT_MODES,
    VALUE_MODES,
    Removal,
    TextSearch,
    block_object,
    block_value,
    hold_or_refuse,
    mask_texts,
    remove_properties,
)
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Candidate,
    Rule,
    RuleContext,
    StixObject,
    Submitter,
    Verdict,
    format_path,
)
from tocsin.admission.patterns.notations import read_pattern
from tocsin.admission.stix.free_text import matched_values

DEFAULTS: Mapping[str, object] = {
    "text": "replace",  # or ask, hold, refuse, keep
    "values": "hold",  # an indicator or observable about an own term: or refuse, keep
    "lookalikes": "hold",  # one on a host that looks like an own domain: or refuse, keep
    # Organisations that saw what a sighting reports: or ask, hold, refuse, keep.
    "sighters": "strip",
}
MODES = {
    **{"text": TEXT_MODES, "values": VALUE_MODES, "lookalikes": VALUE_MODES},
    "sighters": PROPERTY_MODES,
}

_RULE = "victim_terms"
_SAYS_WHO = "says who was attacked"
_EXCEPTIONS = "exceptions of the rule name addresses, machines or people, which may be yours"
_WORD_WITH_WILDCARD = compile_lazily(
    r"(?<![^\W_])(?<![^\W_][_.?])([^\W_]{1,40}[_.?][^\W_]{1,40})(?![_.?]?[^\W_])"
)
"""A word with a sign in it that in LIKE, MATCHES or by hand stands for any letter."""
_DOMAIN = compile_lazily(r"(?:[\w-]{1,63}\.)+[^\W\d][\w-]{1,62}")


def build_rule(context: RuleContext) -> Rule:
    """Mask the submitter's terms in texts; hold objects about one of them."""
    settings = {**DEFAULTS, **context.settings}
    terms, networks = _split_terms(context.submitter)
    value_mode, lookalike_mode = str(settings["values"]), str(settings["lookalikes"])
    protected = frozenset() if lookalike_mode == "keep" else _skeletons(context.submitter.terms)
    search = _text_search(terms, networks)

    in_values = _with_short_name(terms, context.submitter)

    def is_own(value: str) -> bool:
        return _holds_own(value, in_values, networks)

    def is_lookalike(value: str) -> bool:
        return holds_lookalike(value, protected)

    tests: list[tuple[Callable[[str], bool], str]] = []
    tests += [(is_own, value_mode)] if value_mode != "keep" else []
    tests += [(is_lookalike, lookalike_mode)] if protected else []
    modes, sighters = {OWN_TERM: str(settings["text"])}, str(settings["sighters"])

    def apply(candidate: Candidate) -> Candidate:
        if sighters != "keep":
            candidate = _hide_sighters(candidate, context, sighters)
        subject = candidate.object
        candidate = _check_exceptions(candidate, value_mode)
        if subject is None or candidate.verdict is Verdict.REFUSED or not (in_values or networks):
            return candidate
        if paths := _find_reasons(subject, tests):
            candidate = _block(candidate, paths)
        if candidate.verdict is Verdict.REFUSED or settings["text"] == "keep":
            return candidate
        return mask_texts(candidate, _RULE, search, modes)

    return apply


def _find_reasons(
    subject: StixObject, tests: Sequence[tuple[Callable[[str], bool], str]]
) -> dict[str, str]:
    """For the mode of each test that a value passes, in any reading, the path of the value."""
    paths: dict[str, str] = {}
    for path, value in matched_values(subject):
        decoded = (each.text for each in decode_text(value))
        for reading in (value, *decoded, *read_pattern(subject)):
            for test, mode in tests:
                if test(reading):
                    paths.setdefault(mode, format_path(path))
    return paths


def _check_exceptions(candidate: Candidate, mode: str) -> Candidate:
    """Hold or refuse a rule whose exceptions say who wrote it."""
    subject = candidate.object
    if subject is None or candidate.verdict is Verdict.REFUSED or not names_own_exceptions(subject):
        return candidate
    return block_value(candidate, _RULE, mode, _EXCEPTIONS, "pattern")


def _holds_own(value: str, terms: tuple[str, ...], networks: Sequence[Network]) -> bool:
    """True if a value, or the text that a pattern matches, has one of the terms or networks."""
    if _find_terms(value, terms, networks, embedded=True):
        return True
    return any(is_name_with_wildcard(word, terms) for word in _WORD_WITH_WILDCARD.findall(value))


def _hide_sighters(candidate: Candidate, context: RuleContext, mode: str) -> Candidate:
    """Take out who saw what a sighting reports: most often the organisation that was attacked."""
    subject = candidate.object or {}
    if subject.get("id") in context.sighters:
        remedy = "leave it out, or send its sector"
        return block_object(candidate, _RULE, mode, _SAYS_WHO, remedy)
    if subject.get("type") != "sighting":
        return candidate
    references = enumerate(subject.get("where_sighted_refs", ()))
    removals = [
        Removal(("where_sighted_refs", i), mode, _SAYS_WHO)
        for i, each in references
        if each.startswith("identity--") and each not in context.open_sighters
    ]
    return remove_properties(candidate, _RULE, removals)


@lru_cache(maxsize=64)
def _text_search(terms: tuple[str, ...], networks: tuple[Network, ...]) -> TextSearch:
    return TextSearch(lambda text: _find_terms(text, terms, networks))


@lru_cache(maxsize=1024)
def _split_terms(submitter: Submitter) -> tuple[tuple[str, ...], tuple[Network, ...]]:
    """The submitter's names and terms, and apart from them the networks."""
    terms: list[str] = [] if submitter.consent in CONSENTS_TO_NAME else list(submitter.names)
    networks: list[Network] = []
    for term in submitter.terms:
        try:
            networks.append(ip_network(term.strip(), strict=False))
        except ValueError:
            terms.append(term)
    return tuple(terms), tuple(networks)


def _with_short_name(terms: tuple[str, ...], submitter: Submitter) -> tuple[str, ...]:
    """The terms with the short name of a submitter who stays anonymous.

    In texts `anonymise_source` masks it.  Beside a value that has it, the mask says whose it is.
    """
    anonymous = submitter.partner and submitter.consent not in CONSENTS_TO_NAME
    return (*terms, submitter.partner) if anonymous else terms


def _find_terms(
    text: str, terms: tuple[str, ...], networks: Iterable[Network], embedded: bool = False
) -> list[Span]:
    places = term_matcher(terms, embedded).find(text)
    spans = [Span(start, end, OWN_TERM) for start, end in places]
    if networks:
        spans += [
            Span(start, end, OWN_TERM)
            for start, end, network in chain(
                find_ip_networks(text), find_abbreviated_networks(text)
            )
            if overlaps_any(network, networks)
        ]
    return spans


@lru_cache(maxsize=1024)
def _skeletons(terms: tuple[str, ...]) -> frozenset[str]:
    """The skeletons of the submitter's domains."""
    return skeletons(term for term in terms if _DOMAIN.fullmatch(term.strip()))


def _block(candidate: Candidate, paths: Mapping[str, str]) -> Candidate:
    """Refuse the object if any mode is `refuse`, else hold it; `paths` maps modes to paths."""
    # The hub adds the terms of other partners: the message must not say whose they are.
    message = f"about a {OWN_TERM}, or looks like one"
    if "refuse" in paths:
        message = f"{message}: leave it out"
        return hold_or_refuse(candidate, _RULE, "refuse", message, paths["refuse"])
    message = f"held for review: {message}; a reviewer of the hub decides whether it may be shared"
    return hold_or_refuse(candidate, _RULE, "hold", message, paths["hold"])
