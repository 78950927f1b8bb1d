"""A submission from receipt to publication.

`receive` writes down what came before anything is judged, so that 202 can be
promised.  `admit` judges and publishes, one transaction for each batch; it is
idempotent and goes on where a crash left off.  Small submissions are admitted
inside the request, large ones by whoever leases them next.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tocsin.admission.errors import Conflict, NotFound
from tocsin.admission.model import Candidate
from tocsin.server.intake.evaluate import (
    Examining,
    Rules,
    about,
    candidate_of,
    check,
    split,
)
from tocsin.server.intake.passthrough import deposited
from tocsin.server.intake.review import Reviewing
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    OutboxTask,
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

LEASE = 60
"""Seconds after which another worker may take over a submission that was not finished."""


class Intake:
    """Takes submissions in; the only way into a collection."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._rules = rules
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._examining = Examining(store, publisher, rules, clock)
        self._reviewing = Reviewing(store, publisher, self._examining, clock)
        self._turn = False
        self.waiting = threading.Event()
        """Set when a submission has come that is too large to be admitted at once."""

    def receive(
        self, account: Account, collection: Collection, objects: list[bytes], raw: bytes
    ) -> Submission:
        """Durable when this returns; settled too if it is small.

        `objects` are the envelope's, as bytes; `raw` is the whole body.
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
            return replace(submission, raw=b"")
        self.admit(submission)
        return self._store.submissions.require(submission.id)

    def work(self) -> bool:
        """Do what others left undone, or admit one submission that waits; False if none does.

        They take turns, so that neither waits for the other, however often that fails.
        """
        self._turn = not self._turn
        if self._turn:
            return self._reviewing.work() or self._next()
        return self._next() or self._reviewing.work()

    def _next(self) -> bool:
        submission = self._store.submissions.lease(self._owner, LEASE)
        if submission is None:
            return False
        self.admit(submission)
        return True

    def admit(self, submission: Submission) -> None:
        """Settle every record that is not settled yet."""
        started = time.monotonic()
        try:
            self._settle_all(submission)
        except Conflict:  # the lease ran out, however short the time: clocks may step
            log.warning("somebody else goes on with submission=%s", submission.id)
            return
        self._store.submissions.release(submission.id, self._owner)
        log.info(
            "admitted submission=%s account=%s records=%d ms=%d policy=%s",
            submission.id,
            submission.account,
            submission.total,
            (time.monotonic() - started) * 1000,
            self._rules.policy.sha256[:12],
        )

    def _settle_all(self, submission: Submission) -> None:
        collection = self._collection(submission.collection)
        objects = split(submission.raw)
        if collection.kind is CollectionKind.VERBATIM:
            self._deposit(submission, collection, objects)
        else:
            self._examine(submission, objects)

    def remove(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        object_id: str,
        keywords: frozenset[VersionKeyword] | None,
        versions: frozenset[int],
        specs: frozenset[str],
    ) -> int:
        """Takes versions of an object out of a verbatim collection; how many (TAXII 2.1 §5.7)."""

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

    def release(self, review: Review, who: str) -> Record:
        """See `Reviewing.release`."""
        return self._reviewing.release(review, who)

    def reject(self, review: Review, who: str, reason: str) -> Record:
        """See `Reviewing.reject`."""
        return self._reviewing.reject(review, who, reason)

    def _examine(self, submission: Submission, objects: Sequence[bytes]) -> None:
        candidates = [candidate_of(index, raw) for index, raw in enumerate(objects)]
        settled, whole = submission.settled, self._whole(submission, candidates)
        while settled < len(candidates):
            part = whole.candidates[settled : settled + BATCH]
            try:
                left = self._settle(submission, replace(whole, candidates=part, now=self._clock()))
            except StalePreconditions:
                whole = self._whole(submission, candidates)
                continue
            self._store.submissions.renew(submission.id, self._owner, LEASE)
            self._reviewing.follow(left)
            settled += BATCH

    def _whole(self, submission: Submission, candidates: Sequence[Candidate]) -> Batch:
        whole = self._examining.batch(submission, candidates)
        if len(candidates) > BATCH:
            whole = replace(whole, earlier=about(whole.candidates))
        return whole

    def _settle(self, submission: Submission, batch: Batch) -> OutboxTask | None:
        def work(txn: Transaction) -> OutboxTask | None:
            check(txn, batch)
            settled = self._publisher.settle(txn, batch)
            txn.add_reviews(settled.reviews)
            txn.settle(submission.id, settled.records)
            counts = dict(Counter(each.verdict for each in settled.records))
            txn.add_journal_entry(
                "admit", submission.account, {"submission": submission.id, **counts}
            )
            return self._reviewing.leave(txn, batch, settled)

        return self._store.commit(work)

    def _deposit(
        self, submission: Submission, collection: Collection, objects: Sequence[bytes]
    ) -> None:
        for part in _slices(tuple(enumerate(objects)), submission.settled):

            def work(txn: Transaction, part: Sequence[tuple[int, bytes]] = part) -> None:
                records = deposited(txn, collection, part)
                txn.settle(submission.id, records)
                counts = dict(Counter(each.verdict for each in records))
                txn.add_journal_entry(
                    "deposit", submission.account, {"submission": submission.id, **counts}
                )

            self._store.commit(work)
            self._store.submissions.renew(submission.id, self._owner, LEASE)

    def _collection(self, name: str) -> Collection:
        for collection in self._store.feeds.collections():
            if collection.id == name:
                return collection
        raise NotFound(f"there is no collection {name}")


def _slices(items: tuple, start: int) -> Iterator[tuple]:  # type: ignore[type-arg]
    for first in range(start, len(items), BATCH):
        yield items[first : first + BATCH]
