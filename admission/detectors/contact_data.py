"""Where personal data stands in a text: addresses, telephones, cards, accounts, SSNs.

Numbers are everywhere in texts about attacks, so a number counts only if its
form, its check digits or the words around it say what it is, and never where
it is part of an indicator: a URL, an address, a hash, a time, a version.

The words that people write beside a telephone number, in the languages of partners.

A strong word makes any number beside it a telephone's; a weak one only a number
that is written in groups as telephone numbers are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    NumberParseException,
    is_valid_number,
    parse,
)
from stdnum import iban, luhn
from stdnum.us import ssn

from tocsin.admission.detectors import partial_numbers
from tocsin.admission.detectors.terms import DOT
from tocsin.admission.masking import Span, Zones

_STRONG = (
    r"(?:tele)?phon(?:es?|ed|ing)|(?:tele)?fax\w{0,7}|tel|mobiles?|mob|cell|cellphone|whatsapp|sms"
    r"|hotline|helpline|voicemail"
    # German
    r"|telefon(?!ica\b)\w{0,12}|fon|fernsprecher|festnetz\w{0,7}|(?:dienst|firmen|privat)?handy\w{0,7}|natel"
    r"|mobil(?:nummer|nr|telefon\w{0,7}|funk\w{0,7})?|rufnummer|rufnr|durchwahl"
    # French, Spanish, Italian, Portuguese
    r"|t[ée]l|t[ée]l[ée]phon\w{1,7}|t[ée]l[ée]copie|gsm|tel[eé]f[oó]n(?!ica\b)\w{1,6}|tl[fm]|tfno?"
    r"|m[oó]vil|cel|celular|cellulare|telem[oó]vel|fone"
    # Dutch, Finnish, Polish
    r"|telefoon\w{0,8}|mobiel|puh|(?:matka)?puhelin\w{0,7}|kom[oó]rk\w{1,6}"
    # Cyrillic, Greek, Hebrew, Arabic
    r"|тел|телефон\w{0,4}|моб|мобильн\w{1,4}|мобільн\w{1,4}|τηλ|τηλ[εέ]φων\w{1,3}|κινητ[οό]"
    r"|טלפון|נייד|هاتف|جوال|موبايل"
)
_WITHOUT_BLANKS = "電話|电话|手机|手機|携帯|연락처|전화번호|휴대폰|핸드폰"
_WEAK = (
    r"call(?:s|ed|ing|er)?|dial(?:led|ing)?|reach|contact|desk|office|home|direct|text|ring|rang"
    r"|messages?|landline|extension|ph"
    # German, French
    r"|anruf\w{0,4}|anzurufen|angerufen|rückruf|zurückrufen|erreichbar|kontakt"
    r"|joignable|joindre|appel(?:er|ez|[ée]e?)?|contacter|portable|fixe|standard"
    # Spanish, Italian, Portuguese
    r"|llam(?:ar|e|[oó]|adas?)|contactar|contacto|fijo|chiam(?:are|at[oaie]|a|i)|recapito|contatto"
    r"|fisso|ligar|ligue|ligou|contato"
    # Dutch, Scandinavian, Polish, Turkish, Russian
    r"|bellen|gebeld|bereikbaar|ringa|ringde|ringte|zadzwo[nń]\w{0,4}|dzwoni[cć]|kom|cep"
    r"|позвон\w{1,6}|звон\w{1,6}|дзвон\w{1,6}"
)

STRONG = re.compile(rf"\b(?:{_STRONG})\b|{_WITHOUT_BLANKS}", re.IGNORECASE)
WEAK = re.compile(rf"\b(?:{_WEAK})\b", re.IGNORECASE)
SIGNED = re.compile(r"(?:^|[\s|,;/·•])[TMPF](?:[.:]|\s?\|)?\s{1,2}\(?\Z")
"""In a signature: `T 0641 9327`, `M: 0171 4432190`; right before the number."""


EMAIL = "e-mail address"
PHONE = "telephone number"
CARD = "payment card number"
IBAN = "IBAN"
SSN = "US social security number"

_AT = r"(?:@|%40|\s{0,2}[\[({]\s?(?:at|@)\s?[\])}]\s{0,2})"
_EMAIL = re.compile(
    rf"(?<![^\W_])[^\W_](?:[\w.+%'-]|\[\.\]|\(\.\)|[\[({{]dot[\])}}]|\#EXT\#"
    rf"|=(?=[\w-]{{1,63}}\.[\w.-]{{2,80}}@)){{0,127}}{_AT}"
    rf"(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?{DOT}){{1,8}}[^\W\d_][\w-]{{1,62}}",
    re.IGNORECASE,
)
"""`#EXT#` marks a guest in somebody's tenant; `=` stands for the @ of whoever gets a bounce."""
_SPOKEN = re.compile(
    r"(?<![\w.+-])[a-z0-9][a-z0-9._+-]{0,63} at [a-z0-9-]{1,63}(?: dot [a-z0-9-]{1,63}){1,6}\b",
    re.IGNORECASE,
)
"""`jane at bank dot test`, as readers of texts understand it too."""
_DEFANGED = re.compile(rf"({_AT})|{DOT}", re.IGNORECASE)
_BRACKETED_AT = re.compile(r"[\[({]\s?at\s?[\])}]")
_NOT_MAIL = re.compile(r"@\dx\.(?:png|jpe?g|gif|svg|webp)", re.IGNORECASE)

_INDICATOR = re.compile(
    r"""\b[a-z][a-z0-9+.-]{1,12}(?:://|\[:\]//|:\\\\)[^\s<>"]+     # URL
      | (?<![\w.])(?:\d{1,3}(?:\.|\[\.\]|\(\.\))){3}\d{1,3}(?!\.?\d)(?:[:/]\d+)?   # IPv4
      | \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b               # UUID
      | \b\d{4}[-/.]\d\d?[-/.]\d\d?(?:[T ]\d\d?:\d\d(?::\d\d)?(?:\.\d+)?)?  # date, time
      | \b\d\d?[-/.]\d\d?[-/.](?:19|20)\d\d\b
      | \b\d\d?:\d\d(?::\d\d)?(?:\.\d{1,9})?\b
      | \b(?:CVE|CWE|KB|MS|GHSA|RFC|ISO|NIST|SP|RHSA|DSA|AA)[- ]?\d[\d-]*
      | \bT[AS]?-?\d[\d-]*                                             # ATT&CK
      | \b(?!\d\d(?:\.\d\d){4}\b)\d+(?:\.\d+){4,}\b                    # OID, long version
      | \bv(?:er(?:sion)?)?\.?\s?\d+(?:[.\-]\d+)+                     # version
      | \b(?:[0-9a-f]{1,4}:){3,8}[0-9a-f:]{1,40}                      # IPv6, MAC
      | (?<![\w.-])[\w-]{1,63}(?:(?:\.|\[\.\])[\w-]{1,63}){0,9}(?:\.|\[\.\])[a-z]{2,24}(?![\w-])""",
    re.VERBOSE | re.IGNORECASE,
)

_CARD = re.compile(r"\d(?<![\w.,:/=&+-]\d)(?:[ -]?\d){11,18}(?![\w%]|[.,:-]\d)")
_ISSUERS = re.compile(
    r"""4(?:\d{12}|\d{15}|\d{18})                                            # Visa
      | (?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}        # Mastercard
      | 3[47]\d{13}                                                           # American Express
      | 3(?:0[0-5]|095|[689]\d)\d{11,16}                                      # Diners Club
      | (?:6011|64[4-9]\d|65\d\d|62\d\d|81\d\d)\d{12,15}               # Discover, UnionPay, RuPay
      | (?:2131|1800)\d{11} | 35\d{14,17}                                     # JCB
      | (?:5018|502[0-9]|503[0-9]|5[6-8]\d\d|6304|67\d\d|639\d|0604)\d{8,15}  # Maestro
      | 220[0-4]\d{12,15} | 9792\d{12}                                        # Mir, Troy
    """,
    re.VERBOSE,
)
_CARD_IN_FOURS = re.compile(
    r"\d(?<![\w.,:/=&+-]\d)\d{3}([./])\d{4}\1\d{4}\1\d{4}(?![\w%/]|[.,:-]\d)"
)
_CARD_WORD = re.compile(
    r"\b(?:credit|debit|card|cc|visa|master\s?card|amex|american express|maestro|diners)\b",
    re.IGNORECASE,
)

_IBAN = re.compile(
    r"(?<![^\W_])[a-z]{2}\d\d(?:[ .-]?[a-z0-9]{4}){2,7}(?:[ .-]?[a-z0-9]{1,3})?(?![^\W_])",
    re.IGNORECASE,
)
_IBAN_WORD = re.compile(r"\b(?:iban|bank account|account number)\b", re.IGNORECASE)
_PART = re.compile(r"[ .-]?[a-z0-9]{1,4}$", re.IGNORECASE)
"""What goes of it step by step: in all letters that `_IBAN` takes for these, as U+0130, or none."""

_SSN = re.compile(r"\d(?<![\w./=-]\d)\d\d([-. ]?)\d\d\1\d{4}(?![\w/]|[.-]\w)")
_SSN_WORD = re.compile(r"\b(?:ssn|social security|taxpayer|tin|itin)\b", re.IGNORECASE)

_PHONE = re.compile(
    r"""[+(\d](?<![\w.:/@=\#$%&+-].)(?<!\d,.)(?:(?<=\+)\s?\d|(?<=\()\+?\d|(?<=\d))
        [\d() .\-/]{4,22}\d
        (?:\s?(?:x|ext\.?|extension)\s?\d{1,5})?(?![\w%@\\]|[.:,]\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_NO_PHONE = re.compile(r"(?:19|20)\d\d[-/. ]?[01]?\d[-/. ]?[0-3]?\d|\d{1,3}(?:\.\d{1,3}){3}")
"""A date or an IPv4 address: the commonest numbers, told apart cheaply."""
_EXTENSION = re.compile(r"\s?(?:x|ext)", re.IGNORECASE)
_DOTTED = ((3, 3, 4), (1, 3, 3, 4), (2, 2, 2, 2, 2))
"""Groups of the telephone numbers that are written with dots (North America, France)."""
_BEFORE, _AFTER = 32, 12
_LETTERS = re.compile(r"[^\W\d_]{2}")
"""What every word has; cheaper than looking for each."""
_FEWEST, _FEWEST_OF_IBAN = 7, 10
LONGEST = 40
"""More characters than any of them has without a blank or a sign in it."""
_RUN = re.compile(r"\d(?:[ ().\-/]{0,3}\d){6}")
"""What every number looked for begins with; far cheaper than looking for each."""
_HIDDEN = {CARD: partial_numbers.cards, SSN: partial_numbers.ssns, IBAN: partial_numbers.ibans}
_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))


def found(text: str, kinds: frozenset[str], regions: tuple[str, ...]) -> list[Span]:
    """Personal data of the kinds asked for, in a text of any length.

    `regions` are countries whose national telephone numbers are recognised by
    their form alone; international ones are recognised from everywhere.
    """
    spans: list[Span] = []
    if EMAIL in kinds and ("@" in text or _hides_an_at(text)):
        spans += _emails(text)
    if partial_numbers.maybe(text):
        spans += [
            Span(start, end, kind)
            for kind, find in _HIDDEN.items()
            if kind in kinds
            for start, end in find(text)
        ]
    digits = len(text) - len(text.translate(_NO_DIGITS))
    if IBAN in kinds and digits >= _FEWEST_OF_IBAN:
        spans += _ibans(text)
    if digits < _FEWEST or not _RUN.search(text):
        return spans
    indicators = _Indicators(text)
    if CARD in kinds:
        spans += _cards(text, indicators)
    if SSN in kinds:
        spans += _ssns(text, indicators)
    if PHONE in kinds:
        taken = Zones((span.start, span.end) for span in spans)
        phones = _phones(text, indicators, regions)
        spans += [span for span in phones if not taken.touch(span.start, span.end)]
    return spans


def _hides_an_at(text: str) -> bool:
    plain = text.lower()
    if "%40" in plain:
        return True
    return "at" in plain and (" dot " in plain or _BRACKETED_AT.search(plain) is not None)


def _emails(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text):
        if not _NOT_MAIL.search(match[0]):
            yield Span(*match.span(), EMAIL)
    if " dot " in text.lower():
        yield from (Span(*match.span(), EMAIL) for match in _SPOKEN.finditer(text))


class _Indicators:
    """The parts of a text that are indicators, found when first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._zones: Zones | None = None

    def touch(self, start: int, end: int) -> bool:
        if self._zones is None:
            self._zones = Zones(match.span() for match in _INDICATOR.finditer(self._text))
        return self._zones.touch(start, end)


def _near(word: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Whether the word stands shortly before a number, or right behind it."""
    beside = text[max(0, start - _BEFORE) : start], text[end : end + _AFTER]
    return any(_LETTERS.search(each) and word.search(each) for each in beside)


def _cards(text: str, indicators: _Indicators) -> Iterator[Span]:
    for match in chain(_CARD.finditer(text), _CARD_IN_FOURS.finditer(text)):
        digits = re.sub(r"\D", "", match[0])
        if indicators.touch(*match.span()) or len(set(digits)) < 2:
            continue
        right = luhn.is_valid(digits) and _ISSUERS.fullmatch(digits)
        if right or (len(digits) >= 13 and _near(_CARD_WORD, text, *match.span())):
            yield Span(*match.span(), CARD)


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        shorter = match[0]
        while len(shorter) >= 15 and not iban.is_valid(shorter, check_country=False):
            shorter = _PART.sub("", shorter)
        if len(shorter) >= 15:
            yield Span(match.start(), match.start() + len(shorter), IBAN)
        elif _IBAN_WORD.search(text[max(0, match.start() - _BEFORE) : match.start()]):
            yield Span(*match.span(), IBAN)


def _ssns(text: str, indicators: _Indicators) -> Iterator[Span]:
    for match in _SSN.finditer(text):
        if indicators.touch(*match.span()):
            continue
        named = _near(_SSN_WORD, text, *match.span())
        if named or (match[1] == "-" and ssn.is_valid(match[0])):
            yield Span(*match.span(), SSN)


def _phones(text: str, indicators: _Indicators, regions: tuple[str, ...]) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        start, end = match.span()
        number = _EXTENSION.split(match[0])[0]
        digits = sum(c.isdigit() for c in number)
        if not 7 <= digits <= 16 or _NO_PHONE.fullmatch(number) or indicators.touch(start, end):
            continue
        if _telephone(text, number, (start, end), regions):
            yield Span(start, end, PHONE)


def _telephone(text: str, number: str, place: tuple[int, int], regions: tuple[str, ...]) -> bool:
    """Whether a number is a telephone's: by its prefix, the words around it, or its plan."""
    groups = re.findall(r"\d+", number)
    if number.startswith("+") or (number.startswith("00") and len(groups) > 1):
        return _country_code("".join(groups).removeprefix("00"))
    if _near(STRONG, text, *place):
        return True
    if not _grouped(number, [len(group) for group in groups]):
        return False
    if SIGNED.search(text[max(0, place[0] - _BEFORE) : place[0]]):
        return True
    return _near(WEAK, text, *place) or _valid_in(number, groups, regions)


def _grouped(number: str, lengths: list[int]) -> bool:
    """Whether digits stand in groups as in a telephone number, not a version or a list."""
    if len(lengths) < 2 or max(lengths) > 8 or number.count("/") > 1:
        return False
    return "." not in number or tuple(lengths) in _DOTTED


def _country_code(digits: str) -> bool:
    return len(digits) >= 8 and any(
        int(digits[:length]) in COUNTRY_CODE_TO_REGION_CODE for length in (1, 2, 3)
    )


def _valid_in(number: str, groups: list[str], regions: tuple[str, ...]) -> bool:
    """Whether a grouped number is one of a region's plan; mere pairs of digits prove nothing."""
    if len(groups) < 3 and not number.startswith(("0", "(")):
        return False
    if max(map(len, groups)) < 3:
        return False
    for region in regions:
        try:
            if is_valid_number(parse(number, region)):
                return True
        except NumberParseException:
            continue
    return False


def plain(address: str) -> str:
    """An e-mail address without defanging, in lower case."""
    spoken = address.lower().replace(" at ", "@").replace(" dot ", ".")
    return _DEFANGED.sub(lambda m: "@" if m[1] else ".", spoken)
