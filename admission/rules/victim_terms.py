"""Mask the submitter's own names, domains and networks, which identify the victim.

In a text they are masked.  An indicator or an observable that is itself about them is
held, since a mask would change what it matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_network

from tocsin.admission.detectors.ip_addresses import Network, find_ip_networks, overlaps_any
from tocsin.admission.detectors.lookalikes import holds_lookalike, skeletons
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.terms import hostname_start, term_matcher
from tocsin.admission.masking import (
    TEXT_MODES,
    VALUE_MODES,
    TextSearch,
    hold_or_refuse,
    mask_texts,
)
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Candidate,
    Rule,
    RuleContext,
    Submitter,
    Verdict,
    format_path,
)
from tocsin.admission.stix.free_text import matched_values

DEFAULTS: Mapping[str, object] = {
    "text": "replace",  # or ask, hold, refuse, keep
    "values": "hold",  # an indicator or observable about an own term: or refuse, keep
    "lookalikes": "hold",  # one on a host that looks like an own domain: or refuse, keep
}
MODES = {"text": TEXT_MODES, "values": VALUE_MODES, "lookalikes": VALUE_MODES}

_VICTIM = "victim's name, domain or network"
_RULE = "victim_terms"
_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.)+[^\W\d][\w-]{1,62}")


def build_rule(context: RuleContext) -> Rule:
    """Mask the submitter's terms in texts; hold objects about one of them."""
    settings = {**DEFAULTS, **context.settings}
    terms, networks = _split_terms(context.submitter)
    value_mode, lookalike_mode = str(settings["values"]), str(settings["lookalikes"])
    protected = frozenset() if lookalike_mode == "keep" else _skeletons(context.submitter.terms)
    search = _text_search(terms, networks)
    modes = {_VICTIM: str(settings["text"])}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None or not (terms or networks):
            return candidate
        paths: dict[str, str] = {}
        for path, value in matched_values(subject):
            if value_mode != "keep" and _find_terms(value, terms, networks, embedded=True):
                paths.setdefault(value_mode, format_path(path))
            if protected and holds_lookalike(value, protected):
                paths.setdefault(lookalike_mode, "")
        if paths:
            candidate = _block(candidate, paths)
        if candidate.verdict is Verdict.REFUSED or settings["text"] == "keep":
            return candidate
        return mask_texts(candidate, _RULE, search, modes)

    return apply


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


def _find_terms(
    text: str, terms: tuple[str, ...], networks: Iterable[Network], embedded: bool = False
) -> list[Span]:
    places = term_matcher(terms, embedded).find(text)
    spans = [Span(hostname_start(text, start), end, _VICTIM) for start, end in places]
    if networks:
        spans += [
            Span(start, end, _VICTIM)
            for start, end, network in find_ip_networks(text)
            if overlaps_any(network, networks)
        ]
    return spans


@lru_cache(maxsize=1024)
def _skeletons(terms: tuple[str, ...]) -> frozenset[str]:
    """The skeletons of the submitter's domains."""
    return skeletons(term for term in terms if _DOMAIN.fullmatch(term.strip()))


def _block(candidate: Candidate, paths: Mapping[str, str]) -> Candidate:
    """Refuse or hold the object, the first if any of the modes says so; `paths` are by mode."""
    message = "about the submitter's own name, domain or network, or looks like it"
    if "refuse" in paths:
        message = f"{message}: leave it out"
        return hold_or_refuse(candidate, _RULE, "refuse", message, paths["refuse"])
    message = f"held for review: {message}; an analyst decides whether it may be shared"
    return hold_or_refuse(candidate, _RULE, "hold", message, paths["hold"])
