"""Count distinct indicators in all lists and reports, ours against a baseline.

Every file that the ground truth counts is read by its format and examined as in a hub.
We count merge keys, so two spellings that the hub would keep apart are two.  The baseline
counts values in the same files; each value that only one side has is printed with a reason.
For values from several publishers, it measures how many share one merge key.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measures.baseline import Baseline, Value
from measures.differences import LINK, POST, UNEXPLAINED, explain_extra, explain_missing
from measures.fixtures import closing_rule, examine_batch, read_candidates, read_content
from tocsin.admission import formats
from tocsin.admission.model import Candidate
from tocsin.admission.observables.values import extract_observables

KINDS = {
    "domain-name": "domain",
    "ipv4-addr": "ipv4",
    "ipv6-addr": "ipv6",
    "email-addr": "email",
    "x509-certificate": "certificate",
}
"""Our kinds by the baseline's names, for values that the baseline does not know."""
EVERY_SECONDS = 10


@dataclass(slots=True)
class Tally:
    """The findings of both sides, by publisher."""

    theirs: dict[str, set[Value]] = field(default_factory=lambda: defaultdict(set))
    ours: dict[str, dict[Value, set[str]]] = field(default_factory=dict)
    """The keys of each publisher's values, in the baseline's spelling."""
    outcomes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Outcomes of each key: open, or held or refused by a rule."""
    kinds: dict[str, str] = field(default_factory=dict)
    """The kind of each key's value."""
    reasons: dict[tuple[str, Value], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Reasons why a publisher's value is on one side only."""
    files: Counter[str] = field(default_factory=Counter)
    """Files by format."""
    rows: int = 0

    def add(self, publisher: str, found: dict[Value, set[str]]) -> None:
        """Add the values of one file of a publisher, with their keys."""
        mine = self.ours.setdefault(publisher, defaultdict(set))
        for value, keys in found.items():
            mine[value] |= keys

    def find_reason(self, value: Value, publishers: Iterable[str]) -> str:
        """Return the reason for a value; UNEXPLAINED if a publisher has none."""
        reasons = set().union(*(self.reasons.get((each, value), set()) for each in publishers))
        return UNEXPLAINED if UNEXPLAINED in reasons or not reasons else min(reasons)


def measure(folder: Path, show: int) -> None:
    baseline = Baseline(folder)
    tally = Tally()
    started = reported = time.monotonic()
    spent = time.process_time()
    files = baseline.files()
    for number, (publisher, name, raw) in enumerate(files, 1):
        count_file(tally, baseline, publisher, name, raw)
        if time.monotonic() - reported > EVERY_SECONDS:
            reported = time.monotonic()
            done = f"{number} of {len(files)} files, {tally.rows} rows, {reported - started:.0f} s"
            print(done, file=sys.stderr, flush=True)
    check_baseline(tally, folder)
    print_totals(tally, show)
    print_merging(tally, show)
    print(f"   {time.process_time() - spent:.0f} s of CPU time")


def count_file(tally: Tally, baseline: Baseline, publisher: str, name: str, raw: bytes) -> None:
    """Count one file on both sides."""
    format_ = formats.detect_format(name, raw)
    tally.files[format_.name if format_ else "none"] += 1
    theirs = baseline.find_values(name, raw)
    found: dict[Value, set[str]] = defaultdict(set)
    for candidate in examine_batch(read_candidates(name, raw)):
        tally.rows += 1
        for value in find_values(candidate, baseline):
            found[value].add(candidate.key)
            tally.kinds[candidate.key] = value[0]
            tally.outcomes[candidate.key].add(outcome_of(candidate))
    tally.theirs[publisher] |= theirs
    tally.add(publisher, found)
    taken = set(found)
    for value, why in explain_missing(theirs - taken, taken, name, raw, baseline):
        tally.reasons[publisher, value].add(why if format_ else "in a file that no format claims")
    for value, why in explain_extra(taken - theirs, theirs, raw, baseline):
        tally.reasons[publisher, value].add(why)


def find_values(candidate: Candidate, baseline: Baseline) -> Iterator[Value]:
    """The values of a candidate with a key, in the baseline's spelling where it has one."""
    if candidate.object is None or not candidate.key:
        return
    for each in extract_observables(candidate.object):
        yield baseline.normalise(each.value) or (KINDS.get(each.kind, each.kind), each.value)


def outcome_of(candidate: Candidate) -> str:
    if candidate.is_open:
        return "open"
    return f"{candidate.verdict.value} by {closing_rule(candidate)}"


def check_baseline(tally: Tally, folder: Path) -> None:
    """Exit with an error if the baseline's counts differ from the list that comes with the data."""
    listing = folder / "distinct_indicators.tsv.xz"
    if not listing.exists():
        print("   no distinct_indicators.tsv.xz: the baseline's count is not checked against it")
        return
    counted = Counter(value for those in tally.theirs.values() for value in those)
    rows = read_content(listing).decode().splitlines()
    listed = {(kind, value): int(n) for kind, value, n in (row.split("\t") for row in rows)}
    if counted != listed:
        sys.exit("distinct_indicators.tsv.xz differs from the baseline's count of these files")


def print_totals(tally: Tally, show: int) -> None:
    theirs = set().union(*tally.theirs.values())
    ours = set().union(*tally.ours.values())
    print(
        f"{sum(tally.files.values())} files: {dict(tally.files.most_common())}; {tally.rows} rows"
    )
    print_row("", "baseline", "keys", "", "missing", "extra")
    by_kind = [
        Counter(kind for kind, _ in those) for those in (theirs, theirs - ours, ours - theirs)
    ]
    keys = Counter(tally.kinds.values())
    for kind in sorted(by_kind[0] | keys):
        there, away, more = (each[kind] for each in by_kind)
        print_row(kind, there, keys[kind], format_share(keys[kind], there), away, more)
    all_keys = len(tally.kinds)
    print_row(
        "all",
        len(theirs),
        all_keys,
        format_share(all_keys, len(theirs)),
        *(each.total() for each in by_kind[1:]),
    )
    print_reasons(tally, "the baseline counts, we do not", theirs - ours, tally.theirs, show)
    print_reasons(tally, "we find, the baseline does not count", ours - theirs, tally.ours, show)
    print(f"   further keys of one baseline value    {all_keys - len(ours):>36}")
    print_coverage(tally, theirs, ours, all_keys)
    final = Counter("open" if "open" in each else min(each) for each in tally.outcomes.values())
    print(f"   outcomes of the keys: {dict(final.most_common())}")


def print_coverage(tally: Tally, theirs: set[Value], ours: set[Value], keys: int) -> None:
    """Print how many of the baseline's values we find, not counting those with a reason."""
    both = len(theirs & ours)
    why = Counter(
        tally.find_reason(value, publishers_of(value, tally.theirs)) for value in theirs - ours
    )
    wanted = both + why[UNEXPLAINED]
    print(f"   of the baseline's {wanted} values without a reason for a difference, we find {both}")
    without = len(theirs) - why[POST] - why[LINK]
    print(f"   without posts and links to analyses {without}, keys {format_share(keys, without)}")


def print_reasons(
    tally: Tally,
    title: str,
    those: set[Value],
    by_publisher: dict[str, set[Value]] | dict[str, dict[Value, set[str]]],
    show: int,
) -> None:
    """Print the values of one side only, by reason."""
    by_reason: dict[str, list[Value]] = defaultdict(list)
    for value in sorted(those):
        by_reason[tally.find_reason(value, publishers_of(value, by_publisher))].append(value)
    print(f"   {title}: {len(those)}")
    for why, some in sorted(by_reason.items(), key=lambda each: -len(each[1])):
        print(f"      {why:64} {len(some):6}  {dict(Counter(kind for kind, _ in some))}")
        for value in some[:: max(1, len(some) // max(1, show))][:show]:
            print(f"         {value[0]} {value[1][:120]}  {publishers_of(value, by_publisher)}")


def publishers_of(
    value: Value, by_publisher: dict[str, set[Value]] | dict[str, dict[Value, set[str]]]
) -> list[str]:
    return [name for name, those in by_publisher.items() if value in those]


def print_merging(tally: Tally, show: int) -> None:
    """Print how many values of several publishers share one key, so that the hub merges them."""
    counted = Counter(value for those in tally.theirs.values() for value in those)
    several = sorted(value for value, count in counted.items() if count > 1)
    apart: dict[str, list[Value]] = defaultdict(list)
    closed = 0
    for value in several:
        names = publishers_of(value, tally.theirs)
        keys = [tally.ours[name].get(value, set()) for name in names]
        common = set.intersection(*keys)
        closed += bool(common) and all("open" not in tally.outcomes[key] for key in common)
        if not common:
            without = [name for name, own in zip(names, keys, strict=True) if not own]
            why = tally.find_reason(value, without) if without else "under different keys"
            apart[why].append(value)
    merged = len(several) - sum(map(len, apart.values()))
    rate = 100 * merged / max(1, len(several))
    print(f"   of two or more publishers: {len(several)}; under one key {merged}  {rate:.2f} %")
    print(f"      of these held or refused by a rule for every partner {closed:17}")
    for why, some in sorted(apart.items(), key=lambda each: -len(each[1])):
        print(f"      {why:64} {len(some):6}")
        for value in some[:show]:
            print(f"         {value[0]} {value[1][:120]}  {publishers_of(value, tally.theirs)}")


def print_row(name: str, *cells: object) -> None:
    print(f"   {name:12}" + "".join(f"{cell!s:>12}" for cell in cells))


def format_share(some: int, every: int) -> str:
    return f"{100 * (some - every) / every:+.2f} %" if every else "new"
