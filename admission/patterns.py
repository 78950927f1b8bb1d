"""STIX patterns: said in one canonical way, and what they are about.

Every step is linear in the pattern's length or sorts it; no normal form is
multiplied out, since the reference implementation's grows exponentially.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tocsin.admission import values
from tocsin.admission.errors import Malformed
from tocsin.admission.model import Observable, StixObject
from tocsin.admission.pattern_reader import (
    Junction,
    Literal,
    Node,
    Observation,
    Qualified,
    Test,
    parse,
    quoted,
)

_SIMPLE = re.compile(r"\[([a-z0-9][a-z0-9-]*):(value|hashes\.'[A-Za-z0-9-]+') = '([^'\\]*)'\]")


def canonical(pattern: str) -> str:
    """The one spelling of everything that matches the same.

    Idempotent.  Raises Malformed as `parse` does.

    >>> canonical("[domain-name:value='EVIL.example'] OR [domain-name:value = 'bad.example']")
    "[domain-name:value IN ('bad.example', 'evil.example')]"
    """
    simple = _SIMPLE.fullmatch(pattern)
    if simple:
        kind, path, value = simple.groups()
        path = _path_spelt(path)
        return f"[{kind}:{path} = {quoted(values.normal(kind, path, value))}]"
    return _canonical(pattern)


@lru_cache(maxsize=4096)
def _canonical(pattern: str) -> str:
    return str(_settled(parse(pattern)))


def observables(subject: StixObject) -> tuple[Observable, ...]:
    """The values that an indicator's STIX pattern, or an SCO, is about.

    Empty for every other object and for a pattern that cannot be read.
    """
    kind = subject.get("type")
    if kind == "indicator":
        pattern = subject.get("pattern")
        if subject.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):
            return ()
        return _pattern_observables(pattern)
    return tuple(_sco_observables(str(kind), subject))


@lru_cache(maxsize=4096)
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


def _path_spelt(path: str) -> str:
    """A property path with hash names as STIX spells them: hashes.MD5 is hashes.'MD5'."""
    before, dot, name = path.rpartition(".")
    if dot and (before == "hashes" or before.endswith(".hashes")):
        return f"{before}.{quoted(values.hash_name(name.strip(chr(39))))}"
    return path


def _settled(node: Node) -> Node:
    """The tree in canonical form: values spelt, junctions flat and sorted, OR drawn inside."""
    if isinstance(node, Test):
        return _spelt(node)
    if isinstance(node, Observation):
        return Observation(_settled(node.test))
    if isinstance(node, Qualified):
        part = _settled(node.part)
        return part if node.qualifier == "REPEATS 1 TIMES" else Qualified(part, node.qualifier)
    parts = [_settled(part) for part in node.parts]
    flat: list[Node] = []
    for part in parts:
        same = isinstance(part, Junction) and part.word == node.word
        flat.extend(part.parts if same and isinstance(part, Junction) else (part,))
    return _joined(node.word, flat)


def _joined(word: str, parts: list[Node]) -> Node:
    if word == "OR":
        parts = _gathered(parts)
    if word == "FOLLOWEDBY":
        return Junction(word, tuple(parts))
    comparing = not any(isinstance(part, Observation | Qualified) for part in parts)
    by_text = {str(part): part for part in parts}
    if word == "OR" or (comparing and len(by_text) < len(parts)):
        parts = list(by_text.values())  # `[a] AND [a]` needs two observations, `a AND a` only one
    parts = sorted(parts, key=str)
    return parts[0] if len(parts) == 1 else Junction(word, tuple(parts))


def _gathered(parts: list[Node]) -> list[Node]:
    """Alternatives drawn together: `[a] OR [b]` into `[a OR b]`, `x = 1 OR x = 2` into IN."""
    brackets = [part.test for part in parts if isinstance(part, Observation)]
    if len(brackets) > 1:
        inside: list[Node] = []
        for test in brackets:
            alternatives = isinstance(test, Junction) and test.word == "OR"
            inside.extend(test.parts if alternatives and isinstance(test, Junction) else (test,))
        others = [part for part in parts if not isinstance(part, Observation)]
        return [Observation(_joined("OR", inside)), *others]
    sets: dict[tuple[str, str], dict[str, Literal]] = {}
    rest: list[Node] = []
    for part in parts:
        if isinstance(part, Test) and part.operator in ("=", "IN") and not part.negated:
            chosen = sets.setdefault((part.kind, part.path), {})
            chosen.update({str(value): value for value in part.values})
        else:
            rest.append(part)
    return [*(_one_of(*place, chosen) for place, chosen in sets.items()), *rest]


def _one_of(kind: str, path: str, chosen: dict[str, Literal]) -> Test:
    ordered = tuple(chosen[text] for text in sorted(chosen))
    return Test(kind, path, "=" if len(ordered) == 1 else "IN", ordered)


def _spelt(test: Test) -> Test:
    path = _path_spelt(test.path)
    literals = test.values
    if test.operator in ("=", "!=", "IN", "ISSUBSET", "ISSUPERSET"):
        literals = tuple(_literal_spelt(test.kind, path, value) for value in literals)
    operator, negated = test.operator, test.negated
    if operator == "IN":
        distinct = {str(value): value for value in literals}
        literals = tuple(distinct[text] for text in sorted(distinct))
        operator = "=" if len(literals) == 1 else "IN"
    if negated and operator in ("=", "!="):
        operator, negated = ("!=" if operator == "=" else "="), False
    return Test(test.kind, path, operator, literals, negated)


def _literal_spelt(kind: str, path: str, literal: Literal) -> Literal:
    if literal.kind == "string":
        return Literal("string", values.normal(kind, path, literal.text))
    return literal
