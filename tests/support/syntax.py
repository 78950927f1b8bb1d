"""Statements of Python modules."""

import ast
from collections.abc import Iterator

_BODIES = ("body", "orelse", "finalbody", "handlers", "cases")
"""The fields of a node that hold statements, or what has a body of its own."""


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below a node, in order; expressions, most of the tree, are not visited."""
    for name in _BODIES:
        below = getattr(node, name, ())
        for each in below if isinstance(below, list) else ():
            yield each
            yield from statements(each)
