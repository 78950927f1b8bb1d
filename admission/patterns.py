"""STIX patterns: said in one canonical way, and what they are about.

Simple patterns, which nearly all are, never meet the reader of the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Observable, StixObject
from tocsin.admission.pattern_forms import settled
from tocsin.admission.pattern_reader import (
    DEEPEST,
    LONGEST,
    Junction,
    Node,
    Observation,
    Test,
    parse,
    quoted,
)
from tocsin.admission.pattern_terms import field, path_spelt

_SIMPLE = re.compile(
    r"\[(?!(?:true|false):)([a-z][a-z0-9-]*):((?!(?:true|false)\b)[a-z_]+(?:\.'[A-Za-z0-9-]+'|\.MD5)?)"
    r" ?= ?'([^'\\]*+)'\]"
)
_LONGEST_REMEMBERED = 4096


def canonical(pattern: str) -> str:
    """The one spelling of everything that matches the same.

    Idempotent.  Raises Malformed as `parse` does, and if the canonical form
    itself would be too long or too deep.

    >>> canonical("[domain-name:value='EVIL.example'] OR [domain-name:value = 'bad.example']")
    "[domain-name:value IN ('bad.example', 'evil.example')]"
    """
    return _remembered(pattern) if len(pattern) <= _LONGEST_REMEMBERED else _canonical(pattern)


def _canonical(pattern: str) -> str:
    simple = _SIMPLE.fullmatch(pattern)
    if simple and len(pattern) <= LONGEST:
        kind, path, value = simple.groups()
        path = path_spelt(path)
        spell = field(kind, path)
        return f"[{kind}:{path} = {quoted(spell(value) if spell else value)}]"
    text = str(settled(parse(pattern)))
    if len(text) > LONGEST or text.count("(") > DEEPEST:
        parse(text)  # what we say must be readable in its turn
    return text


_remembered = lru_cache(maxsize=1024)(_canonical)


def observables(subject: StixObject) -> tuple[Observable, ...]:
    """The values that an indicator's STIX pattern, or an SCO, is about.

    Empty for every other object and for a pattern that cannot be read.
    """
    global _last  # noqa: PLW0603
    last, found = _last
    if last is not subject:
        found = _observables(subject)
        _last = subject, found
    return found


_last: tuple[StixObject | None, tuple[Observable, ...]] = (None, ())
"""The last object and what it is about: rule after rule asks for it, and none changes it."""


def _observables(subject: StixObject) -> tuple[Observable, ...]:
    kind = subject.get("type")
    if kind == "indicator":
        pattern = subject.get("pattern")
        if subject.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):
            return ()
        few = len(pattern) <= _LONGEST_REMEMBERED
        return _observables_remembered(pattern) if few else _pattern_observables(pattern)
    return tuple(_sco_observables(str(kind), subject))


def _pattern_observables(pattern: str) -> tuple[Observable, ...]:
    simple = _SIMPLE.fullmatch(pattern)
    if simple:
        return (Observable(simple[1], simple[2], simple[3]),)
    try:
        tests = tuple(_tests(parse(pattern)))
    except Malformed:
        return ()
    return tuple(
        Observable(test.kind, test.path, literal.text, test.operator, test.negated)
        for test in tests
        for literal in test.values
    )


_observables_remembered = lru_cache(maxsize=1024)(_pattern_observables)


def _tests(node: Node) -> Iterator[Test]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Test):
            yield node
        elif isinstance(node, Junction):
            waiting.extend(reversed(node.parts))
        else:
            waiting.append(node.test if isinstance(node, Observation) else node.part)


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


def _sco_observables(kind: str, subject: StixObject) -> Iterator[Observable]:
    for name in _SCO_PROPERTIES.get(kind, ()):
        if name in subject:
            yield Observable(kind, name, str(subject[name]))
    hashes = subject.get("hashes")
    if kind in ("file", "artifact", "x509-certificate") and isinstance(hashes, dict):
        for name, value in hashes.items():
            yield Observable(kind, f"hashes.{quoted(name)}", str(value))
