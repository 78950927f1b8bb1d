"""Compare the conformance of other TAXII servers and of this hub.

    python bench/peers_conformance.py [--write docs/conformance.md] [--json FILE]

Installs each server from a package index into a virtual environment in a
temporary folder, serves it on loopback, and runs `tocsin-hub conformance` on it
with a writable collection and two accounts.  With --write the comparison in the
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
import venv
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.processes import HubProcess  # noqa: E402  (found by the path above)

HUB = Path(sys.executable).with_name("tocsin-hub")
BEGIN, END = "<!-- comparison -->", "<!-- end of comparison -->"
Start = Callable[[str, Path], AbstractContextManager[peers.Peer]]


@dataclass(frozen=True)
class Subject:
    """A server to compare."""

    title: str
    packages: tuple[str, ...]
    """Packages to install; empty if the server is part of this checkout."""
    start: Start


@contextmanager
def this_hub(python: str, folder: Path) -> Iterator[peers.Peer]:
    """Start this checkout's hub on its embedded engine."""
    os.environ["TOCSIN_REQUESTS_PER_MINUTE"] = "0"  # no rate limit
    hub = HubProcess(folder / "data").start()
    try:
        yield peers.Peer(hub.url, "scratch", hub.join("first"), hub.join("second"))
    finally:
        hub.stop(90)


SUBJECTS = (
    Subject("Tocsin, this checkout", (), this_hub),
    Subject("medallion 3.0.0", ("medallion==3.0.0", "gunicorn", "setuptools<81"), peers.medallion),
    Subject("OpenTAXII 0.10.0b1", ("opentaxii==0.10.0b1", "gunicorn"), peers.opentaxii),
)


def main() -> int:
    """Run the checks on every server, and write or print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    reports = {}
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        for number, subject in enumerate(SUBJECTS):
            print(f"{subject.title} …", file=sys.stderr, flush=True)
            reports[subject.title] = _run_checks(subject, Path(folder) / str(number))
    if options.json:
        options.json.write_text(json.dumps(reports), "utf-8")
    text = "\n".join(_format_comparison(reports))
    if options.write:
        _replace_comparison(options.write, text)
    else:
        print(text)
    return 0


def _run_checks(subject: Subject, folder: Path) -> dict[str, Any]:
    """Start a server and return the report of the conformance checks on it."""
    folder.mkdir()
    python = _create_environment(subject, folder) if subject.packages else sys.executable
    with subject.start(python, folder) as peer:
        command = [str(HUB), "conformance", *peer.arguments(), "--json"]
        finished = subprocess.run(command, capture_output=True, timeout=900)
    if finished.returncode not in (0, 1):
        raise SystemExit(f"{subject.title}: {finished.stderr.decode()}")
    return dict(json.loads(finished.stdout))


def _create_environment(subject: Subject, folder: Path) -> str:
    """Install the server's packages into a new environment; return the path of its Python."""
    venv.create(folder / "env", with_pip=True)
    python = str(folder / "env" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *subject.packages], check=True)
    return python


def _format_comparison(reports: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the comparison's lines in Markdown."""
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    first = next(iter(reports.values()))["results"]
    yield f"Run on {day}: {len(first)} checks, each server on loopback, a writable collection, two"
    yield "accounts. Figures are passed / failed / warned / skipped; numbers in bold failed a MUST."
    yield ""
    yield f"| section | {' | '.join(reports)} |"
    yield "|---" * (len(reports) + 1) + "|"
    for section in dict.fromkeys(each["number"].split(".")[0] for each in first):
        cells = [_format_section(report["results"], section) for report in reports.values()]
        yield f"| {section} | {' | '.join(cells)} |"
    totals = [_format_totals(report["results"]) for report in reports.values()]
    yield f"| all | {' | '.join(totals)} |"
    for title, report in reports.items():
        yield from _format_complaints(title, report["results"])


def _format_totals(results: list[dict[str, Any]]) -> str:
    """Format the number of results by outcome."""
    names = ("passed", "failed", "warned", "skipped")
    return " / ".join(str(sum(each["outcome"] == name for each in results)) for name in names)


def _format_section(results: list[dict[str, Any]], section: str) -> str:
    """Format the totals of one section, with the numbers of the checks that did not pass."""
    own = [each for each in results if each["number"].split(".")[0] == section]
    failed = dict.fromkeys(e["number"] for e in own if e["outcome"] == "failed")
    warned = dict.fromkeys(e["number"] for e in own if e["outcome"] == "warned")
    numbers = [f"**{n}**" for n in failed] + [n for n in warned if n not in failed]
    return _format_totals(own) + (f": {', '.join(numbers)}" if numbers else "")


def _format_complaints(title: str, results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield one line for each failed check and each warning of a server."""
    wrong = [each for each in results if each["outcome"] in ("failed", "warned")]
    yield ""
    yield f"### {title}"
    yield ""
    if not wrong:
        yield "No check failed, and there were no warnings."
    for each in wrong:
        first = each["complaints"][0]
        expected = first["expected"].replace("|", "/").replace("\n", " ")[:110]
        got = f" Answered {first['status']}." if "status" in first else ""
        number = f"**{each['number']}**" if each["outcome"] == "failed" else each["number"]
        yield f"- {number} {each['sentence']} ({each['level']}). Expected: `{expected}`.{got}"


def _replace_comparison(page: Path, text: str) -> None:
    """Replace the text between the page's two markers."""
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # stops the servers too
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
