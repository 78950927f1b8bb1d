"""Markings: what is too strict for the hub is refused, what cannot be read or kept waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tocsin.admission.acs import classified, is_acs, reasons
from tocsin.admission.markings import TLP_1, TLP_2, marking_ids
from tocsin.admission.model import Action, Candidate, Finding, StixObject, Surroundings, Tlp
from tocsin.admission.sanitise import Rule

DEFAULTS: Mapping[str, object] = {
    "unknown": "hold",  # a marking that nobody defined: hold or refuse
    "acs_scopes": [],  # groups of ACS 3.0a; each reader of the hub is in one: ["USA.USG"]
}

_MOST_REASONS = 5
_RULE = "marking"
_LEVELS = frozenset((*TLP_1.values(), *TLP_2.values()))


def prepared(around: Surroundings) -> Rule:
    """Refuses what is marked too strictly, holds what has an unknown marking."""
    return lambda candidate: _judged(candidate, around)


def _judged(candidate: Candidate, around: Surroundings) -> Candidate:
    tlp = candidate.tlp
    if tlp is not None and (tlp is Tlp.RED or tlp > around.submitter.max_tlp):
        return candidate.refused(_too_strict(tlp, around.submitter.max_tlp))
    known = set(candidate.scope.split("|")[1:]) | _LEVELS
    unknown = [id_ for id_ in marking_ids(candidate.object or {}) if id_ not in known]
    if not unknown:
        return _access(candidate, around)
    message = "a marking that this hub cannot read: send its definition along, or mark with TLP 2.0"
    if around.settings.get("unknown", DEFAULTS["unknown"]) == "refuse":
        finding = Finding("sanitise", _RULE, Action.REFUSED, message, "object_marking_refs")
        return candidate.refused(finding)
    return candidate.held(Finding("sanitise", _RULE, Action.HELD, message, "object_marking_refs"))


def _access(candidate: Candidate, around: Surroundings) -> Candidate:
    """Access control markings (ACS 3.0a): classified is refused, what they do not permit waits."""
    subject = candidate.object or {}
    if not (around.definitions or is_acs(subject)):
        return candidate
    carried = [(each, candidate.tlp) for each in _carried(subject, around)]
    if is_acs(subject):
        carried.append((subject, None))
    if any(classified(definition) for definition, _ in carried):
        message = "marked as classified: this hub takes nothing but U (unclassified)"
        return candidate.refused(
            Finding("sanitise", _RULE, Action.REFUSED, message, "object_marking_refs")
        )
    scopes = around.settings.get("acs_scopes", DEFAULTS["acs_scopes"])
    readers = [str(scope) for scope in scopes] if isinstance(scopes, list) else []
    found = dict.fromkeys(
        reason for definition, tlp in carried for reason in reasons(definition, tlp, readers)
    )
    findings = [
        Finding("sanitise", _RULE, Action.HELD, f"ACS marking: {reason}", "object_marking_refs")
        for reason in list(found)[:_MOST_REASONS]
    ]
    return candidate.held(*findings) if findings else candidate


def _carried(subject: StixObject, around: Surroundings) -> Iterator[StixObject]:
    for id_ in marking_ids(subject):
        definition = around.definitions.get(id_)
        if definition is not None and is_acs(definition):
            yield definition


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
