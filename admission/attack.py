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
"""Which of MISP's clusters hold which STIX type."""


class _Value(msgspec.Struct):
    uuid: str = ""


class _Cluster(msgspec.Struct):
    values: list[_Value]


@cache
def attack_ids() -> frozenset[str]:
    """The STIX ids of ATT&CK's techniques, groups, software and mitigations.

    Empty where the package with the galaxies is not installed (a client needs none).
    """
    package = find_spec("pymispgalaxies")
    if package is None or package.origin is None:
        return frozenset()
    folder = Path(package.origin).parent / _CLUSTERS
    return frozenset(
        f"{kind}--{value.uuid}"
        for name, kind in _KINDS.items()
        for value in _read(folder / f"{name}.json")
        if value.uuid
    )


def _read(file: Path) -> list[_Value]:
    return msgspec.json.decode(file.read_bytes(), type=_Cluster).values
