"""Names of persons in a text, by the words around them.

No names are known, only titles (`Mrs`), words that announce a person (`reported by`,
`contact`), labels of form fields (`Surname:`), salutations, the recipients in the header of a
message, and the lines of a business card.  So most persons are not found, and a reviewer
judges what is found.  Malware, tools, actors, companies and teams are passed over.  The
words stand in `words/person_*.txt`, `salutations.txt` and `not_person_names.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.stix.mitre_attack import attack_names
from tocsin.admission.word_lists import load_alternation, load_words

PERSON = "person's name"

_PARTICLE = r"(?:van|von|de|der|den|del|della|di|da|dos|du|la|le|bin|ibn|al|el|ter|zu)"
_WORD = (
    r"(?:[A-ZÀ-ÖØ-Þ](?:['’][A-ZÀ-Þ])?[a-zà-öø-ÿ]+(?:[-'’][A-ZÀ-Þ][a-zà-ÿ]+)?"
    r"|Mc[A-Z][a-z]+)"
)
_FURTHER_WORD = rf"(?:[ ](?:[A-ZÀ-Þ]\.[ ]?){{0,3}}(?:{_PARTICLE}[ ]){{0,2}}{_WORD})"
_TITLED = compile_lazily(
    rf"""\b(?:
        {load_alternation(__package__, "person_titles_dotted")}\.?[ ](?:Dr\.[ ])?
      | {load_alternation(__package__, "person_titles")}[ ]
    )(?P<name>{_WORD}{_FURTHER_WORD}{{0,2}})""",
    re.VERBOSE,
)
_CUE = compile_lazily(
    rf"""\b(?i:{load_alternation(__package__, "person_cues")})[ \t\r\n:"'*_-]{{1,6}}""", re.VERBOSE
)
"""The name right behind must have two words."""
_REQUEST = compile_lazily(
    rf"""\b(?i:{load_alternation(__package__, "person_requests")})[ \t\r\n:"'*_-]{{1,6}}
        (?=[A-ZÀ-Þ])""",
    re.VERBOSE,
)
_CONTACT = compile_lazily(r"\b(?i:contact(?:ed|ing|s)?)[ \t\r\n:\"'*_-]{1,6}(?=[A-ZÀ-Þ])")
_IN_CAPITALS = compile_lazily(
    r"(?<!\w)(?:CONTACT|ATTN|ATTENTION|REPORTED BY|REPORTER|EMPLOYEE|NAME|PATIENT)[ ]?:[ ]{0,4}"
    r"(?P<name>[A-ZÀ-Þ][A-ZÀ-Þ'’-]{1,25},[ ]?[A-ZÀ-Þ][A-ZÀ-Þ'’-]{1,25}(?:[ ][A-ZÀ-Þ]\.?)?)"
    r"(?=[ ]{0,4}(?:[;|(<\r\n]|\Z))"
)
"""`CONTACT: DOE, JANE`."""
_FIELD = compile_lazily(
    r"""^[\W\d]{0,6}(?:authors?|reporters?|reported\ by|analysts?|creators?|researchers?)
        ["'*\ ]{0,3}[:=]["'*\ ]{0,4}""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_LOWER_WORD = r"[a-zà-öø-ÿ][a-zà-öø-ÿ'’-]{1,20}"
_LOWER_TITLED = compile_lazily(
    rf"""(?<![\w.@/-]){load_alternation(__package__, "person_titles_lower")}[ ]
        (?P<name>{_LOWER_WORD}(?:[ ]{_LOWER_WORD})?)(?!\w)""",
    re.VERBOSE,
)
_ANY_WORD = r"[^\W\d_][\w.'’-]{0,30}"
_PART_FIELD = compile_lazily(
    rf"""(?<![\w/&?]){load_alternation(__package__, "person_fields")}["'*_]{{0,3}}
        (?:[ ]?[:=][ \t]{{0,8}}|[ ](?:is|ist|est|es|è|é)[ ])["'*]{{0,3}}
        (?P<name>{_ANY_WORD}(?:[ ]{_ANY_WORD}){{0,2}}?)
        (?=["'*.]{{0,3}}[ \t]{{0,4}}(?:[,;|<&()?!\r\n]|\Z)
          |["'*]{{0,3}}[ ]{{1,4}}[\w ]{{2,16}}[:=])""",
    re.VERBOSE | re.IGNORECASE,
)
"""One word, with what may follow it up to the end of the field."""
_FULL_FIELD = compile_lazily(
    rf"""(?:^[\W\d]{{0,8}}|[.;|,][ ]?|[ ]{{2}})
        (?i:{load_alternation(__package__, "person_full_fields")})["'*_]{{0,3}}
        [ ]?[:=][ \t]{{0,8}}["'*]{{0,3}}
        (?P<name>{_WORD}{_FURTHER_WORD}{{1,3}})(?=["'*]{{0,3}}[ \t]{{0,4}}(?:[.,;|<(\r\n]|\Z))""",
    re.VERBOSE | re.MULTILINE,
)
_LOWER_FIELD = compile_lazily(
    rf"""^[\W\d]{{0,8}}(?:full\ )?name[ ]?[:=][ \t]{{0,8}}
        (?P<name>{_ANY_WORD}(?:[ ]{_ANY_WORD}){{1,3}})[ \t]{{0,8}}\r?\n\W{{0,8}}
        (?:address|street|phone|tel|mobile|e-?mail|dob|date\ of\ birth|ssn)\b""",
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
_SALUTATION = compile_lazily(
    rf"""^[\W]{{0,8}}(?i:{load_alternation(__package__, "salutations")})[ ]
        (?P<name>{_WORD}{_FURTHER_WORD}{{0,2}})[ ]?(?=[,!])""",
    re.VERBOSE | re.MULTILINE,
)
_RECIPIENTS = compile_lazily(
    r"^[\s>|*]{0,8}(?:to|cc|bcc|an|kopie|à|para|aan|komu)[ *]{0,3}:(?P<list>[^\r\n]{3,1000})",
    re.MULTILINE | re.IGNORECASE,
)
_DISPLAY_NAME = compile_lazily(
    rf"""(?:"(?P<quoted>[^"<>\[\]\r\n]{{2,60}})"|(?<!\w)'(?P<single>[^'<>\[\]\r\n]{{2,60}})'
       | (?P<name>{_WORD}(?:,?[ ](?:[A-ZÀ-Þ]\.[ ]?)?{_WORD}){{1,3}}))[ ]?<""",
    re.VERBOSE,
)
_CARD = compile_lazily(
    rf"""^[>?\s]{{0,8}}(?P<name>{_WORD}{_FURTHER_WORD}{{1,3}})[ \t]{{0,4}}\r?\n
        (?:[^\r\n]{{0,80}}\r?\n){{1,5}}?[>? \t]{{0,8}}
        (?:Apt\.|Suite|Mobile|Phone|Tel|Desk|Fax|E-?mail|[AFD]PO[ ]A[AEP])\b""",
    re.VERBOSE | re.MULTILINE,
)
"""A name on a line of its own, above an address or a telephone number."""
_LIVING = compile_lazily(
    rf"""(?<![\w])(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})[ ]
        (?:lives|lived|resides|was\ born|works\ (?:at|for|as)|can\ be\ reached|wohnt|habite
          |vive)\b""",
    re.VERBOSE,
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
_may_hold_request = contains_any(
    *("contacte", "contactar", "please ", "kindly ", "speak ", "spoke", "wenden sie", "kontakt"),
    "sprach mit",
    *("contatt", "neem ", "skontaktuj", "name is", "name ist", "ich hei", "appelle", "me llamo"),
    *("mi nombre", "mi chiamo", "meu nome", "mijn naam", "nazywam", "mit freundl", "cordial"),
    *("bien ", "atentamente", "saludos", "groet", "atenciosamente", "powa", "yours ", "ceo "),
    *("cfo ", "cio ", "ciso ", "coo ", "gesch", "buchhalter", "mitarbeiter", "kolleg", "employ"),
    *("emplead", "dipendente", "medewerker", "pracownik"),
)
_may_hold_field = contains_any("author", "report", "analyst", "creator", "researcher")
_FULL_NAME = compile_lazily(rf"(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})(?![\w’])")
_NEXT_NAME = compile_lazily(
    rf"(?:,[ ]|,?[ ](?:and|und|et|y|&)[ ])(?P<name>{_WORD}{_FURTHER_WORD}{{1,2}})(?![\w’])"
)
_NOT_PERSON_NAMES = frozenset(load_words(__package__, "not_person_names"))
_NAMES_TOO = frozenset(
    (
        *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
        *("october", "november", "december", "north", "south", "east", "west", "windows", "apple"),
        *("sir", "madam", "friend", "member", "account", "user", "customer", "colleague", "mobile"),
        *("colleagues", "customers", "everyone", "valued", "the", "this", "these", "that", "all"),
        *("new", "our", "your", "their", "those"),
    )
)
"""Words among `not_person_names` that may be parts of a person's name, or say nothing."""
_ORGANISATION_WORDS = (
    _NOT_PERSON_NAMES.union(load_words(__package__, "organisation_words")) - _NAMES_TOO
)
_SHORTEST_NAME = 4
"""Letters of a name by itself; shorter ones are nearly all acronyms."""
_NOT_LOWER_NAMES = frozenset(load_words(__package__, "not_lower_names"))
_ARTICLES = frozenset(("mr", "mrs", "ms", "dr", "n/a", "none", "null", "unknown", "string", "text"))
_may_hold_part_field = contains_any(
    *("name", "surname", "nom", "apellido", "cognome", "naam", "imi", "nazwisko", "namn", "navn"),
    "nimi",
)
_may_hold_full_field = contains_any(
    *("name", "nom", "naam", "nazwisko", "namn", "navn", "nimi", "holder", "inhaber", "employee"),
    *("mitarbeiter", "titula", "intestatario"),
)
_may_hold_lower_title = contains_any(
    *("mr", "mister", "dr.", "prof.", "herr", "frau", "mme", "mlle", "monsieur", "madame", "se"),
    *("signor", "sra."),
)
_ANNOUNCEMENTS = (
    (_CUE, _may_hold_cue),
    (_CONTACT, contains_any("contact")),
    (_REQUEST, _may_hold_request),
    (_FIELD, _may_hold_field),
)
_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (_TITLED, lambda text: any(title in text for title in _TITLE_STARTS)),
    (_FULL_FIELD, _may_hold_full_field),
    (_SALUTATION, contains_any(",", "!")),
    (_CARD, contains_any("apt.", "suite", "mobile", "phone", "tel", "desk", "fax", "mail", "po a")),
    (_IN_CAPITALS, contains_any("contact", "att", "report", "employee", "name", "patient")),
    (_LIVING, contains_any("live", "resid", "born", "works", "reached", "wohnt", "habite", "vive")),
)
"""Patterns that find a name by its capitals, each with a cheap question."""


def may_be_person(name: str) -> bool:
    """True unless the name of an identity shows that it is an organisation or an attacker's.

    Nothing proves a person, so every other name counts as a person's.

    >>> may_be_person("Jane Roe"), may_be_person("Roe Industries GmbH")
    (True, False)
    """
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", name)]
    if not _ORGANISATION_WORDS.isdisjoint(words) or name.strip().casefold() in attack_names():
        return False
    short = name.isascii() and not any(map(str.isdigit, name))
    return not short or sum(map(len, words)) >= _SHORTEST_NAME


def find_person_names(text: str) -> Iterator[Span]:
    """Names with a title, behind words that announce a person, in forms and in headers."""
    if " " not in text and ":" not in text and "=" not in text:  # every match has one
        return
    for pattern, may_hold in _FORMS:
        for found in pattern.finditer(text) if may_hold(text) else ():
            if _is_person_name(found["name"]):
                yield Span(*found.span("name"), PERSON)
    yield from _find_announced(text)
    yield from _find_in_lower_case(text)
    yield from _find_recipients(text)


def _find_announced(text: str) -> Iterator[Span]:
    """Names of two words right behind words that announce a person."""
    for announcement, may_hold in _ANNOUNCEMENTS:
        for found in announcement.finditer(text) if may_hold(text) else ():
            yield from _read_names(text, found.end())


def _find_in_lower_case(text: str) -> Iterator[Span]:
    """Names behind cues that are so clear that the name needs no capitals."""
    for found in _PART_FIELD.finditer(text) if _may_hold_part_field(text) else ():
        if _ARTICLES.isdisjoint(found["name"].lower().split()) and _is_person_name(found["name"]):
            yield Span(*found.span("name"), PERSON)
    for found in _LOWER_FIELD.finditer(text) if _may_hold_full_field(text) else ():
        if _is_person_name(found["name"]):
            yield Span(*found.span("name"), PERSON)
    for found in _LOWER_TITLED.finditer(text) if _may_hold_lower_title(text) else ():
        first, _, second = found["name"].partition(" ")
        if first in _NOT_LOWER_NAMES or not _is_person_name(first):
            continue
        end = found.end("name") if second else found.start("name") + len(first)
        if second in _NOT_LOWER_NAMES or second in _NOT_PERSON_NAMES:
            end = found.start("name") + len(first)
        yield Span(found.start("name"), end, PERSON)


def _find_recipients(text: str) -> Iterator[Span]:
    """The names in front of the addresses to which a message went."""
    for line in _RECIPIENTS.finditer(text) if "<" in text else ():
        for found in _DISPLAY_NAME.finditer(text, *line.span("list")):
            group = found.lastgroup or "name"
            if _is_person_name(found[group]):
                yield Span(*found.span(group), PERSON)


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
