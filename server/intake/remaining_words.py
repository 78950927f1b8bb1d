"""Words that a reviewer wants masked and that would be published all the same.

Masks go into texts only.  A pattern, a value, a name of a property or an id keeps its words, and
so a mask in a text beside it would hide nothing.  Words are found in any case and past the
disguises that the rules know: percent signs, entities, base64, brackets around dots, look-alikes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import unquote

from tocsin.admission.detectors.disguises import decode_text, encoded_texts, fold_letters
from tocsin.admission.detectors.email_addresses import normalise_email_address
from tocsin.admission.model import Path, StixObject, format_path, walk_values
from tocsin.admission.stix.free_text import custom_names, free_texts, nested_custom_names
from tocsin.server.intake.masks import visible_characters

_MASK = re.compile(r"\[removed: [^\]]*\]")
_NOT_OF_A_WORD = re.compile(r"[\W_]+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SQUEEZED_LENGTH = 6
"""Letters and digits from which on signs between them do not count: `jane.doe` is `Jane Doe`."""
_UNQUOTED = 3
"""Times that percent signs are decoded."""
_CHECKED_BY_THE_SCHEMA: frozenset[Path] = frozenset((("type",), ("spec_version",)))
"""A custom type counts as a name."""
_A_NAME = "the name of a property"


_Place = tuple[str, frozenset[str]]
"""A path, and all readings of the text there."""


class RemainingWords:
    """Finds words that still stand in an object as it would be published."""

    def __init__(self, original: StixObject, published: StixObject) -> None:
        """`original` is what was sent: a mask that stands there is a text like any other."""
        sent = {mask for _, text in leaves(original) for mask in _MASK.findall(text)}
        maskable = {path for path, _ in free_texts(published)}
        self._fixed: list[_Place] = []
        self._maskable: list[_Place] = []
        for path, text in leaves(published):
            if path not in _CHECKED_BY_THE_SCHEMA:
                places = self._maskable if path in maskable else self._fixed
                places.append((format_path(path), _fold_readings(_split_at_masks(text, sent))))
        for _, name in (*custom_names(published), *nested_custom_names(published)):
            self._fixed.append((_A_NAME, _fold_readings([name])))

    def find(self, word: str, *, fixed: bool = False) -> str:
        """A place where a word stands, as a path; empty if there is none.

        `fixed`: only places that cannot be masked.
        """
        searches = [_Search(each) for each in {*_readings(word), normalise_email_address(word)}]
        path: str
        for path, readings in (*self._fixed, *(() if fixed else self._maskable)):
            if any(search.finds_in(text) for search in searches for text in readings):
                return path
        return ""


class _Search:
    """Finds one word in readings of texts; a short one only where no letter stands beside it."""

    def __init__(self, word: str) -> None:
        self._word = _fold(word).strip()
        squeezed = _NOT_OF_A_WORD.sub("", self._word)
        self._squeezed = squeezed if len(squeezed) >= _SQUEEZED_LENGTH else ""

    def finds_in(self, text: str) -> bool:
        if self._squeezed:
            return self._squeezed in text
        if not self._word or self._word not in text:
            return False
        alone = rf"(?<![^\W_]){re.escape(self._word)}(?![^\W_])"
        return re.search(alone, text) is not None


def _split_at_masks(text: str, sent: Collection[str]) -> Iterator[str]:
    """The parts of a text beside masks; a mask that was `sent` is a part of the text."""
    at = 0
    for found in _MASK.finditer(text):
        if found[0] not in sent:
            yield text[at : found.start()]
            at = found.end()
    yield text[at:]


def leaves(subject: object) -> Iterator[tuple[Path, str]]:
    """Every text and number in an object, as texts."""
    for path, value in walk_values(subject):
        if value is not None and not isinstance(value, dict | list):
            yield path, value if isinstance(value, str) else json.dumps(value)


def _readings(text: str) -> Iterator[str]:
    """A text as it is written, and each way to read what it encodes."""
    yield text
    yield from (each.text for each in decode_text(text))
    yield from (meaning for _, _, meaning in encoded_texts(text))
    yield _ESCAPED.sub(r"\1", text)
    for _ in range(_UNQUOTED):
        if "%" not in text:
            return
        text = unquote(text, errors="replace")
        yield text


def _fold_readings(texts: Iterable[str]) -> frozenset[str]:
    """Each reading in one case and in plain letters; and the same without signs and blanks."""
    folded = {_fold(each) for text in texts for each in _readings(text)}
    return frozenset(folded | {_NOT_OF_A_WORD.sub("", each) for each in folded})


def _fold(text: str) -> str:
    return visible_characters(fold_letters(text))[0].casefold()
