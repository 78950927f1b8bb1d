"""Find and remove nested properties that STIX 2.1 does not define (custom properties).

The schemas allow further properties in external references, kill chain phases,
extensions and registry values.  In a dictionary of the standard, whose keys the
author chooses, no property is undefined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.memo import memoize_nested
from tocsin.admission.stix.schemas import documents, standard_types

_Node = tuple[str, Mapping[str, Any]]
"""A part of a schema, with the name of its document."""
_NAME = compile_lazily(r"\^([\w-]+)\$")
"""A pattern that matches exactly one name."""


_COMBINATORS = ("allOf", "anyOf", "oneOf")
_RESTRICTING = ("properties", "patternProperties", "$ref", *_COMBINATORS)


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
    root = _of_type(kind if kind in standard_types() else "")
    pending: list[tuple[Path, Any, _Form | None]] = [
        ((name,), value, root.members.get(name))
        for name, value in subject.items()
        if type(value) is dict or type(value) is list
    ]
    while pending:
        path, value, form = pending.pop()
        if form is None:
            continue
        if type(value) is list:
            pending += (((*path, i), each, form.items) for i, each in enumerate(value))
        elif type(value) is dict:
            for name, inner in value.items():
                if name in form.members:
                    pending.append(((*path, name), inner, form.members[name]))
                elif form.closed:
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
    """The form of a type; for an undefined type (empty), the common properties."""
    names = (name for name in documents() if name.partition("/")[2] == f"{kind}.json")
    return _form([(name, documents()[name]) for name in (next(names, "common/core.json"),)])


def _form(nodes: Iterable[_Node]) -> _Form:
    flat = list(_flatten(nodes))
    members: dict[str, list[_Node]] = {}
    for document, node in flat:
        literal_names = {
            _NAME.sub(r"\1", name): part for name, part in _patterns(node) if _is_literal_name(name)
        }
        for name, part in {**node.get("properties", {}), **literal_names}.items():
            members.setdefault(name, []).append((document, part))
    items = [
        (document, node["items"]) for document, node in flat if isinstance(node.get("items"), dict)
    ]
    return _Form(
        members={name: _form(parts) for name, parts in members.items()},
        items=_form(items) if items else None,
        closed=bool(members) and not any(_is_open(node) for _, node in flat),
    )


def _is_open(node: Mapping[str, Any]) -> bool:
    """True if the standard lets the author choose the names of members here."""
    bare = node.get("type") == "object" and not any(word in node for word in _RESTRICTING)
    return bare or not all(_is_literal_name(name) for name, _ in _patterns(node))


def _patterns(node: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(node.get("patternProperties", {}).items())


def _is_literal_name(pattern: str) -> bool:
    return _NAME.fullmatch(pattern) is not None


def _flatten(nodes: Iterable[_Node]) -> Iterator[_Node]:
    """The nodes, with all nodes that they reference or combine."""
    pending = list(nodes)
    while pending:
        document, node = pending.pop()
        yield document, node
        for word in _COMBINATORS:
            pending += ((document, part) for part in node.get(word, ()))
        file, _, inside = str(node.get("$ref", "")).partition("#")
        if inside:
            pending.append(
                (document, documents()[document]["definitions"][inside.rpartition("/")[2]])
            )
        elif file:
            document = file.removeprefix("../") if "/" in file else f"common/{file}"
            pending.append((document, documents()[document]))
