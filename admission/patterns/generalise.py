"""Change the values that a pattern compares so that it is about nobody in particular.

To widen a pattern on one person's folder, a plain comparison (`=`, `IN`, `LIKE`) that is not
negated becomes LIKE with a `%` in the place of the name.  URLs may lose a part instead.  Where
that would do more than widen the pattern, it is not done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

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
Cut = Callable[[str], str | None]
"""The URL without some parts; None if it cannot do without them."""
_Change = Callable[[Comparison], Node]
_WIDENABLE = frozenset(("=", "IN", "LIKE"))
_EXACT = frozenset(("=", "IN"))


class _NotWidenable(Exception):
    """A comparison in which a `%` would do more than match more values."""


def generalise_pattern(pattern: str, find: Find) -> str | None:
    """The pattern with `%` for each found part, in canonical form; None if not possible."""
    widened = _change_pattern(pattern, partial(_widen_test, find=find))
    return None if widened is None or find(widened) else widened


def cut_urls(pattern: str, cut: Cut) -> str | None:
    """The pattern with every URL as `cut` leaves it, in canonical form; None if not possible.

    A URL that would change stands in a comparison with `=` or `IN` that is not negated.
    """
    return _change_pattern(pattern, partial(_cut_test, cut=cut))


def _change_pattern(pattern: str, change: _Change) -> str | None:
    try:
        return canonical_pattern(str(_change_node(parse_pattern(pattern), change)))
    except (Malformed, _NotWidenable):
        return None


def _change_node(node: Node, change: _Change) -> Node:
    if isinstance(node, Comparison):
        return change(node)
    if isinstance(node, Junction):
        return replace(node, parts=tuple(_change_node(part, change) for part in node.parts))
    if isinstance(node, Observation):
        return replace(node, test=_change_node(node.test, change))
    return replace(node, part=_change_node(node.part, change))


def _cut_test(test: Comparison, cut: Cut) -> Node:
    if test.kind != "url" or test.path != "value":
        return test
    texts = [cut(literal.text) for literal in test.values]
    if all(new == literal.text for new, literal in zip(texts, test.values, strict=True)):
        return test
    if test.negated or test.operator not in _EXACT or None in texts:
        raise _NotWidenable
    values = tuple(Literal("string", text) for text in texts if text is not None)
    return replace(test, values=values)


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
