"""Warning lists over real indicators: none may be dropped but by an exact hit."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measures.court import (
    closed_by,
    closing,
    content,
    indicator,
    judged,
    objects,
)

PATTERNS = {
    "ipv4": "[ipv4-addr:value = '{}']",
    "ipv6": "[ipv6-addr:value = '{}']",
    "domain": "[domain-name:value = '{}']",
    "url": "[url:value = '{}']",
    "email": "[email-addr:value = '{}']",
    "md5": "[file:hashes.MD5 = '{}']",
    "sha1": "[file:hashes.'SHA-1' = '{}']",
    "sha256": "[file:hashes.'SHA-256' = '{}']",
    "sha512": "[file:hashes.'SHA-512' = '{}']",
}


def measure(folder: Path, show: int) -> None:
    exact = listed(folder / "benign")
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for batch in batches(folder):
        told = judged(
            objects(indicator(n, on(kind, value)) for n, (kind, value) in enumerate(batch))
        )
        for candidate, (kind, value) in zip(told, batch, strict=True):
            rule = closed_by(candidate)
            if candidate.is_open:
                labels = (candidate.object or {}).get("labels", ())
                counts["kept, marked as touching a list"] += "benign-infrastructure" in labels
                counts["kept"] += 1
            else:
                counts[f"{candidate.verdict.value} by {rule}"] += 1
            if not candidate.is_open and rule == "benign" and value.rstrip(".") not in exact:
                why = closing(candidate)
                wrong.append(f"{kind} {value}: {why.message if why else 'no finding'}")
    for name, count in counts.most_common():
        print(f"   {name:40} {count:8}")
    print(f"   closed by a list, but exactly on none of the files here {len(wrong)}")
    for each in wrong[:show]:
        print("     ", each)


def listed(folder: Path) -> frozenset[str]:
    """Every line of every list, in lower case."""
    found: set[str] = set()
    for path in folder.rglob("list.json*"):
        found.update(word.strip().strip('",').lower() for word in content(path).decode().split())
    return frozenset(found)


def batches(folder: Path, size: int = 2_000) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    for line in content(folder / "distinct_indicators.tsv.xz").decode().splitlines():
        kind, value, _ = line.split("\t")
        batch.append((kind, value))
        if len(batch) == size:
            yield batch
            batch = []
    yield batch


def on(kind: str, value: str) -> str:
    """The pattern for a value."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return PATTERNS[kind].format(escaped)
