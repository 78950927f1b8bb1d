"""Reference sets of QRadar, whose name alone says what their values are.

A set may as well hold the own machines that contacted an attacker.  It is read only if its name
says that the values themselves are an attacker's.
"""

from collections.abc import Iterator

from tocsin.admission.extraction.field_names import names_event, split_heading
from tocsin.admission.formats.json_records.exported_values import (
    ExportedValue,
    Members,
    find_texts,
    list_objects,
    list_parts,
)
from tocsin.admission.formats.list_names import names_allowed
from tocsin.admission.lazy_patterns import compile_lazily

_OF_VALUES = compile_lazily(
    r"\b(?:(?:(?:malicious|attacker|phishing|c2|cnc|bad|blocked) "
    r"(?:ip|domain|url|address|sender|hash|md5|sha1|sha256)"
    r"|(?:malware|ransomware) (?:domain|url|hash|md5|sha1|sha256)"
    r"|ioc|indicator|(?:block|black|deny) ?list)(?:e?s)?)(?: (?:list|set|refset|feed|\d{1,8}))*$"
)
"""`Malicious domains`; of `Malware IPs`, the addresses may be infected, and of `IOC hits` too."""


def read_qradar(value: object) -> Iterator[ExportedValue] | None:
    """The values of reference sets; None if there is none whose name calls them an attacker's."""
    sets = [each for each in list_objects(value) if "element_type" in each]
    named = [each for each in sets if _is_of_attackers(str(each.get("name", "")))]
    return _read_sets(named) if named else None


def _read_sets(sets: list[Members]) -> Iterator[ExportedValue]:
    for element, around in list_parts(sets, "data"):
        for text in find_texts(element, "value"):
            yield ExportedValue("", text, element, around)


def _is_of_attackers(name: str) -> bool:
    if names_allowed(name) or names_event(name):
        return False
    return _OF_VALUES.search(split_heading(name)) is not None
