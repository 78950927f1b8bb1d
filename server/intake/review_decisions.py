"""Decisions of reviewers, which take effect after a time in which they can be taken back.

An object that pollers have read cannot be taken back.  So a decision is written down at once, in
one transaction with a task in the outbox that carries it out when it is due (`review.py`),
whichever process does that.  Of two people who decide the same review, the second one is
refused with the first one's decision.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tocsin.admission.errors import Conflict, NotAllowed, NotFound
from tocsin.server.model import (
    ActState,
    ArrivedIds,
    DecisionKind,
    OutboxTask,
    PendingDecision,
    Review,
    ReviewAct,
    Span,
)
from tocsin.server.person import Person, Role
from tocsin.server.store import Store, Transaction

DECIDERS = (Role.REVIEWER, Role.OPERATOR)
"""Roles that decide reviews."""
MOST_AT_ONCE = 500
"""Reviews in one act."""
_SECOND = 1_000_000
_WITHDRAWN_BEFORE = "the decision was withdrawn before it took effect on it"
_NO_ROLE = "you may not decide reviews any more"
_TOO_LATE = "this decision has taken effect: it cannot be withdrawn any more"


class DecidedAlready(Conflict):
    """Somebody else decided a review, or it has changed since it was shown."""

    def __init__(self, review: Review, why: str) -> None:
        """`review` is as it is now."""
        super().__init__(why)
        self.review = review


@dataclass(frozen=True, slots=True)
class Chosen:
    """A review to decide, as it was when it was shown."""

    id: str
    revision: int


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """A person's decision on a review."""

    kind: DecisionKind
    reason: str = ""
    """Reason of a rejection; the submitter reads it."""
    masks: tuple[Span, ...] = ()
    """Spans to mask in an edit."""


class Decisions:
    """Writes decisions of reviewers down, and withdraws them."""

    def __init__(self, store: Store, waiting: threading.Event) -> None:
        """`waiting` is set when there is something to do at once."""
        self._store, self._waiting = store, waiting

    def decide(self, person: Person, chosen: Chosen, decision: ReviewDecision) -> ReviewAct:
        """Write a decision down.

        Raises DecidedAlready if the review is not as it was shown, or claimed by another person;
        NotFound if there is none; NotAllowed if the person may not decide any more.
        """

        def write(txn: Transaction) -> ReviewAct:
            found = txn.reviews.find_all([chosen.id])
            if not found:
                raise NotFound("there is no such review")
            review = found[0]
            if fault := _find_fault(review, chosen, person, txn.now):
                raise DecidedAlready(review, fault)
            about = _describe(review)
            act = _new_act(person, decision, [review.id], txn.now, about=about)
            return self._write(txn, act, [review], decision)

        return self._finish(self._store.commit(write))

    def decide_all(
        self,
        person: Person,
        chosen: Sequence[Chosen],
        decision: ReviewDecision,
        faults: Mapping[str, str] | None = None,
    ) -> ReviewAct:
        """Write the same decision down on several reviews; those that may not be are skipped.

        `faults`: by id, why a review cannot be decided so.  Raises Conflict if they are too many,
        or a release in full; NotAllowed if the person may not decide any more.
        """
        if len(chosen) > MOST_AT_ONCE:
            raise Conflict(f"{len(chosen)} items are too many at once: {MOST_AT_ONCE} at most")
        known = faults or {}
        if decision.kind not in (DecisionKind.KEEP_MASKED, DecisionKind.REJECT):
            raise Conflict("several items can be kept masked or rejected, not released in full")

        def write(txn: Transaction) -> ReviewAct:
            found = {each.id: each for each in txn.reviews.find_all([each.id for each in chosen])}
            taken, skipped = list[Review](), list[tuple[str, str]]()
            for each in chosen:
                review = found.get(each.id)
                fault = "it is not kept any more"
                if review is not None:
                    fault = _find_fault(review, each, person, txn.now) or known.get(each.id, "")
                if review is None or fault:
                    skipped.append((each.id, fault))
                else:
                    taken.append(review)
            ids = [each.id for each in taken]
            act = _new_act(person, decision, ids, txn.now, skipped=tuple(skipped))
            return self._write(txn, act, taken, decision)

        return self._finish(self._store.commit(write))

    def withdraw(self, person: Person, act_id: str) -> ReviewAct:
        """Take a decision back before it takes effect; its reviews wait as before.

        Raises NotFound if the person made none with this id, Conflict if it is too late.
        """

        def write(txn: Transaction) -> ReviewAct:
            act = txn.review_acts.find(act_id)
            if act is None or act.person != person.id:
                raise NotFound("there is no such decision")
            if act.state is not ActState.PENDING or txn.now >= act.due:
                raise Conflict(_TOO_LATE)
            reviews = txn.reviews.find_all(act.reviews)
            if any(map(partial(_has_taken_effect, act), reviews)):  # by a clock that is ahead
                raise Conflict(_TOO_LATE)
            _withdraw(txn, act, reviews, person.login, keep_answer=True)
            return act

        return self._store.commit(write)

    def _write(
        self, txn: Transaction, act: ReviewAct, reviews: Sequence[Review], decision: ReviewDecision
    ) -> ReviewAct:
        _check_role(txn, act)
        if reviews:
            pending = PendingDecision(
                act.id, act.login, act.kind, act.at, act.due, masks=decision.masks
            )
            txn.reviews.put_decision(reviews, pending)
            txn.review_acts.add(act)
            txn.outbox.put(OutboxTask(act.id, ArrivedIds(""), due=act.due, is_act=True))
            details = {"act": act.id, "decision": act.kind.value, "ids": list(act.reviews)}
            txn.add_journal_entry("review.decide", act.login, details)
        return act

    def _finish(self, act: ReviewAct) -> ReviewAct:
        if act.due <= act.at:
            self._waiting.set()
        return act


def _check_role(txn: Transaction, act: ReviewAct) -> None:
    """Raises NotAllowed if the person was locked out meanwhile, or lost the role."""
    person = txn.people.find(act.person)
    if person is None or person.disabled or not person.has(*DECIDERS):
        raise NotAllowed(_NO_ROLE)


def withdraw_pending(txn: Transaction, person: Person, by: str) -> None:
    """Take back what a person decided, as far as it has not taken effect; nothing entered is kept.

    `by`: who took the right away.
    """
    for act in txn.review_acts.list_pending(person.id):
        _withdraw(txn, act, txn.reviews.find_all(act.reviews), by)


def _withdraw(
    txn: Transaction,
    act: ReviewAct,
    reviews: Sequence[Review],
    by: str,
    *,
    keep_answer: bool = False,
) -> None:
    """Take a decision back on the reviews that wait with it; it stands on those it has decided.

    With `keep_answer`, the form of its only review shows again what was entered.
    """
    withdrawn = txn.reviews.withdraw_decision(reviews, act.id)
    has_decided = any(map(partial(_has_taken_effect, act), reviews))
    if has_decided:
        for each in withdrawn:
            txn.review_acts.note_failure(act.id, each, _WITHDRAWN_BEFORE)
    state = ActState.DONE if has_decided else ActState.WITHDRAWN
    # A review that was purged meanwhile does not wait: the reason may name what was purged.
    waits = len(act.reviews) == len(withdrawn) == 1
    txn.review_acts.end(act.id, state, keep_answer=keep_answer and waits)
    txn.outbox.remove(act.id)
    if withdrawn:
        details = {"act": act.id, "decision": act.kind.value, "ids": withdrawn}
        txn.add_journal_entry("review.withdraw", by, details)


def _has_taken_effect(act: ReviewAct, review: Review) -> bool:
    decision = review.decision
    return review.state != "waiting" and decision is not None and decision.act == act.id


def _new_act(  # noqa: PLR0913
    person: Person,
    decision: ReviewDecision,
    ids: Sequence[str],
    now: int,
    *,
    about: dict[str, str] | None = None,
    skipped: tuple[tuple[str, str], ...] = (),
) -> ReviewAct:
    return ReviewAct(
        id=uuid.uuid4().hex,
        person=person.id,
        login=person.login,
        kind=decision.kind,
        at=now,
        due=now + person.undo_seconds * _SECOND,
        reviews=tuple(ids),
        reason=decision.reason,
        about=about or {},
        skipped=skipped,
        masks=decision.masks,
    )


def _find_fault(review: Review, chosen: Chosen, person: Person, now: int) -> str:
    """Why a person may not decide a review now; empty if they may."""
    if not review.is_open:
        by_whom = " by you" if review.decision and review.decision.by == person.login else ""
        return f"it has been decided already{by_whom}"
    if review.revision != chosen.revision:
        return "it has changed since you opened it"
    if review.claim and review.claim.person != person.id and review.claim.holds(now):
        return f"{review.claim.login} has it open"
    if is_own(review, person):
        return OWN
    return ""


OWN = "it came from your own partner: somebody else must decide it"


def is_own(review: Review, person: Person) -> bool:
    """True if the person belongs to the partner that sent the object."""
    return bool(person.partner) and review.partner == person.partner


def _describe(review: Review) -> dict[str, str]:
    """The details of a review that a list of decisions keeps when the text is gone."""
    return {"partner": review.partner, "rule": ", ".join(review.rules), "tlp": review.tlp}
