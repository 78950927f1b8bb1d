"""Names of properties and types that STIX 2.1 does not define.

People choose the names of custom properties, of entries of dictionaries, hashes and
references, so a name may hold as much private data as a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.free_text import MAX_DEPTH
from tocsin.admission.stix.schemas import standard_property_names, standard_types


def custom_names(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """Path and name of the object's own properties that the standard does not define.

    A custom type is such a name too, at the path `("type",)`.
    """
    if (kind := str(subject.get("type"))) not in standard_types():
        yield ("type",), kind
    known = standard_property_names()
    if subject.keys() <= known:  # most objects; far cheaper than one by one
        return
    for name in subject:
        if name not in known:
            yield (name,), name


def nested_custom_names(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """Path and name of custom properties inside lists and dictionaries.

    Values deeper than `MAX_DEPTH` are passed over; `stix.free_text` refuses them.
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
