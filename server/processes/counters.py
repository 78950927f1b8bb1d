"""Counters of a hub's work, for Prometheus.

Each process has a `Counters`.  With a folder, all processes of a hub count in files of it, and
any of them can give the sums (`collect`).  A process that is killed loses nothing that it
counted; its successor counts on in the same files.

No label has a name that a client chooses: routes are templates, and what is not known is `other`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    values,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from tocsin.server.processes.shared_folder import SharedFolder

log = logging.getLogger(__name__)

_FILES = ("counter", "histogram", "gauge_max")
_FILE_OCTETS = 1 << 20
"""Octets of each file, set aside in advance: a write without room would end the process."""
SHARING = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment by which prometheus_client knows the folder.  A process that
inherits it counts there, whether it has joined or not."""

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE"})
_MOST_POLLERS = 2_000
"""Accounts and collections that one process remembers."""
_POLLER_SECONDS = 7 * 86_400
"""Seconds after which an account that polls no longer is left out."""
_POLLERS = "tocsin_poller_caught_up_timestamp_seconds"

P = ParamSpec("P")
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_COMMAND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10)
_SETTLE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30, 60, 300, 1_800, 7_200)


def _without_failing(count: Callable[P, None]) -> Callable[P, None]:
    """Count nothing where the file of a counter cannot be opened: no work may fail by that."""

    @wraps(count)
    def attempt(*arguments: P.args, **more: P.kwargs) -> None:
        try:
            count(*arguments, **more)
        except OSError as error:
            log.warning("something could not be counted: %s", error)

    return attempt


class Counters:
    """The counters of one process.  Safe for threads."""

    def __init__(self, folder: SharedFolder | None = None, *, times_commands: bool = True) -> None:
        """Count in memory; with a `folder` that this process has joined, in its files there.

        `times_commands` False: the commands of the database are not counted.  Raises OSError if
        the file system is full.
        """
        self.times_commands = times_commands
        disable_created_metrics()  # type: ignore[no-untyped-call]
        if folder is not None:
            _count_in(folder)
        self._folder = folder
        self._registry = CollectorRegistry()
        self._requests = self._counter(
            "tocsin_http_requests",
            "Requests that were answered, those of this page and of health checks included",
            ("route", "method", "status"),
        )
        self._durations = self._histogram(
            "tocsin_http_request_duration_seconds",
            "Time to make an answer, without polls that may wait (Prefer: wait)",
            _REQUEST_BUCKETS,
            ("route", "method"),
        )
        self._pages = self._counter(
            "tocsin_pages_served", "Pages of objects, versions or manifests", ("collection",)
        )
        self._objects_served = self._counter(
            "tocsin_objects_served", "Entries on those pages", ("collection",)
        )
        self._submissions = self._counter(
            "tocsin_submissions_received",
            "Submissions that were stored, and where they are evaluated",
            ("handling",),
        )
        self._settled = self._histogram(
            "tocsin_submission_settle_seconds",
            "Time from the receipt of a submission until each object has a verdict",
            _SETTLE_BUCKETS,
        )
        self._objects = self._counter(
            "tocsin_objects_settled", "Objects by their first verdict", ("verdict",)
        )
        self._commands = self._histogram(
            "tocsin_database_command_duration_seconds",
            "Time of each database command, as the hub sees it",
            _COMMAND_BUCKETS,
            ("command",),
        )
        self._failures = self._counter(
            "tocsin_database_command_failures", "Database commands that failed", ("command",)
        )
        self._pollers = Gauge(
            _POLLERS,
            "When an account had received everything",
            ("account", "collection"),
            registry=self._registry,
            multiprocess_mode="max",
        )
        # To find a counter by its labels costs more than to count.
        self._by_request: dict[tuple[str, str, int], Counter] = {}
        self._by_route: dict[tuple[str, str], Histogram] = {}
        self._by_collection: dict[str, tuple[Counter, Counter]] = {}
        self._by_poller: dict[tuple[str, str], Gauge] = {}
        self._by_command: dict[str, Histogram] = {}

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(name, text, labels, registry=self._registry, buckets=buckets)

    @_without_failing
    def count_request(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count an answer.  `route` is a template; `seconds` None: it may have waited for news."""
        key = route, method if method in METHODS else OTHER, status
        found = self._by_request.get(key)
        if found is None:
            found = self._by_request[key] = self._requests.labels(*key)
        found.inc()
        if seconds is not None:
            duration = self._by_route.get(key[:2])
            if duration is None:
                duration = self._by_route[key[:2]] = self._durations.labels(*key[:2])
            duration.observe(seconds)

    @_without_failing
    def count_page(self, collection: str, objects: int) -> None:
        """Count a page of a collection, with its number of entries."""
        found = self._by_collection.get(collection)
        if found is None:
            found = self._pages.labels(collection), self._objects_served.labels(collection)
            self._by_collection[collection] = found
        found[0].inc()
        found[1].inc(objects)

    @_without_failing
    def note_caught_up(self, account: str, collection: str) -> None:
        """Note that an account has now received all that a collection has for it."""
        poller = account, collection
        found = self._by_poller.get(poller)
        if found is None:
            if len(self._by_poller) >= _MOST_POLLERS:
                return
            found = self._by_poller[poller] = self._pollers.labels(*poller)
        found.set(time.time())

    @_without_failing
    def count_submission(self, *, queued: bool) -> None:
        """Count a submission that was stored."""
        self._submissions.labels("queued" if queued else "inline").inc()

    @_without_failing
    def count_settled(self, seconds: float) -> None:
        """Count a submission that was settled, with the seconds since its receipt."""
        self._settled.observe(max(0.0, seconds))

    @_without_failing
    def count_objects(self, verdicts: Iterable[str]) -> None:
        """Count objects by their verdicts."""
        for verdict in verdicts:
            self._objects.labels(verdict).inc()

    @_without_failing
    def count_command(self, command: str, seconds: float, *, failed: bool = False) -> None:
        """Count a database command."""
        found = self._by_command.get(command)
        if found is None:
            found = self._by_command[command] = self._commands.labels(command)
        found.observe(seconds)
        if failed:
            self._failures.labels(command).inc()

    def collect(self, polls: Mapping[tuple[str, str], float] | None = None) -> Iterator[Metric]:
        """The metrics of all processes that share the folder.  No account is named.

        `polls`: by account and collection, the time of the last poll, in seconds since 1970 UTC.
        It stands for pairs that have not received everything since the hub started.
        """
        families = self._registry.collect() if self._folder is None else _sum_of(self._folder)
        caught_up = dict(polls or {})
        for family in families:
            if family.name != _POLLERS:
                yield family
                continue
            for sample in family.samples:
                place = sample.labels["account"], sample.labels["collection"]
                caught_up[place] = sample.value
        yield from _summarise_pollers(caught_up)


def stop_sharing() -> None:
    """Count in memory from now on; called before the shared folder is removed."""
    values.ValueClass = values.MutexValue
    os.environ.pop(SHARING, None)


def _count_in(folder: SharedFolder) -> None:
    """Let this process count in files that no other living process has."""
    for kind in _FILES:
        _allocate(folder.path / f"{kind}_{folder.number}.db")
    os.environ[SHARING] = str(folder.path)
    process = values.MultiProcessValue(lambda: folder.number)  # type: ignore[no-untyped-call]
    values.ValueClass = process


def _sum_of(folder: SharedFolder) -> Iterable[Metric]:
    """The sums over all processes, those that have died included."""
    collector = MultiProcessCollector(None, str(folder.path))  # type: ignore[no-untyped-call]
    found: Iterable[Metric] = collector.collect()  # type: ignore[no-untyped-call]
    return found


def _summarise_pollers(caught_up: Mapping[tuple[str, str], float]) -> Iterator[Metric]:
    """By collection: how many accounts poll it, and how long the last one is behind."""
    now = time.time()
    behind: dict[str, list[float]] = {}
    for (_, collection), moment in caught_up.items():
        age = max(0.0, now - moment)
        if age < _POLLER_SECONDS:
            behind.setdefault(collection, []).append(age)
    pollers = GaugeMetricFamily(
        "tocsin_pollers",
        "Accounts that received everything in the last 7 days",
        labels=["collection"],
    )
    slowest = GaugeMetricFamily(
        "tocsin_poller_behind_seconds",
        "Longest time since one of these accounts had received everything",
        labels=["collection"],
    )
    for collection, ages in sorted(behind.items()):
        pollers.add_metric([collection], len(ages))
        slowest.add_metric([collection], max(ages))
    yield from (pollers, slowest)


def _allocate(path: Path) -> None:
    """Make a file of zeros that really occupies its octets, unless it is there."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(_FILE_OCTETS))
    partial.replace(path)
