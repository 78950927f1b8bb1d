"""References from one object to others, and their rewriting.

A reference is any property whose name ends in `_ref` or `_refs` (STIX 2.1
section 3.1), at any depth.  Markings are references too, but of another kind;
`markings` owns those of TLP.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from tocsin.admission.model import Path, StixObject

Resolve = Callable[[str], str | None]
"""The public id for a source id; None if the audience has no such object."""

NEEDED: dict[str, tuple[str, ...]] = {
    "relationship": ("source_ref", "target_ref"),
    "sighting": ("sighting_of_ref",),
    "report": ("object_refs",),
    "grouping": ("object_refs",),
    "note": ("object_refs",),
    "opinion": ("object_refs",),
    "language-content": ("object_ref",),
    "observed-data": ("object_refs",),
}
"""References without which an object of the type says nothing."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """An object with its references rewritten."""

    object: StixObject
    dropped: tuple[tuple[Path, str], ...] = ()
    """References that could not be resolved: where, and to what."""
    missing: tuple[str, ...] = ()
    """Those among them that the object needs; it cannot be published without."""


def references(subject: StixObject) -> Iterator[str]:
    """Every id that the object refers to, markings and author included."""
    waiting: list[Any] = [subject]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            for name, value in part.items():
                if isinstance(value, str) and name.endswith("_ref"):
                    yield value
                elif isinstance(value, list) and name.endswith("_refs"):
                    yield from (item for item in value if isinstance(item, str))
                elif isinstance(value, dict | list):
                    waiting.append(value)
        else:
            waiting.extend(item for item in part if isinstance(item, dict | list))


def needs(subject: StixObject, gone: Collection[str]) -> bool:
    """Whether an object has lost all of something that it needs, given what is gone."""
    for name in NEEDED.get(subject["type"], ()):
        value = subject.get(name)
        targets = value if isinstance(value, list) else [value]
        if targets and all(target in gone for target in targets):
            return True
    return False


def rewritten(subject: StixObject, resolve: Resolve) -> Rewriting:
    """The object with every reference replaced by what `resolve` gives for it."""
    dropped: list[tuple[Path, str]] = []
    body = _walked(subject, resolve, (), dropped)
    needed = NEEDED.get(subject["type"], ())
    lost = {path[0] for path, _ in dropped if path[0] in needed}
    empty = {name for name in lost if not body.get(name)}
    empty.add("object_marking_refs")  # nothing goes out without a marking that it came with
    missing = tuple(target for path, target in dropped if path[0] in empty)
    return Rewriting(body, tuple(dropped), missing)


def _walked(part: Any, resolve: Resolve, path: Path, dropped: list[tuple[Path, str]]) -> Any:
    if isinstance(part, list):
        return [_walked(item, resolve, (*path, at), dropped) for at, item in enumerate(part)]
    if not isinstance(part, dict):
        return part
    body: dict[str, Any] = {}
    for name, value in part.items():
        here = (*path, name)
        if isinstance(value, str) and name.endswith("_ref"):
            found = resolve(value)
            if found is None:
                dropped.append((here, value))
            else:
                body[name] = found
        elif isinstance(value, list) and name.endswith("_refs"):
            kept = _resolved(value, resolve, here, dropped)
            if kept:
                body[name] = kept
        else:
            deeper = isinstance(value, dict | list)
            body[name] = _walked(value, resolve, here, dropped) if deeper else value
    return body


def _resolved(
    targets: list[Any], resolve: Resolve, path: Path, dropped: list[tuple[Path, str]]
) -> list[str]:
    kept: dict[str, None] = {}
    for at, target in enumerate(targets):
        found = resolve(target) if isinstance(target, str) else None
        if found is None:
            dropped.append(((*path, at), str(target)))
        else:
            kept[found] = None
    return list(kept)
