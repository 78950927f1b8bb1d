"""Health of a hub, and its metrics as text for Prometheus.

The checks are kept up to date by the background work and are read from memory, so that nobody
who asks again and again costs the database anything.
"""

from __future__ import annotations

import logging
import os
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Protocol

from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from tocsin.admission.errors import Unavailable
from tocsin.server.model import CollectionKind, Query
from tocsin.server.processes.forking import ANSWERING_NAME, CONSOLE_NAME
from tocsin.server.processes.shared_folder import LocalNumbers, Numbers
from tocsin.server.store import DiskSpace, Store
from tocsin.server.store.connection import time_limit

log = logging.getLogger(__name__)

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
"""The media type of `Monitor.format_metrics`."""

_LOOK = 5.0
"""Seconds between two looks at the feeds."""
_LOOK_PATIENCE = 60.0
"""Seconds after which the last look says nothing any more."""
_TURN_PATIENCE = 300.0
"""Seconds that one turn of the worker may take: twice its longest limits."""
_TURN = "turn"
"""The name under which the beginning of the worker's last turn is noted."""
_CERTIFICATE = "certificate"
"""The name under which the end of the hub's own certificate is noted."""
_TURN_INTERVAL = 0.5
"""Seconds between two notes of a turn."""
_READ_SECONDS = 3.0
"""Time limit of what a scrape reads from the database; Prometheus waits 10 seconds."""
_POLLS_INTERVAL = 60.0
"""Seconds between two looks at the last polls, of which only the hour is stored."""
_MOST_QUEUED = 2_000
_MOST_POLLERS = 2_000
_MOST_REVIEWS = 10_000
"""Up to here the metrics count, so that a scrape costs the same whatever has piled up."""
_MOST_LEAD = 60.0
"""Seconds by which the hub's clock may be ahead without a warning: much that is published at once
takes it ahead, too."""
_HOUR, _DAY = 3_600.0, 86_400.0
"""Least seconds between two warnings that say the same."""
_CLOCK_LEADS = (
    "the hub's clock is {:.0f} s ahead of this machine's, and what is published until then is "
    "dated in the future.  That is so after a restore; otherwise this machine's clock was wrong, "
    "or is: look after NTP"
)
_NAMES = {ANSWERING_NAME: "answering", CONSOLE_NAME: "console"}
"""The processes that a hub starts, by the names that they give themselves."""
_PROGRAMS = (("examiner", b"tocsin.server.examination"), ("engine", b"secantus"))
"""Others, each with a part of its command line."""


@dataclass(frozen=True, slots=True)
class HubProcesses:
    """The processes of the hub that this one belongs to."""

    main_pid: int = field(default_factory=os.getpid)
    """The id of the first one, which started the others."""
    numbers: Numbers | None = field(default_factory=LocalNumbers)
    """Numbers that they share; None: this one knows nothing of the others."""


class ServedCertificate(Protocol):
    """The certificate that the hub shows to new connections."""

    @property
    def certificate_end(self) -> float:
        """Its end, in seconds since 1970 UTC."""

    def find_warning(self) -> str:
        """A sentence if it is not valid, or ends soon; else empty."""


class Monitor:
    """Health checks and metrics of a hub, as one of its processes sees them.  Safe for threads."""

    def __init__(
        self, store: Store, disk: DiskSpace, processes: HubProcesses | None = None
    ) -> None:
        self._store, self._disk = store, disk
        self._processes = processes or HubProcesses()
        self.counters = store.counters
        self._looked: float | None = None
        """Time at which the feeds could last be read; None: not yet."""
        self._warned: dict[str, float] = {}
        """Time of the last warning of each kind."""
        self.certificate: ServedCertificate | None = None
        """The hub's own certificate; None without TLS."""
        self.find_polls: Callable[[int], Mapping[tuple[str, str], int]] = lambda most: {}
        """Finds the last poll, in µs, of accounts and collections, a number of them at most."""
        self._polls: dict[tuple[str, str], float] = {}
        self._polls_read: float | None = None
        """Time at which they were read; None: not yet."""

    def find_certificate_end(self) -> float | None:
        """The end of the hub's own certificate, in seconds since 1970 UTC; None without TLS.

        A process that shows no certificate itself learns it from the one that warns.
        """
        if self.certificate is not None:
            return self.certificate.certificate_end
        numbers = self._processes.numbers
        return None if numbers is None else numbers.get(_CERTIFICATE) or None

    def note_turn(self) -> None:
        """Note that the worker begins a turn; called every second or so."""
        now, numbers = time.monotonic(), self._processes.numbers
        if numbers is not None and not self._is_within(numbers.get(_TURN), _TURN_INTERVAL):
            numbers.update(_TURN, lambda _: now)

    def look(self) -> None:
        """Read the feeds, if that is due.  Raises what the database raises."""
        if self._store.availability.is_away or self._is_within(self._looked, _LOOK):
            return
        for each in self._store.feeds.collections():
            if each.kind is CollectionKind.FEED:
                self._store.feeds.page(each.id, Query(limit=1))
                break
        self._looked = time.monotonic()

    def check(self) -> dict[str, bool]:
        """Each check, and True if it is passed; the hub can serve if all are.  Reads no database.

        `worker` and `feeds` are not passed before the background work has begun; without `worker`
        where the process that works is another one of which nothing is known.
        """
        available, numbers = not self._store.availability.is_away, self._processes.numbers
        checks = {"database": available, "disk": self._has_room()}
        if numbers is not None:
            checks["worker"] = self._is_within(numbers.get(_TURN) or None, _TURN_PATIENCE)
        return checks | {"feeds": available and self._is_within(self._looked, _LOOK_PATIENCE)}

    def warn(self) -> None:
        """Log what an operator should see to, each at most once in a while.

        Called every minute or so by one process of a hub.  Raises what the database raises.
        """
        if self.certificate is not None:
            self._note_certificate(self.certificate)
        lead = 0.0 if self._store.availability.is_away else self._store.clock_lead()
        if lead > _MOST_LEAD:
            self._warn("clock", _CLOCK_LEADS.format(lead), _HOUR)

    def _note_certificate(self, certificate: ServedCertificate) -> None:
        if self._processes.numbers is not None:
            end = certificate.certificate_end
            self._processes.numbers.update(_CERTIFICATE, lambda _: end)
        if warning := certificate.find_warning():
            self._warn("certificate", warning, _DAY)

    def _warn(self, kind: str, warning: str, interval: float) -> None:
        if not self._is_within(self._warned.get(kind), interval):
            self._warned[kind] = time.monotonic()
            log.warning("%s", warning)

    def format_metrics(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4.

        Those that are read from the database are left out while it cannot be read.
        """
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """All metrics; the protocol of `prometheus_client`'s collectors."""
        yield from self.counters.collect(self._read_polls())
        yield from self._collect_state()
        yield from _collect_processes(self._processes.main_pid)

    def _collect_state(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "tocsin_build_info", "1, with the version of the hub", labels=["version", "python"]
        )
        build.add_metric([version("tocsin"), platform.python_version()], 1)
        checks = GaugeMetricFamily(
            "tocsin_check_passed", "1 if a check of /readyz is passed, else 0", labels=["check"]
        )
        for name, passed in self.check().items():
            checks.add_metric([name], passed)
        yield from (build, checks)
        free = self._disk.measure()
        if free is not None:
            yield _gauge("tocsin_disk_free_bytes", "Octets free for the embedded database", free)
        if self.certificate is not None:
            yield _gauge(
                "tocsin_certificate_expires_seconds",
                "Seconds until the hub's certificate expires; below 0: since then",
                self.certificate.certificate_end - time.time(),
            )
        if not self._store.availability.is_away:
            yield from self._read_database()

    def _read_polls(self) -> dict[tuple[str, str], float]:
        """The last polls, in seconds since 1970 UTC, as they were up to a minute ago.

        While the database cannot be read, those that were read last.
        """
        if self._store.availability.is_away or self._is_within(self._polls_read, _POLLS_INTERVAL):
            return self._polls
        try:
            with time_limit(_READ_SECONDS):
                found = self.find_polls(_MOST_POLLERS)
        except Exception as error:
            self._excuse(error, "the latest polls")
        else:
            self._polls = {place: moment / 1e6 for place, moment in found.items()}
            self._polls_read = time.monotonic()
        return self._polls

    def _excuse(self, error: Exception, missing: str) -> None:
        """Log what the metrics lack because the database failed; raise any other error again."""
        if not (isinstance(error, Unavailable) or self._store.availability.is_outage(error)):
            raise error
        log.warning("metrics without %s: %s", missing, str(error)[:200])

    def _read_database(self) -> Iterator[Metric]:
        try:
            with time_limit(_READ_SECONDS):
                queued, oldest = self._store.submissions.measure_queue(_MOST_QUEUED)
                aside = self._store.submissions.count_set_aside(_MOST_QUEUED)
                for_reviewers, for_references = self._store.reviews.count_waiting(_MOST_REVIEWS)
                lead = self._store.clock_lead()
        except Exception as error:
            self._excuse(error, "the queue and reviews")
            return
        age = 0.0 if oldest is None else max(0.0, (self._store.clock() - oldest) / 1e6)
        yield _gauge(
            "tocsin_queue_submissions",
            f"Submissions that are not settled, counted up to {_MOST_QUEUED}",
            queued,
        )
        yield _gauge("tocsin_queue_oldest_seconds", "Age of the oldest of them; 0: none", age)
        yield _gauge(
            "tocsin_submissions_set_aside", "Submissions that wait for the operator", aside
        )
        yield _gauge(
            "tocsin_reviews_waiting",
            f"Objects and texts that wait for a reviewer; with those that wait for references, "
            f"counted up to {_MOST_REVIEWS}",
            for_reviewers,
        )
        yield _gauge(
            "tocsin_references_waiting",
            "Objects that wait for objects that they reference",
            for_references,
        )
        yield _gauge(
            "tocsin_clock_ahead_seconds",
            "Seconds by which the hub's clock is ahead of this machine's",
            lead,
        )

    def _has_room(self) -> bool:
        try:
            self._disk.check_room()
        except Unavailable:
            return False
        return True

    def _is_within(self, moment: float | None, seconds: float) -> bool:
        return moment is not None and time.monotonic() - moment < seconds


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


class _Usage(NamedTuple):
    role: str
    seconds: float
    """Seconds of processor time."""
    octets: int
    """Octets of memory."""


def _collect_processes(first: int) -> Iterator[Metric]:
    """Processor time and memory of a process and of those it started, where Linux says."""
    found = list(_read_processes(first))
    labels = ["process"]
    cpu = CounterMetricFamily(
        "tocsin_process_cpu_seconds", "Processor time of the running processes", labels=labels
    )
    memory = GaugeMetricFamily(
        "tocsin_process_resident_memory_bytes", "Memory of the running processes", labels=labels
    )
    running = GaugeMetricFamily("tocsin_processes", "Running processes", labels=labels)
    for role in sorted({each.role for each in found}):
        those = [each for each in found if each.role == role]
        cpu.add_metric([role], sum(each.seconds for each in those))
        memory.add_metric([role], sum(each.octets for each in those))
        running.add_metric([role], len(those))
    yield from (cpu, memory, running)


def _read_processes(first: int) -> Iterator[_Usage]:
    """A process and its descendants; those that end meanwhile are left out."""
    waiting = [first]
    while waiting:
        process = waiting.pop()
        folder = Path(f"/proc/{process}")
        try:
            head, _, rest = (folder / "stat").read_text().rpartition(")")
            words = rest.split()
            pages = int((folder / "statm").read_text().split()[1])
            command = (folder / "cmdline").read_bytes()
            threads = list((folder / "task").iterdir())
        except (FileNotFoundError, ProcessLookupError):
            continue
        for thread in threads:
            with suppress(FileNotFoundError, ProcessLookupError):  # one may end meanwhile
                waiting.extend(map(int, (thread / "children").read_text().split()))
        ticks = int(words[11]) + int(words[12])  # utime and stime, behind the name
        seconds = ticks / os.sysconf("SC_CLK_TCK")
        role = "hub" if process == first else _find_role(head.partition("(")[2], command)
        yield _Usage(role, seconds, pages * resource.getpagesize())


def _find_role(name: str, command: bytes) -> str:
    for role, word in _PROGRAMS:
        if word in command:
            return role
    return _NAMES.get(name, "other")
