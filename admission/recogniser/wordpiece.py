"""Cut a text into the pieces of words that a BERT model was trained with, and their places.

The same pieces as those of its own library, which would bring a client for downloads along:
lower case, without accents, punctuation and Chinese characters on their own, each word cut
greedily into the longest pieces of the vocabulary.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

UNKNOWN = "[UNK]"
_LONGEST_WORD = 100
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class Piece(NamedTuple):
    """A piece of a word."""

    id: int
    """Its number in the vocabulary."""
    start: int
    end: int


def read_vocabulary(lines: Iterable[str]) -> dict[str, int]:
    """A vocabulary with one piece on each line; pieces inside a word begin with `##`."""
    return {line.rstrip("\n"): number for number, line in enumerate(lines)}


def split_pieces(text: str, vocabulary: Mapping[str, int]) -> Iterator[Piece]:
    """The pieces of a text, in order.

    >>> words = read_vocabulary(["[UNK]", "jo", "##hn", ","])
    >>> [tuple(piece) for piece in split_pieces("Jöhn, x", words)]
    [(1, 0, 2), (2, 2, 4), (3, 4, 5), (0, 6, 7)]
    """
    for letters, places in _split_words(text):
        yield from _split_word(letters, places, vocabulary)


def _split_words(text: str) -> Iterator[tuple[str, list[int]]]:
    """Each word in its plain form, and the place in the text of each of its letters."""
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        plain, stands_alone = _plain_form(character)
        if stands_alone or plain == " ":
            if letters:
                yield "".join(letters), places
            letters, places = [], []
        if stands_alone:
            yield plain, [place] * len(plain)
        elif plain != " ":
            letters += plain
            places += [place] * len(plain)
    if letters:
        yield "".join(letters), places


@lru_cache(maxsize=4096)
def _plain_form(character: str) -> tuple[str, bool]:
    """A character in lower case without accents, and whether it is a word of its own.

    A blank for all white space, and nothing for control characters.
    """
    if character in "\t\n\r" or character.isspace():
        return " ", False
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn") or character == "\ufffd":
        return "", False
    if category.startswith("P") or (character.isascii() and not character.isalnum()):
        return character, True
    decomposed = unicodedata.normalize("NFD", character)
    plain = "".join(each for each in decomposed if unicodedata.category(each) != "Mn").lower()
    return plain, any(first <= ord(character) <= last for first, last in _CHINESE)


def _split_word(letters: str, places: list[int], vocabulary: Mapping[str, int]) -> Iterator[Piece]:
    """The pieces of one word; the whole word as unknown if a part of it is."""
    found: list[Piece] = []
    start = 0
    while start < len(letters) and len(letters) <= _LONGEST_WORD:
        prefix = "##" if start else ""
        for end in range(len(letters), start, -1):
            number = vocabulary.get(prefix + letters[start:end])
            if number is not None:
                found.append(Piece(number, places[start], places[end - 1] + 1))
                start = end
                break
        else:
            break
    if start < len(letters):
        found = [Piece(vocabulary[UNKNOWN], places[0], places[-1] + 1)]
    yield from found
