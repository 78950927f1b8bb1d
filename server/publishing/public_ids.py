"""What the ids of one submission become.

Computed for the whole submission before any of it is published, so that the
order in which its objects come does not matter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tocsin.admission.markings.granular import (
    is_still_valid,
    layer_at,
    stricter_properties,
    withhold_parts,
)
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.merge.identity import (
    contributing_properties,
    has_contributing_properties,
    is_observable_type,
    observable_id,
    public_id,
    public_id_v4,
    relationship_key,
)
from tocsin.admission.model import (
    Candidate,
    Layer,
    StixObject,
    Tlp,
    Verdict,
)
from tocsin.admission.stix.references import (
    NEEDED,
    Rewriting,
    needs,
    references,
    rewritten,
)
from tocsin.admission.timestamps import micros


@dataclass(frozen=True, slots=True)
class Minted:
    """What a source id stands for in public."""

    id: str
    """Empty: it came and was refused, so nobody need wait for it."""
    tlp: Tlp
    parts: tuple[tuple[Tlp, str], ...] = ()
    """Its properties that only stricter levels may see."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A candidate with its references rewritten and its public id decided."""

    candidate: Candidate
    """Its object, level and scope are those that will be published."""
    id: str
    key: str
    rewriting: Rewriting
    fuller: tuple[Layer, ...] = ()
    """What stricter levels see of it, rewritten."""

    def holds(self, now: int) -> bool:
        """Whether its own word is that it holds then."""
        until = self.rewriting.object.get("valid_until")
        return until is None or micros(until) > now


class Mint:
    """Decides public ids under one secret namespace."""

    def __init__(self, namespace: uuid.UUID, identity: StixObject) -> None:
        self._namespace = namespace
        self._hub = Minted(identity["id"], Tlp.CLEAR)

    def minted(self, candidates: Iterable[Candidate], authors: frozenset[str]) -> dict[str, Minted]:
        """Every source id of a submission that will have a public one.

        `authors` are identities that give way to the hub's own.
        """
        candidates = list(candidates)
        known: dict[str, Minted] = {author: self._hub for author in authors}
        later: list[Candidate] = []
        for candidate in candidates:
            subject = candidate.object
            if subject is None or candidate.source_id is None or candidate.source_id in known:
                continue
            if candidate.verdict is Verdict.DUPLICATE:  # public already, under its own id
                known[candidate.source_id] = Minted(candidate.source_id, Tlp.CLEAR)
            elif candidate.is_open and _depends(subject):
                later.append(candidate)
            elif candidate.is_open:
                self._mint(candidate, known)
        for candidate in sorted(later, key=_is_relationship):
            if not self.place(candidate, known).rewriting.missing:
                self._mint(candidate, known)
        _prune(candidates, known)
        return known

    def place(self, candidate: Candidate, known: Mapping[str, Minted]) -> Placed:
        """The candidate as it will be published, given what its references stand for.

        An object joins two others only where both may be seen: its level is
        raised to that of its ends.  A list of references leaves out those
        that are stricter than the object itself; where all of them are, it is
        raised to the least strict of them.
        """
        candidate = _translated(_raised(candidate, known), known)
        subject, tlp = candidate.object, candidate.tlp
        if subject is None or tlp is None:
            raise ValueError("only a candidate that came through admission can be placed")
        if candidate.raw:
            return Placed(candidate, str(candidate.source_id), candidate.key, Rewriting(subject))
        rewriting, fuller = resolved(_layers(candidate), known)
        kind = subject["type"]
        key = candidate.key
        if kind == "relationship" and not rewriting.missing:
            key = relationship_key(rewriting.object, candidate.scope)
        if is_observable_type(kind) and has_contributing_properties(rewriting.object):
            name = observable_id(rewriting.object)
        elif is_observable_type(
            kind
        ):  # the submitter's id tells who sent it, or what was taken out
            name = public_id_v4(kind, key, self._namespace)
        else:
            name = public_id(kind, key, self._namespace)
        return Placed(candidate, name, key, rewriting, fuller)

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
        known[str(candidate.source_id)] = Minted(
            placed.id,
            Tlp.CLEAR if level is None else level,
            stricter_properties(_layers(placed.candidate)),
        )


def resolved(
    layers: Sequence[Layer], known: Mapping[str, Minted]
) -> tuple[Rewriting, tuple[Layer, ...]]:
    """The first layer with public ids, and the fuller ones.

    A stricter level sees more of the references too; not so an observable's, whose id
    follows from them.
    """
    (tlp, subject), *_ = layers
    rewriting = _rewritten(subject, tlp, known)
    levels = {level for level, _ in layers[1:]}
    follows = is_observable_type(subject["type"])
    if not follows:
        hidden = [known[target].tlp for _, target in rewriting.dropped if _public(target, known)]
        levels |= {level for level in hidden if level < Tlp.RED}
    fuller: list[Layer] = []
    below = rewriting.object
    for level in sorted(levels):
        layer = _rewritten(layer_at(layers, level), tlp if follows else level, known).object
        if layer != below:
            fuller.append((level, layer))
            below = layer
    return rewriting, tuple(fuller)


def _rewritten(subject: StixObject, tlp: Tlp, known: Mapping[str, Minted]) -> Rewriting:
    def resolve(target: str) -> str | None:
        if target in _LEVELS:
            return target
        found = known.get(target)
        return found.id or None if found is not None and found.tlp <= tlp else None

    rewriting = rewritten(subject, resolve)
    if not rewriting.dropped:
        return rewriting
    makers = contributing_properties(subject["type"])
    awaited = [t for path, t in rewriting.dropped if path[0] in makers and t not in known]
    if not is_still_valid(rewriting.object, subject):
        awaited = [target for _, target in rewriting.dropped]
    missing = tuple(dict.fromkeys((*rewriting.missing, *awaited)))
    return replace(rewriting, missing=missing)


def in_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, each after those that it refers to."""
    by_id: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_id.setdefault(str(candidate.source_id), []).append(candidate)
    ordered: dict[int, Candidate] = {}
    entered: set[int] = set()
    waiting = list(reversed(candidates))
    while waiting:
        candidate = waiting[-1]
        if candidate.index in entered:
            ordered.setdefault(candidate.index, waiting.pop())
            continue
        entered.add(candidate.index)
        targets = {target for layer in seen(candidate) for target in references(layer)}
        below = [each for target in sorted(targets) for each in reversed(by_id.get(target, []))]
        waiting += [each for each in below if each.index not in entered]
    return list(ordered.values())


def seen(candidate: Candidate) -> list[StixObject]:
    """What any level sees of it, the least strict first."""
    base = [candidate.object] if candidate.object is not None else []
    return base + [layer for _, layer in candidate.stricter_layers]


def _public(target: str, known: Mapping[str, Minted]) -> bool:
    return target in known and bool(known[target].id)


def _prune(candidates: Sequence[Candidate], known: dict[str, Minted]) -> None:
    """Forget what needs something of the same submission that will not be public."""
    sent = [c for c in candidates if c.object is not None]
    there = {str(c.source_id): c.object for c in sent if c.is_open and c.object is not None}
    gone = {str(c.source_id) for c in sent} - known.keys()
    while gone:
        lost = {name for name, subject in there.items() if name in known and needs(subject, gone)}
        for name in lost:
            del known[name]
        gone = gone | lost if lost else set()


GENERATIONS = 16
"""How often a public object may come back after it was revoked."""
_LEVELS = frozenset(TLP_2_IDS.values())
_ENDS = ("source_ref", "target_ref", "sighting_of_ref", "object_ref")


def _depends(subject: StixObject) -> bool:
    """Whether the object's own id follows from those of others."""
    return subject["type"] == "relationship" or any(
        name.endswith(("_ref", "_refs")) for name in subject if name in _CONTRIBUTING_REFS
    )


_CONTRIBUTING_REFS = frozenset(("from_ref", "parent_directory_ref", "src_ref", "dst_ref"))


def _is_relationship(candidate: Candidate) -> bool:
    return candidate.object is not None and candidate.object["type"] == "relationship"


def _layers(candidate: Candidate) -> list[Layer]:
    if candidate.object is None or candidate.tlp is None:
        raise ValueError("only a candidate that came through admission has layers")
    return [(candidate.tlp, candidate.object), *candidate.stricter_layers]


def _translated(candidate: Candidate, known: Mapping[str, Minted]) -> Candidate:
    """A translation, as strict in its parts as what it translates, and of its newest version."""
    subject = candidate.object
    if subject is None or subject["type"] != "language-content":
        return candidate
    layers = [
        (level, {name: value for name, value in layer.items() if name != "object_modified"})
        for level, layer in _layers(candidate)
    ]
    target = known.get(str(subject.get("object_ref")))
    strict = [
        (level, ("contents", language, name))
        for level, name in (target.parts if target else ())
        for language in subject["contents"]
    ]
    (level, base), *fuller = withhold_parts(layers, strict)
    return _at_level(candidate, level, [(level, base), *fuller])


def _at_level(candidate: Candidate, level: Tlp, layers: Sequence[Layer]) -> Candidate:
    """The candidate raised to a level, with these layers."""
    scope = "|".join((level.label, *candidate.scope.split("|")[1:]))
    if level == candidate.tlp:
        marked = list(layers)
    else:
        marked = [(at, _marked(layer, level)) for at, layer in layers]
    fuller = tuple(layer for layer in marked if layer[0] > level)
    return replace(
        candidate, object=layer_at(marked, level), stricter_layers=fuller, tlp=level, scope=scope
    )


def _marked(subject: StixObject, level: Tlp) -> StixObject:
    others = [mark for mark in subject.get("object_marking_refs", ()) if mark not in _LEVELS]
    return {**subject, "object_marking_refs": [TLP_2_IDS[level], *others]}


def _of_members(subject: StixObject, known: Mapping[str, Minted]) -> Tlp:
    """The level below which none of what it lists is seen, if all of that has come."""
    listed = subject.get("object_refs", ()) if subject["type"] in NEEDED else ()
    members = [known.get(target) for target in listed]
    if not members or not all(members):
        return Tlp.CLEAR
    return min((each.tlp for each in members if each and each.id), default=Tlp.CLEAR)


def _raised(candidate: Candidate, known: Mapping[str, Minted]) -> Candidate:
    subject = candidate.object
    if subject is None or candidate.tlp is None:
        return candidate
    ends = (known.get(subject[name]) for name in _ENDS if name in subject)
    strictest = max((end.tlp for end in ends if end is not None and end.id), default=candidate.tlp)
    strictest = max(strictest, _of_members(subject, known))
    if strictest <= candidate.tlp:
        return candidate
    return _at_level(candidate, strictest, _layers(candidate))
