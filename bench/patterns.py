"""Canonicalisation of real patterns: patterns refused, patterns merged, and speed.

    python bench/patterns.py DATA [--groups FILE] [--sample N]

DATA holds `stix/`; files may be compressed with xz.  Every distinct pattern is
canonicalised twice.  The OASIS validator checks all refused patterns and a sample of the
canonical ones; the OASIS matcher compares a sample of patterns with their canonical forms,
on observations of their own values.  `--groups` writes every group of patterns with the
same canonical form.  Exit code 1 if a check fails.
"""

import argparse
import collections
import json
import lzma
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stix2matcher.matcher import MatcherException, match
from stix2patterns.validator import run_validator

from tocsin.admission.errors import Malformed
from tocsin.admission.model import Observable
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.patterns.canonical import (
    canonical_path,
    canonical_pattern,
    field_canonicalizer,
)
from tocsin.admission.patterns.grammar import parse_pattern

HOSTILE_PATTERNS = {
    "10 pairs ANDed": "[" + " AND ".join(f"(a:b{n} = 1 OR a:c{n} = 2)" for n in range(10)) + "]",
    "8 pairs ANDed": "[" + " AND ".join(f"(a:b{n} = 1 OR a:c{n} = 2)" for n in range(8)) + "]",
    "8 pairs between brackets": " AND ".join(f"([a:b{n} = 1] OR [a:c{n} = 2])" for n in range(8)),
    "400 terms ORed": "[" + " OR ".join(f"a:b{n} = 1" for n in range(400)) + "]",
    "1,000 terms ORed": "[" + " OR ".join(f"a:b{n} = 1" for n in range(1000)) + "]",
    "3,000 brackets ORed": " OR ".join(f"[a:b{n} = 1]" for n in range(3000)),
    "250 ANDs of 16 ORed": "["
    + " OR ".join("(" + " AND ".join(f"a:b{m} = {n}" for m in range(16)) + ")" for n in range(250))
    + "]",
    "2 ANDs of 500 ORed": " OR ".join(
        "(" + " AND ".join(f"[a:b{n} = 1 AND a:c{n * m} = 1]" for n in range(500)) + ")"
        for m in (1, 2)
    ),
    "200 parentheses": "(" * 200 + "[a:b = 1]" + ")" * 200,
    "1 MB of brackets": "[" * 1_000_000,
    "64 KB of brackets": "[" * 65_536,
    "64 KB of quotes": "'" * 65_536,
    "64 KB of digits": "[a:b = " + "9" * 65_000 + "]",
}

SIMPLE = re.compile(r"\[[a-z0-9-]+:[A-Za-z_.'0-9-]+ ?= ?'[^'\\]*'\]")


def main() -> int:
    """Run all checks; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--groups", type=Path, metavar="FILE", help="write the merged groups")
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="patterns per check")
    chosen = parser.parse_args()
    patterns = sorted(set(read_patterns(chosen.data / "stix")))
    groups, refused = group_patterns(patterns)
    bad = check_validity(refused, random.Random(1).sample(sorted(groups), chosen.sample))
    bad += check_matches(random.Random(2).sample(patterns, min(len(patterns), 3 * chosen.sample)))
    if chosen.groups:
        write_groups(groups, chosen.groups)
    measure_speed([each for each in patterns if each not in refused])
    measure_hostile_patterns()
    print(f"\n{bad} checks failed")
    return 1 if bad else 0


def read_patterns(folder: Path) -> Iterator[str]:
    """Read every pattern that its indicator declares as STIX, in all files of the folder."""
    for path in sorted((*folder.rglob("*.json*"), *folder.rglob("*.stix2*"))):
        raw = path.read_bytes()
        text = lzma.decompress(raw) if path.suffix == ".xz" else raw
        yield from find_patterns(json.loads(text))


def find_patterns(value: Any) -> Iterator[str]:
    """Find the STIX patterns in a JSON value, at any depth."""
    if isinstance(value, dict):
        if value.get("type") == "indicator" and value.get("pattern_type", "stix") == "stix":
            pattern = value.get("pattern")
            if isinstance(pattern, str):
                yield pattern
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from find_patterns(each)


def group_patterns(patterns: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Group patterns by canonical form; also return the reason of each refused one."""
    groups: dict[str, list[str]] = collections.defaultdict(list)
    refused: dict[str, str] = {}
    changed = 0
    for pattern in patterns:
        try:
            canonical = canonical_pattern(pattern)
        except Malformed as error:
            refused[pattern] = str(error)
            continue
        if canonical_pattern(canonical) != canonical:
            print(f"NOT IDEMPOTENT {pattern[:200]}")
        changed += canonical != pattern
        groups[canonical].append(pattern)
    merged = [group for group in groups.values() if len(group) > 1]
    print(f"distinct patterns     {len(patterns):7}")
    print(f"  refused             {len(refused):7}")
    print(f"  canonical forms     {len(groups):7}")
    print(f"  changed             {changed:7}")
    print(f"  merged              {sum(map(len, merged)):7}, in {len(merged)} groups")
    return groups, refused


def check_validity(refused: dict[str, str], sample: Sequence[str]) -> int:
    """Run the OASIS validator on refused patterns and canonical forms; count disagreements."""
    bad = 0
    for pattern, reason in refused.items():
        verdict = "also" if run_validator(pattern, "2.1") else "NOT"
        print(f"refused ({verdict} by OASIS): {reason}: {pattern[:100]!r}")
        bad += verdict == "NOT" and not reason.startswith("the pattern is longer")
    for canonical in sample:
        if len(canonical) < 5_000 and (errors := run_validator(canonical, "2.1")):
            print(f"canonical, but {errors[0][:90]}: {canonical[:100]!r}")
            bad += any("hash" not in each for each in errors)
    return bad


def check_matches(patterns: Sequence[str]) -> int:
    """Match each pattern and its canonical form on their own values; count disagreements.

    Each pattern is matched with all of its values, and with one of the first four left out.
    """
    counts: collections.Counter[str] = collections.Counter()
    bad = 0
    for pattern in patterns:
        try:
            parse_pattern(pattern)
        except Malformed:
            continue
        if len(pattern) > 3_000:
            counts["too long for the matcher"] += 1
            continue
        canonical = canonical_pattern(pattern)
        observables = observables_of(pattern)
        for left_out in (None, *range(min(len(observables), 4))):
            kept = [each for at, each in enumerate(observables) if at != left_out]
            before = run_matcher(pattern, observe(kept, canonical=False))
            after = run_matcher(canonical, observe(kept, canonical=True))
            counts[f"{before} and {after}"] += 1
            if before != after:
                bad += 1
                print(f"MATCHER DISAGREES {before} {after}: {pattern[:300]}\n  {canonical}")
    print(f"matcher: original and canonical {dict(counts)}")
    return bad


def run_matcher(pattern: str, bundle: dict[str, Any]) -> str:
    """Return `match`, `none`, or the name of the matcher's error."""
    try:
        return "match" if match(pattern, [bundle], stix_version="2.1") else "none"
    except (MatcherException, RecursionError) as error:
        return type(error).__name__


def observe(observables: Sequence[Observable], *, canonical: bool) -> dict[str, Any]:
    """Build a bundle with one observation of these values, as written or canonicalised."""
    objects: list[dict[str, Any]] = []
    refs: list[str] = []
    for each in observables:
        path = canonical_path(each.property) if canonical else each.property
        canonicalize = field_canonicalizer(each.kind, canonical_path(each.property))
        value = canonicalize(each.value) if canonical and canonicalize else each.value
        sco = next((sco for sco in objects if sco["type"] == each.kind), None)
        if sco is None or not set_value(sco, objects, path, value):
            number = f"{len(objects):012}"
            sco = {"type": each.kind, "id": f"{each.kind}--00000000-0000-4000-8000-{number}"}
            set_value(sco, objects, path, value)
            objects.append(sco)
            refs.append(sco["id"])
    head = {
        "type": "observed-data",
        "id": "observed-data--00000000-0000-4000-8000-000000000000",
        "first_observed": "2026-01-01T00:00:00Z",
        "last_observed": "2026-01-01T00:00:00Z",
        "number_observed": 3,
        "object_refs": [sco["id"] for sco in objects],
    }
    return {"type": "bundle", "id": "bundle--1", "objects": [head, *objects]}


def find_or_create(id: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the object with this id; create it if it is missing."""
    for each in objects:
        if each["id"] == id:
            return each
    objects.append({"type": "x-referred", "id": id})
    return objects[-1]


def set_value(sco: dict[str, Any], objects: list[dict[str, Any]], path: str, value: Any) -> bool:
    """Set the value at the path; return False if another value is there."""
    steps = [step.strip("'") for step in path.replace("[", ".[").split(".")]
    parent: Any = sco
    for at, step in enumerate(steps[:-1]):
        default: Any = [] if steps[at + 1].startswith("[") else {}
        refers = re.search(r"_refs?$", steps[at - 1] if step[0] == "[" else step)
        if refers and isinstance(default, dict):
            default = f"x-referred--{len(objects):08}-0000-4000-8000-{len(steps):012}"
        parent = child_of(parent, step, default)
        parent = find_or_create(parent, objects) if isinstance(parent, str) and refers else parent
    if isinstance(parent, list):
        parent.append(value)
        return True
    if not isinstance(parent, dict) or steps[-1] in parent:
        return False
    parent[steps[-1]] = int(value) if "port" in steps[-1] and value.isdigit() else value
    return True


def child_of(parent: Any, step: str, default: Any) -> Any:
    """Return the value one step below `parent`; set it to `default` if it is missing."""
    if isinstance(parent, list):
        parent += [] if parent else [default]
        return parent[0]
    return parent.setdefault(step, default) if isinstance(parent, dict) else None


def write_groups(groups: dict[str, list[str]], path: Path) -> None:
    """Write each group of several patterns below its canonical form."""
    with path.open("w") as out:
        for canonical, group in sorted(groups.items()):
            if len(group) > 1:
                out.write("".join(f"{line}\n" for line in (f"= {canonical}", *group, "")))


def measure_speed(patterns: list[str]) -> None:
    """Print how many patterns of each kind are canonicalised or parsed per second."""
    simple = [each for each in patterns if SIMPLE.fullmatch(each)]
    print(f"\n{'patterns':24}{'number':>8}{'per s':>10}{'µs each':>9}")
    rows: tuple[tuple[str, list[str], Callable[[str], object]], ...] = (
        ("simple", simple, canonical_pattern),
        ("others", sorted(set(patterns) - set(simple)), canonical_pattern),
        ("all, parsing only", patterns, parse_pattern),
        ("all, observables", patterns, observables_of),
    )
    for name, sample, work in rows:
        started = time.process_time()
        for pattern in sample:
            work(pattern)
        seconds = time.process_time() - started
        row = f"{len(sample):8}{len(sample) / seconds:10.0f}{1e6 * seconds / len(sample):9.1f}"
        print(f"{name:24}{row}")


def observables_of(pattern: str) -> tuple[Observable, ...]:
    """Extract the observables that a pattern names."""
    return extract_observables({"type": "indicator", "pattern_type": "stix", "pattern": pattern})


def measure_hostile_patterns() -> None:
    """Print the time and outcome of each hostile pattern."""
    print(f"\n{'hostile patterns':28}{'characters':>11}{'ms':>8}")
    for name, pattern in HOSTILE_PATTERNS.items():
        started = time.process_time()
        try:
            outcome = f"{len(canonical_pattern(pattern))} characters"
        except Malformed as error:
            outcome = str(error)
        print(f"{name:28}{len(pattern):11}{1000 * (time.process_time() - started):8.1f}  {outcome}")


if __name__ == "__main__":
    sys.exit(main())
