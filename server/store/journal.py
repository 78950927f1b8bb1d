"""The journal: a hash chain of what was done and by whom.

Each entry carries a hash over its own fields and over the hash of the entry
before it.  With one hash kept elsewhere, anybody can verify later that nothing
up to it was changed, removed or inserted.

In the database, an entry is found by its terms: its action, its actor and the ids that it is
about.  Each term is stored with the span of sequences in which the entry lies, so a search goes
through the journal from its end, a bounded number of entries at a time, by equality alone.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile

import rfc8785
from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from tocsin.admission.timestamps import timestamp
from tocsin.server.store.commits import Writes
from tocsin.server.store.connection import Base, Document, Session

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
    is_damaged: bool = False
    """True if a field in the database is not of its type; it is empty here, or 0."""


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
    if entry.is_damaged:
        return False
    try:
        return entry.hash == _hash(entry)
    except (rfc8785.CanonicalizationError, TypeError):  # not JSON: nobody wrote this entry so
        return False


def entry_as_json(entry: JournalEntry) -> dict[str, object]:
    """An entry as it is exported; one that is damaged says so."""
    damaged = {"damaged": True} if entry.is_damaged else {}
    return _fields(entry) | {"at": timestamp(entry.at), "hash": entry.hash} | damaged


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


HEAD = "journal"
_SPAN = 4_096
"""Sequences that share the terms of the search."""
_MOST_SPANS = 64
"""Spans that one query covers."""
_BATCH = 1_000
"""Entries that are read at once."""
_FIRST_BATCH = 128
"""Entries that a search reads first: most show one page of them."""
_MOST_KEYS = 500
_YEAR_10000 = 253_402_300_800_000_000
"""The first time, in µs since 1970 UTC, that cannot be shown."""
_CLOCKS_DIFFER = 3_600_000_000
"""µs by which the times of neighbouring entries may be out of order."""


@dataclass(frozen=True, slots=True)
class JournalFilter:
    """The entries to list; empty fields select all."""

    since: int = 0
    """µs since 1970 UTC."""
    action: str = ""
    actor: str = ""
    """An account, or a person: see `actor_names`."""
    about: str = ""
    """An id in the details of the entry."""

    def selects(self, entry: JournalEntry) -> bool:
        """True if an entry fulfils every field."""
        return (
            entry.at >= self.since
            and self.action in ("", entry.action)
            and (not self.actor or self.actor in actor_names(entry))
            and (not self.about or self.about in subject_ids(entry))
        )

    def rarest_term(self) -> str:
        """The term by which to search; empty if every entry must be read."""
        fields = (("about", self.about), ("who", self.actor), ("act", self.action))
        return next((f"{kind}|{value}" for kind, value in fields if value), "")


class Journal:
    """The journal, for reading."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def last_entry(self) -> JournalEntry | None:
        """The latest entry; None if there is none."""
        return self.find(self._last_sequence())

    def find(self, sequence: int) -> JournalEntry | None:
        """The entry with this number; None if there is none."""
        found = self._base.journal.find_one({"_id": sequence})
        return _entry_from_document(found) if found else None

    def list_entries(self, after: int = 0, limit: int = 1_000) -> list[JournalEntry]:
        """At most `limit` entries after sequence `after`, in order."""
        sequences = list(range(after + 1, after + 1 + limit))
        found = self._base.journal.find({"_id": {"$in": sequences}})
        return sorted(map(_entry_from_document, found), key=lambda entry: entry.sequence)

    def entries(self, after: int = 0) -> Iterator[JournalEntry]:
        """The entries after a sequence, in order, a bounded number of them in memory."""
        last = self._last_sequence()
        for start in range(max(after, self.first_sequence() - 1), last, _BATCH):
            yield from self.list_entries(start, min(_BATCH, last - start))

    def search(self, wanted: JournalFilter, before: int = 0) -> Iterator[JournalEntry]:
        """The selected entries, the latest first; `before` a sequence if one is named."""
        end = min(self._last_sequence(), before - 1 if before else 2**53)
        first = self.first_sequence()
        start = self._first_since(wanted.since, first, end) if wanted.since else first
        for sequences in self._sequences_back(wanted.rarest_term(), start, end):
            for part in _growing_parts(sequences):
                found = self._base.journal.find({"_id": {"$in": part}})
                entries = sorted(map(_entry_from_document, found), key=lambda e: -e.sequence)
                yield from filter(wanted.selects, entries)

    def first_invalid_sequence(self) -> int | None:
        """The sequence of the first entry that was changed, removed or inserted; None if none was.

        Reads the journal from the first entry that is kept, a bounded number at a time.  That
        those before it were deleted by retention, an entry says.
        """
        head = self._head()
        first, last = int(head.get("first", 1)), int(head["sequence"])
        if first != self._announced_first():
            return first
        before = first - 1, str(head.get("anchor", GENESIS))
        for start in range(first - 1, last, _BATCH):
            sequences = list(range(start + 1, min(start + _BATCH, last) + 1))
            documents = sorted(
                self._base.journal.find({"_id": {"$in": sequences}}), key=lambda each: each["_id"]
            )
            entries = list(map(_entry_from_document, documents))
            invalid = first_invalid_sequence(entries, after=before)
            hidden = (d["_id"] for d, e in zip(documents, entries, strict=True) if _hides(d, e))
            faults = [each for each in (invalid, next(hidden, None)) if each is not None]
            if not faults and len(entries) < len(sequences):
                faults = [sequences[len(entries)]]
            if faults:
                return min(faults)
            before = entries[-1].sequence, entries[-1].hash
        if last and head.get("hash_of") == last and head["hash"] != before[1]:
            return last
        return None

    def first_sequence(self) -> int:
        """The sequence of the first entry that is kept; 1 if none was deleted."""
        return int(self._head().get("first", 1))

    def _announced_first(self) -> object:
        """The first number that is kept, by the latest entry about deleted entries."""
        latest = next(self.search(JournalFilter(action=FORGET)), None)
        return 1 if latest is None else latest.details.get("first")

    def _last_sequence(self) -> int:
        return int(self._head()["sequence"])

    def _head(self) -> Document:
        return self._base.hub_state.find_one({"_id": HEAD}) or {"sequence": 0}

    def _first_since(self, since: int, first: int, last: int) -> int:
        """A sequence before which every entry is older, by bisection from `first` on."""

        def time_of(sequence: int) -> int:
            for each in range(sequence, last + 1):  # of a damaged entry, that of the next one
                found = self._base.journal.find_one({"_id": each}, {"at": 1}) or {}
                if at := _read_time(found):
                    return at
            return since

        sequences = range(first, last + 1)
        return first + bisect_left(sequences, since - _CLOCKS_DIFFER, key=time_of)

    def _sequences_back(self, term: str, start: int, end: int) -> Iterator[list[int]]:
        """The sequences from `end` back to `start` that have a term, or all, in portions."""
        if not term:
            for high in range(end, start - 1, -_BATCH):
                yield list(range(high, max(start, high - _BATCH + 1) - 1, -1))
            return
        span, spans = end // _SPAN, 1
        while span >= start // _SPAN:
            low = max(start // _SPAN, span - spans + 1)
            terms = [f"{each}|{term}" for each in range(low, span + 1)]
            found = self._base.journal.find({"terms": {"$in": terms}}, {"_id": 1})
            sequences = [each["_id"] for each in found if start <= each["_id"] <= end]
            yield sorted(sequences, reverse=True)
            span, spans = low - 1, 1 if sequences else min(2 * spans, _MOST_SPANS)


class JournalWriter:
    """Collects the entries of one transaction and writes them at its end."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """All entries of a transaction have its time, `now`."""
        self._base, self._session, self._now = base, session, now
        self._pending: list[tuple[str, str, Mapping[str, object]]] = []
        self.last: tuple[int, str] | None = None
        """Sequence and hash of the last entry, if they are known in this transaction already."""

    def add(self, action: str, actor: str, details: Mapping[str, object]) -> None:
        """Collect one entry."""
        self._pending.append((action, actor, details))

    def read(self, head: Document | None) -> None:
        """Find the last entry, given the journal's head as it was read in this transaction."""
        if self.last is None:
            self.last = last_number_and_hash(self._base, self._session, head)

    def write(self, writes: Writes) -> None:
        """Append the entries to the chain; see `Transaction.finish`.

        Its head is part of the transaction, so one of two concurrent writers retries.
        """
        if not self._pending:
            return
        sequence, previous = self.last or last_number_and_hash(self._base, self._session)
        chained: list[JournalEntry] = []
        for action, actor, details in self._pending:
            sequence += 1
            entry = JournalEntry(sequence, self._now, action, actor, details, previous)
            chained.append(with_hash(entry))
            previous = chained[-1].hash
        writes.insert("journal", map(_entry_to_document, chained))
        last = chained[-1]
        self.last = last.sequence, last.hash
        head = {"sequence": last.sequence, "hash": last.hash, "hash_of": last.sequence}
        writes.update("hub_state", {"_id": HEAD}, {"$set": head})


def last_number_and_hash(
    base: Base, session: Session = None, head: Document | None = None
) -> tuple[int, str]:
    """Sequence and hash of the last entry; `head` is the journal's head, if it was read already."""
    head = head or base.hub_state.find_one({"_id": HEAD}, session=session)
    if head is None or not head["sequence"]:
        return 0, GENESIS
    if head.get("hash_of") == head["sequence"]:  # an older program does not update the hash
        return int(head["sequence"]), str(head["hash"])
    found = base.journal.find_one({"_id": head["sequence"]}, session=session)
    return (0, GENESIS) if found is None else (int(found["_id"]), str(found["hash"]))


def forget(base: Base, session: ClientSession, before: int, most: int) -> tuple[int, int] | None:
    """See `Transaction.forget_journal`."""
    head = base.hub_state.find_one({"_id": HEAD}, session=session)
    if head is None:
        return None
    first = int(head.get("first", 1))
    sequences = list(range(first, min(first + most, int(head["sequence"]))))
    found = base.journal.find({"_id": {"$in": sequences}}, {"at": 1, "hash": 1}, session=session)
    entries = sorted(found, key=lambda each: int(each["_id"]))
    old = list(takewhile(lambda each: _read_time(each) < before, entries))
    if not old:
        return None
    kept = int(old[-1]["_id"]) + 1
    change = {"$set": {"first": kept, "anchor": old[-1]["hash"]}}
    base.hub_state.update_one({"_id": HEAD}, change, session=session)
    for start in range(0, len(old), _MOST_KEYS):
        keys = [each["_id"] for each in old[start : start + _MOST_KEYS]]
        base.journal.delete_many({"_id": {"$in": keys}}, session=session)
    return kept, len(old)


def _growing_parts(sequences: list[int]) -> Iterator[list[int]]:
    """The sequences in order, few at first."""
    start, size = 0, _FIRST_BATCH
    while part := sequences[start : start + size]:
        yield part
        start, size = start + size, min(2 * size, _BATCH)


def _entry_to_document(entry: JournalEntry) -> Document:
    return {
        "_id": entry.sequence,
        "at": entry.at,
        "act": entry.action,
        "who": entry.actor,
        "what": dict(entry.details),
        "previous": entry.previous,
        "hash": entry.hash,
        "terms": _terms(entry),
    }


def _terms(entry: JournalEntry) -> list[str]:
    """The terms by which an entry is found."""
    own = [
        f"act|{entry.action}",
        *(f"who|{name}" for name in sorted(actor_names(entry))),
        *(f"about|{id_}" for id_ in sorted(subject_ids(entry))),
    ]
    return [f"{entry.sequence // _SPAN}|{term}" for term in own]


def _hides(document: Document, entry: JournalEntry) -> bool:
    """True if an entry is not found by what it says."""
    return document.get("terms") != _terms(entry)


def add_missing_terms(base: Base) -> None:
    """Give the entries of older databases the terms by which they are found.  Idempotent."""
    journal = Journal(base)
    last = journal._last_sequence()
    for start in range(journal.first_sequence() - 1, last, _BATCH):
        entries = journal.list_entries(start, _BATCH)
        writes = [UpdateOne({"_id": e.sequence}, {"$set": {"terms": _terms(e)}}) for e in entries]
        if writes:
            base.journal.bulk_write(writes, ordered=False)


def _entry_from_document(document: Document) -> JournalEntry:
    """The entry in a document; of one that was tampered with, as far as it can be read."""
    details = document.get("what")
    texts = {name: document.get(name) for name in ("act", "who", "previous", "hash")}
    readable = {name: text if isinstance(text, str) else "" for name, text in texts.items()}
    what: Document | None = details if isinstance(details, dict) and _is_json(details) else None
    at = _read_time(document)
    return JournalEntry(
        sequence=int(document["_id"]),
        at=at,
        action=readable["act"],
        actor=readable["who"],
        details={} if what is None else what,
        previous=readable["previous"],
        hash=readable["hash"],
        is_damaged=what is None or readable != texts or at != document.get("at"),
    )


def _read_time(document: Document) -> int:
    """The time of an entry; 0 if it is not a time that can be shown."""
    at = document.get("at")
    return at if isinstance(at, int) and 0 < at < _YEAR_10000 else 0


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(each) for name, each in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float)
