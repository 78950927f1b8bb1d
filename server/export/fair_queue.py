"""A fair queue: one request at a time makes files, and no account keeps others from theirs.

Making the files of a large feed takes a processor for seconds.  An account that made some rests
for a multiple of that time, as long as another account is known to have been refused.  Few
requests wait, since each takes a thread from requests of other kinds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tocsin.admission.errors import Unavailable

PREPARING = "the files of this collection are being prepared; ask again in a moment"
RETRY = 10
_PATIENCE = 3.0
"""Seconds that a request waits."""
_MOST_WAITING, _MOST_WAITING_OF_ONE = 6, 2
_REST_TIMES = 2
_REMEMBERED = 600.0
"""Seconds after which an account that was refused counts no more: firewalls ask every few
minutes."""


class FairQueue:
    """The queue of one process.  Safe for threads."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, patience: float = _PATIENCE
    ) -> None:
        """`patience`: seconds that a request waits."""
        self._now, self._patience = monotonic, patience
        self._turn, self._guard = threading.Lock(), threading.Lock()
        self._busy_since: float | None = None
        self._waiting: Counter[str] = Counter()
        self._refused: dict[str, float] = {}
        """Time of the last refusal of each account that had no turn since."""
        self._rests: dict[str, float] = {}
        """Time until which an account rests if others are refused."""

    @contextmanager
    def take(self, account: str, *, is_shared: bool = False) -> Iterator[None]:
        """Wait for a turn of this account.

        `is_shared`: it does what all accounts need, so the account does not rest for it.

        Raises Unavailable if that takes long, or at once if it is sure to.
        """
        if not self._wait(account, is_shared=is_shared):
            with self._guard:
                self._refused[account] = self._now()
            raise Unavailable(PREPARING, RETRY)
        begin = self._busy_since = self._now()
        try:
            yield
        finally:
            end, self._busy_since = self._now(), None
            with self._guard:
                self._refused.pop(account, None)
                if not is_shared:
                    self._rests[account] = end + _REST_TIMES * (end - begin)
            self._turn.release()

    def _wait(self, account: str, *, is_shared: bool) -> bool:
        """True if it is this account's turn."""
        with self._guard:
            if self._is_hopeless(account) or not (is_shared or self._may_take(account)):
                return False
            self._waiting[account] += 1
        try:
            is_free = self._turn.acquire(timeout=self._patience)
        finally:
            with self._guard:
                self._waiting[account] -= 1
        if is_free and not (is_shared or self._may_take(account)):
            self._turn.release()
            return False
        return is_free

    def _is_hopeless(self, account: str) -> bool:
        since = self._busy_since
        return (
            (since is not None and self._now() - since > self._patience)
            or self._waiting[account] >= _MOST_WAITING_OF_ONE
            or self._waiting.total() >= _MOST_WAITING
        )

    def _may_take(self, account: str) -> bool:
        """True unless the account rests."""
        now = self._now()
        if now >= self._rests.get(account, 0.0):
            return True
        refused = list(self._refused.items())
        return all(name == account or now - at >= _REMEMBERED for name, at in refused)
