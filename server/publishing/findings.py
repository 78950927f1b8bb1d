"""Findings for submitters, and questions for reviewers.

Findings beyond those of the table of verdicts, the record of an object in its
submission's status, and the review that it leaves, if it does.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tocsin.admission.merge.content import canonical_json, latest_by_partner
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Contribution,
    Finding,
    Verdict,
)
from tocsin.admission.stix.references import RewrittenReferences
from tocsin.server.model import (
    Partner,
    Record,
    Review,
    ReviewKind,
)

_Findings = tuple[Mapping[str, str], ...]

MOST = 20
"""Findings of one kind that a status shows."""

TOO_MANY_WAITING = Finding(
    "publish",
    "reviews",
    Action.REFUSED,
    "too many waiting: it would have to wait for review, but the limit of what may wait is"
    " reached; send it again later, or without what must be reviewed",
)
TEXT_NOT_QUEUED = Finding(
    "publish",
    "reviews",
    Action.NOTED,
    "too many waiting: what was removed cannot be reviewed now and stays out",
)
_DECIDING = (Action.HELD, Action.REFUSED)


def explain_dropped_references(rewriting: RewrittenReferences) -> list[Finding]:
    """One finding for each property, however many references it lost."""
    lost = Counter(str(path[0]) for path, _ in rewriting.dropped)
    return [
        Finding(
            "publish",
            "references",
            Action.STRIPPED,
            f"{count} of its references lead to objects that its readers cannot see",
            name,
        )
        for name, count in sorted(lost.items())[:MOST]
    ]


def explain_raised_level(sent: Candidate, published: Candidate) -> list[Finding]:
    """A finding if an object is published more strictly than it was sent."""
    if published.tlp is None or published.tlp == sent.tlp:
        return []
    level = f"TLP:{published.tlp.label.upper()}"
    message = f"raised to {level} because an object that it references is {level}"
    return [Finding("publish", "marking", Action.NOTED, message, "object_marking_refs")]


def explain_what_stays(published: Contribution | None) -> list[Finding]:
    """A finding if an earlier version stays published though the new one is not taken."""
    message = "the version that you sent before stays published: revoke it if it should not"
    return [] if published is None else [Finding("merge", "versions", Action.NOTED, message)]


def explain_leading_version(new: Contribution, others: Sequence[Contribution]) -> list[Finding]:
    """A finding if what the partner says under another of its ids is newer, so that it counts."""
    if any(each.source_id == new.source_id for each in latest_by_partner([*others, new])):
        return []
    message = "what you sent of it under another id is newer and takes precedence"
    return [Finding("merge", "versions", Action.NOTED, message)]


def explain_narrowed_level(
    before: Sequence[Contribution], after: Sequence[Contribution]
) -> list[Finding]:
    """A finding if a partner's reports of one thing reach fewer readers than before.

    `before` and `after` are all that the partner had published of it, and has now.
    """
    if not before or not after:
        return []
    was, level = min(each.tlp for each in before), min(each.tlp for each in after)
    if level <= was:
        return []
    old, new = (f"TLP:{each.label.upper()}" for each in (was, level))
    message = (
        f"replaces your earlier report at {old} by one at {new}: those who may only read {old} "
        f"do not get it from you any more; if you did not mean that, send it again at {old}"
    )
    return [Finding("merge", "marking", Action.NOTED, message)]


def limit_findings(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """At most 3 × `MAX_BATCHES_PER_STEP` findings, the reasons for the verdict among them."""
    if len(findings) <= 2 * MOST:
        return findings
    between = [f for f in findings[MOST:-MOST] if f.action in _DECIDING]
    return (*findings[:MOST], *between[:MOST], *findings[-MOST:])


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of the object that a record or a review is about."""

    submission: str
    partner: Partner
    """The partner, with the consent that holds for this submission."""
    now: int


@dataclass(frozen=True, slots=True)
class Decision:
    """A candidate with its verdict."""

    candidate: Candidate
    """With every finding."""
    verdict: Verdict
    public_id: str = ""
    """Empty if nothing is published."""
    waits_for: tuple[str, ...] = ()
    """Source ids that it needs and that have not arrived."""
    joined: bool = False
    """It is part of a public object from now on."""

    def record(self) -> Record:
        """Its line in the status of the submission."""
        return Record(
            index=self.candidate.index,
            verdict=self.verdict.value,
            source_id=self.candidate.source_id or "",
            version=self.candidate.source_version or "",
            public_id=self.public_id,
            findings=tuple(f.as_json() for f in limit_findings(self.candidate.findings)),
        )

    @property
    def asks(self) -> bool:
        """True if it leaves a question for a reviewer."""
        return self.verdict is Verdict.HELD or bool(self._asking_rules() and self.joined)

    def _asking_rules(self) -> list[str]:
        action = Action.HELD if self.verdict is Verdict.HELD else Action.ASKED
        return sorted({f.rule for f in self.candidate.findings if f.action is action})

    def reviews(self, sender: Sender) -> list[Review]:
        """The question for a reviewer, if there is one.

        Of what joined, the parts that rules took out are asked about; nothing is asked of what
        was decided before.
        """
        if not self.asks:
            return []
        held, rules = self.verdict is Verdict.HELD, self._asking_rules()
        record, candidate = self.record(), self.candidate
        review = Review(
            id=str(uuid.uuid4()),
            kind=ReviewKind.HELD if held else ReviewKind.REDACTED,
            submission=sender.submission,
            index=record.index,
            partner=sender.partner.slug,
            source_id=record.source_id,
            created=sender.now,
            object=candidate.raw or canonical_json(candidate.original or candidate.object or {}),
            rules=tuple(rules),
            findings=record.findings,
            waits_for=self.waits_for,
            anonymous=sender.partner.consent not in CONSENTS_TO_NAME,
            tlp="" if candidate.tlp is None else candidate.tlp.label,
        )
        return [review]


def merge_records(before: Record, after: Record) -> Record:
    """The record after a review: dropped references are those of now, other findings stay."""
    return replace(after, findings=_joined(before.findings, after.findings))


def merge_held_records(before: Record, after: Record) -> Record:
    """The record of an object that waited and waits again, for what holds it now."""
    seen = tuple(f for f in before.findings if f.get("action") != Action.HELD)
    return replace(after, findings=_joined(seen, after.findings))


def with_waived_rules(review: Review, waived: frozenset[str]) -> Review:
    """The review that is left, which waives again what was waived before."""
    return replace(review, rules=tuple(sorted({*review.rules, *waived})))


def update_review(asked: Review, left: Review) -> Review:
    """The same review, for what holds its object now and what that waits for."""
    found = _joined(asked.findings, left.findings)
    return replace(asked, rules=left.rules, waits_for=left.waits_for, findings=found)


def _joined(before: _Findings, after: _Findings) -> _Findings:
    looked = ("publish", "references")
    kept = tuple(f for f in before if (f.get("stage"), f.get("rule")) != looked)
    return (*kept, *(f for f in after if f not in kept))
