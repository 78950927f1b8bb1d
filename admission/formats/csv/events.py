"""Tables of events, people or machines: their values may be anybody's.

A log, a scan or an inventory has columns such as `ip` and `domain`, just as a list of indicators
has.  It has others beside them: users, devices, recipients, both ends of connections.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from tocsin.admission.extraction.field_names import (
    AFFECTED_WORDS,
    ATTACKER_WORDS,
    INFECTED_WORDS,
    holds_people,
    names_bots,
    names_event,
    names_mailboxes,
    names_recipients,
    names_senders,
    normalise_heading,
    split_heading,
)
from tocsin.admission.formats.csv.columns import Columns, Role, is_part_of_name, names_hash
from tocsin.admission.formats.list_names import (
    explain_refused_file,
    names_indicator_file,
    split_name,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_words

_PACKAGE = "tocsin.admission.formats.csv"
_OF_ATTACKERS = ATTACKER_WORDS | {"cc"}
"""Words in the headings of an attacker's values: `C2 domain`, `cc_ip`."""
_VALUE_WORDS = _OF_ATTACKERS | frozenset(load_words(_PACKAGE, "words_in_value_headings"))
_VALUE_WORDS |= {"server", "servers", "value", "values", "infrastructure", "panel", "dns"}
_DOUBTFUL = frozenset(map(normalise_heading, load_words(_PACKAGE, "doubtful_words")))
_BESIDE_INDICATORS = frozenset(
    ("impersonated", "imitated", "legitimate", "spoofed", "brand", "reported")
)
_BESIDE_INDICATORS |= {"alert", "reporter", "gemeldet", "signale", "segnalato", "reportado"}
"""Words of whom an attacker imitates, who reports, and ids of alerts: indicators have these too."""
_OF_THREATS = frozenset(load_words(_PACKAGE, "words_of_threats"))
_ADDRESS = r" (?:ip(?: address(?:es)?)?|ips|ipv4|ipv6|addr|address(?:es)?|host|hostname|h)"
_SOURCE = compile_lazily(
    rf"(?:id )?(?:source|src|orig|c){_ADDRESS}|src|sa|(?:src|source)(?:ip|addr)"
)
_DESTINATION = compile_lazily(
    rf"(?:id )?(?:destination|dest|dst|resp|s){_ADDRESS}|de?st|destination|da|"
    r"(?:destination|de?st)(?:ip|addr)"
)
"""Headings of the ends of connections; IIS calls them `c-ip` and `s-ip`."""
_DESTINATIONS = frozenset(("dst", "dest", "destination", "dport"))
_TARGETS = frozenset(("target", "targets", "targeted", "ziel", "cible", "objetivo", "alvo"))
_OF_SAMPLES = frozenset(("sample", "samples", "malware", "muestras", "amostras", "echantillons"))
_OF_VICTIMS = AFFECTED_WORDS | INFECTED_WORDS | {"zombie"}
_HOSTS = frozenset(("ip", "ips", "host", "hosts", "hostname", "server", "servers", "system"))
"""Beside a word for targets, not of what an attacker imitates."""
_LISTS_OF_THREATCONNECT = frozenset(("owner", "owner name"))
"""Headings of the lists from which its indicators are."""
_OF_INVENTORIES = frozenset(map(normalise_heading, load_words(_PACKAGE, "inventory_words")))
_EXTORTING = frozenset(("ransomware", "gang", "gangs", "group", "gruppe", "groupe", "grupo"))
_EXTORTED = frozenset(("company", "organization", "organisation", "unternehmen", "firma"))
_EXTORTED |= {"entreprise", "societe", "empresa", "azienda"}
"""Headings of victims, if another names a group that extorts; else of reporters and brands."""
_OF_RANSOMWARE_LIVE = frozenset(("group name", "discovered"))
"""Headings that its exports have together; those that one suffices are in `leak_site_names`."""
_TO_OWNERS = (frozenset(("asn", "geo", "tag")), frozenset(("asn", "geo", "region", "city")))
"""Headings that the reports of Shadowserver have together; they go to the owners of networks."""
_OF_LOGS = compile_lazily(r"\s*(?:@timestamp\s*$|(?:event|ecs|winlog|log)\.\w)", re.IGNORECASE)
"""Fields that only logs have."""
_LONGEST = 40
"""Characters of a heading in a message."""
_PLAIN = compile_lazily(r"[\w.@-](?:[\w.@ -]{0,38}[\w.@-])?", re.ASCII)
_MOST_NAMED = 4
"""Headings in a message."""


def with_doubt(columns: Columns, file_name: str) -> Columns:
    """The columns, with why rows are refused if the values may be anybody's.

    Columns that the user mapped, and those whose headings call their values an attacker's, are
    read even so, and no others then.
    """
    mapped = columns.mapped.intersection(columns.with_indicators)
    if not mapped and (refusal := explain_refused_file(file_name)):
        return replace(columns, refusal=columns.refusal or refusal)
    headings = _find_event_headings(columns)
    if not names_indicator_file(file_name) and not _lists_samples(columns, file_name):
        headings += _find_doubtful_headings(columns)
    if not headings:
        return columns
    kept = mapped or frozenset(
        n for n in columns.with_indicators if _is_attackers(columns.headings[n])
    )
    return _keep(columns, kept) if kept else replace(columns, doubt=_explain(headings, columns))


def _lists_samples(columns: Columns, file_name: str) -> bool:
    """True for hashes in a file that is named for samples: no inventory of programs is."""
    named = not _OF_SAMPLES.isdisjoint(split_name(PurePath(file_name).stem))
    return named and all(names_hash(columns.headings[n]) for n in columns.with_indicators)


def _explain(headings: Sequence[str], columns: Columns) -> str:
    shown = headings[:_MOST_NAMED]
    named = ", ".join(ascii(each.strip()[:_LONGEST]) for each in shown)
    if len(shown) == 1 and names_mailboxes(shown[0]):
        return (
            f"the column {named} does not say whose mailboxes it holds: call it 'sender email' if "
            "they are an attacker's, else leave it out"
        )
    say, those = ("column {} says", "it") if len(shown) == 1 else ("columns {} say", "them")
    options = " ".join(f"--map {_quote(each, columns)}" for each in shown)
    return (
        f"the {say.format(named)} that this may be about people or machines of yours, or an "
        f"event: if all values are an attacker's, leave {those} out ({options})"
    )


def _quote(heading: str, columns: Columns) -> str:
    """The argument of an option that ignores a column.

    It names its number if its heading has characters that a shell may read.
    """
    if _PLAIN.fullmatch(heading):
        return f"'{heading}=ignored'"
    return f"{columns.headings.index(heading) + 1}=ignored"


def _find_event_headings(columns: Columns) -> list[str]:
    """The headings of columns that only such tables have.

    That of a column of values counts only if it is the address of an end of connections with two.
    """
    headings = [each for n, each in enumerate(columns.headings) if n not in columns.mapped]
    found = [*_find_other_ends(headings), *_find_extorted(headings), *_find_to_owners(headings)]
    if any(map(names_senders, headings)):
        found += filter(_holds_recipients, headings)
    return list(dict.fromkeys([*found, *filter(_is_of_event, _other_headings(columns))]))


def _find_to_owners(headings: Sequence[str]) -> Iterator[str]:
    """The heading `geo` of a report on machines in somebody's network."""
    plain = {split_heading(each): each for each in headings}
    if any(each <= plain.keys() for each in _TO_OWNERS):
        yield plain["geo"]


def _find_other_ends(headings: Sequence[str]) -> Iterator[str]:
    """The headings of the destinations of connections whose sources have one too."""
    plain = list(map(split_heading, headings))
    if any(map(_SOURCE.fullmatch, plain)) or {"source", "destination"} <= set(plain):
        yield from (each for each in headings if _DESTINATION.fullmatch(split_heading(each)))


def _find_extorted(headings: Sequence[str]) -> Iterator[str]:
    """The headings by which a table lists those whom a ransomware group extorts."""
    plain = list(map(split_heading, headings))
    if any(not _EXTORTING.isdisjoint(each.split()) for each in plain):
        yield from (each for each in headings if split_heading(each) in _EXTORTED)
    if set(plain) >= _OF_RANSOMWARE_LIVE:
        yield from (each for each in headings if split_heading(each) in _OF_RANSOMWARE_LIVE)


def _find_doubtful_headings(columns: Columns) -> list[str]:
    """The headings of columns that such tables may have; none if a heading names a threat.

    A column of mailboxes that does not say whose they are is one, even if it is read.
    """
    headings = list(map(split_heading, columns.headings))
    if any(not _OF_THREATS.isdisjoint(each.split()) for each in headings):
        return []
    others = list(_other_headings(columns))
    owned = [each for each in others if not _OF_INVENTORIES.isdisjoint(split_heading(each).split())]
    return [*filter(_is_doubtful, others), *(owned if len(owned) > 1 else ())]


def _other_headings(columns: Columns) -> Iterator[str]:
    read = frozenset(columns.with_indicators)
    for number, heading in enumerate(columns.headings):
        if columns.of_threatconnect and split_heading(heading) in _LISTS_OF_THREATCONNECT:
            continue
        if number not in columns.mapped and (number not in read or names_mailboxes(heading)):
            yield heading


def _is_of_event(heading: str) -> bool:
    """True for the heading of a column that only such tables have.

    A destination is none, since that of a connection without a source may be an attacker's.
    """
    words = frozenset(split_heading(heading).split())
    if words & _BESIDE_INDICATORS:
        return False
    if words & _TARGETS and words & _HOSTS or words & _OF_VICTIMS and words & _VALUE_WORDS:
        return True
    if names_bots(heading):
        return True
    if _OF_LOGS.match(heading) or is_part_of_name(heading):
        return True
    if words & _DESTINATIONS:
        return names_recipients(heading)
    return names_event(heading) and not _is_doubtful(heading)


def _holds_recipients(heading: str) -> bool:
    """True for a column whose mailboxes are those of recipients, in a list with senders."""
    return holds_people(heading) and _BESIDE_INDICATORS.isdisjoint(split_heading(heading).split())


def _is_doubtful(heading: str) -> bool:
    """True for the heading of a column that both such tables and lists of indicators have."""
    words = frozenset(split_heading(heading).split())
    if names_mailboxes(heading) or ("email" in words and not names_recipients(heading)):
        return True
    return not words & _BESIDE_INDICATORS and bool(words & _DOUBTFUL)


def _is_attackers(heading: str) -> bool:
    """True for `C2 IP`, but not for `C2 framework`."""
    words = frozenset(split_heading(heading).split())
    return bool(words & _OF_ATTACKERS) and words <= _VALUE_WORDS


def _keep(columns: Columns, kept: frozenset[int]) -> Columns:
    """The columns without the values in others than these."""
    dropped = frozenset(columns.with_indicators) - kept
    roles = (Role.OTHER if n in dropped else role for n, role in enumerate(columns.roles))
    return replace(columns, roles=tuple(roles))
