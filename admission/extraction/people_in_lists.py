"""Lines of a list of values that are about people: victims, recipients, authors.

Unlike a report, a list is read line by line, and its comments are its headings.  Headings for
machines that attack, such as `Compromised hosts`, are those of most block lists, so they do not
introduce victims here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tocsin.admission.extraction import mailboxes
from tocsin.admission.extraction.field_names import names_senders, says_victim
from tocsin.admission.extraction.references_and_contacts import (
    LONGEST_SIGNATURE,
    LineRole,
    closes_text,
    introduces_people,
    is_recipient_heading,
    labels_people,
    says_allowed,
)
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

_ROLES = (None, LineRole.VICTIMS, LineRole.RECIPIENTS)
_CODES = {role: code for code, role in enumerate(_ROLES)}
_SEPARATOR = compile_lazily(r"[\s,;|#()\[\]]+")
_LONGEST = 200
"""Characters of a line that may be a heading, have a label, or a word beside its value."""
_SHORTEST_HASH = 32
_VALUE_AND_WORD = 2
_HEADING = compile_lazily(r"[^\d./@,|\"]{2,40}")
_NUMBER = compile_lazily(r"\d{1,2}(?:\.\d{1,2})?[.)]?\s+")
"""The number of a heading: `4. Contact`."""
_LABELLED = compile_lazily(r"([^:：=|@<>\t\"./]{2,40})[:：]\s*\S")
_SIGNS = " \t\ufeff#;/*=-[]!"
_COMMENTS = ("#", ";", "//", "!")
_CONTACTS = compile_lazily(load_alternation(__package__, "contact_headings"), re.IGNORECASE)
"""A heading that ends with these words names nobody, so that the mailboxes below it do.

`Reported by CERT Bank` names somebody, and may stand above a list of senders.
"""
_ENDS_OF_HEADINGS = ":：?!. "


class PeopleLines:
    """The roles of the lines of a list, in an octet each: it may have millions of lines."""

    def __init__(self, roles: Iterable[LineRole | None]) -> None:
        self._codes = bytes(_CODES.get(each, 0) for each in roles)

    def role_of(self, number: int) -> LineRole | None:
        """The role of a line that is about people; None if it is not."""
        return _ROLES[self._codes[number]] if number < len(self._codes) else None

    def __iter__(self) -> Iterator[int]:
        """The numbers of the lines about people."""
        return (number for number, code in enumerate(self._codes) if code)


def find_people_in_list(lines: Iterable[str]) -> PeopleLines:
    """The lines about people: VICTIMS, or RECIPIENTS for those of mailboxes only.

    >>> lines = ["evil.com", "", "# Victims", "srv.bank.com", "", "Victim: bank.com", "evil.net"]
    >>> sorted(find_people_in_list(lines))
    [3, 5]
    """
    return PeopleLines(map(_Section().classify, lines))


def allows_all(lines: Iterable[str]) -> bool:
    """True if the first line of a list says that its values are allowed."""
    title = next((line for line in lines if line.strip(_SIGNS)), "")
    return _begins_section(title.strip()) and _allows(_words_of_heading(title))


def _allows(words: str) -> bool:
    return len(words) <= _LONGEST and says_allowed(words)


class _Section:
    """The part of a list in which the next line is."""

    def __init__(self) -> None:
        self._role: LineRole | None = None
        self._is_empty = True
        self._signature = 0
        """Lines that the signature below the list may still have."""

    def classify(self, line: str) -> LineRole | None:
        """The role of the next line."""
        plain = line.strip()
        if len(line) > _LONGEST or _is_value(plain):
            return self._role_inside() or self._role_in_signature()
        if closes_text(line):
            self._signature = LONGEST_SIGNATURE
            return None
        if not plain.strip(_SIGNS):  # a blank line, an empty comment, the line below a heading
            self._role = self._role if self._is_empty else None
            self._signature = 0 if plain and _ends_signature(plain) else self._signature
            return None
        leads = introduces_people(line, heading=False)
        if leads or _begins_section(plain):
            self._signature = 0 if _ends_signature(plain) else self._signature
            usual = LineRole.RECIPIENTS if leads else None
            self._role, self._is_empty = _role_of(_words_of_heading(plain)) or usual, True
            return None
        return self._role_inside() or _role_of_line(plain) or self._role_in_signature()

    def _role_inside(self) -> LineRole | None:
        self._is_empty = False
        return self._role

    def _role_in_signature(self) -> LineRole | None:
        if not self._signature:
            return None
        self._signature -= 1
        return LineRole.RECIPIENTS


def _is_value(line: str) -> bool:
    """True for a value alone in its line: most lines."""
    is_long = len(line) >= _SHORTEST_HASH or "." in line or "/" in line
    return is_long and _SEPARATOR.search(line) is None


def _begins_section(line: str) -> bool:
    """True for a comment, and for words that are no value."""
    return (
        line.startswith(_COMMENTS) or _HEADING.fullmatch(_NUMBER.sub("", line, count=1)) is not None
    )


def _ends_signature(line: str) -> bool:
    """True for a heading that no writer has below their name: a comment, or one of senders."""
    return line.startswith(_COMMENTS) or names_senders(_words_of_heading(line))


def _words_of_heading(line: str) -> str:
    return _NUMBER.sub("", line.strip(_SIGNS), count=1).rstrip(_ENDS_OF_HEADINGS)


def _role_of_line(line: str) -> LineRole | None:
    """The role of a line with a label, or with a word beside its value."""
    labelled = _LABELLED.match(line)
    if labelled is not None:
        words = labelled[1].strip(_SIGNS)
        usual = LineRole.RECIPIENTS if labels_people(words) else None
        return _role_of(words) or usual
    parts = [each for each in _SEPARATOR.split(line) if each.strip("-\u2013")]
    words = [each for each in parts if each.isalpha()]
    return _role_of(words[0]) if len(parts) == _VALUE_AND_WORD and len(words) == 1 else None


def _role_of(words: str) -> LineRole | None:
    """The role of what a heading, a label or a comment introduces."""
    if says_victim(words) or _allows(words):
        return LineRole.VICTIMS
    parts = words.lower().split()
    heading = "-".join(parts)
    known = heading in mailboxes.PEOPLE_HEADINGS or is_recipient_heading(heading)
    known = known or _CONTACTS.fullmatch(" ".join(parts)) is not None
    return LineRole.RECIPIENTS if known else None
