"""Copy the hub's database into an archive at one moment, and restore it from one.

All documents of a backup are from one snapshot.  MongoDB keeps it in a snapshot session, outside
of transactions, which would end after a minute.  The embedded engine has stable snapshots only
in transactions, and those last as long as they are used.

A restore begins with a mark in `schema` and ends with its removal, so a database that is only
half restored is recognised, and refused, by everything that opens it.  The mark stays until the
acts of a journal have been repeated: before that, what was purged or revoked is public again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import cast

from bson.max_key import MaxKey
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
from tocsin.server.store.availability import measure_free_octets
from tocsin.server.store.configuration import CONFIGURATION
from tocsin.server.store.connection import Base, Client, Document, is_embedded
from tocsin.server.store.feeds.blocks import BLOCK_SIZE
from tocsin.server.store.feeds.clock import ClockState, begin_epoch, read_clock
from tocsin.server.store.journal import HEAD, last_number_and_hash
from tocsin.server.store.submissions import piece_ids

_NAMING = ("heads", "entry_batches", "id_index", "public_ids", "submissions", "hub_state")
"""Collections whose documents name keys of others."""
_LATE = (
    *("id_index", "public_ids", "submissions", "hub_state"),
    *("public_objects", "submission_bodies", "verdicts", "journal"),
)
_ORDER = (*(name for name in schema.INDEXES if name not in _LATE), *_LATE)
"""All collections.  A collection comes after those that name its keys: see `_SmallReads`."""
_BY_BLOCK = frozenset(("entry_batches", "filter_index", "status_bits"))
_PUBLICS_IN = {"id_index": "ids", "public_ids": "publics"}
_LAST_INDEX = max((name, keys[0]) for name, indexes in schema.INDEXES.items() for keys in indexes)
"""The collection and the first field of the index whose entries are the engine's last ones."""
_KEYS = 50
"""Documents that one query selects by their keys; the engine's cost grows with the square."""
_PIECES = 4
"""The same for pieces of bodies, which are long."""
_FULL_OCTETS = 16 * 1024 * 1024
"""Octets of a disk below which it is to blame if the embedded engine fails."""
_NO_SNAPSHOT = (239, 246)
"""SnapshotTooOld, SnapshotUnavailable."""
_TOO_OLD = (
    "MongoDB keeps a snapshot for minSnapshotHistoryWindowInSeconds, 300 by default, and the "
    "backup took longer: set it higher on every member, or use snapshots of the disks "
    "(docs/operate/backup.md)"
)
CLOCK_MARGIN = 300_000_000
"""µs by which the clock of a restored hub begins later than every stamp that is known.  It
covers a clock that ran ahead, as it does while much is published at once.  Less than the
clients accept: they doubt stamps more than ten minutes ahead of their own clock."""
_BROKEN = "the database ended the snapshot before the backup was complete: try again"

Progress = Callable[[str, int], None]
"""Called with the collection in hand and the number of its documents so far."""


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
        base = schema.open_for_backup(self._base)
        archive.begin(secrets)
        least = base.public_objects.estimated_document_count()  # not possible in a transaction
        with _snapshot(self._client) as session:
            clock = read_clock(base, session)
            created = self._clock()
            version = schema.find_version(base, session)
            journal = last_number_and_hash(base, session)
            read = self._choose_reader(base, session, least)
            counts = {  # by the names in the database, so that a hub of its version can restore it
                base[name].name: self._write_collection(
                    archive, base[name].name, read(name), progress
                )
                for name in _ORDER
            }
        return Manifest(
            created=created,
            program=program,
            schema=version,
            stamp=clock.stamp,
            epoch=clock.epoch,
            journal=journal[0],
            journal_hash=journal[1],
            documents=counts,
        )

    def _choose_reader(
        self, base: Base, session: ClientSession, least: int
    ) -> Callable[[str], Iterator[bytes]]:
        """A function that reads the documents of a collection, in batches."""
        if is_embedded(self._client):
            return _SmallReads(base, session, least).read
        return lambda name: _find_raw(base, name, {}, session)

    def _write_collection(
        self, archive: ArchiveWriter, name: str, batches: Iterator[bytes], progress: Progress
    ) -> int:
        count, pending = 0, bytearray()
        for batch in batches:
            for document in split_documents(batch):
                count += 1
                pending += document
                if len(pending) >= PART_OCTETS:
                    archive.add(name, bytes(pending))
                    pending.clear()
            progress(name, count)
        if pending:
            archive.add(name, bytes(pending))
        return count

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
        """Write the documents of a checked archive, also of one with former names of collections.

        Raises Malformed if the archive has changed since it was checked.
        """
        counts: dict[str, int] = {}
        for part in archive.parts():
            name = schema.CURRENT_NAMES.get(part.collection, part.collection)
            if name not in schema.INDEXES:
                raise Malformed(f"the backup has a collection {part.collection}: it is of no hub")
            documents = [RawBSONDocument(each) for each in part.documents]
            with _failure("write the documents"):
                self._base.get_collection(name).insert_many(documents, ordered=False)
            counts[name] = counts.get(name, 0) + len(documents)
            progress(name, counts[name])
        for name, count in counts.items():
            found = self._count(name)
            if found != count + (name == schema.COLLECTION):  # the mark
                raise Unavailable(f"{found} of {count} documents of {name} were restored")

    def _count(self, name: str) -> int:
        """The exact number of documents.

        The embedded engine counts without reading documents only if asked for an estimate.
        """
        with _failure("count the documents"):
            if is_embedded(self._client):
                return self._base[name].estimated_document_count()
            return self._base[name].count_documents({})

    def finish_schema(self) -> None:
        """Bring what was loaded to this program's schema, with all collections and indexes."""
        schema.migrate_unchecked(self._base)
        schema.prepare_unchecked(self._base)

    def begin_epoch(self, manifest: Manifest, after: int) -> ClockState:
        """Let the clock go on later than everything that may have been stamped before.

        That is the time now, and `after` if an operator knows of a later stamp.  Pages that
        processes served since the backup are noted as unknown.
        """
        now = self._clock()
        latest = max(now, manifest.stamp, after)
        clock = begin_epoch(self._base, latest + CLOCK_MARGIN)
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

    @contextmanager
    def undone_if_it_fails(self) -> Iterator[None]:
        """Delete what a restore has written if it fails, the mark last; raises why it failed."""
        try:
            yield
        except BaseException:
            # A database that has failed cannot be emptied either: it keeps the mark.
            with suppress(PyMongoError, Conflict):
                self.prepare_restore()
            raise


@contextmanager
def failures_explained(data: Path | None) -> Iterator[None]:
    """Raise Unavailable if the database cannot do what a restore needs.

    `data` is the folder of the embedded engine, whose disk may be full; None: a MongoDB.
    """
    try:
        with _failure("restore the backup"):
            yield
    except (Unavailable, OSError) as error:
        free = None if data is None else measure_free_octets(data)
        if free is None or free > _FULL_OCTETS:
            raise
        raise Unavailable(
            f"the disk of {data} is full ({free >> 20} MiB are free), so the backup was not "
            "restored: free space there, or name a directory on another disk with --data"
        ) from error


class _SmallReads:
    """Reads collections by many small queries, for the embedded engine.

    It collects all that a query selects before it answers, and no other transaction goes on
    meanwhile: a query for all public objects would stop publishing for many seconds.  So large
    collections are read by keys that others have named before (see `_ORDER`).  Every public object
    is named by the source ids of a partner or by a feed; should one have lost both, their number
    tells, and all of the collection is read at once.

    Between two queries the cursors of a transaction stay where they are, and the engine cannot
    split a page at which one stands: if that page has grown large, each entry that others write
    into it waits some milliseconds, and this reader waits for them.  So two look-ups follow each
    query that lead beyond the last entry of all, and leave no cursor anywhere.
    """

    def __init__(self, base: Base, session: ClientSession, least_publics: int) -> None:
        """Read in `session`.  `least_publics`: public objects at least; they are never deleted."""
        self._base, self._session = base, session
        self._least_publics = least_publics
        self._feeds: list[tuple[str, int]] = []
        self._runs: list[str] = []
        self._publics: dict[str, None] = {}
        self._submissions: list[tuple[str, int]] = []
        self._entries: list[int] = []

    def read(self, name: str) -> Iterator[bytes]:
        """The documents of a collection, in batches."""
        if name == "public_objects":
            yield from self._read_publics()
            return
        for wanted in self._selections(name):
            yield from self._find(name, wanted)

    def _read_publics(self) -> Iterator[bytes]:
        """The public objects that others name; if these are not all, the rest in one piece."""
        seen = set[object]()
        for wanted in self._selections("public_objects"):
            for batch in self._find("public_objects", wanted):
                seen.update(RawBSONDocument(each)["_id"] for each in split_documents(batch))
                yield batch
        if len(seen) >= self._least_publics:
            return
        for batch in self._find("public_objects", {}):
            for each in split_documents(batch):
                if RawBSONDocument(each)["_id"] not in seen:
                    yield each

    def _find(self, name: str, wanted: Document) -> Iterator[bytes]:
        for batch in _find_raw(self._base, name, wanted, self._session):
            self._note_keys(name, batch)
            yield batch
        for beyond in (_LAST_INDEX[1], "_id"):
            self._base[_LAST_INDEX[0]].find_one({beyond: MaxKey()}, session=self._session)

    def _note_keys(self, name: str, batch: bytes) -> None:
        """Note the keys of other collections that these documents name."""
        if name not in _NAMING:
            return
        documents = map(RawBSONDocument, split_documents(batch))
        for each in (each for each in documents if each["_id"] != CONFIGURATION):
            if name == "heads":
                self._feeds.append((each["_id"], int(each["position"])))
            elif name == "entry_batches":
                self._runs.append(each["_id"])
            elif name == "submissions":
                self._submissions.append((each["_id"], int(each["pieces"])))
            elif name in ("id_index", "public_ids"):
                self._publics.update(dict.fromkeys(each[_PUBLICS_IN[name]]))
            elif each["_id"] == HEAD:
                self._entries = list(range(int(each.get("first", 1)), int(each["sequence"]) + 1))

    def _selections(self, name: str) -> Iterator[Document]:
        """Queries that select the documents of a collection, each of them once."""
        if name in _BY_BLOCK:
            return (
                {"feed": feed, "block": block}
                for feed, last in self._feeds
                for block in range(last // BLOCK_SIZE + 1)
            )
        if name == "id_index":
            return ({"run": run} for run in self._runs)
        if name == "public_objects":
            return _by_id(list(self._publics), _KEYS)
        if name == "journal":
            return _by_id(self._entries, _KEYS)
        if name == "verdicts":
            return ({"submission": id_} for id_, _ in self._submissions)
        if name == "submission_bodies":  # without those that no acknowledged submission names
            pieces = chain.from_iterable(piece_ids(*each) for each in self._submissions)
            return _by_id(list(pieces), _PIECES)
        return iter(({},))


def _find_raw(base: Base, name: str, wanted: Document, session: ClientSession) -> Iterator[bytes]:
    """The documents that a query selects, in batches of their BSON."""
    yield from cast(Iterator[bytes], base[name].find_raw_batches(wanted, session=session))


def _by_id(keys: Sequence[object], size: int) -> Iterator[Document]:
    for first in range(0, len(keys), size):
        yield {"_id": {"$in": list(keys[first : first + size])}}


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
    embedded = is_embedded(client)
    try:
        with client.start_session(snapshot=not embedded) as session:
            if embedded:
                session.start_transaction(
                    ReadConcern("snapshot"), read_preference=ReadPreference.PRIMARY
                )
            yield session
            if embedded:
                session.abort_transaction()  # there is nothing to commit
    except OperationFailure as error:
        if error.code in _NO_SNAPSHOT:
            raise Unavailable(_TOO_OLD) from error
        raise Unavailable(f"{_BROKEN} ({type(error).__name__} {error.code})") from error
    except PyMongoError as error:
        raise Unavailable(f"{_BROKEN} ({type(error).__name__})") from error
