"""The roles of a table's columns, by its headings or else by its cells.

Headings in many languages are recognised by the word lists in `words/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property

from tocsin.admission.errors import Unprocessable
from tocsin.admission.extraction.field_names import (
    AFFECTED_WORDS,
    INFECTED_WORDS,
    MALICIOUS_WORDS,
    holds_people,
    is_of_people,
    names_bots,
    names_mailboxes,
    names_people,
    names_senders,
    names_victims,
    normalise_heading,
    split_heading,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import IocType, recognise_ioc
from tocsin.admission.observables.refang import refang
from tocsin.admission.word_lists import load_alternation, load_words


class Role(Enum):
    """The use of a column."""

    TYPE = auto()  # names the type of the row's value
    VALUE = auto()  # holds the value, or several
    VALUE_OF_KIND = auto()  # holds values of the kind that its heading names: `C2 domain`
    CERTIFICATE = auto()  # holds fingerprints of certificates
    NAME = auto()
    NOTE = auto()
    TLP = auto()
    CONFIDENCE = auto()
    TAGS = auto()
    CLASSIFICATION = auto()  # malicious, phishing, benign …
    FIRST_SEEN = auto()
    VALID_UNTIL = auto()
    REFERENCE = auto()
    TO_IDS = auto()  # MISP: true if the value is for detection
    OTHER = auto()  # not shared: reporter, counts of a tool

    __hash__ = object.__hash__  # faster than Enum's; looked up for every row


_KINDS: Mapping[str, Role] = {
    **{"value": Role.VALUE, "type": Role.TYPE, "certificate": Role.CERTIFICATE},
    **{"name": Role.NAME, "description": Role.NOTE, "tlp": Role.TLP, "tags": Role.TAGS},
    **{"confidence": Role.CONFIDENCE, "classification": Role.CLASSIFICATION},
    **{"first-seen": Role.FIRST_SEEN, "valid-until": Role.VALID_UNTIL},
    **{"reference": Role.REFERENCE, "to-ids": Role.TO_IDS, "ignored": Role.OTHER},
}
"""The uses of a column in the words of a column mapping."""
_VALUE_TYPES = ("domain", "hostname", "ip", "url", "email", "md5", "sha1", "sha256", "sha512")
"""Words of a column mapping for a column that holds values of one type."""
COLUMN_KINDS = (*_KINDS, *_VALUE_TYPES)
"""Every word of a column mapping."""
KIND_OF_ROLE: Mapping[Role, str] = {
    **{role: word for word, role in _KINDS.items()},
    Role.VALUE_OF_KIND: "value",
}
LIST_OF_PEOPLE = "a list of people or victims is never shared"
_STATE = "state (may refuse a row)"
_MOST_SHOWN = 30
_PACKAGE = "tocsin.admission.formats.csv"


def _load(name: str) -> frozenset[str]:
    """The words of a list as headings have them once they are normalised."""
    return frozenset(map(normalise_heading, load_words(_PACKAGE, name)))


_WITH_HEADINGS = (
    *(Role.TYPE, Role.VALUE, Role.NAME, Role.NOTE, Role.TLP, Role.CONFIDENCE, Role.TAGS),
    *(Role.CLASSIFICATION, Role.FIRST_SEEN, Role.VALID_UNTIL, Role.REFERENCE),
)
"""Roles with a word list, `headings_type`: whole headings, without accents and punctuation."""
_ROLES: Mapping[str, Role] = {
    "to ids": Role.TO_IDS,
    **{
        heading: role
        for role in _WITH_HEADINGS
        for heading in _load(f"headings_{role.name.lower()}")
    },
}
_VALUE_WORDS = _load("words_in_value_headings")
_BESIDE_MALICIOUS = MALICIOUS_WORDS | _VALUE_WORDS | _load("words_beside_malicious")
_VICTIM_WORDS = AFFECTED_WORDS | INFECTED_WORDS | _load("words_in_victim_headings")
_OTHER_WORDS = _load("words_in_other_headings") | _VICTIM_WORDS
_PERSONAL_WORDS = _load("words_in_personal_headings")
_UNSPACED = "\u1100"
"""From here on, scripts put no spaces between words."""
_UNSPACED_VALUES = tuple(each for each in _VALUE_WORDS if each > _UNSPACED)
_UNSPACED_VICTIMS = tuple(each for each in _VICTIM_WORDS if each > _UNSPACED)
_INDICATOR_ROLES = frozenset((Role.VALUE, Role.VALUE_OF_KIND))
_CERTIFICATE_WORDS = _load("words_in_certificate_headings")
_FINGERPRINT_WORDS = _CERTIFICATE_WORDS | _load("words_in_fingerprint_headings")
_TYPE_NAMES = frozenset(load_words(_PACKAGE, "type_names"))
_HASH_NAME = compile_lazily(r"sha ?(256|512|1)\b")
_MAILBOX = compile_lazily(r"mail|courriel|correo")
_PASSWORD_WORDS = _load("words_of_passwords")
_LOGIN_WORDS = frozenset(("user", "username", "login", "account", "usuario", "benutzer"))
_PAGE_WORDS = frozenset(("url", "site", "website", "host", "hostname", "domain"))
_OF_FILES = compile_lazily(r"\b(?:sha ?\d{1,3}|md5|hash(?:es)?)\b")
_TAG = compile_lazily(r"#\w{1,60}(?:\s+#\w{1,60})*")
MOST_COLUMNS = 2000
_DIRECTION = compile_lazily(
    r"\b(?:src|dst|dest|source|destination|remote) ?(?:ip|host|address|port)\b"
)
_FIELD = compile_lazily(
    rf"(?:[a-z]\w*\.)*{load_alternation(_PACKAGE, 'objects_of_events')}"
    r"\.(?:name|email|id|to|cc|host|link|date|group)",
    re.IGNORECASE | re.ASCII,
)
"""Fields of events whose last word is also a top-level domain."""
_PARTS_OF_NAMES = frozenset(load_words(_PACKAGE, "headings_parts_of_names"))
_LOGGING_HOST = frozenset(("host", "hostname", "host name"))
_LINKS = frozenset(("link", "links"))
"""Headings of indicators in a list of messages that is without other indicators."""
_ADDRESS = r" (?:ip(?: address(?:es)?)?|ips|ipv4|ipv6|addr|address(?:es)?)"
_SOURCE_WORDS = "(?:source|src|orig)"
_SOURCE = compile_lazily(rf"{_SOURCE_WORDS}{_ADDRESS}")
"""Headings of the servers of senders in a list of messages."""
_INDICATOR_WORDS = frozenset(("indicator", "indicators", "ioc", "iocs"))
_HOST_NAMES = "(?:hosts?|hostnames?|host name|fqdn)"
_PLAIN_ADDRESS = compile_lazily(
    rf"{_ADDRESS.lstrip()}|{_SOURCE_WORDS}{_ADDRESS}|(?:src|source)(?:ip|addr)"
)
_PLAIN_HOST = compile_lazily(rf"(?:{_SOURCE_WORDS} )?{_HOST_NAMES}")
_CONTROLLER = compile_lazily(
    rf"(?:cc|c2|cnc|c c)(?: server)?(?:(?P<address>{_ADDRESS})| (?:dns|domains?|{_HOST_NAMES}))"
)
"""Headings of servers that control infected machines; `cc` alone is the code of a country."""
_ROLES_OF_PEOPLE = frozenset(("role", "rolle", "rol", "ruolo", "rola", "роль"))
"""Headings of columns that say `Sender` or `Victim`."""
_OF_THREATCONNECT = frozenset(("type", "rating", "confidence"))
"""Headings beside the values in exports of ThreatConnect."""
_THREATCONNECT_VALUES = frozenset(("summary", "indicator"))
_LOGGING = ("agent.", "host.", "observer.")
"""Beginnings of fields of events about the machine that wrote them."""


@dataclass(frozen=True)
class Columns:
    """The roles of a table's columns.

    Without slots, since it caches their places, which every row needs.
    """

    roles: tuple[Role, ...]
    headed: bool
    """True if the table has headings; otherwise the roles are guessed from the cells."""
    recipients: bool = False
    """True if a heading is that of recipients' mailboxes."""
    headings: tuple[str, ...] = ()
    """The headings as they are written; empty if the table has none."""
    declared: Mapping[int, str] = field(default_factory=dict)
    """The type of the values in columns to which the user gave one, by number from 0."""
    mapped: frozenset[int] = frozenset()
    """The numbers of the columns to which the user gave a use."""
    withheld: frozenset[int] = frozenset()
    """The numbers of columns of mailboxes, logging hosts or victims below headings that are all
    unknown."""
    refusal: str = ""
    """Why all rows are refused, such as those of a list of people; empty if they are not."""
    doubt: str = ""
    """Why rows that name no type are refused; empty if they are not."""

    def describe(self, states: Collection[int] = ()) -> str:
        """The kind of each column, for people: `1 "ip" = value, 2 "seen by" = ignored`.

        `states`: the numbers of those that may refuse a row.
        """
        if not self.roles and self.headings:
            return "unknown headings: every cell that is an indicator as a whole, but no mailbox"
        if not self.roles:
            return "no headings: every cell that is an indicator as a whole"
        named = [self.quote_heading(n) for n in range(len(self.roles))]
        words = [self.declared.get(n) or KIND_OF_ROLE[role] for n, role in enumerate(self.roles)]
        ignored = KIND_OF_ROLE[Role.OTHER]
        words = [
            _STATE if n in states and word == ignored else word for n, word in enumerate(words)
        ]
        pairs = list(zip(named, words, strict=True))
        listed = [f"{n}{name} = {word}" for n, (name, word) in enumerate(pairs[:_MOST_SHOWN], 1)]
        return ", ".join(listed) + (", …" if len(pairs) > _MOST_SHOWN else "")

    def quote_heading(self, number: int) -> str:
        """The heading of a column, from 0, in quotes after a space; empty if it has none."""
        heading = "".join(self.headings[number : number + 1]).strip()
        return f' "{heading[:40]}"' if heading else ""

    @cached_property
    def unlisted(self) -> tuple[int, ...]:
        """The numbers of the columns that are ignored only because no list has their heading."""
        return tuple(
            number
            for number, heading in enumerate(self.headings[: len(self.roles) or None])
            if (self.roles[number] is Role.OTHER if self.roles else number in self.withheld)
            and number not in self.mapped
            and not _is_of_others(heading)
        )

    @cached_property
    def without_mailboxes(self) -> frozenset[int]:
        """The numbers of columns whose mailboxes may be recipients': `email`."""
        numbered = enumerate(self.headings)
        return frozenset(
            n
            for n, each in numbered
            if n not in self.mapped and (holds_people(each) or names_mailboxes(each))
        )

    def with_values_in(self, numbers: Set[int]) -> Columns:
        """These columns, but those with these numbers hold indicators."""
        if not numbers:
            return self
        roles = (Role.VALUE_OF_KIND if n in numbers else r for n, r in enumerate(self.roles))
        return replace(self, roles=tuple(roles))

    def with_role(self, role: Role) -> tuple[int, ...]:
        """The numbers of the columns with a role, from 0."""
        return self._columns_by_role.get(role, ())

    @cached_property
    def _columns_by_role(self) -> Mapping[Role, tuple[int, ...]]:
        every = tuple(enumerate(self.roles))
        return {role: tuple(n for n, each in every if each is role) for role in set(self.roles)}

    @cached_property
    def of_indicators(self) -> bool:
        """True if the heading above the types says that the rows are indicators."""
        above = " ".join(self.headings[n] for n in self.with_role(Role.TYPE) if self.headings)
        return not _INDICATOR_WORDS.isdisjoint(split_heading(above).split())

    @cached_property
    def of_thehive(self) -> bool:
        """True for observables of TheHive, whose TLP levels are numbers."""
        return {"data type", "data"} <= set(map(split_heading, self.headings))

    @cached_property
    def of_threatconnect(self) -> bool:
        """True for indicators of ThreatConnect, whose `Owner` is the list that they are from."""
        headings = frozenset(map(split_heading, self.headings))
        return headings >= _OF_THREATCONNECT and not _THREATCONNECT_VALUES.isdisjoint(headings)

    @cached_property
    def about_values(self) -> tuple[int, ...]:
        """The numbers of the columns, from 0, that may say whose a value is."""
        numbered = enumerate(self.headings[: len(self.roles)])
        in_words = (n for n, each in numbered if normalise_heading(each) in _ROLES_OF_PEOPLE)
        notes = (*self.with_role(Role.NOTE), *self.with_role(Role.CLASSIFICATION))
        return (*notes, *in_words)

    @cached_property
    def with_indicators(self) -> tuple[int, ...]:
        """The numbers of the columns that hold indicators, from 0."""
        return tuple(n for n, each in enumerate(self.roles) if each in _INDICATOR_ROLES)


def parse_headings(cells: Sequence[str]) -> Columns | None:
    """The columns that a row of headings describes; None if the row is not one."""
    if len(cells) > MOST_COLUMNS or any(map(_is_indicator, cells)):
        return None
    return parse_names(cells)


def parse_names(cells: Sequence[str]) -> Columns | None:
    """The columns below cells that are headings for sure, though they may look like hosts.

    None if no column holds indicators or people.  `feed.name` looks like a host.
    """
    roles = [_role_of_heading(cell) for cell in cells]
    roles = _roles_in_known_tables(cells, roles)
    if Role.TYPE not in roles and Role.VALUE in roles and _has_later_value(cells, roles):
        roles[roles.index(Role.VALUE)] = Role.TYPE  # `Indicator,Data,Note`: the first is the type

    is_own, victims = _host_that_wrote(cells), find_controlled(cells)
    roles = [
        Role.OTHER if is_own(cell) or cell in victims else role
        for cell, role in zip(cells, roles, strict=True)
    ]
    of_senders, of_people = any(map(names_senders, cells)), any(map(names_people, cells))
    recipients = of_people or (of_senders and any(map(holds_people, cells)))
    if of_senders or of_people:
        roles = _roles_in_list_of_messages(cells, roles)
    elif not {*_INDICATOR_ROLES, Role.CERTIFICATE} & set(roles):
        return None
    refusal = LIST_OF_PEOPLE if _is_list_of_people(cells, roles) else ""
    return Columns(tuple(roles), True, recipients, tuple(cells), refusal=refusal)


def _is_indicator(cell: str) -> bool:
    cell = cell.strip()
    return not is_field(cell) and recognise_ioc(refang(cell)) is not None


def _host_that_wrote(headings: Sequence[str]) -> Callable[[str], bool]:
    """A test for the columns with the machine that wrote the events, if it is a table of such."""
    directed = any(map(_DIRECTION.search, map(normalise_heading, headings)))
    if directed or any(map(is_field, headings)):
        return lambda each: normalise_heading(each) in _LOGGING_HOST or _is_field_of_logging(each)
    return lambda _: False


def find_controlled(headings: Collection[str]) -> frozenset[str]:
    """The headings of infected machines, by those of the servers that control them.

    An address beside the name of a server may be its own, but not in a report of Shadowserver.

    >>> sorted(find_controlled(["ip", "hostname", "cc_dns"])), find_controlled(["ip", "C2 domain"])
    (['hostname', 'ip'], frozenset())
    """
    plain = {each: split_heading(each) for each in headings}
    controllers = list(filter(None, map(_CONTROLLER.fullmatch, plain.values())))
    of_addresses = [each["address"] is not None for each in controllers]
    every = any(each[0].startswith("cc ") for each in controllers)
    tests = [_PLAIN_ADDRESS] if every or True in of_addresses else []
    tests += [_PLAIN_HOST] if every or False in of_addresses else []
    return frozenset(n for n, words in plain.items() if any(t.fullmatch(words) for t in tests))


def _is_field_of_logging(heading: str) -> bool:
    return heading.lower().startswith(_LOGGING)


def is_field(heading: str) -> bool:
    """True for a field of an event, although it could be a host: `user.name`, `email.to`."""
    return _FIELD.fullmatch(heading.strip()) is not None


def _roles_in_known_tables(cells: Sequence[str], roles: Sequence[Role]) -> list[Role]:
    """The roles with those in exports of AbuseIPDB, SSLBL and ThreatConnect.

    There a domain is the provider's, a hash is a certificate's, and a summary is the value.
    """
    headings = list(map(split_heading, cells))
    known = {
        "domain": Role.OTHER if "usage type" in headings else None,
        "summary": Role.VALUE if {"type", "rating"} <= set(headings) else None,
        "sha1": Role.CERTIFICATE if "listingreason" in headings else None,
    }
    return [known.get(each) or role for each, role in zip(headings, roles, strict=True)]


def _roles_in_list_of_messages(cells: Sequence[str], roles: Sequence[Role]) -> list[Role]:
    """With the senders, and links and sources beside them, if nothing else is an indicator.

    `Data` is a date beside senders, as in Italian.
    """
    paired = zip(cells, roles, strict=True)
    others = [role for cell, role in paired if not (_is_of_message(cell) or _is_source(cell))]
    headings = list(map(normalise_heading, cells))
    of_senders = any(map(names_senders, cells))
    dated = of_senders and Role.TYPE not in roles and "data" in headings
    if dated:
        others.remove(Role.VALUE)
    senders = of_senders and _INDICATOR_ROLES.isdisjoint(others)
    found = []
    for cell, heading, role in zip(cells, headings, roles, strict=True):
        if senders and (names_senders(cell) or heading in _LINKS or _is_source(cell)):
            role = Role.VALUE_OF_KIND
        elif dated and heading == "data":
            role = Role.FIRST_SEEN
        found.append(role)
    return found


def _is_source(heading: str) -> bool:
    """True for the address of one end of connections, in a list of messages of a server."""
    return _SOURCE.fullmatch(split_heading(heading)) is not None


def _is_of_message(heading: str) -> bool:
    """True for a column about senders, `Sender IPv4` too, or of recipients."""
    if holds_people(heading):
        return True
    return any(map(names_senders, split_heading(heading).split()))


def _is_list_of_people(cells: Sequence[str], roles: Sequence[Role]) -> bool:
    """True for stolen accounts, and for mailboxes only, with names or telephone numbers."""
    headings = [normalise_heading(cell) for cell in cells]
    if _is_list_of_credentials(headings):
        return True
    paired = zip(headings, roles, strict=True)
    holding = [heading for heading, role in paired if role in _INDICATOR_ROLES]
    if any(map(_MAILBOX.search, holding)) and any(map(is_part_of_name, cells)):
        return True
    if not all(_MAILBOX.search(each) for each in holding):
        return False
    return any(_PERSONAL_WORDS.intersection(each.split()) for each in headings)


def names_hash(heading: str) -> bool:
    """True for `SHA256` and `MD5 hash`."""
    return _OF_FILES.search(normalise_heading(heading)) is not None


def is_part_of_name(heading: str) -> bool:
    """True for `First name`, which people have."""
    return normalise_heading(heading).replace(" ", "") in _PARTS_OF_NAMES


def _is_list_of_credentials(headings: Sequence[str]) -> bool:
    """True for stolen accounts: passwords beside mailboxes, or beside logins and their pages.

    Beside a hash, a password is that of an archive; beside an address alone, it was guessed.
    """
    words = [frozenset(each.split()) for each in headings]
    if not any(each & _PASSWORD_WORDS for each in words) or any(map(_OF_FILES.search, headings)):
        return False
    login, page = (any(each & known for each in words) for known in (_LOGIN_WORDS, _PAGE_WORDS))
    return any(map(_MAILBOX.search, headings)) or (login and page)


def names_password(heading: str) -> bool:
    """True if a column or member is that of passwords."""
    return not _PASSWORD_WORDS.isdisjoint(split_heading(heading).split())


def guess_columns(rows: Sequence[Sequence[str]], headings: Sequence[str] = ()) -> Columns:
    """The columns of a table without headings, or with `headings` of which none is known.

    They are guessed by a sample of its rows.  Without roles, every cell may be an indicator, but
    for mailboxes below headings: they may be recipients'.  If one column names types, one other
    column holds the values, and links elsewhere are references.
    """
    width = min(max((len(row) for row in rows), default=0), MOST_COLUMNS)
    by_column = [[row[n].strip() for row in rows if n < len(row)] for n in range(width)]
    kinds = next((n for n, cells in enumerate(by_column) if _are_mostly_types(cells)), None)
    if kinds is None and headings:
        held = (n for n, cells in enumerate(by_column) if _are_mailboxes(cells))
        logging = (n for n, heading in enumerate(headings) if heading.lower().startswith(_LOGGING))
        victims = (n for n, each in enumerate(headings) if _is_of_victims(split_heading(each)))
        withheld = frozenset((*held, *logging, *victims))
        return Columns((), headed=False, headings=tuple(headings), withheld=withheld)
    if kinds is None:
        return Columns((), headed=False)
    shares = [_share_of_values(cells) if n != kinds else 0.0 for n, cells in enumerate(by_column)]
    value = _find_value_column(kinds, shares)
    if value is None:
        return Columns((), headed=False)
    roles = [_role_of_cells(cells) for cells in by_column]
    roles[kinds], roles[value] = Role.TYPE, Role.VALUE
    return Columns(tuple(roles), headed=False, headings=tuple(headings))


def map_columns(columns: Columns, width: int, mapping: Mapping[str, str]) -> Columns:
    """The columns with the uses that the user gives to some of them.

    `mapping` has a word of COLUMN_KINDS for a heading, or for a column's number from 1.
    Raises Unprocessable if the table lacks a column.
    """
    roles = list(columns.roles or [Role.OTHER] * width)
    declared: dict[int, str] = {}
    mapped: set[int] = set()
    for heading, word in mapping.items():
        number = _find_column(heading, columns.headings, len(roles))
        roles[number] = _KINDS.get(word, Role.VALUE_OF_KIND)
        mapped.add(number)
        if word not in _KINDS:
            declared[number] = word
    return replace(columns, roles=tuple(roles), declared=declared, mapped=frozenset(mapped))


def name_columns(headings: Sequence[str]) -> Columns:
    """The columns below headings that say nothing by themselves."""
    return Columns(tuple(map(_role_of_heading, headings)), headed=True, headings=tuple(headings))


def are_headings(cells: Sequence[str], mapping: Mapping[str, str]) -> bool:
    """True if a row has each heading that a column mapping names, and it names one."""
    wanted = {normalise_heading(each) for each in mapping if not each.isdigit()}
    return bool(wanted) and wanted <= set(map(normalise_heading, cells))


def _find_column(heading: str, headings: Sequence[str], width: int) -> int:
    known = [normalise_heading(each) for each in headings]
    wanted = normalise_heading(heading)
    if wanted in known:
        return known.index(wanted)
    if heading.isdigit() and 0 < int(heading[:6]) <= width:
        return int(heading) - 1
    named = ", ".join(ascii(each[:40]) for each in headings[:_MOST_SHOWN] if each)
    have = f"its headings are {named}" if named else f"it has {width} columns and no headings"
    raise Unprocessable(f"the table has no column {ascii(heading[:40])}: {have}")


def _is_of_others(heading: str) -> bool:
    """True if a heading speaks of people, victims or the machine that wrote the table."""
    split = split_heading(heading)
    words = frozenset((*split.split(), *normalise_heading(heading).split()))
    return bool(words & (_OTHER_WORDS | _PERSONAL_WORDS | _LOGGING_HOST)) or _is_private(split)


def _is_private(heading: str) -> bool:
    """True if words of a heading speak of victims, machines or reporters, or only of recipients."""
    words = frozenset(heading.split())
    return (
        bool((words - {"name"}) & _OTHER_WORDS) or is_of_people(heading) or _is_of_victims(heading)
    )


def _is_of_victims(heading: str) -> bool:
    """True if a word of a normalised heading says so, also between others without spaces."""
    if not _VICTIM_WORDS.isdisjoint(heading.split()):
        return True
    if names_victims(heading) or names_bots(heading):
        return True
    return not heading.isascii() and any(each in heading for each in _UNSPACED_VICTIMS)


def _has_later_value(cells: Sequence[str], roles: Sequence[Role]) -> bool:
    """True if a column after the first that holds values is headed `data` or `value`."""
    first = roles.index(Role.VALUE)
    return any(normalise_heading(cell) in ("data", "value") for cell in cells[first + 1 :])


def _role_of_heading(heading: str) -> Role:
    """The role of a heading as it is written, or split at its capitals, or of its Latin words."""
    plain, split = normalise_heading(heading), split_heading(heading)
    role = _role_of(plain)
    if _is_source(heading):
        return Role.VALUE_OF_KIND
    if role is Role.VALUE_OF_KIND and _is_private(split):
        return Role.OTHER  # `toRecipients.emailAddress.address`
    if role is not Role.OTHER or plain.isascii():
        return role if role is not Role.OTHER else _role_of(split)
    if _is_private(plain):
        return Role.OTHER
    role = _role_of(" ".join(word for word in plain.split() if word.isascii()))  # `类型 Type`
    between = role is Role.OTHER and any(each in plain for each in _UNSPACED_VALUES)
    return Role.VALUE_OF_KIND if between else role  # `不正ドメイン`


def _role_of(heading: str) -> Role:
    if heading in _ROLES:
        return _ROLES[heading]
    words = frozenset(_HASH_NAME.sub(r"sha\1", heading).split())
    if len(words) > 6:
        return Role.OTHER
    if words & _CERTIFICATE_WORDS and words <= _FINGERPRINT_WORDS:
        return Role.CERTIFICATE
    if words & _VALUE_WORDS and not _is_private(heading):
        file_name = "name" in words and not words & {"domain", "host", "dns"}
        return Role.OTHER if file_name else Role.VALUE_OF_KIND
    malicious = words & MALICIOUS_WORDS and words - MALICIOUS_WORDS and words <= _BESIDE_MALICIOUS
    return Role.VALUE_OF_KIND if malicious else Role.OTHER  # `Endereço malicioso`


def _are_mostly_types(cells: Sequence[str]) -> bool:
    filled = [cell.lower().replace(" ", "") for cell in cells if cell]
    return bool(filled) and sum(cell in _TYPE_NAMES for cell in filled) * 10 >= len(filled) * 7


def _are_mailboxes(cells: Sequence[str]) -> bool:
    """True if mailboxes are the only indicators among cells."""
    found = filter(None, (recognise_ioc(refang(cell)) for cell in cells))
    return {each.kind for each in found} == {IocType.EMAIL}


def _share_of_values(cells: Sequence[str]) -> float:
    filled = [cell for cell in cells if cell]
    return sum(recognise_ioc(refang(cell)) is not None for cell in filled) / max(len(cells), 1)


def _find_value_column(kinds: int, shares: Sequence[float]) -> int | None:
    full = [n for n, share in enumerate(shares) if share >= 0.3]
    return min(full, key=lambda n: (abs(n - kinds), -shares[n]), default=None)


def _role_of_cells(cells: Sequence[str]) -> Role:
    filled = [cell for cell in cells if cell]
    if filled and all(_TAG.fullmatch(cell) for cell in filled):
        return Role.TAGS
    if filled and all(cell[:4].isdigit() and cell[4:5] in "-/" for cell in filled):
        return Role.FIRST_SEEN
    return Role.OTHER
