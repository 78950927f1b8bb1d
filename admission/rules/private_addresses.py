"""Refuse indicators on private addresses, and mask private addresses in texts.

As an indicator such an address would match in every reader's own network.  In a text it
shows how the submitter's network is built; a version number that looks like one
(`10.0.0.1`) is masked too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, ip_network

from tocsin.admission.detectors.ip_addresses import (
    Network,
    find_ip_networks,
    is_within_any,
    parse_network,
)
from tocsin.admission.detectors.spans import Span
from tocsin.admission.masking import (
    VALUE_MODES,
    TextSearch,
    exclude_own_values,
    hold_or_refuse,
    mask_texts,
)
from tocsin.admission.model import Candidate, Observable, Rule, RuleContext, StixObject, Verdict
from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.values import extract_observables

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
    "mixed": "hold",  # an indicator that contains others as well: hold, refuse or keep
}
MODES = {"mixed": VALUE_MODES}

_FOUR_OCTETS = re.compile(r"(\d{1,3})\.\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
_PRIVATE_BEGINNINGS = frozenset(
    str(first)
    for network in PRIVATE
    if isinstance(network, IPv4Network)
    for first in range(network[0].packed[0], network[-1].packed[0] + 1)
)
"""The first number of every IPv4 address that is not public."""
_FOUR_NUMBERS = re.compile(r"(?:\d{1,3}\.){4}[a-z0-9_-]", re.IGNORECASE | re.ASCII)
_AFTER_HOST = re.compile(r"[/?#]")
_PRIVATE_ADDRESS = "private address"
_RULE = "private_addresses"
_POSITIVE_OPERATORS = frozenset(("=", "IN", "LIKE", "ISSUBSET", "ISSUPERSET"))


def build_rule(context: RuleContext) -> Rule:
    """Refuse or hold objects about private addresses; mask them in texts."""
    settings = {**DEFAULTS, **context.settings}

    def apply(candidate: Candidate) -> Candidate:
        if candidate.object is None:
            return candidate
        candidate = _check_values(candidate, candidate.object, str(settings["mixed"]))
        if candidate.verdict is Verdict.REFUSED or not settings["text"]:
            return candidate
        return mask_texts(
            candidate, _RULE, _find_private_addresses, filter_spans=exclude_own_values
        )

    return apply


def _check_values(candidate: Candidate, subject: StixObject, mixed: str) -> Candidate:
    every = extract_observables(subject)
    if len(every) == 1 and is_surely_public(every[0].value):  # most addresses of lists
        return candidate
    private = [
        _is_private_value(each)
        for each in every
        if each.operator in _POSITIVE_OPERATORS and not each.negated
    ]
    mentioned = any(map(_mentions_private, every)) or _is_other_pattern_with_private(subject)
    if not (mentioned or any(private)):
        return candidate
    path = "pattern" if "pattern" in subject else "value"
    if private and all(private):
        message = "a private, reserved or documentation address cannot be an indicator: remove it"
        return hold_or_refuse(candidate, _RULE, "refuse", message, path)
    message = "contains a private, reserved or documentation address among others: leave it out"
    return hold_or_refuse(candidate, _RULE, mixed, message, path)


def _is_private_value(observable: Observable) -> bool:
    if is_surely_public(observable.value):
        return False
    network = parse_network(observable.value)
    return network is not None and _is_private(network)


def is_surely_public(value: str) -> bool:
    """True for an IPv4 address that no network of PRIVATE has, or four numbers that are none.

    >>> is_surely_public("8.8.8.8"), is_surely_public("10.0.0.1"), is_surely_public("evil.top")
    (True, False, False)
    """
    found = _FOUR_OCTETS.fullmatch(value)
    return found is not None and found[1] not in _PRIVATE_BEGINNINGS and found[1][0] != "0"


def _mentions_private(observable: Observable) -> bool:
    """True if a command line, a path or a name mentions one, loopback excepted."""
    if "hashes" in observable.property or is_surely_public(observable.value):
        return False
    return _text_mentions_private(_without_host_of_numbers(observable))


def _without_host_of_numbers(observable: Observable) -> str:
    """The value without a public host that begins with four numbers: `10.0.0.1.evil.com`.

    Such names exist in public, and match in no reader's own network.
    """
    kind, value = observable.kind, observable.value
    if kind == "domain-name":
        return "" if _begins_with_four_numbers(value) else value
    if kind != "url":
        return value
    _, slashes, rest = value.partition("://")
    host = _AFTER_HOST.split(rest, maxsplit=1)[0]
    return rest[len(host) :] if slashes and _begins_with_four_numbers(host) else value


def _begins_with_four_numbers(host: str) -> bool:
    if _FOUR_NUMBERS.match(host) is None or host.rstrip(".").lower().endswith(".in-addr.arpa"):
        return False  # that is an address read backwards
    return parse_known_host(host) is not None


def _is_other_pattern_with_private(subject: StixObject) -> bool:
    """True for a Snort, YARA or other pattern that is not STIX and mentions one."""
    other = subject.get("type") == "indicator" and subject.get("pattern_type") != "stix"
    return other and _text_mentions_private(str(subject.get("pattern")))


def _text_mentions_private(text: str) -> bool:
    networks = (network for _, _, network in find_ip_networks(text))
    # Loopback says nothing about anybody's network.
    return any(_is_private(network) and not network.is_loopback for network in networks)


@lru_cache(maxsize=4096)
def _is_private(network: Network) -> bool:
    return is_within_any(network, PRIVATE)


def _find_in_text(text: str) -> list[Span]:
    if "." not in text and ":" not in text and "-" not in text:  # every address has one
        return []
    return [
        Span(start, end, _PRIVATE_ADDRESS)
        for start, end, network in find_ip_networks(text)
        if _is_private(network)
    ]


_find_private_addresses = TextSearch(_find_in_text, spares=lambda _: True)
