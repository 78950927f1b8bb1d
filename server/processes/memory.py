"""Keeps the hub's processes from holding on to freed memory."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

ARENA_VARIABLE, ARENA_MAX = "MALLOC_ARENA_MAX", 2
"""The variable that limits the arenas of glibc's malloc in a new process, and the limit.

One thread computes at a time, so more arenas would only keep a share of free memory each.
"""
_M_ARENA_MAX = -8
"""The same in mallopt(3)."""


def limit_arenas() -> None:
    """Limit the arenas of this process; before it starts threads.

    It does nothing with another C library, or where the variable is set.
    """
    if ARENA_VARIABLE not in os.environ:
        with suppress(AttributeError, OSError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENA_MAX)
