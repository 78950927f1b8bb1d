"""Addresses that mean something only inside somebody's network.

As an indicator such an address would match in every reader's own network, so
it is refused; in text it tells how the submitter's network is built, so it is
masked, whatever looks like one: a version number `10.0.0.1` goes as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network

from tocsin.admission.detectors.ip_addresses import (
    Network,
    addresses,
    network_of,
    within,
)
from tocsin.admission.masking import (
    VALUE,
    Search,
    Span,
    masked,
    outside,
)
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Observable,
    Rule,
    RuleContext,
    StixObject,
    Verdict,
)
from tocsin.admission.observables.extract import extract_observables

PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "100::/64", "2001:db8::/32", "3fff::/20"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
"""RFC 1918, 4193 and 6598, loopback, link-local, documentation, benchmark, multicast, reserved."""

DEFAULTS: Mapping[str, object] = {
    "text": True,  # mask such addresses in texts
    "mixed": "hold",  # an indicator that names others as well: hold, refuse or keep
}
MODES = {"mixed": VALUE}

_WHAT = "private address"
_RULE = "private_addresses"
_POSITIVE = frozenset(("=", "IN", "LIKE", "ISSUBSET", "ISSUPERSET"))


def prepared(around: RuleContext) -> Rule:
    """Refuses or holds what is about private addresses; masks them in texts."""
    settings = {**DEFAULTS, **around.settings}

    def apply(candidate: Candidate) -> Candidate:
        if candidate.object is None:
            return candidate
        candidate = _of_values(candidate, candidate.object, str(settings["mixed"]))
        if candidate.verdict is Verdict.REFUSED or not settings["text"]:
            return candidate
        return masked(candidate, _RULE, _found, besides=outside)

    return apply


def _of_values(candidate: Candidate, subject: StixObject, mixed: str) -> Candidate:
    every = extract_observables(subject)
    private = [_is_private(o) for o in every if o.operator in _POSITIVE and not o.negated]
    hidden = any(map(_holds_private, every)) or _in_other_language(subject)
    if not (hidden or any(private)):
        return candidate
    return _judged(candidate, bool(private) and all(private), mixed)


def _judged(candidate: Candidate, wholly: bool, mixed: str) -> Candidate:
    if wholly:
        message = "a private, reserved or documentation address is no indicator: leave it out"
    else:
        message = "names a private, reserved or documentation address among others: leave it out"
    place = "pattern" if candidate.object and "pattern" in candidate.object else "value"
    if wholly or mixed == "refuse":
        return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message, place))
    if mixed == "hold":
        return candidate.hold(Finding("sanitise", _RULE, Action.HELD, message, place))
    return candidate


def _is_private(observable: Observable) -> bool:
    network = network_of(observable.value)
    return network is not None and _private(network)


def _holds_private(observable: Observable) -> bool:
    """Whether a command line, a path or a name mentions one; loopback says nothing of anybody."""
    return "hashes" not in observable.property and _mentions(observable.value)


def _in_other_language(subject: StixObject) -> bool:
    """Whether a Snort, YARA or other pattern that is not STIX mentions one."""
    other = subject.get("type") == "indicator" and subject.get("pattern_type") != "stix"
    return other and _mentions(str(subject.get("pattern")))


def _mentions(text: str) -> bool:
    return any(_private(net) and not net.is_loopback for _, _, net in addresses(text))


@lru_cache(maxsize=4096)
def _private(network: Network) -> bool:
    return within(network, PRIVATE)


@Search
def _found(text: str) -> list[Span]:
    if "." not in text and ":" not in text:
        return []
    return [Span(start, end, _WHAT) for start, end, found in addresses(text) if _private(found)]
