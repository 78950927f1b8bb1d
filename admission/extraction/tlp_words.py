"""TLP levels that people write in the text itself: `TLP:AMBER+STRICT`, `tlp: white`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Action, Finding, Tlp

_LEVEL = compile_lazily(
    r"\bTLP[ :_-]{1,3}(?:(red|green|clear|white)|(amber)([ +_-]{1,3}strict)?)\b", re.IGNORECASE
)
_OF_THEHIVE = ("clear", "green", "amber", "red")


def name_thehive_level(number: float) -> str:
    """The level with this number, from 0, in TheHive.

    3 may also stand for AMBER+STRICT there, and 4 is red.
    """
    return _OF_THEHIVE[int(min(number, len(_OF_THEHIVE) - 1))]


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
        yield _parse_level(found)


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
    return level, (_describe(level, number),)


def find_strictest_in_pieces(pieces: Iterable[str]) -> tuple[Tlp | None, tuple[Finding, ...]]:
    """The strictest level in a text that comes in pieces, and a finding that reports it.

    The pieces may be cut anywhere, and lines may have any length.
    """
    scan = _LineScan()
    for piece in pieces:
        scan.add(piece)
    scan.end_line()
    if scan.strictest is None:
        return None, ()
    level, number = scan.strictest[0], -scan.strictest[1]
    return level, (_describe(level, number),)


_OVERLAP = 64
"""Characters in which every level fits, with the signs around it."""


@dataclass(slots=True)
class _LineScan:
    """Finds levels in a text of which only the end of its last line is kept."""

    strictest: tuple[Tlp, int] | None = None
    """The strictest level of the complete lines, and the first line with it as a negative number.

    So the greatest pair is the one that is wanted.
    """
    _number: int = 1
    """The number of the last line."""
    _end: str = ""
    """The end of the last line, in which a level may begin, and one character before it."""
    _is_cut: bool = False
    """True if the last line is longer than that."""
    _may_state: bool = False
    """True if `may_state_tlp` of the last line."""
    _level: Tlp | None = None
    """The strictest level in the last line so far, if it may state one."""

    def add(self, piece: str) -> None:
        """Read on."""
        if "tlp" in (self._end + piece).lower():
            first, *others = piece.split("\n")
            self._add_part(first)
            for each in others:
                self.end_line()
                self._add_part(each)
            return
        feeds = piece.count("\n")
        if feeds:
            self.end_line()
            self._number += feeds - 1
        self._keep_end(piece.rpartition("\n")[2] if feeds else self._end + piece)

    def end_line(self) -> None:
        """Begin a new line."""
        self._find_levels(self._end, len(self._end))
        if self._level is not None and self._may_state:
            found = self._level, -self._number
            self.strictest = found if self.strictest is None else max(self.strictest, found)
        self._number += 1
        self._end, self._is_cut, self._may_state, self._level = "", False, False, None

    def _add_part(self, part: str) -> None:
        text = self._end + part
        self._may_state = self._may_state or may_state_tlp(text)
        self._find_levels(text, len(text) - _OVERLAP)
        self._keep_end(text)

    def _keep_end(self, text: str) -> None:
        self._is_cut = self._is_cut or len(text) > _OVERLAP + 1
        self._end = text[-_OVERLAP - 1 :]

    def _find_levels(self, text: str, end: int) -> None:
        """Note the levels that begin before `end`."""
        for found in _LEVEL.finditer(text, int(self._is_cut)):
            if found.start() < end:
                level = _parse_level(found)
                self._level = level if self._level is None else max(self._level, level)


def _describe(level: Tlp, number: int) -> Finding:
    message = (
        f"TLP:{level.label.upper()} on line {number} is the strictest level in the file"
        " and applies to all of it"
    )
    return Finding("validate", "format", Action.NOTED, message, "object_marking_refs")


def _parse_level(found: re.Match[str]) -> Tlp:
    word, amber, strict = found.groups()
    return Tlp.parse(word) if not amber else Tlp.AMBER_STRICT if strict else Tlp.AMBER
