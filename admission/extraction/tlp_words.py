"""TLP levels that people write in the text itself: `TLP:AMBER+STRICT`, `tlp: white`."""

import re
from collections.abc import Iterable

from tocsin.admission.model import Action, Finding, Tlp

_LEVEL = re.compile(
    r"\bTLP[ :_-]{1,3}(?:(red|green|clear|white)|(amber)([ +_-]{1,3}strict)?)\b", re.IGNORECASE
)


def may_state_tlp(text: str) -> bool:
    """True if a text may state a level; a quick test."""
    return "TLP" in text or "tlp" in text or "Tlp" in text


def find_tlp_levels(text: str) -> Iterable[Tlp]:
    """Every level that a text states.

    >>> list(find_tlp_levels("TLP:AMBER+STRICT, once tlp: white"))
    [<Tlp.AMBER_STRICT: 3>, <Tlp.CLEAR: 0>]
    """
    if not may_state_tlp(text):
        return
    for found in _LEVEL.finditer(text):
        word, amber, strict = found.groups()
        yield Tlp.parse(word) if not amber else Tlp.AMBER_STRICT if strict else Tlp.AMBER


def find_strictest_line(lines: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first of the numbered lines that state the strictest level; empty if none states any."""
    found = [(level, -number, line) for number, line in lines for level in find_tlp_levels(line)]
    _, number, line = max(found, default=(None, 0, ""))
    return [(-number, line)] if found else []


def find_strictest_tlp(
    lines: Iterable[tuple[int, str]],
) -> tuple[Tlp | None, tuple[Finding, ...]]:
    """The strictest level that numbered lines state, and a finding that reports it."""
    strictest = find_strictest_line(lines)
    if not strictest:
        return None, ()
    [(number, line)] = strictest
    level = max(find_tlp_levels(line))
    message = (
        f"TLP:{level.label.upper()} on line {number} is the strictest level in the file"
        " and applies to all of it"
    )
    return level, (Finding("validate", "format", Action.NOTED, message, "object_marking_refs"),)
