"""A pattern on somebody's folder made one on everybody's.

Only where that widens what is matched and nothing else: a plain comparison
that is not negated gives way to LIKE with a `%` in the place of the name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tocsin.admission.errors import Malformed
from tocsin.admission.pattern_reader import Junction, Literal, Node, Observation, Test, parse
from tocsin.admission.patterns import canonical
from tocsin.admission.rules._masking import Span, without_overlap

Search = Callable[[str], Sequence[Span]]
_WIDER = frozenset(("=", "IN", "LIKE"))


def generalised(pattern: str, search: Search) -> str | None:
    """The pattern with `%` in the place of each span; None where that would be another meaning."""
    try:
        widened = canonical(str(_widened(parse(pattern), search)))
    except (Malformed, _OtherMeaning):
        return None
    return None if search(widened) else widened


class _OtherMeaning(Exception):
    """A name stands where a `%` would not simply match more."""


def _widened(node: Node, search: Search) -> Node:
    if isinstance(node, Test):
        return _test(node, search)
    if isinstance(node, Junction):
        return replace(node, parts=tuple(_widened(part, search) for part in node.parts))
    if isinstance(node, Observation):
        return replace(node, test=_widened(node.test, search))
    return replace(node, part=_widened(node.part, search))


def _test(test: Test, search: Search) -> Node:
    found = [search(literal.text) for literal in test.values]
    if not any(found):
        return test
    if test.negated or test.operator not in _WIDER:
        raise _OtherMeaning
    rest = tuple(v for v, spans in zip(test.values, found, strict=True) if not spans)
    wide: list[Node] = [
        replace(test, operator="LIKE", values=(Literal("string", _wild(literal.text, spans)),))
        for literal, spans in zip(test.values, found, strict=True)
        if spans
    ]
    if rest:
        wide.append(replace(test, values=rest))
    return wide[0] if len(wide) == 1 else Junction("OR", tuple(wide))


def _wild(text: str, spans: Sequence[Span]) -> str:
    parts: list[str] = []
    at = 0
    for span in without_overlap(spans):
        parts += (text[at : span.start], "%")
        at = span.end
    return "".join((*parts, text[at:]))
