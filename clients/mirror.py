"""A folder of files that are the current state of collections: `tocsin poll --mirror`.

The state is one SQLite file in the folder.  Objects and the cursor after them are written to it in
one transaction; the files are written from it afterwards.  So whenever the program is killed, the
next poll goes on where the state is, and writes what the files lack.  A file is replaced at once
and only if its content differs; what was revoked, deleted or has expired is not in it any more.

A server that deletes objects without notice is found only by reading the collections again:
see `Mirror.verify`.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import NamedTuple
from urllib.parse import urlsplit

from tocsin.admission.errors import Malformed
from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, output_formats
from tocsin.admission.timestamps import timestamp
from tocsin.clients.files import (
    DiskFull,
    Replacement,
    UnusableFile,
    WrongPath,
    find_abandoned_files,
    remove_abandoned_files,
    resolve,
    set_mode,
    writing,
)
from tocsin.clients.http import Collection, Hub
from tocsin.clients.poll import PollQuery, poll_batches
from tocsin.clients.state import (
    Cursor,
    cursor_key,
    find_moved,
    find_same,
    format_cursor,
    parse_cursor,
)
from tocsin.mirror.render import render, write_serial
from tocsin.mirror.state import DamagedState, FileRecord, StateFile, StateInUse

log = logging.getLogger(__name__)

_STATE_FOLDER, _STATE_FILE = ".tocsin", "state.sqlite"
_READABLE, _SEARCHABLE = 0o444, 0o111
_STALE = 24 * 60 * 60 * 1_000_000
"""µs after which a source that no poll has read is named in a warning."""
_STALE_SOURCE = (
    "%s also has objects of %s, which has not been read %s: they stay until they expire. "
    "Poll it with its --url, or remove them with --drop %s"
)

_LEAST_CONFIDENCE = "least confidence"
"""The name of the fact that has the confidence which the files require."""
_PRIMARY = 0xFF
"""The bits of an error code of SQLite that tell the kind of error."""
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
"""A full disk, and also a quota or a limit that ends a write."""
_SAME_ID = (
    "%s also has objects of %s, a collection with the same id on another host: if the hub has "
    "moved, remove them with --drop %s"
)


@dataclass(frozen=True, slots=True)
class MirrorOptions:
    """Options for writing the files of a mirror."""

    formats: tuple[str, ...] = ()
    """Names of output formats; those that the folder has already are written too."""
    least_confidence: int | None = None
    """Indicators with less confidence, or without any, are left out; 0: none.

    None: as it was the last time.
    """
    mode: int | None = None
    """The mode of files, new and old; those who may read them may search their folders.

    None: new files and folders are their owner's only, old ones stay as they are.
    """


class MirrorChanges(NamedTuple):
    """The numbers of files that were written and removed."""

    written: int
    removed: int


class Mirror:
    """A folder of files, and its state."""

    def __init__(self, folder: Path) -> None:
        """Opens the state, and makes the folder if there is none.

        Raises WrongPath if the folder cannot be written to, or has files but is not a mirror;
        UnusableFile if another poll is at work in it.
        """
        self._folder = resolve(folder) if folder.is_dir() else _make_folder(folder)
        _check_folder(self._folder)
        path = self._folder / _STATE_FOLDER / _STATE_FILE
        with writing(self._folder / "files", f"--mirror: {self._folder}", kind="folder"):
            path.parent.mkdir(mode=0o700, exist_ok=True)
        with _explained(path), writing(path, f"--mirror: {path}"):
            self._state = StateFile(path, alone=True)
        self._reported: set[str] = set()
        """Sources that a warning has named."""

    def __enter__(self) -> Mirror:
        """The mirror itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the state."""
        self._state.close()

    def check_sources(self, sources: Sequence[str]) -> None:
        """Raises Malformed if the folder mirrors a collection of these servers that is not named.

        It would grow old.  Collections of other servers are those of another command.
        """
        servers = {_server(source) for source in sources}
        known = (each for each in self._others(sources) if _server(each) in servers)
        left_out = sorted(set(known) - self._moved(sources).keys())
        if left_out:
            raise Malformed(
                f"{self._folder} also mirrors {', '.join(left_out)[:500]}, which would no longer "
                "be kept up to date; name all its collections with the same --type, "
                "name another folder, or remove what it gave with --drop URL"
            )

    def finish_sources(self, sources: Sequence[str]) -> None:
        """Note that these sources were read to their end; warn of others that no one reads.

        A collection that was read at another URL before ends there: it is the same one.
        """
        moved, now = self._moved(sources), time.time_ns() // 1000
        with _explained(self._folder), self._state.changing():
            for old in moved:
                self._state.drop(old)
            for source in sources:
                self._state.set_fact(f"read {source}", now)
        for old, new in moved.items():
            log.warning("%s is the collection that was at %s; it takes its place", new, old)
        for source in self._others(sources):
            if any(find_same(each, [source]) for each in sources):
                log.warning(_SAME_ID, self._folder, source, quote(source))
                continue
            read = int(self._fact(f"read {source}", 0))
            if now - read > _STALE and source not in self._reported:
                self._reported.add(source)
                since = f"since {timestamp(read)[:19]}Z" if read else "lately"
                log.warning(_STALE_SOURCE, self._folder, source, since, quote(source))

    def drop(self, url: str) -> None:
        """Remove what the source with this URL gave, else the sources below it.

        Raises Malformed if there is none.
        """
        known = self._sources()
        below = [each for each in known if each.startswith(url.rstrip("/") + "/")]
        found = [url] if url in known else below
        if not found:
            raise Malformed(
                f"--drop: {self._folder} has nothing from {ascii(url)}; "
                f"it has objects of {', '.join(known)[:500] or 'no collection'}"
            )
        with _explained(self._folder), self._state.changing():
            for source in found:
                self._state.drop(source)

    def _others(self, sources: Sequence[str]) -> list[str]:
        """The known sources that are not among these."""
        return [each for each in self._sources() if each not in sources]

    def _sources(self) -> list[str]:
        with _explained(self._folder):
            return self._state.sources()

    def _fact(self, name: str, default: str | int) -> str | int:
        with _explained(self._folder):
            return self._state.fact(name, default)

    def _moved(self, sources: Sequence[str]) -> dict[str, str]:
        """By other known sources of the same collections: which of `sources` that is."""
        others = self._others(sources)
        return {old: new for new in sources for old in find_moved(new, others)}

    def poll(self, hub: Hub, collection: Collection, query: PollQuery) -> Iterator[int]:
        """Take over what is new in a collection; yields the number of objects of each page."""
        source = cursor_key(collection.url, query.filters())
        for batch in poll_batches(hub, collection, query, self._cursor(source)):
            with _explained(self._folder), self._state.changing():
                cursor = json.dumps(format_cursor(batch.cursor))
                self._state.apply(source, batch.objects, cursor)
            yield len(batch.objects)

    def verify(self, hub: Hub, collection: Collection, query: PollQuery) -> Iterator[int]:
        """Read a collection from its beginning, and end the objects that it no longer has.

        Yields the number of objects of each page.  Nothing ends unless all pages were read.
        """
        source = cursor_key(collection.url, query.filters())
        cursor = Cursor()
        with _explained(self._folder):
            self._state.begin_round()
        for batch in poll_batches(hub, collection, query, cursor):
            cursor = batch.cursor
            with _explained(self._folder), self._state.changing():
                self._state.apply(source, batch.objects, None)
            yield len(batch.objects)
        with _explained(self._folder):
            self._state.end_absent(source)
            with self._state.changing():
                self._state.apply(source, (), json.dumps(format_cursor(cursor)))

    def _cursor(self, source: str) -> Cursor:
        with _explained(self._folder):
            text = self._state.cursor(source)
        return parse_cursor(json.loads(text)) if text else Cursor()

    def name(self, names: Mapping[str, str]) -> None:
        """Note the names of sources, which stand in the files; one may hold half a character."""
        with _explained(self._folder), self._state.changing():
            for source, name in names.items():
                name = name.encode(errors="replace").decode()
                self._state.set_fact(f"name {source}", name)

    def _feed(self) -> str:
        """The names of all sources, as one; empty if nothing was ever read to its end.

        If all were dropped, the files keep their first name until another one is read.
        """
        names = {str(self._fact(f"name {each}", "")) for each in self._sources()}
        return "+".join(sorted(names)) or str(self._fact("lasting name", ""))

    def _lasting_name(self, feed: str, *, is_whole: bool) -> str:
        """The first name that the files had once everything was read; until then, `feed`.

        Products name files in their settings and know rules by their ids, so another server, or
        another alias, must not change them.
        """
        with _explained(self._folder):
            name = str(self._state.fact("lasting name", ""))
            if not name and is_whole:
                with self._state.changing():
                    self._state.set_fact("lasting name", feed)
        return name or feed

    def write(self, options: MirrorOptions, *, is_whole: bool = True) -> MirrorChanges:
        """Bring the files up to date.

        `is_whole`: all collections were read to their end.  Until then, files of a former state
        that was lost stay as they are: they have more.

        Raises UnusableFile if a file cannot be written.
        """
        feed, least = self._feed(), self._keep_least_confidence(options.least_confidence)
        if not feed:
            return MirrorChanges(0, 0)
        changed: dict[str, FileRecord | None] = {}
        name = self._lasting_name(feed, is_whole=is_whole)
        with _explained(self._folder), self._state.reading():
            now = time.time_ns() // 1000
            mark = self._state.mark(now)
            snapshot = self._state.snapshot(feed, now, least, name)
            records = self._state.file_records()
            # Not by the records: the state may have been lost, and read again.
            kept = {name for name in output_formats() if (self._folder / name).is_dir()}
            if kept and not records and not is_whole:
                return MirrorChanges(0, 0)
            for format in _find_formats(kept.union(options.formats)):
                generation = mark.indicators if format.is_indicators_only else mark.generation
                facts = (generation, mark.expired, feed, name, least)
                writer = _FormatWriter(self._folder / format.name, format, options.mode, records)
                changed |= writer.write(snapshot, facts, now)
        with _explained(self._folder), self._state.changing():
            for name, record in changed.items():
                self._state.record_file(name, record)
        done = [bool(record) for name, record in changed.items() if not name.endswith("/")]
        return MirrorChanges(sum(done), len(done) - sum(done))

    @property
    def least_confidence(self) -> int:
        """The confidence that the files require of indicators; 0: none."""
        return int(self._fact(_LEAST_CONFIDENCE, 0))

    def _keep_least_confidence(self, wanted: int | None) -> int:
        """The confidence that the files require from now on; None: the one that is kept."""
        if wanted is not None and wanted != self.least_confidence:
            with _explained(self._folder), self._state.changing():
                self._state.set_fact(_LEAST_CONFIDENCE, wanted)
        return self.least_confidence

    def count_indicators(self) -> tuple[int, int]:
        """The current indicators that the files have, and those with too little confidence."""
        with _explained(self._folder):
            now = time.time_ns() // 1000
            taken = self._state.count_indicators(now, self.least_confidence)
            return taken, self._state.count_indicators(now) - taken


@dataclass(frozen=True, slots=True)
class _FormatWriter:
    """Writes the files of one format into its folder."""

    folder: Path
    format: OutputFormat
    mode: int | None
    records: dict[str, FileRecord]

    def write(
        self, state: CurrentState, facts: tuple[object, ...], now: int
    ) -> dict[str, FileRecord | None]:
        """Write the files that differ, remove those that are no longer among them.

        `facts` are what the content depends on.  Returns the records that have changed.
        """
        prefix = f"{self.format.name}/"
        digest = json.dumps([version("tocsin"), *facts])
        before = {n: r for n, r in self.records.items() if n.startswith(prefix) and n != prefix}
        overall = self.records.get(prefix)
        self._prepare_folder(before)
        if overall and overall.digest == digest and all(map(self._is_intact, before)):
            return {}
        with writing(self.folder / "files", f"--mirror: {self.folder}"):
            abandoned = find_abandoned_files(self.folder)
        changed: dict[str, FileRecord | None] = {}
        written: set[str] = set()
        for file in self.format.write(state):
            name = prefix + file.name
            written.add(name)
            remove_abandoned_files(self.folder / file.name, abandoned)
            record = self._write_file(file, name, now)
            if record is not None:
                changed[name] = record
        for name in before.keys() - written:
            path = self.folder / name.removeprefix(prefix)
            path.unlink(missing_ok=True)
            changed[name] = None
        return changed | {prefix: FileRecord(digest, 0, 0, 0)}

    def _prepare_folder(self, names: Iterable[str]) -> None:
        """Make the folder if there is none; give it and the files that were written their mode."""
        with writing(self.folder / "files", f"--mirror: {self.folder}"):
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700)
            if self.mode is None:
                return
            readable = self.mode & _READABLE
            if not self.folder.is_symlink():
                set_mode(self.folder, 0o700 | readable | readable >> 2 & _SEARCHABLE)
            for path in (self.folder / name.partition("/")[2] for name in names):
                if path.is_file() and not path.is_symlink():
                    set_mode(path, self.mode)

    def _is_intact(self, name: str) -> bool:
        """True if a file is as it was written."""
        record = self.records[name]
        try:
            found = (self.folder / name.partition("/")[2]).lstat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (record.length, record.time)

    def _write_file(self, file: OutputFile, name: str, now: int) -> FileRecord | None:
        """The record of a file that was replaced; None if it has the content already."""
        path, record = self.folder / file.name, self.records.get(name)
        with writing(path, f"--mirror: {path}"):
            replacement = Replacement(path, self.mode)
            try:
                rendered = render(file, replacement.stream)
                if record and record.digest == rendered.digest and self._is_intact(name):
                    return None
                serial = write_serial(
                    replacement.stream, rendered, record.serial if record else 0, now
                )
                replacement.finish()
            finally:
                replacement.abandon()
            found = path.lstat()
        return FileRecord(rendered.digest, serial, found.st_size, found.st_mtime_ns)


def _find_formats(names: Iterable[str]) -> list[OutputFormat]:
    """The formats of these names, in alphabetical order; `edl` if there is none."""
    return [output_formats()[name] for name in sorted(names) or ["edl"]]


def _server(source: str) -> str:
    """The server of a source, by its scheme, host and port."""
    return "{0.scheme}://{0.netloc}".format(urlsplit(source))


def _make_folder(folder: Path) -> Path:
    """The new folder; folders above it are not made, since they are more likely a typing error."""
    path = resolve(folder)
    if os.path.lexists(path):
        raise WrongPath(f"--mirror: {path} is not a folder; name a folder")
    with writing(path, f"--mirror: {path}", kind="folder"):
        path.mkdir()
    return path


def _check_folder(folder: Path) -> None:
    """Raise WrongPath if there are files that no mirror wrote: it would replace them."""
    with writing(folder / "files", f"--mirror: {folder}", kind="folder"):
        names = {each.name for each in folder.iterdir()}
    if _STATE_FOLDER not in names and names - {"lost+found"}:  # this is in every new file system
        raise WrongPath(
            f"--mirror: {folder} has files but is not a mirror, and some could be replaced; name a "
            "new or an empty folder"
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an error of the state file into UnusableFile."""
    try:
        yield
    except StateInUse as error:
        raise UnusableFile(
            f"--mirror: another poll is at work in {path.parent.parent}; wait until it has ended. "
            "`--follow` locks the folder: to mirror several hubs into it, poll without --follow, "
            "from cron"
        ) from error
    except DamagedState as error:
        raise UnusableFile(
            f"--mirror: {error}; remove the files in the folder {_STATE_FOLDER} of the mirror, but "
            "not the folder, to read the collections from the beginning, and give "
            "--minimum-confidence again if the files had one"
        ) from error
    except sqlite3.Error as error:
        is_full = getattr(error, "sqlite_errorcode", 0) & _PRIMARY in _NO_ROOM
        kind = DiskFull if is_full else UnusableFile
        raise kind(f"--mirror: the state in {path} cannot be written: {error}") from error
