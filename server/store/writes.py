"""The writes at the end of a transaction, sent together.

Other transactions wait for the hub's clock meanwhile, so each command counts.  Where the
server has `bulkWrite` (MongoDB 8.0), small writes to all collections are one command, and
large ones follow, collection by collection.  An older server gets all writes that way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Documents
from pymongo.errors import DuplicateKeyError, OperationFailure
from pymongo.read_preferences import ReadPreference

from tocsin.admission.errors import Unavailable
from tocsin.server.store.connection import Base, Document

MOST_TOGETHER = 64
"""Writes to one collection that are sent together with those to others."""
MOST_OCTETS = 500_000
"""Octets of such writes to one collection; one command takes 16 MiB."""
_BULK_WRITE_VERSION = 25
"""The wire version of MongoDB 8.0."""
_REFUSALS = frozenset((9, 13, 59, 72, 115, 238, 303, 40415))
"""Errors of a server that does not have the command, or does not permit it: one that is older, or
whose compatibility version does not allow what is new in it."""
_DUPLICATE_KEY = 11000
_REFUSED = "the database has refused several writes in one command and will get them singly: retry"


@dataclass(frozen=True, slots=True)
class _Write:
    """One write."""

    kind: str
    """`insert`, `update` or `replace`."""
    key: Document
    """The filter; empty for an insertion."""
    value: RawBSONDocument
    """The new document, or the change; encoded, so that its length is known."""
    missing: Callable[[], Exception] | None = None
    """Makes the error to raise if nothing has the key."""

    def as_operation(self, number: int) -> Document:
        """The operation of a `bulkWrite`, on its collection of this number."""
        if self.kind == "insert":
            return {"insert": number, "document": self.value}
        key = {"update": number, "filter": self.key, "upsert": self.kind == "replace"}
        return {**key, "updateMods": self.value}

    def as_request(self) -> UpdateOne | ReplaceOne[Any]:
        """The request of a bulk of its collection."""
        if self.kind == "update":
            return UpdateOne(self.key, self.value)
        return ReplaceOne(self.key, self.value, upsert=True)


class BulkWriteSupport:
    """Knows if the server has `bulkWrite`, which is looked up once for each process."""

    def __init__(self) -> None:
        self._known: bool | None = None

    def is_there(self, base: Base) -> bool:
        """True if the primary has it, as far as it says."""
        if self._known is None:
            hello = base.client.admin.command("hello", read_preference=ReadPreference.PRIMARY)
            self._known = int(hello.get("maxWireVersion", 0)) >= _BULK_WRITE_VERSION
        return self._known

    def give_up(self) -> None:
        """Do without it from now on: an older server may be the primary now."""
        self._known = False


class Writes:
    """Collects the writes of one transaction.

    Reads do not see them before `flush`.  Writes to one collection keep their
    order.
    """

    def __init__(self, base: Base, session: ClientSession, support: BulkWriteSupport) -> None:
        self._base, self._session, self._support = base, session, support
        self._pending: dict[str, list[_Write]] = {}

    def insert(self, collection: str, documents: Iterable[Document]) -> None:
        """Insert documents that have ids."""
        for each in documents:
            self._add(collection, "insert", {}, each)

    def update(
        self,
        collection: str,
        key: Document,
        change: Document,
        missing: Callable[[], Exception] | None = None,
    ) -> None:
        """Change the document that has the key; if there is none, raise what `missing` makes."""
        self._add(collection, "update", key, change, missing)

    def replace(self, collection: str, document: Document) -> None:
        """Replace the document with the same id, or insert it."""
        self._add(collection, "replace", {"_id": document["_id"]}, document)

    def has_any(self, *collections: str) -> bool:
        """True if something is to be written, into one of these collections if any are named."""
        return any(name in self._pending for name in collections or self._pending)

    def flush(self) -> None:
        """Write what was collected.

        Raises what the driver does; nothing more may be written in the transaction then.
        """
        pending, self._pending = self._pending, {}
        together = {name: each for name, each in pending.items() if _is_small(each)}
        if len(together) < 2 or not self._support.is_there(self._base):
            together = {}
        if together:  # before what is large: in it are the updates of what must be there
            self._write_together(together)
        for name, writes in pending.items():
            if name not in together:
                self._write_to(name, writes)

    def _add(
        self,
        collection: str,
        kind: str,
        key: Document,
        value: Document,
        missing: Callable[[], Exception] | None = None,
    ) -> None:
        write = _Write(kind, key, RawBSONDocument(bson.encode(value)), missing)
        self._pending.setdefault(collection, []).append(write)

    def _write_to(self, name: str, writes: Sequence[_Write]) -> None:
        """Write to one collection: consecutive writes of one kind are one command."""
        documents: Documents[Any] = self._base[name]
        for kind, group in groupby(writes, key=lambda write: write.missing or write.kind):
            same = list(group)
            if kind == "insert":
                documents.insert_many([each.value for each in same], session=self._session)
            elif callable(kind):
                found = documents.update_one(same[0].key, same[0].value, session=self._session)
                if not found.matched_count:
                    raise kind()
            else:
                requests = [each.as_request() for each in same]
                documents.bulk_write(requests, session=self._session)

    def _write_together(self, together: Mapping[str, Sequence[_Write]]) -> None:
        """Write to several collections in one command."""
        every = [
            (number, write) for number, writes in enumerate(together.values()) for write in writes
        ]
        command = {
            "bulkWrite": 1,
            "ops": [write.as_operation(number) for number, write in every],
            "nsInfo": [{"ns": f"{self._base.name}.{name}"} for name in together],
        }
        try:
            answer = self._base.client.admin.command(command, session=self._session)
        except OperationFailure as error:
            if error.code not in _REFUSALS:
                raise
            self._support.give_up()
            raise Unavailable(_REFUSED) from error
        for result in answer["cursor"]["firstBatch"]:
            _, write = every[result["idx"]]
            if not result["ok"]:
                raise _error_of(result)
            if write.missing is not None and not result["n"]:
                raise write.missing()


def _is_small(writes: Sequence[_Write]) -> bool:
    if len(writes) > MOST_TOGETHER:
        return False
    return sum(len(each.value.raw) for each in writes) <= MOST_OCTETS


def _error_of(result: Document) -> OperationFailure:
    """The error of one operation, as if it had been a command of its own."""
    code, text = int(result["code"]), str(result.get("errmsg", ""))
    return (DuplicateKeyError if code == _DUPLICATE_KEY else OperationFailure)(text, code)
