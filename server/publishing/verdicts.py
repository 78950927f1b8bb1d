"""What merging and publishing say of one object: to its submitter, and to an analyst."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.admission.merge.content import canonical_json, latest_by_partner
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Contribution,
    Finding,
    Verdict,
)
from tocsin.admission.stix.references import Rewriting
from tocsin.server.model import (
    Partner,
    Record,
    Review,
    ReviewKind,
)

_Findings = tuple[Mapping[str, str], ...]

MOST = 20
"""Findings of one kind that a person is shown."""

_DECIDING = (Action.HELD, Action.REFUSED)

ECHO = Finding("merge", "echo", Action.NOTED, "the hub's own object; it corroborates nothing")
"""Of what came back."""


WITHDRAWN = "your contribution is withdrawn"
"""What a partner is told who revokes something."""


def note(rule: str, message: str) -> Finding:
    """Merging saw something and changed nothing."""
    return Finding("merge", rule, Action.NOTED, message)


def dropped(rewriting: Rewriting) -> list[Finding]:
    """One finding for each property, however many references it lost."""
    lost = Counter(str(path[0]) for path, _ in rewriting.dropped)
    return [
        Finding(
            "publish",
            "references",
            Action.STRIPPED,
            f"{count} of its references lead to what its readers cannot see",
            name,
        )
        for name, count in sorted(lost.items())[:MOST]
    ]


def raised(sent: Candidate, placed: Candidate) -> list[Finding]:
    """That an object is published more strictly than it was sent."""
    if placed.tlp is None or placed.tlp == sent.tlp:
        return []
    message = f"what it is about is TLP:{placed.tlp.label.upper()}, so it is too"
    return [Finding("publish", "marking", Action.NOTED, message, "object_marking_refs")]


def staying(said: Contribution | None) -> list[Finding]:
    """That what is not taken takes the place of nothing."""
    message = "what you sent under this id before stays published: revoke it if it should not"
    return [] if said is None else [note("versions", message)]


def telling(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """As many as a person can read, the reasons for the verdict among them."""
    if len(findings) <= 2 * MOST:
        return findings
    between = [f for f in findings[MOST:-MOST] if f.action in _DECIDING]
    return (*findings[:MOST], *between[:MOST], *findings[-MOST:])


@dataclass(slots=True)
class Verdicts:
    """The verdicts on a batch, with the questions that they leave."""

    submission: str
    partner: Partner
    """As it wants to be known in this submission."""
    now: int
    records: list[Record] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)

    def close(  # noqa: PLR0913
        self,
        candidate: Candidate,
        verdict: Verdict,
        public: str = "",
        *,
        waits_for: tuple[str, ...] = (),
        kept: bool = False,
    ) -> None:
        """Nothing more becomes of the candidate; `kept`: what it says is remembered from now on.

        What was asked about it before, if ever, is not asked again.
        """
        record = Record(
            index=candidate.index,
            verdict=verdict.value,
            source_id=candidate.source_id or "",
            version=candidate.source_version or "",
            public_id=public,
            findings=tuple(finding.as_json() for finding in telling(candidate.findings)),
        )
        self.records.append(record)
        held = verdict is Verdict.HELD
        wanted = Action.HELD if held else Action.ASKED
        rules = tuple(sorted({f.rule for f in candidate.findings if f.action is wanted}))
        if held or (rules and kept):
            self.reviews.append(self._review(candidate, record, rules, waits_for))

    def _review(
        self,
        candidate: Candidate,
        record: Record,
        rules: tuple[str, ...],
        waits_for: tuple[str, ...],
    ) -> Review:
        return Review(
            id=str(uuid.uuid4()),
            kind=ReviewKind.HELD if record.verdict == Verdict.HELD else ReviewKind.REDACTED,
            submission=self.submission,
            index=record.index,
            partner=self.partner.slug,
            source_id=record.source_id,
            created=self.now,
            object=candidate.raw or canonical_json(candidate.original or candidate.object or {}),
            rules=rules,
            findings=record.findings,
            waits_for=waits_for,
            anonymous=self.partner.consent not in CONSENTS_TO_NAME,
        )


def outspoken(new: Contribution, others: Sequence[Contribution]) -> list[Finding]:
    """That not this counts, but what the partner says of the same thing under another id."""
    if any(each.source_id == new.source_id for each in latest_by_partner([*others, new])):
        return []
    return [note("versions", "what you say of it under another id is newer, so that counts")]


def amended(before: Record, after: Record) -> Record:
    """What it did not find before is looked for anew; all else that was seen of it stays."""
    return replace(after, findings=_joined(before.findings, after.findings))


def still_held(before: Record, after: Record) -> Record:
    """What waited and still does, for what holds it now."""
    seen = tuple(f for f in before.findings if f.get("action") != Action.HELD)
    return replace(after, findings=_joined(seen, after.findings))


def besides(review: Review, waived: frozenset[str]) -> Review:
    """The question that is left; what was decided before it is not asked again."""
    return replace(review, rules=tuple(sorted({*review.rules, *waived})))


def further(asked: Review, left: Review) -> Review:
    """The same question, now for what still holds its object; that is all it waits for."""
    found = _joined(asked.findings, left.findings)
    return replace(asked, rules=left.rules, waits_for=left.waits_for, findings=found)


def _joined(before: _Findings, after: _Findings) -> _Findings:
    looked = ("publish", "references")
    kept = tuple(f for f in before if (f.get("stage"), f.get("rule")) != looked)
    return (*kept, *(f for f in after if f not in kept))
