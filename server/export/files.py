"""The files of feeds, kept on disk: made when they are asked for, and again when a feed changes.

For each collection that is fetched there is a folder with the state of the feed and the files that
were made of it.  The state follows the feed entry by entry, so a request never reads the whole
feed again.  All processes of the hub on a machine share the folders; everything in them can be
deleted at any time, and is made again.

The name of a folder says how many removals the feed had: when a purge or a deletion removes
entries, a new folder is begun, and nothing of the old one is served any more.  `refresh` deletes
it, within seconds in a hub that runs.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

import msgspec

from tocsin.admission.errors import NotFound, Unavailable
from tocsin.admission.output_formats import CurrentState, OutputFile, OutputFormat, output_formats
from tocsin.mirror.render import render, write_serial
from tocsin.mirror.state import DamagedState, FileRecord, StateFile, StateInUse, StateMark
from tocsin.server.export.fair_queue import PREPARING, RETRY, FairQueue
from tocsin.server.model import Collection, FeedHead, Page, Query

log = logging.getLogger(__name__)

_STATE, _SOURCE = "state.sqlite", "feed"
_PAGE = 1000
_UNUSED_SECONDS = 7 * 24 * 3600
"""Age at which a folder that nobody asks for is deleted."""
_MOST_FILES = 400
"""Files of one folder; beyond that, those that were made first are deleted."""
_MOST_OCTETS, _TIMES_STATE = 64 << 20, 10
"""Octets of the files of one folder, likewise: the first number, or this multiple of its state.

Every minimum confidence is a file of its own, so a reader could fill the disk."""
_MOST_REMEMBERED = 1000
_MOST_OCTETS_IN_MEMORY = 4 << 20
"""Octets of a file that is read and can be compressed; a larger one is sent from the disk."""
_REFRESH_SECONDS = 5.0
_NO_ROOM = (
    "the hub has too little free space to prepare files: its operator must free space on its disk; "
    "ask again later"
)
_LOOK_OCTETS = 4 << 20
"""Octets of a file after which the free room is measured again."""
_OBJECT_OCTETS = 8 << 10
"""Octets that an object takes in a state, roughly."""


class FeedFollower(Protocol):
    """The entries of collections, to be followed."""

    def follow(self, collection: Collection, query: Query) -> Page:
        """A page; of an active view also what is no longer active."""
        ...

    def head(self, feed: str) -> FeedHead:
        """The head of a collection; raises NotFound if there is none."""
        ...


class FileRequest(NamedTuple):
    """The file that is asked for."""

    collection: Collection
    head: FeedHead
    """Head of the collection now."""
    format: OutputFormat
    name: str
    least_confidence: int
    account: str
    """The account that asks: no account keeps others from their files."""

    @property
    def key(self) -> str:
        """It stands for the file, at whatever moment."""
        place = f"{self.collection.id}/{self.format.name}/{self.name}"
        return f"{place}?{self.least_confidence}"


class ExportedFile(NamedTuple):
    """A file as it is at present."""

    path: Path
    tag: str
    """It changes when the content changes, and only then."""
    content_type: str
    position: int
    """Position of the last entry of the feed that it shows."""
    stamp: int

    def read(self) -> bytes | mmap.mmap:
        """The content; that of a large file stays on the disk.

        Raises FileNotFoundError if it was replaced in the meantime.
        """
        with self.path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            if length <= _MOST_OCTETS_IN_MEMORY:
                return file.read()
            return mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ)


class _Remembered(NamedTuple):
    """A file that was found a moment ago."""

    file: ExportedFile
    head: FeedHead
    since: int
    until: int | None
    """Time at which the next object expires; None: none does."""

    def holds(self, head: FeedHead, now: int) -> bool:
        """True if it is still the one, as long as it is there."""
        return self.head == head and self.since <= now and (self.until is None or now < self.until)


class _Cursor(msgspec.Struct, frozen=True):
    """Position up to which a state has followed its feed."""

    position: int = 0
    stamp: int = 0


class FeedFiles:
    """The files of all collections.  Safe among threads and processes."""

    def __init__(
        self,
        folder: Path,
        feeds: FeedFollower,
        epoch: str,
        clock: Callable[[], int],
        has_room: Callable[[int], bool] = lambda octets: True,
    ) -> None:
        """`folder` is made when it is needed; `has_room` is asked before octets are written.

        Files of another epoch are never served: the same positions may mean other entries.
        """
        self._folder, self._feeds, self._clock, self._has_room = folder, feeds, clock, has_room
        self._epoch = hashlib.sha256(epoch.encode()).hexdigest()[:12]
        self._version = version("tocsin")  # reads the package's metadata each time
        self._queue = FairQueue()
        self._refreshed = float("-inf")
        self._remembered: dict[str, _Remembered] = {}

    def names(self, request: FileRequest) -> list[str]:
        """The names of the files of a format."""
        with self._current_state(request) as (state, _), state.reading():
            return [file.name for file in request.format.write(self._snapshot(state, request))]

    def find(self, request: FileRequest) -> ExportedFile:
        """The file; it is made or brought up to date first.

        Raises NotFound if the format has no such file, Unavailable if that takes too long.
        """
        remembered = self._remembered.get(request.key)
        if remembered is not None and remembered.holds(request.head, self._clock()):
            with suppress(FileNotFoundError):
                os.utime(remembered.file.path.parent)
                os.stat(remembered.file.path)
                return remembered.file
        return self._find(request)

    def _find(self, request: FileRequest) -> ExportedFile:
        now = self._clock()
        with self._current_state(request) as (state, folder):
            cursor, found = self._cursor(state), self._known(state, folder, request)
            if found is None:
                with self._queue.take(request.account):
                    made_meanwhile = self._known(state, folder, request)
                    found = made_meanwhile or self._make(state, folder, request)
            until = state.next_end(now)
        record, path, content_type = found
        tag = f"{record.digest[:32]}-{record.serial}" if record.serial else record.digest[:32]
        file = ExportedFile(path, tag, content_type, cursor.position, cursor.stamp)
        if len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[request.key] = _Remembered(file, request.head, now, until)
        return file

    def refresh(self, *, at_once: bool = False) -> None:
        """Delete what belongs to an earlier state of a feed, and what was not asked for in a week.

        If it is called often, it does so every five seconds, unless `at_once`.
        """
        if not at_once and time.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = time.monotonic()
        for folder in sorted(self._folder.glob("*/*")):
            try:
                is_current = folder.name == self._name(self._feeds.head(folder.parent.name))
            except NotFound:
                is_current = False
            with suppress(FileNotFoundError):  # another process was faster
                if not is_current or time.time() - folder.stat().st_mtime > _UNUSED_SECONDS:
                    _delete(folder)

    def _name(self, head: FeedHead) -> str:
        return f"{self._epoch}-{head.removals}"

    @contextmanager
    def _current_state(self, request: FileRequest) -> Iterator[tuple[StateFile, Path]]:
        """The state of a collection up to date, and its folder."""
        folder = self._folder / request.collection.id / self._name(request.head)
        try:
            if not folder.is_dir():
                self._check_room(request.head.position * _OBJECT_OCTETS)
                for each in (self._folder, folder.parent, folder):
                    each.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(StateFile(folder / _STATE, alone=False)) as state:
                if not self._is_current(state, request):
                    with self._queue.take(request.account, is_shared=True):
                        self._catch_up(state, request)
                os.utime(folder)
                yield state, folder
        except StateInUse as error:
            raise Unavailable(PREPARING, RETRY) from error
        except DamagedState as error:
            log.warning("%s; it is made again", error)
            _delete(folder)
            raise Unavailable(PREPARING) from error
        except FileNotFoundError as error:  # something was removed from the feed meanwhile
            raise Unavailable(PREPARING) from error
        except (OSError, sqlite3.Error) as error:
            log.warning("files of %s cannot be made: %s", request.collection.id, error)
            raise Unavailable(PREPARING) from error

    def _check_room(self, octets: int) -> None:
        """Raises Unavailable if the disk is too full to write about this many octets."""
        if not self._has_room(octets):
            raise Unavailable(_NO_ROOM, RETRY)

    def _cursor(self, state: StateFile) -> _Cursor:
        text = state.cursor(_SOURCE)
        return msgspec.json.decode(text, type=_Cursor) if text else _Cursor()

    def _is_current(self, state: StateFile, request: FileRequest) -> bool:
        cursor = self._cursor(state)
        return (cursor.position, cursor.stamp) == request.head[:2]

    def _catch_up(self, state: StateFile, request: FileRequest) -> None:
        """Follow the feed to its end, a page in each transaction: others may do the same."""
        self._check_history(state, request)
        more = not self._is_current(state, request)
        while more:
            missing = request.head.position - self._cursor(state).position
            self._check_room(max(0, missing) * _OBJECT_OCTETS)
            with state.changing():
                cursor = self._cursor(state)
                query = Query(limit=_PAGE, position=cursor.position)
                page = self._feeds.follow(request.collection, query)
                end = cursor.position, cursor.stamp
                if page.entries:
                    end = page.entries[-1].position, page.entries[-1].stamp
                more = page.more
                if not more:  # the last entries before the head may be superseded ones
                    end = max(end, request.head[:2])
                cursor = _Cursor(*map(int, end))  # not BSON's own kind of number
                bodies = (entry.body for entry in page.entries)
                state.apply(_SOURCE, bodies, msgspec.json.encode(cursor).decode())

    def _check_history(self, state: StateFile, request: FileRequest) -> None:
        """Raises DamagedState if the feed ends before the place up to which it was followed.

        Then the database was replaced by an earlier copy of it.
        """
        position = self._cursor(state).position
        is_ahead = position > request.head.position  # another request may have been faster
        if is_ahead and position > self._feeds.head(request.collection.id).position:
            raise DamagedState("the feed has become shorter")

    def _snapshot(self, state: StateFile, request: FileRequest) -> CurrentState:
        name = request.collection.alias or request.collection.title
        return state.snapshot(name, self._clock(), request.least_confidence)

    def _facts(self, mark: StateMark, request: FileRequest, format: OutputFormat) -> str:
        """Facts on which the content of a file in this format depends."""
        generation = mark.indicators if format.is_indicators_only else mark.generation
        name = request.collection.alias or request.collection.title
        return repr((self._version, generation, mark.expired, name))

    def _known(
        self, state: StateFile, folder: Path, request: FileRequest
    ) -> tuple[FileRecord, Path, str] | None:
        """The file that was made already, if it is what would be made now."""
        key = request.key
        with state.reading():  # another request may be recording its successor
            record = state.file_records().get(key)
            kept = str(state.fact(f"made {key}", "")).partition("\n")
            facts = self._facts(state.mark(self._clock()), request, request.format)
        if record is None or kept[0] != facts:
            return None
        path = folder / _file_name(key, record)
        return (record, path, kept[2]) if path.exists() else None

    def _make(
        self, state: StateFile, folder: Path, request: FileRequest
    ) -> tuple[FileRecord, Path, str]:
        """Make the file; if it is what it was, its number and its digest stay."""
        self._check_room((folder / _STATE).stat().st_size)  # most files have no more than it
        mark = state.mark(self._clock())
        key, facts = request.key, self._facts(mark, request, request.format)
        previous = state.file_records().get(key)
        with state.reading():
            file = _find(request, self._snapshot(state, request))
            file = replace(file, chunks=self._while_there_is_room(file.chunks))
            record, path = self._write(file, folder, key, previous)
        with state.changing():
            state.record_file(key, record)
            state.set_fact(f"made {key}", f"{facts}\n{file.content_type}")
        self._delete_outdated(state, folder, request)
        _delete_surplus(folder, path)
        return record, path, file.content_type

    def _while_there_is_room(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of a file.  Raises Unavailable if it takes the room that must stay free.

        It can be many times as long as the state: some formats repeat texts for each value.
        """
        written = 0
        for chunk in chunks:
            written += len(chunk)
            if written >= _LOOK_OCTETS:
                self._check_room(written)
                written = 0
            yield chunk

    def _delete_outdated(self, state: StateFile, folder: Path, request: FileRequest) -> None:
        """Delete the files that show an earlier state: what was revoked since is in them."""
        with state.reading():
            mark = state.mark(self._clock())
            facts = {
                name: self._facts(mark, request, format)
                for name, format in output_formats().items()
            }
            current = {
                _file_name(key, record)
                for key, record in state.file_records().items()
                if str(state.fact(f"made {key}", "")).partition("\n")[0] == facts[_format_of(key)]
            }
        for path in folder.glob("*.file"):
            if path.name not in current:
                path.unlink(missing_ok=True)

    def _write(
        self, file: OutputFile, folder: Path, key: str, previous: FileRecord | None
    ) -> tuple[FileRecord, Path]:
        handle, name = tempfile.mkstemp(".tmp", dir=folder)
        try:
            with cast(BinaryIO, os.fdopen(handle, "w+b")) as stream:
                rendered = render(file, stream)
                if previous is not None and previous.digest == rendered.digest:
                    serial = write_serial(stream, rendered, previous.serial - 1, 0)
                else:
                    before = 0 if previous is None else previous.serial
                    serial = write_serial(stream, rendered, before, self._clock())
            record = FileRecord(rendered.digest, serial, rendered.length, self._clock())
            path = folder / _file_name(key, record)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
        return record, path


def _file_name(key: str, record: FileRecord) -> str:
    digest = hashlib.sha256(f"{key}\n{record.digest}\n{record.serial}".encode())
    return f"{digest.hexdigest()[:40]}.file"


def _format_of(key: str) -> str:
    return key.split("/")[1]


def _find(request: FileRequest, state: CurrentState) -> OutputFile:
    for file in request.format.write(state):
        if file.name == request.name:
            return file
    raise NotFound(
        f"the format {request.format.name} has no such file here; its URL without a file lists them"
    )


def _delete(folder: Path) -> None:
    """Delete a folder that others may be deleting too."""
    shutil.rmtree(folder, ignore_errors=True)


def _delete_surplus(folder: Path, newest: Path) -> None:
    """Delete the files that were made first, as far as there are too many; `newest` stays."""
    made = [(path.stat(), path) for path in folder.glob("*.file") if path != newest]
    made.sort(key=lambda each: each[0].st_mtime, reverse=True)
    most = max(_MOST_OCTETS, _TIMES_STATE * (folder / _STATE).stat().st_size)
    octets = newest.stat().st_size
    for number, (about, path) in enumerate(made, 2):
        octets += about.st_size
        if number > _MOST_FILES or octets > most:
            path.unlink(missing_ok=True)
