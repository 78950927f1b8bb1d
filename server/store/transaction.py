"""The unit of work: everything that can be written in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property

from pymongo.client_session import ClientSession

from tocsin.admission.timestamps import DAY
from tocsin.server.model import (
    ArrivedIds,
    NewEntry,
    PendingReferences,
    PublicObject,
    PublishOutcome,
    Query,
    Record,
    VersionKeyword,
)
from tocsin.server.store import public_objects
from tocsin.server.store.accounts import PARTNERS_REVISION, Accounts
from tocsin.server.store.admin_requests import AdminRequests
from tocsin.server.store.agreements import Agreements
from tocsin.server.store.commits import BulkWriteSupport, CommitNumber, Writes
from tocsin.server.store.connection import Base
from tocsin.server.store.exclusions import EXCLUSIONS_REVISION, Exclusions
from tocsin.server.store.feeds.blocks import find_entries
from tocsin.server.store.feeds.clock import HubClock
from tocsin.server.store.feeds.writer import Publication, Writer, find_heads
from tocsin.server.store.journal import FORGET, HEAD, JournalWriter
from tocsin.server.store.journal import forget as forget_journal
from tocsin.server.store.known_state import KnownState
from tocsin.server.store.outbox import Outbox
from tocsin.server.store.people import People
from tocsin.server.store.public_objects import (
    PublicObjects,
    find_pending_references,
    find_public_ids,
    insert_public_ids,
    put_pending_references,
)
from tocsin.server.store.purged_content import Purges
from tocsin.server.store.review_acts import ReviewActs
from tocsin.server.store.reviews import ReviewWriter
from tocsin.server.store.submissions import Progress, SubmissionWriter, settle

_REVISIONS = (PARTNERS_REVISION, EXCLUSIONS_REVISION)
_MAY_CHANGE_REVISIONS = frozenset(("accounts", "agreements", "exclusions"))
"""Properties of a transaction by which it may change a revision."""


class Snapshot:
    """The public objects as they are at one moment; `Store.read` makes it."""

    def __init__(self, base: Base, session: ClientSession) -> None:
        """Read in `session`."""
        self._base, self._session = base, session
        self._publics = PublicObjects(base, session)

    def public_objects(self, ids: Collection[str]) -> dict[str, PublicObject]:
        """The public objects with these ids, by id; ids without one are left out."""
        self._read_session("public_objects")
        return self._publics.read(ids)

    def find_public_ids(self, partner: str, ids: Collection[str]) -> dict[str, str]:
        """The newest public id of each of a partner's own ids that has one."""
        return find_public_ids(self._base, self._read_session("public_ids"), partner, ids)

    @cached_property
    def exclusions(self) -> Exclusions:
        """The exclusion list and the scopes."""
        return Exclusions(self._base, self._session)

    def _read_session(self, *collections: str) -> ClientSession:
        """The session for what reads some collections of the database, or any of them."""
        return self._session


class Transaction(Snapshot):
    """One transaction; `Store.commit` makes it.

    Feeds, public objects and ids, verdicts, the state of submissions, journal and clock are written
    at its end (`Writes`).  A method that reads one of these collections takes `_read_session`.
    """

    def __init__(
        self,
        base: Base,
        session: ClientSession,
        clock: Callable[[], int],
        support: BulkWriteSupport,
        state: KnownState,
    ) -> None:
        """Read and write in `session`, where nothing was read yet; the hub's clock is taken."""
        super().__init__(base, session)
        self._writes = Writes(base, session, support)
        """Writes that are sent at the end, or before a collection that they change is read."""
        self.now = clock()
        """µs since 1970 UTC; the same throughout the transaction."""
        self.reviews = ReviewWriter(base, session, self.now)
        """The reviews that wait or waited for a person."""
        self._journal = JournalWriter(base, session, self.now)
        self._clock = HubClock(base, session, self.now)
        self._state, self._known = state, state.begin(self._clock.takes)
        self._journal.last = self._known.last_entry

    @cached_property
    def accounts(self) -> Accounts:
        """Partners, accounts and keys."""
        return Accounts(self._base, self._session)

    @cached_property
    def people(self) -> People:
        """People of the console."""
        return People(self._base, self._session)

    @cached_property
    def admin_requests(self) -> AdminRequests:
        """Acts that wait for a second operator."""
        return AdminRequests(self._base, self._session)

    @cached_property
    def agreements(self) -> Agreements:
        """Agreements with partners."""
        return Agreements(self._base, self._session)

    @cached_property
    def review_acts(self) -> ReviewActs:
        """The latest decisions of reviewers."""
        return ReviewActs(self._base, self._session)

    @cached_property
    def outbox(self) -> Outbox:
        """Tasks to be done after the transaction."""
        return Outbox(self._base, lambda: self.now, self._session)

    @property
    def submissions(self) -> SubmissionWriter:
        """Submissions, after the writes that were left to the end."""
        return SubmissionWriter(self._base, self._read_session(), self.now)

    @property
    def purges(self) -> Purges:
        """Unfinished purges, after the writes that were left to the end."""
        return Purges(self._base, self._read_session())

    def publish(
        self, feed: str, postings: Sequence[NewEntry], *, replace: bool = False
    ) -> list[PublishOutcome]:
        """Publish objects in a feed; the outcome of each, in order.

        Positions are dense.  Stamps are unique among all feeds and strictly increase in commit
        order, even if the clock goes back.  The same id, spec and version with the same digest is
        KNOWN, with another digest a CONFLICT, within one call too.  An entry with an owner is
        FOREIGN if its object has another owner, unless the entry is known.  An object without a
        version gets its first date_added for one; posted again with other content it is a CONFLICT,
        or with `replace` a newer version.  An entry that `ends` its object takes the place of the
        former with `replace`, at a new position.

        Raises NotFound if there is no such feed, Malformed if a version is not a timestamp and
        TooLarge if an object is; nothing of the transaction is kept then.
        """
        return self._writer(feed).publish(postings, replace=replace)

    def begin_publication(self, feeds: Collection[str]) -> Publication:
        """Begin to publish into several feeds.

        The number of commands does not depend on the number of feeds.
        """
        session = self._read_session("heads", "entry_batches", "id_index")
        heads = find_heads(self._base, session, list(feeds), self._known.heads)
        return Publication(self._base, session, self._writes, self._clock, heads)

    def find_first_added(self, feed: str, ids: Collection[str]) -> dict[tuple[str, str], str]:
        """The versions that a feed assigned to objects without one, by id and spec_version."""
        found = find_entries(self._base, feed, ids, self._read_session()) if ids else []
        return {(entry.id, entry.spec): entry.version for entry in found if entry.own}

    def find_owners(self, feed: str, object_id: str) -> set[str]:
        """The partner that owns an object in a verbatim collection; empty if it is not there.

        The owner of what the operator was the first to send is the empty string.
        """
        found = find_entries(self._base, feed, [object_id], self._read_session())
        return {entry.owner for entry in found}

    def remove(
        self,
        feed: str,
        object_id: str,
        *,
        keywords: frozenset[VersionKeyword] | None = None,
        versions: frozenset[int] = frozenset(),
        specs: frozenset[str] = frozenset(),
    ) -> int:
        """Remove versions of an object from a feed; the number removed.

        Without keywords and versions all of them are removed (of the specs, if any are named);
        else those that a reader with the same filters would receive.  The bytes are deleted at
        once, and the last version is determined again.
        """
        everything = keywords is None and not versions
        query = Query(
            ids=frozenset({object_id}),
            specs=specs,
            keywords=keywords or frozenset(),
            versions=versions,
        )
        return self._writer(feed).remove(query, everything=everything)

    def pin_stamp(self, at: int | None) -> int:
        """Return a stamp up to which nothing can be added any more: `at`, or the latest if None.

        Raises Malformed if it lies in the future.
        """
        return self._clock.pin(at)

    def put_public_objects(self, publics: Iterable[PublicObject]) -> None:
        """Store public objects, replacing those with the same ids."""
        self._publics.put(publics, self._writes)

    def schedule(self, hours: Mapping[str, int]) -> None:
        """Let the sweep examine public objects in these hours, by their ids.

        `put_public_objects` does so for those whose `due_hour` changes.
        """
        public_objects.write_schedule(self._writes, hours)

    def find_revisions(self) -> tuple[int, int]:
        """The revisions of the partners and of the exclusion list."""
        if self._known.revisions is not None and self._leaves_revisions:
            return self._known.revisions
        wanted = {"_id": {"$in": [*_REVISIONS, HEAD]}}
        state = self._base.hub_state.find(wanted, session=self._read_session("hub_state"))
        found = {each["_id"]: each for each in state}
        self._journal.read(found.get(HEAD))  # the caller writes the journal too
        first = {"revision": 0}
        partners, excluded = (found.get(k, first)["revision"] for k in _REVISIONS)
        self._known.revisions = int(partners), int(excluded)
        return self._known.revisions

    def add_public_ids(self, partner: str, submission: str, pairs: Mapping[str, str]) -> None:
        """Record the public ids assigned to a partner's own ids, by own id."""
        insert_public_ids(self._writes, (partner, submission, self.now), pairs)

    def put_pending_references(self, references: Sequence[PendingReferences]) -> None:
        """Store the missing references of contributions, replacing the earlier ones."""
        put_pending_references(self._base, self._session, references)

    def find_pending_references(
        self, arrivals: ArrivedIds, after: str, most: int
    ) -> list[PendingReferences]:
        """At most `most` contributions that wait for any of these ids, by key, after `after`."""
        return find_pending_references(self._base, self._session, arrivals, after, most)

    def settle(
        self,
        submission: str,
        records: Sequence[Record],
        *,
        total: int,
        settled: int,
    ) -> None:
        """Store the verdicts of the next records of a submission.

        `total` is the number of all its records; the last of them ends the lease.  `settled` is
        the number of those that have a verdict, which may be any.

        Raises Conflict unless as many are settled, so that a resumed worker cannot count anything
        twice; NotFound if there is no such submission.
        """
        progress = Progress(settled, total)
        settle(self._base, self._session, self._writes, submission, records, progress, self.now)

    def holds(self, feed: str, object_id: str) -> bool:
        """True if any version of an object is in a feed."""
        return bool(find_entries(self._base, feed, [object_id], self._read_session()))

    def purge_entries(self, feed: str, object_id: str, *, keep_last: bool) -> int:
        """Remove versions of an object from a few batches of a feed; the number removed.

        With `keep_last` the version that was added last stays.  To be repeated until it is 0.
        """
        return self._writer(feed).purge(object_id, keep_last=keep_last)

    def forget_journal(self, days: int, most: int, actor: str) -> int:
        """Delete at most `most` of the oldest entries of the journal; how many.

        Only those from more than `days` whole days (UTC) ago, and never the last.  An entry says
        so: without it the journal would not be valid.
        """
        before = (self.now // DAY - days) * DAY
        found = forget_journal(self._base, self._read_session(), before, most)
        if found is None:
            return 0
        first, count = found
        self.add_journal_entry(FORGET, actor, {"first": first, "count": count})
        return count

    def add_journal_entry(self, action: str, actor: str, details: Mapping[str, object]) -> None:
        """Append an entry to the journal; the arguments are those of `JournalEntry`."""
        self._journal.add(action, actor, details)

    def finish(self, number: CommitNumber) -> None:
        """Write the journal entries, the clock, and what else was left to the end.

        `Store.commit` calls it.
        """
        self._journal.write(self._writes)
        self._clock.write(self._writes)
        self._writes.update("clock", number.key, number.change)
        self._writes.flush()

    def note_kept(self) -> None:
        """Note that the transaction is kept, as its commit has said.  `Store.commit` calls it."""
        self._known.last_entry = self._journal.last
        if not self._leaves_revisions:
            self._known.revisions = None
        self._state.keep(self._clock.takes + 1, self._known)

    @property
    def _leaves_revisions(self) -> bool:
        """True if nothing was used that may have changed a revision."""
        return _MAY_CHANGE_REVISIONS.isdisjoint(self.__dict__)

    def _read_session(self, *collections: str) -> ClientSession:
        """The session for a read of some collections of the database, or of any.

        Writes that were left to the end are sent first if they change one of them.
        """
        if self._writes.has_any(*collections):
            self._writes.flush()
        return self._session

    def _writer(self, feed: str) -> Writer:
        session = self._read_session()
        (head,) = find_heads(self._base, session, [feed], self._known.heads)
        return Writer(self._base, session, self._writes, head, self._clock)
