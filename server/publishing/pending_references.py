"""What ids from elsewhere stand for, and completing what waited for them.

An object is published with those of its references that are known.  Its draft
is kept with the others, and each time one of them arrives it is resolved
anew: the same references in the same order as if all had come at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import orjson

from tocsin.admission.markings.granular import layers_of, stricter_properties
from tocsin.admission.merge.identity import contributing_properties
from tocsin.admission.model import (
    Contribution,
    Layer,
    StixObject,
    Tlp,
)
from tocsin.admission.stix.references import Rewriting, references
from tocsin.server.model import ArrivedIds, PendingReferences, PublicObject
from tocsin.server.publishing.public_ids import Minted, resolved
from tocsin.server.publishing.public_objects import Ledger, contributions
from tocsin.server.store import Transaction

PORTION = 200
"""Contributions that one transaction completes."""
MOST_AWAITED = 1_000
"""Objects that one contribution waits for."""

_OF_THE_SOURCE = ("id", "created", "modified")
_GONE = Minted("", Tlp.RED)


def recalled(
    ledger: Ledger, partner: str, sees: Tlp, targets: Collection[str]
) -> dict[str, Minted]:
    """What a partner may mean by ids that are not in its submission."""
    sources = ledger.txn.find_public_ids(partner, targets)
    ledger.load({*targets, *sources.values()})
    known: dict[str, Minted] = {}
    hub = ledger.house.identity["id"]
    for target in targets:
        name = sources.get(target, target)
        public = ledger.publics.get(name)
        if public is not None and may_mean(public, partner, sees):
            known[target] = Minted(public.id, public.tlp, _parts(public))
        elif name == "":
            known[target] = _GONE
        elif target in ledger.house.well_known or name == hub or sources.get(target) == target:
            known[target] = Minted(name, Tlp.CLEAR)  # public already, under its own id
    return known


def definitions(txn: Transaction, partner: str, ids: Collection[str]) -> dict[str, StixObject]:
    """What marking definitions of the partner's own say that are public already."""
    sources = txn.find_public_ids(partner, ids)
    publics = txn.public_objects({*ids, *sources.values()})
    found: dict[str, StixObject] = {}
    for id_ in ids:
        public = publics.get(sources.get(id_, id_))
        for each in contributions(public):
            if each.partner == partner:
                raw = orjson.loads(each.raw) if each.raw else each.object
                found[id_] = {**raw, "id": id_}
    return found


def identities(subjects: Iterable[StixObject]) -> frozenset[str]:
    """Those that are sent, or related to others."""
    names = ("id", "source_ref", "target_ref")
    told = {str(subject.get(name)) for subject in subjects for name in names}
    return frozenset(each for each in told if each.startswith("identity--"))


def authors(txn: Transaction, partner: str, told: Collection[str], hub: str) -> frozenset[str]:
    """Of the partner's identities: those that gave way to the hub's."""
    found = txn.find_public_ids(partner, told)
    return frozenset(each for each, public in found.items() if public == hub)


def contributed(
    contribution: Contribution, layers: Sequence[Layer], known: dict[str, Minted]
) -> tuple[Contribution, frozenset[str]]:
    """The contribution with public ids, and the ids for which it is worth looking again."""
    rewriting, fuller = resolved(layers, known)
    awaited: set[str] = set()
    for _, target in rewriting.dropped:  # what was refused may be sent again, put right
        found = known.get(target)
        awaited |= {target, found.id or target} if found else {target}
    awaited = set(sorted(awaited)[:MOST_AWAITED])
    new = replace(
        contribution,
        object=_ours(rewriting.object),
        stricter_layers=tuple((level, _ours(layer)) for level, layer in fuller),
        unresolved_layers=_lasting(layers, rewriting) if awaited else (),
    )
    return new, frozenset(awaited)


def complete(ledger: Ledger, arrivals: ArrivedIds, after: str = "") -> str:
    """Complete a portion of what waits for what has arrived; where the next begins, if any."""
    waits = ledger.txn.find_pending_references(arrivals, after, PORTION)
    ledger.load({wait.public_id for wait in waits})
    ledger.txn.put_pending_references([_completed(ledger, wait) for wait in waits])
    return waits[-1].key if len(waits) == PORTION else ""


def _completed(ledger: Ledger, wait: PendingReferences) -> PendingReferences:
    awaited: frozenset[str] = frozenset()
    for mine in contributions(ledger.publics.get(wait.public_id)):
        if (
            mine.partner == wait.partner
            and wait.source_id in ("", mine.source_id)
            and mine.unresolved_layers
        ):
            targets = {
                target for _, layer in mine.unresolved_layers for target in references(layer)
            }
            known = recalled(ledger, wait.partner, wait.max_tlp, targets)
            new, more = contributed(mine, mine.unresolved_layers, known)
            awaited |= more
            if new != mine:
                ledger.join(wait.public_id, new)
    return replace(wait, targets=awaited)


def may_mean(public: PublicObject, partner: str, sees: Tlp) -> bool:
    """Whether a partner may know of it: as a reader, or because it speaks of it itself."""
    return public.tlp <= sees or any(each.partner == partner for each in public.contributions)


def _parts(public: PublicObject) -> tuple[tuple[Tlp, str], ...]:
    parts = (part for each in public.contributions for part in stricter_properties(layers_of(each)))
    return tuple(dict.fromkeys(parts))


def _lasting(layers: Sequence[Layer], rewriting: Rewriting) -> tuple[Layer, ...]:
    """The layers without those references from which an id followed that stands now."""
    makers = contributing_properties(rewriting.object["type"])
    lost = {path[0] for path, _ in rewriting.dropped if path[0] in makers}
    return tuple(
        (level, {name: value for name, value in layer.items() if name not in lost})
        for level, layer in layers
    )


def _ours(subject: StixObject) -> StixObject:
    return {name: value for name, value in subject.items() if name not in _OF_THE_SOURCE}
