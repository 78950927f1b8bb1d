"""A DNS response policy zone, for BIND, Unbound, PowerDNS and Knot resolvers.

Listed names get NXDOMAIN, as do answers that contain a listed address.  Only the name itself is
blocked, as its indicator says, not the names below it.
"""

import ipaddress
from collections.abc import Iterator

from tocsin.admission.output_formats import (
    SERIAL,
    CurrentState,
    OutputFile,
    OutputFormat,
    joined_lines,
)

_LONGEST_NAME = 190
"""Octets of a name that leave room for the origin of the zone: together at most 253."""
_IPV6_GROUPS = 8
_TRIGGER = "rpz-"
"""Start of the last label of a name that gives a resolver an order: `8.0.0.0.10.rpz-ip`."""


def _write(state: CurrentState) -> Iterator[OutputFile]:
    yield OutputFile("rpz.zone", _zone(state))


def _zone(state: CurrentState) -> Iterator[bytes]:
    yield b"$TTL 300\n@ IN SOA localhost. hostmaster.localhost. "
    yield SERIAL
    yield b" 300 60 604800 300\n@ IN NS localhost.\n"
    left_out = 0

    def records() -> Iterator[bytes]:
        nonlocal left_out
        for each in state.values("domain"):
            if len(each.value) > _LONGEST_NAME:
                left_out += 1
            elif not each.value.rpartition(".")[2].startswith(_TRIGGER):
                yield f"{each.value} CNAME .\n".encode()
        for each in state.values("ipv4", "ipv6"):
            yield f"{reversed_address(each.value)}.rpz-ip CNAME .\n".encode()

    yield from joined_lines(records())
    if left_out:
        yield f"; names longer than {_LONGEST_NAME} octets, left out: {left_out}\n".encode()


def reversed_address(value: str) -> str:
    """An address or network as the owner name of an RPZ-IP trigger.

    >>> reversed_address("198.51.100.0/24"), reversed_address("2001:db8::7")
    ('24.0.100.51.198', '128.7.zz.db8.2001')
    """
    network = ipaddress.ip_network(value)
    if network.version == 4:
        groups = str(network.network_address).split(".")
        return ".".join((str(network.prefixlen), *reversed(groups)))
    return f"{network.prefixlen}.{'.'.join(reversed(_ipv6_groups(network.network_address)))}"


def _ipv6_groups(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[str]:
    """The groups in hexadecimal; the longest run of two or more zeros is `zz`."""
    groups = [f"{int(each, 16):x}" for each in address.exploded.split(":")]
    best, begin = (0, 0), 0
    while begin < _IPV6_GROUPS:
        end = begin
        while end < _IPV6_GROUPS and groups[end] == "0":
            end += 1
        best = max(best, (end - begin, -begin))
        begin = end + 1
    length, start = best[0], -best[1]
    return [*groups[:start], "zz", *groups[start + length :]] if length > 1 else groups


FORMAT = OutputFormat("rpz", "a response policy zone for DNS resolvers", _write)
