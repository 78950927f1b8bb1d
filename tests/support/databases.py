"""Empty databases for tests.

Creating a database with its indexes takes a third of a second, emptying one a
tenth of that.  So used databases are emptied and reused.
"""

import os
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient

from tocsin.server.store import Store
from tocsin.server.store.connection import Base


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A database created by `Store.prepare`, and its documents right after that."""

    name: str
    documents: dict[str, list[dict[str, Any]]]


_FREE: defaultdict[str, list[_Prepared]] = defaultdict(list)
"""Databases that can be reused, by the server's URI."""


@contextmanager
def open_empty_store(uri: str) -> Iterator[Store]:
    """Open a store on a database with the content of a new one."""
    prepared = _FREE[uri].pop() if _FREE[uri] else _prepare(uri)
    store = Store.connect(uri, name=prepared.name)
    try:
        yield store
    finally:
        if _empty(store._base, prepared):
            _FREE[uri].append(prepared)
        elif "TOCSIN_TEST_MONGO" in os.environ:
            drop(uri, prepared.name)
        store.close()


def drop_all() -> None:
    """Drop the databases on a server that outlives the tests."""
    for uri, free in _FREE.items():
        while free and "TOCSIN_TEST_MONGO" in os.environ:
            drop(uri, free.pop().name)


def drop(uri: str, name: str) -> None:
    """Drop a database."""
    with MongoClient[dict[str, Any]](uri) as client:
        client.drop_database(name)


def _prepare(uri: str) -> _Prepared:
    name = f"test_{uuid.uuid4().hex}"
    store = Store.connect(uri, name=name)
    try:
        store.prepare()
        base = store._base
        names = base.list_collection_names()
        documents = {each: list(base[each].find()) for each in names}
        return _Prepared(name, documents)
    finally:
        store.close()


def _empty(base: Base, prepared: _Prepared) -> bool:
    """Restore the initial documents; False if a test created or dropped a collection."""
    if set(base.list_collection_names()) != set(prepared.documents):
        return False
    for name, documents in prepared.documents.items():
        base[name].delete_many({})
        if documents:
            base[name].insert_many(documents)
    return True
