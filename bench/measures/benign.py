"""Warning lists on real indicators: only an exact match may hold or refuse one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measures.fixtures import (
    as_candidates,
    closing_finding,
    closing_rule,
    examine_batch,
    indicator,
    read_content,
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
    exact = read_list_entries(folder / "benign")
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for batch in read_batches(folder):
        examined = examine_batch(
            as_candidates(
                indicator(n, pattern_for(kind, value)) for n, (kind, value) in enumerate(batch)
            )
        )
        for candidate, (kind, value) in zip(examined, batch, strict=True):
            rule = closing_rule(candidate)
            if candidate.is_open:
                labels = (candidate.object or {}).get("labels", ())
                counts["kept, labelled by a list"] += "benign-infrastructure" in labels
                counts["kept"] += 1
            else:
                counts[f"{candidate.verdict.value} by {rule}"] += 1
            if not candidate.is_open and rule == "benign" and value.rstrip(".") not in exact:
                why = closing_finding(candidate)
                wrong.append(f"{kind} {value}: {why.message if why else 'no finding'}")
    for name, count in counts.most_common():
        print(f"   {name:40} {count:8}")
    print(f"   held or refused by a list without an exact entry {len(wrong)}")
    for each in wrong[:show]:
        print("     ", each)


def read_list_entries(folder: Path) -> frozenset[str]:
    """Every entry of every list, in lower case."""
    found: set[str] = set()
    for path in folder.rglob("list.json*"):
        found.update(
            word.strip().strip('",').lower() for word in read_content(path).decode().split()
        )
    return frozenset(found)


def read_batches(folder: Path, size: int = 2_000) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    for line in read_content(folder / "distinct_indicators.tsv.xz").decode().splitlines():
        kind, value, _ = line.split("\t")
        batch.append((kind, value))
        if len(batch) == size:
            yield batch
            batch = []
    yield batch


def pattern_for(kind: str, value: str) -> str:
    """The pattern for a value."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return PATTERNS[kind].format(escaped)
