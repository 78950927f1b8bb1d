"""Request quota of each account, and the headers that report it.

The headers follow draft-ietf-httpapi-ratelimit-headers.  Each account has a token bucket that
refills evenly: after a quiet minute it can send a minute's quota at once, and a steady client is
never blocked for long.  Kept in memory, one number for each account, which the processes of one
hub share.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from tocsin.admission.descriptions import count
from tocsin.admission.errors import TooManyRequests
from tocsin.server.processes.shared_folder import LocalNumbers, Numbers

WINDOW = 60
"""Seconds in which an empty bucket refills."""
_POLICY_NAME = '"account"'


@dataclass(frozen=True, slots=True)
class Allowance:
    """The remaining requests of an account."""

    quota: int
    """Requests in a window."""
    left: int
    """Requests that can be sent at once now."""
    full_in: int
    """Seconds until the whole quota is available again, without further requests."""

    def headers(self) -> dict[str, str]:
        """The response headers."""
        return {
            "RateLimit-Policy": f"{_POLICY_NAME};q={self.quota};w={WINDOW}",
            "RateLimit": f"{_POLICY_NAME};r={self.left};t={self.full_in}",
        }


class RateLimiter:
    """The token buckets of all accounts."""

    def __init__(
        self,
        quota: int,
        clock: Callable[[], float] = time.monotonic,
        numbers: Numbers | None = None,
    ) -> None:
        """`quota` is requests per minute and account; 0: unlimited.

        `numbers` are those of all processes; None: this one is alone.
        """
        self._quota, self._clock = quota, clock
        self._full_at = numbers or LocalNumbers()
        """Time at which each bucket is full again, in seconds of the clock."""

    def take(self, account: str) -> None:
        """Count one request of an account.  Raises TooManyRequests if none is left."""
        if self._quota:
            self._full_at.update(account, self._take_one)

    def _take_one(self, full_at: float) -> float:
        seconds_each, now = WINDOW / self._quota, self._clock()
        missing = max(full_at - now, 0.0) + seconds_each
        if missing <= WINDOW + seconds_each / 1000:  # tolerates the rounding of a long sum
            return now + missing
        seconds = math.ceil(missing - WINDOW)
        raise TooManyRequests(
            f"more than {count(self._quota, 'request')} a minute from this account; "
            f"retry in {seconds} s, "
            "and use larger pages or Prefer: wait instead of frequent requests",
            seconds,
        )

    def allowance(self, account: str) -> Allowance | None:
        """The remaining requests of an account; None if they are unlimited."""
        if not self._quota:
            return None
        missing = max(self._full_at.get(account) - self._clock(), 0.0)
        left = math.floor((WINDOW - missing) * self._quota / WINDOW + 0.001)
        return Allowance(self._quota, max(left, 0), math.ceil(missing))
