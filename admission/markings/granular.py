"""Granular markings: parts of an object that are marked more strictly than the whole.

The sender's selectors are used once, on the object as sent: it is split into
one layer per TLP level.  Each layer is normalised, sanitised and merged
separately, so nothing of a stricter layer can show in a less strict one.  The
selectors of a published object are computed from the differences of its layers.

A selector must select a part that exists (STIX 2.1 section 7.2.3);
implementations disagree about any other.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.tlp import TLP_2_IDS, read_markings, split_off_granular_tlp
from tocsin.admission.merge.identity import contributing_properties
from tocsin.admission.model import Candidate, Contribution, Layer, Path, StixObject, Tlp
from tocsin.admission.observables.values import is_language_code
from tocsin.admission.stix.free_text import replace_texts
from tocsin.admission.stix.schemas import schema_for

MarkedPart = tuple[Tlp, Path]
"""The level and the path of a part."""

_REQUIRED_PROPERTIES = (
    *("type", "id", "spec_version", "created", "modified", "revoked"),
    "object_marking_refs",
)
"""Properties that no layer may lack: without them it would be another object, or not revoked."""
_TOP_LEVEL_STEP = compile_lazily(
    r"(?!(?:type|spec_version|object_marking_refs|granular_markings)$)[a-z0-9_-]{3,249}"
)
_STEP = compile_lazily(r"\[\d+\]|[a-z0-9_-]{1,250}")
_INDEX = compile_lazily(r"\[(\d{1,9})\]", re.ASCII)


@dataclass(frozen=True, slots=True)
class TlpSplit:
    """An object split into one layer per TLP level."""

    level: Tlp
    """The least strict level at which the object can be published."""
    object: StixObject
    """The layer of that level."""
    stricter_layers: tuple[Layer, ...] = ()
    """The layers of stricter levels, the strictest last."""
    raised: bool = False
    """True if a part that the object needs is marked more strictly than the whole."""
    dangling_selectors: tuple[str, ...] = ()
    """Selectors that select no part."""


def split_by_tlp(
    subject: StixObject, definitions: Mapping[str, StixObject], default: Tlp
) -> TlpSplit:
    """Split the object by its granular TLP markings; `default` is the level without a marking.

    A part that is marked less strictly than the whole has the level of the whole.
    """
    whole, levels = split_off_granular_tlp(subject, definitions)
    own = read_markings(whole, definitions).tlp
    own = default if own is None else own
    if not levels:
        return TlpSplit(own, whole)
    places = [(level, selector, resolve_selector(whole, selector)) for level, selector in levels]
    lost = tuple(selector for _, selector, path in places if path is None)
    strict = [(level, path) for level, _, path in places if path is not None and level > own]
    (level, base), *stricter = withhold_parts([(own, whole)], strict)
    raised = level > own
    if raised:
        base, *rest = [
            _raise_level(each, level) for each in (base, *(layer for _, layer in stricter))
        ]
        stricter = [(at, layer) for (at, _), layer in zip(stricter, rest, strict=True)]
    return TlpSplit(level, base, tuple(stricter), raised, lost)


def withhold_parts(layers: Sequence[Layer], strict: Collection[MarkedPart]) -> list[Layer]:
    """Remove each part from the layers below its level.

    A layer that would be invalid without its parts is dropped, as is one that equals the layer
    below.
    """
    levels = sorted({level for level, _ in (*layers, *strict) if level >= layers[0][0]})
    found = [(at, _remove_parts(layer_at(layers, at), strict, at)) for at in levels]
    full = found[-1][1]
    found = [*(layer for layer in found[:-1] if _is_complete(layer[1], full)), found[-1]]
    kept = found[:1]
    kept += [layer for layer in found[1:] if layer[1] != layer_at(found, Tlp(layer[0] - 1))]
    return kept


def layer_at(layers: Sequence[Layer], level: Tlp) -> StixObject:
    """The strictest layer that a level may see; the first if it may see none."""
    return next((layer for at, layer in reversed(layers) if at <= level), layers[0][1])


def join_layers(candidate: Candidate) -> StixObject | None:
    """Join a candidate's layers into one object with granular markings, as a client sends it."""
    if candidate.object is None or candidate.tlp is None or not candidate.stricter_layers:
        return candidate.object
    full = candidate.stricter_layers[-1][1]
    marks = mark_additions([(candidate.tlp, candidate.object), *candidate.stricter_layers])
    return add_granular_markings(full, [*marks, *full.get("granular_markings", ())])


def mark_additions(layers: Sequence[Layer]) -> list[StixObject]:
    """Granular markings for the parts of the last layer that the less strict ones lack."""
    _, content = layers[-1]
    missing = [dict.fromkeys(_find_additions(below, content, "")) for _, below in layers]
    found: list[StixObject] = []
    for at in range(1, len(layers)):
        selectors = [one for one in missing[at - 1] if one not in missing[at]]
        if selectors:
            found.append({"marking_ref": TLP_2_IDS[layers[at][0]], "selectors": selectors})
    return found


def add_granular_markings(content: StixObject, markings: list[StixObject]) -> StixObject:
    """Set the granular markings; unchanged if there are none."""
    return {**content, "granular_markings": markings} if markings else content


def layers_of(contribution: Contribution) -> tuple[Layer, ...]:
    """All layers of a contribution, the least strict first."""
    return ((contribution.tlp, contribution.object), *contribution.stricter_layers)


def stricter_properties(layers: Sequence[Layer]) -> tuple[tuple[Tlp, str], ...]:
    """The properties that differ between layers, each with the level that it needs."""
    found: list[tuple[Tlp, str]] = []
    for (_, below), (level, above) in zip(layers, layers[1:], strict=False):
        found += [(level, name) for name, value in above.items() if below.get(name) != value]
    return tuple(found)


def is_still_valid(reduced: StixObject, full: StixObject) -> bool:
    """True if `reduced` is valid by the schema, or `full` was not valid either."""
    validator = schema_for(full).validator
    return validator.is_valid(reduced) or not validator.is_valid(full)


def _is_complete(layer: StixObject, full: StixObject) -> bool:
    """True if the layer is still a complete object, and the same one."""
    needed = (*_REQUIRED_PROPERTIES, *contributing_properties(str(full.get("type"))))
    if any(layer.get(name) != full.get(name) for name in needed):
        return False
    return _sharing_markings(layer) == _sharing_markings(full) and is_still_valid(layer, full)


def _sharing_markings(subject: StixObject) -> list[StixObject]:
    """Granular markings other than language markings."""
    markings = subject.get("granular_markings")
    there = markings if isinstance(markings, list) else []
    return [each for each in there if not isinstance(each, dict) or "lang" not in each]


def _remove_parts(subject: StixObject, strict: Iterable[MarkedPart], level: Tlp) -> StixObject:
    paths = {path for at, path in strict if at > level}
    outer = {p for p in paths if not any(p[:end] in paths for end in range(1, len(p)))}
    there = {path: None for path in outer if _has_path(subject, path)}
    return replace_texts(subject, there)


def _has_path(subject: StixObject, path: Path) -> bool:
    try:
        value_at(subject, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _raise_level(subject: StixObject, level: Tlp) -> StixObject:
    refs = [*subject.get("object_marking_refs", ()), TLP_2_IDS[level]]
    return {**subject, "object_marking_refs": list(dict.fromkeys(refs))}


def _find_additions(below: Any, above: Any, place: str) -> Iterator[str]:
    """Selectors of the parts of `above` that `below` does not have."""
    if below == above:
        return
    steps: list[tuple[str, Any, Any]] | None = None
    if isinstance(below, dict) and isinstance(above, dict):
        steps = [(name, below.get(name), value) for name, value in above.items()]
    elif isinstance(below, list) and isinstance(above, list):
        known = set(map(_encode_item, below))  # senders choose the length of both lists
        new = ((at, item) for at, item in enumerate(above) if _encode_item(item) not in known)
        steps = [(f"[{at}]", None, item) for at, item in new]
    if not place:
        steps = [step for step in steps or () if _TOP_LEVEL_STEP.fullmatch(step[0])]
    if steps is None or not all(_STEP.fullmatch(step) for step, _, _ in steps):
        yield place
        return
    for step, lower, upper in steps:
        yield from _find_additions(lower, upper, f"{place}.{step}" if place else step)


def _encode_item(item: object) -> bytes:
    """The item as JSON that is the same for equal items."""
    return orjson.dumps(item, option=orjson.OPT_SORT_KEYS)


def format_selector(path: Path) -> str:
    """Format the selector of a path.

    >>> format_selector(("labels", 1))
    'labels.[1]'
    """
    return ".".join(f"[{step}]" if isinstance(step, int) else step for step in path)


def resolve_selector(subject: object, selector: object) -> Path | None:
    """The path of the part that a selector selects; None if the object has no such part.

    >>> resolve_selector({"labels": ["a", "b"]}, "labels.[1]")
    ('labels', 1)
    """
    path: list[str | int] = []
    for text in str(selector).split("."):
        step = _parse_step(subject, text)
        if step is None:
            return None
        path.append(step)
        subject = value_at(subject, (step,))
    return tuple(path)


def value_at(subject: Any, path: Path) -> Any:
    """The value at the path.  Raises KeyError, IndexError or TypeError if there is none."""
    for step in path:
        subject = subject[step]
    return subject


def find_marking_errors(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The errors in the object's granular markings, each with its path."""
    for place, marking in enumerate(subject.get("granular_markings", ())):
        path: Path = ("granular_markings", place)
        if "lang" in marking and not is_language_code(marking["lang"]):
            yield (*path, "lang"), "not a language code (RFC 5646), such as en or pt-BR"
        if marking.get("marking_ref") == subject["id"]:
            yield (*path, "marking_ref"), "a marking cannot mark itself"
        for number, selector in enumerate(marking["selectors"]):
            if resolve_selector(subject, selector) is None:
                yield (*path, "selectors", number), "selects what the object does not have"


def selects_items_of(subject: StixObject, name: str) -> bool:
    """True if a granular marking selects an item of the list, which must keep its position."""
    return any(
        isinstance(selector, str) and selector.startswith(f"{name}.[")
        for marking in subject.get("granular_markings", ())
        if isinstance(marking, dict)
        for selector in marking.get("selectors", ())
    )


def drop_selectors(subject: StixObject, names: Collection[str]) -> StixObject:
    """Drop the selectors of the properties `names`, which have been removed from the object."""
    markings = subject.get("granular_markings")
    if not isinstance(markings, list) or not names:
        return subject
    outer = _find_outermost(names)
    kept = [each for marking in markings if (each := _drop_from_marking(marking, outer))]
    if kept == markings:
        return subject
    changed = {**subject, "granular_markings": kept}
    if not kept:
        del changed["granular_markings"]
    return changed


def _find_outermost(names: Iterable[str]) -> list[str]:
    """The names that are not below another, each with a dot behind it, in order."""
    outer: list[str] = []
    for name in sorted(f"{each}." for each in names):
        if not outer or not name.startswith(outer[-1]):
            outer.append(name)
    return outer


def _drop_from_marking(marking: object, outer: Sequence[str]) -> object:
    """The marking without selectors of `outer` or below; None if no selector is left."""
    selectors = marking.get("selectors") if isinstance(marking, dict) else None
    if not isinstance(marking, dict) or not isinstance(selectors, list):
        return marking
    kept = [each for each in selectors if not _is_below(each, outer)]
    return {**marking, "selectors": kept} if kept else None


def _is_below(selector: object, outer: Sequence[str]) -> bool:
    """True if the selector is one of the names or below it: only the last that sorts before it
    can be, for none of them is below another."""
    if not isinstance(selector, str):
        return False
    place = bisect(outer, f"{selector}.")
    return place > 0 and f"{selector}.".startswith(outer[place - 1])


def _parse_step(subject: object, text: str) -> str | int | None:
    """The property name or list index that a step of a selector means here; None if absent."""
    if isinstance(subject, dict):
        return text if text in subject else None
    index = _INDEX.fullmatch(text)
    if not isinstance(subject, list) or not index or int(index[1]) >= len(subject):
        return None
    return int(index[1])
