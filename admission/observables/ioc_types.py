"""Recognise the type of an indicator of compromise: host, address, URL, e-mail, hash.

A word is examined as a whole; `extraction/prose.py` finds words in text.  This
module does not know whether a value is private, benign or worth sharing.
"""

import ipaddress
import re
from enum import StrEnum
from typing import NamedTuple

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.addresses import canonical_address
from tocsin.admission.observables.domain_names import parse_known_host
from tocsin.admission.observables.placeholders import has_placeholder
from tocsin.admission.observables.urls import canonical_url
from tocsin.admission.patterns.grammar import quote_string


class IocType(StrEnum):
    """The kinds of value that become an indicator, as people call them."""

    DOMAIN = "domain"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    URL = "url"
    EMAIL = "email"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA512 = "sha512"


HASH_TYPES: dict[int, IocType] = {
    32: IocType.MD5,
    40: IocType.SHA1,
    64: IocType.SHA256,
    128: IocType.SHA512,
}
"""Hashes by their number of hexadecimal digits."""

MAX_CHARACTERS = 4096
"""Characters of the longest word that is looked at."""

_TESTED: dict[IocType, str] = {
    IocType.DOMAIN: "domain-name:value",
    IocType.IPV4: "ipv4-addr:value",
    IocType.IPV6: "ipv6-addr:value",
    IocType.URL: "url:value",
    IocType.EMAIL: "email-addr:value",
    IocType.MD5: "file:hashes.'MD5'",
    IocType.SHA1: "file:hashes.'SHA-1'",
    IocType.SHA256: "file:hashes.'SHA-256'",
    IocType.SHA512: "file:hashes.'SHA-512'",
}
_SHORTEST_HASH = min(HASH_TYPES)
_HEX = compile_lazily(r"[0-9A-Fa-f]{32,128}")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = compile_lazily(
    rf"((?:{_OCTET}\.){{3}}{_OCTET})(?:(/(?:3[0-2]|[12]?\d))|[:|]\d{{1,5}})?", re.ASCII
)
_IPV6 = compile_lazily(r"\[?([0-9A-Fa-f:.]{2,45})(?:(?<!\])(/\d{1,3})|\](?::\d{1,5})?)?", re.ASCII)
_URL = compile_lazily(r"(https?|ftps?|sftp|wss?)://([^/?#\\\s]{1,512})(?:[/?#]\S{0,4096})?", re.I)
TRANSPORTS = frozenset(("tcp", "udp", "sctp", "tls", "ssl"))
"""Words after a port, `:53/udp`."""
_PLACE_END = compile_lazily(r"[/?#]")
_SOCKET = compile_lazily(
    r"(?:tcp|udp|tls|ssl)://([^/?#\\\s]{1,300})(?:[/?#]\S{0,4096})?", re.IGNORECASE
)
"""The URL of a socket stands for its host; TCP and UDP know no paths."""
_LOCAL = compile_lazily(r"[A-Za-z0-9.!#$%&'+/=?^_`{|}~-]{1,64}", re.ASCII)
SIGNS = frozenset(".:@[({")
"""Every value except a hash contains one of these, defanged or not."""


class RecognisedIoc(NamedTuple):
    """A value that is distinguishable from ordinary words, in canonical form."""

    kind: IocType
    value: str

    @property
    def pattern(self) -> str:
        """The STIX pattern that matches it.

        >>> RecognisedIoc(IocType.DOMAIN, "evil.com").pattern
        "[domain-name:value = 'evil.com']"
        """
        return f"[{_TESTED[self.kind]} = {quote_string(self.value)}]"


def may_be_ioc(word: str) -> bool:
    """True if a word, defanged or not, might be an IOC; a quick test that most words fail.

    >>> may_be_ioc("loader"), may_be_ioc("end."), may_be_ioc("evil(dot)com")
    (False, True, True)
    """
    return len(word) >= _SHORTEST_HASH or not SIGNS.isdisjoint(word)


def recognise_ioc(word: str) -> RecognisedIoc | None:
    """The IOC that a refanged word as a whole is; None if it is not one.

    Port numbers fall away, as does a leading `*.` of a host name.

    >>> recognise_ioc("198.51.100.7:8080")
    RecognisedIoc(kind=<IocType.IPV4: 'ipv4'>, value='198.51.100.7')
    """
    if not 4 <= len(word) <= MAX_CHARACTERS:
        return None
    if len(word) in HASH_TYPES and _HEX.fullmatch(word):
        return RecognisedIoc(HASH_TYPES[len(word)], word.lower())
    if "://" in word:
        return _url(word)
    if "@" in word:
        return _email(word)
    if word.count(".") >= 3 and word[0].isdigit() and (found := _IPV4.fullmatch(word)):
        plain = found[1]  # no leading zeros: already canonical
        return RecognisedIoc(
            IocType.IPV4, canonical_address(plain + found[2]) if found[2] else plain
        )
    if word.count(":") >= 2:
        return _ipv6(word)
    name = parse_known_host(word) if "." in word else None
    return RecognisedIoc(IocType.DOMAIN, name) if name else None


def recognise_without_scheme(address: str) -> RecognisedIoc | None:
    """The URL that a refanged address without its scheme is: https at port 443, else http.

    Of `evil.com/` and `evil.com:53/udp` it is the host, as it is of `evil.com:53`.

    >>> recognise_without_scheme("evil.com:443/gate").value
    'https://evil.com/gate'
    """
    place = _PLACE_END.split(address, maxsplit=1)[0]
    rest = address[len(place) :]
    if rest == "/" or (":" in place and rest[1:].lower() in TRANSPORTS):
        return recognise_ioc(place)
    return recognise_ioc(("https://" if place.endswith(":443") else "http://") + address)


def _url(word: str) -> RecognisedIoc | None:
    socket = _SOCKET.fullmatch(word)
    if socket:
        return recognise_ioc(socket[1])
    found = _URL.fullmatch(word)
    if not found or has_placeholder(word):
        return None
    place = found[2].rpartition("@")[2]
    if place.startswith("["):
        return RecognisedIoc(IocType.URL, canonical_url(word)) if _ipv6(place) else None
    ipv4 = _IPV4.fullmatch(place)
    known = ipv4[1] if ipv4 else parse_known_host(place)
    if not known:
        return None
    is_canonical = known == found[2] and found[1].islower()  # no user, no port
    return RecognisedIoc(IocType.URL, word if is_canonical else canonical_url(word))


def _email(word: str) -> RecognisedIoc | None:
    local, _, domain = word.removeprefix("mailto:").rpartition("@")
    if not _LOCAL.fullmatch(local) or local.startswith("."):
        return None
    name = parse_known_host(domain)
    return RecognisedIoc(IocType.EMAIL, f"{local.lower()}@{name}") if name else None


def _ipv6(word: str) -> RecognisedIoc | None:
    found = _IPV6.fullmatch(word)
    if not found:
        return None
    try:
        plain = ipaddress.IPv6Address(found[1])
        prefix = int(found[2][1:]) if found[2] else 128
    except ValueError:
        return None
    if plain.ipv4_mapped:
        return RecognisedIoc(IocType.IPV4, str(plain.ipv4_mapped))
    if prefix > 128:
        return None
    return RecognisedIoc(IocType.IPV6, canonical_address(f"{plain}/{prefix}"))
