"""How long reviews have waited, in bins."""

from __future__ import annotations

import pytest

from tocsin.server.console.queue_ages import HEIGHT, count_ages
from tocsin.server.store.review_queue import QueuedReview

HOUR = 3_600_000_000
NOW = 1_000 * HOUR


def waiting(*hours: float) -> list[QueuedReview]:
    """Reviews that have waited for so long, the oldest first."""
    asked = sorted(NOW - round(each * HOUR) for each in hours)
    return [
        QueuedReview(str(n), at, "acme", ("benign",), "indicator", "green", "held", 1, (at, "", ""))
        for n, at in enumerate(asked)
    ]


@pytest.mark.parametrize(
    ("hours", "place"), [(0, 0), (0.99, 0), (1, 1), (4, 2), (23.9, 2), (24, 3), (72, 4), (900, 4)]
)
def test_a_review_is_in_the_bin_of_its_age(hours: float, place: int) -> None:
    assert [each.count for each in count_ages(waiting(hours), NOW)].index(1) == place


def test_each_review_is_counted_once_and_the_largest_bin_is_the_highest() -> None:
    bins = count_ages(waiting(0.5, 2, 2, 2, 30, 100, -1), NOW)
    assert [each.count for each in bins] == [2, 3, 0, 1, 1]
    assert [each.height for each in bins] == [16, HEIGHT, 0, 8, 8]


def test_few_among_many_are_still_seen() -> None:
    bins = count_ages(waiting(*[0.5] * 5_000, 80), NOW)
    assert [each.height for each in bins] == [HEIGHT, 0, 0, 0, 2]
    assert {each.height for each in count_ages([], NOW)} == {0}
