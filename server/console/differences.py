"""Differences of two versions of an object: by property, then by words.

Hostile texts cost no more than others: a text of many words is compared by sentences, and
a longer one is shown as removed and added as a whole.  Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST_PIECES = 1_000
"""Words, or else sentences, of one text that are compared."""
MOST_LINES = 200
"""Lines of one property; further ones are counted."""
MOST_PROPERTIES = 100
_BUDGET = 4_000
"""Words or sentences of all properties of an object that are compared."""
_WORD = re.compile(r"[^\S\n]*(?:\w+|[^\w\s]|\n)")
_SENTENCE = re.compile(r".+?(?:[.!?\n]\s+|$)", re.DOTALL)
_VALUES = frozenset({"pattern", "value", "id", "path", "key", "subject", "issuer"})
"""Properties that are not prose."""
_PHASE = {"kill_chain_name", "phase_name"}
_PROSE = frozenset({"name", "description", "abstract", "content", "explanation", "opinion"})


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an object as lines of text."""

    name: str
    lines: tuple[str, ...] = ()
    is_prose: bool = True
    more: int = 0
    """Lines that are not among them."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a text: kept, removed or added."""

    change: str
    """`same`, `removed` or `added`."""
    text: str


@dataclass(frozen=True, slots=True)
class PropertyChange:
    """A property that differs."""

    name: str
    is_prose: bool
    segments: tuple[Segment, ...]
    """Its parts, in order; for a property of several lines each is a number of whole lines."""
    has_lines: bool = False
    """It was compared by lines."""


def list_properties(
    subject: Mapping[str, object], hidden: frozenset[str] = frozenset()
) -> list[Property]:
    """The properties of an object, in its order, but those that are `hidden`."""
    names = [name for name in subject if name not in hidden]
    return [_property(name, subject[name]) for name in names[:MOST_PROPERTIES]]


def compare_versions(
    old: Mapping[str, object], new: Mapping[str, object], hidden: frozenset[str] = frozenset()
) -> list[PropertyChange]:
    """The properties in which two versions differ, in the order of the new one."""
    before = {each.name: each for each in list_properties(old, hidden)}
    after = {each.name: each for each in list_properties(new, hidden)}
    left, changes = _BUDGET, list[PropertyChange]()
    for name in (*after, *(name for name in before if name not in after)):
        one, other = before.get(name), after.get(name)
        if one == other:
            continue
        change, cost = _change(one or Property(name), other or Property(name), left)
        left -= cost
        changes.append(change)
    return changes


def _change(old: Property, new: Property, left: int) -> tuple[PropertyChange, int]:
    """The change of a property, and the number of pieces that were compared."""
    has_lines = len(old.lines) > 1 or len(new.lines) > 1
    if has_lines:
        pieces = list(old.lines), list(new.lines)
    else:
        pieces = _split("".join(old.lines), "".join(new.lines), left)
    segments = tuple(_compare(*pieces, "\n" if has_lines else ""))
    is_prose = (new if new.lines else old).is_prose
    change = PropertyChange(new.name, is_prose, segments, has_lines=has_lines)
    return change, max(map(len, pieces))


def _property(name: str, value: object) -> Property:
    is_prose = name in _PROSE or not (
        name in _VALUES or isinstance(value, Mapping) or name.endswith(("_ref", "_refs"))
    )
    lines = list(_lines(value, ""))
    if not is_prose:  # a rule has lines
        lines = [line for each in lines for line in each.split("\n")]
    return Property(name, tuple(lines[:MOST_LINES]), is_prose, max(0, len(lines) - MOST_LINES))


def _lines(value: object, path: str) -> Iterator[str]:
    """A value of JSON as lines; what is nested has its path in front."""
    if isinstance(value, Mapping) and value.keys() == _PHASE:
        yield f"{value['kill_chain_name']}: {value['phase_name']}"
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _lines(each, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, each in enumerate(value, 1):
            is_nested = isinstance(each, Mapping | list)
            yield from _lines(each, f"{path}[{number}]" if is_nested else path)
    else:
        text = value if isinstance(value, str) else _format(value)
        yield f"{path}: {text}" if path else text


def _format(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _split(old: str, new: str, left: int) -> tuple[list[str], list[str]]:
    """Both texts in words, in sentences if there are too many words, else each as one piece."""
    for pattern in (_WORD, _SENTENCE):
        most = min(MOST_PIECES, left)
        pieces = [_pieces(pattern, text, most) for text in (old, new)]
        if all(len(each) <= most for each in pieces):
            return pieces[0], pieces[1]
    return [old] if old else [], [new] if new else []


def _pieces(pattern: re.Pattern[str], text: str, most: int) -> list[str]:
    """The pieces of a text, `most` and one more at most."""
    found, end = list[str](), 0
    for each in pattern.finditer(text):
        if len(found) > most:
            return found
        found.append(each[0])
        end = each.end()
    return [*found, text[end:]] if end < len(text) else found


def _compare(old: Sequence[str], new: Sequence[str], between: str) -> Iterator[Segment]:
    # Frequent words are not anchors (autojunk): without that, hostile texts would take 12 s.
    for change, a, b, c, d in SequenceMatcher(None, old, new).get_opcodes():
        if change == "equal":
            yield Segment("same", between.join(new[c:d]))
            continue
        if a < b:
            yield Segment("removed", between.join(old[a:b]))
        if c < d:
            yield Segment("added", between.join(new[c:d]))
