"""A file that a web server offers: a list, a table, a bundle, a report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from tocsin.clients.downloads import Download, Downloads
from tocsin.clients.sources import Document, Memory, RemoteSource, parse_duration_seconds


class HttpSource(RemoteSource, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="http"):
    """One URL, read again when the server or the content says that it has changed.

    With `valid_for` it is also read again each third of that time, so that indicators which the
    list still has are renewed before they expire.
    """

    def place(self) -> str:
        """See Source."""
        return self.url

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source."""
        now = int(time.time())
        memory = {} if self._is_due(memory, now) else memory
        known = Download(b"", memory.get("etag", ""), memory.get("last_modified", ""))
        with Downloads(self.url, self.access()) as downloads:
            found = downloads.fetch(self.url, known if known.etag or known.last_modified else None)
        if found is None:
            return
        digest = hashlib.sha256(found.content).hexdigest()
        if digest != memory.get("digest"):
            kept = {"etag": found.etag, "last_modified": found.last_modified, "digest": digest}
            kept["read"] = str(now)
            yield Document(_file_name(self.url), found.content, kept, is_whole=True)

    def _is_due(self, memory: Memory, now: int) -> bool:
        """True if indicators of the list may need to be renewed; `now` in seconds."""
        if not self.valid_for:
            return False
        return now - int(memory.get("read", "0")) >= parse_duration_seconds(self.valid_for) / 3


def _file_name(url: str) -> str:
    """The last part of the path, or the host."""
    parts = urlsplit(url)
    last = unquote(parts.path.rstrip("/").rpartition("/")[2])
    return last if last.isprintable() and last else str(parts.hostname)


SOURCE = HttpSource
