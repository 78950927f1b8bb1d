"""The content of table cells: values, fingerprints of certificates, labels, confidence, links."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tocsin.admission.extraction.field_names import (
    names_bots,
    names_recipients,
    normalise_heading,
    says_victim,
)
from tocsin.admission.extraction.indicators import recognise_declared
from tocsin.admission.extraction.rewritten_links import is_wrapped, unwrap
from tocsin.admission.extraction.tlp_words import name_thehive_level
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.observables.ioc_types import (
    HASH_TYPES,
    IocType,
    RecognisedIoc,
    may_be_ioc,
    recognise_ioc,
)
from tocsin.admission.observables.refang import join_spaced, refang
from tocsin.admission.observables.values import extract_observables
from tocsin.admission.word_lists import load_words

EMPTY = frozenset(("", "-", "--", "n/a", "na", "none", "null", "nil", "unknown", "tbd", "?"))
"""Cells in lower case that say nothing."""
LONGEST_TEXT = 2000
"""Characters of a description or link."""
_PACKAGE = "tocsin.admission.formats.csv"
_HOST_TYPES = frozenset(load_words(_PACKAGE, "host_types"))
_UNSUPPORTED_TYPES = frozenset(load_words(_PACKAGE, "unsupported_types"))
_CERTIFICATE_TYPES = compile_lazily(
    r"(?!.*(?:serial|subject|issuer|name)).*(?:cert|x509|thumbprint)", re.DOTALL
)
_OTHER_HASH_TYPES = compile_lazily(
    r"cert|x509|thumbprint|fingerprint|imphash|ssdeep|tlsh|ja3|jarm|serial"
)
"""Parts of the names of types that are hashes, but not of files."""
_STOLEN_TYPES = compile_lazily(
    r"(?:compromised|stolen|leaked|breached) (?:email|account|credential|user)s?(?: address)?"
    r"|victim \w+(?: address)?"
)
_TYPE_NAMES = frozenset(
    normalise_heading(each).replace(" ", "") for each in load_words(_PACKAGE, "type_names")
)
_ALGORITHMS = {IocType.MD5: "MD5", IocType.SHA1: "SHA-1", IocType.SHA256: "SHA-256"}
_TRIM = " \t\n\u00a0\ufeff\u200b\"'`<>,;|"
_SEPARATORS = compile_lazily(r"[\s,;、，；|]+")
_SCOPE = compile_lazily(r"(?i)(?:ip|range):(?=[\da-f])")
"""The beginning of the cells of CrowdSec: `Ip:198.51.100.7`."""
_MISP_SEPARATOR = compile_lazily(r"(?<=\S)\|(?=\S)")
"""Between the parts of a MISP value, `filename|sha256`; file names may hold spaces."""
_LABEL_SEPARATORS = compile_lazily(r"[,;|#\n]+")
_MOST_LABELS = 20
_SHORTEST_WORD, _LONGEST_WORD = 4, 40
"""Characters of a cell that says whose a value is; shorter ones may be codes of countries."""
_OF_ATTACKS = frozenset(("delivered", "targeted"))
"""Words of recipients' fields that a cell also says of a message or an attack."""
_SHORTEST_HASH = min(HASH_TYPES)
_OTHER_OPERATORS = compile_lazily(r"\b(?:AND|FOLLOWEDBY|NOT|LIKE|MATCHES|WITHIN|REPEATS|START)\b")
_CONFIDENCE = {"low": 15, "medium": 50, "moderate": 50, "med": 50, "high": 85, "certain": 95}
"""Confidence in words (STIX 2.1 appendix A, none/low/medium/high)."""


@dataclass(frozen=True, slots=True)
class CertificateFingerprint:
    """The hash of a certificate."""

    value: str
    algorithm: str
    """As STIX calls it: `SHA-1`."""

    @property
    def pattern(self) -> str:
        """The STIX pattern that matches the certificate."""
        return f"[x509-certificate:hashes.'{self.algorithm}' = '{self.value}']"


Value = RecognisedIoc | CertificateFingerprint


def parse_fingerprint(text: str, *, md5: bool = False) -> CertificateFingerprint | None:
    """The fingerprint that a cell holds, with or without colons between its digits.

    Serial numbers look like an MD5, so an MD5 is read only if the row says `md5`.

    >>> parse_fingerprint("D4:1D:8C:D9:8F:00:B2:04:E9:80:09:98:EC:F8:42:7E", md5=True).algorithm
    'MD5'
    """
    found = recognise_ioc(re.sub(r"(?<=[0-9A-Fa-f]{2})[: ](?=[0-9A-Fa-f]{2})", "", text[:200]))
    algorithm = _ALGORITHMS.get(found.kind) if found else None
    if found is None or algorithm is None or (found.kind is IocType.MD5 and not md5):
        return None
    return CertificateFingerprint(found.value, algorithm)


@lru_cache(maxsize=256)  # the rows of a table repeat a few types
def is_certificate_type(declared: str) -> bool:
    """True if values of a declared type are fingerprints of certificates."""
    return _CERTIFICATE_TYPES.match(declared) is not None


@lru_cache(maxsize=256)
def is_unsupported_type(declared: str) -> bool:
    """True if values of a declared type do not become indicators."""
    return declared in _UNSUPPORTED_TYPES or _OTHER_HASH_TYPES.search(declared) is not None


def is_stolen_type(kind: str) -> bool:
    """True if a type is that of a victim's mailbox, account or machine: `compromised_email`."""
    return _STOLEN_TYPES.fullmatch(normalise_heading(kind)) is not None or names_bots(kind)


@lru_cache(maxsize=256)
def names_type(declared: str) -> bool:
    """True if a declared type, without spaces, is one of indicators: `filesha256`, `ipaddress`."""
    return declared in _TYPE_NAMES or declared.removeprefix("file") in _TYPE_NAMES


def is_value(cell: str) -> bool:
    """True if a cell as a whole is an indicator."""
    return may_be_ioc(cell) and next(find_whole_value(cell), None) is not None


def is_mailbox(cell: str) -> bool:
    """True if a cell as a whole is a mailbox."""
    return any(found.kind is IocType.EMAIL for found in find_whole_value(cell))


def says_recipient(cell: str) -> bool:
    """True if a cell beside a value says nothing but that it is a recipient's or victim's."""
    word = cell.strip().lower()
    return _SHORTEST_WORD <= len(word) <= _LONGEST_WORD and (
        word not in _OF_ATTACKS and (names_recipients(cell) or says_victim(cell))
    )


def find_whole_value(cell: str) -> Iterator[RecognisedIoc]:
    """The indicator that a cell as a whole is, or a hash with which it begins."""
    whole = cell.strip(_TRIM)
    found = recognise_declared(refang(whole), host=False)
    if found is None and len(whole) > _SHORTEST_HASH:
        first = whole.split(None, 1)[0]
        found = recognise_ioc(first) if len(first) in HASH_TYPES else None
    if found is not None:
        yield found


def is_unrelated_mailbox(value: RecognisedIoc, row: Sequence[RecognisedIoc]) -> bool:
    """True for a mailbox whose domain occurs in no other indicator of its row."""
    if value.kind is not IocType.EMAIL:
        return False
    others = [each.value for each in row if each.kind is not IocType.EMAIL]
    domain = value.value.rpartition("@")[2]
    return bool(others) and not any(
        domain in each or domain.endswith("." + each) for each in others
    )


def find_url(cell: str) -> Iterator[RecognisedIoc]:
    """The URL that a cell is, whatever type the row declares."""
    found = recognise_ioc(refang(cell.strip(_TRIM)))
    if found is not None and found.kind is IocType.URL:
        yield found


def find_values(cell: str, declared: str) -> Iterator[RecognisedIoc]:
    """The indicators in a cell of a column that holds indicators, of a declared type."""
    whole = refang(join_spaced(_SCOPE.sub("", cell.strip(_TRIM))))
    found = recognise_declared(whole, host=declared in _HOST_TYPES)
    if found is not None:
        yield found
        return
    if cell.startswith("["):
        yield from _find_in_pattern(cell)
        return
    for part in _MISP_SEPARATOR.split(cell.strip(_TRIM)):
        yield from _find_in_list(part)


def _find_in_list(cell: str) -> Iterator[RecognisedIoc]:
    """The indicators in a cell that begins with one."""
    for number, part in enumerate(_SEPARATORS.split(cell.strip(_TRIM))):
        found = recognise_ioc(refang(part.strip(_TRIM)))
        if found is not None:
            yield found
        elif number == 0:
            return


def _find_in_pattern(cell: str) -> Iterator[RecognisedIoc]:
    """The values of a STIX pattern that matches any of them; none if its meaning is another."""
    if _OTHER_OPERATORS.search(cell):
        return
    for each in extract_observables({"type": "indicator", "pattern": cell, "pattern_type": "stix"}):
        found = recognise_ioc(each.value) if each.operator == "=" else None
        if found is not None and found.pattern.startswith(f"[{each.kind}:{each.property} "):
            yield found


def split_labels(cell: str) -> list[str]:
    """The parts of a cell of labels, as they are written."""
    return _LABEL_SEPARATORS.split(cell)


def parse_labels(cells: Sequence[str]) -> list[str]:
    """The labels in cells, in lower case, each once, without values, which may name a victim."""
    plain = (cell for cell in cells if "://" not in refang(cell))
    parts = (part.strip().lower() for cell in plain for part in split_labels(cell))
    parts = (part for part in parts if "@" not in part and not _is_address(part))
    return list(dict.fromkeys(part[:100] for part in parts if part not in EMPTY))[:_MOST_LABELS]


def _is_address(label: str) -> bool:
    found = recognise_ioc(label) if ":" in label or label[-1:].isdigit() else None
    return found is not None and found.kind in (IocType.IPV4, IocType.IPV6)


def parse_confidence(cells: Sequence[str]) -> int | None:
    """The first confidence that cells state, from 0 to 100."""
    for cell in cells:
        word = cell.lower().rstrip("% ")
        if word in _CONFIDENCE:
            return _CONFIDENCE[word]
        if word.isascii() and word.isdigit() and int(word[:4]) <= 100:
            return int(word[:4])
    return None


def name_level(cell: str) -> str:
    """A TLP level in a table of TheHive: the word for its number, or the cell as it is."""
    number = cell.removesuffix(".0")
    return name_thehive_level(int(number)) if number in ("0", "1", "2", "3", "4") else cell


def find_links(cells: Sequence[str]) -> Iterator[str]:
    """The URLs in cells of references, without those of mail filters, which name a recipient."""
    for cell in cells:
        for part in map(unwrap, cell.split()):
            if part.lower().startswith(("http://", "https://")) and len(part) <= LONGEST_TEXT:
                yield from () if is_wrapped(part) else (part,)
