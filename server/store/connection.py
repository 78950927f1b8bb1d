"""Connections to MongoDB, and the refusal of a server that cannot keep what a feed promises.

The guarantees of a feed need transactions, and transactions need a replica set;
one node is enough.  Everything is written with write concern majority and the
journal, and read from the primary at majority, whatever the URI says: an entry that a
poller has seen is never rolled back, and no page is put together from members that have
got to different points (docs/decisions/0061).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from functools import wraps
from typing import Any, TypeVar

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Documents
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from tocsin.admission.errors import Unavailable
from tocsin.server.processes.nonblocking import check_may_block

Document = dict[str, Any]
"""A document as the driver reads and writes it."""
K = TypeVar("K")
T = TypeVar("T")
Base = Database[Document]
Client = MongoClient[Document]
Session = ClientSession | None

NOT_DONE = "TransientTransactionError"
"""The label of an error after which nothing of the transaction is kept."""
UNKNOWN = "UnknownTransactionCommitResult"
"""The label of an error of a commit that may be made."""
_OUTAGE_LABELS = (NOT_DONE, UNKNOWN, "RetryableWriteError")
_OUTAGE_CODES = frozenset(
    {
        *(6, 7, 89, 9001),  # of the network between members
        *(24, 112, 225, 246, 251, 290),  # of a transaction that lost to another, or was too slow
        *(43, 50, 262, 365),  # of a look-up that was ended
        *(64, 79, 100),  # of a majority that does not confirm
        *(91, 133, 134, 189, 10058, 10107, 11600, 11602, 13435, 13436),  # of a change of primary
    }
)
"""Errors of a server that will do later what was asked."""
DATABASE_ERRORS = (PyMongoError,)
"""Errors of the database, whatever their cause."""
MAJORITY_JOURNALED = WriteConcern(w="majority", j=True)
"""Acknowledged once a majority has it in its journal."""
TRANSACTION = (ReadConcern("snapshot"), MAJORITY_JOURNALED, ReadPreference.PRIMARY)
"""The options of each transaction that writes."""
MAJORITY = ReadConcern("majority")
"""Reads only data that cannot be rolled back."""
_SERVER_SELECTION_SECONDS = 10.0
"""Seconds to find a server, unless the URI sets another limit."""
QUERY_SECONDS = 20.0
"""Time limit of one look-up or one page."""
COMMIT_SECONDS = 75.0
"""Time limit of one commit, with all its attempts and the wait for others.

It is longer than a server keeps the transaction of a hub that was killed, which is a minute:
that transaction has the clock, and the hub that is started next must outwait it.
"""
INTERNAL_ERROR = 1
AUTHENTICATION_FAILED = 18
_OLDEST_WIRE_VERSION = 17
"""Wire version of MongoDB 6.0."""
_MOST_SKEW_SECONDS = 5.0
"""Seconds by which the clocks of this machine and of the database may differ."""
_MESSAGE_LENGTH = 200
_DUPLICATE_KEY = 11000

_STANDALONE = (
    "the MongoDB server at {where} runs alone, without a replica set, so it has no transactions: "
    "start it with --replSet rs0 and run rs.initiate() once in mongosh; one node is enough"
)
_SHARDED = (
    "{where} is a mongos: a sharded cluster is not supported, because a reader could see a "
    "transaction on one shard and not yet on another; name a replica set"
)
_CLOCK = (
    "the clock of this machine is {:.0f} s {} that of the database: nothing is published until "
    "both are right; let NTP set them"
)
_TOO_OLD = "the MongoDB server at {where} is older than 6.0: use a newer one"
_NOT_PRIMARY = (
    "the MongoDB server at {where} is not the primary of its replica set: name the set in the URI "
    "(replicaSet=...), without directConnection"
)


class OutcomeUnknown(Unavailable):
    """A commit was sent, and the database has not said in time if it is kept."""


class TransactionTooLarge(Exception):
    """A transaction was to write more than fits into the cache of the database."""


def open_client(uri: str, listeners: Sequence[CommandListener] = ()) -> Client:
    """Open a client of the database at `uri` and test it; `listeners` hear of its commands.

    Raises Unavailable, with a sentence, if it cannot be reached, has no transactions, is sharded,
    or is too old.
    """
    try:
        seconds = parse_uri(uri)["options"].get(
            "serverSelectionTimeoutMS", _SERVER_SELECTION_SECONDS
        )
        client: Client = MongoClient(
            uri,
            appname="tocsin",
            serverSelectionTimeoutMS=round(seconds * 1_000),
            event_listeners=list(listeners),
        )
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise Unavailable(f"not a usable mongodb:// URI: {error}") from error
    try:
        _try_out(client)
    except BaseException:
        client.close()
        raise
    return client


def _try_out(client: Client) -> None:
    name = "the hub's database engine" if _is_engine(client) else "MongoDB"
    try:
        hello = client.admin.command("hello")
        client.admin.command("listDatabases", nameOnly=True, filter={"name": "admin"})
    except OperationFailure as error:
        if error.code == AUTHENTICATION_FAILED:
            raise Unavailable(f"{name} does not accept the user or password of the URI") from error
        raise Unavailable(f"{name} refuses: {_brief(error)}") from error
    except PyMongoError as error:
        raise Unavailable(f"cannot reach {name}: {_brief(error)}") from error
    fault = _find_fault(hello)
    if fault:
        raise Unavailable(fault.format(where=hello.get("me") or _where(client)))
    if fault := find_clock_fault(client):
        raise Unavailable(fault)


def _find_fault(hello: Document) -> str:
    """Why such a server cannot be used; empty if it can."""
    if hello.get("msg") == "isdbgrid":
        return _SHARDED
    if not hello.get("setName"):
        return _STANDALONE
    if hello.get("maxWireVersion", 0) < _OLDEST_WIRE_VERSION:
        return _TOO_OLD
    return "" if hello.get("isWritablePrimary") else _NOT_PRIMARY


def find_clock_fault(client: Client) -> str:
    """Say by how much this machine's clock and the primary's differ; empty if that is tolerable.

    Stamps, dates and leases come from the clocks of the machines that share a database.
    """
    before = time.time()
    hello = client.admin.command("hello", read_preference=ReadPreference.PRIMARY)
    between = sorted((before, time.time()))  # the clock may have been set meanwhile
    local = hello["localTime"].replace(tzinfo=UTC).timestamp()
    skew = min(max(local, between[0]), between[1]) - local
    if abs(skew) <= _MOST_SKEW_SECONDS:
        return ""
    way = "ahead of" if skew > 0 else "behind"
    return _CLOCK.format(abs(skew), way)


class _Database(Database[Document]):
    """A database whose collections are not used on the event loop's thread."""

    def __getitem__(self, name: str) -> Documents[Document]:
        """The collection of this name."""
        return _Documents(self, name)


class _RenamedDatabase(_Database):
    """A database some of whose collections have other names than the program knows."""

    def __init__(self, base: Base, names: Mapping[str, str]) -> None:
        super().__init__(
            base.client,
            base.name,
            read_preference=base.read_preference,
            read_concern=base.read_concern,
            write_concern=base.write_concern,
        )
        self._names = names

    def __getitem__(self, name: str) -> Documents[Document]:
        """The collection that the program knows by this name."""
        return super().__getitem__(self._names.get(name, name))


class _Documents(Documents[Document]):
    """A collection; see `_Database`."""


def _guard(name: str, *, repeats: bool) -> None:
    """Let a method of collections raise WouldBlock on the event loop's thread.

    With `repeats` it is called again, once, if the connection to an embedded engine breaks: the
    engine has ended, and is back in a moment.  Elsewhere the driver repeats single writes, unless
    the URI says otherwise (`retryWrites`).
    """

    @wraps(getattr(Documents, name))
    def guarded(self: _Documents, *args: Any, **kwargs: Any) -> Any:
        check_may_block()
        method = getattr(super(_Documents, self), name)
        try:
            return method(*args, **kwargs)
        except AutoReconnect as error:
            is_broken = type(error) is AutoReconnect and not error.timeout
            session = kwargs.get("session")
            is_single = session is None or not session.in_transaction
            if not (repeats and is_broken and is_single and _is_engine(self.database.client)):
                raise
        return method(*args, **kwargs)

    setattr(_Documents, name, guarded)


def _is_engine(client: Client) -> bool:
    """True if the URI is like that of an embedded engine: one server, and no retryable writes."""
    options = client.options
    return not options.retry_writes and options.direct_connection is True


for _name in (
    *("aggregate", "count_documents", "delete_many", "distinct", "estimated_document_count"),
    *("find", "update_many"),
):
    _guard(_name, repeats=False)
for _name in (
    *("bulk_write", "delete_one", "find_one_and_delete", "find_one_and_replace"),
    *("find_one_and_update", "insert_many", "insert_one", "replace_one", "update_one"),
):
    _guard(_name, repeats=True)


def open_database(client: Client, name: str) -> Base:
    """The database with the concerns and the preference that the store relies on."""
    return _Database(
        client,
        name,
        read_preference=ReadPreference.PRIMARY,
        read_concern=MAJORITY,
        write_concern=MAJORITY_JOURNALED,
    )


def under_names(base: Base, names: Mapping[str, str]) -> Base:
    """The database with collections that have other names in it: `names`, by the program's."""
    return _RenamedDatabase(base, names)


def is_embedded(client: Client) -> bool:
    """True if the server is the engine that a hub embeds, SecantusDB, wherever it runs."""
    return "secantusVersion" in client.admin.command("buildInfo")


@contextmanager
def in_order(base: Base) -> Iterator[None]:
    """Let each read within see at least what those before it saw, on whichever primary.

    A primary that was just elected may not know yet how far a majority was.  It costs no command.
    """
    with base.client.start_session(causal_consistency=True) as session, session.bind():
        yield


def try_transaction(
    client: Client, work: Callable[[ClientSession], T], name: str, log: logging.Logger
) -> T | None:
    """Do `work` in a transaction, once; None if it yielded to others, or may have.

    `name` says in the log what yields.
    """
    with client.start_session() as session:
        try:
            with session.start_transaction(*TRANSACTION):
                return work(session)
        except PyMongoError as error:
            if not any(map(error.has_error_label, (NOT_DONE, UNKNOWN))):
                raise
            log.debug("%s yields: %s", name, error)
            return None


def _where(client: Client) -> str:
    return ":".join(map(str, client.address or ("its address",)))


def _brief(error: PyMongoError) -> str:
    return str(error).split(", Timeout:")[0][:300]


@contextmanager
def bounded(seconds: float = QUERY_SECONDS) -> Iterator[None]:
    """A time limit on all that is written within; its errors are the driver's, without contents."""
    with without_contents(), pymongo.timeout(seconds):
        yield


@contextmanager
def time_limit(seconds: float = QUERY_SECONDS) -> Iterator[None]:
    """A time limit on all that is read within, here and, as maxTimeMS, in the database.

    Raises Unavailable when it expires.
    """
    try:
        with bounded(seconds):
            yield
    except PyMongoError as error:
        if not error.timeout:
            raise
        raise Unavailable(
            "the database does not answer in time; try again in a moment, or ask for less at once"
        ) from error


_PROBE_KEYS = 2_000
"""Keys of one look-up that most probably finds little."""
_FEW = 3
"""Documents; a look-up that finds fewer has found all."""


def find_by_keys(
    documents: Documents[Document],
    portions: Sequence[Sequence[str]],
    query: Callable[[Sequence[str]], Document],
    session: Session = None,
    fields: Document | None = None,
) -> Iterator[Document]:
    """The documents with any of many keys; `query` selects those of some keys.

    Most keys of a submission are new, and one look-up with all of them tells so.  Where it finds
    more than a few documents, the keys are looked up again in portions: the embedded engine
    compares each document that it finds with every key.  A document may come several times.
    """
    for group in _group_portions(portions):
        if len(group) > 1:
            keys = [key for portion in group for key in portion]
            few = list(documents.find(query(keys), fields, session=session).limit(_FEW))
            if len(few) < _FEW:
                yield from few
                continue
        for portion in group:
            yield from documents.find(query(portion), fields, session=session)


def _group_portions(portions: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Portions that are looked up together, in order."""
    group: list[Sequence[str]] = []
    for portion in portions:
        if group and sum(map(len, group)) + len(portion) > _PROBE_KEYS:
            yield group
            group = []
        group.append(portion)
    if group:
        yield group


MAX_KEYS = 100
"""Keys in one `$in` on `_id`."""


def chunk_keys(keys: Sequence[K], size: int) -> Iterator[Sequence[K]]:
    """The keys in portions of at most `size`, for one `$in` each."""
    return (keys[i : i + size] for i in range(0, len(keys), size))


def is_outage_error(error: PyMongoError) -> bool:
    """True if the error is not about what was asked: the same may succeed in a moment."""
    if isinstance(error, ConnectionFailure) or error.timeout:
        return True
    if any(map(error.has_error_label, _OUTAGE_LABELS)):
        return True
    return isinstance(error, OperationFailure) and _codes(error) <= _OUTAGE_CODES


def _codes(error: OperationFailure) -> set[int]:
    """The codes of an error, or of all its parts."""
    if not isinstance(error, BulkWriteError):
        return {error.code or 0}
    details = error.details or {}
    parts = (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ()))
    return {int(each.get("code", 0)) for each in parts} or {0}


@contextmanager
def without_contents() -> Iterator[None]:
    """Take what was to be read or written out of errors, whose text is logged.

    The driver puts whole documents into the text of a `BulkWriteError`, and a server may quote
    parts of them.
    """
    try:
        yield
    except Exception as error:
        each: BaseException | None = error
        while each is not None:
            if isinstance(each, OperationFailure):
                _strip_contents(each)
            each = each.__cause__ or each.__context__
        raise


def _strip_contents(error: OperationFailure) -> None:
    details = error.details or {}
    parts = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    for each in parts:
        kept = {name: each[name] for name in ("index", "code") if name in each}
        each_text = _unquoted(str(each.get("errmsg", "")))
        each.clear()
        each.update(kept | {"errmsg": each_text})
    codes = ", ".join(map(str, sorted(_codes(error))))
    texts = [each["errmsg"] for each in parts[:1]] or [_unquoted(str(error))]
    error.args = (f"{texts[0]} (code {codes})",)


def _unquoted(text: str) -> str:
    """The begin of a server's message, up to where it quotes a value or a document."""
    return re.split(r"[{\"']|, full error", text)[0][:_MESSAGE_LENGTH].strip()


def is_key_collision(error: DuplicateKeyError | BulkWriteError) -> bool:
    """True if another process wrote the same key at the same moment; then a retry helps."""
    if isinstance(error, DuplicateKeyError):
        return True
    codes = {fault["code"] for fault in (error.details or {}).get("writeErrors", [])}
    return codes == {_DUPLICATE_KEY}
