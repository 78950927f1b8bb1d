"""Databases for tests, each empty at first."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pymongo import MongoClient

from tocsin.server.store import Store


@contextmanager
def emptied(uri: str) -> Iterator[Store]:
    """A store on a new database; on a server that outlives the tests it is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    store = Store.connect(uri, name=name)
    store.prepare()
    try:
        yield store
    finally:
        store.close()
        if "TOCSIN_TEST_MONGO" in os.environ:
            with MongoClient(uri) as client:
                client.drop_database(name)
