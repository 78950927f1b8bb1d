"""Hashes: the algorithms' names in STIX, the length of each hash, and where objects hold them."""

import re
from collections.abc import Iterator
from typing import Any

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Path, StixObject
from tocsin.admission.stix.memo import memoize_nested

HASH_DIGITS: dict[str, int] = {
    "MD5": 32,
    "SHA-1": 40,
    "SHA-224": 56,
    "SHA-256": 64,
    "SHA-384": 96,
    "SHA-512": 128,
    "SHA3-256": 64,
    "SHA3-512": 128,
    "IMPHASH": 32,
}
"""Hash algorithms with hexadecimal values: STIX name and number of digits.

STIX does not name IMPHASH, an MD5; sensors do.
"""

_HASH_NAMES = {name.replace("-", "").lower(): name for name in (*HASH_DIGITS, "SSDEEP", "TLSH")}
_HEXADECIMAL = compile_lazily(r"[0-9A-Fa-f]+", re.ASCII)
_HASH_PATH = compile_lazily(r"(?:.*[._'])?hashes'?\.'?([^'.]+)'?", re.DOTALL)


def hash_name(text: str) -> str:
    """The STIX name of a hash algorithm; a name that is not known comes back unchanged.

    >>> hash_name("sha256"), hash_name("SHA3_512"), hash_name("x_own")
    ('SHA-256', 'SHA3-512', 'x_own')
    """
    return _HASH_NAMES.get(text.replace("-", "").replace("_", "").lower(), text)


def is_hash_table(name: str) -> bool:
    """True if a property of this name is a dictionary of hashes.

    >>> is_hash_table("hashes"), is_hash_table("file_header_hashes"), is_hash_table("imphash")
    (True, True, False)
    """
    return name == "hashes" or name.endswith("_hashes")


def hash_algorithm(path: str) -> str:
    """The STIX name of the algorithm of the hash to which a path leads; empty if to none.

    >>> hash_algorithm("sections[0].hashes.md5"), hash_algorithm("file_header_hashes.'SHA-1'")
    ('MD5', 'SHA-1')
    """
    found = _HASH_PATH.fullmatch(path)
    return hash_name(found[1]) if found else ""


def hash_fault(algorithm: str, value: str) -> str:
    """The fault of a hash value; empty if it has none or the algorithm is not known.

    >>> hash_fault("md5", "0" * 64)
    'a MD5 has 32 hexadecimal digits, not 64'
    """
    name = hash_name(algorithm)
    digits = HASH_DIGITS.get(name)
    if not digits or (len(value) == digits and _HEXADECIMAL.fullmatch(value)):
        return ""
    return f"a {name} has {digits} hexadecimal digits, not {len(value)}"


@memoize_nested
def find_hash_faults(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """Every faulty hash in any `hashes` dictionary of the object: its path and the fault."""
    for path, table in find_hash_tables(subject):
        for name, value in table.items():
            fault = hash_fault(name, value) if isinstance(value, str) else "not text"
            if fault:
                yield (*path, name[:40]), fault


def find_contradictions(table: dict[str, Any]) -> Iterator[str]:
    """The algorithms that a `hashes` dictionary has in several spellings, with different values.

    >>> list(find_contradictions({"md5": "a1", "MD5": "b2", "sha1": "c3", "SHA-1": "C3"}))
    ['MD5']
    """
    values: dict[str, object] = {}
    for spelling, value in table.items():
        name = hash_name(spelling)
        if name in HASH_DIGITS and isinstance(value, str):
            value = value.lower()
        if values.setdefault(name, value) != value:
            yield name


def find_hash_tables(subject: StixObject) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every `hashes` dictionary: the object's own, and those of its references and extensions."""
    for name in ("hashes", "external_references", "extensions"):
        if name in subject:
            yield from _nested_tables((name,), subject[name])


def _nested_tables(path: Path, part: object) -> Iterator[tuple[Path, dict[str, Any]]]:
    if isinstance(part, dict):
        if is_hash_table(str(path[-1])):
            yield path, part
            return
        for name, value in part.items():
            if isinstance(value, dict | list):
                yield from _nested_tables((*path, name), value)
    elif isinstance(part, list):
        for place, value in enumerate(part):
            if isinstance(value, dict | list):
                yield from _nested_tables((*path, place), value)
