"""Selectors: which part of an object a granular marking is about (STIX 2.1 section 7.2.3).

What a selector names must be there; a marking of what is not there would be
read by everyone in another way.
"""

import re
from collections.abc import Collection, Iterator

from tocsin.admission.model import Path, StixObject

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,6}", re.ASCII)
_PROPERTY = re.compile(r"[a-z0-9_]{3,250}", re.ASCII)


def is_language_code(code: object) -> bool:
    """Whether it is the code of a language (RFC 5646)."""
    return isinstance(code, str) and _LANGUAGE.fullmatch(code) is not None


def format_selector(path: Path) -> str:
    """The selector of a place.

    >>> of(("labels", 1))
    'labels.[1]'
    """
    return ".".join(f"[{step}]" if isinstance(step, int) else step for step in path)


def selector_exists(subject: StixObject, selector: str) -> bool:
    """Whether the object has what the selector names.

    >>> selects({"labels": ["a", "b"]}, "labels.[1]"), selects({"labels": ["a"]}, "labels.[1]")
    (True, False)
    """
    part: object = subject
    for step in selector.split("."):
        if isinstance(part, list):
            digits = step[1:-1]
            if not (step.startswith("[") and step.endswith("]") and _digits(digits)):
                return False
            if int(digits) >= len(part):
                return False
            part = part[int(digits)]
        elif isinstance(part, dict) and step in part:
            part = part[step]
        else:
            return False
    return True


def find_marking_errors(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """What is wrong with the object's granular markings, with its place."""
    for place, marking in enumerate(subject.get("granular_markings", ())):
        path: Path = ("granular_markings", place)
        if "lang" in marking and not is_language_code(marking["lang"]):
            yield (*path, "lang"), "not a language code (RFC 5646), such as en or pt-BR"
        if marking.get("marking_ref") == subject["id"]:
            yield (*path, "marking_ref"), "a marking cannot mark itself"
        for number, selector in enumerate(marking["selectors"]):
            if not selector_exists(subject, selector):
                yield (*path, "selectors", number), "selects what the object does not have"


def selects_items_of(subject: StixObject, name: str) -> bool:
    """Whether a granular marking is about one item of that list, which must keep its place."""
    return any(
        isinstance(selector, str) and selector.startswith(f"{name}.[")
        for marking in subject.get("granular_markings", ())
        if isinstance(marking, dict)
        for selector in marking.get("selectors", ())
    )


def drop_selectors(subject: StixObject, names: Collection[str]) -> StixObject:
    """The object, its granular markings no longer about the properties that were taken out."""
    markings = subject.get("granular_markings")
    if not isinstance(markings, list) or not names:
        return subject
    kept = [each for marking in markings if (each := _without(marking, names))]
    if kept == markings:
        return subject
    changed = {**subject, "granular_markings": kept}
    if not kept:
        del changed["granular_markings"]
    return changed


def find_translation_errors(subject: StixObject) -> Iterator[tuple[Path, str]]:
    """What is wrong with the translations of a language-content (STIX 2.1 section 7.1)."""
    for code, texts in subject["contents"].items():
        if not is_language_code(code):
            yield ("contents", code[:40]), "not a language code (RFC 5646), such as en or pt-BR"
        if not isinstance(texts, dict) or not texts:
            yield ("contents", code[:40]), "a dictionary of translated properties is wanted"
            continue
        for name in texts:
            if not _PROPERTY.fullmatch(name):
                yield ("contents", code[:40], name[:40]), "not the name of a property"


def _without(marking: object, names: Collection[str]) -> object:
    """The marking without selectors below `names`; None if nothing is left of it."""
    selectors = marking.get("selectors") if isinstance(marking, dict) else None
    if not isinstance(marking, dict) or not isinstance(selectors, list):
        return marking
    kept = [each for each in selectors if not _below(each, names)]
    return {**marking, "selectors": kept} if kept else None


def _below(selector: object, names: Collection[str]) -> bool:
    return isinstance(selector, str) and any(
        selector == name or selector.startswith(f"{name}.") for name in names
    )


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
