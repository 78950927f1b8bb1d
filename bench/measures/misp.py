"""MISP events: what becomes of real ones, and whether one value is one indicator in every format.

Some publishers give the same feed as a table, as MISP and as STIX.  Values are compared by
the key by which the hub merges, without the level, which each file states as it likes.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measures.court import corpus, judged, read
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
"""Publishers of MISP events, and the set and name of what else they publish."""
_LEFT = re.compile(r"(\d+) ([^,;]+)")
_PLACE = re.compile(r"^(?:event \d+, )?(?:object \d+, )?(?:attribute|object) \d+ ?")


def measure(folder: Path, show: int) -> None:
    told = [c for entry, raw in corpus(folder, "misp") for c in candidates(entry, raw)]
    total, wanted = written(folder)
    made = Counter(c.object["type"] for c in told if c.object is not None)
    print(f"   attributes {total}, of these with to_ids {wanted}")
    print(f"   made {dict(made)}, refused {sum(c.verdict is Verdict.REFUSED for c in told)}")
    reasons = Counter(why for c in told for why in refusals(c))
    for why, count in reasons.most_common(show or 30):
        print(f"      refused {count:6}  {why}")
    for why, count in left(told).most_common(show or 40):
        print(f"      left    {count:6}  {why}")
    for publisher, kind, other in _PAIRS:
        ours = keys(folder, "misp", publisher)
        theirs = keys(folder, kind, other)
        both = len(ours.keys() & theirs.keys())
        print(
            f"   {publisher}: {len(ours)} values as MISP, {len(theirs)} in {kind}/{other}, "
            f"under one key {both}"
        )
        for key in sorted(ours.keys() - theirs.keys())[:show]:
            print(f"      only as MISP: {ours[key][:150]}")


def candidates(entry: dict, raw: bytes) -> list[Candidate]:
    try:
        return read(entry["path"], raw)
    except ShareError:
        return []


def refusals(candidate: Candidate) -> Iterator[str]:
    """Why something was refused, without its place."""
    if candidate.verdict is Verdict.REFUSED:
        message = candidate.findings[-1].message.partition("; not shared:")[0]
        yield _PLACE.sub("", message)


def left(told: list[Candidate]) -> Counter[str]:
    """What the partners are told that is not shared, by kind and reason."""
    found: Counter[str] = Counter()
    for candidate in told:
        for finding in candidate.findings:
            _, _, listed = finding.message.partition("not shared: ")
            for count, why in _LEFT.findall(listed):
                found[why] += int(count)
    return found


def written(folder: Path) -> tuple[int, int]:
    """How many attributes the events have, and how many of them with `to_ids`."""
    found = [
        attribute["to_ids"] is True
        for entry, raw in corpus(folder, "misp")
        if formats.detect_format(entry["path"], raw) is FORMAT
        for attribute in attributes(json.loads(raw))
    ]
    return len(found), sum(found)


def attributes(part: object) -> Iterator[dict]:
    """Everything in a file that is an attribute, wherever it stands."""
    if isinstance(part, dict):
        if "to_ids" in part and "value" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from attributes(each)


def keys(folder: Path, kind: str, publisher: str) -> dict[str, str]:
    """The indicators of a publisher's files: merge key and pattern."""
    found: dict[str, str] = {}
    for entry, raw in corpus(folder, kind):
        if entry["publisher"] == publisher:
            for candidate in judged(candidates(entry, raw)):
                subject = candidate.object or {}
                if candidate.key and subject.get("type") == "indicator":
                    pattern = subject["pattern"]
                    found[indicator_key(subject["pattern_type"], pattern, "")] = pattern
    return found
