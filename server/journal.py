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

from tocsin.admission.timestamps import timestamp

GENESIS = "0" * 64
"""Stands in place of a hash before the first entry."""
FORGET = "journal.forget"
"""The action that deletes the oldest entries; its detail `first` is the sequence of the first
that is kept."""
OPERATOR = "operator"
"""The actor of commands; with a person it is `operator:jane`."""
_LONGEST_ID = 200
_PROSE = ("reason",)
"""Details that are texts and not the id of anything."""
_IDS = "ids"
"""The detail that is a list of ids."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One action of one actor."""

    sequence: int
    """1, 2, 3 … without gaps."""
    at: int
    """µs since 1970 UTC."""
    action: str
    """A noun and a verb: `admit`, `key.revoke`."""
    actor: str
    """The account; for a command, the person, as `operator_name` writes it."""
    details: Mapping[str, object] = field(default_factory=dict)
    """JSON values; never the content of an object."""
    previous: str = GENESIS
    """The hash of the entry before."""
    hash: str = ""


def operator_name(person: str) -> str:
    """The actor of a command that a person gives."""
    return f"{OPERATOR}:{person}"


def actor_names(entry: JournalEntry) -> frozenset[str]:
    """The names that find an entry by its actor: of `operator:jane`, both parts as well."""
    prefix, colon, person = entry.actor.partition(":")
    if prefix == OPERATOR and colon:
        return frozenset((entry.actor, prefix, person))
    return frozenset((entry.actor,))


def subject_ids(entry: JournalEntry) -> frozenset[str]:
    """The ids and names that an entry is about: the short texts in its details, and its ids."""
    texts = [value for name, value in entry.details.items() if name not in _PROSE]
    several = entry.details.get(_IDS)
    texts += several if isinstance(several, list) else []
    return frozenset(
        value for value in texts if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID
    )


def with_hash(entry: JournalEntry) -> JournalEntry:
    """The entry with its hash: SHA-256 over its canonical JSON (RFC 8785), `previous` included."""
    return replace(entry, hash=_hash(entry))


def first_invalid_sequence(
    entries: Iterable[JournalEntry], *, after: tuple[int, str] = (0, GENESIS)
) -> int | None:
    """The sequence of the first entry that breaks the chain; None if the chain is valid.

    The entries come in order; `after` is the sequence and the hash of the entry before the first
    of them.
    """
    sequence, previous = after
    for entry in entries:
        sequence += 1
        if (entry.sequence, entry.previous) != (sequence, previous) or not _has_own_hash(entry):
            return sequence
        previous = entry.hash
    return None


def _has_own_hash(entry: JournalEntry) -> bool:
    try:
        return entry.hash == _hash(entry)
    except (rfc8785.CanonicalizationError, TypeError):  # not JSON: nobody wrote this entry so
        return False


def entry_as_json(entry: JournalEntry) -> dict[str, object]:
    """An entry as it is exported."""
    return _fields(entry) | {"at": timestamp(entry.at), "hash": entry.hash}


def _hash(entry: JournalEntry) -> str:
    return hashlib.sha256(rfc8785.dumps(_fields(entry))).hexdigest()  # type: ignore[arg-type]


def _fields(entry: JournalEntry) -> dict[str, object]:
    return {
        "sequence": entry.sequence,
        "at": entry.at,
        "act": entry.action,
        "who": entry.actor,
        "what": dict(entry.details),
        "previous": entry.previous,
    }
