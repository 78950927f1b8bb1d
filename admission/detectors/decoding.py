r"""Decode disguised text: escapes, full-width letters, invisible characters.

`jane%40bank.test`, `jane&#64;bank.test` and `jane\u0040bank.test` become `jane@bank.test`;
each decoded character keeps its place in the original text, so that a finding in the
decoded text can be masked in the original.  Base64 and text that was encoded twice are
not decoded.
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
_JOINT = re.compile(
    r"[_:=-](?:(?<=[\d\s(]_)|(?<=_)(?:(?=[\d@+\s)./])|\Z)|(?<=\A_)"
    r"|(?<=[a-z]-)(?=\d{6})|(?<=[a-z][g-z][:=]|[g-z][a-z][:=])(?=[+(\d]))",
    re.IGNORECASE,
)
"""A sign that joins a number to a word: `log_10.1.2.3`, `SSN:078-05-1121`."""
_LOOK_ALIKE = {**dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"), "\u3002": "."}
"""Characters that readers take for ASCII ones, though NFKC does not map them."""

_INVISIBLE_CATEGORIES = ("Cf", "Mn")
"""Joiners, directions, tags, variation selectors, and combining accents."""
_FILLERS = "\u115f\u1160\u3164\uffa0"
"""Letters without a glyph."""
_LONGEST_CACHED = 200
"""Length up to which decoded texts are cached: labels and phrases recur."""
_SINGLE = tuple((i, i + 1) for i in range(_LONGEST_CACHED))
"""The places of single characters, made once: the cache has hundreds of thousands."""


class DecodedText(NamedTuple):
    """A decoded text with the place of each character in the original."""

    text: str
    places: Sequence[tuple[int, int]]
    """For each character, its start and end in the original text."""

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original that a stretch of the decoded text stands for.

        >>> [decoded] = decode_text("a%40b")
        >>> decoded.original_span(1, 2)
        (1, 4)
        """
        return self.places[start][0], self.places[max(start, end - 1)][1]


def decode_text(text: str) -> tuple[DecodedText, ...]:
    """The ways to read a text that differ from how it is written; none for most texts.

    First decoded, then decoded with numbers separated from the words they are joined to.
    """
    return _decode_cached(text) if len(text) <= _LONGEST_CACHED else tuple(_decode(text))


@lru_cache(maxsize=4096)
def _decode_cached(text: str) -> tuple[DecodedText, ...]:
    return tuple(_decode(text))


def _decode(text: str) -> Iterator[DecodedText]:
    escaped = ("%" in text or "\\" in text or "&" in text) and _ESCAPED.search(text)
    if text.isascii() and not escaped and not _JOINT.search(text):
        return
    characters: list[str] = []
    places: list[tuple[int, int]] = []
    at = 0
    for found in _ESCAPED.finditer(text) if escaped else ():
        _append_fold(text, at, found.start(), characters, places)
        characters.append(_unescape(found))
        places.append(found.span())
        at = found.end()
    _append_fold(text, at, len(text), characters, places)
    decoded = "".join(characters)
    separated = _JOINT.sub(" ", decoded)
    if decoded != text:
        yield DecodedText(decoded, places)
    if separated != decoded:
        yield DecodedText(separated, places)


def _append_fold(
    text: str, start: int, end: int, characters: list[str], places: list[tuple[int, int]]
) -> None:
    for i in range(start, end):
        decoded = _fold(text[i])
        if decoded:
            characters.append(decoded)
            places.append(_SINGLE[i] if i < _LONGEST_CACHED else (i, i + 1))


def _unescape(found: re.Match[str]) -> str:
    """The character that an escape stands for; a blank if it stands for several or none."""
    if found["entity"]:
        decoded = html.unescape(found[0])
    else:
        decoded = chr(int(found["percent"] or found["json"] or found["hex"], 16))
    return decoded if len(decoded) == 1 else " "


def _fold(character: str) -> str:
    """The ASCII form of a character, else the character; empty if it is invisible."""
    if character.isascii():
        return character
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _FILLERS:
        return ""
    decoded = _LOOK_ALIKE.get(character) or unicodedata.normalize("NFKC", character)
    return decoded if len(decoded) == 1 and decoded.isascii() else character
