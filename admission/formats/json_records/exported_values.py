"""Values that known programs report in nested objects, or in files that say whose they are.

A reader of such exports takes only what the program itself calls malicious, or an attacker's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Members = Mapping[str, Any]
"""The members of an object, by their names."""

SAMPLE = 20
"""Objects of a file by which its program is recognised."""
_HASHES = ("md5", "sha1", "sha256")


@dataclass(frozen=True, slots=True)
class ExportedValue:
    """A value in an export, which becomes a record."""

    kind: str
    """Its type, as the column of a table names it; empty if its form shows it."""
    value: str
    origin: object
    """The part of the export that reports it, which may state a TLP level."""
    around: Members | None = None
    """Members of the object around that part, of which one may state a level too."""
    refusal: str = ""
    """Why it is refused; empty if it is not."""
    doubt: str = ""
    """Why it is held; empty if it is not."""
    details: Members = field(default_factory=dict)
    """Other members of the record, such as its confidence."""


def list_objects(value: object) -> list[Members]:
    """The objects in a value: itself, or those in a list."""
    every = value if isinstance(value, list) else [value]
    return [each for each in every if isinstance(each, dict)]


def list_parts(value: object, name: str) -> Iterator[tuple[Members, Members | None]]:
    """The objects in the member `name` of each object, or itself if it has none such.

    With each, what the object around it states.
    """
    for outer in list_objects(value):
        if name in outer:
            around = find_statements(outer)
            yield from ((part, around) for part in list_objects(outer[name]))
        else:
            yield outer, None


def find_statements(outer: Members) -> Members:
    """The texts and levels of an object, which may be about all that it holds."""
    return {
        name: each
        for name, each in outer.items()
        if not isinstance(each, dict) or "tlp" in name.lower() or "marking" in name.lower()
        if not isinstance(each, list) or all(isinstance(part, str) for part in each)
    }


def find_object(members: Members, name: str) -> Members:
    """The object that a member holds; an empty one if it holds none."""
    found = members.get(name)
    return found if isinstance(found, dict) else {}


def find_texts(members: Members, *names: str) -> Iterator[str]:
    """The texts of members, also in lists."""
    for name in names:
        found = members.get(name)
        every = found if isinstance(found, list) else [found]
        yield from (each.strip() for each in every if isinstance(each, str) and each.strip())


def read_hashes(
    file: Members, origin: object, around: Members | None, doubt: str = "", refusal: str = ""
) -> Iterator[ExportedValue]:
    """The hashes of a file, by the members that are named after them."""
    for name in _HASHES:
        for text in find_texts(file, name):
            yield ExportedValue(name, text, origin, around, refusal, doubt)


def drop_repeated(found: Iterable[ExportedValue]) -> list[ExportedValue]:
    """Each value once: the first that is neither held nor refused, else the first of all."""
    best: dict[str, ExportedValue] = {}
    for each in found:
        known = best.get(each.value)
        if known is None or (_is_doubtful(known) and not _is_doubtful(each)):
            best[each.value] = each
    return list(best.values())


def _is_doubtful(found: ExportedValue) -> bool:
    return bool(found.refusal or found.doubt)
