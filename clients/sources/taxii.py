"""A collection of a TAXII 2.1 server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta

from tocsin.admission.errors import Malformed, NotAllowed
from tocsin.admission.timestamps import micros
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.poll import PollQuery, poll_batches
from tocsin.clients.sources import Document, Memory, RemoteSource
from tocsin.clients.state import Cursor, cursor_key, find_moved, format_cursor, parse_cursor


class TaxiiSource(RemoteSource, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="taxii"):
    """Source of the objects that are new in a collection since the last run."""

    collection: str
    """Its id, alias or title."""
    types: tuple[str, ...] = ()
    """Only these STIX types."""
    added_after: str = ""
    """Time to begin after at the first run, RFC 3339."""
    max_length: Annotated[int, Meta(ge=1024, le=1 << 31)] = 16 * 1024 * 1024
    """The longest page, in octets after decompression."""

    def check(self) -> None:
        """See Source."""
        if self.header:
            raise Malformed("header: a TAXII server takes a credential as Authorization; remove it")
        if self.added_after:
            try:
                micros(self.added_after)
            except Malformed as error:
                message = f"added_after: {error}; write it like 2026-01-31T00:00:00Z"
                raise Malformed(message) from error
        super().check()

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; one document is one page."""
        query = PollQuery(types=self.types, added_after=self.added_after)
        with self.server() as server:
            found = server.find_collection(self.collection)
            if not found.can_read:
                raise NotAllowed(f"the credential may not read {self.collection}")
            feed = cursor_key(found.url, query.filters())
            cursor = _read_cursor(memory, feed)
            for number, batch in enumerate(poll_batches(server, found, query, cursor), 1):
                if batch.objects:
                    content = b'{"objects":[' + b",".join(batch.objects) + b"]}"
                    text = msgspec.json.encode(format_cursor(batch.cursor)).decode()
                    kept = {"cursor": text, "feed": feed}
                    yield Document(f"{found.id}-{number}.json", content, kept)

    def server(self) -> Hub:
        """The server; nothing is sent yet."""
        return Hub(self.url, self.credential(), self.retries(), self.tls())

    def retries(self) -> RetrySettings:
        """Bounds that keep to public addresses, unless the source says otherwise."""
        settings = RetrySettings()
        bounds = replace(
            settings.bounds,
            max_length=self.max_length,
            advice="; raise max_length of the source",
            public_only=not self.allow_private,
        )
        return replace(settings, bounds=bounds)


def _read_cursor(memory: Memory, feed: str) -> Cursor:
    """Return the position where the last run ended; of another feed, the beginning.

    A feed is a collection with the types that are read of it: the position in another one would
    skip what this one had before.  Older memories do not name it.  Raises Malformed if the position
    is damaged.
    """
    text, former = memory.get("cursor"), memory.get("feed", feed)
    if not text or (former != feed and not find_moved(feed, [former])):
        return Cursor()
    try:
        return parse_cursor(msgspec.json.decode(text))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise Malformed(
            "the saved cursor is damaged; remove the file of the source's memory to read everything"
        ) from error


SOURCE = TaxiiSource
