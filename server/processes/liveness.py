"""Marks by which a process can be known later to have ended, by others of its machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_ENDED = frozenset("ZX")
"""States of a process that has ended and of which nobody has taken note yet."""


class ProcessMark(NamedTuple):
    """A process, not to be mistaken for one that gets its number later or has it elsewhere."""

    machine: str
    """The machine since it was started, and the namespace in which the number counts."""
    number: int
    started: int
    """Ticks of the machine's clock at which it was started."""


def find_own_mark() -> ProcessMark | None:
    """The mark of this process; None if the system does not have what it needs (Linux has)."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").stat().st_ino
        found = _read_state(os.getpid())
        if found is not None:
            return ProcessMark(f"{boot} {namespace}", os.getpid(), found[1])
    return None


def has_ended(mark: ProcessMark) -> bool:
    """True if the process has certainly ended; it must be one of this machine."""
    try:
        os.kill(mark.number, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        pass
    found = _read_state(mark.number)
    return found is not None and (found[0] in _ENDED or found[1] != mark.started)


def _read_state(number: int) -> tuple[str, int] | None:
    """The state and the start of a process; None if they cannot be read."""
    with suppress(OSError):
        words = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return words[0], int(words[19])
    return None
