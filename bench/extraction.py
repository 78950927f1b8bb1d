"""How well the formats find indicators: against labelled texts, and against a ruler.

A measure of bench/quality.  The folder holds `text-gt/`, `iocs/`, `reports/`, `manifest.jsonl`
and `tools/iocnorm.py`, a small normaliser that counts every word or cell which is an
indicator as a whole.  It prints precision and recall on the labelled texts, then the number of
distinct indicators beside the ruler's, with the reasons of the difference.
"""

import csv
import importlib.util
import ipaddress
import json
import lzma
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tocsin.admission import formats
from tocsin.admission.patterns import observables

NOW = 1_790_000_000_000_000
Value = tuple[str, str]
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
    csv.field_size_limit(1 << 24)
    ruler = loaded(folder / "tools" / "iocnorm.py")
    labelled(folder / "text-gt", ruler, show)
    counted(folder, ruler, show)


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("ruler", path)
    if spec is None or spec.loader is None:
        sys.exit(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def content(path: Path) -> bytes:
    raw = path.read_bytes()
    return lzma.decompress(raw) if path.suffix == ".xz" else raw


def decoded(raw: bytes) -> str:
    utf16 = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    return raw.decode("utf-16" if utf16 else "utf-8-sig", "replace")


def found(name: str, raw: bytes) -> list[str]:
    """The values that our formats find in a file."""
    reading = formats.Reading(now=NOW)
    taken = (each.object for each in formats.read(name, raw, reading) if each.object is not None)
    return [each.value for subject in taken for each in observables(subject)]


def normal(values: Iterator[str] | list[str], ruler: ModuleType) -> set[Value]:
    """Values as the ruler spells them, networks besides."""
    spelt: set[Value] = set()
    for value in values:
        told = ruler.classify(value)
        if told is None and re.fullmatch(r"[\d.]+/\d+|[0-9A-Fa-f:]+/\d+", value):
            told = network(value)
        if told is not None:
            spelt.add(told)
    return spelt


def network(text: str) -> Value | None:
    try:
        return ("cidr", str(ipaddress.ip_network(text, strict=False)))
    except ValueError:
        return None


def labelled(folder: Path, ruler: ModuleType, show: int) -> None:
    print("labelled texts            wanted  right  wrong missed  precision recall")
    total: Counter[str] = Counter()
    for name, cases in (
        ("ioc-finder-cases", ioc_finder(folder, ruler)),
        ("txt2stix", txt2stix(folder, ruler)),
        ("cyner", cyner(folder, ruler)),
    ):
        score: Counter[str] = Counter()
        for text, wanted, allowed in cases:
            got = normal(found("case.txt", text.encode()), ruler)
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


def ioc_finder(folder: Path, ruler: ModuleType) -> Iterator[Case]:
    """Cases with expected values.  Hosts of URLs and addresses need not come out by themselves."""
    for line in content(folder / "ioc-finder-cases" / "ioc_cases.jsonl").decode().splitlines():
        case = json.loads(line)
        values = {
            name: normal(map(str, expected), ruler)
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


def schemeless(expected: dict[str, object], ruler: ModuleType) -> set[Value]:
    urls = [*listed(expected.get("urls")), *listed(expected.get("urls_complete"))]
    return normal(["http://" + url for url in urls if "://" not in url], ruler)


def listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def txt2stix(folder: Path, ruler: ModuleType) -> Iterator[Case]:
    """One kind a file, with good and bad lines; bad ones are other kinds, or nothing at all."""
    names = "url domain* ipv4* ipv6* email_address file_hash_*"
    for part in names.split():
        for path in sorted((folder / "txt2stix").rglob(f"generic_{part}.txt*")):
            good, _, bad = content(path).decode().partition("====Bad====")
            yield good, normal(good.split(), ruler), set()
            yield bad, normal(clean(bad.split()), ruler), normal(portless(bad.split()), ruler)


def clean(words: list[str]) -> list[str]:
    return [word for word in words if not re.search(r":/\d|/\d{3,}|:\d{6}", word)]


def portless(words: list[str]) -> list[str]:
    return words + [re.sub(r"^\[(.*)\]:\d+$", r"\1", word) for word in words]


def cyner(folder: Path, ruler: ModuleType) -> Iterator[Case]:
    """Sentences with labelled words; labels that are no network or hash value fall away."""
    for path in sorted((folder / "cyner").rglob("*.txt*")):
        for sentence in decoded(content(path)).split("\n\n"):
            rows = [line.split("\t") for line in sentence.splitlines() if "\t" in line]
            text = glued([row[0] for row in rows])
            marked = glued([row[0] if "Indicator" in row[1] else "\u2003" for row in rows])
            wanted = {v for v in with_bare(words_of(marked), ruler) if not package_or_file(v)}
            everything = with_bare(words_of(text), ruler)
            yield text, wanted, {v for v in everything if v[0] != "domain" or package_or_file(v)}


def with_bare(words: list[str], ruler: ModuleType) -> set[Value]:
    """The words' values, `host/path` without a scheme included."""
    urls = ["http://" + word for word in words if "/" in word and "//" not in word]
    return normal(words, ruler) | normal(urls, ruler)


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


def counted(folder: Path, ruler: ModuleType, show: int) -> None:
    ours: set[Value] = set()
    theirs: set[Value] = set()
    unclaimed: set[Value] = set()
    why: dict[Value, str] = {}
    files = rows = 0
    seconds = 0.0
    for name, path in corpus(folder):
        raw = content(path)
        counts = ruled(name, raw, ruler)
        format_ = formats.claim(name, raw)
        if format_ is None:
            unclaimed |= counts
            continue
        started = time.perf_counter()
        values = found(name, raw)
        seconds += time.perf_counter() - started
        files, rows = files + 1, rows + len(values)
        got = normal(values, ruler)
        ours |= got
        theirs |= counts
        for value in counts - got:
            why.setdefault(value, reason(value, format_.name, raw, ruler))
    print(f"\n{files} files, {rows} indicators read in {seconds:.1f} s ({rows / seconds:.0f}/s)")
    compare(ours, theirs, unclaimed, why)
    for value in [v for v in theirs - ours if why[v] == "other"][:show]:
        print("   missing", value)
    for value in sorted(ours - theirs)[:: max(1, len(ours - theirs) // max(1, show))][:show]:
        print("   besides", value)


def compare(
    ours: set[Value], theirs: set[Value], unclaimed: set[Value], why: dict[Value, str]
) -> None:
    ruled_by = {v for v in ours if v[0] != "cidr"}
    missing, besides = theirs - ours, ruled_by - theirs
    everything = theirs | unclaimed
    print(f"ruler, every file                    {len(everything):8}")
    print(f"  in files that no format claims     {len(everything - theirs):8}")
    print(f"ruler, files that a format claims    {len(theirs):8}")
    print(f"ours                                 {len(ruled_by):8}  {share(ruled_by, theirs)}")
    reasons = Counter(why[value] for value in missing)
    print(f"  the ruler's that we do not take    {len(missing):8}")
    for reason_, count in reasons.most_common():
        print(f"    {reason_:33}{count:8}")
    meant = theirs - {v for v in missing if why[v] != "other"}
    print(f"  ours that the ruler does not count {len(besides):8}  {dict(kinds(besides))}")
    print(f"ours beside the ruler's that are meant to be taken: {share(ruled_by & meant, meant)}")


def share(some: set[Value], every: set[Value]) -> str:
    return f"{100 * (len(some) - len(every)) / len(every):+.2f} %"


def kinds(values: set[Value]) -> list[tuple[str, int]]:
    return Counter(kind for kind, _ in values).most_common()


def corpus(folder: Path) -> Iterator[tuple[str, Path]]:
    for line in (folder / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        plain = not re.search(r"\.(json|xml|ioc|yaml)$", entry["path"])
        if entry["set"] in ("iocs", "reports") and plain or "polkadot" in entry["publisher"]:
            yield entry["path"], folder / entry["file"]


def ruled(name: str, raw: bytes, ruler: ModuleType) -> set[Value]:
    if name.endswith(".json"):
        return {told for each in json.loads(raw)["deny"] if (told := ruler.classify(each))}
    counts: set[Value] = ruler.indicators(name, decoded(raw))
    return counts


def reason(value: Value, format_: str, raw: bytes, ruler: ModuleType) -> str:
    """Why the ruler counts a value that we do not."""
    kind, text = value
    sign = text.lower().removesuffix("/")
    lines = [line for line in decoded(raw).splitlines() if sign in ruler.refang(line).lower()]
    if lines and all(line.lstrip().startswith(("#", ";", "//")) or " #" in line for line in lines):
        return "in a comment of a list"
    if format_ == "csv":
        social = re.match(r"https?://(x|twitter)\.com/", text)
        return "a link to a post" if social else "in a column of something else"
    if kind == "domain" and re.search(r"\.(py|md|sh|pl|rs|so|zip|mov|cab|ps|app)$", text):
        return "the name of a file"
    return "other"
