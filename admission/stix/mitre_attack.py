"""MITRE ATT&CK's own objects, by id, and the names of actors, malware and tools.

Objects of ATT&CK are public and keep their ids everywhere, so a reference to one
needs no copy of it.  Ids and names come from MISP's galaxies, which carry
ATT&CK's UUIDs, vendored in `mitre_attack.json.xz` (`scripts/update-vendored-data`
renews it).
"""

import lzma
from functools import cache
from pathlib import Path

import msgspec

_FILE = Path(__file__).with_name("mitre_attack.json.xz")


class _Document(msgspec.Struct):
    ids: frozenset[str]
    names: frozenset[str]


@cache
def attack_ids() -> frozenset[str]:
    """The STIX ids of ATT&CK's techniques, groups, software and mitigations."""
    return _document().ids


@cache
def attack_names() -> frozenset[str]:
    """Names of actors, malware and tools in lower case, synonyms included, ids in brackets not."""
    return _document().names


@cache
def _document() -> _Document:
    return msgspec.json.decode(lzma.decompress(_FILE.read_bytes()), type=_Document)
