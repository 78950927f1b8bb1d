"""The journal: a hash chain of what was done and by whom.

Each entry carries a hash over its own fields and over the hash of the entry
before it.  With one hash kept elsewhere, anybody can verify later that nothing
up to it was changed, removed or inserted.  Pure: where the entries are kept is
not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import rfc8785

GENESIS = "0" * 64
"""Stands in place of a hash before the first entry."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One action of one actor."""

    sequence: int
    """1, 2, 3 … without gaps."""
    at: int
    """µs since 1970 UTC."""
    action: str
    """A verb phrase: `received`, `key revoked`."""
    actor: str
    """The account, or `operator` for a command."""
    details: Mapping[str, object] = field(default_factory=dict)
    """JSON values; never the content of an object."""
    previous: str = GENESIS
    """The hash of the entry before."""
    hash: str = ""


def with_hash(act: JournalEntry) -> JournalEntry:
    """The entry with its hash: SHA-256 over its canonical JSON (RFC 8785), `previous` included."""
    return replace(act, hash=_hash(act))


def first_invalid_sequence(
    acts: Iterable[JournalEntry], *, after: JournalEntry | None = None
) -> int | None:
    """The sequence of the first entry that breaks the chain; None if the chain is valid.

    The entries come in order; `after` is the entry before the first of them, left out if they
    begin with the journal's first.
    """
    sequence, previous = (after.sequence, after.hash) if after else (0, GENESIS)
    for act in acts:
        sequence += 1
        if (act.sequence, act.previous) != (sequence, previous) or act.hash != _hash(act):
            return sequence
        previous = act.hash
    return None


def _hash(act: JournalEntry) -> str:
    words = {
        "sequence": act.sequence,
        "at": act.at,
        "act": act.action,
        "who": act.actor,
        "what": dict(act.details),
        "previous": act.previous,
    }
    return hashlib.sha256(rfc8785.dumps(words)).hexdigest()  # type: ignore[arg-type]
