"""Writers post and pollers follow: nothing may be lost, doubled or out of order.

    python bench/follow.py [--seconds N] [--writers N] [--size N] [--json]

Starts a hub of its own in a temporary folder.  One poller goes from page to page
by `next`, and at the end of the pages by `added_after`; the other by `added_after`
alone, the X-TAXII-Date-Added-Last of its latest page.  Afterwards both must have
got, in the same order, what the feed holds, each object once, everything
that was acknowledged among it.  Exit code 1 if not.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

BIN = Path(sys.executable).parent
MT = "application/taxii+json;version=2.1"
GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
LIMIT = "20"
PATIENCE = 60

Object = dict[str, Any]


def main() -> int:
    """Run it all; 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--size", type=int, default=25, help="indicators in a submission")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, hub(Path(folder)) as (url, key):
        writer = Writer(url, key, options.size)
        by_next, by_date = Poller(url, key, by_next=True), Poller(url, key, by_next=False)
        run(writer, (by_next, by_date), options)
        stamps, faults = judged(writer, by_next, by_date)
    told = figures(writer, by_next, by_date) | {"stamps": len(stamps), "faults": faults}
    print(json.dumps(told) if options.json else "\n".join(f"{k}: {v}" for k, v in told.items()))
    return 1 if faults else 0


@contextlib.contextmanager
def hub(folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """A hub; the URL of its API root, and an account that writes and reads."""
    data, ready = folder / "data", folder / "ready.json"
    serve = [BIN / "tocsin-hub", "serve", "--data", data, "--port", "0", "--ready-file", ready]
    add = ["partner", "add", "acme", "--name", "ACME", "--data", data, "--json"]
    unbounded = {**os.environ, "TOCSIN_REQUESTS_PER_MINUTE": "0"}  # as fast as it goes
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(serve, stderr=log, env=unbounded) as process,
    ):
        try:
            while not ready.exists():
                if process.poll() is not None:
                    sys.exit((folder / "log").read_text())
                time.sleep(0.05)
            account = json.loads(subprocess.check_output([BIN / "tocsin-hub", *add]))
            url = json.loads(ready.read_text())["url"].replace("taxii2/", "hub/")
            yield url, (account["account"], account["key"])
        finally:
            process.send_signal(signal.SIGTERM)


def session(key: tuple[str, str]) -> requests.Session:
    """A connection that is kept."""
    made = requests.Session()
    made.auth = key
    made.headers.update({"Accept": MT, "Content-Type": MT})
    return made


@dataclass
class Writer:
    """What several writers posted, and what was acknowledged."""

    url: str
    key: tuple[str, str]
    size: int
    sent: dict[str, float] = field(default_factory=dict)
    """When each pattern was sent."""
    kept: set[str] = field(default_factory=set)
    answers: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def write(self, ends: float) -> None:
        """Post until the time is over."""
        with session(self.key) as web:
            while time.monotonic() < ends:
                objects = [indicator() for _ in range(self.size)]
                began = time.monotonic()
                self.sent.update((each["pattern"], began) for each in objects)
                where = f"{self.url}collections/inbox/objects/"
                answer = web.post(where, json={"objects": objects}, timeout=PATIENCE)
                self.seconds.append(time.monotonic() - began)
                self.answers.append(answer.status_code)
                if answer.status_code == 202:
                    self.kept |= {each["pattern"] for each in objects}


@dataclass
class Poller:
    """What one poller was given, in order."""

    url: str
    key: tuple[str, str]
    by_next: bool
    got: list[tuple[str, str]] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    """When each pattern was seen first."""
    patterns: list[str] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    """The first and last date_added of each page that had any objects."""
    polls: int = 0
    by_token: int = 0

    def follow(self, written: threading.Event) -> None:
        """Poll until the writers are done and two polls after that bring nothing."""
        query: dict[str, str] = {}
        idle = 0
        with session(self.key) as web:
            while idle < 2:
                done = written.is_set()
                more = self._page(web, query)
                idle = idle + 1 if done and more is None else 0
                query = query if more is None else more

    def _page(self, web: requests.Session, query: dict[str, str]) -> dict[str, str] | None:
        """Take one page; where to go on, or None if there was nothing."""
        where = f"{self.url}collections/green/objects/"
        answer = web.get(where, params={"limit": LIMIT} | query, timeout=PATIENCE)
        answer.raise_for_status()
        self.polls += 1
        page = answer.json()
        objects = page.get("objects", [])
        if not objects:
            time.sleep(0.02)
            return None
        self._take(objects)
        first, last = (answer.headers[f"X-TAXII-Date-Added-{end}"] for end in ("First", "Last"))
        self.stamps += [first] if first == last else [first, last]
        if self.by_next and page.get("more"):
            self.by_token += 1
            return {"next": page["next"]}
        return {"added_after": last}

    def _take(self, objects: list[Object]) -> None:
        now = time.monotonic()
        self.got += [(each["id"], each.get("modified", "")) for each in objects]
        for each in objects:
            if "pattern" in each:
                self.patterns.append(each["pattern"])
                self.seen.setdefault(each["pattern"], now)


def run(writer: Writer, pollers: tuple[Poller, ...], options: argparse.Namespace) -> None:
    """Write and follow at the same time; raises what any of them raised."""
    written, ends = threading.Event(), time.monotonic() + options.seconds
    with ThreadPoolExecutor(options.writers + len(pollers)) as pool:
        following = [pool.submit(each.follow, written) for each in pollers]
        writing = [pool.submit(writer.write, ends) for _ in range(options.writers)]
        try:
            for each in writing:
                each.result()
        finally:
            written.set()
        for each in following:
            each.result()


def judged(writer: Writer, by_next: Poller, by_date: Poller) -> tuple[list[str], list[str]]:
    """The feed's stamps, and what is wrong, in words."""
    records = manifest(by_next.url, by_next.key)
    held = [record["id"] for record in records]
    stamps = [record["date_added"] for record in records]
    checks = {
        "nothing was acknowledged": not writer.kept,
        "answers other than 202": set(writer.answers) - {202},
        "the pollers differ": by_next.got != by_date.got,
        "the pollers did not get what the feed holds": [id for id, _ in by_next.got] != held,
        "acknowledged but not in the feed": writer.kept - set(by_next.patterns),
        "an object twice": len(set(by_next.got)) < len(by_next.got),
        "an indicator twice": len(set(by_next.patterns)) < len(by_next.patterns),
        "date_added does not strictly increase": not increasing(stamps),
        "the pages' date_added do not": not (
            increasing(by_next.stamps) and increasing(by_date.stamps)
        ),
        "no page was reached by next": not by_next.by_token,
    }
    return stamps, [fault for fault, found in checks.items() if found]


def manifest(url: str, key: tuple[str, str]) -> list[Object]:
    """Every record of the feed, by `next`."""
    records: list[Object] = []
    query = {"limit": "1000"}
    with session(key) as web:
        while True:
            where = f"{url}collections/green/manifest/"
            page = web.get(where, params=query, timeout=PATIENCE).json()
            records += page.get("objects", [])
            if not page.get("more"):
                return records
            query["next"] = page["next"]


def increasing(stamps: list[str]) -> bool:
    """Whether each is later than the one before; all have six decimals."""
    return all(a < b for a, b in itertools.pairwise(stamps))


def figures(writer: Writer, by_next: Poller, by_date: Poller) -> dict[str, object]:
    """What there is to tell."""
    visible = [
        min(poller.seen[each] for poller in (by_next, by_date) if each in poller.seen) - began
        for each, began in writer.sent.items()
        if each in by_next.seen or each in by_date.seen
    ]
    return {
        "submissions": len(writer.answers),
        "indicators acknowledged": len(writer.kept),
        "objects in the feed": len(by_next.got),
        "ms until 202, median and 95%": quantiles(writer.seconds),
        "ms until seen by a poller, median and 95%": quantiles(visible),
        "polls by next": f"{by_next.polls}, {by_next.by_token} pages with more",
        "polls by date": by_date.polls,
    }


def quantiles(seconds: list[float]) -> list[int]:
    """The median and the 95th percentile, in ms."""
    ordered = sorted(seconds) or [0.0]
    return [round(ordered[int(len(ordered) * part)] * 1000) for part in (0.5, 0.95)]


def indicator() -> Object:
    """A new indicator with a domain of its own."""
    name = uuid.uuid4()
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{name}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00Z",
        "pattern": f"[domain-name:value = '{name.hex}.top']",
        "pattern_type": "stix",
        "object_marking_refs": [GREEN],
    }


if __name__ == "__main__":
    sys.exit(main())
