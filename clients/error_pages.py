"""Recognise error pages that a server sends with status 200 in place of a list.

Such a page names the reader's own address, mail addresses and hosts of the provider, which would
be read as indicators.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePath

import msgspec

from tocsin.admission.extraction.text_encoding import decode_text
from tocsin.admission.formats import detect_format, formats

_HTML = "html"
_SAMPLE = 16_384
_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*|<!--(?:(?!-->).)*-->\s*)*"
    r"<(?:!doctype\s+html|(?:html|head|body|title|meta|link|script|noscript|style|iframe|center|div|"
    r"p|h[1-6]|br|hr|b|strong|form|img|error)(?=[\s/>]))",
    re.IGNORECASE | re.DOTALL,
)
_JSON_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_EMPTY_LIST = re.compile(rb"\s*(?:\[\s*\]\s*)?")
_TEXTS = ("text", "csv")
"""Formats that accept any text."""
_JSON = "json"
"""The name of a JSON object that is read as text: it may be what the source always gives."""


def find_format(name: str, content: bytes) -> str:
    """The name of a document's format; empty if no format reads it."""
    found = detect_format(name, content)
    if found and found.name in _TEXTS and _is_json_object(content):
        return _JSON
    return found.name if found else ""


def update_format(earlier: str, found: str) -> str:
    """The format that a source is expected to have from now on.

    One whose first document was a web page may have begun with an error page.
    """
    return found if earlier in ("", _HTML) else earlier


def is_empty_list(content: bytes) -> bool:
    """True if it is a list without entries, which no format reads."""
    return _EMPTY_LIST.fullmatch(content) is not None


def explain_error_page(name: str, content: bytes, earlier: str = "") -> str:
    """Explain that a document is an error page where a list is expected; empty for any other.

    A list is expected if the ending of `name` is one of a format other than HTML, or if `earlier`,
    the format that the source had before, is another one.
    """
    ending = PurePath(name.lower()).suffix
    if ending in _endings(_HTML) or not (ending in _other_endings() or earlier not in ("", _HTML)):
        return ""
    expected = f"a {ending} file" if ending in _other_endings() else f"the format {earlier}"
    if _PAGE.match(decode_text(content[:_SAMPLE]).lstrip("\ufeff")):
        return f"{expected} is expected, but it is a web page; nothing is read from it"
    is_json = _is_json_object(content) and find_format(name, content) == _JSON
    if is_json and (ending in _other_endings() or earlier != _JSON):
        return f"{expected} is expected, but it is JSON of no known format; nothing is read from it"
    return ""


@cache
def _endings(name: str) -> frozenset[str]:
    return frozenset(end for each in formats() if each.name == name for end in each.extensions)


@cache
def _other_endings() -> frozenset[str]:
    return frozenset(end for each in formats() if each.name != _HTML for end in each.extensions)


def _is_json_object(content: bytes) -> bool:
    if not content.lstrip(b" \t\r\n\xef\xbb\xbf").startswith(b"{"):
        return False
    try:
        _JSON_OBJECT.decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
