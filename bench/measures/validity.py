"""Objects and patterns with known verdicts."""

import json
from collections import Counter
from pathlib import Path

from stix2validator import ValidationOptions, validate_instance

from measures.court import indicator, judged, last_rule, lines, objects


def measure(folder: Path, show: int) -> None:
    """Labelled objects: what is invalid must be refused, or repaired with a finding.

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
        [told] = judged(objects([case["object"]]))
        taken = told.open or told.verdict in ("duplicate", "held")
        stages = ("validate", "normalise")
        spoken = any(f.stage in stages and f.action != "noted" for f in told.findings)
        right = taken if valid else not taken or spoken
        counts["valid" if valid else "invalid", "right" if right else "wrong"] += 1
        if not right:
            last = told.findings[-1].message if told.findings else "no finding"
            odd.append(
                f"{case['test'].split('.')[-1]}: the validator says {why[:130]!r}; "
                f"here {told.verdict.value} {last_rule(told)}: {last[:110]!r}"
            )
    report(counts, odd, show)
    print(f"   {stale} labels do not fit the object as it stands; the validator's word was taken")


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
        print(f"   labelled {label:8} {outcome:6} {count:6}")
    for each in odd[: show or len(odd)]:
        print("     ", each)
