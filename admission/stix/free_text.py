"""Find the texts that people write into an object, and replace them.

A string counts as free text unless it is known to be structural: unknown and
custom properties are text, so that the privacy rules examine them.  The values
that an indicator matches or that identify an observable are never text.

People choose the names of custom properties, of entries of dictionaries, hashes
and references too, so a name may hold as much private data as a text
(`custom_names`).
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tocsin.admission.errors import Unprocessable
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.memo import memoize_nested
from tocsin.admission.stix.schemas import schemas, standard_property_names, standard_types

_MOST_DIGITS = 10
"""Digits of a place in a list; no list is longer."""
MAX_DEPTH = 100
"""Maximum depth below an object's root; deeper objects are refused."""

_MACHINERY = frozenset(
    (
        *("type", "id", "spec_version", "created", "modified", "payload_bin"),
        *("pattern", "granular_markings", "definition_type"),
        *("published", "valid_from", "valid_until"),
        *("first_seen", "last_seen", "first_observed", "last_observed", "start_time", "stop_time"),
        *("ctime", "mtime", "atime", "date", "created_time", "modified_time", "start", "end"),
    )
)
"""Properties of the object itself whose form the schema checks, where the object's type has them.

Deeper, names prove nothing.
"""
_MACHINERY_OF_ALL = frozenset(("type", "id", "spec_version", "granular_markings"))

PATTERN_LANGUAGES = frozenset(("stix", "pcre", "sigma", "snort", "suricata", "yara"))
"""The words of the standard's vocabulary for `pattern_type`."""
RELATIONSHIP_TYPES = frozenset(
    (
        *("analysis-of", "attributed-to", "authored-by", "av-analysis-of", "based-on"),
        *("beacons-to", "characterizes", "communicates-with", "compromises", "consists-of"),
        *("controls", "delivers", "derived-from", "downloads", "drops", "duplicate-of"),
        *("dynamic-analysis-of", "exfiltrates-to", "exploits", "has", "hosts", "impersonates"),
        *("indicates", "investigates", "located-at", "mitigates", "originates-from", "owns"),
        *("related-to", "remediates", "resolves-to", "static-analysis-of", "targets", "uses"),
        "variant-of",
    )
)
"""The words of the standard for `relationship_type`."""
_WORDS: dict[str, frozenset[str]] = {
    "pattern_type": PATTERN_LANGUAGES,
    "relationship_type": RELATIONSHIP_TYPES,
}
"""Properties that may hold any word: these, of the standard's vocabularies, are machinery."""

_KNOWN_CHAINS = frozenset(
    [
        "lockheed-martin-cyber-kill-chain",
        "mandiant-attack-lifecycle-model",
        "mitre-attack",
        "mitre-mobile-attack",
        "mitre-ics-attack",
        "mitre-pre-attack",
    ]
)

_VALUES: dict[str, frozenset[str]] = {
    "directory": frozenset(("path", "path_enc")),
    "domain-name": frozenset(("value",)),
    "email-addr": frozenset(("value",)),
    "email-message": frozenset(("message_id",)),
    "file": frozenset(("name", "name_enc", "magic_number_hex")),
    "ipv4-addr": frozenset(("value",)),
    "ipv6-addr": frozenset(("value",)),
    "mac-addr": frozenset(("value",)),
    "mutex": frozenset(("name",)),
    "software": frozenset(("name", "cpe", "swid", "vendor", "version", "languages")),
    "url": frozenset(("value",)),
    "user-account": frozenset(("user_id", "account_login", "account_type")),
    "windows-registry-key": frozenset(("key",)),
    "x509-certificate": frozenset(("serial_number",)),
}
"""The properties of an observable that say what it is."""

_VALUE_NAMES = {kind: tuple(sorted(names)) for kind, names in _VALUES.items()} | {
    "indicator": ("pattern",)
}

_CONTAINERS = (dict, list)
_REFERS = ("_ref", "_refs")
_REFERENCE = compile_lazily(r"[a-z0-9][a-z0-9-]*--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DIGEST = compile_lazily(r"(?=\D*\d)(?!\w{1,20}://)[A-Za-z0-9+][A-Za-z0-9+/:]{15,255}")
"""The shape of a hash, fuzzy hashes included."""
_PLAIN_LANGUAGE = compile_lazily(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|\d{3}))?", re.ASCII)
"""Language, script and country; private parts of a code, `de-x-…`, count as text."""
_HEX = compile_lazily(r"[0-9A-Fa-f]{32,256}")
"""Hashes without information; the values of others, and custom names, may contain text."""


def free_texts(subject: StixObject) -> tuple[tuple[Path, str], ...]:
    """Every free text with its path: first those at the top level, then nested ones.

    Raises Unprocessable if the object is nested deeper than `MAX_DEPTH`.
    """
    return (*outer_free_texts(subject), *_inner_texts(subject))


def outer_free_texts(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The free texts at the top level of the object."""
    skipped = _skipped(str(subject.get("type", "")), "created" in subject)
    for name, value in subject.items():
        if type(value) is not str or not value or name in skipped:
            continue
        if name in _WORDS and value in _WORDS[name]:
            continue
        if name == "lang" and _plain(value):
            continue
        if not (name.endswith(_REFERS) and _REFERENCE.fullmatch(value)):
            yield (name,), value


def nested_free_texts(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The free texts in its lists and dictionaries.  Raises Unprocessable as `free_texts` does."""
    skipped = _skipped(str(subject.get("type", "")), "created" in subject)
    for name, value in subject.items():
        if type(value) in _CONTAINERS:
            if name == "granular_markings":
                yield from _languages(value)
            elif name not in skipped:
                yield from _texts((name,), value)


@lru_cache(maxsize=1024)
def _skipped(kind: str, has_dates: bool) -> frozenset[str]:  # noqa: FBT001
    """The properties of a type that are not texts: checked by a schema, or values."""
    schema = schemas().get(kind)
    if schema is not None:
        return (_MACHINERY & schema.properties) | _VALUES.get(kind, frozenset())
    return _MACHINERY_OF_ALL | ({"created", "modified"} if has_dates else frozenset())


_inner_texts = memoize_nested(nested_free_texts)


def matched_values(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The values that an indicator matches or that identify an SCO; they are never masked."""
    for name in _VALUE_NAMES.get(subject.get("type", ""), ()):
        value = subject.get(name)
        if isinstance(value, str):
            yield (name,), value
        elif isinstance(value, list):
            yield from (((name, i), each) for i, each in enumerate(value) if isinstance(each, str))


def replace_texts(subject: StixObject, changes: Mapping[Path, str | None]) -> StixObject:
    """A copy in which each place has its new text, or is gone where that is None.

    Only what changes is copied.  A list or dictionary that became empty goes
    too, as does an external reference that names nothing but its source and a
    granular marking whose selectors no longer match anything.  The selectors of
    the items of a shortened list move with these.
    """
    if not changes:
        return subject
    copies: dict[Path, Any] = {(): dict(subject)}
    gone = []
    for path, text in changes.items():
        if text is None:
            gone.append(path)
        else:
            _copy_container(copies, path[:-1])[path[-1]] = text
    if len(gone) > 1:
        gone.sort(reverse=True)
    removed = [_remove_path(copies, path) for path in gone]
    result: StixObject = copies[()]
    return _update_selectors(result, removed) if gone and "granular_markings" in result else result


def _languages(markings: object) -> Iterator[tuple[Path, str]]:
    """Codes of languages in granular markings that may say more than a language."""
    for i, marking in enumerate(markings if isinstance(markings, list) else ()):
        code = marking.get("lang") if isinstance(marking, dict) else None
        if isinstance(code, str) and not _plain(code):
            yield ("granular_markings", i, "lang"), code


def _plain(code: object) -> bool:
    return isinstance(code, str) and _PLAIN_LANGUAGE.fullmatch(code) is not None


def _texts(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    waiting = [(path, value)]
    while waiting:
        path, value = waiting.pop()
        if type(value) is str:
            if value and not _structural(path, value):
                yield path, value
        elif type(value) in _CONTAINERS:
            waiting.extend(_inside(path, value))


def _inside(path: Path, value: dict[str, Any] | list[Any]) -> list[tuple[Path, Any]]:
    if len(path) >= MAX_DEPTH:
        raise Unprocessable(f"nested deeper than {MAX_DEPTH} levels: flatten the object")
    if isinstance(value, list):
        return [((*path, i), value[i]) for i in range(len(value) - 1, -1, -1)]
    return [((*path, key), value[key]) for key in reversed(value)]


def _structural(path: Path, value: str) -> bool:
    """True if both the property's name and the string itself show that it is not free text."""
    name = path[-1]
    if isinstance(name, int):
        name = path[-2]
    if not isinstance(name, str):
        return False
    if name.endswith(_REFERS):
        return _REFERENCE.fullmatch(value) is not None
    if name == "kill_chain_name":
        return value in _KNOWN_CHAINS
    return len(path) > 1 and path[-2] == "hashes" and _HEX.fullmatch(value) is not None


def _copy_container(copies: dict[Path, Any], path: Path) -> Any:
    """The copied container at `path`; containers that lead to it are copied if necessary."""
    if path in copies:
        return copies[path]
    for end in range(1, len(path) + 1):
        prefix = path[:end]
        if prefix not in copies:
            parent = copies[path[: end - 1]]
            copies[prefix] = parent[path[end - 1]] = parent[path[end - 1]].copy()
    return copies[path]


def _remove_path(copies: dict[Path, Any], path: Path) -> Path:
    """Remove a part, and the containers that are empty then; the outermost that is gone."""
    while True:
        container = _copy_container(copies, path[:-1])
        if type(container) is dict:
            container.pop(path[-1], None)
        else:
            del container[path[-1]]
        above = path[:-1]
        if not above or (container and not _names_only_its_source(above, container)):
            return path
        path = above


def _names_only_its_source(path: Path, container: Any) -> bool:
    return path[-2:-1] == ("external_references",) and set(container) == {"source_name"}


def _update_selectors(subject: StixObject, removed: Iterable[Path]) -> StixObject:
    shortened: dict[Path, list[int]] = {}
    for path in removed:
        if isinstance(place := path[-1], int):
            insort(shortened.setdefault(path[:-1], []), place)
    kept = []
    for marking in subject["granular_markings"]:
        moved = (_move_selector(str(each), shortened) for each in marking.get("selectors", ()))
        selectors = [each for each in moved if each and _selects(subject, each)]
        if selectors:
            kept.append({**marking, "selectors": selectors})
    rest = {name: value for name, value in subject.items() if name != "granular_markings"}
    return {**rest, "granular_markings": kept} if kept else rest


def _move_selector(selector: str, shortened: Mapping[Path, Sequence[int]]) -> str:
    """The selector of the same part once items of lists are gone; empty if it was one of them."""
    steps = selector.split(".")
    if not shortened or len(steps) > MAX_DEPTH:
        return selector
    path: Path = ()
    for at, step in enumerate(steps):
        place = _place(step)
        gone = shortened.get(path, ())
        if place is not None and gone:
            before = bisect_left(gone, place)
            if gone[before : before + 1] == [place]:
                return ""
            steps[at] = f"[{place - before}]"
        path = (*path, step if place is None else place)
    return ".".join(steps)


def _place(step: str) -> int | None:
    """The place in a list that a step of a selector names; None if it names none."""
    number = step[1:-1]
    is_place = step == f"[{number}]" and number.isdecimal() and number.isascii()
    return int(number) if is_place and len(number) < _MOST_DIGITS else None


def _selects(subject: Any, selector: str) -> bool:
    """True if a selector selects a part."""
    for step in selector.split("."):
        place = _place(step)
        if isinstance(subject, dict) and step in subject:
            subject = subject[step]
        elif isinstance(subject, list) and place is not None and place < len(subject):
            subject = subject[place]
        else:
            return False
    return True


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

    Values deeper than `MAX_DEPTH` are passed over; an object that holds them is refused.
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
