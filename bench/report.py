"""Tables and pictures of a comparison with other servers, for docs/benchmarks.

    python bench/report.py RESULT.json... [--out FOLDER]

RESULT.json are what `scripts/bench` measured, one file for each run; the median
of the runs counts.  Writes `index.md`, and `reads.svg` and `writes.svg`: how many
times better than OpenTAXII each figure is, on a logarithmic scale.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
READS = (
    *("page1000 ", "page100 ", "one", "idle", "304", "walk"),
    *("as_pages", "manifest", "pollers", "cpu page"),
)
WRITES = ("admit", "merge", "verbatim", "cpu admit", "cpu verbatim")
_WIDTH, _ROW, _LEFT, _RIGHT = 880, 26, 440, 70
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.axis { stroke: #8c959f } .grid { stroke: #d0d7de } .small { font-size: 11px; fill: #57606a }
.better { fill: #2da44e } .worse { fill: #cf222e }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .grid { stroke: #30363d } .small { fill: #8b949e }
  .better { fill: #3fb950 } .worse { fill: #f85149 }
}
"""


@dataclass(frozen=True)
class Figure:
    """One row of the comparison: the medians of all runs."""

    key: str
    label: str
    tocsin: float
    opentaxii: float | None
    ratio: float | None
    budget: str
    met: bool | None


def combine(results: Sequence[dict[str, Any]]) -> list[Figure]:
    """The rows of several runs, with their medians; a budget is met if most runs met it."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in (row for result in results for row in result["rows"] if "budget" in row):
        by_key.setdefault(row["key"], []).append(row)
    return [
        Figure(
            key,
            rows[0]["row"],
            statistics.median(row["tocsin"] for row in rows),
            _median(row["opentaxii"] for row in rows),
            _median(row["ratio"] for row in rows),
            rows[0]["budget"],
            None if rows[0]["met"] is None else sum(row["met"] for row in rows) * 2 > len(rows),
        )
        for key, rows in by_key.items()
    ]


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def draw_ratios(title: str, figures: Sequence[Figure]) -> str:
    """An SVG with a bar for each figure that has a ratio; it follows the reader's colours."""
    shown = [(each, each.ratio) for each in figures if each.ratio]
    powers = [math.log10(ratio) for _, ratio in shown]
    low, high = min([-0.5, *powers]), max([1.0, *powers])
    height = 64 + _ROW * len(shown)

    def at(power: float) -> float:
        return _LEFT + (power - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><style>{STYLE}</style>',
        f'<text x="8" y="20">{escape(title)}</text>',
    ]
    for whole in range(math.ceil(low), math.floor(high) + 1):
        kind, x = "grid" if whole else "axis", at(whole)
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="34" y2="{height - 24}"/>')
        name = f"{10**whole:g} ×" if whole else "as OpenTAXII"
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{height - 8}" text-anchor="middle">{name}</text>'
        )
    for number, ((figure, ratio), power) in enumerate(zip(shown, powers, strict=True)):
        y, (start, end) = 38 + _ROW * number, sorted((at(0.0), at(power)))
        parts += [
            f'<text x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(figure.label)}</text>',
            f'<rect class="{"better" if power >= 0 else "worse"}" x="{start:.1f}" y="{y + 3}" '
            f'width="{max(end - start, 1):.1f}" height="{_ROW - 8}" rx="2"/>',
            f'<text x="{end + 6:.1f}" y="{y + 15}">{ratio:.3g} ×</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def write_table(figures: Sequence[Figure]) -> str:
    """All rows as a Markdown table."""
    lines = ["| | Tocsin | OpenTAXII | ratio | budget | |", "|---|---|---|---|---|---|"]
    for each in figures:
        ratio = f"{each.ratio:.2f} ×" if each.ratio else ""
        verdict = {None: "", True: "met", False: "**missed**"}[each.met]
        cells = [each.label, _number(each.tocsin), _number(each.opentaxii), ratio, each.budget]
        lines.append(f"| {' | '.join(cells)} | {verdict} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


def describe_machine() -> str:
    """Processor, cores, memory and Python of this machine; no name of it."""
    model = ""
    if (known := Path("/proc/cpuinfo")).exists():
        names = [line for line in known.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{model or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB of memory, "
        f"Python {platform.python_version()}"
    )


def find_commit() -> str:
    """The commit that is measured, abbreviated."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True)
    return found.stdout.strip()


def write_report(results: Sequence[dict[str, Any]], out: Path) -> None:
    """Write the page and the pictures into a folder."""
    figures = combine(results)
    pictures = []
    for name, title, prefixes in (
        ("reads", "Polling: times better than OpenTAXII", READS),
        ("writes", "Taking in: times better than OpenTAXII", WRITES),
    ):
        chosen = [each for each in figures if each.key.startswith(prefixes)]
        if any(each.ratio for each in chosen):
            (out / f"{name}.svg").write_text(draw_ratios(title, chosen))
            pictures.append(f"![{title}]({name}.svg)\n")
    loads = [load[0] for result in results for load in result["load"]]
    wrong = sorted({fault for result in results for fault in result["wrong"]})
    words = [
        "# Benchmarks\n",
        "Tocsin with its embedded database and OpenTAXII side by side, in turns on one machine. "
        "The ratios count: the figures themselves drift with the machine. "
        "`scripts/bench` measures anew and rewrites this page.\n",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {find_commit()}: "
        f"{describe_machine()}; {results[0]['n']:,} objects, {len(results)} run(s), "
        f"load {min(loads):.1f} to {max(loads):.1f}.\n",
        *pictures,
        write_table(figures),
    ]
    if wrong:
        words.append("Wrong, so that the figures are worth little:\n")
        words += [f"- {fault}\n" for fault in wrong]
    (out / "index.md").write_text("\n".join(words))


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="+", metavar="RESULT.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks", metavar="FOLDER")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    write_report([json.loads(each.read_text()) for each in chosen.results], chosen.out)
    print(f"written: {chosen.out / 'index.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
