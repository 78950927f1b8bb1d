"""Which addresses a client may be led to by a name that somebody else chose.

`tocsin collect` reads from public addresses only, unless a source has `allow_private`: the name of
a source, or a redirect, could lead into the network of those who read it.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from tocsin.admission.errors import Unavailable

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as a translator shows them to hosts with IPv6 only (RFC 6052)."""
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        *("168.63.129.16/32", "192.0.0.0/24"),
        *("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)
"""Addresses that Python takes for public: services of clouds for their own machines, and ways of
writing an address of IPv4 or of the local network."""


class NotPublic(Unavailable):
    """A name leads to an address that is not public."""


def find_public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host.  Raises NotPublic if one of them is not public.

    OSError if there is none.  A host with a public and a private address is refused too: one that
    changes between the two is how a name leads into the network of those who look it up.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("not a name that DNS has") from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    private = [each for each in addresses if not is_public_address(each)]
    if private:
        found_at = "" if private[0] == host.strip("[]") else f" is at {private[0]}, which"
        raise NotPublic(
            f"{host}{found_at} is not a public address; "
            "set allow_private = true for the source if it is meant to be in your own network"
        )
    return addresses


def is_public_address(text: str) -> bool:
    """True if an IP address is reachable from anywhere, and not a way to one that is not.

    >>> is_public_address("192.168.0.1"), is_public_address("64:ff9b::c0a8:1")
    (False, False)
    """
    address = ip_address(text.partition("%")[0])
    embedded: list[IPv4Address | IPv6Address] = []
    if isinstance(address, IPv6Address):
        inner = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()))
        embedded = [each for each in inner if each is not None]
        if address in _NAT64:
            embedded.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return all(each.is_global and not each.is_multicast for each in (address, *embedded))
