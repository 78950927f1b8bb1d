"""International bank account numbers (IBAN, ISO 13616)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

IBAN = "IBAN"
FEWEST_DIGITS = 10
"""An IBAN has at least this many digits, so texts with fewer need no search."""

_NUMBER = compile_lazily(
    r"(?<![^\W_])[a-z]{2}\d\d(?:[ .-]?[a-z0-9]{4}){2,7}(?:[ .-]?[a-z0-9]{1,3})?(?![^\W_])",
    re.IGNORECASE,
)
_IBAN_WORD = compile_lazily(r"\b(?:iban|bank account|account number)\b", re.IGNORECASE)
_NATIONAL = compile_lazily(
    rf"""(?<!\w){load_alternation(__package__, "bank_account_labels")}
        (?:\ (?:is|was|ist|est))?\s?[:=\#]?\s{{0,2}}
        (?P<number>\d(?:[ -]?\d){{4,20}}(?:/\d{{4}})?|(?-i:[A-Z]{{4}}0[A-Z\d]{{6}}))
        (?:\s(?:account|konto|acc\.?|a/c)\s(?P<further>\d{{6,14}}))?(?![\w-]|[.,]\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_hold_national = contains_any(
    *("sort code", "account n", "account #", "a/c ", "routing", "aba", "clabe", "ifsc", "bsb"),
    *("konto", "blz", "bankleitzahl", "rekening", "numer ", "numero de c"),
)
_CHARACTERS_BEFORE = 32
_LAST_GROUP = compile_lazily(r"[ .-]?[a-z0-9]{1,4}$", re.IGNORECASE)
"""Takes the same letters as `_NUMBER` does (ignoring case, U+0130 too), so trimming ends."""
_SHORTEST = 15


def find_bank_accounts(text: str) -> Iterator[Span]:
    """IBANs with right check digits, or right behind a word for them."""
    for found in _NUMBER.finditer(text):
        trimmed = found[0]
        while len(trimmed) >= _SHORTEST and not iban.is_valid(trimmed, check_country=False):
            trimmed = _LAST_GROUP.sub("", trimmed)
        if len(trimmed) >= _SHORTEST:
            yield Span(found.start(), found.start() + len(trimmed), IBAN)
        elif _IBAN_WORD.search(text[max(0, found.start() - _CHARACTERS_BEFORE) : found.start()]):
            yield Span(*found.span(), IBAN)


def find_national_accounts(text: str) -> Iterator[Span]:
    """Numbers of accounts and banks in the form of one country, behind the word for them."""
    for found in _NATIONAL.finditer(text) if _may_hold_national(text) else ():
        for group in filter(found.group, ("number", "further")):
            yield Span(*found.span(group), IBAN)
