"""One comparison of a STIX pattern in its one spelling: path, operator, values.

The value of a field that has a normal form is spelt as the field means it (a
host name in lower case); everything else keeps every character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from tocsin.admission import values
from tocsin.admission.errors import Malformed
from tocsin.admission.pattern_reader import (
    KEYWORDS,
    LONGEST,
    Junction,
    Literal,
    Node,
    Test,
    quoted,
)

_STEP = re.compile(r"'((?:[^'\\]|\\.)*)'|([A-Za-z_][A-Za-z0-9_]*)|(\[[^]]*\])", re.DOTALL)
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ONE_BY_ONE = re.compile(r"(?:^|\.)hashes[.\[]|_(?:hex|bin)(?:\[[^]]*\])?$")
_REFERRED = re.compile(r"(?:.*\.)?([a-z_]+)_refs?(?:\[[^]]*\])?\.value", re.DOTALL)
_KEYS = re.compile(r"key|values\[\S+\]\.name")
_CONNECTED = ("network-traffic", "process", "domain-name", "ipv4-addr", "ipv6-addr")
_HOSTS = ("src", "dst", "resolves_to")
_MAILBOXES = ("from", "sender", "to", "cc", "bcc")
_EXACT = frozenset("%_K;`")
"""Wildcards of LIKE, and the ASCII characters that something else becomes under NFC."""


def spelt(test: Test) -> Node:
    """The comparison as it is always written; several of them where IN would not be understood."""
    path = path_spelt(test.path)
    operator, negated = test.operator, test.negated
    literals = tuple(_literal_spelt(test.kind, path, operator, each) for each in test.values)
    if operator in ("LIKE", "ISSUBSET") and _exact(test.kind, path, operator, literals[0]):
        operator = "="
        literals = (_literal_spelt(test.kind, path, operator, literals[0]),)
    if operator == "IN":
        return _set(Test(test.kind, path, operator, literals, negated))
    if negated and operator in ("=", "!="):
        operator, negated = ("!=" if operator == "=" else "="), False
    return Test(test.kind, path, operator, literals, negated)


def one_of(kind: str, path: str, chosen: Iterable[Literal], *, negated: bool = False) -> Test:
    """`=` for one value, IN for several, sorted and each once; `!=` and NOT IN if negated."""
    texts = {str(value): value for value in chosen}
    ordered = tuple(texts[text] for text in sorted(texts))
    if len(ordered) == 1:
        return Test(kind, path, "!=" if negated else "=", ordered)
    return Test(kind, path, "IN", ordered, negated)


def together(test: Test) -> tuple[str, str, str] | None:
    """What tests must share for their values to stand in one IN; None if they never do.

    The OASIS validator takes no IN for hashes, its matcher none for binaries
    and no set of different kinds of values.
    """
    if not test.values or _one_by_one(test.path):
        return None
    return test.kind, test.path, test.values[0].kind


def several(test: Test) -> bool:
    """Whether the path may lead to several values, of which one is enough."""
    return "[*]" in test.path


def _set(test: Test) -> Node:
    """IN and NOT IN: each kind of value by itself; value by value where IN is not understood."""
    if not test.values:
        return test
    groups: dict[str, list[Literal]] = {}
    single = _one_by_one(test.path)
    if single and len(test.path) * len(test.values) > LONGEST:
        raise Malformed("the pattern is too long with each value of IN compared by itself")
    for value in test.values:
        groups.setdefault(str(value) if single else value.kind, []).append(value)
    if test.negated and several(test):  # one value that is in neither is more than two
        return one_of(test.kind, test.path, test.values, negated=True)
    tests = [one_of(test.kind, test.path, group, negated=test.negated) for group in groups.values()]
    tests.sort(key=str)
    return tests[0] if len(tests) == 1 else Junction("AND" if test.negated else "OR", tuple(tests))


@lru_cache(maxsize=1024)
def _one_by_one(path: str) -> bool:
    return _ONE_BY_ONE.search(path) is not None


def _exact(kind: str, path: str, operator: str, literal: Literal) -> bool:
    """Whether LIKE has no wildcard, or ISSUBSET a network of one address: then it is `=`."""
    if operator == "ISSUBSET":
        network = "/" in literal.text and not literal.text.endswith(("/32", "/128"))
        return not network and field(kind, path) in (values.address, _host_or_address)
    return literal.text.isascii() and _EXACT.isdisjoint(literal.text) and not _binary(path)


def _binary(path: str) -> bool:
    return path.rstrip("]*[0123456789").endswith(("_hex", "_bin"))


@lru_cache(maxsize=1024)
def path_spelt(path: str) -> str:
    """Steps bare where they can be, hash names as STIX spells them: hashes.MD5 is hashes.'MD5'.

    >>> path_spelt("'hashes'.sha256"), path_spelt("extensions.'ntfs-ext'.'sid'")
    ("hashes.'SHA-256'", "extensions.'ntfs-ext'.sid")
    """
    spelt_path = before = ""
    for name, bare, index in _STEP.findall(path):
        if index:
            spelt_path, before = spelt_path + index, index
            continue
        step = bare or re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL)
        if before == "hashes":
            written = quoted(values.hash_name(step))
        else:
            written = step if _BARE.fullmatch(step) and step not in KEYWORDS else quoted(step)
        spelt_path += f".{written}" if spelt_path else written
        before = step
    return spelt_path


def _literal_spelt(kind: str, path: str, operator: str, literal: Literal) -> Literal:
    if literal.kind != "string":
        return literal
    text = literal.text
    if operator in ("=", "!=", "IN"):
        speller = field(kind, path)
        return Literal("string", speller(text)) if speller else literal
    if operator in ("ISSUBSET", "ISSUPERSET"):
        plain = values.address(text)
        if operator == "ISSUBSET" and "/" in text and "/" not in plain:
            plain += "/128" if ":" in plain else "/32"  # a matcher takes nothing but networks
        return Literal("string", plain)
    return literal


@lru_cache(maxsize=1024)
def field(kind: str, path: str) -> Callable[[str], str] | None:
    """How values of a field are spelt; None if every character counts."""
    referred = _REFERRED.fullmatch(path)
    if referred:
        return _of_reference(kind, referred[1])
    if kind == "windows-registry-key" and _KEYS.fullmatch(path):
        return _registry_key if path == "key" else str.lower
    return values.speller(kind, path)


def _of_reference(kind: str, name: str) -> Callable[[str], str] | None:
    if kind == "email-message":
        return values.email if name in _MAILBOXES else None
    return _host_or_address if kind in _CONNECTED and name in _HOSTS else None


def _host_or_address(text: str) -> str:
    """What `src_ref.value` may be: an address, a MAC address or a host name."""
    return values.address(values.mac(values.host(text)))


def _registry_key(text: str) -> str:
    """A key in Windows is the same in any case; its hive is written in capitals."""
    hive, slash, rest = values.registry_key(text).partition("\\")
    return hive + slash + rest.lower()
