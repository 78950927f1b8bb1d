r"""A text as a reader or his program takes it, where it is written in another way.

`jane%40bank.test`, `jane&#64;bank.test`, `jane\u0040bank.test` and letters of
full width are read as what they stand for, and characters that nobody sees are
not, each with the place that it has in the text as it was written.  Base64 is
not looked into, nor is what was encoded twice.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

_ESCAPED = re.compile(
    r"%(?P<percent>[2-7][0-9a-f])|\\u00(?P<json>[2-7][0-9a-f])|\\x(?P<hex>[2-7][0-9a-f])"
    r"|&(?P<entity>#\d{2,6}|#x[0-9a-f]{2,5}|commat|period|colon|sol|bsol|nbsp|plus|hyphen);",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[_:=-](?:(?<=[\d\s(]_)|(?<=_)(?:(?=[\d@+\s)./])|\Z)|(?<=\A_)"
    r"|(?<=[a-z]-)(?=\d{6})|(?<=[a-z][g-z][:=]|[g-z][a-z][:=])(?=[+(\d]))",
    re.IGNORECASE,
)
"""What joins a number to a word, no part of either: `log_10.1.2.3`, `SSN:078-05-1121`."""
_ALSO = {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), "\u3002": "."}
"""Characters that are taken for others, though Unicode knows no such thing."""

_UNSEEN = ("Cf", "Mn")
"""Joiners, directions, tags, variation selectors, and accents that stand on the letter before."""
_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters without a shape."""
_SHORT = 200
"""Characters of a text whose readings are remembered: labels and phrases recur."""


class Reading(NamedTuple):
    """A text as it is read."""

    text: str
    places: Sequence[tuple[int, int]]
    """For each character of it, from where to where it stands in the text as written."""

    def written(self, start: int, end: int) -> tuple[int, int]:
        """Where a stretch of it stands in the text as written.

        >>> [reading] = readings("a%40b")
        >>> reading.written(1, 2)
        (1, 4)
        """
        return self.places[start][0], self.places[max(start, end - 1)][1]


def readings(text: str) -> tuple[Reading, ...]:
    """How the text is read besides, where that differs from how it is written.

    Decoded, and decoded with numbers apart from the words that they are joined to.
    """
    return _remembered(text) if len(text) <= _SHORT else tuple(_readings(text))


@lru_cache(maxsize=4096)
def _remembered(text: str) -> tuple[Reading, ...]:
    return tuple(_readings(text))


def _readings(text: str) -> Iterator[Reading]:
    escaped = ("%" in text or "\\" in text or "&" in text) and _ESCAPED.search(text)
    if text.isascii() and not escaped and not _JOINED.search(text):
        return
    characters: list[str] = []
    places: list[tuple[int, int]] = []
    at = 0
    for found in _ESCAPED.finditer(text) if escaped else ():
        _as_is(text, at, found.start(), characters, places)
        characters.append(_meant(found))
        places.append(found.span())
        at = found.end()
    _as_is(text, at, len(text), characters, places)
    decoded = "".join(characters)
    apart = _JOINED.sub(" ", decoded)
    if decoded != text:
        yield Reading(decoded, places)
    if apart != decoded:
        yield Reading(apart, places)


def _as_is(
    text: str, start: int, end: int, characters: list[str], places: list[tuple[int, int]]
) -> None:
    for i in range(start, end):
        meant = _folded(text[i])
        if meant:
            characters.append(meant)
            places.append((i, i + 1))


def _meant(found: re.Match[str]) -> str:
    """The character that is meant; where it would be several or none, a blank."""
    if found["entity"]:
        meant = html.unescape(found[0])
    else:
        meant = chr(int(found["percent"] or found["json"] or found["hex"], 16))
    return meant if len(meant) == 1 else " "


def _folded(character: str) -> str:
    """The ASCII character that it is another form of, or itself; empty if nobody sees it."""
    if character.isascii():
        return character
    if unicodedata.category(character) in _UNSEEN or character in _FILLERS:
        return ""
    meant = _ALSO.get(character) or unicodedata.normalize("NFKC", character)
    return meant if len(meant) == 1 and meant.isascii() else character
