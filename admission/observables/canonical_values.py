"""Canonical form of single values: host names, addresses, URLs, hashes, registry keys.

Nothing here changes what a value matches: a host name is the same in any
case, `10.1.2.3/32` is `10.1.2.3`.  A value that cannot be parsed comes back
unchanged; `validate` decides whether it is valid.
"""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import idna

from tocsin.admission.observables.hashes import HASH_DIGITS

_HIVES = {
    "hkcr": "HKEY_CLASSES_ROOT",
    "hkcu": "HKEY_CURRENT_USER",
    "hklm": "HKEY_LOCAL_MACHINE",
    "hku": "HKEY_USERS",
    "hkcc": "HKEY_CURRENT_CONFIG",
}
_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")
_DROPPED = re.compile(r"[\t\r\n]")
_CANONICAL_URL = re.compile(r"(?:https?|ftp)://[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?:[/?#][^\t\r\n]*)?")
"""URLs that are in their canonical form already; to take them apart costs five times as much."""
_AROUND = "".join(map(chr, range(33))) + "\x85\xa0\u3000"
_AFTER = _AROUND + "."
_LONGEST = 8192
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
PLAIN_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
"""An address in its canonical form; `ipaddress` takes ten times as long to say so."""


def canonical_host(text: str) -> str:
    """A host name in lower case and IDNA (RFC 5891), without the final dot.

    >>> canonical_host("BÜCHER.Example.")
    'xn--bcher-kva.example'
    """
    plain = text.strip(_AROUND).rstrip(_AFTER)
    if plain.isascii():
        return plain.lower()
    try:
        return idna.encode(plain, uts46=True).decode("ascii").lower().rstrip(".")
    except idna.IDNAError:
        return plain.lower()


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


def canonical_url(text: str) -> str:
    """Scheme and host in lower case, the default port dropped; path and query untouched.

    >>> canonical_url("HTTP://Evil.Example:80/Path?Q")
    'http://evil.example/Path?Q'
    """
    plain = text.strip()
    if _CANONICAL_URL.fullmatch(plain):
        return plain
    if len(plain) > _LONGEST or not _SCHEME.match(plain) or _DROPPED.search(plain):
        return plain  # urlsplit would drop tabs and line ends, and count wrong
    try:
        parts = urlsplit(plain)
        port = parts.port
        name = parts.hostname or ""
    except ValueError:
        return plain
    if not name:
        return plain
    user, at, _ = parts.netloc.rpartition("@")
    place = f"[{canonical_address(name)}]" if ":" in name else canonical_host(name)
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        place += f":{port}"
    tail = plain.split("://", 1)[1][len(parts.netloc) :]
    return urlunsplit((parts.scheme, user + at + place, "", "", "")) + tail


def canonical_email(text: str) -> str:
    """An e-mail address with its domain in lower case; the local part is kept."""
    local, at, domain = text.strip().rpartition("@")
    return f"{local}@{canonical_host(domain)}" if at else text.strip()


def canonical_registry_key(text: str) -> str:
    r"""A Windows registry key with its hive spelt out.

    >>> canonical_registry_key(r"HKLM\Software\x")
    'HKEY_LOCAL_MACHINE\\Software\\x'
    """
    hive, slash, rest = text.strip().partition("\\")
    return _HIVES.get(hive.lower(), hive.upper() if hive[:5].lower() == "hkey_" else hive) + (
        slash + rest
    )


def canonical_mac(text: str) -> str:
    """A MAC address in lower case with colons."""
    plain = text.strip()
    return plain.replace("-", ":").lower() if _MAC.fullmatch(plain) else plain


def canonical_hash(text: str) -> str:
    """A hash in hexadecimal digits, in lower case."""
    return text.strip().lower()


_BY_VALUE: dict[str, Callable[[str], str]] = {
    "domain-name": canonical_host,
    "ipv4-addr": canonical_address,
    "ipv6-addr": canonical_address,
    "url": canonical_url,
    "email-addr": canonical_email,
    "mac-addr": canonical_mac,
}


def canonical_value(kind: str, name: str, value: str) -> str:
    """The canonical form of `value`, the property `name` of an SCO of type `kind`.

    >>> canonical_value("file", "hashes.'MD5'", "D41D8CD98F00B204E9800998ECF8427E")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    spell = canonicalizer(kind, name)
    return spell(value) if spell else value


def canonicalizer(kind: str, name: str) -> Callable[[str], str] | None:
    """The canonical form of that property, as a function; None if every character counts."""
    if name == "value":
        return _BY_VALUE.get(kind)
    if ".hashes." in f".{name}" and name.rpartition(".")[2].strip("'") in HASH_DIGITS:
        return canonical_hash
    return canonical_registry_key if kind == "windows-registry-key" and name == "key" else None
