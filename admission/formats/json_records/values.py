"""The members of records in JSON that hold their values, and the records that have one.

A record that names a type of indicators is read.  One without, `{"ip": …, "malware": …}`, may as
well be about an infected machine, a visitor, or a page of the writer's.  It is read if the name of
the value, of the list or of the file says that it is an indicator, and unless it is an event: it
names no user, no machine and no ends of a connection.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from tocsin.admission.extraction.field_names import (
    names_attacker,
    names_event,
    split_heading,
)
from tocsin.admission.formats.csv.cells import is_mailbox, is_value, names_type
from tocsin.admission.formats.csv.columns import Role, find_controlled, name_columns
from tocsin.admission.formats.json_list import VALUE_ROLES, names_values
from tocsin.admission.formats.json_records.exported_values import Members
from tocsin.admission.formats.list_names import names_indicators
from tocsin.admission.observables.ioc_types import IocType, recognise_ioc
from tocsin.admission.observables.refang import refang

MOST_NAMES = 2000
"""Different names of members of records and around them, without numbers."""
_SAMPLE = 20
"""Elements of a list in a record that are looked at."""
_OF_OTHER_FORMATS = frozenset(("spec_version", "pattern_type", "distribution", "to_ids"))
"""Members of objects of STIX and MISP, which say more than a table can."""
_OF_PUBLIC_LISTS = frozenset(("urlhaus reference", "urlhaus link", "phish id"))
"""Members that only records of well-known lists of attackers have."""
_OF_HOSTS = frozenset(("host", "hosts", "hostname", "hostnames", "fqdn"))
_EMPTY: tuple[object, ...] = (None, "", [], {}, False, 0)
_MOST_SHOWN, _LONGEST_NAME = 10, 40
"""Names of members in a message, and characters of one."""
_NAMES_VALUE_ROLES = (
    frozenset(("indicator", "indicators", "ioc", "iocs")),
    frozenset(("value", "values")),
)
"""Words in the names of members that hold the value of a record, the most certain first."""
_HASHES = frozenset((IocType.MD5, IocType.SHA1, IocType.SHA256, IocType.SHA512))


@lru_cache(maxsize=2 * MOST_NAMES)
def find_role(name: str) -> Role:
    """The role of a member, as of a column with this heading."""
    return name_columns([name]).roles[0]


def find_roles(names: Iterable[str]) -> dict[str, Role]:
    """The role of each of several members."""
    return {name: find_role(name) for name in names}


def list_names(objects: Sequence[Members]) -> list[str]:
    """The names of all members with cells, in their order."""
    return list(
        dict.fromkeys(name for each in objects for name, value in each.items() if _is_cell(value))
    )


def _is_cell(value: object) -> bool:
    return not isinstance(value, dict)


def is_record(members: Members, *, is_listed: bool) -> bool:
    """True if an object is a record of an indicator.

    `is_listed`: the names around it say that it is; see `is_listed_within`.
    """
    if not _OF_OTHER_FORMATS.isdisjoint(members):
        return False
    return is_typed(members) or (not find_doubt(members, is_listed=is_listed))


@lru_cache(maxsize=2 * MOST_NAMES)
def is_listed_within(name: str, is_listed: bool) -> bool:
    """True if a name says that what stands under it are indicators.

    A name such as `urls` says so within a list that does.
    """
    return names_indicators(name) or (is_listed and names_values(name))


def is_typed(members: Members) -> bool:
    """True if an object names a type of indicators, and has a value beside it."""
    kinds = (each for name, each in members.items() if _has_cell_of(name, each, Role.TYPE))
    named = (split_heading(kind).split() for kind in kinds if isinstance(kind, str))
    if not any(names_type(word) for words in named for word in words):
        return False
    held = (each for name, each in members.items() if _has_cell_of(name, each, Role.VALUE))
    return any(is_plain(each) and not isinstance(each, bool) for each in held)


def _has_cell_of(name: str, value: object, role: Role) -> bool:
    return _is_cell(value) and find_role(name) is role


def find_doubt(members: Members, *, is_listed: bool) -> str:
    """Why an object without a type is not read as a record; empty if it is."""
    values = find_values(members)
    if event := _find_event_member(members, values):
        return (
            f"for its {ascii(event[:_LONGEST_NAME])} it may be an event, or about your machines: "
            "if not, leave that out, or name a type"
        )
    if not values:
        return _explain_members(members)
    if is_listed or names_attacker(values[0]) or any(map(_is_of_public_list, members)):
        return ""
    named = ascii(values[0][:_LONGEST_NAME])
    return (
        f"nothing says that {named} is an attacker's: if it is, call it 'indicator', or the list "
        "or file 'iocs'"
    )


def find_values(members: Members) -> list[str]:
    """The names of the members with the value of a record without a type.

    That is the first with an indicator, rather `c2_ip` than `value`, that than `domain`, and that
    than `host`; and all others with hashes if it is a hash.  A mailbox may be anybody's, and a
    list may be one of all indicators.
    """
    victims = find_controlled(members)
    held = [name for name in members if find_role(name) in VALUE_ROLES and not names_event(name)]
    held = [name for name in held if name not in victims]
    held = [name for name in held if isinstance(members[name], str) and has_value(members[name])]
    held = [name for name in held if not is_mailbox(members[name])]
    chosen = min(held, key=_rank_untyped, default="")
    if not chosen or not _is_hash(members[chosen]):
        return [chosen] if chosen else []
    return [name for name in held if _is_hash(members[name])]


def _rank_untyped(name: str) -> int:
    if names_attacker(name):
        return -1
    words = split_heading(name).split()
    return len(_NAMES_VALUE_ROLES) + 1 if not _OF_HOSTS.isdisjoint(words) else rank_value(name)


def _explain_members(members: Members) -> str:
    if len(members) == 1 or not _OF_OTHER_FORMATS.isdisjoint(members):
        return "no member is known to hold an indicator"
    names = ", ".join(ascii(each[:_LONGEST_NAME]) for each in list(members)[:_MOST_SHOWN])
    return f"no member is known to hold an indicator ({names}): call one 'indicator'"


def has_value(value: object) -> bool:
    """True if a member holds an indicator, or a list of some."""
    return any(is_value(each) for each in _texts(value))


def rank_value(name: str) -> int:
    """The place of a name among those of values: `indicator` is more certain than `data`."""
    words = frozenset(split_heading(name).split())
    ranked = enumerate(_NAMES_VALUE_ROLES)
    return next((n for n, some in ranked if words & some), len(_NAMES_VALUE_ROLES))


def is_plain(value: object) -> bool:
    """True for a value that is not, and does not hold, objects."""
    if isinstance(value, list):
        return not any(isinstance(each, dict | list) for each in value)
    return not isinstance(value, dict)


def _texts(value: object) -> Iterator[str]:
    every: Sequence[object] = value[:_SAMPLE] if isinstance(value, list) else [value]
    return (each for each in every if isinstance(each, str))


def _is_hash(text: str) -> bool:
    found = recognise_ioc(refang(text.strip()))
    return found is not None and found.kind in _HASHES


def _find_event_member(members: Members, values: Sequence[str]) -> str:
    """The name of a member that only events have, also of an object in it; empty if none is."""
    own = [(name, value) for name, value in members.items() if name not in values]
    within = [pair for _, each in own if isinstance(each, dict) for pair in each.items()]
    named = (name for name, value in [*own, *within] if value not in _EMPTY and names_event(name))
    return next(named, "")


@lru_cache(maxsize=2 * MOST_NAMES)
def _is_of_public_list(name: str) -> bool:
    return split_heading(name) in _OF_PUBLIC_LISTS
