"""What the ids of one submission become.

Computed for the whole submission before any of it is published, so that the
order in which its objects come does not matter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tocsin.admission.identify import observable, observable_id, relationship_key
from tocsin.admission.markings import TLP_2
from tocsin.admission.merge import public_id
from tocsin.admission.model import Candidate, StixObject, Tlp, Verdict
from tocsin.admission.references import Rewriting, rewritten


@dataclass(frozen=True, slots=True)
class Minted:
    """What a source id stands for in public."""

    id: str
    tlp: Tlp


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate with its references rewritten and its public id decided."""

    candidate: Candidate
    """Its object, level and scope are those that will be published."""
    id: str
    key: str
    rewriting: Rewriting


class Mint:
    """Decides public ids under one secret namespace."""

    def __init__(self, namespace: uuid.UUID, identity: StixObject) -> None:
        self._namespace = namespace
        self._hub = Minted(identity["id"], Tlp.CLEAR)

    def minted(self, candidates: Iterable[Candidate], authors: frozenset[str]) -> dict[str, Minted]:
        """Every source id of a submission that will have a public one.

        `authors` are identities that give way to the hub's own.
        """
        known: dict[str, Minted] = {author: self._hub for author in authors}
        later: list[Candidate] = []
        for candidate in candidates:
            subject = candidate.object
            if subject is None or candidate.source_id is None or candidate.source_id in known:
                continue
            if candidate.verdict is Verdict.DUPLICATE:  # public already, under its own id
                known[candidate.source_id] = Minted(candidate.source_id, Tlp.CLEAR)
            elif candidate.open and _depends(subject):
                later.append(candidate)
            elif candidate.open:
                self._mint(candidate, known)
        for candidate in later:
            if not self.place(candidate, known).rewriting.missing:
                self._mint(candidate, known)
        return known

    def place(self, candidate: Candidate, known: Mapping[str, Minted]) -> Placed:
        """The candidate as it will be published, given what its references stand for.

        An object joins two others only where both may be seen: its level is
        raised to that of its ends.  A list of references leaves out those
        that are stricter than the object itself.
        """
        candidate = _raised(candidate, known)
        subject, tlp = candidate.object, candidate.tlp
        if subject is None or tlp is None:
            raise ValueError("only a candidate that came through admission can be placed")

        def resolve(target: str) -> str | None:
            if target in _LEVELS:
                return target
            found = known.get(target)
            return found.id if found is not None and found.tlp <= tlp else None

        rewriting = rewritten(subject, resolve)
        kind = subject["type"]
        key = candidate.key
        if kind == "relationship" and not rewriting.missing:
            key = relationship_key(rewriting.object, candidate.scope)
        if observable(kind):
            name = observable_id(rewriting.object)
        else:
            name = public_id(kind, key, self._namespace)
        return Placed(candidate, name, key, rewriting)

    def reborn(self, placed: Placed, generation: int) -> Placed:
        """The id that a revoked object comes back under: revocation is for ever."""
        kind = placed.rewriting.object["type"]
        return replace(placed, id=self._generation(kind, placed.key, generation))

    def generations(self, kind: str, key: str) -> list[str]:
        """Every id that what `key` names may have been published under."""
        return [self._generation(kind, key, n) for n in range(GENERATIONS + 1)]

    def _generation(self, kind: str, key: str, number: int) -> str:
        return public_id(kind, f"{key}#{number}" if number else key, self._namespace)

    def _mint(self, candidate: Candidate, known: dict[str, Minted]) -> None:
        placed = self.place(candidate, known)
        level = placed.candidate.tlp
        known[str(candidate.source_id)] = Minted(placed.id, Tlp.CLEAR if level is None else level)


GENERATIONS = 16
"""How often a public object may come back after it was revoked."""
_LEVELS = frozenset(TLP_2.values())
_ENDS = ("source_ref", "target_ref", "sighting_of_ref", "object_ref")


def _depends(subject: StixObject) -> bool:
    """Whether the object's own id follows from those of others."""
    return subject["type"] == "relationship" or any(
        name.endswith(("_ref", "_refs")) for name in subject if name in _CONTRIBUTING_REFS
    )


_CONTRIBUTING_REFS = frozenset(("from_ref", "parent_directory_ref", "src_ref", "dst_ref"))


def _raised(candidate: Candidate, known: Mapping[str, Minted]) -> Candidate:
    subject = candidate.object
    if subject is None or candidate.tlp is None:
        return candidate
    ends = (known.get(subject[name]) for name in _ENDS if name in subject)
    strictest = max((end.tlp for end in ends if end is not None), default=candidate.tlp)
    if strictest <= candidate.tlp:
        return candidate
    marks = [TLP_2[strictest]] + [
        mark for mark in subject.get("object_marking_refs", ()) if mark not in _LEVELS
    ]
    scope = "|".join((strictest.word, *candidate.scope.split("|")[1:]))
    raised = {**subject, "object_marking_refs": marks}
    return replace(candidate, object=raised, tlp=strictest, scope=scope)
