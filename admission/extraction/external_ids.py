"""CVE and ATT&CK ids, and links to their catalogues: references of the indicators beside them.

They describe an indicator and are never one.  Which indicator an id stands beside is for
the formats to say.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from tocsin.admission.lazy_patterns import compile_lazily


class ExternalId(NamedTuple):
    """An entry of a public catalogue, as an external reference names it (STIX 2.1 section 2.5)."""

    source: str
    """`cve`, or `mitre-attack`."""
    id: str
    """Empty for a link to the catalogue that names no entry."""
    url: str = ""

    @property
    def as_reference(self) -> dict[str, str]:
        """The member of `external_references`."""
        parts = {"source_name": self.source, "external_id": self.id, "url": self.url}
        return {name: text for name, text in parts.items() if text}


_Reader = Callable[[re.Match[str]], ExternalId]

MOST_IDS = 20
"""Ids that one indicator refers to."""
_SHOWN = 8
_SIGNS = ("CVE", "cve", "Cve", "mitre", "MITRE", "nvd")
"""Every id and link but the number of a technique has one of these."""
_DOT = r"(?:\.|\[\.\]|\(\.\)|\[dot\])"
_CATALOGUE_LINK = compile_lazily(
    r"(?<![\w.-])(?:h[tx]{2}ps?(?::|\[:\])//)?(?:www\.)?"
    rf"(?:(attack{_DOT}mitre{_DOT}org)|cve{_DOT}mitre{_DOT}org|nvd{_DOT}nist{_DOT}gov"
    rf"|cve{_DOT}org)(?![\w.-]*\w)(/[^\s\"'<>()\[\]{{}}|`\\]*)?",
    re.IGNORECASE,
)
_CVE = compile_lazily(
    r"(?<![\w.=%-])(?:(?<!/)|(?<=CVE-\d{4}-\d{4}/)|(?<=CVE-\d{4}-\d{5}/))CVE[-\u2010\u2011\u2013](\d{4})[-\u2010\u2011\u2013](\d{4,10})"
    r"(?![\w=-]|\.[a-z0-9])",
    re.IGNORECASE,
)
_TECHNIQUE = compile_lazily(
    r"(?<![\w.=%&\\-])(?:(?<!/)|(?<=\bT\d{4}/))(T(?!1000)(?:0[89]|1[0-7])\d\d|TA0[01]\d\d)"
    r"(?:[./](\d{3}))?(?![\w=-]|\.\w)",
    re.ASCII,
)
"""Numbers of techniques and tactics; those of software and groups are found in links only."""
_LIKE_TECHNIQUE = compile_lazily(r"T(?:0[89]|1[0-7]|A0[01])\d\d", re.ASCII)
"""Begins with a character, so that all others are passed over at once."""
_IN_PATH = compile_lazily(r"/(TA?|S|G|M|C|DS|DET|A|AN)(\d{4})(?:/(\d{3}))?(?![\w-])", re.IGNORECASE)
_CVE_IN_PATH = compile_lazily(r"CVE-(\d{4})-(\d{4,10})", re.IGNORECASE)
_FOLDERS = {
    **{"T": "techniques", "TA": "tactics", "S": "software", "G": "groups", "M": "mitigations"},
    **{"C": "campaigns", "DS": "datasources", "A": "assets"},
}
_ONLY_IDS = compile_lazily(r"[\W_]*\Z")


def may_have_external_ids(text: str) -> bool:
    """True if a text may hold ids or links to catalogues; a quick test."""
    if any(sign in text for sign in _SIGNS):
        return True
    return "T" in text and _LIKE_TECHNIQUE.search(text) is not None


def find_lines_with_external_ids(text: str) -> list[int]:
    """The numbers from 0 of the lines that may hold ids or links to catalogues, in order."""
    places = [found.start() for found in _LIKE_TECHNIQUE.finditer(text)]
    for sign in _SIGNS:
        at = text.find(sign)
        while at >= 0:
            places.append(at)
            end = text.find("\n", at)
            at = text.find(sign, end) if end >= 0 else -1
    numbers: list[int] = []
    number = counted = 0
    for at in sorted(places):
        number += text.count("\n", counted, at)
        counted = at
        if not numbers or numbers[-1] != number:
            numbers.append(number)
    return numbers


def take_external_ids(text: str) -> tuple[str, tuple[ExternalId, ...]]:
    """A text without ids and links to catalogues, and these, each once, in its order.

    >>> take_external_ids("evil.com exploits CVE-2021-44228")[1]
    (ExternalId(source='cve', id='CVE-2021-44228', url=''),)
    """
    if not may_have_external_ids(text):
        return text, ()
    found: list[ExternalId] = []

    def take(read: _Reader, match: re.Match[str]) -> str:
        found.append(read(match))
        return " "

    plain = text.lower()
    for pattern, signs, read in _READERS:
        if any(sign in plain for sign in signs):
            text = pattern.sub(partial(take, read), text)
    return text, tuple(dict.fromkeys(found))


def find_external_ids(texts: Iterable[str]) -> tuple[ExternalId, ...]:
    """The ids in several texts about one indicator, each once, as many as it may refer to."""
    return join_ids(take_external_ids(text)[1] for text in texts)[:MOST_IDS]


def has_only_signs(text: str) -> bool:
    """True if a text, after its ids are taken, holds no further word."""
    return _ONLY_IDS.match(text) is not None


def format_ids(ids: Iterable[ExternalId]) -> str:
    """The first ids for a message, and the number of the others."""
    named = list(dict.fromkeys(each.id or each.url[:100] for each in ids))
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return ", ".join(named[:_SHOWN]) + more


def join_ids(groups: Iterable[Sequence[ExternalId]]) -> tuple[ExternalId, ...]:
    """The ids of several groups, each once."""
    return tuple(dict.fromkeys(each for group in groups for each in group))


def _read_link(match: re.Match[str]) -> ExternalId:
    path = (match[2] or "").rstrip(".,;:!?*_")
    if match[1]:
        entry = _IN_PATH.search(path)
        if entry is None:
            return ExternalId("mitre-attack", "", "https://attack.mitre.org" + (path or "/"))
        return _attack(entry[1].upper(), entry[2], entry[3] or "")
    cve = _CVE_IN_PATH.search(path)
    if cve is not None:
        return _cve(cve)
    host = re.sub(_DOT, ".", match[0].partition("//")[2] or match[0]).partition("/")[0].lower()
    return ExternalId("cve", "", f"https://{host}{path or '/'}")


def _read_technique(match: re.Match[str]) -> ExternalId:
    letters = "TA" if match[1].startswith("TA") else "T"
    return _attack(letters, match[1].removeprefix(letters), match[2] or "")


def _attack(letters: str, number: str, part: str) -> ExternalId:
    name = f"{letters}{number}"
    folder = _FOLDERS.get(letters, "")
    url = f"https://attack.mitre.org/{folder}/{name}" if folder else ""
    if not part:
        return ExternalId("mitre-attack", name, url)
    return ExternalId("mitre-attack", f"{name}.{part}", f"{url}/{part}")


def _cve(match: re.Match[str]) -> ExternalId:
    return ExternalId("cve", f"CVE-{match[1]}-{match[2]}")


_READERS: tuple[tuple[re.Pattern[str], tuple[str, ...], _Reader], ...] = (
    (_CATALOGUE_LINK, ("mitre", "nvd", "cve"), _read_link),
    (_CVE, ("cve",), _cve),
    (_TECHNIQUE, ("t0", "t1", "ta"), _read_technique),
)
"""Each pattern with the signs of it in lower case, and its reader; links first: they hold ids."""
