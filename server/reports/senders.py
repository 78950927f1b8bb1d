"""Accounts that submit, collectors among them: their usual pause, and when they are silent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from tocsin.server.model import Account
from tocsin.server.store.senders import SenderRecord

_MINUTE = 60_000_000
_FEWEST_GAPS = 4
"""Times between runs from which on an account can have a rhythm."""


@dataclass(frozen=True, slots=True)
class SendingAccount:
    """An account that submits, as the hub sees it: by when its submissions come.

    The hub does not see what a collector reads, nor requests that it refused before they were
    submissions.  A collector that finds nothing new submits nothing.
    """

    account: str
    partner: str
    last: int
    """Time of receipt of its last submission, in µs since 1970 UTC."""
    usual: int | None
    """The median time between its latest runs, in µs, to the minute; None: too few, or without a
    rhythm."""
    silent: bool
    """It has a rhythm, and has been silent for clearly longer than usual."""
    objects: int
    """Objects of it that got a verdict in the last 24 hours."""
    refused: int
    """Those of them that were refused."""


def describe_sender(account: Account, record: SenderRecord, now: int) -> SendingAccount:
    """The rhythm of an account that has submitted, and whether it is silent; `now` in µs."""
    last, gaps = record.runs[-1][1], [b[0] - a[0] for a, b in pairwise(record.runs)]
    usual = find_usual_gap(gaps)
    silent = usual is not None and now - last > _longest_silence(gaps, usual)
    counts = record.objects, record.refused
    rounded = None if usual is None else max(1, round(usual / _MINUTE)) * _MINUTE
    return SendingAccount(account.name, account.partner, last, rounded, silent, *counts)


def find_usual_gap(gaps: Sequence[int]) -> int | None:
    """The median of the times between runs; None if they are few, or have no rhythm.

    There is a rhythm if three of four are between half and twice as long as the median.

    >>> find_usual_gap([10, 11, 9, 10]), find_usual_gap([1, 50, 2, 90]), find_usual_gap([10])
    (10, None, None)
    """
    if len(gaps) < _FEWEST_GAPS:
        return None
    usual = round(median(gaps))
    alike = sum(usual <= 2 * each and each <= 2 * usual for each in gaps)
    return usual if alike >= 0.75 * len(gaps) else None


def _longest_silence(gaps: Sequence[int], usual: int) -> float:
    """µs of silence that are nothing unusual: a pause that comes each night or weekend is none."""
    long = sorted(gaps)[(9 * len(gaps) - 1) // 10]  # nine of ten were at most so long
    return max(3.0 * usual, 1.5 * long)
