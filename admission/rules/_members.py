"""Names of properties and types that people made up: they may tell as much as texts do.

The standard lets people name entries of dictionaries, hashes and properties of
references as they like.  Only names that STIX 2.1 itself defines are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.admission.model import Path, StixObject
from tocsin.admission.schemas import names, types
from tocsin.admission.texts import DEEPEST


def members(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """Every property whose name the standard does not know, with its place and its name.

    A type that it does not know is a name as well: without it there is no object.
    What is deeper than `DEEPEST` is not looked into: `texts` refuses it.
    """
    if (kind := str(subject.get("type"))) not in types():
        yield ("type",), kind
    known = names()
    waiting: list[tuple[Path, Any]] = [((), subject)]
    while waiting:
        path, value = waiting.pop()
        if len(path) >= DEEPEST:
            continue
        if type(value) is dict:
            for name, inside in value.items():
                if name not in known:
                    yield (*path, name), name
                if type(inside) is dict or type(inside) is list:
                    waiting.append(((*path, name), inside))
        else:
            waiting += (
                ((*path, i), inside)
                for i, inside in enumerate(value)
                if type(inside) is dict or type(inside) is list
            )
