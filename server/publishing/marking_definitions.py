"""Marking definitions that came without a level are seen as widely as what carries them.

Within one submission admission sees to that.  Here it is done for definitions
that were sent before, alone or with something stricter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tocsin.admission.markings.tlp import TLP_2_IDS, official_ids, read_markings
from tocsin.admission.merge.identity import submitter_key
from tocsin.admission.model import Candidate, Contribution, Tlp
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


def is_seen_as_widely(new: Contribution, before: Contribution | None) -> bool:
    """True if a definition without a level is published already, and no more strictly."""
    return new.unmarked and before is not None and before.unmarked and before.tlp <= new.tlp


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
        sent = work.find(there.id).contribution(partner, source) if there else None
        if there is None or sent is None or not sent.unmarked or "|" in sent.scope:
            continue
        key = submitter_key(partner, source, level.label)
        id_ = there.id if sent.raw else _first_unrevoked(work, ids, key)
        work.put(add_contribution(work.find(id_), _at(level, sent), work.merge))
        found[source] = PublicRef(id_, level)
    return found


def _first_unrevoked(work: UnitOfWork, ids: PublicIds, key: str) -> str:
    """The first id under which the definition was not revoked."""
    names = ids.first_ids("marking-definition", key)
    work.load(names)
    revoked = {each.id for each in map(work.find_public, names) if each and each.revoked}
    return next((name for name in names if name not in revoked), names[-1])


def _at(level: Tlp, sent: Contribution) -> Contribution:
    marked = {} if sent.raw else {"object_marking_refs": [TLP_2_IDS[level]]}
    return replace(sent, tlp=level, scope=level.label, object={**sent.object, **marked})
