"""E-mail addresses that URLs carry: in path, query, fragment, or before the host.

Kits for phishing put the victim's into their links, to fill the form in: plain, escaped, in
base64 or in hexadecimal.  Where it is the end of a parameter, the URL can do without it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import DOT, contains_any
from tocsin.admission.detectors.urls import find_request_targets, find_urls, path_start
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.domain_names import is_known_tld
from tocsin.admission.word_lists import load_words

EMAIL_IN_URL = "e-mail address in a URL"

_ADDRESS = compile_lazily(
    rf"(?:(?<=%)[0-9a-f]{{2}}|(?<![^\W_]))([\w.+-]{{1,64}})(?:@|%(?:25)?40|\[@\]|\[at\])"
    rf"((?:(?:[^\W_]|-){{1,63}}{DOT}){{1,6}}[^\W\d_](?:[^\W_]|-){{1,23}})(?![\w.-]*@)",
    re.IGNORECASE,
)
_USERINFO = compile_lazily(r"(?<=//)([^/?#:]{3,200})(?::[^/?#@]{0,200})?@")
_EXAMPLE_USER = compile_lazily(
    r"(?:.*[._-])?(?:redacted|removed|anonymi[sz]ed)(?:[._-].*)?"
    r"|x{2,}|a{3,}|e?mail|user(?:name)?|victim|test|someone|name|example",
    re.IGNORECASE,
)
_EXAMPLE_DOMAIN = compile_lazily(r"(?:.*[.])?example(?:[.][a-z]{2,3}){1,2}")
_RESERVED_TLDS = frozenset(("example", "test", "invalid"))
"""Top-level domains for examples and tests (RFC 2606)."""
_VERSION = compile_lazily(r"v?\d[\d.]*(?:[.-].*)?")
"""The version of a package: `vue@2.6.14.min.js`."""
_may_hold_address = contains_any("@", "%40", "%2540", "[at]")
_FANGS = compile_lazily(r"[\[\](){}\\]")
_BASE64 = compile_lazily(
    r"(?:(?<![A-Za-z0-9+_-])|(?<=%3[Dd])|(?<=%2[Ff]))(?:[A-Za-f][A-Za-z0-9+/_-]{3}){3,100}(?:[A-Za-f][A-Za-z0-9+/_-]{1,2})?"
    r"(?:=|%3[Dd]){0,2}(?![A-Za-z0-9+_-])"
)
"""Base64 of ASCII: of each four characters, the first is one of 32.  A path may end it."""
_PADDING = compile_lazily(r"(?:=|%3D)+\Z", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")
_SHORTEST_BASE64 = 12
_HEX = compile_lazily(r"(?<![A-Za-z0-9])(?:[2-7][0-9a-f]){8,200}(?![A-Za-z0-9])", re.IGNORECASE)
"""Printed characters of ASCII in hexadecimal digits."""
_MOST_ENCODINGS = 2
"""Maximum number of encodings in base64 upon each other."""
_MOST_CUT = 50
"""Addresses that are cut out of one URL: the whole rest is searched for each of them."""
_TOKEN = compile_lazily(r"[^/?#&;=\s]{6,}")
_MOST_ESCAPES = 4
"""Maximum number of percent-encodings upon each other."""
_WIDE_AT = "\uff20"
_HAS_SCHEME = compile_lazily(r"[a-z][a-z0-9+.|:-]{0,40}://", re.IGNORECASE)

_PARAMETERS = compile_lazily(r"[?#]")
_VALUE_BEGINS = compile_lazily(r"(?:[?&;#=]|%(?:3D|26|3F|23))(?:mailto(?::|%3A))?\Z", re.IGNORECASE)
_VALUE_ENDS = compile_lazily(r"[&;#]|%(?:26|23)|\Z", re.IGNORECASE)
_NOTHING_LEFT = compile_lazily(r"[?#&]+\Z")
_FREE_MAIL = frozenset(load_words("tocsin.admission.extraction", "free_mail_providers"))
_SHORTEST_NAME = 4
"""Characters of the shortest name of a mailbox that is recognised by itself."""


class Mailbox(NamedTuple):
    """An e-mail address in a URL, and the part of the text that stands for it."""

    start: int
    end: int
    user: str
    domain: str
    is_example: bool
    """True if a publisher wrote it in the place of somebody's: `REDACTED@…`, `…@example.com`."""
    is_alone: bool
    """True if the part of the text stands for nothing else."""


def find_email_addresses_in_urls(text: str) -> Iterator[Span]:
    """E-mail addresses in the URLs and request targets of a text, without examples."""
    for each in find_mailboxes(text):
        if not each.is_example:
            yield Span(each.start, each.end, EMAIL_IN_URL)


@lru_cache(maxsize=4)  # asked in turn for what can be cut out, and for what has to be held
def find_mailboxes(text: str) -> tuple[Mailbox, ...]:
    """E-mail addresses in the URLs and request targets of a text, examples included."""
    return tuple(_find_mailboxes(text))


def _find_mailboxes(text: str) -> Iterator[Mailbox]:
    for start, url in find_urls(text):
        yield from (_move(each, start) for each in find_mailboxes_in_url(url))
    for start, target in find_request_targets(text):
        yield from (_move(each, start) for each in _find_behind(target, 0))


def find_mailboxes_in_url(url: str) -> Iterator[Mailbox]:
    """E-mail addresses in a URL, examples included."""
    path = path_start(url)
    if "@" in url[: path if path >= 0 else None]:
        yield from _find_before_host(url)
    if path >= 0:
        yield from _find_behind(url, path)


def has_mailbox(url: str) -> bool:
    """True if a whole URL, with or without its scheme, or a part of one, has an e-mail address.

    Unlike a URL in a text, it may have spaces, quotes and any length.
    """
    whole = url if _HAS_SCHEME.match(url) else f"http://_/{url}"
    return any(not each.is_example for each in find_mailboxes_in_url(whole))


def cut_mailboxes(url: str) -> str | None:
    """The URL without the e-mail addresses in its query and fragment; None if one has to stay.

    An address stays that is not the whole value of a parameter, or that the rest still names.

    >>> cut_mailboxes("http://evil.com/?u=jane@bank.com&x=1"), cut_mailboxes("http://evil.com/#j@a.de")
    ('http://evil.com/?u=&x=1', 'http://evil.com/')
    >>> cut_mailboxes("http://evil.com/jane@bank.com/")
    """
    whole = url if _HAS_SCHEME.match(url) else f"http://{url}"
    found = sorted(islice(find_mailboxes_in_url(whole), _MOST_CUT + 1), reverse=True)
    if len(found) > _MOST_CUT:
        return None
    parameters = _PARAMETERS.search(whole, path_start(whole)) if path_start(whole) >= 0 else None
    rest, earliest = whole, len(whole)
    for each in found:
        if parameters is None or each.start <= parameters.start():
            return None
        before, behind = rest[: each.start], rest[each.end :]
        if (
            not each.is_alone
            or each.end > earliest
            or not (_begins_value(before) and _VALUE_ENDS.match(behind))
        ):
            return None
        earliest = each.start
        rest = _NOTHING_LEFT.sub("", before) if not behind else before + behind
    if _is_other_page(whole, rest) or any(_is_named(each, rest) for each in found):
        return None
    return rest[len(whole) - len(url) :]


def _begins_value(before: str) -> bool:
    """True if a parameter's value begins here; a second `=` may be of the mailbox's own name."""
    separator = max(map(before.rfind, "?&;#"))
    return before.count("=", separator + 1) <= 1 and _VALUE_BEGINS.search(before[-16:]) is not None


def _is_other_page(before: str, after: str) -> bool:
    """True if a query is gone, and what is left is the start page of a host."""
    is_start_page = path_start(after) < 0 or after.find("/", after.find("//") + 2) == len(after) - 1
    return is_start_page and "?" in before and "?" not in after


def _move(mailbox: Mailbox, by: int) -> Mailbox:
    return mailbox._replace(start=mailbox.start + by, end=mailbox.end + by)


def _find_before_host(url: str) -> Iterator[Mailbox]:
    found = _USERINFO.search(url)
    address = _ADDRESS.fullmatch(found[1]) if found else None
    if found and address:
        yield from _read(address, found.span(1))


def _find_behind(url: str, path: int) -> Iterator[Mailbox]:
    for found in _ADDRESS.finditer(url, path) if _may_hold_address(url) else ():
        yield from _read(found, (found.start(1), found.end()))
    yield from _find_escaped(url, path)
    for found in _BASE64.finditer(url, path):
        for place in _pieces(found):
            if address := _find_in_base64(url[slice(*place)]):
                yield from _read(address, place, is_encoded=True)
    if "40" in url:  # the @
        for found in _HEX.finditer(url, path):
            digits = found[0][: len(found[0]) // 2 * 2]
            if address := _ADDRESS.search(bytes.fromhex(digits).decode("ascii")):
                yield from _read(address, found.span(), is_encoded=True)


def _find_escaped(url: str, path: int) -> Iterator[Mailbox]:
    """E-mail addresses that only show when more than their @ is unescaped."""
    if "%" not in url and _WIDE_AT not in url:
        return
    for found in _TOKEN.finditer(url, path):
        plain = _unescape(found[0])
        addresses = _ADDRESS.findall(plain) if plain != found[0] and "@" in plain else []
        if len(addresses) > len(_ADDRESS.findall(found[0])):
            for address in _ADDRESS.finditer(plain):
                yield from _read(address, found.span(), is_encoded=True)


def _unescape(text: str) -> str:
    for _ in range(_MOST_ESCAPES):
        if "%" not in text:
            break
        text = unquote(text)
    return text.replace(_WIDE_AT, "@")


def _pieces(found: re.Match[str]) -> Iterable[tuple[int, int]]:
    """A run of characters of base64, and its pieces between slashes: those may be of a path."""
    start, end = found.span()
    yield start, end
    if "/" not in found[0]:
        return
    for piece in found[0].split("/"):
        if len(piece) >= _SHORTEST_BASE64:
            yield start, start + len(piece)
        start += len(piece) + 1


def _find_in_base64(encoded: str) -> re.Match[str] | None:
    for _ in range(_MOST_ENCODINGS):
        bare = _PADDING.sub("", encoded).translate(_URL_SAFE)
        try:
            octets = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
            encoded = octets.decode("ascii").strip()
        except (binascii.Error, UnicodeDecodeError):
            return None
        if found := _ADDRESS.search(encoded):
            return found
    return None


def _read(
    found: re.Match[str], place: tuple[int, int], *, is_encoded: bool = False
) -> Iterator[Mailbox]:
    """The mailbox, unless its domain cannot exist; `is_encoded` as a whole text."""
    user, domain = found[1], _FANGS.sub("", found[2]).lower()
    tld = domain.rpartition(".")[2]
    if _VERSION.fullmatch(domain) or not (tld in _RESERVED_TLDS or is_known_tld(tld)):
        return
    is_example = _EXAMPLE_USER.fullmatch(user) or _EXAMPLE_DOMAIN.fullmatch(domain)
    is_alone = found[0] == found.string.strip() or not is_encoded
    yield Mailbox(*place, user, domain, is_example is not None, is_alone)


def _is_named(mailbox: Mailbox, url: str) -> bool:
    """True if a URL has the name of a mailbox, or its domain behind the host."""
    place = path_start(url)
    behind = unquote(url[place:]).lower() if place >= 0 else ""
    user, domain = mailbox.user.lower(), mailbox.domain
    signs = [user] if len(user) >= _SHORTEST_NAME and not _EXAMPLE_USER.fullmatch(user) else []
    if domain not in _FREE_MAIL and not _EXAMPLE_DOMAIN.fullmatch(domain):
        signs.append(domain)
    return any(_stands_alone(sign, behind) for sign in signs)


def _stands_alone(sign: str, text: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(sign)}(?![^\W_])", text) is not None
