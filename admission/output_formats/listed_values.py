"""Values for block lists: what an indicator says by equality alone, checked and in one spelling.

An indicator is listed by the values each of which is enough for its pattern to match: those of
one comparison for equality, or of several joined by OR.  Whatever holds only together with
something else (AND, FOLLOWEDBY, WITHIN, REPEATS, START), or compares otherwise (LIKE, MATCHES,
NOT, `<`), is left out: a list that had it would block more than the indicator says.  A network
may be named by equality or by ISSUBSET.

Indicators only: an observable alone says that something was seen, not that it is bad.  Indicators
of the type `benign` say that something is good, and are left out too.

Values that no list could mean are left out: names that DNS does not take, wildcards, top-level
domains and public suffixes, networks so wide that they would cut a site off, and addresses and
names that mean something else in each network: those inside the reader's own.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Observable
from tocsin.admission.observables.addresses import LEAST_PREFIX, canonical_address
from tocsin.admission.observables.domain_names import PRIVATE_TLDS, canonical_host, is_public_suffix
from tocsin.admission.observables.urls import canonical_url
from tocsin.admission.observables.values import canonical_email, is_email_address, resolve_reference
from tocsin.admission.patterns.grammar import (
    SIMPLE_PATTERN,
    Comparison,
    Junction,
    Node,
    Observation,
    parse_pattern,
)

ADDRESSES = ("ipv4", "ipv6")
HASHES = ("md5", "sha1", "sha256", "sha512")
KINDS = (*ADDRESSES, "domain", "url", "email", *HASHES)
"""The kinds of values, as block lists call them."""

Listed = tuple[str, str]
"""A kind and a value."""

_OF_EACH_NETWORK = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
        *("::/32", "64:ff9b::/32", "2002::/16", "fc00::/6"),
    )
)
"""Private, loopback, link-local, multicast and reserved addresses, and IPv6 addresses that stand
for those of IPv4.  A list that had one would cut readers off from their own network."""
_NAMES_OF_EACH_NETWORK = PRIVATE_TLDS | {"arpa", "localhost"}
"""Top-level domains of names that each network, or DNS itself, uses for itself."""
_LONGEST_URL = 4096
_DOMAIN = compile_lazily(
    r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+"
    r"(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.ASCII,
)
_URL = compile_lazily(
    r"[a-z][a-z0-9+.-]{0,19}://(?:(?:(?!%5C)[^/?#@\[\]])*@)?"
    r"(?:\[([0-9a-f:.]+)\]|([^/?#:@\[\]]+))(?::(\d{1,5}))?(?=[/?#]|$)",
    re.ASCII,
)
"""An IPv6 address or a host, and a port.  Programs take a backslash (`%5C`) for a slash."""
_HIGHEST_PORT = 65_535
_SPELT = compile_lazily(r"[!-~]+")
_NEVER_IN_URLS = frozenset('"<>\\^`{|}')
_SAFE_IN_URLS = "".join(chr(n) for n in range(0x21, 0x7F) if chr(n) not in _NEVER_IN_URLS)
_WILDCARD_END = compile_lazily(r"(?<=/)\*+\Z")
_EMAIL = compile_lazily(r"[a-z0-9.!#$%&'+/=?^_{|}~-]{1,64}@[a-z0-9_.-]+", re.ASCII | re.IGNORECASE)
_HASH = {
    kind: compile_lazily(rf"[0-9a-f]{{{digits}}}", re.ASCII)
    for kind, digits in zip(HASHES, (32, 40, 64, 128), strict=True)
}
_HASH_KINDS = {"MD5": "md5", "SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}


def listed_values(subject: Mapping[str, Any]) -> tuple[Listed, ...]:
    """The values that an indicator lists, each once, sorted; empty for every other object."""
    if subject.get("type") != "indicator" or subject.get("revoked") is True:
        return ()
    kinds, pattern = subject.get("indicator_types"), subject.get("pattern")
    if isinstance(kinds, list) and "benign" in kinds:
        return ()
    if subject.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):
        return ()
    return _from_pattern(pattern)


def _from_pattern(pattern: str) -> tuple[Listed, ...]:
    simple = SIMPLE_PATTERN.fullmatch(pattern)
    if simple:
        found = _listed(simple[1], simple[2], simple[3])
        return () if found is None else (found,)
    try:
        tree = parse_pattern(pattern)
    except Malformed:
        return ()
    return tuple(sorted({each for test in _alternatives(tree) for each in _compared(test)}))


def _alternatives(node: Node) -> Iterator[Comparison]:
    """The comparisons of a pattern each of which is enough for it to match."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Comparison):
            yield node
        elif isinstance(node, Observation):
            waiting.append(node.test)
        elif isinstance(node, Junction) and node.word == "OR":
            waiting.extend(node.parts)


def _compared(test: Comparison) -> Iterator[Listed]:
    is_network = test.operator == "ISSUBSET" and test.kind in ("ipv4-addr", "ipv6-addr")
    if test.negated or not (test.operator in ("=", "IN") or is_network):
        return
    for literal in test.values:
        found = _listed(test.kind, test.path, literal.text) if literal.kind == "string" else None
        if found is not None:
            yield found


def _listed(kind: str, path: str, text: str) -> Listed | None:
    """The value of a comparison, if a list can hold it."""
    if kind == "file" and path.startswith("hashes."):
        name = path.removeprefix("hashes.").strip("'").replace("-", "").upper()
        return _checked(_HASH_KINDS.get(name, ""), text)
    if path in _REFERENCES.get(kind, ()):
        kind, path, text, *_ = resolve_reference(Observable(kind, path, text))
    return _checked(_VALUE_KINDS.get(kind, ""), text) if path == "value" else None


_REFERENCES = {
    "network-traffic": ("src_ref.value", "dst_ref.value"),
    "email-message": ("from_ref.value", "sender_ref.value"),
}
"""By type: the references whose values are listed.  Recipients are not among them."""
_VALUE_KINDS = {
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "domain-name": "domain",
    "url": "url",
    "email-addr": "email",
}


def _checked(kind: str, text: str) -> Listed | None:
    """The value in its one spelling; None if it is not a valid one of its kind."""
    if kind in _HASH:
        value = text.strip().lower()
        return (kind, value) if _HASH[kind].fullmatch(value) else None
    check = _CHECKS.get(kind)
    value = check(text) if check is not None else ""
    return (kind, value) if value else None


def _address(version: int) -> Callable[[str], str]:
    """The check of an address or network of an IP version."""

    def check(text: str) -> str:
        value = canonical_address(text)
        try:
            network = ipaddress.ip_network(value)
        except ValueError:
            return ""
        is_plain = network.version == version and "%" not in value  # no scope of an interface
        return value if is_plain and _is_narrow(network) else ""

    return check


def _is_narrow(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """True if no site would be cut off by blocking it."""
    if network.prefixlen < LEAST_PREFIX[f"ipv{network.version}-addr"]:
        return False
    return not any(network.overlaps(each) for each in _OF_EACH_NETWORK)


def _domain(text: str) -> str:
    value = canonical_host(text)
    if not _DOMAIN.fullmatch(value) or is_public_suffix(value):
        return ""
    return "" if value.rpartition(".")[2] in _NAMES_OF_EACH_NETWORK else value


def _url(text: str) -> str:
    """In ASCII, as a program sends it: the host in IDNA, other letters in per cent."""
    if not 0 < len(text) <= _LONGEST_URL or not text.isprintable() or " " in text.strip():
        return ""
    value = quote(canonical_url(text), safe=_SAFE_IN_URLS)
    found = _URL.match(value)
    if not found or not _SPELT.fullmatch(value) or len(value) > _LONGEST_URL:
        return ""
    if _WILDCARD_END.search(value):
        return ""
    address, host, port = found.groups()
    if int(port or 0) > _HIGHEST_PORT:
        return ""
    known = _address(6)(address) if address else _domain(host) or _address(4)(host)
    return value if known else ""


def _email(text: str) -> str:
    value = canonical_email(text)
    if not _EMAIL.fullmatch(value) or not is_email_address(value):
        return ""
    return value if _domain(value.rpartition("@")[2]) else ""


_CHECKS: dict[str, Callable[[str], str]] = {
    "ipv4": _address(4),
    "ipv6": _address(6),
    "domain": _domain,
    "url": _url,
    "email": _email,
}


def without_wildcards(url: str) -> str:
    """A listed URL as lists have it whose readers take `*` for any text.

    >>> without_wildcards("http://bad.test/a*b")
    'http://bad.test/a%2Ab'
    """
    return url.replace("*", "%2A")


def spelt_once(values: Iterable[str]) -> Iterator[str]:
    """Values without wildcards; those that are spelt alike then only once.

    >>> list(spelt_once(["http://bad.test/a%2Ab", "http://bad.test/a*b"]))
    ['http://bad.test/a%2Ab']
    """
    known: set[str] = set()
    for value in values:
        spelt = without_wildcards(value)
        if "%2A" in spelt:
            if spelt in known:
                continue
            known.add(spelt)
        yield spelt


def without_wildcard_end(url: str) -> str:
    """A URL without a `*` in place of everything below a folder: the folder itself.

    >>> without_wildcard_end("http://bad.test/*"), without_wildcard_end("http://bad.test/a*")
    ('http://bad.test/', 'http://bad.test/a*')
    """
    return _WILDCARD_END.sub("", url)


def listed_observables(subject: Mapping[str, Any]) -> tuple[Observable, ...]:
    """The values that an indicator lists, as the observables whose types rules know.

    A URL that some lists spell in another way is there in both spellings.
    """
    return tuple(
        Observable(OBSERVABLE_TYPES.get(kind, "file"), "value", spelling)
        for kind, value in listed_values(subject)
        for spelling in dict.fromkeys((value, without_wildcards(value)))
    )


OBSERVABLE_TYPES = {kind: name for name, kind in _VALUE_KINDS.items()}
"""The types of observables by kind, without hashes."""
