"""Payment card numbers: by issuer, length and check digit, or by a nearby word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from stdnum import luhn

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.technical_values import find_technical_values
from tocsin.admission.detectors.text_search import has_word_near
from tocsin.admission.lazy_patterns import compile_lazily

CARD = "payment card number"

_NUMBER = compile_lazily(r"\d(?<![\w.,:/=&+-]\d)(?:[ -]?\d){11,18}(?![\w%]|[.,:-]\d)")
_NUMBER_IN_FOURS = compile_lazily(
    r"\d(?<![\w.,:/=&+-]\d)\d{3}([./,\u00b7\u2022])\d{4}\1\d{4}\1\d{4}(?![\w%/]|[.,:\u00b7\u2022-]\d)"
)
_NUMBER_IN_LINES = compile_lazily(
    r"\d(?<![\w.,:/=&+-]\d)(?<!\d\n\d)(?<!\d\r\n\d)\d{3}(\r?\n[ \t>]{0,4})\d{4}\1\d{4}\1\d{4}"
    r"(?![\w%/]|[.,:-]\d|\s*\d)"
)
"""One group per line, and no other number above or below: ports have four digits too."""
_ISSUERS = compile_lazily(
    r"""4(?:\d{12}|\d{15}|\d{18})                                            # Visa
      | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}        # Mastercard
      | 3[47]\d{13}                                                           # American Express
      | 3(?:0[0-5]|095|[689]\d)\d{11,16}                                      # Diners Club
      | (?:6011|64[4-9]\d|65\d\d|62\d\d|81\d\d)\d{12,15}               # Discover, UnionPay, RuPay
      | (?:2131|1800)\d{11} | 35\d{14,17}                                     # JCB
      | (?:5018|502[0-9]|503[0-9]|5[6-8]\d\d|6304|67\d\d|639\d|0604)\d{8,15}  # Maestro
      | 220[0-4]\d{12,15} | 9792\d{12}                                        # Mir, Troy
    """,
    re.VERBOSE,
)
_CARD_WORD = compile_lazily(
    r"\b(?:credit|debit|card|cc|visa|master\s?card|amex|american express|maestro|diners"
    r"|(?:credit|debit)cards?|(?:kredit|bank|giro|debit|ec-)karten?|karten(?:nummer|nr)"
    r"|cartes? (?:bancaire|bleue|de cr[ée]dit)s?|carta di credito|tarjetas?|cart[ãa]o"
    r"|(?:kreditt?|betal|bank)kort|(?:betaal|krediet)kaart|kart[ay] (?:kredytow|płatnicz)\w{1,3}"
    r"|(?:банковск|кредитн)\w{2,3} карт\w{1,2})\b",
    re.IGNORECASE,
)
_FEWEST_DIGITS_BESIDE_WORD = 13


def find_payment_cards(text: str) -> Iterator[Span]:
    """Card numbers with a right check digit, or with a word for a card near."""
    in_lines = _NUMBER_IN_LINES.finditer(text) if "\n" in text else ()
    for found in chain(_NUMBER.finditer(text), _NUMBER_IN_FOURS.finditer(text), in_lines):
        digits = re.sub(r"\D", "", found[0])
        if find_technical_values(text).overlaps(*found.span()) or len(set(digits)) < 2:
            continue
        valid = luhn.is_valid(digits) and _ISSUERS.fullmatch(digits)
        if valid or (
            len(digits) >= _FEWEST_DIGITS_BESIDE_WORD
            and has_word_near(_CARD_WORD, text, *found.span())
        ):
            yield Span(*found.span(), CARD)
