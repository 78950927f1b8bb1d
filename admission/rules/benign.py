"""What warning lists call harmless is no indicator.

Only the very value that a list names counts in full; a subdomain of it or an
address inside a listed range costs confidence and gets a label, for attackers
rent rooms in good houses.  Observables are noted only: they say what was
seen, not what to block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.admission.masking import DECIDED
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Observable,
    Rule,
    RuleContext,
    StixObject,
    WarninglistHit,
    Warninglists,
)
from tocsin.admission.observables.extract import extract_observables

DEFAULTS: Mapping[str, object] = {
    "exact": "refuse",  # for an exact hit on a list that is not named below
    "lists": {},  # by the list's own name: refuse, hold, lower or ignore
    "hold": [],  # short for lists that hold
    "ignore": [],  # short for lists that are not asked
    "label": "benign-infrastructure",  # for what is only near a listed value, or only lowered
    "lower_by": 20,  # points of confidence that nearness costs, where confidence is stated
}
_EXACT = ("refuse", "hold", "lower", "ignore")
CHOICES = {"exact": _EXACT, "lists": _EXACT}

_RULE = "benign"
_ASKED = frozenset(("=", "IN"))


def prepared(around: RuleContext) -> Rule:
    """Refuses, holds or labels what the warning lists say of the values."""
    settings = {**DEFAULTS, **around.settings}
    modes = _Modes(settings)

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        about = [o for o in extract_observables(subject) if not o.negated]
        hits = [_hits(around.warninglists, observable, modes) for observable in about]
        return _weighed(candidate, subject, hits, modes, settings) if any(hits) else candidate

    return apply


def _weighed(
    candidate: Candidate,
    subject: StixObject,
    hits: Sequence[Sequence[WarninglistHit]],
    modes: _Modes,
    settings: Mapping[str, Any],
) -> Candidate:
    """What the hits on each of an object's values come to."""
    exact = [found[0] for found in hits if found and found[0].exact]
    if exact and subject.get("type") != "indicator":
        message = f"on the warning list {exact[0].list!r}: kept as what was seen"
        return candidate.with_findings(Finding("sanitise", _RULE, Action.NOTED, message, "value"))
    grave = [hit for hit in exact if modes.of(hit) != "lower"]
    if grave:
        refused = len(grave) == len(hits) and any(modes.of(hit) == "refuse" for hit in grave)
        if modes.decided and not refused:
            return candidate
        return _judged(candidate, grave, refused=refused)
    near = [found[0] for found in hits if found]
    if near and subject.get("type") == "indicator":
        return _lowered(candidate, subject, near[0], settings)
    return candidate


class _Modes:
    """What a hit on each list leads to; once an analyst has decided, only the hub's own counts."""

    __slots__ = ("_by_list", "_other", "decided")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.decided = bool(settings.get(DECIDED))
        self._other: str = settings["exact"]
        self._by_list: dict[str, str] = {
            **dict.fromkeys(settings["hold"], "hold"),
            **dict.fromkeys(settings["ignore"], "ignore"),
            **settings["lists"],
        }

    def of(self, hit: WarninglistHit) -> str:
        if hit.excluded:
            return "refuse"
        return "ignore" if self.decided else self._by_list.get(hit.list, self._other)

    def graveness(self, hit: WarninglistHit) -> tuple[bool, int]:
        """What comes first of several hits on a value: the exact ones, the gravest of these."""
        return not hit.exact, _EXACT.index(self.of(hit))


def _hits(lists: Warninglists, observable: Observable, modes: _Modes) -> list[WarninglistHit]:
    """The lists' words on a value, the gravest first."""
    if observable.operator not in _ASKED:
        return []
    found = lists.hits(observable.kind, observable.value)
    if not found:
        return []
    return sorted((hit for hit in found if modes.of(hit) != "ignore"), key=modes.graveness)


def _judged(candidate: Candidate, exact: Sequence[WarninglistHit], *, refused: bool) -> Candidate:
    """Refused if every value is listed; held if only some are, or for the sake of the lists."""
    names = ", ".join(sorted({hit.list for hit in exact}))
    if refused:
        message = f"known to be harmless (warning list: {names}): would raise false alarms"
        return candidate.refuse(Finding("sanitise", _RULE, Action.REFUSED, message, "pattern"))
    message = f"names something known to be harmless (warning list: {names}): leave it out"
    return candidate.hold(Finding("sanitise", _RULE, Action.HELD, message, "pattern"))


def _lowered(
    candidate: Candidate, subject: StixObject, near: WarninglistHit, settings: Mapping[str, Any]
) -> Candidate:
    """With the label and, unless the label was there already, less confidence."""
    labels = subject.get("labels", [])
    if settings["label"] in labels:
        return candidate
    changed = {**subject, "labels": [*labels, settings["label"]]}
    close = "on" if near.exact else "close to what is on"
    message = f"{close} the warning list {near.list!r}: labelled"
    confidence = subject.get("confidence")
    if isinstance(confidence, int):
        changed["confidence"] = max(0, confidence - settings["lower_by"])
        message += f", confidence {confidence} → {changed['confidence']}"
    return candidate.with_object(changed, Finding("sanitise", _RULE, Action.LOWERED, message))
