"""A short title for an object of any type, as lists show it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tocsin.admission.lazy_patterns import compile_lazily

LONGEST_TITLE = 200
"""Characters of a title."""
_COMPARISON = compile_lazily(r"\[[a-z0-9-]+:[^=\s\]]+ = '((?:[^'\\]|\\.)*)'\]", re.DOTALL)
"""A pattern that compares one property with one value."""
_ESCAPED = compile_lazily(r"\\(.)", re.DOTALL)
_PROPERTIES = ("pattern", "value", "name", "path", "key", "content")


def object_title(subject: Mapping[str, object]) -> str:
    """The value that an object is about, else its name; shortened, empty if it has neither."""
    for name in _PROPERTIES:
        text = subject.get(name)
        if isinstance(text, str) and text.strip():
            return text if len(text) <= LONGEST_TITLE else f"{text[:LONGEST_TITLE]}…"
    return ""


def single_value(title: str) -> str:
    """The value of a pattern that compares one property with one value; else the title itself.

    >>> single_value("[domain-name:value = 'evil-portal.top']"), single_value("[a:b = 'c' OR d:e]")
    ('evil-portal.top', "[a:b = 'c' OR d:e]")
    """
    found = _COMPARISON.fullmatch(title)
    return _ESCAPED.sub(r"\1", found[1]) if found else title
