"""Admit one submission step by step: examine, assign public ids, settle batch by batch.

Between two steps a worker may turn to other submissions.  Each batch is one
transaction; what a crash leaves is admitted again from the last batch on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import Protocol

from tocsin.admission.model import Action, Finding, Verdict
from tocsin.server.auth import Senders, find_sender, may_still_write
from tocsin.server.examination.examiner import parse_candidates, step_length
from tocsin.server.intake.evaluate import Evaluation, Evaluator, Sent
from tocsin.server.intake.review import DECIDED, Reviewer
from tocsin.server.intake.verbatim import NO_AGREEMENT, Depositor, deposited
from tocsin.server.model import Account, Collection, OutboxTask, Record, Submission
from tocsin.server.publishing.batch import Batch, StalePreconditions
from tocsin.server.publishing.public_ids import sort_by_references
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.store import Store, Transaction, TransactionTooLarge

_DISABLED = Finding(
    "validate",
    "account",
    Action.REFUSED,
    "the account was disabled before this was examined: send it again when it may send",
)
_NO_WRITE_RIGHT = Finding(
    "validate",
    "account",
    Action.REFUSED,
    "the right to write to this collection was taken away before this was examined: send it again "
    "when you have it",
)

BATCH = 500
"""Records that one transaction settles at most."""
BATCH_OCTETS = 4_000_000
"""Octets of their objects at most: a database refuses a transaction that would fill its cache."""


@dataclass(frozen=True, slots=True)
class AdmissionServices:
    """The services that every admission needs."""

    store: Store
    publisher: Publisher
    evaluator: Evaluator
    reviewer: Reviewer
    clock: Callable[[], int]


class Admission(Protocol):
    """A submission that is being admitted."""

    submission: Submission
    records: list[Record]
    """The records that were settled here."""
    is_final: bool
    """False if what followed may have replaced records."""

    @property
    def is_examined(self) -> bool:
        """True if the next steps settle what was examined."""
        ...

    def step(self) -> bool:
        """Do the next step; True if all is settled.

        Raises Conflict if another worker settled it meanwhile.
        """
        ...

    def close(self) -> None:
        """Give up what is left."""
        ...


class InboxAdmission:
    """Evaluates a submission to an inbox and publishes it."""

    def __init__(
        self,
        services: AdmissionServices,
        sent: Sent,
        objects: Sequence[bytes],
        *,
        elsewhere: bool = False,
    ) -> None:
        """With `elsewhere`, other processes examine the objects if there are any."""
        self.submission = sent.submission
        self.records: list[Record] = []
        self.is_final = True
        self._services = services
        self._sent = sent
        self._objects = objects
        self._elsewhere = elsewhere
        self._settled = sent.submission.settled
        """Number of objects that are settled."""
        self._left: Sequence[int] = range(len(objects))
        """Indexes of the others, in the order in which they are settled."""
        if self._settled:
            self._left = services.store.submissions.list_unsettled(self.submission.id)
        self._places: dict[str, int] = {}
        """See `Batch.places`."""
        self._most = BATCH
        self._evaluation: Evaluation | None = None
        self._whole: Batch | None = None
        self._until: int | None = None
        """Time at which the first agreement by which `_whole` was examined ends; None: never."""

    @property
    def is_examined(self) -> bool:
        """See `Admission.is_examined`."""
        return self._whole is not None

    def step(self) -> bool:
        """See `Admission.step`."""
        is_begun = self._evaluation is not None or self._whole is not None  # `_settle` looks again
        lockout = None if is_begun else self._find_lockout()
        if lockout is not None:
            self.is_final = False
            part = self._next_part()
            objects = [self._objects[index] for index in part]
            refused = _refused(part, objects, lockout)
            self._services.store.commit(
                lambda txn: _finish(txn, "admit", self.submission, refused, self._settled)
            )
            return self._note(part, refused)
        if self._whole is None:
            return self._examine()
        return self._settle_next(self._whole)

    def close(self) -> None:
        """See `Admission.close`."""
        if self._evaluation is not None:
            self._evaluation.examination.close()
            self._evaluation = None

    def _note(self, part: Sequence[int], records: Sequence[Record]) -> bool:
        """Note that a part is settled; True if nothing is left."""
        self.records += records
        self._settled += len(part)
        self._left = self._left[len(part) :]
        return not self._left

    def _find_lockout(self) -> Finding | None:
        """Why nothing of this may be published any more; None if it may."""
        account = self._sent.account
        if account is None:  # it waited meanwhile
            found = _find_sender(self._services.store, self.submission)
            if isinstance(found, Finding):
                return found
            account = found
        if account.operator or self._services.evaluator.may_send(self.submission):
            return None
        return NO_AGREEMENT

    def _examine(self) -> bool:
        if self._evaluation is None:
            candidates = parse_candidates(self._objects)
            objects = self._objects if self._elsewhere else ()
            self._evaluation = self._services.evaluator.begin(
                self._sent, candidates, objects=objects
            )
        length = step_length(self._objects, len(self._evaluation.examined))
        if not self._evaluation.examine_next(length):
            return False
        self._whole = self._services.evaluator.finish(self._evaluation)
        self._until = self._evaluation.agreements.until
        if len(self._next_part()) < len(self._objects):
            self._sort_left(self._whole)
        self.close()
        return not self._left

    def _settle_next(self, whole: Batch) -> bool:
        """Settle one batch; where what it was evaluated by has changed, evaluate again."""
        part = self._next_part()
        batch = replace(
            whole,
            candidates=tuple(whole.candidates[index] for index in part),
            places=self._places,
            first=self._settled,
            now=self._services.clock(),
        )
        try:
            records, task = self._services.store.commit(lambda txn: self._settle(txn, batch))
        except StalePreconditions:
            self._whole, self._sent = None, replace(self._sent, account=None, collections=())
            return False
        except TransactionTooLarge:  # with the public objects that these are merged into
            if len(part) == 1:
                raise
            self._most = len(part) // 2
            self._sort_left(whole)
            return False
        self._whole = replace(whole, feeds=None)  # one may be added meanwhile
        if task is not None:
            self.is_final = False
            self._services.reviewer.follow(task, DECIDED)
        return self._note(part, records)

    def _sort_left(self, whole: Batch) -> None:
        """Sort what is left so that nothing comes before what it references, in any batch.

        In a circle of references, one of the objects comes before another that it references.
        """
        ordered = sort_by_references([whole.candidates[index] for index in self._left])
        self._left = [each.index for each in ordered]
        settled = set(range(len(whole.candidates))) - set(self._left)
        before = ((-1, whole.candidates[index]) for index in settled)
        every = chain(before, enumerate(ordered, self._settled))
        self._places = {str(c.source_id): place for place, c in every if c.source_id and c.is_open}

    def _next_part(self) -> Sequence[int]:
        """The indexes that one transaction settles."""
        following = [self._objects[index] for index in self._left[: self._most]]
        return self._left[: _fitting(following)]

    def _settle(self, txn: Transaction, batch: Batch) -> tuple[Sequence[Record], OutboxTask | None]:
        services = self._services
        services.evaluator.check(txn, batch)
        services.evaluator.check_sender(txn, batch)
        if self._until is not None and services.clock() >= self._until:
            raise StalePreconditions
        settlement = services.publisher.settle(txn, batch)
        txn.reviews.add(settlement.reviews)
        _finish(txn, "admit", self.submission, settlement.records, batch.first)
        return settlement.records, services.reviewer.leave_task(txn, batch, settlement)


class VerbatimAdmission:
    """Puts the objects of a submission into a verbatim collection as they are."""

    def __init__(
        self,
        services: AdmissionServices,
        sent: Sent,
        collection: Collection,
        objects: Sequence[bytes],
    ) -> None:
        self.submission = sent.submission
        self.records: list[Record] = []
        self.is_final = True
        self._services = services
        self._collection = collection
        self._objects = objects
        self._settled = sent.submission.settled

    @property
    def is_examined(self) -> bool:
        """See `Admission.is_examined`."""
        return True

    def step(self) -> bool:
        """See `Admission.step`."""
        store, submission, first = self._services.store, self.submission, self._settled
        part = self._objects[first : first + BATCH]
        part = part[: _fitting(part)]

        def deposit(txn: Transaction) -> list[Record] | Finding:
            account = _find_sender(txn, submission)
            if isinstance(account, Finding):
                return account
            agreements = self._services.evaluator.read_agreements(txn, submission)
            sender = Depositor.find(txn, submission, self._collection, (account, agreements))
            if isinstance(sender, Finding):
                return sender
            records = deposited(txn, self._collection, list(enumerate(part, first)), sender)
            _finish(txn, "deposit", submission, records, first)
            return records

        records = store.commit(deposit)
        if isinstance(records, Finding):
            self.is_final = False
            refused = _refused(range(first, first + len(part)), part, records)
            store.commit(lambda txn: _finish(txn, "admit", submission, refused, first))
            records = refused
        self.records += records
        self._settled += len(records)
        return self._settled >= len(self._objects)

    def close(self) -> None:
        """See `Admission.close`."""


def _find_sender(known: Senders, submission: Submission) -> Account | Finding:
    """The sender of a submission with the rights of now, or why they may not send it any more."""
    account = find_sender(known, submission.account)
    if account is None or account.disabled:
        return _DISABLED
    return account if may_still_write(account, submission.collection) else _NO_WRITE_RIGHT


def _fitting(objects: Sequence[bytes]) -> int:
    """The number of these objects that one transaction settles: at least one."""
    return max(1, sum(octets <= BATCH_OCTETS for octets in accumulate(map(len, objects))))


def _refused(part: Sequence[int], objects: Iterable[bytes], why: Finding) -> list[Record]:
    """The records of objects that were not settled in time, given their indexes."""
    refused, findings = Verdict.REFUSED.value, (why.as_json(),)
    return [
        Record(index, refused, each.source_id or "", findings=findings)
        for index, each in zip(part, parse_candidates(objects), strict=True)
    ]


def _finish(
    txn: Transaction, action: str, submission: Submission, records: Sequence[Record], settled: int
) -> None:
    """Write a batch's records and the journal; `settled` objects were settled before it."""
    txn.settle(submission.id, records, total=submission.total, settled=settled)
    counts = dict(Counter(each.verdict for each in records))
    txn.add_journal_entry(action, submission.account, {"submission": submission.id, **counts})
