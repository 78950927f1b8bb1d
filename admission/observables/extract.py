"""Observable values of an object: an SCO's own, or those that an indicator's pattern compares."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Observable, StixObject
from tocsin.admission.patterns.grammar import (
    SIMPLE_PATTERN,
    Comparison,
    Junction,
    Node,
    Observation,
    parse_pattern,
    quote_string,
)

_LONGEST_REMEMBERED = 4096
"""Maximum length of a pattern whose values are cached."""

_SCO_PROPERTIES: dict[str, tuple[str, ...]] = {
    "domain-name": ("value",),
    "ipv4-addr": ("value",),
    "ipv6-addr": ("value",),
    "url": ("value",),
    "email-addr": ("value",),
    "mac-addr": ("value",),
    "file": ("name",),
    "directory": ("path",),
    "mutex": ("name",),
    "windows-registry-key": ("key",),
    "user-account": ("user_id", "account_login"),
    "software": ("name",),
    "autonomous-system": ("number",),
}
_HASHED = ("file", "artifact", "x509-certificate")


def extract_observables(subject: StixObject) -> tuple[Observable, ...]:
    """The values that an indicator's STIX pattern compares, or that an SCO consists of.

    Values are as written, not canonical; `property` of a pattern's value may be a path such as
    `resolves_to_refs[*].value`.  Empty for every other object and for a pattern that cannot be
    parsed.
    """
    global _last  # noqa: PLW0603
    last, found = _last
    if last is not subject:
        found = _extract(subject)
        _last = subject, found
    return found


_last: tuple[StixObject | None, tuple[Observable, ...]] = (None, ())
"""The last object and its values: rule after rule asks for them, and none changes the object."""


def _extract(subject: StixObject) -> tuple[Observable, ...]:
    kind = subject.get("type")
    if kind == "indicator":
        pattern = subject.get("pattern")
        if subject.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):
            return ()
        short = len(pattern) <= _LONGEST_REMEMBERED
        return _remembered_from_pattern(pattern) if short else _from_pattern(pattern)
    return tuple(_from_sco(str(kind), subject))


def _from_pattern(pattern: str) -> tuple[Observable, ...]:
    simple = SIMPLE_PATTERN.fullmatch(pattern)
    if simple:
        return (Observable(simple[1], simple[2], simple[3]),)
    try:
        comparisons = tuple(_comparisons(parse_pattern(pattern)))
    except Malformed:
        return ()
    return tuple(
        Observable(each.kind, each.path, literal.text, each.operator, each.negated)
        for each in comparisons
        for literal in each.values
    )


_remembered_from_pattern = lru_cache(maxsize=1024)(_from_pattern)


def _comparisons(node: Node) -> Iterator[Comparison]:
    """Every comparison of a pattern, from left to right."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Comparison):
            yield node
        elif isinstance(node, Junction):
            waiting.extend(reversed(node.parts))
        else:
            waiting.append(node.test if isinstance(node, Observation) else node.part)


def _from_sco(kind: str, subject: StixObject) -> Iterator[Observable]:
    for name in _SCO_PROPERTIES.get(kind, ()):
        if name in subject:
            yield Observable(kind, name, str(subject[name]))
    hashes = subject.get("hashes")
    if kind in _HASHED and isinstance(hashes, dict):
        for name, value in hashes.items():
            yield Observable(kind, f"hashes.{quote_string(name)}", str(value))
