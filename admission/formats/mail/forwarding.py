"""Mails in whose text somebody passes on a mail of somebody else.

The subject says so, in many languages, or a line that the mail program wrote into the
text, or the head of another message there: `From: …`, `To: …`.  Replies quote heads too,
and count as well: who answers an attacker's mail is as innocent as who forwards it.
"""

from collections.abc import Sequence
from itertools import islice

from tocsin.admission.extraction.field_names import (
    names_recipients,
    names_senders,
    normalise_heading,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_words

_PACKAGE = "tocsin.admission.formats.mail"
_PREFIXES = frozenset(map(normalise_heading, load_words(_PACKAGE, "forwarding_prefixes")))
_LINES = frozenset(map(normalise_heading, load_words(_PACKAGE, "forwarding_lines")))
_COLON = compile_lazily("[:：]")
_TAG = compile_lazily(r"\[[^\[\]]{0,60}\]|\([^()]{0,60}\)|\*{1,3}[^*]{1,60}\*{1,3}")
"""`[EXTERNAL]`, and the count in `Fwd[2]`."""
_LONGEST_PREFIX = 20
_LONGEST_SUBJECT = 1_000
_LABEL = compile_lazily(r"[\s>*|]{0,40}([^:：@<>\"]{1,40})[:：]")
_LONGEST_LINE = 400
_MOST_LINES = 5_000
_LONGEST_HEAD = 6
"""Lines of a quoted head in which the recipients follow the sender."""


def is_forwarded(subject: str, text: str) -> bool:
    """True if a mail with this subject and text passes on, or answers, somebody else's."""
    if _has_prefix(subject):
        return True
    lines = [each[:_LONGEST_LINE] for each in islice(text.split("\n"), _MOST_LINES)]
    lines = [each for each in lines if each and not each.isspace()]
    return any(_begins_message(lines, number) for number in range(len(lines)))


def _has_prefix(subject: str) -> bool:
    """True if the prefix of forwarded mails is at the beginning, alone or among others."""
    *parts, _ = _COLON.split(subject[:_LONGEST_SUBJECT])
    for part in parts:
        prefix = normalise_heading(_TAG.sub(" ", part))
        if prefix in _PREFIXES:
            return True
        if len(prefix) > _LONGEST_PREFIX:
            break
    return False


def _begins_message(lines: Sequence[str], number: int) -> bool:
    """True if a line announces a forwarded message, or is the sender in a quoted head."""
    line = lines[number]
    if line.strip(" \t\r>*-_=:") != line and normalise_heading(line) in _LINES:
        return True
    label = _LABEL.match(line)
    if label is None or not names_senders(label[1]):
        return False
    head = lines[number : number + _LONGEST_HEAD]
    return any("@" in each for each in head) and any(map(_is_of_recipients, head[1:]))


def _is_of_recipients(line: str) -> bool:
    label = _LABEL.match(line)
    return label is not None and names_recipients(label[1])
