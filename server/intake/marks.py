"""The parts of a review's object that the findings are about.

The original and what the rules make of it are compared by the paths that the findings name:
where a rule masked a part of a text, the words that the mask stands for are located in the
original.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from tocsin.admission.model import Action, StixObject, format_path, walk_values
from tocsin.admission.stix.free_text import free_texts
from tocsin.server.intake.masks import visible_characters
from tocsin.server.model import Review

_MASK = re.compile(r"\[removed: ([^\]]*)\]")
_MARKING_ACTIONS = frozenset((Action.ASKED, Action.HELD, Action.REPLACED, Action.STRIPPED))
_CONTEXT = 24
"""Characters beside a mask by which its place is found."""


@dataclass(frozen=True, slots=True)
class MarkedWords:
    """A part of a text in the original object."""

    start: int
    """Characters before it in the text at the mark's path."""
    end: int
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """A finding that changed or holds something, with the words that it is about."""

    path: str
    """Path in the object; empty: the object as a whole."""
    rule: str
    action: str
    """An `Action`."""
    reason: str
    words: tuple[MarkedWords, ...] = ()
    """Words of the text at that path, in order; all of it if it was not masked."""


def find_marks(review: Review, original: object, sanitised: object) -> tuple[Mark, ...]:
    """The findings that changed or hold something, each with the words that it is about."""
    before, after = (
        {format_path(path): value for path, value in walk_values(each)}
        for each in (original, sanitised)
    )
    marks: list[Mark] = []
    for finding in review.findings:
        action, path = finding.get("action", ""), finding.get("path", "")
        if action in _MARKING_ACTIONS:
            message = finding.get("message", "")
            words = _mark_words(before.get(path), after.get(path), message)
            marks.append(Mark(path, finding.get("rule", ""), action, message, words))
    return tuple(marks)


def _mark_words(before: object, after: object, message: str) -> tuple[MarkedWords, ...]:
    """The parts of a text that masks stand for; all of it, if it was not masked.

    Only those of the kinds that the finding's message names, if it names any: another finding is
    about the others.
    """
    if before is None:
        return ()
    text = before if isinstance(before, str) else json.dumps(before)
    found = _find_masked(text, after) if isinstance(after, str) else []
    named = [each for each in found if each[0] in message]
    spans = [span for _, span in named or found] or [(0, len(text))]
    return tuple(MarkedWords(start, end, text[start:end]) for start, end in spans)


def _find_masked(text: str, masked: str) -> list[tuple[str, tuple[int, int]]]:
    """The spans of a text in whose places the masked text has masks, each with its mask's kind.

    Each is located by the words around it, because the rest may have been normalised; characters
    that cannot be seen do not count.  Empty if there are none, or if they do not occur in the text.
    """
    visible, origins = visible_characters(text)
    parts = _MASK.split(masked)  # texts, and between them the kinds
    kept, kinds = [visible_characters(part)[0] for part in parts[::2]], parts[1::2]
    found: list[tuple[str, tuple[int, int]]] = []
    at = 0
    for kind, (left, right) in zip(kinds, pairwise(kept), strict=True):
        before, after = left[-_CONTEXT:], right[:_CONTEXT]
        start = visible.find(before, at) + len(before)
        end = visible.find(after, start) if after else len(visible)
        if start < len(before) or end < start:
            return []
        if end > start:
            found.append((kind, (origins[start], origins[end - 1] + 1)))
        at = end
    return found


def list_maskable_words(subject: StixObject, marks: Iterable[Mark]) -> list[str]:
    """The words in question, each once; what cannot be masked, as a pattern, is left out."""
    maskable = {format_path(path) for path, _ in free_texts(subject)}
    words = (w.text.strip() for mark in marks if mark.path in maskable for w in mark.words)
    return [word for word in dict.fromkeys(words) if word]
