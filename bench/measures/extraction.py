"""How well the formats find indicators in labelled texts: precision and recall.

A measure of bench/quality.  The folder holds `text-gt/`; `tools/iocnorm.py` brings
wanted and found values into one spelling.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measures.baseline import Baseline, Value, decode_text
from measures.fixtures import NOW, read_content
from tocsin.admission import formats
from tocsin.admission.observables.values import extract_observables

WANTED = {
    "domains": "domain",
    "urls": "url",
    "urls_complete": "url",
    "ipv4s": "ipv4",
    "ipv6s": "ipv6",
    "ipv4_cidrs": "cidr",
    "email_addresses": "email",
    "email_addresses_complete": "email",
    "xmpp_addresses": "email",
    "md5s": "md5",
    "sha1s": "sha1",
    "sha256s": "sha256",
    "sha512s": "sha512",
}


def measure(folder: Path, show: int) -> None:
    score_labelled_texts(folder / "text-gt", Baseline(folder), show)


def extract_values(name: str, raw: bytes) -> list[str]:
    """Extract the values that our formats find in a file."""
    reading = formats.ReadOptions(now=NOW)
    taken = (each.object for each in formats.read(name, raw, reading) if each.object is not None)
    return [each.value for subject in taken for each in extract_observables(subject)]


def score_labelled_texts(folder: Path, baseline: Baseline, show: int) -> None:
    print("labelled texts            wanted  right  wrong missed  precision recall")
    total: Counter[str] = Counter()
    for name, cases in (
        ("ioc-finder-cases", ioc_finder(folder, baseline)),
        ("txt2stix", txt2stix(folder, baseline)),
        ("cyner", cyner(folder, baseline)),
    ):
        score: Counter[str] = Counter()
        for text, wanted, allowed in cases:
            got = baseline.normalise_all(extract_values("case.txt", text.encode()))
            wrong, missed = got - wanted - allowed, wanted - got
            score.update(right=len(got & wanted), wrong=len(wrong), missed=len(missed))
            for word, values in (("wrong", wrong), ("missed", missed)):
                for value in sorted(values)[: max(0, show)]:
                    print(f"   {name}: {word} {value[0]} {value[1][:90]}")
        print_score(name, score)
        total.update(score)
    print_score("all", total)


def print_score(name: str, score: Counter[str]) -> None:
    right, wrong, missed = score["right"], score["wrong"], score["missed"]
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    print(
        f"{name:24} {right + missed:7} {right:6} {wrong:6} {missed:6}"
        f"  {precision:9.3f} {recall:6.3f}"
    )


Case = tuple[str, set[Value], set[Value]]
"""A text, the values that must be found in it, and further ones that may be found."""


def ioc_finder(folder: Path, baseline: Baseline) -> Iterator[Case]:
    """Cases with expected values.  Hosts of URLs and addresses need not come out by themselves."""
    for line in read_content(folder / "ioc-finder-cases" / "ioc_cases.jsonl").decode().splitlines():
        case = json.loads(line)
        values = {
            name: baseline.normalise_all(map(str, expected))
            for name, expected in case["expected"].items()
            if name in WANTED and isinstance(expected, list)
        }
        every: set[Value] = set().union(*values.values())
        bare = parse_schemeless_urls(case["expected"], baseline)
        whole = values.get("urls_complete", values.get("urls", set())) | bare
        whole = {url for url in whole if "://attack.mitre.org/" not in url[1]}  # a reference
        holders = [value for kind, value in every | bare if kind in ("url", "email", "cidr")]
        inside = " ".join(holders)
        wanted = {
            value
            for value in every
            if value[0] != "url" and not (value[0] in ("domain", "ipv4") and value[1] in inside)
        }
        yield case["text"], wanted | longest_urls(whole), every | bare


def longest_urls(urls: set[Value]) -> set[Value]:
    """Of URLs of which one is a prefix of another, only the longest."""
    return {u for u in urls if not any(v != u and v[1].startswith(u[1]) for v in urls)}


def parse_schemeless_urls(expected: dict[str, object], baseline: Baseline) -> set[Value]:
    urls = [*as_list(expected.get("urls")), *as_list(expected.get("urls_complete"))]
    return baseline.normalise_all(["http://" + url for url in urls if "://" not in url])


def as_list(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def txt2stix(folder: Path, baseline: Baseline) -> Iterator[Case]:
    """One kind per file, with good and bad lines; bad ones are of other kinds or of none."""
    names = "url domain* ipv4* ipv6* email_address file_hash_*"
    for part in names.split():
        for path in sorted((folder / "txt2stix").rglob(f"generic_{part}.txt*")):
            good, _, bad = read_content(path).decode().partition("====Bad====")
            yield good, baseline.normalise_all(good.split()), set()
            yield (
                bad,
                baseline.normalise_all(drop_other_kinds(bad.split())),
                baseline.normalise_all(add_without_ports(bad.split())),
            )


def drop_other_kinds(words: list[str]) -> list[str]:
    return [word for word in words if not re.search(r":/\d|/\d{3,}|:\d{6}", word)]


def add_without_ports(words: list[str]) -> list[str]:
    return words + [re.sub(r"^\[(.*)\]:\d+$", r"\1", word) for word in words]


def cyner(folder: Path, baseline: Baseline) -> Iterator[Case]:
    """Sentences with labelled words; labels that are not network or hash values are skipped."""
    for path in sorted((folder / "cyner").rglob("*.txt*")):
        for sentence in decode_text(read_content(path)).split("\n\n"):
            rows = [line.split("\t") for line in sentence.splitlines() if "\t" in line]
            text = join_words([row[0] for row in rows])
            marked = join_words([row[0] if "Indicator" in row[1] else "\u2003" for row in rows])
            wanted = {
                v for v in parse_words(split_words(marked), baseline) if not is_package_or_file(v)
            }
            everything = parse_words(split_words(text), baseline)
            yield text, wanted, {v for v in everything if v[0] != "domain" or is_package_or_file(v)}


def parse_words(words: list[str], baseline: Baseline) -> set[Value]:
    """The values of the words, including `host/path` without a scheme."""
    urls = ["http://" + word for word in words if "/" in word and "//" not in word]
    return baseline.normalise_all(words) | baseline.normalise_all(urls)


def is_package_or_file(value: Value) -> bool:
    """True for an Android package or a file: labelled as indicators too, but of another kind."""
    named = r"(com|org|net|co|bcc|bcn|btc|btg|jp|eu)\..*|[^/]*\.(so|sh|py|zip|app|md|pl)"
    return value[0] == "domain" and re.fullmatch(named, value[1]) is not None


def join_words(words: list[str]) -> str:
    """Join the words of a sentence, putting defanged values together again."""
    text = " ".join(words)
    text = re.sub(r"(?i)\b(h[tx]{2}ps?|ftp) : //", r"\1://", text)
    return re.sub(r" ?\[ \. \] ?", "[.]", text)


def split_words(text: str) -> list[str]:
    return [word.strip(".,;:()\"'\u201d\u2033") for word in text.split()]
