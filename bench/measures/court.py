"""What the measures share: reading files, and admission as a hub would do it."""

import json
import lzma
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tocsin.admission import Pipeline, formats, parse_policy
from tocsin.admission.model import (
    Candidate,
    Finding,
    Submitter,
    Tlp,
    Warninglists,
)
from tocsin.admission.policy import Policy
from tocsin.admission.warninglists.index import load_warning_lists
from tocsin.config import policy_text

NOW = 1_790_000_000_000_000
"""µs since 1970 UTC; the same in every run."""
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
PARTNER = Submitter(partner="acme", names=("ACME Corp",), terms=("acme-corp.example",))


@cache
def policy() -> Policy:
    return parse_policy(policy_text(None))


@cache
def lists() -> Warninglists:
    return load_warning_lists()


def judged(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One submission, examined under the policy that ships."""
    return Pipeline(policy(), PARTNER, lists()).examine(candidates, NOW)


def objects(subjects: Iterable[dict]) -> Iterator[Candidate]:
    """Objects as candidates."""
    return (Candidate.from_object(index, subject) for index, subject in enumerate(subjects))


def read(name: str, raw: bytes) -> list[Candidate]:
    """The candidates of a file; none if no format claims it."""
    if formats.detect_format(name, raw) is None:
        return []
    return list(formats.read(name, raw, formats.ReadOptions(now=NOW, tlp=Tlp.GREEN)))


def content(path: Path) -> bytes:
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def lines(path: Path) -> Iterator[dict]:
    return map(json.loads, content(path).decode().splitlines())


def corpus(folder: Path, *sets: str) -> Iterator[tuple[dict, bytes]]:
    """The files of these sets, as the manifest lists them."""
    for entry in lines(folder / "manifest.jsonl"):
        if entry["set"] in sets:
            yield entry, content(folder / entry["file"])


def closing(candidate: Candidate) -> Finding | None:
    """Why a candidate is held or refused; rules that look at what is held may say more after it."""
    why = (f for f in reversed(candidate.findings) if f.action in ("refused", "held"))
    return None if candidate.is_open else next(why, None)


def closed_by(candidate: Candidate) -> str:
    """The rule that closed a candidate; of several the last."""
    why = closing(candidate)
    return "-" if why is None else why.rule


def indicator(number: int, pattern: str) -> dict:
    """An indicator on a pattern, with nothing else to find fault with."""
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
