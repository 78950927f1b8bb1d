"""Where a text says where somebody lives: street, number and postcode together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tocsin.admission.detectors.terms import among
from tocsin.admission.masking import Span

ADDRESS = "postal address"

_NUMBER = r"\d{1,5}(?:[ -]?[a-zA-Z])?(?:[-/]\d{1,4})?"
_CITY = r"[A-ZÀ-Þ][\wà-ÿ.'’-]{1,30}(?:[ -][A-Za-zÀ-Þà-ÿ.'’-]{2,30}){0,3}"
_NAMED = r"[A-ZÀ-Þ][\wà-ÿ.'’-]{0,30}"
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI"
    r"|S[CD]|T[NX]|UT|V[AT]|W[AIVY]|ON|QC|BC|AB|MB|NSW|VIC|QLD|SA|TAS|ACT)"
)
_ENGLISH = (
    r"(?i:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|square|sq"
    r"|terrace|place|pl|parkway|pkwy|highway|hwy|way|close|crescent|row|circle|cir)"
)
_GERMANIC = (
    r"(?i:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|ring|ufer|damm|straat|laan|gracht|plein"
    r"|vej|gatan|gade)"
)
_FRENCH = r"(?i:rue|avenue|boulevard|place|chemin|all[ée]e|quai|impasse|cours|route)"
_LATIN = (
    r"(?i:calle|avenida|avda\.|paseo|plaza|carrer|via|viale|piazza|corso|rua|travessa|ulica|ul\.)"
)
_AMERICAN_CODE = r"(?:\d{5}(?:-\d{4})?|[A-Z]\d[A-Z][ ]?\d[A-Z]\d|\d{4})"
_BRITISH_CODE = r"[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}"
_GAP = r"[ ]?[,\r\n;][ \r\n]{0,3}"
_FLAT = rf"(?:(?:{_GAP}|[ ])(?:(?i:apt|suite|ste|unit|floor|flat|room)\.?[ ]|\#)[\w-]{{1,8}})?"
_ADDRESSES = re.compile(
    rf"""(?<![\w./-])(?:
        \d{{1,6}}[A-Z]?[ ](?:[NSEW]\.?[ ])?(?:{_NAMED}[ ]){{1,4}}{_ENGLISH}\b\.?{_FLAT}
          (?:(?:{_GAP}|[ ]){_CITY}){{1,2}}(?:{_GAP}|[ ])
          (?:{_STATE}[ ,]{{1,2}}{_AMERICAN_CODE}|{_BRITISH_CODE})
      | (?:{_NAMED}[ ]){{0,2}}{_NAMED}{_GERMANIC}[ ]{_NUMBER}
          {_GAP}(?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}|\d{{4}}[ ]?[A-Z]{{2}}|\d{{3}}[ ]\d\d)[ ]{_CITY}
      | {_NUMBER},?[ ](?i:bis[ ]|ter[ ])?{_FRENCH}[ ][\wà-ÿ'’ -]{{2,50}}
          {_GAP}\d{{5}}[ ]{_CITY}
      | {_LATIN}[ ](?:[\wà-ÿ.'’]{{1,30}}[ ]?){{1,4}}[ ,]{{1,2}}(?:n[º°.]?[ ]?)?{_NUMBER}
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


_may_announce = among(" address", "live", "living", "resid", "wohnhaft", "domicili")


def postal(text: str) -> Iterator[Span]:
    """Street, number and postcode together, as written in Europe and America.

    After words such as `lives at`, whatever has a number and a name.
    """
    if " " not in text:  # each of them has one
        return
    if _POSTCODE.search(text):
        for found in _ADDRESSES.finditer(text):
            yield Span(*found.span(), ADDRESS)
    if not _may_announce(text):
        return
    for found in _ANNOUNCED.finditer(text):
        where = found["where"]
        if any(c.isdigit() for c in where) and any(c.isupper() for c in where):
            yield Span(*found.span("where"), ADDRESS)
