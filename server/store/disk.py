"""Room on the disk of the embedded database: how much is left, and what is kept in reserve.

An engine that finds no room for its journal fails as a whole, reads included, and cannot even
start without room to recover in.  So submissions are refused while there is still room for what
must go on: deletions, retention, the journal, purges.  And a file, the reserve, holds room that
no other program can take; it is given up when the engine must start on a full disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from tocsin.admission.errors import Unavailable
from tocsin.server.shared_folder import LocalNumbers, Numbers

log = logging.getLogger(__name__)

_RESERVE = "reserve"
_RESERVE_PART = 8
"""The reserve has an eighth of the room that must stay free."""
_WORK_PART = 2
"""Queued submissions are admitted until half of that room is used."""
_COPIES_TIMES = 2
"""Multiple of that room that must be free to make files that can be made again at any time."""
_HYSTERESIS_PART = 16
"""A sixteenth more must be free before submissions are taken again."""
_RETRY_SECONDS = 30
_IS_LOW = "disk is low"
"""The number that is 1 if a process has noticed it, else 0."""
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
        self._is_low = self._is_very_low = False

    def measure(self) -> int | None:
        """Octets that are free; None if they are not known, or do not matter."""
        return self._measure(self._data) if self._min_free else None

    def check_room(self) -> None:
        """Raises Unavailable if there is no room for a submission."""
        self.look()
        if self._is_low:
            raise Unavailable(_NO_ROOM, _RETRY_SECONDS)

    def has_room_for_work(self) -> bool:
        """True if queued submissions may be admitted."""
        self.look()
        return not self._is_very_low

    def has_room_for_copies(self) -> bool:
        """True if copies of what the database holds leave the room that submissions need."""
        free = self.measure()
        return free is None or free >= _COPIES_TIMES * self._min_free

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
                "Submissions are refused with 503 and the queue rests until there is room; reads "
                "go on.  Free space on that disk or enlarge it",
                self._data,
                free >> 20,
                self._min_free >> 20,
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
