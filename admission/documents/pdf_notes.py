"""The raised numbers of notes on a page of a PDF, of which the text says only that they follow.

`45.9.1.1` with the note 2 is `45.9.1.12` in the text of the page: the address of somebody else.
"""

import re
from collections.abc import Sequence

from tocsin.admission.lazy_patterns import compile_lazily

_NOTE = compile_lazily(r"[\w*\u2020\u2021\[\](),]{1,5}")
_SMALLER = 0.9
_LEAST_RAISED, _MOST_RAISED = 0.1, 0.8
"""Of the size of the word before: the size of a note, and its height above the line."""
_SIGNS = frozenset(".@:]")
"""A value holds one of these; no other word is changed by a number behind it."""
_LONGEST_WORD = 2_000
_MOST_NOTES = 500


class RaisedNotes:
    """Notes at values, found while pypdf reads the text of a page."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        """The word before each note, and the note."""
        self._before = ""
        self._size = self._height = 0.0
        """The size and the height on the page of the text before that is not raised."""

    def visit(
        self, text: str, page: Sequence[float], line: Sequence[float], font: object, size: float
    ) -> None:
        """Take the next piece of text with its matrices (pypdf's `visitor_text`)."""
        if text.strip():
            scaled = abs(size * line[3] * page[3])
            height = line[4] * page[1] + line[5] * page[3] + page[5]
            if self._is_raised(scaled, height - self._height):
                self._add(text)
            else:
                self._size, self._height = scaled, height
        self._before = (self._before + text)[-_LONGEST_WORD:]

    def _is_raised(self, size: float, above: float) -> bool:
        smaller = size < _SMALLER * self._size
        return smaller and _LEAST_RAISED * self._size < above < _MOST_RAISED * self._size

    def _add(self, text: str) -> None:
        word = "" if self._before[-1:].isspace() else self._before.split()[-1]
        is_note = _NOTE.match(text) is not None and not _SIGNS.isdisjoint(word)
        if is_note and len(self._found) < _MOST_NOTES:
            self._found.append((word, text.split()[0]))

    def separate(self, text: str) -> str:
        """The text of the page with a blank before each note."""
        for word, note in self._found:
            joined = re.compile(rf"(?<!\S){re.escape(word)}(?={re.escape(note)})")
            text = joined.sub(lambda found: f"{found[0]} ", text, count=1)
        return text
