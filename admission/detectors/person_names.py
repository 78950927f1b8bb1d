"""Where a text seems to name a person.

Forms and the words around them only: a title, `reported by`, `contact:`.  So
most persons are not found, and what is found is for an analyst to judge.
Malware, tools and actors are no persons, nor are companies and teams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.terms import among
from tocsin.admission.masking import Span
from tocsin.admission.stix.mitre_attack import attack_names

PERSON = "person's name"

_PARTICLE = r"(?:van|von|de|der|den|del|della|di|da|dos|du|la|le|bin|ibn|al|el|ter|zu)"
_WORD = (
    r"(?:[A-ZÀ-ÖØ-Þ](?:['’][A-ZÀ-Þ])?[a-zà-öø-ÿ]+(?:[-'’][A-ZÀ-Þ][a-zà-ÿ]+)?"
    r"|Mc[A-Z][a-z]+)"
)
_REST = rf"(?:[ ](?:[A-ZÀ-Þ]\.[ ]?){{0,3}}(?:{_PARTICLE}[ ]){{0,2}}{_WORD})"
_TITLED = re.compile(
    rf"""\b(?:
        (?:Mr|Mrs|Ms|Mx|Dr|Prof|Sr|Sra|Mme|Mlle|Dott|Ing)\.?[ ](?:Dr\.[ ])?
      | (?:Herr|Frau|Miss|Monsieur|Madame|Señora?|Signora?)[ ]
    )(?P<name>{_WORD}{_REST}{{0,2}})""",
    re.VERBOSE,
)
_CUE = re.compile(
    r"""\b(?i:
        (?:reported|written|authored|discovered|submitted|investigated|provided|identified
          |observed|prepared|signed|sent\ in|shared|found|spotted|analy[sz]ed)\ by
      | (?:gemeldet|erstellt|verfasst|übermittelt)\ (?:von|durch)
      | (?:signalée?|rédigée?|transmise?)\ par | (?:reportado|redactado|elaborado|relatado)\ por
      | (?:segnalato|redatto|inviato)\ da | (?:gemeld|opgesteld)\ door
      | (?:our|my)\ (?:colleague|employee|customer|client)s? | employee | colleague
      | credits?\ to | thanks\ (?:go\ )?to | on\ behalf\ of | attention | attn | dear
      | regards,? | sincerely,? | my\ name\ is | (?:full|last|display|account)\ ?name\ ?[:=]
      | (?:contact|author|analyst|reporter|researcher|creator|patient|customer|employee
          |recipient|person|kontakt|victim|opfer|geschädigter?|melder(?:in)?|bearbeiter(?:in)?
          |ansprechpartner(?:in)?|kund(?:e|in)|autor(?:in)?|auteur|victime|v[íi]ctima|vítima
          |vittima|utente|slachtoffer)(?:\ (?:name|person))?s?\ ?[:=-]
    )[ \t\r\n:"'*_-]{1,6}""",
    re.VERBOSE,
)
"""Words that announce a person; the name must have two words and stand right behind."""
_FIELD = re.compile(
    r"""^[\W\d]{0,6}(?:authors?|reporters?|reported\ by|analysts?|creators?|researchers?)
        ["'*\ ]{0,3}[:=]["'*\ ]{0,4}""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_TITLES = (
    *("Mr", "Ms", "Mx", "Dr", "Prof", "Sr", "Mme", "Mlle", "Dott", "Ing", "Herr", "Frau", "Miss"),
    *("Monsieur", "Madame", "Señor", "Signor"),
)
_may_announce = among(
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
_may_head = among("author", "report", "analyst", "creator", "researcher")
_FULL = re.compile(rf"(?P<name>{_WORD}{_REST}{{1,2}})(?![\w’])")
_FURTHER = re.compile(
    rf"(?:,[ ]|,?[ ](?:and|und|et|y|&)[ ])(?P<name>{_WORD}{_REST}{{1,2}})(?![\w’])"
)

_NO_PERSON = frozenset(
    (
        *("agency", "alliance", "antivirus", "association", "authority", "avenue", "bank"),
        *("bureau", "center", "centre", "cert", "check", "cloud", "college", "commission"),
        *("committee", "company", "computer", "consulting", "corp", "corporation", "council"),
        *("crew", "cyber", "cybersecurity", "data", "defender", "defense", "department"),
        *("detection", "digital", "division", "exchange", "exploit", "explorer", "federal"),
        *("firm", "force", "forensics", "foundation", "framework", "gang", "government"),
        *("group", "hackers", "holdings", "hospital", "inc", "incident", "industries"),
        *("infosec", "institute", "insurance", "intelligence", "international", "internet"),
        *("joint", "lab", "laboratories", "labs", "limited", "llc", "ltd", "malware"),
        *("management", "media", "ministry", "mobile", "national", "network", "networks"),
        *("news", "office", "online", "operations", "organization", "partners", "platform"),
        *("police", "power", "project", "ransomware", "report", "research", "researchers"),
        *("response", "sandbox", "scanner", "school", "search", "security", "server"),
        *("service", "services", "social", "society", "software", "solutions", "studio"),
        *("support", "systems", "talos", "team", "tech", "technologies", "technology"),
        *("telecom", "threat", "tracker", "trend", "union", "unit", "university", "windows"),
        *("january", "february", "march", "april", "may", "june", "july", "august"),
        *("september", "october", "november", "december"),
        *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        *("the", "this", "these", "those", "that", "our", "your", "their", "all", "new"),
        *("united", "states", "kingdom", "north", "south", "east", "west", "american"),
        *("chinese", "european", "iranian", "korean", "russian", "india"),
        *("amazon", "apple", "cisco", "crowdstrike", "eset", "fireeye", "google"),
        *("kaspersky", "mandiant", "microsoft", "palo", "sophos", "symantec"),
        *("account", "colleague", "colleagues", "customer", "customers", "everyone", "friend"),
        *("madam", "member", "sir", "user", "valued"),
        *("ag", "gmbh", "kg", "stadt", "stadtwerke", "gemeinde", "landkreis", "landratsamt"),
        *("polizei", "bundesamt", "universität", "klinik", "klinikum", "krankenhaus", "amt"),
        *("sparkasse", "ministerium", "kanton", "verband", "einem", "einer", "unser"),
        *("société", "banque", "mairie", "ministère", "université", "hôpital", "équipe"),
        *("ayuntamiento", "universidad", "ministerio", "banco", "equipo", "hospital"),
        *("comune", "ospedale", "università", "ministero", "câmara", "prefeitura", "gemeente"),
        *("ziekenhuis", "stichting", "csirt", "soc"),
    )
)
"""Words that a person's name does not have; a name with one of them is somebody else's."""


def persons(text: str) -> Iterator[Span]:
    """Names with a title, or right after words that announce a person."""
    if " " not in text:  # each of them has one
        return
    if any(title in text for title in _TITLES):
        for titled in _TITLED.finditer(text):
            if _person(titled["name"]):
                yield Span(*titled.span("name"), PERSON)
    for announced, may in ((_CUE, _may_announce), (_FIELD, _may_head)):
        for cue in announced.finditer(text) if may(text) else ():
            yield from _list(text, cue.end())


def _list(text: str, start: int) -> Iterator[Span]:
    """One name, or several joined by commas or `and`."""
    name = _FULL.match(text, start)
    while name and _person(name["name"]):
        yield Span(*name.span("name"), PERSON)
        name = _FURTHER.match(text, name.end())


def _person(name: str) -> bool:
    words = name.lower().split()
    if not _NO_PERSON.isdisjoint(words):
        return False
    known = attack_names()
    return name.lower() not in known and "".join(words) not in known
