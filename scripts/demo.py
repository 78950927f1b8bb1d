"""The demo's story; `scripts/demo` runs it."""

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

PARTNERS: dict[str, tuple[str, str, str]] = {
    "acme-bank": ("ACME Savings Bank", "acme-bank.example", "acme-bank.stix.json"),
    "north-hospital": ("North Shore Hospital", "northshore-hospital.example", "north-hospital.csv"),
    "city-cert": ("City CERT", "city-cert.example", "city-cert.txt"),
}
READERS = {"press": ["clear"], "neighbour": ["clear", "green"], "sister-cert": list(FEEDS)}
"""Who polls, and what each may read."""

EXPECTED = {
    "acme-bank": {"admitted": 9, "merged": 0, "duplicate": 1, "held": 1, "refused": 4},
    "north-hospital": {"admitted": 4, "merged": 4, "duplicate": 1, "held": 1, "refused": 3},
    "city-cert": {"admitted": 3, "merged": 5, "duplicate": 0, "held": 0, "refused": 1},
}
"""The bank's hash is CLEAR and the CERT's GREEN, so these two are not merged."""

SEEN = {"press": 1, "neighbour": 14, "sister-cert": 16}
"""How many partners' objects each reader gets from the widest feed that it may read."""

SECRETS = (
    *("acme", "north shore", "northshore", "city-cert", "city cert", "jo.doe", "maria.lopez"),
    *("536-22-8716", "4111 1111", "5500 0000", "212 555 0142", "10.20.30.40", "10.0.4.12"),
    *("only-for-your-eyes", "house-rules-apply"),
)
"""What must be in no feed."""

out = Console(record=True)


def main() -> int:
    """Tell the story; 0 if it ended as expected."""
    options = _options()
    work = Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    with _hub(work) as url:
        keys = _join(work)
        pushed = {slug: _push(slug, url, keys[slug]) for slug in PARTNERS}
        feeds = {reader: _polled(url, reader, keys[reader]) for reader in READERS}
        faults = [*_unexpected(pushed, feeds), *_leaks(feeds)]
        _show(pushed, feeds)
        for fault in faults:
            out.print(f"[red]not as expected:[/] {fault}")
        if options.svg:
            _save_picture(options.svg)
        if not options.once:
            _go_on(work, url, keys)
    shutil.rmtree(work, ignore_errors=True)
    if options.json:
        counts = {slug: answer["counts"] for slug, answer in pushed.items()}
        seen = {reader: len(_partners(objects)) for reader, objects in feeds.items()}
        print(json.dumps({"ok": not faults, "pushed": counts, "seen": seen, "faults": faults}))
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop the hub at the end")
    parser.add_argument("--json", action="store_true", help="counts as JSON on the last line")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save what is shown as a picture")
    return parser.parse_args()


def _save_picture(file: Path) -> None:
    """Write docs/images/demo.svg, say; without the fonts that rich takes from the net."""
    picture = out.export_svg(title="scripts/demo", clear=False)
    file.write_text(re.sub(r"@font-face \{.*?\}\n?", "", picture, flags=re.DOTALL), "utf-8")


@contextlib.contextmanager
def _hub(work: Path) -> Iterator[str]:
    ready = work / "ready.json"
    command = [BIN / "tocsin-hub", "serve", "--data", work / "hub", "--port", "0"]
    with (work / "hub.log").open("wb") as log:
        hub = subprocess.Popen([*command, "--ready-file", ready], stderr=log)
    try:
        out.print("starting a hub on the embedded database …")
        while not ready.exists():
            if hub.poll() is not None:
                sys.exit((work / "hub.log").read_text())
            time.sleep(0.1)
        yield str(json.loads(ready.read_text())["url"])
    finally:
        hub.send_signal(signal.SIGTERM)
        hub.wait(60)


def _join(work: Path) -> dict[str, str]:
    """Three partners that write, and three readers; each one's `account:secret`."""
    keys = {}
    for slug, (name, term, _) in PARTNERS.items():
        keys[slug] = _added(work, slug, "--name", name, "--term", term)
    for slug, feeds in READERS.items():
        keys[slug] = _added(work, slug, "--name", slug, "--read", ",".join(feeds), "--write", "")
    return keys


def _added(work: Path, slug: str, *rights: str) -> str:
    command = [BIN / "tocsin-hub", "partner", "add", slug, *rights, "--data", work / "hub"]
    answer = json.loads(subprocess.check_output([*command, "--json"]))
    return f"{answer['account']}:{answer['key']}"


def _push(slug: str, url: str, key: str) -> dict[str, Any]:
    """What `tocsin push` says of the partner's file: its lines, and the counts."""
    name, term, file = PARTNERS[slug]
    out.print(f"{name} pushes {file} …")
    command = [BIN / "tocsin", "push", EXAMPLES / file, "--to", "inbox", "--tlp", "green"]
    pushed = subprocess.run(
        [*command, "--term", term, "--term", name, "--yes", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "TOCSIN_URL": url, "TOCSIN_KEY": key},
        check=False,
    )
    *lines, last = [json.loads(line) for line in pushed.stdout.splitlines()]
    return {"lines": lines, "counts": last["counts"]}


def _polled(url: str, reader: str, key: str) -> list[dict[str, Any]]:
    """Everything in the widest feed that a reader may read, by the official client."""
    account, _, secret = key.partition(":")
    hub = Server(url, user=account, password=secret)
    feeds = {each.alias: each for each in hub.api_roots[0].collections}
    widest = feeds[READERS[reader][-1]]
    pages = as_pages(widest.get_objects, per_request=7)
    return [each for page in pages for each in page.get("objects", [])]


def _partners(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what the hub puts into every feed itself."""
    own = ("identity", "marking-definition", "extension-definition")
    return [each for each in objects if each["type"] not in own]


def _unexpected(
    pushed: dict[str, dict[str, Any]], feeds: dict[str, list[dict[str, Any]]]
) -> Iterator[str]:
    for slug, expected in EXPECTED.items():
        got = {name: pushed[slug]["counts"].get(name, 0) for name in expected}
        if got != expected:
            yield f"{slug}: {got} instead of {expected}"
    for reader, expected in SEEN.items():
        ids = [each["id"] for each in _partners(feeds[reader])]
        if len(ids) != expected or len(set(ids)) != len(ids):
            yield f"{reader} sees {len(ids)} objects, {len(set(ids))} distinct, not {expected}"


def _leaks(feeds: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for reader, objects in feeds.items():
        text = json.dumps(objects).lower()
        yield from (f"{reader} reads {secret!r}" for secret in SECRETS if secret in text)
    green = json.dumps(feeds["neighbour"])
    if "treasury" in green:
        yield "neighbour reads a word that was sent at TLP:AMBER"


def _show(pushed: dict[str, dict[str, Any]], feeds: dict[str, list[dict[str, Any]]]) -> None:
    for table in (_came_in(pushed), _stayed(pushed), _seen(feeds)):
        out.print(table)


def _came_in(pushed: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        title="What came in, and what became of it",
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


def _stayed(pushed: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="What was not published, and why", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("partner", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    for slug, answer in pushed.items():
        for line in answer["lines"]:
            if line["verdict"] in ("held", "refused"):
                table.add_row(slug, line["verdict"], Text(line["findings"][-1]["message"]))
    return table


def _seen(feeds: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(title="What each reader sees", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("reader", "feed", "objects"):
        table.add_column(heading, no_wrap=True)
    table.add_column("of which", overflow="fold", ratio=1)
    for reader, objects in feeds.items():
        theirs = _partners(objects)
        types = collections.Counter(each["type"] for each in theirs).most_common()
        kinds = ", ".join(f"{count} {kind}" for kind, count in types)
        table.add_row(reader, READERS[reader][-1], str(len(theirs)), kinds)
    return table


def _go_on(work: Path, url: str, keys: dict[str, str]) -> None:
    """How to go on by hand; returns at Ctrl-C."""
    out.print("\nThe hub is running. In another terminal:\n", style="bold")
    lines = (
        ". .venv/bin/activate",
        f"export TOCSIN_URL={url} TOCSIN_KEY={keys['sister-cert']}",
        "tocsin collections",
        "tocsin poll amber --format list",
        f"tocsin-hub review list --data {work / 'hub'}",
        f"curl -u $TOCSIN_KEY -H 'Accept: application/taxii+json;version=2.1' {url}",
    )
    for line in lines:
        out.print(f"  {line}", soft_wrap=True, highlight=False, markup=False)
    out.print("\nCtrl-C stops the hub and removes what the demo made.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
