"""Postal addresses in a text: street, number and postcode together.

The forms are those of Europe and America.  Words for streets stand in
`words/streets_*.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.word_lists import load_alternation

POSTAL_ADDRESS = "postal address"

_NUMBER = r"\d{1,5}(?:[ -]?[a-zA-Z])?(?:[-/]\d{1,4})?"
_CITY = r"[A-ZÀ-Þ][\wà-ÿ.'’-]{1,30}(?:[ -][A-Za-zÀ-Þà-ÿ.'’-]{2,30}){0,3}"
_NAME = r"[A-ZÀ-Þ][\wà-ÿ.'’-]{0,30}"
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI"
    r"|S[CD]|T[NX]|UT|V[AT]|W[AIVY]|ON|QC|BC|AB|MB|NSW|VIC|QLD|SA|TAS|ACT)"
)
_ENGLISH = f"(?i:{load_alternation(__package__, 'streets_english')})"
_GERMANIC = f"(?i:{load_alternation(__package__, 'streets_germanic')})"
_FRENCH = f"(?i:{load_alternation(__package__, 'streets_french')})"
_ROMANCE_OR_SLAVIC = f"(?i:{load_alternation(__package__, 'streets_romance_slavic')})"
_AMERICAN_CODE = r"(?:\d{5}(?:-\d{4})?|[A-Z]\d[A-Z][ ]?\d[A-Z]\d|\d{4})"
_BRITISH_CODE = r"[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}"
_GAP = r"[ ]?[,\r\n;][ \r\n]{0,3}"
_FLAT = rf"(?:(?:{_GAP}|[ ])(?:(?i:apt|suite|ste|unit|floor|flat|room)\.?[ ]|\#)[\w-]{{1,8}})?"
_ADDRESS = re.compile(
    rf"""(?<![\w./-])(?:
        \d{{1,6}}[A-Z]?[ ](?:[NSEW]\.?[ ])?(?:{_NAME}[ ]){{1,4}}{_ENGLISH}\b\.?{_FLAT}
          (?:(?:{_GAP}|[ ]){_CITY}){{1,2}}(?:{_GAP}|[ ])
          (?:{_STATE}[ ,]{{1,2}}{_AMERICAN_CODE}|{_BRITISH_CODE})
      | (?:{_NAME}[ ]){{0,2}}{_NAME}{_GERMANIC}[ ]{_NUMBER}
          {_GAP}(?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}|\d{{4}}[ ]?[A-Z]{{2}}|\d{{3}}[ ]\d\d)[ ]{_CITY}
      | {_NUMBER},?[ ](?i:bis[ ]|ter[ ])?{_FRENCH}[ ][\wà-ÿ'’ -]{{2,50}}
          {_GAP}\d{{5}}[ ]{_CITY}
      | {_ROMANCE_OR_SLAVIC}[ ](?:[\wà-ÿ.'’]{{1,30}}[ ]?){{1,4}}[ ,]{{1,2}}(?:n[º°.]?[ ]?)?{_NUMBER}
          {_GAP}(?:[\w ºª]{{1,12}}{_GAP})?(?:\d{{5}}|\d{{4}}-\d{{3}}|\d\d-\d{{3}})[ ]{_CITY}
    )(?!\w)""",
    re.VERBOSE,
)
_POSTCODE = re.compile(r"\d{4}|\d[A-Z]{2}\b|\d{3} \d\d\b")
_ANNOUNCED = re.compile(
    r"""\b(?i:(?:home|billing|postal|mailing|street|residential|delivery|shipping)\ address
          (?:\ is|\ ?[:=])
      | (?:lives?|living|resid(?:es?|ing))\ at | wohnhaft\ in | domicili[ée]e?\ (?:au|à))
    \s{1,4}(?P<where>[^\r\n;<>@\[\]]{6,90}
      (?:\r?\n[ \t]{1,8}[^\s<>@\[\]][^\r\n<>@\[\]]{1,60}){0,4})""",
    re.VERBOSE,
)
_may_announce_address = contains_any(" address", "live", "living", "resid", "wohnhaft", "domicili")


def find_postal_addresses(text: str) -> Iterator[Span]:
    """Street, number and postcode together; behind `lives at` any text with number and name."""
    if " " not in text:  # every match has one
        return
    if _POSTCODE.search(text):
        for found in _ADDRESS.finditer(text):
            yield Span(*found.span(), POSTAL_ADDRESS)
    if not _may_announce_address(text):
        return
    for found in _ANNOUNCED.finditer(text):
        where = found["where"]
        if any(c.isdigit() for c in where) and any(c.isupper() for c in where):
            yield Span(*found.span("where"), POSTAL_ADDRESS)
