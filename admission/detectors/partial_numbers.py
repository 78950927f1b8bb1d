"""Numbers of persons that somebody has hidden in part: `XXX-XX-2409`, `**** **** **** 7890`.

What is left of them, with a name beside it, is still enough to tell who is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_H = r"[*x•#]"
_CARD = re.compile(
    rf"(?<![\w*])(?:\d{{4}}[ -]?(?:\d\d)?|{_H}{{4}})(?=[ *x•#-]{{4,31}}+\d{{4}}(?!\w))"
    rf"(?:[ -]?{_H}{{2,4}}){{2,6}}[ -]?\d{{4}}",
    re.IGNORECASE,
)
"""The last digits are looked for first: a line of `####` would be cut in every way there is."""
_SSN = re.compile(
    rf"(?<![\w*-])(?:{_H}{{3}}|\d{{3}})-(?:{_H}{{2}}|\d\d)-(?:{_H}{{4}}|\d{{4}})(?![\w*-])",
    re.IGNORECASE,
)
_IBAN = re.compile(
    r"(?<!\w)[A-Z]{2}\d\d(?:[\dA-Z]{1,30}|(?: [\dA-Z]{1,4}){1,7}) ?"
    rf"(?:\.{{3}}|…|{_H}{{4,24}}(?: {_H}{{2,4}}){{0,7}})"
    r"(?: ?[\dA-Z]{2,4}(?!\w))?"
)
_IBAN_WORD = re.compile(
    r"\b(?:iban|accounts?|wire transfer|bank transfer|routing)\b", re.IGNORECASE
)
_BEFORE = 48
_SIGNS = ("**", "xx", "••", "##", "...", "…")


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Cards of which the last four digits are left."""
    yield from (found.span() for found in _CARD.finditer(text))


def ssns(text: str) -> Iterator[tuple[int, int]]:
    """US social security numbers of which some groups are left."""
    for found in _SSN.finditer(text):
        digits = sum(map(str.isdigit, found[0]))
        if 0 < digits < 9:
            yield found.span()


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Account numbers of which the country and the check digits are left, after a word for them."""
    for found in _IBAN.finditer(text):
        if _IBAN_WORD.search(text[max(0, found.start() - _BEFORE) : found.start()]):
            yield found.span()


def maybe(text: str) -> bool:
    """Whether to look at all: most texts have nothing that hides anything."""
    lower = text.lower()
    for sign in _SIGNS:  # noqa: SIM110  half the time of any()
        if sign in lower:
            return True
    return False
