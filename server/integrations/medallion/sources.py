"""What a medallion 3.0.0 has, and its JSON data file read.

A data file maps names of API roots to their collections, each with objects
and, beside them, a manifest that says when each version was added.  Objects
are cut out of the file's text as they stand.  The reader is the decoder that
medallion itself uses, so whatever medallion can load can be read; what is
wrong with one object is for others to judge.
"""

from __future__ import annotations

import json
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from functools import partial
from json.decoder import JSONDecoder
from pathlib import Path
from typing import NamedTuple, cast

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros

HIDDEN = "_date_added"
"""medallion's note in objects that have neither `modified` nor `created`; readers never got it."""
_DEPTH = 5
"""File, API root, list of collections, collection, list of objects."""
_BLANK = " \t\n\r"


class Kept(NamedTuple):
    """One object version as medallion keeps it."""

    added: int
    """`date_added`, in µs since 1970 UTC; several may have the same."""
    id: str
    body: bytes


class LeftOut(NamedTuple):
    """What cannot be taken over, and why."""

    id: str
    """Empty if it has none."""
    reason: str


Item = Kept | LeftOut


@dataclass(frozen=True, slots=True)
class Source:
    """One collection of medallion's."""

    root: str
    id: str
    title: str
    description: str
    alias: str
    can_read: bool
    can_write: bool
    count: int = 0
    """How many objects it has, roughly; for a progress bar."""
    objects: Callable[[], Iterable[Item]] = tuple
    """Everything in it, by ascending `date_added`, what is equal in medallion's own order."""


class Raw(NamedTuple):
    """A value of the file, as its text."""

    text: str


def from_file(path: Path) -> list[Source]:
    """The collections of a data file.

    Raises Malformed, with a sentence, if it is none.
    """
    whole = _whole(path)
    roots = whole.items() if isinstance(whole, dict) else ()
    found = [source for name, root in roots for source in _sources(name, root)]
    if not found:
        raise Malformed(f"{path.name} is not a data file of medallion: it has no collections")
    return found


def described(root: str, told: Mapping[str, object]) -> Source:
    """A collection as it tells of itself, whatever types that has; its objects are left out."""
    id, title, description, alias = (
        value if isinstance(value := told.get(name), str) else ""
        for name in ("id", "title", "description", "alias")
    )
    return Source(
        root=root,
        id=id,
        title=title,
        description=description,
        alias=alias,
        can_read=told.get("can_read") is not False,
        can_write=told.get("can_write") is not False,
    )


def _whole(path: Path) -> object:
    """The file, down to the objects."""
    text = path.read_text("utf-8")
    try:
        whole, end = _shallow(text, 0, _DEPTH)
    except (IndexError, RecursionError) as error:
        fault = "is nested too deeply" if isinstance(error, RecursionError) else "breaks off"
        raise Malformed(f"{path.name} is not JSON: it {fault}") from error
    except ValueError as error:
        raise Malformed(f"{path.name} is not JSON: {error}") from error
    if text[end:].strip(_BLANK):
        raise Malformed(f"{path.name} is not JSON: there is more after its end")
    return whole


def _sources(name: str, root: object) -> Iterator[Source]:
    listed = root.get("collections") if isinstance(root, dict) else None
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict):
            yield _source(name, each)


def _source(root: str, fields: Mapping[str, object]) -> Source:
    told = {name: json.loads(raw.text) for name, raw in fields.items() if isinstance(raw, Raw)}
    objects, manifest = (_items(fields.get(name)) for name in ("objects", "manifest"))
    known = described(root, told)
    return replace(known, count=len(objects), objects=partial(_in_order, objects, manifest))


def _items(value: object) -> Sequence[str]:
    """The texts of a list's items."""
    return [_text(item) for item in value] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.text if isinstance(value, Raw) else "null"


def _in_order(objects: Sequence[str], manifest: Sequence[str]) -> Iterator[Item]:
    """The objects by their dates in the manifest; before them, what cannot be taken."""
    dates, faults = _dates(manifest)
    yield from faults
    wanted = dict(dates)
    found: list[tuple[tuple[int, int], Kept]] = []
    for text in objects:
        subject = json.loads(text)
        key = _key(subject)
        if key not in dates:
            yield LeftOut(key[0], "medallion's manifest does not have it, so nobody was given it")
            continue
        wanted.pop(key, None)
        found.append((dates[key], Kept(dates[key][0], key[0], _body(text, subject))))
    for id, _ in wanted:
        yield LeftOut(id, "a manifest record without an object")
    yield from (kept for _, kept in sorted(found, key=lambda each: each[0]))


_Key = tuple[str, int | str]


def _dates(manifest: Sequence[str]) -> tuple[dict[_Key, tuple[int, int]], list[LeftOut]]:
    """When each object version was added, with its place in the manifest."""
    dates: dict[_Key, tuple[int, int]] = {}
    faults: list[LeftOut] = []
    for place, text in enumerate(manifest):
        record = json.loads(text)
        record = record if isinstance(record, dict) else {}
        try:
            added = micros(record.get("date_added", ""))
        except Malformed as error:
            faults.append(LeftOut(_id(record), f"date_added of its manifest record: {error}"))
            continue
        dates.setdefault((_id(record), _instant(record.get("version"))), (added, place))
    return dates, faults


def _key(subject: object) -> _Key:
    if not isinstance(subject, dict):
        return "", ""
    versions = (subject.get(name) for name in ("modified", "created", HIDDEN))
    return _id(subject), _instant(next(filter(None, versions), None))


def _id(subject: Mapping[str, object]) -> str:
    return str(subject.get("id", ""))


def _instant(version: object) -> int | str:
    """A version as an instant; one that is no timestamp as it stands."""
    try:
        return micros(cast(str, version))
    except Malformed:
        return str(version)


def _body(text: str, subject: object) -> bytes:
    if isinstance(subject, dict) and HIDDEN in subject:
        shown = {name: value for name, value in subject.items() if name != HIDDEN}
        text = json.dumps(shown)
    return text.encode()


def _shallow(text: str, at: int, depth: int) -> tuple[object, int]:
    """The value that begins at `at`, down to `depth`, and where it ends; below that, its text."""
    at = _past(text, at)
    if depth and text[at] == "{":
        return _members(text, at + 1, depth - 1)
    if depth and text[at] == "[":
        return _elements(text, at + 1, depth - 1)
    _, end = _DECODER.raw_decode(text, at)
    return Raw(text[at:end]), end


_DECODER = JSONDecoder()


def _members(text: str, at: int, depth: int) -> tuple[dict[str, object], int]:
    found: dict[str, object] = {}
    at = _past(text, at)
    if text[at] == "}":
        return found, at + 1
    while True:
        _expect(text, at, '"')
        name, at = _DECODER.raw_decode(text, _past(text, at))
        found[name], at = _shallow(text, _expect(text, at, ":"), depth)
        at = _past(text, at)
        if text[at] == "}":
            return found, at + 1
        at = _expect(text, at, ",")


def _elements(text: str, at: int, depth: int) -> tuple[list[object], int]:
    found: list[object] = []
    at = _past(text, at)
    if text[at] == "]":
        return found, at + 1
    while True:
        value, at = _shallow(text, at, depth)
        found.append(value)
        at = _past(text, at)
        if text[at] == "]":
            return found, at + 1
        at = _expect(text, at, ",")


def _past(text: str, at: int) -> int:
    """The next place that is not blank."""
    while text[at] in _BLANK:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    """The place after a character that must come next."""
    at = _past(text, at)
    if text[at] != character:
        raise ValueError(f"{character!r} is missing at character {at}")
    return at + 1
