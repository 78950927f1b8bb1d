"""Markings: what is too strict for the hub is refused, what cannot be read or kept waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tocsin.admission.markings.acs import find_sharing_obstacles, is_acs, is_classified
from tocsin.admission.markings.tlp import TLP_1_IDS, TLP_2_IDS, marking_ids
from tocsin.admission.masking import DECIDED
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Rule,
    RuleContext,
    StixObject,
    Tlp,
)

DEFAULTS: Mapping[str, object] = {
    "unknown": "hold",  # a marking that nobody defined: hold or refuse
    "acs_scopes": [],  # groups of ACS 3.0a; each reader of the hub is in one: ["USA.USG"]
}
CHOICES = {"unknown": ("hold", "refuse")}

_MOST_REASONS = 5
_UNKNOWN = "a marking that this hub cannot read: send its definition along, or mark with TLP 2.0"
_RULE = "marking"
_LEVELS = frozenset((*TLP_1_IDS.values(), *TLP_2_IDS.values()))


def prepared(around: RuleContext) -> Rule:
    """Refuses what is marked too strictly, holds what has an unknown marking."""
    settings = {**DEFAULTS, **around.settings}
    return lambda candidate: _judged(candidate, around, settings)


def _judged(candidate: Candidate, around: RuleContext, settings: Mapping[str, object]) -> Candidate:
    """What nobody may release is refused first; then what waits does so for all reasons at once."""
    subject, tlp = candidate.object or {}, candidate.tlp
    if tlp is not None and (tlp is Tlp.RED or tlp > around.submitter.max_tlp):
        return candidate.refuse(_too_strict(tlp, around.submitter.max_tlp))
    carried = _access_controls(candidate, subject, around)
    if any(is_classified(definition) for definition, _ in carried):
        message = "marked as classified: this hub takes nothing but U (unclassified)"
        return candidate.refuse(_finding(Action.REFUSED, message))
    others = candidate.scope.split("|")[1:]
    unknown = [id_ for id_ in marking_ids(subject) if id_ not in _LEVELS and id_ not in others]
    if unknown and settings["unknown"] == "refuse":
        return candidate.refuse(_finding(Action.REFUSED, _UNKNOWN))
    if settings.get(DECIDED) or not (unknown or carried):
        return candidate
    held = [_finding(Action.HELD, _UNKNOWN)] if unknown else []
    scopes = settings["acs_scopes"]
    readers = [str(scope) for scope in scopes] if isinstance(scopes, list) else []
    found = dict.fromkeys(
        reason
        for definition, level in carried
        for reason in find_sharing_obstacles(definition, level, readers)
    )
    held += [
        _finding(Action.HELD, f"ACS marking: {reason}") for reason in list(found)[:_MOST_REASONS]
    ]
    return candidate.hold(*held) if held else candidate


def _access_controls(
    candidate: Candidate, subject: StixObject, around: RuleContext
) -> list[tuple[StixObject, Tlp | None]]:
    """The markings of ACS 3.0a in force, each with the level of what carries it."""
    if not (around.definitions or is_acs(subject)):
        return []
    carried = [(each, candidate.tlp) for each in _carried(subject, around)]
    return [*carried, (subject, None)] if is_acs(subject) else carried


def _finding(action: Action, message: str) -> Finding:
    return Finding("sanitise", _RULE, action, message, "object_marking_refs")


def _carried(subject: StixObject, around: RuleContext) -> Iterator[StixObject]:
    for id_ in marking_ids(subject):
        definition = around.definitions.get(id_)
        if definition is not None and is_acs(definition):
            yield definition


def _too_strict(tlp: Tlp, highest: Tlp) -> Finding:
    word = f"TLP:{tlp.label.upper()}"
    if tlp is Tlp.RED:
        message = f"marked {word}: for its recipients only, so it cannot be shared through a hub"
    else:
        message = (
            f"marked {word}, above TLP:{highest.label.upper()}, the strictest that your agreement"
            " allows: mark it lower if you may, or have the agreement changed"
        )
    return _finding(Action.REFUSED, message)
