"""Objects without what is marked more strictly, by other code than the hub's."""

from __future__ import annotations

from collections.abc import Set
from contextlib import suppress
from typing import Any

from support.hub import Object

from tocsin.admission.markings.granular import format_selector, value_at
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Path, Tlp

STRICT = frozenset((TLP_2_IDS[Tlp.AMBER], TLP_2_IDS[Tlp.AMBER_STRICT]))
"""The markings of what an observer that reads GREEN may not see."""


def without_strict_parts(sent: Object) -> Object | None:
    """The object without its parts at AMBER or above, as if it had been sent without them.

    None if it is marked so itself.
    """
    if not STRICT.isdisjoint(sent.get("object_marking_refs", ())):
        return None
    every = [
        (marking, parse_selector(selector))
        for marking in sent.get("granular_markings", ())
        for selector in marking["selectors"]
    ]
    gone = {path for marking, path in every if marking.get("marking_ref") in STRICT}
    shown = remove_parts(sent, gone)
    moved = [(marking, move_path(path, gone)) for marking, path in every]
    left = [
        {**marking, "selectors": [format_selector(path)]}
        for marking, path in moved
        if path is not None and has_part(shown, path)
    ]
    shown.pop("granular_markings", None)
    return {**shown, "granular_markings": left} if left else shown


def parse_selector(selector: str) -> Path:
    """The path that a selector names."""
    steps = selector.split(".")
    return tuple(int(each[1:-1]) if each.startswith("[") else each for each in steps)


def remove_parts(sent: Object, gone: Set[Path]) -> Object:
    """A copy without these parts, and without what is empty then."""

    def left(value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            items = {k: left(v, (*path, k)) for k, v in value.items() if (*path, k) not in gone}
            kept: Any = {k: v for k, v in items.items() if v is not None}
            return None if not kept or kept.keys() == {"source_name"} else kept
        if isinstance(value, list):
            every = [left(v, (*path, n)) for n, v in enumerate(value) if (*path, n) not in gone]
            return [each for each in every if each is not None] or None
        return value

    return dict(left(sent, ()))


def move_path(path: Path, gone: Set[Path]) -> Path | None:
    """The path of a part once others are removed; None if it is one of them, or inside one."""
    if any(path[:end] in gone for end in range(1, len(path) + 1)):
        return None
    moved: list[str | int] = []
    for end, step in enumerate(path):
        before = (g for g in gone if len(g) == end + 1 and g[:end] == path[:end])
        places = [g[end] for g in before]
        moved.append(
            step - sum(isinstance(g, int) and g < step for g in places)
            if isinstance(step, int)
            else step
        )
    return tuple(moved)


def has_part(subject: Any, path: Path) -> bool:
    """True if the object has such a part."""
    with suppress(KeyError, IndexError, TypeError):
        value_at(subject, path)
        return True
    return False
