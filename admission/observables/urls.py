"""URLs: their canonical form, and faults by which no client opens them (RFC 3986)."""

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.addresses import canonical_address
from tocsin.admission.observables.domain_names import canonical_host
from tocsin.admission.observables.placeholders import has_placeholder

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
_WEB_SCHEME = compile_lazily(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DROPPED = compile_lazily(r"[\t\r\n]")
_CANONICAL_URL = compile_lazily(
    r"(?:https?|ftp)://[a-z0-9_-]+(?:\.[a-z0-9_-]+)*(?:[/?#][^\t\r\n]*)?"
)
"""URLs that are in their canonical form already; to take them apart costs five times as much."""
_LONGEST = 8192
_SCHEME = compile_lazily(r"[A-Za-z][A-Za-z0-9+-]*:(?!\d+(?:/|$))[^\s\x00-\x20]", re.ASCII)
_WEB = compile_lazily(r"[A-Za-z][A-Za-z0-9+.-]{0,39}://[^/?#\s]", re.ASCII)
_LOCAL_FILE = compile_lazily(r"file:///?\S", re.IGNORECASE)
_AUTHORITY = compile_lazily(r"(?:https?|ftps?|sftp|wss?)://([^/?#\\]{0,1024})", re.IGNORECASE)
_PORT = compile_lazily(r":\d{0,9}\Z", re.ASCII)
_NOT_IN_HOST = compile_lazily(r"""[\s\x00-\x20\x7f<>"'`{}|^:\[\]]""")
_DEFANGED = compile_lazily(r"hxxps?:", re.IGNORECASE)
_LAST_PORT = 65_535
_UNPRINTED = compile_lazily(r"[\x00-\x1f\x7f]")


def canonical_url(text: str) -> str:
    """Scheme and host in lower case, the default port dropped; path and query untouched.

    >>> canonical_url("HTTP://Evil.Example:80/Path?Q")
    'http://evil.example/Path?Q'
    """
    plain = text.strip()
    if _CANONICAL_URL.fullmatch(plain):
        return plain
    if len(plain) > _LONGEST or not _WEB_SCHEME.match(plain) or _DROPPED.search(plain):
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


def without_scheme(url: str) -> str:
    """A URL as products compare it that never name the scheme: host, port, path and query.

    >>> without_scheme("http://evil.example/a?b#c"), without_scheme("https://evil.example")
    ('evil.example/a?b', 'evil.example/')
    """
    rest = url.split("://", 1)[1].partition("#")[0]
    cut = min((rest.index(sign) for sign in "/?" if sign in rest), default=len(rest))
    place, tail = rest[:cut].rpartition("@")[2], rest[cut:]
    return place + (tail if tail.startswith("/") else f"/{tail}")


def is_url(text: str) -> bool:
    """True for a URL (RFC 3986): a scheme, then something."""
    if _UNPRINTED.search(text):
        return False
    if "://" in text[:40]:
        return bool(_WEB.match(text) or _LOCAL_FILE.match(text))
    return _SCHEME.match(text) is not None


def find_url_fault(text: str) -> str:
    """The reason for which no client opens a URL as it is written; empty if there is none.

    Only the part before the path is looked at, and only of schemes that have a host.

    >>> find_url_fault("http://a@b@evil.com/")
    'has two @ before its path: write every @ but the last as %40'
    """
    if _DEFANGED.match(text):
        return "is defanged: write it with http:// or https://"
    found = _AUTHORITY.match(text)
    fault = _find_authority_fault(found[1]) if found else ""
    return "" if fault and has_placeholder(text) else fault


def _find_authority_fault(authority: str) -> str:
    user, _, place = authority.rpartition("@")
    host = _PORT.sub("", place)
    if "@" in user:
        return "has two @ before its path: write every @ but the last as %40"
    if not host:
        return "has no host"
    if not _is_ipv6(host) and _NOT_IN_HOST.search(host):
        return "has a host with spaces, brackets or other characters that no host has"
    if int(place[len(host) + 1 :] or 0) > _LAST_PORT:
        return f"has a port above {_LAST_PORT}"
    return ""


def _is_ipv6(host: str) -> bool:
    """True for an address of version 6 in brackets."""
    if not (host.startswith("[") and host.endswith("]")):
        return False
    try:
        ipaddress.IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True
