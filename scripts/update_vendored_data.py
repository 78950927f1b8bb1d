"""Write the vendored warning lists and ATT&CK names from the installed packages of MISP."""

import json
import lzma
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tocsin.admission.warninglists.lists import LIST_REACH, NOT_SHIPPED

ADMISSION = Path(__file__).resolve().parent.parent / "admission"
CLUSTERS = {
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
"""MISP's clusters and the STIX type of their values."""
NAMING = (
    *("mitre-intrusion-set", "mitre-malware", "mitre-tool"),
    *("threat-actor", "ransomware", "malpedia", "tool"),
)
"""The clusters that name actors, malware and tools."""


def main() -> int:
    """Write both files and print their sizes."""
    write(ADMISSION / "warninglists" / "misp_lists.json.xz", warning_lists())
    write(ADMISSION / "stix" / "mitre_attack.json.xz", attack())
    return 0


def warning_lists() -> dict[str, Any]:
    """Read the lists that the policy uses; a release of the package may lack some."""
    folder = data_of("pymispwarninglists") / "misp-warninglists" / "lists"
    files = {name: folder / name / "list.json" for name in LIST_REACH.keys() - NOT_SHIPPED}
    found = {name: json.loads(f.read_text("utf-8")) for name, f in files.items() if f.exists()}
    kept = ("name", "list", "version")
    lists = {name: {part: each[part] for part in kept} for name, each in sorted(found.items())}
    return {"source": f"pymispwarninglists {version('pymispwarninglists')}", "lists": lists}


def attack() -> dict[str, Any]:
    """Read the ids of ATT&CK objects, and names of actors, malware and tools in lower case."""
    ids = {
        f"{kind}--{value['uuid']}"
        for cluster, kind in CLUSTERS.items()
        for value in values(cluster)
        if value.get("uuid")
    }
    spellings = (
        name
        for cluster in NAMING
        for value in values(cluster)
        for name in (value["value"], *(value.get("meta", {}).get("synonyms") or ()))
    )
    names = {name.split(" - ")[0].split(" (")[0].strip().lower() for name in spellings}
    source = f"pymispgalaxies {version('pymispgalaxies')}"
    return {"source": source, "ids": sorted(ids), "names": sorted(names)}


def values(cluster: str) -> Iterator[dict[str, Any]]:
    """Read the values of a cluster of MISP's galaxies."""
    file = data_of("pymispgalaxies") / "misp-galaxy" / "clusters" / f"{cluster}.json"
    yield from json.loads(file.read_text("utf-8"))["values"]


def data_of(package: str) -> Path:
    """Return the data folder of an installed package."""
    found = find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"update-vendored-data: {package} is not installed; run scripts/setup")
    return Path(found.origin).parent / "data"


def write(file: Path, document: dict[str, Any]) -> None:
    """Write compressed JSON."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    file.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{file.name}: {document['source']}, {file.stat().st_size:,} octets")


if __name__ == "__main__":
    sys.exit(main())
