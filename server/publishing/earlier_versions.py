"""A candidate compared with what is published: the states by which the table decides.

Two questions (the columns of the table in `verdicts.py`): in which state is the public
object that the candidate would join, and in which is what its partner published before
under the same id, or as the version that a translation names.  A contribution that the
partner may not read counts as not published; where the references of its own are hidden
from it, its words are compared and not the objects to which they lead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.admission.merge.content import as_known_at, has_same_words, is_repeat, version_gap
from tocsin.admission.merge.identity import is_observable_type
from tocsin.admission.model import Action, Candidate, Contribution
from tocsin.admission.timestamps import micros
from tocsin.server.publishing.attribution import can_be_shared, find_subject, translates_version
from tocsin.server.publishing.batch import SettlementTask
from tocsin.server.publishing.public_ids import ResolvedCandidate
from tocsin.server.publishing.public_objects import WorkingCopy, find_leading
from tocsin.server.publishing.references import (
    digest_words,
    is_seen_as_widely,
    less_strict_ids,
    resolve_contribution,
)
from tocsin.server.publishing.repeated_withdrawals import is_withdrawn_often
from tocsin.server.publishing.revocations import (
    definition_has_ended,
    may_return,
    waits_since_restore,
)
from tocsin.server.publishing.verdicts import (
    MOST_TRANSLATIONS,
    WITHDRAWALS,
    OwnState,
    PublicState,
    SpecialCase,
    explain_leading_id,
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate with the public object that it would join."""

    candidate: Candidate
    copy: WorkingCopy
    new: Contribution
    """The contribution that it would make."""
    awaited: frozenset[str]
    """Ids of objects that it references and that have not arrived."""
    first_id: str
    """The first id of the same thing, which keeps the number of the newest one."""
    generation: int
    """The number of the id of `copy`."""


def find_statement_obstacle(
    task: SettlementTask, resolved: ResolvedCandidate, subject: str
) -> SpecialCase | None:
    """The case that forbids a statement about an object; None if its partner may make it.

    Where the partner may not read, others that it does not know of may lead; so no statement
    is taken there, whichever leads.
    """
    task.work.load([subject])
    public = task.work.find_public(subject)
    level = resolved.candidate.effective_tlp
    hidden = not task.is_visible(public) and can_be_shared(subject)
    if not task.may_read(level) and is_observable_type(subject.partition("--")[0]):
        hidden = True  # others may report the same observable at that level
    leading = find_leading(public, task.work.merge, level)
    if hidden or leading is None or leading.partner != task.batch.partner.slug or public is None:
        return SpecialCase.LED_BY_ANOTHER_PARTNER
    if not _is_current(task, resolved.candidate, subject, leading):
        return SpecialCase.OTHER_VERSION
    others = task.work.find_statements(public) - {resolved.id}
    return SpecialCase.TOO_MANY_TRANSLATIONS if len(others) >= MOST_TRANSLATIONS else None


def name_leading_id(
    task: SettlementTask, candidate: Candidate, subject: str, case: SpecialCase
) -> Candidate:
    """With a finding that names the own id that leads, if it translates a version of another."""
    leading = find_leading(task.work.find_public(subject), task.work.merge, candidate.effective_tlp)
    if leading is None or case is not SpecialCase.OTHER_VERSION:
        return candidate
    if find_subject(candidate.object or {}) in (leading.source_id, subject):
        return candidate
    return candidate.with_findings(explain_leading_id(leading.source_id))


def propose(task: SettlementTask, resolved: ResolvedCandidate) -> Proposal:
    """A candidate as a contribution to the public object under its id."""
    candidate, copy = resolved.candidate, task.work.find(resolved.id)
    if resolved.generation and copy.public is None:
        former = task.ids.generation(resolved, resolved.generation - 1)
        copy = replace(copy, former=task.work.find(former.id).withdrawals)
    is_observable = is_observable_type(str(resolved.rewriting.object["type"]))
    version = "" if is_observable else candidate.source_version or ""
    new, awaited = task.batch.contribution(candidate, version), frozenset[str]()
    if not new.raw:
        layers = [(new.tlp, new.object), *candidate.stricter_layers]
        refs = task.source_ids.refs
        if sent := digest_words(resolved.said, refs):
            new = replace(new, sent=sent)
        new, awaited = resolve_contribution(new, layers, refs)
    first_id = resolved.first_id or resolved.id
    return Proposal(candidate, copy, new, awaited, first_id, resolved.generation)


def public_state(task: SettlementTask, copy: WorkingCopy, new: Contribution) -> PublicState:
    """The state of the object that a contribution would join."""
    public = copy.public
    if public is None:
        return PublicState.ABSENT
    if public.revoked:
        is_observable = is_observable_type(str(new.object["type"]))
        is_known = task.source_ids.public_id(new.source_id) == copy.id
        if waits_since_restore(task, public) and (is_observable or not is_known):
            return PublicState.FROM_JOURNAL
        if is_observable:
            return PublicState.ABSENT
        return PublicState.EXPIRED if may_return(public) else PublicState.REVOKED
    if not task.may_read(public.tlp):
        return PublicState.HIDDEN
    readable = (each for each in public.contributions if task.may_read(each.tlp))
    alone = all(each.partner == new.partner for each in readable)
    return PublicState.OWN if alone else PublicState.SHARED


def own_state(task: SettlementTask, proposal: Proposal) -> OwnState:
    """The state of what the partner itself published before under the candidate's id."""
    return _state_by_words(task, proposal) or _state_by_objects(task, proposal)


def with_earlier_version(task: SettlementTask, proposal: Proposal) -> Proposal:
    """The proposal with the version and times of the same words before.

    Only their references have moved.  The partner must not learn whether they have, so nothing
    else may depend on it.
    """
    new = proposal.new
    said = task.find_own(task.source_ids.public_id(new.source_id), new.source_id)
    if said is None:
        return proposal
    new = replace(
        new,
        version=said.version,
        received=said.received,
        first_reported=said.first_reported,
        last_reported=said.last_reported,
        unchanged=said.unchanged,
    )
    return replace(proposal, new=new)


def joined_state(*, again: bool, others: bool, adds: bool) -> OwnState:
    """The state of what joins, by what it adds: it takes the place of NONE and OLDER.

    `others`: the partner has it under other ids of its own; `again`: in the same words.
    """
    if again or (others and not adds):
        return OwnState.SYNONYM
    return OwnState.OLDER if adds else OwnState.UNCHANGED


def find_less_strict_definitions(task: SettlementTask, new: Contribution) -> list[str]:
    """The ids under which the partner's definition is published less strictly than it is now."""
    if new.object["type"] != "marking-definition" or new.unmarked:
        return []
    names = less_strict_ids(task.ids, new, new.tlp)
    task.work.load(names)
    return [name for name in names if task.find_own(name, new.source_id) is not None]


def _is_current(
    task: SettlementTask, candidate: Candidate, subject: str, leading: Contribution
) -> bool:
    """True unless it translates another version of the partner's object than the published one.

    It stays current after a version with the same texts, so sending it again then is not an error.
    The versions of the public object are others, so one that refers to it by its public id is
    taken, unless it has ended before.
    """
    translation, source = candidate.object or {}, str(candidate.source_id)
    sent = find_subject(translation)
    known = as_known_at(leading, candidate.effective_tlp)
    if any(translates_version(translation, each.version) for each in (leading, known)):
        return True
    if sent == subject:
        ended = task.work.find_public(task.source_ids.public_id(source))
        if ended is None or not ended.revoked:
            return True
        return micros(translation["object_modified"]) > ended.created
    mine = task.find_own(task.source_ids.public_id(source), source)
    return mine is not None and mine.version == candidate.source_version


def _state_by_words(task: SettlementTask, proposal: Proposal) -> OwnState | None:
    """Compare by the partner's own words where what they refer to is hidden from it.

    None if the objects decide, or if it says something new.
    """
    new, before = proposal.new, task.source_ids.public_id(proposal.new.source_id)
    said = task.find_own(before, new.source_id)
    if said is None or new.source_id in task.source_ids.revoked:
        return None
    if new.object["type"] == "marking-definition" or not task.is_hidden(new, said):
        return None
    is_there = before == proposal.copy.id
    if new.sent == said.sent:
        return OwnState.SAME if is_there and is_repeat(new, said) else OwnState.MOVED
    state = _compare_words(new, said, released=bool(task.batch.waived))
    if state is OwnState.OLDER and not is_there:
        return None
    asks = any(finding.action is Action.ASKED for finding in proposal.candidate.findings)
    return OwnState.REPEATED if asks and state is OwnState.CONFLICTING else state


def _compare_words(new: Contribution, said: Contribution, *, released: bool) -> OwnState:
    """Compare what a partner says now under an id with other words that it said before."""
    later = version_gap(new, said)
    if later < 0:
        return OwnState.NEWER
    if later > 0 or released or not new.version:
        return OwnState.OLDER
    if new.sent[16:] == said.sent[16:]:  # only its references differ: the last word counts
        return OwnState.NEWER if said.received > new.received else OwnState.OLDER
    return OwnState.REPEATED if said.received == new.received else OwnState.CONFLICTING


def _state_by_objects(task: SettlementTask, proposal: Proposal) -> OwnState:
    """Compare with the partner's earlier contribution: to another object, then to this one."""
    new, copy = proposal.new, proposal.copy
    if new.source_id in task.source_ids.revoked:
        return OwnState.REVOKED
    before = task.source_ids.public_id(new.source_id)
    if before != copy.id:
        is_definition = new.object["type"] == "marking-definition"
        if is_definition and before and definition_has_ended(task, new.source_id):
            return OwnState.REVOKED
        there = task.find_own(before, new.source_id)
        if is_seen_as_widely(task.ids, new, there, before):
            return OwnState.AS_WIDE
        if there is not None and not new.unmarked and _is_superseded(new, there):
            return OwnState.ELSEWHERE
    mine = task.find_own(copy.id, new.source_id)
    if mine is None:
        held = WITHDRAWALS not in task.batch.waived and _is_withdrawn_often(task, copy)
        return OwnState.WITHDRAWN_OFTEN if held else OwnState.NONE
    asks = any(finding.action is Action.ASKED for finding in proposal.candidate.findings)
    state = _compare(new, mine, released=bool(task.batch.waived), asks=asks)
    if state is OwnState.SAME:  # if it is an older one somewhere, that ends when it joins
        return OwnState.OLDER if find_less_strict_definitions(task, new) else state
    return state


def _is_superseded(new: Contribution, there: Contribution) -> bool:
    """True if the partner has a later word under the same id: a newer version, or sent later."""
    gap = version_gap(new, there)
    return gap < 0 or (gap == 0 and there.received > new.received)


def _is_withdrawn_often(task: SettlementTask, copy: WorkingCopy) -> bool:
    """True if the partner, of which nothing is published here, withdrew it several times."""
    if not copy.withdrawals:
        return False
    partner = task.batch.partner.slug
    own = [each for each in copy.contributions if each.partner == partner]
    if any(task.find_own(copy.id, each.source_id) for each in own):
        return False
    return is_withdrawn_often(copy.withdrawals, partner, task.batch.now)


def _compare(new: Contribution, mine: Contribution, *, released: bool, asks: bool) -> OwnState:
    """Compare the existing contribution with the one that comes under the same id.

    `released`: a reviewer overruled rules; `asks`: rules took parts out that a reviewer may
    release.
    """
    if is_repeat(new, mine):
        return OwnState.SAME
    if not new.version:
        return OwnState.OLDER
    later = version_gap(new, mine)
    if later < 0:
        return OwnState.NEWER
    if later > 0 or released:
        return OwnState.OLDER
    if has_same_words(new, mine):  # what was sent last says where their references lead
        return OwnState.NEWER if mine.received > new.received else OwnState.OLDER
    just_sent = mine.received == new.received
    return OwnState.REPEATED if just_sent or asks else OwnState.CONFLICTING
