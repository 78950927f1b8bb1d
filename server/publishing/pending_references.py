"""Meaning of ids in references, and objects that wait for others to arrive.

An object is published with those of its references that are known.  Its draft
is kept with the contribution, and each time one of the missing objects arrives
it is resolved anew: the same references in the same order as if all had come
at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

import orjson

from tocsin.admission.markings.granular import layers_of, stricter_properties
from tocsin.admission.merge.content import stored_octets
from tocsin.admission.merge.identity import contributing_properties, is_observable_type
from tocsin.admission.model import (
    Contribution,
    Layer,
    StixObject,
    Tlp,
)
from tocsin.admission.stix.references import RewrittenReferences, referenced_ids
from tocsin.server.model import ArrivedIds, PendingReferences, PublicObject
from tocsin.server.publishing.public_ids import GONE, PublicRef, resolve_layers
from tocsin.server.publishing.public_objects import add_contribution, is_valid
from tocsin.server.publishing.unit_of_work import UnitOfWork

PORTION = 200
"""Contributions that one transaction completes at most."""
PORTION_OCTETS = 4_000_000
"""Octets of the public objects that they belong to, after which it completes no more."""
_LOADED = 10
"""Contributions whose public objects are read together."""
MOST_AWAITED = 1_000
"""Objects that one contribution waits for."""

_OF_THE_SOURCE = ("id", "created", "modified")


class KnownObjects(Protocol):
    """The source of public objects: the store, or a transaction."""

    def find_public_ids(self, partner: str, ids: Collection[str]) -> dict[str, str]:
        """The newest public id of each of a partner's own ids, as far as there is one."""
        ...

    def public_objects(self, ids: Collection[str]) -> dict[str, PublicObject]:
        """The public objects with these ids, as far as there are any."""
        ...


def look_up_references(
    work: UnitOfWork, partner: str, sees: Tlp, targets: Collection[str]
) -> dict[str, PublicRef]:
    """Find the objects that a partner may mean by ids that are not in its submission."""
    sources = work.txn.find_public_ids(partner, targets)
    work.load({*targets, *sources.values()})
    return resolve_references(work, partner, sees, {t: sources.get(t) for t in targets})


def resolve_references(
    work: UnitOfWork, partner: str, sees: Tlp, targets: Mapping[str, str | None]
) -> dict[str, PublicRef]:
    """The same for objects that are loaded; `targets` with the public ids of the partner's own."""
    config = work.merge.config
    known: dict[str, PublicRef] = {}
    for target, own in targets.items():
        name = target if own is None else own
        public = work.find_public(name)
        if public is None or not public.audience.is_everybody:
            found = False  # its id must not show where it may not go, even in objects of its sender
        elif own is None:
            found = is_visible(public, sees)
        else:
            found = may_refer(public, partner, sees, work.merge.now)
        if public is not None and found:
            known[target] = PublicRef(public.id, public.tlp, _parts(public))
        elif name == "":
            known[target] = GONE
        elif name in config.well_known or name == config.hub:
            known[target] = PublicRef(name, Tlp.CLEAR)  # public already, under its own id
    return known


def find_definitions(
    known: KnownObjects, partner: str, ids: Collection[str]
) -> dict[str, StixObject]:
    """The partner's own marking definitions with these ids that are public already."""
    sources = known.find_public_ids(partner, ids)
    publics = known.public_objects({*ids, *sources.values()})
    found: dict[str, StixObject] = {}
    for id_ in ids:
        public = publics.get(sources.get(id_, id_))
        for each in public.contributions if public is not None else ():
            if each.partner == partner:
                raw = orjson.loads(each.raw) if each.raw else each.object
                found[id_] = {**raw, "id": id_}
    return found


def identity_ids(subjects: Iterable[StixObject]) -> frozenset[str]:
    """Identities that are sent, or related to others."""
    names = ("id", "source_ref", "target_ref")
    found = {str(subject.get(name)) for subject in subjects for name in names}
    return frozenset(each for each in found if each.startswith("identity--"))


def find_replaced_authors(
    known: KnownObjects, partner: str, identities: Collection[str], hub: str
) -> frozenset[str]:
    """The partner's identities in whose place the hub's own stands."""
    found = known.find_public_ids(partner, identities)
    return frozenset(each for each, public in found.items() if public == hub)


def resolve_contribution(
    contribution: Contribution, layers: Sequence[Layer], known: Mapping[str, PublicRef]
) -> tuple[Contribution, frozenset[str]]:
    """The contribution with public ids, and the ids that it waits for; empty if it lacks nothing.

    While it waits, it waits for all that its partner's ids stand for: when one stands for something
    else, the contribution says so then, and not when something that is hidden arrives.
    """
    rewriting, fuller = resolve_layers(layers, known)
    awaited: set[str] = set()
    for _, target in rewriting.dropped:  # what was refused may be sent again, put right
        found = known.get(target)
        awaited |= {target, found.id or target} if found else {target}
    awaited = set(sorted(awaited)[:MOST_AWAITED])
    if awaited:
        used = {target for _, layer in layers for target in referenced_ids(layer)}
        own = {each for each in used & known.keys() if known[each].id != each} - awaited
        awaited |= set(sorted(own)[: MOST_AWAITED - len(awaited)])
    new = replace(
        contribution,
        object=_without_own_ids(rewriting.object),
        stricter_layers=tuple((level, _without_own_ids(layer)) for level, layer in fuller),
        unresolved_layers=_draft(layers, rewriting) if awaited else (),
    )
    return new, frozenset(awaited)


def complete_waiting(work: UnitOfWork, arrivals: ArrivedIds, after: str = "") -> str:
    """Complete a portion of what waits for what has arrived; where the next begins, if any."""
    waits = work.txn.find_pending_references(arrivals, after, PORTION)
    work.load({name for wait in waits for name in arrivals.public_ids & wait.targets})
    completed, done, octets = list[PendingReferences](), 0, 0
    while done < len(waits) and octets < PORTION_OCTETS:
        portion = waits[done : done + _LOADED]
        work.load({wait.public_id for wait in portion})
        concerned = [wait for wait in portion if _has_arrived(work, wait, arrivals)]
        completed += [_complete(work, wait) for wait in concerned]
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


def _complete(work: UnitOfWork, wait: PendingReferences) -> PendingReferences:
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
            awaited |= more
            if new != mine:
                work.note_report(wait.public_id)
                work.put(add_contribution(work.find(wait.public_id), new, work.merge))
    return replace(wait, targets=awaited)


def is_visible(public: PublicObject, sees: Tlp) -> bool:
    """True if a partner may read it, and others may learn that it exists.

    Not an observable that was revoked: stricter reports may keep it in force where the partner
    does not look.
    """
    revoked = public.revoked and is_observable_type(public.id.partition("--")[0])
    return public.tlp <= sees and not revoked and public.audience.is_everybody


def may_refer(public: PublicObject, partner: str, sees: Tlp, now: int) -> bool:
    """True if a partner may refer to what one of its own ids stands for.

    It may read it, or contributes to it itself, with a report that has not ended: others, which
    the partner may not know of, may keep the object in force.
    """
    own = (each for each in public.contributions if each.partner == partner)
    return is_visible(public, sees) or any(is_valid(each, now) for each in own)


def _parts(public: PublicObject) -> tuple[tuple[Tlp, str], ...]:
    parts = (part for each in public.contributions for part in stricter_properties(layers_of(each)))
    return tuple(dict.fromkeys(parts))


def _draft(layers: Sequence[Layer], rewriting: RewrittenReferences) -> tuple[Layer, ...]:
    """The layers without those references from which the object's own id followed."""
    makers = contributing_properties(rewriting.object["type"])
    lost = {path[0] for path, _ in rewriting.dropped if path[0] in makers}
    return tuple(
        (level, {name: value for name, value in layer.items() if name not in lost})
        for level, layer in layers
    )


def _without_own_ids(subject: StixObject) -> StixObject:
    return {name: value for name, value in subject.items() if name not in _OF_THE_SOURCE}
