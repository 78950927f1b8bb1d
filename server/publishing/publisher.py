"""A batch of evaluated candidates becomes public, in one transaction.

Load what the batch touches; decide on each candidate by the table of verdicts,
those that others reference first; carry the decision out on values; write once.

A candidate passes these in turn: a revocation takes its partner's report back
(`revocations.py`); references that are missing or stricter hold it
(`held_by_references.py`); it joins the public object under its id, or under the id that
follows a revoked one (`public_ids.py`, `revocations.py`); comparison with what is
published finds the row of the table (`earlier_versions.py`, `verdicts.py`); and if a
reviewer is to be asked, the same is not asked twice (`earlier_reviews.py`).

Decisions of others since the batch was evaluated are not seen here: `intake/admission.py`
and `intake/review.py` look for them first, and evaluate it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial

from tocsin.admission.markings.granular import layers_of, stricter_properties
from tocsin.admission.markings.revoked_definitions import is_ended_definition
from tocsin.admission.markings.tlp import tlp_definition
from tocsin.admission.model import (
    CONSENTS_TO_NAME,
    Candidate,
    Contribution,
    StixObject,
    Tlp,
    Verdict,
)
from tocsin.admission.stix.history_extension import extension_author, extension_definition
from tocsin.admission.stix.references import REQUIRED_REFERENCES, referenced_ids
from tocsin.admission.timestamps import micros
from tocsin.server.examination.examiner import parse_candidate
from tocsin.server.model import ArrivedIds, PendingReferences, Record, Review, ReviewKind
from tocsin.server.publishing.attribution import find_subject
from tocsin.server.publishing.batch import (
    Batch,
    SettledCandidate,
    SettlementTask,
    SourceIds,
    conclude,
)
from tocsin.server.publishing.earlier_reviews import (
    EarlierReviews,
    admit_to_reviews,
    conclude_if_released,
    find_reviews_of,
)
from tocsin.server.publishing.earlier_versions import (
    Proposal,
    find_less_strict_definitions,
    find_statement_obstacle,
    joined_state,
    name_leading_id,
    own_state,
    propose,
    public_state,
    with_earlier_version,
)
from tocsin.server.publishing.held_by_references import (
    conclude_if_blocked,
    has_ended_marking,
    hold_for_ended_marking,
    without_authors,
)
from tocsin.server.publishing.public_ids import (
    GONE,
    TLP_DEFINITIONS,
    PublicIds,
    PublicRef,
    ResolvedCandidate,
    further_markings,
    lists_only_authors,
    objects_by_level,
    published_layers,
    sort_by_references,
)
from tocsin.server.publishing.public_objects import (
    PublishingConfig,
    add_contribution,
    confirm_contribution,
    is_news,
    is_valid,
    new_entry,
    remove_contribution,
    remove_identity,
)
from tocsin.server.publishing.references import (
    MOST_AWAITED,
    complete_waiting,
    is_another_definition,
    is_revoked,
    missing_definitions,
    refer_to,
    refer_to_own,
    resolve_references,
    revocation_name,
    widen_definitions,
)
from tocsin.server.publishing.revocations import (
    choose_public_id,
    find_newest_id,
    find_published_authors,
    is_revocation,
    withdraw,
)
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.publishing.verdicts import (
    Decision,
    Effect,
    OwnState,
    PublicState,
    Ruling,
    Sender,
    SpecialCase,
    explain_dropped_references,
    explain_joined_id,
    explain_leading_version,
    explain_narrowed_level,
    explain_raised_level,
    explain_what_stays,
    find_ruling,
)
from tocsin.server.store import Transaction


@dataclass(frozen=True, slots=True)
class Settlement:
    """The outcome of a batch."""

    records: tuple[Record, ...]
    """Records in order of index."""
    reviews: tuple[Review, ...]
    arrivals: ArrivedIds
    """The ids for which other objects may have waited."""
    after: str = ""
    """The start of the next portion of contributions to complete; empty if none is left."""
    revoked: frozenset[str] = frozenset()
    """Ids that the partner revoked: reviews of what it sent under them need no decision."""
    joined: frozenset[str] = frozenset()
    """Source ids of what became a part of a public object, and was not one in the same words."""
    published: Mapping[str, int] = field(default_factory=dict)
    """Times of receipt, by source id, of what is published as it was sent."""
    authors: ArrivedIds | None = None
    """Published identities that turned out to name the partner: `end_authors` ends them later."""


class Publisher:
    """Publishes under the hub's identity into the feeds."""

    def __init__(self, ids: PublicIds, config: PublishingConfig) -> None:
        self.ids = ids
        self.config = config

    def publish_own_objects(self, txn: Transaction) -> None:
        """Publish what every feed needs: the hub's identity, TLP definitions, its extension."""
        for feed in self.config.feeds():
            every = self._own_objects(feed.max_tlp)
            txn.publish(feed.id, [new_entry(each, Tlp.CLEAR) for each in every], replace=True)

    def is_own(self, object_id: str) -> bool:
        """True if every feed needs the object, and the hub publishes it in its own name."""
        return any(each["id"] == object_id for each in self._own_objects(Tlp.RED))

    def _own_objects(self, level: Tlp) -> list[StixObject]:
        levels = [tlp_definition(tlp) for tlp in Tlp if tlp <= level]
        return [self.config.identity, *levels, extension_author(), extension_definition()]

    def settle(self, txn: Transaction, batch: Batch) -> Settlement:
        """Publish a batch and write all of it but the submission's own state."""
        work = UnitOfWork.begin(txn, self.config, batch.now, batch.feeds)
        task = SettlementTask(batch, work, self.ids, _load(work, batch))
        reviews = find_reviews_of(txn, batch, self.config.max_waiting_reviews)
        authors = _replace_authors(task)
        ordered = sort_by_references(batch.candidates)
        outcomes = [
            admit_to_reviews(task, reviews, _settle_candidate(task, reviews, c)) for c in ordered
        ]
        own = task.source_ids
        txn.put_pending_references([each.waits for each in outcomes if each.waits is not None])
        if changed := own.assigned | {revocation_name(s): p for s, p in own.withdrawn.items()}:
            txn.add_public_ids(batch.partner.slug, batch.submission, changed)
        wider = frozenset(each.decision.public_id for each in outcomes if each.is_wider)
        arrivals = ArrivedIds(batch.partner.slug, frozenset(own.assigned), wider)
        after = complete_waiting(work, arrivals)
        work.write()
        sender = Sender(batch.submission, batch.partner, batch.now)
        explained = [_explain_precedence(task, each.decision) for each in outcomes]
        decisions = [_without_hidden_id(task, each) for each in explained]
        came = [d for d in decisions if d.joined and d.verdict is not Verdict.DUPLICATE]
        there = {d.candidate.source_id or "" for d in decisions if d.joined or d.is_known}
        return Settlement(
            records=tuple(sorted((d.record() for d in decisions), key=lambda r: r.index)),
            reviews=tuple(review for d in decisions for review in d.reviews(sender)),
            arrivals=arrivals,
            after=after,
            revoked=frozenset(own.withdrawn) | own.revoked_again,
            joined=frozenset(d.candidate.source_id or "" for d in came),
            published=_times_of_receipt(task, there) if batch.is_review else {},
            authors=authors,
        )

    def complete(self, txn: Transaction, arrivals: ArrivedIds, after: str, now: int) -> str:
        """Complete the next portion of what waits for `arrivals`; where the one after begins."""
        work = UnitOfWork.begin(txn, self.config, now)
        after = complete_waiting(work, arrivals, after)
        work.write()
        return after

    def end_authors(self, txn: Transaction, authors: ArrivedIds, now: int) -> None:
        """Revoke identities that name their partner.

        If it agreed to be named since then, they stay, and its ids stand for them again.
        """
        partner = txn.accounts.find_partner(authors.partner)
        work = UnitOfWork.begin(txn, self.config, now)
        left = find_published_authors(work, authors)
        if partner is not None and partner.consent in CONSENTS_TO_NAME:
            ids = {each.source_id: name for name, each in left}
            txn.add_public_ids(authors.partner, "named", ids)
            return
        for name, each in left:
            work.put(remove_identity(work.find(name), each, work.merge))
        work.write()

    def give_up(self, txn: Transaction, review: Review, now: int) -> None:
        """Let nothing wait any more for an object that a reviewer refused."""
        if review.source_id and not txn.find_public_ids(review.partner, [review.source_id]):
            txn.add_public_ids(review.partner, review.submission, {review.source_id: ""})
            arrivals = ArrivedIds(review.partner, frozenset({review.source_id}))
            self.complete(txn, arrivals, "", now)


def _load(work: UnitOfWork, batch: Batch) -> SourceIds:
    """Read the partner's ids, those that it references, and their objects, in one find each.

    Among its own ids are those of the definitions with which the candidates are marked.
    """
    opened = [c for c in batch.candidates if c.is_open]
    own = {c.source_id for c in batch.candidates if c.source_id} | batch.authors
    targets = _find_targets(opened)
    before = batch.settled_before(targets)
    own.update(id_ for c in opened for id_ in further_markings(c))
    outside = (targets - batch.refs.keys()) | before
    partner = batch.partner.slug
    names = own | outside
    found = work.txn.find_public_ids(partner, names | set(map(revocation_name, names)))
    stored = {name: found[name] for name in own & found.keys()}
    public = {batch.refs[name].id for name in own & batch.refs.keys()}
    work.load(public | names | {found[name] for name in names & found.keys()})
    revoked = {name for name in names if is_revoked(work, partner, name, found)}
    foreseen = {name: ref for name, ref in batch.refs.items() if name not in before}
    refs = dict.fromkeys(batch.refused, GONE) | foreseen
    refs |= resolve_references(work, partner, batch.sees, outside, found)
    waiting, held = _find_waiting_versions(work, batch), _find_held(work, batch)
    return SourceIds(stored, refs, revoked & own, waiting, held)


def _find_targets(candidates: Iterable[Candidate]) -> set[str]:
    """The ids to which candidates refer at any level, but those of the definitions of TLP."""
    layers = (layer for each in candidates for layer in objects_by_level(each))
    return {target for layer in layers for target in referenced_ids(layer)} - TLP_DEFINITIONS


def _find_waiting_versions(work: UnitOfWork, batch: Batch) -> dict[str, int]:
    """The newest version that waits under each id of a batch whose object may have to wait."""
    ids = {
        str(c.source_id)
        for c in batch.candidates
        if c.is_open and c.source_version and (c.object or {}).get("type") in REQUIRED_REFERENCES
    }
    found: dict[str, int] = {}
    for review in work.txn.reviews.list_waiting_under(batch.partner.slug, ids) if ids else ():
        version = parse_candidate(review.index, review.object).source_version
        if version and review.rules == ("references",):
            found[review.source_id] = max(micros(version), found.get(review.source_id, 0))
    return found


def _find_held(work: UnitOfWork, batch: Batch) -> set[str]:
    """The ids that the batch revokes while something waits under them for a reviewer."""
    ids = {c.source_id for c in batch.candidates if c.source_id and is_revocation(c)}
    reviews = work.txn.reviews.list_waiting_under(batch.partner.slug, ids) if ids else ()
    return {each.source_id for each in reviews if each.kind is ReviewKind.HELD}


def _replace_authors(task: SettlementTask) -> ArrivedIds | None:
    """Put the hub in the place of identities that turned out to be the sender's.

    Returns those that are published; None if there are none.  If they ended now, readers would
    learn whose report came.
    """
    own, published = task.source_ids, dict[str, str]()
    for identity in task.batch.authors - {task.hub}:
        before = own.stored.get(identity, "")
        sent = task.find_own(before, identity)
        if sent is not None:
            if sent.may_be_named and sent.received > task.batch.received:
                continue  # it agreed to be named since the submission came
            published[identity] = before
        own.assign(identity, task.hub)
    names, ids = frozenset(published), frozenset(published.values())
    return ArrivedIds(task.batch.partner.slug, names, ids) if published else None


def _settle_candidate(
    task: SettlementTask, reviews: EarlierReviews, candidate: Candidate
) -> SettledCandidate:
    """Settle one candidate, from beginning to end."""
    source = candidate.source_id or ""
    if withdrawn := withdraw(task, candidate):
        return withdrawn
    if candidate.verdict is Verdict.DUPLICATE:
        public_id = task.hub
        if source not in task.batch.authors:
            public_id = task.source_ids.refs.get(source, GONE).id
            task.source_ids.assign(source, public_id)
        return SettledCandidate(Decision(candidate, Verdict.DUPLICATE, public_id))
    if candidate.verdict is Verdict.HELD and source in task.source_ids.revoked:
        # A reviewer could not release it.
        return _refuse(task, candidate, find_ruling(PublicState.REVOKED))
    if not candidate.is_open:
        return SettledCandidate(_keep_admission_verdict(task, candidate))
    if task.is_hubs_own(candidate):
        return _settle_own(task, candidate)
    if _says_that_it_has_ended(candidate):
        return _refuse(task, candidate, SpecialCase.ENDED_DEFINITION.ruling)
    return _publish(task, reviews, candidate)


def _refuse(task: SettlementTask, candidate: Candidate, ruling: Ruling) -> SettledCandidate:
    """Refuse what cannot be published; nothing waits for it."""
    source, own = str(candidate.source_id), task.source_ids
    stays = task.find_own(own.public_id(source), source)
    own.refs[source] = GONE
    own.give_up(source)
    candidate = candidate.with_findings(*explain_what_stays(stays))
    return conclude(candidate, ruling)


def _keep_admission_verdict(task: SettlementTask, candidate: Candidate) -> Decision:
    """Held or refused by admission; what was published under the id before stays."""
    source, own = candidate.source_id or "", task.source_ids
    if candidate.verdict is Verdict.REFUSED:
        own.give_up(source)
    stays = task.find_own(own.public_id(source), source)
    candidate = candidate.with_findings(*explain_what_stays(stays))
    waits_for = missing_definitions(candidate)[:MOST_AWAITED]
    return Decision(candidate, candidate.verdict, waits_for=waits_for)


def _settle_own(task: SettlementTask, candidate: Candidate) -> SettledCandidate:
    """The hub's own object comes back; what came with it may refer to it.

    A marking definition that has ended stays what it was: see
    `held_by_references.has_ended_marking`.
    """
    source, kind = candidate.source_id or "", (candidate.object or {}).get("type")
    public = task.work.find_public(source)
    if public is not None and (not public.revoked or kind == "marking-definition"):
        task.source_ids.refs[source] = refer_to(public, task.batch.partner.slug)
    return conclude(candidate, SpecialCase.HUBS_OWN.ruling, source)


def _says_that_it_has_ended(candidate: Candidate) -> bool:
    """True for a marking definition with the text of what is left of one that has ended."""
    return is_ended_definition(candidate.object or {})


def _publish(
    task: SettlementTask, reviews: EarlierReviews, candidate: Candidate
) -> SettledCandidate:
    """Resolve an open candidate's references and its public id, then merge it."""
    refs = task.source_ids.refs
    resolved = _resolve(task, candidate)
    raised = explain_raised_level(candidate, resolved.candidate)
    dropped = explain_dropped_references(resolved.rewriting, resolved.stricter)
    held = without_authors(candidate, refs).with_findings(*dropped)
    candidate = resolved.candidate.with_findings(*raised, *dropped)
    resolved = replace(resolved, candidate=candidate)
    if candidate.effective_tlp > task.work.strictest_feed(task.batch.audience):
        return _refuse(task, candidate, SpecialCase.ABOVE_EVERY_FEED.ruling)
    if lists_only_authors(resolved, refs):
        return _refuse(task, candidate, SpecialCase.LISTS_ONLY_ITS_AUTHOR.ruling)
    if blocked := conclude_if_blocked(task, held, resolved):
        return blocked
    if candidate.from_hub:
        return _settle_copy(task, resolved)
    subject = find_subject(resolved.rewriting.object)
    if subject and (case := find_statement_obstacle(task, resolved, subject)) is not None:
        candidate = name_leading_id(task, candidate, subject, case)
        return _refuse(task, candidate, case.ruling)
    living = choose_public_id(task, resolved)
    level = candidate.effective_tlp
    parts = stricter_properties(published_layers([(level, living.rewriting), *living.stricter]))
    refs[str(candidate.source_id)] = PublicRef(living.id, level, parts)
    return conclude_if_released(task, reviews, living) or _merge(task, living, held)


def _resolve(task: SettlementTask, candidate: Candidate) -> ResolvedCandidate:
    """The candidate with public ids; marking definitions that it misses are widened for it."""
    own, partner = task.source_ids, task.batch.partner.slug
    resolved = task.ids.resolve(candidate, own.refs)
    wider = widen_definitions(task.work, task.ids, partner, own.refs, resolved)
    if not wider:
        return resolved
    own.refs |= wider
    for name, ref in wider.items():
        own.assign(name, ref.id)
    return task.ids.resolve(candidate, own.refs)


def _settle_copy(task: SettlementTask, resolved: ResolvedCandidate) -> SettledCandidate:
    """Settle what says that the hub made it, under an id that the hub does not know."""
    candidate, own = resolved.candidate, task.source_ids
    task.work.load([resolved.id])
    known = task.work.find_public(find_newest_id(task, resolved).id)
    if known is None or not task.is_visible(known):
        return conclude(candidate, SpecialCase.FALSE_HUB_OBJECT.ruling)
    own.refs[str(candidate.source_id)] = refer_to(known, task.batch.partner.slug)
    own.assign(str(candidate.source_id), known.id)
    return conclude(candidate, SpecialCase.HUBS_COPY.ruling, known.id)


def _merge(task: SettlementTask, resolved: ResolvedCandidate, held: Candidate) -> SettledCandidate:
    """Decide by the table, and carry the decision out; `held` is the candidate as it was sent."""
    proposal = propose(task, resolved)
    copy, new = proposal.copy, proposal.new
    public = public_state(task, copy, new)
    own = own_state(task, proposal)
    ruling = find_ruling(public, own)
    if own is OwnState.MOVED:
        proposal = with_earlier_version(task, proposal)
    if ruling.effect is Effect.JOIN and has_ended_marking(task, held):
        return hold_for_ended_marking(task, proposal, held)
    task.work.note_report(copy.id)
    if ruling.effect is Effect.JOIN:
        return _join(task, proposal, public, own)
    return conclude(resolved.candidate, ruling, _keep(task, proposal, ruling, own))


def _join(
    task: SettlementTask, proposal: Proposal, public: PublicState, before: OwnState
) -> SettledCandidate:
    """Let the contribution join, and decide by what that adds to the object."""
    work, partner, copy, new = task.work, task.batch.partner.slug, proposal.copy, proposal.new
    mine = task.find_own(copy.id, new.source_id)
    own_ids = (c.source_id for c in copy.contributions if c.partner == partner)
    every = (task.find_own(copy.id, source) for source in own_ids)
    others = [c for c in every if c is not None and c is not mine]
    reports = partial(_find_reports, task, (task.source_ids.public_id(new.source_id), copy.id))
    earlier = reports()
    left = _leave_former_object(task, copy.id, new)
    joined = add_contribution(copy, new, work.merge)
    strictest = max(level for level, _ in layers_of(new))
    hidden = public is PublicState.HIDDEN or not task.may_read(strictest)
    ends = left and new.object["type"] == "marking-definition"
    again = any(task.is_same(new, each) for each in others)
    own = before
    if own is not OwnState.MOVED:
        adds = hidden or ends or is_news(copy, joined)
        own = joined_state(again=again, others=bool(others), adds=adds)
    work.put(joined)
    _note_generation(task, proposal)
    task.source_ids.assign(new.source_id, copy.id)
    candidate = proposal.candidate
    if left and own is OwnState.SYNONYM and not task.is_hidden(new, new):
        candidate = candidate.with_findings(explain_joined_id(others))
    candidate = candidate.with_findings(*explain_narrowed_level(earlier, reports()))
    decision = conclude(candidate, find_ruling(public, own), copy.id).decision
    waits: PendingReferences | None = None
    if proposal.awaited or (mine is not None and mine.unresolved_layers):
        sees, awaited = task.batch.sees, proposal.awaited
        waits = PendingReferences(copy.id, partner, sees, awaited, new.source_id)
    is_wider = copy.public is None or copy.public.revoked or copy.public.tlp > new.tlp
    return SettledCandidate(replace(decision, joined=True), waits, is_wider)


def _find_reports(task: SettlementTask, public_ids: Sequence[str]) -> list[Contribution]:
    """The partner's own contributions to these objects that are published now."""
    found: list[Contribution] = []
    for name in dict.fromkeys(public_ids):
        every = task.work.find(name).contributions
        found += (each for each in every if each.partner == task.batch.partner.slug)
    return [each for each in found if is_valid(each, task.batch.now)]


def _leave_former_object(task: SettlementTask, public_id: str, new: Contribution) -> bool:
    """Remove what the partner published about something else under the id; False if nothing.

    A definition with other content stays for the objects that carry it, and so does one that is
    stricter than the new one, whose text may be seen more widely now.
    """
    before, work = task.source_ids.public_id(new.source_id), task.work
    sent = task.find_own(before, new.source_id)
    names = set(find_less_strict_definitions(task, new))
    if sent is not None and before != public_id and not new.unmarked and _follows(new, sent):
        names.add(before)
    for name in sorted(names):
        if former := task.find_own(name, new.source_id):
            work.put(remove_contribution(work.find(name), former, work.merge))
    return bool(names)


def _follows(new: Contribution, sent: Contribution) -> bool:
    """True if a contribution takes the place of what the partner sent under the id before."""
    if new.object["type"] != "marking-definition":
        return True
    return new.tlp >= sent.tlp and not is_another_definition(new, sent)


def _note_generation(task: SettlementTask, proposal: Proposal) -> None:
    """Let the first id lead to the newest one, however many there are between them."""
    first = task.work.find(proposal.first_id)
    if first.public is None or first.public.generation >= proposal.generation:
        return
    public = replace(first.public, generation=proposal.generation)
    task.work.put(replace(first, public=public))


def _keep(task: SettlementTask, proposal: Proposal, ruling: Ruling, own: OwnState) -> str:
    """Carry out a decision by which nothing joins; the public id that is in force instead."""
    work, ids, copy, new = task.work, task.source_ids, proposal.copy, proposal.new
    before, mine = ids.public_id(new.source_id), task.find_own(copy.id, new.source_id)
    is_elsewhere = own in (OwnState.ELSEWHERE, OwnState.AS_WIDE) or (
        mine is None and before != copy.id and task.find_own(before, new.source_id) is not None
    )
    if ruling.effect in (Effect.REMEMBER, Effect.CONFIRM) and not is_elsewhere:
        ids.assign(new.source_id, copy.id)
    if ruling.effect is Effect.CONFIRM and mine is not None:
        work.put(confirm_contribution(copy, mine, new, work.merge))
    if own is OwnState.REVOKED and copy.public is None:
        ids.refs[new.source_id] = GONE
    elif ruling.verdict is Verdict.HELD:  # even if something is published: it may be hidden
        ids.refs.pop(new.source_id, None)
    elif is_elsewhere:
        if stays := work.find_public(before):
            ids.refs[new.source_id] = refer_to(stays, new.partner)
        return before
    elif mine is not None:  # an older version may have other parts
        ids.refs[new.source_id] = refer_to_own(copy, mine)
    return copy.id


def _explain_precedence(task: SettlementTask, decision: Decision) -> Decision:
    """With a finding if the partner says something else under another id, and that counts.

    Only the whole batch tells: what comes later in it may take precedence.
    """
    copy, source = task.work.find(decision.public_id), decision.candidate.source_id or ""
    mine = task.find_own(copy.id, source) if decision.joined else None
    if mine is None or task.is_hidden(mine, mine):
        return decision
    names = [c.source_id for c in copy.contributions if c.partner == mine.partner]
    own = [each for name in names if (each := task.find_own(copy.id, name)) is not None]
    findings = explain_leading_version(mine, own)
    if not findings:
        return decision
    return replace(decision, candidate=decision.candidate.with_findings(*findings))


def _without_hidden_id(task: SettlementTask, decision: Decision) -> Decision:
    """The decision without the id of an object that no feed shows to the submitter.

    Which of the ids of one thing is in force tells if others reported it.
    """
    public = task.work.find_public(decision.public_id)
    hidden = public is not None and not task.is_visible(public)
    return replace(decision, public_id="") if hidden else decision


def _times_of_receipt(task: SettlementTask, sources: Set[str]) -> dict[str, int]:
    found = ((s, task.find_own(task.source_ids.public_id(s), s)) for s in sources)
    return {source: each.received for source, each in found if each is not None}
