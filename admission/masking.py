"""Masks, removals and findings, shared by the sanitising rules.

A rule says what it looks for; this module changes the object and reports it.  In order:

- modes: the values of settings that say what is done about a kind of thing;
- whole objects: hold or refuse one (`hold_or_refuse`, `block_object`);
- properties: take some out (`remove_properties`);
- texts: find spans (`TextSearch`) and put masks in their places (`mask_texts`);
- own values: what an object is about stays in its texts (`exclude_own_values`).

No finding repeats what was removed.  Nothing here knows one rule from another.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from tocsin.admission.detectors.disguises import DecodedText, decode_text
from tocsin.admission.detectors.spans import Span, SpanIndex, merge_overlapping_spans
from tocsin.admission.markings.granular import is_still_valid
from tocsin.admission.model import (
    MAY_BE_RELEASED,
    Action,
    Candidate,
    Finding,
    Observable,
    Path,
    StixObject,
    format_path,
)
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.stix.free_text import (
    DIGEST,
    custom_names,
    nested_custom_names,
    nested_free_texts,
    outer_free_texts,
    replace_texts,
)
from tocsin.admission.stix.memo import memoize_nested

TEXT_MODES = ("replace", "ask", "hold", "refuse", "keep")
"""Modes for texts; `replace` masks a text, `ask` masks it and asks a reviewer."""
VALUE_MODES = ("hold", "refuse", "keep")
"""Modes for patterns and observables, which are never masked."""
PROPERTY_MODES = ("strip", "ask", "hold", "refuse", "keep")
"""Modes for whole properties."""
NOTE = "note"
"""A mode that changes nothing: a finding says what was seen."""
QUESTION_MODES = ("ask", "hold", NOTE, "keep")
"""Modes for what is too uncertain to be masked or refused without a reviewer."""

GENERALISE = "generalise"
"""Mode for values: the pattern is generalised, or held if that would change its meaning."""
GENERALISE_OR_KEEP = "widen"
"""Mode for values after a reviewer's approval: the pattern is generalised, or kept if that would
change its meaning.  Not for policy.toml."""
CUT = "cut"
"""Mode for values: the part is cut out, or the object held if that would change its meaning."""
CUT_OR_KEEP = "cut or keep"
"""Mode for values after an analyst's approval: the part is cut out, or kept if that would change
the meaning.  Not for policy.toml."""
APPROVED = "decided"
"""An internal setting: a reviewer approved, so a rule refuses but no longer holds."""

_MODE_AFTER_APPROVAL: Mapping[object, str] = {
    "ask": "keep",
    "hold": "keep",
    GENERALISE: GENERALISE_OR_KEEP,
    CUT: CUT_OR_KEEP,
}


def approve_mode(mode: object, possible: Sequence[str], *, without_text: bool) -> object:
    """A mode of `possible` ones after a reviewer's approval; see `rules.approve_settings`."""
    removals = [each for each in ("replace", "strip") if each in possible]
    if possible == QUESTION_MODES:
        removals = ["replace"]  # the reviewer has decided
    if without_text and removals and mode in ("ask", "hold"):
        return removals[0]
    return _MODE_AFTER_APPROVAL.get(mode, mode)


def hold_or_refuse(
    candidate: Candidate, rule: str, mode: str, message: str, path: str = ""
) -> Candidate:
    """The candidate held or refused with a finding, as the mode says; unchanged for `keep`."""
    if mode == "refuse":
        return candidate.refuse(Finding("sanitise", rule, Action.REFUSED, message, path))
    if mode == "hold":
        return candidate.hold(Finding("sanitise", rule, Action.HELD, message, path))
    return candidate


def mode_of_value(mode: object, settings: Mapping[str, object]) -> str:
    """The mode of a text or property for a value, which loses no part: `hold`, `refuse` or `keep`.

    `settings` are the rule's: a reviewer's approval keeps what would be held.
    """
    if mode in ("keep", "refuse"):
        return str(mode)
    return "keep" if settings.get(APPROVED) else "hold"


def block_value(candidate: Candidate, rule: str, mode: str, reason: str, path: str) -> Candidate:
    """The candidate held or refused for its pattern or value, which is never changed silently."""
    if mode == "hold":
        reason = f"held for review: {reason}; a reviewer of the hub decides"
    else:
        reason = f"{reason}: leave it out"
    return hold_or_refuse(candidate, rule, mode, reason, path)


def block_object(candidate: Candidate, rule: str, mode: str, reason: str, remedy: str) -> Candidate:
    """The candidate held or refused, as one of `PROPERTY_MODES` says; unchanged for `keep`.

    For an object that is as a whole what the mode is about: `strip` leaves nothing of it.
    """
    if mode in ("ask", "hold"):
        return hold_or_refuse(candidate, rule, "hold", f"held for review: {reason}")
    if mode == "keep":
        return candidate
    return hold_or_refuse(candidate, rule, "refuse", f"{reason}: {remedy}")


class Removal(NamedTuple):
    """A property that should go."""

    path: Path
    mode: str
    """One of `PROPERTY_MODES`."""
    reason: str
    """The effect of the property, as a finding states it: `says who received the message`."""


def remove_properties(candidate: Candidate, rule: str, removals: Iterable[Removal]) -> Candidate:
    """The candidate without the properties; refused or held if a mode says so.

    If the object would be invalid without them, it is held if a mode is `ask`, else refused.
    """
    assert candidate.object is not None  # noqa: S101
    removals = list(removals)
    refused = [_refuse_removal(rule, each) for each in removals if each.mode == "refuse"]
    if refused:
        return candidate.refuse(*refused)
    held = [_hold_removal(rule, each) for each in removals if each.mode == "hold"]
    if held:
        candidate = candidate.hold(*held)
    removed = [each for each in removals if each.mode in ("strip", "ask")]
    if not removed:
        return candidate
    assert candidate.object is not None  # noqa: S101
    smaller = replace_texts(candidate.object, {each.path: None for each in removed})
    if is_still_valid(smaller, candidate.object):
        return candidate.with_object(smaller, *(_report_removal(rule, each) for each in removed))
    # Nothing would be left: the question is whether the object is published at all.
    releasable = [_hold_removal(rule, each) for each in removed if each.mode == "ask"]
    if releasable or held:
        return candidate.hold(*releasable)
    return candidate.refuse(*(_refuse_removal(rule, each) for each in removed))


def _report_removal(rule: str, removal: Removal) -> Finding:
    message = f"removed: {removal.reason}"
    action = Action.STRIPPED
    if removal.mode == "ask":
        message += MAY_BE_RELEASED
        action = Action.ASKED
    return Finding("sanitise", rule, action, message, format_path(removal.path))


def _hold_removal(rule: str, removal: Removal) -> Finding:
    message = f"held for review: {removal.reason}; without it, the rest is published"
    return Finding("sanitise", rule, Action.HELD, message, format_path(removal.path))


def _refuse_removal(rule: str, removal: Removal) -> Finding:
    message = f"{removal.reason}: remove it and send the object again"
    return Finding("sanitise", rule, Action.REFUSED, message, format_path(removal.path))


FilterSpans = Callable[[StixObject, str, Sequence[Span]], Sequence[Span]]
"""Leaves of the spans found in a text of an object those that should not be there."""
_LONGEST_CACHED = 200
"""Length up to which answers on texts and paths are cached."""


class ObjectText(NamedTuple):
    """A text of an object, or a name that people chose."""

    path: Path
    text: str
    is_name: bool
    decoded: tuple[DecodedText, ...]
    """Other ways to read it, if it is disguised."""


class TextSearch:
    """Finds spans in texts, with a detector; spans may overlap and come in any order.

    Results on short texts are cached, and so are those on the lists and dictionaries of
    objects: most objects of a feed share labels and phrases.
    """

    __slots__ = ("_cached_find", "_find", "_find_nested", "_spares")

    def __init__(
        self,
        find: Callable[[str], Iterable[Span]],
        spares: Callable[[str], bool] | None = None,
    ) -> None:
        """`spares` is asked of a text that is one of the values that its object is about.

        It is True if the rule's filter would leave nothing of what is found in it, so that it
        need not be searched: most texts of a feed repeat the value.
        """
        self._find = find
        self._spares = spares
        self._cached_find = lru_cache(maxsize=4096)(lambda text: tuple(find(text)))
        self._find_nested = memoize_nested(lambda subject: self._find_in(_nested_texts(subject)))

    def __call__(self, text: str) -> Sequence[Span]:
        """The spans in a text."""
        return self._cached_find(text) if len(text) <= _LONGEST_CACHED else tuple(self._find(text))

    def find_in_object(self, subject: StixObject) -> list[tuple[ObjectText, Sequence[Span]]]:
        """The texts of an object that have spans, or that are disguised."""
        texts, own = _outer_texts(subject)
        nested = self._find_nested(subject)
        if own and self._spares is not None:
            spared = [each for each in own if self._is_spared(each)]
            if len(spared) == len(texts):  # most objects of a list have no other text
                return [*nested]
            texts = tuple(each for each in texts if each not in spared)
        return [*self._find_in(texts), *nested]

    def _is_spared(self, each: ObjectText) -> bool:
        """True if an own value would be left as it is, however it is read."""
        spares = self._spares
        assert spares is not None  # noqa: S101  (the caller looked)
        if not each.decoded:  # nearly always
            return spares(each.text)
        return spares(each.text) and all(spares(decoded.text) for decoded in each.decoded)

    def _find_in(self, texts: Iterable[ObjectText]) -> list[tuple[ObjectText, Sequence[Span]]]:
        found: list[tuple[ObjectText, Sequence[Span]]] = []
        cached = self._cached_find  # this loop runs for every text: no call through `__call__`
        for each in texts:
            text = each[1]
            spans = cached(text) if len(text) <= _LONGEST_CACHED else tuple(self._find(text))
            if spans or each[3]:
                found.append((each, spans))
        return found


_Texts = tuple[ObjectText, ...]
_last_outer_texts: tuple[StixObject | None, tuple[_Texts, _Texts]] = (None, ((), ()))
"""The last object and its texts: rule after rule asks for the same, and none changes it."""


def _outer_texts(subject: StixObject) -> tuple[_Texts, _Texts]:
    """The names and texts that are the object's own, names first; those that are own values."""
    global _last_outer_texts  # noqa: PLW0603
    last, texts = _last_outer_texts
    if last is not subject:
        found = _decode(custom_names(subject), outer_free_texts(subject))
        values = own_values(subject) if found else ()
        texts = found, tuple(each for each in found if _is_value(each, values))
        _last_outer_texts = subject, texts
    return texts


def _is_value(each: ObjectText, values: Sequence[str]) -> bool:
    """True if a text is an own value as it stands, in ASCII in all its forms."""
    if each.is_name or each.text not in values or not each.text.isascii():
        return False
    return not each.decoded or all(decoded.text.isascii() for decoded in each.decoded)


@memoize_nested
def _nested_texts(subject: StixObject) -> tuple[ObjectText, ...]:
    """The names and texts in the object's lists and dictionaries."""
    return _decode(nested_custom_names(subject), nested_free_texts(subject))


def _decode(
    names: Iterable[tuple[Path, str]], texts: Iterable[tuple[Path, str]]
) -> tuple[ObjectText, ...]:
    return (
        *(ObjectText(path, name, True, decode_text(name)) for path, name in names),
        *(ObjectText(path, text, False, decode_text(text)) for path, text in texts),
    )


REMOVED_WITH_MASK = frozenset(("labels", "indicator_types", "report_types", "sectors"))
"""Lists of keywords: an item with a mask in it says nothing, so it is removed."""


def format_mask(what: str) -> str:
    """The text in the place of something removed."""
    return f"[removed: {what}]"


def mask_spans(text: str, spans: Iterable[Span]) -> str:
    """The text with a mask in the place of each span."""
    parts: list[str] = []
    at = 0
    for span in merge_overlapping_spans(spans):
        parts += (text[at : span.start], format_mask(span.what))
        at = span.end
    return "".join((*parts, text[at:]))


def mask_texts(
    candidate: Candidate,
    rule: str,
    search: TextSearch,
    modes: Mapping[str, str] | None = None,
    filter_spans: FilterSpans | None = None,
) -> Candidate:
    """The candidate with everything that `search` finds in its texts masked.

    `modes` are `TEXT_MODES` by kind (see `Span.what`), `replace` by default.  A name that
    holds something is removed with its value.
    """
    subject = candidate.object
    assert subject is not None  # noqa: S101
    hits = search.find_in_object(subject)
    if not hits:
        return candidate
    changes: dict[Path, str | None] = {}
    findings: list[Finding] = []
    blocking: dict[str, list[Finding]] = {"hold": [], "refuse": []}
    removed_names: set[Path] = set()
    for each, spans in hits:
        path, text, is_name, _ = each
        if removed_names and _is_below(path, removed_names):
            continue
        spans = _all_spans(search, filter_spans, subject, (each, spans))
        if not spans:
            continue
        kinds = _kinds_by_mode(spans, modes or {})
        reported = path[:-1] if is_name else path  # a finding must not repeat the name
        for mode, found in blocking.items():
            found += [_block_text(rule, mode, what, reported) for what in kinds.get(mode, ())]
        new = None if is_name else masked_text(path, text, spans)
        if is_name:
            removed_names.add(path)
        changes[path] = new
        if new is None:
            changes |= removed_with(subject, path)
        releasable = tuple(kinds.pop("ask", ()))
        plain = tuple(sorted(chain.from_iterable(kinds.values())))
        findings += _report_masks(rule, reported, new is None, plain, releasable)
    return _apply_masks(candidate, rule, changes, findings, blocking)


def _is_below(path: Path, parents: Collection[Path]) -> bool:
    return any(path[:end] in parents for end in range(1, len(path) + 1))


def _all_spans(
    search: TextSearch,
    filter_spans: FilterSpans | None,
    subject: StixObject,
    hit: tuple[ObjectText, Sequence[Span]],
) -> Sequence[Span]:
    """The spans in a text as it is written, and those in its decoded forms."""
    (_, text, _, decoded_texts), spans = hit
    plain = filter_spans(subject, text, spans) if filter_spans and spans else spans
    decoded_spans: list[Span] = []
    for decoded in decoded_texts:
        found = search(decoded.text)
        kept = filter_spans(subject, decoded.text, found) if filter_spans and found else found
        decoded_spans += [Span(*decoded.original_span(s.start, s.end), s.what) for s in kept]
    return [*plain, *decoded_spans] if decoded_spans else plain


def _kinds_by_mode(spans: Iterable[Span], modes: Mapping[str, str]) -> dict[str, list[str]]:
    """The kinds of the spans, by the mode that is set for each."""
    whats = {span.what for span in spans}
    if len(whats) == 1:  # nearly always
        (what,) = whats
        return {modes.get(what, "replace"): [what]}
    kinds: dict[str, list[str]] = {}
    for what in sorted(whats):
        kinds.setdefault(modes.get(what, "replace"), []).append(what)
    return kinds


def masked_text(path: Path, text: str, spans: Sequence[Span]) -> str | None:
    """The new text at that path; None to remove it."""
    if path[0] in REMOVED_WITH_MASK or (path[0] == "external_references" and path[-1] == "url"):
        return None
    if path[-2:-1] == ("hashes",) or path[-1] == "lang":
        return None  # with a mask in it, it would be neither a hash nor a language code
    return mask_spans(text, spans)


def removed_with(subject: StixObject, path: Path) -> dict[Path, None]:
    """The hashes of an external reference go with its URL: they identify the same document."""
    if path[0] != "external_references" or path[2:] != ("url",):
        return {}
    present = "hashes" in subject["external_references"][path[1]]
    return {(*path[:2], "hashes"): None} if present else {}


def _report_masks(
    rule: str, path: Path, removed: bool, plain: tuple[str, ...], releasable: tuple[str, ...]
) -> tuple[Finding, ...]:
    short = len("".join(map(str, path))) <= _LONGEST_CACHED
    report = _cached_mask_findings if short else _cached_mask_findings.__wrapped__
    return report(rule, path, removed, plain, releasable)


@lru_cache(maxsize=1024)
def _cached_mask_findings(
    rule: str,
    path: Path,
    removed: bool,  # noqa: FBT001
    plain: tuple[str, ...],
    releasable: tuple[str, ...],
) -> tuple[Finding, ...]:
    """One finding on the kinds that were masked, one on those that a reviewer may release."""
    findings = []
    if plain:
        action = Action.STRIPPED if removed else Action.REPLACED
        message = _describe_mask(plain, removed=removed)
        findings.append(Finding("sanitise", rule, action, message, format_path(path)))
    if releasable:
        message = _describe_mask(releasable, removed=removed) + MAY_BE_RELEASED
        findings.append(Finding("sanitise", rule, Action.ASKED, message, format_path(path)))
    return tuple(findings)


def _describe_mask(kinds: Sequence[str], *, removed: bool) -> str:
    what = " and ".join(kinds)
    return f"removed: it contained {what}" if removed else f"{what} masked"


def _block_text(rule: str, mode: str, what: str, path: Path) -> Finding:
    if mode == "hold":
        message = f"held for review: {what} in the text; without it, the object is published"
        return Finding("sanitise", rule, Action.HELD, message, format_path(path))
    message = f"{what} in the text: remove it and send the object again"
    return Finding("sanitise", rule, Action.REFUSED, message, format_path(path))


def _apply_masks(
    candidate: Candidate,
    rule: str,
    changes: Mapping[Path, str | None],
    findings: Sequence[Finding],
    blocking: Mapping[str, Sequence[Finding]],
) -> Candidate:
    if blocking["refuse"]:
        return candidate.refuse(*blocking["refuse"])
    if not changes:
        return candidate
    if blocking["hold"]:
        candidate = candidate.hold(*blocking["hold"])
    assert candidate.object is not None  # noqa: S101
    masked = replace_texts(candidate.object, changes)
    if is_still_valid(masked, candidate.object):
        return candidate.with_object(masked, *findings)
    releasable = [_hold_instead(finding) for finding in findings if finding.action is Action.ASKED]
    if releasable or blocking["hold"]:
        return candidate.hold(*releasable)
    message = (
        "removing what must not be shared would make the object invalid:"
        " take it out and send a valid object"
    )
    return candidate.refuse(*findings, Finding("sanitise", rule, Action.REFUSED, message))


def _hold_instead(finding: Finding) -> Finding:
    message = "held for review: removing the flagged text would make the object invalid"
    return finding._replace(action=Action.HELD, message=message)


def own_values(subject: StixObject) -> tuple[str, ...]:
    """The values that the object is about, which stay wherever its texts name them.

    Their decoded forms are included.
    """
    return _own_values(extract_observables(subject))


@lru_cache(maxsize=8)  # called for each text of one object
def _own_values(about: tuple[Observable, ...]) -> tuple[str, ...]:
    own = {each.value for each in about if each.value and _is_own_value(each)}
    decoded = {each.text for value in own for each in decode_text(value)}
    return tuple(own | decoded) if decoded else tuple(own)


def _is_own_value(observable: Observable) -> bool:
    """False for a text in the place of a hash: it would protect itself."""
    return "hashes" not in observable.property or DIGEST.fullmatch(observable.value) is not None


def exclude_own_values(subject: StixObject, text: str, spans: Sequence[Span]) -> Sequence[Span]:
    """The spans that do not lie inside an own value named in the text, in any case."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = text  # some letters change their length with their case
    named = [value for value in own_values(subject) if value.lower() in lower] if spans else ()
    if not named:
        return spans
    own = SpanIndex(place for value in named for place in _find_all(value.lower(), lower))
    return [span for span in spans if not own.contains(span.start, span.end)]


def _find_all(value: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        yield start, end
        start = text.find(value, end)
