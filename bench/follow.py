"""Writers post while pollers poll: nothing may be lost, duplicated or out of order.

    python bench/follow.py [--seconds N] [--writers N] [--size N] [--json]

Starts a hub in a temporary folder.  One poller follows `next` from page to page,
and `added_after` at the end of the pages; the other only uses `added_after`, with
the X-TAXII-Date-Added-Last of its latest page.  Afterwards both must have received
the collection's objects in the same order, each object once, including everything
that was acknowledged.  Exit code 1 if not.
"""

import argparse
import contextlib
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.processes import MT, HubProcess, indicators  # noqa: E402  (found by the path above)

LIMIT = "20"
TIMEOUT = 60

Object = dict[str, Any]


def main() -> int:
    """Run writers and pollers; return 0 if no fault was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--size", type=int, default=25, help="indicators per submission")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, start_hub(Path(folder)) as (url, key):
        writer = Writer(url, key, options.size)
        by_next, by_date = Poller(url, key, by_next=True), Poller(url, key, by_next=False)
        run_all(writer, (by_next, by_date), options)
        stamps, faults = find_faults(writer, by_next, by_date)
    results = summarise(writer, by_next, by_date) | {"stamps": len(stamps), "faults": faults}
    lines = "\n".join(f"{name}: {value}" for name, value in results.items())
    print(json.dumps(results) if options.json else lines)
    return 1 if faults else 0


@contextlib.contextmanager
def start_hub(folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    """Start a hub; yield its API root's URL, and the credentials of an account with all rights."""
    os.environ["TOCSIN_REQUESTS_PER_MINUTE"] = "0"  # no rate limit
    hub = HubProcess(folder / "data")
    hub.start()
    try:
        account, _, key = hub.join().partition(":")
        yield hub.url.replace("taxii2/", "hub/"), (account, key)
    finally:
        hub.stop()


def open_session(key: tuple[str, str]) -> requests.Session:
    """Create a session with the account's credentials and the TAXII media type."""
    session = requests.Session()
    session.auth = key
    session.headers.update({"Accept": MT, "Content-Type": MT})
    return session


@dataclass
class Writer:
    """The writers' shared record: patterns sent and acknowledged, status codes, durations."""

    url: str
    key: tuple[str, str]
    size: int
    sent: dict[str, float] = field(default_factory=dict)
    """When each pattern was sent, in seconds of the monotonic clock."""
    acknowledged: set[str] = field(default_factory=set)
    status_codes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def write(self, deadline: float) -> None:
        """Post submissions until the deadline."""
        with open_session(self.key) as session:
            while time.monotonic() < deadline:
                objects = indicators(self.size)
                started = time.monotonic()
                self.sent.update((each["pattern"], started) for each in objects)
                endpoint = f"{self.url}collections/inbox/objects/"
                answer = session.post(endpoint, json={"objects": objects}, timeout=TIMEOUT)
                self.seconds.append(time.monotonic() - started)
                self.status_codes.append(answer.status_code)
                if answer.status_code == 202:
                    self.acknowledged |= {each["pattern"] for each in objects}


@dataclass
class Poller:
    """The objects that one poller received, in order."""

    url: str
    key: tuple[str, str]
    by_next: bool
    received: list[tuple[str, str]] = field(default_factory=list)
    """Id and `modified` of each object."""
    seen: dict[str, float] = field(default_factory=dict)
    """When each pattern was first seen, in seconds of the monotonic clock."""
    patterns: list[str] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    """The first and last date_added of each non-empty page."""
    polls: int = 0
    followed: int = 0
    """Pages reached by `next`."""

    def poll(self, written: threading.Event) -> None:
        """Poll until the writers are done and two polls after that return nothing."""
        query: dict[str, str] = {}
        idle = 0
        with open_session(self.key) as session:
            while idle < 2:
                done = written.is_set()
                more = self._read_page(session, query)
                idle = idle + 1 if done and more is None else 0
                query = query if more is None else more

    def _read_page(self, session: requests.Session, query: dict[str, str]) -> dict[str, str] | None:
        """Record one page; return the query of the next page, or None if the page was empty."""
        endpoint = f"{self.url}collections/green/objects/"
        answer = session.get(endpoint, params={"limit": LIMIT} | query, timeout=TIMEOUT)
        answer.raise_for_status()
        self.polls += 1
        page = answer.json()
        objects = page.get("objects", [])
        if not objects:
            time.sleep(0.02)
            return None
        self._record(objects)
        first, last = (answer.headers[f"X-TAXII-Date-Added-{end}"] for end in ("First", "Last"))
        self.stamps += [first] if first == last else [first, last]
        if self.by_next and page.get("more"):
            self.followed += 1
            return {"next": page["next"]}
        return {"added_after": last}

    def _record(self, objects: list[Object]) -> None:
        now = time.monotonic()
        self.received += [(each["id"], each.get("modified", "")) for each in objects]
        for each in objects:
            if "pattern" in each:
                self.patterns.append(each["pattern"])
                self.seen.setdefault(each["pattern"], now)


def run_all(writer: Writer, pollers: tuple[Poller, ...], options: argparse.Namespace) -> None:
    """Run writers and pollers concurrently; raise the first exception of any of them."""
    written, deadline = threading.Event(), time.monotonic() + options.seconds
    with ThreadPoolExecutor(options.writers + len(pollers)) as pool:
        polling = [pool.submit(poller.poll, written) for poller in pollers]
        writing = [pool.submit(writer.write, deadline) for _ in range(options.writers)]
        try:
            for future in writing:
                future.result()
        finally:
            written.set()
        for future in polling:
            future.result()


def find_faults(writer: Writer, by_next: Poller, by_date: Poller) -> tuple[list[str], list[str]]:
    """Return the collection's stamps, and a description of each fault."""
    records = read_manifest(by_next.url, by_next.key)
    published = [record["id"] for record in records]
    received = [id for id, _ in by_next.received]
    stamps = [record["date_added"] for record in records]
    checks = {
        "no submission was acknowledged": not writer.acknowledged,
        "status codes other than 202": set(writer.status_codes) - {202},
        "the pollers received different objects": by_next.received != by_date.received,
        "the pollers did not receive the objects of the manifest": received != published,
        "acknowledged but not published": writer.acknowledged - set(by_next.patterns),
        "an object was received twice": len(set(by_next.received)) < len(by_next.received),
        "an indicator was received twice": len(set(by_next.patterns)) < len(by_next.patterns),
        "date_added does not strictly increase": not is_increasing(stamps),
        "the pages' date_added does not strictly increase": not (
            is_increasing(by_next.stamps) and is_increasing(by_date.stamps)
        ),
        "no page was reached by next": not by_next.followed,
    }
    return stamps, [fault for fault, found in checks.items() if found]


def read_manifest(url: str, key: tuple[str, str]) -> list[Object]:
    """Read every record of the collection's manifest, following `next`."""
    records: list[Object] = []
    query = {"limit": "1000"}
    with open_session(key) as session:
        while True:
            endpoint = f"{url}collections/green/manifest/"
            page = session.get(endpoint, params=query, timeout=TIMEOUT).json()
            records += page.get("objects", [])
            if not page.get("more"):
                return records
            query["next"] = page["next"]


def is_increasing(stamps: list[str]) -> bool:
    """True if each stamp is later than the previous one; all have six decimals."""
    return all(a < b for a, b in itertools.pairwise(stamps))


def summarise(writer: Writer, by_next: Poller, by_date: Poller) -> dict[str, object]:
    """Return the figures to print."""
    visible = [
        min(poller.seen[each] for poller in (by_next, by_date) if each in poller.seen) - started
        for each, started in writer.sent.items()
        if each in by_next.seen or each in by_date.seen
    ]
    return {
        "submissions": len(writer.status_codes),
        "indicators acknowledged": len(writer.acknowledged),
        "objects in the collection": len(by_next.received),
        "ms until 202, median and 95%": quantiles(writer.seconds),
        "ms until a poller received it, median and 95%": quantiles(visible),
        "polls by next": f"{by_next.polls}, {by_next.followed} pages with more",
        "polls by date": by_date.polls,
    }


def quantiles(seconds: list[float]) -> list[int]:
    """Return the median and the 95th percentile, in ms."""
    ordered = sorted(seconds) or [0.0]
    return [round(ordered[int(len(ordered) * part)] * 1000) for part in (0.5, 0.95)]


if __name__ == "__main__":
    sys.exit(main())
