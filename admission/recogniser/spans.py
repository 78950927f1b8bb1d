"""From a model's figures to persons and postal addresses.

A person begins with a capital and consists of whole words; a postal address has a street and a
number.  Words that are known to be malware, actors, tools or vendors are not persons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tocsin.admission.detectors.person_names import PERSON
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS
from tocsin.admission.detectors.spans import Span
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.recogniser.known_words import (
    common_words,
    is_known_name,
    is_unknown_word,
    plain_word,
)

LIKELY = 0.5
"""The likelihood from which a piece of a word counts."""
LIKELY_ALONE = 0.8
"""The likelihood that a name of one word must reach: most false alarms are single words."""
_WITHIN_NAME = compile_lazily(r"[ ]?(?:[A-ZÀ-Þ]?\.)?[ ’'-]?")
_WITHIN_ADDRESS = compile_lazily(r"[\s,.;#/()>-]{0,8}(?:\w{1,3}[\s,.]{0,3})?")
_LETTER = compile_lazily(r"[\w'’-]")
_WORD = compile_lazily(r"[^\W\d_][\w'’.-]*")
_WORD_BEFORE = compile_lazily(r"[\w-]+[ -]\Z")
_CODE = compile_lazily(r"(?!(?:Mc|Mac|De|Di|La|Le|Van|Fitz)[A-Z])\w*[a-zß-ÿ][A-Z]")
"""A capital within a word, as functions have it; but not `McDonald`."""
_TECHNICAL_SIGN = compile_lazily(r"[$%^&+~\\_=|#!]\w")
"""A sign within a word, with a letter behind it."""
_NUMBER = compile_lazily(r"\d")
_CAPITAL = compile_lazily(r"[A-ZÀ-Þ][a-zß-ÿ]{2}")
_PORT = compile_lazily(r"ports?\b", re.IGNORECASE)


class Reading(NamedTuple):
    """A piece of a word, and how likely it is part of each."""

    start: int
    end: int
    person: float
    address: float
    street: float


def find_spans(text: str, readings: Sequence[Reading]) -> Iterator[Span]:
    """The persons and the postal addresses in a passage."""
    persons = [each for each in readings if each.person >= LIKELY]
    for start, end in _join(text, persons, _WITHIN_NAME):
        found = _find_name(text, start, end)
        if found is not None and (
            " " in text[slice(*found)]
            or max(each.person for each in persons if start <= each.start < end) >= LIKELY_ALONE
        ):
            yield Span(*found, PERSON)
    addresses = [each for each in readings if each.address >= LIKELY]
    streets = [each for each in readings if each.street >= LIKELY]
    for start, end in _join(text, addresses, _WITHIN_ADDRESS):
        if any(start <= each.start < end for each in streets):
            start, end = _grow(text, start, end)
            if _is_address(text[start:end]):
                yield Span(start, end, POSTAL_ADDRESS)


def _join(
    text: str, readings: Iterable[Reading], between: re.Pattern[str]
) -> Iterator[tuple[int, int]]:
    """Neighbours as one stretch, where what stands between them may."""
    start = end = -1
    for each in readings:
        if start < 0:
            start, end = each.start, each.end
        elif each.start <= end or between.fullmatch(text, end, each.start):
            end = max(end, each.end)
        else:
            yield start, end
            start, end = each.start, each.end
    if start >= 0:
        yield start, end


def _grow(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch with the words whole that it begins and ends in."""
    while start > 0 and _LETTER.match(text, start - 1):
        start -= 1
    while end < len(text) and _LETTER.match(text, end):
        end += 1
    return start, end


def _is_address(text: str) -> bool:
    return (
        _NUMBER.search(text) is not None
        and _CAPITAL.search(text) is not None
        and _PORT.match(text) is None
    )


def _find_name(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The words of a person's name in a stretch; None if it is not a name."""
    whole = _grow(text, start, end)
    if 2 * (end - start) < whole[1] - whole[0]:
        return None
    words = list(_WORD.finditer(text, *whole))
    while words and not words[-1][0][0].isupper():
        words.pop()
    if not words or not words[0][0][0].isupper():
        return None
    found = words[0].start(), words[-1].end()
    if _TECHNICAL_SIGN.search(text, max(0, found[0] - 1), found[1] + 2):
        return None
    if _is_known(text, *found) or not any(is_unknown_word(each[0]) for each in words):
        return None
    return None if _is_code([each[0] for each in words]) else found


def _is_known(text: str, start: int, end: int) -> bool:
    """True if it is malware or an actor, alone or with the word before, or names a company."""
    name = text[start:end]
    before = _WORD_BEFORE.search(text, 0, start)
    longer = text[before.start() : end] if before else name
    return any(
        is_known_name(each) for each in (name, longer, "".join(name.split()))
    ) or not common_words().isdisjoint(map(plain_word, name.split()))


def _is_code(words: Sequence[str]) -> bool:
    """True for an acronym or the name of a function: `IANA`, `DllMain`."""
    return (len(words) == 1 and words[0].isupper()) or any(map(_CODE.match, words))
