"""Containers: the markings that unmarked objects inherit from the reports, groupings and
observed-data that list them.

Reports, groupings and observed-data cover what they list, in the same submission and through
other containers.  The strictest TLP level counts; markings of other kinds have no order, so all of
them apply together.  Members get their markings in writing, before anything is examined: one that
is sent, held or released alone later has the same ones.

A container covers its members whatever else is wrong with it, so it is read more leniently than
it is validated: any type, lists in any shape, ids in any case.  If a record cannot be read at all,
nobody knows what it holds: `find_without_level` finds the objects that only a reviewer may release.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tocsin.admission.markings.acs import is_acs
from tocsin.admission.markings.granular import resolve_selector
from tocsin.admission.markings.revoked_definitions import is_ended_definition
from tocsin.admission.markings.tlp import TLP_2_IDS, read_markings, split_off_granular_tlp
from tocsin.admission.merge.identity import is_well_known
from tocsin.admission.model import Action, Candidate, Finding, Path, StixObject, Tlp

_NO_CONTAINERS = frozenset(("note", "opinion"))
"""Types that list objects but do not hold them: they are about them."""
_MOST_TAKEN = 20
"""Markings other than TLP that a member takes; one that would take more is refused."""
_TOO_MANY = Finding(
    "normalise",
    "marking",
    Action.REFUSED,
    f"its containers carry more than {_MOST_TAKEN} markings other than TLP:"
    " give the object a TLP marking of its own",
    "object_marking_refs",
)


@dataclass(frozen=True, slots=True)
class _Container:
    """One container as it was sent, whatever else is wrong with it."""

    id: str
    members: tuple[str, ...]
    level: Tlp | None
    parts: tuple[tuple[Tlp, str], ...]
    """Members that a marking of a part of `object_refs` covers, each with its level."""
    others: tuple[str, ...]
    """Markings other than TLP, ACS first; one more than a member may take at most."""


@dataclass(frozen=True, slots=True)
class ContainerMarkings:
    """The markings that the containers of one submission give to what they hold."""

    levels: Mapping[str, Tlp] = field(default_factory=dict)
    """The strictest level of all containers around a member, by its id."""
    _definitions: Mapping[str, StixObject] = field(default_factory=dict)
    _others: Mapping[str, Mapping[str, None]] = field(default_factory=dict)
    """Markings other than TLP, by the id of the member."""

    @classmethod
    def read(
        cls, submission: Iterable[Candidate], definitions: Mapping[str, StixObject]
    ) -> ContainerMarkings:
        """Read the containers of a submission; the order of its objects does not matter.

        Each reference is followed once for the level, and at most once for each marking that a
        member may take.
        """
        found = [
            container
            for each in submission
            for record in _find_records(each.statements)
            if (container := _read_container(record, definitions)) is not None
        ]
        if not found:
            return cls()
        members: dict[str, dict[str, None]] = {}
        for each in found:
            members.setdefault(each.id, {}).update(dict.fromkeys(each.members))
        order = _acs_first(definitions)
        others = _spread_others(found, members, order)
        return cls(_spread_levels(found, members), definitions, others)

    def mark(self, candidate: Candidate) -> Candidate:
        """The candidate with the markings that it lacks; as it is if it lacks none."""
        subject = candidate.object
        name = _plain_id(candidate.source_id or "")
        if subject is None or not candidate.is_open:
            return candidate
        if name not in self.levels and name not in self._others:
            return candidate
        if subject.get("type") == "marking-definition" or is_well_known(subject):
            return candidate
        refs = subject.get("object_marking_refs", [])
        if not isinstance(refs, list):
            return candidate  # validation refuses it
        level, wanted = self._find_wanted(subject)
        if len(wanted) > _MOST_TAKEN:
            return candidate.refuse(_TOO_MANY)
        others = [each for each in wanted if each not in refs]
        new = [*([] if level is None else [TLP_2_IDS[level]]), *others]
        if not new:
            return candidate
        marked = {**subject, "object_marking_refs": [*refs, *new]}
        return candidate.with_object(marked, _describe(level, others))

    def _find_wanted(self, subject: StixObject) -> tuple[Tlp | None, list[str]]:
        """The level and the other markings that a member takes: of each kind that it lacks.

        A level of its own says how far it may go, so it takes no statement; but a TLP level says
        nothing of the access that ACS controls.
        """
        whole, _ = split_off_granular_tlp(subject, self._definitions)
        own = read_markings(whole, self._definitions)
        name = _plain_id(str(subject.get("id")))
        others = list(self._others.get(name, ()))
        if own.tlp is None:
            return self.levels.get(name), others
        if any(is_acs(self._definitions.get(each)) for each in own.other_ids):
            return None, []
        return None, [each for each in others if _may_be_acs(self._definitions.get(each))]


def find_without_level(
    submission: Iterable[Candidate], definitions: Mapping[str, StixObject]
) -> Iterator[str]:
    """Ids of the objects that no TLP marking of their own covers as a whole."""
    for each in submission:
        if each.object is None or not each.source_id:
            continue
        if each.object.get("type") != "marking-definition":
            whole, _ = split_off_granular_tlp(each.object, definitions)
            if read_markings(whole, definitions).tlp is None:
                yield each.source_id


def _find_records(record: StixObject) -> Iterator[StixObject]:
    """The record, and those in a bundle that somebody sent as an object."""
    yield record
    waiting = [record["objects"]] if "objects" in record else []
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
        if isinstance(each, dict | list):
            inside = each.values() if isinstance(each, dict) else each
            waiting += (one for one in inside if isinstance(one, dict | list))


def _read_container(record: StixObject, definitions: Mapping[str, StixObject]) -> _Container | None:
    """The container that the record is, however it is written; None if it holds nothing."""
    lists = [value for name, value in record.items() if is_container_property(name)]
    if not lists:
        return None
    types = {each.strip().casefold() for each in _texts_in(record.get("type"))}
    if types and types <= _NO_CONTAINERS:
        return None
    listed = lists[0]
    in_order = len(lists) == 1 and isinstance(listed, list)
    in_order = in_order and all(isinstance(each, str) for each in listed)
    members = [_plain_id(each) for each in _texts_in(lists)]
    subject = _read_markings_leniently(record) | {"object_refs": members}
    whole, parts = split_off_granular_tlp(subject, definitions)
    marks = read_markings(whole, definitions)
    others = sorted((*marks.other_ids, *marks.unknown_ids), key=_acs_first(definitions))
    places = [(level, resolve_selector(whole, selector)) for level, selector in parts]
    if not in_order:  # nobody knows which of them an index means
        places = [(level, path and path[:1]) for level, path in places]
    return _Container(
        _plain_id(str(record.get("id"))),
        tuple(filter(None, members)),
        marks.tlp,
        tuple(_marked_members(places, members)),
        tuple(others[: _MOST_TAKEN + 1]),
    )


def _read_markings_leniently(record: StixObject) -> StixObject:
    """The record's own properties and its markings, as lists of plain ids.

    A selector that selects nothing was meant to protect something: its marking covers the list of
    members.
    """
    ids = [
        id_
        for name, value in record.items()
        if is_container_property(name, "objectmarkingrefs")
        for each in _texts_in(value)
        if (id_ := _plain_id(each))
    ]
    parts = [
        {
            "marking_ref": _plain_id(mark),
            "selectors": [
                each if resolve_selector(record, each) is not None else "object_refs"
                for each in _texts_in(part.get("selectors"))
            ],
        }
        for part in _find_records({"objects": record.get("granular_markings")})
        for mark in _texts_in(part.get("marking_ref"))
    ]
    labels = list(_texts_in(record.get("labels")))
    return {
        **record,
        "object_marking_refs": ids,
        "granular_markings": parts,
        "labels": labels,
    }


def _texts_in(value: object) -> Iterator[str]:
    """The text, or all texts in lists and dictionaries, in order."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list):
            waiting += reversed(each)
        elif isinstance(each, dict):
            waiting += reversed(each.values())


def _plain_id(text: str) -> str:
    return text.strip().casefold()


def is_container_property(name: str, plain: str = "objectrefs") -> bool:
    """True if a property lists members or, with `objectmarkingrefs`, markings; in any spelling."""
    return _plain_name(name) == plain


@lru_cache(maxsize=4096)
def _plain_name(name: str) -> str:
    """The name of a property without the signs and cases in which people write it."""
    return re.sub(r"[\W_]", "", name.casefold())


def _marked_members(
    places: Iterable[tuple[Tlp, Path | None]], members: Sequence[str]
) -> Iterator[tuple[Tlp, str]]:
    """Members whose place in the list, or the list as a whole, is marked."""
    strictest: dict[int | None, Tlp] = {}
    for level, path in places:
        if path is not None and _plain_name(str(path[0])) == "objectrefs" and members:
            place = path[1] if len(path) > 1 and isinstance(path[1], int) else None
            strictest[place] = max(level, strictest.get(place, level))
    for place, level in strictest.items():
        for each in members if place is None else (members[place],):
            yield level, each


def _spread_levels(
    containers: Sequence[_Container], members: Mapping[str, Iterable[str]]
) -> dict[str, Tlp]:
    """The strictest level around each member: from RED down, each member is reached once."""
    levels: dict[str, Tlp] = {}
    for level in sorted(Tlp, reverse=True):
        waiting: list[str] = []
        for each in containers:
            waiting += each.members if each.level is level else ()
            waiting += (member for at, member in each.parts if at is level)
        while waiting:
            name = waiting.pop()
            if name not in levels:
                levels[name] = level
                waiting += members.get(name, ())
    return levels


def _spread_others(
    containers: Sequence[_Container],
    members: Mapping[str, Iterable[str]],
    order: Callable[[str], bool],
) -> dict[str, dict[str, None]]:
    """The other markings around each member, in order, and no more than show they are too many."""
    holders: dict[str, list[_Container]] = {}
    for each in containers:
        for marking in each.others:
            holders.setdefault(marking, []).append(each)
    taken: dict[str, dict[str, None]] = {}
    for marking in sorted(holders, key=order):
        waiting = [name for each in holders[marking] for name in each.members]
        while waiting:
            name = waiting.pop()
            own = taken.setdefault(name, {})
            if marking not in own and len(own) <= _MOST_TAKEN:
                own[marking] = None
                waiting += members.get(name, ())
    return taken


def _acs_first(definitions: Mapping[str, StixObject]) -> Callable[[str], bool]:
    """Sort key of markings: those that may control access before all others."""
    return lambda id_: not _may_be_acs(definitions.get(id_))


def _may_be_acs(definition: StixObject | None) -> bool:
    """True for a definition of ACS, and for one that has ended: it may have been one."""
    return is_acs(definition) or (definition is not None and is_ended_definition(definition))


def _describe(level: Tlp | None, others: Sequence[str]) -> Finding:
    got = [] if level is None else [f"TLP:{level.label.upper()}"]
    got += [f"{len(others)} other marking{'s' if len(others) > 1 else ''}"] if others else []
    message = f"takes {' and '.join(got)} from the report, grouping or observed-data that holds it"
    return Finding("normalise", "marking", Action.NOTED, message, "object_marking_refs")
