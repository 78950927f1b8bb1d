"""Numbers of passports, identity cards and driving licences, right behind the word for them.

Their forms differ from country to country and few have a check digit.  So a number
counts only if it stands directly behind one of the words in
`words/identity_documents.txt` and has at least four digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.national_ids import HAS_FOUR_DIGITS, NATIONAL_ID
from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

_DOCUMENT = compile_lazily(
    rf"""(?<!\w){load_alternation(__package__, "identity_documents")}
    (?:[ -]?(?:n(?:umber|ummer|umero|úmero|uméro|o|r|°|º|um)|id|\#)s?\.?(?:\ ?[º°])?)?
    \ ?[:=\#]?\ {{0,2}}
    (?P<number>(?=[a-z\d]{{0,12}}(?:\d[a-z]{{0,3}}){{4}})[a-z]{{0,3}}\d[a-z\d]{{4,11}}
      |[a-z][a-z9]{{4}}\ ?\d{{6}}\ ?[a-z][a-z9]\d[a-z]{{2}}(?:\ ?\d\d)?
      |\d\d\ ?\d\d\ (?:№\ ?)?\d{{6}})(?![\w@/]|[.-]\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_name_document = contains_any(
    *("pas", "ausweis", "ident", "cni", "card", "dow", "licen", "permi", "patent", "condu", "rijb")
)
"""Each word of the list in ASCII holds one of these."""


def find_identity_documents(text: str) -> Iterator[Span]:
    """The numbers; the words before them are not part of the spans."""
    if HAS_FOUR_DIGITS.search(text) and _may_name_document(text):
        for found in _DOCUMENT.finditer(text):
            yield Span(*found.span("number"), NATIONAL_ID)
