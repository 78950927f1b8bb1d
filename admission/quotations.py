"""Pieces of a submission that a message may repeat.

A finding stays in the status long after the body is deleted, and reaches more people.  So it
names the place and the rule, and repeats a name or a word only if it can hardly be a text.
"""

import re
import string

from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import Path, format_path

_PLAIN_NAME = compile_lazily(
    r"(?!(?:\D*\d){5})[A-Za-z_]?[\w-]{0,59}"
    r"|extension-definition--[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    re.ASCII,
)
"""One word, with fewer digits than a number of a person has."""
_QUOTATION_MARK = compile_lazily("[`'\"]")


def is_plain_name(text: str) -> bool:
    """True for the name of a property, a word of a vocabulary and the like; for empty text too.

    >>> is_plain_name("x_case"), is_plain_name("Jane Doe"), is_plain_name("tel_4930901820")
    (True, False, False)
    """
    return _PLAIN_NAME.fullmatch(text) is not None


def format_plain_path(path: Path) -> str:
    """Format a path for people, with `(name)` for each step that is not a plain name.

    >>> format_plain_path(("extensions", "Jane Doe", 0))
    'extensions.(name)[0]'
    """
    return format_path(
        tuple(each if isinstance(each, int) or is_plain_name(each) else "(name)" for each in path)
    )


def remove_quotation(message: str) -> str:
    """The first line of a library's message, with an ellipsis for what it quotes.

    A quoted sign or plain name stays.  A quotation may have line ends and marks in it, so it
    extends to the last mark of any kind, or to the end.

    >>> remove_quotation("'Jane Doe' is not a valid status")
    '... is not a valid status'
    """
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    line = lines[0] if lines else "no reason given"
    marks = list(_QUOTATION_MARK.finditer(line))
    if not marks:
        return line
    first, last = marks[0], marks[-1]
    is_closed = len(marks) > 1
    behind = line[last.end() :] if is_closed and len(lines) == 1 else ""
    quoted = line[first.end() : last.start()].strip(string.punctuation)
    if is_closed and line.endswith(f"{last[0]}{behind}") and is_plain_name(quoted):
        return line
    return f"{line[: first.start()]}...{behind}"
