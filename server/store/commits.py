"""Commits of one store: a transaction is repeated until its outcome is known or its time is up.

The driver's own loop (`with_transaction`) knows no difference between a commit that was not
made and one of which nothing is known, leaves the transaction open on the server when the time is
up, and gives up where the server says that a commit took too long.

A database that is killed between a commit and its acknowledgement may not know the transaction
afterwards.  So each store has one small document with the number of its latest commit, written in
the same transaction: if the number is stored, so is everything else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from tocsin.server.store.connection import (
    INTERNAL_ERROR,
    MAJORITY_JOURNALED,
    NOT_DONE,
    UNKNOWN,
    Base,
    Client,
    Document,
    OutcomeUnknown,
    TransactionTooLarge,
)

T = TypeVar("T")

_LEAST_SECONDS = 1.0
"""Seconds for a command at the end of the time: what was begun is to be brought to an end."""
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
        self._latest = 0

    def run(self, work: Callable[[ClientSession, CommitNumber], T], deadline: float) -> T:
        """Run `work` in a transaction and commit it; `deadline` is in seconds of `time.monotonic`.

        `work` gets the commit's number, which it must write, and may run more than once.  Raises
        OutcomeUnknown if nothing is known of the commit in time, and TransactionTooLarge; after
        every error but the first nothing is kept.
        """
        session, number = self._session, self._begin()
        pauses = _Pauses(deadline)
        while True:
            session.start_transaction(
                ReadConcern("snapshot"), MAJORITY_JOURNALED, ReadPreference.PRIMARY
            )
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

    def close(self) -> None:
        """End the session."""
        self._session.end_session()

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
        if not self._latest:
            session = self._session.session_id["id"]
            initial = {"$setOnInsert": {"turn": 0, "session": session}}
            with pymongo.timeout(_LAST_LOOK_SECONDS):
                self._numbers.update_one({"_id": self._id}, initial, upsert=True)
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
