"""An object of a preview beside what others would read of it, as values for a template."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tocsin.admission.descriptions import (
    CHANGING_ACTIONS,
    REMOVED,
    Change,
    compare_texts,
    describe_object,
    find_changes,
)
from tocsin.admission.formats.csv import without_options
from tocsin.admission.model import Action, Candidate, StixObject, Tlp, Verdict
from tocsin.server.console.differences import MOST_PROPERTIES, list_properties
from tocsin.server.console.drafts import SENT, PreviewedObject, Standing

_MOST_WORDS = 300
"""Words of two texts that are compared word by word; longer ones differ as wholes."""
_MOST_CHANGES = 8
"""Changed values of one object that are shown."""
PAGE_LENGTH = 30_000
"""Characters of changed values on one page."""
TEXTS_LENGTH = 200_000
"""Characters of the texts on one page that readers get."""
_LONGEST_SHORT = 300
"""Characters of a text, or of a value, that is shown as it is; a longer one is folded."""
_NO_TEXT = frozenset(
    {"type", "spec_version", "id", "created", "modified", "granular_markings", "hashes"}
    | {"pattern_type", "pattern_version", "valid_from", "valid_until", "lang"}
)
"""Properties that hold no prose."""
_VOCABULARY = frozenset({"kill_chain_phases"})
"""Properties whose words are rarely of the person's own; so are those that end in `_types`."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{5,20}Z")
_CONTEXT = 80
"""Characters shown on each side of what differs."""
_LONGEST = 2_000
_LONGEST_WORD = 200
_FIRST_WORD = re.compile(rf"\S{{0,{_LONGEST_WORD}}}")
_ABOUT_THE_VALUE = frozenset({"", "pattern", "value"})
"""Paths that say no more than the value that stands beside."""
_DECIDING = {
    Standing.HELD: Action.HELD,
    Standing.REFUSED: Action.REFUSED,
    Standing.ASKED: Action.ASKED,
    Standing.UNCONFIRMED: Action.HELD,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: the same on both sides, or only on this one."""

    text: str
    is_different: bool = False


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A value as it was read, and as it would be shared."""

    path: str
    before: tuple[Piece, ...]
    after: tuple[Piece, ...]
    """Empty: it is left out."""
    why: tuple[tuple[str, str], ...]
    """The rules that did it, each with its message."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that readers get, whether or not a rule looked at it."""

    name: str
    """The property that holds it."""
    text: str
    most: int
    """Characters for which there is room."""

    @property
    def is_long(self) -> bool:
        """True if it is folded at first."""
        return len(self.text) > _LONGEST_SHORT


@dataclass(frozen=True, slots=True)
class Compared:
    """One object of a preview."""

    number: int
    """From 1, as in the report."""
    value: str
    """Value or name by which people know it; empty if it has none."""
    kind: str
    shared_value: str
    standing: Standing
    level: Tlp | None
    is_visible: bool
    """Readers at the chosen level would read it."""
    changes: tuple[ValueChange, ...]
    more_changes: int
    """Number of changed values that are not shown."""
    texts: tuple[Text, ...]
    """The texts that go with the value, but for those that `changes` shows in full."""
    more_texts: int
    """Number of texts that are not shown."""
    reasons: tuple[str, ...]
    """Why it is not shared, or not all of it."""
    content: StixObject | None
    """The object as it would be shared."""


@dataclass(slots=True)
class Room:
    """The room that is left on a page."""

    left: int = PAGE_LENGTH
    texts: int = TEXTS_LENGTH
    cuts: bool = False
    """A text that is longer than the room is cut; otherwise it is counted only."""

    def fit(self, name: str, text: str) -> Text | None:
        """Take the room for a text that readers get; None if there is not so much."""
        if len(text) > self.texts and not self.cuts:
            return None
        most = min(len(text), self.texts)
        self.texts -= most
        return Text(name, text, most)

    def take(self, *texts: str) -> bool:
        """Take the room for some texts; False if there is not so much."""
        needed = sum(min(len(each), _LONGEST) for each in texts)
        if needed > self.left:
            return False
        self.left -= needed
        return True


def compare(
    number: int, item: PreviewedObject, standing: Standing, reader: Tlp, room: Room
) -> Compared:
    """Compare an object with what a reader of a level would read of it."""
    candidate = item.candidate
    is_out = standing is Standing.TAKEN_OUT
    content = None if is_out else _content_for(candidate, reader)
    findings = [each.as_json() for each in candidate.findings]
    found = _list_changes(item.before, content, findings)
    fitting = [c for c in found[:_MOST_CHANGES] if room.take(c.before, c.after)]
    changes = tuple(_compare_values(each, findings) for each in fitting)
    whole = {c.path for c, each in zip(fitting, changes, strict=True) if _is_whole(c, each)}
    texts, more_texts = list[Text](), 0
    if content is not None and standing in SENT:
        texts, more_texts = _fit_texts(content, whole, room)
    value, kind = describe_object(item.before or candidate.object or {})
    shared = describe_object(content)[0] if content is not None else ""
    return Compared(
        number=number,
        value=value or candidate.excerpt,
        kind=kind,
        shared_value=shared,
        standing=standing,
        level=candidate.tlp,
        is_visible=content is not None,
        changes=changes,
        more_changes=len(found) - len(fitting),
        texts=tuple(texts),
        more_texts=more_texts,
        reasons=_list_reasons(candidate, standing),
        content=content,
    )


def has_own_text(content: StixObject, labels: Collection[str]) -> bool:
    """True if an object has a text that may be of a person's own writing.

    `labels`: those that the sender gave to all objects.
    """
    return any(
        not (name in _VOCABULARY or name.endswith("_types"))
        and not (name == "labels" and isinstance(value, list) and set(map(str, value)) <= {*labels})
        for name, value in _find_texts(content).items()
    )


def _find_texts(content: StixObject) -> StixObject:
    """The properties with texts that go with the value of an object."""
    value, _ = describe_object(content)
    is_shown = len(value) <= _LONGEST_SHORT
    return {
        name: each
        for name, each in content.items()
        if _may_be_text(name, each) and not (is_shown and (name == "pattern" or each == value))
    }


def _may_be_text(name: str, value: object) -> bool:
    if name in _NO_TEXT or name.endswith(("_ref", "_refs")):
        return False
    if isinstance(value, str):
        return bool(value) and not _TIME.fullmatch(value)
    return bool(value) and isinstance(value, list | dict)


def _fit_texts(content: StixObject, whole: Collection[str], room: Room) -> tuple[list[Text], int]:
    """The texts for which there is room, and the number of the others."""
    found = {name: each for name, each in _find_texts(content).items() if name not in whole}
    texts, more = list[Text](), max(0, len(found) - MOST_PROPERTIES)
    for each in list_properties(found):
        between = "\n" if isinstance(found[each.name], str) else ", "
        text = room.fit(each.name, between.join(each.lines))
        if text is None:
            more += 1
        else:
            texts.append(text)
            more += bool(each.more)
    return texts, more


def _is_whole(change: Change, shown: ValueChange) -> bool:
    """True if all of the new value is shown."""
    return "".join(piece.text for piece in shown.after) == change.after


def _content_for(candidate: Candidate, reader: Tlp) -> StixObject | None:
    """The layer that a reader of a level sees; None if they see none."""
    if candidate.verdict in (Verdict.REFUSED, Verdict.DUPLICATE) or candidate.object is None:
        return None
    if candidate.tlp is None:  # not examined: a collection that keeps what is sent
        return candidate.object
    if candidate.tlp > reader:
        return None
    shown = candidate.object if candidate.published is None else candidate.published
    return next(
        (layer for level, layer in reversed(candidate.stricter_layers) if level <= reader), shown
    )


def _list_changes(
    before: StixObject | None, after: StixObject | None, findings: list[dict[str, str]]
) -> list[Change]:
    return [] if before is None or after is None else list(find_changes(before, after, findings))


def _compare_values(change: Change, findings: list[dict[str, str]]) -> ValueChange:
    pieces = _pair(change.before, "" if change.after == REMOVED else change.after)
    gone = tuple(_abridge(Piece(old, old != new) for old, new in pieces if old))
    come = tuple(_abridge(Piece(new, old != new) for old, new in pieces if new))
    return ValueChange(change.path, gone, come, _explain(change.path, findings))


def _pair(before: str, after: str) -> list[tuple[str, str]]:
    """The passages of two texts, with what they have in common at their ends as it is."""
    shorter = min(len(before), len(after))
    head = _longest(shorter, lambda n: before[:n] == after[:n])
    tail = _longest(shorter - head, lambda n: before[len(before) - n :] == after[len(after) - n :])
    start, end = before[:head], before[len(before) - tail :]
    # Whole words differ, not halves of them.
    start = start[: len(start) - len(_last_word(start))]
    end = end[len(_first_word(end)) :]
    old = before[len(start) : len(before) - len(end)]
    new = after[len(start) : len(after) - len(end)]
    middle = compare_texts(old, new, _MOST_WORDS) if old or new else ()
    return [(start, start), *((each.before, each.after) for each in middle), (end, end)]


def _longest(most: int, holds: Callable[[int], bool]) -> int:
    """The greatest number up to `most` for which it holds, as it does for all below."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _first_word(text: str) -> str:
    found = _FIRST_WORD.match(text)
    return found[0] if found else ""


def _last_word(text: str) -> str:
    return _first_word(text[-_LONGEST_WORD:][::-1])


def _abridge(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces, without the middle of long ones that both sides have."""
    left = _LONGEST
    for piece in pieces:
        text = piece.text
        if not piece.is_different and len(text) > 3 * _CONTEXT:
            text = f"{text[:_CONTEXT]} … {text[-_CONTEXT:]}"
        if left <= 0:
            return
        yield Piece(text if len(text) <= left else f"{text[:left]} …", piece.is_different)
        left -= len(text)


def _explain(path: str, findings: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    found = (
        (each["rule"], each["message"])
        for each in findings
        if each["path"] == path and each["action"] in CHANGING_ACTIONS
    )
    return tuple(dict.fromkeys(found))


def _list_reasons(candidate: Candidate, standing: Standing) -> tuple[str, ...]:
    if standing in (Standing.READY, Standing.TAKEN_OUT):
        return ()
    deciding = [f for f in candidate.findings if f.action is _DECIDING.get(standing)]
    chosen = deciding or list(candidate.findings[-1:])
    texts = (
        each.message if each.path in _ABOUT_THE_VALUE else f"{each.path}: {each.message}"
        for each in chosen
    )
    return tuple(dict.fromkeys(without_options(text) for text in texts))
