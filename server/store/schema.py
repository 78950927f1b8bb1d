"""The database's schema: its collections, their indexes, and its version.

Every read is an equality or a bounded set of keys, never an open range, so it
costs the same at every size.

A change of documents that the program cannot read as they are raises
`SCHEMA_VERSION` and appends a function to `MIGRATIONS`.  So does a change of a
collection's name; `FORMER_NAMES` has what it was called before.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, cast

from bson.raw_bson import RawBSONDocument
from pymongo import ASCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Documents
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from tocsin.admission.errors import Unavailable
from tocsin.admission.timestamps import DAY
from tocsin.server.store.archive import split_documents
from tocsin.server.store.connection import (
    TRANSACTION,
    Base,
    Document,
    Session,
    is_embedded,
    is_outage_error,
    under_names,
)
from tocsin.server.store.feeds.clock import ensure_clock
from tocsin.server.store.journal import add_missing_terms
from tocsin.server.store.reviews import WAITING, describe, increment_queue_revision

Migration = Callable[[Base], None]
"""Brings a database from one version to the next.  Idempotent."""


def add_days(base: Base) -> None:
    """Add the days by which retention finds what has expired; empty what was decided."""
    fields = {"received": 1, "pieces": 1, "body": 1}
    for each in base.submissions.find({"day": {"$exists": False}}, fields):
        day = each["received"] // DAY
        days = {"day": day} | ({"body_day": day} if each["pieces"] or each.get("body") else {})
        base.submissions.update_one({"_id": each["_id"]}, {"$set": days})
    for each in base.reviews.find({}, {"asked": 1, "state": 1}):
        waits = each["state"] == "waiting"
        day = each["asked"] // DAY
        change: Document = {"day": day} if waits else {"object": b"", "decided_day": day}
        base.reviews.update_one({"_id": each["_id"]}, {"$set": change})


def describe_reviews(base: Base) -> None:
    """Add what lists show of waiting reviews, and the revision by which they are found."""
    revision = increment_queue_revision(base)
    waiting = base.reviews.find({"state": WAITING, "revision": {"$exists": False}}, {"object": 1})
    for each in list(waiting):
        change = {"revision": revision, **describe(each["object"])}
        base.reviews.update_one({"_id": each["_id"]}, {"$set": change})


FORMER_NAMES = {
    "hub_state": "tails",
    "entry_batches": "runs",
    "filter_index": "cards",
    "id_index": "shelves",
    "status_bits": "marks",
    "public_objects": "publics",
    "public_ids": "sources",
    "schedule": "dues",
    "exclusions": "unwanted",
    "submission_bodies": "raws",
    "pending_references": "waits",
    "outbox": "errands",
}
"""The names of collections up to version 4, by those of today, in the order of their renaming.

`hub_state` comes first: an older hub that is started between two attempts writes a new `tails`,
which has a document of the same id, so the second attempt notices.
"""
CURRENT_NAMES = {former: name for name, former in FORMER_NAMES.items()}
"""The names of today, by those up to version 4."""
_MOVED, _MOVED_OCTETS = 100, 2_000_000
"""Documents that are moved in one transaction, and their octets, unless one alone is longer."""
_IN_BOTH = (
    "the collections {} and {} have documents of the same id: an older tocsin-hub wrote after a "
    "migration was interrupted; restore the backup that was made before it"
)
_HALF_MIGRATED = "`tocsin-hub migrate` was interrupted: run it again before you make a backup"


def rename_collections(base: Base) -> None:
    """Give the collections of an older database the names of today.  Idempotent.

    Raises Unavailable if an older hub has written after an earlier attempt was interrupted.
    """
    present = set(base.list_collection_names())
    for name, former in FORMER_NAMES.items():
        if former in present:
            _rename(base, former, name)


def _rename(base: Base, former: str, name: str) -> None:
    """Rename a collection; an empty one of the new name is dropped, one with documents kept.

    MongoDB renames at once, with all indexes.  The embedded engine deletes all documents and then
    inserts them again, each by itself: it takes 20 ms for each, and loses some if it is killed.
    So they are moved there, in transactions.
    """
    is_free = base[name].find_one({}, {"_id": 1}) is None
    if is_free and not is_embedded(base.client):
        base[former].rename(name, dropTarget=True)
        return
    _prepare_collection(base, name, set(base.list_collection_names()))
    batches = cast(Iterator[bytes], base[former].find_raw_batches({}))
    documents = (RawBSONDocument(each) for batch in batches for each in split_documents(batch))
    for portion in _portions(documents):
        _move(base, former, name, portion)
    base.drop_collection(former)


def _portions(documents: Iterable[RawBSONDocument]) -> Iterator[list[RawBSONDocument]]:
    portion: list[RawBSONDocument] = []
    octets = 0
    for each in documents:
        if portion and (len(portion) == _MOVED or octets + len(each.raw) > _MOVED_OCTETS):
            yield portion
            portion, octets = [], 0
        portion.append(each)
        octets += len(each.raw)
    if portion:
        yield portion


def _move(base: Base, former: str, name: str, documents: Sequence[RawBSONDocument]) -> None:
    """Move documents in one transaction, so that each of them is always in one of both."""
    target: Documents[Any] = base[name]
    keys = [each["_id"] for each in documents]

    def write(session: ClientSession) -> None:
        target.insert_many(documents, session=session)
        base[former].delete_many({"_id": {"$in": keys}}, session=session)

    try:
        with base.client.start_session() as session:
            session.with_transaction(write, *TRANSACTION)
    except BulkWriteError as error:
        raise Unavailable(_IN_BOTH.format(former, name)) from error


def open_for_backup(base: Base) -> Base:
    """The database with its collections by the names of today, also before its migration.

    Raises Unavailable if the migration was interrupted between two collections.
    """
    present = set(base.list_collection_names())
    names = {name: former for name, former in FORMER_NAMES.items() if former in present}
    if names and present & FORMER_NAMES.keys():
        raise Unavailable(_HALF_MIGRATED)
    return under_names(base, names) if names else base


def allow_short_bodies(base: Base) -> None:
    """Change nothing: from version 6 on, a submission's document may have its body.

    Bodies in pieces stay as they are.  A hub of an older version would take the short ones for
    empty, so it must refuse the database.
    """


def allow_several_on_schedule(base: Base) -> None:
    """Change nothing: from version 7 on, a document of the schedule may be about several objects.

    Those about one stay as they are.  A hub of an older version would not find the others.
    """


MIGRATIONS: tuple[Migration, ...] = (
    add_missing_terms,
    add_days,
    describe_reviews,
    rename_collections,
    allow_short_bodies,
    allow_several_on_schedule,
)
"""In order: the first one leads from version 1 to version 2.  All use the names of today, which
`migrate` gives first."""
SCHEMA_VERSION = 1 + len(MIGRATIONS)
"""The version that this program reads and writes."""
COLLECTION = "schema"
"""The collection of the version and of the mark."""
_VERSION = "version"
_TRIED = "tried"
_MARK = "restore"
"""The mark of a database into which a backup is being restored."""
_EXISTS = 48
_NO_TRANSACTIONS = (
    "the database does not do transactions over two collections with snapshot reads and majority "
    "writes ({}): use MongoDB 6.0 or newer; Amazon DocumentDB, Azure Cosmos DB and FerretDB are "
    "not supported"
)

INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "schema": (),
    "collections": (),
    "heads": (),
    "clock": (),
    "entry_batches": (("feed", "block", "first"),),
    "filter_index": (("feed", "facets"), ("feed", "block")),
    "id_index": (("feed", "ids"), ("run",)),
    "status_bits": (("feed", "block"),),
    "packing": (),
    "public_objects": (),
    "schedule": (("hour",),),
    "exclusions": (),
    "scopes": (),
    "public_ids": (("partner", "sources"),),
    "submissions": (
        ("open", "received"),
        ("partner", "open"),
        ("account", "received"),
        ("partner", "received", "_id"),
        ("aside",),
        ("body_day",),
        ("refused_day",),
        ("day",),
    ),
    "quotas": (),
    "submission_bodies": (),
    "verdicts": (("submission", "first"), ("uncounted",)),
    "stats": (("ends",),),
    "deliveries": (("bucket",),),
    "delivery_marks": (),
    "polls": (("account",),),
    "reviews": (
        ("state", "partner", "asked"),
        ("partner", "source_id"),
        ("partner", "waits_for"),
        ("waits_for",),
        ("day",),
        ("decided_day",),
        ("revision",),
    ),
    "review_acts": (("state",),),
    "review_figures": (),
    "pending_references": (("targets",),),
    "outbox": (),
    "partners": (),
    "accounts": (("partner",),),
    "keys": (("account",),),
    "people": (("login",), ("partner",)),
    "sessions": (("person",), ("seen",)),
    "invitations": (("login", "partner"), ("until",)),
    "attempts": (("day",),),
    "admin_requests": (),
    "notices": (),
    "agreements": (("partner",), ("open",)),
    "journal": (("terms",),),
    "hub_state": (),
    "secrets": (),
    "purges": (),
    "purge_requests": (),
}
"""Each collection with its indexes, apart from the one on `_id`.

`hub_state` has a small document for each thing that the hub counts or remembers once: the head of
the journal, revisions, and how far the sweep, the value index and the statistics are.  `clock` has
the commit checks too.
"""


def prepare(base: Base, restore: str = "") -> bool:
    """Create missing collections and indexes; True if the database is new.  Idempotent.

    Raises Unavailable if the database has another version than this program, or is half restored,
    unless by the restore of this name.
    """
    refuse_half_restored(base, restore)
    return prepare_unchecked(base)


def is_prepared(base: Base, restore: str = "") -> bool:
    """True if the database was prepared before; False if it is new.

    Raises Unavailable as `prepare` does.
    """
    refuse_half_restored(base, restore)
    if base.schema.find_one({"_id": _VERSION}) is None:
        return False
    check(base)
    return True


def prepare_unchecked(base: Base) -> bool:
    """See `prepare`; a restore calls it before it is complete."""
    new = _stamp(base)
    check(base)
    present = set(base.list_collection_names())
    for name in INDEXES:
        _prepare_collection(base, name, present)
    base.collections.create_indexes([IndexModel([("alias", ASCENDING)], unique=True)])
    try_transactions(base)
    ensure_clock(base)
    base.hub_state.update_one({"_id": "journal"}, {"$setOnInsert": {"sequence": 0}}, upsert=True)
    return new


def try_transactions(base: Base) -> None:
    """Write into two collections in a transaction, once to give it up and once to keep it.

    That is done once for each version of the server.  Raises Unavailable if the database only
    calls itself MongoDB and does not keep that promise.
    """
    version = base.client.server_info()["version"]
    tried = base.schema.find_one({"_id": _TRIED})
    if tried is not None and tried["server"] == version:
        return
    key = {"_id": f"trial-{uuid.uuid4().hex}"}
    places = (base.schema, base.hub_state)

    def write(session: ClientSession) -> bool:
        for place in places:
            place.insert_one(dict(key), session=session)
        return all(place.find_one(key, session=session) for place in places)

    try:
        with base.client.start_session() as session:
            session.start_transaction(*TRANSACTION)
            write(session)
            session.abort_transaction()
            left = any(place.find_one(key) for place in places)
            seen = session.with_transaction(write, *TRANSACTION)
            kept = all(place.find_one(key) for place in places)
    except OperationFailure as error:
        if is_outage_error(error):
            raise
        raise Unavailable(_NO_TRANSACTIONS.format(f"it answers with error {error.code}")) from error
    finally:
        for place in places:
            place.delete_one(key)
    if left or not seen or not kept:
        raise Unavailable(_NO_TRANSACTIONS.format("what it kept is not what was committed"))
    base.schema.update_one({"_id": _TRIED}, {"$set": {"server": version}}, upsert=True)


def check(base: Base, supported: int = SCHEMA_VERSION) -> None:
    """Refuse a database of another version; the message says what to do."""
    version = find_version(base)
    if version > supported:
        raise Unavailable(
            f"the database has schema version {version}, newer than this program's {supported}: "
            "run the newer tocsin-hub that wrote it, or restore a backup made before"
        )
    if version < supported:
        raise Unavailable(
            f"the database has schema version {version}, older than this program's {supported}: "
            "stop every hub, make a backup, and run `tocsin-hub migrate`"
        )


def refuse_half_restored(base: Base, restore: str = "") -> None:
    """Raise Unavailable if a restore, of another name than this, has begun and not ended."""
    mark = base.schema.find_one({"_id": _MARK})
    if mark is not None and mark.get("name") != restore:
        raise Unavailable(
            "the database is half restored: `tocsin-hub restore` was interrupted, or still runs; "
            "if it does not run, run it again, with the same --journal if it had one: it deletes "
            "what was written, and begins anew"
        )


def is_half_restored(base: Base) -> bool:
    """True if the restore of a backup has begun and not ended."""
    return base.schema.find_one({"_id": _MARK}) is not None


def mark_half_restored(base: Base, name: str) -> None:
    """Mark the database until the restore of this name is complete."""
    base.schema.insert_one({"_id": _MARK, "name": name})


def remove_mark(base: Base, name: str) -> bool:
    """Remove the mark; False if it is not of the restore of this name."""
    return base.schema.delete_one({"_id": _MARK, "name": name}).deleted_count == 1


def find_version(base: Base, session: Session = None) -> int:
    """Return the database's version; 1 if none is stored, as in the first databases."""
    document = base.schema.find_one({"_id": _VERSION}, session=session)
    return 1 if document is None else int(document["version"])


def migrate(base: Base, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[int, int]:
    """Bring the database to this program's version; its versions before and after.

    The version is stored after each step, so the next run continues an interrupted one.  No hub
    may be running.  Raises Unavailable if the database is newer than the program, or half restored.
    """
    refuse_half_restored(base)
    return migrate_unchecked(base, migrations)


def migrate_unchecked(base: Base, migrations: Sequence[Migration] = MIGRATIONS) -> tuple[int, int]:
    """See `migrate`; a restore calls it before it is complete."""
    before, supported = find_version(base), 1 + len(migrations)
    if before > supported:
        check(base, supported)
    if before < supported:
        rename_collections(base)  # first: each migration uses the names of today
    for version, migration in enumerate(migrations[before - 1 :], before + 1):
        migration(base)
        base.schema.update_one({"_id": _VERSION}, {"$set": {"version": version}}, upsert=True)
    return before, max(before, supported)


def _stamp(base: Base) -> bool:
    """Store the version before anything else; a new database gets the program's version."""
    if base.schema.find_one({"_id": _VERSION}) is not None:
        return False
    present = set(base.list_collection_names())
    version = 1 if present & (INDEXES.keys() - {"schema"}) else SCHEMA_VERSION
    try:
        base.schema.insert_one({"_id": _VERSION, "version": version})
    except DuplicateKeyError:
        return False  # another hub was preparing it at the same moment
    return version == SCHEMA_VERSION


def _prepare_collection(base: Base, name: str, present: Collection[str]) -> None:
    """Create a collection with its indexes, if they are missing."""
    if name not in present:
        _create(base, name)
    if indexes := INDEXES[name]:
        keys = ([(field, ASCENDING) for field in fields] for fields in indexes)
        base[name].create_indexes([IndexModel(key) for key in keys])


def _create(base: Base, name: str) -> None:
    """Create a collection in advance: on some servers a transaction cannot create one."""
    try:
        base.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _EXISTS:  # another hub was preparing it at the same moment
            raise
