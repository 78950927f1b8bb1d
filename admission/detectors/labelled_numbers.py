"""Dates of birth, and numbers of employees, customers, patients and cars, behind a word for them.

An organisation gives such numbers as it likes, so only the word shows what they are
(`words/person_number_labels.txt`, `birth_date_labels.txt`, `plate_labels.txt`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.word_lists import load_alternation

BIRTH_DATE = "date of birth"
PERSON_NUMBER = "number of a person"
PLATE = "number plate"

_MONTH = (
    r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez"  # English, German
    r"|j[äa]n|feber|m[äa]r|maerz|f[ée]v|avr|jui|ao[ûu]|d[ée]c"  # Austrian, German, French
    r"|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|mei|maa|fev|out)[^\W\d_]{0,8}"
)
_DATE = rf"""(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}
    |\d{{1,2}}[-/.]\ ?\d{{1,2}}[-/.]\ ?(?:\d{{4}}|\d\d)
    |\d{{1,2}}(?:\.|er|º|st|nd|rd|th)?\ (?:de\ )?{_MONTH}\.?,?\ (?:del?\ )?\d{{4}}
    |\d{{1,2}}-{_MONTH}-\d{{4}}
    |{_MONTH}\ \d{{1,2}},?\ \d{{4}}
    |\d{{4}}\s?[年년]\s?\d{{1,2}}\s?[月월]\s?\d{{1,2}}\s?[日일])"""
_BIRTH_DATE = compile_lazily(
    rf"""(?:(?<!\w){load_alternation(__package__, "birth_date_labels")}
        |生年月日|出生(?:年月)?日期?|생년월일)
        ["']?(?:\ (?:is|was|ist|war|lautet|est|es|è))?
        \s{{0,2}}[:=]?\s{{0,3}}["']?(?P<date>{_DATE})(?:(?<=[日일])|(?!\w))""",
    re.VERBOSE | re.IGNORECASE,
)
_may_hold_birth_date = contains_any(
    *("dob", "d.o.b", "birth", "born", "geb", "naissance", "nac", "nat", "nasc", "urodz"),
    *("narozen", "lahir", "data na", "ur.", "nar."),
)
_PERSON_NUMBER = compile_lazily(
    rf"""(?<![\w&?/-]){load_alternation(__package__, "person_number_labels")}
        (?:\ (?:is|ist|est|es|è))?\s?[:=\#]?\s{{0,2}}
        (?P<number>(?!(?:19|20)\d\d(?![\d/]))[a-z]{{0,3}}[-/]?\d(?:[ /-]?\d){{3,18}}
          |(?=[a-z\d/-]{{0,12}}\d)(?!\d{{1,4}}[-/]\d\d?[-/]\d{{1,4}}(?!\w))(?:\d{{1,4}}[/-])?[a-z\d]{{1,6}}(?:[/-][a-z\d]{{2,6}}){{1,3}}
          |(?-i:(?=[A-Z]{{0,6}}\d)[A-Z\d]{{6}}))
        (?![\w@]|[-.:/]\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_name_number = contains_any(
    *("employ", "person", "staff", "payroll", "customer", "member", "student", "badge", "client"),
    *("library card", "mrn", "medical record", "insurance", "policy", "patient", "mitarbeiter"),
    *("kund", "mitglied", "matri", "dienstausweis", "versicher", "debitoren", "kvnr", "adh"),
    *("salari", "assur", "emplead", "soci", "afiliad", "legajo", "dipendente", "funcion", "utente"),
    *("klant", "leden", "lidmaat", "medewerker", "pracownik", "ewidencyj", "osobn", "medlem"),
    *("medarbej", "ansatt", "klient", "imei", "imsi", "iccid", "case file", "file", "record"),
    *("chart", "case ", "fall", "akten", "aufnahme", "ipp", "karty", "lab", "claim", "beneficiary"),
    *("frequent flyer", "loyalty", "pnr", "booking", "buchung", "vorgang", "historia", "medicare"),
    *("nhi", "health", "emirates"),
)
_PLATE = compile_lazily(
    rf"""(?<![\w-]){load_alternation(__package__, "plate_labels")}
        (?:\ (?:is|ist|est|es|è|of))?\s?[:=]?\s{{0,2}}["'(]?
        (?P<number>(?-i:(?=[A-Z\d -]{{0,9}}[A-Z])(?=[A-ZÄÖÜ -]{{0,6}}\d)
          [A-ZÄÖÜ\d]{{1,4}}(?:[ -]?[A-Z\d]{{1,4}}){{1,3}}))(?![\w-])""",
    re.VERBOSE | re.IGNORECASE,
)
_may_name_plate = contains_any(
    *("plate", "kennzeichen", "kenteken", "immatric", "placa", "targa", "rejestr", "spz"),
    *("vehicle reg", "registration", "reg no", "reg number", "reg mark", "plaka", "rekisteri"),
)


def find_labelled_numbers(text: str) -> Iterator[Span]:
    """Dates of birth, and such numbers; the words before them are not part of the spans."""
    if _may_hold_birth_date(text):
        for found in _BIRTH_DATE.finditer(text):
            yield Span(*found.span("date"), BIRTH_DATE)
    if _may_name_number(text):
        for found in _PERSON_NUMBER.finditer(text):
            yield Span(*found.span("number"), PERSON_NUMBER)
    if _may_name_plate(text):
        for found in _PLATE.finditer(text):
            yield Span(*found.span("number"), PLATE)
