"""E-mail addresses in a text.  Those inside URLs: `url_mailboxes`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import DOT
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.refang import AT_WORDS

EMAIL = "e-mail address"

_AT = (
    rf"(?:\\{{0,4}}@|%40|\s{{0,2}}[\[({{<]\s?(?:{AT_WORDS}|@)\s?[\])}}>]\s{{0,2}}"
    r"|\(a\)|\s-at-\s)"
)
_ADDRESS = compile_lazily(
    rf"(?<![^\W_])[^\W_](?:[\w.+%'-]|\[\.\]|\(\.\)|[\[({{]dot[\])}}]|\#EXT\#"
    rf"|=(?=[\w-]{{1,63}}\.[\w.-]{{2,80}}@)){{0,127}}{_AT}"
    rf"(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?{DOT}){{1,8}}[^\W\d_][\w-]{{1,62}}",
    re.IGNORECASE,
)
"""`#EXT#` marks a guest of a tenant; `=` replaces the @ of the recipient of a bounce."""
_UNUSUAL_ADDRESS = compile_lazily(
    rf"""(?<![^\W_])(?:"[^"@\r\n]{{1,64}}"@(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?{DOT}){{1,8}}[a-z]{{2,24}}
    |[^\W_][\w.+-]{{0,63}}@\[\d{{1,3}}(?:\.\d{{1,3}}){{3}}\]
    |SRS[01][=+-][\w.=+-]{{3,200}}@(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?{DOT}){{1,8}}[a-z]{{2,24}})""",
    re.IGNORECASE | re.VERBOSE,
)
"""`"jane doe"@bank.test` and `jane@[192.0.2.1]` (RFC 5321 section 4.1.2), and those that servers
rewrite when they forward a mail: `SRS0=x=y=bank.test=jane@relay.test`."""
_SPOKEN_ADDRESS = compile_lazily(
    r"(?<![\w.+-])[a-z0-9][a-z0-9._+-]{0,63} at [a-z0-9-]{1,63}(?: dot [a-z0-9-]{1,63}){1,6}\b",
    re.IGNORECASE,
)
"""`jane at bank dot test`."""
_DEFANGED = compile_lazily(rf"({_AT})|{DOT}", re.IGNORECASE)
_BRACKETED_AT = compile_lazily(rf"[\[({{<]\s?(?:{AT_WORDS})\s?[\])}}>]|\s-at-\s")
_IMAGE_FILE = compile_lazily(r"@\dx\.(?:png|jpe?g|gif|svg|webp)", re.IGNORECASE)
"""`logo@2x.png`."""


def find_email_addresses(text: str) -> Iterator[Span]:
    """E-mail addresses, also defanged or spoken (`jane at bank dot test`)."""
    if "@" not in text and not _may_hide_at_sign(text):
        return
    for found in _ADDRESS.finditer(text):
        if not _IMAGE_FILE.search(found[0]):
            yield Span(*found.span(), EMAIL)
    if '"@' in text or "@[" in text or "SRS" in text:
        yield from (Span(*found.span(), EMAIL) for found in _UNUSUAL_ADDRESS.finditer(text))
    if " dot " in text.lower():
        yield from (Span(*found.span(), EMAIL) for found in _SPOKEN_ADDRESS.finditer(text))


def normalise_email_address(address: str) -> str:
    """The address refanged and in lower case."""
    spoken = address.lower().replace(" at ", "@").replace(" dot ", ".")
    return _DEFANGED.sub(lambda found: "@" if found[1] else ".", spoken)


def _may_hide_at_sign(text: str) -> bool:
    plain = text.lower()
    if "%40" in plain or "(a)" in plain:
        return True
    spoken = "at" in plain and " dot " in plain
    return spoken or _BRACKETED_AT.search(plain) is not None
