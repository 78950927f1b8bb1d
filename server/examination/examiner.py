"""Examine the objects of one submission, a few at a time.

A task has all that the pipeline needs, as values that can be sent to another
process.  Knows nothing of the database, of the queue or of what is published.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice
from typing import Protocol

from tocsin.admission import Pipeline
from tocsin.admission.errors import Malformed
from tocsin.admission.markings.acs import is_acs
from tocsin.admission.model import Action, Candidate, Finding, StixObject, Submitter, Warninglists
from tocsin.admission.policy import Policy
from tocsin.admission.stix.history_extension import EXTENSION_ID
from tocsin.admission.stix.ijson import parse_object, salvage_object
from tocsin.admission.warninglists.index import WithExclusions

_OF_EVENTS = frozenset(("Event", "Attribute", "Orgc"))
"""Properties of MISP's events, wrapped and bare, that no object of STIX has."""
_MISP = Finding(
    "validate",
    "format",
    Action.REFUSED,
    "an event of MISP, of which many objects are made: send it with tocsin push, or as STIX",
)


STEP = 100
"""Objects that are examined in one step."""
STEP_OCTETS = 262_144
"""A step ends with the object that reaches this many octets, so that it is a short one."""


@dataclass(frozen=True, slots=True)
class ExaminationTask:
    """The objects of one submission, and what the hub knows about their submitter."""

    objects: tuple[bytes, ...] = field(repr=False)
    """As they were sent."""
    submitter: Submitter
    hub: str
    """The id of the hub's own identity."""
    now: int
    """µs since 1970 UTC."""
    exclusions: tuple[tuple[str, str, str], ...] = ()
    """The hub's exclusion list: type, value and reason."""
    definitions: Mapping[str, StixObject] = field(default_factory=dict)
    """Marking definitions that the submitter sent before, by id."""
    candidates: tuple[Candidate, ...] = field(default=(), repr=False)
    """The candidates that were read from a file, instead of `objects`."""


class Examination(Protocol):
    """The examination of one submission, under way."""

    def examine_next(self, most: int) -> list[Candidate]:
        """The next candidates in order, at most `most`; empty if there are no more.

        Raises Unavailable if this system is too busy or lost what it had examined, WorkerEnded if
        the submission ended the process that examined it.
        """
        ...

    def close(self) -> None:
        """Give up what is left."""
        ...


class Examiner(Protocol):
    """Begins examinations."""

    def begin(self, task: ExaminationTask) -> Examination:
        """Begin to examine a submission."""
        ...


class WorkerEnded(Exception):
    """A submission ended the process that examined it, or exceeded its limits."""


class LocalExamination:
    """An examination in this process."""

    def __init__(self, examined: Iterator[Candidate]) -> None:
        """`examined`: the candidates, examined when they are asked for."""
        self._examined = examined

    @classmethod
    def begin(cls, task: ExaminationTask, policy: Policy, lists: Warninglists) -> LocalExamination:
        """Begin to examine a submission under a policy, with warning lists."""
        lists = WithExclusions(task.exclusions, lists)
        pipeline = Pipeline(policy, task.submitter, lists, definitions=task.definitions)
        read = task.candidates or parse_candidates(task.objects)
        candidates = mark_claims(read, task.hub)
        return cls(pipeline.examine_each(candidates, task.now))

    def examine_next(self, most: int) -> list[Candidate]:
        """See `Examination.examine_next`."""
        return list(islice(self._examined, most))

    def close(self) -> None:
        """See `Examination.close`."""
        self._examined = iter(())


def step_length(objects: Sequence[bytes], start: int) -> int:
    """The number of objects to examine in one step, from `start` on."""
    lengths = accumulate(map(len, objects[start : start + STEP]))
    return min(STEP, 1 + sum(octets < STEP_OCTETS for octets in lengths))


def parse_candidates(objects: Iterable[bytes]) -> list[Candidate]:
    """The objects of a submission as candidates."""
    return [parse_candidate(index, raw) for index, raw in enumerate(objects)]


def parse_candidate(index: int, raw: bytes) -> Candidate:
    """One object as a candidate; refused if it cannot be read.  ACS markings keep their bytes."""
    try:
        subject = parse_object(raw)
    except Malformed as error:
        fault = Finding("validate", "format", Action.REFUSED, str(error))
        return Candidate(index, None, salvaged=salvage_object(raw)).refuse(fault)
    if "type" not in subject and not _OF_EVENTS.isdisjoint(subject):
        return Candidate(index, None).refuse(_MISP)
    candidate = Candidate.from_object(index, subject)
    return replace(candidate, raw=raw) if is_acs(subject) else candidate


def mark_claims(candidates: Iterable[Candidate], hub: str) -> list[Candidate]:
    """The candidates, those marked that claim this hub as their author."""
    return [_mark_claim(each, hub) for each in candidates]


def _mark_claim(candidate: Candidate, hub: str) -> Candidate:
    claims = _claims_hub_authorship(candidate.object, hub)
    return candidate if candidate.from_hub is claims else replace(candidate, from_hub=claims)


def _claims_hub_authorship(subject: StixObject | None, hub: str) -> bool:
    """True if an object claims that the hub with this identity created it, under any id."""
    if subject is None:
        return False
    extensions = subject.get("extensions")
    own = extensions.get(EXTENSION_ID) if isinstance(extensions, dict) else None
    hub_ref = own.get("hub_ref") if isinstance(own, dict) else None
    return hub in (subject.get("created_by_ref"), hub_ref) and subject.get("id") != hub
