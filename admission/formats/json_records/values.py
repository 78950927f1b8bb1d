"""The members of records in JSON that hold their values, and the records that have one.

A record that names a type of indicators is read.  One without, `{"ip": …, "country": …}`, may be
about a visitor, or a machine of the writer's.  It is read if a word in it, or in the name of the
list or file, says that it is about an attacker, and if it is not an event: it names no user, no
machine and no ends of a connection.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from tocsin.admission.extraction.field_names import (
    is_user,
    names_recipients,
    names_victims,
    split_heading,
)
from tocsin.admission.formats.csv.cells import is_mailbox, is_value, names_type
from tocsin.admission.formats.csv.columns import Role, name_columns
from tocsin.admission.observables.ioc_types import IocType, recognise_ioc
from tocsin.admission.observables.refang import refang
from tocsin.admission.word_lists import load_words

MOST_NAMES = 2000
"""Different names of members of records and around them, without numbers."""
_SAMPLE = 20
"""Elements of a list in a record that are looked at."""
_PACKAGE = "tocsin.admission.formats"
_OF_OTHER_FORMATS = frozenset(("spec_version", "pattern_type", "distribution", "to_ids"))
"""Members of objects of STIX and MISP, which say more than a table can."""
_OF_LISTS = frozenset(load_words(_PACKAGE, "deny_words"))
_OF_THREATS = frozenset(load_words(_PACKAGE, "threat_words"))
_OF_EVENTS = frozenset(load_words(_PACKAGE, "event_words"))
_STATES = frozenset(load_words("tocsin.admission.formats.csv", "malicious_states"))
OF_VALUES = (Role.VALUE, Role.VALUE_OF_KIND)
"""The roles of members that may hold the value of a record."""
_MOST_SHOWN, _LONGEST_NAME = 10, 40
"""Names of members in a message, and characters of one."""
_NAMES_OF_VALUES = (
    frozenset(("indicator", "indicators", "ioc", "iocs")),
    frozenset(("value", "values")),
)
"""Words in the names of members that hold the value of a record, the most certain first."""
_REFERENCES = frozenset(("reference", "references", "ref", "refs", "links", "reports", "sources"))
"""Words in the names of lists of pages, also about indicators."""
_HASHES = frozenset((IocType.MD5, IocType.SHA1, IocType.SHA256, IocType.SHA512))

_Members = Mapping[str, Any]


@lru_cache(maxsize=2 * MOST_NAMES)
def find_role(name: str) -> Role:
    """The role of a member, as of a column with this heading."""
    return name_columns([name]).roles[0]


def is_record(members: _Members, *, is_listed: bool) -> bool:
    """True if an object is a record of an indicator.

    `is_listed`: the names around it say that it is; see `is_listed_within`.
    """
    if not _OF_OTHER_FORMATS.isdisjoint(members):
        return False
    return is_typed(members) or (not find_doubt(members, is_listed=is_listed))


@lru_cache(maxsize=2 * MOST_NAMES)
def is_listed_within(name: str, is_listed: bool) -> bool:
    """True if this name, or else those around it, say that what is in it are indicators."""
    words = split_heading(name).split()
    if not _REFERENCES.isdisjoint(words):
        return False
    return is_listed or not _OF_LISTS.isdisjoint(words)


def is_indicator_file(name: str) -> bool:
    """True if the name of a file says that it holds indicators."""
    return is_listed_within(PurePath(name).stem, False)


def is_typed(members: _Members) -> bool:
    """True if an object names a type of indicators, and has a value beside it."""
    kinds = (each for name, each in members.items() if _has_cell_of(name, each, Role.TYPE))
    named = (split_heading(kind).split() for kind in kinds if isinstance(kind, str))
    if not any(names_type(word) for words in named for word in words):
        return False
    held = (each for name, each in members.items() if _has_cell_of(name, each, Role.VALUE))
    return any(is_plain(each) and not isinstance(each, bool) for each in held)


def _has_cell_of(name: str, value: object, role: Role) -> bool:
    return not isinstance(value, dict) and find_role(name) is role


def find_doubt(members: _Members, *, is_listed: bool) -> str:
    """Why an object without a type is no record of an indicator; empty if it is one."""
    values = find_values(members)
    held = [text for name in values for text in _texts(members[name])]
    if event := next((each for each in members if _is_of_event(each, members[each], held)), ""):
        return f"for its {ascii(event[:_LONGEST_NAME])} it may be an event, or about your machines"
    if not values:
        if len(members) == 1 or not _OF_OTHER_FORMATS.isdisjoint(members):
            return "no member is known to hold an indicator"
        names = ", ".join(ascii(each[:_LONGEST_NAME]) for each in list(members)[:_MOST_SHOWN])
        return f"no member is known to hold an indicator ({names}): call one 'indicator'"
    if is_listed or any(map(_says_threat, members, members.values())):
        return ""
    named = ascii(values[0][:_LONGEST_NAME])
    return f"nothing says that {named} is an attacker's: call it, or the list, 'indicators'"


def find_values(members: _Members) -> list[str]:
    """The names of the members with the value of a record without a type.

    That is the first with an indicator, rather `indicator` than `value`, and rather that than
    `domain`; and all others with hashes if it is a hash.  A mailbox may be anybody's.
    """
    held = [name for name in members if find_role(name) in OF_VALUES and not _names_event(name)]
    held = [name for name in held if has_value(members[name])]
    held = [name for name in held if not any(map(is_mailbox, _texts(members[name])))]
    chosen = min(held, key=rank_value, default="")
    if not chosen or not _is_hash(members[chosen]):
        return [chosen] if chosen else []
    return [name for name in held if _is_hash(members[name])]


def has_value(value: object) -> bool:
    """True if a member holds an indicator, or a list of some."""
    return any(is_value(each) for each in _texts(value))


def rank_value(name: str) -> int:
    """The place of a name among those of values: `indicator` is more certain than `data`."""
    words = frozenset(split_heading(name).split())
    ranked = enumerate(_NAMES_OF_VALUES)
    return next((n for n, some in ranked if words & some), len(_NAMES_OF_VALUES))


def is_plain(value: object) -> bool:
    """True for a value that is not, and does not hold, objects."""
    if isinstance(value, list):
        return not any(isinstance(each, dict | list) for each in value)
    return not isinstance(value, dict)


def _texts(value: object) -> Iterator[str]:
    every: Sequence[object] = value[:_SAMPLE] if isinstance(value, list) else [value]
    return (each for each in every if isinstance(each, str))


def _is_hash(value: object) -> bool:
    found = [recognise_ioc(refang(each.strip())) for each in _texts(value)]
    return bool(found) and all(each is not None and each.kind in _HASHES for each in found)


def _is_of_event(name: str, value: object, held: Sequence[str]) -> bool:
    """True for a member that only events have, but for the host of a URL that is `held`."""
    if _is_empty(value) or not _names_event(name):
        return False
    return not (isinstance(value, str) and any(value in each for each in held))


@lru_cache(maxsize=2 * MOST_NAMES)
def _names_event(name: str) -> bool:
    if is_user(name) or names_recipients(name) or names_victims(name):
        return True
    return not _OF_EVENTS.isdisjoint(split_heading(name).split())


def _is_empty(value: object) -> bool:
    return value in (None, "", [], {}, False, 0)


def _says_threat(name: str, value: object) -> bool:
    """True for `malware: Emotet`, `verdict: malicious` and the tag `c2`."""
    if _is_empty(value):
        return False
    if not _OF_THREATS.isdisjoint(split_heading(name).split()):
        return True
    if find_role(name) is not Role.TAGS:
        return isinstance(value, str) and value.strip().lower() in _STATES
    words = {word for each in _texts(value) for word in split_heading(each).split()}
    return not _OF_THREATS.isdisjoint(words)
