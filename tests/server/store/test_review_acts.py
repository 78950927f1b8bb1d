"""Figures about decisions: the median time, and a partner's answers."""

import pytest

from tocsin.admission.timestamps import DAY
from tocsin.server.store import Store
from tocsin.server.store.review_acts import DecisionCounts, forget_answers

SECOND = 1_000_000
TODAY = 20_000 * DAY


@pytest.mark.parametrize("seconds", [0, 1, 40, 3_600, 86_400])
def test_the_median_time_is_right_within_a_tenth(store: Store, seconds: int) -> None:
    for asked in (seconds, seconds, seconds * 50):
        store.review_acts.note_turnaround(TODAY - asked * SECOND, TODAY)
    found = store.review_acts.median_turnaround(TODAY, 7)
    assert found is not None and abs(found - seconds * SECOND) <= max(SECOND, seconds * SECOND / 9)


def test_older_days_do_not_count(store: Store) -> None:
    store.review_acts.note_turnaround(TODAY - 8 * DAY - 5, TODAY - 7 * DAY)
    assert store.review_acts.median_turnaround(TODAY, 7) is None


def test_answers_are_counted_by_partner_and_rule_until_the_partner_is_removed(
    store: Store,
) -> None:
    store.review_acts.note_answer("acme", ["a", "b"], yes=True)
    store.review_acts.note_answer("acme", ["a"], yes=False)
    assert store.review_acts.answers("acme", "a") == DecisionCounts(1, 1)
    assert store.review_acts.answers("north", "a") == DecisionCounts()
    forget_answers(store._base, "acme")
    assert store.review_acts.answers("acme", "b") == DecisionCounts()
