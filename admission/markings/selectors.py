"""Selectors of granular markings: which part of an object is marked (STIX 2.1 section 7.2.3).

A selector must select a part that exists; implementations disagree about any other.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

from tocsin.admission.model import Path, StixObject

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,6}", re.ASCII)
_INDEX = re.compile(r"\[(\d{1,9})\]", re.ASCII)
_PROPERTY = re.compile(r"[a-z0-9_]{3,250}", re.ASCII)


def is_language_code(code: object) -> bool:
    """True if it is a language code (RFC 5646)."""
    return isinstance(code, str) and _LANGUAGE.fullmatch(code) is not None


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
    kept = [each for marking in markings if (each := _drop_from_marking(marking, names))]
    if kept == markings:
        return subject
    changed = {**subject, "granular_markings": kept}
    if not kept:
        del changed["granular_markings"]
    return changed


def find_translation_errors(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """The errors in the translations of a language-content object (STIX 2.1 section 7.1)."""
    for code, texts in subject["contents"].items():
        if not is_language_code(code):
            yield ("contents", code[:40]), "not a language code (RFC 5646), such as en or pt-BR"
        if not isinstance(texts, dict) or not texts:
            yield ("contents", code[:40]), "must be a dictionary of translated properties"
            continue
        for name in texts:
            if not _PROPERTY.fullmatch(name):
                yield ("contents", code[:40], name[:40]), "not the name of a property"


def _drop_from_marking(marking: object, names: Collection[str]) -> object:
    """The marking without selectors of `names` or below; None if no selector is left."""
    selectors = marking.get("selectors") if isinstance(marking, dict) else None
    if not isinstance(marking, dict) or not isinstance(selectors, list):
        return marking
    kept = [each for each in selectors if not _is_below(each, names)]
    return {**marking, "selectors": kept} if kept else None


def _is_below(selector: object, names: Collection[str]) -> bool:
    return isinstance(selector, str) and any(
        selector == name or selector.startswith(f"{name}.") for name in names
    )


def _parse_step(subject: object, text: str) -> str | int | None:
    """The property name or list index that a step of a selector means here; None if absent."""
    if isinstance(subject, dict):
        return text if text in subject else None
    index = _INDEX.fullmatch(text)
    if not isinstance(subject, list) or not index or int(index[1]) >= len(subject):
        return None
    return int(index[1])
