"""Syntax checks for the values of SCOs: addresses, names, registry keys.

Syntax only: this module does not know whether an address is private or a name benign.
Hash lengths are checked in `hashes`.
"""

import ipaddress
import re
from collections.abc import Callable
from encodings.aliases import aliases
from typing import Any

from tocsin.admission.markings.selectors import is_language_code
from tocsin.admission.model import StixObject
from tocsin.admission.observables.canonical_values import (
    PLAIN_IPV4,
    canonical_host,
    canonical_registry_key,
)
from tocsin.admission.observables.placeholders import has_placeholder

_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_-]{1,63})*", re.ASCII
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+-]*:(?!\d+(?:/|$))[^\s\x00-\x20]", re.ASCII)
_WEB = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,39}://[^/?#\s]", re.ASCII)
_LOCAL_FILE = re.compile(r"file:///?\S", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:https?|ftps?|sftp|wss?)://([^/?#\\]{0,1024})", re.IGNORECASE)
_PORT = re.compile(r":\d{0,9}\Z", re.ASCII)
_NOT_IN_HOST = re.compile(r"""[\s\x00-\x20\x7f<>"'`{}|^:\[\]]""")
_DEFANGED = re.compile(r"hxxps?:", re.IGNORECASE)
_LAST_PORT = 65_535
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f]")
_MAIL = re.compile(r"""(?:[^\s@"<>(),:;\\]{1,128}|"[^"\r\n]{1,128}")@([^\s@<>(),;\\]{1,255})""")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)
_HIVES = frozenset(
    (
        *("HKEY_CLASSES_ROOT", "HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE", "HKEY_USERS"),
        *("HKEY_CURRENT_CONFIG", "HKEY_PERFORMANCE_DATA", "HKEY_PERFORMANCE_TEXT"),
        *("HKEY_PERFORMANCE_NLSTEXT", "HKEY_DYN_DATA", "HKEY_CURRENT_USER_LOCAL_SETTINGS"),
    )
)
_LAST_AS = 2**32 - 1
_NO_CHARSETS = ("base64", "bz2", "hex", "quopri", "rot_13", "uu", "zlib", "mbcs")
_CHARSETS = frozenset(
    name.replace("_", "")
    for pair in aliases.items()
    for name in pair
    if not pair[1].startswith(_NO_CHARSETS)
)
_FAMILY = re.compile(r"(?:cs|ibm|iso|utf|ebcdic|windows|x?mac|jis|ks|gb|euc|hz|us)[a-z0-9]{1,40}")
"""Character sets that Python lacks, by the first letters of their names at IANA."""


def find_value_fault(subject: StixObject) -> tuple[str, str] | None:
    """The name of the property whose value is invalid and the fault; None if it is valid."""
    rule = _RULES.get(subject["type"])
    if rule is None:
        return None
    name, well_written, complaint = rule
    if name not in subject:
        return None
    if not well_written(subject[name]):
        return name, complaint
    fault = find_url_fault(subject[name]) if subject["type"] == "url" else ""
    return (name, fault) if fault else None


def is_domain_name(text: str) -> bool:
    """True for a host name, in any script."""
    return _DOMAIN.fullmatch(canonical_host(text)) is not None


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


def is_email_address(text: str) -> bool:
    """True for an e-mail address without display name (STIX 2.1 section 6.5)."""
    found = _MAIL.fullmatch(text)
    if not found:
        return False
    place = found[1]
    return is_domain_name(place) or (place.startswith("[") and place.endswith("]"))


def is_mac_address(text: str) -> bool:
    """True for a MAC address as STIX writes it (section 6.9)."""
    return _MAC.fullmatch(text) is not None


def is_registry_key(text: str) -> bool:
    """True for a Windows registry key that begins with a hive."""
    return canonical_registry_key(text).partition("\\")[0].upper() in _HIVES


def address(version: int) -> Callable[[str], bool]:
    """A test for addresses and networks of that IP version."""

    def is_one(text: str) -> bool:
        if PLAIN_IPV4.fullmatch(text):
            return version == 4
        try:
            return ipaddress.ip_network(text, strict=False).version == version
        except ValueError:
            return False

    return is_one


def _as_number(number: int) -> bool:
    return 0 <= number <= _LAST_AS


def _languages(codes: list[str]) -> bool:
    return all(is_language_code(code) for code in codes)


def is_charset(name: str) -> bool:
    """True for a character set name of IANA's: those of Python, and of the large families.

    >>> is_charset("ISO-8859-1"), is_charset("bla.bla.bla")
    (True, False)
    """
    plain = re.sub(r"[-_:+()]", "", name.lower())
    return plain in _CHARSETS or _FAMILY.fullmatch(plain) is not None


_Rule = tuple[str, Callable[[Any], bool], str]
_RULES: dict[str, _Rule] = {
    "ipv4-addr": ("value", address(4), "not an address of type ipv4-addr"),
    "ipv6-addr": ("value", address(6), "not an address of type ipv6-addr"),
    "domain-name": ("value", is_domain_name, "not a domain name"),
    "url": ("value", is_url, "not a URL: write it with its scheme, such as https://"),
    "email-addr": ("value", is_email_address, "not an e-mail address"),
    "mac-addr": ("value", is_mac_address, "not a MAC address: six pairs of digits with colons"),
    "windows-registry-key": ("key", is_registry_key, "does not begin with a hive of the registry"),
    "autonomous-system": ("number", _as_number, f"not between 0 and {_LAST_AS}"),
    "file": ("name_enc", is_charset, "not the name of a character set"),
    "directory": ("path_enc", is_charset, "not the name of a character set"),
    "software": ("languages", _languages, "not language codes (RFC 5646)"),
}
