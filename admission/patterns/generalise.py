"""Widen a pattern on one person's folder so that it matches everybody's.

A plain comparison (`=`, `IN`, `LIKE`) that is not negated becomes LIKE with a `%` in
the place of the name.  Where that would do more than widen the pattern, it is not done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tocsin.admission.detectors.spans import Span, merge_overlapping_spans
from tocsin.admission.errors import Malformed
from tocsin.admission.patterns.canonical import canonical_pattern
from tocsin.admission.patterns.grammar import (
    Comparison,
    Junction,
    Literal,
    Node,
    Observation,
    parse_pattern,
)

Find = Callable[[str], Sequence[Span]]
"""Finds the parts of a compared value that give way to a `%`."""
_WIDENABLE = frozenset(("=", "IN", "LIKE"))


class _NotWidenable(Exception):
    """A comparison in which a `%` would do more than match more values."""


def generalise_pattern(pattern: str, find: Find) -> str | None:
    """The pattern with `%` for each found part, in canonical form; None if not possible."""
    try:
        widened = canonical_pattern(str(_widen(parse_pattern(pattern), find)))
    except (Malformed, _NotWidenable):
        return None
    return None if find(widened) else widened


def _widen(node: Node, find: Find) -> Node:
    if isinstance(node, Comparison):
        return _widen_test(node, find)
    if isinstance(node, Junction):
        return replace(node, parts=tuple(_widen(part, find) for part in node.parts))
    if isinstance(node, Observation):
        return replace(node, test=_widen(node.test, find))
    return replace(node, part=_widen(node.part, find))


def _widen_test(test: Comparison, find: Find) -> Node:
    found = [find(literal.text) for literal in test.values]
    if not any(found):
        return test
    if test.negated or test.operator not in _WIDENABLE:
        raise _NotWidenable
    unchanged = tuple(v for v, spans in zip(test.values, found, strict=True) if not spans)
    widened: list[Node] = [
        replace(test, operator="LIKE", values=(Literal("string", _wildcard(literal.text, spans)),))
        for literal, spans in zip(test.values, found, strict=True)
        if spans
    ]
    if unchanged:
        widened.append(replace(test, values=unchanged))
    return widened[0] if len(widened) == 1 else Junction("OR", tuple(widened))


def _wildcard(text: str, spans: Sequence[Span]) -> str:
    parts: list[str] = []
    at = 0
    for span in merge_overlapping_spans(spans):
        parts += (text[at : span.start], "%")
        at = span.end
    return "".join((*parts, text[at:]))
