"""Connections to MongoDB, and the refusal of a server without transactions.

The guarantees of a feed need transactions, and transactions need a replica set;
one node is enough.  Everything is written with write concern majority and the
journal, and read at majority: an entry that a poller has seen is never rolled back.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Documents
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from tocsin.admission.errors import Unavailable

Document = dict[str, Any]
"""A document as the driver reads and writes it."""
Base = Database[Document]
Client = MongoClient[Document]
Session = ClientSession | None

OUTAGES = (ConnectionFailure, ExecutionTimeout, WaitQueueTimeoutError)
"""Errors of any read or write while the database cannot be reached in time."""
DATABASE_ERRORS = (PyMongoError,)
"""Errors of the database, whatever their cause."""
MAJORITY_JOURNALED = WriteConcern(w="majority", j=True)
"""Acknowledged once a majority has it in its journal."""
MAJORITY = ReadConcern("majority")
"""Reads only data that cannot be rolled back."""
_SERVER_SELECTION_SECONDS = 10.0
"""Seconds to find a server, unless the URI sets another limit."""
QUERY_SECONDS = 20.0
"""Time limit of one look-up or one page."""
AUTHENTICATION_FAILED = 18
_DUPLICATE_KEY = 11000

_STANDALONE = (
    "the MongoDB server at {where} runs alone, without a replica set, so it has no transactions: "
    "start it with --replSet rs0 and run rs.initiate() once in mongosh; one node is enough"
)


def open_client(uri: str, listeners: Sequence[CommandListener] = ()) -> Client:
    """Open a client of the database at `uri` and test it; `listeners` hear of its commands.

    Raises Unavailable, with a sentence, if it cannot be reached or has no transactions.
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
    try:
        hello = client.admin.command("hello")
        client.admin.command("listDatabases", nameOnly=True, filter={"name": "admin"})
    except OperationFailure as error:
        if error.code == AUTHENTICATION_FAILED:
            raise Unavailable("MongoDB does not accept the user or password of the URI") from error
        raise Unavailable(f"MongoDB refuses: {_brief(error)}") from error
    except PyMongoError as error:
        raise Unavailable(f"cannot reach MongoDB: {_brief(error)}") from error
    if not hello.get("setName") and hello.get("msg") != "isdbgrid":
        raise Unavailable(_STANDALONE.format(where=hello.get("me") or _where(client)))


def _where(client: Client) -> str:
    return ":".join(map(str, client.address or ("its address",)))


def _brief(error: PyMongoError) -> str:
    return str(error).split(", Timeout:")[0][:300]


@contextmanager
def time_limit(seconds: float = QUERY_SECONDS) -> Iterator[None]:
    """A time limit on all that is read within, here and, as maxTimeMS, in the database.

    Raises Unavailable when it expires.
    """
    try:
        with pymongo.timeout(seconds):
            yield
    except PyMongoError as error:
        if not error.timeout:
            raise
        raise Unavailable(
            "the database does not answer in time; try again in a moment, or ask for less at once"
        ) from error


_PROBE_KEYS = 500
"""Keys of one look-up that most probably finds little."""
_FEW = 3
"""So many documents are few."""


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


def chunk_keys(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The keys in portions of at most `size`, for one `$in` each."""
    return (keys[i : i + size] for i in range(0, len(keys), size))


def is_key_collision(error: DuplicateKeyError | BulkWriteError) -> bool:
    """True if another process wrote the same key at the same moment; then a retry helps."""
    if isinstance(error, DuplicateKeyError):
        return True
    codes = {fault["code"] for fault in (error.details or {}).get("writeErrors", [])}
    return codes == {_DUPLICATE_KEY}
