"""Cost of the match filters on a large collection: query plan, keys, documents, time.

    python bench/filters.py [--entries N] [--json]

Fills one collection on the embedded engine, or on the MongoDB that $TOCSIN_TEST_MONGO names,
with objects of many types.  For every optional filter of the interoperability document it
reads the first page of 100 entries, once for a value that only one object in the middle of the
collection has and once for a common value if there is one.  It prints the number of database
queries, the stages of their plans, and the keys and documents that `explain` reports as
examined.  Then it measures the first, middle and last page of 1,000 entries without a filter,
and the cost of publishing.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient, monitoring

from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros, stix_time
from tocsin.server.intake.verbatim import posting
from tocsin.server.model import Collection, CollectionKind, NewEntry, Query
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine
from tocsin.server.store.match_filters import (
    BOUNDS,
    FIELDS,
    HASHES,
    LISTS,
    SCALES,
    WORDS,
    parse_filter,
)

Object = dict[str, Any]
BATCH = 1_000
PAGE, LONG_PAGE = 100, 1_000
ROUNDS = 21
START = micros("2020-01-01T00:00:00Z")
ID = uuid.UUID(int=7)
READ_COMMANDS = ("find", "getMore", "aggregate", "count", "distinct")


@dataclass
class CommandRecorder(monitoring.CommandListener):
    """Records the read commands sent while it is on, and counts the documents returned."""

    on: bool = False
    sent: list[Object] = field(default_factory=list)
    returned: int = 0
    """Number of documents returned."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Record a read command."""
        if self.on and event.command_name in READ_COMMANDS:
            self.sent.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Count the documents in the reply."""
        if self.on and event.command_name in READ_COMMANDS:
            cursor = event.reply.get("cursor", {})
            self.returned += len(cursor.get("firstBatch", cursor.get("nextBatch", ())))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Ignore the failure, which pymongo raises where the command was sent."""


def main() -> int:
    """Run the benchmark; return 1 if a query scanned a collection or a late page is slow."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    recorder = CommandRecorder()
    monitoring.register(recorder)
    with open_database() as uri:
        bench = Bench(Store.connect(uri, name=f"bench_{uuid.uuid4().hex}"), uri, recorder)
        try:
            bench.publish_objects(options.entries)
            pages, published = bench.measure_pages(), bench.published
            print_progress(str(pages))
            rows = [row for name in sorted(FIELDS) for row in bench.measure_filter(name)]
        finally:
            bench.close()
    figures = {"filters": rows, "pages": pages, "published": published}
    print(json.dumps(figures, indent=1) if options.json else format_tables(rows, pages, published))
    scans = [row for row in rows if "COLLSCAN" in row["stages"]]
    slow = [part for name, part in pages.items() if name.endswith("/ first") and part > 1.3]
    return 1 if scans or slow else 0


@contextlib.contextmanager
def open_database() -> Iterator[str]:
    """Yield the URI of the database to measure; starts an embedded engine if none is given."""
    if "TOCSIN_TEST_MONGO" in os.environ:
        yield os.environ["TOCSIN_TEST_MONGO"]
        return
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.private(Path(folder) / "data", lambda line: print(line, file=sys.stderr))
        try:
            yield engine.uri
        finally:
            engine.stop()


class Bench:
    """One collection, filled with generated objects, and the measurements on it."""

    def __init__(self, store: Store, uri: str, recorder: CommandRecorder) -> None:
        """`store` must be on an empty database."""
        self._store, self._recorder = store, recorder
        self._client: MongoClient[Object] = MongoClient(uri)
        self._base = self._client[store._base.name]
        store.prepare()
        store.feeds.add(Collection(str(ID), "bench", CollectionKind.VERBATIM, "Bench"))
        self.published: dict[str, float] = {}

    def publish_objects(self, entries: int) -> None:
        """Publish this many generated objects in batches, and measure it."""
        rng, seconds, indexed = random.Random(7), [], 0.0
        self._entries = entries
        for start in range(0, entries, BATCH):
            numbers = range(start, min(start + BATCH, entries))
            objects = [generate_object(number, entries, rng) for number in numbers]
            started = time.perf_counter()
            batch = [posting(json.dumps(each).encode()) for each in objects]
            indexed += time.perf_counter() - started
            started = time.perf_counter()
            self._publish(batch)
            seconds.append(time.perf_counter() - started)
            print_progress(f"{start + len(objects):,} published")
        first_block = {"feed": str(ID), "block": 0}
        documents = list(self._base.filter_index.find(first_block, {"facets": 1, "_id": 0}))
        self.published = {
            "entries": entries,
            "parsing and index terms, µs per object": round(indexed / entries * 1e6),
            "publishing batches of 1,000, ms per batch, median": ms(statistics.median(seconds)),
            "index documents per block": len(documents),
            "index terms in them": sum(len(document["facets"]) for document in documents),
        }

    def _publish(self, batch: list[NewEntry]) -> None:
        self._store.commit(lambda txn: txn.publish(str(ID), batch))

    def measure_filter(self, name: str) -> Iterator[Object]:
        """Yield the rows of one filter: for a rare value, and for a common one."""
        for kind, value in sample_values(name, self._entries).items():
            query = Query(limit=PAGE, filters=(parse_filter(name, [value]),))
            seconds = []
            for _ in range(3):
                self._recorder.on, self._recorder.sent, self._recorder.returned = True, [], 0
                started = time.perf_counter()
                page = self._store.feeds.page(str(ID), query)
                seconds.append(time.perf_counter() - started)
                self._recorder.on = False
            plan = self._explain(self._recorder.sent)
            yield {
                "filter": name,
                "value": f"{kind}: {value}",
                "entries": len(page.entries),
                "more": page.more,
                "queries": len(self._recorder.sent),
                "documents returned": self._recorder.returned,
                **plan,
                "ms": ms(statistics.median(seconds)),
            }
            print_progress(f"{name} {kind}: {ms(min(seconds))} ms")

    def _explain(self, commands: list[Object]) -> Object:
        """Sum up the database's `explain` output for these commands."""
        stages: Counter[str] = Counter()
        keys = documents = 0
        for command in commands:
            allowed = ("find", "filter", "projection", "sort")
            query = {name: command[name] for name in allowed if name in command}
            if "find" not in query:
                raise SystemExit(f"cannot explain {command}")
            explained = self._base.command("explain", query, verbosity="executionStats")
            names: set[str] = set()
            _collect_stages(explained["queryPlanner"]["winningPlan"], names)
            stages.update(f"{query['find']}: {name}" for name in names)
            keys += explained["executionStats"]["totalKeysExamined"]
            documents += explained["executionStats"]["totalDocsExamined"]
        return {"stages": " ".join(stages), "keys": keys, "documents": documents}

    def measure_pages(self) -> dict[str, float]:
        """Return the median times of pages of 1,000 entries at several positions, interleaved."""
        end = self._entries - LONG_PAGE
        positions = {"first": 0, "middle": self._entries // 2, "last but one": end - LONG_PAGE}
        positions["last"] = end  # no entry after it has to be read for `more`
        durations: dict[str, list[float]] = {name: [] for name in positions}
        for _ in range(ROUNDS):
            for name, position in positions.items():
                started = time.perf_counter()
                page = self._store.feeds.page(str(ID), Query(limit=LONG_PAGE, position=position))
                durations[name].append(time.perf_counter() - started)
                if len(page.entries) != min(LONG_PAGE, self._entries):
                    raise SystemExit(f"the page has only {len(page.entries)} entries")
        medians = {name: statistics.median(seconds) for name, seconds in durations.items()}
        return {f"{name} page, ms": ms(seconds) for name, seconds in medians.items()} | {
            f"{name} / first": round(medians[name] / medians["first"], 2)
            for name in ("middle", "last but one", "last")
        }

    def close(self) -> None:
        """Drop the database of a MongoDB; the embedded engine's folder is deleted anyway."""
        if "TOCSIN_TEST_MONGO" in os.environ:
            self._client.drop_database(self._base.name)
        self._store.close()
        self._client.close()


def _collect_stages(plan: Object, found: set[str]) -> None:
    """Add the names of all stages of a query plan to `found`."""
    if "stage" in plan:
        found.add(plan["stage"])
    for inner in plan.values():
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict):
                _collect_stages(each, found)


def sample_values(name: str, entries: int) -> dict[str, str]:
    """Return a rare value of a filter, which one object has, and a common one if there is one."""
    rare_object = rare_values_object()
    if name in BOUNDS:
        scaled, _ = BOUNDS[name]
        usual = generate_object(3, entries, random.Random(3)) | port_numbers(3)
        usual |= {"number": 700, "confidence": 50}
        return {"rare": str(rare_object[scaled]), "common": str(usual[scaled])}
    kinds = {"tlp": ("red", "green"), "revoked": ("true", "false"), "confidence": ("1", "50")}
    if name in kinds:
        return dict(zip(("rare", "common"), kinds[name], strict=True))
    if name == "relationships-all":
        return {"rare": f"identity--{uuid.UUID(int=5)}", "common": f"malware--{uuid.UUID(int=6)}"}
    if name in SCALES:
        return {"rare": str(rare_object[name])}
    rare = {"rare": f"rare-{name}"}
    common = {"labels": "label-3", "name": "name-8", "pattern_type": "stix", "phase_name": "c2"}
    common |= {"indicator_types": "malicious-activity", "relationship_type": "indicates"}
    return rare | ({"common": common[name]} if name in common else {})


def generate_object(number: int, entries: int, rng: random.Random) -> Object:
    """Return object `number`: an indicator, a relationship, malware or network traffic."""
    if number == entries // 2:
        return rare_values_object()
    when = stix_time(START + number * 60_000_000)
    common: Object = {
        "spec_version": "2.1",
        "created": when,
        "modified": when,
        "created_by_ref": f"identity--{uuid.UUID(int=number % 5)}",
        "object_marking_refs": [TLP_2_IDS[(Tlp.CLEAR, Tlp.GREEN, Tlp.AMBER)[number % 3]]],
        "confidence": 10 + number % 80,
        "labels": [f"label-{number % 50}", f"label-{number % 7}"],
    }
    name = f"{uuid.UUID(int=rng.getrandbits(128), version=4)}"
    kind = number % 10
    if kind < 6:
        return {
            "type": "indicator",
            "id": f"indicator--{name}",
            **common,
            "name": f"Address of a control server, {number}",
            "indicator_types": ["malicious-activity"],
            "pattern": f"[domain-name:value = 'host-{number}.{number % 7}.invalid.example']",
            "pattern_type": "stix",
            "valid_from": when,
            "valid_until": stix_time(START + number * 60_000_000 + 31_536_000_000_000),
            "kill_chain_phases": [{"kill_chain_name": "k", "phase_name": "c2"}],
        }
    if kind < 8:
        ends = {
            "source_ref": f"indicator--{name}",
            "target_ref": f"malware--{uuid.UUID(int=number % 500)}",
        }
        more: Object = {"relationship_type": "indicates", **ends}
        return {"type": "relationship", "id": f"relationship--{name}", **common, **more}
    if kind == 8:
        more = {"name": f"name-{number % 40}", "is_family": True, "malware_types": ["trojan"]}
        return {"type": "malware", "id": f"malware--{name}", **common, **more}
    return {
        "type": "network-traffic",
        "id": f"network-traffic--{name}",
        "spec_version": "2.1",
        "protocols": ["tcp"],
        **port_numbers(number),
    }


def port_numbers(number: int) -> Object:
    """Return the ports of network-traffic object `number`."""
    return {"src_port": 1_024 + number % 50_000, "dst_port": (80, 443, 8_080)[number % 3]}


def rare_values_object() -> Object:
    """Return an object with every filterable property, each with a value of no other object."""
    text = {name: f"rare-{name}" for name in FIELDS - BOUNDS.keys()}
    hashes = {name: text[name] for name in text if name in HASHES}
    extensions = {
        "socket-ext": {name: text[name] for name in ("address_family", "socket_type")},
        "windows-process-ext": {"integrity_level": text["integrity_level"]},
        "windows-service-ext": {
            name: text[name] for name in ("service_status", "service_type", "start_type")
        },
        "windows-pebinary-ext": {"pe_type": text["pe_type"]},
    }
    return {
        **{name: text[name] for name in WORDS},
        **{name: [text[name]] for name in LISTS},
        "type": "x-everything",
        "id": f"x-everything--{uuid.UUID(int=7)}",
        "spec_version": "2.1",
        "created": stix_time(START),
        "modified": "2119-01-01T00:00:00.000Z",
        "revoked": True,
        "confidence": 1,
        "number": 4_000_000_000,
        "src_port": 3,
        "dst_port": 65_535,
        "valid_from": "1999-01-01T00:00:00Z",
        "valid_until": "2999-01-01T00:00:00Z",
        "created_by_ref": f"identity--{uuid.UUID(int=5)}",
        "object_marking_refs": [TLP_2_IDS[Tlp.RED]],
        "hashes": hashes,
        "extensions": extensions,
        "external_references": [
            {"source_name": text["source_name"], "external_id": text["external_id"]}
        ],
        "kill_chain_phases": [{"kill_chain_name": "k", "phase_name": text["phase_name"]}],
    }


def print_progress(line: str) -> None:
    """Print a line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


def ms(seconds: float) -> float:
    """Convert seconds to milliseconds with two decimals."""
    return round(seconds * 1_000, 2)


def format_tables(rows: list[Object], pages: Object, published: Object) -> str:
    """Format the figures as tables."""
    names = ("entries", "more", "queries", "documents returned", "keys", "documents", "ms")
    lines = ["filter | value | " + " | ".join(names) + " | stages"]
    for row in rows:
        cells = [row["filter"], row["value"][:60], *(str(row[name]) for name in names)]
        lines.append(" | ".join((*cells, row["stages"])))
    lines += [f"{name}: {figure}" for name, figure in (pages | published).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
