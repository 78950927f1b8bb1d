"""Receive submissions and admit them, at once or from the queue.

`receive` stores what came before anything is evaluated, so that 202 can be
promised; what is above a quota is not stored at all.  Small and cheap submissions
are admitted within the request, others wait in the queue (`queue.py`), whose next
turn `work` takes.  A submission that ends its worker three times, or keeps failing in
it, is set aside for the operator (`set_aside.py`).
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from tocsin.admission.errors import Conflict, NotFound, TooManyRequests, Unavailable
from tocsin.server.auth import name_in_log
from tocsin.server.examination.examiner import WorkerEnded
from tocsin.server.intake.admission import (
    Admission,
    AdmissionServices,
    InboxAdmission,
    VerbatimAdmission,
)
from tocsin.server.intake.evaluate import Evaluator, Rules, Sent, split_envelope
from tocsin.server.intake.queue import (
    LEASE,
    REMOTE_LEASE,
    FairOrder,
    InlineBudget,
    Limits,
    Pauses,
    QueuedContents,
)
from tocsin.server.intake.review import Reviewer
from tocsin.server.intake.review_decisions import Decisions
from tocsin.server.intake.set_aside import MOST_ATTEMPTS, SetAside
from tocsin.server.intake.verbatim import check_deletion
from tocsin.server.model import (
    Account,
    Collection,
    CollectionKind,
    OpenSubmission,
    Receipt,
    Record,
    Submission,
    VersionKeyword,
)
from tocsin.server.publishing.publisher import Publisher
from tocsin.server.store import Store, Transaction

log = logging.getLogger(__name__)

_LIST_LEAST = 0.1
"""Minimum seconds for which a list of the queue is reused, unless this hub receives something."""
_LIST_REST = 10
"""A list of the queue is used for ten times as long as it took to read."""
_QUEUE_FULL = (
    "{} submissions of this partner wait to be admitted, as many as may; "
    "retry in {} s, when some are settled"
)
_QUEUE_SECONDS = 30
_RENEWALS = 10
"""Number of renewals of a lease in the time after which it would end."""


class Intake:
    """Receives and settles submissions; the only way into a collection."""

    def __init__(
        self, store: Store, publisher: Publisher, rules: Rules, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._counters = store.counters
        self._rules = rules
        self._clock = clock
        self._owner = store.process
        self._lease = LEASE if rules.examiner is None else REMOTE_LEASE
        self.evaluator = evaluator = Evaluator(store, publisher, rules, clock)
        """Evaluates submissions, and plans previews."""
        self.reviewer = Reviewer(store, publisher, evaluator, clock)
        """Decides reviews."""
        self._services = AdmissionServices(store, publisher, evaluator, self.reviewer, clock)
        self._outbox_first = False
        self._order = FairOrder()
        self._begun: dict[str, Admission] = {}
        """The large submissions that are being admitted here, by id."""
        self._blame: dict[str, int] = {}
        """Their attempts without progress, the current one left out."""
        self._blamed: tuple[str, int] | None = None
        """The one that would be blamed in the database if this process ended now, with its number
        of attempts there: that whose turn was the last, as long as no other work begins."""
        self._unreleased: dict[str, int | None] = {}
        """Submissions to be given back when the database answers again, because it failed under
        them, or because their request failed.

        By id: the attempts without progress that they had before; None leaves the number.
        """
        self._ahead = ""
        """The submission that was examined last before its turn."""
        self._inline = InlineBudget()
        self._pauses = Pauses()
        self._listed: dict[str, OpenSubmission] = {}
        self._list_until = 0.0
        """Time at which the list must be read again, in seconds of the monotonic clock."""
        self._renew_at = 0
        """Time at which leases are renewed, in µs of the clock."""
        self.waiting = threading.Event()
        """Set when a submission was received that waits in the queue, or a task is due."""
        self.decisions = Decisions(store, self.waiting)
        """Decisions of reviewers, which take effect later."""
        self.set_aside = SetAside(store, clock)
        """Submissions that wait for the operator."""

    def receive(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        objects: list[bytes],
        raw: bytes,
        collections: Sequence[Collection] = (),
        *,
        id: str = "",
        anonymous: bool = False,
    ) -> Receipt:
        """Store a submission durably, and settle it if it is small and cheap.

        `objects` are the envelope's, as bytes; `raw` is the whole body; `collections` are all
        of the hub's, if they were looked up already.  `id`: that of the submission; by default a
        new one.  If there is one already, Conflict is raised.  `anonymous`: see Submission.  Raises
        TooManyRequests, and stores nothing, if a quota of the partner is used up.
        """
        if id and self._store.submissions.find(id, raw=False) is not None:
            raise Conflict("this was submitted already")
        is_verbatim = collection.kind is CollectionKind.VERBATIM
        submission = Submission(
            id=id or str(uuid.uuid4()),
            account=account.name,
            partner=account.partner,
            collection=collection.id,
            received=self._clock(),
            total=len(objects),
            raw=raw,
            lane=collection.id if is_verbatim else "",
            anonymous=anonymous,
        )
        contents = QueuedContents.read(objects)
        waiting = self._store.submissions.list_open_of(account.partner, LEASE)
        self._check_quotas(submission, waiting)
        with self._inline.enter(account.partner or account.name, len(raw)) as may_enter:
            submission, inline = _place(
                submission,
                contents,
                self._rules.limits,
                waiting,
                must_wait=not (may_enter or is_verbatim),
            )
            digests = b"" if is_verbatim else contents.digest_ids()
            if not inline:
                self._store.submissions.receive(submission, digests=digests)
                self._counters.count_submission(queued=True)
                self.waiting.set()
                return Receipt(replace(submission, raw=b""), ())
            with self._giving_back(submission.id):
                self._store.submissions.receive(
                    submission, owner=self._owner, seconds=LEASE, digests=digests
                )
                self._counters.count_submission(queued=False)
                sent = Sent(submission, account, tuple(collections))
                records = self._finish(self._begin(sent, collection, objects))
        if records is None:
            settled = self._store.submissions.require(submission.id)
            return Receipt(settled, self._store.submissions.records(submission.id))
        counts = Counter(record.verdict for record in records)
        done = replace(submission, raw=b"", settled=len(records), counts=counts)
        return Receipt(done, tuple(records))

    def work(self) -> bool:
        """Do one task of the outbox or give one submission its turn; False if there is none.

        They alternate, so that neither waits for the other, however often one fails.
        """
        if self.waiting.is_set():
            self.waiting.clear()
            self._list_until = 0.0
        self._outbox_first = not self._outbox_first
        if self._outbox_first and self.reviewer.may_have_task:
            return self.reviewer.work(self._clear_blame) or self._next()
        return self._next() or self.reviewer.work(self._clear_blame)

    def stop(self) -> None:
        """Leave what was begun to other workers, or to the next start."""
        self.evaluator.drop_ahead()
        self.reviewer.stop()
        for id in list(self._begun):
            self._give_back(id, forgive=True)

    def admit(self, submission: Submission) -> None:
        """Settle every record that is not settled yet; goes on where a crash left off."""
        if submission.settled == submission.total:  # it died before it gave the lease back
            self._store.submissions.release(submission.id, self._owner)
            return
        self._finish(self._begin(Sent(submission)))

    def remove(  # noqa: PLR0913
        self,
        account: Account,
        collection: Collection,
        object_id: str,
        keywords: frozenset[VersionKeyword] | None,
        versions: frozenset[int],
        specs: frozenset[str],
    ) -> int:
        """Delete versions of an object from a verbatim collection; how many (TAXII 2.1 §5.7).

        Raises NotAllowed as `check_deletion` does.
        """

        def work(txn: Transaction) -> int:
            check_deletion(txn, account, collection, object_id)
            count = txn.remove(
                collection.id, object_id, keywords=keywords, versions=versions, specs=specs
            )
            if count:
                txn.add_journal_entry(
                    "delete", account.name, {"collection": collection.id, "count": count}
                )
            return count

        return self._store.commit(work)

    def _check_quotas(self, submission: Submission, waiting: Sequence[OpenSubmission]) -> None:
        """Raises TooManyRequests if a quota of the partner is used up.  Operators have none."""
        limits = self._rules.limits
        if not submission.partner:
            return
        if limits.queued and len(waiting) >= limits.queued:
            message = _QUEUE_FULL.format(len(waiting), _QUEUE_SECONDS)
            raise TooManyRequests(message, _QUEUE_SECONDS)
        octets = len(submission.raw)
        self._store.quotas.take(submission.partner, limits.quota, submission.total, octets)

    def _next(self) -> bool:
        """Give the next submission its turn; False if none can be admitted now.

        A submission that fails keeps no other waiting: its partner has had its turn, and it is
        tried again after a pause.  Only an outage of the database ends the search.
        """
        self.release_failed()
        listed, is_new = self._list_waiting()
        unsettled = {each.id for each in listed}
        self._keep_begun(unsettled)
        if self._ahead and self._ahead not in unsettled:
            self._ahead = ""
            self.evaluator.drop_ahead()
        has_large = {each.sender for each in listed if each.is_large}
        for chosen in self._order.choose(listed, self._begun, self._pauses.resting()):
            began = time.monotonic()
            self._look_ahead(listed, chosen)
            worked = self._try_turn(chosen)
            if worked or chosen.id in self._pauses:
                seconds = time.monotonic() - began
                self._order.take(chosen, has_large=chosen.sender in has_large, seconds=seconds)
            if worked:
                return True
        self._list_until = 0.0
        self._clear_blame()
        return not is_new  # there may be others by now

    def _try_turn(self, chosen: OpenSubmission) -> bool:
        """Give a submission its turn; False if it failed or another worker has it."""
        try:
            worked = self._take_turn(chosen)
        except Exception as error:
            if self._store.availability.is_outage(error):
                raise
            self._note_failure(chosen, error)
            return False
        else:
            self._pauses.forget(chosen.id)
            return worked
        finally:
            if chosen.id not in self._begun:  # of those the list need not say more
                self._refresh(chosen.id)

    def _look_ahead(self, listed: Sequence[OpenSubmission], chosen: OpenSubmission) -> None:
        """Examine the next large submission while what was chosen is settled.

        One that failed before is left to its own turn.
        """
        settling = self._begun.get(chosen.id)
        if self._rules.examiner is None or settling is None or not settling.is_examined:
            return
        following = next((each for each in listed if self._may_look_ahead(each)), None)
        if following is None or following.id == self._ahead:
            return
        self._ahead = following.id
        try:
            self._begin_ahead(following)
        except Exception as error:  # its own turn will say so, and nobody else's ends for it
            if self._store.availability.is_outage(error):
                raise
            log.info("submission=%s is not examined before its turn: %s", following.id, error)

    def _begin_ahead(self, following: OpenSubmission) -> None:
        """Begin to examine a submission before its turn.

        If reading it ends this process, that is counted against it, and against no other.
        """
        self._clear_blame()
        submissions = self._store.submissions
        if not submissions.count_attempts(following, 1):
            return  # another worker has it
        try:
            submission = submissions.find(following.id)
            if submission is not None:
                self.evaluator.look_ahead(submission)
        except Exception:  # what ends the process stays counted
            submissions.count_attempts(following, 0)
            raise
        submissions.count_attempts(following, 0)

    def _may_look_ahead(self, waiting: OpenSubmission) -> bool:
        is_idle = waiting.is_queued and waiting.is_free and waiting.id not in self._begun
        failed = waiting.attempts or waiting.id in self._pauses
        return waiting.is_large and not waiting.lane and is_idle and not failed

    def _keep_begun(self, waiting: set[str]) -> None:
        """Keep the leases of what is being admitted here, however long the turns of others are."""
        for gone in self._begun.keys() - waiting:
            self._drop_begun(gone)
        pause, left = self._lease * 1_000_000 // _RENEWALS, self._renew_at - self._clock()
        if self._begun and not 0 < left <= pause:  # more is left if the clock was stepped back
            self._store.submissions.renew_all(list(self._begun), self._owner, self._lease)
            self._renew_at = self._clock() + pause

    def _list_waiting(self) -> tuple[list[OpenSubmission], bool]:
        """The submissions that are not settled, the oldest first; True if they were just read.

        A long queue is not read again for each turn: at most a tenth of the time goes into that.
        """
        began = time.monotonic()
        is_new = began >= self._list_until
        if is_new:
            self._listed = {each.id: each for each in self._store.submissions.list_open(LEASE)}
            now = time.monotonic()
            self._list_until = now + max(_LIST_LEAST, _LIST_REST * (now - began))
        return list(self._listed.values()), is_new

    def _refresh(self, id_: str) -> None:
        """Bring the list up to date for one submission."""
        found = self._store.submissions.find_open(id_, LEASE)
        if found is None:
            self._listed.pop(id_, None)
        elif id_ in self._listed:
            self._listed[id_] = found

    def release_failed(self) -> None:
        """Give back the submissions whose request failed, or under which the database failed."""
        for id_, attempts in list(self._unreleased.items()):
            self._store.submissions.release(id_, self._owner, attempts=attempts)
            self._unreleased.pop(id_, None)

    def _note_failure(self, chosen: OpenSubmission, error: Exception) -> None:
        seconds = self._pauses.lengthen(chosen.id)
        if isinstance(error, Unavailable):
            log.warning(
                "submission=%s could not be examined yet; it is tried again in %d s: %s",
                chosen.id,
                seconds,
                error,
            )
        else:
            log.exception("submission=%s failed; it is tried again in %d s", chosen.id, seconds)

    def _take_turn(self, chosen: OpenSubmission) -> bool:
        """Do a step of a large submission, or all of a small one; False if another worker does."""
        admission = self._begun.get(chosen.id)
        if admission is not None:
            submission = admission.submission
            attempts = self._blame[chosen.id] + 1
            if self._blamed != (chosen.id, attempts):
                self._clear_blame(but=chosen.id)
                if not self._renew(chosen.id, attempts):
                    self._drop_begun(chosen.id)
                    return True
                self._blamed = chosen.id, attempts
        else:
            if chosen.attempts >= MOST_ATTEMPTS:
                return self.set_aside.add(chosen)
            self._clear_blame()
            leased = self._store.submissions.lease(chosen, self._owner, self._lease)
            if leased is None:
                return False
            submission = leased
            self._blame[chosen.id] = chosen.attempts
            self._blamed = chosen.id, chosen.attempts + 1
        self._guard(submission, admission)
        return True

    def _guard(self, submission: Submission, admission: Admission | None) -> None:
        """Give a submission its turn; a fault costs it an attempt, unless it is not its own."""
        try:
            if submission.is_large:
                self._step(submission, admission)
            else:
                self.admit(submission)
                self._blame.pop(submission.id, None)
        except WorkerEnded as error:
            log.warning("submission=%s ended its worker process: %s", submission.id, error)
            self._give_back(submission.id)
        except Exception as error:
            if self._store.availability.is_outage(error):
                self._unreleased[submission.id] = self._blame.get(submission.id)
                self._drop_begun(submission.id)
            else:
                self._give_back(submission.id, forgive=isinstance(error, Unavailable))
            raise

    @contextmanager
    def _giving_back(self, id_: str) -> Iterator[None]:
        """Give the lease of a submission back if its request fails, by the next turn."""
        try:
            yield
        except Exception as error:
            is_outage = self._store.availability.is_outage(error)
            is_forgiven = is_outage or isinstance(error, Unavailable)
            self._unreleased[id_] = 0 if is_forgiven else None
            self.waiting.set()
            raise

    def _step(self, submission: Submission, admission: Admission | None) -> None:
        if admission is None:
            admission = self._begin(Sent(submission))
            self._begun[submission.id] = admission
        before = len(admission.records)
        try:
            finished = submission.settled == submission.total or self._advance(admission)
        except Conflict:
            log.warning("another worker took over submission=%s", submission.id)
            self._drop_begun(submission.id)
            return
        if len(admission.records) > before:
            self._blame[submission.id] = 0
            self._blamed = None  # settling has reset the number in the database too
        if finished:
            self._drop_begun(submission.id)
            self._close(admission)

    def _renew(self, id: str, attempts: int) -> bool:
        return self._store.submissions.renew(id, self._owner, self._lease, attempts=attempts)

    def _clear_blame(self, *, but: str = "") -> None:
        """Reset the attempts of the submission whose turn was last; other work may end the process.

        Between two steps of the same submission the number stays, which saves two commands a step.
        """
        blamed, self._blamed = self._blamed, None
        if blamed is not None and blamed[0] in self._begun and blamed[0] != but:
            self._renew(blamed[0], self._blame[blamed[0]])

    def _drop_begun(self, id: str) -> None:
        self._blame.pop(id, None)
        admission = self._begun.pop(id, None)
        if admission is not None:
            admission.close()

    def _give_back(self, id: str, *, forgive: bool = False) -> None:
        attempts = self._blame.get(id) if forgive else None
        self._drop_begun(id)
        self._store.submissions.release(id, self._owner, attempts=attempts)

    def _begin(
        self,
        sent: Sent,
        collection: Collection | None = None,
        objects: Sequence[bytes] | None = None,
    ) -> Admission:
        """Begin to admit a submission: in this process with `objects`, else where it can be."""
        elsewhere = objects is None
        collection = collection or self._collection(sent.submission.collection)
        objects = split_envelope(sent.submission.raw) if objects is None else objects
        if collection.kind is CollectionKind.VERBATIM:
            return VerbatimAdmission(self._services, sent, collection, objects)
        return InboxAdmission(self._services, sent, objects, elsewhere=elsewhere)

    def _advance(self, admission: Admission) -> bool:
        """Do the next step, and count the objects that it settled; see `Admission.step`."""
        before = len(admission.records)
        try:
            return admission.step()
        finally:  # a batch is settled even if what follows it fails
            self._counters.count_objects(each.verdict for each in admission.records[before:])

    def _finish(self, admission: Admission) -> list[Record] | None:
        """Settle what is left; all records as they are now, or None if they must be read."""
        try:
            while not self._advance(admission):
                pass
        except Conflict:  # the lease ran out, however short the time: clocks may step
            log.warning("another worker took over submission=%s", admission.submission.id)
            return None
        finally:
            admission.close()
        self._close(admission)
        is_whole = admission.is_final and admission.submission.settled == 0
        return sorted(admission.records, key=lambda record: record.index) if is_whole else None

    def _close(self, admission: Admission) -> None:
        """Log and count that a submission is settled."""
        submission = admission.submission
        milliseconds = (self._clock() - submission.received) // 1000
        self._counters.count_settled(milliseconds / 1000)
        log.info(
            "admitted submission=%s account=%s records=%d ms=%d policy=%s",
            submission.id,
            name_in_log(self._store, submission.account),
            submission.total,
            milliseconds,
            self._rules.policy.sha256[:12],
        )

    def _collection(self, name: str) -> Collection:
        for collection in self._store.feeds.collections():
            if collection.id == name:
                return collection
        raise NotFound(f"there is no collection {name}")


def _place(
    submission: Submission,
    contents: QueuedContents,
    limits: Limits,
    waiting: Sequence[OpenSubmission],
    *,
    must_wait: bool,
) -> tuple[Submission, bool]:
    """A submission with its place in the queue; True if its request may admit it at once.

    `waiting` are the submissions of the same partner that are not settled, with digests;
    `must_wait`: its partner has used up its `InlineBudget`.
    """
    is_large = (
        submission.total > limits.inline_objects or len(submission.raw) > limits.inline_octets
    )
    same = [each for each in waiting if each.lane == submission.lane]
    if submission.lane:
        before = [each for each in same if each.is_queued or each.is_free]
    else:
        before = [each for each in same if contents.share_ids(each)]
    inline = not (is_large or contents.has_foreign_patterns or before or must_wait)
    if is_large or (submission.lane and not inline):
        before = same
    implied = {id_ for each in before for id_ in each.after}
    after = tuple(each.id for each in before if each.id not in implied)
    return replace(submission, is_large=is_large, after=after), inline
