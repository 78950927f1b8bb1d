"""Real submissions: leaked names of people, and indicators held or refused by a privacy rule.

The people named in a file are read from the file itself, as its publisher writes them:
TweetFeed's column of reporters, MISP's creators, the authors under a Unit 42 note.  None of
their names may occur anywhere in a shared object.

MISP events are measured twice more, because most of those that name people are drafts: once
with all of them published to everyone, and once with `to_ids` on everything as well, as a
careless partner might.  Then not even organisations and victims may show.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measures.fixtures import (
    closing_finding,
    closing_rule,
    examine_batch,
    read_candidates,
    read_corpus,
    read_json_lines,
)
from tocsin.admission import formats
from tocsin.admission.errors import ShareError
from tocsin.admission.formats.misp import FORMAT as MISP
from tocsin.admission.model import Action, Candidate, StixObject

PRIVACY = (
    *("anonymise_source", "personal_data", "victim_terms", "user_paths", "message_headers"),
    "payloads",
)
_TWEETED = re.compile(r"^\d{4}-\d\d-\d\d[ T][\d:]{8},(\w{3,30}),", re.MULTILINE)
_POSTED = re.compile(r"(?:twitter|x)\.com/(\w{3,30})/status/")
_CREATOR = re.compile(r'"(?:event_creator_email|creator_email)"\s*:\s*"([^"]+)"')
_SIGNED = re.compile(r"^AUTHORS?:\s*((?:[-* ]*\w[^\n:]*\n)+)", re.MULTILINE)
_AUTHOR = re.compile(r"(?im)^\W{0,5}(?:author|reporter|reported by|analyst)s?\W+([^\n]{3,60})$")
_ORGANISATION = re.compile(r'"Orgc?"\s*:\s*\{[^{}]*?"name"\s*:\s*"([^"\\]{3,})"')
_NOT_READ = frozenset(("pattern", "id", "value", "created_by_ref"))
"""Properties that hold values and ids, not words that a person wrote."""


class Tally:
    """Outcomes of real files."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.review_requests: Counter[str] = Counter()
        self.leaked: list[str] = []
        self.explained: list[str] = []
        self.named = 0

    def add_candidate(self, file: str, candidate: Candidate, people: frozenset[str]) -> None:
        self.verdicts[candidate.verdict.value] += 1
        self.review_requests.update(f.rule for f in candidate.findings if f.action is Action.ASKED)
        subject = candidate.object or {}
        if candidate.is_open:
            self.leaked += find_leaks(file, subject, people)
        elif subject.get("type") == "indicator":
            rule = closing_rule(candidate)
            self.lost[f"{candidate.verdict.value} {rule}"] += 1
            why = closing_finding(candidate)
            if rule in PRIVACY and why:
                self.explained.append(f"{file}: {subject.get('pattern', '')[:120]}: {why.message}")

    def print_totals(self, show: int) -> None:
        costs = {name: count for name, count in self.lost.items() if name.split()[1] in PRIVACY}
        print(f"   verdicts {dict(self.verdicts)}")
        print(f"   files {dict(self.files)}")
        print(f"   indicators held or refused, by rule {dict(self.lost.most_common())}")
        print(f"   of these, by a privacy rule {costs}")
        print(f"   objects with a question to an analyst, by rule {dict(self.review_requests)}")
        print(f"   people named in these files {self.named}")
        print(f"   handles, creators and authors that leaked {len(self.leaked)}")
        for each in (*self.leaked[:show], *self.explained[:show]):
            print("     ", each)


def measure(folder: Path, show: int) -> None:
    labelled = read_labels(folder)
    tally = Tally()
    for entry, raw in read_corpus(folder, "stix", "reports", "iocs", "misp"):
        file = entry["file"]
        try:
            candidates = read_candidates(entry["path"], raw)
        except ShareError:
            tally.files["refused as a whole"] += 1
            continue
        tally.files["read" if candidates else "claimed by no format, or empty"] += 1
        people = find_people(raw.decode("utf-8", "replace")) | labelled.get(file, frozenset())
        tally.named += len(people) if candidates else 0
        for candidate in examine_batch(candidates):
            tally.add_candidate(file, candidate, people)
    tally.print_totals(show)
    for careless in (False, True):
        measure_published_events(folder, show, labelled, careless)


def measure_published_events(
    folder: Path, show: int, labelled: Mapping[str, frozenset[str]], careless: bool
) -> None:
    """Measure the MISP events as if all had been published to everyone."""
    print(f"   MISP events, all published{', to_ids on everything' if careless else ''}:")
    tally = Tally()
    for entry, raw in read_corpus(folder, "misp", "reports"):
        if formats.detect_format(entry["path"], raw) is not MISP:
            continue
        text = json.dumps(publish_all(json.loads(raw), careless), ensure_ascii=False)
        organisations = frozenset(_ORGANISATION.findall(text)) - {"MISP"}  # as galaxies are
        people = labelled.get(entry["file"], frozenset()) | find_people(text) | organisations
        tally.files["read"] += 1
        tally.named += len(people)
        for candidate in examine_batch(read_candidates(entry["path"], text.encode())):
            tally.add_candidate(entry["file"], candidate, people)
    tally.print_totals(show)


def publish_all(part: Any, careless: bool) -> Any:
    """A copy of the event without anything that keeps it from being shared."""
    if isinstance(part, list):
        return [publish_all(each, careless) for each in part]
    if not isinstance(part, dict):
        return part
    copied = {name: publish_all(value, careless) for name, value in part.items()}
    copied |= {"published": True} if "published" in part else {}
    copied |= {"distribution": "3"} if "distribution" in part else {}
    return copied | ({"to_ids": True} if careless and "to_ids" in part else {})


def read_labels(folder: Path) -> dict[str, frozenset[str]]:
    """The analysts and victims of each file, from hand-made labels."""
    found: dict[str, set[str]] = defaultdict(set)
    for each in read_json_lines(folder / "pii" / "misp-labels" / "labels.jsonl"):
        if each["label"] in ("analyst", "victim"):
            found[each["file"]].add(each["value"])
    return {file: frozenset(people) for file, people in found.items()}


def find_people(text: str) -> frozenset[str]:
    """The people whom a file names as its reporters, creators or authors."""
    signed = (
        name.strip(" -*\r\t")
        for block in _SIGNED.findall(text.replace("\r", ""))
        for name in re.split(r"[,\n]| and ", block)
    )
    found = [*_TWEETED.findall(text), *_POSTED.findall(text), *_CREATOR.findall(text), *signed]
    return frozenset(name for name in found if len(name) > 2)


def find_leaks(path: str, subject: StixObject, people: frozenset[str]) -> list[str]:
    """The names of people in the texts of an object that would be shared, each with its file."""
    kept = {k: v for k, v in subject.items() if k not in _NOT_READ}
    text = json.dumps(kept, ensure_ascii=False)
    lower = text.lower()
    found = [name for name in people if name.lower() in lower and is_whole_word(name, text)]
    found += [
        m[0]
        for value in kept.values()
        if isinstance(value, str)
        for m in _AUTHOR.finditer(value)
        if "[removed: " not in m[0]
    ]
    return [f"{path}: {each!r} in {text[:160]}" for each in found]


def is_whole_word(name: str, text: str) -> bool:
    """True if the name occurs as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) is not None
