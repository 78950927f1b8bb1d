"""Real submissions: whose names get through, and which indicators a privacy rule costs."""

import json
import re
from collections import Counter
from pathlib import Path

from measures.court import corpus, judged, last_rule, lines, read

PRIVACY = (
    *("anonymise_source", "personal_data", "victim_terms", "user_paths", "message_headers"),
    "payloads",
)
_HANDLE = re.compile(r"(?<![\w.@/])@[A-Za-z0-9_]{3,30}\b(?!\.)")
_AUTHOR = re.compile(r"(?im)^\W{0,5}(?:author|reporter|reported by|analyst)s?\W+([^\n]{3,60})$")


def measure(folder: Path, show: int) -> None:
    people = {
        each["value"]
        for each in lines(folder / "pii" / "misp-labels" / "labels.jsonl")
        if each["label"] in ("analyst", "victim")
    }
    verdicts: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    left: list[str] = []
    unclaimed = 0
    for entry, raw in corpus(folder, "stix", "reports", "iocs", "misp"):
        candidates = read(entry["path"], raw)
        unclaimed += not candidates
        for candidate in judged(candidates):
            verdicts[candidate.verdict.value] += 1
            subject = candidate.object or {}
            if not candidate.open and subject.get("type") == "indicator":
                lost[f"{candidate.verdict.value} {last_rule(candidate)}"] += 1
            if candidate.open:
                left += handles(entry["path"], subject, people)
    print(f"   verdicts {dict(verdicts)}; files that no format claims {unclaimed}")
    print(f"   indicators closed, by rule {dict(lost.most_common())}")
    costs = {name: count for name, count in lost.items() if name.split()[1] in PRIVACY}
    print(f"   of these by a privacy rule {costs}")
    print(f"   handles, creators and authors left {len(left)}")
    for each in left[:show]:
        print("     ", each)


def handles(path: str, subject: dict, people: set[str]) -> list[str]:
    """What names a person in the texts of an object that would be shared."""
    kept = {k: v for k, v in subject.items() if k not in ("pattern", "id", "value")}
    text = json.dumps(kept, ensure_ascii=False)
    found = [m[0] for m in _HANDLE.finditer(text)] if "tweetfeed" in path else []
    found += [name for name in people if name in text]
    found += [
        m[0] for value in kept.values() if isinstance(value, str) for m in _AUTHOR.finditer(value)
    ]
    return [f"{path}: {each!r} in {text[:160]}" for each in found]
