"""Meaning of ids in references, and objects that wait for others to arrive.

An object is published with those of its references that are known.  Its draft
is kept with the contribution, and each time one of the missing objects arrives
it is resolved anew: the same references in the same order as if all had come
at once.

Marking definitions are known by their content, and seen as widely as what carries
them.  Within one submission admission sees to the level of those that came without
one; here it is done for definitions that were sent before, alone or with something
stricter (`widen_definitions`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, dropwhile, islice

import orjson

from tocsin.admission.markings.granular import layer_at, layers_of, stricter_properties
from tocsin.admission.markings.tlp import TLP_2_IDS, official_ids, read_markings
from tocsin.admission.merge.content import digest_as_sent, stored_octets
from tocsin.admission.merge.identity import (
    contributing_properties,
    definition_key,
    is_observable_type,
)
from tocsin.admission.model import Candidate, Contribution, Layer, StixObject, Tlp
from tocsin.admission.stix.references import RewrittenReferences, referenced_ids
from tocsin.server.model import ArrivedIds, PendingReferences, PublicObject
from tocsin.server.publishing.public_ids import (
    GONE,
    TLP_DEFINITIONS,
    PublicIds,
    PublicRef,
    ResolvedCandidate,
    RewrittenLayer,
    leave_out_authors,
    published_layers,
    resolve_layers,
)
from tocsin.server.publishing.public_objects import WorkingCopy, add_contribution, is_valid
from tocsin.server.publishing.revoked_and_purged_versions import ended_definition
from tocsin.server.publishing.unit_of_work import UnitOfWork
from tocsin.server.store import Snapshot

PORTION = 200
"""Contributions that one transaction completes at most."""
PORTION_OCTETS = 4_000_000
"""Octets of the public objects that they belong to, after which it completes no more."""
_LOADED = 10
"""Contributions whose public objects are read together."""
MOST_AWAITED = 1_000
"""Objects that one contribution waits for."""

_OF_THE_SOURCE = ("id", "created", "modified")


def look_up_references(
    work: UnitOfWork, partner: str, sees: Tlp | None, targets: Collection[str]
) -> dict[str, PublicRef]:
    """Find the objects that a partner may mean by ids that are not in its submission."""
    names = {*targets, *map(revocation_name, targets)}
    sources = work.txn.find_public_ids(partner, names)
    work.load({*targets, *sources.values()})
    return resolve_references(work, partner, sees, targets, sources)


def revocation_name(source: str) -> str:
    """The name under which the database keeps that a partner revoked one of its ids."""
    return f"revoked {source}"


def is_revoked(work: UnitOfWork, partner: str, source: str, own: Mapping[str, str]) -> bool:
    """True if a partner revoked one of its ids; `own` as in `resolve_references`."""
    if revocation_name(source) not in own:
        return False
    return work.find(own.get(source, "")).contribution(partner, source) is None


def resolve_references(
    work: UnitOfWork,
    partner: str,
    sees: Tlp | None,
    targets: Collection[str],
    own: Mapping[str, str],
) -> dict[str, PublicRef]:
    """The same for objects that are loaded.

    `own`: the public ids of the partner's own, and the names of the revocations, that there are.
    """
    config = work.merge.config
    known: dict[str, PublicRef] = {}
    for target in targets:
        name = own.get(target, target)
        public = work.find_public(name)
        if public is None or not public.audience.is_everybody:
            found = False  # its id must not show where it may not go, even in objects of its sender
        elif target not in own or is_revoked(work, partner, target, own):
            found = is_visible(public, sees)  # others, or another id, may keep it in force
        else:
            found = may_refer(public, (partner, target), sees, work.merge.now)
        if public is not None and found:
            known[target] = refer_to(public, partner)
        elif name == "":
            known[target] = GONE
        elif name == config.hub:
            known[target] = PublicRef(name, Tlp.CLEAR, replaces_author=target != name)
        elif name in config.well_known:
            known[target] = PublicRef(name, Tlp.CLEAR)  # public already, under its own id
    return known


def find_definitions(
    known: Snapshot, partner: str, ids: Collection[str], sees: Tlp | None = None
) -> dict[str, StixObject]:
    """The partner's own marking definitions with these ids that are public already.

    With `sees`, the strictest level that it may read, also what it reads under these public ids.
    Of one that has ended for the partner, only that is known: see `ended_definition`.
    """
    sources = known.find_public_ids(partner, ids)
    publics = known.public_objects({*ids, *sources.values()})
    found: dict[str, StixObject] = {}
    for id_ in ids:
        public = publics.get(sources.get(id_, id_))
        if public is None:
            continue
        own = [each for each in public.contributions if each.partner == partner]
        readable = public.id == id_ and is_visible(public, sees)
        if own:
            raw = own[-1].raw
            found[id_] = {**(orjson.loads(raw) if raw else own[-1].object), "id": id_}
        elif readable and public.contributions:  # as it is published, not as another sent it
            found[id_] = {**public.contributions[0].object, "id": id_}
        elif readable or id_ in sources:
            found[id_] = ended_definition(id_)
    return found


def identity_ids(subjects: Iterable[StixObject]) -> frozenset[str]:
    """Identities that are sent, or related to others."""
    names = ("id", "source_ref", "target_ref")
    found = {str(subject.get(name)) for subject in subjects for name in names}
    return frozenset(each for each in found if each.startswith("identity--"))


def find_replaced_authors(
    known: Snapshot, partner: str, identities: Collection[str], hub: str
) -> frozenset[str]:
    """The partner's identities in whose place the hub's own stands."""
    found = known.find_public_ids(partner, identities)
    return frozenset(each for each, public in found.items() if public == hub)


def resolve_contribution(
    contribution: Contribution, layers: Sequence[Layer], known: Mapping[str, PublicRef]
) -> tuple[Contribution, frozenset[str]]:
    """The contribution with public ids, and the ids that it waits for; empty if it lacks nothing.

    `layers` are its layers with the submitter's ids, all or the stricter ones; those below stay.
    Those below the first that lacks something wait for nothing: their readers may not see why.
    If it waits already, a layer that has lost what it needs stays as it is published.
    While one waits, it waits for all that its partner's ids stand for: when one stands for
    something else, the contribution says so then, and not when something that is hidden arrives.
    It does not wait for a reference from which its own id would follow.
    """
    layers = [(level, leave_out_authors(layer, known)) for level, layer in layers]
    resolved = resolve_layers(layers, known, contribution.tlp)
    makers = contributing_properties(contribution.object["type"])
    lacking = {level: _lacking(rewriting, makers, known) for level, rewriting in resolved}
    waiting = tuple(dropwhile(lambda each: not lacking[each[0]], layers))
    awaited: dict[str, None] = {}
    for level, layer in waiting:  # what less strict ones wait for comes first, if it is too much
        own = {each for each in referenced_ids(layer) if each in known and known[each].id != each}
        awaited |= dict.fromkeys((*sorted(lacking[level]), *sorted(own)))
    before = dict(layers_of(contribution)) if contribution.unresolved_layers else {}
    (_, base), *stricter = published_layers(map(_as_published, resolved), before)
    new = replace(
        contribution,
        object=base,
        stricter_layers=tuple(stricter),
        unresolved_layers=waiting,
    )
    return new, frozenset(islice(awaited, MOST_AWAITED))


def _as_published(layer: RewrittenLayer) -> RewrittenLayer:
    level, rewriting = layer
    return level, replace(rewriting, object=_without_own_ids(rewriting.object))


def _lacking(
    rewriting: RewrittenReferences, makers: Collection[str], known: Mapping[str, PublicRef]
) -> frozenset[str]:
    """The ids that a layer waits for: what was refused may be sent again, put right."""
    lost = {target for path, target in rewriting.dropped if path[0] not in makers}
    return frozenset(lost | {known[each].id or each for each in lost & known.keys()})


def waits_at(contribution: Contribution, level: Tlp) -> bool:
    """True if what readers of a level see of it waits for other objects."""
    waiting = contribution.unresolved_layers
    return bool(waiting) and waiting[0][0] <= level


def without_waiting_layers(contribution: Contribution) -> Contribution:
    """The contribution without the stricter layers that wait for other objects."""
    layers = contribution.stricter_layers
    kept = tuple(each for each in layers if not waits_at(contribution, each[0]))
    return replace(contribution, stricter_layers=kept)


def digest_words(said: Candidate, known: Mapping[str, PublicRef]) -> bytes:
    """The digest of a candidate as it was sent: see `Contribution.sent`."""
    layers = [
        (level, leave_out_authors(layer, known))
        for level, layer in ((said.effective_tlp, said.object or {}), *said.stricter_layers)
    ]
    used = {target for _, layer in layers for target in referenced_ids(layer)}
    return digest_as_sent(layers) if used - TLP_DEFINITIONS else b""


def complete_waiting(work: UnitOfWork, arrivals: ArrivedIds, after: str = "") -> str:
    """Complete a portion of what waits for what has arrived; where the next begins, if any."""
    waits = work.txn.find_pending_references(arrivals, after, PORTION)
    work.load({name for wait in waits for name in arrivals.public_ids & wait.targets})
    completed, done, octets = list[PendingReferences](), 0, 0
    while done < len(waits) and octets < PORTION_OCTETS:
        portion = waits[done : done + _LOADED]
        work.load({wait.public_id for wait in portion})
        concerned = [wait for wait in portion if _has_arrived(work, wait, arrivals)]
        completed += [_complete(work, wait, arrivals) for wait in concerned]
        every = chain.from_iterable(work.find(each.public_id).contributions for each in concerned)
        octets += sum(map(stored_octets, every))
        done += len(portion)
    work.txn.put_pending_references(completed)
    return waits[done - 1].key if done < len(waits) or len(waits) == PORTION else ""


def _has_arrived(work: UnitOfWork, wait: PendingReferences, arrivals: ArrivedIds) -> bool:
    """True if something has arrived that its partner may know of.

    Otherwise nothing is resolved anew: what has changed since it was published would become
    visible at that moment, and show that something hidden has arrived.
    """
    if wait.partner == arrivals.partner and not arrivals.source_ids.isdisjoint(wait.targets):
        return True
    publics = (work.find_public(name) for name in arrivals.public_ids & wait.targets)
    return any(public is not None and is_visible(public, wait.max_tlp) for public in publics)


def _complete(work: UnitOfWork, wait: PendingReferences, arrivals: ArrivedIds) -> PendingReferences:
    awaited: frozenset[str] = frozenset()
    for mine in work.find(wait.public_id).contributions:
        if (
            mine.partner == wait.partner
            and wait.source_id in ("", mine.source_id)
            and mine.unresolved_layers
        ):
            targets = {
                target for _, layer in mine.unresolved_layers for target in referenced_ids(layer)
            }
            known = look_up_references(work, wait.partner, wait.max_tlp, targets)
            new, more = resolve_contribution(mine, mine.unresolved_layers, known)
            come = _names_that_came(wait, arrivals, known)
            concerned = _level_concerned(mine, come, known)
            below = [each for each in mine.unresolved_layers if each[0] < concerned]
            names = _names_in(below, known)
            if below:  # nothing to which their readers see a reference has arrived
                new = _keep_layers(concerned, mine, new)
            new = _keep_identity(new, mine)
            awaited |= (more - names) | (wait.targets & names) | (more & come)
            if new != mine:
                copy = work.find(wait.public_id)
                if copy.public is not None and concerned <= copy.public.tlp:
                    work.note_report(wait.public_id)
                work.put(add_contribution(copy, new, work.merge, news_from=concerned))
    return replace(wait, targets=awaited)


def _names_that_came(
    wait: PendingReferences, arrivals: ArrivedIds, known: Mapping[str, PublicRef]
) -> set[str]:
    """The ids of what has arrived: the partner's own, and public ones."""
    arrived = set(arrivals.public_ids)
    if wait.partner == arrivals.partner:
        arrived |= arrivals.source_ids
    found = {each for each, ref in known.items() if each in arrived or ref.id in arrived}
    return found | {known[each].id for each in found}


def _level_concerned(
    mine: Contribution, come: Collection[str], known: Mapping[str, PublicRef]
) -> Tlp:
    """The least strict level at which readers see a reference to what has come; RED if none do.

    A reference that leads to something stricter is nothing to them.
    """
    levels = (
        max(level, ref.tlp)
        for level, layer in mine.unresolved_layers
        for target in referenced_ids(layer)
        if target in come and (ref := known.get(target, GONE)).id
    )
    return min(levels, default=Tlp.RED)


def _names_in(layers: Iterable[Layer], known: Mapping[str, PublicRef]) -> set[str]:
    """The ids to which layers refer, and the public ids for which they stand."""
    targets = {target for _, layer in layers for target in referenced_ids(layer)}
    return targets | {known[each].id for each in targets & known.keys()}


def _keep_layers(concerned: Tlp, mine: Contribution, new: Contribution) -> Contribution:
    """The new contribution, below the level `concerned` as it is published already."""
    (_, base), *stricter = [each for each in layers_of(mine) if each[0] < concerned]
    now = layers_of(new) if concerned < Tlp.RED else ()
    if now and (layer := layer_at(now, concerned)) != (stricter[-1][1] if stricter else base):
        stricter.append((concerned, layer))
    stricter += (each for each in now if each[0] > concerned)
    waits = mine.unresolved_layers
    return replace(new, object=base, stricter_layers=tuple(stricter), unresolved_layers=waits)


def is_visible(public: PublicObject, sees: Tlp | None) -> bool:
    """True if a partner may read it, and others may learn that it exists.

    Not an observable that was revoked: stricter reports may keep it in force where the partner
    does not look.
    """
    revoked = public.revoked and is_observable_type(public.id.partition("--")[0])
    is_readable = sees is not None and public.tlp <= sees
    return is_readable and not revoked and public.audience.is_everybody


def may_refer(public: PublicObject, own: tuple[str, str], sees: Tlp | None, now: int) -> bool:
    """True if a partner may refer to the object for which an id of its own stands.

    It may read it, or contributes to it itself, with a report that has not ended: others, which
    the partner may not know of, may keep the object in force.  `own`: the partner and its id.
    """
    mine = [each for each in public.contributions if each.partner == own[0]]
    under = [each for each in mine if each.source_id == own[1]]
    return is_visible(public, sees) or any(is_valid(each, now) for each in under or mine)


def refer_to(public: PublicObject, partner: str) -> PublicRef:
    """The meaning of an id by which a partner names a public object.

    Its parts are those of the partner's own reports: only its own words can be translated, and
    what others mark more strictly must not show.
    """
    return PublicRef(public.id, public.tlp, _own_parts(public.contributions, partner))


def refer_to_own(copy: WorkingCopy, mine: Contribution) -> PublicRef:
    """The meaning of an own id under which something is published already."""
    return PublicRef(copy.id, mine.tlp, _own_parts(copy.contributions, mine.partner))


def _own_parts(every: Iterable[Contribution], partner: str) -> tuple[tuple[Tlp, str], ...]:
    own = (each for each in every if each.partner == partner)
    return tuple(
        dict.fromkeys(part for each in own for part in stricter_properties(layers_of(each)))
    )


def _keep_identity(new: Contribution, published: Contribution) -> Contribution:
    """The new contribution with the properties from which the published observable's id follows."""
    makers = contributing_properties(published.object["type"])
    kept = {name: published.object[name] for name in makers if name in published.object}

    def keep(layer: StixObject) -> StixObject:
        return {name: value for name, value in layer.items() if name not in makers} | kept

    fuller = tuple((level, keep(layer)) for level, layer in new.stricter_layers)
    return replace(new, object=keep(new.object), stricter_layers=fuller)


def _without_own_ids(subject: StixObject) -> StixObject:
    return {name: value for name, value in subject.items() if name not in _OF_THE_SOURCE}


def unmarked_definitions(candidates: Iterable[Candidate]) -> frozenset[str]:
    """Source ids of the definitions without a level of their own."""
    found = (c for c in candidates if c.object and c.object.get("type") == "marking-definition")
    return frozenset(
        str(c.source_id) for c in found if c.object and read_markings(c.object, {}).tlp is None
    )


def missing_definitions(candidate: Candidate) -> tuple[str, ...]:
    """The markings of a held candidate whose definitions it waits for."""
    held = {finding.rule for finding in candidate.findings if finding.action == "held"}
    subject = candidate.object or {}
    refs = subject.get("object_marking_refs") if "marking" in held else ()
    return tuple(sorted({str(each) for each in refs or ()} - official_ids()))


def is_seen_as_widely(
    ids: PublicIds, new: Contribution, before: Contribution | None, public_id: str
) -> bool:
    """True if a definition without a level is published already, and no more strictly.

    `public_id` is where `before` is published: under another id it says something else.
    """
    if before is None or not (new.unmarked and before.unmarked and before.tlp <= new.tlp):
        return False
    key = _key_at(before.tlp, new)
    return public_id in ids.first_ids("marking-definition", key)


def is_another_definition(new: Contribution, before: Contribution) -> bool:
    """True if a partner's definition has other content than the one before under the same id."""
    return new.object.get("type") == "marking-definition" and _meaning(new) != _meaning(before)


def less_strict_ids(ids: PublicIds, definition: Contribution, level: Tlp) -> list[str]:
    """The ids under which a definition may be published at less strict levels than this one."""
    keys = (_key_at(each, definition) for each in Tlp if each < level)
    return [id_ for key in keys for id_ in ids.first_ids("marking-definition", key)]


def _meaning(definition: Contribution) -> StixObject:
    outside = ("object_marking_refs", "created_by_ref")
    return {name: value for name, value in definition.object.items() if name not in outside}


def widen_definitions(
    work: UnitOfWork,
    ids: PublicIds,
    partner: str,
    known: Mapping[str, PublicRef],
    resolved: ResolvedCandidate,
) -> dict[str, PublicRef]:
    """Publish at an object's level the definitions that it misses because they are stricter."""
    level = resolved.candidate.effective_tlp
    found: dict[str, PublicRef] = {}
    for source in resolved.rewriting.missing:
        there = known.get(source)
        sent = _find_sent(work, there, partner, source)
        if there is None or sent is None or not sent.unmarked or "|" in sent.scope:
            continue
        id_ = _first_unrevoked(work, ids, _key_at(level, sent))
        work.put(add_contribution(work.find(id_), _at(level, sent), work.merge))
        found[source] = PublicRef(id_, level)
    return found


def _key_at(level: Tlp, sent: Contribution) -> str:
    layers = ((level, sent.object), *sent.stricter_layers)
    return definition_key(layers, level.label, sent.partner)


def _find_sent(
    work: UnitOfWork, there: PublicRef | None, partner: str, source: str
) -> Contribution | None:
    """The partner's definition; of many ids with one content not all contributions are kept."""
    if there is None:
        return None
    own = [each for each in work.find(there.id).contributions if each.partner == partner]
    same = (each for each in own if each.source_id == source)
    return next(same, next((each for each in own if each.unmarked), None))


def _first_unrevoked(work: UnitOfWork, ids: PublicIds, key: str) -> str:
    """The first id under which the definition was not revoked."""
    names = ids.first_ids("marking-definition", key)
    work.load(names)
    revoked = {each.id for each in map(work.find_public, names) if each and each.revoked}
    return next((name for name in names if name not in revoked), names[-1])


def _at(level: Tlp, sent: Contribution) -> Contribution:
    marked = {**sent.object, "object_marking_refs": [TLP_2_IDS[level]]}
    return replace(sent, tlp=level, scope=level.label, object=marked)
