"""The submitter's own names, domains and networks, wherever they occur.

They say who was attacked.  In a text they are masked; an indicator or an
observable that is itself about them waits for an analyst, since masking it
would change what it matches.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_network

from tocsin.admission.detectors.ip_addresses import Network, addresses, overlap
from tocsin.admission.detectors.lookalikes import lookalike, skeletons
from tocsin.admission.detectors.terms import subdomains, wording
from tocsin.admission.masking import (
    TEXT,
    VALUE,
    Search,
    Span,
    masked,
)
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Finding,
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
MODES = {"text": TEXT, "values": VALUE, "lookalikes": VALUE}

_WHAT = "victim's name, domain or network"
_RULE = "victim_terms"


def prepared(around: RuleContext) -> Rule:
    """Masks the submitter's terms; holds what is about one of them."""
    settings = {**DEFAULTS, **around.settings}
    words, networks = _terms(around.submitter)
    own, near = str(settings["values"]), str(settings["lookalikes"])
    alike = frozenset() if near == "keep" else _skeletons(around.submitter.terms)
    search = _finder(words, networks)
    modes = {_WHAT: str(settings["text"])}

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None or not (words or networks):
            return candidate
        about: dict[str, str] = {}
        for path, value in matched_values(subject):
            if own != "keep" and _named(value, words, networks, anywhere=True):
                about.setdefault(own, format_path(path))
            if alike and lookalike(value, alike):
                about.setdefault(near, "")
        if about:
            candidate = _about(candidate, about)
        if candidate.verdict is Verdict.REFUSED or settings["text"] == "keep":
            return candidate
        return masked(candidate, _RULE, search, modes)

    return apply


@lru_cache(maxsize=64)
def _finder(words: tuple[str, ...], networks: tuple[Network, ...]) -> Search:
    return Search(lambda text: _named(text, words, networks))


@lru_cache(maxsize=1024)
def _terms(submitter: Submitter) -> tuple[tuple[str, ...], tuple[Network, ...]]:
    """What to look for: words as they are found in text, and networks."""
    words: list[str] = [] if submitter.consent in CONSENTS_TO_NAME else list(submitter.names)
    networks: list[Network] = []
    for term in submitter.terms:
        try:
            networks.append(ip_network(term.strip(), strict=False))
        except ValueError:
            words.append(term)
    return tuple(words), tuple(networks)


def _named(
    text: str, words: tuple[str, ...], networks: Iterable[Network], anywhere: bool = False
) -> list[Span]:
    places = wording(words, anywhere).places(text)
    spans = [Span(subdomains(text, start), end, _WHAT) for start, end in places]
    if networks:
        spans += [
            Span(start, end, _WHAT)
            for start, end, address in addresses(text)
            if overlap(address, networks)
        ]
    return spans


@lru_cache(maxsize=1024)
def _skeletons(terms: tuple[str, ...]) -> frozenset[str]:
    """What a host looks like that looks like a domain of the submitter."""
    return skeletons(term for term in terms if _DOMAIN.fullmatch(term.strip()))


_DOMAIN = re.compile(r"(?:[\w-]{1,63}\.)+[^\W\d][\w-]{1,62}")


def _about(candidate: Candidate, about: Mapping[str, str]) -> Candidate:
    """Refused or held, whichever is graver; `about` are places by mode."""
    message = "is about the submitter's own name, domain or network, or looks like it"
    if "refuse" in about:
        message = f"{message}: leave it out"
        place = about["refuse"]
        return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message, place))
    message = f"{message}: an analyst decides whether it may be shared"
    return candidate.hold(Finding("sanitise", _RULE, Action.HELD, message, about["hold"]))
