"""A MISP feed: `manifest.json` and a file for each event, as MISP and PyMISP write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from tocsin.admission.errors import NotAllowed, NotFound
from tocsin.clients.bounds import ResponseRefused, ResponseTooLong, is_too_deep
from tocsin.clients.downloads import Downloads
from tocsin.clients.sources import Document, Memory, RemoteSource

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MAX_EVENTS = 100_000
_MOST_REFUSED = 20
"""Events in a row that are refused, for instance by a proxy that looks for malware, after which the
feed as a whole seems to be."""
_MAX_BRACES = 40 * _MAX_EVENTS
"""Objects of a manifest, those of organisations and tags included."""


class _Event(msgspec.Struct, gc=False):
    """The fields of an event in a manifest that are read."""

    timestamp: msgspec.Raw = msgspec.Raw(b"0")


class MispSource(RemoteSource, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="misp"):
    """The folder of a feed; events that are new, or have a later timestamp, are read."""

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; the oldest events come first."""
        folder = self.url.removesuffix("manifest.json").rstrip("/") + "/"
        with Downloads(self.url, self.access()) as downloads:
            manifest = downloads.fetch(f"{folder}manifest.json", accept="application/json")
            events = _read_manifest(manifest.content if manifest else b"")
            refused = 0
            for uuid, stamp in sorted(events.items(), key=lambda each: (each[1], each[0])):
                if memory.get(uuid) == str(stamp):
                    continue
                try:
                    event = _read_event(downloads, folder, uuid, stamp)
                    refused = 0
                except (NotAllowed, ResponseRefused) as error:
                    refused += 1
                    if refused == _MOST_REFUSED:
                        raise
                    event = Document(f"{uuid}.json", b"", skipped=str(error))
                yield event


def _read_event(downloads: Downloads, folder: str, uuid: str, stamp: int) -> Document:
    """An event; one that cannot be read holds up no other one, and is tried again."""
    name = f"{uuid}.json"
    try:
        event = downloads.fetch(f"{folder}{name}", accept="application/json")
    except (NotFound, ResponseTooLong) as error:
        return Document(name, b"", skipped=str(error))
    return Document(name, event.content if event else b"", {uuid: str(stamp)})


def _read_manifest(content: bytes) -> Mapping[str, int]:
    """The timestamp of each event of a manifest, by the event's UUID.

    Raises ResponseRefused if it is not a manifest.
    """
    refused = ResponseRefused("manifest.json is not the manifest of a MISP feed; check the url")
    if content.count(b"{") > _MAX_BRACES:
        raise ResponseRefused(f"manifest.json has more than {_MAX_EVENTS} events")
    if is_too_deep(content):
        raise refused
    try:
        found = msgspec.json.decode(content, type=dict[str, _Event])
    except msgspec.DecodeError as error:
        raise refused from error
    if len(found) > _MAX_EVENTS:
        raise ResponseRefused(f"manifest.json has more than {_MAX_EVENTS} events")
    return {
        uuid: _read_stamp(event.timestamp) for uuid, event in found.items() if _UUID.fullmatch(uuid)
    }


def _read_stamp(value: msgspec.Raw) -> int:
    text = bytes(value).strip(b'"')
    return int(text) if text.isdigit() and len(text) < 12 else 0


SOURCE = MispSource
