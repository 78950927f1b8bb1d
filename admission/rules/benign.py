"""What warning lists call harmless is no indicator.

Only the very value that a list names counts in full; a subdomain of it or an
address inside a listed range costs confidence and gets a label, for attackers
rent rooms in good houses.  Observables are noted only: they say what was
seen, not what to block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Hit,
    KnownBenign,
    Observable,
    StixObject,
    Surroundings,
)
from tocsin.admission.patterns import observables

DEFAULTS: Mapping[str, object] = {
    "hold": [],  # lists, by their own names, whose exact hits are held instead of refused
    "ignore": [],  # lists that are not asked
    "label": "benign-infrastructure",  # for what is only near a listed value
    "lower_by": 20,  # points of confidence that nearness costs, where confidence is stated
}

_RULE = "benign"
_ASKED = frozenset(("=", "IN"))


def apply(candidate: Candidate, around: Surroundings) -> Candidate:
    """The candidate refused, held or labelled for what the warning lists say of its values."""
    subject = candidate.object
    if subject is None:
        return candidate
    about = [o for o in observables(subject) if not o.negated]
    settings = {**DEFAULTS, **around.settings}
    ignored = settings["ignore"]
    hits = [_hits(around.lists, observable, ignored) for observable in about]
    exact = [found[0] for found in hits if found and found[0].exact]
    if exact and subject.get("type") == "indicator":
        return _judged(candidate, exact, len(exact) == len(about), settings["hold"])
    if exact:
        message = f"on the warning list {exact[0].list!r}: kept as what was seen"
        return candidate.noting(Finding("sanitise", _RULE, Action.NOTED, message, "value"))
    near = [found[0] for found in hits if found]
    if near and subject.get("type") == "indicator":
        return _lowered(candidate, subject, near[0], settings)
    return candidate


def _hits(lists: KnownBenign, observable: Observable, ignored: Sequence[str]) -> list[Hit]:
    if observable.operator not in _ASKED:
        return []
    found = lists.hits(observable.kind, observable.value)
    return [hit for hit in found if hit.list not in ignored]


def _judged(
    candidate: Candidate, exact: Sequence[Hit], wholly: bool, held: Sequence[str]
) -> Candidate:
    """Refused if every value is listed; held if only some are, or for the sake of the list."""
    names = ", ".join(sorted({hit.list for hit in exact}))
    if wholly and not all(hit.list in held for hit in exact):
        message = f"known to be harmless (warning list: {names}): would raise false alarms"
        return candidate.refused(Finding("sanitise", _RULE, Action.REFUSED, message, "pattern"))
    message = f"names something known to be harmless (warning list: {names}): leave it out"
    return candidate.held(Finding("sanitise", _RULE, Action.HELD, message, "pattern"))


def _lowered(
    candidate: Candidate, subject: StixObject, near: Hit, settings: Mapping[str, Any]
) -> Candidate:
    """With the label and, unless the label was there already, less confidence."""
    labels = subject.get("labels", [])
    if settings["label"] in labels:
        return candidate
    changed = {**subject, "labels": [*labels, settings["label"]]}
    message = f"close to what the warning list {near.list!r} names: labelled"
    confidence = subject.get("confidence")
    if isinstance(confidence, int):
        changed["confidence"] = max(0, confidence - settings["lower_by"])
        message += f", confidence {confidence} → {changed['confidence']}"
    return candidate.changed(changed, Finding("sanitise", _RULE, Action.LOWERED, message))
