"""Objects that no reviewer decided on in time: rejected, after a warning to the operators."""

from __future__ import annotations

import logging
from contextlib import suppress

from tocsin.admission.errors import Conflict, NotFound
from tocsin.server.intake.intake import Intake
from tocsin.server.store import Store
from tocsin.server.store.retention import Kept

log = logging.getLogger(__name__)

WARNING_DAYS = 3
"""Days before the end of a review in which `review list` warns of it."""
NOT_IN_TIME = "not reviewed in time: send it again"
"""The reason that the submitter of an object sees on which nobody decided."""
_WHO = "retention"
_MOST_COUNTED = 50


def close_review(store: Store, intake: Intake, review_id: str) -> None:
    """Reject the object of a review that waited too long."""
    review = store.reviews.find(review_id)
    if review is None:
        return
    with suppress(Conflict, NotFound):  # decided meanwhile, or its submission is gone
        intake.reject(review, _WHO, NOT_IN_TIME)
        return
    store.commit(lambda txn: txn.reviews.purge(review_id, ()))


def warn_of_reviews(store: Store, last: int) -> None:
    """Log how many reviews end within the days after `last`, in days since 1970."""
    days = range(last + 1, last + 1 + WARNING_DAYS)
    due = store.expired.find_days(Kept.REVIEW, days, _MOST_COUNTED)
    if due:
        log.warning("%d or more reviews end within %d days", len(due), WARNING_DAYS)
