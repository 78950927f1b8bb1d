"""Choose the parts of a text that a recogniser of names should read.

It reads sentences, never lists: technical values end a passage, and a passage without two words,
or in which no word could be a name, is passed over.  So most texts about malware cost nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.recogniser.known_words import is_unknown_word

LONGEST = 480
"""Characters of a passage: the length with which the model was trained."""
_TECHNICAL = compile_lazily(
    r"""\[removed:[^\]]{0,80}\]         # a mask of our own
      | \(Citation:[^)]{0,200}\)        # ATT&CK's references to what was published
      | \S{40,}
      | \S*(?:://|\\|@|\[\.\]|\[:\]|[={}|`_]|\w\.\w\S*\.\w|\w\.[a-z]{2,}\b)\S*
      | \b(?=[a-zA-Z]*\d)[0-9a-fA-F]{16,}\b
      | (?:[^\w\s]\s{0,9}){6,}           # a row of signs""",
    re.VERBOSE,
)
_PARAGRAPH = compile_lazily(r"(?:[ \t]{0,80}\r?\n){2,}")
_SENTENCE_END = compile_lazily(r"[.!?:;][\"')\]]?\s|\r?\n")
_WORD = compile_lazily(r"[^\W\d_]{2,}")
_NAME_LIKE = compile_lazily(r"(?<!\w)(?:[^\W\d_a-z][a-zß-ÿ'’]+(?:[-'’]?[^\W\d_]+)*)")
"""A word with a capital and at least one small letter."""
_CAPITALS = compile_lazily(r"(?<!\w)[A-ZÀ-Þ]{2,}(?:\s|,\s)+[A-ZÀ-Þ]{3,}(?!\w)")
_SMALL = compile_lazily(r"[a-zß-ÿ]{3}")


def find_passages(text: str) -> Iterator[tuple[int, str]]:
    """Each passage worth reading, with the index at which it begins."""
    for start, end in _split(text):
        passage = text[start:end]
        if _may_hold_name(passage):
            yield start, passage


def _split(text: str) -> Iterator[tuple[int, int]]:
    """The stretches between technical values and paragraphs, cut at ends of sentences."""
    at = 0
    cuts = [found.span() for found in _TECHNICAL.finditer(text)]
    cuts += [found.span() for found in _PARAGRAPH.finditer(text)]
    for start, end in (*sorted(cuts), (len(text), len(text))):
        while start - at > LONGEST:
            cut = _find_cut(text, at)
            yield at, cut
            at = cut
        if start > at:
            yield at, start
        at = max(at, end)


def _find_cut(text: str, start: int) -> int:
    """The index at which to cut a stretch that is too long: behind its last sentence, or word."""
    end = start + LONGEST
    ends = [found.end() for found in _SENTENCE_END.finditer(text, start + LONGEST // 3, end)]
    blank = text.rfind(" ", start + LONGEST // 3, end)
    return ends[-1] if ends else blank + 1 or end


def _may_hold_name(passage: str) -> bool:
    """False for a list, and where each capital begins a word that is known to be no name."""
    words = _WORD.findall(passage)
    if len(words) < 2 or 2 * sum(map(len, words)) < len(passage):
        return False
    if any(is_unknown_word(found) for found in _NAME_LIKE.findall(passage)):
        return True
    return not _SMALL.search(passage) and _CAPITALS.search(passage) is not None
