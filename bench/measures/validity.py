"""Objects and patterns with known verdicts."""

import json
from collections import Counter
from pathlib import Path

from stix2validator import ValidationOptions, validate_instance

from measures.court import (
    closed_by,
    closing,
    indicator,
    judged,
    lines,
    objects,
    read,
)
from tocsin.admission.model import Candidate

FORMAL = ("validate", "normalise")
"""The stages that look at an object's form."""


def measure(folder: Path, show: int) -> None:
    """Labelled objects: what is invalid must be refused, or repaired with a finding.

    What is valid must be taken; what a rule on privacy refuses is told apart.

    The labels were harvested from tests that changed the objects afterwards, so the OASIS
    validator is asked again about each object as it stands.
    """
    counts: Counter[str] = Counter()
    odd: list[str] = []
    stale = 0
    options = ValidationOptions(version="2.1")
    for case in lines(folder / "hostile" / "stix-validity" / "stix21_objects.jsonl.xz"):
        valid, why = as_it_stands(case["object"], options)
        stale += valid != case["must_valid"]
        all_told = judged(as_sent(case["object"]))
        told = next((each for each in all_told if not taken(each)), all_told[0])
        spoken = any(f.stage in FORMAL and f.action != "noted" for f in told.findings)
        right = taken(told) if valid else not taken(told) or spoken
        why_not = closing(told)
        private = valid and not right and why_not is not None and why_not.stage == "sanitise"
        outcome = "right" if right else "private" if private else "wrong"
        counts["valid" if valid else "invalid", outcome] += 1
        if not right:
            last = why_not.message if why_not else "no finding"
            odd.append(
                f"{case['test'].split('.')[-1]}: the validator says {why[:130]!r}; "
                f"here {told.verdict.value} {closed_by(told)}: {last[:110]!r}"
            )
    report(counts, odd, show)
    print(f"   {stale} labels do not fit the object as it stands; the validator's word was taken")


def as_sent(subject: dict) -> list[Candidate]:
    """The object as a candidate; a bundle is sent as a file, its objects are what is judged."""
    if subject.get("type") == "bundle":
        return read("bundle.json", json.dumps(subject).encode())
    return list(objects([subject]))


def taken(told: Candidate) -> bool:
    return told.is_open or told.verdict in ("duplicate", "held")


def as_it_stands(subject: dict, options: ValidationOptions) -> tuple[bool, str]:
    """The validator's verdict, and why; it crashes on some objects, which are invalid."""
    try:
        told = validate_instance(json.loads(json.dumps(subject)), options)
    except (KeyError, TypeError, AttributeError) as error:
        return False, f"crash: {error!r}"
    return told.is_valid, "; ".join(str(error) for error in told.errors) or "valid"


def patterns(folder: Path, show: int) -> None:
    """Labelled patterns."""
    counts: Counter[str] = Counter()
    odd: list[str] = []
    for number, case in enumerate(lines(folder / "hostile/pattern-validity/patterns.jsonl")):
        [told] = judged(objects([indicator(number, case["pattern"])]))
        refused = any(
            f.path == "pattern" and f.stage == "validate" and f.action == "refused"
            for f in told.findings
        )
        right = refused != case["valid"]
        counts["valid" if case["valid"] else "invalid", "right" if right else "wrong"] += 1
        if not right:
            odd.append(f"{case['stix_version']} labelled {case['valid']}: {case['pattern'][:120]}")
    report(counts, odd, show)


def report(counts: Counter, odd: list[str], show: int) -> None:
    for (label, outcome), count in sorted(counts.items()):
        print(f"   labelled {label:8} {outcome:7} {count:6}")
    for each in odd[: show or len(odd)]:
        print("     ", each)
