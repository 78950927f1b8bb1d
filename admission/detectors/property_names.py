"""Names of properties and types that people made up: they may tell as much as texts do.

The standard lets people name entries of dictionaries, hashes and properties of
references as they like.  Only names that STIX 2.1 itself defines are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.free_text import MAX_DEPTH
from tocsin.admission.stix.schemas import standard_property_names, standard_types


def outer_members(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The object's own properties whose names the standard does not know, with place and name.

    A type that it does not know is a name as well: without it there is no object.
    """
    if (kind := str(subject.get("type"))) not in standard_types():
        yield ("type",), kind
    known = standard_property_names()
    for name in subject:
        if name not in known:
            yield (name,), name


def inner_members(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The same of what is in its lists and dictionaries.

    What is deeper than `MAX_DEPTH` is not looked into: `texts` refuses it.
    """
    known = standard_property_names()
    waiting: list[tuple[Path, Any]] = [
        ((name,), value)
        for name, value in subject.items()
        if type(value) is dict or type(value) is list
    ]
    while waiting:
        path, value = waiting.pop()
        if len(path) >= MAX_DEPTH:
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
