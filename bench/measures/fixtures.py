"""Shared fixtures of the measures: test data, and admission as a hub runs it."""

import json
import lzma
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tocsin.admission import Pipeline, formats, parse_policy
from tocsin.admission.model import Candidate, Finding, StixObject, Submitter, Tlp, Warninglists
from tocsin.admission.policy import Policy
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.config.loading import policy_text

NOW = 1_790_000_000_000_000
"""µs since 1970 UTC; the same in every run."""
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
PARTNER = Submitter(partner="acme", names=("ACME Corp",), terms=("acme-corp.example",))


@cache
def policy() -> Policy:
    return parse_policy(policy_text(None))


@cache
def warning_lists() -> Warninglists:
    return load_warning_lists()


def examine_batch(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Examine one submission under the default policy."""
    return Pipeline(policy(), PARTNER, warning_lists()).examine(candidates, NOW)


def as_candidates(subjects: Iterable[StixObject]) -> Iterator[Candidate]:
    """Make candidates of STIX objects."""
    return (Candidate.from_object(index, subject) for index, subject in enumerate(subjects))


def read_candidates(name: str, raw: bytes) -> list[Candidate]:
    """The candidates of a file; none if no format claims it."""
    if formats.detect_format(name, raw) is None:
        return []
    return list(formats.read(name, raw, formats.ReadOptions(now=NOW, tlp=Tlp.GREEN)))


def read_content(path: Path) -> bytes:
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, read_content(path).decode().splitlines())


def read_corpus(folder: Path, *sets: str) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The manifest entry and the content of each file of these sets, in the manifest's order."""
    for entry in read_json_lines(folder / "manifest.jsonl"):
        if entry["set"] in sets:
            yield entry, read_content(folder / entry["file"])


def closing_finding(candidate: Candidate) -> Finding | None:
    """The last finding that held or refused the candidate; None if it is open."""
    why = (f for f in reversed(candidate.findings) if f.action in ("refused", "held"))
    return None if candidate.is_open else next(why, None)


def closing_rule(candidate: Candidate) -> str:
    """The last rule that held or refused the candidate; `-` if none did."""
    why = closing_finding(candidate)
    return "-" if why is None else why.rule


def indicator(number: int, pattern: str) -> StixObject:
    """A valid TLP:GREEN indicator with this pattern."""
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00.000Z",
        "pattern_type": "stix",
        "pattern": pattern,
        "object_marking_refs": [GREEN],
    }
