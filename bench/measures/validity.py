"""Objects and patterns with known verdicts."""

from collections import Counter
from pathlib import Path

from measures.court import GREEN, judged, last_rule, lines, objects


def measure(folder: Path, show: int) -> None:
    """Labelled objects: what is invalid must be refused, or repaired with a finding."""
    counts: Counter[str] = Counter()
    odd: list[str] = []
    for case in lines(folder / "hostile" / "stix-validity" / "stix21_objects.jsonl.xz"):
        [told] = judged(objects([case["object"]]))
        taken = told.open or told.verdict in ("duplicate", "held")
        spoken = any(f.stage in ("validate", "normalise") for f in told.findings)
        right = taken if case["must_valid"] else not taken or spoken
        counts["valid" if case["must_valid"] else "invalid", "right" if right else "wrong"] += 1
        if not right:
            last = told.findings[-1].message if told.findings else "no finding"
            why = case["must_errors"][:1] or ["valid"]
            odd.append(
                f"{case['test'].split('.')[-1]}: labelled {why[0][:130]!r}; "
                f"here {told.verdict.value} {last_rule(told)}: {last[:110]!r}"
            )
    report(counts, odd, show)


def patterns(folder: Path, show: int) -> None:
    """Labelled patterns."""
    counts: Counter[str] = Counter()
    odd: list[str] = []
    for number, case in enumerate(lines(folder / "hostile/pattern-validity/patterns.jsonl")):
        [told] = judged(objects([indicator(number, case)]))
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


def indicator(number: int, case: dict) -> dict:
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00.000Z",
        "pattern_type": "stix",
        "pattern": case["pattern"],
        "object_marking_refs": [GREEN],
    }
