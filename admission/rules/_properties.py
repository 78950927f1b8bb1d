"""What rules share that take out whole properties: modes and findings."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.admission.model import Action, Candidate, Finding, Path, shown
from tocsin.admission.parts import stands
from tocsin.admission.texts import rewritten

Found = tuple[Path, str, str]
"""A property: where it is, its mode (see `_modes.PROPERTY`), and why it should go."""


def settled(candidate: Candidate, rule: str, found: Iterable[Found]) -> Candidate:
    """The candidate without those properties; refused or held for them if a mode says so.

    So it is if it is no valid object without: held if one of them is asked about, else refused.
    """
    assert candidate.object is not None  # noqa: S101
    marked = [(path, mode, why) for path, mode, why in found if mode != "keep"]
    refused = [_refused(rule, path, why) for path, mode, why in marked if mode == "refuse"]
    if refused:
        return candidate.refused(*refused)
    held = [_held(rule, path, why) for path, mode, why in marked if mode == "hold"]
    if held:
        candidate = candidate.held(*held)
    gone = [(path, mode, why) for path, mode, why in marked if mode != "hold"]
    if not gone:
        return candidate
    assert candidate.object is not None  # noqa: S101
    smaller = rewritten(candidate.object, {path: None for path, _, _ in gone})
    if stands(smaller, candidate.object):
        return candidate.changed(smaller, *(_gone(rule, *each) for each in gone))
    asked = [_held(rule, path, why) for path, mode, why in gone if mode == "ask"]
    if asked or held:  # nothing would be left of it: the question is whether it goes out at all
        return candidate.held(*asked)
    return candidate.refused(*(_refused(rule, path, why) for path, _, why in gone))


def _gone(rule: str, path: Path, mode: str, why: str) -> Finding:
    if mode == "ask":
        message = f"{why}: removed; an analyst may release it"
        return Finding("sanitise", rule, Action.ASKED, message, shown(path))
    return Finding("sanitise", rule, Action.STRIPPED, why, shown(path))


def _held(rule: str, path: Path, why: str) -> Finding:
    message = f"{why}: an analyst decides; the rest passes without"
    return Finding("sanitise", rule, Action.HELD, message, shown(path))


def _refused(rule: str, path: Path, why: str) -> Finding:
    message = f"{why}: remove it and send the object again"
    return Finding("sanitise", rule, Action.REFUSED, message, shown(path))
