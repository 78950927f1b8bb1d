"""TLP markings: read them in any version or spelling, write them with the ids of TLP 2.0.

TLP 2.0 has one id per level.  Ids of TLP 1.0, invented ids that begin like real
ones, and definitions under other ids are recognised and repaired.  A label such as
`tlp:red` counts as a marking.  A marking that cannot be read is unknown, and the
rule `marking` holds the object.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.markings.acs import is_acs
from tocsin.admission.markings.statements import seems_to_limit_sharing
from tocsin.admission.model import StixObject, Tlp

TLP_2_IDS: Mapping[Tlp, str] = {
    Tlp.CLEAR: "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    Tlp.GREEN: "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Tlp.AMBER: "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Tlp.AMBER_STRICT: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    Tlp.RED: "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}
"""The ids of TLP 2.0 (OASIS common object repository)."""

TLP_1_IDS: Mapping[Tlp, str] = {
    Tlp.CLEAR: "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9",
    Tlp.GREEN: "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da",
    Tlp.AMBER: "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
    Tlp.RED: "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}
"""The ids of TLP 1.0 (STIX 2.1 section 7.2.1.4)."""

_LONGEST_NAME = 200
_PREFIX_LENGTH = len("marking-definition--94868c89")

ID_PREFIXES: Mapping[str, Tlp] = {
    **{id_[:_PREFIX_LENGTH]: level for level, id_ in TLP_1_IDS.items()},
    **{id_[:_PREFIX_LENGTH]: level for level, id_ in TLP_2_IDS.items()},
    "marking-definition--826578e1": Tlp.AMBER_STRICT,  # OpenCTI's, in many spellings
}
"""Levels by the beginning of an id: ids seen in the wild are real ones with an invented end."""

WELL_KNOWN_IDS = frozenset(("marking-definition--fa42a846-8d90-4e51-bc29-71d5b4802168",))
"""Markings other than TLP that need no definition: MITRE ATT&CK's statement."""

_OFFICIAL: Mapping[str, Tlp] = {
    id_: level for table in (TLP_1_IDS, TLP_2_IDS) for level, id_ in table.items()
}
_LABEL = compile_lazily(
    r"(?<![^\W_])tlp[\W_]{0,4}(?P<level>white|clear|green|amber(?:[\W_]{0,3}strict)?|red)(?![^\W_])"
)
"""A level in a label: `tlp:red`, `misp:tlp="red"`, `TLP:AMBER+STRICT`."""
_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"


@dataclass(frozen=True, slots=True)
class Markings:
    """The meaning of an object's markings, granular ones included."""

    tlp: Tlp | None = None
    """The strictest level; None if no marking names one."""
    other_ids: tuple[str, ...] = ()
    """Ids of known markings other than TLP (statements, ACS), sorted."""
    unknown_ids: tuple[str, ...] = ()
    """Ids of unknown markings, sorted."""
    repaired: tuple[tuple[str, str], ...] = ()
    """Unofficial ids of a level, each with the id of that level in TLP 2.0.

    Ids of TLP 1.0 are official, though `write_markings` replaces them."""


@cache
def official_ids() -> frozenset[str]:
    """The ids of all markings that need no definition."""
    return WELL_KNOWN_IDS | _OFFICIAL.keys()


def tlp_definition(tlp: Tlp) -> StixObject:
    """The marking definition of a level, as OASIS publishes it for TLP 2.0."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": TLP_2_IDS[tlp],
        "created": "2022-10-01T00:00:00.000Z",
        "name": f"TLP:{tlp.label.upper()}",
        "extensions": {_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp.label}},
    }


def is_tlp_definition(subject: StixObject) -> bool:
    """True if an object defines a TLP level, under any id."""
    return defined_level(subject) is not None


def defined_level(subject: StixObject) -> Tlp | None:
    """The TLP level that an object defines, under any id; None if it defines none."""
    if subject.get("type") != "marking-definition":
        return None
    return _find_level(str(subject.get("id", "")), subject)


def read_markings(subject: StixObject, definitions: Mapping[str, StixObject]) -> Markings:
    """Read the markings of an object, its labels included.

    `definitions` are those of the submission, by id.
    """
    ids = marking_ids(subject)
    stated = {id_: definitions[id_] for id_ in ids if id_ in definitions}
    marks = _read_ids(ids, stated) if stated else _read_undefined_ids(ids)
    labelled = labelled_level(subject) if "labels" in subject else None
    if labelled is None or (marks.tlp is not None and marks.tlp >= labelled):
        return marks
    return replace(marks, tlp=labelled)


def labelled_level(subject: StixObject) -> Tlp | None:
    """The strictest TLP level that a label of the object names."""
    labels = subject.get("labels")
    if not isinstance(labels, list):
        return None
    levels = (parse_tlp_label(label) for label in labels if isinstance(label, str))
    return max((level for level in levels if level is not None), default=None)


@lru_cache(maxsize=4096)  # the objects of a feed share their labels
def parse_tlp_label(label: str) -> Tlp | None:
    """The strictest TLP level in a label; None if it names none.

    >>> parse_tlp_label('misp:tlp="amber+strict"')
    <Tlp.AMBER_STRICT: 3>
    """
    levels = [_parse_level(found["level"]) for found in _LABEL.finditer(_plain_text(label))]
    return max((level for level in levels if level is not None), default=None)


def _plain_text(label: str) -> str:
    """The text in small letters, without wide letters and invisible characters."""
    if label.isascii():
        return label.lower()
    wide = unicodedata.normalize("NFKC", label).casefold()
    return "".join(each for each in wide if unicodedata.category(each) != "Cf")


def _read_ids(ids: Iterable[str], definitions: Mapping[str, StixObject]) -> Markings:
    levels: list[Tlp] = []
    others: set[str] = set()
    unknown: set[str] = set()
    repaired: dict[str, str] = {}
    for id_ in ids:
        level = _find_level(id_, definitions.get(id_))
        if level is not None:
            levels.append(level)
            if _OFFICIAL.get(id_) != level:
                repaired[id_] = TLP_2_IDS[level]
        elif id_ in WELL_KNOWN_IDS or _is_readable(definitions.get(id_)):
            others.add(id_)
        else:
            unknown.add(id_)
    return Markings(
        max(levels, default=None),
        tuple(sorted(others)),
        tuple(sorted(unknown)),
        tuple(repaired.items()),
    )


@lru_cache(maxsize=1024)
def _read_undefined_ids(ids: tuple[str, ...]) -> Markings:
    """Cached for ids without definitions, which are the TLP ids on nearly every object."""
    return _read_ids(ids, {})


def write_markings(subject: StixObject, marks: Markings) -> StixObject:
    """Write the markings to the object, the TLP level with its id of TLP 2.0.

    Granular markings become markings of the whole object (levels of parts have been taken out
    by `split_off_granular_tlp`); language markings stay granular.
    """
    own = () if marks.tlp is None else (TLP_2_IDS[marks.tlp],)
    ids = [*own, *sorted((*marks.other_ids, *marks.unknown_ids))]
    if "granular_markings" not in subject and subject.get("object_marking_refs") == ids:
        return subject
    if ids and "granular_markings" not in subject:
        return {**subject, "object_marking_refs": ids}
    languages = [m for m in _granular_markings(subject) if "marking_ref" not in m]
    wanted = {"object_marking_refs": ids, "granular_markings": languages}
    result = {name: value for name, value in subject.items() if wanted.get(name) != []}
    result.update({name: value for name, value in wanted.items() if value})
    return subject if result == subject else result


def split_off_granular_tlp(
    subject: StixObject, definitions: Mapping[str, StixObject]
) -> tuple[StixObject, list[tuple[Tlp, str]]]:
    """The object without granular TLP markings, and those as (level, selector)."""
    levels: list[tuple[Tlp, str]] = []
    kept: list[StixObject] = []
    for marking in _granular_markings(subject):
        id_ = str(marking.get("marking_ref", ""))
        level = _find_level(id_, definitions.get(id_)) if id_ else None
        selectors = marking.get("selectors")
        if level is None or not isinstance(selectors, list):
            kept.append(marking)
        else:
            levels += [(level, str(selector)) for selector in selectors]
    if not levels:
        return subject, []
    rest = {name: value for name, value in subject.items() if name != "granular_markings"}
    return {**rest, "granular_markings": kept} if kept else rest, levels


def marking_ids(subject: StixObject) -> tuple[str, ...]:
    """The ids of all markings of an object, granular ones included."""
    refs = subject.get("object_marking_refs")
    ids = tuple(map(str, refs)) if isinstance(refs, list) else ()
    if "granular_markings" not in subject:
        return ids
    parts = (
        each.get("marking_ref") for each in _granular_markings(subject) if "marking_ref" in each
    )
    return (*ids, *map(str, parts))


def _granular_markings(subject: StixObject) -> list[StixObject]:
    markings = subject.get("granular_markings")
    return [m for m in markings if isinstance(m, dict)] if isinstance(markings, list) else []


def _find_level(id_: str, definition: StixObject | None) -> Tlp | None:
    """The level of a marking; the stricter one if id and definition differ."""
    if is_acs(definition) and id_ not in _OFFICIAL:
        return None  # even if its name contains a TLP label
    official = _OFFICIAL.get(id_, ID_PREFIXES.get(id_[:_PREFIX_LENGTH]))
    stated = _stated_levels(definition) if definition is not None else set()
    if official is not None:
        return max((official, *stated))
    return stated.pop() if len(stated) == 1 else None


def is_contradictory(definition: StixObject) -> bool:
    """True for a definition whose name says another TLP level than its content."""
    return len(_stated_levels(definition)) > 1


def _stated_levels(definition: StixObject) -> set[Tlp]:
    """The levels that a definition states: by extension (TLP 2.0) or body (TLP 1.0), and name."""
    content = _content_level(definition)
    name = str(definition.get("name", ""))[:_LONGEST_NAME]
    named: Tlp | None = None
    if content is not None:
        named = parse_tlp_label(name)
    elif name[:4].upper() == "TLP:":
        named = _parse_level(name)
    return {level for level in (content, named) if level is not None}


def _content_level(definition: StixObject) -> Tlp | None:
    extensions = definition.get("extensions")
    body = definition.get("definition")
    extension = extensions.get(_EXTENSION) if isinstance(extensions, dict) else None
    if isinstance(extension, dict) and "tlp_2_0" in extension:
        return _parse_level(extension["tlp_2_0"])
    if isinstance(body, dict) and "tlp" in body:
        return _parse_level(body["tlp"])
    statement = str(body.get("statement", "")) if isinstance(body, dict) else ""
    return _parse_level(statement) if statement.upper().startswith("TLP:") else None


def _parse_level(word: object) -> Tlp | None:
    return _parse_word(str(word)[:_LONGEST_NAME])


@lru_cache(maxsize=1024)  # definitions are read for each object that carries them
def _parse_word(word: str) -> Tlp | None:
    try:
        return Tlp.parse(re.sub(r"amber[\W_]*strict", "amber+strict", word, flags=re.IGNORECASE))
    except ValueError:
        return None


def _is_readable(definition: StixObject | None) -> bool:
    """True if the rule `marking` can judge a definition."""
    return is_acs(definition) or _is_plain_statement(definition)


def _is_plain_statement(definition: StixObject | None) -> bool:
    """True for a plain statement without an extension that could restrict sharing."""
    return (
        definition is not None
        and definition.get("definition_type") == "statement"
        and not definition.get("extensions")
        and not seems_to_limit_sharing(definition)
    )


def strictest_tlp(subject: StixObject) -> Tlp:
    """The strictest level in an object's own markings, those of its parts included.

    RED if there is none, or if a marking cannot be read: its definition might say anything.
    """
    marks = read_markings(subject, {})
    return Tlp.RED if marks.tlp is None or marks.unknown_ids else marks.tlp
