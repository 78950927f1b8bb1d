"""Markings: what is too strict for the hub is refused, what cannot be read waits."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.admission.markings import TLP_1, TLP_2, marking_ids
from tocsin.admission.model import Action, Candidate, Finding, Surroundings, Tlp

DEFAULTS: Mapping[str, object] = {
    "unknown": "hold",  # a marking that nobody defined: hold or refuse
}

_RULE = "marking"
_LEVELS = frozenset((*TLP_1.values(), *TLP_2.values()))


def apply(candidate: Candidate, around: Surroundings) -> Candidate:
    """The candidate refused if marked too strictly, held if a marking is unknown."""
    tlp = candidate.tlp
    if tlp is not None and (tlp is Tlp.RED or tlp > around.submitter.max_tlp):
        return candidate.refused(_too_strict(tlp, around.submitter.max_tlp))
    known = set(candidate.scope.split("|")[1:]) | _LEVELS
    unknown = [id_ for id_ in marking_ids(candidate.object or {}) if id_ not in known]
    if not unknown:
        return candidate
    message = "a marking that this hub cannot read: send its definition along, or mark with TLP 2.0"
    if around.settings.get("unknown", DEFAULTS["unknown"]) == "refuse":
        finding = Finding("sanitise", _RULE, Action.REFUSED, message, "object_marking_refs")
        return candidate.refused(finding)
    return candidate.held(Finding("sanitise", _RULE, Action.HELD, message, "object_marking_refs"))


def _too_strict(tlp: Tlp, highest: Tlp) -> Finding:
    word = f"TLP:{tlp.word.upper()}"
    if tlp is Tlp.RED:
        message = f"marked {word}: for its recipients only, so it cannot be shared through a hub"
    else:
        message = (
            f"marked {word}, above TLP:{highest.word.upper()}, the strictest that your agreement"
            " allows: mark it lower if you may, or have the agreement changed"
        )
    return Finding("sanitise", _RULE, Action.REFUSED, message, "object_marking_refs")
