"""Independent sources: contributions and assessments grouped by the origin they go back to.

Ten partners that forward one report are one source.  Confidence and all counts
are worked out over these groups.
"""

import uuid
from collections.abc import Sequence
from urllib.parse import urlsplit

from tocsin.admission.model import (
    Assessment,
    Contribution,
    StixObject,
)

_CATALOGUES = frozenset(("cve", "cwe", "capec", "mitre", "nvd", "attack", "d3fend"))
"""Prefixes of `source_name` of public catalogues.

Partners that know nothing of each other cite them, so a shared entry proves no common origin.
"""


Evidence = Contribution | Assessment
"""Anything that makes a partner a source for an object."""


def group_by_origin(evidence: Sequence[Evidence]) -> list[list[Evidence]]:
    """Group the evidence by origin; each group is one independent source.

    These share an origin: everything from one partner, partners of one group, objects with the
    same id (unless the id is derived from the value), and objects that cite the same report.
    The relation is transitive.
    """
    parents: dict[object, object] = {}

    def root(node: object) -> object:
        parents.setdefault(node, node)
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for each in evidence:
        for origin in _origins(each):
            parents[root(origin)] = root(("partner", each.partner))
    groups: dict[object, list[Evidence]] = {}
    for each in evidence:
        groups.setdefault(root(("partner", each.partner)), []).append(each)
    return list(groups.values())


def _origins(spoken: Evidence) -> set[tuple[str, ...]]:
    origins: set[tuple[str, ...]] = set()
    if not _is_name_based(spoken.source_id):
        origins.add(("id", spoken.source_id))
    if spoken.group:
        origins.add(("group", spoken.group))
    if isinstance(spoken, Contribution):
        for reference in spoken.object.get("external_references", ()):
            origins |= _report_origins(reference)
    return origins


def _is_name_based(source_id: str) -> bool:
    """True for a name-based UUID: independent senders of one value arrive at the same id."""
    try:
        return uuid.UUID(source_id.rpartition("--")[2]).version in (3, 5)
    except ValueError:
        return False


def _report_origins(reference: StixObject) -> set[tuple[str, ...]]:
    """The origins an external reference proves; none for a catalogue entry or a bare site."""
    name = str(reference.get("source_name", "")).casefold()
    if any(name.startswith(each) for each in _CATALOGUES):
        return set()
    found: set[tuple[str, ...]] = set()
    if reference.get("external_id"):
        found.add(("report", name, str(reference["external_id"])))
    url = str(reference.get("url", ""))
    if _is_page_url(url):
        found.add(("url", url))
    return found


def _is_page_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.path.strip("/") or parts.query)
