"""Tables of events, people or machines: their values may be anybody's.

A log, a scan or an inventory has columns such as `ip` and `domain`, just as a list of indicators
has.  It has others beside them: users, devices, recipients, both ends of connections.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tocsin.admission.extraction.field_names import (
    holds_people,
    names_event,
    names_mailboxes,
    names_recipients,
    names_senders,
    split_heading,
)
from tocsin.admission.formats.csv.columns import Columns, Role
from tocsin.admission.formats.list_names import names_allowed_file, names_indicator_file
from tocsin.admission.word_lists import load_words

_PACKAGE = "tocsin.admission.formats.csv"
_OF_ATTACKERS = frozenset(load_words(_PACKAGE, "words_of_attackers"))
"""Words in the headings of an attacker's values: `C2 domain`."""
_OF_INVENTORIES = frozenset(load_words(_PACKAGE, "inventory_words"))
_OF_THREATS = frozenset(load_words(_PACKAGE, "words_of_threats"))
_ADDRESS = r" (?:ip(?: address(?:es)?)?|ips|ipv4|ipv6|addr|address(?:es)?|host|hostname|h)"
_SOURCE = re.compile(rf"(?:id )?(?:source|src|orig|s|c)(?:{_ADDRESS})?|(?:src|source)(?:ip|addr)")
_DESTINATION = re.compile(
    rf"(?:id )?(?:destination|dest|dst|resp)(?:{_ADDRESS})?|(?:destination|de?st)(?:ip|addr)"
)
"""Headings of the ends of connections."""
_DESTINATIONS = frozenset(("dst", "dest", "destination", "dport"))
_TARGETS = frozenset(("target", "targets", "targeted", "ziel", "cible", "objetivo", "alvo"))
_HOSTS = frozenset(("ip", "ips", "host", "hosts", "hostname", "server", "servers", "system"))
"""Beside a word for targets, not of what an attacker imitates."""
_OF_LOGS = re.compile(r"\s*(?:@timestamp\s*$|(?:event|ecs|winlog|log)\.\w)", re.IGNORECASE)
"""Fields that only logs have."""
_LONGEST = 40
"""Characters of a heading in a message."""


def with_doubt(columns: Columns, file_name: str) -> Columns:
    """The columns, with why rows are refused if the values may be anybody's.

    Columns that the user mapped, and those whose headings call their values an attacker's, are
    read even so, and no others then.
    """
    mapped = columns.mapped.intersection(columns.with_indicators)
    if names_allowed_file(file_name) and not mapped:
        return replace(columns, allowed=True)
    heading = _find_event_heading(columns)
    if not heading and not names_indicator_file(file_name):
        heading = _find_inventory_heading(columns)
    if not heading:
        return columns
    kept = mapped or frozenset(
        n for n in columns.with_indicators if _is_attackers(columns.headings[n])
    )
    return _keep(columns, kept) if kept else replace(columns, doubt=_explain(heading))


def _explain(heading: str) -> str:
    named = ascii(heading.strip()[:_LONGEST])
    if names_mailboxes(heading):
        return (
            f"its column {named} does not say whose mailboxes they are: call it 'sender email' if "
            "they are an attacker's, else leave it out"
        )
    return (
        f"for its column {named} it may be an event, or about people or machines of yours: "
        "if it is not, leave that column out"
    )


def _find_event_heading(columns: Columns) -> str:
    """The heading of a column that only such tables have; empty if none does.

    That of a column of values counts only if it is of mailboxes, which may be anybody's, or the
    address of an end of connections with two.
    """
    headings = [each for n, each in enumerate(columns.headings) if n not in columns.mapped]
    if end := _find_other_end(headings):
        return end
    if any(map(names_senders, headings)) and any(map(holds_people, headings)):
        return next(filter(holds_people, headings))
    return next(filter(_is_of_event, _other_headings(columns)), "")


def _find_other_end(headings: Sequence[str]) -> str:
    """The heading of the destinations of connections whose sources have one too, or empty."""
    if any(_SOURCE.fullmatch(split_heading(each)) for each in headings):
        return next((e for e in headings if _DESTINATION.fullmatch(split_heading(e))), "")
    return ""


def _find_inventory_heading(columns: Columns) -> str:
    """The heading of a column that inventories have; empty if none does, or one names a threat."""
    headings = list(map(split_heading, columns.headings))
    if any(not _OF_THREATS.isdisjoint(each.split()) for each in headings):
        return ""
    return next(filter(_is_of_inventory, _other_headings(columns)), "")


def _other_headings(columns: Columns) -> Iterator[str]:
    read = frozenset(columns.with_indicators)
    for number, heading in enumerate(columns.headings):
        if number not in columns.mapped and (number not in read or names_mailboxes(heading)):
            yield heading


def _is_of_event(heading: str) -> bool:
    """True unless it is of the only end of connections that is named, an attacker's or not."""
    words = frozenset(split_heading(heading).split())
    if _OF_LOGS.match(heading) or names_mailboxes(heading) or (words & _TARGETS and words & _HOSTS):
        return True
    if words & _DESTINATIONS:
        return names_recipients(heading)
    return names_event(heading)


def _is_of_inventory(heading: str) -> bool:
    return not _OF_INVENTORIES.isdisjoint(split_heading(heading).split())


def _is_attackers(heading: str) -> bool:
    return not _OF_ATTACKERS.isdisjoint(split_heading(heading).split())


def _keep(columns: Columns, kept: frozenset[int]) -> Columns:
    """The columns without the values in others than these."""
    dropped = frozenset(columns.with_indicators) - kept
    roles = (Role.OTHER if n in dropped else role for n, role in enumerate(columns.roles))
    return replace(columns, roles=tuple(roles))
