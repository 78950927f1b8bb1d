"""From the ids of one submission to public ids.

Computed for the whole submission before any of it is published, so that the
order of its objects does not matter.  Values only: the store is not known here, so
`revocations.py` looks which id follows a revoked one.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from tocsin.admission.markings.granular import (
    is_still_valid,
    layer_at,
    stricter_properties,
    withhold_parts,
)
from tocsin.admission.markings.tlp import TLP_2_IDS, defined_level, marking_ids
from tocsin.admission.merge.identity import (
    contributing_properties,
    has_contributing_properties,
    has_well_known_id,
    is_observable_type,
    observable_id,
    public_id,
    public_id_v4,
    relationship_key,
)
from tocsin.admission.model import Candidate, Layer, StixObject, Tlp, Verdict
from tocsin.admission.stix.references import (
    REQUIRED_REFERENCES,
    RewrittenReferences,
    lacks_required_reference,
    referenced_ids,
    rewrite_references,
)
from tocsin.admission.timestamps import micros


@dataclass(frozen=True, slots=True)
class PublicRef:
    """The public object that a source id stands for."""

    id: str
    """Empty: the object was refused or revoked, so that nothing waits for it."""
    tlp: Tlp
    parts: tuple[tuple[Tlp, str], ...] = ()
    """Its properties that only stricter levels may see."""
    replaces_author: bool = False
    """It is the hub's identity, in the place of the submitter's own."""


RewrittenLayer = tuple[Tlp, RewrittenReferences]
"""An object as readers of a level see it, with its references rewritten."""
_NO_LAYERS: Mapping[Tlp, StixObject] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ResolvedCandidate:
    """A candidate with its references rewritten and its public id decided."""

    candidate: Candidate
    """Its object, level and scope are those that will be published."""
    said: Candidate
    """As its partner sent it, before its references raised its level."""
    id: str
    key: str
    rewriting: RewrittenReferences
    stricter: tuple[RewrittenLayer, ...] = ()
    """The stricter layers."""
    generation: int = 0
    """Number of ids of the same thing that were revoked before this one."""
    first_id: str = ""
    """The first of them; empty if this is it."""

    def is_valid(self, now: int) -> bool:
        """True if its `valid_until` has not passed then."""
        until = self.rewriting.object.get("valid_until")
        return until is None or micros(until) > now


class PublicIds:
    """Decides public ids under one secret namespace."""

    def __init__(self, namespace: uuid.UUID, identity: StixObject) -> None:
        self._namespace = namespace
        self._hub = PublicRef(identity["id"], Tlp.CLEAR)

    def assign(
        self, candidates: Iterable[Candidate], authors: frozenset[str]
    ) -> dict[str, PublicRef]:
        """The public ids of a submission's source ids, for all objects that will be public.

        `authors` are identities in whose place the hub's own stands.
        """
        candidates = list(candidates)
        hub = self._hub.id
        known = {each: replace(self._hub, replaces_author=each != hub) for each in authors}
        later: list[Candidate] = []
        for candidate in candidates:
            subject = candidate.object
            if subject is None or candidate.source_id is None or candidate.source_id in known:
                continue
            if candidate.verdict is Verdict.DUPLICATE:  # public already, under its own id
                known[candidate.source_id] = _standard_ref(candidate.source_id, subject)
            elif candidate.is_open and _depends(subject):
                later.append(candidate)
            elif candidate.is_open:
                self._assign(candidate, known)
        observables = [each for each in later if not _is_relationship(each)]
        relationships = filter(_is_relationship, later)
        for candidate in (*sort_by_references(observables), *relationships):
            if not self.resolve(candidate, known).rewriting.missing:
                self._assign(candidate, known)
        _prune(candidates, known)
        return known

    def resolve(self, candidate: Candidate, known: Mapping[str, PublicRef]) -> ResolvedCandidate:
        """The candidate as it will be published, given what its references stand for.

        A relationship, sighting or translation is raised to the level of the objects that it
        is about.  A list of references leaves out those that are stricter than the object
        itself; where all of them are, the object is raised to the least strict of them.
        """
        said = candidate
        candidate = _resolve_translation(_raise_level(candidate, known), known)
        subject, tlp = candidate.object, candidate.tlp
        if subject is None or tlp is None:
            raise ValueError("only a candidate that came through admission can be resolved")
        if candidate.published is not None:
            public = RewrittenReferences(candidate.published)
            name = public_id(subject["type"], candidate.key, self._namespace)
            return ResolvedCandidate(candidate, said, name, candidate.key, public)
        (_, rewriting), *stricter = resolve_layers(_layers(candidate), known)
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
        return ResolvedCandidate(candidate, said, name, key, rewriting, tuple(stricter))

    def generation(self, resolved: ResolvedCandidate, number: int) -> ResolvedCandidate:
        """The candidate under another id; 0 is the first.

        A revoked id is never used again: the next one takes its place, without end.
        """
        first = resolved.first_id or resolved.id
        if number == 0:
            return replace(resolved, id=first, generation=0, first_id="")
        id_ = self.generation_id(resolved.rewriting.object["type"], resolved.key, number)
        return replace(resolved, id=id_, generation=number, first_id=first)

    def generation_id(self, kind: str, key: str, number: int) -> str:
        """The id under which the object that `key` names is published when `number` are revoked."""
        return public_id(kind, f"{key}#{number}" if number else key, self._namespace)

    def first_ids(self, kind: str, key: str) -> list[str]:
        """The first ids of the object that `key` names, in order; there may be more."""
        return [self.generation_id(kind, key, number) for number in range(GENERATIONS + 1)]

    def _assign(self, candidate: Candidate, known: dict[str, PublicRef]) -> None:
        resolved = self.resolve(candidate, known)
        level = resolved.candidate.tlp
        known[str(candidate.source_id)] = PublicRef(
            resolved.id,
            Tlp.CLEAR if level is None else level,
            stricter_properties(_layers(resolved.candidate)),
        )


def _standard_ref(name: str, subject: StixObject) -> PublicRef:
    """The meaning of a well-known object, under whatever id it was sent."""
    level = defined_level(subject)
    if level is not None:
        return PublicRef(TLP_2_IDS[level], Tlp.CLEAR)
    return PublicRef(name, Tlp.CLEAR) if has_well_known_id(name) else GONE


def resolve_layers(
    layers: Sequence[Layer], known: Mapping[str, PublicRef], tlp: Tlp | None = None
) -> list[RewrittenLayer]:
    """The layers with public ids, and one for each further level that sees more of the references.

    Of an observable no level sees more than `tlp`, by default that of the first layer, of the
    references from which its id follows.
    """
    first, subject = layers[0]
    seen = first if tlp is None else tlp
    makers = contributing_properties(subject["type"])
    levels = {level for level, _ in layers}
    found: list[RewrittenLayer] = []
    while levels:
        level = min(levels)
        rewriting = _rewrite(layer_at(layers, level), level, known)
        if level > seen and is_observable_type(subject["type"]):
            narrow = _rewrite(layer_at(layers, level), seen, known)
            rewriting = _keep_makers(narrow, rewriting, makers)
        found.append((level, rewriting))
        levels.remove(level)
        lost = (t for path, t in rewriting.dropped if path[0] not in makers)
        hidden = (known[t].tlp for t in lost if _is_public(t, known))
        levels |= {each for each in hidden if level < each < Tlp.RED}
    return found


def published_layers(
    resolved: Iterable[RewrittenLayer], before: Mapping[Tlp, StixObject] = _NO_LAYERS
) -> list[Layer]:
    """The layers that are published: not what lacks something it needs, nor what adds nothing.

    `before`: the layers as they are published already.  One that lacks something stays so.
    """
    resolved = list(resolved)
    published = [each for each in before.items() if each[0] < resolved[0][0]]
    for level, rewriting in resolved:
        former = before.get(level)
        stays = (published or former is not None) and _lacks_what_it_needs(rewriting, former)
        layer = former if stays else rewriting.object
        if layer is not None and not (published and layer == published[-1][1]):
            published.append((level, layer))
    return published


def _lacks_what_it_needs(rewriting: RewrittenReferences, former: StixObject | None) -> bool:
    """True if a layer lacks references that it needs, or markings with which it was published.

    A reviewer may have let the whole object go without a marking that never arrived.  A published
    observable keeps the references from which its id follows.
    """
    lost = (each for each in rewriting.missing if not each.startswith("marking-definition--"))
    keeps = former is not None and is_observable_type(former["type"])
    if not keeps and any(lost):
        return True
    marks = len(rewriting.object.get("object_marking_refs", ()))
    return former is not None and marks < len(former.get("object_marking_refs", ()))


def _keep_makers(
    narrow: RewrittenReferences, wide: RewrittenReferences, makers: Collection[str]
) -> RewrittenReferences:
    """`wide` with the properties from which an observable's id follows as they are in `narrow`."""
    subject = {name: value for name, value in wide.object.items() if name not in makers}
    subject |= {name: value for name, value in narrow.object.items() if name in makers}
    dropped = [each for each in wide.dropped if each[0][0] not in makers]
    dropped += [each for each in narrow.dropped if each[0][0] in makers]
    return replace(wide, object=subject, dropped=tuple(dropped))


def _rewrite(subject: StixObject, tlp: Tlp, known: Mapping[str, PublicRef]) -> RewrittenReferences:
    def resolve(target: str, name: str) -> str | None:
        if target in TLP_DEFINITIONS:
            return target
        found = known.get(target)
        if found is None or found.tlp > tlp:
            return None
        if found.replaces_author and name == "object_refs":
            return None  # otherwise the object would be about the hub
        return found.id or None

    rewriting = rewrite_references(subject, resolve)
    if not rewriting.dropped:
        return rewriting
    makers = contributing_properties(subject["type"])
    awaited = [t for path, t in rewriting.dropped if path[0] in makers and t not in known]
    if not is_still_valid(rewriting.object, subject):
        reduced = _without_refused_extension(rewriting, subject, known)
        if reduced is None:
            awaited = [target for _, target in rewriting.dropped]
        else:
            rewriting = replace(rewriting, object=reduced)
    missing = tuple(dict.fromkeys((*rewriting.missing, *awaited)))
    return replace(rewriting, missing=missing)


def leave_out_authors(subject: StixObject, known: Mapping[str, PublicRef]) -> StixObject:
    """The object as it may wait for others: without the author among what it lists.

    Its partner may agree later to be named, which does not hold for what it sent before.
    """
    listed = subject.get("object_refs", ())
    kept = [each for each in listed if each not in known or not known[each].replaces_author]
    return subject if len(kept) == len(listed) else {**subject, "object_refs": kept}


def lists_only_authors(resolved: ResolvedCandidate, known: Mapping[str, PublicRef]) -> bool:
    """True if it lists nothing but identities in whose place the hub's own stands."""
    targets = resolved.rewriting.missing
    return bool(targets) and all(each in known and known[each].replaces_author for each in targets)


def _without_refused_extension(
    rewriting: RewrittenReferences, subject: StixObject, known: Mapping[str, PublicRef]
) -> StixObject | None:
    """The object without an extension that needs references, all to objects that were refused.

    None if it is not valid then either.
    """
    lost: dict[str, list[str]] = {}
    for path, target in rewriting.dropped:
        if path[0] == "extensions":
            lost.setdefault(str(path[1]), []).append(target)
    for name, targets in lost.items():
        if all(known.get(target) == GONE for target in targets):
            kept = {n: v for n, v in rewriting.object["extensions"].items() if n != name}
            reduced = {**rewriting.object, "extensions": kept}
            if not kept:
                del reduced["extensions"]
            if is_still_valid(reduced, subject):
                return reduced
    return None


def sort_by_references(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, each after all versions of those that it references.

    Where they reference each other in a circle, the one that is reached first comes last of it.
    """
    waiting: dict[str, deque[Candidate]] = {}
    for candidate in candidates:
        waiting.setdefault(str(candidate.source_id), deque()).append(candidate)
    ordered: list[Candidate] = []
    entered: set[int] = set()
    for root in candidates:
        path = [] if root.index in entered else [(root, _targets(root))]
        entered.add(root.index)
        while path:
            candidate, targets = path[-1]
            below = waiting.get(targets[-1]) if targets else None
            if below:
                following = below.popleft()  # nobody needs to look at it again
                if following.index not in entered:
                    entered.add(following.index)
                    path.append((following, _targets(following)))
            elif targets:
                targets.pop()
            else:
                ordered.append(candidate)
                path.pop()
    return ordered


def _targets(candidate: Candidate) -> list[str]:
    """The ids that a candidate references at any level, without repetition."""
    layers = objects_by_level(candidate)
    return sorted({target for layer in layers for target in referenced_ids(layer)})


def objects_by_level(candidate: Candidate) -> list[StixObject]:
    """The candidate's object as each level sees it, the least strict first."""
    base = [candidate.object] if candidate.object is not None else []
    return base + [layer for _, layer in candidate.stricter_layers]


def further_markings(candidate: Candidate) -> set[str]:
    """The definitions with which a candidate is marked at any level, but for those of TLP."""
    layers = objects_by_level(candidate)
    return {id_ for layer in layers for id_ in marking_ids(layer)} - TLP_DEFINITIONS


def _is_public(target: str, known: Mapping[str, PublicRef]) -> bool:
    return target in known and bool(known[target].id)


def _prune(candidates: Sequence[Candidate], known: dict[str, PublicRef]) -> None:
    """Remove what needs an object of the same submission that will not be public."""
    sent = [c for c in candidates if c.object is not None]
    there = {str(c.source_id): c.object for c in sent if c.is_open and c.object is not None}
    gone = {str(c.source_id) for c in sent} - known.keys()
    while gone:
        lost = {
            name
            for name, subject in there.items()
            if name in known and lacks_required_reference(subject, gone)
        }
        for name in lost:
            del known[name]
        gone = gone | lost if lost else set()


GENERATIONS = 16
"""Ids after the first one that are looked up together."""
GONE = PublicRef("", Tlp.RED)
"""An object that was refused or revoked."""
TLP_DEFINITIONS = frozenset(TLP_2_IDS.values())
"""Ids of the TLP 2.0 marking definitions, which are the same everywhere."""
_ENDS = ("source_ref", "target_ref", "sighting_of_ref", "object_ref")


def _depends(subject: StixObject) -> bool:
    """True if the object's own id follows from those that it references."""
    names = [name for name in contributing_properties(subject["type"]) if name in subject]
    makers = {name: subject[name] for name in names}
    return subject["type"] == "relationship" or any(True for _ in referenced_ids(makers))


def _is_relationship(candidate: Candidate) -> bool:
    return candidate.object is not None and candidate.object["type"] == "relationship"


def _layers(candidate: Candidate) -> list[Layer]:
    if candidate.object is None or candidate.tlp is None:
        raise ValueError("only a candidate that came through admission has layers")
    return [(candidate.tlp, candidate.object), *candidate.stricter_layers]


def _resolve_translation(candidate: Candidate, known: Mapping[str, PublicRef]) -> Candidate:
    """A translation: its parts as strict as those that it translates."""
    subject = candidate.object
    if subject is None or subject["type"] != "language-content":
        return candidate
    target = known.get(str(subject.get("object_ref")))
    strict = [
        (level, ("contents", language, name))
        for level, name in (target.parts if target else ())
        for language in subject["contents"]
    ]
    (level, base), *fuller = withhold_parts(_layers(candidate), strict)
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
    others = [
        mark for mark in subject.get("object_marking_refs", ()) if mark not in TLP_DEFINITIONS
    ]
    return {**subject, "object_marking_refs": [TLP_2_IDS[level], *others]}


def _level_of_members(subject: StixObject, known: Mapping[str, PublicRef]) -> Tlp:
    """The level below which none of the objects that it lists is seen, if all have arrived."""
    listed = subject.get("object_refs", ()) if subject["type"] in REQUIRED_REFERENCES else ()
    members = [known.get(target) for target in listed]
    if not members or not all(members):
        return Tlp.CLEAR
    seen = (each for each in members if each and each.id and not each.replaces_author)
    return min((each.tlp for each in seen), default=Tlp.CLEAR)


def _raise_level(candidate: Candidate, known: Mapping[str, PublicRef]) -> Candidate:
    subject = candidate.object
    if subject is None or candidate.tlp is None:
        return candidate
    ends = (known.get(subject[name]) for name in _ENDS if name in subject)
    strictest = max((end.tlp for end in ends if end is not None and end.id), default=candidate.tlp)
    strictest = max(strictest, _level_of_members(subject, known))
    if strictest <= candidate.tlp:
        return candidate
    return _at_level(candidate, strictest, _layers(candidate))
