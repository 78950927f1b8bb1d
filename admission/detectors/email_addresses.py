"""E-mail addresses in a text, and those that URLs carry behind their host."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import DOT, contains_any
from tocsin.admission.detectors.urls import find_urls, path_start
from tocsin.admission.observables.domain_names import is_known_tld

EMAIL = "e-mail address"
EMAIL_IN_URL = "e-mail address in a URL"

_AT = r"(?:@|%40|\s{0,2}[\[({]\s?(?:at|@)\s?[\])}]\s{0,2}|\(a\)|\s?<\s?at\s?>\s?|\s-at-\s)"
_ADDRESS = re.compile(
    rf"(?<![^\W_])[^\W_](?:[\w.+%'-]|\[\.\]|\(\.\)|[\[({{]dot[\])}}]|\#EXT\#"
    rf"|=(?=[\w-]{{1,63}}\.[\w.-]{{2,80}}@)){{0,127}}{_AT}"
    rf"(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?{DOT}){{1,8}}[^\W\d_][\w-]{{1,62}}",
    re.IGNORECASE,
)
"""`#EXT#` marks a guest of a tenant; `=` replaces the @ of the recipient of a bounce."""
_UNUSUAL_ADDRESS = re.compile(
    rf"""(?<![^\W_])(?:"[^"@\r\n]{{1,64}}"@(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?{DOT}){{1,8}}[a-z]{{2,24}}
    |[^\W_][\w.+-]{{0,63}}@\[\d{{1,3}}(?:\.\d{{1,3}}){{3}}\])""",
    re.IGNORECASE | re.VERBOSE,
)
"""`"jane doe"@bank.test` and `jane@[192.0.2.1]` (RFC 5321 section 4.1.2)."""
_SPOKEN_ADDRESS = re.compile(
    r"(?<![\w.+-])[a-z0-9][a-z0-9._+-]{0,63} at [a-z0-9-]{1,63}(?: dot [a-z0-9-]{1,63}){1,6}\b",
    re.IGNORECASE,
)
"""`jane at bank dot test`."""
_DEFANGED = re.compile(rf"({_AT})|{DOT}", re.IGNORECASE)
_BRACKETED_AT = re.compile(r"[\[({<]\s?at\s?[\])}>]|\s-at-\s")
_IMAGE_FILE = re.compile(r"@\dx\.(?:png|jpe?g|gif|svg|webp)", re.IGNORECASE)
"""`logo@2x.png`."""

_ADDRESS_IN_URL = re.compile(
    rf"(?<![^\W_])([\w.+-]{{1,64}})(?:@|%40|\[@\]|\[at\])((?:[a-z0-9-]{{1,63}}{DOT}){{1,6}}[a-z][a-z-]{{1,23}})(?![\w.-]*@)",
    re.IGNORECASE,
)
_PLACEHOLDER_USER = re.compile(
    r"(?:.*[._-])?(?:redacted|removed|anonymi[sz]ed)(?:[._-].*)?"
    r"|x{2,}|a{3,}|e?mail|user(?:name)?|victim|test|someone|name",
    re.IGNORECASE,
)
_PLACEHOLDER_DOMAIN = re.compile(
    r"(?:.*[.])?(?:example(?:[.][a-z]{2,3}){0,2}|test|invalid|localhost)|v?\d[\d.]*(?:[.-].*)?",
    re.IGNORECASE,
)
"""A domain reserved for examples, or the version of a package (`vue@2.6.14.min.js`)."""
_may_hold_address = contains_any("@", "%40", "[at]")
_FANGS = re.compile(r"[\[\](){}\\]")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,200}={0,2}")
_URL_SAFE = str.maketrans("-_", "+/")
_ASCII_IN_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""The first of each four base64 characters, if they encode ASCII."""


def find_email_addresses(text: str) -> Iterator[Span]:
    """E-mail addresses, also defanged or spoken (`jane at bank dot test`)."""
    if "@" not in text and not _may_hide_at_sign(text):
        return
    for found in _ADDRESS.finditer(text):
        if not _IMAGE_FILE.search(found[0]):
            yield Span(*found.span(), EMAIL)
    if '"@' in text or "@[" in text:
        yield from (Span(*found.span(), EMAIL) for found in _UNUSUAL_ADDRESS.finditer(text))
    if " dot " in text.lower():
        yield from (Span(*found.span(), EMAIL) for found in _SPOKEN_ADDRESS.finditer(text))


def find_email_addresses_in_urls(text: str) -> Iterator[Span]:
    """E-mail addresses behind the host of a URL, also in base64.  Examples are passed over."""
    for start, url in find_urls(text):
        path = path_start(url)
        if path < 0:
            continue
        for found in _ADDRESS_IN_URL.finditer(url, path) if _may_hold_address(url) else ():
            if not _is_placeholder_address(found[1], found[2]):
                yield Span(start + found.start(), start + found.end(), EMAIL_IN_URL)
        for found in _BASE64.finditer(url, path):
            if _encodes_address(found[0]):
                yield Span(start + found.start(), start + found.end(), EMAIL_IN_URL)


def normalise_email_address(address: str) -> str:
    """The address refanged and in lower case."""
    spoken = address.lower().replace(" at ", "@").replace(" dot ", ".")
    return _DEFANGED.sub(lambda found: "@" if found[1] else ".", spoken)


def _may_hide_at_sign(text: str) -> bool:
    plain = text.lower()
    if "%40" in plain or "(a)" in plain:
        return True
    return "at" in plain and (" dot " in plain or _BRACKETED_AT.search(plain) is not None)


def _is_placeholder_address(user: str, domain: str) -> bool:
    plain = _FANGS.sub("", domain).lower()
    if _PLACEHOLDER_USER.fullmatch(user) or _PLACEHOLDER_DOMAIN.fullmatch(plain):
        return True
    return not is_known_tld(plain.rpartition(".")[2])


def _encodes_address(encoded: str) -> bool:
    bare = encoded.rstrip("=").translate(_URL_SAFE)
    # Every fourth character rules out nearly all runs before anything is decoded.
    if len(bare) % 4 == 1 or bare[::4].strip(_ASCII_IN_BASE64):
        return False
    try:
        text = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return False
    found = _ADDRESS_IN_URL.fullmatch(text.strip())
    return found is not None and not _is_placeholder_address(found[1], found[2])
