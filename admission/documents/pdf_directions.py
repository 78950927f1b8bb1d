"""Words in Arabic and Hebrew script, which many PDFs hold from their last letter to their first.

A PDF has the places of letters and not their order.  Headings of recipients are known only in the
order in which people read them.
"""

import unicodedata

from tocsin.admission.lazy_patterns import compile_lazily

_LETTER = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]"
_RUN = compile_lazily(rf"{_LETTER}+(?: {_LETTER}+)*")
_FINAL = "[\u05da\u05dd\u05df\u05e3\u05e5]"
_AS_READ = compile_lazily(rf"\b\u0627\u0644{_LETTER}{{2,}}|{_LETTER}{_FINAL}\b")
_REVERSED = compile_lazily(rf"{_LETTER}{{2,}}\u0644\u0627\b|\b{_FINAL}{_LETTER}")
"""Words with the article of Arabic, and with letters that in Hebrew end a word."""


def in_reading_order(text: str) -> str:
    """The text of a page with its words as people read them."""
    if text.isascii() or not _RUN.search(text):
        return text
    plain = _RUN.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)
    if len(_REVERSED.findall(plain)) <= len(_AS_READ.findall(plain)):
        return plain
    return _RUN.sub(lambda run: run[0][::-1], plain)
