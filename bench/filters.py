"""What the match filters cost on a large feed: plan, keys, documents, time.

    python bench/filters.py [--entries N] [--json]

Fills one feed on the embedded engine, or on the MongoDB that $TOCSIN_TEST_MONGO names, with
objects of many types.  For every optional filter of the interoperability document it then
reads the first page of 100 entries, once for a value that a single object in the middle of
the feed has and once for a common one where there is any, and tells what the database was
asked meanwhile: how many questions, the stages of their plans, keys and documents examined as
`explain` says.  Then the first, middle and last page of 1,000 entries without a filter, and
what publishing costs.
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
from tocsin.server.index_terms import (
    BOUNDS,
    FIELDS,
    HASHES,
    LISTS,
    SCALES,
    WORDS,
    parse_filter,
)
from tocsin.server.intake.passthrough import posting
from tocsin.server.model import Collection, CollectionKind, Query
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine

Object = dict[str, Any]
BATCH = 1_000
PAGE, LONG_PAGE = 100, 1_000
ROUNDS = 21
START = micros("2020-01-01T00:00:00Z")
ID = uuid.UUID(int=7)
SAID = ("find", "getMore", "aggregate", "count", "distinct")


@dataclass
class Log(monitoring.CommandListener):
    """The reading commands that were sent while it was on."""

    on: bool = False
    sent: list[Object] = field(default_factory=list)
    given: int = 0
    """Documents that came back."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """A command goes out."""
        if self.on and event.command_name in SAID:
            self.sent.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Its answer comes in."""
        if self.on and event.command_name in SAID:
            cursor = event.reply.get("cursor", {})
            self.given += len(cursor.get("firstBatch", cursor.get("nextBatch", ())))

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """It failed; whoever sent it is told."""


def main() -> int:
    """Fill, ask, tell; 1 if a question was not answered from an index or a last page is slow."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    log = Log()
    monitoring.register(log)
    with database() as uri:
        bench = Bench(Store.connect(uri, name=f"bench_{uuid.uuid4().hex}"), uri, log)
        try:
            bench.fill(options.entries)
            pages, published = bench.pages(), bench.published
            told(str(pages))
            rows = [row for name in sorted(FIELDS) for row in bench.filter(name)]
        finally:
            bench.close()
    figures = {"filters": rows, "pages": pages, "published": published}
    print(json.dumps(figures, indent=1) if options.json else shown(rows, pages, published))
    scans = [row for row in rows if "COLLSCAN" in row["stages"]]
    slow = [part for name, part in pages.items() if name.endswith("/ first") and part > 1.3]
    return 1 if scans or slow else 0


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The database to measure."""
    if "TOCSIN_TEST_MONGO" in os.environ:
        yield os.environ["TOCSIN_TEST_MONGO"]
        return
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine.private(Path(folder) / "data", lambda said: print(said, file=sys.stderr))
        try:
            yield engine.uri
        finally:
            engine.stop()


class Bench:
    """One feed, what is known of it, and what it costs to ask."""

    def __init__(self, store: Store, uri: str, log: Log) -> None:
        """`store` is on an empty database."""
        self._store, self._log = store, log
        self._client: MongoClient[Object] = MongoClient(uri)
        self._base = self._client[store._base.name]
        store.prepare()
        store.feeds.add(Collection(str(ID), "bench", CollectionKind.VERBATIM, "Bench"))
        self.published: dict[str, float] = {}

    def fill(self, entries: int) -> None:
        """Publish, in batches."""
        dice, seconds, indexed = random.Random(7), [], 0.0
        self._entries = entries
        for start in range(0, entries, BATCH):
            objects = [made(n, entries, dice) for n in range(start, min(start + BATCH, entries))]
            began = time.perf_counter()
            postings = [posting(json.dumps(each).encode()) for each in objects]
            indexed += time.perf_counter() - began
            began = time.perf_counter()
            self._store.commit(lambda txn, p=postings: txn.publish(str(ID), p))
            seconds.append(time.perf_counter() - began)
            told(f"{start + len(objects):,} published")
        some = {"feed": str(ID), "block": 0}
        cards = list(self._base.cards.find(some, {"facets": 1, "_id": 0}))
        self.published = {
            "entries": entries,
            "read and described, µs an object": round(indexed / entries * 1e6),
            "published in batches of 1,000, ms a batch, median": ms(statistics.median(seconds)),
            "cards of a block": len(cards),
            "facets on them": sum(len(card["facets"]) for card in cards),
        }

    def filter(self, name: str) -> Iterator[Object]:
        """The rows of one filter: a rare value, and a common one."""
        for kind, value in values(name, self._entries).items():
            query = Query(limit=PAGE, filters=(parse_filter(name, [value]),))
            seconds = []
            for _ in range(3):
                self._log.on, self._log.sent, self._log.given = True, [], 0
                began = time.perf_counter()
                page = self._store.feeds.page(str(ID), query)
                seconds.append(time.perf_counter() - began)
                self._log.on = False
            plan = self._explained(self._log.sent)
            yield {
                "filter": name,
                "value": f"{kind}: {value}",
                "entries": len(page.entries),
                "more": page.more,
                "questions": len(self._log.sent),
                "documents given": self._log.given,
                **plan,
                "ms": ms(statistics.median(seconds)),
            }
            told(f"{name} {kind}: {ms(min(seconds))} ms")

    def _explained(self, commands: list[Object]) -> Object:
        """What the database says about its way through these questions."""
        stages: Counter[str] = Counter()
        keys = documents = 0
        for command in commands:
            kept = ("find", "filter", "projection", "sort")
            plain = {name: command[name] for name in kept if name in command}
            if "find" not in plain:
                raise SystemExit(f"cannot explain {command}")
            said = self._base.command("explain", plain, verbosity="executionStats")
            found: set[str] = set()
            _stages(said["queryPlanner"]["winningPlan"], found)
            stages.update(f"{plain['find']}: {stage}" for stage in found)
            keys += said["executionStats"]["totalKeysExamined"]
            documents += said["executionStats"]["totalDocsExamined"]
        return {"stages": " ".join(stages), "keys": keys, "documents": documents}

    def pages(self) -> dict[str, float]:
        """Medians of pages of 1,000, taken in turns, by position and by date."""
        end = self._entries - LONG_PAGE
        places = {"first": 0, "middle": self._entries // 2, "last but one": end - LONG_PAGE}
        places["last"] = end  # has nothing after it to look at, for `more`
        taken: dict[str, list[float]] = {place: [] for place in places}
        for _ in range(ROUNDS):
            for place, position in places.items():
                began = time.perf_counter()
                page = self._store.feeds.page(str(ID), Query(limit=LONG_PAGE, position=position))
                taken[place].append(time.perf_counter() - began)
                if len(page.entries) != min(LONG_PAGE, self._entries):
                    raise SystemExit(f"a page of {len(page.entries)}")
        medians = {place: statistics.median(seconds) for place, seconds in taken.items()}
        return {f"{place} page, ms": ms(seconds) for place, seconds in medians.items()} | {
            f"{place} / first": round(medians[place] / medians["first"], 2)
            for place in ("middle", "last but one", "last")
        }

    def close(self) -> None:
        """Leave nothing on a server that goes on; the embedded engine's folder is deleted."""
        if "TOCSIN_TEST_MONGO" in os.environ:
            self._client.drop_database(self._base.name)
        self._store.close()
        self._client.close()


def _stages(plan: Object, found: set[str]) -> None:
    if "stage" in plan:
        found.add(plan["stage"])
    for inner in plan.values():
        for each in inner if isinstance(inner, list) else [inner]:
            if isinstance(each, dict):
                _stages(each, found)


def values(name: str, entries: int) -> dict[str, str]:
    """A value that one object in the middle has; and a common one."""
    middle = special(entries // 2)
    if name in BOUNDS:
        scaled, above = BOUNDS[name]
        number = middle[scaled]
        common = made(3, entries, random.Random(3)) | ports(3) | {"number": 700, "confidence": 50}
        return {"rare": str(number), "common": str(common[scaled])}
    kinds = {"tlp": ("red", "green"), "revoked": ("true", "false"), "confidence": ("1", "50")}
    if name in kinds:
        return dict(zip(("rare", "common"), kinds[name], strict=True))
    if name == "relationships-all":
        return {"rare": f"identity--{uuid.UUID(int=5)}", "common": f"malware--{uuid.UUID(int=6)}"}
    if name in SCALES:
        return {"rare": str(middle[name])}
    rare = {"rare": f"rare-{name}"}
    common = {"labels": "label-3", "name": "name-8", "pattern_type": "stix", "phase_name": "c2"}
    common |= {"indicator_types": "malicious-activity", "relationship_type": "indicates"}
    return rare | ({"common": common[name]} if name in common else {})


def made(number: int, entries: int, dice: random.Random) -> Object:
    """The object with this number: an indicator, a relationship, malware, an observable."""
    if number == entries // 2:
        return special(number)
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
    name = f"{uuid.UUID(int=dice.getrandbits(128), version=4)}"
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
        **ports(number),
    }


def ports(number: int) -> Object:
    """The ports of a network-traffic."""
    return {"src_port": 1_024 + number % 50_000, "dst_port": (80, 443, 8_080)[number % 3]}


def special(number: int) -> Object:
    """The one object that has everything, each property with a value that only it has."""
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


def told(line: str) -> None:
    """Progress, for whoever waits."""
    print(line, file=sys.stderr, flush=True)


def ms(seconds: float) -> float:
    """Milliseconds, two decimals."""
    return round(seconds * 1_000, 2)


def shown(rows: list[Object], pages: Object, published: Object) -> str:
    """The figures as tables."""
    names = ("entries", "more", "questions", "documents given", "keys", "documents", "ms")
    lines = ["filter | value | " + " | ".join(names) + " | stages"]
    for row in rows:
        cells = [row["filter"], row["value"][:60], *(str(row[name]) for name in names)]
        lines.append(" | ".join((*cells, row["stages"])))
    lines += [f"{name}: {figure}" for name, figure in (pages | published).items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
