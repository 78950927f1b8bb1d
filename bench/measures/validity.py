"""Labelled objects and patterns: verdicts that differ from the labels."""

import json
from collections import Counter
from pathlib import Path

from stix2validator import ValidationOptions, validate_instance

from measures.fixtures import (
    as_candidates,
    closing_finding,
    closing_rule,
    examine_batch,
    indicator,
    read_candidates,
    read_json_lines,
)
from tocsin.admission.model import Candidate, StixObject

FORMAL = ("validate", "normalise")
"""The stages that check the form of an object."""


def measure(folder: Path, show: int) -> None:
    """Labelled objects: an invalid one must be refused or repaired with a finding.

    A valid one must be accepted; one that a privacy rule refuses is counted separately.
    The labels come from tests that changed the objects afterwards, so the OASIS validator
    judges each object again as it is in the file.
    """
    counts: Counter[tuple[str, str]] = Counter()
    differing: list[str] = []
    stale = 0
    options = ValidationOptions(version="2.1")
    for case in read_json_lines(folder / "hostile" / "stix-validity" / "stix21_objects.jsonl.xz"):
        valid, why = validate_with_oasis(case["object"], options)
        stale += valid != case["must_valid"]
        examined = examine_batch(candidates_from(case["object"]))
        worst = next((each for each in examined if not is_accepted(each)), examined[0])
        reported = any(f.stage in FORMAL and f.action != "noted" for f in worst.findings)
        right = is_accepted(worst) if valid else not is_accepted(worst) or reported
        why_not = closing_finding(worst)
        private = valid and not right and why_not is not None and why_not.stage == "sanitise"
        outcome = "right" if right else "private" if private else "wrong"
        counts["valid" if valid else "invalid", outcome] += 1
        if not right:
            last = why_not.message if why_not else "no finding"
            differing.append(
                f"{case['test'].split('.')[-1]}: the validator says {why[:130]!r}; "
                f"here {worst.verdict.value} {closing_rule(worst)}: {last[:110]!r}"
            )
    print_counts(counts, differing, show)
    print(f"   {stale} labels differ from the validator's verdict, which counts instead")


def candidates_from(subject: StixObject) -> list[Candidate]:
    """The candidates of an object; a bundle is read as a file, which gives its objects."""
    if subject.get("type") == "bundle":
        return read_candidates("bundle.json", json.dumps(subject).encode())
    return list(as_candidates([subject]))


def is_accepted(candidate: Candidate) -> bool:
    return candidate.is_open or candidate.verdict in ("duplicate", "held")


def validate_with_oasis(subject: StixObject, options: ValidationOptions) -> tuple[bool, str]:
    """The OASIS validator's verdict and reason; it crashes on some objects, which are invalid."""
    try:
        result = validate_instance(json.loads(json.dumps(subject)), options)
    except (KeyError, TypeError, AttributeError) as error:
        return False, f"crash: {error!r}"
    return result.is_valid, "; ".join(str(error) for error in result.errors) or "valid"


def patterns(folder: Path, show: int) -> None:
    """Labelled patterns."""
    counts: Counter[tuple[str, str]] = Counter()
    differing: list[str] = []
    for number, case in enumerate(
        read_json_lines(folder / "hostile/pattern-validity/patterns.jsonl")
    ):
        [examined] = examine_batch(as_candidates([indicator(number, case["pattern"])]))
        refused = any(
            f.path == "pattern" and f.stage == "validate" and f.action == "refused"
            for f in examined.findings
        )
        right = refused != case["valid"]
        counts["valid" if case["valid"] else "invalid", "right" if right else "wrong"] += 1
        if not right:
            differing.append(
                f"{case['stix_version']} labelled {case['valid']}: {case['pattern'][:120]}"
            )
    print_counts(counts, differing, show)


def print_counts(counts: Counter[tuple[str, str]], differing: list[str], show: int) -> None:
    for (label, outcome), count in sorted(counts.items()):
        print(f"   labelled {label:8} {outcome:7} {count:6}")
    for each in differing[: show or len(differing)]:
        print("     ", each)
