"""The verdict on a candidate, by one table; docs/merging.md prints the same one.

A row names the state of the public object that the candidate would join, and the
state of what the partner itself published before under the candidate's id.  The
first row that fits decides.  `earlier_versions.py` finds the states by comparison,
`publisher.py` carries the action out.  Candidates that admission refused or held do
not come so far.  Some facts decide by themselves before the states are compared:
the special cases.

Also what a verdict leaves: findings beyond those of the table, the record of
an object in its submission's status, and the review, if it asks something.

Values only: the database is not known here.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from tocsin.admission.merge.content import canonical_json, is_repeat, version_order
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Action,
    Candidate,
    Contribution,
    Finding,
    Path,
    Tlp,
    Verdict,
)
from tocsin.admission.stix.references import RewrittenReferences
from tocsin.admission.timestamps import HOUR
from tocsin.server.model import REVOCATION, Partner, Record, Review, ReviewKind
from tocsin.server.publishing.repeated_withdrawals import MOST_WITHDRAWALS, WITHDRAWALS_KEPT

MOST_TRANSLATIONS = 100
"""Translations of one public object, and other statements of its author about it, at a time."""


class PublicState(StrEnum):
    """The public object that a candidate would join."""

    ABSENT = "not published"
    OWN = "published, from this partner alone"
    SHARED = "published, from other partners too"
    HIDDEN = "stricter than the partner may read"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FROM_JOURNAL = "revoked or purged after the backup from which the hub was restored"


class OwnState(StrEnum):
    """The partner's own earlier contribution under the candidate's id."""

    NONE = "nothing"
    OLDER = "an older version"
    SAME = "the same"
    NEWER = "a newer version"
    REPEATED = "this version, just sent or asked about"
    CONFLICTING = "this version with other content than its references"
    MOVED = "the same, with references that lead elsewhere now"
    UNCHANGED = "nothing or older, adds nothing"
    SYNONYM = "the same under another of its ids"
    ELSEWHERE = "a newer version about something else, or at another level"
    AS_WIDE = "a marking definition seen as widely"
    REVOKED = "revoked before"
    WITHDRAWN_OFTEN = "nothing; it withdrew all its reports of it several times"


class SpecialCase(StrEnum):
    """A fact about a candidate that decides by itself, before the two states are compared."""

    WITHDRAWAL = "revokes what the partner published"
    WITHDRAWAL_OF_HELD = "revokes what is held"
    WITHDRAWAL_OF_NOTHING = "revokes what is neither published nor held"
    HUBS_OWN = "is the hub's own object"
    ENDED_DEFINITION = "is the remainder of a revoked or purged marking definition"
    ABOVE_EVERY_FEED = "is stricter than any feed takes"
    LISTS_ONLY_ITS_AUTHOR = "lists only its own author"
    NEWER_HELD = "is older than a version that is held"
    INCOMPLETE = "needs objects that have not arrived"
    RAISED_ABOVE_EARLIER = "is raised by its references above its earlier version"
    STRICTER_OBSERVABLES = "references observables that are stricter so far"
    ENDED_MARKING = "is marked with a definition that was refused, revoked, withdrawn or purged"
    HUBS_COPY = "is the hub's own object under another id"
    FALSE_HUB_OBJECT = "claims to be the hub's own, and is unknown"
    LED_BY_ANOTHER_PARTNER = "translates or replaces what another partner says"
    OTHER_VERSION = "translates another version than the published one"
    TOO_MANY_TRANSLATIONS = "is about an object that has as many translations as it may"
    WAITING = "would wait for a reviewer; the same waits already"
    REJECTED = "would wait for a reviewer; one rejected the same"
    RELEASED = "would be asked about; a reviewer released the same"

    @property
    def ruling(self) -> Ruling:
        """The verdict in this case, with its effect and message."""
        return SPECIAL_CASES[self]


class Effect(StrEnum):
    """The change that a verdict makes beyond the submission's record."""

    NONE = "none"
    REMEMBER = "remember the id"  # the partner's id stands for the public object
    CONFIRM = "confirm"  # and the day on which it was last reported moves on
    JOIN = "join"  # the contribution joins, in place of what the id stood for
    WITHDRAW = "withdraw"  # the contribution ends; with the last one the object is revoked


class Ruling(NamedTuple):
    """A verdict on a candidate, its effect and its message."""

    verdict: Verdict
    effect: Effect
    finding: Finding | None = None
    """The message to the submitter."""


class VerdictRow(NamedTuple):
    """One line of the table."""

    public: PublicState | None
    """None: whatever the object is."""
    own: OwnState | None
    """None: whatever the partner published."""
    ruling: Ruling

    def fits(self, public: PublicState, own: OwnState) -> bool:
        """True if the row decides on these states."""
        return self.public in (None, public) and self.own in (None, own)


STAYS = "the version that you sent before stays published: revoke it if it should not"
"""The message on a version that is held or refused while an earlier one is published."""
WITHDRAWALS = "withdrawals"
"""The rule that holds what a partner withdrew several times; a reviewer may waive it."""
RESTORED = "restored"
"""The rule that holds what had ended on the hub that was lost; a reviewer may waive it."""


def _noted(rule: str, message: str) -> Finding:
    return Finding("merge", rule, Action.NOTED, message)


def _refused(rule: str, message: str) -> Finding:
    return Finding("merge", rule, Action.REFUSED, message)


def _held(rule: str, message: str) -> Finding:
    return Finding("publish", rule, Action.HELD, message)


_HOURS = WITHDRAWALS_KEPT // HOUR
_ECHO = _noted(
    "echo",
    "the hub's own object, sent back: it does not count as a report; if you have seen it too, send"
    " a sighting",
)
_ID_REVOKED = _refused(
    "versions", "this id was revoked and cannot be used again; send it under a new id"
)
_P, _O, _V, _E = PublicState, OwnState, Verdict, Effect

SPECIAL_CASES: Mapping[SpecialCase, Ruling] = {
    SpecialCase.WITHDRAWAL: Ruling(
        _V.ADMITTED, _E.WITHDRAW, _noted(REVOCATION, "your contribution is withdrawn")
    ),
    SpecialCase.WITHDRAWAL_OF_HELD: Ruling(
        _V.ADMITTED,
        _E.REMEMBER,
        _noted(REVOCATION, "what waited under this id will not be published"),
    ),
    SpecialCase.WITHDRAWAL_OF_NOTHING: Ruling(
        _V.DUPLICATE, _E.REMEMBER, _noted(REVOCATION, "nothing of yours is published under this id")
    ),
    SpecialCase.HUBS_OWN: Ruling(_V.DUPLICATE, _E.NONE, _ECHO),
    SpecialCase.ENDED_DEFINITION: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "marking",
            "it is only the remainder of a revoked or purged marking definition: leave it out",
        ),
    ),
    SpecialCase.ABOVE_EVERY_FEED: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "marking",
            "no feed of this hub takes an object that is marked so strictly: "
            "mark it lower if you may",
        ),
    ),
    SpecialCase.LISTS_ONLY_ITS_AUTHOR: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused("references", "it lists only its own author, whom the hub does not name"),
    ),
    SpecialCase.NEWER_HELD: Ruling(
        _V.DUPLICATE,
        _E.NONE,
        _noted(
            "versions",
            "a newer version of this object is held already: it waits for its references",
        ),
    ),
    SpecialCase.INCOMPLETE: Ruling(
        _V.HELD, _E.NONE, _held("references", "waits for objects that it references: ")
    ),
    SpecialCase.RAISED_ABOVE_EARLIER: Ruling(
        _V.HELD,
        _E.NONE,
        _held(
            "references",
            "your earlier version stays published: this version references objects that are "
            "marked more strictly; to publish it, mark it as strictly as they are: ",
        ),
    ),
    SpecialCase.STRICTER_OBSERVABLES: Ruling(
        _V.HELD,
        _E.NONE,
        _held(
            "references",
            "it waits until the observables that it references are published at the level of "
            "its own marking; to publish it now, send it again with their marking: ",
        ),
    ),
    SpecialCase.ENDED_MARKING: Ruling(
        _V.HELD,
        _E.NONE,
        Finding(
            "publish",
            "marking",
            Action.HELD,
            "its marking definition was refused, revoked, withdrawn or purged: send the definition "
            "under a new id, and this object with a later `modified`, marked with that",
            "object_marking_refs",
        ),
    ),
    SpecialCase.HUBS_COPY: Ruling(_V.DUPLICATE, _E.REMEMBER, _ECHO),
    SpecialCase.FALSE_HUB_OBJECT: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "echo",
            "it says that this hub made it, but the hub has no such object: send it as your own",
        ),
    ),
    SpecialCase.LED_BY_ANOTHER_PARTNER: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "statements",
            "only the partner whose report is published there, and that may read it, can "
            "translate it or say that it is superseded: send a note or an opinion",
        ),
    ),
    SpecialCase.OTHER_VERSION: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "statements",
            "it translates another version than the published one: send it with the "
            "`object_modified` of that version",
        ),
    ),
    SpecialCase.TOO_MANY_TRANSLATIONS: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "statements", f"it has {MOST_TRANSLATIONS} translations already: withdraw one first"
        ),
    ),
    SpecialCase.WAITING: Ruling(
        _V.DUPLICATE,
        _E.NONE,
        _noted(
            "reviews",
            "you sent the same before, and it waits: see the status of submission ",
        ),
    ),
    SpecialCase.REJECTED: Ruling(
        _V.REFUSED,
        _E.NONE,
        _refused(
            "reviews",
            "you sent the same before, and a reviewer rejected it: change it before you send it "
            "again; for the reason, see the status of submission ",
        ),
    ),
    SpecialCase.RELEASED: Ruling(
        _V.DUPLICATE,
        _E.CONFIRM,
        _noted("reviews", "it is published as a reviewer released it when you sent it before"),
    ),
}
"""The rulings that need no comparison, in the order in which the cases are looked for.

The last three are looked for where an object would wait for a reviewer or leave a question.
"""

_EXPIRED = _noted("expired", "it has expired here already: send a later valid_until")
_RESTORED = _held(
    RESTORED,
    "the hub was restored from a backup:"
    " a reviewer of the hub must look at it before it is published again",
)
_WITHDRAWN_OFTEN = _held(
    WITHDRAWALS,
    f"you withdrew all your reports of it {MOST_WITHDRAWALS} times or more, less than"
    f" {_HOURS} hours apart: a reviewer of the hub must look at it, or send it again"
    f" {_HOURS} hours after the last withdrawal",
)
_NEWER_ELSEWHERE = _noted(
    "versions",
    "a newer version of it is here already, about something else or at another level",
)
_NEWER = _noted("versions", "a newer version of it is here already")
_REPEATED = _noted("versions", "this version of it is here already")
_CONFLICTING = _refused("versions", "this version is here with other content; raise `modified`")

TABLE = (
    VerdictRow(None, _O.REVOKED, Ruling(_V.REFUSED, _E.NONE, _ID_REVOKED)),
    VerdictRow(_P.EXPIRED, None, Ruling(_V.DUPLICATE, _E.NONE, _EXPIRED)),
    VerdictRow(_P.REVOKED, None, Ruling(_V.REFUSED, _E.NONE, _ID_REVOKED)),
    VerdictRow(_P.FROM_JOURNAL, None, Ruling(_V.HELD, _E.NONE, _RESTORED)),
    VerdictRow(None, _O.WITHDRAWN_OFTEN, Ruling(_V.HELD, _E.NONE, _WITHDRAWN_OFTEN)),
    VerdictRow(None, _O.AS_WIDE, Ruling(_V.DUPLICATE, _E.NONE)),
    VerdictRow(None, _O.ELSEWHERE, Ruling(_V.DUPLICATE, _E.NONE, _NEWER_ELSEWHERE)),
    VerdictRow(None, _O.SAME, Ruling(_V.DUPLICATE, _E.CONFIRM)),
    VerdictRow(None, _O.NEWER, Ruling(_V.DUPLICATE, _E.REMEMBER, _NEWER)),
    VerdictRow(None, _O.REPEATED, Ruling(_V.DUPLICATE, _E.REMEMBER, _REPEATED)),
    VerdictRow(None, _O.CONFLICTING, Ruling(_V.REFUSED, _E.REMEMBER, _CONFLICTING)),
    VerdictRow(None, _O.MOVED, Ruling(_V.DUPLICATE, _E.JOIN)),
    VerdictRow(None, _O.SYNONYM, Ruling(_V.DUPLICATE, _E.JOIN)),
    VerdictRow(_P.SHARED, None, Ruling(_V.MERGED, _E.JOIN)),
    VerdictRow(_P.OWN, _O.UNCHANGED, Ruling(_V.DUPLICATE, _E.JOIN)),
    VerdictRow(None, None, Ruling(_V.ADMITTED, _E.JOIN)),
)
"""Every verdict of merging, the first row that fits first."""

OUTCOMES = frozenset(
    ruling.finding.message
    for ruling in (*SPECIAL_CASES.values(), *(row.ruling for row in TABLE))
    if ruling.finding and ruling.finding.action is Action.NOTED
)
"""Messages, or their beginnings, that say by themselves what became of an object that is neither
held nor refused."""


@cache
def find_ruling(public: PublicState, own: OwnState = OwnState.NONE) -> Ruling:
    """The ruling of the first row that fits."""
    return next(row.ruling for row in TABLE if row.fits(public, own))


_Findings = tuple[Mapping[str, str], ...]

MOST_FINDINGS = 20
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
_DROPPED_ONE = "1 of its references leads to an object that is not here yet, or not for its readers"
_DROPPED_MANY = "{} of its references lead to objects that are not here yet, or not for its readers"
_EXTENSION_REMOVED = "removed, because the objects that it must reference were refused or revoked"
_DECIDING = (Action.HELD, Action.REFUSED)


def explain_dropped_references(
    rewriting: RewrittenReferences, stricter: Iterable[tuple[Tlp, RewrittenReferences]] = ()
) -> list[Finding]:
    """One finding for each property, however many references it lost, all levels together.

    One more for an extension that was removed because it needs them.
    """
    lost = Counter(_property_path(path) for path, _ in rewriting.dropped)
    gone = {target for _, target in rewriting.dropped}
    above = {(_property_path(p), t) for _, each in stricter for p, t in each.dropped}
    lost.update(name for name, target in above if target not in gone)
    there = rewriting.object.get("extensions", {})
    inside = {str(path[1]) for path, _ in rewriting.dropped if path[0] == "extensions"}
    removed = [f"extensions.{name}" for name in sorted(inside - there.keys())]
    return [
        Finding("publish", "references", Action.STRIPPED, _EXTENSION_REMOVED, name)
        for name in removed[:MOST_FINDINGS]
    ] + [
        Finding(
            "publish",
            "references",
            Action.STRIPPED,
            _DROPPED_ONE if count == 1 else _DROPPED_MANY.format(count),
            name,
        )
        for name, count in sorted(lost.items())[:MOST_FINDINGS]
    ]


def _property_path(path: Path) -> str:
    """The property of a reference: without its place in a list."""
    return ".".join(str(step) for step in path if isinstance(step, str))


def explain_raised_level(sent: Candidate, published: Candidate) -> list[Finding]:
    """A finding if an object is published more strictly than it was sent."""
    if published.tlp is None or published.tlp == sent.tlp:
        return []
    level = f"TLP:{published.tlp.label.upper()}"
    message = f"raised to {level} because an object that it references is {level}"
    return [Finding("publish", "marking", Action.NOTED, message, "object_marking_refs")]


def explain_what_stays(published: Contribution | None) -> list[Finding]:
    """A finding if an earlier version stays published though the new one is not taken."""
    return [] if published is None else [Finding("merge", "versions", Action.NOTED, STAYS)]


def explain_leading_version(mine: Contribution, own: Iterable[Contribution]) -> list[Finding]:
    """A finding if other content counts that the partner says under another of its ids.

    `own` are all its contributions to the object, `mine` among them.
    """
    seen = (each for each in own if each.tlp <= mine.tlp)
    counts = max(seen, key=version_order)
    if counts.source_id == mine.source_id or is_repeat(mine, counts):
        return []
    message = f"what you sent of it under another id takes precedence: {counts.source_id}"
    return [Finding("merge", "versions", Action.NOTED, message)]


def explain_leading_id(source: str) -> Finding:
    """A finding on a refused translation: the own id of the partner under which the object leads.

    The version that it must name is that one's.
    """
    message = f"what you sent of the translated object under another id takes precedence: {source}"
    return _refused("statements", message)


def explain_joined_id(others: Sequence[Contribution]) -> Finding:
    """A finding if an id leaves its former object for one that the partner has under `others`."""
    source = max(others, key=version_order).source_id
    message = f"it is one object now with what you sent under another id: {source}"
    return _noted("versions", f"{message}; your earlier version of it is withdrawn")


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
    """At most 3 × `MOST_FINDINGS` findings, the reasons for the verdict among them."""
    if len(findings) <= 2 * MOST_FINDINGS:
        return findings
    between = [f for f in findings[MOST_FINDINGS:-MOST_FINDINGS] if f.action in _DECIDING]
    return (*findings[:MOST_FINDINGS], *between[:MOST_FINDINGS], *findings[-MOST_FINDINGS:])


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
    is_known: bool = False
    """It is part of one already."""
    digest: bytes = b""
    """See `Review.digest`; empty if nothing is asked."""
    is_answered: bool = False
    """A reviewer was asked the same before."""

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
        if self.verdict is Verdict.HELD:
            return True
        return self.joined and not self.is_answered and bool(self.asking_rules())

    def asking_rules(self) -> list[str]:
        """The rules that a reviewer would waive, in order of their names."""
        action = Action.HELD if self.verdict is Verdict.HELD else Action.ASKED
        return sorted({f.rule for f in self.candidate.findings if f.action is action})

    def reviews(self, sender: Sender) -> list[Review]:
        """The question for a reviewer, if there is one.

        Of what joined, the parts that rules took out are asked about; nothing is asked of what
        was decided before.
        """
        if not self.asks:
            return []
        held, rules = self.verdict is Verdict.HELD, self.asking_rules()
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
            version=record.version,
            digest=self.digest,
        )
        return [review]


def awaits_objects(record: Record) -> bool:
    """True if an object is held only until objects that it references arrive.

    Then nobody has to decide about it, though a reviewer may.
    """
    held = {f.get("rule") for f in record.findings if f.get("action") == Action.HELD}
    return record.verdict == Verdict.HELD and held == {"references"}


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
