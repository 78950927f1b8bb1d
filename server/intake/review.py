"""Decide reviews: a reviewer does, or the arrival of the object that was waited for.

Objects may wait for one that a transaction publishes.  The transaction adds a task to the outbox;
a worker evaluates the waiting objects after the commit, which may add further tasks.  A task can be
repeated safely and survives a crash: another worker takes it over.

A decision that a person takes in the console is a task as well, which is due after the time
in which it can be taken back (`review_decisions.py`).
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from tocsin.admission.errors import Conflict, Malformed, NotFound, Unavailable
from tocsin.admission.markings.granular import split_by_tlp
from tocsin.admission.merge.content import canonical_json
from tocsin.admission.model import (
    Action,
    Candidate,
    Contribution,
    Finding,
    Path,
    StixObject,
    Tlp,
    Verdict,
    Waiver,
    format_path,
    walk_values,
)
from tocsin.admission.stix.free_text import free_texts
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.timestamps import micros
from tocsin.server.agreements import PartnerAgreements
from tocsin.server.auth import find_sender, may_still_write
from tocsin.server.examination.examiner import parse_candidate
from tocsin.server.intake.evaluate import Evaluator, Sent
from tocsin.server.intake.marks import Mark, find_marks, list_maskable_words
from tocsin.server.intake.masks import mask_object, mask_parts
from tocsin.server.intake.remaining_words import RemainingWords
from tocsin.server.model import (
    ActState,
    ArrivedIds,
    DecisionKind,
    OutboxTask,
    Record,
    Review,
    ReviewAct,
    ReviewKind,
    Span,
    Submission,
)
from tocsin.server.publishing.attribution import choose_end_of_authors
from tocsin.server.publishing.batch import Batch, StalePreconditions
from tocsin.server.publishing.publisher import Publisher, Settlement
from tocsin.server.publishing.references import find_definitions
from tocsin.server.publishing.verdicts import (
    merge_held_records,
    merge_records,
    update_review,
    with_waived_rules,
)
from tocsin.server.store import Overtaken, Snapshot, Store, Transaction

log = logging.getLogger(__name__)

LEASE = 90
"""Seconds after which another worker may take over a task that is not done: see `queue.LEASE`."""

_RENEWALS = 10
"""Number of renewals of a lease in the time after which it would end."""

PORTION = 50
"""Reviews that are decided between two renewals of the lease."""

CARRIED_OUT = 10
"""Reviews of one act that are decided before other work gets a turn."""

DECIDED = 20
"""Reviews that what has come decides at once: in a request, or before other work gets a turn."""

MOST_FOLLOWED = 4
"""Groups of tasks that one worker has begun at most."""

TAKEN = 100
"""Tasks that are taken over together."""

_REFUSED_LAST = 1_000
"""Place of refusals, after every level: readers see nothing of them, so that nothing of what they
see shall come later because of them."""

_OLDER_LAST = 999
"""Place of older versions of what waits, after every level."""

_LOOK_SECONDS = 0.5
"""Seconds between two looks for tasks, while there is other work."""

_NO_WAIVER = Waiver()
_INTAKE = "intake"
_CHANGES = frozenset((Action.REPLACED, Action.STRIPPED, Action.ASKED))
_DECIDES = frozenset((Action.HELD, Action.REFUSED))
_BY_ITSELF = (("references",), ("marking",))
"""Reviews for these rules alone need no reviewer once what they wait for has arrived."""


@dataclass(frozen=True, slots=True)
class _DecisionContext:
    """Who decides a review, on which occasion, and which rules are waived."""

    who: str
    waiver: Waiver = Waiver()
    done: str = ""
    """The task that is removed in the same transaction; empty: none."""
    act: str = ""
    """The reviewer's act that is carried out; empty: the decision takes effect at once."""
    is_answer: bool = False
    """True if a person decides at once, by a command."""

    @property
    def is_by_person(self) -> bool:
        """True if the decision also applies when the object is sent again unchanged."""
        return self.is_answer or bool(self.act)


_INVALID_WITHOUT = (
    "it cannot be published without the text ({}): release it as a whole, or reject it"
)


_NOT_A_TEXT = (
    "the marked part is a value, which cannot be masked ({}): release it as a whole, or reject it"
)
_ITS_MARKING = (
    "its marking is in question, which cannot be masked: release it as a whole, or reject it"
)
_THE_OBJECT = (
    "the object as a whole is in question, and masks change nothing of that: release it as a whole,"
    " or reject it"
)
_STILL_THERE = (
    "words to be masked would still be published in {}, which cannot be masked: release it as a"
    " whole, or reject it"
)
_STILL_IN_TEXT = (
    "words to be masked would still be published in {}: enter them as they are written there, too"
)
_MARKINGS = ("object_marking_refs", "granular_markings")
_NOT_ALONE = "it waits for something else as well: no decision can publish it now"
_LOCKED_OUT = "the account {} may not send any more: reject it, or let the account in again"
_NO_WRITE_RIGHT = (
    "the account {} may not write to the collection any more: reject it, or give the right back"
)
_NO_AGREEMENT = "no agreement with {} is in force that allows it: reject it, or add an agreement"
_NEWER_IS_PUBLISHED = "you sent a newer version of it, which is published"
_REVOKED = "was revoked while it waited"
_REJECTED = "a reviewer rejected it"
_RELEASED = "a reviewer released it as it was sent"
_RELEASED_MASKED = "a reviewer released it with the text masked"
_STAYS_MASKED = "the masked text is not published: {}"
_KEPT_MASKED = "a reviewer kept it masked"
_GONE = "the shortened copy is not published any more: it was withdrawn, revoked or has ended"


@dataclass(frozen=True, slots=True)
class MaskedPreview:
    """The object as it would be published without the texts that a review is about."""

    object: StixObject | None = field(repr=False)
    """None: it would not be valid."""
    fault: str = ""
    """Why it cannot be published so; empty: it can."""
    remaining: str = ""
    """A place that still has masked words, as a path; empty if there is none."""
    no_edit: str = ""
    """Why no choice of words to mask can be published, so that a release in full or a rejection
    decides: a marked part would stay that nobody has released.  Empty: one can."""


@dataclass(frozen=True, slots=True)
class FullPreview:
    """The object as it would be published if the review were released in full."""

    object: StixObject | None = field(repr=False)
    """None: it would be refused."""
    fault: str = ""
    """Why it would not be published all the same; empty: it would be."""
    acting: tuple[Finding, ...] = ()
    """The findings of rules that change it all the same."""


class Reviewer:
    """Decides reviews and works the outbox off."""

    def __init__(
        self, store: Store, publisher: Publisher, evaluator: Evaluator, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._evaluator = evaluator
        self._clock = clock
        self._owner = store.process
        self._taken: list[OutboxTask] = []
        self._unfinished: deque[_TaskGroup] = deque()
        """Groups of tasks that have begun; the one whose turn is next comes first."""
        self._begin_first = False
        self._look_at = 0.0
        """Time, in seconds of the monotonic clock, until which no task need be looked for."""

    def release(self, review: Review, who: str, *, without_text: bool = False) -> Record:
        """Admit a waiting object as its partner's contribution, its review's rules waived.

        `without_text`: the texts that they found something in stay masked.  Raises Conflict if
        the object would be refused then; it goes on waiting.
        """
        context = _DecisionContext(who, is_answer=True)
        record, left = self._release(review, context, without_text=without_text)
        self.follow(left)
        return record

    def _release(
        self, review: Review, context: _DecisionContext, *, without_text: bool
    ) -> tuple[Record, OutboxTask | None]:
        if without_text and review.kind is ReviewKind.REDACTED:
            return self._close(review, context)
        waiver = Waiver(frozenset(review.rules), without_text)
        return self._decide_review(review, replace(context, waiver=waiver))

    def examine(self, review: Review, waiver: Waiver = _NO_WAIVER) -> Candidate:
        """The object of a review as the rules leave it today, with their findings.

        `waiver`: as if it was released so.  Raises NotFound if its submission is not kept any more.
        """
        submission = self._store.submissions.require(review.submission)
        candidates = [parse_candidate(review.index, review.object)]
        sent = Sent(submission, anonymous=review.anonymous)
        return self._evaluator.evaluate(sent, candidates, waiver).candidates[0]

    def find_marks(self, review: Review) -> tuple[Mark, ...]:
        """The findings that change or hold a review's object now, with the words they are about.

        Raises Conflict if the review was decided: its object is not kept any more.
        """
        if not review.object:
            raise Conflict(
                f"review {review.id} has been {review.state}; its object is not kept any more"
            )
        sanitised: StixObject | None = None
        with suppress(NotFound):  # the submission is not kept any more: only the findings are left
            sanitised = self.examine(review).object
        return find_marks(review, json.loads(review.object), sanitised)

    def preview_masked(self, review: Review) -> MaskedPreview:
        """The object of a review as it is, or would be, published without the texts in question.

        Raises NotFound if its submission is not kept any more.
        """
        is_published = review.kind is ReviewKind.REDACTED
        waiver = Waiver() if is_published else Waiver(frozenset(review.rules), without_text=True)
        candidate = self.examine(review, waiver)
        masked = candidate.object
        place = _find_fixed_words(review, masked)
        remaining = _STILL_THERE.format(place) if place else ""
        no_edit = _find_fixed_part(review, masked, but_texts=True) or remaining
        fault = ""
        if not is_published:
            fault = _find_obstacle(review, candidate) or _find_fixed_part(review, masked)
            fault = fault or remaining
        if candidate.verdict is Verdict.REFUSED:
            masked = None
        return MaskedPreview(masked, fault, place, no_edit)

    def preview_full(self, review: Review) -> FullPreview:
        """The object of a review as it would be published if it was released in full.

        Raises NotFound if its submission is not kept any more.
        """
        candidate = self.examine(review, Waiver(frozenset(review.rules)))
        acting = tuple(each for each in candidate.findings if each.action in _CHANGES)
        if candidate.is_open and candidate.object is not None:
            return FullPreview(candidate.object, acting=acting)
        deciding = (each for each in candidate.findings if each.action in _DECIDES)
        why = "; ".join(dict.fromkeys(each.message for each in deciding))
        return FullPreview(None, why or _NOT_ALONE, acting)

    def check_edit(self, review: Review, masks: Sequence[Span]) -> None:
        """Raises Conflict if an object with these masks must not be published.

        That is if any of the masked words still stands somewhere in it, or a marked part stays
        that cannot be masked.  Raises NotFound if its submission is not kept any more.
        """
        if fault := self.preview_masked(review).no_edit:
            raise Conflict(fault)
        original = parse_object(review.object)
        edited = replace(review, object=canonical_json(mask_parts(original, masks)))
        candidate = self.examine(edited, Waiver(frozenset(review.rules)))
        if fault := _find_obstacle(review, candidate) or _find_masked_word(
            original, candidate.object, masks
        ):
            raise Conflict(fault)

    def reject(self, review: Review, who: str, reason: str, *, is_answer: bool = False) -> Record:
        """Refuse a held object; one that was published without some parts stays as it is.

        `is_answer`: a person decides, so the submitter reads the reason in both cases.
        """
        record, left = self._refuse(review, _DecisionContext(who, is_answer=is_answer), reason)
        self.follow(left)
        return record

    def forget_decision(self, id: str, who: str) -> Review:
        """Let the same object be asked about again when its partner sends it; the decided review.

        Raises NotFound if there is none, Conflict if it was not decided.
        """

        def write(txn: Transaction) -> Review:
            review = txn.reviews.forget_decision(id)
            txn.add_journal_entry("review.forget", who, _entry(review))
            return review

        return self._store.commit(write)

    def leave_task(
        self, txn: Transaction, batch: Batch, settlement: Settlement
    ) -> OutboxTask | None:
        """Leave a task for what waits for this batch; None if nothing does."""
        if settlement.authors is not None:
            due = choose_end_of_authors(batch.now)
            task = OutboxTask(str(uuid.uuid4()), settlement.authors, due=due, is_of_authors=True)
            txn.outbox.put(task, self._owner, LEASE)
        come = settlement.joined | _late_definitions(txn, batch, settlement.reviews)
        arrivals = replace(settlement.arrivals, source_ids=settlement.arrivals.source_ids | come)
        return self._put_task(txn, OutboxTask("", arrivals, settlement.after, settlement.revoked))

    def follow(self, task: OutboxTask | None, most: int | None = None) -> None:
        """Do a task, and those that it leaves; after `most` decisions, workers do the rest."""
        group = _TaskGroup([] if task is None else [task])
        is_much = most is not None and task is not None and bool(task.resume_after)
        if is_much or not self._go_on(group, most):
            self._give_back(group)

    def stop(self) -> None:
        """Leave to other workers what is not done."""
        for task in self._taken:
            self._store.outbox.give_back(task.id, self._owner, task.group)
        for group in self._unfinished:
            self._give_back(group)
        self._taken.clear()
        self._unfinished.clear()

    def _give_back(self, group: _TaskGroup) -> None:
        """Leave the rest of some tasks to workers, in its order."""
        group_id = str(uuid.uuid4())
        begun = [each.task for each in group.running if not (each.failed or each.lost)]
        for task in (*group.tasks, *begun):
            self._store.outbox.give_back(task.id, self._owner, group_id)

    def _go_on(self, group: _TaskGroup, most: int | None) -> bool:
        """Go on with tasks until nothing is left (True), or `most` reviews are decided.

        With `most`, a portion of what is completed ends the turn, too.  Everything that less
        strict objects bring about comes before stricter ones, so that no reader sees by the dates
        of an object that something hidden waited for the same.
        """
        decided = 0
        while group.tasks or group.queue:
            if group.tasks and group.tasks[-1].resume_after:
                group.tasks.append(self._complete_portion(group.tasks.pop()))
                if most is not None:
                    return False
            elif group.tasks:
                running = _RunningTask(group.tasks.pop())
                for due in self._begin_task(running.task):
                    running.undecided += 1
                    heappush(group.queue, (due.level, next(group.serial), due, running))
            elif decided == most:
                return False
            else:
                *_, due, running = heappop(group.queue)
                self._decide_next(due, running, group.tasks)
                decided += 1
        return True

    @property
    def may_have_task(self) -> bool:
        """False if there was none a moment ago: who has other work need not look yet."""
        is_busy = bool(self._unfinished or self._taken)
        return is_busy or time.monotonic() >= self._look_at

    def work(self, before_task: Callable[[], None] = lambda: None) -> bool:
        """Do a part of what was left, after `before_task`; False if there is nothing.

        Tasks that have begun and others take turns, so that neither waits for the other's end.
        """
        self._begin_first = not self._begin_first
        is_full = len(self._unfinished) == MOST_FOLLOWED
        if not is_full and (self._begin_first or not self._unfinished) and (found := self._take()):
            tasks = [each for each in found if self._renew(each)]
            if tasks:
                before_task()
                self._begin(tasks)
            return True
        if not self._unfinished:
            return False
        before_task()
        self._continue(self._unfinished.popleft())
        return True

    def _take(self) -> list[OutboxTask]:
        """The next task that was left, or a group of them; empty if there is none."""
        if not self._taken and not (self._unfinished and time.monotonic() < self._look_at):
            self._taken = self._store.outbox.lease(self._owner, LEASE, TAKEN)[::-1]
            if not self._taken:
                self._look_at = time.monotonic() + _LOOK_SECONDS
        if not self._taken:
            return []
        task = self._taken.pop()  # whatever goes wrong with it, the next one comes next
        group = [each for each in self._taken if task.group and each.group == task.group]
        self._taken = [each for each in self._taken if each not in group]
        return [task, *group]

    def _begin(self, tasks: list[OutboxTask]) -> None:
        if tasks[0].is_act:
            self._carry_out(tasks[0])
        elif tasks[0].is_of_authors:
            self._end_authors(tasks[0])
        else:
            self._continue(_TaskGroup(tasks))

    def _continue(self, group: _TaskGroup) -> None:
        """Go on with tasks for one turn; after a fault, the rest is done when its lease ends."""
        if time.monotonic() - group.renewed > LEASE / _RENEWALS:
            group.renewed = time.monotonic()
            for running in group.running:
                running.lost = not self._renew(running.task)
            group.tasks = [each for each in group.tasks if self._renew(each)]
        if not self._go_on(group, DECIDED):
            self._unfinished.append(group)

    def _end_authors(self, task: OutboxTask) -> None:
        """End identities hours after the report that showed whose they are."""

        def write(txn: Transaction) -> None:
            if task.due > txn.now:  # by a clock that was ahead, so the report may be the latest
                due = choose_end_of_authors(txn.now)
                txn.outbox.put(replace(task, due=due), self._owner, LEASE)
                return
            self._publisher.end_authors(txn, task.arrived, txn.now)
            txn.outbox.remove(task.id)

        self._store.commit(write)

    def _carry_out(self, task: OutboxTask) -> None:
        """Carry an act out on the next few of its reviews; at the end the task is removed.

        A review is decided once: its decision is checked in the transaction that decides it.
        """
        act = self._store.review_acts.find(task.id)
        if act is None or act.state is not ActState.PENDING:
            self._store.outbox.remove(task.id)
            return
        left = [each for each in self._store.reviews.find_all(act.reviews) if _stands(each, act)]
        for review in left[:CARRIED_OUT]:
            self._carry_out_on(review, act)
        if len(left) > CARRIED_OUT:
            self._store.outbox.give_back(task.id, self._owner)  # other tasks have their turns
        else:
            self._end_act(act)

    def _end_act(self, act: ReviewAct) -> None:
        def write(txn: Transaction) -> None:
            txn.review_acts.end(act.id, ActState.DONE)
            txn.outbox.remove(act.id)

        self._store.commit(write)

    def _carry_out_on(self, review: Review, act: ReviewAct) -> None:
        try:
            self.follow(self._decide_as(review, act), DECIDED)
        except Overtaken:
            pass  # withdrawn, revoked by its partner, or decided by a command meanwhile
        except (Conflict, NotFound, Malformed) as error:
            self._return_review(review, act, str(error))
        except Exception as error:
            if isinstance(error, Unavailable) or self._store.availability.is_outage(error):
                raise
            log.exception("cannot decide review %s; it waits again", review.id)
            self._return_review(review, act, "it could not be carried out: see the hub's log")

    def _decide_as(self, review: Review, act: ReviewAct) -> OutboxTask | None:
        context = _DecisionContext(act.login, act=act.id)
        if act.kind is DecisionKind.REJECT:
            _, left = self._refuse(review, context, act.reason)
        elif act.kind is DecisionKind.EDIT:
            self.check_edit(review, review.decision.masks if review.decision else ())
            edited = replace(review, object=mask_object(review))
            _, left = self._release(edited, context, without_text=False)
        else:
            without_text = act.kind is DecisionKind.KEEP_MASKED
            if without_text and (fault := self.preview_masked(review).fault):
                raise Conflict(fault)
            _, left = self._release(review, context, without_text=without_text)
        return left

    def _return_review(self, review: Review, act: ReviewAct, why: str) -> None:
        def write(txn: Transaction) -> None:
            if txn.reviews.put_back(review.id, act.id, why):
                txn.review_acts.note_failure(act.id, review.id, why)
                details = {"review": review.id, "act": act.id, "reason": why}
                txn.add_journal_entry("review.return", act.login, details)

        self._store.commit(write)

    def _begin_task(self, task: OutboxTask) -> list[_PendingReview]:
        """The reviews to decide, and to refuse, with the reason; a task with none is done."""
        revoked = [
            _PendingReview(each.id, _REFUSED_LAST, _REVOKED) for each in self._list_revoked(task)
        ]
        gone, versions = {each.id for each in revoked}, _WaitingVersions()

        def read(review: Review) -> _PendingReview | None:
            if review.id in gone:
                return None
            if self._is_overtaken(review, task.arrived):
                return _PendingReview(review.id, _REFUSED_LAST, _NEWER_IS_PUBLISHED)
            if review.rules not in _BY_ITSELF:
                return None
            versions.note(review)
            return _PendingReview(review.id, _level(review))

        waiting = self._store.reviews.list_waiting_for(task.arrived, read)
        due = [*versions.put_older_last(filter(None, waiting)), *revoked]
        if not due:
            self._store.outbox.remove(task.id)
        return due

    def _decide_next(
        self, due: _PendingReview, running: _RunningTask, left: list[OutboxTask]
    ) -> None:
        """Decide a review of a task, or refuse it.  After a fault the task is tried again later.

        Tasks that follow are added to `left`.
        """
        if running.lost:
            return
        running.undecided -= 1
        last = not running.undecided
        with _isolated(due.id, running, self._store.availability.is_outage):
            review = self._store.reviews.find(due.id)
            if review is None:
                raise NotFound("the review is not kept any more")
            done = running.task.id if last and not running.failed and not due.refusal else ""
            if due.refusal:
                _, more = self._refuse(review, _DecisionContext(_INTAKE), due.refusal)
            else:
                _, more = self._decide_review(review, _DecisionContext(_INTAKE, done=done))
            left += filter(None, [more])
            if done:
                return
        if last and not running.failed:
            self._store.outbox.remove(running.task.id)
        elif running.undecided % PORTION == 0:
            running.lost = not self._renew(running.task)

    def _renew(self, task: OutboxTask) -> bool:
        return self._store.outbox.renew(task.id, self._owner, LEASE)

    def _complete_portion(self, task: OutboxTask) -> OutboxTask:
        """Complete a portion of what waits for what has arrived; the task with what is left."""

        def write(txn: Transaction) -> OutboxTask:
            arrivals, now = task.arrived, self._clock()
            after = self._publisher.complete(txn, arrivals, task.resume_after, now)
            left = replace(task, resume_after=after)
            txn.outbox.put(left, self._owner, LEASE)
            return left

        return self._store.commit(write)

    def _list_revoked(self, task: OutboxTask) -> Sequence[Review]:
        """Waiting reviews of objects that their partner has revoked."""
        return self._store.reviews.list_waiting_under(task.arrived.partner, task.revoked_ids)

    def _is_overtaken(self, review: Review, arrived: ArrivedIds) -> bool:
        """True if a newer version of its object is published: no decision could have an effect."""
        if review.partner != arrived.partner or review.source_id not in arrived.source_ids:
            return False
        version = parse_candidate(review.index, review.object).source_version
        own = self._store.read(lambda known: _find_published(known, review))
        if not version or own is None or not own.version:  # an observable has no versions
            return False
        return micros(own.version) > micros(version)

    def _decide_review(
        self, review: Review, context: _DecisionContext
    ) -> tuple[Record, OutboxTask | None]:
        """Admit a waiting object with some rules waived; other rules may ask again."""
        while True:
            with suppress(StalePreconditions):
                return self._try_decide(review, context)

    def _try_decide(
        self, review: Review, context: _DecisionContext
    ) -> tuple[Record, OutboxTask | None]:
        submission = self._store.submissions.require(review.submission)
        candidates = [parse_candidate(review.index, review.object)]
        batch = self._evaluator.evaluate(
            Sent(submission, anonymous=review.anonymous), candidates, context.waiver
        )
        batch = replace(batch, is_review=True)
        without_text = context.waiver.without_text

        def write(txn: Transaction) -> tuple[Record, OutboxTask | None]:
            self._evaluator.check(txn, batch)
            _check_act(txn, review, context)
            _check_release(
                txn, review, submission, self._evaluator.read_agreements(txn, submission)
            )
            settlement = self._publisher.settle(txn, batch)
            record = settlement.records[0]
            if without_text and record.verdict == Verdict.REFUSED:
                raise Conflict(_INVALID_WITHOUT.format(record.findings[-1].get("message", "")))
            waived = context.waiver.rules
            left = [with_waived_rules(each, waived) for each in settlement.reviews]
            if record.verdict == Verdict.HELD:  # nothing was decided: something else holds it still
                self._keep_waiting(txn, review, context.who, (left[0], record))
                _return_held(txn, review, context, record)
            else:
                # Masked or edited by the reviewer, it is known again by this, too.
                received = settlement.published.get(review.source_id)
                holds = received if context.is_by_person else None
                txn.reviews.decide(review.id, "released", context.who, context.act, published=holds)
                _count_answer(txn, review, context, yes=True)
                txn.reviews.add([] if without_text else left)  # nothing more is asked for
                entry = _entry(review) | {"verdict": record.verdict}
                entry |= {"without_text": True} if without_text else {}
                txn.add_journal_entry("review.release", context.who, entry)
                merged = merge_records(self._find_record(review), record)
                if context.waiver.rules:
                    message = _RELEASED_MASKED if without_text else _RELEASED
                    merged = _with_answer(merged, Action.NOTED, message)
                txn.submissions.replace_record(review.submission, merged)
            if context.done:
                txn.outbox.remove(context.done)
            return record, self.leave_task(txn, batch, settlement)

        return self._store.commit(write)

    def _keep_waiting(
        self, txn: Transaction, review: Review, who: str, held: tuple[Review, Record]
    ) -> None:
        left, record = held
        again = update_review(review, left)
        if again == review:
            return
        txn.reviews.update(again)
        # Through the journal's head, no two can miss each other: of this transaction and one
        # that brings what it waits for from now on, the later one knows of the other.
        txn.add_journal_entry("review.held", who, {"review": review.id, "rules": list(again.rules)})
        before = self._find_record(review)
        if before.verdict == Verdict.HELD:
            txn.submissions.replace_record(review.submission, merge_held_records(before, record))

    def _refuse(
        self, review: Review, context: _DecisionContext, reason: str
    ) -> tuple[Record, OutboxTask | None]:
        def write(txn: Transaction) -> tuple[Record, OutboxTask | None]:
            _check_act(txn, review, context)
            holds = 0 if context.is_by_person else None
            txn.reviews.decide(review.id, "rejected", context.who, context.act, published=holds)
            _count_answer(txn, review, context, yes=False)
            txn.add_journal_entry("review.reject", context.who, _entry(review) | {"reason": reason})
            record = self._find_record(review)
            if record.verdict == Verdict.HELD:
                refused = replace(record, verdict=Verdict.REFUSED.value)
                record = _with_answer(refused, Action.REFUSED, reason or _REJECTED)
                txn.submissions.replace_record(review.submission, record)
                self._publisher.give_up(txn, review, self._clock())
            elif context.act or context.is_answer:
                message = _STAYS_MASKED.format(reason or _REJECTED)
                record = _with_answer(record, Action.NOTED, message)
                txn.submissions.replace_record(review.submission, record)
            arrivals = ArrivedIds(review.partner, frozenset({review.source_id}))
            return record, self._put_task(txn, OutboxTask("", arrivals))

        return self._store.commit(write)

    def _close(self, review: Review, context: _DecisionContext) -> tuple[Record, OutboxTask | None]:
        """Leave a shortened copy as it is published; its full text is asked about no more."""

        def write(txn: Transaction) -> tuple[Record, OutboxTask | None]:
            _check_act(txn, review, context)
            txn.reviews.decide(review.id, "released", context.who, context.act, published=0)
            _count_answer(txn, review, context, yes=True)
            entry = _entry(review) | {"without_text": True}
            txn.add_journal_entry("review.release", context.who, entry)
            message = _STAYS_MASKED.format(_KEPT_MASKED)
            record = _with_answer(self._find_record(review), Action.NOTED, message)
            txn.submissions.replace_record(review.submission, record)
            arrivals = ArrivedIds(review.partner, frozenset({review.source_id}))
            return record, self._put_task(txn, OutboxTask("", arrivals))

        return self._store.commit(write)

    def _put_task(self, txn: Transaction, task: OutboxTask) -> OutboxTask | None:
        if not task.resume_after and not txn.reviews.has_waiting(task):
            return None
        task = replace(task, id=str(uuid.uuid4()))
        txn.outbox.put(task, self._owner, LEASE)
        return task

    def _find_record(self, review: Review) -> Record:
        for record in self._store.submissions.records(review.submission):
            if record.index == review.index:
                return record
        raise NotFound(f"the submission of review {review.id} is not kept any more")


def _find_obstacle(review: Review, candidate: Candidate) -> str:
    """Why a candidate with masks cannot be published now; empty if it can."""
    if candidate.verdict is Verdict.REFUSED:
        why = candidate.findings[-1].message if candidate.findings else ""
        return _INVALID_WITHOUT.format(why)
    if review.rules == ("references",) or not candidate.is_open or candidate.object is None:
        return _NOT_ALONE
    return ""


def _find_fixed_part(review: Review, masked: StixObject | None, *, but_texts: bool = False) -> str:
    """Why masks do not answer what holds an object: a part of it that stays; empty if they do.

    `but_texts`: parts that a reviewer may mask as they choose do not count.
    """
    subject = parse_object(review.object)
    texts = {path for path, _ in free_texts(subject)}
    sent = {format_path(path): (path, value) for path, value in walk_values(subject)}
    left = dict(walk_values(masked))
    for name in (f.get("path", "") for f in review.findings if f.get("action") == Action.HELD):
        if not name:
            return _THE_OBJECT
        if name.startswith(_MARKINGS):
            return _ITS_MARKING
        path, value = sent.get(name, ((), None))
        if not path or (but_texts and path in texts):
            continue
        if masked is None or _is_left(path, value, left.get(path), is_text=path in texts):
            return _NOT_A_TEXT.format(name)
    return ""


def _is_left(path: Path, sent: object, left: object, *, is_text: bool) -> bool:
    """True if what was sent at a path stays: a value also does in its canonical spelling.

    A text or a number may be masked or rounded, and the items of a list move up.
    """
    may_change = is_text or isinstance(sent, int | float) or isinstance(path[-1], int)
    return left == sent if may_change else left is not None


def _find_fixed_words(review: Review, masked: StixObject | None) -> str:
    """The place of marked words that masks cannot take out; empty if there is none."""
    if masked is None:
        return ""
    original = parse_object(review.object)
    remaining = RemainingWords(original, masked)
    words = list_maskable_words(original, find_marks(review, original, masked))
    return next(filter(None, (remaining.find(each, fixed=True) for each in words)), "")


def _find_masked_word(
    original: StixObject, published: StixObject | None, masks: Sequence[Span]
) -> str:
    """Why masks do not hide what they stand for; empty if they do."""
    texts, published = dict(free_texts(original)), published or {}
    remaining = RemainingWords(original, published)
    maskable = {format_path(path) for path, _ in free_texts(published)}
    for word in dict.fromkeys(texts[path][start:end] for path, start, end in masks):
        if place := remaining.find(word):
            return (_STILL_IN_TEXT if place in maskable else _STILL_THERE).format(place)
    return ""


def _stands(review: Review, act: ReviewAct) -> bool:
    """True if the decision of an act on a review has not taken effect yet."""
    decision = review.decision
    return review.state == "waiting" and decision is not None and decision.act == act.id


def _with_answer(record: Record, action: Action, message: str) -> Record:
    """A record with the answer of a reviewer, which its submitter reads."""
    answer = Finding("review", "reviewer", action, message)
    return replace(record, findings=(*record.findings, answer.as_json()))


def _check_act(txn: Transaction, review: Review, context: _DecisionContext) -> None:
    if context.act:
        txn.reviews.check_decision(review.id, context.act)


def _return_held(
    txn: Transaction, review: Review, context: _DecisionContext, record: Record
) -> None:
    """Let a review wait for another decision whose object something else holds still."""
    if context.act:
        held = (each for each in record.findings if each.get("action") == Action.HELD)
        why = "; ".join(dict.fromkeys(each.get("message", "") for each in held))
        txn.reviews.put_back(review.id, context.act, f"it is held still: {why}")
        txn.review_acts.note_failure(context.act, review.id, "it is held still")


def _count_answer(
    txn: Transaction, review: Review, context: _DecisionContext, *, yes: bool
) -> None:
    """Count what a person answered, and how long it took."""
    if context.act and review.decision is not None:
        txn.review_acts.note_answer(review.partner, review.rules, yes=yes)
        txn.review_acts.note_turnaround(review.created, review.decision.at)


def _check_release(
    txn: Transaction, review: Review, submission: Submission, agreements: PartnerAgreements
) -> None:
    """Raises Conflict if a review may only be rejected."""
    account = find_sender(txn, submission.account)
    if account is None or account.disabled:
        raise Conflict(_LOCKED_OUT.format(submission.account))
    if not may_still_write(account, submission.collection):
        raise Conflict(_NO_WRITE_RIGHT.format(submission.account))
    if not account.operator and agreements.highest_tlp(submission.collection) is None:
        raise Conflict(_NO_AGREEMENT.format(submission.partner))
    if review.kind is ReviewKind.REDACTED and _find_published(txn, review) is None:
        raise Conflict(_GONE)


def _find_published(known: Snapshot, review: Review) -> Contribution | None:
    """The contribution that is published under the id of a review's object; None: there is none."""
    named = known.find_public_ids(review.partner, [review.source_id])
    publics = known.public_objects(set(named.values()))
    own = review.partner, review.source_id
    every = (each for public in publics.values() for each in public.contributions)
    return next((each for each in every if (each.partner, each.source_id) == own), None)


def _entry(review: Review) -> dict[str, object]:
    """The details of a decision in the journal."""
    return {"review": review.id, "submission": review.submission, "partner": review.partner}


@dataclass(slots=True)
class _RunningTask:
    """A task whose reviews are being decided."""

    task: OutboxTask
    undecided: int = 0
    failed: bool = False
    """A review could not be decided, so the task stays in the outbox."""
    lost: bool = False
    """Another worker has taken it over."""


class _PendingReview(NamedTuple):
    """A review to decide, which is read when its turn comes."""

    id: str
    level: int
    refusal: str = ""
    """Why the object is refused; empty: the review is decided."""


@dataclass(slots=True)
class _WaitingVersions:
    """The versions that wait under the same id: the newest of them decides what is published.

    Two may differ in a stricter part alone, so the older one must not come first: those who may
    not see that part would see by the date of the newer one that there was another.
    """

    newest: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """Version (µs since 1970 UTC) and review, by partner and own id."""
    older: set[str] = field(default_factory=set)
    """The reviews of all others."""

    def note(self, review: Review) -> None:
        """Note the version of a waiting review."""
        version = parse_candidate(review.index, review.object).source_version
        if not version:
            return
        own, mine = (review.partner, review.source_id), (micros(version), review.id)
        other = self.newest.setdefault(own, mine)
        if other[0] < mine[0]:
            self.newest[own] = mine
        if other[0] != mine[0]:
            self.older.add(min(other, mine)[1])

    def put_older_last(self, due: Iterable[_PendingReview]) -> list[_PendingReview]:
        """The pending reviews, with those of older versions placed after all levels."""
        return [e._replace(level=_OLDER_LAST) if e.id in self.older else e for e in due]


@dataclass(slots=True)
class _TaskGroup:
    """Tasks that are done together, so that their reviews are decided in one order."""

    tasks: list[OutboxTask]
    """The tasks that have not begun."""
    queue: list[tuple[int, int, _PendingReview, _RunningTask]] = field(default_factory=list)
    """The reviews, a heap: level, place in the order, review, its task."""
    serial: Iterator[int] = field(default_factory=count)
    renewed: float = field(default_factory=time.monotonic)
    """Time at which the leases were renewed, in seconds of the monotonic clock."""

    @property
    def running(self) -> list[_RunningTask]:
        """The tasks that have begun and have reviews to decide."""
        return list({id(each): each for *_, each in self.queue}.values())


def _level(review: Review) -> int:
    """The least strict level that sees a waiting object; without one it counts as strict.

    Parts of it may be stricter, which less strict readers must not see by its date.
    """
    try:
        return int(split_by_tlp(parse_object(review.object), {}, Tlp.AMBER).level)
    except Malformed:
        return int(Tlp.AMBER)


@contextmanager
def _isolated(
    review: str, running: _RunningTask, is_outage: Callable[[Exception], bool]
) -> Iterator[None]:
    """Let a fault cost one review and no other, except if the database is away."""
    try:
        yield
    except (NotFound, Conflict):
        pass  # not kept any more, or decided meanwhile
    except Unavailable:
        raise
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("cannot decide review %s; it is tried again later", review)
        running.failed = True


def _late_definitions(txn: Transaction, batch: Batch, asked: Sequence[Review]) -> frozenset[str]:
    """Marking definitions that arrived after the batch was evaluated and held for them."""
    held = (each.waits_for for each in asked if each.rules == ("marking",))
    wanted = {id_ for waits_for in held for id_ in waits_for} - batch.defined
    slug, sees = batch.partner.slug, batch.sees
    return frozenset(find_definitions(txn, slug, wanted, sees) if wanted else ())
