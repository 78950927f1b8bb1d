"""Find partly hidden numbers: `XXX-XX-2409`, `**** **** **** 7890`.

The rest of such a number, with a name beside it, still identifies a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.bank_accounts import IBAN
from tocsin.admission.detectors.payment_cards import CARD
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.us_social_security_numbers import US_SSN
from tocsin.admission.lazy_patterns import compile_lazily

_HIDDEN = r"[*x•#]"
_CARD = compile_lazily(
    rf"(?<![\w*])(?:\d{{4}}[ -]?(?:\d\d)?|{_HIDDEN}{{4}})(?=[ *x•#-]{{4,31}}+\d{{4}}(?!\w))"
    rf"(?:[ -]?{_HIDDEN}{{2,4}}){{2,6}}[ -]?\d{{4}}",
    re.IGNORECASE,
)
"""Looks for the last digits first: else a line of `####` would be tried in every split."""
_SSN = compile_lazily(
    rf"(?<![\w*-])(?:{_HIDDEN}{{3}}|\d{{3}})-(?:{_HIDDEN}{{2}}|\d\d)-(?:{_HIDDEN}{{4}}|\d{{4}})(?![\w*-])",
    re.IGNORECASE,
)
_SSN_DIGITS = 9
_IBAN = compile_lazily(
    r"(?<!\w)[A-Z]{2}\d\d(?:[\dA-Z]{1,30}|(?: [\dA-Z]{1,4}){1,7}) ?"
    rf"(?:\.{{3}}|…|{_HIDDEN}{{4,24}}(?: {_HIDDEN}{{2,4}}){{0,7}})"
    r"(?: ?[\dA-Z]{2,4}(?!\w))?"
)
_IBAN_WORD = compile_lazily(
    r"\b(?:iban|accounts?|wire transfer|bank transfer|routing)\b", re.IGNORECASE
)
_CHARACTERS_BEFORE = 48
_MARKS = ("**", "xx", "••", "##", "...", "…")


def find_partial_numbers(text: str) -> Iterator[Span]:
    """Partly hidden card numbers, social security numbers, and IBANs behind a word for them."""
    if not _may_hide_number(text):
        return
    for found in _CARD.finditer(text):
        yield Span(*found.span(), CARD)
    for found in _SSN.finditer(text):
        if 0 < sum(map(str.isdigit, found[0])) < _SSN_DIGITS:
            yield Span(*found.span(), US_SSN)
    for found in _IBAN.finditer(text):
        if _IBAN_WORD.search(text[max(0, found.start() - _CHARACTERS_BEFORE) : found.start()]):
            yield Span(*found.span(), IBAN)


def _may_hide_number(text: str) -> bool:
    """False for most texts: they have none of the marks with which digits are hidden."""
    lower = text.lower()
    for mark in _MARKS:  # noqa: SIM110  any() takes twice the time
        if mark in lower:
            return True
    return False
