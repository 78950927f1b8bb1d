"""IP addresses and networks in texts and values, and which of them are private."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from tocsin.admission.detectors.spans import Span
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.addresses import PLAIN_IPV4

Network = IPv4Network | IPv6Network

_PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "100::/64", "2001:db8::/32", "3fff::/20"),
        *("64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)
"""Private (RFC 1918, 4193, 6598, 8215), loopback, link-local, documentation, benchmark, multicast
and reserved networks."""

_PRIVATE_ADDRESS = "private address"
_POINT = r"(?:\.|\[\.\]|\(\.\)|\{\.\}|\[dot\]|\\\.)"
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_V4 = compile_lazily(
    rf"(?<![\w.])(?<!\.\])({_OCTET}{_POINT}{_OCTET}{_POINT}{_OCTET}{_POINT}{_OCTET})(/\d\d?)?"
    rf"(:\d{{1,5}})?(?![\w]|{_POINT}\d)",
    re.IGNORECASE,
)
_V6 = compile_lazily(
    r"(?<![\w:.])((?=[0-9a-f:]{0,4}:)[0-9a-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?)(/\d{1,3})?(?![\w:])",
    re.IGNORECASE,
)
_WILD = r"(?:\*|x{1,3}(?!\w))"
_ABBREVIATED = compile_lazily(
    rf"(?<![\w.])(?<!\.\])({_OCTET}){_POINT}({_OCTET})(?:/16(?!\w)|{_POINT}(?:"
    rf"{_WILD}{_POINT}{_WILD}|\*|({_OCTET})(?:/24(?!\w)|{_POINT}{_WILD})))",
    re.IGNORECASE,
)
"""A network without all its numbers: `81.2.*.*`, `81.2.3.x`, `81.2/16`."""
_REVERSED = compile_lazily(
    rf"(?<![\w.-])({_OCTET})\.({_OCTET})\.({_OCTET})\.({_OCTET})\.in-addr\.arpa\b", re.IGNORECASE
)
_IN_HOST_NAME = compile_lazily(
    rf"(?<![\w-])ip-({_OCTET})-({_OCTET})-({_OCTET})-({_OCTET})(?:\.[a-z][\w.-]{{1,60}}\w)?(?![\w-])",
    re.IGNORECASE,
)
"""`ip-10-1-2-5.ec2.internal`."""
_PART = r"(?:0x[0-9a-f]{0,40}|[0-9]{1,40})"
_NUMERIC_HOST = compile_lazily(rf"{_PART}(?:\.{_PART}){{0,3}}\.?", re.IGNORECASE)
_NUMERIC_HOST_OF_URL = compile_lazily(
    r"(?<=://)(?:[^\s/?#@]{0,64}@)?"
    rf"([1-9][0-9]{{7,9}}|0[0-7]{{9,13}}|0x[0-9a-f]{{7,8}}|{_PART}(?:\.{_PART}){{1,3}})"
    r"(?=\.?(?:[/:?#\s\"'<>),\\]|\Z))",
    re.IGNORECASE,
)
"""The host of a URL as one to four numbers: `http://167772161/`, `http://0x0a.1/`.

In a text a short number alone, as in `http://5/`, is more likely a placeholder than an address.
"""
_FOUR_OCTETS = compile_lazily(r"(\d{1,3})\.\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)
_PRIVATE_BEGINNINGS = frozenset(
    str(first)
    for network in _PRIVATE
    if isinstance(network, IPv4Network)
    for first in range(network[0].packed[0], network[-1].packed[0] + 1)
)
"""The first number of every IPv4 address that is not public."""
_BITS_BEFORE_IPV4 = 96
_BEFORE_IPV4 = frozenset(IPv6Address(text).packed[:12] for text in ("::ffff:0:0", "64:ff9b::"))
"""The first octets of IPv6 addresses that end in an IPv4 address (RFC 4291, RFC 6052)."""
_REFANG = compile_lazily(r"[\[\](){}\\]|dot", re.IGNORECASE)


def find_ip_networks(text: str) -> tuple[tuple[int, int, Network], ...]:
    """Start, end and network of each address in a text; defanged ones and ports included."""
    return _find_cached(text) if _may_hold_address(text) else ()


def find_abbreviated_networks(text: str) -> Iterator[tuple[int, int, Network]]:
    """Start, end and network of each that is written with wildcards, or without its last numbers.

    >>> [str(network) for _, _, network in find_abbreviated_networks("81.2.*.*, 45[.]9[.]70[.]x")]
    ['81.2.0.0/16', '45.9.70.0/24']
    """
    if not ("*" in text or "/" in text or "x" in text or "X" in text):
        return
    for found in _ABBREVIATED.finditer(text):
        numbers = [each for each in found.groups() if each]
        network = _parse(".".join([*numbers, "0", "0"][:4]) + f"/{8 * len(numbers)}")
        if network is not None:
            yield *found.span(), network


def find_private_addresses(text: str) -> list[Span]:
    """The private addresses in a text; a version number that looks like one is among them."""
    if "." not in text and ":" not in text and "-" not in text:  # every address has one
        return []
    return [
        Span(start, end, _PRIVATE_ADDRESS)
        for start, end, network in (*find_ip_networks(text), *find_abbreviated_networks(text))
        if is_private(network)
    ]


def mentions_private(text: str) -> bool:
    """True if a text has a private address, loopback excepted: it says nothing of a network."""
    networks = (network for _, _, network in find_ip_networks(text))
    return any(is_private(network) and not network.is_loopback for network in networks)


@lru_cache(maxsize=4096)
def is_private(network: Network) -> bool:
    """True if a network is private, reserved, or for documentation."""
    return is_within_any(network, _PRIVATE)


def is_private_address(text: str) -> bool:
    """True if a text is an address or a network that is private, reserved or for documentation.

    >>> is_private_address("10.0.0.1"), is_private_address("8.8.8.8"), is_private_address("a.top")
    (True, False, False)
    """
    if is_surely_public(text):
        return False
    network = parse_network(text)
    return network is not None and is_private(network)


def is_private_host(text: str) -> bool:
    """True if a text, taken as a host, is such an address in any spelling that programs take.

    >>> is_private_host("127.1"), is_private_host("0x08.8.8.8"), is_private_host("a.top")
    (True, False, False)
    """
    if is_surely_public(text):
        return False
    network = parse_host(text)
    return network is not None and is_private(network)


def is_surely_public(value: str) -> bool:
    """True for an IPv4 address that is not private, or four numbers that are none.

    >>> is_surely_public("8.8.8.8"), is_surely_public("10.0.0.1"), is_surely_public("evil.top")
    (True, False, False)
    """
    found = _FOUR_OCTETS.fullmatch(value)
    return found is not None and found[1] not in _PRIVATE_BEGINNINGS and found[1][0] != "0"


def _may_hold_address(text: str) -> bool:
    """False if a text has nothing that every kind of address has; most have not."""
    if text.count(".") >= 3 or text.count(":") >= 2:
        return True
    plain = text.lower()
    return "dot" in plain or "://" in plain or "ip-" in plain or "in-addr" in plain


@lru_cache(maxsize=128)
def _find_cached(text: str) -> tuple[tuple[int, int, Network], ...]:
    return tuple(_find_ip_networks(text))


def _find_ip_networks(text: str) -> Iterator[tuple[int, int, Network]]:
    if text.count(".") >= 3 or "dot" in text.lower():
        for found in _V4.finditer(text):
            plain = _REFANG.sub(lambda m: "." if len(m[0]) == 3 else "", found[1])
            network = _parse(plain + (found[2] or "")) or _parse(plain)
            if network is not None:
                yield found.start(), found.end(), network
    yield from _find_disguised_networks(text)
    if text.count(":") >= 2:
        for found in _V6.finditer(text):
            network = _parse(found[1] + (found[2] or ""))
            if network is not None and found[1] != "::":
                yield found.start(), found.end(), network


def _find_disguised_networks(text: str) -> Iterator[tuple[int, int, Network]]:
    """Addresses in the names of hosts, read backwards, or written as one number."""
    plain = text.lower()
    found: list[tuple[re.Match[str], str]] = []
    if "in-addr" in plain:
        found += ((each, ".".join(each.groups()[::-1])) for each in _REVERSED.finditer(text))
    if "ip-" in plain:
        found += ((each, ".".join(each.groups())) for each in _IN_HOST_NAME.finditer(text))
    for each, address in found:
        network = _parse(address)
        if network is not None:
            yield *each.span(), network
    for host in _NUMERIC_HOST_OF_URL.finditer(text) if "://" in text else ():
        network = None if PLAIN_IPV4.fullmatch(host[1]) else _parse_numeric_host(host[1])
        if network is not None:
            yield *host.span(1), network


def _parse_numeric_host(text: str) -> IPv4Network | None:
    """The address that programs read in one to four numbers, as `inet_aton` and browsers do.

    Each may be octal or hexadecimal, and the last one fills what remains.

    >>> str(_parse_numeric_host("127.1")), str(_parse_numeric_host("0x0a.0x01.515"))
    ('127.0.0.1/32', '10.1.2.3/32')
    """
    if not _NUMERIC_HOST.fullmatch(text):
        return None
    try:
        *firsts, last = map(_parse_number, text.removesuffix(".").split("."))
        rest = last.to_bytes(4 - len(firsts), "big")
        return IPv4Network((bytes(firsts) + rest, 32))
    except (ValueError, OverflowError):
        return None


def _parse_number(text: str) -> int:
    """A number in decimal, octal or hexadecimal digits, as in C; `0x` alone is 0."""
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text[0] == "0" else 10)


def _plain_host(host: str) -> str:
    """A host as programs read it: percent-encoding, wide digits and wide dots resolved."""
    host = host.partition("\\")[0]
    if host.isascii() and "%" not in host:
        return host
    return normalize("NFKC", unquote(host)).replace("\N{IDEOGRAPHIC FULL STOP}", ".")


_NAMED_HOST = compile_lazily(
    r"(?:[a-z][a-z0-9+.-]{0,20}://)?(?:[a-z0-9_-]{1,63}\.){1,30}[a-z]{2,63}(?::\d{1,5})?(?:[/?#]|\Z)",
    re.IGNORECASE | re.ASCII,
)
"""A host name, or a URL with one: it ends with a dot and letters, unlike an IP address."""


def parse_network(value: str) -> Network | None:
    """The network that an observable's value names: an address, a CIDR, or the host of a URL."""
    if _NAMED_HOST.match(value):
        return None
    if "://" in value:
        try:
            host = _plain_host(urlsplit(value).hostname or "")
        except ValueError:
            return None
        return parse_host(host)
    return _parse_plain(value)


def parse_host(host: str) -> Network | None:
    """The network that a host names in any spelling that programs take: `127.1` too."""
    return _parse_plain(host) or _parse_numeric_host(_plain_host(host))


def _parse_plain(value: str) -> Network | None:
    """The network of an address or a CIDR, or loopback for `localhost`."""
    if value.rstrip(".").lower() == "localhost":
        value = "127.0.0.1"
    return _parse(value.strip("[]"))


def is_within_any(network: Network, networks: Iterable[Network]) -> bool:
    """True if one of the networks contains this one; IPv4 inside IPv6 counts as IPv4."""
    network = _unmap(network)
    return any(
        wide.version == network.version and network.subnet_of(wide)  # type: ignore[arg-type]
        for wide in networks
    )


def overlaps_any(network: Network, networks: Iterable[Network]) -> bool:
    """True if the network shares an address with one of the others."""
    network = _unmap(network)
    return any(wide.version == network.version and wide.overlaps(network) for wide in networks)


def _parse(text: str) -> Network | None:
    if ":" not in text and ("." not in text or not text[-1:].isdigit()):
        return None  # a host name, or a hash
    try:
        if "/" not in text:
            return ip_network(ip_address(text))
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _unmap(network: Network) -> Network:
    """The IPv4 network for which an IPv6 network stands: mapped (::ffff:0:0/96) or NAT64."""
    if not isinstance(network, IPv6Network) or network.prefixlen < _BITS_BEFORE_IPV4:
        return network
    octets = network.network_address.packed
    if octets[:12] not in _BEFORE_IPV4:
        return network
    return IPv4Network((octets[12:], network.prefixlen - _BITS_BEFORE_IPV4))
