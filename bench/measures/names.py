"""Persons and postal addresses: the rules, the recogniser (an extra), and both together.

A labelled span counts as found if half of it is covered, and a mask as right if half of it is
labelled with its kind.  Prose about attacks is not labelled: there the share that would be
masked is printed, and what would be (--show).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from measures.fixtures import read_content, read_corpus
from measures.pii import Span, Text, default_regions, labelled_sets
from tocsin.admission.detectors.person_names import PERSON
from tocsin.admission.detectors.postal_addresses import POSTAL_ADDRESS
from tocsin.admission.recogniser.recogniser import find_recognised, is_installed
from tocsin.admission.rules.personal_data import find_personal_data

KINDS = (PERSON, POSTAL_ADDRESS)
Find = Callable[[str], list[Span]]
_PROSE = re.compile(r"\.(?:txt|md|adoc)(?:\.xz)?$")


def measure(folder: Path, show: int) -> None:
    ways: dict[str, Find] = {"rules": find_by_rules}
    if is_installed():
        ways |= {"recogniser": find_by_recogniser, "both": find_by_both}
    else:
        print("   the recogniser is not installed: only the rules are measured")
    for name, texts in (*labelled_sets(folder), ("wnut17", list(read_wnut17(folder)))):
        print(f"{name} ({len(texts)} texts)             wanted recall precision")
        for way, find in ways.items():
            score_texts(way, texts, find, show)
    for way, find in ways.items():
        measure_prose(folder, way, find, show)


def find_by_rules(text: str) -> list[Span]:
    found = find_personal_data(text, frozenset(KINDS), default_regions())
    return [(span.start, span.end, span.what) for span in found]


def find_by_recogniser(text: str) -> list[Span]:
    return [(span.start, span.end, span.what) for span in find_recognised(text)]


def find_by_both(text: str) -> list[Span]:
    return join([*find_by_rules(text), *find_by_recogniser(text)])


def join(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those of one kind that overlap as one."""
    joined: dict[str, list[tuple[int, int]]] = {}
    for start, end, kind in sorted(spans):
        those = joined.setdefault(kind, [])
        if those and start < those[-1][1]:
            those[-1] = (those[-1][0], max(end, those[-1][1]))
        else:
            those.append((start, end))
    return [(start, end, kind) for kind, those in joined.items() for start, end in those]


def score_texts(way: str, texts: Iterable[Text], find: Find, show: int) -> None:
    scores: Mapping[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    errors: list[str] = []
    for text, labels in texts:
        found = join(find(text))
        for kind in KINDS:
            wanted = [span for span in labels if span[2] == kind]
            got = [span for span in found if span[2] == kind]
            missed = [span for span in wanted if not is_half_covered(span, got)]
            wrong = [span for span in got if not is_half_covered(span, wanted)]
            scores[kind].update(wanted=len(wanted), missed=len(missed))
            scores[kind].update(got=len(got), wrong=len(wrong))
            for word, spans in (("missed", missed), ("wrong", wrong)):
                errors += [f"{word} {kind}: {text[s:e]!r} in {text[:110]!r}" for s, e, _ in spans]
    for kind, counts in scores.items():
        if counts["wanted"]:
            recall = 1 - counts["missed"] / counts["wanted"]
            precision = 1 - counts["wrong"] / max(1, counts["got"])
            print(f"   {way:10} {kind:16} {counts['wanted']:10} {recall:6.2f} {precision:9.2f}")
    for error in errors[:show]:
        print("     ", error)


def is_half_covered(span: Span, others: Iterable[Span]) -> bool:
    start, end, _ = span
    shared = sum(max(0, min(end, e) - max(start, s)) for s, e, _ in others)
    return 2 * shared >= end - start


def measure_prose(folder: Path, way: str, find: Find, show: int) -> None:
    characters = masked = 0
    found: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for entry, raw in read_corpus(folder, "reports"):
        if not _PROSE.search(entry["file"]):
            continue
        text = raw.decode("utf-8", "replace")
        characters += len(text)
        for start, end, kind in join(find(text)):
            masked += end - start
            counts[kind] += 1
            found[f"{kind}: {text[start:end]!r}"] += 1
    shares = f"{masked / max(1, characters):.2%} of {characters // 1000} KB"
    print(f"   prose, {way:10} {dict(counts)}, {shares}")
    for each, count in found.most_common(show):
        print(f"      {count} {each}")


def read_wnut17(folder: Path) -> Iterator[Text]:
    """Tweets, one word a line with its label; labelled are persons, those in songs too."""
    path = folder / "pii" / "wnut17" / "emerging.dev.conll.xz"
    for block in re.split(r"\n\s*\n", read_content(path).decode()):
        text, spans = "", list[Span]()
        for line in filter(str.strip, block.split("\n")):
            word, label = line.split("\t")[:2]
            start, text = len(text), f"{text}{word} "
            if label == "B-person":
                spans.append((start, start + len(word), PERSON))
            elif label == "I-person" and spans:
                spans[-1] = (spans[-1][0], start + len(word), PERSON)
        if text:
            yield text.rstrip(), spans
