"""Names and domains of partners in a text: in any case and spacing, also defanged."""

from __future__ import annotations

import re
from functools import lru_cache

from tocsin.admission.detectors.text_search import DOT

_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_CASE_SENSITIVE_LENGTH = 3
"""Up to this many letters a term is found only in its own case: `IT` is a common word."""
_EMBEDDED_LENGTH = 8
"""From this length on a name of several words is found inside longer words too."""
_BETWEEN_WORDS = r"(?:[\s_.+-]|%20|\\){0,4}"
"""Between two words of a name, as in texts, host names, queries and paths."""
_ALPHANUMERICS = re.compile(r"[^\W_]+")
_SUBDOMAINS = re.compile(rf"(?<![\w.-])(?:[\w-]{{1,63}}{DOT})+\Z")
_LONGEST_HOSTNAME = 256


class TermMatcher:
    """Finds any of some terms as whole words.

    `ACME Corp` is found as `acme-corp` and `ACMECorp`, `acme.example` as `acme[.]example`.
    With `embedded`, a domain is found inside a longer name too (`notacme.example`), and so
    are longer names of several words (`myacmecorpvpn`).
    """

    def __init__(self, terms: tuple[str, ...], embedded: bool = False) -> None:
        plain = [term.strip(" .") for term in terms if _ALPHANUMERICS.search(term)]
        self._longest_parts = {max(_ALPHANUMERICS.findall(t), key=len).lower() for t in plain}
        parts = sorted((_term_pattern(t, embedded) for t in plain), key=len, reverse=True)
        self._pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None

    def find(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each place in the text where a term stands."""
        if self._pattern is None:
            return []
        if text.isascii():  # other characters have more cases than lower() knows
            # Most texts have none of the terms; substrings tell that far sooner than the pattern.
            lower = text.lower()
            for part in self._longest_parts:
                if part in lower:
                    break
            else:
                return []
        return [found.span() for found in self._pattern.finditer(text)]


term_matcher = lru_cache(maxsize=1024)(TermMatcher)
"""The matcher for some terms, compiled once."""


def hostname_start(text: str, start: int) -> int:
    """The start of the host name whose domain begins at `start`.

    >>> hostname_start("on vpn.acme.example", 7)
    3
    """
    found = _SUBDOMAINS.search(text, max(0, start - _LONGEST_HOSTNAME), start)
    return found.start() if found else start


def _term_pattern(term: str, embedded: bool) -> str:
    words = [re.escape(word).replace(r"\.", DOT) for word in term.split()]
    pattern = _BETWEEN_WORDS.join(words)
    if len(term) <= _CASE_SENSITIVE_LENGTH:
        pattern = f"(?-i:{pattern})"
    if embedded and len(words) > 1 and len(term) >= _EMBEDDED_LENGTH:
        return pattern
    may_follow_letters = embedded and "." in term and len(term) > _CASE_SENSITIVE_LENGTH
    return f"{'' if may_follow_letters else _START}{pattern}{_END}"
