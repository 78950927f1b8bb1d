"""Revocations: what a partner takes back, and what is reported again after it has ended.

A revocation withdraws the partner's own contribution; with the last one the public object
is revoked.  A revoked id is never used again, so the same thing gets the next id when it is
reported again: see `PublicIds.generation`.  A marking definition that has ended stays what
it was.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.admission.merge.identity import has_contributing_properties, is_observable_type
from tocsin.admission.model import Action, Candidate, Contribution, Tlp, Verdict
from tocsin.server.model import ArrivedIds, PublicObject, RevocationReason
from tocsin.server.publishing.batch import SettledCandidate, SettlementTask, conclude
from tocsin.server.publishing.public_ids import (
    GENERATIONS,
    GONE,
    ResolvedCandidate,
    further_markings,
)
from tocsin.server.publishing.public_objects import remove_contribution, remove_identity
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.publishing.verdicts import RESTORED, SpecialCase

_IDENTIFYING = (
    *("type", "pattern", "pattern_type", "relationship_type", "source_ref", "target_ref"),
    "object_marking_refs",
)
"""Properties that, with its source id, say which thing a contribution is about, and its scope."""
_MAY_RETURN = (RevocationReason.EXPIRED, RevocationReason.AGREEMENT_ENDED)


def is_revocation(candidate: Candidate) -> bool:
    """True if a candidate revokes what its partner sent under the id."""
    return (candidate.object or {}).get("revoked") is True


def withdraw(task: SettlementTask, candidate: Candidate) -> SettledCandidate | None:
    """Carry a revocation out, which needs no reviewer whatever else it says; None if it is none."""
    source = candidate.source_id or ""
    if not is_revocation(candidate) or candidate.from_hub or task.is_hubs_own(candidate):
        return None
    own, work = task.source_ids, task.work
    name = own.public_id(source)
    sent = task.find_own(name, source)
    if sent is None and (identity := _end_author(task, source)):
        own.revoke(source, identity)
        candidate = replace(candidate, verdict=Verdict.OPEN, findings=())
        return conclude(candidate, SpecialCase.WITHDRAWAL.ruling, identity)
    if sent is None:
        if candidate.verdict is Verdict.DUPLICATE or not source or _has_no_valid_id(candidate):
            return None
        if ended := work.find(name).contribution(task.batch.partner.slug, source):
            work.put(remove_contribution(work.find(name), ended, work.merge))
        name = ""
        own.refs[source] = GONE
    own.revoke(source, name)
    candidate = replace(candidate, verdict=Verdict.OPEN, findings=())
    if sent is None:
        own.give_up(source)
        held = source in own.held
        case = SpecialCase.WITHDRAWAL_OF_HELD if held else SpecialCase.WITHDRAWAL_OF_NOTHING
    else:
        work.put(remove_contribution(work.find(name), sent, work.merge))
        case = SpecialCase.WITHDRAWAL
    return conclude(candidate, case.ruling, name)


def find_published_authors(work: UnitOfWork, authors: ArrivedIds) -> list[tuple[str, Contribution]]:
    """The identities that are published still, each with what the partner sent."""
    work.load(authors.public_ids)
    return [
        (name, each)
        for name in sorted(authors.public_ids)
        for each in work.find(name).contributions
        if each.partner == authors.partner and each.source_id in authors.source_ids
    ]


def choose_public_id(task: SettlementTask, resolved: ResolvedCandidate) -> ResolvedCandidate:
    """The candidate under the id of the public object that it would join."""
    return _keep_published_id(task, resolved) or _find_living_id(task, resolved)


def find_newest_id(task: SettlementTask, resolved: ResolvedCandidate) -> ResolvedCandidate:
    """Under the newest id that was published; all before it are revoked."""
    work, newest = task.work, resolved
    first = work.find_public(resolved.id)
    if first is None or not first.revoked:
        return resolved
    number = max(first.generation, 1)
    while True:
        every = [task.ids.generation(resolved, number + n) for n in range(GENERATIONS)]
        work.load([each.id for each in every])
        for each in every:
            if work.find_public(each.id) is None:
                return newest
            newest = each
        number += GENERATIONS


def definition_has_ended(task: SettlementTask, definition: str) -> bool:
    """True if a definition was refused, or the submitter's own part in it has ended.

    The parts of others do not count: the answer must not show them.
    """
    own, work = task.source_ids, task.work
    if own.refs.get(definition) == GONE or definition in own.revoked:
        return True
    is_own = definition in own.assigned or definition in own.stored
    name = own.public_id(definition) if is_own else definition
    copy = work.find(name)
    if is_own and any(c.partner == task.batch.partner.slug for c in copy.contributions):
        return False
    if copy.public is None:
        return is_own and not name
    return copy.public.revoked if task.is_visible(copy.public) else is_own


def may_return(public: PublicObject) -> bool:
    """True if an object ended with its `valid_until`, or with an agreement of its partners.

    Nobody took it back, so its partners may report it again under the same ids of their own.
    """
    return public.revocation_reason in _MAY_RETURN


def waits_since_restore(task: SettlementTask, public: PublicObject) -> bool:
    """True if it ended after the backup that was restored, and no reviewer released it since.

    Which partners had it then is not known, so a report of it may be one that ended.  It does
    not exist for a submitter that may not see it; TLP:RED stands for a level that is not known.
    """
    is_seen = public.tlp is Tlp.RED or task.may_read(public.tlp)
    is_left = RESTORED not in task.batch.waived
    return public.revoked and public.from_journal and is_seen and is_left


def _has_no_valid_id(candidate: Candidate) -> bool:
    """True if its id is refused: nothing can have been published under it, and it is a mistake."""
    refused = (each for each in candidate.findings if each.action is Action.REFUSED)
    return any(each.path == "id" for each in refused)


def _end_author(task: SettlementTask, source: str) -> str:
    """End an identity that would end later, because its partner revokes it; its id, or empty."""
    if source not in task.batch.authors:
        return ""
    for each in task.work.txn.outbox.find_of_authors(task.batch.partner.slug):
        for name, sent in find_published_authors(task.work, each.arrived):
            if sent.source_id == source:
                task.work.put(remove_identity(task.work.find(name), sent, task.work.merge))
                return name
    return ""


def _keep_published_id(
    task: SettlementTask, resolved: ResolvedCandidate
) -> ResolvedCandidate | None:
    """Under the id of what a reviewer was asked about, if its marking definition has ended since.

    The content of the definition, which is a part of its scope, is gone.  None if none has ended.
    """
    source, new = str(resolved.candidate.source_id), resolved.rewriting.object
    name = task.source_ids.public_id(source)
    stays = task.find_own(name, source) if task.batch.is_review else None
    if stays is None or any(new.get(each) != stays.object.get(each) for each in _IDENTIFYING):
        return None
    if not any(definition_has_ended(task, each) for each in further_markings(resolved.candidate)):
        return None
    candidate = replace(resolved.candidate, scope=stays.scope)
    return replace(resolved, candidate=candidate, id=name)


def _find_living_id(task: SettlementTask, resolved: ResolvedCandidate) -> ResolvedCandidate:
    """Under the first id that is not revoked, or that is this partner's own and was withdrawn.

    One that expired, or ended with an agreement, is published again, under the next id, if the new
    report is still valid.
    """
    work, batch, ids = task.work, task.batch, task.ids
    work.load([resolved.id])
    first = work.find_public(resolved.id)
    if first is None or not first.revoked or _keeps_its_id(resolved):
        return resolved
    newest = find_newest_id(task, resolved)
    level = resolved.candidate.effective_tlp
    # At a level that the sender may not read, nobody says what expired.
    valid = resolved.is_valid(batch.now) or not task.may_read(level)
    own = work.find_public(task.source_ids.public_id(str(resolved.candidate.source_id)))
    if own is not None and own.revoked and not (may_return(own) and valid):
        former = (ids.generation(resolved, n) for n in range(newest.generation + 1))
        if found := next((each for each in former if each.id == own.id), None):
            return found
    public = work.find_public(newest.id)
    if public is None or not public.revoked:
        return newest
    if may_return(public) and not valid:
        return newest
    if waits_since_restore(task, public):
        return newest
    return ids.generation(resolved, newest.generation + 1)


def _keeps_its_id(resolved: ResolvedCandidate) -> bool:
    """True for an observable whose id follows from its value, also after a revocation.

    It is one object at all levels: if stricter reports of it are left, they keep it in force.
    """
    subject = resolved.rewriting.object
    return is_observable_type(str(subject["type"])) and has_contributing_properties(subject)
