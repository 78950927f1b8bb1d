"""Whose account a text names: by its label, in a log, in a directory.

The names of accounts that every machine has are `_paths`' matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.terms import among

_NAME = r"(?P<name>[^\W_][\w.$-]{1,40}(?<![.-]))"
_DOMAIN = (
    r"(?:(?:(?!HK(?:LM|CU|U|EY)|NT\b|BUILTIN)[A-Z][\w.-]{0,20}|\[removed: [^\]]{1,40}\])\\{1,2})"
)
_LABELLED = re.compile(
    rf"""(?<![\w&?;-])(?:user[ _-]?name|sam\ ?account\ ?name|account[ _-]?name|log[io]n[ _-]?name
      |target[ _-]?user(?:[ _-]?name)?|subject[ _-]?user(?:[ _-]?name)?
      |user|login|account|benutzer(?:name|konto|kennung)?|nutzer(?:name)?|anmeldename
      |utilisateur|nom\ d['’]utilisateur|usuario|usu[áa]rio|utente|nome\ utente
      |gebruiker(?:snaam)?|uporabnik|użytkownik)
      ["']?\ ?[:=]\ {{0,4}}["']?{_DOMAIN}?{_NAME}(?![\w:@\\/(-]|\.\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_OF_A_DOMAIN = re.compile(
    rf"(?:(?<![\w-])(?:accounts?|users?|benutzers?|konto|utilisateur|usuario|utente|as|/ru)\s{{1,2}}"
    rf"|/u(?:ser)?:)[\"']?{_DOMAIN}{_NAME}(?![\w\\/(]|\.\w)",
    re.IGNORECASE,
)
_LOGGED = re.compile(
    rf"\b(?:accepted [\w/-]{{1,30}} for(?= \S{{1,41}} from )|session (?:opened|closed) for user"
    rf"|samaccountname)\s{{1,3}}{_NAME}(?![\w\\/(])",
    re.IGNORECASE,
)
_DIRECTORY = re.compile(
    r"(?<!\w)(?:cn|uid)=(?P<name>[^,=\r\n]{2,60}),(?:(?:ou|cn)=[^,=\r\n]{1,60},){0,6}dc=",
    re.IGNORECASE,
)
_SID = re.compile(r"(?<![\w-])(?P<name>S-1-5-21(?:-\d{1,10}){3}-\d{4,10})(?![\w-])")
"""From 1000 on the last number is a person's; below are what every domain has."""
_PATTERNS = (
    (
        _LABELLED,
        among(
            *("user", "login", "logon", "account", "nutzer", "anmeldename", "utilisateur"),
            *("usuario", "utente", "gebruiker", "uporabnik"),
        ),
    ),
    (_OF_A_DOMAIN, among("\\")),
    (_LOGGED, among("accepted ", "session ", "samaccountname")),
    (_DIRECTORY, among("dc=")),
    (_SID, among("s-1-5-21-")),
)
"""Each with the words without which there is none."""


def accounts(text: str) -> Iterator[tuple[int, int, str]]:
    """Where accounts are named, and how."""
    for pattern, may in _PATTERNS:
        for found in pattern.finditer(text) if may(text) else ():
            if pattern is not _LABELLED or _a_name(text, found):
                yield *found.span("name"), found["name"]


def _a_name(text: str, found: re.Match[str]) -> bool:
    """Whether what stands behind a label is a name, not the first word of a sentence."""
    following = text[found.end() : found.end() + 2]
    in_a_sentence = following[:1] == " " and following[1:].islower() and "=" not in found[0]
    return not (found["name"].isalpha() and in_a_sentence)
