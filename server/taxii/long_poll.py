"""Long polling: `Prefer: wait=N` delays an answer until the feed changes (RFC 7240 section 4.3).

Waiting requests read the feed's head whenever a process of this hub has written something, and
every quarter of a second in case another hub or a command has; all that wait for one feed share
one reading of it.  Each wait occupies one of the hub's threads, so their number is bounded; beyond
the bound a request is answered at once, as without the preference.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.request import parse_http_list

from tocsin.server.model import FeedHead
from tocsin.server.processes.nonblocking import check_may_block

MAX_WAIT = 60
"""Seconds; a longer wait is shortened to this."""
CHECK_INTERVAL = 0.25
"""Seconds between two readings of one head."""

_SECONDS = re.compile(r'"?([0-9]{1,9})"?', re.ASCII)


def parse_prefer_wait(headers: Iterable[str]) -> int:
    """The seconds of `Prefer: wait`; 0 without one.

    >>> parse_prefer_wait(["return=minimal, Wait=20"])
    20

    The first preference of a name counts, and an invalid one counts as absent
    (RFC 7240 section 2).
    """
    for preference in parse_http_list(", ".join(headers)):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            found = _SECONDS.fullmatch(value.strip())
            return min(int(found[1]), MAX_WAIT) if found else 0
    return 0


@dataclass(slots=True)
class _SharedHead:
    """The latest reading of one feed's head, shared by the requests that wait for it."""

    head: FeedHead | None = None
    read_at: float = -CHECK_INTERVAL
    wakings: int = 0
    """The number of wakings when it was read."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class LongPolls:
    """The waiting requests of this process."""

    def __init__(
        self, total: int = 8, per_account: int = 2, stopping: threading.Event | None = None
    ) -> None:
        """At most `total` requests wait at once, and at most `per_account` of one account.

        Setting `stopping` ends every wait.
        """
        self._total, self._per_account = total, per_account
        self._stopping = stopping or threading.Event()
        self._waiting: Counter[str] = Counter()
        self._heads: dict[str, _SharedHead] = {}
        self._lock = threading.Lock()
        self._written = threading.Condition()
        self._wakings = 0

    @classmethod
    def for_threads(cls, threads: int, stopping: threading.Event) -> LongPolls:
        """At most half of the hub's threads wait, and at most an eighth for one account."""
        return cls(threads // 2, max(threads // 8, 1), stopping)

    def wake(self) -> None:
        """Let all waiting requests look at once: a process of this hub has written something."""
        with self._written:
            self._wakings += 1
            self._written.notify_all()

    @contextmanager
    def slot(self, account: str) -> Iterator[bool]:
        """Hold one of the account's slots during the block; False if none is free."""
        check_may_block()
        with self._lock:
            total, own = self._waiting.total(), self._waiting[account]
            free = total < self._total and own < self._per_account
            self._waiting[account] += free
        try:
            yield free
        finally:
            with self._lock:
                self._waiting[account] -= free
                self._waiting = +self._waiting

    def wait_for_change(
        self, feed: str, seen: FeedHead, deadline: float, read: Callable[[str], FeedHead]
    ) -> bool:
        """Block until the feed is written to after `seen`; False if the deadline comes first.

        `deadline` is in `time.monotonic`.  Raises what `read` raises.
        """
        wakings = 0
        while (left := deadline - time.monotonic()) > 0:
            wakings = self._wait_for_waking(wakings, min(CHECK_INTERVAL, left))
            if self._stopping.is_set():
                return False
            if self._head(feed, wakings, read).writes > seen.writes:
                return True
        return False

    def _wait_for_waking(self, known: int, seconds: float) -> int:
        """Wait for more wakings than are known, but not longer; return their number."""
        with self._written:
            self._written.wait_for(lambda: self._wakings > known, seconds)
            return self._wakings

    def _head(self, feed: str, wakings: int, read: Callable[[str], FeedHead]) -> FeedHead:
        """The feed's head, read by the first request of an interval or after a waking."""
        with self._lock:
            shared = self._heads.setdefault(feed, _SharedHead())
        with shared.lock:
            now = time.monotonic()
            is_old = now - shared.read_at >= CHECK_INTERVAL * 0.9 or shared.wakings < wakings
            if shared.head is None or is_old:
                shared.head, shared.read_at, shared.wakings = read(feed), now, wakings
            return shared.head
