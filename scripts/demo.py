"""Run a hub, push three partners' example files, poll, and show the outcome."""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from taxii2client.v21 import Server, as_pages

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
EXAMPLES = ROOT / "docs" / "examples"
VERDICTS = ("admitted", "merged", "duplicate", "held", "refused")
FEEDS = ("clear", "green", "amber")
MASKING = ("replaced", "stripped")
Command = list[str | Path]

PARTNERS: dict[str, tuple[str, str, str]] = {
    "acme-bank": ("ACME Savings Bank", "acme-bank.example", "acme-bank.stix.json"),
    "north-hospital": ("North Shore Hospital", "northshore-hospital.example", "north-hospital.csv"),
    "city-cert": ("City CERT", "city-cert.example", "city-cert.txt"),
}
READERS = {"press": ["clear"], "neighbour": ["clear", "green"], "sister-cert": list(FEEDS)}
"""The accounts that only poll, and the collections that each may read."""

EXPECTED = {
    "acme-bank": {"admitted": 9, "merged": 0, "duplicate": 1, "held": 1, "refused": 4},
    "north-hospital": {"admitted": 4, "merged": 4, "duplicate": 1, "held": 1, "refused": 3},
    "city-cert": {"admitted": 3, "merged": 5, "duplicate": 0, "held": 0, "refused": 1},
}
"""The bank's hash is CLEAR and the CERT's GREEN, so these two are not merged."""

SEEN = {"press": 1, "neighbour": 14, "sister-cert": 16}
"""Number of partners' objects that each reader receives from the last collection of its list."""

SECRETS = (
    *("acme", "north shore", "northshore", "city-cert", "city cert", "jo.doe", "maria.lopez"),
    *("536-22-8716", "4111 1111", "5500 0000", "212 555 0142", "10.20.30.40", "10.0.4.12"),
    *("only-for-your-eyes", "house-rules-apply"),
)
"""Text that must not be published."""

_ATTEMPTS = 50
"""Attempts to delete the data, 0.2 s apart."""
_LOG_SHOWN = 4_000
"""Characters of the hub's log that are shown if it ends."""
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)

out = Console(record=True)


def main() -> int:
    """Run the demo; return 0 if the outcome is the expected one."""
    options = _parse_arguments()
    for each in _ENDINGS:
        signal.signal(each, _stop)
    with _make_folder() as work, _start_hub(work) as (url, hub):
        keys = _add_partners(work)
        pushed = {slug: _push(slug, url, keys[slug]) for slug in PARTNERS}
        feeds = {reader: _poll(url, reader, keys[reader]) for reader in READERS}
        faults = [*_find_unexpected(pushed, feeds), *_find_leaks(feeds)]
        _print_tables(pushed, feeds)
        for fault in faults:
            out.print(f"[red]unexpected:[/] {fault}")
        if options.svg:
            _save_picture(options.svg)
        if not options.once:
            _print_commands(work, url, keys)
            _wait_for_interrupt(work, hub)
    if options.json:
        counts = {slug: answer["counts"] for slug, answer in pushed.items()}
        seen = {reader: len(_partner_objects(objects)) for reader, objects in feeds.items()}
        print(json.dumps({"ok": not faults, "pushed": counts, "seen": seen, "faults": faults}))
    return 1 if faults else 0


def _stop(number: int, frame: object) -> None:
    """End as after an error, so that the hub stops and its data is deleted."""
    for each in _ENDINGS:
        signal.signal(each, signal.SIG_IGN)  # a second one would keep the data
    sys.exit(128 + number)


@contextlib.contextmanager
def _make_folder() -> Iterator[Path]:
    """Make a folder for the demo's data; it is deleted at the end, however that comes."""
    work = Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    try:
        yield work
    finally:
        for _ in range(_ATTEMPTS):  # a database that is slow to end may still write
            shutil.rmtree(work, ignore_errors=True)
            if not work.exists():
                break
            time.sleep(0.2)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop the hub at the end")
    parser.add_argument("--json", action="store_true", help="print counts as JSON on the last line")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save the output as SVG")
    return parser.parse_args()


def _save_picture(file: Path) -> None:
    """Write the output as SVG, without rich's references to fonts on the network."""
    picture = out.export_svg(title="scripts/demo", clear=False)
    file.write_text(re.sub(r"@font-face \{.*?\}\n?", "", picture, flags=re.DOTALL), "utf-8")


@contextlib.contextmanager
def _start_hub(work: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a hub; yield its discovery URL and its process."""
    ready = work / "ready.json"
    command: Command = [BIN / "tocsin-hub", "serve", "--data", work / "hub", "--port", "0"]
    with (work / "hub.log").open("wb") as log:
        # In a session of its own: a terminal that closes must not end it before its time.
        hub = subprocess.Popen(
            [*command, "--ready-file", ready], stderr=log, start_new_session=True
        )
    try:
        out.print("starting a hub on the embedded database …")
        while not ready.exists():
            if hub.poll() is not None:
                sys.exit((work / "hub.log").read_text())
            time.sleep(0.1)
        yield str(json.loads(ready.read_text())["url"]), hub
    finally:
        hub.send_signal(signal.SIGTERM)
        hub.wait(60)


def _add_partners(work: Path) -> dict[str, str]:
    """Add three partners that write, and three readers; return each one's `account:key`."""
    keys = {}
    for slug, (name, term, _) in PARTNERS.items():
        keys[slug] = _add_partner(work, slug, "--name", name, "--term", term)
    for slug, feeds in READERS.items():
        keys[slug] = _add_partner(
            work, slug, "--name", slug, "--read", ",".join(feeds), "--write", ""
        )
    return keys


def _add_partner(work: Path, slug: str, *options: str) -> str:
    """Add a partner; return its `account:key`."""
    command: Command = [
        BIN / "tocsin-hub",
        "partner",
        "add",
        slug,
        *options,
        "--data",
        work / "hub",
    ]
    answer = json.loads(subprocess.check_output([*command, "--json"]))
    return f"{answer['account']}:{answer['key']}"


def _push(slug: str, url: str, key: str) -> dict[str, Any]:
    """Push the partner's file; return the lines and counts that `tocsin push` prints."""
    name, term, file = PARTNERS[slug]
    out.print(f"{name} pushes {file} …")
    command: Command = [
        BIN / "tocsin",
        "push",
        "--send-held",
        EXAMPLES / file,
        "--to",
        "inbox",
        "--tlp",
        "green",
    ]
    pushed = subprocess.run(
        [*command, "--term", term, "--term", name, "--yes", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TOCSIN_URL": url, "TOCSIN_KEY": key},
        check=False,
    )
    *lines, last = [json.loads(line) for line in pushed.stdout.splitlines()]
    return {"lines": lines, "counts": last["counts"]}


def _poll(url: str, reader: str, key: str) -> list[dict[str, Any]]:
    """Poll the last collection of the reader's list with the official client."""
    account, _, secret = key.partition(":")
    hub = Server(url, user=account, password=secret)
    collections = {each.alias: each for each in hub.api_roots[0].collections}
    last = collections[READERS[reader][-1]]
    pages = as_pages(last.get_objects, per_request=7)
    return [each for page in pages for each in page.get("objects", [])]


def _partner_objects(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the objects that the hub itself puts into every collection."""
    own = ("identity", "marking-definition", "extension-definition")
    return [each for each in objects if each["type"] not in own]


def _find_unexpected(
    pushed: dict[str, dict[str, Any]], feeds: dict[str, list[dict[str, Any]]]
) -> Iterator[str]:
    """Describe each count that differs from the expected one."""
    for slug, expected in EXPECTED.items():
        counts = {name: pushed[slug]["counts"].get(name, 0) for name in expected}
        if counts != expected:
            yield f"{slug}: {counts} instead of {expected}"
    for reader, number in SEEN.items():
        ids = [each["id"] for each in _partner_objects(feeds[reader])]
        if len(ids) != number or len(set(ids)) != len(ids):
            yield f"{reader} sees {len(ids)} objects, {len(set(ids))} distinct, not {number}"


def _find_leaks(feeds: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Describe each secret that a reader can see."""
    for reader, objects in feeds.items():
        text = json.dumps(objects).lower()
        yield from (f"{reader} reads {secret!r}" for secret in SECRETS if secret in text)
    green = json.dumps(feeds["neighbour"])
    if "treasury" in green:
        yield "neighbour reads a word that was sent at TLP:AMBER"


def _print_tables(
    pushed: dict[str, dict[str, Any]], feeds: dict[str, list[dict[str, Any]]]
) -> None:
    for table in (_verdict_table(pushed), _not_published_table(pushed), _reader_table(feeds)):
        out.print(table)


def _verdict_table(pushed: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        title="Submitted objects by verdict",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("partner", no_wrap=True)
    for heading in ("received", *VERDICTS, "masked"):
        table.add_column(heading, no_wrap=True, justify="right")
    for slug, answer in pushed.items():
        counts = answer["counts"]
        found = [f for line in answer["lines"] for f in line.get("findings", [])]
        masked = sum(f["action"] in MASKING and f["path"] != "created_by_ref" for f in found)
        figures = [counts.get(name, 0) for name in ("received", *VERDICTS)]
        table.add_row(slug, *map(str, [*figures, masked]))
    return table


def _not_published_table(pushed: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="Objects not published, and why", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("partner", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for slug, answer in pushed.items():
        for line in answer["lines"]:
            if line["verdict"] in ("held", "refused"):
                table.add_row(slug, line["verdict"], Text(line["findings"][-1]["message"]))
    return table


def _reader_table(feeds: dict[str, list[dict[str, Any]]]) -> Table:
    title = "Objects visible to each reader"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for heading in ("reader", "collection", "objects"):
        table.add_column(heading, no_wrap=True)
    table.add_column("by type", overflow="fold", ratio=1)
    for reader, objects in feeds.items():
        visible = _partner_objects(objects)
        types = collections.Counter(each["type"] for each in visible).most_common()
        by_type = ", ".join(f"{count} {name}" for name, count in types)
        table.add_row(reader, READERS[reader][-1], str(len(visible)), by_type)
    return table


def _print_commands(work: Path, url: str, keys: dict[str, str]) -> None:
    """Print commands to try."""
    out.print("\nThe hub is running. In another terminal:\n", style="bold")
    lines = (
        ". .venv/bin/activate",
        f"export TOCSIN_URL={url} TOCSIN_KEY={keys['sister-cert']}",
        "tocsin collections",
        "tocsin poll amber --format list",
        f"tocsin-hub review list --data {work / 'hub'}",
        f"curl -u \"$TOCSIN_KEY\" -H 'Accept: application/taxii+json;version=2.1' {url}",
    )
    for line in lines:
        out.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    out.print("\nCtrl-C stops the hub and deletes the demo's data.")


def _wait_for_interrupt(work: Path, hub: subprocess.Popen[bytes]) -> None:
    """Wait for Ctrl-C; exits with the end of the hub's log if the hub ends before."""
    with contextlib.suppress(KeyboardInterrupt):
        hub.wait()
        log = (work / "hub.log").read_text(errors="replace")
        sys.exit(f"the hub ended by itself; the end of its log:\n{log[-_LOG_SHOWN:]}")


if __name__ == "__main__":
    sys.exit(main())
