"""International bank account numbers (IBAN, ISO 13616)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban

from tocsin.admission.detectors.spans import Span
from tocsin.admission.lazy_patterns import compile_lazily

IBAN = "IBAN"
FEWEST_DIGITS = 10
"""An IBAN has at least this many digits, so texts with fewer need no search."""

_NUMBER = compile_lazily(
    r"(?<![^\W_])[a-z]{2}\d\d(?:[ .-]?[a-z0-9]{4}){2,7}(?:[ .-]?[a-z0-9]{1,3})?(?![^\W_])",
    re.IGNORECASE,
)
_IBAN_WORD = compile_lazily(r"\b(?:iban|bank account|account number)\b", re.IGNORECASE)
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
