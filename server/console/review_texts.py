"""The texts of a review's object, side by side: as received, and as published.

Texts that differ or are in question come first; of a long one only what is around the words in
question is shown, unless all of it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.admission.errors import Unprocessable
from tocsin.admission.model import Path, StixObject, format_path
from tocsin.admission.stix.free_text import free_texts
from tocsin.server.intake.marks import Mark
from tocsin.server.intake.remaining_words import leaves

Pieces = tuple[tuple[str, str], ...]
"""A text in pieces, each with its kind; see `texts.parts`."""

MOST_ROWS = 500
"""Texts of one object that are shown."""
LONGEST_WHOLE = 2_000
"""A longer text is shown around the words in question only."""
_LONGEST = 200_000
_AROUND = 300
"""Characters on each side of what is shown of a long text."""
_LONGEST_MARK = 600
"""A longer word in question is shown by its begin and its end."""
_LITERAL = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z|[a-z][a-z0-9-]{0,100}--[0-9a-f-]{36}"
)
_MASK = re.compile(r"\[removed: [^\]]*\]")
_FIRST = ("pattern", "value", "name", "description", "content", "abstract")
_MACHINERY = frozenset(
    (
        *("type", "id", "spec_version", "created", "modified", "created_by_ref", "pattern_type"),
        *("object_marking_refs", "granular_markings", "object_refs", "valid_from", "extensions"),
    )
)


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text of the object."""

    path: str
    before: Pieces
    after: Pieces | None
    """None: it is taken out."""
    is_value: bool
    """A value or a pattern, not prose."""
    is_first: bool
    """It differs or is in question."""
    is_cut: bool
    """Only a part of it is shown."""
    is_literal: bool = False
    """A time, a version of the standard or an id: nothing makes a link of it."""


def compare_texts(
    original: StixObject, published: StixObject | None, marks: Sequence[Mark], *, whole: bool
) -> list[TextRow]:
    """The texts of an object, those first that differ or are in question.

    `whole`: long ones are shown as they are, up to a limit.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for mark in marks:
        spans.setdefault(mark.path, []).extend((word.start, word.end) for word in mark.words)
    after = {format_path(path): text for path, text in leaves(published)}
    prose = _prose_paths(original)
    rows = []
    for path, text in leaves(original):
        name = format_path(path)
        marked = _merge(spans.get(name, ()))
        left = after.get(name) if published is not None else None
        pieces, is_cut = _cut(text, [(*span, "mark") for span in marked], whole=whole)
        changed, is_cut_too = _cut(left or "", _find_spans(text, marked, left or ""), whole=whole)
        is_first = bool(marked) or left != text
        is_value = path not in prose
        shown = None if left is None else changed
        is_literal = name == "spec_version" or _LITERAL.fullmatch(text) is not None
        rows.append(
            TextRow(name, pieces, shown, is_value, is_first, is_cut or is_cut_too, is_literal)
        )
    rows.sort(key=_rank)
    return rows[:MOST_ROWS]


def release_texts(rows: Sequence[TextRow], released: Sequence[TextRow]) -> list[TextRow]:
    """The texts of an object released in full that differ or are in question."""
    first = {row.path for row in rows if row.is_first}
    chosen = [row for row in released if row.is_first or row.path in first]
    return [row for row in chosen if not is_machinery(row) or row.path in first]


def is_machinery(row: TextRow) -> bool:
    """True if a text says nothing about the threat."""
    return row.path.partition("[")[0].partition(".")[0] in _MACHINERY


def _rank(row: TextRow) -> tuple[bool, bool, int]:
    place = _FIRST.index(row.path) if row.path in _FIRST else len(_FIRST)
    return not row.is_first, is_machinery(row), place


def _prose_paths(subject: StixObject) -> frozenset[Path]:
    try:
        return frozenset(path for path, _ in free_texts(subject))
    except Unprocessable:
        return frozenset()


def _merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _find_spans(
    text: str, marked: Sequence[tuple[int, int]], left: str
) -> list[tuple[int, int, str]]:
    """The spans of masks in what is left of a text, and of marked words that are still there."""
    masks = [(*each.span(), "mask") for each in _MASK.finditer(left)]
    words = list(marked) if left == text else _find_words(left, [text[a:b] for a, b in marked])
    free = [
        (start, end, "mark")
        for start, end in words
        if all(end <= mask[0] or mask[1] <= start for mask in masks)
    ]
    return sorted([*masks, *free])


def _find_words(text: str, words: Iterable[str]) -> list[tuple[int, int]]:
    """The spans of words that follow one another in a text; those that it has not are left out."""
    spans, at = list[tuple[int, int]](), 0
    for word in words:
        start = text.find(word, at)
        if start >= 0:
            at = start + len(word)
            spans.append((start, at))
    return spans


def _cut(text: str, spans: Sequence[tuple[int, int, str]], *, whole: bool) -> tuple[Pieces, bool]:
    """A text in pieces, and if any of it is left out."""
    most = _LONGEST if whole else LONGEST_WHOLE
    pieces = list(_split(text, spans))
    if len(text) <= most:
        return tuple(pieces), False
    cut: list[tuple[str, str]] = []
    for number, (kind, piece) in enumerate(pieces):
        if kind:
            head = tail = _LONGEST_MARK // 2
        elif spans:
            head, tail = _AROUND * (number > 0), _AROUND * (number < len(pieces) - 1)
        else:
            head, tail = most, 0
        is_long = len(piece) > head + tail
        cut += _shorten(kind, piece, head, tail) if is_long else [(kind, piece)]
    return tuple(cut), True


def _shorten(kind: str, text: str, head: int, tail: int) -> list[tuple[str, str]]:
    left = f" … {len(text) - head - tail:,} characters … "
    ends = ((kind, text[:head]), ("gap", left), (kind, text[len(text) - tail :]))
    return [(kind, piece) for kind, piece in ends if piece]


def _split(text: str, spans: Sequence[tuple[int, int, str]]) -> Iterator[tuple[str, str]]:
    at = 0
    for start, end, kind in spans:
        if start > at:
            yield "", text[at:start]
        yield kind, text[start:end]
        at = end
    if at < len(text):
        yield "", text[at:]
