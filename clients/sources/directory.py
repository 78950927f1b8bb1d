"""A folder on this machine, into which other programs put files."""

from __future__ import annotations

import fnmatch
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from tocsin.admission.errors import Malformed, Unavailable
from tocsin.clients.sources import Document, Memory, Source

_SETTLED_AFTER = 2.0
"""Seconds without a change after which a file counts as complete."""
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class DirectorySource(
    Source, kw_only=True, frozen=True, forbid_unknown_fields=True, tag="directory"
):
    """The files of one folder; each is read once, and again when it changes."""

    path: Path
    pattern: str = "*"
    """Names of the files to read: *.csv."""
    max_length: Annotated[int, Meta(ge=1024, le=1 << 31)] = 128 * 1024 * 1024
    """The longest file, in octets."""

    def check_place(self) -> None:
        """See Source."""
        if not self.path.is_dir():
            raise Malformed(f"path: {self.path} is not a folder; create it, or name another")

    def documents(self, memory: Memory) -> Iterator[Document]:
        """See Source; the oldest files come first.  Links and hidden files are left out."""
        for entry, about in self._files():
            name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            version = _version(about)
            if memory.get(name) == version:
                continue
            if document := self._document(Path(entry.path), name, version):
                yield document

    def _document(self, path: Path, name: str, version: str) -> Document | None:
        """A file; one that cannot be read holds up no other one.

        None if it has changed since it was found to be complete, perhaps long ago because others
        were submitted before it: then it may be half written, and a later run reads it.
        """
        try:
            content, found = _read(path, self.max_length + 1)
        except OSError as error:
            return Document(name, b"", skipped=f"cannot be read: {error.strerror}")
        if found != version:
            return None
        if len(content) > self.max_length:
            reason = f"longer than max_length ({self.max_length} octets)"
            return Document(name, b"", {name: version}, reason)
        return Document(name, content, {name: version})

    def _files(self) -> list[tuple[os.DirEntry[str], os.stat_result]]:
        latest = time.time() - _SETTLED_AFTER
        found = []
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # another program took it away
                        found.append((entry, entry.stat(follow_symlinks=False)))
        except OSError as error:
            raise Unavailable(f"{self.path} cannot be read: {error.strerror}") from error
        usable = [
            (entry, about)
            for entry, about in found
            if stat.S_ISREG(about.st_mode)
            and not entry.name.startswith(".")
            and fnmatch.fnmatch(entry.name, self.pattern)
            and about.st_mtime <= latest
        ]
        return sorted(usable, key=lambda each: (each[1].st_mtime_ns, each[0].name))


def _read(path: Path, most: int) -> tuple[bytes, str]:
    """The beginning of a file, at most `most` octets, and its version afterwards."""
    with open(os.open(path, os.O_RDONLY | _NO_FOLLOW), "rb") as file:
        return file.read(most), _version(os.fstat(file.fileno()))


def _version(about: os.stat_result) -> str:
    return f"{about.st_mtime_ns} {about.st_size} {about.st_ino}"


SOURCE = DirectorySource
