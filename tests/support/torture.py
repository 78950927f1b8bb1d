"""Writers and pollers against a hub that is killed repeatedly and whose clock is stepped.

    scripts/torture --minutes N [--writers 4] [--pollers 4] [--every S] [--seed S]
                    [--workers N] [--apart] [--mongo URI] [--json]

Runs a hub on the embedded database in a temporary folder; `workers` processes answer requests.
With `apart`, database, hub and a worker are independent processes.  About every `every` seconds
one of them is killed with SIGKILL, or the primary of the replica set at `mongo` steps down; the
clock is stepped back and forth by up to an hour; blocks are packed meanwhile.  At the end each
poller must have received the feed's entries, once and in order, and everything that was
acknowledged must be published.  Exit code 0 only if so.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure
from support.processes import HubProcess
from support.torture_judge import Entry, Faults, Final, Record, find_faults
from support.torture_pollers import Downloader, Poller
from support.torture_writers import Acknowledged, Writer

from tocsin.config.loading import load_hub
from tocsin.server.store import Store
from tocsin.server.store.embedded import Engine, database

HERE = Path(__file__).parent
SHOWN = 5
TIMEOUT = 60
"""Seconds to wait for a response."""
STOP_TIMEOUT = 200
"""Seconds to wait for a process to end: a minute each for requests, server and work."""
MAX_STEP = 3_600
"""Maximum error of the clock, in seconds."""
Figures = dict[str, int]


class Worker:
    """A `tocsin-hub work` process with the stepped clock."""

    def __init__(self, program: tuple[object, ...], log: Path) -> None:
        self._program, self._log = program, log
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*map(str, self._program), "--work"], stderr=log)

    def kill(self) -> None:
        """Send SIGKILL and start another one."""
        self.stop(signal.SIGKILL)
        self._start()

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Send SIGTERM or another signal, and wait for the end."""
        self._process.send_signal(how)
        self._process.wait(STOP_TIMEOUT)


@dataclass
class Torture:
    """The hub, and counts of kills and clock steps."""

    hub: HubProcess
    clock: Path
    rng: random.Random
    worker: Worker | None = None
    answering: int = 0
    """Processes that answer requests for the hub."""
    mongo: str = ""
    """The URI of a replica set whose primary steps down, in place of an engine that is killed."""
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float, every: float) -> None:
        """Kill and step until the time is up and each process was killed at least once."""
        deadline = time.monotonic() + seconds
        due = time.monotonic() + self.rng.uniform(0.5, 1.5) * every
        while time.monotonic() < deadline or self._not_killed():
            time.sleep(min(1.0, every / 2))
            if self.rng.random() < 0.3:
                self.step(self.rng.uniform(-MAX_STEP, MAX_STEP))
            if time.monotonic() >= due:
                self.kill()
                due = time.monotonic() + self.rng.uniform(0.5, 1.5) * every
        self.step(0)

    def step(self, seconds: float) -> None:
        """Set the error of the clock."""
        partial = self.clock.with_suffix(".partial")
        partial.write_text(str(seconds))
        partial.replace(self.clock)
        self.counts["clock steps"] += 1

    def kill(self) -> None:
        """Kill a random process; each of them once before any is killed again."""
        kills = self._kills()
        name = self.rng.choice(self._not_killed() or list(kills))
        self.counts[f"kills of the {name}"] += 1
        kills[name]()

    def _kills(self) -> dict[str, Callable[[], None]]:
        database = self._step_down if self.mongo else self._kill_database
        kills = {"hub": self._kill_hub, "database": database}
        kills |= {"worker": self.worker.kill} if self.worker else {}
        return kills | ({"answering process": self._kill_answering} if self.answering else {})

    def _not_killed(self) -> list[str]:
        """Return the processes that have not been killed yet."""
        return [name for name in self._kills() if not self.counts[f"kills of the {name}"]]

    def _kill_hub(self) -> None:
        self.hub.kill()
        self.hub.start()

    def _kill_answering(self) -> None:
        os.kill(self.rng.choice(self.hub.answering()), signal.SIGKILL)

    def _step_down(self) -> None:
        """Let the primary be another member for ten seconds, or nobody while there is no other."""
        with MongoClient[dict[str, Any]](self.mongo) as client:
            try:
                client.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)
            except AutoReconnect:
                pass  # older servers close all connections in place of an answer
            except OperationFailure as error:
                self.counts[f"refused step-downs, code {error.code}"] += 1

    def _kill_database(self) -> None:
        before = self.hub.engine()
        self.hub.kill_engine()
        deadline = time.monotonic() + 60
        while self._engine() in (0, before):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the database did not come back: {self.hub.read_log()[-2000:]}")
            time.sleep(0.1)

    def _engine(self) -> int:
        """Return the database's process id; 0 while there is none."""
        return self.hub.engine() if (self.hub.data / "engine.json").exists() else 0


def main() -> int:
    """Run the torture and check the result; return 0 if no fault was found."""
    options = _parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # runs the cleanup
    os.environ["TOCSIN_ANSWERING_PROCESSES"] = str(options.workers)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as cleanup:
        clock = Path(folder) / "clock"
        clock.write_text("0")
        if options.mongo:
            os.environ["TOCSIN_MONGO_URI"] = options.mongo
            os.environ["TOCSIN_DATABASE"] = f"torture_{uuid.uuid4().hex}"
            cleanup.callback(_drop_database, options.mongo)
        hub, worker = _start_processes(Path(folder), clock, cleanup, apart=options.apart)
        rng = random.Random(options.seed)
        torture = Torture(hub, clock, rng, worker, options.workers, options.mongo)
        book, pollers, whole = _run(torture, options, Path(folder))
        record = _collect_record(hub, book, pollers, whole)
        figures = _summarise(torture, book, pollers, record) | {"downloads": whole.downloads}
        faults = find_faults(record)
        figures |= {name: len(found) for name, found in faults.items()}
        print(json.dumps(figures) if options.json else _format_figures(figures), flush=True)
        _print_faults(faults)
    return 1 if any(faults.values()) else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--pollers", type=int, default=4)
    parser.add_argument("--every", type=float, default=12, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes that answer; 0: the hub")
    parser.add_argument(
        "--apart", action="store_true", help="run database and worker as separate processes"
    )
    parser.add_argument(
        "--mongo", default="", help="URI of a replica set whose primary is made to step down"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    return parser.parse_args()


def _start_processes(
    folder: Path, clock: Path, cleanup: ExitStack, *, apart: bool
) -> tuple[HubProcess, Worker | None]:
    program = (sys.executable, HERE / "torture_hub.py", "--clock", clock)
    hub = HubProcess(folder / "data", program=program)
    if apart and "TOCSIN_MONGO_URI" not in os.environ:
        engine = Engine.start(hub.data, lambda text: None)
        engine.announce()
        cleanup.callback(engine.stop)
        engine.watch()
        os.environ["TOCSIN_MONGO_URI"] = engine.uri
    hub.start()
    cleanup.callback(hub.stop, STOP_TIMEOUT)
    hub.join()
    if not apart:
        return hub, None
    worker = Worker((*program, "--data", hub.data), folder / "worker.log")
    cleanup.callback(worker.stop)
    return hub, worker


def _run(
    torture: Torture, options: argparse.Namespace, folder: Path
) -> tuple[Acknowledged, list[Poller], Downloader]:
    """Run writers, pollers and torture concurrently; raise the first exception of any of them."""
    book, hub = Acknowledged(), torture.hub
    numbers = range(options.pollers)
    pollers = [Poller(hub, n, folder / f"poller{n}.jsonl") for n in numbers]
    writers = [Writer(hub, 1_000 * options.seed + n, book) for n in range(options.writers)]
    stop, done = threading.Event(), threading.Event()
    whole = Downloader(hub, options.seed)
    with ThreadPoolExecutor(options.pollers + options.writers + 1) as pool:
        polling = [pool.submit(each.poll, done) for each in pollers]
        polling.append(pool.submit(whole.download, done))
        writing = [pool.submit(each.write, stop) for each in writers]
        try:
            torture.run(options.minutes * 60, options.every)
            stop.set()
            for each in writing:
                each.result()
            _settle(hub)
        finally:
            stop.set()
            done.set()
        for each in polling:
            each.result()
    return book, pollers, whole


def _drop_database(uri: str) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(os.environ["TOCSIN_DATABASE"])


def _settle(hub: HubProcess) -> None:
    """Wait up to three minutes until every submission is settled, acknowledged or not.

    A submission received at the moment of a kill is evaluated when its lease has expired; the
    pollers must run until then to receive it.
    """
    deadline = time.monotonic() + 180
    with _open_store(hub) as store:
        waiting = {"open": True}
        while store._base.submissions.find_one(waiting) and time.monotonic() < deadline:
            time.sleep(0.2)


@contextmanager
def _open_store(hub: HubProcess) -> Iterator[Store]:
    """The store of the hub, in the embedded engine or in the MongoDB that is named."""
    settings = load_hub(None, os.environ, {"data": hub.data})
    found = (
        nullcontext(settings.mongo_uri)
        if settings.mongo_uri
        else database(hub.data, lambda text: None)
    )
    with found as uri, closing(Store.connect(uri, name=settings.database)) as store:
        yield store


def _collect_record(
    hub: HubProcess, book: Acknowledged, pollers: list[Poller], whole: Downloader
) -> Record:
    """Collect the final state from the hub's public endpoints, and the pollers' logs."""
    statuses = [_get(hub, f"status/{each}/") for each in book.statuses]
    feeds = {name: Final(_manifest(hub, name, "all"), _manifest(hub, name, "last"))
             for name in ("scratch", "green")}  # fmt: skip
    published = {
        each["pattern"]: int(each["description"].split()[1])
        for each in _walk(hub, "collections/green/objects/", {})
        if "pattern" in each
    }
    return Record(
        feeds=feeds,
        logs=[each.log() for each in pollers],
        stored={"scratch": {(id, v) for id, v in book.stored if id not in book.doubtful}},
        wanted=book.wanted,
        published=published,
        withdrawn=book.withdrawn,
        doubtful=book.doubtful,
        unsettled=[each["id"] for each in statuses if not each["x_tocsin_settled"]],
        refused=[
            f"{each['id']} {each['failures'][:1]}" for each in statuses if each["failure_count"]
        ],
        missing=whole.missing,
        strange=[*book.strange, *(line for each in pollers for line in each.strange)],
    )


def _manifest(hub: HubProcess, feed: str, versions: str) -> list[Entry]:
    query = {"match[spec_version]": "2.1", "match[version]": versions}
    return [
        Entry(each["id"], each["version"], each["date_added"])
        for each in _walk(hub, f"collections/{feed}/manifest/", query)
    ]


def _walk(hub: HubProcess, path: str, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    query = {"limit": "1000", **query}
    while True:
        page = _get(hub, path, query)
        yield from page.get("objects", [])
        if not page.get("more"):
            return
        query["next"] = page["next"]


def _get(hub: HubProcess, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON response; retry while the hub restarts after the last kill."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        answer = hub.ask(path, params=query)
        if answer.status_code == 200:
            return dict(answer.json())
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path}: {answer.status_code} {answer.text}")
        time.sleep(0.5)


def _summarise(
    torture: Torture, book: Acknowledged, pollers: list[Poller], record: Record
) -> Figures:
    polled = sum((each.counts for each in pollers), Counter[str]())
    finals = record.feeds.values()
    with _open_store(torture.hub) as store:
        packed, blocks = store.packing.progress()
    return {
        "objects": sum(len(final.last) for final in finals),
        "versions": sum(len(final.all) for final in finals),
        "submissions": book.posts,
        "acknowledged": len(book.statuses),
        "withdrawals": len(book.withdrawn),
        "polls": polled["polls"],
        "polls answered 304": polled["304"],
        "pages": polled["pages"],
        "pages left by next": polled["by next"],
        "deaths of pollers": polled["deaths"],
        "kills of the hub": torture.counts["kills of the hub"],
        "kills of the worker": torture.counts["kills of the worker"],
        "kills of the answering process": torture.counts["kills of the answering process"],
        "kills of the database": torture.counts["kills of the database"],
        "clock steps": torture.counts["clock steps"],
        "packings": packed,
        "blocks packed whole": blocks,
    }


def _format_figures(figures: Figures) -> str:
    return "\n".join(f"{name}: {figure}" for name, figure in figures.items())


def _print_faults(faults: Faults) -> None:
    for kind, found in faults.items():
        for each in found[:SHOWN]:
            print(f"{kind}: {each}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
