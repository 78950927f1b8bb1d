"""How often an account may ask, and how it is told (draft-ietf-httpapi-ratelimit-headers).

Each account has an allowance that fills evenly: whoever was quiet for a minute
may ask as often as a minute allows at once, whoever asks steadily is never
stopped for long.  Kept in memory, one number for each account; of several hub
processes each counts for itself.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tocsin.admission.errors import TooManyRequests

WINDOW = 60
"""Seconds in which an empty allowance fills."""
_NAME = '"account"'


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an account has left."""

    quota: int
    """Requests in a window."""
    left: int
    """Requests that it may make at once now."""
    full_in: int
    """Seconds until all of the quota is there again, if it asks nothing."""

    def headers(self) -> dict[str, str]:
        """How a client is told."""
        return {
            "RateLimit-Policy": f"{_NAME};q={self.quota};w={WINDOW}",
            "RateLimit": f"{_NAME};r={self.left};t={self.full_in}",
        }


class Rates:
    """What each account has left."""

    def __init__(self, quota: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`quota` requests a minute for each account; 0: as many as it likes."""
        self._quota, self._clock = quota, clock
        self._full: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, account: str) -> None:
        """Count one request of the account's.  Raises TooOften if it has none left."""
        if not self._quota:
            return
        each = WINDOW / self._quota
        with self._lock:
            now = self._clock()
            missing = max(self._full.get(account, now) - now, 0.0) + each
            if missing <= WINDOW + each / 1000:  # a sum of many parts may miss by a hair
                self._full[account] = now + missing
                return
        seconds = math.ceil(missing - WINDOW)
        raise TooManyRequests(
            f"this account may ask {self._quota} times a minute; ask again in {seconds} s, "
            "and for larger pages or with Prefer: wait instead of often",
            seconds,
        )

    def allowance(self, account: str) -> Allowance | None:
        """What the account has left; None if nobody counts."""
        if not self._quota:
            return None
        with self._lock:
            now = self._clock()
            missing = max(self._full.get(account, now) - now, 0.0)
        left = math.floor((WINDOW - missing) * self._quota / WINDOW + 0.001)
        return Allowance(self._quota, max(left, 0), math.ceil(missing))
