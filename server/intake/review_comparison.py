"""A review's object as it was sent, beside what the rules make of it, with marked words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import StixObject
from tocsin.server.intake.intake import Intake
from tocsin.server.intake.marks import Mark, find_marks
from tocsin.server.model import Review


@dataclass(frozen=True, slots=True)
class ReviewComparison:
    """The object of a review, and what the rules change in it."""

    original: StixObject = field(repr=False)
    """The object as it was sent."""
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
    sanitised: StixObject | None = None
    with suppress(NotFound):  # the submission is not kept any more: only the findings are left
        sanitised = intake.examine(review).object
    return ReviewComparison(original, find_marks(review, original, sanitised))
