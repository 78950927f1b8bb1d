"""Questions for a reviewer, and earlier reviews that answer them: no reviewer is asked twice.

Many tools send the same objects every hour.  While one waits, a repeat of it is a duplicate; once
a reviewer has decided, the decision holds for repeats as well, as long as it is kept.  A partner
that has too much waiting is refused what would wait, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from tocsin.admission.merge.content import object_digest, with_references_of
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Contribution,
    Finding,
    StixObject,
    Verdict,
)
from tocsin.admission.stix.ijson import parse_object
from tocsin.admission.timestamps import micros
from tocsin.server.model import ReviewKind, ReviewOutcome
from tocsin.server.publishing.batch import Batch, SettledCandidate, SettlementTask, conclude
from tocsin.server.publishing.public_ids import GONE, ResolvedCandidate
from tocsin.server.publishing.public_objects import add_contribution, confirm_contribution
from tocsin.server.publishing.references import (
    digest_words,
    refer_to_own,
    resolve_contribution,
    waits_at,
    without_waiting_layers,
)
from tocsin.server.publishing.verdicts import (
    STAYS,
    TEXT_NOT_QUEUED,
    TOO_MANY_WAITING,
    Ruling,
    SpecialCase,
)
from tocsin.server.store import Transaction

_DATES = ("created", "modified", "valid_from")
"""Properties that a tool may set anew each time; a reviewer is asked about the rest."""
_ACTING = (Action.HELD, Action.ASKED, Action.REPLACED, Action.STRIPPED)
_NO_REVIEW = None, ""


@dataclass(frozen=True, slots=True)
class SubmissionOrigin:
    """The sender and conditions of a submission.

    An object that is sent again asks the same question only if account, collection and anonymity
    are equal.
    """

    partner: str
    account: str
    collection: str
    """Collection id: levels and readers depend on it."""
    is_anonymous: bool
    submission: str
    """Its id."""


@dataclass(frozen=True, slots=True)
class Question:
    """An object about which rules ask a reviewer."""

    source_id: str
    version: str
    digest: bytes
    rules: frozenset[str]
    kind: ReviewKind


@dataclass(slots=True)
class ReviewRoom:
    """The number of reviews of one partner that may wait beside those that do."""

    txn: Transaction
    partner: str
    limit: int
    """0: no limit."""
    left: int | None = None
    """None until it is asked for: most batches leave no review."""

    def take(self) -> bool:
        """Take room for one more review; False if there is none left."""
        if not self.limit:
            return True
        if self.left is None:
            self.left = self.limit - self.txn.reviews.count_waiting_of(self.partner, self.limit)
        self.left -= 1
        return self.left >= 0


@dataclass(slots=True)
class EarlierReviews:
    """The reviews of what a partner sent before; read when something has to be asked."""

    txn: Transaction
    origin: SubmissionOrigin
    ids: Set[str]
    """The partner's own ids that are asked about."""
    room: ReviewRoom
    _found: dict[str, list[ReviewOutcome]] | None = None

    def question(self, candidate: Candidate, rules: Iterable[str]) -> Question:
        """The question that a candidate leaves, of `rules`.

        Its digest, of 16 octets, is equal for what is sent again unchanged apart from dates, and
        meets the same findings.
        """
        sent = candidate.original or candidate.object or {}
        if candidate.raw:
            sent = parse_object(candidate.raw)
        found = {(f.rule, f.path, f.action.value) for f in candidate.findings if _acts(f)}
        origin = self.origin
        parts: StixObject = {
            "by": [origin.account, origin.collection, origin.is_anonymous],
            "level": None if candidate.tlp is None else candidate.tlp.label,
            "sent": _without_dates(sent),
            "left": _without_dates(candidate.object or {}),
            "found": sorted(found),
        }
        is_held = candidate.verdict is Verdict.HELD
        return Question(
            source_id=candidate.source_id or "",
            version=candidate.source_version or "",
            digest=object_digest(parts),
            rules=frozenset(rules),
            kind=ReviewKind.HELD if is_held else ReviewKind.REDACTED,
        )

    def note(self, question: Question) -> None:
        """Note that a question is asked now, for what comes later in the batch."""
        self._list(question.source_id).append(
            ReviewOutcome(
                kind=question.kind,
                submission=self.origin.submission,
                source_id=question.source_id,
                version=question.version,
                state="waiting",
                rules=question.rules,
                digest=question.digest,
            )
        )

    def find_waiting(self, question: Question) -> str:
        """The submission in which the same is held; empty if none.

        Also if something newer is, too, unless the very version waits.
        """
        held = self._waiting(question)
        alike = [each for each in held if each.digest == question.digest]
        if not alike:
            return ""
        newest = max(alike, key=_instant)
        if any(each.version == question.version != "" for each in alike):
            return newest.submission
        is_last = all(_instant(each) <= _instant(newest) for each in held if each not in alike)
        return newest.submission if is_last else ""

    def find_decision(
        self, question: Question, published: Contribution | None
    ) -> tuple[SpecialCase | None, str]:
        """RELEASED or REJECTED if a reviewer decided on the same, with the submission; else None.

        `published` is the partner's contribution under the id.
        """
        decided = self._decided(question, question.kind)
        if question.kind is ReviewKind.HELD and not decided:
            every = self._decided(question, ReviewKind.REDACTED)
            decided = [each for each in every if each.state == "released"]
        if not decided:
            return _NO_REVIEW
        latest = max(decided, key=lambda each: each.decided_at)
        if latest.state == "rejected":
            is_refused = latest.kind is ReviewKind.HELD
            return (SpecialCase.REJECTED, latest.submission) if is_refused else _NO_REVIEW
        is_in_force = published is not None and published.received == latest.published
        overtaken = any(each.digest != question.digest for each in self._waiting(question))
        if is_in_force and not overtaken and latest.rules >= question.rules:
            return SpecialCase.RELEASED, latest.submission
        return _NO_REVIEW

    def is_answered(self, question: Question) -> bool:
        """True if a text of the same is asked about already, or a reviewer left it masked."""
        kind = ReviewKind.REDACTED
        alike = [e for e in self._list(question.source_id) if e.digest == question.digest]
        waiting = (e for e in alike if e.kind is kind and e.state == "waiting")
        if any(each.version == question.version for each in waiting):
            return True
        decided = self._decided(question, kind)
        latest = max(decided, key=lambda each: each.decided_at, default=None)
        return latest is not None and not latest.published

    def _waiting(self, question: Question) -> list[ReviewOutcome]:
        """The objects that are held under the id."""
        every = self._list(question.source_id)
        return [e for e in every if e.kind is ReviewKind.HELD and e.state == "waiting"]

    def _decided(self, question: Question, kind: ReviewKind) -> list[ReviewOutcome]:
        every = (e for e in self._list(question.source_id) if e.digest == question.digest)
        return [each for each in every if each.kind is kind and each.state != "waiting"]

    def _list(self, source_id: str) -> list[ReviewOutcome]:
        if self._found is None:
            found: dict[str, list[ReviewOutcome]] = {}
            for each in self.txn.reviews.list_outcomes_under(self.origin.partner, self.ids):
                found.setdefault(each.source_id, []).append(each)
            self._found = found
        return self._found.setdefault(source_id, [])


def find_reviews_of(txn: Transaction, batch: Batch, most_waiting: int) -> EarlierReviews:
    """The reviews of what the partner sent before under the ids of a batch.

    `most_waiting`: the limit for each partner; 0: no limit.  One that waits already takes none.
    """
    anonymous = batch.partner.consent not in CONSENTS_TO_NAME
    origin = SubmissionOrigin(
        batch.partner.slug, batch.account, batch.collection, anonymous, batch.submission
    )
    ids = frozenset(c.source_id for c in batch.candidates if c.source_id)
    room = ReviewRoom(txn, batch.partner.slug, 0 if batch.is_review else most_waiting)
    return EarlierReviews(txn, origin, ids, room)


def admit_to_reviews(
    task: SettlementTask, reviews: EarlierReviews, outcome: SettledCandidate
) -> SettledCandidate:
    """The outcome; it leaves a review only if it asks something new, and there is room for it.

    A question that was asked before is answered as then.  Without room, an object that would be
    held is refused, and one that is published with texts removed asks nothing.
    """
    decision = outcome.decision
    if not decision.asks:
        return outcome
    question = reviews.question(decision.candidate, decision.asking_rules())
    outcome = replace(outcome, decision=replace(decision, digest=question.digest))
    if not task.batch.is_review and (
        known := _conclude_as_before(task, reviews, outcome, question)
    ):
        return known
    if not reviews.room.take():
        return _without_review(task, outcome)
    reviews.note(question)
    if decision.verdict is Verdict.HELD:
        task.source_ids.held.add(question.source_id)
    return outcome


def conclude_if_released(
    task: SettlementTask, reviews: EarlierReviews, resolved: ResolvedCandidate
) -> SettledCandidate | None:
    """The outcome of what a reviewer released in full and rules would shorten now; else None."""
    mine = _find_released(task, reviews, resolved.candidate)
    return None if mine is None else _stay(task, resolved.candidate, resolved.said, mine)


def _conclude_as_before(
    task: SettlementTask, reviews: EarlierReviews, outcome: SettledCandidate, question: Question
) -> SettledCandidate | None:
    """The outcome of what was asked about before; None if it is a new question."""
    held = outcome.decision
    if held.verdict is not Verdict.HELD:
        answered = reviews.is_answered(question)
        return replace(outcome, decision=replace(held, is_answered=True)) if answered else None
    source, own = question.source_id, task.source_ids
    if submission := reviews.find_waiting(question):
        own.held.add(source)
        return conclude(held.candidate, _name_submission(SpecialCase.WAITING, submission))
    mine = task.find_own(own.public_id(source), source)
    case, submission = reviews.find_decision(question, mine)
    if case is SpecialCase.REJECTED:
        own.give_up(source)
        if not own.public_id(source):
            own.refs[source] = GONE
        return conclude(held.candidate, _name_submission(case, submission))
    return (
        None if mine is None or case is None else _stay(task, held.candidate, held.candidate, mine)
    )


def _name_submission(case: SpecialCase, submission: str) -> Ruling:
    """The ruling on a case, whose message names the submission in which it came before."""
    ruling = case.ruling
    if ruling.finding is None:
        return ruling
    message = ruling.finding.message + submission
    return ruling._replace(finding=ruling.finding._replace(message=message))


def _without_review(task: SettlementTask, outcome: SettledCandidate) -> SettledCandidate:
    """Refuse what would be held; leave what is published with texts removed as it is."""
    decision = outcome.decision
    source, own = decision.candidate.source_id or "", task.source_ids
    if decision.verdict is not Verdict.HELD:
        candidate = decision.candidate.without_questions(TEXT_NOT_QUEUED)
        return replace(outcome, decision=replace(decision, candidate=candidate))
    own.give_up(source)
    if not own.public_id(source):
        own.refs[source] = GONE
    candidate = decision.candidate.refuse(TOO_MANY_WAITING)
    refused = replace(decision, candidate=candidate, verdict=Verdict.REFUSED, waits_for=())
    return replace(outcome, decision=refused)


def _find_released(
    task: SettlementTask, reviews: EarlierReviews, candidate: Candidate
) -> Contribution | None:
    """The contribution that a reviewer released in full, if rules would shorten it now."""
    rules = {each.rule for each in candidate.findings if each.action is Action.ASKED}
    if not rules or task.batch.is_review:
        return None
    source = candidate.source_id or ""
    mine = task.find_own(task.source_ids.public_id(source), source)
    if mine is None:
        return None
    case, _ = reviews.find_decision(reviews.question(candidate, rules), mine)
    return mine if case is SpecialCase.RELEASED else None


def _stay(
    task: SettlementTask, candidate: Candidate, said: Candidate, mine: Contribution
) -> SettledCandidate:
    """Leave what a reviewer released as it is published; its references lead where they do now.

    `said` is the candidate as it was sent.
    """
    work, own = task.work, task.source_ids
    public_id = own.public_id(mine.source_id)
    copy, new = work.find(public_id), task.batch.contribution(candidate, mine.version)
    layers = [(new.tlp, new.object), *candidate.stricter_layers]
    new = replace(new, sent=digest_words(said, own.refs))
    resolved, _ = resolve_contribution(new, layers, own.refs)
    moved = with_references_of(mine, without_waiting_layers(resolved))
    stays = mine.raw or moved == mine or mine.object["type"] == "relationship"
    if stays or waits_at(resolved, resolved.tlp):
        again = replace(mine, received=task.batch.received)
        work.put(confirm_contribution(copy, mine, again, work.merge))
    else:
        work.put(add_contribution(copy, moved, work.merge))
    own.refs[mine.source_id] = refer_to_own(copy, mine)
    return conclude(_without_questions(candidate), SpecialCase.RELEASED.ruling, public_id)


def _without_questions(candidate: Candidate) -> Candidate:
    """The candidate without the findings that asked a reviewer, who has answered."""
    asked = (Action.HELD, Action.ASKED)
    left = (each for each in candidate.findings if each.action not in asked)
    return replace(candidate, findings=tuple(each for each in left if each.message != STAYS))


def _acts(finding: Finding) -> bool:
    return finding.action in _ACTING and finding.stage != "publish"


def _without_dates(subject: StixObject) -> StixObject:
    return {name: value for name, value in subject.items() if name not in _DATES}


def _instant(outcome: ReviewOutcome) -> int:
    """The version in µs since 1970 UTC; 0 without one."""
    return micros(outcome.version) if outcome.version else 0
