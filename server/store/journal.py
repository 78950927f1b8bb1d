"""The journal in the database; `server/journal.py` defines an entry and its hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymongo.client_session import ClientSession

from tocsin.server.journal import GENESIS, JournalEntry, with_hash
from tocsin.server.store.connection import Base, Document, Session

HEAD = "journal"


class Journal:
    """The journal, for reading."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base

    def last_entry(self) -> JournalEntry | None:
        """The latest entry; None if there is none."""
        return _last(self._base)

    def list_entries(self, after: int = 0, limit: int = 1_000) -> list[JournalEntry]:
        """At most `limit` entries after sequence `after`, in order."""
        sequences = list(range(after + 1, after + 1 + limit))
        found = self._base.journal.find({"_id": {"$in": sequences}})
        return sorted(map(_entry_from_document, found), key=lambda entry: entry.sequence)


class JournalWriter:
    """Collects the entries of one transaction and writes them at its end."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """All entries of a transaction have its time, `now`."""
        self._base, self._session, self._now = base, session, now
        self._pending: list[tuple[str, str, Mapping[str, object]]] = []
        self.head: Document | None = None
        """The journal's head, if it was read in this transaction already."""

    def add(self, action: str, actor: str, details: Mapping[str, object]) -> None:
        """Collect one entry."""
        self._pending.append((action, actor, details))

    def write(self) -> None:
        """Append the entries to the chain.

        Its head is part of the transaction, so one of two concurrent writers retries.
        """
        if not self._pending:
            return
        sequence, previous = self._last_sequence_and_hash()
        chained: list[JournalEntry] = []
        for action, actor, details in self._pending:
            sequence += 1
            entry = JournalEntry(sequence, self._now, action, actor, details, previous)
            chained.append(with_hash(entry))
            previous = chained[-1].hash
        self._store(chained)

    def _last_sequence_and_hash(self) -> tuple[int, str]:
        """Sequence and hash of the last entry."""
        head = self.head or self._base.tails.find_one({"_id": HEAD}, session=self._session)
        if head is None or not head["sequence"]:
            return 0, GENESIS
        if head.get("hash_of") == head["sequence"]:  # an older program does not update the hash
            return int(head["sequence"]), str(head["hash"])
        found = self._base.journal.find_one({"_id": head["sequence"]}, session=self._session)
        return (0, GENESIS) if found is None else (int(found["_id"]), str(found["hash"]))

    def _store(self, entries: Sequence[JournalEntry]) -> None:
        documents = list(map(_entry_to_document, entries))
        self._base.journal.insert_many(documents, session=self._session)
        last = entries[-1]
        head = {"sequence": last.sequence, "hash": last.hash, "hash_of": last.sequence}
        self._base.tails.update_one({"_id": HEAD}, {"$set": head}, session=self._session)


def _last(base: Base, session: Session = None) -> JournalEntry | None:
    head = base.tails.find_one({"_id": HEAD}, session=session)
    if head is None or not head["sequence"]:
        return None
    found = base.journal.find_one({"_id": head["sequence"]}, session=session)
    return _entry_from_document(found) if found else None


def _entry_to_document(entry: JournalEntry) -> Document:
    return {
        "_id": entry.sequence,
        "at": entry.at,
        "act": entry.action,
        "who": entry.actor,
        "what": dict(entry.details),
        "previous": entry.previous,
        "hash": entry.hash,
    }


def _entry_from_document(document: Document) -> JournalEntry:
    return JournalEntry(
        sequence=document["_id"],
        at=document["at"],
        action=document["act"],
        actor=document["who"],
        details=document["what"],
        previous=document["previous"],
        hash=document["hash"],
    )
