"""Words of a sentence that say that what it names is an attacker's, or was only looked at.

They stand in `words/attacker_words.txt`.
"""

from __future__ import annotations

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

ATTACKER = load_alternation(__package__, "attacker_words")
"""A regular expression for such a word, in any case."""

_WORDS_BEFORE = 100
"""Characters before a name that are searched."""
_OF_ATTACKER = compile_lazily(
    rf"(?<!\w)(?i:{ATTACKER}|cn="
    r"|(?:certificate|rdp cert|honeypot|sandbox|scanner|sample|lnk|machine ?id|metadata)s?)(?!\w)"
)
_POSSESSED = compile_lazily(r"[^\s]{1,80} of (?:the|an) (?i:attacker|actor|adversary|operator)")
"""`02:00:5e:10:00:01 of the attacker`."""
_SENTENCE_END = compile_lazily(r"[\r\n]|[.;!?] ")


def is_of_attacker(text: str, start: int) -> bool:
    """True if words of the same sentence, mostly before it, say that what starts there is theirs.

    >>> text = "the C2 server is db-7. Our db-8 was scanned"
    >>> is_of_attacker(text, text.index("db-7")), is_of_attacker(text, text.index("db-8"))
    (True, False)
    """
    before = text[max(0, start - _WORDS_BEFORE) : start]
    if _OF_ATTACKER.search(_SENTENCE_END.split(before)[-1]):
        return True
    return _POSSESSED.match(text, start) is not None
