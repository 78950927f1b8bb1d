"""Copy the hub's database into an archive at one moment, and restore it from one.

All documents of a backup are from one snapshot.  MongoDB keeps it in a snapshot session, outside
of transactions, which would end after a minute.  The embedded engine has stable snapshots only
in transactions, and those last as long as they are used.

A restore begins with a mark in `schema` and ends with its removal, so a database that is only
half restored is recognised, and refused, by everything that opens it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from tocsin.admission.errors import Conflict, Malformed, Unavailable
from tocsin.server.store import schema
from tocsin.server.store.archive import (
    PART_OCTETS,
    ArchiveReader,
    ArchiveWriter,
    Manifest,
    split_documents,
)
from tocsin.server.store.connection import Base, Client, Document
from tocsin.server.store.feeds.blocks import BLOCK_SIZE
from tocsin.server.store.feeds.clock import ClockState, begin_epoch, read_clock
from tocsin.server.store.journal import HEAD

MARGIN = 300_000_000
"""µs by which the clock of a restored hub begins later than every stamp that is known.  It
covers a clock that ran ahead, as it does while much is published at once.  Less than the
clients accept: they doubt stamps more than ten minutes ahead of their own clock."""
_BY_BLOCK = frozenset(("runs", "cards", "marks"))
"""Collections that are read a block at a time, by their index."""
_NO_SNAPSHOT = (239, 246)
"""SnapshotTooOld, SnapshotUnavailable."""
_TOO_OLD = (
    "MongoDB keeps a snapshot for minSnapshotHistoryWindowInSeconds, 300 by default, and the "
    "backup took longer: set it higher on every member, or use snapshots of the disks "
    "(docs/operate.md)"
)
_BROKEN = "the database ended the snapshot before the backup was complete: try again"

Progress = Callable[[str, int], None]
"""Told the collection in hand and the number of its documents so far."""


class Backups:
    """Backups of one database."""

    def __init__(self, client: Client, base: Base, clock: Callable[[], int]) -> None:
        """`clock` returns µs since 1970 UTC."""
        self._client, self._base, self._clock = client, base, clock

    def check(self) -> None:
        """Raise Unavailable if the database is half restored, or of a newer schema.

        An older one can be backed up, which is wanted before a migration.
        """
        schema.refuse_half_restored(self._base)
        if schema.find_version(self._base) > schema.SCHEMA_VERSION:
            schema.check(self._base)

    def write(
        self, archive: ArchiveWriter, secrets: bytes, program: str, progress: Progress
    ) -> Manifest:
        """Write everything as it is at one moment; the archive is not finished yet.

        `secrets` is the hub's secrets file.  Raises Unavailable if the snapshot cannot be kept
        until the end.
        """
        archive.begin(secrets)
        with _snapshot(self._client) as session:
            clock = read_clock(self._base, session)
            created = self._clock()
            version = schema.find_version(self._base, session)
            journal = self._base.tails.find_one({"_id": HEAD}, session=session) or {}
            counts = {
                name: self._write_collection(archive, name, session, progress)
                for name in schema.INDEXES
            }
        return Manifest(
            created=created,
            program=program,
            schema=version,
            stamp=clock.stamp,
            epoch=clock.epoch,
            journal=int(journal.get("sequence", 0)),
            documents=counts,
        )

    def _write_collection(
        self, archive: ArchiveWriter, name: str, session: ClientSession, progress: Progress
    ) -> int:
        count, pending = 0, bytearray()
        for raw in self._read_raw(name, session):
            for document in split_documents(raw):
                count += 1
                pending += document
                if len(pending) >= PART_OCTETS:
                    archive.add(name, bytes(pending))
                    pending.clear()
            progress(name, count)
        if pending:
            archive.add(name, bytes(pending))
        return count

    def _read_raw(self, name: str, session: ClientSession) -> Iterator[bytes]:
        """The documents of a collection, in batches."""
        collection = self._base[name]
        for wanted in self._selections(name, session):
            yield from collection.find_raw_batches(wanted, session=session)

    def _selections(self, name: str, session: ClientSession) -> Iterator[Document]:
        """Queries that together select the documents of a collection, each of them once.

        The embedded engine reads all that a query selects before it answers, and writers wait
        meanwhile: so what has an index by block is read a block at a time.
        """
        if name not in _BY_BLOCK:
            yield {}
            return
        for head in list(self._base.heads.find({}, session=session)):
            for block in range(int(head["position"]) // BLOCK_SIZE + 1):
                yield {"feed": head["_id"], "block": block}

    def prepare_restore(self) -> None:
        """Make sure that the database is empty; what an interrupted restore left is deleted.

        Raises Conflict, with advice, if it holds anything else.
        """
        present = self._base.list_collection_names()
        if not present:
            return
        if not schema.is_half_restored(self._base):
            raise Conflict(
                "the database is not empty, and a backup is restored into an empty one only: "
                "name a new directory with --data, or with a MongoDB another database"
            )
        for name in (*(each for each in present if each != schema.COLLECTION), schema.COLLECTION):
            self._base.drop_collection(name)

    def begin_restore(self) -> str:
        """Mark the empty database as half restored; a name for this restore."""
        name = uuid.uuid4().hex
        schema.mark_half_restored(self._base, name)
        return name

    def load(self, archive: ArchiveReader, progress: Progress) -> None:
        """Write the documents of a checked archive.

        Raises Malformed if the archive has changed since it was checked.
        """
        counts: dict[str, int] = {}
        for part in archive.parts():
            if part.collection not in schema.INDEXES:
                raise Malformed(f"the backup has a collection {part.collection}: it is of no hub")
            documents = [RawBSONDocument(each) for each in part.documents]
            with _failure("write the documents"):
                self._base.get_collection(part.collection).insert_many(documents, ordered=False)
            counts[part.collection] = counts.get(part.collection, 0) + len(documents)
            progress(part.collection, counts[part.collection])
        for name, count in counts.items():
            with _failure("count the documents"):
                found = self._base[name].count_documents({})
            if found != count + (name == schema.COLLECTION):  # the mark
                raise Unavailable(f"{found} of {count} documents of {name} were restored")

    def finish_schema(self) -> None:
        """Bring what was loaded to this program's schema, with all collections and indexes."""
        schema.migrate_unchecked(self._base)
        schema.prepare_unchecked(self._base)

    def begin_epoch(self, manifest: Manifest, after: int) -> ClockState:
        """Let the clock go on later than everything that may have been stamped before.

        That is the time now, and `after` if an operator knows of a later stamp.  What processes
        served since the backup is noted as unknown.
        """
        now = self._clock()
        latest = max(now, manifest.stamp, after)
        clock = ClockState(latest + MARGIN, uuid.uuid4().hex)
        begin_epoch(self._base, clock)
        self._note_unknown_deliveries(manifest.created, now)
        return clock

    def _note_unknown_deliveries(self, since: int, now: int) -> None:
        """Nobody knows what was served between the backup and its restore."""
        marks = self._base.delivery_marks
        served = [int(each["written"]) for each in marks.find({"dead": False})]
        marks.delete_many({"dead": False})
        gap = {"written": min([since, *served]), "until": now, "dead": True}
        marks.insert_one({"_id": uuid.uuid4().hex, **gap})

    def end_restore(self, name: str) -> None:
        """Remove the mark: from now on the hub may start.

        Raises Unavailable if another restore has taken the database meanwhile.
        """
        if not schema.remove_mark(self._base, name):
            raise Unavailable("another restore writes into this database: wait for its end")

    def undo_restore(self) -> None:
        """Delete what a restore that failed has written, the mark last."""
        self.prepare_restore()


@contextmanager
def _failure(work: str) -> Iterator[None]:
    """Raise Unavailable, without content of documents, if the database cannot do this work."""
    try:
        yield
    except PyMongoError as error:
        raise Unavailable(f"the database could not {work}: {type(error).__name__}") from error


@contextmanager
def _snapshot(client: Client) -> Iterator[ClientSession]:
    """A session in which every read is of one moment.  Raises Unavailable if it is lost."""
    is_embedded = "secantusVersion" in client.admin.command("buildInfo")
    try:
        with client.start_session(snapshot=not is_embedded) as session:
            if is_embedded:
                session.start_transaction(
                    ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY
                )
            yield session
            if is_embedded:
                session.abort_transaction()  # there is nothing to commit
    except OperationFailure as error:
        if error.code in _NO_SNAPSHOT:
            raise Unavailable(_TOO_OLD) from error
        if error.has_error_label("TransientTransactionError"):
            raise Unavailable(_BROKEN) from error
        raise
    except PyMongoError as error:
        raise Unavailable(_BROKEN) from error
