"""Levels of the Traffic Light Protocol, where people write them in the text itself."""

import re
from collections.abc import Iterable

from tocsin.admission.model import Action, Finding, Tlp

_LEVEL = re.compile(
    r"\bTLP[ :_-]{1,3}(?:(red|green|clear|white)|(amber)([ +_-]{1,3}strict)?)\b", re.IGNORECASE
)


def levels(text: str) -> Iterable[Tlp]:
    """Every level that a text states.

    >>> list(levels("TLP:AMBER+STRICT, once tlp: white"))
    [<Tlp.AMBER_STRICT: 3>, <Tlp.CLEAR: 0>]
    """
    if "TLP" not in text and "tlp" not in text and "Tlp" not in text:
        return
    for found in _LEVEL.finditer(text):
        word, amber, strict = found.groups()
        yield Tlp.parse(word) if not amber else Tlp.AMBER_STRICT if strict else Tlp.AMBER


def strictest(lines: Iterable[tuple[int, str]]) -> tuple[Tlp | None, tuple[Finding, ...]]:
    """The strictest level that numbered lines state, and a word about it."""
    found = [(level, -number) for number, line in lines for level in levels(line)]
    if not found:
        return None, ()
    level, number = max(found)
    label = level.label.upper()
    said = f"line {-number} says TLP:{label}, the strictest in the file; it holds for all"
    return level, (Finding("validate", "format", Action.NOTED, said, "object_marking_refs"),)
