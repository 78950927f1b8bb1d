"""The TLP levels that records, and the objects around them, state."""

from collections.abc import Iterator
from functools import lru_cache

from tocsin.admission.extraction.field_names import split_heading
from tocsin.admission.extraction.tlp_words import find_tlp_levels, name_thehive_level
from tocsin.admission.formats.csv.columns import Role
from tocsin.admission.formats.json_records.cells import LONGEST_CELL
from tocsin.admission.formats.json_records.exported_values import Members
from tocsin.admission.formats.json_records.values import MOST_NAMES, find_role
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Tlp

_TLP = compile_lazily(r"\btlp\b|traffic ?light")


def find_level(members: object, around: str) -> str:
    """The strictest TLP level of an object and of what is `around` it; or a word that is none."""
    levels = set[Tlp]()
    for name, text in (("tlp", around), *_walk(members, "")):
        levels.update(find_tlp_levels(text))
        if _names_tlp(name) and text:
            try:
                levels.add(Tlp.parse(text))
            except ValueError:
                if find_role(name) is Role.TLP:
                    return text[:LONGEST_CELL]
    return max(levels).name if levels else ""


@lru_cache(maxsize=2 * MOST_NAMES)
def _names_tlp(name: str) -> bool:
    return _TLP.search(split_heading(name)) is not None or find_role(name) is Role.TLP


def _walk(value: object, name: str) -> Iterator[tuple[str, str]]:
    """Every text in a value, and numbers of levels in words, each with the member's name."""
    if isinstance(value, dict):
        if _names_tlp(name):
            yield name, _name_level(value)
        for key, each in value.items():
            yield from _walk(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _walk(each, name)
    elif isinstance(value, str):
        yield name, value
    elif number := _format_number(value):
        yield name, number


def _name_level(found: Members) -> str:
    """The strictest level in an object that is one, such as `{"name": "red"}`; else a word."""
    words = [each for each in found.values() if isinstance(each, str)]
    numbers = [number for each in found.values() if (number := _format_number(each))]
    for some in (words, numbers):  # a number beside a word may be an id
        if levels := [Tlp.parse(each) for each in some if _is_level(each)]:
            return max(levels).name
    return next(iter(words), "")


def _is_level(word: str) -> bool:
    try:
        Tlp.parse(word)
    except ValueError:
        return False
    return True


def _format_number(value: object) -> str:
    """The TLP level with this number in TheHive; empty if the value is not such a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return ""
    return name_thehive_level(value)
