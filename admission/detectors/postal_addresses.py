"""Postal addresses in a text: street, number and postcode together, and positions.

The forms are those of Europe and America.  Words for streets stand in
`words/streets_*.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import contains_any
from tocsin.admission.lazy_patterns import compile_lazily
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
_ADDRESS = compile_lazily(
    rf"""(?<![\w./-])(?:
        \d{{1,6}}[A-Z]?[ ](?:[NSEW]\.?[ ])?(?:{_NAME}[ ]){{1,4}}{_ENGLISH}\b\.?
          (?:[ ][NSEW]{{1,2}}\b\.?)?{_FLAT}
          (?:(?:{_GAP}|[ ]){_CITY}){{1,2}}(?:{_GAP}|[ ])
          (?:{_STATE}[ ,]{{1,2}}{_AMERICAN_CODE}|{_BRITISH_CODE})
      | (?:{_NAME}[ ]){{0,2}}{_NAME}[ -]?{_GERMANIC}[ ]{_NUMBER}
          {_GAP}(?:[A-Z]{{1,2}}-)?(?:\d{{4,5}}|\d{{4}}[ ]?[A-Z]{{2}}|\d{{3}}[ ]\d\d)[ ]{_CITY}
      | {_NUMBER},?[ ](?i:bis[ ]|ter[ ])?{_FRENCH}[ ][\wà-ÿ'’ -]{{2,50}}
          {_GAP}\d{{5}}[ ]{_CITY}
      | {_FRENCH}[ ](?:[\wà-ÿ'’-]{{1,30}}[ ]){{1,5}}{_NUMBER}
          {_GAP}(?:[A-Z]{{1,2}}-)?\d{{4,5}}[ ]{_CITY}
      | {_ROMANCE_OR_SLAVIC}[ ](?:[\wà-ÿ.'’]{{1,30}}[ ]?){{1,4}}[ ,]{{1,2}}(?:n[º°.]?[ ]?)?{_NUMBER}
          {_GAP}(?:[\w ºª]{{1,12}}{_GAP})?(?:\d{{5}}|\d{{4}}-\d{{3}}|\d\d-\d{{3}})[ ]{_CITY}
    )(?!\w)""",
    re.VERBOSE,
)
_MILITARY = compile_lazily(
    r"""(?<![\w-])(?:(?:PSC|CMR|Unit|UNIT|OMC|RR)\ {0,2}\#?\d{1,5}[ ,\r\n]{1,4}
          (?:P\.?O\.?\ )?Box\ \#?\w{1,6}
        |(?:USNS|USS|USCGC|USNV|HMS)\ [^\s,][^\r\n,;]{1,40}
        |(?:Box|BOX)\ \d{1,6})
      [ ,\r\n>]{1,6}(?:[AFD]PO)[ ,]{1,2}A[AEP][ ,]{1,2}\d{5}(?:-\d{4})?(?!\w)
    | (?<![\w-])[AFD]PO[ ,]{1,2}A[AEP][ ,]{1,2}\d{5}(?:-\d{4})?(?!\w)
    | (?<![\w-])BFPO\ \d{1,4}(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""Addresses of the armed forces: `PSC 1437, Box 3833, APO AA 66791`, `BFPO 58`."""
_WITH_FLAT = compile_lazily(
    r"""(?<![\w./:-])\d{1,6}[A-Z]?(?:\ [^\s,;:<>@]{1,30}){1,6}[ ]?,?(?:\r?\n[>? \t]{0,8}|\ )
      (?:Apt\.|Suite|Apartment)\ \#?\d{1,5}[A-Z]?(?!\w)
      (?:[ ,]{0,2}(?:\r?\n[>? \t]{0,8}){1,2},?\ ?[A-ZÀ-Þ][^\s\d,;:<>@][^\r\n\d:<>@]{0,40}){0,4}
      (?:[ ,\r\n]{0,4}\d{4,6}(?:-\d{4})?(?!\w))?""",
    re.VERBOSE,
)
"""Street and number, flat, and the lines below: town, country, postcode."""
_POSTCODE = compile_lazily(r"\d{4}|\d[A-Z]{2}\b|\d{3} \d\d\b|\d\d-\d{3}\b")
_ANNOUNCED = compile_lazily(
    r"""\b(?i:(?:home|billing|postal|mailing|street|residential|delivery|shipping)\ address
          (?:\ is|\ ?[:=])
      | (?:lives?|living|resid(?:es?|ing))\ at | wohnhaft\ in | domicili[ée]e?\ (?:au|à))
    \s{1,4}(?P<where>[^\r\n;<>@\[\]]{6,90}
      (?:\r?\n[ \t]{1,8}[^\s<>@\[\]][^\r\n<>@\[\]]{1,60}){0,4})""",
    re.VERBOSE,
)
_STATED = compile_lazily(
    rf"""(?:\b(?i:(?:home|billing|postal|mailing|residential|delivery|shipping|private|primary)
          \ address
          (?:\ (?:to|with|at|as|in|of\ record))?
        |(?:lives?|lived|living|resid(?:es?|ing))\ (?:in|on|at) | (?:wohnt|wohnhaft)\ in(?:\ der)?
        |(?:Liefer|Rechnungs|Privat|Post|Wohn)(?:adresse|anschrift)\ ?[:=]?
        |adresse\ (?:de\ facturation|postale|de\ livraison|priv[ée]e)\ ?[:=]?
        |(?:dirección|domicilio|indirizzo|endereço|adres|adresa)\ ?[:=]
        |(?:habite|vive\ en|abita\ in|woont\ (?:op|in|aan)))\s{{1,4}}
      | ^[^\w\r\n]{{0,8}}(?i:address|adresse|anschrift)\ ?[:=]\s{{1,8}})
      (?P<where>(?=\d{{1,6}}[A-Z]?,?\ (?:[A-ZÀ-Þ\d]|(?i:{_FRENCH}|{_ROMANCE_OR_SLAVIC})\b)
          |[A-ZÀ-Þ][^\r\n\d;:<>@=]{{2,40}}\ \#?\d{{1,5}}\b)
        (?!\S{{0,20}}\ ?(?:port|version|v\d|page|section|0x))
        [^\r\n;<>@=?!]{{4,70}}(?<![\ ,])
        (?:[ ,]{{0,2}}(?:\r?\n[ \t>]{{0,8}}){{1,2}},?\ ?(?:(?i:[AFD]PO\b)|[A-ZÀ-Þ]|\d{{4,6}}\b)
          [^\r\n:;<>@.?!=]{{0,40}}){{0,4}})""",
    re.VERBOSE | re.MULTILINE,
)
"""An address by the words before it and by its number, with the lines below."""
_POSITION = compile_lazily(
    r"""(?<!\w)(?:gps|coordinates?|coords?|koordinaten|coordonn[ée]es|coordenadas|coordinat[ea]|współrzędne
          |souřadnice)(?:[ ](?![\d+-])[a-z]{2,12}){0,5}[ ]?[:=(]?[ ]{0,2}
        (?P<where>(?:lat\w{0,6}[ :=]{1,3})?[+-]?\d{1,2}[.,]\d{3,12}°?[ ]?[NS]?[ ,;/]{1,3}
          (?:lon\w{0,6}[ :=]{1,3})?[+-]?\d{1,3}[.,]\d{3,12}°?(?:[ ]?[EOW]\b)?
        | [NS]?[ ]?\d{1,2}°[ ]?\d{1,2}[.,]?\d{0,6}['′][^\r\nA-Z]{0,10}[NS]?[ ,]{0,3}
          [EOW]?[ ]?\d{1,3}°[ ]?\d{1,2}[.,]?\d{0,6}['′](?:[ ]?[\d.]{1,8}["″])?[ ]?[EOW]?)(?!\w)""",
    re.VERBOSE | re.IGNORECASE,
)
"""Where a person or a device is: `GPS 48.1372, 11.5756`."""
_may_hold_position = contains_any("gps", "coord", "koord", "wsp", "adnice")
_STREET_NUMBER = compile_lazily(r"(?<![\w.:/-])#?\d{1,6}[A-Za-z]?(?![\w:/]|\.\d)")
_may_state_address = contains_any(
    *("address", "adres", "indirizzo", "anschrift", "direcc", "domicilio", "endere", "live"),
    *("living", "resid", "wohn", "habite", "vive", "abita", "woont"),
)
_may_announce_address = contains_any(" address", "live", "living", "resid", "wohnhaft", "domicili")


def find_postal_addresses(text: str) -> Iterator[Span]:
    """Street, number and postcode together, behind words such as `lives at`, and positions."""
    if " " not in text:  # every match has one
        return
    for pattern, may_match in _WHOLE_ADDRESSES:
        for found in pattern.finditer(text) if may_match(text) else ():
            yield Span(*found.span(), POSTAL_ADDRESS)
    for found in _POSITION.finditer(text) if _may_hold_position(text) else ():
        yield Span(*found.span("where"), POSTAL_ADDRESS)
    for pattern, may_match, is_address in _BEHIND_WORDS:
        for found in pattern.finditer(text) if may_match(text) else ():
            if is_address(found["where"]):
                yield Span(*found.span("where"), POSTAL_ADDRESS)


def _has_flat(text: str) -> bool:
    return "Apt." in text or "Suite " in text or "Apartment " in text


def _has_number_and_capital(where: str) -> bool:
    return any(c.isdigit() for c in where) and any(c.isupper() for c in where)


def _has_street_number(where: str) -> bool:
    return _STREET_NUMBER.search(where) is not None and "[removed: " not in where


_WHOLE_ADDRESSES: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (_ADDRESS, _POSTCODE.search),
    (_MILITARY, contains_any("apo", "fpo", "dpo")),
    (_WITH_FLAT, _has_flat),
)
"""Patterns of addresses, each with a cheap question whether the text may match."""
_BEHIND_WORDS = (
    (_ANNOUNCED, _may_announce_address, _has_number_and_capital),
    (_STATED, _may_state_address, _has_street_number),
)
"""Patterns of addresses behind words: with a cheap question, and a test for the words found."""
