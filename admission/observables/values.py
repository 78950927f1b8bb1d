"""Values of observables: which an object has, their canonical form, and their syntax.

- `extract_observables`: an SCO's own values, or those that an indicator's pattern compares;
- `canonical_value`: one spelling for one value.  It does not change what a value matches: a host
  name is the same in any case, `10.1.2.3/32` is `10.1.2.3`.  A value that cannot be parsed
  comes back unchanged;
- `resolve_reference`: the value of a path such as `dst_ref.value` as that of an address or a name;
- `find_value_fault`: finds values that are not an address, a name or a key.

Syntax only: this module does not know whether an address is private or a name benign.
URLs, addresses, domain names, hashes and registry keys have modules of their own beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from encodings.aliases import aliases
from functools import lru_cache, partial
from typing import Any

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Observable, StixObject
from tocsin.admission.observables.addresses import canonical_address, is_address
from tocsin.admission.observables.domain_names import canonical_host, is_domain_name
from tocsin.admission.observables.hashes import HASH_DIGITS, hash_algorithm
from tocsin.admission.observables.registry_keys import canonical_registry_key, is_registry_key
from tocsin.admission.observables.urls import canonical_url, find_url_fault, is_url
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


MAILBOX, HOST = "email-addr", "host"
_REFERRED = compile_lazily(r"(?:.*\.)?([a-z_]+)_refs?(?:\[[^]]*\])?\.value", re.DOTALL)
_CONNECTED = ("network-traffic", "process", "domain-name", "ipv4-addr", "ipv6-addr")
_HOSTS = ("src", "dst", "resolves_to")
_MAILBOXES = ("from", "sender", "to", "cc", "bcc")


@lru_cache(maxsize=1024)
def referred_kind(kind: str, path: str) -> str | None:
    """The kind of the value behind a reference: `MAILBOX`, `HOST` or empty if it is another.

    None if the path leads through no reference.

    >>> referred_kind("network-traffic", "dst_ref.value"), referred_kind("domain-name", "value")
    ('host', None)
    """
    found = _REFERRED.fullmatch(path)
    if found is None:
        return None
    if kind == "email-message":
        return MAILBOX if found[1] in _MAILBOXES else ""
    return HOST if kind in _CONNECTED and found[1] in _HOSTS else ""


def resolve_reference(observable: Observable) -> Observable:
    """The value behind a reference as one of the SCO that it leads to; any other as it is.

    >>> resolve_reference(Observable("network-traffic", "dst_ref.value", "evil.com"))[:3]
    ('domain-name', 'value', 'evil.com')
    """
    kind = referred_kind(observable.kind, observable.property)
    if not kind:
        return observable
    kind = _kind_of_host(observable.value) if kind == HOST else kind
    return observable._replace(kind=kind, property="value")


def _kind_of_host(text: str) -> str:
    """The type of the SCO that a connection leads to."""
    if _ANY_MAC.fullmatch(text):
        return "mac-addr"
    if ":" in text:
        return "ipv6-addr"
    return "ipv4-addr" if is_address(text, 4) else "domain-name"


_ANY_MAC = compile_lazily(r"[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}")


def canonical_email(text: str) -> str:
    """An e-mail address with its domain in lower case; the local part is kept."""
    local, at, domain = text.strip().rpartition("@")
    return f"{local}@{canonical_host(domain)}" if at else text.strip()


def canonical_mac(text: str) -> str:
    """A MAC address in lower case with colons."""
    plain = text.strip()
    return plain.replace("-", ":").lower() if _ANY_MAC.fullmatch(plain) else plain


def canonical_hash(text: str) -> str:
    """A hash in hexadecimal digits, in lower case."""
    return text.strip().lower()


def _canonical_tlsh(text: str) -> str:
    """A TLSH in upper case: its `T1` is read in that case only."""
    return text.strip().upper()


_IMPHASH = "extensions.'windows-pebinary-ext'.imphash"
_BY_VALUE: dict[str, Callable[[str], str]] = {
    "domain-name": canonical_host,
    "ipv4-addr": canonical_address,
    "ipv6-addr": canonical_address,
    "url": canonical_url,
    "email-addr": canonical_email,
    "mac-addr": canonical_mac,
}


def canonical_value(kind: str, name: str, value: str) -> str:
    """The canonical form of `value`, the property `name` of an SCO of type `kind`.

    >>> canonical_value("file", "hashes.'MD5'", "D41D8CD98F00B204E9800998ECF8427E")
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    spell = canonicalizer(kind, name)
    return spell(value) if spell else value


def canonicalizer(kind: str, name: str) -> Callable[[str], str] | None:
    """The canonical form of that property, as a function; None if every character counts."""
    if name == "value":
        return _BY_VALUE.get(kind)
    algorithm = hash_algorithm(name)
    if algorithm == "TLSH":
        return _canonical_tlsh
    if algorithm in HASH_DIGITS or name == _IMPHASH:
        return canonical_hash
    return canonical_registry_key if kind == "windows-registry-key" and name == "key" else None


_MAIL = compile_lazily(r"""(?:[^\s@"<>(),:;\\]{1,128}|"[^"\r\n]{1,128}")@([^\s@<>(),;\\]{1,255})""")
_MAC = compile_lazily(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}", re.ASCII)
_LAST_AS = 2**32 - 1
_NO_CHARSETS = ("base64", "bz2", "hex", "quopri", "rot_13", "uu", "zlib", "mbcs")
_CHARSETS = frozenset(
    name.replace("_", "")
    for pair in aliases.items()
    for name in pair
    if not pair[1].startswith(_NO_CHARSETS)
)
_LANGUAGE = compile_lazily(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,6}", re.ASCII)
_FAMILY = compile_lazily(
    r"(?:cs|ibm|iso|utf|ebcdic|windows|x?mac|jis|ks|gb|euc|hz|us)[a-z0-9]{1,40}"
)
"""Character sets that Python lacks, by the first letters of their names at IANA."""


def find_value_fault(subject: StixObject) -> tuple[str, str] | None:
    """The name of the property whose value is invalid and the fault; None if it is valid."""
    rule = _RULES.get(subject["type"])
    if rule is None:
        return None
    name, well_written, complaint = rule
    if name not in subject:
        return None
    if not well_written(subject[name]):
        return name, complaint
    fault = find_url_fault(subject[name]) if subject["type"] == "url" else ""
    return (name, fault) if fault else None


def is_email_address(text: str) -> bool:
    """True for an e-mail address without display name (STIX 2.1 section 6.5)."""
    found = _MAIL.fullmatch(text)
    if not found:
        return False
    place = found[1]
    return is_domain_name(place) or (place.startswith("[") and place.endswith("]"))


def is_mac_address(text: str) -> bool:
    """True for a MAC address as STIX writes it (section 6.9)."""
    return _MAC.fullmatch(text) is not None


def is_charset(name: str) -> bool:
    """True for a character set name of IANA's: those of Python, and of the large families.

    >>> is_charset("ISO-8859-1"), is_charset("bla.bla.bla")
    (True, False)
    """
    plain = re.sub(r"[-_:+()]", "", name.lower())
    return plain in _CHARSETS or _FAMILY.fullmatch(plain) is not None


def is_language_code(code: object) -> bool:
    """True if it is a language code (RFC 5646)."""
    return isinstance(code, str) and _LANGUAGE.fullmatch(code) is not None


_Rule = tuple[str, Callable[[Any], bool], str]
_RULES: dict[str, _Rule] = {
    "ipv4-addr": ("value", partial(is_address, version=4), "not an address of type ipv4-addr"),
    "ipv6-addr": ("value", partial(is_address, version=6), "not an address of type ipv6-addr"),
    "domain-name": ("value", is_domain_name, "not a domain name"),
    "url": ("value", is_url, "not a URL: write it with its scheme, such as https://"),
    "email-addr": ("value", is_email_address, "not an e-mail address"),
    "mac-addr": ("value", is_mac_address, "not a MAC address: six pairs of digits with colons"),
    "windows-registry-key": ("key", is_registry_key, "does not begin with a hive of the registry"),
    "autonomous-system": ("number", lambda n: 0 <= n <= _LAST_AS, f"not between 0 and {_LAST_AS}"),
    "file": ("name_enc", is_charset, "not the name of a character set"),
    "directory": ("path_enc", is_charset, "not the name of a character set"),
    "software": (
        "languages",
        lambda codes: all(map(is_language_code, codes)),
        "not language codes (RFC 5646)",
    ),
}
