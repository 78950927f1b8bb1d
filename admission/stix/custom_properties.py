"""Find and remove nested properties that STIX 2.1 does not define (custom properties).

The schemas do not restrict what else an external reference, a phase of a kill chain,
an extension or a registry value has.  Where the standard has a dictionary, whose
keys the author chooses, no property counts as undefined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.memo import memoize_nested
from tocsin.admission.stix.schemas import documents, standard_types

_Node = tuple[str, Mapping[str, Any]]
"""A part of a schema, with the document in which it stands."""
_NAME = re.compile(r"\^([\w-]+)\$")
"""A pattern for names that is but a name."""


_JOINING = ("allOf", "anyOf", "oneOf")
_SAYING = ("properties", "patternProperties", "$ref", *_JOINING)


@dataclass(frozen=True, slots=True)
class _Form:
    """The members that the standard allows in a value, over all of its alternatives."""

    members: Mapping[str, _Form]
    items: _Form | None
    closed: bool
    """True if no other members are allowed."""


@memoize_nested
def find_undefined_properties(subject: StixObject) -> Iterator[Path]:
    """The paths of undefined properties below the top level of the object."""
    kind = str(subject.get("type"))
    form = _of_type(kind if kind in standard_types() else "")
    waiting: list[tuple[Path, Any, _Form | None]] = [
        ((name,), value, form.members.get(name))
        for name, value in subject.items()
        if type(value) is dict or type(value) is list
    ]
    while waiting:
        path, value, said = waiting.pop()
        if said is None:
            continue
        if type(value) is list:
            waiting += (((*path, i), each, said.items) for i, each in enumerate(value))
        elif type(value) is dict:
            for name, inner in value.items():
                if name in said.members:
                    waiting.append(((*path, name), inner, said.members[name]))
                elif said.closed:
                    yield (*path, name)


def remove_properties(value: Any, paths: Iterable[Path]) -> Any:
    """A copy without the properties at those paths; everything else keeps its place."""
    inside: dict[str | int, list[Path]] = {}
    for path in paths:
        inside.setdefault(path[0], []).append(path[1:])
    if type(value) is list:
        return [
            remove_properties(each, inside[i]) if i in inside else each
            for i, each in enumerate(value)
        ]
    return {
        name: remove_properties(each, inside[name]) if name in inside else each
        for name, each in value.items()
        if () not in inside.get(name, ())
    }


@cache
def _of_type(kind: str) -> _Form:
    """The form of a type; empty: of one that the standard does not define, what all have."""
    names = (name for name in documents() if name.partition("/")[2] == f"{kind}.json")
    return _form([(name, documents()[name]) for name in (next(names, "common/core.json"),)])


def _form(nodes: Iterable[_Node]) -> _Form:
    flat = list(_flat(nodes))
    members: dict[str, list[_Node]] = {}
    for home, node in flat:
        named = {_NAME.sub(r"\1", name): part for name, part in _patterns(node) if _named(name)}
        for name, part in {**node.get("properties", {}), **named}.items():
            members.setdefault(name, []).append((home, part))
    items = [(home, node["items"]) for home, node in flat if isinstance(node.get("items"), dict)]
    return _Form(
        members={name: _form(parts) for name, parts in members.items()},
        items=_form(items) if items else None,
        closed=bool(members) and not any(_is_open(node) for _, node in flat),
    )


def _is_open(node: Mapping[str, Any]) -> bool:
    """True if the standard lets the author choose the names of members here."""
    bare = node.get("type") == "object" and not any(word in node for word in _SAYING)
    return bare or not all(_named(name) for name, _ in _patterns(node))


def _patterns(node: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(node.get("patternProperties", {}).items())


def _named(pattern: str) -> bool:
    return _NAME.fullmatch(pattern) is not None


def _flat(nodes: Iterable[_Node]) -> Iterator[_Node]:
    """The nodes with all that they refer to and join."""
    waiting = list(nodes)
    while waiting:
        home, node = waiting.pop()
        yield home, node
        for word in _JOINING:
            waiting += ((home, part) for part in node.get(word, ()))
        file, _, inside = str(node.get("$ref", "")).partition("#")
        if inside:
            waiting.append((home, documents()[home]["definitions"][inside.rpartition("/")[2]]))
        elif file:
            there = file.removeprefix("../") if "/" in file else f"common/{file}"
            waiting.append((there, documents()[there]))
