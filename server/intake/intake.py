"""Receive a submission, evaluate it and settle it.

`receive` stores what came before anything is evaluated, so that 202 can be
promised.  `admit` evaluates and publishes, one transaction for each batch; it is
idempotent and goes on where a crash left off.  Small submissions are settled
within the request, large ones by the worker that leases them next.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import Action, Candidate, Finding, Verdict
from tocsin.server.intake.evaluate import (
    Evaluator,
    Rules,
    Sent,
    group_assessments,
    parse_candidate,
    split_envelope,
)
from tocsin.server.intake.passthrough import deposited
from tocsin.server.intake.review import Reviewer
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    OutboxTask,
    Receipt,
    Record,
    Review,
    Submission,
    VersionKeyword,
)
from tocsin.server.publishing.publisher import Batch, Publisher, StalePreconditions
from tocsin.server.store import Store, Transaction

log = logging.getLogger(__name__)

BATCH = 500
"""Records that one transaction settles."""

_DISABLED = (
    Finding(
        "validate",
        "account",
        Action.REFUSED,
        "the account was disabled before this was examined: send it again when it may send",
    ).as_json(),
)
LEASE = 60
"""Seconds after which another worker may take over a submission that was not finished."""


class Intake:
    """Receives and settles submissions; the only way into a collection."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rules = rules
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._evaluator = Evaluator(store, publisher, rules, clock)
        self._reviewer = Reviewer(store, publisher, self._evaluator, clock)
        self._outbox_first = False
        self.waiting = threading.Event()
        """Set when a submission was received that is too large to be settled at once."""

    def receive(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        objects: list[bytes],
        raw: bytes,
        collections: Sequence[Collection] = (),
    ) -> Receipt:
        """Store a submission durably, and settle it if it is small.

        `objects` are the envelope's, as bytes; `raw` is the whole body; `collections` are all
        of the hub's, if they were looked up already.
        """
        submission = Submission(
            id=str(uuid.uuid4()),
            account=account.name,
            partner=account.partner,
            collection=collection.id,
            received=self._clock(),
            total=len(objects),
            raw=raw,
        )
        inline = submission.total <= self._rules.inline
        owner = self._owner if inline else None
        self._store.submissions.receive(submission, owner=owner, seconds=LEASE)
        if not inline:
            self.waiting.set()
            return Receipt(replace(submission, raw=b""), ())
        feeds = tuple(each for each in collections if each.kind is CollectionKind.FEED)
        records = self._admit(Sent(submission, account, feeds), collection, objects)
        if records is None:
            settled = self._store.submissions.require(submission.id)
            return Receipt(settled, self._store.submissions.records(submission.id))
        counts = Counter(record.verdict for record in records)
        done = replace(submission, raw=b"", settled=len(records), counts=counts)
        return Receipt(done, tuple(records))

    def work(self) -> bool:
        """Do one task of the outbox or settle one waiting submission; False if there is none.

        They alternate, so that neither waits for the other, however often one fails.
        """
        self._outbox_first = not self._outbox_first
        if self._outbox_first:
            return self._reviewer.work() or self._next()
        return self._next() or self._reviewer.work()

    def _next(self) -> bool:
        submission = self._store.submissions.lease(self._owner, LEASE)
        if submission is None:
            return False
        self.admit(submission)
        return True

    def admit(self, submission: Submission) -> None:
        """Settle every record that is not settled yet; goes on where a crash left off."""
        collection = self._collection(submission.collection)
        self._admit(Sent(submission), collection, split_envelope(submission.raw))

    def _admit(
        self, sent: Sent, collection: Collection, objects: Sequence[bytes]
    ) -> list[Record] | None:
        """Settle what is left; all records as they are now, or None if they must be read."""
        started, submission = time.monotonic(), sent.submission
        records: list[Record] | None = []
        if submission.settled == submission.total:  # it died before it gave the lease back
            self._store.submissions.release(submission.id, self._owner)
            return None
        try:
            if collection.kind is CollectionKind.VERBATIM and not (
                sent.account is None and self._is_locked_out(submission.account)
            ):
                records = self._deposit(submission, collection, objects)
            else:
                records = self._evaluate(sent, objects)
        except Conflict:  # the lease ran out, however short the time: clocks may step
            log.warning("another worker took over submission=%s", submission.id)
            return None
        log.info(
            "admitted submission=%s account=%s records=%d ms=%d policy=%s",
            submission.id,
            submission.account,
            submission.total,
            (time.monotonic() - started) * 1000,
            self._rules.policy.sha256[:12],
        )
        return records if submission.settled == 0 else None

    def remove(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        object_id: str,
        keywords: frozenset[VersionKeyword] | None,
        versions: frozenset[int],
        specs: frozenset[str],
    ) -> int:
        """Delete versions of an object from a verbatim collection; how many (TAXII 2.1 §5.7)."""

        def work(txn: Transaction) -> int:
            count = txn.remove(
                collection.id, object_id, keywords=keywords, versions=versions, specs=specs
            )
            if count:
                txn.add_journal_entry(
                    "delete", account.name, {"collection": collection.id, "count": count}
                )
            return count

        return self._store.commit(work)

    def release(self, review: Review, who: str, *, without_text: bool = False) -> Record:
        """See `Reviewer.release`."""
        return self._reviewer.release(review, who, without_text=without_text)

    def examine(self, review: Review) -> Candidate:
        """See `Reviewer.examine`."""
        return self._reviewer.examine(review)

    def reject(self, review: Review, who: str, reason: str) -> Record:
        """See `Reviewer.reject`."""
        return self._reviewer.reject(review, who, reason)

    def _evaluate(self, sent: Sent, objects: Sequence[bytes]) -> list[Record] | None:
        """Evaluate the whole submission, and settle it batch by batch."""
        candidates = [parse_candidate(index, raw) for index, raw in enumerate(objects)]
        if sent.account is None and self._is_locked_out(sent.submission.account):
            return self._refuse_rest(sent.submission, candidates[sent.submission.settled :])
        records: list[Record] = []
        settled, whole = sent.submission.settled, self._whole(sent, candidates)
        is_final = True
        while settled < len(candidates):
            if sent.account is None and self._is_locked_out(sent.submission.account):
                return self._refuse_rest(sent.submission, candidates[settled:])
            part = whole.candidates[settled : settled + BATCH]
            try:
                batch = replace(whole, candidates=part, now=self._clock())
                new, task = self._settle(sent, batch)
            except StalePreconditions:
                whole = self._whole(replace(sent, feeds=()), candidates)
                continue
            records += new
            settled += BATCH
            if settled < len(candidates):
                self._store.submissions.renew(sent.submission.id, self._owner, LEASE)
                whole = replace(whole, feeds=None)  # one may have been added meanwhile
            if task is not None:
                is_final = False  # what follows may replace records
                self._reviewer.follow(task)
        return records if is_final else None

    def _whole(self, sent: Sent, candidates: Sequence[Candidate]) -> Batch:
        whole = self._evaluator.evaluate(sent, candidates)
        if len(candidates) > BATCH:
            whole = replace(whole, earlier=group_assessments(whole.candidates))
        return whole

    def _is_locked_out(self, account: str) -> bool:
        """True if an account may not send any more, so that nothing of its queue is published."""
        found = self._store.accounts.find_account(account)
        return found is None or found.disabled

    def _refuse_rest(
        self, submission: Submission, candidates: Sequence[Candidate]
    ) -> list[Record] | None:
        """Refuse what was not settled before its account was disabled."""
        for start in range(0, len(candidates), BATCH):
            part = candidates[start : start + BATCH]
            records = [
                Record(each.index, Verdict.REFUSED.value, each.source_id or "", findings=_DISABLED)
                for each in part
            ]
            self._store.commit(
                lambda txn, records=records: self._finish(  # type: ignore[misc]
                    txn, "admit", submission, records
                )
            )
        return None

    def _settle(self, sent: Sent, batch: Batch) -> tuple[Sequence[Record], OutboxTask | None]:
        submission = sent.submission

        def settle(txn: Transaction) -> tuple[Sequence[Record], OutboxTask | None]:
            self._evaluator.check(txn, batch)
            if sent.account is None:  # it waited: its account may have been disabled meanwhile
                account = txn.accounts.find_account(submission.account)
                if account is None or account.disabled:
                    raise StalePreconditions
            settlement = self._publisher.settle(txn, batch)
            txn.add_reviews(settlement.reviews)
            self._finish(txn, "admit", submission, settlement.records)
            return settlement.records, self._reviewer.leave_task(txn, batch, settlement)

        return self._store.commit(settle)

    def _deposit(
        self, submission: Submission, collection: Collection, objects: Sequence[bytes]
    ) -> list[Record]:
        """Put objects into a passthrough collection as they are, batch by batch."""
        records: list[Record] = []
        for start in range(submission.settled, len(objects), BATCH):
            part = list(enumerate(objects))[start : start + BATCH]

            def deposit(txn: Transaction, part: Sequence[tuple[int, bytes]] = part) -> list[Record]:
                new = deposited(txn, collection, part)
                self._finish(txn, "deposit", submission, new)
                return new

            records += self._store.commit(deposit)
            if start + BATCH < len(objects):
                self._store.submissions.renew(submission.id, self._owner, LEASE)
        return records

    def _finish(
        self, txn: Transaction, action: str, submission: Submission, records: Sequence[Record]
    ) -> None:
        """Write a batch's records and the journal."""
        txn.settle(submission.id, records, total=submission.total)
        counts = dict(Counter(each.verdict for each in records))
        txn.add_journal_entry(action, submission.account, {"submission": submission.id, **counts})

    def _collection(self, name: str) -> Collection:
        for collection in self._store.feeds.collections():
            if collection.id == name:
                return collection
        raise NotFound(f"there is no collection {name}")
