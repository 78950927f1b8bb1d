"""A review's object as it was sent, beside what the rules make of it, with marked words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import StixObject
from tocsin.server.intake.intake import Intake
from tocsin.server.intake.marks import Mark, find_marks
from tocsin.server.model import Review


@dataclass(frozen=True, slots=True)
class ReviewComparison:
    """The versions of an object that a reviewer compares to decide a review."""

    review: Review
    original: StixObject = field(repr=False)
    """The object as it was sent."""
    sanitised: StixObject | None = field(repr=False)
    """The object after the rules; None if they leave nothing, or the submission was deleted."""
    marks: tuple[Mark, ...]


def compare_review(intake: Intake, review: Review) -> ReviewComparison:
    """Compare a review's object with what the rules make of it now.

    Raises Conflict if the review was decided: its object is not kept any more.
    """
    if not review.object:
        raise Conflict(
            f"review {review.id} has been {review.state}; its object is not kept any more"
        )
    original: StixObject = json.loads(review.object)
    try:
        sanitised = intake.examine(review).object
    except NotFound:  # the submission is not kept any more: only the findings are left
        sanitised = None
    return ReviewComparison(review, original, sanitised, find_marks(review, original, sanitised))
