"""Knows if the hub can work: if the database answers, the clocks agree and the disk has room.

A request holds one of the hub's threads while it waits for the database.  Once a regular look-up
has failed for a while, requests are refused at once, until a look-up succeeds again.  A short
absence, such as the restart of the embedded engine, is waited out instead (`Availability`).

An engine that finds no room for its journal fails as a whole, reads included, and cannot even
start without room to recover in.  So submissions are refused while there is still room for what
must go on: deletions, retention, the journal, purges (`DiskSpace`).  And a file, the reserve, holds
room that no other program can take; it is given up when the engine must start on a full disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from tocsin.admission.errors import Unavailable
from tocsin.server.processes.shared_folder import LocalNumbers, Numbers
from tocsin.server.store.connection import Base, OutcomeUnknown, find_clock_fault, is_outage_error

log = logging.getLogger(__name__)

_PROBE_SECONDS = 2.0
"""Time limit of one look-up."""
_PATIENCE_SECONDS = 5.0
"""Seconds of failure after which requests are refused at once."""
_CLOCK_SECONDS = 30.0
"""Seconds between two comparisons of the clocks."""
INTERNAL_ERRORS = (1, 8)
"""InternalError, UnknownError: the embedded engine's answers once it has failed."""
_OUT_OF_DISK_SPACE = 14031
_AWAY = "the database cannot be reached; try again in a moment"


class Availability:
    """Remembers if one database answers.  Safe for threads."""

    def __init__(self, base: Base) -> None:
        """It counts as available until `probe` finds otherwise."""
        self._base = base
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._away_since: float | None = None
        self._compared = time.monotonic()
        self._clock_fault = ""

    @property
    def is_away(self) -> bool:
        """True if it has not answered for a while."""
        return self._away_since is not None

    def check(self) -> None:
        """Raises Unavailable, at once, if the database is away."""
        if self.is_away:
            raise Unavailable(_AWAY)

    def check_clock(self) -> None:
        """Raises Unavailable if this machine's clock differed from the database's at last."""
        if self._clock_fault:
            raise Unavailable(self._clock_fault)

    def compare_clocks(self) -> None:
        """Compare this machine's clock with the database's; `probe` does it now and then."""
        fault = find_clock_fault(self._base.client)
        if fault and fault != self._clock_fault:
            log.error("%s", fault)
        elif self._clock_fault and not fault:
            log.warning("the clocks of this machine and of the database agree again")
        self._compared, self._clock_fault = time.monotonic(), fault

    def probe(self) -> bool:
        """Look something up; True if that succeeded.  Called every second or so."""
        began = time.monotonic()
        try:
            with pymongo.timeout(_PROBE_SECONDS):
                self._base.hub_state.find_one({"_id": "probe"})
                if began - self._compared >= _CLOCK_SECONDS:
                    self.compare_clocks()
        except PyMongoError as error:
            self._note_failure(began, error)
            return False
        with self._lock:
            since, self._failing_since, self._away_since = self._away_since, None, None
        if since is not None:
            log.warning("the database answers again, after %d s", time.monotonic() - since)
        return True

    def is_outage(self, error: Exception) -> bool:
        """True if the error is not about what was asked, but the database is away or broken.

        The embedded engine answers everything with an internal error once it has failed.  The
        same error can be about one command, so something else is looked up then.
        """
        if isinstance(error, OutcomeUnknown):
            return True
        if not isinstance(error, PyMongoError):
            return False
        if is_outage_error(error):
            return True
        if not isinstance(error, OperationFailure):
            return False
        if error.code in INTERNAL_ERRORS:
            return not self.probe()
        return error.code == _OUT_OF_DISK_SPACE

    def _note_failure(self, began: float, error: PyMongoError) -> None:
        with self._lock:
            since = self._failing_since = self._failing_since or began
            gone = self._away_since is None and time.monotonic() - since >= _PATIENCE_SECONDS
            if gone:
                self._away_since = since
        if gone:
            log.error(
                "the database does not answer: requests are refused with 503 until it does: %s",
                str(error)[:200],
            )


_RESERVE = "reserve"
_RESERVE_PART = 8
"""The reserve has an eighth of the room that must stay free."""
_WORK_PART = 2
"""Queued submissions are admitted until half of that room is used."""
_HYSTERESIS_PART = 16
"""A sixteenth more must be free before submissions are taken again."""
_RETRY_SECONDS = 30
_IS_LOW = "disk is low"
"""The number that is 1 if a process has noticed it, else 0."""
_LACKS_COPIES = "disk is low for copies"
"""Likewise: no copies are made."""
_NO_ROOM = "the hub has no room for submissions at present; nothing was stored: send it again later"


def measure_free_octets(folder: Path) -> int | None:
    """Octets that may still be written where `folder` is; None if that is not known."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def release_reserve(data: Path) -> int:
    """Give up the reserve if less than its size is free; its octets, 0 if nothing was done."""
    reserve = data / _RESERVE
    try:
        octets = reserve.stat().st_size
    except OSError:
        return 0
    free = measure_free_octets(data)
    if free is None or free >= octets:
        return 0
    reserve.unlink(missing_ok=True)
    return octets


class DiskSpace:
    """The room that is left in a data directory.  Safe for threads."""

    def __init__(
        self,
        data: Path,
        min_free: int,
        measure: Callable[[Path], int | None] = measure_free_octets,
        numbers: Numbers | None = None,
    ) -> None:
        """`min_free` octets must be free for submissions; 0: it does not matter.

        `numbers` are those of all processes, of which one logs what has changed.
        """
        self._data, self._min_free, self._measure = data, min_free, measure
        self._numbers = numbers or LocalNumbers()
        self._lock = threading.Lock()
        self._is_low = self._is_very_low = self._lacks_copies = False

    def measure(self) -> int | None:
        """Octets that are free; None if they are not known, or do not matter."""
        return self._measure(self._data) if self._min_free else None

    def check_room(self) -> None:
        """Raises Unavailable if the disk is too full for a submission."""
        self.look()
        if self._is_low:
            raise Unavailable(_NO_ROOM, _RETRY_SECONDS)

    def has_room_for_work(self) -> bool:
        """True if queued submissions may be admitted."""
        self.look()
        return not self._is_very_low

    def has_room_for_copies(self, octets: int) -> bool:
        """True if copies of this many octets leave the room that submissions need.

        For copies of whatever size it is enough that twice that room is free.
        """
        free = self.measure()
        if free is None:
            return True
        lacks = free < self._min_free + min(octets, self._min_free)
        if lacks or free >= 2 * self._threshold(True):  # nobody is refused then
            self._note_copies(free, lacks=lacks)
        return not lacks

    def _note_copies(self, free: int, *, lacks: bool) -> None:
        """Log if copies are refused since now, or are not any more."""
        with self._lock:
            if lacks is self._lacks_copies:
                return
            self._lacks_copies = lacks
        known: list[float] = []

        def note(number: float) -> float:
            known.append(number)
            return float(lacks)

        if self._numbers.update(_LACKS_COPIES, note) == known[0]:
            return  # another process has noticed it before
        if lacks:
            log.warning(
                "the disk of %s has too little room for files of /export/: %d MiB are free, and "
                "min_free_octets (%d MiB) must stay so.  Requests for files that are not ready are "
                "answered with 503.  With %d MiB free, all are made: free space on that disk",
                self._data,
                free >> 20,
                self._min_free >> 20,
                2 * self._threshold(True) >> 20,
            )
        else:
            log.warning("the disk of %s has room for files of /export/ again", self._data)

    def look(self) -> None:
        """Measure, and log what has changed."""
        free = self.measure()
        if free is None:
            return
        with self._lock:
            was_low = self._is_low
            self._is_low = free < self._threshold(was_low)
            self._is_very_low = free < self._threshold(self._is_very_low) // _WORK_PART
            changed = self._is_low is not was_low and self._is_first_to_know(was_low=was_low)
        if changed and self._is_low:
            log.error(
                "the disk of %s is nearly full: %d MiB are free, min_free_octets is %d MiB.  "
                "Submissions are refused with 503 until there is room, and below %d MiB the queue "
                "rests too; reads go on.  Free space on that disk or enlarge it",
                self._data,
                free >> 20,
                self._min_free >> 20,
                (self._min_free >> 20) // _WORK_PART,
            )
        elif changed:
            log.warning("the disk of %s has room again: submissions are accepted", self._data)

    def _is_first_to_know(self, *, was_low: bool) -> bool:
        """True unless another process has noticed it before; tells the others."""
        known: list[float] = []

        def note(number: float) -> float:
            # Again, in turn with the others: another one may have seen the end of it meanwhile.
            free = self.measure()
            if free is not None:
                self._is_low = free < self._threshold(was_low)
            known.append(number)
            return float(self._is_low)

        return self._numbers.update(_IS_LOW, note) != known[0]

    def keep_reserve(self) -> None:
        """Set the reserve aside if it is missing and there is plenty of room."""
        octets = self._min_free // _RESERVE_PART
        reserve = self._data / _RESERVE
        free = self._measure(self._data)
        plenty = free is not None and free >= self._threshold(True) + octets
        if not octets or not plenty or reserve.exists():
            return
        partial = reserve.with_name(f"{_RESERVE}.partial")
        try:
            _allocate(partial, octets)
            partial.replace(reserve)
        except OSError as error:
            log.warning("no reserve could be set aside in %s: %s", self._data, error.strerror)
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def _threshold(self, is_low: bool) -> int:
        return self._min_free + is_low * self._min_free // _HYSTERESIS_PART


def _allocate(path: Path, octets: int) -> None:
    """Make a file that really occupies that room, readable by its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, octets)
        else:
            file.write(bytes(octets))
