"""What one clock costs: processes that publish at the same time, each into a feed of its own.

    python bench/clock.py [--seconds N] [--writers N] [--size N] [--one-feed] [--json]

Starts an embedded engine in a temporary folder.  Every writer is a process with
a store of its own, so what the writers share is the database alone.  With
--one-feed they write to one and the same feed.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
import uuid
from pathlib import Path

from tocsin.server.model import Collection, CollectionKind, NewEntry
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine


def main() -> int:
    """Publish for a while and tell how much."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--size", type=int, default=25, help="objects in a transaction")
    parser.add_argument("--one-feed", action="store_true", help="all write to one feed")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.start(Path(folder), print)
        try:
            commits = measured(engine.uri, options)
        finally:
            engine.stop()
    told = figures(commits, options)
    print(json.dumps(told) if options.json else "\n".join(f"{k}: {v}" for k, v in told.items()))
    return 0


def measured(uri: str, options: argparse.Namespace) -> list[list[float]]:
    """The seconds of every transaction of each writer."""
    store = Store.connect(uri)
    store.prepare()
    feeds = [str(uuid.uuid4()) for _ in range(1 if options.one_feed else options.writers)]
    for feed in feeds:
        store.feeds.add(Collection(feed, "", CollectionKind.VERBATIM, "A feed"))
    store.close()
    jobs = [
        (uri, feeds[n % len(feeds)], options.seconds, options.size) for n in range(options.writers)
    ]
    with multiprocessing.get_context("spawn").Pool(options.writers) as pool:
        return pool.starmap(write, jobs)


def write(uri: str, feed: str, seconds: float, size: int) -> list[float]:
    """Publish until the time is over; the seconds of every transaction."""
    store = Store.connect(uri)
    taken: list[float] = []
    ends = time.monotonic() + seconds
    while (began := time.monotonic()) < ends:
        batch = [posting() for _ in range(size)]
        store.commit(lambda txn, batch=batch: txn.publish(feed, batch))
        taken.append(time.monotonic() - began)
    store.close()
    return taken


def posting() -> NewEntry:
    """A new object of about half a kilobyte."""
    name = uuid.uuid4()
    body = f'{{"type":"indicator","id":"indicator--{name}","x":"{name.hex * 14}"}}'.encode()
    when = "2024-01-01T00:00:00.000Z"
    facets = ("type=indicator",)
    return NewEntry(f"indicator--{name}", "indicator", "2.1", when, body, name.bytes, facets)


def figures(commits: list[list[float]], options: argparse.Namespace) -> dict[str, object]:
    """What there is to tell."""
    every = sorted(seconds for each in commits for seconds in each)
    rate = len(every) / options.seconds
    return {
        "transactions/s": round(rate, 1),
        "objects/s": round(rate * options.size),
        "transactions of each writer": [len(each) for each in commits],
        "ms, median and 99%": [round(every[int(len(every) * p)] * 1000, 1) for p in (0.5, 0.99)],
    }


if __name__ == "__main__":
    raise SystemExit(main())
