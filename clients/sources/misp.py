"""A MISP feed: `manifest.json` and a file for each event, as MISP and PyMISP write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tocsin.clients.bounds import ResponseRefused, is_too_deep
from tocsin.clients.downloads import Downloads
from tocsin.clients.sources import Document, Memory, RemoteSource

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MAX_EVENTS = 100_000


class MispSource(RemoteSource, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="misp"):
    """The folder of a feed; events that are new, or have a later timestamp, are read."""

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; the oldest events come first."""
        folder = self.url.removesuffix("manifest.json").rstrip("/") + "/"
        with Downloads(self.url, self.access()) as downloads:
            manifest = downloads.fetch(f"{folder}manifest.json", accept="application/json")
            events = _read_manifest(manifest.content if manifest else b"")
            for uuid, stamp in sorted(events.items(), key=lambda each: (each[1], each[0])):
                if memory.get(uuid) == str(stamp):
                    continue
                event = downloads.fetch(f"{folder}{uuid}.json", accept="application/json")
                if event is not None:
                    yield Document(f"{uuid}.json", event.content, {uuid: str(stamp)})


def _read_manifest(content: bytes) -> Mapping[str, int]:
    """The timestamp of each event of a manifest, by the event's UUID.

    Raises ResponseRefused if it is not a manifest.
    """
    refused = ResponseRefused("manifest.json is not the manifest of a MISP feed; check the url")
    if is_too_deep(content):
        raise refused
    try:
        found: dict[str, dict[str, Any]] = msgspec.json.decode(
            content, type=dict[str, dict[str, Any]]
        )
    except msgspec.DecodeError as error:
        raise refused from error
    if len(found) > _MAX_EVENTS:
        raise ResponseRefused(f"manifest.json has more than {_MAX_EVENTS} events")
    return {
        uuid: _read_stamp(event.get("timestamp"))
        for uuid, event in found.items()
        if _UUID.fullmatch(uuid)
    }


def _read_stamp(value: object) -> int:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 12 else 0


SOURCE = MispSource
