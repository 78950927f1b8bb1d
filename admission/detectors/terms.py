"""Names and domains as they are found in text: any case, spacing or defanging."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

DOT = r"(?:\.|\\{1,4}\.|\s{0,2}[\[({]\s?(?:\.|dot)\s?[\])}]\s{0,2})"
"""A dot, also defanged or escaped."""

_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_SHORT, _LONG = 3, 8
_BETWEEN = r"(?:[\s_.+-]|%20|\\){0,4}"
"""Between two words of a name: as in texts, host names, queries and paths."""
_RUN = re.compile(r"[^\W_]+")
_LABELS = re.compile(rf"(?<![\w.-])(?:[\w-]{{1,63}}{DOT})+\Z")


class Wording:
    """What finds any of some words, whole; much quicker where there is none of them.

    `ACME Corp` is found as `acme-corp` and `ACMECorp`, `acme.example` as
    `acme[.]example`.  Up to three letters are found only in their own case,
    since `IT` is a word of many texts.  With `anywhere` a domain is found
    inside a longer name too, `notacme.example`, and so are longer names of
    several words: `myacmecorpvpn`.
    """

    def __init__(self, words: tuple[str, ...], anywhere: bool = False) -> None:
        plain = [word.strip(" .") for word in words if _RUN.search(word)]
        self._runs = {max(_RUN.findall(word), key=len).lower() for word in plain}
        parts = sorted((_found_as(word, anywhere) for word in plain), key=len, reverse=True)
        self._pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where the words stand in a text."""
        if self._pattern is None:
            return []
        if text.isascii():  # other letters have more cases than lower() knows
            lower = text.lower()
            for run in self._runs:
                if run in lower:
                    break
            else:
                return []
        return [found.span() for found in self._pattern.finditer(text)]


wording = lru_cache(maxsize=1024)(Wording)
"""The same, remembered for the words."""


def among(*words: str) -> Callable[[str], bool]:
    """Whether any of some words, in small letters of ASCII, may be in a text: a cheap question.

    Yes for every text with other letters, which have more cases than lower() knows.

    >>> may = among("login", "user")
    >>> may("USERNAME"), may("ſ"), may("evil.example")
    (True, True, False)
    """

    def may(text: str) -> bool:
        if not text.isascii():
            return True
        lower = text.lower()
        for word in words:  # noqa: SIM110  half the time of any()
            if word in lower:
                return True
        return False

    return may


def one_word(text: str) -> bool:
    """Whether a text is but letters and digits of ASCII, as a hash is.

    >>> one_word("0cc175b9c0f1b6a831c399e269772661"), one_word("evil.example")
    (True, False)
    """
    return text.isascii() and text.isalnum()


def subdomains(text: str, start: int) -> int:
    """Where a host name begins of which a domain at `start` is the end.

    >>> subdomains("on vpn.acme.example", 7)
    3
    """
    found = _LABELS.search(text, max(0, start - 256), start)
    return found.start() if found else start


def _found_as(word: str, anywhere: bool) -> str:
    tokens = [re.escape(token).replace(r"\.", DOT) for token in word.split()]
    pattern = _BETWEEN.join(tokens)
    if len(word) <= _SHORT:
        pattern = f"(?-i:{pattern})"
    if anywhere and len(tokens) > 1 and len(word) >= _LONG:
        return pattern
    start = "" if anywhere and "." in word and len(word) > _SHORT else _START
    return f"{start}{pattern}{_END}"
