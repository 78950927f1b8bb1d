"""Earlier reviews of what a partner sends again unchanged: no reviewer is asked twice.

Many tools send the same objects every hour.  While one waits, a repeat of it is a duplicate; once
a reviewer has decided, the decision holds for repeats as well, as long as it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from tocsin.admission.merge.content import object_digest
from tocsin.admission.model import (
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
from tocsin.server.publishing.verdicts import OwnState
from tocsin.server.store import Transaction

_DATES = ("created", "modified", "valid_from")
"""Properties that a tool may set anew each time; a reviewer is asked about the rest."""
_ACTING = (Action.HELD, Action.ASKED, Action.REPLACED, Action.STRIPPED)
_NO_REVIEW = OwnState.NONE, ""


@dataclass(frozen=True, slots=True)
class SentBy:
    """How something was sent: the same object, sent in another way, is another question."""

    partner: str
    account: str
    collection: str
    """Collection id: levels and readers depend on it."""
    is_anonymous: bool
    submission: str


@dataclass(frozen=True, slots=True)
class Question:
    """An object about which rules ask a reviewer."""

    source_id: str
    version: str
    digest: bytes
    rules: frozenset[str]
    kind: ReviewKind


@dataclass(slots=True)
class EarlierReviews:
    """The reviews of what a partner sent before; read when something has to be asked."""

    txn: Transaction
    sent_by: SentBy
    ids: Set[str]
    """The partner's own ids that are asked about."""
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
        by = self.sent_by
        parts: StixObject = {
            "by": [by.account, by.collection, by.is_anonymous],
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
                submission=self.sent_by.submission,
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
    ) -> tuple[OwnState, str]:
        """RELEASED or REJECTED if a reviewer decided on the same, with the submission; else NONE.

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
            return (OwnState.REJECTED, latest.submission) if is_refused else _NO_REVIEW
        is_in_force = published is not None and published.received == latest.published
        overtaken = any(each.digest != question.digest for each in self._waiting(question))
        if is_in_force and not overtaken and latest.rules >= question.rules:
            return OwnState.RELEASED, latest.submission
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
            for each in self.txn.reviews.list_outcomes_under(self.sent_by.partner, self.ids):
                found.setdefault(each.source_id, []).append(each)
            self._found = found
        return self._found.setdefault(source_id, [])


def _acts(finding: Finding) -> bool:
    return finding.action in _ACTING and finding.stage != "publish"


def _without_dates(subject: StixObject) -> StixObject:
    return {name: value for name, value in subject.items() if name not in _DATES}


def _instant(outcome: ReviewOutcome) -> int:
    """The version in µs since 1970 UTC; 0 without one."""
    return micros(outcome.version) if outcome.version else 0
