"""Reviewers' acts, and figures about them: how long they are kept, and what they say."""

import pytest

from tocsin.admission.timestamps import DAY
from tocsin.server.model import ActState, DecisionKind, ReviewAct
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


def add_acts(store: Store, *acts: ReviewAct) -> None:
    for act in acts:
        store.commit(lambda txn, act=act: txn.review_acts.add(act))  # type: ignore[misc]


def act_of(person: str, id: str, day: int, state: ActState = ActState.DONE) -> ReviewAct:
    at = day * DAY
    login, kind = f"{person}@hub.example", DecisionKind.REJECT
    return ReviewAct(id, person, login, kind, at, at, ("review",), state=state)


def ids_of(store: Store) -> set[str]:
    """The ids of all documents of acts."""
    return {each["_id"] for each in store._base.review_acts.find({})}


def test_acts_are_deleted_by_age_but_for_those_that_wait(store: Store) -> None:
    add_acts(store, act_of("jane", "a", 5), act_of("jane", "b", 6), act_of("john", "c", 5))
    add_acts(store, act_of("joan", "d", 5, ActState.PENDING))
    store.review_acts.forget(6 * DAY)
    assert ids_of(store) == {"b", "of jane", "d", "of joan"}
    assert [each.id for each in store.review_acts.list_latest("jane")] == ["b"]
    assert [each.id for each in store.review_acts.list_pending("joan")] == ["d"]


def test_nothing_is_left_of_the_acts_of_a_removed_person(store: Store) -> None:
    add_acts(store, *(act_of("jane", f"a{n}", 5) for n in range(12)), act_of("john", "b", 5))
    store.commit(lambda txn: txn.review_acts.remove_person("jane"))
    assert ids_of(store) == {"b", "of john"}


def test_figures_of_a_day_are_kept_for_400_days(store: Store) -> None:
    for day in (20_000 - 401, 20_000 - 400):
        store.review_acts.note_turnaround(day * DAY, day * DAY)
    store.review_acts.forget_figures(20_000)
    [left] = store._base.review_figures.find({})
    assert left["_id"] == "day 19600"


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
