"""The store: all data of the hub, and the only way to change it.

Readers use `feeds`, `accounts`, `agreements`, `submissions`, `quotas`, `reviews`, `review_queue`,
`review_acts`, `schedule`, `outbox`, `exclusions`, `journal` and `deliveries`, or `read` for several
look-ups in one snapshot.
Changes that belong together are written in one `commit`: all of them become
visible at once, or none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from tocsin.admission.errors import Unavailable
from tocsin.admission.timestamps import DAY
from tocsin.server.processes.counters import Counters
from tocsin.server.processes.nonblocking import check_may_block
from tocsin.server.processes.shared_folder import Process
from tocsin.server.store import schema
from tocsin.server.store.accounts import Accounts
from tocsin.server.store.admin_requests import AdminRequests
from tocsin.server.store.agreements import Agreements
from tocsin.server.store.availability import Availability
from tocsin.server.store.backup import Backups
from tocsin.server.store.command_counter import CommandCounter
from tocsin.server.store.commits import BulkWriteSupport, CommitNumber, Commits
from tocsin.server.store.connection import (
    COMMIT_SECONDS,
    Client,
    TransactionTooLarge,
    bounded,
    is_key_collision,
    open_client,
    open_database,
    time_limit,
    without_contents,
)
from tocsin.server.store.deliveries import Deliveries
from tocsin.server.store.exclusions import Exclusions
from tocsin.server.store.feeds.clock import read_clock
from tocsin.server.store.feeds.packing import Packer
from tocsin.server.store.feeds.value_index import ValueIndexer
from tocsin.server.store.feeds.views import CollectionReader
from tocsin.server.store.journal import Journal
from tocsin.server.store.known_state import KnownState
from tocsin.server.store.notices import SentNotices
from tocsin.server.store.outbox import Outbox
from tocsin.server.store.partner_data import PartnerDocuments
from tocsin.server.store.people import People
from tocsin.server.store.public_objects import PublicSummary, Schedule, find_summaries
from tocsin.server.store.purged_content import Purges
from tocsin.server.store.quotas import Quotas
from tocsin.server.store.retention import Expired
from tocsin.server.store.review_acts import ReviewActs
from tocsin.server.store.review_queue import ReviewQueue
from tocsin.server.store.reviews import Reviews
from tocsin.server.store.statistics import Statistics
from tocsin.server.store.submissions import Submissions
from tocsin.server.store.transaction import Snapshot, Transaction

log = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")
Clock = Callable[[], int]
_ATTEMPTS = 5
_FORGET_SECONDS = 5.0
"""Seconds for what is done when a process has died: its successor waits for that."""
_FORGET_PAUSE = 5.0
"""Seconds until that is tried again, if it failed."""
_TURN_SECONDS = 1.0
"""Seconds between two looks at the database while a commit waits for its turn."""
_BUSY = "the database is too slow for what others are writing; nothing was changed; try again later"


def wall_clock() -> int:
    """Now, in µs since 1970 UTC."""
    return time.time_ns() // 1_000


class Store:
    """A database of the hub's."""

    def __init__(
        self,
        client: Client,
        name: str,
        clock: Clock = wall_clock,
        counters: Counters | None = None,
        process: Process | None = None,
    ) -> None:
        """Use `connect` instead, which tries the database out first."""
        self._client = client
        process = process or Process()
        self.process = process.name
        """The name of this process, which holds its leases; see `forget_process`."""
        self._ended: set[str] = set()
        """The names of ended processes that still have leases here."""
        self._forget_again = 0.0
        """The time, of `time.monotonic`, before which nothing is forgotten again."""
        self.counters = counters or Counters()
        """The counters of this process; its users count there too."""
        self._base = open_database(client, name)
        self.clock = clock
        self._lock = process.commit_lock
        self._commits = Commits(client, self._base, self.process)
        self._bulk_write, self._state = BulkWriteSupport(), KnownState()
        self.availability = Availability(self._base)
        self._commit_count = process.commits
        self.feeds = CollectionReader(self._base, clock, process.commits)
        self.accounts = Accounts(self._base)
        self.people = People(self._base)
        self.admin_requests = AdminRequests(self._base)
        self.notices = SentNotices(self._base)
        self.agreements = Agreements(self._base)
        self.submissions = Submissions(self._base, clock)
        self.quotas = Quotas(self._base, clock)
        self.reviews = Reviews(self._base)
        self.review_queue = ReviewQueue(self._base)
        self.review_acts = ReviewActs(self._base)
        self.schedule = Schedule(self._base)
        self.outbox = Outbox(self._base, clock)
        self.exclusions = Exclusions(self._base)
        self.journal = Journal(self._base)
        self.deliveries = Deliveries(
            self._base, clock, self.process, lambda: self.feeds.configuration_revision
        )
        self.purges = Purges(self._base)
        self.expired = Expired(self._base)
        self.partner_data = PartnerDocuments(self._base, process.commits)
        self.backups = Backups(client, self._base, clock)
        self.packing = Packer(client, self._base, self._lock)
        self.statistics = Statistics(client, self._base, clock)
        self.values = ValueIndexer(client, self._base, self._lock)
        self.listeners: list[Callable[[], None]] = []
        """Called after each commit of this process; quick, and without errors."""

    @classmethod
    def connect(
        cls,
        uri: str,
        *,
        name: str = "tocsin",
        clock: Clock = wall_clock,
        counters: Counters | None = None,
        process: Process | None = None,
    ) -> Store:
        """The store in database `name` at `uri`; what it does is counted in `counters`.

        `process` is this one among those of its hub; None: it is alone.

        Raises Unavailable, with a sentence, if it cannot be reached or has no transactions.
        """
        counters = counters or Counters(times_commands=False)
        listeners = [CommandCounter(counters)] if counters.times_commands else []
        return cls(open_client(uri, listeners), name, clock, counters, process)

    def prepare(self, restore: str = "") -> None:
        """Create missing collections and indexes.  Idempotent.

        Raises Unavailable if the database's schema is of another version than the program's, or
        if it is half restored, unless by the restore of this name.
        """
        if schema.prepare(self._base, restore):
            today = self.clock() // DAY
            self.expired.begin(today)
            self.statistics.begin(today)

    def is_prepared(self, restore: str = "") -> bool:
        """True if the database was prepared and has collections.

        Raises Unavailable as `prepare` does.
        """
        return schema.is_prepared(self._base, restore) and bool(self.feeds.collections())

    @property
    def is_outdated(self) -> bool:
        """True if the database has an older schema than the program's."""
        return schema.find_version(self._base) < schema.SCHEMA_VERSION

    def migrate(self) -> tuple[int, int]:
        """Bring an older database to the program's schema; the versions before and after.

        See `schema.migrate`.
        """
        return schema.migrate(self._base)

    def close(self) -> None:
        """Close the connections; the store cannot be used afterwards."""
        self._commits.close()
        self._client.close()

    def forget_process(self, process: str) -> None:
        """Let others take over at once what a process that has ended had begun.

        If the database does not do it in time, it is left to `forget_ended`.
        """
        self._ended.add(process)
        self._forget_again = time.monotonic() + _FORGET_PAUSE
        self._forget(process)

    def forget_killed(self) -> None:
        """Do the same for all processes of this machine that were killed; this one can be found."""
        self._commits.register()
        for process in self._commits.find_killed():
            self.forget_process(process)

    def forget_ended(self) -> None:
        """Do what `forget_process` could not, if there is such a process; once in a while."""
        if self._ended and time.monotonic() > self._forget_again:
            self._forget_again = time.monotonic() + _FORGET_PAUSE
            for process in tuple(self._ended):
                self._forget(process)

    def _forget(self, process: str) -> None:
        with bounded(_FORGET_SECONDS):
            try:
                self._commits.end_transaction_of(process)
            except OperationFailure as error:  # not permitted, say: the rest does not depend on it
                log.warning("a transaction of an ended process ends by itself: %s", error.code)
            self.submissions.release_owner(process)
            self.outbox.release_owner(process)
            self.deliveries.note_death(process)
            self._commits.forget(process)
        self._ended.discard(process)

    def epoch(self) -> str:
        """The epoch of page tokens and entity tags; a restore begins another one.

        It does not change while a hub runs: a restore needs an empty database.
        """
        return read_clock(self._base).epoch

    def clock_lead(self) -> float:
        """Seconds by which the latest stamp is ahead of this machine's clock; 0: it is not.

        Stamps never go back, so that followers miss nothing.  A machine whose clock was ahead for
        a while has given out stamps of the future.
        """
        return max(0, read_clock(self._base).stamp - self.clock()) / 1e6

    def has_secrets(self) -> bool:
        """True if this database was built with secrets: see `check_secrets`."""
        return self._base.secrets.find_one({"_id": "fingerprint"}) is not None

    def check_secrets(self, fingerprint: str) -> None:
        """Remember which secrets this database was built with, or compare them.

        Public ids are made from the hub's secrets: with other ones every object would be
        published a second time.  Raises Unavailable if they differ.
        """
        secrets, key = self._base.secrets, {"_id": "fingerprint"}
        kept = secrets.find_one(key)
        if kept is None:
            with suppress(DuplicateKeyError):  # another process was faster
                secrets.insert_one(key | {"value": fingerprint})
            kept = secrets.find_one(key)
        if kept is None or kept["value"] != fingerprint:
            raise Unavailable(
                "this database belongs to a hub with other secrets: give this hub the "
                "secrets that the database was made with, or another database"
            )

    def commit(self, work: Callable[[Transaction], T]) -> T:
        """Do `work` in one transaction: all of it is kept, or nothing.

        It may run more than once, so it must not change anything outside.  It must not call
        `commit` itself.  When this returns, the outcome is in the journal of a majority.

        Raises Unavailable if its turn does not come in time or the machine's clock is wrong,
        OutcomeUnknown if the database has not said in time that it is kept, TransactionTooLarge,
        and PyMongoError if it cannot be reached.
        """
        check_may_block()
        self.availability.check_clock()
        deadline = time.monotonic() + COMMIT_SECONDS
        with without_contents(), self._turn(deadline):
            try:
                result = self._repeat(work, deadline)
            finally:  # an error may hide a commit
                self._commit_count.note()
        for listener in self.listeners:
            listener()
        return result

    def commit_portions(
        self, items: Sequence[A], most: int, work: Callable[[Transaction, Sequence[A]], T]
    ) -> Iterator[T]:
        """Do `work` for all items in order; each transaction, as in `commit`, has at most `most`.

        Where they are too large for the database, they have fewer from then on.
        """
        start = 0
        while start < len(items):
            portion = items[start : start + most]

            def work_on(txn: Transaction, portion: Sequence[A] = portion) -> T:
                return work(txn, portion)

            try:
                result = self.commit(work_on)
            except TransactionTooLarge:
                if len(portion) == 1:
                    raise
                most = len(portion) // 2
                continue
            start += len(portion)
            yield result

    def _repeat(self, work: Callable[[Transaction], T], deadline: float) -> T:
        """Do `work` once, or again if others wrote the same keys at the same moment."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._once(work, deadline)
            except (DuplicateKeyError, BulkWriteError) as error:
                if not is_key_collision(error):
                    raise
        return self._once(work, deadline)

    @contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """Take this hub's commit lock, which is advisory between processes.

        Raises Unavailable if the database goes away or is slow while other threads commit.
        """
        while not self._lock.acquire(timeout=_TURN_SECONDS):
            self.availability.check()
            if time.monotonic() > deadline:
                raise Unavailable(_BUSY)
        try:
            yield
        finally:
            self._lock.release()

    @time_limit()
    def public_summaries(self, ids: Sequence[str]) -> list[PublicSummary]:
        """The summaries of public objects by their ids; unknown ids are left out."""
        return find_summaries(self._base, ids)

    @time_limit()
    def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on a snapshot of the database; nothing is written.

        It may run more than once.
        """

        check_may_block()

        def attempt(session: ClientSession) -> T:
            found = work(Snapshot(self._base, session))
            session.abort_transaction()  # there is nothing to commit
            return found

        with self._client.start_session() as session:
            return session.with_transaction(
                attempt,
                read_concern=ReadConcern("snapshot"),
                read_preference=ReadPreference.PRIMARY,
            )

    def _once(self, work: Callable[[Transaction], T], deadline: float) -> T:
        def write(session: ClientSession, number: CommitNumber) -> tuple[T, Transaction]:
            txn = Transaction(self._base, session, self.clock, self._bulk_write, self._state)
            result = work(txn)
            txn.finish(number)
            return result, txn

        result, txn = self._commits.run(write, deadline)
        txn.note_kept()
        return result
