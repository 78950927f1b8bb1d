"""MITRE ATT&CK's own objects, by id.

They are public and keep their ids everywhere, so a reference to one needs no
copy of it.  The ids come from MISP's galaxies, which carry ATT&CK's UUIDs.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

_CLUSTERS = "data/misp-galaxy/clusters"
_KINDS = {
    "mitre-attack-pattern": "attack-pattern",
    "mitre-enterprise-attack-attack-pattern": "attack-pattern",
    "mitre-mobile-attack-attack-pattern": "attack-pattern",
    "mitre-pre-attack-attack-pattern": "attack-pattern",
    "mitre-ics-techniques": "attack-pattern",
    "mitre-course-of-action": "course-of-action",
    "mitre-intrusion-set": "intrusion-set",
    "mitre-malware": "malware",
    "mitre-tool": "tool",
}
"""MISP's clusters and the STIX type that each holds."""


_NAMING = (
    *("mitre-intrusion-set", "mitre-malware", "mitre-tool"),
    *("threat-actor", "ransomware", "malpedia", "tool"),
)
"""The clusters that name actors, malware and tools."""


class _Meta(msgspec.Struct):
    synonyms: list[str] | None = None


class _Value(msgspec.Struct):
    uuid: str = ""
    value: str = ""
    meta: _Meta | None = None


class _Cluster(msgspec.Struct):
    values: list[_Value]


@cache
def attack_ids() -> frozenset[str]:
    """The STIX ids of ATT&CK's techniques, groups, software and mitigations.

    Empty where the package with the galaxies is not installed (a client needs none).
    """
    folder = _folder()
    if folder is None:
        return frozenset()
    return frozenset(
        f"{kind}--{value.uuid}"
        for name, kind in _KINDS.items()
        for value in _read(folder / f"{name}.json")
        if value.uuid
    )


@cache
def attack_names() -> frozenset[str]:
    """Names of actors, malware and tools in lower case, synonyms included, ids in brackets not.

    Empty where the package with the galaxies is not installed.
    """
    folder = _folder()
    if folder is None:
        return frozenset()
    values = (value for name in _NAMING for value in _read(folder / f"{name}.json"))
    names = (n for v in values for n in (v.value, *(v.meta and v.meta.synonyms or ())))
    return frozenset(name.split(" - ")[0].split(" (")[0].strip().lower() for name in names)


def _folder() -> Path | None:
    package = find_spec("pymispgalaxies")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / _CLUSTERS


def _read(file: Path) -> list[_Value]:
    return msgspec.json.decode(file.read_bytes(), type=_Cluster).values
