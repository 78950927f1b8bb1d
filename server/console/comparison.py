"""An object of a preview beside what others would read of it, as values for a template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tocsin.admission.model import Action, Candidate, StixObject, Tlp, Verdict
from tocsin.admission.preview import (
    CHANGING_ACTIONS,
    REMOVED,
    Passage,
    compare_texts,
    describe_object,
    find_changes,
)
from tocsin.server.console.drafts import Item, Standing

_MOST_WORDS = 400
"""Words and spaces of two texts that are compared word by word; longer ones differ as wholes."""
_MOST_CHANGES = 12
"""Changed values of one object that are shown."""
_CONTEXT = 80
"""Characters shown on each side of what differs."""
_LONGEST = 2_000
_DECIDING = {
    Standing.HELD: Action.HELD,
    Standing.REFUSED: Action.REFUSED,
    Standing.ASKED: Action.ASKED,
    Standing.DRAFT: Action.HELD,
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
    reasons: tuple[str, ...]
    """Why it is not shared, or not all of it."""
    content: StixObject | None
    """What would be shared of it."""


def compare(number: int, item: Item, standing: Standing, reader: Tlp) -> Compared:
    """Compare an object with what a reader of a level would read of it."""
    candidate = item.candidate
    content = _content_for(candidate, reader)
    findings = [each.as_json() for each in candidate.findings]
    changes = list(_compare_values(item.before, content, findings))
    value, kind = describe_object(item.before or candidate.object or {})
    shared = describe_object(content)[0] if content is not None else ""
    return Compared(
        number=number,
        value=value,
        kind=kind,
        shared_value=shared,
        standing=standing,
        level=candidate.tlp,
        is_visible=content is not None,
        changes=tuple(changes[:_MOST_CHANGES]),
        more_changes=max(0, len(changes) - _MOST_CHANGES),
        reasons=_list_reasons(candidate, standing),
        content=content,
    )


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


def _compare_values(
    before: StixObject | None, after: StixObject | None, findings: list[dict[str, str]]
) -> Iterator[ValueChange]:
    if before is None or after is None:
        return
    for change in find_changes(before, after, findings):
        is_removed = change.after == REMOVED
        pieces = _pair(change.before, "" if is_removed else change.after)
        gone = tuple(_abridge(Piece(old, old != new) for old, new in pieces if old))
        come = tuple(_abridge(Piece(new, old != new) for old, new in pieces if new))
        yield ValueChange(change.path, gone, come, _explain(change.path, findings))


def _pair(before: str, after: str) -> list[tuple[str, str]]:
    """The passages of two texts, with what they have in common at their ends as it is."""
    head = _common(before, after)
    old, new = before[head:], after[head:]
    tail = _common(old[::-1], new[::-1])
    end = old[len(old) - tail :] if tail else ""
    old, new = old[: len(old) - tail], new[: len(new) - tail]
    # Whole words differ, not halves of them.
    start = before[:head]
    while start and not start[-1].isspace():
        old, new, start = start[-1] + old, start[-1] + new, start[:-1]
    while end and not end[0].isspace():
        old, new, end = old + end[0], new + end[0], end[1:]
    middle = compare_texts(old, new, _MOST_WORDS) if old or new else ()
    return [(start, start), *_join_differences(middle), (end, end)]


def _join_differences(passages: Iterable[Passage]) -> list[tuple[str, str]]:
    """The passages, those that differ joined where only spaces are between them."""
    found: list[Passage] = []
    for each in passages:
        gap = found[-1].before if found and found[-1].is_equal else None
        if not each.is_equal and gap is not None and gap.isspace() and len(found) > 1:
            del found[-1]
        else:
            gap = ""
        if not each.is_equal and found and not found[-1].is_equal:
            before, after = found.pop()
            each = Passage(before + gap + each.before, after + gap + each.after)
        found.append(each)
    return [(each.before, each.after) for each in found]


def _common(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


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
    if standing is Standing.READY:
        return ()
    deciding = [f for f in candidate.findings if f.action is _DECIDING.get(standing)]
    chosen = deciding or list(candidate.findings[-1:])
    texts = (f"{each.path}: {each.message}" if each.path else each.message for each in chosen)
    return tuple(dict.fromkeys(texts))
