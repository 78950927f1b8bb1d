"""What both sides agree an indicator must be.

Pure: no network, no database, no wall clock (time is an argument).  The same
policy gives the same result in the client, where personal data never leaves
the partner's premises, and in the hub, which trusts no client.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tocsin.admission.identify import identify, well_known
from tocsin.admission.markings import is_tlp_definition
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    KnownBenign,
    StixObject,
    Submitter,
    Surroundings,
    Verdict,
)
from tocsin.admission.normalise import normalise
from tocsin.admission.policy import Policy
from tocsin.admission.rules import rule
from tocsin.admission.sanitise import sanitise
from tocsin.admission.validate import validate

__all__ = ["Examiner", "Policy", "examine"]


class Examiner:
    """validate → normalise → identify → sanitise, for one submitter under one policy.

    Raises PolicyError when the policy names a rule that does not exist.
    """

    def __init__(
        self,
        policy: Policy,
        submitter: Submitter,
        lists: KnownBenign,
        waived: frozenset[str] = frozenset(),
    ) -> None:
        self._policy = policy
        self._submitter = submitter
        self._lists = lists
        self._rules = [(name, rule(name)) for name in policy.rules if name not in waived]

    def examine(self, candidates: Iterable[Candidate], now: int) -> list[Candidate]:
        """Every candidate of one submission with its findings; OPEN where it may go on.

        In the same order, none missing, and none spoilt by another.
        """
        together = list(candidates)
        definitions = _definitions(together)
        around = self._around(together, now)
        return [self._examined(candidate, definitions, around, now) for candidate in together]

    def _examined(
        self,
        candidate: Candidate,
        definitions: dict[str, StixObject],
        around: dict[str, Surroundings],
        now: int,
    ) -> Candidate:
        if not candidate.open:
            return candidate
        if candidate.object is not None and _public_already(candidate.object):
            return _known(candidate)
        candidate = validate(candidate, self._policy, now)
        if candidate.open:
            candidate = normalise(candidate, self._submitter, definitions)
            candidate = identify(candidate)
            candidate = sanitise(candidate, self._rules, around)
        return candidate

    def _around(self, together: Sequence[Candidate], now: int) -> dict[str, Surroundings]:
        """What each rule may look at, by the rule's name."""
        shared = Surroundings(
            submitter=self._submitter,
            now=now,
            lists=self._lists,
            authors=_authors(together),
        )
        settings = self._policy.settings
        return {name: replace(shared, settings=settings.get(name, {})) for name, _ in self._rules}


def examine(
    candidates: Iterable[Candidate],
    policy: Policy,
    submitter: Submitter,
    lists: KnownBenign,
    now: int,
) -> list[Candidate]:
    """What `Examiner` says of one submission."""
    return Examiner(policy, submitter, lists).examine(candidates, now)


def _definitions(together: Iterable[Candidate]) -> dict[str, StixObject]:
    """The marking definitions that came along, by id."""
    return {
        candidate.object["id"]: candidate.object
        for candidate in together
        if candidate.object is not None
        and candidate.object.get("type") == "marking-definition"
        and isinstance(candidate.object.get("id"), str)
    }


def _authors(together: Iterable[Candidate]) -> frozenset[str]:
    """The identities that the objects name as their creators."""
    return frozenset(
        author
        for candidate in together
        if candidate.object is not None
        and isinstance(author := candidate.object.get("created_by_ref"), str)
    )


def _public_already(subject: StixObject) -> bool:
    return is_tlp_definition(subject) or well_known(subject)


def _known(candidate: Candidate) -> Candidate:
    """Copies of public objects are not passed on: a partner's copy proves nothing.

    References to them are kept as they are, and readers have them from their
    publishers (ATT&CK) or from the hub (TLP).
    """
    note = "a well-known public object: references to it are kept, copies are not passed on"
    known = replace(candidate, verdict=Verdict.DUPLICATE)
    return known.noting(Finding("identify", "well_known", Action.NOTED, note))
