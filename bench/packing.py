"""Read speed and size of a collection of many small submissions, before and after packing.

    python bench/packing.py [--entries N] [--sizes 1,5] [--json]

Fills a collection on the embedded engine with indicators, one or a few in each
transaction, as small submissions do; reads its first page of 1,000 and the whole
collection, packs it, and reads again.  The content must be the same, octet by octet.
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import bson
import orjson

from tocsin.server.model import Collection, CollectionKind, Entry, NewEntry, Query
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine

PAGE = 1_000
REPEATS = 5
Row = dict[str, object]


def main() -> int:
    """Measure every size; return 1 if packing changed the content."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--sizes", default="1,5", help="entries per submission, comma-separated")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.start(Path(folder), lambda text: None)
        try:
            for size in map(int, options.sizes.split(",")):
                rows += measure(engine.uri, options.entries, size)
        finally:
            engine.stop()
    print(json.dumps(rows) if options.json else format_table(rows))
    return 0 if all(row["unchanged"] for row in rows) else 1


def measure(uri: str, entries: int, size: int) -> Iterator[Row]:
    """Yield a row of figures before packing, and one after it."""
    store = Store.connect(uri, name=f"packing{size}")
    store.prepare()
    store.feeds.add(Collection("feed", "feed", CollectionKind.FEED, "A feed"))
    started = time.monotonic()
    for batch in batches(entries, size):
        publish(store, batch)
    row, before = measure_reading(store, f"batches of {size}", entries)
    yield {**row, "s": round(time.monotonic() - started, 1), "packed": "", "unchanged": True}
    longest, started = 0.0, time.monotonic()
    while True:
        step_started = time.monotonic()
        if not store.packing.pack_next():
            break
        longest = max(longest, time.monotonic() - step_started)
    seconds = time.monotonic() - started
    row, after = measure_reading(store, "packed", entries)
    row |= {"s": round(seconds, 1), "packed": store.packing.packed, "unchanged": before == after}
    yield row | {"longest step, ms": round(longest * 1000)}
    store.close()


def publish(store: Store, batch: list[NewEntry]) -> None:
    """Publish a batch in one transaction."""
    store.commit(lambda txn: txn.publish("feed", batch))


def measure_reading(store: Store, name: str, entries: int) -> tuple[Row, str]:
    """Measure pages and a full read; return the figures and a digest of the content."""
    first = [seconds_of(lambda: store.feeds.page("feed", Query(PAGE))) for _ in range(REPEATS)]
    small = [seconds_of(lambda: store.feeds.page("feed", Query(20, 5_000))) for _ in range(REPEATS)]
    digest, started = hashlib.sha256(), time.monotonic()
    for entry in read_all(store):
        digest.update(repr(entry).encode())
    seconds = time.monotonic() - started
    base = store._base
    sizes = [size_of(base[name].find({})) for name in ("entry_batches", "id_index", "status_bits")]
    row: Row = {
        "": name,
        "first page, ms": round(statistics.median(first) * 1000, 1),
        "page of 20, ms": round(statistics.median(small) * 1000, 1),
        "full read, objects/s": round(entries / seconds),
        "documents": sum(count for count, _ in sizes),
        "MB": round(sum(octets for _, octets in sizes) / 1e6, 1),
    }
    return row, digest.hexdigest()


def read_all(store: Store) -> Iterator[Entry]:
    """Read the whole collection in pages of 1,000."""
    position, more = 0, True
    while more:
        page = store.feeds.page("feed", Query(PAGE, position))
        yield from page.entries
        position, more = page.entries[-1].position, page.more


def size_of(documents: Iterable[Mapping[str, object]]) -> tuple[int, int]:
    """Return the number of documents and their total length as BSON, in octets."""
    lengths = [len(bson.encode(document)) for document in documents]
    return len(lengths), sum(lengths)


def batches(entries: int, size: int) -> Iterator[list[NewEntry]]:
    """Generate indicators as the hub publishes them, in batches of `size`."""
    rng = random.Random(5)
    for first in range(0, entries, size):
        yield [indicator(rng) for _ in range(min(size, entries - first))]


def indicator(rng: random.Random) -> NewEntry:
    """Generate an indicator with a random id, domain, label and description."""
    name = uuid.UUID(int=rng.getrandbits(128), version=4)
    day = f"2026-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T08:{rng.randrange(60):02}"
    label = rng.choice(("phishing", "c2", "dropper", "scanner"))
    subject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{name}",
        "created_by_ref": f"identity--{uuid.UUID(int=9)}",
        "created": f"{day}:00.000Z",
        "modified": f"{day}:00.000Z",
        "name": f"{label} host",
        "description": f"Seen {rng.randrange(2, 900)} times, from {rng.randrange(2, 9)} sources",
        "indicator_types": ["malicious-activity"],
        "labels": [label],
        "pattern": f"[domain-name:value = '{name.hex[:14]}.{rng.choice(('top', 'xyz'))}']",
        "pattern_type": "stix",
        "valid_from": f"{day}:00Z",
        "confidence": rng.randrange(100),
        "object_marking_refs": [f"marking-definition--{uuid.UUID(int=8)}"],
    }
    body = orjson.dumps(subject)
    digest = hashlib.sha256(body).digest()[:16]
    modified, terms = f"{day}:00.000Z", (f"labels={label}",)
    return NewEntry(f"indicator--{name}", "indicator", "2.1", modified, body, digest, terms)


def seconds_of(call: Callable[[], object]) -> float:
    """Measure the duration of a call."""
    started = time.monotonic()
    call()
    return time.monotonic() - started


def format_table(rows: list[Row]) -> str:
    """Format the rows as a table with aligned columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(x, widths, strict=True)) for x in lines)


if __name__ == "__main__":
    sys.exit(main())
