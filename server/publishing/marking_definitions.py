"""Marking definitions that came without a level are seen as widely as what carries them.

In one submission admission sees to that.  Here it is done for those that were sent
before, alone or with something stricter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tocsin.admission.markings.tlp import TLP_2_IDS, official_ids, read_markings
from tocsin.admission.merge.identity import submitter_key
from tocsin.admission.model import Candidate, Contribution, Tlp
from tocsin.server.publishing.public_ids import Mint, Minted, Placed
from tocsin.server.publishing.public_objects import Ledger


def unmarked(candidates: Iterable[Candidate]) -> frozenset[str]:
    """Ids of the definitions among what was sent that say no level of their own."""
    found = (c for c in candidates if c.object and c.object.get("type") == "marking-definition")
    return frozenset(
        str(c.source_id) for c in found if c.object and read_markings(c.object, {}).tlp is None
    )


def awaited(candidate: Candidate) -> tuple[str, ...]:
    """The markings for whose definitions a candidate waits."""
    held = {finding.rule for finding in candidate.findings if finding.action == "held"}
    subject = candidate.object or {}
    refs = subject.get("object_marking_refs") if "marking" in held else ()
    return tuple(sorted({str(each) for each in refs or ()} - official_ids()))


def narrower(new: Contribution, before: Contribution | None) -> bool:
    """Whether a definition without a level is there already, and as widely seen."""
    return new.unmarked and before is not None and before.unmarked and before.tlp <= new.tlp


def widened(
    ledger: Ledger, mint: Mint, partner: str, known: Mapping[str, Minted], placed: Placed
) -> dict[str, Minted]:
    """Those that an object misses because they are stricter, published at its level."""
    level = placed.candidate.effective_tlp
    found: dict[str, Minted] = {}
    for name in placed.rewriting.missing:
        there = known.get(name)
        said = ledger.said(there.id, partner, name) if there else None
        if there is None or said is None or not said.unmarked or "|" in said.scope:
            continue
        id_ = (
            there.id
            if said.raw
            else _living(ledger, mint, submitter_key(partner, name, level.label))
        )
        ledger.join(id_, _at(level, said))
        found[name] = Minted(id_, level)
    return found


def _living(ledger: Ledger, mint: Mint, key: str) -> str:
    """The first id under which it was never taken back."""
    ids = mint.generations("marking-definition", key)
    ledger.load(ids)
    gone = {name for name in ids if name in ledger.publics and ledger.publics[name].revoked}
    return next((name for name in ids if name not in gone), ids[-1])


def _at(level: Tlp, said: Contribution) -> Contribution:
    marked = {} if said.raw else {"object_marking_refs": [TLP_2_IDS[level]]}
    return replace(said, tlp=level, scope=level.label, object={**said.object, **marked})
