"""Personal data in labelled texts: precision and recall of the detectors, and leaks."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures.fixtures import GREEN, as_candidates, examine_batch, read_content
from tocsin.admission.detectors.bank_accounts import IBAN
from tocsin.admission.detectors.email_addresses import EMAIL
from tocsin.admission.detectors.payment_cards import CARD
from tocsin.admission.detectors.person_names import PERSON
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS
from tocsin.admission.detectors.telephone_numbers import TELEPHONE
from tocsin.admission.detectors.us_social_security_numbers import US_SSN
from tocsin.admission.model import StixObject
from tocsin.admission.rules import personal_data

KINDS = {
    "EMAIL_ADDRESS": EMAIL,
    "EMAIL": EMAIL,
    "CREDIT_CARD": CARD,
    "IBAN_CODE": IBAN,
    "IBAN": IBAN,
    "US_SSN": US_SSN,
    "SSN": US_SSN,
    "PHONE_NUMBER": TELEPHONE,
    "PHONE": TELEPHONE,
}
GUESSED = {
    "PERSON": PERSON,
    "NAME": PERSON,
    "STREET_ADDRESS": POSTAL_ADDRESS,
    "ADDRESS": POSTAL_ADDRESS,
}
"""Kinds that a rule only asks a reviewer about: recall is low, precision should be high."""
LABELS = {**KINDS, **GUESSED}
Span = tuple[int, int, str]
Text = tuple[str, list[Span]]


def measure(folder: Path, show: int) -> None:
    regions = default_regions()
    for name, texts in labelled_sets(folder):
        kinds = (*KINDS.values(), *GUESSED.values())
        scores: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
        misses: list[str] = []
        for text, wanted in texts:
            got = personal_data.find_personal_data(text, frozenset(kinds), regions)
            found = [(span.start, span.end, span.what) for span in got]
            score(text, wanted, found, scores, misses)
        print(f"{name} ({len(texts)} texts)        wanted found  wrong missed precision recall")
        for kind, counts in scores.items():
            print_score(kind, counts)
        print(f"   values still there after admission: {count_leaks(texts)}")
        for miss in misses[:show]:
            print("     ", miss)


def default_regions() -> tuple[str, ...]:
    """Return the regions of the rule's default settings."""
    regions = personal_data.DEFAULTS["regions"]
    assert isinstance(regions, list)
    return tuple(map(str, regions))


def score(
    text: str,
    wanted: list[Span],
    found: list[Span],
    scores: dict[str, Counter[str]],
    misses: list[str],
) -> None:
    """Score one text: a label is found if a mask overlaps it; a mask without a label is wrong."""
    for start, end, kind in wanted:
        hit = any(s < end and start < e for s, e, what in found if is_same_kind(kind, what))
        scores[kind]["right" if hit else "missed"] += 1
        if not hit:
            misses.append(f"missed {kind}: {text[start:end]!r} in {text[:110]!r}")
    for start, end, kind in found:
        if not any(s < end and start < e for s, e, what in wanted if is_same_kind(what, kind)):
            scores[kind]["wrong"] += 1
            misses.append(f"wrong {kind}: {text[start:end]!r} in {text[:110]!r}")


def is_same_kind(one: str, other: str) -> bool:
    """True if a mask of one kind counts for the other: numbers are masked alike, names are not."""
    guessed = GUESSED.values()
    return one == other or (one not in guessed and other not in guessed)


def print_score(kind: str, counts: Counter[str]) -> None:
    right, wrong, missed = counts["right"], counts["wrong"], counts["missed"]
    if right + missed + wrong:
        print(
            f"   {kind:30} {right + missed:6} {right:5} {wrong:6} {missed:6}"
            f" {right / max(1, right + wrong):9.3f} {right / max(1, right + missed):6.3f}"
        )


def count_leaks(texts: list[Text]) -> str:
    """Count the labelled values in the notes that admission lets through, as `3 of 100`."""
    there = total = 0
    for candidate, (text, wanted) in zip(
        examine_batch(as_candidates(map(make_note, texts))), texts, strict=True
    ):
        shared = json.dumps(candidate.object, ensure_ascii=False) if candidate.is_open else ""
        for start, end, kind in wanted:
            if kind in GUESSED.values():
                continue
            value = json.dumps(text[start:end], ensure_ascii=False)[1:-1]
            total, there = total + 1, there + (value in shared)
    return f"{there} of {total}"


def make_note(text: Text) -> StixObject:
    return {
        "type": "note",
        "spec_version": "2.1",
        "id": f"note--00000000-0000-4000-8000-{abs(hash(text[0])) % 10**12:012d}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "content": text[0],
        "object_refs": ["malware--00000000-0000-4000-8000-000000000001"],
        "object_marking_refs": [GREEN],
    }


def labelled_sets(folder: Path) -> Iterator[tuple[str, list[Text]]]:
    pii = folder / "pii"
    for path in sorted((pii / "presidio-research").rglob("*.json.xz")):
        yield path.name, [parse_spans(case) for case in json.loads(read_content(path))]
    for path in sorted((pii / "nannigalaxy").rglob("*.json.xz")):
        yield path.name, [parse_entities(case) for case in json.loads(read_content(path))]


def parse_spans(case: dict[str, Any]) -> Text:
    spans = [
        (span["start_position"], span["end_position"], LABELS[span["entity_type"]])
        for span in case["spans"]
        if span["entity_type"] in LABELS
    ]
    return case["full_text"], spans


def parse_entities(case: dict[str, Any]) -> Text:
    text = case["text"]
    spans = []
    for each in case["NER"]:
        value, kind = each.get("entity", ""), LABELS.get(each.get("label", ""))
        start = text.find(value)
        if kind and value and start >= 0:
            spans.append((start, start + len(value), kind))
    return text, spans
