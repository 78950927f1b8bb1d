"""Words that a reviewer takes out of an object, with a mask in the place of each.

A reviewer can only take out: what is published is what the partner sent, with masks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from tocsin.admission.detectors.spans import Span as DetectedSpan
from tocsin.admission.errors import Malformed
from tocsin.admission.masking import masked_text, removed_with
from tocsin.admission.merge.content import canonical_json
from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.free_text import free_texts, replace_texts
from tocsin.admission.stix.ijson import parse_object
from tocsin.server.model import Review, Span

MOST_MASKS = 1_000
"""Parts that one edit takes out."""
_MASK = "by a reviewer"
_INVISIBLE = frozenset({"Cc", "Cf", "Mn", "Co", "Cn"})


def mask_object(review: Review) -> bytes:
    """The object of a review, as JSON, with masks where its decision says so."""
    subject = parse_object(review.object)
    masks = () if review.decision is None else review.decision.masks
    return canonical_json(mask_parts(subject, masks))


def mask_parts(subject: StixObject, masks: Iterable[Span]) -> StixObject:
    """The object with masks in the place of parts of its texts.

    A text that means nothing with a mask in it, as a keyword or a hash, is removed as a whole.
    """
    texts = dict(free_texts(subject))
    by_path: dict[Path, list[DetectedSpan]] = {}
    for path, start, end in masks:
        by_path.setdefault(path, []).append(DetectedSpan(start, end, _MASK))
    changes: dict[Path, str | None] = {}
    for path, spans in by_path.items():
        changes[path] = masked_text(path, texts[path], spans)
        if changes[path] is None:
            changes |= removed_with(subject, path)
    return replace_texts(subject, changes)


def find_words(subject: StixObject, words: Sequence[str]) -> list[Span]:
    """All places of some words in the texts of an object, in any case.

    Characters that cannot be seen may stand between their letters.  Raises Malformed, naming the
    word, if there is one that occurs nowhere, or if there are too many places.
    """
    texts = free_texts(subject)
    found: list[Span] = []
    for word in words:
        places = list(_places(texts, word))
        if not places:
            raise Malformed(f"there is no such word in a text of the object: {word[:80]}")
        found += places
    if len(found) > MOST_MASKS:
        raise Malformed(f"these words occur {len(found)} times: {MOST_MASKS} at most")
    return found


def _places(texts: Iterable[tuple[Path, str]], word: str) -> Iterator[Span]:
    wanted = visible_characters(word)[0].casefold()
    if not wanted.strip():
        return
    for path, text in texts:
        visible, origins = visible_characters(text)
        folded = visible.casefold()
        if len(folded) != len(visible):  # a letter became two: compare as it is
            folded, wanted_here = visible, visible_characters(word)[0]
        else:
            wanted_here = wanted
        for match in re.finditer(re.escape(wanted_here), folded):
            yield path, origins[match.start()], origins[match.end() - 1] + 1


def visible_characters(text: str) -> tuple[str, Sequence[int]]:
    """The characters of a text that can be seen, and where each of them is in it.

    Every space counts as a blank.
    """
    if text.isascii() and text.isprintable():
        return text, range(len(text))
    pairs = [
        (" " if c.isspace() else c, i)
        for i, c in enumerate(text)
        if c.isspace() or unicodedata.category(c) not in _INVISIBLE
    ]
    return "".join(c for c, _ in pairs), [i for _, i in pairs]
