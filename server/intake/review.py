"""What waits is decided: by an analyst, or because what it waited for has come.

Whatever has arrived may be what others waited for.  To see to them is an errand, left in
the transaction that brought it and done when that is over; what is admitted then may leave an
errand again.  If whoever left one dies, another worker does it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.model import Action, Finding, Verdict
from tocsin.server.intake.evaluate import Evaluator, Sent, parse_candidate
from tocsin.server.model import (
    ArrivedIds,
    OutboxTask,
    Record,
    Review,
)
from tocsin.server.publishing.findings import (
    merge_held_records,
    merge_records,
    update_review,
    with_waived_rules,
)
from tocsin.server.publishing.pending_references import find_definitions
from tocsin.server.publishing.publisher import (
    Batch,
    Publisher,
    Settlement,
    StalePreconditions,
)
from tocsin.server.store import OUTAGES, Store, Transaction

log = logging.getLogger(__name__)

LEASE = 60
"""Seconds after which another worker may take over an errand that is not done."""

PORTION = 50
"""Questions that are decided before it is told that the errand is still in hand."""

TAKEN = 100
"""Errands of others that are taken over together."""

_INTAKE = "intake"
_ALONE = (("references",), ("marking",))
"""What is held for nothing else is admitted by itself."""


class Reviewer:
    """Decides what waits."""

    def __init__(
        self, store: Store, publisher: Publisher, evaluator: Evaluator, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._evaluator = evaluator
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._taken: list[OutboxTask] = []

    def release(self, review: Review, who: str) -> Record:
        """Admit what waits, the rules that asked waived, as the partner's contribution."""
        record, left = self._decide(review, who, frozenset(review.rules))
        self.follow(left)
        return record

    def reject(self, review: Review, who: str, reason: str) -> Record:
        """What was held is refused; what was asked about stays as it was published."""
        record, left = self._reject(review, who, reason)
        self.follow(left)
        return record

    def leave_task(self, txn: Transaction, batch: Batch, settled: Settlement) -> OutboxTask | None:
        """What is to be done when the transaction is over, if anything waits for it."""
        late = _late(txn, batch, settled.reviews)
        arrivals = replace(settled.arrivals, source_ids=settled.arrivals.source_ids | late)
        return self._leave(txn, OutboxTask("", arrivals, settled.after, settled.revoked))

    def follow(self, errand: OutboxTask | None) -> None:
        """Do an errand, and those that come of it."""
        left = [] if errand is None else [errand]
        while left:
            left.extend(self._see_to(left.pop()))

    def work(self) -> bool:
        """Do one of those that others left and did not do; False if there is none."""
        if not self._taken:
            self._taken = self._store.outbox.lease(self._owner, LEASE, TAKEN)[::-1]
        if not self._taken:
            return False
        errand = self._taken.pop()  # whatever goes wrong with it, the next one comes next
        if self._keeps(errand):
            self.follow(errand)
        return True

    def _see_to(self, errand: OutboxTask) -> Iterator[OutboxTask]:
        """What comes of it.  After a fault it stays, for who takes it over a minute later."""
        self._complete(errand)
        faults: list[Exception] = []
        for review in self._withdrawn(errand):
            with _alone(review, faults):
                _, left = self._reject(review, _INTAKE, "was revoked while it waited")
                yield from filter(None, [left])
        reviews = self._store.reviews.list_waiting_for(errand.arrived)
        reviews = [review for review in reviews if review.rules in _ALONE]
        for number, review in enumerate(reviews, 1):
            last = number == len(reviews) and not faults
            with _alone(review, faults):
                done = errand.id if last else ""
                _, left = self._decide(review, _INTAKE, frozenset(), done)
                yield from filter(None, [left])
                if last:
                    return
            if number % PORTION == 0 and not self._keeps(errand):
                return  # somebody else goes on
        if faults:
            return
        self._store.outbox.remove(errand.id)

    def _keeps(self, errand: OutboxTask) -> bool:
        return self._store.outbox.renew(errand.id, self._owner, LEASE)

    def _complete(self, errand: OutboxTask) -> None:
        while errand.resume_after:

            def work(txn: Transaction, errand: OutboxTask = errand) -> OutboxTask:
                arrivals, now = errand.arrived, self._clock()
                after = self._publisher.complete(txn, arrivals, errand.resume_after, now)
                errand = replace(errand, resume_after=after)
                txn.put_outbox_task(errand, self._owner, LEASE)
                return errand

            errand = self._store.commit(work)

    def _withdrawn(self, errand: OutboxTask) -> Sequence[Review]:
        """What waits for an analyst though its partner has revoked it."""
        return self._store.reviews.list_waiting_under(errand.arrived.partner, errand.revoked_ids)

    def _decide(
        self, review: Review, who: str, waived: frozenset[str], done: str = ""
    ) -> tuple[Record, OutboxTask | None]:
        """Admit what waits with some rules waived; what others ask about is asked then.

        With that an errand is `done`, if one is named.
        """
        while True:
            with suppress(StalePreconditions):
                return self._decide_once(review, who, waived, done)

    def _decide_once(
        self, review: Review, who: str, waived: frozenset[str], done: str
    ) -> tuple[Record, OutboxTask | None]:
        submission = self._store.submissions.require(review.submission)
        candidates = [parse_candidate(review.index, review.object)]
        batch = self._evaluator.evaluate(
            Sent(submission, anonymous=review.anonymous), candidates, waived
        )

        def work(txn: Transaction) -> tuple[Record, OutboxTask | None]:
            self._evaluator.check(txn, batch)
            settled = self._publisher.settle(txn, batch)
            record = settled.records[0]
            left = [with_waived_rules(each, waived) for each in settled.reviews]
            if record.verdict == Verdict.HELD:  # nothing was decided: something else holds it still
                self._ask_further(txn, review, who, (left[0], record))
            else:
                txn.decide_review(review.id, "released")
                txn.add_reviews(left)
                txn.add_journal_entry(
                    "review.released", who, {"review": review.id, "verdict": record.verdict}
                )
                txn.replace_record(review.submission, merge_records(self._record(review), record))
            if done:
                txn.remove_outbox_task(done)
            return record, self.leave_task(txn, batch, settled)

        return self._store.commit(work)

    def _ask_further(
        self, txn: Transaction, review: Review, who: str, held: tuple[Review, Record]
    ) -> None:
        left, record = held
        again = update_review(review, left)
        if again == review:
            return
        txn.update_review(again)
        # Through the journal's head, no two can miss each other: of this transaction and one
        # that brings what it waits for from now on, the later one knows of the other.
        txn.add_journal_entry("review.held", who, {"review": review.id, "rules": list(again.rules)})
        before = self._record(review)
        if before.verdict == Verdict.HELD:
            txn.replace_record(review.submission, merge_held_records(before, record))

    def _reject(self, review: Review, who: str, reason: str) -> tuple[Record, OutboxTask | None]:
        def work(txn: Transaction) -> tuple[Record, OutboxTask | None]:
            txn.decide_review(review.id, "rejected")
            txn.add_journal_entry("review.reject", who, {"review": review.id})
            record = self._record(review)
            if record.verdict == Verdict.HELD:
                fault = Finding(
                    "review", "analyst", Action.REFUSED, reason or "an analyst refused it"
                )
                findings = (*record.findings, fault.as_json())
                record = replace(record, verdict=Verdict.REFUSED.value, findings=findings)
                txn.replace_record(review.submission, record)
                self._publisher.give_up(txn, review, self._clock())
            arrivals = ArrivedIds(review.partner, frozenset({review.source_id}))
            return record, self._leave(txn, OutboxTask("", arrivals))

        return self._store.commit(work)

    def _leave(self, txn: Transaction, errand: OutboxTask) -> OutboxTask | None:
        if not errand.resume_after and not txn.has_waiting_review(errand):
            return None
        errand = replace(errand, id=str(uuid.uuid4()))
        txn.put_outbox_task(errand, self._owner, LEASE)
        return errand

    def _record(self, review: Review) -> Record:
        for record in self._store.submissions.records(review.submission):
            if record.index == review.index:
                return record
        raise NotFound(f"the submission of review {review.id} is not kept any more")


@contextmanager
def _alone(review: Review, faults: list[Exception]) -> Iterator[None]:
    """A fault costs one question and no other; but without a database there are no others."""
    try:
        yield
    except (NotFound, Conflict):
        pass  # not kept any more, or decided meanwhile
    except (*OUTAGES, Unavailable):
        raise
    except Exception as fault:
        log.exception("review %s could not be decided; it is tried again later", review.id)
        faults.append(fault)


def _late(txn: Transaction, batch: Batch, asked: Sequence[Review]) -> frozenset[str]:
    """Marking definitions that have come since the batch was examined and held for them."""
    held = (each.waits_for for each in asked if each.rules == ("marking",))
    wanted = {id_ for waits_for in held for id_ in waits_for} - batch.defined
    return frozenset(find_definitions(txn, batch.partner.slug, wanted) if wanted else ())
