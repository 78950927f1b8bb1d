"""Collections of a medallion 3.0.0, and the reader of its JSON data file.

A data file maps API roots to their collections, each with its objects and a manifest that says
when each version was added.  The text of each object is kept as it stands.  The reader uses the
JSON decoder that medallion uses, so it reads whatever medallion can load; it does not validate
objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from json.decoder import JSONDecoder
from pathlib import Path
from typing import NamedTuple, cast

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros

HIDDEN = "_date_added"
"""medallion's own property in objects without `modified` and `created`; never served."""
_DEPTH = 5
"""Levels that are parsed: file, API root, list of collections, collection, list of objects."""
_SPACES = " \t\n\r"


class StoredVersion(NamedTuple):
    """One object version as medallion stores it."""

    added: int
    """`date_added`, in µs since 1970 UTC; not unique."""
    id: str
    body: bytes


class SkippedObject(NamedTuple):
    """An object that cannot be imported, and why."""

    id: str
    """Empty if it has none."""
    reason: str


Item = StoredVersion | SkippedObject


@dataclass(frozen=True, slots=True)
class SourceCollection:
    """One collection of a medallion."""

    root: str
    id: str
    title: str
    description: str
    alias: str
    can_read: bool
    can_write: bool
    count: int = 0
    """Approximate number of objects, for a progress bar."""
    objects: Callable[[], Iterable[Item]] = tuple
    """Everything in it, by ascending `date_added`, equal dates in medallion's own order."""


class RawValue(NamedTuple):
    """The text of a value in the file."""

    text: str


def read_data_file(path: Path) -> list[SourceCollection]:
    """The collections of a data file.

    Raises Malformed, with a message for the operator, if it is not one.
    """
    whole = _parse_file(path)
    roots = whole.items() if isinstance(whole, dict) else ()
    found = [source for name, root in roots for source in _sources(name, root)]
    if not found:
        raise Malformed(f"{path.name} is not a medallion data file: it has no collections")
    return found


def describe_collection(root: str, described: Mapping[str, object]) -> SourceCollection:
    """A collection from its description, whose values may have any type; without objects."""
    id, title, description, alias = (
        value if isinstance(value := described.get(name), str) else ""
        for name in ("id", "title", "description", "alias")
    )
    return SourceCollection(
        root=root,
        id=id,
        title=title,
        description=description,
        alias=alias,
        can_read=described.get("can_read") is not False,
        can_write=described.get("can_write") is not False,
    )


def _parse_file(path: Path) -> object:
    """The parsed file; objects and manifest records as text."""
    text = path.read_text("utf-8")
    try:
        whole, end = _parse_shallow(text, 0, _DEPTH)
    except (IndexError, RecursionError) as error:
        fault = "is nested too deeply" if isinstance(error, RecursionError) else "is incomplete"
        raise Malformed(f"{path.name} is not JSON: it {fault}") from error
    except ValueError as error:
        raise Malformed(f"{path.name} is not JSON: {error}") from error
    if text[end:].strip(_SPACES):
        raise Malformed(f"{path.name} is not JSON: there is text after its end")
    return whole


def _sources(name: str, root: object) -> Iterator[SourceCollection]:
    listed = root.get("collections") if isinstance(root, dict) else None
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict):
            yield _source(name, each)


def _source(root: str, fields: Mapping[str, object]) -> SourceCollection:
    described = {
        name: json.loads(raw.text) for name, raw in fields.items() if isinstance(raw, RawValue)
    }
    objects, manifest = (_items(fields.get(name)) for name in ("objects", "manifest"))
    collection = describe_collection(root, described)
    return replace(
        collection, count=len(objects), objects=partial(_by_date_added, objects, manifest)
    )


def _items(value: object) -> Sequence[str]:
    """The texts of a list's items."""
    return [_text(item) for item in value] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.text if isinstance(value, RawValue) else "null"


def _by_date_added(objects: Sequence[str], manifest: Sequence[str]) -> Iterator[Item]:
    """The objects by their dates in the manifest, after those that cannot be imported."""
    dates, faults = _read_manifest(manifest)
    yield from faults
    unmatched = dict(dates)
    found: list[tuple[tuple[int, int], StoredVersion]] = []
    for text in objects:
        subject = json.loads(text)
        key = _key(subject)
        if key not in dates:
            yield SkippedObject(
                key[0], "missing in medallion's manifest, so medallion never served it"
            )
            continue
        unmatched.pop(key, None)
        found.append((dates[key], StoredVersion(dates[key][0], key[0], _body(text, subject))))
    for id, _ in unmatched:
        yield SkippedObject(id, "a manifest record without an object")
    yield from (kept for _, kept in sorted(found, key=lambda each: each[0]))


_Key = tuple[str, int | str]


def _read_manifest(
    manifest: Sequence[str],
) -> tuple[dict[_Key, tuple[int, int]], list[SkippedObject]]:
    """The time at which each object version was added, with its place in the manifest."""
    dates: dict[_Key, tuple[int, int]] = {}
    faults: list[SkippedObject] = []
    for place, text in enumerate(manifest):
        record = json.loads(text)
        record = record if isinstance(record, dict) else {}
        try:
            added = micros(record.get("date_added", ""))
        except Malformed as error:
            faults.append(SkippedObject(_id(record), f"date_added of its manifest record: {error}"))
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
    """A version in µs since 1970 UTC; as its text if it is not a timestamp."""
    try:
        return micros(cast(str, version))
    except Malformed:
        return str(version)


def _body(text: str, subject: object) -> bytes:
    if isinstance(subject, dict) and HIDDEN in subject:
        visible = {name: value for name, value in subject.items() if name != HIDDEN}
        text = json.dumps(visible)
    return text.encode()


def _parse_shallow(text: str, at: int, depth: int) -> tuple[object, int]:
    """The value at `at` and its end; below `depth` levels, values are kept as text."""
    at = _skip_spaces(text, at)
    if depth and text[at] == "{":
        return _members(text, at + 1, depth - 1)
    if depth and text[at] == "[":
        return _elements(text, at + 1, depth - 1)
    _, end = _DECODER.raw_decode(text, at)
    return RawValue(text[at:end]), end


_DECODER = JSONDecoder()


def _members(text: str, at: int, depth: int) -> tuple[dict[str, object], int]:
    found: dict[str, object] = {}
    at = _skip_spaces(text, at)
    if text[at] == "}":
        return found, at + 1
    while True:
        _expect(text, at, '"')
        name, at = _DECODER.raw_decode(text, _skip_spaces(text, at))
        found[name], at = _parse_shallow(text, _expect(text, at, ":"), depth)
        at = _skip_spaces(text, at)
        if text[at] == "}":
            return found, at + 1
        at = _expect(text, at, ",")


def _elements(text: str, at: int, depth: int) -> tuple[list[object], int]:
    found: list[object] = []
    at = _skip_spaces(text, at)
    if text[at] == "]":
        return found, at + 1
    while True:
        value, at = _parse_shallow(text, at, depth)
        found.append(value)
        at = _skip_spaces(text, at)
        if text[at] == "]":
            return found, at + 1
        at = _expect(text, at, ",")


def _skip_spaces(text: str, at: int) -> int:
    """The next index without white space."""
    while text[at] in _SPACES:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    """The index after a character that must come next."""
    at = _skip_spaces(text, at)
    if text[at] != character:
        raise ValueError(f"{character!r} is missing at character {at}")
    return at + 1
