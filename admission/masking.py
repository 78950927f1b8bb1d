"""What rules that look for something in text share: masks, modes and findings.

A rule says where in a text something stands and what it is; here it is
masked, and the finding written that tells so without repeating it.

How a rule treats what it finds, when the operator chooses by kind.

What rules share that take out whole properties: modes and findings.

A pattern on somebody's folder made one on everybody's.

Only where that widens what is matched and nothing else: a plain comparison
that is not negated gives way to LIKE with a `%` in the place of the name.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from tocsin.admission.detectors.decoding import Reading, readings
from tocsin.admission.detectors.property_names import inner_members, outer_members
from tocsin.admission.errors import Malformed
from tocsin.admission.markings.granular import is_still_valid
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Observable,
    Path,
    StixObject,
    format_path,
)
from tocsin.admission.observables.extract import extract_observables
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.patterns.grammar import (
    Comparison,
    Junction,
    Literal,
    Node,
    Observation,
    parse_pattern,
)
from tocsin.admission.stix.free_text import (
    DIGEST,
    nested_free_texts,
    outer_free_texts,
    replace_texts,
)
from tocsin.admission.stix.memo import memoize_nested

TEXT = ("replace", "ask", "hold", "refuse", "keep")
"""For something in a text: masked, masked with a question to an analyst, and so on."""
VALUE = ("hold", "refuse", "keep")
"""For something in what an indicator matches on, which is never masked."""
PROPERTY = ("strip", "ask", "hold", "refuse", "keep")
"""For a whole property."""

WIDER = "generalise"
"""For a value: a pattern is widened; held where that would be another pattern."""
WIDEN = "widen"
"""The same once an analyst said yes: what cannot be widened is kept.  No operator writes it."""

DECIDED = "decided"
"""A setting that no operator writes: a rule without modes refuses still, and holds no more."""

_AFTER_YES: Mapping[object, str] = {"ask": "keep", "hold": "keep", WIDER: WIDEN}


def released(
    settings: Mapping[str, object], modes: Mapping[str, Sequence[str]]
) -> dict[str, object]:
    """The settings after an analyst said yes: what was asked or held for is kept.

    What the rule takes out without asking, and what it refuses, it still does.
    """
    after = {
        name: _AFTER_YES.get(value, value) if name in modes else value
        for name, value in settings.items()
    }
    return {**after, DECIDED: True}


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
        return candidate.refuse(*refused)
    held = [_held(rule, path, why) for path, mode, why in marked if mode == "hold"]
    if held:
        candidate = candidate.hold(*held)
    gone = [(path, mode, why) for path, mode, why in marked if mode != "hold"]
    if not gone:
        return candidate
    assert candidate.object is not None  # noqa: S101
    smaller = replace_texts(candidate.object, {path: None for path, _, _ in gone})
    if is_still_valid(smaller, candidate.object):
        return candidate.with_object(smaller, *(_gone(rule, *each) for each in gone))
    asked = [_held(rule, path, why) for path, mode, why in gone if mode == "ask"]
    if asked or held:  # nothing would be left of it: the question is whether it goes out at all
        return candidate.hold(*asked)
    return candidate.refuse(*(_refused(rule, path, why) for path, _, why in gone))


def _gone(rule: str, path: Path, mode: str, why: str) -> Finding:
    if mode == "ask":
        message = f"{why}: removed; an analyst may release it"
        return Finding("sanitise", rule, Action.ASKED, message, format_path(path))
    return Finding("sanitise", rule, Action.STRIPPED, why, format_path(path))


def _held(rule: str, path: Path, why: str) -> Finding:
    message = f"{why}: an analyst decides; the rest passes without"
    return Finding("sanitise", rule, Action.HELD, message, format_path(path))


def _refused(rule: str, path: Path, why: str) -> Finding:
    message = f"{why}: remove it and send the object again"
    return Finding("sanitise", rule, Action.REFUSED, message, format_path(path))


STRIPPED_LISTS = frozenset(("labels", "indicator_types", "report_types", "sectors"))
"""Lists of keywords: one with a mask in it says nothing, so it goes."""


class Span(NamedTuple):
    """Something in a text that should not be there."""

    start: int
    end: int
    what: str
    """In words, as the mask and the finding name it: `e-mail address`."""


Besides = Callable[[StixObject, str, Sequence[Span]], Sequence[Span]]
"""Of what was found in a text of an object, what should not be there indeed."""
_SHORT = 200


class Search:
    """What looks for something in texts; spans may overlap and come in any order.

    Its answers on short texts are remembered, as are those on what objects have in lists
    and dictionaries: the same labels and phrases stand in most objects of a feed.
    """

    __slots__ = ("_find", "_inside", "_known")

    def __init__(self, find: Callable[[str], Iterable[Span]]) -> None:
        self._find = find
        self._known = lru_cache(maxsize=4096)(lambda text: tuple(find(text)))
        self._inside = memoize_nested(lambda subject: self._hits(_inner(subject)))

    def __call__(self, text: str) -> Sequence[Span]:
        """Where it stands in a text."""
        return self._known(text) if len(text) <= _SHORT else tuple(self._find(text))

    def hits(self, subject: StixObject) -> list[tuple[_Word, Sequence[Span]]]:
        """The words of an object in which it stands, or that may be read in another way."""
        return [*self._hits(_outer(subject)), *self._inside(subject)]

    def _hits(self, words: Iterable[_Word]) -> list[tuple[_Word, Sequence[Span]]]:
        found: list[tuple[_Word, Sequence[Span]]] = []
        known = self._known  # not by a call of this object: it is asked for every word
        for word in words:
            text = word[1]
            spans = known(text) if len(text) <= _SHORT else tuple(self._find(text))
            if spans or word[3]:
                found.append((word, spans))
        return found


def mask(what: str) -> str:
    """What stands in the place of something removed."""
    return f"[removed: {what}]"


def masked(
    candidate: Candidate,
    rule: str,
    search: Search,
    modes: Mapping[str, str] | None = None,
    besides: Besides | None = None,
) -> Candidate:
    """The candidate with everything that `search` finds in its texts masked.

    `modes` says by kind (as `Span.what`) whether to `replace` it, the default,
    to `ask` an analyst about the mask, or to `hold` or `refuse` the whole object.
    `besides` leaves of it what is not the object's own.
    """
    subject = candidate.object
    assert subject is not None  # noqa: S101
    hits = search.hits(subject)
    if not hits:
        return candidate
    changes: dict[Path, str | None] = {}
    findings: list[Finding] = []
    graver: dict[str, list[Finding]] = {"hold": [], "refuse": []}
    telling: set[Path] = set()
    for (path, text, name, read), spans in hits:
        if telling and _below(path, telling):
            continue
        spans = _seen(search, besides, subject, (text, spans, read))
        if not spans:
            continue
        kinds = _by_mode(spans, modes or {})
        told = path[:-1] if name else path  # what a name tells is not repeated
        for mode, found in graver.items():
            found += [_gravely(rule, mode, what, told) for what in kinds.get(mode, ())]
        new = None if name else _changed(path, text, spans)
        if name:
            telling.add(path)
        changes[path] = new
        if new is None:
            changes |= _with_it(subject, path)
        asked = tuple(kinds.pop("ask", ()))
        plain = tuple(sorted(chain.from_iterable(kinds.values())))
        what = _findings if len("".join(map(str, told))) <= _SHORT else _findings.__wrapped__
        findings += what(rule, told, new is None, plain, asked)
    return _settled(candidate, rule, changes, findings, graver)


def _by_mode(spans: Iterable[Span], modes: Mapping[str, str]) -> dict[str, list[str]]:
    """The kinds of what was found, by what is to be done about them."""
    whats = {span.what for span in spans}
    if len(whats) == 1:
        (what,) = whats
        return {modes.get(what, "replace"): [what]}
    kinds: dict[str, list[str]] = {}
    for what in sorted(whats):
        kinds.setdefault(modes.get(what, "replace"), []).append(what)
    return kinds


_Word = tuple[Path, str, bool, tuple[Reading, ...]]
"""A place, what stands there, whether it is a property's name, and how it is read besides."""


def _outer(subject: StixObject) -> tuple[_Word, ...]:
    """What is looked at of the object itself: names that people made up, then texts."""
    global _last  # noqa: PLW0603
    walked, found = _last
    if walked is not subject:
        found = _read(outer_members(subject), outer_free_texts(subject))
        _last = subject, found
    return found


_last: tuple[StixObject | None, tuple[_Word, ...]] = (None, ())
"""The last object and its words: rule after rule asks for the same, and none changes it."""


@memoize_nested
def _inner(subject: StixObject) -> tuple[_Word, ...]:
    """The same of its lists and dictionaries."""
    return _read(inner_members(subject), nested_free_texts(subject))


def _read(
    names: Iterable[tuple[Path, str]], others: Iterable[tuple[Path, str]]
) -> tuple[_Word, ...]:
    told = [(path, name, True) for path, name in names]
    told += [(path, text, False) for path, text in others]
    return tuple((*each, readings(each[1])) for each in told)


def _below(path: Path, telling: Collection[Path]) -> bool:
    return any(path[:end] in telling for end in range(1, len(path) + 1))


def _seen(
    search: Search,
    besides: Besides | None,
    subject: StixObject,
    word: tuple[str, Sequence[Span], Iterable[Reading]],
) -> Sequence[Span]:
    """What stands in a text, and what stands there for whoever reads it undisguised."""
    text, spans, read = word
    left = besides(subject, text, spans) if besides and spans else spans
    more: list[Span] = []
    for reading in read:
        found = search(reading.text)
        kept = besides(subject, reading.text, found) if besides and found else found
        more += [Span(*reading.written(span.start, span.end), span.what) for span in kept]
    return [*left, *more] if more else left


def without_overlap(spans: Iterable[Span]) -> list[Span]:
    """The spans in order; of those that overlap, the one that starts first, then the longest."""
    chosen: list[Span] = []
    spans = list(spans)
    if len(spans) < 2:
        return spans
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if not chosen or span.start >= chosen[-1].end:
            chosen.append(span)
        elif span.end > chosen[-1].end:
            chosen[-1] = chosen[-1]._replace(end=span.end)
    return chosen


class Zones:
    """Stretches of a text, asked in logarithmic time."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, stretches: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(stretches):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def touch(self, start: int, end: int) -> bool:
        """Whether any zone shares a character with that stretch."""
        place = bisect_left(self._starts, end) - 1
        return place >= 0 and self._ends[place] > start

    def hold(self, start: int, end: int) -> bool:
        """Whether that stretch lies in a zone."""
        place = bisect_right(self._starts, start) - 1
        return place >= 0 and self._ends[place] >= end


def own_values(subject: StixObject) -> tuple[str, ...]:
    """The values that the object is about: wherever they are named in its texts, they stay.

    Also as they are read in a text that is written in another way.
    """
    return _own_values(extract_observables(subject))


@lru_cache(maxsize=8)  # text after text of one object
def _own_values(about: tuple[Observable, ...]) -> tuple[str, ...]:
    own = {each.value for each in about if each.value and _own(each)}
    return tuple(own | {reading.text for each in own for reading in readings(each)})


def _own(observable: Observable) -> bool:
    """Not so what stands in the place of a hash but is none."""
    return "hashes" not in observable.property or DIGEST.fullmatch(observable.value) is not None


def outside(subject: StixObject, text: str, spans: Sequence[Span]) -> Sequence[Span]:
    """The spans that are not inside an own value named in the text, in any case."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = text  # some letters change their number with their case
    told = [value for value in own_values(subject) if value.lower() in lower] if spans else ()
    if not told:
        return spans
    zones = Zones(place for value in told for place in _places(value.lower(), lower))
    return [span for span in spans if not zones.hold(span.start, span.end)]


def _places(value: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(value)
    while start >= 0:
        end = start + len(value)
        yield start, end
        start = text.find(value, end)


def _changed(path: Path, text: str, spans: Sequence[Span]) -> str | None:
    """The new text at that place; None to strip it."""
    if path[0] in STRIPPED_LISTS or (path[0] == "external_references" and path[-1] == "url"):
        return None
    if path[-2:-1] == ("hashes",) or path[-1] == "lang":
        return None  # with a mask in it it is a hash of nothing, and no code of a language
    return replaced(text, spans)


def replaced(text: str, spans: Iterable[Span]) -> str:
    """The text with a mask in the place of each span."""
    parts: list[str] = []
    at = 0
    for span in without_overlap(spans):
        parts += (text[at : span.start], mask(span.what))
        at = span.end
    return "".join((*parts, text[at:]))


def _with_it(subject: StixObject, path: Path) -> dict[Path, None]:
    """The hashes of what an external reference leads to go with the link: they name it too."""
    if path[0] != "external_references" or path[2:] != ("url",):
        return {}
    there = "hashes" in subject["external_references"][path[1]]
    return {(*path[:2], "hashes"): None} if there else {}


@lru_cache(maxsize=1024)
def _findings(
    rule: str,
    path: Path,
    gone: bool,  # noqa: FBT001
    plain: tuple[str, ...],
    asked: tuple[str, ...],
) -> tuple[Finding, ...]:
    """What was masked; apart from it, what was masked until an analyst has decided."""
    findings = []
    if plain:
        action = Action.STRIPPED if gone else Action.REPLACED
        findings.append(Finding("sanitise", rule, action, _told(plain, gone), format_path(path)))
    if asked:
        message = f"{_told(asked, gone)}; an analyst may release it"
        findings.append(Finding("sanitise", rule, Action.ASKED, message, format_path(path)))
    return tuple(findings)


def _told(kinds: Sequence[str], gone: bool) -> str:  # noqa: FBT001
    what = " and ".join(kinds)
    return f"removed: it held {what}" if gone else f"{what} masked"


def _gravely(rule: str, mode: str, what: str, path: Path) -> Finding:
    if mode == "hold":
        message = f"{what} in the text: an analyst decides; send it without to have it published"
        return Finding("sanitise", rule, Action.HELD, message, format_path(path))
    message = f"{what} in the text: remove it and send the object again"
    return Finding("sanitise", rule, Action.REFUSED, message, format_path(path))


def _asked(finding: Finding) -> Finding:
    """What was to be asked about the text, asked about the object: nothing is left without."""
    message = "no valid object without what an analyst must look at first: he decides"
    return finding._replace(action=Action.HELD, message=message)


def _settled(
    candidate: Candidate,
    rule: str,
    changes: Mapping[Path, str | None],
    findings: Sequence[Finding],
    graver: Mapping[str, Sequence[Finding]],
) -> Candidate:
    if graver["refuse"]:
        return candidate.refuse(*graver["refuse"])
    if not changes:
        return candidate
    if graver["hold"]:
        candidate = candidate.hold(*graver["hold"])
    assert candidate.object is not None  # noqa: S101
    without = replace_texts(candidate.object, changes)
    if not is_still_valid(without, candidate.object):
        asked = [_asked(finding) for finding in findings if finding.action is Action.ASKED]
        if asked or graver["hold"]:
            return candidate.hold(*asked)
        message = "no valid object without what must not be shared: remove it and send it again"
        return candidate.refuse(*findings, Finding("sanitise", rule, Action.REFUSED, message))
    return candidate.with_object(without, *findings)


generalise_Search = Callable[[str], Sequence[Span]]
_WIDER = frozenset(("=", "IN", "LIKE"))


def generalised(pattern: str, search: generalise_Search) -> str | None:
    """The pattern with `%` in the place of each span; None where that would be another meaning."""
    try:
        widened = canonical_pattern(str(_widened(parse_pattern(pattern), search)))
    except (Malformed, _OtherMeaning):
        return None
    return None if search(widened) else widened


class _OtherMeaning(Exception):
    """A name stands where a `%` would not simply match more."""


def _widened(node: Node, search: generalise_Search) -> Node:
    if isinstance(node, Comparison):
        return _test(node, search)
    if isinstance(node, Junction):
        return replace(node, parts=tuple(_widened(part, search) for part in node.parts))
    if isinstance(node, Observation):
        return replace(node, test=_widened(node.test, search))
    return replace(node, part=_widened(node.part, search))


def _test(test: Comparison, search: generalise_Search) -> Node:
    found = [search(literal.text) for literal in test.values]
    if not any(found):
        return test
    if test.negated or test.operator not in _WIDER:
        raise _OtherMeaning
    rest = tuple(v for v, spans in zip(test.values, found, strict=True) if not spans)
    wide: list[Node] = [
        replace(test, operator="LIKE", values=(Literal("string", _wild(literal.text, spans)),))
        for literal, spans in zip(test.values, found, strict=True)
        if spans
    ]
    if rest:
        wide.append(replace(test, values=rest))
    return wide[0] if len(wide) == 1 else Junction("OR", tuple(wide))


def _wild(text: str, spans: Sequence[Span]) -> str:
    parts: list[str] = []
    at = 0
    for span in without_overlap(spans):
        parts += (text[at : span.start], "%")
        at = span.end
    return "".join((*parts, text[at:]))
