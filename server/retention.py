"""Retention: what the hub kept long enough is deleted, without a hand.

Bodies of submissions, statuses, and objects that no analyst decided on in time.
Each step is one small transaction that looks for itself if there is anything to
delete, so several workers may sweep at once and a crash costs nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.timestamps import DAY
from tocsin.server.intake.intake import Intake
from tocsin.server.store import Store
from tocsin.server.store.retention import Kept

log = logging.getLogger(__name__)

STEP = 50
"""Submissions or reviews that are deleted before others get a turn."""
PAUSE = 600_000_000
"""µs between two sweeps that find nothing."""
WARNING_DAYS = 3
"""Days before the end of a review in which `review list` warns of it."""
NOT_IN_TIME = "not reviewed in time: send it again"
"""The reason that the submitter of an object sees on which nobody decided."""
_WHO = "retention"


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """Days that things are kept: at least these, and at most one more."""

    bodies: int = 14
    refused_bodies: int = 1
    """Bodies of submissions of which nothing was taken."""
    reviews: int = 14
    statuses: int = 90

    def days(self, kept: Kept) -> int:
        """The days for one kind."""
        by_kind = {
            Kept.BODY: self.bodies,
            Kept.REFUSED_BODY: self.refused_bodies,
            Kept.REVIEW: self.reviews,
            Kept.STATUS: self.statuses,
        }
        return by_kind[kept]


class Retention:
    """Deletes what has been kept long enough."""

    def __init__(
        self, store: Store, intake: Intake, periods: RetentionPeriods, clock: Callable[[], int]
    ) -> None:
        """`clock` gives the time in µs since 1970 UTC."""
        self._store, self._intake = store, intake
        self._clock = clock
        self._next = 0
        self._lock = threading.Lock()
        self.periods = periods

    def work(self) -> bool:
        """One step of the sweep if it is time for one; False if there was nothing to do."""
        now = self._clock()
        with self._lock:
            if now < self._next:
                return False
        if any(self._sweep(kept, now) for kept in Kept):
            return True
        with self._lock:
            self._next = now + PAUSE
        return False

    def sweep(self) -> None:
        """Everything that is due now."""
        for kept in Kept:
            while self._sweep(kept, self._clock()):
                pass

    def _sweep(self, kept: Kept, now: int) -> bool:
        """Delete a few things of one kind; False if nothing was left."""
        today = now // DAY
        last = today - self.periods.days(kept) - 1
        found = self._store.expired.find(kept, last, STEP)
        for id_ in found:
            self._delete(kept, id_, today)
        if found:
            log.info("retention kind=%s count=%d", kept.name.lower(), len(found))
        elif self._store.expired.swept_day(kept) != last:
            self._store.expired.mark_swept(kept, last)
            if kept is Kept.REVIEW:
                self._warn(last)
        return bool(found)

    def _delete(self, kept: Kept, id_: str, today: int) -> None:
        if kept is Kept.REVIEW:
            self._close_review(id_)
        elif kept is Kept.STATUS:
            self._store.commit(lambda txn: txn.forget_submission(id_, today))
        else:
            self._store.commit(lambda txn: txn.forget_body(id_, today))

    def _close_review(self, review_id: str) -> None:
        review = self._store.reviews.find(review_id)
        if review is None:
            return
        with suppress(Conflict, NotFound):  # decided meanwhile, or its submission is gone
            self._intake.reject(review, _WHO, NOT_IN_TIME)
            return
        self._store.commit(lambda txn: txn.purge_review(review_id, ()))

    def _warn(self, last: int) -> None:
        days = range(last + 1, last + 1 + WARNING_DAYS)
        due = self._store.expired.find_days(Kept.REVIEW, days, STEP)
        if due:
            log.warning("%d or more reviews end within %d days", len(due), WARNING_DAYS)
