"""What packing is good for: a feed that was published in small pieces, before and after.

    python bench/packing.py [--entries N] [--sizes 1,5] [--json]

Fills a feed of the embedded engine with indicators, one or a few in each
transaction, as small submissions do; reads its first page of 1,000 and all of
it, packs it, and reads again.  The answers must be the same, octet by octet.
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
from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from pathlib import Path

import bson
import orjson

from tocsin.server.model import (
    Collection,
    CollectionKind,
    Entry,
    NewEntry,
    Query,
)
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine

PAGE = 1_000
TIMES = 5
Row = dict[str, object]


def main() -> int:
    """Measure it all; 1 if packing changed an answer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--sizes", default="1,5", help="entries in a submission, by comma")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.start(Path(folder), lambda text: None)
        try:
            for size in map(int, options.sizes.split(",")):
                rows += measured(engine.uri, options.entries, size)
        finally:
            engine.stop()
    print(json.dumps(rows) if options.json else table(rows))
    return 0 if all(row["the same"] for row in rows) else 1


def measured(uri: str, entries: int, size: int) -> Iterator[Row]:
    """A row before packing and one after it."""
    store = Store.connect(uri, name=f"packing{size}")
    store.prepare()
    store.feeds.add(Collection("feed", "feed", CollectionKind.FEED, "A feed"))
    began = time.monotonic()
    for batch in batches(entries, size):
        store.commit(lambda txn, batch=batch: txn.publish("feed", batch))
    row, answer = looked_at(store, "by " + str(size), entries)
    yield {**row, "s": round(time.monotonic() - began, 1), "runs": "", "the same": True}
    longest, steps, began = 0.0, 0, time.monotonic()
    while True:
        start = time.monotonic()
        if not store.packing.pack_next():
            break
        longest, steps = max(longest, time.monotonic() - start), steps + 1
    seconds = time.monotonic() - began
    row, after = looked_at(store, "packed", entries)
    row |= {"s": round(seconds, 1), "runs": store.packing.packed, "the same": answer == after}
    yield row | {"longest step, ms": round(longest * 1000)}
    store.close()


def looked_at(store: Store, name: str, entries: int) -> tuple[Row, str]:
    """What reading costs, and a digest of what was read."""
    first = [clocked(lambda: store.feeds.page("feed", Query(PAGE))) for _ in range(TIMES)]
    small = [clocked(lambda: store.feeds.page("feed", Query(20, 5_000))) for _ in range(TIMES)]
    digest, began = hashlib.sha256(), time.monotonic()
    for entry in walk(store):
        digest.update(repr(entry).encode())
    seconds = time.monotonic() - began
    base = store._base
    sizes = {c: sizes_of(base[c].find({})) for c in ("runs", "shelves", "marks")}
    row: Row = {
        "": name,
        "first page, ms": round(statistics.median(first) * 1000, 1),
        "page of 20, ms": round(statistics.median(small) * 1000, 1),
        "walk, objects/s": round(entries / seconds),
        "documents": sum(count for count, _ in sizes.values()),
        "MB": round(sum(octets for _, octets in sizes.values()) / 1e6, 1),
    }
    return row, digest.hexdigest()


def walk(store: Store) -> Iterator[Entry]:
    """The whole feed in pages of 1,000."""
    position, more = 0, True
    while more:
        page = store.feeds.page("feed", Query(PAGE, position))
        yield from page.entries
        position, more = page.entries[-1].position, page.more


def sizes_of(documents: Iterable[Mapping[str, object]]) -> tuple[int, int]:
    """How many there are, and how many octets they have as BSON."""
    lengths = [len(bson.encode(document)) for document in documents]
    return len(lengths), sum(lengths)


def batches(entries: int, size: int) -> Iterator[list[NewEntry]]:
    """Indicators as the hub publishes them, in batches of `size`."""
    dice = random.Random(5)
    for first in range(0, entries, size):
        yield [indicator(dice) for _ in range(min(size, entries - first))]


def indicator(dice: random.Random) -> NewEntry:
    """An indicator with a domain, a label and a description of its own."""
    name = uuid.UUID(int=dice.getrandbits(128), version=4)
    day = f"2026-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}T08:{dice.randrange(60):02}"
    label = dice.choice(("phishing", "c2", "dropper", "scanner"))
    subject = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{name}",
        "created_by_ref": f"identity--{uuid.UUID(int=9)}",
        "created": f"{day}:00.000Z",
        "modified": f"{day}:00.000Z",
        "name": f"{label} host",
        "description": f"Seen {dice.randrange(2, 900)} times, from {dice.randrange(2, 9)} sources",
        "indicator_types": ["malicious-activity"],
        "labels": [label],
        "pattern": f"[domain-name:value = '{name.hex[:14]}.{dice.choice(('top', 'xyz'))}']",
        "pattern_type": "stix",
        "valid_from": f"{day}:00Z",
        "confidence": dice.randrange(100),
        "object_marking_refs": [f"marking-definition--{uuid.UUID(int=8)}"],
    }
    body = orjson.dumps(subject)
    digest = hashlib.sha256(body).digest()[:16]
    facets = (f"labels={label}",)
    return NewEntry(subject["id"], "indicator", "2.1", subject["modified"], body, digest, facets)  # type: ignore[arg-type]


def clocked(act: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def table(rows: list[Row]) -> str:
    """The rows, one below the other."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(c.rjust(w) for c, w in zip(x, widths, strict=True)) for x in lines)


if __name__ == "__main__":
    sys.exit(main())
