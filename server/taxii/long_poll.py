"""`Prefer: wait=N`: an answer that is put off until there is news (RFC 7240 section 4.3).

Whoever waits looks at the feed's head from time to time, all of them together
at one reading of it.  Each wait holds one of the hub's threads, so there are
bounds; beyond them the answer comes at once, as it would without the wish.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.request import parse_http_list

from tocsin.server.model import FeedHead

LONGEST = 60
"""Seconds; who asks for more is given this."""
INTERVAL = 0.25
"""Seconds between two readings of one head."""

_SECONDS = re.compile(r'"?([0-9]{1,9})"?', re.ASCII)


def asked(headers: Iterable[str]) -> int:
    """Seconds that `Prefer` allows for the answer; 0 if it does not say.

    >>> asked(["return=minimal, Wait=20"])
    20

    The first wish of a name counts, and one that cannot be understood is none
    (RFC 7240 section 2).
    """
    for wish in parse_http_list(", ".join(headers)):
        name, _, value = wish.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            found = _SECONDS.fullmatch(value.strip())
            return min(int(found[1]), LONGEST) if found else 0
    return 0


@dataclass(slots=True)
class _Lookout:
    """One feed's head as it was last read, for all that wait for it."""

    head: FeedHead | None = None
    read: float = -INTERVAL
    lock: threading.Lock = field(default_factory=threading.Lock)


class Vigil:
    """All who wait."""

    def __init__(
        self, places: int = 8, each: int = 2, stopping: threading.Event | None = None
    ) -> None:
        """At most `places` wait at once, of one account at most `each`.

        Nobody waits on once `stopping` is set.
        """
        self._places, self._each = places, each
        self._stopping = stopping or threading.Event()
        self._waiting: Counter[str] = Counter()
        self._lookouts: dict[str, _Lookout] = {}
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many wait now."""
        with self._lock:
            return self._waiting.total()

    @contextmanager
    def place(self, account: str) -> Iterator[bool]:
        """A place among those who wait, kept for the block; False if there is none left."""
        with self._lock:
            free = self._waiting.total() < self._places and self._waiting[account] < self._each
            self._waiting[account] += free
        try:
            yield free
        finally:
            with self._lock:
                self._waiting[account] -= free
                self._waiting = +self._waiting

    def moved(
        self, feed: str, seen: FeedHead, deadline: float, read: Callable[[str], FeedHead]
    ) -> bool:
        """Waits until a feed was written to after `seen`; False if the time ran out before.

        `deadline` is in `time.monotonic`.  Raises what `read` raises.
        """
        while (left := deadline - time.monotonic()) > 0:
            if self._stopping.wait(min(INTERVAL, left)):
                return False
            if self._head(feed, read).writes > seen.writes:
                return True
        return False

    def _head(self, feed: str, read: Callable[[str], FeedHead]) -> FeedHead:
        """The head of a feed, read by the first who asks in an interval."""
        with self._lock:
            lookout = self._lookouts.setdefault(feed, _Lookout())
        with lookout.lock:
            now = time.monotonic()
            if lookout.head is None or now - lookout.read >= INTERVAL * 0.9:
                lookout.head, lookout.read = read(feed), now
            return lookout.head
