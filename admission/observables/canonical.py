"""One spelling for one value: hosts, addresses, URLs, hashes, registry keys.

Nothing here changes what a value matches: a host name is the same in any
case, `10.1.2.3/32` is `10.1.2.3`.  What cannot be understood comes back as it
came; whether it is valid is for `validate` to say.
"""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

import idna

HASHES: dict[str, int] = {
    "MD5": 32,
    "SHA-1": 40,
    "SHA-224": 56,
    "SHA-256": 64,
    "SHA-384": 96,
    "SHA-512": 128,
    "SHA3-256": 64,
    "SHA3-512": 128,
}
"""Hash algorithms whose values are hexadecimal, and how many digits each has."""

_HASH_NAMES = {name.replace("-", "").lower(): name for name in (*HASHES, "SSDEEP", "TLSH")}
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
_AROUND = "".join(map(chr, range(33))) + "\x85\xa0\u3000"
_AFTER = _AROUND + "."
_LONGEST = 8192


def host(text: str) -> str:
    """A host name in lower case and IDNA (RFC 5891), without the final dot.

    >>> host("BÜCHER.Example.")
    'xn--bcher-kva.example'
    """
    plain = text.strip(_AROUND).rstrip(_AFTER)
    if plain.isascii():
        return plain.lower()
    try:
        return idna.encode(plain, uts46=True).decode("ascii").lower().rstrip(".")
    except idna.IDNAError:
        return plain.lower()


def address(text: str) -> str:
    """An IP address or network: RFC 5952, host bits zeroed, /32 and /128 dropped.

    >>> address("198.51.100.7/24"), address("2001:DB8::0001/128")
    ('198.51.100.0/24', '2001:db8::1')
    """
    plain = text.strip()
    try:
        if "/" not in plain:
            return str(ipaddress.ip_address(plain))
        network = ipaddress.ip_network(plain, strict=False)
    except ValueError:
        return plain
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def url(text: str) -> str:
    """Scheme and host in lower case, the default port dropped; path and query untouched.

    >>> url("HTTP://Evil.Example:80/Path?Q")
    'http://evil.example/Path?Q'
    """
    plain = text.strip()
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
    place = f"[{address(name)}]" if ":" in name else host(name)
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        place += f":{port}"
    tail = plain.split("://", 1)[1][len(parts.netloc) :]
    return urlunsplit((parts.scheme, user + at + place, "", "", "")) + tail


def email(text: str) -> str:
    """An e-mail address with its domain in lower case; the local part is kept."""
    local, at, domain = text.strip().rpartition("@")
    return f"{local}@{host(domain)}" if at else text.strip()


def registry_key(text: str) -> str:
    r"""A Windows registry key with its hive spelt out.

    >>> registry_key(r"HKLM\Software\x")
    'HKEY_LOCAL_MACHINE\\Software\\x'
    """
    hive, slash, rest = text.strip().partition("\\")
    return _HIVES.get(hive.lower(), hive.upper() if hive[:5].lower() == "hkey_" else hive) + (
        slash + rest
    )


def hash_name(text: str) -> str:
    """A hash algorithm under its STIX name: `sha256` is `SHA-256`.

    >>> hash_name("sha256"), hash_name("SHA3_512"), hash_name("x_own")
    ('SHA-256', 'SHA3-512', 'x_own')
    """
    return _HASH_NAMES.get(text.replace("-", "").replace("_", "").lower(), text)


def mac(text: str) -> str:
    """A MAC address in lower case with colons."""
    plain = text.strip()
    return plain.replace("-", ":").lower() if _MAC.fullmatch(plain) else plain


def digest(text: str) -> str:
    """A hash in hexadecimal digits, in lower case."""
    return text.strip().lower()


_BY_VALUE: dict[str, Callable[[str], str]] = {
    "domain-name": host,
    "ipv4-addr": address,
    "ipv6-addr": address,
    "url": url,
    "email-addr": email,
    "mac-addr": mac,
}


def normal(kind: str, name: str, value: str) -> str:
    """The one spelling of `value`, the property `name` of an SCO of type `kind`.

    >>> normal("file", "hashes.'MD5'", "D41D8CD98F00B204E9800998ECF8427E")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    spell = speller(kind, name)
    return spell(value) if spell else value


def speller(kind: str, name: str) -> Callable[[str], str] | None:
    """How values of that property are spelt; None if every character counts."""
    if name == "value":
        return _BY_VALUE.get(kind)
    if ".hashes." in f".{name}" and name.rpartition(".")[2].strip("'") in HASHES:
        return digest
    return registry_key if kind == "windows-registry-key" and name == "key" else None
