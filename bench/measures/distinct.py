"""How many distinct indicators: what our pipeline makes of all lists and reports, and a ruler.

Every file that the ground truth counts is read by its format and examined as a hub does it.
What is counted is the key by which the hub merges, so two spellings that the hub would keep
apart are two.  Beside it stands what the ruler counts in the same files, with a reason for
each value that only one of the two has; and for the values of several publishers, whether
their keys are one.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measures.court import (
    closed_by,
    content,
    judged,
    read,
)
from measures.differences import (
    LINK,
    POST,
    UNEXPLAINED,
    besides,
    missing,
)
from measures.ruler import Ruler, Value
from tocsin.admission import formats
from tocsin.admission.model import Candidate
from tocsin.admission.observables.extract import extract_observables

KINDS = {
    "domain-name": "domain",
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "email-addr": "email",
    "x509-certificate": "certificate",
}
"""Our kinds by the ruler's names, for what the ruler does not know."""
EVERY_SECONDS = 10


@dataclass(slots=True)
class Tally:
    """What both sides found, by publisher."""

    theirs: dict[str, set[Value]] = field(default_factory=lambda: defaultdict(set))
    ours: dict[str, dict[Value, set[str]]] = field(default_factory=dict)
    """The keys of each publisher's values, in the ruler's spelling."""
    fates: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """What admission says of each key: open, or held or refused by a rule."""
    kinds: dict[str, str] = field(default_factory=dict)
    """The kind of each key's value."""
    reasons: dict[tuple[str, Value], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Why a publisher's value is on one side only."""
    files: Counter[str] = field(default_factory=Counter)
    """Files by format."""
    rows: int = 0

    def add(self, publisher: str, found: dict[Value, set[str]]) -> None:
        """Values that one file of a publisher has, with their keys."""
        mine = self.ours.setdefault(publisher, defaultdict(set))
        for value, keys in found.items():
            mine[value] |= keys

    def why(self, value: Value, publishers: Iterable[str]) -> str:
        """The reason for a value; that there is none for one publisher counts most."""
        said = set().union(*(self.reasons.get((each, value), set()) for each in publishers))
        return UNEXPLAINED if UNEXPLAINED in said or not said else min(said)


def measure(folder: Path, show: int) -> None:
    ruler = Ruler(folder)
    tally = Tally()
    started = told = time.monotonic()
    spent = time.process_time()
    files = ruler.files()
    for number, (publisher, name, raw) in enumerate(files, 1):
        tallied(tally, ruler, publisher, name, raw)
        if time.monotonic() - told > EVERY_SECONDS:
            told = time.monotonic()
            done = f"{number} of {len(files)} files, {tally.rows} rows, {told - started:.0f} s"
            print(done, file=sys.stderr, flush=True)
    checked(tally, folder)
    totals(tally, show)
    merging(tally, show)
    print(f"   {time.process_time() - spent:.0f} s of the processor's time")


def tallied(tally: Tally, ruler: Ruler, publisher: str, name: str, raw: bytes) -> None:
    """One file on both sides."""
    format_ = formats.detect_format(name, raw)
    tally.files[format_.name if format_ else "none"] += 1
    theirs = ruler.indicators(name, raw)
    found: dict[Value, set[str]] = defaultdict(set)
    for candidate in judged(read(name, raw)):
        tally.rows += 1
        for value in values(candidate, ruler):
            found[value].add(candidate.key)
            tally.kinds[candidate.key] = value[0]
            tally.fates[candidate.key].add(fate(candidate))
    tally.theirs[publisher] |= theirs
    tally.add(publisher, found)
    taken = set(found)
    for value, why in missing(theirs - taken, taken, name, raw, ruler):
        tally.reasons[publisher, value].add(why if format_ else "in a file that no format claims")
    for value, why in besides(taken - theirs, theirs, name, raw, ruler):
        tally.reasons[publisher, value].add(why)


def values(candidate: Candidate, ruler: Ruler) -> Iterator[Value]:
    """What a candidate that has a key is about, in the ruler's spelling where it has one."""
    if candidate.object is None or not candidate.key:
        return
    for each in extract_observables(candidate.object):
        yield ruler.spelt(each.value) or (KINDS.get(each.kind, each.kind), each.value)


def fate(candidate: Candidate) -> str:
    if candidate.is_open:
        return "open"
    return f"{candidate.verdict.value} by {closed_by(candidate)}"


def checked(tally: Tally, folder: Path) -> None:
    """Whether the ruler says here what the list beside the data says."""
    beside = folder / "distinct_indicators.tsv.xz"
    if not beside.exists():
        print("   no distinct_indicators.tsv.xz: the ruler's count is not checked against it")
        return
    counted = Counter(value for those in tally.theirs.values() for value in those)
    rows = content(beside).decode().splitlines()
    listed = {(kind, value): int(n) for kind, value, n in (row.split("\t") for row in rows)}
    if counted != listed:
        sys.exit("distinct_indicators.tsv.xz is not what the ruler counts in these files")


def totals(tally: Tally, show: int) -> None:
    theirs = set().union(*tally.theirs.values())
    ours = set().union(*tally.ours.values())
    print(
        f"{sum(tally.files.values())} files: {dict(tally.files.most_common())}; {tally.rows} rows"
    )
    line("", "ruler", "keys", "", "missing", "besides")
    by_kind = [
        Counter(kind for kind, _ in those) for those in (theirs, theirs - ours, ours - theirs)
    ]
    keys = Counter(tally.kinds.values())
    for kind in sorted(by_kind[0] | keys):
        there, away, more = (each[kind] for each in by_kind)
        line(kind, there, keys[kind], share(keys[kind], there), away, more)
    all_keys = len(tally.kinds)
    line(
        "all",
        len(theirs),
        all_keys,
        share(all_keys, len(theirs)),
        *(each.total() for each in by_kind[1:]),
    )
    explained(tally, "the ruler counts, we do not", theirs - ours, tally.theirs, show)
    explained(tally, "we take, the ruler does not count", ours - theirs, tally.ours, show)
    print(f"   two keys of one value to the ruler {all_keys - len(ours):>36}")
    meant(tally, theirs, ours, all_keys)
    fates = Counter(min(each) if "open" not in each else "open" for each in tally.fates.values())
    print(f"   what admission says of the keys: {dict(fates.most_common())}")


def meant(tally: Tally, theirs: set[Value], ours: set[Value], keys: int) -> None:
    """How much we take of what the ruler counts and nothing speaks against."""
    both = len(theirs & ours)
    why = Counter(tally.why(value, holders(value, tally.theirs)) for value in theirs - ours)
    wanted = both + why[UNEXPLAINED]
    print(f"   of the ruler's values without a reason to leave them, {wanted}, we take {both}")
    without = len(theirs) - why[POST] - why[LINK]
    print(f"   without posts and links to analyses {without}, keys {share(keys, without)}")


def explained(
    tally: Tally,
    title: str,
    those: set[Value],
    by_publisher: dict[str, set[Value]] | dict[str, dict[Value, set[str]]],
    show: int,
) -> None:
    """Values of one side only, by reason."""
    by_reason: dict[str, list[Value]] = defaultdict(list)
    for value in sorted(those):
        by_reason[tally.why(value, holders(value, by_publisher))].append(value)
    print(f"   {title}: {len(those)}")
    for why, some in sorted(by_reason.items(), key=lambda each: -len(each[1])):
        print(f"      {why:64} {len(some):6}  {dict(Counter(kind for kind, _ in some))}")
        for value in some[:: max(1, len(some) // max(1, show))][:show]:
            print(f"         {value[0]} {value[1][:120]}  {holders(value, by_publisher)}")


def holders(
    value: Value, by_publisher: dict[str, set[Value]] | dict[str, dict[Value, set[str]]]
) -> list[str]:
    return [name for name, those in by_publisher.items() if value in those]


def merging(tally: Tally, show: int) -> None:
    """Of what several publishers have: are their keys one, so that the hub merges them?"""
    counted = Counter(value for those in tally.theirs.values() for value in those)
    several = sorted(value for value, count in counted.items() if count > 1)
    apart: dict[str, list[Value]] = defaultdict(list)
    closed = 0
    for value in several:
        names = holders(value, tally.theirs)
        keys = [tally.ours[name].get(value, set()) for name in names]
        common = set.intersection(*keys)
        closed += bool(common) and all("open" not in tally.fates[key] for key in common)
        if not common:
            without = [name for name, own in zip(names, keys, strict=True) if not own]
            why = tally.why(value, without) if without else "under different keys"
            apart[why].append(value)
    merged = len(several) - sum(map(len, apart.values()))
    rate = 100 * merged / max(1, len(several))
    print(f"   of two or more publishers: {len(several)}; under one key {merged}  {rate:.2f} %")
    print(f"      of these held or refused by a rule, whoever sends it {closed:17}")
    for why, some in sorted(apart.items(), key=lambda each: -len(each[1])):
        print(f"      {why:64} {len(some):6}")
        for value in some[:show]:
            print(f"         {value[0]} {value[1][:120]}  {holders(value, tally.theirs)}")


def line(name: str, *cells: object) -> None:
    print(f"   {name:12}" + "".join(f"{cell!s:>12}" for cell in cells))


def share(some: int, every: int) -> str:
    return f"{100 * (some - every) / every:+.2f} %" if every else "new"
