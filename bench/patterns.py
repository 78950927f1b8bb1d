"""Canonical patterns over real ones: what is refused, what becomes one, how fast.

    python bench/patterns.py DATA [--groups FILE] [--sample N]

DATA holds `stix/` and, if there is one, `hostile/pattern-validity/`; files may be
compressed with xz.  Every distinct pattern is canonicalised twice; the OASIS grammar
is asked about all that we refuse and a sample of what we take, the OASIS matcher about
a sample with observations made of its own values.  `--groups` writes every group of
patterns that became one, to be read.  Exit code 1 if any check fails.
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
from tocsin.admission.model import Candidate, Observable
from tocsin.admission.observables.extract import extract_observables
from tocsin.admission.patterns.canonical import (
    canonical_path,
    canonical_pattern,
    field_canonicalizer,
)
from tocsin.admission.patterns.grammar import parse_pattern
from tocsin.admission.policy import parse_policy
from tocsin.admission.stix.validate import validate
from tocsin.admission.timestamps import micros

WORST = {
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
INDICATOR = {
    "type": "indicator",
    "spec_version": "2.1",
    "id": "indicator--11111111-1111-4111-8111-111111111111",
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-01T00:00:00.000Z",
    "valid_from": "2026-01-01T00:00:00Z",
    "pattern_type": "stix",
    "indicator_types": ["malicious-activity"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--groups", type=Path, metavar="FILE", help="write what became one")
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="of each check")
    chosen = parser.parse_args()
    patterns = sorted(set(real(chosen.data / "stix")))
    groups, refused = grouped(patterns)
    bad = judged(refused, random.Random(1).sample(sorted(groups), chosen.sample))
    bad += matched(random.Random(2).sample(patterns, min(len(patterns), 3 * chosen.sample)))
    bad += labelled(chosen.data / "hostile" / "pattern-validity" / "patterns.jsonl")
    if chosen.groups:
        written(groups, chosen.groups)
    paced([each for each in patterns if each not in refused])
    hostile()
    print(f"\n{bad} checks failed")
    return 1 if bad else 0


def real(folder: Path) -> Iterator[str]:
    """Every pattern of every indicator, whichever the language, that says it is STIX."""
    for path in sorted((*folder.rglob("*.json*"), *folder.rglob("*.stix2*"))):
        raw = path.read_bytes()
        text = lzma.decompress(raw) if path.suffix == ".xz" else raw
        yield from found(json.loads(text))


def found(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("type") == "indicator" and value.get("pattern_type", "stix") == "stix":
            yield from (each for each in (value.get("pattern"),) if isinstance(each, str))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from found(each)


def grouped(patterns: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    groups: dict[str, list[str]] = collections.defaultdict(list)
    refused: dict[str, str] = {}
    changed = 0
    for pattern in patterns:
        try:
            spelt = canonical_pattern(pattern)
        except Malformed as error:
            refused[pattern] = str(error)
            continue
        if canonical_pattern(spelt) != spelt:
            print(f"NOT IDEMPOTENT {pattern[:200]}")
        changed += spelt != pattern
        groups[spelt].append(pattern)
    merged = [group for group in groups.values() if len(group) > 1]
    print(f"distinct patterns     {len(patterns):7}")
    print(f"  refused             {len(refused):7}")
    print(f"  canonical forms     {len(groups):7}")
    print(f"  spelt anew          {changed:7}")
    print(f"  in a group          {sum(map(len, merged)):7}, of {len(merged)} groups")
    return groups, refused


def judged(refused: dict[str, str], sample: Sequence[str]) -> int:
    """What OASIS says of what we refuse, and of our canonical forms."""
    bad = 0
    for pattern, reason in refused.items():
        verdict = "also" if run_validator(pattern, "2.1") else "NOT"
        print(f"refused ({verdict} by OASIS): {reason}: {pattern[:100]!r}")
        bad += verdict == "NOT" and not reason.startswith("the pattern is longer")
    for spelt in sample:
        if len(spelt) < 5_000 and (errors := run_validator(spelt, "2.1")):
            before = len([each for each in errors if "hash" not in each])
            print(f"canonical, but {errors[0][:90]}: {spelt[:100]!r}")
            bad += bool(before)
    return bad


def matched(patterns: Sequence[str]) -> int:
    """Original and canonical pattern against what they name, one value altered each time."""
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
        named = about(pattern)
        for left_out in (None, *range(min(len(named), 4))):
            kept = [each for at, each in enumerate(named) if at != left_out]
            verdicts = verdict(pattern, seen(kept, meant=False))
            again = verdict(canonical_pattern(pattern), seen(kept, meant=True))
            counts[f"{verdicts} and {again}"] += 1
            if verdicts != again:
                bad += 1
                print(
                    f"MATCHER DISAGREES {verdicts} {again}: {pattern[:300]}\n"
                    f"  {canonical_pattern(pattern)}"
                )
    print(f"matcher: original and canonical {dict(counts)}")
    return bad


def verdict(pattern: str, bundle: dict[str, Any]) -> str:
    try:
        return "match" if match(pattern, [bundle], stix_version="2.1") else "none"
    except (MatcherException, RecursionError) as error:
        return type(error).__name__


def seen(named: Sequence[Observable], *, meant: bool) -> dict[str, Any]:
    """One observation of objects with these values, as written or as their fields mean them."""
    objects: list[dict[str, Any]] = []
    refs: list[str] = []
    for each in named:
        path = canonical_path(each.property) if meant else each.property
        spell = field_canonicalizer(each.kind, canonical_path(each.property))
        value = spell(each.value) if meant and spell else each.value
        sco = next((sco for sco in objects if sco["type"] == each.kind), None)
        if sco is None or not put(sco, objects, path, value):
            number = f"{len(objects):012}"
            sco = {"type": each.kind, "id": f"{each.kind}--00000000-0000-4000-8000-{number}"}
            put(sco, objects, path, value)
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


def referred(name: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The object of that id, made if it is not there yet."""
    for each in objects:
        if each["id"] == name:
            return each
    objects.append({"type": "x-referred", "id": name})
    return objects[-1]


def put(sco: dict[str, Any], objects: list[dict[str, Any]], path: str, value: Any) -> bool:
    """The value at the path; False if another one is there."""
    steps = [step.strip("'") for step in path.replace("[", ".[").split(".")]
    place: Any = sco
    for at, step in enumerate(steps[:-1]):
        following: Any = [] if steps[at + 1].startswith("[") else {}
        refers = re.search(r"_refs?$", steps[at - 1] if step[0] == "[" else step)
        if refers and isinstance(following, dict):
            following = f"x-referred--{len(objects):08}-0000-4000-8000-{len(steps):012}"
        place = entered(place, step, following)
        place = referred(place, objects) if isinstance(place, str) and refers else place
    if isinstance(place, list):
        place.append(value)
        return True
    if not isinstance(place, dict) or steps[-1] in place:
        return False
    place[steps[-1]] = int(value) if "port" in steps[-1] and value.isdigit() else value
    return True


def entered(place: Any, step: str, following: Any) -> Any:
    """What is one step further; `following` if nothing was there."""
    if isinstance(place, list):
        place += [] if place else [following]
        return place[0]
    return place.setdefault(step, following) if isinstance(place, dict) else None


def labelled(path: Path) -> int:
    """Patterns that the OASIS project calls valid or not, against what admission does."""
    if not path.exists():
        return 0
    bad = 0
    policy = parse_policy((Path(__file__).parent.parent / "config" / "policy.toml").read_text())
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    for case in cases:
        subject = {**INDICATOR, "pattern": case["pattern"]}
        taken = validate(Candidate(0, subject), policy, micros(INDICATOR["created"])).is_open
        if taken != case["valid"]:
            print(f"labelled {case['valid']}, taken {taken}: {case['pattern']}")
            bad += 1
    print(f"labelled patterns     {len(cases):7}")
    return bad


def written(groups: dict[str, list[str]], path: Path) -> None:
    with path.open("w") as out:
        for spelt, group in sorted(groups.items()):
            if len(group) > 1:
                out.write("".join(f"{line}\n" for line in (f"= {spelt}", *group, "")))


def paced(patterns: list[str]) -> None:
    simple = [each for each in patterns if SIMPLE.fullmatch(each)]
    print(f"\n{'patterns':24}{'number':>8}{'a second':>10}{'µs each':>9}")
    rows: tuple[tuple[str, list[str], Callable[[str], object]], ...] = (
        ("simple", simple, canonical_pattern),
        ("others", sorted(set(patterns) - set(simple)), canonical_pattern),
        ("all, read only", patterns, parse_pattern),
        ("all, observables", patterns, about),
    )
    for name, those, work in rows:
        started = time.process_time()
        for pattern in those:
            work(pattern)
        seconds = time.process_time() - started
        row = f"{len(those):8}{len(those) / seconds:10.0f}{1e6 * seconds / len(those):9.1f}"
        print(f"{name:24}{row}")


def about(pattern: str) -> tuple[Observable, ...]:
    return extract_observables({"type": "indicator", "pattern_type": "stix", "pattern": pattern})


def hostile() -> None:
    print(f"\n{'hostile patterns':28}{'characters':>11}{'ms':>8}")
    for name, pattern in WORST.items():
        started = time.process_time()
        try:
            told = f"{len(canonical_pattern(pattern))} characters"
        except Malformed as error:
            told = str(error)
        print(f"{name:28}{len(pattern):11}{1000 * (time.process_time() - started):8.1f}  {told}")


if __name__ == "__main__":
    sys.exit(main())
