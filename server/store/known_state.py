"""State of the hub that a process knows from its latest commit, so that it is not read again.

Every transaction of a store takes the hub's clock first, and learns how often it was taken before.
If nobody has taken it since the latest commit of this process, then nothing has changed that only
transactions change: where feeds end, the revisions of the partners and of the exclusion list, and
the end of the journal.  A change of one of them without a transaction is noted (`note_change`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tocsin.server.store.connection import Base, Document

_CLOCK = {"_id": "hub"}


@dataclass(slots=True)
class Known:
    """The state known within a transaction, which adds what it reads and changes what it writes."""

    heads: dict[str, Document] = field(default_factory=dict)
    """The heads of feeds, with the fields that a writer needs."""
    revisions: tuple[int, int] | None = None
    """Those of the partners and of the exclusion list."""
    last_entry: tuple[int, str] | None = None
    """Sequence and hash of the last entry of the journal."""


class KnownState:
    """The state that the latest commit of a process has left.  For one thread at a time."""

    def __init__(self) -> None:
        self._takes = -1
        self._known = Known()

    def begin(self, takes: int) -> Known:
        """The state known to a transaction, given how often the clock was taken before."""
        if takes != self._takes:
            return Known()
        return replace(self._known, heads=_copies(self._known.heads))

    def keep(self, takes: int, known: Known) -> None:
        """Remember what a transaction has left that is kept; `takes` counts its own one.

        A feed gets its number without the clock, so its head is known only once it has one.
        """
        numbered = {feed: head for feed, head in known.heads.items() if "number" in head}
        self._takes, self._known = takes, replace(known, heads=numbered)


def note_change(base: Base) -> None:
    """Let every process read again what it knows: something was changed without a transaction."""
    base.clock.update_one(_CLOCK, {"$inc": {"takes": 1}})


def _copies(heads: Mapping[str, Document]) -> dict[str, Document]:
    return {feed: dict(head) for feed, head in heads.items()}
