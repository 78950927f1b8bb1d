"""Background work of a hub process: evaluate submissions, sweep, pack, write deliveries, delete.

Each task has a thread of its own, which survives a failure of one piece of work and waits while
the database is unreachable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from tocsin.admission.errors import Unavailable
from tocsin.server.app import HubServices
from tocsin.server.intake.intake import Intake
from tocsin.server.lifecycle import Lifecycle
from tocsin.server.store import OUTAGES, Store

log = logging.getLogger(__name__)

_IDLE = 1.0
"""Seconds between checks for submissions that another process left."""
_FLUSH = 2.0
"""Seconds between two writes of what was delivered; deliveries are written within five."""
_PACK_IDLE = 2.0
"""Seconds between checks for blocks to pack."""
_FORGET_IDLE = 15.0
"""Seconds between checks for what is not kept any longer."""
_PACK_REST = 4
"""Packing rests four times as long as its last step took."""


def start_workers(services: HubServices, stop: threading.Event) -> list[threading.Thread]:
    """Start the background threads, which run until `stop` is set."""
    work = services.intake, services.lifecycle, stop
    forgetting = services.purger.work, services.retention.work
    workers = [
        threading.Thread(target=run_intake, args=work, name="worker", daemon=True),
        threading.Thread(target=_pack, args=(services.store, stop), name="packer", daemon=True),
        threading.Thread(
            target=_write_deliveries, args=(services.store, stop), name="deliveries", daemon=True
        ),
        threading.Thread(
            target=run_forgetting, args=(forgetting, stop), name="forgetting", daemon=True
        ),
    ]
    for worker in workers:
        worker.start()
    return workers


def join_workers(workers: Sequence[threading.Thread], seconds: float) -> None:
    """Wait for the threads, `seconds` at most for all of them together."""
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))


def run_intake(intake: Intake, lifecycle: Lifecycle, stop: threading.Event) -> None:
    """Evaluate waiting submissions and run due sweeps until `stop` is set."""
    while not stop.is_set():
        intake.waiting.clear()
        try:
            worked = intake.work()
            worked = lifecycle.work() or worked
        except OUTAGES as error:
            log.warning("the database cannot be reached; work resumes with it: %s", error)
            worked = False
        except Unavailable as error:
            log.warning("a submission could not be examined yet; it will be retried: %s", error)
            worked = False
        except Exception:  # one failure must not stop the work on other submissions
            log.exception("a submission or a sweep failed; it will be retried")
            worked = False
        if not worked:
            intake.waiting.wait(_IDLE)
    try:
        intake.stop()
    except OUTAGES as error:
        log.warning("submissions could not be given back: %s", error)


def _write_deliveries(store: Store, stop: threading.Event) -> None:
    """Write deliveries in the background; the last of them are written when the hub closes."""
    while not stop.wait(_FLUSH):
        try:
            store.deliveries.flush()
        except OUTAGES as error:
            log.info("the database cannot be reached; deliveries are kept in memory: %s", error)
        except Exception:  # they stay in memory
            log.exception("deliveries could not be written; it will be retried")


def run_forgetting(tasks: Sequence[Callable[[], bool]], stop: threading.Event) -> None:
    """Delete what is not kept any longer, in small steps, until `stop` is set."""
    while not stop.is_set():
        worked = [_forget(task) for task in tasks]
        if not any(worked):
            stop.wait(_FORGET_IDLE)


def _forget(task: Callable[[], bool]) -> bool:
    """Do a step of one task, and let a failure stop no other; False if nothing was deleted."""
    try:
        return task()
    except OUTAGES as error:
        log.info("the database cannot be reached; deleting resumes with it: %s", error)
    except Exception:  # what was not deleted is still due
        log.exception("something due could not be deleted; it will be retried")
    return False


def _pack(store: Store, stop: threading.Event) -> None:
    """Pack the small blocks of many submissions, in steps with pauses."""
    pause = _PACK_IDLE
    while not stop.wait(pause):
        began, pause = time.monotonic(), _PACK_IDLE
        try:
            if store.packing.pack_next():
                pause = min(_PACK_REST * (time.monotonic() - began), _PACK_IDLE)
        except OUTAGES as error:
            log.info("the database cannot be reached; packing resumes with it: %s", error)
        except Exception:  # an unpacked block can still be read
            log.exception("a block could not be packed; it will be retried")
