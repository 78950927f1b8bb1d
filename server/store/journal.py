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
        wanted = list(range(after + 1, after + 1 + limit))
        found = self._base.journal.find({"_id": {"$in": wanted}})
        return sorted(map(_act, found), key=lambda act: act.sequence)


class JournalWriter:
    """Collects the entries of one transaction and writes them at its end."""

    def __init__(self, base: Base, session: ClientSession, now: int) -> None:
        """All entries of a transaction have its time, `now`."""
        self._base, self._session, self._now = base, session, now
        self._acts: list[tuple[str, str, Mapping[str, object]]] = []
        self.head: Document | None = None
        """The journal's head, if it was read in this transaction already."""

    def add(self, act: str, who: str, what: Mapping[str, object]) -> None:
        """Collect one entry."""
        self._acts.append((act, who, what))

    def write(self) -> None:
        """Append the entries to the chain.

        Its head is part of the transaction, so one of two concurrent writers retries.
        """
        if not self._acts:
            return
        sequence, previous = self._end()
        chained: list[JournalEntry] = []
        for act, who, what in self._acts:
            sequence += 1
            chained.append(with_hash(JournalEntry(sequence, self._now, act, who, what, previous)))
            previous = chained[-1].hash
        self._keep(chained)

    def _end(self) -> tuple[int, str]:
        """Sequence and hash of the last entry."""
        head = self.head or self._base.tails.find_one({"_id": HEAD}, session=self._session)
        if head is None or not head["sequence"]:
            return 0, GENESIS
        if head.get("hash_of") == head["sequence"]:  # an older program leaves the hash behind
            return int(head["sequence"]), str(head["hash"])
        found = self._base.journal.find_one({"_id": head["sequence"]}, session=self._session)
        return (0, GENESIS) if found is None else (int(found["_id"]), str(found["hash"]))

    def _keep(self, acts: Sequence[JournalEntry]) -> None:
        self._base.journal.insert_many(list(map(_document, acts)), session=self._session)
        last = acts[-1]
        end = {"sequence": last.sequence, "hash": last.hash, "hash_of": last.sequence}
        head = {"$set": end}
        self._base.tails.update_one({"_id": HEAD}, head, session=self._session)


def _last(base: Base, session: Session = None) -> JournalEntry | None:
    head = base.tails.find_one({"_id": HEAD}, session=session)
    if head is None or not head["sequence"]:
        return None
    found = base.journal.find_one({"_id": head["sequence"]}, session=session)
    return _act(found) if found else None


def _document(act: JournalEntry) -> Document:
    return {
        "_id": act.sequence,
        "at": act.at,
        "act": act.action,
        "who": act.actor,
        "what": dict(act.details),
        "previous": act.previous,
        "hash": act.hash,
    }


def _act(document: Document) -> JournalEntry:
    return JournalEntry(
        sequence=document["_id"],
        at=document["at"],
        action=document["act"],
        actor=document["who"],
        details=document["what"],
        previous=document["previous"],
        hash=document["hash"],
    )
