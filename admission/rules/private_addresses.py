"""Refuse indicators on private addresses and names, and mask both in texts.

As an indicator such an address or name would match in every reader's own network.  In a text it
shows how the submitter's network is built; a version number that looks like one
(`10.0.0.1`) is masked too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tocsin.admission.detectors.ip_addresses import (
    find_private_addresses,
    is_private_address,
    is_private_host,
    is_surely_public,
    mentions_private,
)
from tocsin.admission.detectors.own_machines import find_own_machines
from tocsin.admission.detectors.own_parts import find_own_parts
from tocsin.admission.detectors.spans import Span
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.masking import (
    VALUE_MODES,
    TextSearch,
    exclude_own_values,
    hold_or_refuse,
    mask_texts,
)
from tocsin.admission.model import Candidate, Observable, Rule, RuleContext, StixObject, Verdict
from tocsin.admission.observables.domain_names import (
    canonical_host,
    is_private_name,
    parse_known_host,
)
from tocsin.admission.observables.values import extract_observables, resolve_reference

DEFAULTS: Mapping[str, object] = {
    "text": True,  # mask such addresses in texts
    "mixed": "hold",  # an indicator that contains others as well: hold, refuse or keep
}
MODES = {"mixed": VALUE_MODES}

_FOUR_NUMBERS = compile_lazily(r"(?:\d{1,3}\.){4}[a-z0-9_-]", re.IGNORECASE | re.ASCII)
_HOST_OF_URL = compile_lazily(
    r"[a-z][a-z0-9+.-]{0,20}://(?:[^\s/?#]{0,256}@)?([\w.-]{1,253})(?=(?::\d{0,5})?(?:[/?#]|\Z))",
    re.IGNORECASE,
)
_AFTER_HOST = compile_lazily(r"[/?#]")
_RULE = "private_addresses"
_HOSTS = frozenset(("ipv4-addr", "ipv6-addr", "domain-name"))
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
        return mask_texts(candidate, _RULE, _in_texts, filter_spans=exclude_own_values)

    return apply


def _check_values(candidate: Candidate, subject: StixObject, mixed: str) -> Candidate:
    every = extract_observables(subject)
    if len(every) == 1 and is_surely_public(every[0].value):  # most addresses of lists
        return candidate
    private = [
        _is_private(each)
        for each in every
        if each.operator in _POSITIVE_OPERATORS and not each.negated
    ]
    mentioned = any(map(_mentions_private, every)) or _is_other_pattern_with_private(subject)
    if not (mentioned or any(private)):
        return candidate
    path = "pattern" if "pattern" in subject else "value"
    if private and all(private):
        what = "a private, reserved or documentation address"
        if all(map(_names_private_host, every)):
            what = "a name that only its own network resolves"
        message = f"{what} cannot be an indicator: remove it"
        return hold_or_refuse(candidate, _RULE, "refuse", message, path)
    message = (
        "contains a private, reserved or documentation address or name among others: leave it out"
    )
    return hold_or_refuse(candidate, _RULE, mixed, message, path)


def _is_private(observable: Observable) -> bool:
    """True if a value is a private address or name; where it names a host, in any spelling."""
    if _names_private_host(observable):
        return True
    if resolve_reference(observable).kind in _HOSTS:
        return is_private_host(observable.value)
    return is_private_address(observable.value)


def _names_private_host(observable: Observable) -> bool:
    """True for the name of a host that only its own network resolves, also that of a URL."""
    if observable.operator not in ("=", "IN"):
        return False
    kind = resolve_reference(observable).kind
    if kind == "domain-name":
        return is_private_name(canonical_host(observable.value))
    if kind != "url":
        return False
    host = _HOST_OF_URL.match(observable.value)
    return host is not None and is_private_name(canonical_host(host[1]))


def _mentions_private(observable: Observable) -> bool:
    """True if a command line, a path or a name mentions one, loopback excepted."""
    if "hashes" in observable.property or is_surely_public(observable.value):
        return False
    return mentions_private(_without_host_of_numbers(observable))


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
    return other and mentions_private(str(subject.get("pattern")))


def _find_in_text(text: str) -> list[Span]:
    return [*find_private_addresses(text), *find_own_machines(text), *find_own_parts(text)]


_in_texts = TextSearch(_find_in_text, spares=lambda _: True)
