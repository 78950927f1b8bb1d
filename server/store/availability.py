"""Knows if the database answers, so that nothing waits long for one that does not.

A request holds one of the hub's threads while it waits for the database.  Once a regular look-up
has failed for a while, requests are refused at once, until a look-up succeeds again.  A short
absence, such as the restart of the embedded engine, is waited out instead.
"""

from __future__ import annotations

import logging
import threading
import time

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from tocsin.admission.errors import Unavailable
from tocsin.server.store.connection import Base, OutcomeUnknown, find_clock_fault, is_outage_error

log = logging.getLogger(__name__)

_PROBE_SECONDS = 2.0
"""Time limit of one look-up."""
_PATIENCE_SECONDS = 5.0
"""Seconds of failure after which requests are refused at once."""
_CLOCK_SECONDS = 30.0
"""Seconds between two comparisons of the clocks."""
_INTERNAL_ERROR, _UNKNOWN_ERROR, _OUT_OF_DISK_SPACE = 1, 8, 14031
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
        if fault != self._clock_fault:
            log.error("%s", fault or "the clocks of this machine and of the database agree again")
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
        if error.code in (_INTERNAL_ERROR, _UNKNOWN_ERROR):
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
