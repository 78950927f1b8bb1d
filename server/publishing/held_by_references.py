"""Objects held for their references: missing ones, stricter ones, markings that have ended.

A candidate waits until the objects that it needs have arrived, as long as a reference
would raise it above what its readers know, and where it is marked with a definition that
has ended.  `references.py` says what references mean, and completes what is published and
waits for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Candidate, Tlp
from tocsin.admission.stix.references import required_references
from tocsin.admission.timestamps import micros
from tocsin.server.publishing.batch import SettledCandidate, SettlementTask, conclude
from tocsin.server.publishing.earlier_versions import Proposal
from tocsin.server.publishing.public_ids import (
    PublicRef,
    ResolvedCandidate,
    further_markings,
    leave_out_authors,
)
from tocsin.server.publishing.public_objects import confirm_contribution
from tocsin.server.publishing.references import digest_words, refer_to_own
from tocsin.server.publishing.revocations import definition_has_ended
from tocsin.server.publishing.verdicts import (
    OwnState,
    PublicState,
    SpecialCase,
    explain_what_stays,
    find_ruling,
)


def without_authors(candidate: Candidate, known: Mapping[str, PublicRef]) -> Candidate:
    """The candidate as it may wait: as it was sent, but without its authors among what it lists.

    Its level is decided when it goes on.
    """

    subject, original = (
        each and leave_out_authors(each, known) for each in (candidate.object, candidate.original)
    )
    if subject is candidate.object and original is candidate.original:
        return candidate
    return replace(candidate, object=subject, original=original)


def conclude_if_blocked(
    task: SettlementTask, held: Candidate, resolved: ResolvedCandidate
) -> SettledCandidate | None:
    """The outcome of a candidate that cannot be merged now; None if it can.

    `held` is the candidate as it was sent.  Duplicate if a newer version is held; held if
    a reference is missing, would raise it above its earlier version, or is to an observable that
    is stricter so far, and if one of its marking definitions has ended.
    """
    refs, candidate = task.source_ids.refs, resolved.candidate
    missing = resolved.rewriting.missing
    missing = tuple(t for t in missing if t not in refs or not refs[t].replaces_author)
    if "marking" in task.batch.waived:
        missing = tuple(each for each in missing if not each.startswith("marking-definition"))
    elif any(
        each.startswith("marking-definition") and definition_has_ended(task, each)
        for each in missing
    ):
        return _hold_unresolved(task, held, resolved)
    if missing and task.batch.is_review:  # what came is hidden from its partner: nothing happens
        return _wait(task, held, SpecialCase.INCOMPLETE, missing)
    if _is_older_than_what_waits(task, candidate):
        task.source_ids.refs.pop(str(candidate.source_id), None)
        return conclude(candidate, SpecialCase.NEWER_HELD.ruling)
    if missing:
        return _wait(task, held, SpecialCase.INCOMPLETE, missing)
    if stricter := _find_stricter_targets(task, held, candidate):
        return _wait(task, held, SpecialCase.RAISED_ABOVE_EARLIER, stricter)
    if observables := _find_stricter_observables(task, held, candidate):
        return _wait(task, held, SpecialCase.STRICTER_OBSERVABLES, observables)
    return None


def has_ended_marking(task: SettlementTask, sent: Candidate) -> bool:
    """True if it is marked with a definition that was refused or has ended.

    Published with it, its readers would see it without its terms.  A reviewer may decide so.
    """
    if "marking" in task.batch.waived:
        return False
    if task.batch.is_review and _is_published_version(task, sent):
        return False
    return any(definition_has_ended(task, each) for each in further_markings(sent))


def hold_for_ended_marking(
    task: SettlementTask, proposal: Proposal, held: Candidate
) -> SettledCandidate:
    """Hold what is marked with a definition that has ended; a duplicate if it is published so.

    It may seem to be another object than that, since the content of the definition is gone.
    """
    new, work = proposal.new, task.work
    public_id = task.source_ids.public_id(new.source_id)
    stays = task.find_own(public_id, new.source_id)
    if stays is None or not task.is_same(new, stays):
        held = held.with_findings(*explain_what_stays(stays))
        return _wait(task, held, SpecialCase.ENDED_MARKING, ())
    work.put(confirm_contribution(work.find(public_id), stays, new, work.merge))
    task.source_ids.refs[new.source_id] = refer_to_own(work.find(public_id), stays)
    return conclude(proposal.candidate, find_ruling(PublicState.OWN, OwnState.SAME), public_id)


def _hold_unresolved(
    task: SettlementTask, held: Candidate, resolved: ResolvedCandidate
) -> SettledCandidate:
    """Hold what is marked with a definition that has ended and leads nowhere for its sender.

    A duplicate if it is published as it was sent.
    """
    candidate, source = resolved.candidate, str(held.source_id)
    public_id = task.source_ids.public_id(source)
    stays = task.find_own(public_id, source)
    if stays is None or stays.sent != digest_words(resolved.said, task.source_ids.refs):
        held = held.with_findings(*explain_what_stays(stays))
        return _wait(task, held, SpecialCase.ENDED_MARKING, ())
    work, again = task.work, replace(stays, received=task.batch.received)
    work.put(confirm_contribution(work.find(public_id), stays, again, work.merge))
    task.source_ids.refs[source] = refer_to_own(work.find(public_id), stays)
    return conclude(candidate, find_ruling(PublicState.OWN, OwnState.SAME), public_id)


def _is_older_than_what_waits(task: SettlementTask, candidate: Candidate) -> bool:
    """True if a newer version waits under the same id.

    The newer version may wait for objects of a stricter level.  If the older one were published
    only while those are missing, its readers would learn whether they exist.
    """
    waiting = task.source_ids.waiting.get(str(candidate.source_id))
    version = candidate.source_version
    return waiting is not None and bool(version) and micros(str(version)) < waiting


def _find_stricter_targets(
    task: SettlementTask, sent: Candidate, raised: Candidate
) -> tuple[str, ...]:
    """The references that raise a candidate above the partner's earlier version of it.

    Withdrawing the earlier version would show its readers that something stricter exists.
    """
    if raised.effective_tlp <= sent.effective_tlp:
        return ()
    source = str(sent.source_id)
    stays = task.find_own(task.source_ids.public_id(source), source)
    if stays is None or stays.tlp >= raised.effective_tlp:
        return ()
    return _names(_stricter_references(task, sent, stays.tlp))


def _find_stricter_observables(
    task: SettlementTask, sent: Candidate, raised: Candidate
) -> tuple[str, ...]:
    """The observables that raise a candidate, under all ids by which they may arrive.

    An observable is one object at all levels, and a less strict report of it may still come.  If
    the candidate had been published above that level, it would be missing there, and show that
    something stricter came first.  A reviewer may publish it above.
    """
    if raised.effective_tlp <= sent.effective_tlp or "references" in task.batch.waived:
        return ()
    found = _stricter_references(task, sent, sent.effective_tlp)
    observables = {t: id_ for t, id_ in found.items() if is_observable_type(id_.split("--")[0])}
    return _names(observables)


def _names(references: Mapping[str, str]) -> tuple[str, ...]:
    """All ids under which what is referenced may arrive: the partner's own, and public ones."""
    return tuple(dict.fromkeys(name for names in references.items() for name in names))


def _stricter_references(task: SettlementTask, sent: Candidate, level: Tlp) -> dict[str, str]:
    """The required references to objects above a level, with the objects' public ids.

    Those to objects of the same submission are left out.
    """
    refs = task.source_ids.refs
    found: dict[str, str] = {}
    for targets in required_references(sent.object or {}):
        for target in targets:
            ref = refs.get(target)
            if target not in task.batch.refs and ref is not None and ref.id and ref.tlp > level:
                found[target] = ref.id
    return found


def _is_published_version(task: SettlementTask, sent: Candidate) -> bool:
    """True if this version is published, without what a reviewer was asked about."""
    source = str(sent.source_id)
    stays = task.find_own(task.source_ids.public_id(source), source)
    return stays is not None and stays.version == (sent.source_version or "")


def _wait(
    task: SettlementTask, candidate: Candidate, case: SpecialCase, waits_for: tuple[str, ...]
) -> SettledCandidate:
    """Hold a candidate until others have arrived."""
    task.source_ids.note_waiting(candidate)
    return conclude(candidate, case.ruling, waits_for=waits_for)
