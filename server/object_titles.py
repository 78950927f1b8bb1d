"""A short title for an object of any type, as lists show it."""

from __future__ import annotations

from collections.abc import Mapping

LONGEST_TITLE = 200
"""Characters of a title."""
_PROPERTIES = ("pattern", "value", "name", "path", "key", "content")


def object_title(subject: Mapping[str, object]) -> str:
    """The value that an object is about, else its name; shortened, empty if it has neither."""
    for name in _PROPERTIES:
        text = subject.get(name)
        if isinstance(text, str) and text.strip():
            return text if len(text) <= LONGEST_TITLE else f"{text[:LONGEST_TITLE]}…"
    return ""
