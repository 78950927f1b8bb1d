"""What a hub does beside answering: it admits, sweeps and packs.

Each in a thread of its own that outlives whatever goes wrong with one piece of
work, and waits while the database is away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from tocsin.server.app import HubServices
from tocsin.server.intake.intake import Intake
from tocsin.server.lifecycle import Lifecycle
from tocsin.server.store import OUTAGES, Store

log = logging.getLogger(__name__)

_IDLE = 1.0
"""Seconds after which it is seen whether another process left a submission."""
_PACK_IDLE = 2.0
"""Seconds after which it is seen whether there is something to pack."""
_PACK_SHARE = 4
"""Packing rests four times as long as it took."""


def start_workers(services: HubServices, stop: threading.Event) -> list[threading.Thread]:
    """What works beside the requests, until `stop` is set."""
    made = [
        threading.Thread(
            target=run_intake,
            args=(services.intake, services.lifecycle, stop),
            name="worker",
            daemon=True,
        ),
        threading.Thread(target=_pack, args=(services.store, stop), name="packer", daemon=True),
    ]
    for each in made:
        each.start()
    return made


def join_workers(workers: Sequence[threading.Thread], seconds: float) -> None:
    """Wait for them; all of them together may take so long."""
    ends = time.monotonic() + seconds
    for each in workers:
        each.join(max(0.0, ends - time.monotonic()))


def _pack(store: Store, stop: threading.Event) -> None:
    """Pack what many small submissions left, a little at a time and never in haste."""
    pause = _PACK_IDLE
    while not stop.wait(pause):
        began, pause = time.monotonic(), _PACK_IDLE
        try:
            if store.packing.pack_next():
                pause = min(_PACK_SHARE * (time.monotonic() - began), _PACK_IDLE)
        except OUTAGES as error:
            log.info("the database is away, packing goes on when it is back: %s", error)
        except Exception:  # a block that cannot be packed is read as it is
            log.exception("a block could not be packed; it is tried again later")


def run_intake(intake: Intake, lifecycle: Lifecycle, stop: threading.Event) -> None:
    """Admit what was too large to be admitted at once, and sweep, until the hub stops."""
    while not stop.is_set():
        intake.waiting.clear()
        try:
            found = intake.work()
            found = lifecycle.work() or found
        except OUTAGES as error:
            log.warning("the database is away, the work goes on when it is back: %s", error)
            found = False
        except Exception:  # whatever went wrong with one must not end the work on the others
            log.exception("a submission or a sweep failed; it is tried again later")
            found = False
        if not found:
            intake.waiting.wait(_IDLE)
