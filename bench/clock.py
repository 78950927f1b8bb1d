"""Publishing throughput of concurrent processes that share the hub's single clock.

    python bench/clock.py [--seconds N] [--writers N] [--size N] [--one-feed] [--json]

Starts an embedded engine in a temporary folder.  Every writer is a process with
its own store and, by default, its own collection, so the writers share only the
database.  With --one-feed they all write to one collection.
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
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--size", type=int, default=25, help="objects per transaction")
    parser.add_argument("--one-feed", action="store_true", help="all writers share one collection")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.start(Path(folder), print)
        try:
            commits = run_writers(engine.uri, options)
        finally:
            engine.stop()
    results = summarise(commits, options)
    lines = "\n".join(f"{name}: {value}" for name, value in results.items())
    print(json.dumps(results) if options.json else lines)
    return 0


def run_writers(uri: str, options: argparse.Namespace) -> list[list[float]]:
    """Return the duration in seconds of every transaction, one list per writer."""
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
    """Publish until the time is up; return the duration of every transaction in seconds."""
    store = Store.connect(uri)
    durations: list[float] = []
    deadline = time.monotonic() + seconds
    while (started := time.monotonic()) < deadline:
        batch = [new_entry() for _ in range(size)]
        publish(store, feed, batch)
        durations.append(time.monotonic() - started)
    store.close()
    return durations


def publish(store: Store, feed: str, batch: list[NewEntry]) -> None:
    """Publish a batch in one transaction."""
    store.commit(lambda txn: txn.publish(feed, batch))


def new_entry() -> NewEntry:
    """Create an entry of about half a kilobyte with a new id."""
    name = uuid.uuid4()
    body = f'{{"type":"indicator","id":"indicator--{name}","x":"{name.hex * 14}"}}'.encode()
    modified = "2024-01-01T00:00:00.000Z"
    terms = ("type=indicator",)
    return NewEntry(f"indicator--{name}", "indicator", "2.1", modified, body, name.bytes, terms)


def summarise(commits: list[list[float]], options: argparse.Namespace) -> dict[str, object]:
    """Return the figures to print: rates, and durations of transactions in milliseconds."""
    durations = sorted(seconds for writer in commits for seconds in writer)
    rate = len(durations) / options.seconds
    return {
        "transactions/s": round(rate, 1),
        "objects/s": round(rate * options.size),
        "transactions per writer": [len(writer) for writer in commits],
        "ms per transaction, median and 99%": [
            round(durations[int(len(durations) * part)] * 1000, 1) for part in (0.5, 0.99)
        ],
    }


if __name__ == "__main__":
    raise SystemExit(main())
