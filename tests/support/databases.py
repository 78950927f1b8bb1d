"""Empty databases for tests.

Creating a database with its indexes takes a third of a second, emptying one a
tenth of that.  So used databases are emptied and reused.
"""

import os
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient, ReplaceOne
from pymongo.monitoring import CommandListener

from tocsin.server.store import Store
from tocsin.server.store.connection import Base


@dataclass(frozen=True, slots=True)
class PreparedDatabase:
    """A database, and its documents at the moment to which it can be brought back."""

    name: str
    documents: dict[str, list[dict[str, Any]]]


_WIRE_VERSION_8 = 25
_FREE: defaultdict[str, list[PreparedDatabase]] = defaultdict(list)
"""Databases that can be reused, by the server's URI."""


@contextmanager
def open_empty_store(uri: str) -> Iterator[Store]:
    """Open a store on a database with the content of a new one."""
    prepared = _FREE[uri].pop() if _FREE[uri] else _prepare(uri)
    store = Store.connect(uri, name=prepared.name)
    try:
        yield store
    finally:
        if restore(store._base, prepared):
            _FREE[uri].append(prepared)
        elif "TOCSIN_TEST_MONGO" in os.environ:
            drop(uri, prepared.name)
        store.close()


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
    for uri, free in _FREE.items():
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
    _write(base, prepared.documents, empty=True)
    return True


def fill(base: Base, prepared: PreparedDatabase) -> None:
    """Bring an untouched database to another state than that of a new one."""
    _write(base, prepared.documents)


def _write(
    base: Base, documents: Mapping[str, Sequence[dict[str, Any]]], *, empty: bool = False
) -> None:
    """Put documents into their collections, which are emptied first if `empty`."""
    if not _has_bulk_write(base):
        for name, each in documents.items():
            puts = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in each]
            if empty:
                base[name].delete_many({})
            if puts:
                base[name].bulk_write(puts)
        return
    ops: list[dict[str, Any]] = []
    for number, each in enumerate(documents.values()):
        if empty:
            ops.append({"delete": number, "filter": {}, "multi": True})
        for one in each:
            key = {"_id": one["_id"]}
            put = {"update": number, "filter": key, "updateMods": one, "upsert": True}
            ops.append({"insert": number, "document": one} if empty else put)
    namespaces = [{"ns": f"{base.name}.{name}"} for name in documents]
    answer = base.client.admin.command({"bulkWrite": 1, "ops": ops, "nsInfo": namespaces})
    assert answer["nErrors"] == 0, answer


def _has_bulk_write(base: Base) -> bool:
    """True if the server has a command that writes to several collections: from 8.0 on."""
    return int(base.client.admin.command("hello")["maxWireVersion"]) >= _WIRE_VERSION_8


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
