"""Cheap questions about a text, asked before patterns are run, and shared pieces of patterns."""

from __future__ import annotations

import re
from collections.abc import Callable

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.refang import DOT_WORDS

DOT = rf"(?:\.|\\{{1,4}}\.|\s{{0,2}}[\[({{]\s?(?:\.|{DOT_WORDS})\s?[\])}}]\s{{0,2}})"
"""A regular expression for a dot, also defanged or escaped."""

_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))
_CHARACTERS_BEFORE, _CHARACTERS_AFTER = 32, 12
_TWO_LETTERS = compile_lazily(r"[^\W\d_]{2}")


def contains_any(*words: str) -> Callable[[str], bool]:
    """A question that is asked of texts: may one of the words, in any case, be in it?

    The words are substrings in lower-case ASCII.  The answer is yes for every text with
    characters outside ASCII, since those have more cases than `str.lower` knows.

    >>> may_name_account = contains_any("login", "user")
    >>> may_name_account("USERNAME"), may_name_account("ſ"), may_name_account("evil.example")
    (True, True, False)
    """

    def may_contain(text: str) -> bool:
        if not text.isascii():
            return True
        lower = text.lower()
        for word in words:  # noqa: SIM110  any() takes twice the time
            if word in lower:
                return True
        return False

    return may_contain


def is_single_word(text: str) -> bool:
    """True if a text has only ASCII letters and digits, like a hash.

    >>> is_single_word("0cc175b9c0f1b6a831c399e269772661"), is_single_word("evil.example")
    (True, False)
    """
    return text.isascii() and text.isalnum()


def count_digits(text: str) -> int:
    """The number of ASCII digits; `translate` is the fastest way to count them."""
    return len(text) - len(text.translate(_NO_DIGITS))


def has_word_near(word: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """True if the word stands shortly before the stretch, or right behind it."""
    before = text[max(0, start - _CHARACTERS_BEFORE) : start]
    after = text[end : end + _CHARACTERS_AFTER]
    # Two letters in a row are cheaper to look for than the words, which all have them.
    return any(_TWO_LETTERS.search(side) and word.search(side) for side in (before, after))
