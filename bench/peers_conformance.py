"""The conformance checks on other people's servers and on this hub, side by side.

    python bench/peers_conformance.py [--write docs/conformance.md] [--json FILE]

Installs each peer from a package index into an environment of its own in a
temporary folder, serves it on loopback, and runs `tocsin-hub conformance` on it
with a collection to write and two accounts.  With --write the comparison in the
page is replaced; otherwise it is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers

HUB = Path(sys.executable).with_name("tocsin-hub")
BEGIN, END = "<!-- comparison -->", "<!-- end of comparison -->"
Start = Callable[[str, Path], AbstractContextManager[peers.Peer]]


@dataclass(frozen=True)
class Subject:
    """What is compared."""

    title: str
    packages: tuple[str, ...]
    """What is installed for it; nothing: it is here already."""
    start: Start


@contextmanager
def this_hub(python: str, folder: Path) -> Iterator[peers.Peer]:
    """This checkout's hub on its embedded engine."""
    ready = folder / "ready"
    env = os.environ | {"TOCSIN_REQUESTS_PER_MINUTE": "0"}
    place = ["--data", str(folder / "data")]
    line = [str(HUB), "serve", *place, "--port", "0", "--ready-file", str(ready)]
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(line, stderr=log, env=env)
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise SystemExit(f"the hub did not start: {(folder / 'hub.log').read_text()}")
            time.sleep(0.1)
        reads = ["--read", "clear,green,amber,scratch", "--write", "inbox,scratch"]
        keys = []
        for slug in ("first", "second"):
            add = [str(HUB), "partner", "add", slug, "--name", slug, *reads, *place, "--json"]
            told = json.loads(subprocess.check_output(add))
            keys.append(f"{told['account']}:{told['key']}")
        yield peers.Peer(json.loads(ready.read_text())["url"], "scratch", *keys)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)


SUBJECTS = (
    Subject("Tocsin, this checkout", (), this_hub),
    Subject("medallion 3.0.0", ("medallion==3.0.0", "gunicorn", "setuptools<81"), peers.medallion),
    Subject("OpenTAXII 0.10.0b1", ("opentaxii==0.10.0b1", "gunicorn"), peers.opentaxii),
)


def main() -> int:
    """Compare them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    reports = {}
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        for number, subject in enumerate(SUBJECTS):
            print(f"{subject.title} …", file=sys.stderr, flush=True)
            reports[subject.title] = _report(subject, Path(folder) / str(number))
    if options.json:
        options.json.write_text(json.dumps(reports), "utf-8")
    text = "\n".join(_page(reports))
    if options.write:
        _replace(options.write, text)
    else:
        print(text)
    return 0


def _report(subject: Subject, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    python = _environment(subject, folder) if subject.packages else sys.executable
    with subject.start(python, folder) as peer:
        line = [str(HUB), "conformance", *peer.words(), "--json"]
        told = subprocess.run(line, capture_output=True, timeout=900)
    if told.returncode not in (0, 1):
        raise SystemExit(f"{subject.title}: {told.stderr.decode()}")
    return dict(json.loads(told.stdout))


def _environment(subject: Subject, folder: Path) -> str:
    venv.create(folder / "env", with_pip=True)
    python = str(folder / "env" / "bin" / "python")
    line = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*line, *subject.packages], check=True)
    return python


def _page(reports: dict[str, dict[str, Any]]) -> Iterator[str]:
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    first = next(iter(reports.values()))["results"]
    yield f"Run on {day}: {len(first)} checks, each server on loopback, a collection to write, two"
    yield "accounts. Figures are passed / failed / warned / skipped; numbers in bold failed a MUST."
    yield ""
    yield f"| section | {' | '.join(reports)} |"
    yield "|---" * (len(reports) + 1) + "|"
    for section in dict.fromkeys(each["number"].split(".")[0] for each in first):
        cells = [_cell(report["results"], section) for report in reports.values()]
        yield f"| {section} | {' | '.join(cells)} |"
    totals = [_figures(report["results"]) for report in reports.values()]
    yield f"| all | {' | '.join(totals)} |"
    for title, report in reports.items():
        yield from _complaints(title, report["results"])


def _figures(results: list[dict[str, Any]]) -> str:
    names = ("passed", "failed", "warned", "skipped")
    return " / ".join(str(sum(each["outcome"] == name for each in results)) for name in names)


def _cell(results: list[dict[str, Any]], section: str) -> str:
    those = [each for each in results if each["number"].split(".")[0] == section]
    failed = dict.fromkeys(e["number"] for e in those if e["outcome"] == "failed")
    warned = dict.fromkeys(e["number"] for e in those if e["outcome"] == "warned")
    numbers = [f"**{n}**" for n in failed] + [n for n in warned if n not in failed]
    return _figures(those) + (f": {', '.join(numbers)}" if numbers else "")


def _complaints(title: str, results: list[dict[str, Any]]) -> Iterator[str]:
    wrong = [each for each in results if each["outcome"] in ("failed", "warned")]
    yield ""
    yield f"### {title}"
    yield ""
    if not wrong:
        yield "Nothing failed and nothing was warned of."
    for each in wrong:
        first = each["complaints"][0]
        expected = first["expected"].replace("|", "/").replace("\n", " ")[:110]
        got = f" Answered {first['status']}." if "status" in first else ""
        number = f"**{each['number']}**" if each["outcome"] == "failed" else each["number"]
        yield f"- {number} {each['sentence']} ({each['level']}). Expected: `{expected}`.{got}"


def _replace(page: Path, text: str) -> None:
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # what was started ends too
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
