"""Logs of the honeypot Cowrie: those who connect to it, and the files that they load.

Nobody has a reason to connect to a honeypot.  Its own addresses, names and passwords that were
tried, and hosts to which it was to connect for an attacker, who may be victims, are not read.
"""

from collections.abc import Iterable, Iterator

from tocsin.admission.formats.json_records.exported_values import (
    SAMPLE,
    ExportedValue,
    Members,
    find_texts,
    list_objects,
)

_OF_COWRIE = "cowrie."
_OF_FILES = "cowrie.session.file_"
"""The beginning of events of files that an attacker loads from elsewhere, or sends."""


def read_cowrie(value: object) -> Iterator[ExportedValue] | None:
    """The values of events; None if they are not Cowrie's."""
    objects = list_objects(value)
    sample = objects[:SAMPLE]
    return _read_events(objects) if sample and all(map(_is_event, sample)) else None


def _is_event(found: Members) -> bool:
    return str(found.get("eventid", "")).startswith(_OF_COWRIE)


def _read_events(events: Iterable[Members]) -> Iterator[ExportedValue]:
    for each in filter(_is_event, events):
        yield from (ExportedValue("ip", text, each) for text in find_texts(each, "src_ip"))
        if each["eventid"].startswith(_OF_FILES):
            links = (text for text in find_texts(each, "url") if "://" in text)
            yield from (ExportedValue("url", text, each) for text in links)
            yield from (ExportedValue("sha256", text, each) for text in find_texts(each, "shasum"))
