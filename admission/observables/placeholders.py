"""Placeholders in addresses: `http://evil.com/<user_id>`, `[victim].evil.com`, `/{guid}/x`.

A report writes them where the value differs from victim to victim, so the address as it
stands matches nothing.
"""

import re

from tocsin.admission.lazy_patterns import compile_lazily

EXPLANATION = (
    "it has a placeholder in brackets, so it matches nothing: replace the placeholder,"
    " or send a STIX pattern with LIKE or MATCHES"
)
"""The reason for which an address with a placeholder is refused, and the remedy."""

_NAME = r"(?![0-9a-f]{8}-)[a-z_][a-z0-9_ -]{0,40}"
"""A word or two; no GUID."""
_TAGS = (
    r"(?!/?(?:a|abbr|b|br|cite|code|dd|del|div|dl|dt|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark"
    r"|nobr|ol|p|pre|q|s|small|span|strong|sub|sup|table|t[bdhr]|tbody|thead|tt|u|ul|var|wbr)"
    r"(?![A-Za-z_-]))"
)
"""No tag of HTML."""
_DOTS = r"(?!(?:dot|at|d|a)\])"
_BEFORE = r"(?:(?<=[/.=&?_:(\"'`-])|\A)"
_BEHIND = r"(?=[/.?&=#_:,;)\"'`-]|\Z)"
_PLACEHOLDER = compile_lazily(
    rf"{_BEFORE}(?:<{_TAGS}{_NAME}(?:>{_BEHIND}|\Z)"
    rf"|\{{\{{?(?:{_NAME}|\d)\}}?\}}{_BEHIND}"
    rf"|\[{_DOTS}{_NAME}\]{_BEHIND})",
    re.IGNORECASE,
)
_LINK = compile_lazily(r"(?<=[^=.]\[)[^\]]*\](?![/.?&=#_-][A-Za-z0-9])")
"""The words of a link in AsciiDoc, `https://example.com/[words]`."""
_OPENING = compile_lazily(r"[<{\[][A-Za-z_{\d]")


def may_have_placeholder(text: str) -> bool:
    """True if a text, defanged or not, may have a placeholder; a quick test."""
    return ("<" in text or "{" in text or "[" in text) and _OPENING.search(text) is not None


def has_placeholder(word: str, markup: bool = False) -> bool:
    """True if a refanged word has a placeholder; in `markup`, links may have words.

    >>> has_placeholder("http://[victim].evil.com/"), has_placeholder("http://evil.com/a[0]")
    (True, False)
    """
    return may_have_placeholder(word) and any(_find_placeholders(word, markup))


def fill_placeholders(word: str) -> str:
    """The word with a letter in place of each placeholder.

    >>> fill_placeholders("http://[victim].evil.com/<id>")
    'http://x.evil.com/x'
    """
    return _PLACEHOLDER.sub("x", word)


def _find_placeholders(word: str, markup: bool) -> list[re.Match[str]]:
    found = _PLACEHOLDER.finditer(word)
    return [each for each in found if not (markup and _LINK.match(word, each.start() + 1))]
