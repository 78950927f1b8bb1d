"""National identity, tax and insurance numbers of persons.

Digits with a check digit are everywhere, so a number counts only if its check
digits are right and a word for it stands near.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from stdnum import luhn
from stdnum.ar import cuit
from stdnum.at import vnr
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cl import rut
from stdnum.cn import ric
from stdnum.cz import rc
from stdnum.de import idnr as steuer_id
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.il import idnr as teudat_zehut
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp, rfc
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import cc, nif
from stdnum.ro import cnp
from stdnum.ru import inn
from stdnum.se import personnummer
from stdnum.si import emso
from stdnum.tr import tckimlik
from stdnum.za import idnr as south_african

from tocsin.admission.detectors.spans import Span
from tocsin.admission.detectors.text_search import is_single_word
from tocsin.admission.lazy_patterns import compile_lazily

NATIONAL_ID = "national identity number"
HAS_FOUR_DIGITS = compile_lazily(r"\d(?:\D*\d){3}")
"""True for every text with such a number; the shortest ones have four digits."""

_LONGEST_ABBREVIATION = 4
"""A word of at most this many letters may be written with dots: `D.N.I.`."""
_CHARACTERS_BEFORE, _CHARACTERS_AFTER = 40, 16
_WORD = compile_lazily(r"[^\W\d_]+")
_NO_LETTERS_TO_BLANKS = {code: " " for code in range(128) if not chr(code).isalpha()}


class _Identifier(NamedTuple):
    """One country's number."""

    form: re.Pattern[str]
    is_valid: Callable[[str], bool]
    words: re.Pattern[str]
    """The name that people use for it."""
    first_words: frozenset[str]
    """The first word of each phrase in lower case, for a cheap check before `words`."""
    label_words: frozenset[str]
    """All words of the phrases in lower case."""


def _identifier(form: str, is_valid: Callable[[str], bool], phrases: str) -> _Identifier:
    """A kind of number by its form, its check and, separated by `|`, what people call it."""
    whole = compile_lazily(rf"(?<![\w./:=-])(?:{form})(?![\w/:=]|[.-]\w)", re.IGNORECASE)
    words = "|".join(map(_phrase_pattern, phrases.split("|")))
    first = frozenset(_WORD.match(each)[0] for each in phrases.split("|"))  # type: ignore[index]
    first |= frozenset(each.replace(" ", "") for each in phrases.split("|"))
    labelled = compile_lazily(rf"(?<!\w)(?:{words})(?![a-z])", re.IGNORECASE)
    return _Identifier(whole, is_valid, labelled, first, frozenset(_WORD.findall(phrases)))


def _phrase_pattern(phrase: str) -> str:
    """A pattern for a phrase: its words apart, joined or hyphened, and `DNI` as `D.N.I.`."""
    if len(phrase) <= _LONGEST_ABBREVIATION and phrase.isalpha():
        return r"\.?".join(phrase)
    return re.escape(phrase).replace(r"\ ", "[ -]?")


def _is_argentine_id(number: str) -> bool:
    """True for any seven or eight digits, because they have no check digit."""
    return len(number.replace(".", "")) in (7, 8)


def _is_british_insurance_number(number: str) -> bool:
    """True for letters that are issued, because there is no check digit to test."""
    return _BRITISH_INSURANCE.fullmatch(number.replace(" ", "").upper()) is not None


def _is_german_insurance_number(number: str) -> bool:
    """Check the check digit of a pension insurance number; its letter counts as two digits."""
    plain = number.replace(" ", "").upper()
    digits = plain[:8] + f"{ord(plain[8]) - 64:02d}" + plain[9:]
    products = (int(d) * w for d, w in zip(digits, _GERMAN_INSURANCE_WEIGHTS, strict=False))
    return sum(p // 10 + p % 10 for p in products) % 10 == int(plain[-1])


def _is_russian_insurance_number(number: str) -> bool:
    """Check the last two digits of a SNILS."""
    digits = [int(each) for each in number if each.isdigit()]
    total = sum(digit * weight for digit, weight in zip(digits, range(9, 0, -1), strict=False))
    return total % 101 % 100 == digits[9] * 10 + digits[10]


_GERMAN_INSURANCE_WEIGHTS = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
_BRITISH_INSURANCE = compile_lazily(
    r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]"
)
_ANY_ID = "national id|national identity|id card|identity card|personal id"

_IDENTIFIERS = (
    _identifier(
        r"[a-z]{2}(?: ?\d\d){3} ?[a-d]",
        _is_british_insurance_number,
        "national insurance|nino|ni number|ni no",
    ),
    _identifier(r"\d{3}[ -]?\d{3}[ -]?\d{4}", nhs.is_valid, "nhs"),
    _identifier(
        r"\d{2} ?\d{3} ?\d{3} ?\d{3}",
        steuer_id.is_valid,
        "steuer id|steueridentifikationsnummer|steuernummer|idnr|tin|tax id",
    ),
    _identifier(
        r"[1-478] ?\d\d ?\d\d ?(?:\d\d|2[ab]) ?\d{3} ?\d{3} ?\d\d",
        nir.is_valid,
        "nir|insee|sécu|sécurité sociale|securite sociale|social security",
    ),
    _identifier(r"\d{8}-?[a-z]", dni.is_valid, f"dni|nif|documento nacional|{_ANY_ID}"),
    _identifier(r"[xyz]-?\d{7}-?[a-z]", nie.is_valid, f"nie|nif|{_ANY_ID}"),
    _identifier(
        r"[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]",
        codicefiscale.is_valid,
        "codice fiscale|cod fiscale|cf|tax code|fiscal code",
    ),
    _identifier(
        r"\d{9}|\d{4}[ .]\d\d[ .]\d{3}", bsn.is_valid, "bsn|burgerservicenummer|sofinummer"
    ),
    _identifier(
        r"\d\d[. ]?\d\d[. ]?\d\d[- ]?\d{3}[. ]?\d\d",
        nn.is_valid,
        "rijksregister|rijksregisternummer|rrn|insz|niss|numéro national|registre national"
        "|national number",
    ),
    _identifier(
        r"\d{6}(?:\d\d)?[-+]?\d{4}",
        personnummer.is_valid,
        "personnummer|pnr|personnr|personal number|personal identity",
    ),
    _identifier(
        r"\d{6} ?\d{5}",
        fodselsnummer.is_valid,
        "fødselsnummer|fodselsnummer|personnummer|fnr|personnr",
    ),
    _identifier(r"\d{6}-?\d{4}", cpr.is_valid, "cpr"),
    _identifier(r"\d{6}[-+a-f]\d{3}[\dA-Z]", hetu.is_valid, f"hetu|henkilötunnus|{_ANY_ID}"),
    _identifier(r"\d{11}", pesel.is_valid, "pesel"),
    _identifier(r"\d{13}", cnp.is_valid, "cnp|cod numeric personal"),
    _identifier(r"\d{10}", egn.is_valid, "egn|егн"),
    _identifier(r"\d{11}", oib.is_valid, "oib"),
    _identifier(r"\d{11}", ik.is_valid, "isikukood|asmens kodas"),
    _identifier(r"\d{11}", amka.is_valid, "amka|αμκα"),
    _identifier(r"\d{6}/?\d{3,4}", rc.is_valid, "rodné číslo|rodne cislo|rč"),
    _identifier(r"\d{7}[a-w][a-w]?", pps.is_valid, "pps|ppsn"),
    _identifier(r"756\.?\d{4}\.?\d{4}\.?\d\d", ahv.is_valid, "ahv|avs|social security"),
    _identifier(r"[1-9]\d{10}", tckimlik.is_valid, "tc kimlik|tckn|kimlik"),
    _identifier(r"\d{9}", teudat_zehut.is_valid, "teudat zehut|israeli id|תעודת זהות"),
    _identifier(r"\d{3}[ -]?\d{3}[ -]?\d{3}", sin.is_valid, "sin number|sin no|social insurance"),
    _identifier(r"\d{3}[ -]\d{3}[ -]\d{3}", sin.is_valid, "sin"),
    _identifier(r"\d{3} ?\d{3} ?\d{2,3}", tfn.is_valid, "tfn|tax file"),
    _identifier(r"\d{3}\.?\d{3}\.?\d{3}-?\d\d", cpf.is_valid, "cpf"),
    _identifier(r"[a-z]{4}\d{6}[hm][a-z]{5}[a-z0-9]\d", curp.is_valid, "curp"),
    _identifier(r"[a-z&ñ]{4}-?\d{6}-?[a-z\d]{3}", rfc.is_valid, "rfc"),
    _identifier(r"784-?\d{4}-?\d{7}-?\d", luhn.is_valid, "emirates id|eid"),
    _identifier(r"\d{4}[ -]?\d{4}[ -]?\d{4}", aadhaar.is_valid, "aadhaar|aadhar|uidai"),
    _identifier(r"[a-z]{5}\d{4}[a-z]", pan.is_valid, "pan|permanent account"),
    _identifier(r"\d{4} ?\d{6}", vnr.is_valid, "svnr|sv nummer|sozialversicherungsnummer|svnummer"),
    _identifier(
        r"\d\d ?[0-3]\d[01]\d\d\d ?[a-z] ?\d{3}",
        _is_german_insurance_number,
        "sv nummer|svnr|svnummer|sozialversicherungsnummer|rentenversicherungsnummer|rvnr"
        "|versicherungsnummer",
    ),
    _identifier(
        r"\d{3} ?\d{3} ?\d{3}", nif.is_valid, "nif|contribuinte|número fiscal|numero fiscal"
    ),
    _identifier(
        r"\d{8} ?\d ?[a-z0-9]{2}\d",
        cc.is_valid,
        "cartão de cidadão|cartao de cidadao|bilhete de identidade",
    ),
    _identifier(r"\d{1,2}\.?\d{3}\.?\d{3}-?[\dk]", rut.is_valid, "rut"),
    _identifier(r"\d\d-?\d{8}-?\d", cuit.is_valid, "cuit|cuil"),
    _identifier(r"\d{1,2}\.\d{3}\.\d{3}", _is_argentine_id, "dni"),
    _identifier(r"\d{13}", emso.is_valid, "emšo|emso|jmbg|matični broj|maticni broj"),
    _identifier(r"\d{12}", inn.is_valid, "инн|inn"),
    _identifier(r"\d{3}-?\d{3}-?\d{3}[ -]?\d\d", _is_russian_insurance_number, "снилс|snils"),
    _identifier(r"\d{17}[\dx]", ric.is_valid, f"{_ANY_ID}|resident id|身份证"),
    _identifier(r"\d{6}-?\d{7}", rrn.is_valid, f"rrn|resident registration|주민등록번호|{_ANY_ID}"),
    _identifier(r"\d{13}", south_african.is_valid, f"south african id|rsa id|{_ANY_ID}"),
)
_FIRST_WORDS = frozenset().union(*(identifier.first_words for identifier in _IDENTIFIERS))
LABEL_WORDS = frozenset().union(*(identifier.label_words for identifier in _IDENTIFIERS))
"""The words of what people call these numbers, in lower case."""


def find_national_ids(text: str) -> Iterator[Span]:
    """Numbers of any of these countries with a word for them near."""
    # A number stands apart from the word for it, so a text of one word has none.
    if not HAS_FOUR_DIGITS.search(text) or is_single_word(text):
        return
    for identifier in _possible_identifiers(text):
        if not identifier.words.search(text):
            continue
        for found in identifier.form.finditer(text):
            start, end = found.span()
            before = text[max(0, start - _CHARACTERS_BEFORE) : start]
            after = text[end : end + _CHARACTERS_AFTER]
            labelled = any(map(identifier.words.search, (before, after)))
            if labelled and identifier.is_valid(found[0]):
                yield Span(start, end, NATIONAL_ID)


def _possible_identifiers(text: str) -> Iterable[_Identifier]:
    """The identifiers whose words may be in the text; all if it is not ASCII."""
    if not text.isascii():
        return _IDENTIFIERS
    plain = text.lower()
    words = _FIRST_WORDS.intersection(plain.translate(_NO_LETTERS_TO_BLANKS).split())
    if "." in plain:
        joined = plain.replace(".", "").translate(_NO_LETTERS_TO_BLANKS)
        words |= _FIRST_WORDS.intersection(joined.split())
    if not words:
        return ()
    return [each for each in _IDENTIFIERS if not each.first_words.isdisjoint(words)]
