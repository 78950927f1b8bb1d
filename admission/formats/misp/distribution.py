"""How widely MISP lets something be shared, and what its tags say.

A tag of the Traffic Light Protocol and a distribution both bind; of several the
strictest counts.  Nothing here ever makes something wider than MISP has it.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tocsin.admission.errors import Malformed
from tocsin.admission.extraction.decode import words
from tocsin.admission.extraction.tlp_words import levels
from tocsin.admission.model import StixObject, Tlp

_FLOORS: Mapping[str, Tlp | None] = {"1": Tlp.AMBER, "2": Tlp.GREEN, "3": None, "5": None, "": None}
"""What a distribution allows at most: this community, connected ones, all, as the event."""
_CLOSED: Mapping[str, str] = {
    "0": "distribution 0 keeps it in your organisation: choose another to share it",
    "4": "its sharing group is MISP's, and this hub is not in it: choose another distribution",
}
_TAG = re.compile(r'([\w-]{1,60}):([\w .+/-]{1,80})(?:\s?=\s?"?([^"]{0,200})"?)?', re.DOTALL)
_NAMESPACES = words(
    "admiralty-scale adversary circl cryptocurrency-threat cssa ecsirt enisa estimative-language"
    " europol-event europol-incident kill-chain maec-malware-capabilities malware_classification"
    " ms-caro-malware ms-caro-malware-full osint pap phishing ransomware rsit threatmatch type"
    " veris"
)
"""Taxonomies that speak of the threat.  Others may tell of victims, of work in hand, of people."""
_GALAXIES = re.compile(
    r"mitre-(?!.*course-of-action)[\w-]+|threat-actor|malpedia|.*malware.*|tool|rat|botnet|banker"
    r"|ransomware|stealer|backdoor|exploit-kit|cryptominers|android|tds|microsoft-activity-group"
    r"|surveillance-vendor|branded-vulnerability"
)
TAGS = ("Tag", "EventTag", "AttributeTag")
"""Under which names tags stand."""
_LEVEL = re.compile(r"\A[\W_]*tlp(?![a-z0-9])[\s:_-]*", re.IGNORECASE)
_KEPT = (False, 0, "0", "false", "False")
_MOST_LABELS = 20
_LONGEST_LABEL = 100


def tags(part: StixObject) -> Iterator[tuple[str, bool]]:
    """The names of the tags of an event, object or attribute, and whether each may leave MISP.

    Raises Malformed if there are tags that cannot be read: one may be a level.
    """
    for name in TAGS:
        found = part.get(name) or []
        if not isinstance(found, list):
            raise Malformed(f"{name} is not a list")
        for each in found:
            inner = each.get("Tag", each) if isinstance(each, dict) else None
            if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
                raise Malformed(f"{name} holds something that is no tag")
            local = each.get("local") or inner.get("local")
            yield inner["name"], not local and inner.get("exportable", True) not in _KEPT


def closed(part: StixObject) -> str:
    """Why MISP itself would give something to nobody; empty if it would."""
    return _CLOSED.get(_distribution(part), "")


@dataclass(frozen=True, slots=True)
class Stated:
    """What an event, object or attribute says of how widely it may be shared."""

    levels: tuple[Tlp, ...]
    """Of its tags, and of the words of its comment."""
    floor: Tlp | None
    """What its distribution allows at most."""


def stated(part: StixObject) -> Stated:
    """What a part says.

    Raises Malformed if it says something that nobody can read.
    """
    found = tuple(_tlp(name) for name, _ in tags(part) if _speaks_of_level(name))
    found += tuple(levels(str(part.get("comment", ""))))
    return Stated(found, _FLOORS.get(_distribution(part)))


def level(parts: Iterable[Stated], default: Tlp | None) -> Tlp | None:
    """The level of something, by what is said of it, of what it is in and of the event."""
    said: list[Tlp] = []
    floors: list[Tlp] = []
    for part in parts:
        said += part.levels
        if part.floor is not None:
            floors.append(part.floor)
    if not said and default is not None:
        said.append(default)
    if not said and floors:
        floors.append(Tlp.AMBER)  # nobody said how wide: no wider than whoever keeps silent
    return max((*said, *floors), default=None)


def labels(names: Iterable[tuple[str, bool]]) -> tuple[tuple[str, ...], int]:
    """Tags as labels, and how many are kept back."""
    found: dict[str, None] = {}
    left = 0
    for name, leaves in names:
        if _speaks_of_level(name):
            continue
        if leaves and _harmless(name) and len(found) < _MOST_LABELS:
            found[" ".join(name.lower().split())] = None
        else:
            left += 1
    return tuple(found), left


def _distribution(part: StixObject) -> str:
    """What is said, as a digit; empty if nothing is.

    Raises Malformed for what is no distribution.
    """
    said = part.get("distribution")
    if said is None or said == "":
        return ""
    word = str(said) if isinstance(said, str | int) else "none"
    if word not in _FLOORS and word not in _CLOSED:
        raise Malformed("a distribution that MISP does not have: use 0 to 5")
    return word


def _speaks_of_level(name: str) -> bool:
    return _LEVEL.match(unicodedata.normalize("NFKC", name[:60])) is not None


def _tlp(name: str) -> Tlp:
    try:
        return Tlp.parse(_LEVEL.sub("", name[:60], count=1))
    except ValueError as error:
        raise Malformed(str(error)) from None


def _harmless(name: str) -> bool:
    if not 1 < len(name) <= _LONGEST_LABEL or not name.isprintable():
        return False
    found = _TAG.match(name)
    if found is None:
        return ":" not in name
    space, predicate = found[1].lower(), found[2].lower()
    if space == "misp-galaxy":
        return _GALAXIES.fullmatch(predicate) is not None
    return space in _NAMESPACES
