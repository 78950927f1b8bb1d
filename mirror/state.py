"""The state of feeds: which objects they have now, in one SQLite file.

A batch of objects and the cursor that holds after it are written in one transaction, so a program
that is killed has either both or neither.  An object that was revoked or deleted leaves its row
without content, so that an older version that comes late cannot bring it back.  An expired object
stays in the file and is left out when it is read: a clock that was wrong for a while does no harm.

Feeds of one host may have different versions of an object, and the latest one holds.  An object of
another host is another object, whatever its id: a server could otherwise take the id of another
one's object, and replace or revoke it with a later version.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tocsin.admission.errors import ShareError
from tocsin.admission.output_formats import IndicatorRecord, ListedValue
from tocsin.admission.output_formats.entries import FeedEntry, parse_object, read_entry

_VERSION = 2
"""Raised with every change of a state file, or of what `read_entry` finds in an object."""
_SCHEMA = """
CREATE TABLE sources (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, cursor TEXT NOT NULL);
CREATE TABLE objects (
    key INTEGER PRIMARY KEY, source INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
    modified INTEGER NOT NULL, ended INTEGER, day TEXT NOT NULL, confidence INTEGER,
    valid_until INTEGER, listed INTEGER NOT NULL, round INTEGER NOT NULL, body BLOB,
    UNIQUE (id, source));
CREATE INDEX objects_by_end ON objects (valid_until) WHERE valid_until IS NOT NULL;
CREATE INDEX objects_by_day ON objects (day, id) WHERE type = 'indicator';
CREATE TABLE listed (
    kind TEXT NOT NULL, value TEXT NOT NULL, object INTEGER NOT NULL,
    PRIMARY KEY (kind, value, object)) WITHOUT ROWID;
CREATE INDEX listed_by_object ON listed (object);
CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL);
CREATE TABLE files (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, serial INTEGER NOT NULL, length INTEGER NOT NULL,
    time INTEGER NOT NULL);
INSERT INTO facts VALUES ('generation', 0), ('indicators', 0), ('round', 0);
"""
_IS_CURRENT = (
    "body IS NOT NULL AND (valid_until IS NULL OR valid_until > :now)"
    " AND (:least = 0 OR type <> 'indicator' OR confidence >= :least)"
)
_VALUES = """
SELECT value, id, confidence FROM listed JOIN objects ON key = object
WHERE kind = :kind AND {current} ORDER BY value, confidence DESC, id
""".replace("{current}", _IS_CURRENT)
_OBJECTS = """
SELECT id, body, source FROM objects WHERE {current} AND (:type = '' OR type = :type)
ORDER BY id, modified DESC, source
""".replace("{current}", _IS_CURRENT)
_DAYS = "SELECT DISTINCT day FROM objects WHERE type = 'indicator' ORDER BY day"
_INDICATORS = """
SELECT id, {current} AS is_current, modified, ended, valid_until, listed, body, source,
    CASE WHEN :hosts < 2 THEN source
        ELSE (SELECT min(source) FROM objects AS others WHERE others.id = objects.id) END AS first
FROM objects WHERE type = 'indicator' AND day = :day
ORDER BY id, is_current DESC, modified DESC, source
""".replace("{current}", _IS_CURRENT)
_ABSENT = "source = ? AND round < ? AND body IS NOT NULL"
_END_VALUES = "DELETE FROM listed WHERE object IN (SELECT key FROM objects WHERE {absent})".replace(
    "{absent}", _ABSENT
)
_END_OBJECTS = "UPDATE objects SET body = NULL, ended = ? WHERE {absent}".replace(
    "{absent}", _ABSENT
)
_SOURCES = """
SELECT name FROM sources WHERE cursor <> ''
    OR EXISTS (SELECT 1 FROM objects WHERE source = number AND body IS NOT NULL)
ORDER BY name
"""
_END_SHARED = """
DELETE FROM objects WHERE source = ? AND EXISTS (
    SELECT 1 FROM objects AS others JOIN sources ON number = others.source
    WHERE others.id = objects.id AND others.source <> objects.source
        AND (host_of(name) = ? OR others.body IS objects.body))
"""
"""Their ends say nothing, since another feed goes on with them: one of the same host, or one to
which a hub has moved.  Another host's object of the same id is another one."""
_FIND = "SELECT key, modified, body, listed FROM objects WHERE id = ? AND source = ?"
_UPSERT = """
INSERT INTO objects (source, id, type, modified, day, confidence, valid_until, listed, round, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, source) DO UPDATE SET type = excluded.type, modified = excluded.modified,
    ended = NULL, day = CASE excluded.day WHEN '' THEN day ELSE excluded.day END,
    confidence = excluded.confidence, valid_until = excluded.valid_until,
    listed = max(listed, excluded.listed), round = excluded.round, body = excluded.body
RETURNING key
"""
_BUSY_SECONDS = 30
_Row = tuple[Any, ...]


class DamagedState(ShareError):
    """A state file that cannot be used."""


class StateInUse(ShareError):
    """A state file that another process has open for itself."""


class FileRecord(NamedTuple):
    """A file that was written from a state."""

    digest: str
    """Over its content, with zeros in place of its serial number."""
    serial: int
    length: int
    time: int
    """Time of its last change, in ns since 1970 UTC."""


class StateMark(NamedTuple):
    """State that determines the content of files; equal marks mean equal files."""

    generation: int
    """Grows with every change of an object."""
    indicators: int
    """Grows with every change of an indicator."""
    expired: int
    """Time at which the last indicator expired, in µs."""


class StateFile:
    """The state of any number of feeds; not to be shared among threads."""

    def __init__(self, path: Path, *, alone: bool) -> None:
        """Open or make the file.

        `alone`: what is written is forced to the disk, and no other process can open the file;
        otherwise several processes share it, and a crash of the system may damage it.
        Raises StateInUse, and DamagedState if it is not a state file of this version.
        """
        self._path = path
        with self._explained():
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            timeout = 0.2 if alone else _BUSY_SECONDS
            self._base = sqlite3.connect(path, timeout=timeout, isolation_level=None)
            try:
                self._open(alone=alone)
            except BaseException:
                self._base.close()
                raise

    def _open(self, *, alone: bool) -> None:
        self._base.create_function("host_of", 1, host_of, deterministic=True)
        if alone:
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._base.execute("PRAGMA journal_mode = WAL").fetchone()
        self._base.execute(f"PRAGMA synchronous = {'FULL' if alone else 'OFF'}")
        self._base.execute("PRAGMA secure_delete = ON")  # revoked texts leave the file too
        self._base.execute("PRAGMA cache_size = -16000")  # 16 MB
        self._base.execute("PRAGMA wal_autocheckpoint = 8000")
        (version,) = self._base.execute("PRAGMA user_version").fetchone()
        if version == _VERSION:
            return
        with self._transaction():
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._base.execute(statement)
                self._base.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise self._damaged("it was written by another version")

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StateInUse(f"{self._path} is in use by another process") from error
            raise
        except sqlite3.DatabaseError as error:
            raise self._damaged("it is damaged or not a state file") from error

    def _damaged(self, why: str) -> DamagedState:
        return DamagedState(f"{self._path} cannot be used: {why}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._base.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._base.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """End a transaction, unless a full disk has made SQLite end it already."""
        if self._base.in_transaction:
            self._base.execute("ROLLBACK")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One transaction over several changes; other processes that want to change it wait.

        Raises StateInUse if another one takes too long, DamagedState if the file is damaged.
        """
        with self._explained(), self._transaction():
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within it, everything is read as it was at one moment.

        Raises DamagedState if the file is damaged, as every method that reads does.
        """
        with self._explained():
            self._base.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    def _fetch(self, query: str, values: _Row | dict[str, int] = ()) -> list[_Row]:
        """All rows of a query."""
        with self._explained():
            return self._base.execute(query, values).fetchall()

    def sources(self) -> list[str]:
        """The names of the feeds, sorted; without those that were dropped."""
        return [name for (name,) in self._fetch(_SOURCES)]

    def cursor(self, source: str) -> str:
        """Return the cursor of a feed, as `apply` was given it; empty at first."""
        found = self._fetch("SELECT cursor FROM sources WHERE name = ?", (source,))
        return str(found[0][0]) if found else ""

    def apply(self, source: str, bodies: Iterable[bytes], cursor: str | None) -> None:
        """Take over objects of a feed, each as its JSON, in the feed's order.

        `cursor` holds from now on; None: it stays as it is.  To be called within `changing`.
        """
        number = self._number(source)
        current_round = self._count("round")
        changed = {"generation": 0, "indicators": 0}
        for body in bodies:
            entry = read_entry(body)
            if self._put(number, entry, current_round):
                changed["generation"] = 1
                changed["indicators"] |= entry.type == "indicator"
        self._note(changed)
        if cursor is not None:
            change = "UPDATE sources SET cursor = ? WHERE number = ?"
            self._base.execute(change, (cursor, number))

    def _number(self, source: str) -> int:
        insert = "INSERT OR IGNORE INTO sources (name, cursor) VALUES (?, '')"
        self._base.execute(insert, (source,))
        found = self._base.execute("SELECT number FROM sources WHERE name = ?", (source,))
        return int(found.fetchone()[0])

    def _put(self, source: int, entry: FeedEntry, current_round: int) -> bool:
        """Keep an object; False if nothing has changed."""
        body = None if entry.revoked else entry.body
        known = self._base.execute(_FIND, (entry.id, source)).fetchone()
        if known is not None and (
            known[1] > entry.modified or known[1:3] == (entry.modified, body)
        ):
            mark = "UPDATE objects SET round = ? WHERE key = ?"
            self._base.execute(mark, (current_round, known[0]))
            return False
        facts = (entry.type, entry.modified, entry.day, entry.confidence, entry.valid_until)
        row = (source, entry.id, *facts, len(entry.values), current_round, body)
        (key,) = self._base.execute(_UPSERT, row).fetchone()
        if known is not None and known[3]:
            self._base.execute("DELETE FROM listed WHERE object = ?", (key,))
        insert = "INSERT INTO listed VALUES (?, ?, ?)"
        self._base.executemany(insert, ((*each, key) for each in entry.values))
        return True

    def fact(self, name: str, default: str | int) -> str | int:
        """A fact that `set_fact` noted."""
        found = self._fetch("SELECT value FROM facts WHERE name = ?", (name,))
        return type(default)(found[0][0]) if found else default

    def set_fact(self, name: str, value: str | int) -> None:
        """Note a fact about the whole state.  To be called within `changing`."""
        self._base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _count(self, name: str) -> int:
        return int(self.fact(name, 0))

    def _note(self, changed: dict[str, int]) -> None:
        change = "UPDATE facts SET value = value + ? WHERE name = ?"
        self._base.executemany(change, ((n, name) for name, n in changed.items() if n))

    def begin_round(self) -> None:
        """Begin to read feeds from their beginning, to find what they no longer have."""
        with self.changing():
            self._note({"round": 1})

    def end_absent(self, source: str) -> int:
        """End the objects of a feed that did not come since `begin_round`; their number."""
        with self.changing():
            scope = (self._number(source), self._count("round"))
            self._base.execute(_END_VALUES, scope)
            now = time.time_ns() // 1000
            ended = self._base.execute(_END_OBJECTS, (now, *scope)).rowcount
            self._note({"generation": ended, "indicators": ended})
        return ended

    def drop(self, source: str) -> None:
        """End all objects of a feed and forget its cursor: it is as if it had never been read.

        To be called within `changing`: with its cursor and without its objects, a feed would stay
        empty for good.
        """
        number, now = self._number(source), time.time_ns() // 1000
        scope = (number, self._count("round") + 1)
        self._base.execute(_END_VALUES, scope)
        ended = self._base.execute(_END_SHARED, (number, host_of(source))).rowcount
        ended += self._base.execute(_END_OBJECTS, (now, *scope)).rowcount
        self._base.execute("UPDATE sources SET cursor = '' WHERE name = ?", (source,))
        self._note({"generation": ended, "indicators": ended})

    def mark(self, now: int) -> StateMark:
        """Return the mark that determines the files at this time, in µs since 1970 UTC."""
        last = "SELECT max(valid_until) FROM objects WHERE valid_until <= ?"
        [(expired,)] = self._fetch(last, (now,))
        return StateMark(self._count("generation"), self._count("indicators"), expired or 0)

    def next_end(self, now: int) -> int | None:
        """Time at which the next object expires, in µs since 1970 UTC; None if none does."""
        next_ = "SELECT min(valid_until) FROM objects WHERE valid_until > ?"
        [(end,)] = self._fetch(next_, (now,))
        return None if end is None else int(end)

    def count_indicators(self, now: int, least_confidence: int = 0) -> int:
        """The number of indicators that are current at this time and have this confidence."""
        query = f"SELECT count(*) FROM objects WHERE type = 'indicator' AND {_IS_CURRENT}"  # noqa: S608
        [(count,)] = self._fetch(query, {"now": now, "least": least_confidence})
        return int(count)

    def snapshot(
        self, feed: str, now: int, least_confidence: int = 0, lasting_name: str = ""
    ) -> Snapshot:
        """Content of the feeds at this time: see `CurrentState`; `lasting_name`: else `feed`."""
        bounds = {"now": now, "least": least_confidence}
        return Snapshot(self._base, feed, lasting_name or feed, bounds)

    def file_records(self) -> dict[str, FileRecord]:
        """The files that were written from this state, by name."""
        rows = self._fetch("SELECT name, digest, serial, length, time FROM files")
        return {name: FileRecord(*rest) for name, *rest in rows}

    def record_file(self, name: str, record: FileRecord | None) -> None:
        """Remember a file that was written; None: that it was removed.

        To be called within `changing`.
        """
        self._base.execute("DELETE FROM files WHERE name = ?", (name,))
        if record is not None:
            self._base.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?)", (name, *record))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """See `CurrentState`.  To be read within `StateFile.reading`."""

    base: sqlite3.Connection
    feed: str
    lasting_name: str
    bounds: dict[str, int]

    def values(self, *kinds: str) -> Iterator[ListedValue]:
        """See `CurrentState.values`."""
        for kind in kinds:
            rows = self.base.execute(_VALUES, {**self.bounds, "kind": kind})
            for value, group in groupby(rows, key=itemgetter(0)):
                _, id_, confidence = next(group)
                yield ListedValue(kind, value, id_, confidence)

    def objects(self, type: str = "") -> Iterator[bytes]:
        """See `CurrentState.objects`; of each host the latest version of an object."""
        hosts = self._hosts()
        rows = self.base.execute(_OBJECTS, {**self.bounds, "type": type})
        for _, group in groupby(rows, key=itemgetter(0)):
            versions = list(group)
            if len(versions) == 1:
                yield versions[0][1]
                continue
            latest: dict[str, bytes] = {}
            for _, body, source in versions:
                latest.setdefault(hosts[source], body)
            yield from {_content(body): body for body in latest.values()}.values()

    def days(self) -> list[str]:
        """See `CurrentState.days`."""
        return [day for (day,) in self.base.execute(_DAYS)]

    def indicators_of(self, day: str) -> Iterator[IndicatorRecord]:
        """See `CurrentState.indicators_of`."""
        hosts = self._hosts()
        scope = {"day": day, "hosts": len({*hosts.values()})}
        rows = self.base.execute(_INDICATORS, {**self.bounds, **scope})
        for _, group in groupby(rows, key=itemgetter(0)):
            by_host: dict[str, list[_Row]] = {}
            for row in group:
                by_host.setdefault(hosts[row[7]], []).append(row)
            for host, versions in sorted(by_host.items()):
                is_first = host == hosts[versions[0][8]]
                yield _record(versions, "" if is_first else host, self.bounds["now"])

    def _hosts(self) -> dict[int, str]:
        """The host of each feed, by its number."""
        rows = self.base.execute("SELECT number, host_of(name) FROM sources")
        return {number: host for number, host in rows}


def host_of(source: str) -> str:
    """The host of a feed whose name is a URL; empty if it is none.

    >>> host_of("https://Hub.example:8443/root/"), host_of("feed")
    ('hub.example', '')
    """
    try:
        return urlsplit(source).hostname or ""
    except ValueError:
        return ""


def _content(body: bytes) -> bytes:
    """The content of an object, without how its JSON is written."""
    subject = parse_object(body)
    return msgspec.json.encode(subject, order="sorted") if subject else body


def _record(rows: Sequence[_Row], server: str, now: int) -> IndicatorRecord:
    """The record of an indicator; `rows`: its versions in several feeds, current ones first."""

    def changed(row: _Row) -> int:
        instants = [each for each in row[2:5] if isinstance(each, int)]
        return max((each for each in instants if each <= now), default=min(instants))

    is_current, body = bool(rows[0][1]), rows[0][6]
    return IndicatorRecord(
        id=str(rows[0][0]),
        modified=max(map(changed, rows)),
        is_current=is_current,
        listed=max(row[5] for row in rows if isinstance(row[5], int)),
        body=body if is_current and isinstance(body, bytes) else b"",
        server=server,
    )
