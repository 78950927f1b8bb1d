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
    address = str(network.network_address).replace("::", ":zz:")  # the longest run of zeros
    groups = address.strip(":").split("." if network.version == 4 else ":")
    return ".".join((str(network.prefixlen), *reversed(groups)))


FORMAT = OutputFormat("rpz", "a response policy zone for DNS resolvers", _write)
