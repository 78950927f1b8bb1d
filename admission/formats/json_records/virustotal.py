"""Answers of VirusTotal (API version 3): files, domains, addresses and URLs with their verdicts.

A value is that of an object, not those in its attributes, such as the addresses of a domain.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from tocsin.admission.formats.json_records.exported_values import (
    SAMPLE,
    ExportedValue,
    Members,
    find_object,
    find_texts,
    list_objects,
    list_parts,
)

_KINDS = {"file": "sha256", "domain": "domain", "ip_address": "ip", "url": "url"}
_FEWEST_ENGINES = 3
"""Engines that must call a value malicious; fewer are often wrong."""
_STATS = "last_analysis_stats"
_UNKNOWN = "not an indicator, since no engine of VirusTotal calls it malicious"


def read_virustotal(value: object) -> Iterator[ExportedValue] | None:
    """The values of objects, lists or answers of VirusTotal; None if it is something else."""
    objects = list_objects(value)
    sample = islice(list_parts(objects[:SAMPLE], "data"), SAMPLE)
    if not any(_is_reported(each) and _STATS in each["attributes"] for each, _ in sample):
        return None
    return _read_parts(list_parts(objects, "data"))


def _is_reported(found: Members) -> bool:
    kind, id = found.get("type"), found.get("id")
    is_known = isinstance(kind, str) and kind in _KINDS and isinstance(id, str)
    return is_known and isinstance(found.get("attributes"), dict)


def _read_parts(parts: Iterable[tuple[Members, Members | None]]) -> Iterator[ExportedValue]:
    for each, around in parts:
        if not _is_reported(each):
            continue
        refusal, doubt = _judge(find_object(each["attributes"], _STATS))
        for kind, value in _find_values(each):
            yield ExportedValue(kind, value, each, around, refusal, doubt)


def _find_values(found: Members) -> Iterator[tuple[str, str]]:
    attributes, kind = found["attributes"], found["type"]
    if kind == "url":  # whose id is a hash of it
        yield from (("url", each) for each in find_texts(attributes, "url"))
        return
    yield _KINDS[kind], found["id"]
    for name in ("md5", "sha1") if kind == "file" else ():
        yield from ((name, each) for each in find_texts(attributes, name))


def _judge(stats: Members) -> tuple[str, str]:
    """Why a value is refused, and why it is held, by the number of engines."""
    count = stats.get("malicious")
    if not isinstance(count, int) or count < 1:
        return _UNKNOWN, ""
    if count >= _FEWEST_ENGINES:
        return "", ""
    engines = "1 engine" if count == 1 else f"{count} engines"
    return "", f"called malicious by only {engines} of VirusTotal, which may be an error"
