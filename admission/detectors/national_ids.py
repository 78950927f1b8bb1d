"""National identity, tax and insurance numbers of persons.

Digits with a check digit are everywhere, so a number counts only if its check
digits are right and the word for it stands near.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

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
from stdnum.mx import curp
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

from tocsin.admission.detectors.identity_documents import papers
from tocsin.admission.detectors.terms import one_word
from tocsin.admission.masking import Span

NATIONAL = "national identity number"


class _Number(NamedTuple):
    """One country's number."""

    shape: re.Pattern[str]
    valid: Callable[[str], bool]
    words: re.Pattern[str]
    first: frozenset[str]
    """The first word of each phrase, in small letters: cheap to look for."""


def _number(shape: str, valid: Callable[[str], bool], phrases: str) -> _Number:
    """A kind of number by its form, its check and, separated by `|`, what people call it."""
    whole = re.compile(rf"(?<![\w./:=-])(?:{shape})(?![\w/:=]|[.-]\w)", re.IGNORECASE)
    words = "|".join(map(_phrase, phrases.split("|")))
    first = frozenset(_WORD.match(each)[0] for each in phrases.split("|"))  # type: ignore[index]
    first |= frozenset(each.replace(" ", "") for each in phrases.split("|"))
    return _Number(whole, valid, re.compile(rf"(?<!\w)(?:{words})(?![a-z])", re.IGNORECASE), first)


def _phrase(phrase: str) -> str:
    """How a phrase is found: its words apart, joined or hyphened, and `DNI` as `D.N.I.`."""
    if len(phrase) <= _SHORTEST_WORD and phrase.isalpha():
        return r"\.?".join(phrase)
    return re.escape(phrase).replace(r"\ ", "[ -]?")


def _argentine(number: str) -> bool:
    """It has a form, but no check digit."""
    return len(number.replace(".", "")) in (7, 8)


def _nino(number: str) -> bool:
    """A British national insurance number has ranges, but no check digit."""
    return _NINO.fullmatch(number.replace(" ", "").upper()) is not None


_SHORTEST_WORD = 4
"""Letters up to which a word may be an abbreviation with dots."""
_WORD = re.compile(r"[^\W\d_]+")


def _german_insured(number: str) -> bool:
    """The check digit of a German pension insurance number: a letter counts as two digits."""
    plain = number.replace(" ", "").upper()
    digits = plain[:8] + f"{ord(plain[8]) - 64:02d}" + plain[9:]
    products = (int(d) * w for d, w in zip(digits, _INSURED, strict=False))
    return sum(p // 10 + p % 10 for p in products) % 10 == int(plain[-1])


_INSURED = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
_NINO = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]")
_ANY = "national id|national identity|id card|identity card|personal id"

_NUMBERS = (
    _number(r"[a-z]{2}(?: ?\d\d){3} ?[a-d]", _nino, "national insurance|nino|ni number|ni no"),
    _number(r"\d{3}[ -]?\d{3}[ -]?\d{4}", nhs.is_valid, "nhs"),
    _number(
        r"\d{2} ?\d{3} ?\d{3} ?\d{3}",
        steuer_id.is_valid,
        "steuer id|steueridentifikationsnummer|steuernummer|idnr|tin|tax id",
    ),
    _number(
        r"[1-478] ?\d\d ?\d\d ?(?:\d\d|2[ab]) ?\d{3} ?\d{3} ?\d\d",
        nir.is_valid,
        "nir|insee|sécu|sécurité sociale|securite sociale|social security",
    ),
    _number(r"\d{8}-?[a-z]", dni.is_valid, f"dni|nif|documento nacional|{_ANY}"),
    _number(r"[xyz]-?\d{7}-?[a-z]", nie.is_valid, f"nie|nif|{_ANY}"),
    _number(
        r"[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]",
        codicefiscale.is_valid,
        "codice fiscale|cod fiscale|cf|tax code|fiscal code",
    ),
    _number(r"\d{9}|\d{4}[ .]\d\d[ .]\d{3}", bsn.is_valid, "bsn|burgerservicenummer|sofinummer"),
    _number(
        r"\d\d[. ]?\d\d[. ]?\d\d[- ]?\d{3}[. ]?\d\d",
        nn.is_valid,
        "rijksregister|rijksregisternummer|rrn|insz|niss|numéro national|registre national"
        "|national number",
    ),
    _number(
        r"\d{6}(?:\d\d)?[-+]?\d{4}",
        personnummer.is_valid,
        "personnummer|pnr|personnr|personal number|personal identity",
    ),
    _number(
        r"\d{6} ?\d{5}",
        fodselsnummer.is_valid,
        "fødselsnummer|fodselsnummer|personnummer|fnr|personnr",
    ),
    _number(r"\d{6}-?\d{4}", cpr.is_valid, "cpr"),
    _number(r"\d{6}[-+a-f]\d{3}[\dA-Z]", hetu.is_valid, f"hetu|henkilötunnus|{_ANY}"),
    _number(r"\d{11}", pesel.is_valid, "pesel"),
    _number(r"\d{13}", cnp.is_valid, "cnp|cod numeric personal"),
    _number(r"\d{10}", egn.is_valid, "egn|егн"),
    _number(r"\d{11}", oib.is_valid, "oib"),
    _number(r"\d{11}", ik.is_valid, "isikukood|asmens kodas"),
    _number(r"\d{11}", amka.is_valid, "amka|αμκα"),
    _number(r"\d{6}/?\d{3,4}", rc.is_valid, "rodné číslo|rodne cislo|rč"),
    _number(r"\d{7}[a-w][a-w]?", pps.is_valid, "pps|ppsn"),
    _number(r"756\.?\d{4}\.?\d{4}\.?\d\d", ahv.is_valid, "ahv|avs|social security"),
    _number(r"[1-9]\d{10}", tckimlik.is_valid, "tc kimlik|tckn|kimlik"),
    _number(r"\d{9}", teudat_zehut.is_valid, "teudat zehut|israeli id|תעודת זהות"),
    _number(r"\d{3}[ -]?\d{3}[ -]?\d{3}", sin.is_valid, "sin number|sin no|social insurance"),
    _number(r"\d{3}[ -]\d{3}[ -]\d{3}", sin.is_valid, "sin"),
    _number(r"\d{3} ?\d{3} ?\d{2,3}", tfn.is_valid, "tfn|tax file"),
    _number(r"\d{3}\.?\d{3}\.?\d{3}-?\d\d", cpf.is_valid, "cpf"),
    _number(r"[a-z]{4}\d{6}[hm][a-z]{5}[a-z0-9]\d", curp.is_valid, "curp"),
    _number(r"\d{4}[ -]?\d{4}[ -]?\d{4}", aadhaar.is_valid, "aadhaar|aadhar|uidai"),
    _number(r"[a-z]{5}\d{4}[a-z]", pan.is_valid, "pan|permanent account"),
    _number(r"\d{4} ?\d{6}", vnr.is_valid, "svnr|sv nummer|sozialversicherungsnummer|svnummer"),
    _number(
        r"\d\d ?[0-3]\d[01]\d\d\d ?[a-z] ?\d{3}",
        _german_insured,
        "sv nummer|svnr|svnummer|sozialversicherungsnummer|rentenversicherungsnummer|rvnr"
        "|versicherungsnummer",
    ),
    _number(r"\d{3} ?\d{3} ?\d{3}", nif.is_valid, "nif|contribuinte|número fiscal|numero fiscal"),
    _number(
        r"\d{8} ?\d ?[a-z0-9]{2}\d",
        cc.is_valid,
        "cartão de cidadão|cartao de cidadao|bilhete de identidade",
    ),
    _number(r"\d{1,2}\.?\d{3}\.?\d{3}-?[\dk]", rut.is_valid, "rut"),
    _number(r"\d\d-?\d{8}-?\d", cuit.is_valid, "cuit|cuil"),
    _number(r"\d{1,2}\.\d{3}\.\d{3}", _argentine, "dni"),
    _number(r"\d{13}", emso.is_valid, "emšo|emso|jmbg|matični broj|maticni broj"),
    _number(r"\d{12}", inn.is_valid, "инн|inn"),
    _number(r"\d{17}[\dx]", ric.is_valid, f"{_ANY}|resident id|身份证"),
    _number(r"\d{6}-?\d{7}", rrn.is_valid, f"rrn|resident registration|주민등록번호|{_ANY}"),
    _number(r"\d{13}", south_african.is_valid, f"south african id|rsa id|{_ANY}"),
)
_FIRST = frozenset().union(*(number.first for number in _NUMBERS))
_BEFORE, _AFTER = 40, 16
_APART = {code: " " for code in range(128) if not chr(code).isalpha()}
"""Words of ASCII by themselves."""
_DIGITS = re.compile(r"\d(?:\D*\d){3}")
"""As many as the shortest of them has."""


def _called(text: str) -> Iterable[_Number]:
    """The numbers whose words may be there; in scripts without blanks, all may."""
    if not text.isascii():
        return _NUMBERS
    plain = text.lower()
    there = _FIRST.intersection(plain.translate(_APART).split())
    if "." in plain:
        there |= _FIRST.intersection(plain.replace(".", "").translate(_APART).split())
    return [each for each in _NUMBERS if not each.first.isdisjoint(there)] if there else ()


def national(text: str) -> Iterator[Span]:
    """Numbers of any of these countries, with the word for it near, and of papers behind it."""
    if not _DIGITS.search(text):
        return
    yield from (Span(start, end, NATIONAL) for start, end in papers(text))
    if one_word(
        text
    ):  # the others stand apart from the word for them: `passport123456789` does not
        return
    for number in _called(text):
        if not number.words.search(text):
            continue
        for found in number.shape.finditer(text):
            start, end = found.span()
            near = text[max(0, start - _BEFORE) : start], text[end : end + _AFTER]
            if any(map(number.words.search, near)) and number.valid(found[0]):
                yield Span(start, end, NATIONAL)
