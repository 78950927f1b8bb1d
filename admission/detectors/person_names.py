"""Names of persons in a text, by the words around them.

No names are known, only titles (`Mrs`), and words that announce a person (`reported by`,
`contact:`).  So most persons are not found, and an analyst judges what is found.
Malware, tools, actors, companies and teams are passed over.  The words stand in
`words/person_titles.txt`, `person_cues.txt` and `not_person_names.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.stix.mitre_attack import attack_names
from tocsin.admission.word_lists import load_alternation, load_words

PERSON = "person's name"

_PARTICLE = r"(?:van|von|de|der|den|del|della|di|da|dos|du|la|le|bin|ibn|al|el|ter|zu)"
_WORD = (
    r"(?:[A-ZÀ-ÖØ-Þ](?:['’][A-ZÀ-Þ])?[a-zà-öø-ÿ]+(?:[-'’][A-ZÀ-Þ][a-zà-ÿ]+)?"
    r"|Mc[A-Z][a-z]+)"
)
_FURTHER_WORD = rf"(?:[ ](?:[A-ZÀ-Þ]\.[ ]?){{0,3}}(?:{_PARTICLE}[ ]){{0,2}}{_WORD})"
_TITLED = re.compile(
    rf"""\b(?:
        {load_alternation(__package__, "person_titles_dotted")}\.?[ ](?:Dr\.[ ])?
      | {load_alternation(__package__, "person_titles")}[ ]
    )(?P<name>{_WORD}{_FURTHER_WORD}{{0,2}})""",
    re.VERBOSE,
)
_CUE = re.compile(
    rf"""\b(?i:{load_alternation(__package__, "person_cues")})[ \t\r\n:"'*_-]{{1,6}}""", re.VERBOSE
)
"""The name right behind must have two words."""
_FIELD = re.compile(
    r"""^[\W\d]{0,6}(?:authors?|reporters?|reported\ by|analysts?|creators?|researchers?)
        ["'*\ ]{0,3}[:=]["'*\ ]{0,4}""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_TITLE_STARTS = (
    *("Mr", "Ms", "Mx", "Dr", "Prof", "Sr", "Mme", "Mlle", "Dott", "Ing", "Herr", "Frau", "Miss"),
    *("Monsieur", "Madame", "Señor", "Signor"),
)
"""Each title of the lists begins with one of these; cheaper to look for than the pattern."""
_may_hold_cue = contains_any(
    *("reported by", "written by", "authored by", "discovered by", "submitted by", "shared by"),
    *("investigated by", "provided by", "identified by", "observed by", "prepared by"),
    *("signed by", "sent by", "sent in by", "found by", "spotted by", "analysed by", "analyzed by"),
    *(" von", " durch", " par", " por", " da", " door", "our client", "my client"),
    *("colleague", "employee", "customer", "credit", "thanks", "behalf", "attention", "attn"),
    *("dear", "regards", "sincerely", "name", "contact", "author", "analyst", "reporter"),
    *("researcher", "creator", "patient", "recipient", "person", "kontakt", "victim", "opfer"),
    *("melder", "bearbeiter", "ansprechpartner", "kund", "autor", "auteur", "vittima", "utente"),
    "slachtoffer",
)
"""Each cue of the list in ASCII holds one of these."""
_may_hold_field = contains_any("author", "report", "analyst", "creator", "researcher")
_FULL_NAME = re.compile(rf"(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})(?![\w’])")
_NEXT_NAME = re.compile(
    rf"(?:,[ ]|,?[ ](?:and|und|et|y|&)[ ])(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})(?![\w’])"
)
_NOT_PERSON_NAMES = frozenset(load_words(__package__, "not_person_names"))


def find_person_names(text: str) -> Iterator[Span]:
    """Names with a title, or right behind words that announce a person."""
    if " " not in text:  # every match has one
        return
    if any(title in text for title in _TITLE_STARTS):
        for titled in _TITLED.finditer(text):
            if _is_person_name(titled["name"]):
                yield Span(*titled.span("name"), PERSON)
    for announcement, may_hold in ((_CUE, _may_hold_cue), (_FIELD, _may_hold_field)):
        for found in announcement.finditer(text) if may_hold(text) else ():
            yield from _read_names(text, found.end())


def _read_names(text: str, start: int) -> Iterator[Span]:
    """One name, or several joined by commas or `and`."""
    found = _FULL_NAME.match(text, start)
    while found and _is_person_name(found["name"]):
        yield Span(*found.span("name"), PERSON)
        found = _NEXT_NAME.match(text, found.end())


def _is_person_name(name: str) -> bool:
    """False if a word of the name shows that it is not a person's, or if ATT&CK knows it."""
    words = name.lower().split()
    if not _NOT_PERSON_NAMES.isdisjoint(words):
        return False
    known = attack_names()
    return name.lower() not in known and "".join(words) not in known
