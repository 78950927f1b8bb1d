"""Background work of a hub process: evaluate submissions, sweep, pack, write deliveries, delete.

Each task has a thread of its own, which survives a failure of one piece of work and waits while
the database is unreachable.  Work that fills the disk rests while that is nearly full.  Notices by
mail and webhook are sent from here alone, so they are built here and not with the services.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from tocsin.admission.errors import Unavailable
from tocsin.config.settings import HubSettings
from tocsin.server.notices import NOTICE_PAUSE_SECONDS, Notices, NoticeSettings
from tocsin.server.services import HubServices
from tocsin.server.store.connection import time_limit
from tocsin.server.store.deliveries import FLUSH_PAUSE_SECONDS
from tocsin.server.store.feeds.packing import PACK_PAUSE_SECONDS, PACK_REST
from tocsin.server.store.feeds.value_index import (
    FEWEST,
    INDEX_LONGEST_REST_SECONDS,
    INDEX_PAUSE_SECONDS,
    INDEX_REST,
    INDEX_WAIT_SECONDS,
)
from tocsin.server.store.statistics import COUNT_PAUSE_SECONDS, COUNT_REST
from tocsin.server.urls import find_console_url

log = logging.getLogger(__name__)

_IDLE = 1.0
"""Seconds between checks for submissions that another process left."""
_FORGET_IDLE = 15.0
"""Seconds between checks for what is not kept any longer."""
_LOOK = 1.0
"""Seconds between two looks at the database and its disk."""
_LOOK_SECONDS = 5.0
"""Time limit of what is read then, so that a database that falls silent is noticed soon."""
_WARN_IDLE = 60.0
"""Seconds between two looks at what may be worth a warning."""
_Task = Callable[[HubServices, threading.Event], None]


def build_notices(services: HubServices, settings: HubSettings) -> Notices:
    """Build what tells people by mail and webhook that something needs them."""
    means = NoticeSettings(
        title=settings.title,
        find_console=partial(find_console_url, settings),
        webhook=settings.notice_webhook,
        smtp_host=settings.smtp_host,
        smtp_port=settings.smtp_port,
        smtp_tls=settings.smtp_tls,
        smtp_user=settings.smtp_user,
        smtp_password=settings.smtp_password,
        sender=settings.mail_from,
    )
    find_end = services.monitor.find_certificate_end
    return Notices(services.store, services.statistics, means, services.clock, find_end)


def start_workers(
    services: HubServices, notices: Notices, stop: threading.Event
) -> list[threading.Thread]:
    """Start the background threads, which run until `stop` is set."""
    tasks: dict[str, _Task] = {
        "worker": run_intake,
        "packer": _pack,
        "values": _index_values,
        "statistics": _count,
        "notices": partial(_send_notices, notices),
        "deliveries": _write_deliveries,
        "forgetting": _forget,
        "health": _look,
        "reserve": _keep_reserve,
        "warnings": _warn,
    }
    services.monitor.note_turn()  # the first one, so that the hub is ready when this returns
    return _start(tasks, services, stop)


def start_answering_workers(
    services: HubServices, stop: threading.Event, announce: Callable[[], None] | None = None
) -> list[threading.Thread]:
    """Start the background threads of a process that only answers.

    `announce`, which raises nothing, tells the others that a submission waits.
    """

    hand_over = partial(_hand_over, announce=announce)
    tasks: dict[str, _Task] = {
        "queued": hand_over,
        "deliveries": _write_deliveries,
        "health": _look,
    }
    return _start(tasks, services, stop)


def _start(
    tasks: Mapping[str, _Task], services: HubServices, stop: threading.Event
) -> list[threading.Thread]:
    workers = [
        threading.Thread(target=task, args=(services, stop), name=name, daemon=True)
        for name, task in tasks.items()
    ]
    for worker in workers:
        worker.start()
    return workers


def join_workers(
    workers: Sequence[threading.Thread], services: HubServices, seconds: float
) -> None:
    """Wait for the threads after `stop` was set, `seconds` at most for all of them together."""
    services.intake.waiting.set()  # those that wait for submissions look up
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))


def _survive(services: HubServices, work: str) -> AbstractContextManager[None]:
    """Log what fails, and go on; `work` is its subject in the log."""
    return _log_failure(work, services.store.availability.is_outage)


@contextmanager
def _log_failure(work: str, is_outage: Callable[[Exception], bool]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # one failure must not stop other work
        if is_outage(error):
            reason = str(error)[:200]
            log.warning("%s: waits, since the database cannot be reached: %s", work, reason)
        elif isinstance(error, Unavailable):
            log.warning("%s: will be tried again: %s", work, error)
        else:
            log.exception("%s: failed; will be tried again", work)


def run_intake(services: HubServices, stop: threading.Event) -> None:
    """Evaluate waiting submissions and run due sweeps until `stop` is set."""
    intake, lifecycle = services.intake, services.lifecycle
    while not stop.is_set():
        services.monitor.note_turn()
        worked = False
        with _survive(services, "what an ended process had begun"):
            services.store.forget_ended()
        with _survive(services, "submissions and sweeps"):
            worked = services.disk.has_room_for_work() and intake.work()
            worked = lifecycle.work() or worked
            worked = services.agreements.work() or worked
        if not worked:
            intake.waiting.wait(_IDLE)
    with _survive(services, "giving submissions back"):
        intake.stop()


def _hand_over(
    services: HubServices, stop: threading.Event, announce: Callable[[], None] | None
) -> None:
    """Leave to other processes what waits in the queue, and what failed in a request."""
    waiting = services.intake.waiting
    while not stop.is_set():
        is_queued = waiting.wait(_IDLE)
        waiting.clear()
        with _survive(services, "giving submissions back"):  # again if the database was away
            services.intake.release_failed()
        if is_queued and announce is not None:
            announce()
    with _survive(services, "giving submissions back"):
        services.intake.release_failed()


def _write_deliveries(services: HubServices, stop: threading.Event) -> None:
    """Write deliveries in the background; the last of them are written when the hub closes."""
    while not stop.wait(FLUSH_PAUSE_SECONDS):
        with _survive(services, "deliveries, kept in memory"):
            services.store.deliveries.flush()


def _forget(services: HubServices, stop: threading.Event) -> None:
    tasks = services.purger.work, services.retention.work, _sweep_drafts(services)
    run_forgetting(tasks, stop, services.store.availability.is_outage)


def _sweep_drafts(services: HubServices) -> Callable[[], bool]:
    def sweep() -> bool:
        services.drafts.sweep()
        return False

    return sweep


def run_forgetting(
    tasks: Sequence[Callable[[], bool]],
    stop: threading.Event,
    is_outage: Callable[[Exception], bool] = lambda error: False,
) -> None:
    """Delete what is not kept any longer, in small steps, until `stop` is set.

    A task that fails stops no other.
    """
    while not stop.is_set():
        worked = False
        for task in tasks:
            with _log_failure("deleting what is due", is_outage):
                worked = task() or worked
        if not worked:
            stop.wait(_FORGET_IDLE)


def _pack(services: HubServices, stop: threading.Event) -> None:
    """Pack the small blocks of many submissions, in steps with pauses."""
    pause = PACK_PAUSE_SECONDS
    while not stop.wait(pause):
        began, pause = time.monotonic(), PACK_PAUSE_SECONDS
        with _survive(services, "packing"):
            if services.disk.has_room_for_work() and services.store.packing.pack_next():
                pause = min(PACK_REST * (time.monotonic() - began), PACK_PAUSE_SECONDS)


def _index_values(services: HubServices, stop: threading.Event) -> None:
    """Index the values of new entries, in steps with pauses; a few ones when they have waited."""
    pause, waited = INDEX_PAUSE_SECONDS, 0.0
    while not stop.wait(pause):
        began, waited = time.monotonic(), waited + pause
        fewest, pause = (1 if waited >= INDEX_WAIT_SECONDS else FEWEST), INDEX_PAUSE_SECONDS
        values = services.store.values
        with _survive(services, "indexing values"):
            if not services.disk.has_room_for_work():
                continue
            if values.index_next(fewest=fewest):
                rest = INDEX_REST if values.is_busy else 1
                pause = min(rest * (time.monotonic() - began), INDEX_LONGEST_REST_SECONDS)
            elif fewest == 1:
                waited = 0.0


def _count(services: HubServices, stop: threading.Event) -> None:
    """Add up what was settled, for the statistics, in steps with pauses."""
    pause = COUNT_PAUSE_SECONDS
    while not stop.wait(pause):
        began, pause = time.monotonic(), COUNT_PAUSE_SECONDS
        with _survive(services, "statistics"):
            if services.disk.has_room_for_work() and services.store.statistics.count_next():
                pause = min(COUNT_REST * (time.monotonic() - began), COUNT_PAUSE_SECONDS)


def _send_notices(notices: Notices, services: HubServices, stop: threading.Event) -> None:
    """Say what needs a person, once each."""
    while not stop.wait(NOTICE_PAUSE_SECONDS):
        with _survive(services, "notices"):
            notices.work()


def _look(services: HubServices, stop: threading.Event) -> None:
    """Look after the database and its disk, so that requests need not find out by waiting."""
    while not stop.wait(_LOOK):
        with _survive(services, "looking after the database"):
            services.disk.look()
            if services.store.availability.probe():
                with time_limit(_LOOK_SECONDS):
                    services.store.feeds.refresh()
                    services.monitor.look()
                services.exports.refresh()
                services.store.review_queue.refresh()


def _keep_reserve(services: HubServices, stop: threading.Event) -> None:
    while not stop.wait(_LOOK):
        with _survive(services, "keeping a reserve on the disk"):
            services.disk.keep_reserve()


def _warn(services: HubServices, stop: threading.Event) -> None:
    """Warn at start, and again and again, of what an operator should see to."""
    while not stop.is_set():
        with _survive(services, "warnings"), time_limit(_LOOK_SECONDS):
            services.monitor.warn()
        stop.wait(_WARN_IDLE)
