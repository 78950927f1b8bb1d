"""Dates of birth and numbers of patients, right behind the word for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any

BIRTH_DATE = "date of birth"
PATIENT_NUMBER = "patient's number"

_MONTH = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]{0,6}"
_DATE = rf"""(?:\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}
    |\d{{1,2}}[-/.]\ ?\d{{1,2}}[-/.]\ ?(?:\d{{4}}|\d\d)
    |\d{{1,2}}\.?\ {_MONTH}\.?,?\ \d{{4}}|{_MONTH}\ \d{{1,2}},?\ \d{{4}})"""
_BIRTH_DATE = re.compile(
    rf"""(?<!\w)(?:d\.?o\.?b\.?|birth[ -]?date|date\ of\ birth|born(?:\ on)?|geburtsdatum|geb\.
        |geboren(?:\ am)?|née?\ le|date\ de\ naissance|fecha\ de\ nacimiento|data\ di\ nascita)
        ["']?\s{{0,2}}[:=]?\s{{0,3}}["']?(?P<date>{_DATE})(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_hold_birth_date = contains_any(
    "dob", "d.o.b", "birth", "born", "geb", "naissance", "nac", "né", "nasc"
)
_PATIENT = re.compile(
    r"""(?<!\w)(?:mrn|medical\ record(?:\ (?:number|no\.?))?|patient(?:\ (?:id|mrn|number|no\.?))
        |patient(?:en)?-?(?:id|nummer|nr\.?))
        \s?[:=\#]?\s{0,2}(?P<number>[a-z]{0,3}-?\d{5,12})(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
_may_name_patient = contains_any("mrn", "medical record", "patient")


def find_birth_dates(text: str) -> Iterator[Span]:
    """Dates of birth, and numbers of patients; the words before them are not part of the spans."""
    if _may_hold_birth_date(text):
        for found in _BIRTH_DATE.finditer(text):
            yield Span(*found.span("date"), BIRTH_DATE)
    if _may_name_patient(text):
        for found in _PATIENT.finditer(text):
            yield Span(*found.span("number"), PATIENT_NUMBER)
