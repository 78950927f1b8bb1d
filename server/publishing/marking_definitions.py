"""Marking definitions: known by their content, and seen as widely as what carries them.

Within one submission admission sees to the level of those that came without one.
Here it is done for definitions that were sent before, alone or with something stricter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tocsin.admission.markings.tlp import TLP_2_IDS, official_ids, read_markings
from tocsin.admission.merge.identity import definition_key
from tocsin.admission.model import Candidate, Contribution, StixObject, Tlp
from tocsin.server.publishing.public_ids import PublicIds, PublicRef, ResolvedCandidate
from tocsin.server.publishing.public_objects import add_contribution
from tocsin.server.publishing.unit_of_work import UnitOfWork


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
