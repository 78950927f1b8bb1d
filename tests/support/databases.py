"""Databases for tests.

Creating a database with its indexes takes a tenth of a second, undoing what a test wrote a tenth
of that.  So databases are used again.
"""

import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from tocsin.server.store import Store, wall_clock
from tocsin.server.store.connection import Base, open_client


@dataclass(frozen=True, slots=True)
class PreparedDatabase:
    """A database, and its documents at the moment to which it can be brought back."""

    name: str
    documents: dict[str, list[dict[str, Any]]]


S = TypeVar("S", bound=Store)
_WIRE_VERSION_8 = 25
_WIRE_VERSIONS: dict[tuple[str, int | None] | None, int] = {}
"""By the address of the server."""
_MOST_COMPARED = 400
"""Documents of a database that are compared with those it shall have; more are written anew."""
_NEW = ""
"""The state of a database that `Store.prepare` has just made."""
_FREE: defaultdict[tuple[str, str], list[PreparedDatabase]] = defaultdict(list)
"""Databases that can be used again, by the server's URI and their state."""


@dataclass(slots=True)
class _Loan:
    """A database in use."""

    uri: str
    prepared: PreparedDatabase
    """The content to restore."""
    state: str
    store: Store | None = None
    """The one for which it is used."""


_LENT: dict[str, _Loan] = {}
"""By the database's name."""


@contextmanager
def open_empty_store(uri: str) -> Iterator[Store]:
    """Open a store on a database with the content of a new one."""
    loan = _lend(uri, _NEW)
    store = loan.store = Store(_open_common_client(uri), loan.prepared.name)
    try:
        yield store
    finally:
        _take_back(store._base)
        store._commits.close()


@contextmanager
def open_again(store: Store, clock: Callable[[], int] = wall_clock) -> Iterator[Store]:
    """Open another store on the same database, over the same connections: own ones cost 15 ms."""
    with open_kind(Store, store, clock) as again:
        yield again


@contextmanager
def open_kind(kind: type[S], store: Store, clock: Callable[[], int] = wall_clock) -> Iterator[S]:
    """As `open_again`, a store of this kind."""
    again = kind(store._client, store._base.name, clock)
    try:
        yield again
    finally:
        again._commits.close()


@cache
def _open_common_client(uri: str) -> MongoClient[dict[str, Any]]:
    """A client for all stores of a server: a connection of its own cost each test 10 ms."""
    return open_client(uri)


def exchange(store: Store, state: str) -> bool:
    """Let a store of `open_empty_store` that is still empty have a database in another state.

    False if none is free in that state.
    """
    former = _LENT.get(store._base.name)
    if former is None or former.store is not store or not _FREE[former.uri, state]:
        return False
    del _LENT[former.prepared.name]
    _FREE[former.uri, former.state].append(former.prepared)
    loan = _lend(former.uri, state)
    store._commits.close()
    store.__init__(store._client, loan.prepared.name)  # type: ignore[misc]
    loan.store = store
    return True


def keep_state(store: Store, state: str) -> None:
    """Restore a database of `open_empty_store` to its present content, once it is given back."""
    loan = _LENT.get(store._base.name)
    if loan is not None:
        loan.prepared, loan.state = snapshot(store), state


def _lend(uri: str, state: str) -> _Loan:
    free = _FREE[uri, state]
    loan = _Loan(uri, free.pop() if free else _prepare(uri), state)
    _LENT[loan.prepared.name] = loan
    return loan


def _take_back(base: Base) -> None:
    loan = _LENT.pop(base.name)
    if restore(base, loan.prepared):
        _FREE[loan.uri, loan.state].append(loan.prepared)
    elif "TOCSIN_TEST_MONGO" in os.environ:
        drop(loan.uri, base.name)


class CommandNames(CommandListener):
    """The names of the commands that a connection sent."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbered: list[str] = []
        """Those with a transaction number: in a transaction, or sent as a retryable write."""

    def started(self, event: Any) -> None:
        self.names.append(event.command_name)
        if "txnNumber" in event.command:
            self.numbered.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        """Nothing more to note."""

    def failed(self, event: Any) -> None:
        """Nothing more to note."""


@contextmanager
def open_watched_store(uri: str) -> Iterator[tuple[Store, CommandNames]]:
    """Open a store on a new database, with the names of the commands that it sends."""
    commands, name = CommandNames(), f"test_{uuid.uuid4().hex}"
    with MongoClient[dict[str, Any]](uri, event_listeners=[commands]) as client:
        store = Store(client, name)
        store.prepare()
        yield store, commands
        client.drop_database(name)


def drop_all() -> None:
    """Drop the databases on a server that outlives the tests."""
    for (uri, _), free in _FREE.items():
        while free and "TOCSIN_TEST_MONGO" in os.environ:
            drop(uri, free.pop().name)


def drop(uri: str, name: str) -> None:
    """Drop a database."""
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(name)


def _prepare(uri: str) -> PreparedDatabase:
    name = f"test_{uuid.uuid4().hex}"
    store = Store.connect(uri, name=name)
    try:
        store.prepare()
        return snapshot(store)
    finally:
        store.close()


def snapshot(store: Store) -> PreparedDatabase:
    """The store's database as it is now."""
    base = store._base
    documents = {each: list(base[each].find()) for each in base.list_collection_names()}
    return PreparedDatabase(base.name, documents)


def restore(base: Base, prepared: PreparedDatabase) -> bool:
    """Restore the initial documents; False if a test created or dropped a collection."""
    if set(base.list_collection_names()) != set(prepared.documents):
        return False
    present = _read_present(base, prepared.documents)
    if present is None:
        _write(base, prepared.documents, empty=True)
    else:
        _write_differences(base, prepared.documents, present)
    return True


def _read_present(
    base: Base, wanted: Mapping[str, Sequence[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]] | None:
    """The documents of some collections, in one query; None if they are many.

    Of a collection that shall be empty no more than one.
    """
    first, *others = [
        [*([] if documents else [{"$limit": 1}]), *_name_and_document(name)]
        for name, documents in wanted.items()
    ]
    names = list(wanted)
    unions = [
        {"$unionWith": {"coll": name, "pipeline": stages}}
        for name, stages in zip(names[1:], others, strict=True)
    ]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    stages = [*first, *unions, {"$limit": _MOST_COMPARED + 1}]
    for number, each in enumerate(base[names[0]].aggregate(stages)):
        if number == _MOST_COMPARED:
            return None
        found[each["name"]].append(each["document"])
    return found


def _name_and_document(name: str) -> list[dict[str, Any]]:
    return [{"$project": {"_id": 0, "name": {"$literal": name}, "document": "$$ROOT"}}]


def _write_differences(
    base: Base,
    documents: Mapping[str, Sequence[dict[str, Any]]],
    present: Mapping[str, Sequence[dict[str, Any]]],
) -> None:
    """Change what is present into these documents."""
    ops: list[dict[str, Any]] = []
    for number, (name, wanted) in enumerate(documents.items()):
        before, after = ({repr(d["_id"]): d for d in each} for each in (present[name], wanted))
        if before.keys() - after.keys():  # one command is three times as fast as one for each
            ops.append({"delete": number, "filter": _others(wanted), "multi": True})
        for key, one in after.items():
            if key in before and before[key] != one:
                put = {"update": number, "filter": {"_id": one["_id"]}, "updateMods": one}
                ops.append(put)
        missing = (one for key, one in after.items() if key not in before)
        ops.extend({"insert": number, "document": one} for one in missing)
    _run(base, documents, ops)


def _others(wanted: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"_id": {"$nin": [one["_id"] for one in wanted]}} if wanted else {}


def fill(base: Base, prepared: PreparedDatabase) -> None:
    """Bring an untouched database to another state than that of a new one."""
    _write(base, prepared.documents)


def _write(
    base: Base, documents: Mapping[str, Sequence[dict[str, Any]]], *, empty: bool = False
) -> None:
    """Put documents into their collections, which are emptied first if `empty`."""
    ops: list[dict[str, Any]] = []
    for number, each in enumerate(documents.values()):
        if empty:
            ops.append({"delete": number, "filter": {}, "multi": True})
        for one in each:
            key = {"_id": one["_id"]}
            put = {"update": number, "filter": key, "updateMods": one, "upsert": True}
            ops.append({"insert": number, "document": one} if empty else put)
    _run(base, documents, ops)


def _run(base: Base, names: Iterable[str], ops: Sequence[dict[str, Any]]) -> None:
    """Do what a `bulkWrite` would, on servers older than 8.0 a command for each operation."""
    if not ops:
        return
    if _has_bulk_write(base):
        namespaces = [{"ns": f"{base.name}.{name}"} for name in names]
        answer = base.client.admin.command({"bulkWrite": 1, "ops": ops, "nsInfo": namespaces})
        assert answer["nErrors"] == 0, answer
        return
    numbered = [base[name] for name in names]
    for op in ops:
        if "insert" in op:
            numbered[op["insert"]].insert_one(op["document"])
        elif "update" in op:
            upsert = op.get("upsert", False)
            numbered[op["update"]].replace_one(op["filter"], op["updateMods"], upsert=upsert)
        elif op.get("multi"):
            numbered[op["delete"]].delete_many(op["filter"])
        else:
            numbered[op["delete"]].delete_one(op["filter"])


def _has_bulk_write(base: Base) -> bool:
    """True if the server has a command that writes to several collections: from 8.0 on."""
    address = base.client.address
    known = _WIRE_VERSIONS.get(address)
    if known is None:
        known = int(base.client.admin.command("hello")["maxWireVersion"])
        if address is not None:
            _WIRE_VERSIONS[address] = known
    return known >= _WIRE_VERSION_8


def find_filled(base: Base, names: Sequence[str]) -> list[str]:
    """Those of the collections that have a document, in one query instead of one for each."""
    first, *others = [_name_if_filled(name) for name in names]
    unions = [
        {"$unionWith": {"coll": name, "pipeline": stages}}
        for name, stages in zip(names[1:], others, strict=True)
    ]
    return [each["name"] for each in base[names[0]].aggregate([*first, *unions])]


def _name_if_filled(name: str) -> list[dict[str, Any]]:
    return [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}]
