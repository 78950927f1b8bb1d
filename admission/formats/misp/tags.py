"""Tags of a MISP event, object or attribute: which are TLP levels and which become labels."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from tocsin.admission.errors import Malformed
from tocsin.admission.lazy_patterns import compile_lazily
from tocsin.admission.model import StixObject, Tlp

TAG_PROPERTIES = ("Tag", "EventTag", "AttributeTag")
_TAG = compile_lazily(r'([\w-]{1,60}):([\w .+/-]{1,80})(?:\s?=\s?"?([^"]{0,200})"?)?', re.DOTALL)
_NAMESPACES = frozenset(
    (
        *("admiralty-scale", "adversary", "circl", "cryptocurrency-threat", "cssa", "ecsirt"),
        *("enisa", "estimative-language", "europol-event", "europol-incident", "kill-chain"),
        *("maec-malware-capabilities", "malware_classification", "ms-caro-malware"),
        *("ms-caro-malware-full", "osint", "pap", "phishing", "ransomware", "rsit"),
        *("threatmatch", "type", "veris"),
    )
)
"""Taxonomies about the threat.  Others may describe victims, work in progress or people."""
_GALAXIES = compile_lazily(
    r"mitre-(?!.*course-of-action)[\w-]+|threat-actor|malpedia|.*malware.*|tool|rat|botnet|banker"
    r"|ransomware|stealer|backdoor|exploit-kit|cryptominers|android|tds|microsoft-activity-group"
    r"|surveillance-vendor|branded-vulnerability"
)
_TLP_PREFIX = compile_lazily(r"\A[\W_]*tlp(?![a-z0-9])[\s:_-]*", re.IGNORECASE)
_NOT_EXPORTABLE = (False, 0, "0", "false", "False")
_MOST_LABELS = 20
_LONGEST_LABEL = 100


def parse_tags(part: StixObject) -> Iterator[tuple[str, bool]]:
    """The names of the tags of an event, object or attribute; True if MISP would export the tag.

    Raises Malformed if there are tags that cannot be read: one may be a TLP level.
    """
    for name in TAG_PROPERTIES:
        found = part.get(name) or []
        if not isinstance(found, list):
            raise Malformed(f"{name} is not a list")
        for each in found:
            inner = each.get("Tag", each) if isinstance(each, dict) else None
            if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
                raise Malformed(f"{name} holds an entry that is not a tag")
            local = each.get("local") or inner.get("local")
            yield inner["name"], not local and inner.get("exportable", True) not in _NOT_EXPORTABLE


def is_tlp_tag(name: str) -> bool:
    """True if a tag states a TLP level, readable or not."""
    return _TLP_PREFIX.match(unicodedata.normalize("NFKC", name[:60])) is not None


def parse_tlp_tag(name: str) -> Tlp:
    """The level that a TLP tag states.

    Raises Malformed if it is not a level.
    """
    try:
        return Tlp.parse(_TLP_PREFIX.sub("", name[:60], count=1))
    except ValueError as error:
        raise Malformed(str(error)) from None


def select_labels(tags: Iterable[tuple[str, bool]]) -> tuple[tuple[str, ...], int]:
    """The tags that become labels, and the number of those that are not shared."""
    found: dict[str, None] = {}
    omitted = 0
    for name, exportable in tags:
        if is_tlp_tag(name):
            continue
        if exportable and _may_be_label(name) and len(found) < _MOST_LABELS:
            found[" ".join(name.lower().split())] = None
        else:
            omitted += 1
    return tuple(found), omitted


def _may_be_label(name: str) -> bool:
    if not 1 < len(name) <= _LONGEST_LABEL or not name.isprintable():
        return False
    found = _TAG.match(name)
    if found is None:
        return ":" not in name
    space, predicate = found[1].lower(), found[2].lower()
    if space == "misp-galaxy":
        return _GALAXIES.fullmatch(predicate) is not None
    return space in _NAMESPACES
