"""The slowness of this machine at this moment, for tests that must end within some time.

They show that a time grows with the length of a text and not with its square, or worse.  A busy
machine takes up to three times as long as an idle one.
"""

import time

_STEPS = 1_000_000
_SECONDS = 0.05
"""Processor time of these steps on the machines on which the limits were chosen."""


def measure_slowness() -> float:
    """How many times as long as usual this machine takes just now; at least 1."""
    began, total = time.process_time(), 0
    for number in range(_STEPS):
        total += number
    return max(1.0, (time.process_time() - began) / _SECONDS)
