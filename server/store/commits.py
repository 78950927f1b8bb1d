"""Commits of one store: a transaction is repeated until its outcome is known or its time is up.

The driver's own loop (`with_transaction`) knows no difference between a commit that was not
made and one of which nothing is known, leaves the transaction open on the server when the time is
up, and gives up where the server says that a commit took too long.

A database that is killed between a commit and its acknowledgement may not know the transaction
afterwards.  So each store has one small document with the number of its latest commit, written in
the same transaction: if the number is stored, so is everything else.

Most writes of a transaction are sent together at its end (`Writes`), with that number: other
transactions wait for the hub's clock meanwhile, so each command counts.  Where the server has
`bulkWrite` (MongoDB 8.0), small writes to all collections are one command, and large ones follow,
collection by collection.  An older server gets all writes that way.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import bson
import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Documents
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_preferences import ReadPreference

from tocsin.admission.errors import Unavailable
from tocsin.server.processes.liveness import ProcessMark, find_own_mark, has_ended
from tocsin.server.store.connection import (
    INTERNAL_ERROR,
    NOT_DONE,
    TRANSACTION,
    UNKNOWN,
    Base,
    Client,
    Document,
    OutcomeUnknown,
    TransactionTooLarge,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_LEAST_SECONDS = 1.0
"""Seconds for a command at the end of the time: what was begun is to be brought to an end."""
_PATIENCE_SECONDS = 2.0
"""Seconds for which a commit waits for others before it looks whether they were killed."""
_KILLED_PAUSE = 5.0
"""Seconds between two such looks."""
_LAST_LOOK_SECONDS = 5.0
"""The last seconds of a commit's time, to look if it is kept though nothing has said so."""
_FIRST_PAUSE, _GROWTH, _LONGEST_PAUSE = 0.005, 1.5, 0.5
"""Seconds before another attempt, at most: 5 ms, then half as much more each time."""
_TOO_LARGE = frozenset((257, 388))
"""Errors of a transaction that is too large for the cache of the database, or for its oplog."""
_UNKNOWN = (
    "the database has not confirmed this in time, so it may or may not be done; "
    "look, or send it again: what was done is not done twice"
)


@dataclass(frozen=True, slots=True)
class CommitNumber:
    """The number of a commit, next to the hub's clock: a document for each process."""

    process: str
    number: int

    @property
    def key(self) -> Document:
        """The key of the document."""
        return {"_id": self.process}

    @property
    def change(self) -> Document:
        """The change that stores the number."""
        return {"$set": {"turn": self.number}}


class Commits:
    """Runs the transactions of one store.  For one thread at a time."""

    def __init__(self, client: Client, base: Base, process: str) -> None:
        """Write nothing before the first commit.  Its number is next to the hub's clock."""
        # One session for all: a transaction that a stopped server has not been able to end, and
        # which still has the clock, ends there when the next one begins in its session.
        self._session = client.start_session()
        self._client, self._numbers = client, base.clock
        self._id = process
        self._latest, self._is_registered = 0, False
        self._own_mark = find_own_mark()
        self._look_again = 0.0
        """The time, of `time.monotonic`, before which nobody is looked for who was killed."""

    def run(self, work: Callable[[ClientSession, CommitNumber], T], deadline: float) -> T:
        """Run `work` in a transaction and commit it; `deadline` is in seconds of `time.monotonic`.

        `work` gets the commit's number, which it must write, and may run more than once.  Raises
        OutcomeUnknown if nothing is known of the commit in time, and TransactionTooLarge; after
        every error but the first nothing is kept.
        """
        session, number = self._session, self._begin()
        pauses = _Pauses(deadline)
        self._look_again = max(self._look_again, time.monotonic() + _PATIENCE_SECONDS)
        while True:
            session.start_transaction(*TRANSACTION)
            try:
                with _until(deadline):
                    result = work(session, CommitNumber(self._id, number))
            except BaseException as error:
                _give_up(session)
                if isinstance(error, OperationFailure) and error.code in _TOO_LARGE:
                    raise TransactionTooLarge(str(error)) from error
                if not isinstance(error, PyMongoError) or not error.has_error_label(NOT_DONE):
                    raise
                pauses.wait(error)
                if time.monotonic() > self._look_again:
                    self._end_transactions_of_killed()
                continue
            fault = self._commit(number, pauses)
            if fault is None:
                return result
            pauses.wait(fault)

    def end_transaction_of(self, process: str) -> None:
        """End what a process that was killed has left open, and which still has the clock."""
        found = self._numbers.find_one({"_id": process})
        if found is not None and "session" in found:
            self._client.admin.command("killSessions", [{"id": found["session"]}])

    def register(self) -> None:
        """Make the document of this process, if it has none: by that it is known if it is killed.

        The first commit does so, too; a process may have leases before it.
        """
        if self._is_registered:
            return
        document: Document = {"turn": 0, "session": self._session.session_id["id"]}
        if (mark := self._own_mark) is not None:
            document |= {"machine": mark.machine, "process": mark.number, "started": mark.started}
        with pymongo.timeout(_LAST_LOOK_SECONDS):
            self._numbers.update_one({"_id": self._id}, {"$setOnInsert": document}, upsert=True)
        self._is_registered = True

    def find_killed(self) -> list[str]:
        """The names of the processes of this machine that have ended without closing their store.

        Elsewhere than on Linux it finds none.
        """
        if self._own_mark is None:
            return []
        machine = self._own_mark.machine
        others = self._numbers.find({"_id": {"$ne": self._id}, "machine": machine})
        marks = {
            str(each["_id"]): ProcessMark(machine, each["process"], each["started"])
            for each in others
        }
        return [name for name, mark in marks.items() if has_ended(mark)]

    def forget(self, process: str) -> None:
        """Delete the number of the latest commit of a process that has ended."""
        self._numbers.delete_one({"_id": process})

    def close(self) -> None:
        """End the session.  If the database is away, the number is left to `find_killed`."""
        if self._is_registered:
            with suppress(PyMongoError), pymongo.timeout(_LEAST_SECONDS):
                self.forget(self._id)
        self._session.end_session()

    def _end_transactions_of_killed(self) -> None:
        """End what killed processes have left open: the database itself would do it in a minute."""
        self._look_again = time.monotonic() + _KILLED_PAUSE
        try:
            with pymongo.timeout(_LAST_LOOK_SECONDS):
                for process in self.find_killed():
                    self.end_transaction_of(process)
        except PyMongoError as error:  # not permitted, say
            log.warning("transactions of ended processes end by themselves: %s", error)

    def _commit(self, number: int, pauses: _Pauses) -> PyMongoError | None:
        """Commit; the error if nothing is kept and another attempt may succeed."""
        while True:
            try:
                with _until(pauses.deadline):
                    self._session.commit_transaction()
            except PyMongoError as error:
                if error.has_error_label(UNKNOWN):
                    if pauses.is_over:
                        return self._look(number, error)
                    pauses.wait(error)
                elif error.has_error_label(NOT_DONE) or _is_internal(error):
                    # The driver may have sent it twice; the first may be made, and forgotten.
                    return self._look(number, error, ended=True)
                else:
                    raise
            else:
                return None

    def _look(
        self, number: int, error: PyMongoError, *, ended: bool = False
    ) -> PyMongoError | None:
        """Look if a commit is kept: None if so, the error if not; `ended`: it cannot be any more.

        Raises OutcomeUnknown if that is not known.
        """
        try:
            with pymongo.timeout(_LAST_LOOK_SECONDS):
                found = self._numbers.find_one({"_id": self._id})
        except PyMongoError:
            raise OutcomeUnknown(_UNKNOWN) from error
        if found is not None and found["turn"] == number:
            return None
        if not ended:
            raise OutcomeUnknown(_UNKNOWN) from error
        return error

    def _begin(self) -> int:
        """The number of a new commit."""
        self.register()
        self._latest += 1
        return self._latest


class _Pauses:
    """The pauses between the attempts of one commit."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self._next = _FIRST_PAUSE

    @property
    def is_over(self) -> bool:
        """True if there is no time for another attempt."""
        return time.monotonic() + self._next > self.deadline - _LAST_LOOK_SECONDS

    def wait(self, error: PyMongoError) -> None:
        """Wait before the next attempt; raises the error of the last one if there is no time."""
        if self.is_over:
            raise error
        time.sleep(self._next * random.random())  # noqa: S311
        self._next = min(self._next * _GROWTH, _LONGEST_PAUSE)


def _is_internal(error: PyMongoError) -> bool:
    """True if the database says no more than that; the embedded engine does so in a conflict."""
    return isinstance(error, OperationFailure) and error.code == INTERNAL_ERROR


def _give_up(session: ClientSession) -> None:
    """Abort, with some time of its own: others wait for what the transaction has locked."""
    if session.in_transaction:
        with pymongo.timeout(_LEAST_SECONDS):
            session.abort_transaction()


def _until(deadline: float) -> AbstractContextManager[object]:
    """A time limit on all commands within, which leaves the time for the last look."""
    seconds = deadline - _LAST_LOOK_SECONDS - time.monotonic()
    return pymongo.timeout(max(seconds, _LEAST_SECONDS))


MOST_TOGETHER = 8
"""Writes to one collection that are sent together with those to others.

More of them are a command of their own: each operation of `bulkWrite` costs the embedded engine
0.25 ms and more, each document of an insertion 0.1 ms, and a command 0.35 ms."""
MOST_OCTETS = 500_000
"""Octets of such writes to one collection; one command takes 16 MiB."""
_BULK_WRITE_VERSION = 25
"""The wire version of MongoDB 8.0."""
_REFUSALS = frozenset((9, 13, 59, 72, 115, 238, 303, 40415))
"""Errors of a server that does not have the command, or does not permit it: one that is older, or
whose compatibility version does not allow what is new in it."""
_DUPLICATE_KEY = 11000
_WRITE_CONFLICT = 112
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
    # MongoDB fails the whole command at a conflict; others say it of the operation alone.
    labels = {"errorLabels": [NOT_DONE]} if code == _WRITE_CONFLICT else None
    return (DuplicateKeyError if code == _DUPLICATE_KEY else OperationFailure)(text, code, labels)
