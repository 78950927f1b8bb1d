"""Certificates (RFC 5280) in files: the holder's own, its names, and when it is valid.

Who trusts a certificate, and what it gives access to, is decided elsewhere.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from tocsin.admission.descriptions import count
from tocsin.admission.errors import Malformed

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17
"""Tags: the version, which a certificate of version 1 lacks; a time with two digits of the year."""
_EXTENSIONS, _DNS_NAME, _IP_ADDRESS = 0xA3, 0x82, 0x87
"""Tags: the extensions; two kinds of an alternative name (section 4.2.1.6)."""
_BOOLEAN = 0x01
_SUBJECT_ALT_NAME, _BASIC_CONSTRAINTS = bytes.fromhex("551d11"), bytes.fromhex("551d13")
_FIRST_OF_CENTURY = 50
"""A year of two digits is in the 1900s from here on (RFC 5280 section 4.1.2.5.1)."""
SOON_SECONDS = 14 * 86_400
"""Time before its end from which on a certificate should be renewed."""


@dataclass(frozen=True, slots=True)
class Validity:
    """The time in which a certificate is valid."""

    begin: float
    """Seconds since 1970 UTC, like `end`."""
    end: float

    def find_fault(self, now: float) -> str:
        """The reason why the certificate is of no use now, as a predicate; empty if it is valid."""
        if now > self.end:
            return f"expired at {_format_time(self.end)}"
        if now < self.begin:
            return f"is not valid before {_format_time(self.begin)}"
        return ""

    def find_warning(self, now: float, soon: float = SOON_SECONDS) -> str:
        """As `find_fault`; also if the certificate ends within `soon` seconds."""
        if now < self.end < now + soon and now >= self.begin:
            days = int((self.end - now) // 86_400)
            return f"expires at {_format_time(self.end)}, in {count(days, 'day')}"
        return self.find_fault(now)


def first_certificate(octets: bytes) -> bytes:
    """The certificate in a file's octets, in DER; of a PEM chain the first, the holder's own.

    Raises Malformed if there is none.
    """
    found = _PEM.search(octets)
    return _read_certificate(found[0] if found else octets)


def only_certificate(octets: bytes) -> bytes:
    """The only certificate in a file's octets, in DER; of several, the only one not of a CA.

    Raises Malformed if there is none, or more than one that it could be.
    """
    found = list(dict.fromkeys(map(_read_certificate, _PEM.findall(octets) or [octets])))
    if len(found) == 1:
        return found[0]
    own = [each for each in found if not _is_ca(each)]
    if len(own) != 1:
        raise Malformed(
            f"the file has {len(found)} certificates, and it is not clear which one is the "
            "client's; give a file with only that one"
        )
    return own[0]


def _read_certificate(octets: bytes) -> bytes:
    """A certificate, given in PEM or DER, in DER.  Raises Malformed if it is not one."""
    try:
        der = ssl.PEM_cert_to_DER_cert(octets.decode()) if _PEM.match(octets) else octets
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("not a certificate, neither in PEM nor in DER") from error
    return der


def read_validity(der: bytes) -> Validity:
    """The validity of a certificate in DER.  Raises Malformed if it has none.

    Python's ssl module shows it of the peer of a connection only, and `cryptography` would take
    12 MB in every process that serves.
    """
    try:
        fields = _read_fields(der)
        if fields[0][0] == _VERSION:
            fields = fields[1:]
        begin, end = _read_elements(fields[3][1])  # after serial, signature and issuer
        return Validity(_parse_time(*begin), _parse_time(*end))
    except (IndexError, ValueError) as error:
        raise Malformed("the certificate does not say how long it is valid") from error


def read_names(der: bytes) -> tuple[str, ...]:
    """Host names and IP addresses of a certificate in DER, in its order; empty if it has none."""
    try:
        return tuple(_list_names(_read_extension(der, _SUBJECT_ALT_NAME)))
    except (IndexError, ValueError):
        return ()


def _is_ca(der: bytes) -> bool:
    """True if a certificate in DER may sign others (section 4.2.1.9)."""
    try:
        elements = _read_elements(_read_extension(der, _BASIC_CONSTRAINTS))
    except (IndexError, ValueError):
        return False
    return any(tag == _BOOLEAN and value != b"\0" for tag, value in elements)


def _read_extension(der: bytes, wanted: bytes) -> bytes:
    """The content of an extension's value; empty if the certificate lacks it."""
    for tag, content in _read_fields(der):
        if tag == _EXTENSIONS:
            for _, extension in _read_elements(_read_elements(content)[0][1]):
                (_, kind), *_, (_, value) = _read_elements(extension)
                if kind == wanted:
                    return _read_elements(value)[0][1]
    return b""


def _list_names(octets: bytes) -> Iterator[str]:
    for tag, name in _read_elements(octets):
        if tag == _DNS_NAME:
            yield name.decode("ascii")
        elif tag == _IP_ADDRESS:
            yield str(ip_address(name))


def _read_fields(der: bytes) -> list[tuple[int, bytes]]:
    """The fields of what is signed: version, serial number and so on."""
    [(_, certificate)] = _read_elements(der)
    return _read_elements(_read_elements(certificate)[0][1])


def _read_elements(octets: bytes) -> list[tuple[int, bytes]]:
    """The elements that follow each other in DER (X.690): tag and content of each."""
    elements: list[tuple[int, bytes]] = []
    position = 0
    while position < len(octets):
        tag, length = octets[position], octets[position + 1]
        position += 2
        if length & 0x80:
            digits = length & 0x7F
            length = int.from_bytes(octets[position : position + digits])
            position += digits
        elements.append((tag, octets[position : position + length]))
        position += length
    return elements


def _parse_time(tag: int, octets: bytes) -> float:
    text = octets.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _FIRST_OF_CENTURY else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _format_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
