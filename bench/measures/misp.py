"""MISP events: outcomes of real ones, and their merge keys compared with other formats.

Some publishers offer the same feed as a table, as MISP and as STIX.  Values are compared by
merge key without the TLP level, which differs between the files.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measures.fixtures import examine_batch, read_candidates, read_corpus
from tocsin.admission import formats
from tocsin.admission.errors import ShareError
from tocsin.admission.formats.misp import FORMAT
from tocsin.admission.merge.identity import indicator_key
from tocsin.admission.model import Candidate, Verdict

_PAIRS = (
    ("tweetfeed", "iocs", "tweetfeed"),
    ("tweetfeed", "stix", "tweetfeed-taxii"),
    ("infoblox", "iocs", "infoblox"),
    ("stalkerware", "iocs", "stalkerware"),
)
"""Publishers of MISP events, and the set and name of the same data in another format."""
_WITHHELD = re.compile(r"(\d+) ([^,;]+)")
_PLACE = re.compile(r"^(?:event \d+, )?(?:object \d+, )?(?:attribute|object) \d+ ?")


def measure(folder: Path, show: int) -> None:
    examined = [c for entry, raw in read_corpus(folder, "misp") for c in candidates_of(entry, raw)]
    total, wanted = count_attributes(folder)
    types = Counter(c.object["type"] for c in examined if c.object is not None)
    print(f"   attributes {total}, of these with to_ids {wanted}")
    print(
        f"   objects {dict(types)}, refused {sum(c.verdict is Verdict.REFUSED for c in examined)}"
    )
    reasons = Counter(why for c in examined for why in refusal_reasons(c))
    for why, count in reasons.most_common(show or 30):
        print(f"      refused {count:6}  {why}")
    for why, count in count_withheld(examined).most_common(show or 40):
        print(f"      omitted {count:6}  {why}")
    for publisher, kind, other in _PAIRS:
        ours = merge_keys(folder, "misp", publisher)
        theirs = merge_keys(folder, kind, other)
        both = len(ours.keys() & theirs.keys())
        print(
            f"   {publisher}: {len(ours)} values as MISP, {len(theirs)} in {kind}/{other}, "
            f"under one key {both}"
        )
        for key in sorted(ours.keys() - theirs.keys())[:show]:
            print(f"      only as MISP: {ours[key][:150]}")


def candidates_of(entry: dict[str, Any], raw: bytes) -> list[Candidate]:
    try:
        return read_candidates(entry["path"], raw)
    except ShareError:
        return []


def refusal_reasons(candidate: Candidate) -> Iterator[str]:
    """The reason of a refusal, without its place."""
    if candidate.verdict is Verdict.REFUSED:
        message = candidate.findings[-1].message.partition("; not shared:")[0]
        yield _PLACE.sub("", message)


def count_withheld(examined: list[Candidate]) -> Counter[str]:
    """Count the parts that findings name as not shared, by kind and reason."""
    found: Counter[str] = Counter()
    for candidate in examined:
        for finding in candidate.findings:
            _, _, listed = finding.message.partition("not shared: ")
            for count, why in _WITHHELD.findall(listed):
                found[why] += int(count)
    return found


def count_attributes(folder: Path) -> tuple[int, int]:
    """Count the attributes of the events, and those with `to_ids`."""
    found = [
        attribute["to_ids"] is True
        for entry, raw in read_corpus(folder, "misp")
        if formats.detect_format(entry["path"], raw) is FORMAT
        for attribute in find_attributes(json.loads(raw))
    ]
    return len(found), sum(found)


def find_attributes(part: object) -> Iterator[dict[str, Any]]:
    """Every attribute in a file, at any depth."""
    if isinstance(part, dict):
        if "to_ids" in part and "value" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from find_attributes(each)


def merge_keys(folder: Path, kind: str, publisher: str) -> dict[str, str]:
    """The indicators of a publisher's files: merge key and pattern."""
    found: dict[str, str] = {}
    for entry, raw in read_corpus(folder, kind):
        if entry["publisher"] == publisher:
            for candidate in examine_batch(candidates_of(entry, raw)):
                subject = candidate.object or {}
                if candidate.key and subject.get("type") == "indicator":
                    pattern = subject["pattern"]
                    found[indicator_key(subject["pattern_type"], pattern, "")] = pattern
    return found
