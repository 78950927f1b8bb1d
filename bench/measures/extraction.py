"""How well the formats find indicators in labelled texts: precision and recall.

A measure of bench/quality.  The folder holds `text-gt/`; `tools/iocnorm.py` spells what is
wanted and what is found alike.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from measures.court import NOW, content
from measures.ruler import Ruler, Value, decoded
from tocsin.admission import formats
from tocsin.admission.observables.extract import extract_observables

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
    labelled(folder / "text-gt", Ruler(folder), show)


def found(name: str, raw: bytes) -> list[str]:
    """The values that our formats find in a file."""
    reading = formats.ReadOptions(now=NOW)
    taken = (each.object for each in formats.read(name, raw, reading) if each.object is not None)
    return [each.value for subject in taken for each in extract_observables(subject)]


def labelled(folder: Path, ruler: Ruler, show: int) -> None:
    print("labelled texts            wanted  right  wrong missed  precision recall")
    total: Counter[str] = Counter()
    for name, cases in (
        ("ioc-finder-cases", ioc_finder(folder, ruler)),
        ("txt2stix", txt2stix(folder, ruler)),
        ("cyner", cyner(folder, ruler)),
    ):
        score: Counter[str] = Counter()
        for text, wanted, allowed in cases:
            got = ruler.normal(found("case.txt", text.encode()))
            wrong, missed = got - wanted - allowed, wanted - got
            score.update(right=len(got & wanted), wrong=len(wrong), missed=len(missed))
            for word, values in (("wrong", wrong), ("missed", missed)):
                for value in sorted(values)[: max(0, show)]:
                    print(f"   {name}: {word} {value[0]} {value[1][:90]}")
        report(name, score)
        total.update(score)
    report("all", total)


def report(name: str, score: Counter[str]) -> None:
    right, wrong, missed = score["right"], score["wrong"], score["missed"]
    precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
    print(
        f"{name:24} {right + missed:7} {right:6} {wrong:6} {missed:6}"
        f"  {precision:9.3f} {recall:6.3f}"
    )


Case = tuple[str, set[Value], set[Value]]
"""A text, what must be found in it, and what may be found besides."""


def ioc_finder(folder: Path, ruler: Ruler) -> Iterator[Case]:
    """Cases with expected values.  Hosts of URLs and addresses need not come out by themselves."""
    for line in content(folder / "ioc-finder-cases" / "ioc_cases.jsonl").decode().splitlines():
        case = json.loads(line)
        values = {
            name: ruler.normal(map(str, expected))
            for name, expected in case["expected"].items()
            if name in WANTED and isinstance(expected, list)
        }
        every: set[Value] = set().union(*values.values())
        bare = schemeless(case["expected"], ruler)
        whole = values.get("urls_complete", values.get("urls", set())) | bare
        holders = [value for kind, value in every | bare if kind in ("url", "email", "cidr")]
        inside = " ".join(holders)
        wanted = {
            value
            for value in every
            if value[0] != "url" and not (value[0] in ("domain", "ipv4") and value[1] in inside)
        }
        yield case["text"], wanted | one_of(whole), every | bare


def one_of(urls: set[Value]) -> set[Value]:
    """Of URLs that are each other's beginnings, the longest."""
    return {u for u in urls if not any(v != u and v[1].startswith(u[1]) for v in urls)}


def schemeless(expected: dict[str, object], ruler: Ruler) -> set[Value]:
    urls = [*listed(expected.get("urls")), *listed(expected.get("urls_complete"))]
    return ruler.normal(["http://" + url for url in urls if "://" not in url])


def listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def txt2stix(folder: Path, ruler: Ruler) -> Iterator[Case]:
    """One kind a file, with good and bad lines; bad ones are other kinds, or nothing at all."""
    names = "url domain* ipv4* ipv6* email_address file_hash_*"
    for part in names.split():
        for path in sorted((folder / "txt2stix").rglob(f"generic_{part}.txt*")):
            good, _, bad = content(path).decode().partition("====Bad====")
            yield good, ruler.normal(good.split()), set()
            yield bad, ruler.normal(clean(bad.split())), ruler.normal(portless(bad.split()))


def clean(words: list[str]) -> list[str]:
    return [word for word in words if not re.search(r":/\d|/\d{3,}|:\d{6}", word)]


def portless(words: list[str]) -> list[str]:
    return words + [re.sub(r"^\[(.*)\]:\d+$", r"\1", word) for word in words]


def cyner(folder: Path, ruler: Ruler) -> Iterator[Case]:
    """Sentences with labelled words; labels that are no network or hash value fall away."""
    for path in sorted((folder / "cyner").rglob("*.txt*")):
        for sentence in decoded(content(path)).split("\n\n"):
            rows = [line.split("\t") for line in sentence.splitlines() if "\t" in line]
            text = glued([row[0] for row in rows])
            marked = glued([row[0] if "Indicator" in row[1] else "\u2003" for row in rows])
            wanted = {v for v in with_bare(words_of(marked), ruler) if not package_or_file(v)}
            everything = with_bare(words_of(text), ruler)
            yield text, wanted, {v for v in everything if v[0] != "domain" or package_or_file(v)}


def with_bare(words: list[str], ruler: Ruler) -> set[Value]:
    """The words' values, `host/path` without a scheme included."""
    urls = ["http://" + word for word in words if "/" in word and "//" not in word]
    return ruler.normal(words) | ruler.normal(urls)


def package_or_file(value: Value) -> bool:
    """Android packages and files are labelled as indicators too, but are of another kind."""
    named = r"(com|org|net|co|bcc|bcn|btc|btg|jp|eu)\..*|[^/]*\.(so|sh|py|zip|app|md|pl)"
    return value[0] == "domain" and re.fullmatch(named, value[1]) is not None


def glued(words: list[str]) -> str:
    """The words of a sentence, with defanged ones put together again."""
    text = " ".join(words)
    text = re.sub(r"(?i)\b(h[tx]{2}ps?|ftp) : //", r"\1://", text)
    return re.sub(r" ?\[ \. \] ?", "[.]", text)


def words_of(text: str) -> list[str]:
    return [word.strip(".,;:()\"'\u201d\u2033") for word in text.split()]
