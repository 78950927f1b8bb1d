"""Refuse objects marked too strictly for the hub; hold those with markings it cannot apply.

The markings are TLP, and ACS 3.0a of the United States government.
"""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.admission.markings.acs import (
    ORGANISATION,
    find_sharing_obstacles,
    is_acs,
    is_classified,
)
from tocsin.admission.markings.statements import seems_to_limit_sharing
from tocsin.admission.markings.tlp import (
    TLP_1_IDS,
    TLP_2_IDS,
    is_contradictory,
    marking_ids,
    read_markings,
)
from tocsin.admission.masking import APPROVED
from tocsin.admission.model import Action, Candidate, Finding, Rule, RuleContext, StixObject, Tlp

DEFAULTS: Mapping[str, object] = {
    "unknown": "hold",  # a marking without a definition: hold or refuse
    "acs_scopes": [],  # groups of ACS 3.0a; each reader of the hub is in one: ["USA.USG"]
    "acs_custodian": "",  # the hub's own organisation in ACS 3.0a, which publishes: "USA.DHS"
}
FORMS = {"acs_custodian": (ORGANISATION, "an organisation of ACS such as USA.DHS")}
CHOICES = {"unknown": ("hold", "refuse")}

_MOST_REASONS = 5
_UNKNOWN = (
    "a marking without a known definition: send its definition along (one that was revoked,"
    " withdrawn or purged, under a new id), or mark with TLP 2.0"
)
_CONTRADICTORY = (
    "a marking definition whose name and content state different TLP levels: correct it, or mark"
    " with TLP 2.0"
)
_LIMITS_SHARING = (
    "a statement that seems to limit sharing: send a TLP level as a TLP 2.0 marking, or leave it to"
    " a reviewer of the hub"
)
_UNREADABLE = "a marking definition that this hub cannot apply: mark with TLP 2.0"
_RULE = "marking"
_TLP_IDS = frozenset((*TLP_1_IDS.values(), *TLP_2_IDS.values()))


def build_rule(context: RuleContext) -> Rule:
    """Refuse objects that are marked too strictly; hold objects with unknown markings."""
    settings = {**DEFAULTS, **context.settings}
    return lambda candidate: _check_markings(candidate, context, settings)


def _check_markings(
    candidate: Candidate, context: RuleContext, settings: Mapping[str, object]
) -> Candidate:
    """First refuse objects that cannot be released; then hold for all reasons at once."""
    subject, tlp = candidate.object or {}, candidate.tlp
    if tlp is not None and (tlp is Tlp.RED or tlp > context.submitter.max_tlp):
        return candidate.refuse(_report_too_strict(tlp, context.submitter.max_tlp))
    carried = _acs_markings(candidate, subject, context)
    if carried and any(is_classified(definition) for definition, _ in carried):
        message = "marked as classified: only U (unclassified) may be shared through this hub"
        return candidate.refuse(_finding(Action.REFUSED, message))
    obstacles: dict[str, None] = {}
    ids = marking_ids(subject)
    if not _TLP_IDS.issuperset(ids):
        others = read_markings(subject, context.definitions).other_ids
        unknown = [id_ for id_ in ids if id_ not in _TLP_IDS and id_ not in others]
        obstacles = dict.fromkeys(_explain(context.definitions.get(id_)) for id_ in unknown)
    if subject.get("type") == "marking-definition" and is_contradictory(subject):
        obstacles[_CONTRADICTORY] = None
    if obstacles and settings["unknown"] == "refuse":
        return candidate.refuse(*(_finding(Action.REFUSED, each) for each in obstacles))
    if settings.get(APPROVED) or not (obstacles or carried):
        return candidate
    held = [_finding(Action.HELD, each) for each in obstacles]
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


def _explain(definition: StixObject | None) -> str:
    """The reason why a marking cannot be applied."""
    if definition is None:
        return _UNKNOWN
    if is_contradictory(definition):
        return _CONTRADICTORY
    return _LIMITS_SHARING if seems_to_limit_sharing(definition) else _UNREADABLE


def _acs_markings(
    candidate: Candidate, subject: StixObject, context: RuleContext
) -> list[tuple[StixObject, Tlp | None]]:
    """The ACS 3.0a markings in force, each with the TLP level of the object that carries it."""
    if not (context.definitions or is_acs(subject)):
        return []
    known = (context.definitions.get(id_) for id_ in marking_ids(subject))
    carried = [(each, candidate.tlp) for each in known if each is not None and is_acs(each)]
    return [*carried, (subject, None)] if is_acs(subject) else carried


def _finding(action: Action, message: str) -> Finding:
    return Finding("sanitise", _RULE, action, message, "object_marking_refs")


def _report_too_strict(tlp: Tlp, highest: Tlp) -> Finding:
    word = f"TLP:{tlp.label.upper()}"
    if tlp is Tlp.RED:
        message = f"marked {word}, for its recipients only: it cannot be shared through a hub"
    else:
        message = (
            f"marked {word}, above TLP:{highest.label.upper()}, the strictest that you may send:"
            " mark it lower if you may, or ask the operator to allow it"
        )
    return _finding(Action.REFUSED, message)
