"""The facts that objects of one submission state about each other, found without keeping them.

Admission judges an object by itself, but for a few facts that other objects of its submission
state: definitions of markings, reports that restrict what they list, names of the submitter,
copies that are marked differently.  A submission that is larger than memory is read once by a
`Survey`, which keeps only what can state such a fact; then its objects can be examined in any
parts.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tocsin.admission.errors import Malformed, TooLarge
from tocsin.admission.extraction.sorted_records import RecordSorter
from tocsin.admission.markings.containers import ContainerMarkings, is_container_property
from tocsin.admission.markings.tlp import (
    TLP_2_IDS,
    labelled_level,
    read_markings,
    split_off_granular_tlp,
)
from tocsin.admission.model import Action, Candidate, Finding, StixObject, Submitter, Tlp
from tocsin.admission.timestamps import micros

_MARKED_DIFFERENTLY = Finding(
    "normalise",
    "marking",
    Action.NOTED,
    "sent more than once with different markings: the strictest TLP level counts",
    "object_marking_refs",
)
_MOST_KEPT = 2_000_000
"""References and other values that a survey keeps; about 250 MB."""
_COPY = struct.Struct(">QQ")
_STATEMENTS: Mapping[str, tuple[str, ...]] = {
    "identity": ("type", "id", "name", "labels", "identity_class"),
    "sighting": ("type", "where_sighted_refs"),
    "email-message": ("type", "from_ref", "sender_ref", "to_refs", "cc_refs", "bcc_refs"),
}
"""By type of an object: the properties by which it says something about others."""
_CONTAINER_PROPERTIES = ("type", "id", "labels")

CopyKey = tuple[str, object]
"""The id and the version of an object; equal for its copies."""


@dataclass(frozen=True, slots=True)
class SubmissionFacts:
    """The facts that the objects of one submission state about each other.

    It can be sent to another process.
    """

    definitions: Mapping[str, StixObject]
    """Marking definitions by id, those sent earlier included."""
    containers: ContainerMarkings
    copies: Mapping[CopyKey, Tlp]
    """Objects that come more than once with different markings: the strictest level."""
    levels: Mapping[str, Tlp]
    """By id of a marking definition: the level of the least strict object that carries it."""
    submitter: Submitter
    """The submitter, with the consent that its objects state."""
    authors: frozenset[str]
    """Ids of the identities that name the submitter."""
    author_links: frozenset[str] = frozenset()
    """See RuleContext.author_links."""
    recipients: frozenset[str] = frozenset()
    """See RuleContext.recipients."""
    sighters: frozenset[str] = frozenset()
    """See RuleContext.sighters."""
    open_sighters: frozenset[str] = frozenset()
    """See RuleContext.open_sighters."""
    unmarked: IdSet | frozenset[str] = frozenset()
    """Ids of the objects without a TLP marking, if a record that cannot be read may hold them."""

    def mark(self, candidate: Candidate) -> Candidate:
        """The candidate with the markings of its containers, and of its copies."""
        marked = self.containers.mark(candidate)
        return self.raise_copy(marked) if self.copies else marked

    def raise_copy(self, candidate: Candidate) -> Candidate:
        """The candidate with the strictest level of its copies, if they are marked differently."""
        level = self.copies.get(copy_key(candidate))
        return candidate if level is None else _raise_copy(candidate, level, self.definitions)


class IdSet:
    """A set of ids in eight octets each; two ids are taken for one once in 10^19 pairs."""

    def __init__(self, ids: Iterable[str]) -> None:
        """Read the ids once."""
        self._digests = array("Q", sorted(array("Q", map(digest, ids))))

    def __contains__(self, id_: object) -> bool:
        """True if the id is in the set."""
        wanted = digest(str(id_))
        place = bisect_left(self._digests, wanted)
        return place < len(self._digests) and self._digests[place] == wanted


def digest(text: str) -> int:
    """64 bits for a text, the same in every process."""
    octets = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(octets, digest_size=8).digest(), "big")


@dataclass(slots=True)
class Survey:
    """Reads the candidates of a submission one by one.  Raises TooLarge if too many are kept."""

    relevant: list[Candidate] = field(default_factory=list)
    """The candidates that say something about others, with the properties that say it."""
    count: int = 0
    """Candidates so far."""
    has_unreadable: bool = False
    """True if a record that could not be read may be a container."""
    omits_containers: bool = False
    """Omit containers while all objects have a level of their own, and nothing else to pass on.

    Members then have all that a container gives them.
    """
    is_incomplete: bool = False
    """True if containers were omitted that may mark an object; then all must be read again."""
    _has_omitted: bool = False
    _creators: set[str] = field(default_factory=set)
    _kept: int = 0
    _copies: RecordSorter = field(default_factory=lambda: RecordSorter(_COPY.size))
    """For each object two digests, of `copy_key` and of its markings."""

    def add(self, candidate: Candidate) -> None:
        """Read the next candidate."""
        self.count += 1
        subject = candidate.object
        if subject is None:
            self._add_unread(candidate)
            return
        self.omits_containers = self.omits_containers and _has_own_level(subject)
        self._check_complete()
        self._add_copy(candidate, subject)
        creator = subject.get("created_by_ref")
        if isinstance(creator, str) and creator not in self._creators:
            self._creators.add(creator)
            self._keep(candidate, {"created_by_ref": creator})
        if self.omits_containers and _only_holds_others(subject):
            self._has_omitted = True
        elif kept := _select_statements(subject):
            self._keep(candidate, kept)

    def find_contested(self) -> frozenset[int]:
        """Digests of the `copy_key` of objects that come more than once, marked differently."""
        copies = map(_COPY.unpack, self._copies)
        return frozenset(
            key
            for (key, marked), (next_key, other) in pairwise(copies)
            if key == next_key and marked != other
        )

    def _check_complete(self) -> None:
        self.is_incomplete = self._has_omitted and not self.omits_containers

    def _add_unread(self, candidate: Candidate) -> None:
        if candidate.salvaged is not None:
            self.omits_containers = False
            self._check_complete()
        if candidate.salvaged:
            self._keep(candidate, candidate.salvaged)
        elif candidate.salvaged is not None:
            self.has_unreadable = True

    def _add_copy(self, candidate: Candidate, subject: StixObject) -> None:
        if candidate.source_id and subject.get("type") != "marking-definition":
            key = digest(repr(copy_key(candidate)))
            self._copies.add(_COPY.pack(key, digest(markings_of(subject))))

    def _keep(self, candidate: Candidate, statements: StixObject) -> None:
        self._kept += 1 + sum(map(_weigh, statements.values()))
        if self._kept > _MOST_KEPT:
            raise TooLarge(
                "its reports, groupings and markings say more about other objects than can be"
                " kept in memory: split the file"
            )
        if candidate.object is None:
            self.relevant.append(candidate)
        else:
            self.relevant.append(Candidate.from_object(candidate.index, statements))


def _select_statements(subject: StixObject) -> StixObject | None:
    """The properties of an object that say something about others; None if none does."""
    kind = subject.get("type")
    if kind == "marking-definition" or "objects" in subject:
        return subject
    names = _STATEMENTS.get(kind, ()) if isinstance(kind, str) else ()
    listing = [name for name in subject if is_container_property(name)]
    if listing:
        if "granular_markings" in subject:
            return subject  # selectors may select anything
        names = (*names, *_CONTAINER_PROPERTIES, *listing, *_marking_properties(subject))
    elif kind == "relationship":
        ends = (str(subject.get("source_ref")), str(subject.get("target_ref")))
        if any(end.startswith("identity--") for end in ends):
            names = ("type", "id", "source_ref", "target_ref")
    return {name: subject[name] for name in names if name in subject} or None


def _has_own_level(subject: StixObject) -> bool:
    """True if an object has a TLP level as a whole, and no other marking."""
    if subject.get("type") == "marking-definition" or "granular_markings" in subject:
        return False
    refs = subject.get("object_marking_refs")
    if not isinstance(refs, list) or _marking_properties(subject) != ["object_marking_refs"]:
        return False  # a container is read in any spelling
    if not all(isinstance(each, str) for each in refs):
        return False
    marks = read_markings(subject, {})
    return marks.tlp is not None and not (marks.other_ids or marks.unknown_ids)


def _only_holds_others(subject: StixObject) -> bool:
    """True for a container that says nothing about other objects but how they are marked."""
    if "objects" in subject or subject.get("type") in _STATEMENTS:
        return False
    return any(map(is_container_property, subject))


def _marking_properties(subject: StixObject) -> list[str]:
    return [name for name in subject if is_container_property(name, "objectmarkingrefs")]


def _weigh(value: Any) -> int:
    """The number of values in a value; a long text counts as several."""
    if isinstance(value, str):
        return 1 + len(value) // 64
    if isinstance(value, dict):
        return 1 + sum(map(_weigh, value.values()))
    return 1 + sum(map(_weigh, value)) if isinstance(value, list) else 1


def copy_key(candidate: Candidate) -> CopyKey:
    """Equal for copies of one version of an object, though its time is written differently."""
    return candidate.source_id or "", _instant(candidate.source_version)


def _instant(version: str | None) -> object:
    """Equal for two spellings of one time."""
    try:
        return micros(version or "")
    except Malformed:
        return version


def markings_of(subject: StixObject) -> str:
    """Equal for objects that are marked alike."""
    return repr([subject.get(each) for each in ("object_marking_refs", "granular_markings")]) + (
        repr(labelled_level(subject))
    )


def find_copies(
    copies: Iterable[Candidate], definitions: Mapping[str, StixObject], default: Tlp
) -> dict[CopyKey, Tlp]:
    """The strictest level of each object that comes more than once with different markings."""
    found: dict[CopyKey, tuple[str, Tlp, bool]] = {}
    for each in copies:
        subject = each.object
        if subject is None or not each.source_id or subject.get("type") == "marking-definition":
            continue
        read = read_markings(subject, definitions).tlp
        level = default if read is None else read
        key, markings = copy_key(each), markings_of(subject)
        first, before, differs = found.get(key, (markings, level, False))
        found[key] = first, max(level, before), differs or markings != first
    return {key: level for key, (_, level, differs) in found.items() if differs}


def _raise_copy(
    candidate: Candidate, level: Tlp, definitions: Mapping[str, StixObject]
) -> Candidate:
    subject = candidate.object
    if subject is None or not candidate.is_open:
        return candidate
    refs = subject.get("object_marking_refs", [])
    whole, _ = split_off_granular_tlp(subject, definitions)
    if not isinstance(refs, list) or read_markings(whole, definitions).tlp == level:
        return candidate
    return candidate.with_object(
        {**subject, "object_marking_refs": [*refs, TLP_2_IDS[level]]}, _MARKED_DIFFERENTLY
    )
