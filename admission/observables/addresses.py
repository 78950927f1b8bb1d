"""IP addresses and networks: their canonical form and their syntax."""

import ipaddress

from tocsin.admission.lazy_patterns import compile_lazily

LEAST_PREFIX = {"ipv4-addr": 12, "ipv6-addr": 28}
"""The shortest prefix of a network that is not wide: lists of hijacked networks have no wider ones,
and regional registries assign wider ones to the largest providers only."""
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
PLAIN_IPV4 = compile_lazily(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
"""An address in its canonical form; `ipaddress` takes ten times as long to say so."""


def canonical_address(text: str) -> str:
    """An IP address or network: RFC 5952, host bits zeroed, /32 and /128 dropped.

    >>> canonical_address("198.51.100.7/24"), canonical_address("2001:DB8::0001/128")
    ('198.51.100.0/24', '2001:db8::1')
    """
    plain = text.strip()
    if PLAIN_IPV4.fullmatch(plain):
        return plain
    try:
        if "/" not in plain:
            return str(ipaddress.ip_address(plain))
        network = ipaddress.ip_network(plain, strict=False)
    except ValueError:
        return plain
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def is_address(text: str, version: int) -> bool:
    """True for an address or a network of that IP version."""
    if PLAIN_IPV4.fullmatch(text):
        return version == 4
    try:
        return ipaddress.ip_network(text, strict=False).version == version
    except ValueError:
        return False
