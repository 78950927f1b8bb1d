"""Measure the cost of reads and writes while a hub grows, and the slope of that cost.

    python bench/growth.py [--sizes 10000,100000,1000000] [--json FILE] [--out FOLDER]

Starts a hub on the embedded engine in a temporary folder, fills a verbatim collection up to each
size and measures there: pages at the start, in the middle and at the end of the feed, one object,
a poll without news, one POST, memory, and a restart.  A figure is the median of many requests on
one connection.  The slope says how much more it costs for each tenfold of objects.
With `--out`, writes `growth.md` and `growth.svg` there.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import requests
from report import STYLE, describe_machine, find_commit

BIN = Path(sys.executable).parent
MEDIA_TYPE = "application/taxii+json;version=2.1"
A_POST = 1_000
_LOOK, _QUIET_LOOKS = 3, 3
"""Seconds of a look at the processor time; looks in a row that make a hub one at rest."""
REPEATS = 40
_REST = 600
"""Seconds in which packing ends at the latest."""
TIMED = {
    "page of 1,000 at the start, ms": "start",
    "page of 1,000 in the middle, ms": "middle",
    "page of 1,000 at the end, ms": "end",
    "page of 100 at the end, ms": "short",
    "one object, not read before, ms": "one",
    "one object, again, ms": "again",
    "nothing new, ms": "idle",
    "POST of one object, ms": "post",
}
"""Labels of the figures that are times, by the key under which they are kept."""
OTHERS = {
    "taking in, objects/s": "rate",
    "packed, s after the last POST": "packed",
    "memory of the first process, MB": "first",
    "memory of the answering process, MB": "answering",
    "memory of the engine, MB": "engine",
    "start, s": "started",
}
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 880, 360, 70, 250, 40, 50
_COLOURS = ("#0969da", "#1a7f37", "#bf3989", "#bc4c00", "#8250df", "#6e7781", "#cf222e", "#0a7ea4")

Figures = dict[str, float]


@dataclass
class Hub:
    """A hub process on a data folder of its own."""

    data: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    url: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def start(self) -> None:
        """Start it, and note how long that takes."""
        ready = self.data.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        command: list[str | Path] = [BIN / "tocsin-hub", "serve", "--data", self.data]
        command += ["--port", "0", "--ready-file", ready]
        environment = {**os.environ, "TOCSIN_REQUESTS_PER_MINUTE": "0", "TOCSIN_LOG_LEVEL": "error"}
        environment |= {"TOCSIN_OBJECTS_PER_DAY": "0", "TOCSIN_OCTETS_KEPT": "0"}
        began = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while not ready.exists():
            if self.process.poll() is not None:
                raise SystemExit("the hub did not start")
            time.sleep(0.005)
        self.started = time.perf_counter() - began
        self.url = json.loads(ready.read_text())["url"].replace("taxii2/", "hub/")

    def join(self) -> None:
        """Add a partner, as which this program speaks."""
        words = ["partner", "add", "acme", "--name", "ACME", "--read", "scratch"]
        command = [str(BIN / "tocsin-hub"), *words, "--write", "scratch", "--json"]
        command += ["--data", str(self.data)]
        created = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        self.session.auth = (created["account"], created["key"])
        self.session.headers.update({"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE})

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(120)

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """The JSON of an answer."""
        answer = self.session.get(f"{self.url}{path}", params=query, timeout=120)
        answer.raise_for_status()
        return dict(answer.json())

    def fetch(self, path: str, **query: str | int) -> None:
        """An answer that nobody reads, so that only the hub's work is measured."""
        answer = self.session.get(f"{self.url}{path}", params=query, timeout=120)
        answer.raise_for_status()

    def post(self, count: int) -> str:
        """Post new objects; the id of the first."""
        objects = [new_indicator() for _ in range(count)]
        body = json.dumps({"objects": objects})
        answer = self.session.post(f"{self.url}{OBJECTS}", data=body, timeout=120)
        answer.raise_for_status()
        status = answer.json()
        while not status["x_tocsin_settled"]:
            time.sleep(0.02)
            status = self.get(f"status/{status['id']}/")
        return str(objects[0]["id"])

    def find_date(self, id_: str) -> str:
        """When an object was added to the collection."""
        found = self.get("collections/scratch/manifest/", **{"match[id]": id_})
        return str(found["objects"][0]["date_added"])

    def await_rest(self) -> float:
        """Wait until what was written is packed, in the background; how many seconds it took."""
        began, quiet = time.monotonic(), 0
        while time.monotonic() - began < _REST and quiet < _QUIET_LOOKS:
            before = self.processor_time()
            time.sleep(_LOOK)
            quiet = quiet + 1 if self.processor_time() - before < _LOOK / 20 else 0
        return time.monotonic() - began - quiet * _LOOK

    def processor_time(self) -> float:
        """The seconds of processor time that its processes have taken so far."""
        ticks = 0
        for folder in self.folders():
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def folders(self) -> Iterator[Path]:
        """The folder in /proc of each of its processes."""
        assert self.process is not None  # noqa: S101
        waiting = [self.process.pid]
        while waiting:
            folder = Path(f"/proc/{waiting.pop()}")
            yield folder
            for thread in (folder / "task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())

    def memory(self) -> Figures:
        """The greatest memory of each kind of process so far, in MB."""
        found: Figures = {}
        for folder in self.folders():
            command = (folder / "cmdline").read_bytes()
            kinds = ((b"answering", "answering"), (b"secantus", "engine"), (b"serve", "first"))
            kind = next((name for word, name in kinds if word in command), "other")
            peak = (folder / "status").read_text().partition("VmHWM:")[2].split()[0]
            found[kind] = max(found.get(kind, 0.0), int(peak) / 1024)
        return found


OBJECTS = "collections/scratch/objects/"


def new_indicator() -> dict[str, Any]:
    """An indicator on a domain of its own."""
    name = uuid.uuid4()
    times = dict.fromkeys(("created", "modified", "valid_from"), "2026-01-01T00:00:00.000Z")
    pattern = f"[domain-name:value = '{name.hex}.top']"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{name}",
        **times,
        "pattern": pattern,
        "pattern_type": "stix",
        "description": "Seen in a campaign against the sector; the infrastructure is rented.",
    }


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub with a partner."""
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder) / "data")
        hub.start()
        try:
            hub.join()
            yield hub
        finally:
            hub.stop()


def time_median(ask: Callable[[], object], repeats: int = REPEATS) -> float:
    """The median of the milliseconds that a call takes."""
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def measure(hub: Hub, marks: Sequence[str], rate: float) -> Figures:
    """All figures at the present size; `marks` are the first ids of what was posted."""
    middle, late, last = (hub.find_date(marks[n]) for n in (len(marks) // 2, -2, -1))
    chosen = [marks[i * (len(marks) - 1) // REPEATS] for i in range(REPEATS)]
    ids = iter([*chosen, *chosen])
    newest = hub.session.get(f"{hub.url}{OBJECTS}", params={"added_after": last, "limit": "10000"})
    head = newest.headers["X-TAXII-Date-Added-Last"]
    assert not hub.get(OBJECTS, added_after=head).get("objects")  # noqa: S101
    hub.fetch(OBJECTS, limit=1000)  # what follows a start is not measured here
    return {
        "start": time_median(lambda: hub.fetch(OBJECTS, limit=1000)),
        "middle": time_median(lambda: hub.fetch(OBJECTS, limit=1000, added_after=middle)),
        "end": time_median(lambda: hub.fetch(OBJECTS, limit=1000, added_after=late)),
        "short": time_median(lambda: hub.fetch(OBJECTS, limit=100, added_after=late)),
        "one": time_median(lambda: hub.fetch(f"{OBJECTS}{next(ids)}/")),
        "again": time_median(lambda: hub.fetch(f"{OBJECTS}{next(ids)}/")),
        "idle": time_median(lambda: hub.fetch(OBJECTS, added_after=head)),
        "post": time_median(lambda: hub.post(1)),
        "rate": rate,
        **hub.memory(),
    }


def grow(sizes: Sequence[int]) -> dict[int, Figures]:
    """The figures at each size."""
    found: dict[int, Figures] = {}
    marks: list[str] = []
    with running_hub() as hub:
        for size in sizes:
            began, before = time.perf_counter(), len(marks)
            while len(marks) * A_POST < size:
                marks.append(hub.post(A_POST))
                _show_progress(len(marks) * A_POST, sizes[-1])
            rate = (len(marks) - before) * A_POST / (time.perf_counter() - began)
            packed = hub.await_rest()
            found[size] = measure(hub, marks, rate) | {"packed": packed}
            hub.stop()
            hub.start()
            found[size]["started"] = hub.started
    return found


def _show_progress(done: int, all_: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done:,} of {all_:,} objects", end="", file=sys.stderr, flush=True)


def slope(found: dict[int, Figures], key: str) -> float:
    """How much more a figure is for each tenfold of objects, in percent."""
    sizes = sorted(found)
    tenfolds = math.log10(sizes[-1] / sizes[0])
    ratio = found[sizes[-1]][key] / found[sizes[0]][key]
    return (math.pow(ratio, 1 / tenfolds) - 1) * 100


def write_table(found: dict[int, Figures]) -> str:
    """All figures as a Markdown table."""
    sizes = sorted(found)
    lines = [f"| | {' | '.join(f'{size:,}' for size in sizes)} | a tenfold |"]
    lines.append("|---|" + "---|" * (len(sizes) + 1))
    for label, key in (TIMED | OTHERS).items():
        if all(key in found[size] for size in sizes):
            cells = [f"{found[size][key]:,.4g}" for size in sizes]
            lines.append(f"| {label} | {' | '.join(cells)} | {slope(found, key):+.0f} % |")
    return "\n".join(lines) + "\n"


def draw(found: dict[int, Figures]) -> str:
    """An SVG with a line for each time, both scales logarithmic."""
    sizes = sorted(found)
    times = [found[size][key] for size in sizes for key in TIMED.values()]
    low, high = math.log10(min(times)) - 0.1, math.log10(max(times)) + 0.1

    def across(size: int) -> float:
        part = math.log10(size / sizes[0]) / math.log10(sizes[-1] / sizes[0])
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        part = (math.log10(value) - low) / (high - low)
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)

    title = "Milliseconds of one request, by the objects in the collection"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title><style>{STYLE}</style>',
        f'<text x="8" y="20">{escape(title)}</text>',
    ]
    for value in (0.5, 1, 2, 5, 10, 20, 50):
        if low <= math.log10(value) <= high:
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(value):.1f}" '
                f'y2="{up(value):.1f}"/><text class="small" x="{_LEFT - 8}" '
                f'y="{up(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
    for size in sizes:
        parts.append(
            f'<text class="small" x="{across(size):.1f}" y="{_HEIGHT - 24}" '
            f'text-anchor="middle">{size:,}</text>'
        )
    rows = sorted(TIMED.items(), key=lambda row: -found[sizes[-1]][row[1]])
    for number, ((label, key), colour) in enumerate(zip(rows, _COLOURS, strict=True)):
        points = " ".join(f"{across(size):.1f},{up(found[size][key]):.1f}" for size in sizes)
        y = _TOP + 14 + number * 22
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<rect x="{_WIDTH - _RIGHT + 16}" y="{y - 10}" width="14" height="4" fill="{colour}"/>'
            f'<text x="{_WIDTH - _RIGHT + 38}" y="{y}">{escape(label.removesuffix(", ms"))}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="10000,100000,1000000", metavar="N,N…")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    chosen = parser.parse_args()
    sizes = sorted(int(size) for size in chosen.sizes.split(","))
    if len(sizes) < 2 or sizes[0] < 2 * A_POST:
        parser.error(f"--sizes: two or more, each at least {2 * A_POST}")
    found = grow(sizes)
    table = write_table(found)
    print(table)
    if chosen.json:
        chosen.json.write_text(json.dumps(found))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "growth.svg").write_text(draw(found))
        words = (
            "# Growth\n\nOne verbatim collection on the embedded database, when what was posted is "
            "packed, which goes on in the background. `scripts/bench --growth` measures anew.\n\n"
            f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit "
            f"{find_commit()}: {describe_machine()}.\n\n"
            f"![Milliseconds of one request](growth.svg)\n\n{table}"
        )
        (chosen.out / "growth.md").write_text(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())
