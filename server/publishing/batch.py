"""A batch of evaluated candidates, and what is known while it is settled.

A batch is a slice of one submission of one partner.  While it is settled, its candidates
change the meaning of the partner's ids, and what the partner may not see counts as not
published.  `publisher.py` loads what a batch touches and settles its candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from tocsin.admission.markings.audience import EVERYBODY, Audience
from tocsin.admission.markings.granular import layers_of
from tocsin.admission.merge.content import is_repeat
from tocsin.admission.merge.identity import has_contributing_properties, is_observable_type
from tocsin.admission.model import CONSENTS_TO_NAME, Candidate, Contribution, Tlp, Verdict
from tocsin.admission.timestamps import micros
from tocsin.server.model import Collection, Partner, PendingReferences, PublicObject
from tocsin.server.publishing.public_ids import PublicIds, PublicRef
from tocsin.server.publishing.public_objects import is_valid
from tocsin.server.publishing.references import MOST_AWAITED
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.publishing.verdicts import Decision, Effect, Ruling


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The facts that a batch was evaluated by, which may change before it settles."""

    partners: int
    """The revision of the partners."""
    exclusions: int
    """The revision of the exclusion list."""


class StalePreconditions(Exception):
    """Something was decided since the batch was evaluated: the intake evaluates it again.

    Raised in the batch's transaction, before anything of it is published.
    """


@dataclass(frozen=True, slots=True)
class Batch:
    """A slice of one submission, evaluated."""

    submission: str
    partner: Partner
    """The partner, with the consent that holds for this submission."""
    account: str
    collection: str
    """Collection id."""
    candidates: tuple[Candidate, ...]
    refs: Mapping[str, PublicRef]
    """The public meaning of each source id of the whole submission."""
    authors: frozenset[str]
    """Identities in whose place the hub's own stands."""
    received: int
    now: int
    preconditions: Preconditions
    feeds: Sequence[Collection] | None = None
    """The hub's feeds, if they were looked up."""
    waived: frozenset[str] = frozenset()
    """Rules that a reviewer has overruled."""
    is_review: bool = False
    """Its object waits already: if it must wait on, it takes no further room."""
    refused: frozenset[str] = frozenset()
    """Source ids of the whole submission that were refused."""
    unmarked: frozenset[str] = frozenset()
    """Source ids of marking definitions without a level of their own."""
    sees: Tlp | None = Tlp.CLEAR
    """The strictest level that the submitter may read; what is stricter does not exist for it.

    None: it may not even read what is TLP:CLEAR."""
    audience: Audience = EVERYBODY
    """The partners to which it may go."""
    defined: frozenset[str] = frozenset()
    """Marking definitions that the partner sent before, or reads, and that were at hand."""
    places: Mapping[str, int] = field(default_factory=dict)
    """The place of the last object under each source id among those of a submission of several
    batches, in the order in which they are settled."""
    first: int = 0
    """The place of the first of the candidates: the number of those that were settled before."""

    def settled_before(self, sources: Set[str]) -> frozenset[str]:
        """Those of these ids that earlier batches of the submission have settled.

        The database has the objects that they stand for; in `refs` are those that were foreseen.
        """
        settled = {each for each in sources if self.places.get(each, self.first) < self.first}
        return frozenset(settled - self.authors)

    def contribution(self, candidate: Candidate, version: str) -> Contribution:
        """A candidate as its partner's contribution."""
        return Contribution(
            partner=self.partner.slug,
            source_id=str(candidate.source_id),
            version=version,
            received=self.received,
            tlp=candidate.effective_tlp,
            scope=candidate.scope,
            object=candidate.published or candidate.object or {},
            raw=candidate.raw,
            reliability=self.partner.reliability,
            group=self.partner.group,
            may_be_named=self.partner.consent in CONSENTS_TO_NAME,
            unmarked=candidate.source_id in self.unmarked,
        )


@dataclass(slots=True)
class SourceIds:
    """The meaning of ids while a batch is settled: the partner's own and those it references."""

    stored: Mapping[str, str]
    """Public ids of the partner's own ids before this batch; empty: refused."""
    refs: dict[str, PublicRef]
    """The public id of each id that may be referenced now; unknown ids are missing."""
    revoked: set[str]
    """Own ids that the partner revoked, in this batch or before; they cannot be used again."""
    waiting: dict[str, int]
    """The newest version held for its references, by own id, in µs since 1970 UTC."""
    held: set[str]
    """Own ids that the batch revokes and under which something waits for a reviewer."""
    assigned: dict[str, str] = field(default_factory=dict)
    """Own ids that stand for something else since this batch."""
    withdrawn: dict[str, str] = field(default_factory=dict)
    """Own ids that the batch revokes, with what they stood for."""
    revoked_again: set[str] = field(default_factory=set)
    """Those that were revoked before, and under which something waited since."""

    def public_id(self, source: str) -> str:
        """The public id that an own id has now; empty if it has none."""
        return self.assigned.get(source) or self.stored.get(source, "")

    def assign(self, source: str, public: str) -> None:
        """Let an own id stand for a public object from now on."""
        if source and (source in self.assigned or self.stored.get(source) != public):
            self.assigned[source] = public

    def give_up(self, source: str) -> None:
        """Let nothing wait for an id under which nothing was ever published."""
        if source not in self.stored and source not in self.assigned:
            self.assign(source, "")

    def note_waiting(self, candidate: Candidate) -> None:
        """Note that a candidate waits: nothing refers to its id meanwhile."""
        source, version = str(candidate.source_id), candidate.source_version
        self.refs.pop(source, None)
        if version:
            self.waiting[source] = max(micros(version), self.waiting.get(source, 0))

    def revoke(self, source: str, public: str) -> None:
        """Note that the batch revokes an own id."""
        if source not in self.revoked:
            self.revoked.add(source)
            self.withdrawn[source] = public
        elif source in self.held:
            self.revoked_again.add(source)


@dataclass(frozen=True, slots=True)
class SettlementTask:
    """A batch with what is needed to settle it, and the answers to what its submitter may know."""

    batch: Batch
    work: UnitOfWork
    ids: PublicIds
    source_ids: SourceIds

    @property
    def hub(self) -> str:
        """The id of the hub's identity."""
        return self.work.merge.config.hub

    def may_read(self, level: Tlp) -> bool:
        """True if the submitter may read what is published at a level."""
        return self.batch.sees is not None and level <= self.batch.sees

    def find_own(self, public_id: str, source: str) -> Contribution | None:
        """The partner's contribution under its id, if it is published there.

        Where the partner may not read, one that has ended counts as gone, also if others
        keep the object in force.
        """
        copy = self.work.find(public_id)
        mine = copy.contribution(self.batch.partner.slug, source)
        if mine is None or copy.public is None or self.may_read(copy.public.tlp):
            return mine
        return mine if is_valid(mine, self.batch.now) else None

    def is_hidden(self, new: Contribution, old: Contribution) -> bool:
        """True if the submitter must not learn to what the references of its objects lead.

        Which of the ids of one thing is in force tells if others reported it.
        """
        levels = (level for each in (new, old) for level, _ in layers_of(each))
        return bool(new.sent and old.sent) and not self.may_read(max(levels))

    def is_same(self, new: Contribution, old: Contribution) -> bool:
        """True if the submitter says the same again, as far as it may know."""
        return new.sent == old.sent if self.is_hidden(new, old) else is_repeat(new, old)

    def is_visible(self, public: PublicObject | None) -> bool:
        """True if the submitter may read it.

        An object for some partners only exists just for those that send the same.
        """
        if public is None or public.audience not in (EVERYBODY, self.batch.audience):
            return False
        return self.may_read(public.tlp)

    def is_hubs_own(self, candidate: Candidate) -> bool:
        """True if the hub's own object comes back.

        Not for an SCO, whose id follows from its value.
        """
        subject = candidate.object or {}
        public = self.work.find_public(candidate.source_id or "")
        own = candidate.source_id == self.hub or self.is_visible(public)
        return own and not (
            is_observable_type(str(subject.get("type"))) and has_contributing_properties(subject)
        )


@dataclass(frozen=True, slots=True)
class SettledCandidate:
    """A decision with what follows of it for other objects."""

    decision: Decision
    waits: PendingReferences | None = None
    is_wider: bool = False
    """The object may be seen more widely than before."""


def conclude(
    candidate: Candidate, ruling: Ruling, public_id: str = "", *, waits_for: tuple[str, ...] = ()
) -> SettledCandidate:
    """A candidate with the decision that a ruling makes.

    `waits_for`: ids of objects that have not arrived; the message names the first five.
    """
    finding = ruling.finding
    if finding is not None and waits_for:
        finding = finding._replace(message=finding.message + ", ".join(waits_for[:5]))
    findings = () if finding is None else (finding,)
    if ruling.verdict is Verdict.HELD:
        candidate, public_id = candidate.hold(*findings), ""
    elif ruling.verdict is Verdict.REFUSED:
        candidate, public_id = candidate.refuse(*findings), ""
    else:
        candidate = candidate.with_findings(*findings)
    known = ruling.effect is Effect.CONFIRM
    decision = Decision(
        candidate, ruling.verdict, public_id, waits_for[:MOST_AWAITED], is_known=known
    )
    return SettledCandidate(decision)
