"""The count of a partner's withdrawals of one thing, which holds its next report of it."""

import pytest

from tocsin.server.model import Withdrawals
from tocsin.server.publishing.repeated_withdrawals import (
    MOST_WITHDRAWALS,
    WITHDRAWALS_KEPT,
    count_withdrawal,
    is_withdrawn_often,
)

NOW = 1_790_000_000_000_000


def test_a_partner_that_withdrew_often_waits_for_a_reviewer_and_no_other_does() -> None:
    counted: tuple[Withdrawals, ...] = (Withdrawals("north", 1, NOW),)
    for times in range(MOST_WITHDRAWALS):
        assert not is_withdrawn_often(counted, "acme", NOW), times
        counted = count_withdrawal(counted, "acme", NOW)
    assert is_withdrawn_often(counted, "acme", NOW)
    assert not is_withdrawn_often(counted, "north", NOW)
    assert set(counted) == {
        Withdrawals("north", 1, NOW),
        Withdrawals("acme", MOST_WITHDRAWALS, NOW),
    }


@pytest.mark.parametrize("sign", [1, -1])  # a clock that is set back makes nobody wait for ever
def test_a_withdrawal_counts_for_half_a_day_of_the_clock(sign: int) -> None:
    often = (Withdrawals("acme", MOST_WITHDRAWALS, NOW),)
    assert is_withdrawn_often(often, "acme", NOW + sign * (WITHDRAWALS_KEPT - 1))
    later = NOW + sign * WITHDRAWALS_KEPT
    assert not is_withdrawn_often(often, "acme", later)
    assert count_withdrawal(often, "acme", later) == (Withdrawals("acme", 1, later),)


def test_withdrawals_of_long_ago_are_forgotten_with_the_next_one_of_any_partner() -> None:
    old = (Withdrawals("north", 2, NOW), Withdrawals("acme", 1, NOW + WITHDRAWALS_KEPT - 1))
    later = NOW + WITHDRAWALS_KEPT
    assert count_withdrawal(old, "acme", later) == (Withdrawals("acme", 2, later),)
