"""Records in JSON that say of themselves that they are not to be shared, and objects around them.

Their value is harmless, no longer in use, or a victim's.
"""

import re
from collections.abc import Iterator
from itertools import islice

from tocsin.admission.extraction.field_names import split_heading
from tocsin.admission.formats.csv.cells import is_mailbox, says_recipient
from tocsin.admission.formats.csv.columns import LIST_OF_PEOPLE, names_password
from tocsin.admission.formats.csv.states import LONGEST_STATE, Subject, find_refusing_state
from tocsin.admission.formats.json_records.exported_values import Members
from tocsin.admission.lazy_patterns import compile_lazily

_WITHIN = frozenset(("name", "value", "label"))
"""The members of an object that is a state."""
_ALLOW_LIST = compile_lazily(
    r"^(?:allow|white|safe)[ _-]?list(?:ed\b|\s\d)"
    r"|(?:\b|_)(?:allow|white|safe|pass|exception|exclusion)(?:ed|s)?[ _-]?lists?\s*$",
    re.IGNORECASE,
)
"""The name of such a list; elsewhere in a name, it may be a subject: `Allow lists evaded`."""
_NAMES = frozenset(("name", "title", "list name"))
_PARTS = frozenset(("meta", "metadata", "attributes", "properties", "fields"))
"""Last words in the names of objects that are about the same as the record."""
_OF_ORIGIN = frozenset(
    (
        *("source", "sources", "feed", "provider", "origin", "detected", "seen", "observed"),
        *("sensor", "product", "vendor", "sector", "industry", "reported", "org", "organization"),
    )
)
"""Words in the names of members that say who reports a value, and where it was seen."""
_OF_ARCHIVES = frozenset(("archive", "zip", "rar", "file", "protected", "sample", "attachment"))
_NOT_IN_WORDS = compile_lazily(r"[.@:/\d]")
"""Characters of values, which are no words for a state or person."""
_LONGEST_NAME = 200
"""Characters of the name of a list, at its end, that are looked at."""
_MOST_TEXTS = 1000
"""Texts of a list that are read."""


def find_refusing_member(record: Members) -> str:
    """Why a record is refused, since it says so of itself; empty if it does not."""
    members = list(_list_members(record))
    if reason := find_refusing_state((name, _format(value)) for name, value in members):
        return reason
    if any(_says_recipient(name, value) for name, value in members):
        return "describes people or victims, which are never shared"
    if _is_stolen_account(record):
        return LIST_OF_PEOPLE
    if _is_without_verdict(record):
        return f"not an indicator, since its 'score' is {record['score']}"
    return ""


def _says_recipient(name: str, value: object) -> bool:
    """True for `role: victim`; `source: our mail server` says where the value was seen."""
    if not isinstance(value, str) or _NOT_IN_WORDS.search(value) or not says_recipient(value):
        return False
    return _OF_ORIGIN.isdisjoint(split_heading(name).split())


def find_refusing_member_around(members: Members) -> str:
    """Why all records in an object are refused; empty if they are not."""
    listed = list(_list_members(members))
    named = ((name, _format(value)) for name, value in listed)
    if reason := find_refusing_state(named, Subject.CASE):
        return reason
    for name, value in listed:
        if split_heading(name) in _NAMES and _ALLOW_LIST.search(str(value)[-_LONGEST_NAME:]):
            return f"not an indicator, since its list is {ascii(str(value)[:LONGEST_STATE])}"
    return ""


def _list_members(record: Members) -> Iterator[tuple[str, object]]:
    """The names and values of a record, and of objects in it that are parts of it."""
    for name, value in record.items():
        if isinstance(value, list):
            texts = islice(value, _MOST_TEXTS)
            yield from ((name, each) for each in texts if isinstance(each, str))
        elif not isinstance(value, dict):
            yield name, value
        else:
            yield from _list_within(name, value)


def _list_within(name: str, value: Members) -> Iterator[tuple[str, object]]:
    is_part = not _PARTS.isdisjoint(split_heading(name).split()[-1:])
    for key, each in value.items():
        if not isinstance(each, dict | list) and (is_part or key in _WITHIN):
            yield (name if key in _WITHIN else key), each


def _format(value: object) -> str:
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _is_stolen_account(record: Members) -> bool:
    """True for a mailbox beside a password."""
    texts = {name: each for name, each in record.items() if isinstance(each, str) and each.strip()}
    return any(map(_names_password, texts)) and any(map(is_mailbox, texts.values()))


def _names_password(name: str) -> bool:
    return names_password(name) and _OF_ARCHIVES.isdisjoint(split_heading(name).split())


def _is_without_verdict(record: Members) -> bool:
    """True for what XSOAR found in some case and does not call suspicious (2) or bad (3)."""
    score = record.get("score")
    return "manualScore" in record and isinstance(score, int) and score < 2  # noqa: PLR2004
