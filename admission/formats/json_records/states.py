"""Members of records in JSON that say that a value is not to be shared.

It is allowed, harmless or a false positive, no longer in use, or a victim's.  Products name and
spell such members in many ways, so words are compared and not whole names.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from tocsin.admission.extraction.field_names import split_heading
from tocsin.admission.formats.csv.cells import is_mailbox, says_recipient
from tocsin.admission.formats.csv.columns import Role, name_columns, names_password

_CLEARED = frozenset(
    (
        *("allow", "allowed", "allowlist", "allowlisted", "whitelist", "whitelisted", "safelist"),
        *("permit", "permitted", "exclude", "excluded", "exempt", "exempted", "ignore", "ignored"),
        *("benign", "harmless", "legit", "legitimate", "trusted", "knowngood", "notmalicious"),
        *("nonmalicious", "falsepositive", "falsepos", "fp"),
    )
)
"""Words, without spaces, for harmless values."""
_ENDED = frozenset(
    ("inactive", "notactive", "expired", "deleted", "revoked", "retired", "disabled")
) | {"deactivated", "withdrawn", "obsolete"}
"""Words for what was an indicator."""
_OF_STATES = _CLEARED | _ENDED | {"clean", "good", "safe"}
"""States of a record; of a case around records, the last ones may be those of a machine."""
_NEEDED_FALSE = _CLEARED | _ENDED | {"removed", "internal", "own", "owned", "victim"}
"""Names of members that must not be true."""
_NEEDED_TRUE = frozenset(("", "active", "enabled", "malicious"))
"""Names of members that must not be false, without the words of `_SMALL`: `is_ioc` has no other."""
_TRUE = frozenset(("true", "1", "yes", "y", "on"))
_FALSE = frozenset(("false", "0", "no", "n", "off"))
_SMALL = frozenset(("is", "was", "has", "been", "ioc", "indicator", "marked", "as"))
"""Words beside those of a state in the name of a member."""
_STATE_WORDS = frozenset(
    (
        *("status", "state", "verdict", "disposition", "resolution", "classification"),
        *("determination", "reputation", "maliciousness", "decision"),
    )
)
"""Words in the names of members whose texts are states."""
_STATE_NAMES = frozenset(("action", "policy", "mode", "access", "list", "list type", "category"))
"""Names of such members that are not more than that; an action for phones is not one for all."""
_WITHIN = frozenset(("name", "value", "label"))
"""The members of an object that is a state."""
_ALLOW_LIST = re.compile(
    r"(?:\b|_)(?:allow|white|safe|pass|exception|exclusion|warning)(?:ed|s)?[ _-]?lists?\s*$",
    re.IGNORECASE,
)
"""The end of the name of such a list; elsewhere, it may be a subject: `Allow lists evaded`."""
_NAMES = frozenset(("name", "title", "list name"))
_PARTS = frozenset(("meta", "metadata", "attributes", "properties", "fields"))
"""Last words in the names of objects that are about the same as the record."""
_NOT_IN_WORDS = re.compile(r"[.@:/\d]")
"""Characters of values, which are no words for a state or person."""
_MOST_NAMES = 4000
"""Names of members that are remembered."""
_MOST_TEXTS = 1000
"""Texts of a list that are read."""
_LONGEST = 40
"""Characters of a state, and of a name in a message."""

_Members = Mapping[str, Any]


def find_refusing_member(record: _Members) -> str:
    """Why a record is refused, since it says so of itself; empty if it does not."""
    for name, value in _list_members(record):
        if reason := _explain(name, value, _OF_STATES):
            return reason
        if isinstance(value, str) and not _NOT_IN_WORDS.search(value) and says_recipient(value):
            return "describes people or victims, which are never shared"
    if _is_stolen_account(record):
        return "a list of people or victims is never shared"
    if _is_without_verdict(record):
        return f"not an indicator, since its 'score' is {record['score']}"
    return ""


def find_refusing_member_around(members: _Members) -> str:
    """Why all records in an object are refused; empty if they are not."""
    for name, value in _list_members(members):
        if reason := _explain(name, value, _CLEARED | _ENDED):
            return reason
        if split_heading(name) in _NAMES and _ALLOW_LIST.search(str(value)[-_LONGEST:]):
            return f"not an indicator, since its list is {ascii(str(value)[-_LONGEST:])}"
    return ""


def _list_members(record: _Members) -> Iterator[tuple[str, object]]:
    """The names and values of a record, and of objects in it that are parts of it."""
    for name, value in record.items():
        if isinstance(value, list):
            texts = islice(value, _MOST_TEXTS)
            yield from ((name, each) for each in texts if isinstance(each, str))
        elif not isinstance(value, dict):
            yield name, value
        else:
            yield from _list_within(name, value)


def _list_within(name: str, value: _Members) -> Iterator[tuple[str, object]]:
    is_part = not _PARTS.isdisjoint(split_heading(name).split()[-1:])
    for key, each in value.items():
        if not isinstance(each, dict | list) and (is_part or key in _WITHIN):
            yield (name if key in _WITHIN else key), each


def _explain(name: str, value: object, words: frozenset[str]) -> str:
    """Why a member is that of no indicator; empty if it may be one's."""
    text = _format(value)
    if len(text) > _LONGEST:
        return ""
    plain = _name_state(name)
    says_so = (
        (text in _TRUE and plain in _NEEDED_FALSE)
        or (text in _FALSE and plain in _NEEDED_TRUE)
        or (_is_state(name) and split_heading(text).replace(" ", "") in words)
    )
    if not says_so:
        return ""
    return f"not an indicator, since its {ascii(name[:_LONGEST])} is {ascii(text)[1:-1]}"


def _format(value: object) -> str:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return str(whole).strip().lower()


@lru_cache(maxsize=_MOST_NAMES)
def _name_state(name: str) -> str:
    """The words of a member's name without small ones, and without spaces."""
    return "".join(word for word in split_heading(name).split() if word not in _SMALL)


@lru_cache(maxsize=_MOST_NAMES)
def _is_state(name: str) -> bool:
    heading = split_heading(name)
    if heading in _STATE_NAMES or not _STATE_WORDS.isdisjoint(heading.split()):
        return True
    return name_columns([name]).roles[0] in (Role.TAGS, Role.CLASSIFICATION)


def _is_stolen_account(record: _Members) -> bool:
    """True for a mailbox beside a password."""
    texts = {name: each for name, each in record.items() if isinstance(each, str) and each.strip()}
    return any(map(names_password, texts)) and any(map(is_mailbox, texts.values()))


def _is_without_verdict(record: _Members) -> bool:
    """True for what XSOAR found in some case and does not call suspicious (2) or bad (3)."""
    score = record.get("score")
    return "manualScore" in record and isinstance(score, int) and score < 2  # noqa: PLR2004
