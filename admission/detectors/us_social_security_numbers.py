"""United States social security numbers: by form and range, or by a nearby word."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum.us import ssn

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.technical_values import find_technical_values
from tocsin.admission.detectors.text_search import has_word_near
from tocsin.admission.lazy_patterns import compile_lazily

US_SSN = "US social security number"

_NUMBER = compile_lazily(r"\d(?<![\w./=-]\d)\d\d([-. ]?)\d\d\1\d{4}(?![\w/]|[.-]\w)")
_SSN_WORD = compile_lazily(r"\b(?:ssn|social security|taxpayer|tin|itin)\b", re.IGNORECASE)


def find_us_social_security_numbers(text: str) -> Iterator[Span]:
    """Numbers with hyphens that may have been issued, or any with a word for them near."""
    for found in _NUMBER.finditer(text):
        if find_technical_values(text).overlaps(*found.span()):
            continue
        labelled = has_word_near(_SSN_WORD, text, *found.span())
        if labelled or (found[1] == "-" and ssn.is_valid(found[0])):
            yield Span(*found.span(), US_SSN)
