"""Memory of a source between runs: how far it was read, and which objects were submitted.

One file of SQLite for each source, readable by its owner only.  It belongs to one collection of
one hub, and to the account that submits there.  Of an object that was submitted it has the id and a
digest.  Deleting the file makes the next run read and submit everything again,
which does no harm: the hub knows an object by its id.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import msgspec

from tocsin.admission.errors import Malformed
from tocsin.clients.files import UnusableFile

_VERSION = 1
_DIGEST_OCTETS = 16
_PLACE = "/place"
"""The name of the entry that names the place; no file can have it."""
_FORGOTTEN_AFTER = 400 * 86_400
"""Seconds after which an object that was not submitted again is forgotten."""


_PRIMARY = 0xFF
"""The bits of an error code of SQLite that tell the kind of error."""
_OBSTACLES = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM),
)
"""Kinds of errors after which the file is as it was."""


class SourceMemory:
    """The memory of one source; a context manager.

    Raises Malformed if the file is not one of this program; every method does if it is damaged.
    Every method that writes raises UnusableFile if that is impossible.
    """

    def __init__(self, path: Path) -> None:
        """`path`: made if there is none."""
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
        except OSError as error:
            raise UnusableFile(f"{path} cannot be written: {error.strerror}") from error
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            with self._explained():
                self._begin()
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        """The memory itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._database.close()

    def entries(self) -> Mapping[str, str]:
        """Entries that the source itself keeps."""
        with self._explained():
            return dict(self._database.execute("SELECT name, value FROM memory"))

    def keep(self, entries: Mapping[str, str]) -> None:
        """Keep entries of the source durably; they replace those of the same names."""
        with self._explained(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT OR REPLACE INTO memory VALUES (?, ?)", entries.items()
            )

    def begin(self, destination: str) -> str:
        """Begin a run that submits to `destination`; another one needs everything again.

        Returns the destination that everything went to before, if that was forgotten, else "".
        """
        with self._explained(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            found = self._database.execute("SELECT name FROM destination").fetchone()
            if found == (destination,):
                return ""
            if found:
                self._database.execute("DELETE FROM memory")
                self._database.execute("DELETE FROM submitted")
                self._database.execute("DELETE FROM destination")
            self._database.execute("INSERT INTO destination VALUES (?)", (destination,))
        return str(found[0]) if found else ""

    def begin_at(self, place: str) -> bool:
        """Begin a run that reads a place; what the source kept about another one is forgotten.

        True if it was.  Only a digest of the place is kept, since a URL may hold a key.
        """
        digest = blake2b(place.encode(), digest_size=_DIGEST_OCTETS).hexdigest()
        former = self.entries().get(_PLACE, "")
        if former == digest:
            return False
        with self._explained(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if former:  # else it is a new memory, or one of an older version
                self._database.execute("DELETE FROM memory")
            self._database.execute("INSERT INTO memory VALUES (?, ?)", (_PLACE, digest))
        return bool(former)

    def has_submitted(self) -> bool:
        """True if any object is known to have been submitted."""
        with self._explained():
            return self._database.execute("SELECT 1 FROM submitted LIMIT 1").fetchone() is not None

    def is_submitted(self, id: str, digest: bytes, since: int) -> bool:
        """True if this version of an object was submitted at `since` or later (seconds)."""
        query = "SELECT 1 FROM submitted WHERE id = ? AND digest = ? AND time >= ?"
        with self._explained():
            return self._database.execute(query, (id, digest, since)).fetchone() is not None

    def note_submitted(self, objects: Iterable[tuple[str, bytes]], now: int) -> None:
        """Note ids and digests of objects that the hub has taken; `now` in seconds."""
        with self._explained(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(
                "INSERT OR REPLACE INTO submitted VALUES (?, ?, ?)",
                ((id, digest, now) for id, digest in objects),
            )

    def forget(self, now: int) -> None:
        """Remove what was not submitted for long; `now` in seconds."""
        with self._explained(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "DELETE FROM submitted WHERE time < ?", (now - _FORGOTTEN_AFTER,)
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of SQLite into Malformed, or UnusableFile if the file is not to blame."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & _PRIMARY
            if code not in _OBSTACLES:
                raise self._damaged(error) from error
            text = "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)
            raise UnusableFile(f"{self._path} cannot be written: {text}") from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: sqlite3.Error) -> Malformed:
        return Malformed(f"{self._path} is damaged ({error}); remove it to start again")

    def _begin(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise Malformed(f"{self._path} was written by a later version of this program")
        self._database.execute("PRAGMA synchronous = FULL")
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS memory "
                "(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
            )
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS submitted "
                "(id TEXT PRIMARY KEY, digest BLOB, time INTEGER) WITHOUT ROWID"
            )
            self._database.execute("CREATE TABLE IF NOT EXISTS destination (name TEXT NOT NULL)")
            self._database.execute(f"PRAGMA user_version = {_VERSION}")


def digest_object(subject: Mapping[str, Any], without: Iterable[str]) -> bytes:
    """A digest of an object; timestamps in `without` count as absent.

    They are those of the run itself, which differ at each run though nothing has changed.
    """
    times = frozenset(without)
    kept = {name: value for name, value in subject.items() if not _is_one_of(value, times)}
    octets = msgspec.json.encode(kept, order="deterministic")
    return blake2b(octets, digest_size=_DIGEST_OCTETS).digest()


def _is_one_of(value: object, times: frozenset[str]) -> bool:
    return isinstance(value, str) and value in times
