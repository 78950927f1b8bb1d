"""Retention: what the hub kept long enough is deleted automatically.

Bodies of submissions, statuses, what is left of reviews and decisions, objects that no
reviewer decided on in time, invitations that nobody took, and sessions.
Each step is one small transaction that looks for itself if there is anything to
delete, so several workers may sweep at once and a crash costs nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.timestamps import DAY
from tocsin.server.intake.intake import Intake
from tocsin.server.model import BODY_DAYS
from tocsin.server.store import Store
from tocsin.server.store.retention import Kept

log = logging.getLogger(__name__)

STEP = 50
"""Submissions or reviews that are deleted before others get a turn."""
PAUSE = 600_000_000
"""µs between two sweeps that find nothing."""
WARNING_DAYS = 3
"""Days before the end of a review in which `review list` warns of it."""
_NOT_IN_TIME = "not reviewed in time: send it again"
"""The reason that the submitter of an object sees on which nobody decided."""
_MOST_COUNTED = 50
_WHO = "retention"
_MOST_ENTRIES = 2_000
"""Entries of the journal that one transaction deletes."""


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """Days that things are kept: at least these, and at most one more."""

    bodies: int = BODY_DAYS
    refused_bodies: int = 1
    """Bodies of submissions of which nothing was taken."""
    reviews: int = 14
    statuses: int = 90
    journal: int = 0
    """The journal, and who received what; 0: always."""

    def days(self, kept: Kept) -> int:
        """The days for one kind."""
        by_kind = {
            Kept.BODY: self.bodies,
            Kept.REFUSED_BODY: self.refused_bodies,
            Kept.REVIEW: self.reviews,
            Kept.STATUS: self.statuses,
            Kept.DECIDED: self.statuses,
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
        self._failed: set[tuple[Kept, str]] = set()
        """Kind and id of everything that could not be deleted in this sweep."""
        self.periods = periods

    def work(self) -> bool:
        """One step of the sweep if it is time for one; False if there was nothing to do."""
        now = self._clock()
        with self._lock:
            if now < self._next <= now + PAUSE:  # later, if the clock was set back
                return False
        if any([*(self._sweep(kept, now) for kept in Kept), self._forget_journal()]):
            return True
        self._store.people.forget_ended(now)
        with self._lock:
            self._next = now + PAUSE
            self._failed.clear()
        return False

    def _sweep(self, kept: Kept, now: int) -> bool:
        """Delete a few things of one kind; False if nothing was left that can be deleted."""
        last = now // DAY - self.periods.days(kept) - 1
        failed = {id_ for each, id_ in self._failed if each is kept}
        due = self._store.expired.find(kept, last, STEP + len(failed))
        found = [id_ for id_ in due if id_ not in failed]
        deleted = sum(self._try_delete(kept, id_, last + 1) for id_ in found)
        if deleted:
            log.info("retention kind=%s count=%d", kept.name.lower(), deleted)
        if not due and self._store.expired.swept_day(kept) != last:
            self._store.expired.mark_swept(kept, last)
            self._end_day(kept, last)
        return bool(found)

    def _forget_journal(self) -> bool:
        """Delete the oldest entries of the journal; False if none was old enough."""
        days = self.periods.journal
        if not days:
            return False
        entries = self._store.commit(lambda txn: txn.forget_journal(days, _MOST_ENTRIES, _WHO))
        if entries:
            log.info("retention kind=journal count=%d", entries)
        return entries > 0

    def _forget_deliveries(self) -> None:
        if self.periods.journal:
            collections = [each.id for each in self._store.feeds.collections()]
            before = (self._clock() // DAY - self.periods.journal) * DAY
            self._store.deliveries.forget(collections, before)

    def _try_delete(self, kept: Kept, id_: str, again: int) -> bool:
        """Delete one thing; False if that failed, which is tried again after the pause."""
        try:
            self._delete(kept, id_, again)
        except Exception as error:  # the others are due all the same
            if self._store.availability.is_outage(error):
                raise
            if isinstance(error, Unavailable):  # the database is busy
                log.warning("%s %s: will be deleted later: %s", kept.name.lower(), id_, error)
            else:
                log.exception("cannot delete %s %s; it will be retried", kept.name.lower(), id_)
            self._failed.add((kept, id_))
            return False
        return True

    def _delete(self, kept: Kept, id_: str, again: int) -> None:
        if kept is Kept.REVIEW:
            self._close_review(id_)
        elif kept is Kept.DECIDED:
            self._store.commit(lambda txn: txn.reviews.forget(id_))
        elif kept is Kept.STATUS:
            self._store.commit(lambda txn: txn.submissions.forget(id_, again))
        else:
            self._store.commit(lambda txn: txn.submissions.forget_body(id_, again))

    def _close_review(self, review_id: str) -> None:
        """Reject the object of a review that waited too long."""
        review = self._store.reviews.find(review_id)
        if review is None:
            return
        with suppress(Conflict, NotFound):  # decided meanwhile, or its submission is gone
            self._intake.reviewer.reject(review, _WHO, _NOT_IN_TIME)
            return
        self._store.commit(lambda txn: txn.reviews.purge(review_id, ()))

    def _end_day(self, kept: Kept, last: int) -> None:
        """Do the work of once a day, when everything of one kind has been deleted."""
        if kept is Kept.REVIEW:
            self._warn_of_reviews(last)
        elif kept is Kept.BODY:
            self._warn_of_set_aside()
        elif kept is Kept.STATUS:
            self._store.deliveries.forget_gaps((last + 1) * DAY)
            self._forget_deliveries()
            self._store.statistics.forget()
            self._store.review_acts.forget_figures(self._clock() // DAY)
        elif kept is Kept.DECIDED:
            self._store.review_acts.forget((last + 1) * DAY)

    def _warn_of_reviews(self, last: int) -> None:
        """Log how many reviews end within the days after `last`, in days since 1970."""
        days = range(last + 1, last + 1 + WARNING_DAYS)
        due = self._store.expired.find_days(Kept.REVIEW, days, _MOST_COUNTED)
        if due:
            log.warning("%d or more reviews end within %d days", len(due), WARNING_DAYS)

    def _warn_of_set_aside(self) -> None:
        if count := len(self._store.submissions.list_set_aside()):
            log.warning(
                "submissions that are set aside, and keep their bodies until you decide: %d; "
                "`tocsin-hub submission list` shows them",
                count,
            )
