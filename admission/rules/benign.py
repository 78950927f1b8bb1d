"""Refuse, hold or label indicators on values that warning lists call harmless.

Only the very value that a list names counts in full.  A value with which that would be blocked is
held: a network around a listed address, a URL that products shorten to a start page.  A subdomain
of a listed value, or an address inside a listed range, costs confidence and gets a label, since
attackers use reputable hosts too.  Observables are only noted: they say what was seen, not what to
block.

An indicator on a network so wide that much of it must be harmless is held: products that block
would cut readers off.  So is a pattern with an alternative that matches nearly everything, or
values that are known to be harmless or private.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.admission.detectors.wide_patterns import find_width, simplify
from tocsin.admission.masking import APPROVED, VALUE_MODES, hold_or_refuse
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
from tocsin.admission.observables.addresses import LEAST_PREFIX
from tocsin.admission.observables.values import extract_observables, resolve_reference
from tocsin.admission.output_formats.listed_values import listed_observables, without_wildcard_end

DEFAULTS: Mapping[str, object] = {
    "exact": "refuse",  # for an exact hit; lists of popular sites and mail servers only hold
    "lists": {},  # by the list's own name: refuse, hold, lower or ignore
    "hold": [],  # lists that hold, instead of a line in `lists` for each
    "ignore": [],  # likewise for lists that are ignored
    "label": "benign-infrastructure",  # for values that are only close to a listed one, or lowered
    "lower_by": 20,  # points of confidence that it costs, where confidence is stated
    "wide": "hold",  # a pattern that is too wide, or a network wider than /12 (IPv6: /28)
}
MODES = {"wide": VALUE_MODES}
_EXACT_MODES = ("refuse", "hold", "lower", "ignore")
CHOICES = {"exact": _EXACT_MODES, "lists": _EXACT_MODES}

_RULE = "benign"
_CHECKED_OPERATORS = frozenset(("=", "IN", "ISSUBSET", "ISSUPERSET"))
_WIDE_NETWORK = "names a network so wide that much of it must be harmless: name narrower ones"
_NEARLY_EVERYTHING = "the pattern matches nearly everything: add a comparison with a value"
_SAMPLE_MATCHED = "the pattern matches {}, which is harmless or private: compare with fuller values"
_UNREADABLE = (
    "has regular expressions that cannot be checked: write simpler or fewer ones, or compare with ="
)
_NETWORK_OPERATORS = frozenset(("=", "IN", "ISSUBSET", "ISSUPERSET"))


def build_rule(context: RuleContext) -> Rule:
    """Refuse, hold or label what the warning lists name."""
    settings = {**DEFAULTS, **context.settings}
    modes = _ListModes(settings)

    def apply(candidate: Candidate) -> Candidate:
        subject = candidate.object
        if subject is None:
            return candidate
        checked = _find_judged(subject)
        if subject.get("type") == "indicator" and settings["wide"] != "keep":
            wide = _WIDE_NETWORK if any(map(_is_wide, checked)) else _find_wide_pattern(subject)
            if wide:
                return hold_or_refuse(candidate, _RULE, str(settings["wide"]), wide, "pattern")
        hits = [_find_hits(context.warninglists, observable, modes) for observable in checked]
        return _apply_hits(candidate, hits, modes, settings) if any(hits) else candidate

    return apply


def _find_judged(subject: StixObject) -> list[Observable]:
    """The values that an object is about, and those that block lists would have because of it.

    Values behind references count as what they are: `dst_ref.value` is that of an address or a
    name.  Block lists may spell a value in another way: they are judged as they would be read.
    """
    named = [_spell_judged(o) for o in extract_observables(subject) if not o.negated]
    known = {(o.kind, o.value) for o in named if o.operator in _CHECKED_OPERATORS}
    return [*named, *(o for o in listed_observables(subject) if (o.kind, o.value) not in known)]


def _spell_judged(observable: Observable) -> Observable:
    """The observable behind a reference, with the folder for a URL that ends in `/*`.

    LIKE and MATCHES count as the value or network that they come to.
    """
    found = simplify(resolve_reference(observable))
    return found._replace(value=without_wildcard_end(found.value)) if found.kind == "url" else found


def _is_wide(observable: Observable) -> bool:
    """True for a network that no list of bad ranges would name."""
    if observable.kind not in LEAST_PREFIX or observable.operator not in _NETWORK_OPERATORS:
        return False
    length = observable.value.rpartition("/")[2] if "/" in observable.value else ""
    return length.isdecimal() and int(length[:4]) < LEAST_PREFIX[observable.kind]


def _find_wide_pattern(subject: StixObject) -> str:
    """The message about a STIX pattern that matches too much; empty if it does not."""
    pattern = subject.get("pattern")
    if subject.get("pattern_type", "stix") != "stix" or not isinstance(pattern, str):
        return ""
    width = find_width(pattern)
    if width is None:
        return ""
    if not width.readable:
        return _UNREADABLE
    return _SAMPLE_MATCHED.format(width.sample) if width.sample else _NEARLY_EVERYTHING


class _ListModes:
    """The mode of each warning list; after a reviewer's approval only the hub's own list counts."""

    __slots__ = ("_by_list", "_default", "approved")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.approved = bool(settings.get(APPROVED))
        self._default: str = settings["exact"]
        self._by_list: dict[str, str] = {
            **dict.fromkeys(settings["hold"], "hold"),
            **dict.fromkeys(settings["ignore"], "ignore"),
            **settings["lists"],
        }

    def mode_of(self, hit: WarninglistHit) -> str:
        if hit.excluded and hit.exact:
            return "refuse"
        if self.approved:
            return "ignore"
        if hit.excluded:
            return "hold"
        if hit.list in self._by_list:
            mode = self._by_list[hit.list]
        else:
            mode = max(self._default, hit.mode or self._default, key=_EXACT_MODES.index)
        return "hold" if hit.included and mode == "refuse" else mode

    def sort_key(self, hit: WarninglistHit) -> tuple[bool, int]:
        """Sorts hits that count in full first, and of these the strictest mode first."""
        return not _counts_in_full(hit), _EXACT_MODES.index(self.mode_of(hit))


def _counts_in_full(hit: WarninglistHit) -> bool:
    return hit.exact or hit.included


def _find_hits(
    lists: Warninglists, observable: Observable, modes: _ListModes
) -> list[WarninglistHit]:
    """The hits on a value, the strictest first."""
    if observable.operator not in _CHECKED_OPERATORS:
        return []
    found = lists.hits(observable.kind, observable.value)
    if not found:
        return []
    return sorted((hit for hit in found if modes.mode_of(hit) != "ignore"), key=modes.sort_key)


def _apply_hits(
    candidate: Candidate,
    hits: Sequence[Sequence[WarninglistHit]],
    modes: _ListModes,
    settings: Mapping[str, Any],
) -> Candidate:
    """The candidate after the hits on each of its values."""
    subject = candidate.object or {}
    full = [found[0] for found in hits if found and _counts_in_full(found[0])]
    if subject.get("type") != "indicator":
        return _note(candidate, [hit for hit in full if hit.exact])
    blocking = [hit for hit in full if modes.mode_of(hit) != "lower"]
    if blocking:
        all_listed = len(blocking) == len(hits)
        refused = all_listed and any(modes.mode_of(hit) == "refuse" for hit in blocking)
        if modes.approved and not refused:
            return candidate
        mode = "refuse" if refused else "hold"
        return _block(candidate, blocking, mode, all_listed=all_listed)
    remaining = [found[0] for found in hits if found]
    return _lower_confidence(candidate, subject, remaining[0], settings) if remaining else candidate


def _note(candidate: Candidate, exact: Sequence[WarninglistHit]) -> Candidate:
    """The observable with a note, if it is on a warning list."""
    if not exact:
        return candidate
    message = (
        f"on the warning list {exact[0].list!r}: not held for that, since an observable does not"
        " ask to block its value"
    )
    return candidate.with_findings(Finding("sanitise", _RULE, Action.NOTED, message, "value"))


def _block(
    candidate: Candidate, hits: Sequence[WarninglistHit], mode: str, *, all_listed: bool
) -> Candidate:
    names = ", ".join(sorted({hit.list for hit in hits}))
    message = f"known to be harmless (warning list: {names}), would raise false alarms"
    if all(hit.included for hit in hits):
        message = (
            f"held for review: blocking it would also block harmless values (warning list: {names})"
            ": give narrower networks, or the URLs of pages"
        )
    elif mode == "refuse":
        message += ": leave it out"
    elif all_listed:
        message = f"held for review: {message}"
    else:
        message = (
            f"held for review: contains a value known to be harmless (warning list: {names});"
            " without it, the object is published"
        )
    return hold_or_refuse(candidate, _RULE, mode, message, "pattern")


def _lower_confidence(
    candidate: Candidate,
    subject: StixObject,
    hit: WarninglistHit,
    settings: Mapping[str, Any],
) -> Candidate:
    """The candidate with the label and less confidence; unchanged if it has the label already."""
    labels = subject.get("labels", [])
    if settings["label"] in labels:
        return candidate
    changed = {**subject, "labels": [*labels, settings["label"]]}
    close = "on" if hit.exact else "close to a value on"
    message = f"{close} the warning list {hit.list!r}: labelled"
    confidence = subject.get("confidence")
    if isinstance(confidence, int):
        changed["confidence"] = max(0, confidence - settings["lower_by"])
        message += f", confidence {confidence} → {changed['confidence']}"
    return candidate.with_object(changed, Finding("sanitise", _RULE, Action.LOWERED, message))
