"""A partner that withdraws its reports of one thing and reports it again, several times.

Each time has a price for all readers (a new version, and often a new id), so it waits for a
reviewer after some times; others' reports are not concerned.  Here they are only counted:
`revocations.py` takes a report back.
"""

from collections.abc import Iterable

from tocsin.admission.timestamps import HOUR
from tocsin.server.model import Withdrawals

MOST_WITHDRAWALS = 3
"""Times that a partner takes back all its reports of one thing before its next report waits."""
WITHDRAWALS_KEPT = 12 * HOUR
"""µs after which a withdrawal does not count any more; shorter than a day, so that a partner that
replaces its objects daily is not held."""


def is_withdrawn_often(withdrawals: Iterable[Withdrawals], partner: str, now: int) -> bool:
    """True if a reviewer must look at the partner's reports of it; others' are not concerned."""
    for each in withdrawals:
        if each.partner == partner:
            return each.times >= MOST_WITHDRAWALS and _counts(each, now)
    return False


def count_withdrawal(
    withdrawals: Iterable[Withdrawals], partner: str, now: int
) -> tuple[Withdrawals, ...]:
    """One more of the partner's; those of long ago are forgotten."""
    recent = {each.partner: each for each in withdrawals if _counts(each, now)}
    before = recent.pop(partner, None)
    return (*recent.values(), Withdrawals(partner, (before.times if before else 0) + 1, now))


def _counts(withdrawals: Withdrawals, now: int) -> bool:
    """True unless the last one is of long ago, or of a clock that was ahead and is set back."""
    return abs(now - withdrawals.last) < WITHDRAWALS_KEPT
