"""The embedded database engine, for a hub without a MongoDB server.

The engine (SecantusDB) is a separate program, started by its command and used as
a MongoDB server; nothing of it is imported here.

Only one engine uses a data directory at a time.  A running hub keeps its engine
until it ends, and the operator's commands use the same one; if no hub is running,
a command starts an engine and stops it at the end.

The directory holds, for its owner only:

| file          | content                                                      |
|---------------|--------------------------------------------------------------|
| db/           | the engine's data                                            |
| reserve       | room that is given up to start on a full disk: see `availability.py` |
| db.old/       | the same while `rewrite` swaps it for a fresh copy           |
| rewrite/      | the fresh copy while it is made; deleted by the next start   |
| new/          | a new database until it has its user and was found empty     |
| engine.secret | user and password                                            |
| engine.toml   | the engine's settings                                        |
| engine.log    | what the engine printed; earlier: engine.log.old             |
| engine.lock   | locked while an engine starts or runs, and by `rewrite`      |
| hub.lock      | locked by the hub                                            |
| engine.json   | the port of a running hub's engine                           |
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import logging
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import bson
import pymongo
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from tocsin.admission.errors import Unavailable, Unprocessable
from tocsin.server.processes.memory import ARENA_MAX, ARENA_VARIABLE
from tocsin.server.store import engine_launcher
from tocsin.server.store.availability import INTERNAL_ERRORS, measure_free_octets, release_reserve
from tocsin.server.store.connection import AUTHENTICATION_FAILED, Client, Document

log = logging.getLogger(__name__)

_LOCK = "engine.lock"
_HUB_LOCK = "hub.lock"
_SECRET = "engine.secret"  # noqa: S105 - the file's name
_SETTINGS = "engine.toml"
_ADDRESS = "engine.json"
_LOG = "engine.log"
_DATA = "db"
_OLD_DATA = "db.old"
_REWRITE = "rewrite"
_NEW = "new"
FILES_OF_A_HUB = frozenset(
    (
        *(_LOCK, _HUB_LOCK, _SECRET, _SETTINGS, _ADDRESS, _LOG, _DATA, _OLD_DATA, _REWRITE, _NEW),
        *("reserve", "secrets.json", "restoring", "url", "drafts", "exports", "trials"),
        "lost+found",
    )
)
"""Everything that may stand in a data directory; a file system puts the last one there."""
_IN_USE = "another hub is using {}: stop it, or name another --data"
_COPY_OCTETS = 4_000_000
"""Octets of documents that are copied together."""
_NOT_COPIED = ("WiredTigerLog.", "secantus_oplog")
"""How the names of the files begin that a copy begins anew: the journal, the log of operations."""
_COPY_ROOM = 32 << 20
"""Octets that a copy needs beside its tables: the journals of both engines."""
_COPY_GROWTH_PART = 8
"""An eighth more for tables that are fuller of gaps in the copy, as those of indexes are."""
_FULL = 32 << 20
"""Octets; with fewer free, a failure of the engine is put down to the full disk.

Its journal takes them 10 MB at a time."""
_DOCUMENT_TABLES, _MOST_TRIED = 16, 1_000
_EMPTY = "empty"
"""A database that is there only while the tables are made."""
_OWN_DATABASES = frozenset(("admin", "config", "local"))
_USER = "tocsin"
_HOST = "127.0.0.1"
_LISTENING = re.compile(rb"listening on 127\.0\.0\.1:(\d+)")
_START_SECONDS = 300.0
"""A large database whose engine was killed is recovered from its journal first."""
_LOCK_SECONDS = 30.0
_STOP_SECONDS = 20.0
_WAIT_SECONDS = 30.0
_PROBE_SECONDS = 1.0
"""Longer than any command holds the hub's lock to check for a running hub."""
_PAUSE_SECONDS = 0.1
_RESTART_PAUSES = (0.2, 1.0, 5.0, 15.0)
_HEALTH_SECONDS = 1.0
"""Seconds between two look-ups that show if the engine is well."""
_ANSWER_SECONDS = 5.0
"""Time limit of such a look-up."""
_SILENT_SECONDS = 30.0
"""Seconds without an answer after which an engine is ended."""
_MOST_FAILURES = 2
"""Look-ups in a row that are answered with an error before the engine is ended."""
_MOST_UNANSWERED = 3
"""Look-ups in a row that are not answered at least, in case the hub itself stood still."""
_LOG_OCTETS = 16 * 1024 * 1024
"""Octets of the engine's log beyond which it begins a new one at its next start."""
_INTERPRETER = str(Path(engine_launcher.__file__).with_name("engine_interpreter"))
"""The folder of `sitecustomize.py`, for the engine's interpreter."""
_ENVIRONMENT = {
    "SECANTUS_FORCE_DURABLE": "1",
    "PYTHONPATH": _INTERPRETER,
    ARENA_VARIABLE: str(ARENA_MAX),
    # Shares of the cache with updates, and with written pages, beyond which a thread that only
    # reads must first make room; usually 10 % and 20.  An open transaction takes twice the octets
    # of its documents, and no room can be made of it.  The engine reads before it commits: one of
    # 25 MB waited for its own end, and everybody with it.  It refuses those above 7.5 % of the
    # cache, and a hub has one at a time as a rule (`SharedCommitLock`); four at once fit.
    "WIREDTIGER_CONFIG": "eviction_updates_trigger=60,eviction_dirty_trigger=80",
}
_IDLE_MS = 240_000
"""Connections are closed after this, since the engine closes them after 300 s."""
_SETTINGS_TEXT = """\
[server]
host = "{host}"
storage_path = {path}
log_level = "INFO"

[oplog]
retention_seconds = 60.0
max_entries = 1000

[storage]
sync_on_commit = true
cache_size = "512M"
"""
"""Every commit is on disk before it is acknowledged: the engine honours the journal flag of
single writes but not that of a transaction.  A transaction must fit into the cache several times
(see `BATCH_OCTETS`); a larger cache than this was no faster."""
_COPY_SETTINGS_TEXT = _SETTINGS_TEXT.replace("[server]", "[server]\nstandalone = true")
"""Those of the engine that writes a copy: it keeps no log of operations, so the copy has none.

That log was a third of a small database.  Without it there are no transactions: nothing but a copy
is written so."""

Report = Callable[[str], None]
"""Prints a line for the operator."""


class _Child(NamedTuple):
    """An engine's process."""

    process: subprocess.Popen[bytes]
    log: Path
    before: int
    """The octets of its log before it was started."""

    def await_port(self) -> int:
        """The port that the engine says in its log that it listens on.

        Raises Unavailable if it ends, or is ended here because it takes too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        with self.log.open("rb") as log:
            log.seek(self.before)
            output = b""
            while self.process.poll() is None and time.monotonic() < deadline:
                output += log.read()
                if found := _LISTENING.search(output):
                    return int(found[1])
                time.sleep(_PAUSE_SECONDS / 5)
        self.process.kill()
        self.process.wait()
        reason = _find_full_disk(self.log.parent)
        raise Unavailable(f"the database engine did not start: {reason}see {self.log}")


class _Begun(NamedTuple):
    """An engine whose start has begun."""

    holding: contextlib.ExitStack
    """Holds the lock of the directory until the start is complete."""
    lock: int
    """The open file of the lock."""
    child: _Child | None
    """Its process; None if its database has yet to be made."""


class Engine:
    """A database engine that runs as a child process."""

    def __init__(self, data: Path, report: Report) -> None:
        """Use `begin`, `start` or `private` instead, which start it."""
        self._data, self._print = data, report
        self._settings = _SETTINGS_TEXT
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: subprocess.Popen[bytes] | None = None
        """The process, once it listens: one that recovers its journal may be silent for minutes."""
        self._port = 0
        self._begun: _Begun | None = None
        self._shared = ""
        self._stopping = threading.Event()
        self._hub_lock = contextlib.ExitStack()

    @classmethod
    def begin(cls, data: Path, report: Report) -> Engine:
        """Begin to start a hub's engine on `data`; `await_start` completes it.

        Call both on a thread that lives as long as the engine: the engine ends with it.

        Raises Unavailable, with a sentence, if no engine is installed or another one has the
        directory.
        """
        engine = cls(data, report)
        with contextlib.ExitStack() as lock:
            engine._prepare()
            lock.enter_context(_lock_for_hub(data))
            (data / _ADDRESS).unlink(missing_ok=True)  # of a hub that was killed
            engine._begin_process()
            engine._hub_lock = lock.pop_all()
        return engine

    @classmethod
    def start(cls, data: Path, report: Report) -> Engine:
        """Start a hub's engine on `data`.  See `begin`."""
        engine = cls.begin(data, report)
        try:
            engine.await_start()
        except BaseException:
            engine.stop()
            raise
        return engine

    @classmethod
    def private(
        cls,
        data: Path,
        report: Report,
        settings: str = _SETTINGS_TEXT,
        *,
        lock: int | None = None,
    ) -> Engine:
        """Start an engine on `data` for this process only.  See `start`.

        `lock` is the open file of the directory's lock, if this process holds it already.
        """
        engine = cls(data, report)
        engine._settings, engine._lock = settings, lock
        engine._prepare()
        engine.await_start()
        return engine

    def announce(self, shared: str = "") -> None:
        """Tell the operator's commands its port, and the folder that the hub's processes share."""
        self._shared = shared
        self._announce()

    @property
    def uri(self) -> str:
        """The URI on which it listens, with the password."""
        return _uri(self._data, self._port)

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._process.pid if self._process else 0

    def watch(self) -> None:
        """Restart the engine on the same port whenever it ends unexpectedly, fails or hangs.

        From now on the hub serves: its log has what is reported.
        """
        self._print = _log_line
        for work in (self._keep_alive, self._look_after):
            threading.Thread(target=work, name="engine-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop the engine; all commits are on disk already."""
        self._stopping.set()
        (self._data / _ADDRESS).unlink(missing_ok=True)
        with self._hub_lock:
            if self._begun is not None:
                self._give_up_start(self._begun)
            if self._listening is not None and self._listening is self._process:
                _stop_process(self._listening, self.uri)
            else:
                self._end_process()

    def _give_up_start(self, begun: _Begun) -> None:
        """Kill an engine that nobody has used; its database is as it was."""
        self._begun = None
        with begun.holding:
            if begun.child is not None:
                begun.child.process.kill()
                begun.child.process.wait()

    def _prepare(self) -> None:
        """See `_prepare_directory`; Unavailable if there is no room on the disk."""
        if _delete_interrupted_copy(self._data):
            self._report(f"{self._data / _REWRITE}, of an interrupted `compact`, is deleted")
        self._release_reserve()
        if _holds_others_files(self._data):
            raise Unprocessable(
                f"{self._data} has files of others and no hub; a hub would close it to "
                "other users: name another --data"
            )
        try:
            was_open = self._data.exists() and stat.S_IMODE(self._data.stat().st_mode) & 0o077
            _prepare_directory(self._data, self._settings)
        except PermissionError:  # the command line says which user the directory belongs to
            raise
        except OSError as error:
            message = f"cannot write to {self._data}: {error.strerror}"
            raise Unavailable(message) from error
        if was_open:
            self._report(f"{self._data} is closed to other users now (mode 0700)")

    def await_start(self) -> None:
        """Wait until the engine can be used.  Raises Unavailable if it does not start.

        If it cannot on a full disk, it is started once more with the reserve.
        """
        with _failures_explained(self._data):
            try:
                self._start_process()
            except (Unavailable, PyMongoError):
                self._end_process()
                if not self._release_reserve():
                    raise
                self._start_process()

    def _release_reserve(self) -> bool:
        """Give up the reserve if the disk is full; False if nothing was done."""
        octets = release_reserve(self._data)
        if octets:
            self._report(
                f"the disk of {self._data} is full: the reserve of {octets >> 20} MiB is given up, "
                "so that the database can start; free space on that disk"
            )
        return octets > 0

    def _end_process(self) -> None:
        """End an engine that did not come up as it should."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _begin_process(self) -> None:
        """Start a process on the database, if there is one; `_start_process` goes on."""
        with contextlib.ExitStack() as holding:
            lock = self._lock
            if lock is None:
                lock = holding.enter_context(_lock_for_engine(self._data))
            _finish_swap(self._data)
            there = (self._data / _DATA).exists()
            child = _launch(self._data, lock, self._port) if there else None
            self._begun = _Begun(holding.pop_all(), lock, child)

    def _start_process(self) -> None:
        """Start the engine with authentication; a database that is not there is made first."""
        if self._begun is None:
            self._begin_process()
        assert self._begun is not None  # noqa: S101
        begun, self._begun = self._begun, None
        with begun.holding:
            if begun.child is None:
                self._make_database(begun.lock)
                self._use(_launch(self._data, begun.lock, self._port))
            else:
                self._use(begun.child)
                if not _accepts_password(self.uri):
                    _stop_process(begun.child.process, self.uri)
                    with _open_to_all(self._data, begun.lock) as client:
                        _put_user(client, self._data)
                    self._use(_launch(self._data, begun.lock, self._port))
        _drop_other_users(self.uri)
        if (self._data / _NEW).exists():
            _check_empty(self.uri, self._data / _DATA)
            shutil.rmtree(self._data / _NEW)

    def _use(self, child: _Child) -> None:
        """Wait until a process listens, and use it."""
        self._process = child.process
        self._port = child.await_port()
        self._listening = child.process

    def _make_database(self, lock: int) -> None:
        """Make the database in a folder of its own, and put it in its place when it is whole.

        An engine that is killed while it makes a table may not start again, so all are made here.
        The folder stays until the database was found empty, after this or after a later start.
        """
        new = self._data / _NEW
        shutil.rmtree(new, ignore_errors=True)  # of a start that was interrupted
        new.mkdir(mode=0o700)
        shutil.copy2(self._data / _SECRET, new / _SECRET)
        _prepare_directory(new, self._settings)
        with _open_to_all(new, lock) as client:
            _put_user(client, new)
            _make_tables(client, new / _DATA)
        (new / _DATA).rename(self._data / _DATA)

    def _report(self, line: str) -> None:
        """Print a line; a full disk can be that of the operator's log, too."""
        with contextlib.suppress(OSError):
            self._print(line)

    def _announce(self) -> None:
        address = {"host": _HOST, "port": self._port, "pid": self.pid, "hub": os.getpid()}
        address["shared"] = self._shared
        _write(self._data / _ADDRESS, json.dumps(address))

    def _keep_alive(self) -> None:
        while self._process is not None:
            code = self._process.wait()
            if self._stopping.is_set():
                return
            self._report(f"the database engine ended ({_format_ending(code)}); starting it again")
            pauses = iter(_RESTART_PAUSES)
            while not self._restart():
                if self._stopping.wait(next(pauses, _RESTART_PAUSES[-1])):
                    return

    def _look_after(self) -> None:
        """End an engine that answers with errors only, or not at all; it is started again.

        An engine that finds no room for its journal answers everything with an internal error,
        but does not end.  All commits are on disk, so nothing is lost.
        """
        limit = round(_ANSWER_SECONDS * 1_000)
        with MongoClient[Document](
            self.uri,
            serverSelectionTimeoutMS=limit,
            connectTimeoutMS=limit,
            socketTimeoutMS=limit,
        ) as client:
            patient = _Patient(client)
            while not self._stopping.wait(_HEALTH_SECONDS):
                process = self._listening
                if process is None or process.poll() is not None:
                    patient = _Patient(client)  # another one is being started
                elif fault := patient.examine(process.pid):
                    self._report(f"the database engine {fault}: see {self._data / _LOG}")
                    process.kill()

    def _restart(self) -> bool:
        """Start the engine again; False if that failed, for whatever reason."""
        try:
            self._release_reserve()
            self._start_process()
        except Exception as error:  # the thread must go on: nobody else starts the engine
            self._end_process()
            reason = str(error).partition(" (configured")[0]  # the driver adds its timeouts
            self._report(f"{reason}; trying again")
            return False
        try:
            self._announce()
        except OSError as error:  # the former announcement has the same port
            self._report(f"{self._data / _ADDRESS} could not be written: {error.strerror}")
        if self._stopping.is_set():  # `stop` came meanwhile and saw only the former process
            self.stop()
        return True


class _Patient:
    """One engine, as its answers show it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._pid = 0
        self._failures = self._unanswered = 0
        self._answered = time.monotonic()

    def examine(self, pid: int) -> str:
        """Look something up; what is wrong with the engine, "" if nothing is for certain."""
        if pid != self._pid:
            self._pid = pid
            self._note_answer(failures=0)
        try:
            self._client.admin.command("usersInfo", _USER)
        except OperationFailure:
            self._note_answer(self._failures + 1)
        except PyMongoError:
            self._unanswered += 1
        else:
            self._note_answer(failures=0)
        if self._failures >= _MOST_FAILURES:
            return "answers with errors only"
        silent = time.monotonic() - self._answered
        if self._unanswered >= _MOST_UNANSWERED and silent >= _SILENT_SECONDS:
            return f"has not answered for {silent:.0f} s"
        return ""

    def _note_answer(self, failures: int) -> None:
        self._failures, self._unanswered, self._answered = failures, 0, time.monotonic()


def _log_line(line: str) -> None:
    log.warning("%s", line)


@contextlib.contextmanager
def database(data: Path, report: Report) -> Iterator[str]:
    """Yield the URI of the database in `data`: a running hub's, or of a temporary engine.

    Raises Unavailable, with a sentence, if neither is available.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        hub = _is_locked(data / _HUB_LOCK)
        if not hub and not _is_locked(data / _LOCK):
            break
        if hub and (address := _read_address(data)):
            yield _uri(data, address["port"])
            return
        time.sleep(_PAUSE_SECONDS)  # another command has it, or a hub is starting
    engine = Engine.private(data, report)
    try:
        with _failures_explained(data):
            yield engine.uri
    finally:
        engine.stop()


@contextlib.contextmanager
def _failures_explained(data: Path) -> Iterator[None]:
    """Raise Unavailable, with advice, if the engine fails with what is in its files."""
    try:
        yield
    except OperationFailure as error:
        if error.code not in INTERNAL_ERRORS:
            raise
        if reason := _find_full_disk(data):
            raise Unavailable(f"the database engine failed: {reason}see {data / _LOG}") from error
        raise Unavailable(
            f"the database engine failed: a file of {data / _DATA} may be damaged, or its disk; "
            f"see {data / _LOG}, and restore a backup into a new directory"
        ) from error


def _find_full_disk(folder: Path) -> str:
    """Say that the disk is full, and what to do, as the start of a clause; "" if it is not."""
    free = measure_free_octets(folder)
    if free is None or free >= _FULL:
        return ""
    return f"the disk of {folder} is full ({free >> 20} MiB are free): free space there; "


def has_database(data: Path) -> bool:
    """True if a database was made in this data directory."""
    return any((data / name).exists() for name in (_DATA, _OLD_DATA))


def _holds_others_files(data: Path) -> bool:
    """True for a directory that other users may read, with files that are not a hub's."""
    if not data.is_dir() or has_database(data) or not stat.S_IMODE(data.stat().st_mode) & 0o077:
        return False
    return any(each.name not in FILES_OF_A_HUB for each in data.iterdir())


def require_no_hub(data: Path) -> None:
    """Raise Unavailable if a hub uses this data directory, also one that starts or ends."""
    if _is_locked(data / _HUB_LOCK):
        raise Unavailable(_IN_USE.format(data))


def rewrite(data: Path, report: Report) -> tuple[int, int]:
    """Copy the database into fresh files and delete the old ones; their octets before and after.

    The engine never gives up a page that it has written: what was deleted stays in the free
    pages, the journal and the history of its files until other data happens to take its place.
    A copy has none of it.  If this is interrupted, the old files stay or the new ones are whole.

    Raises Unavailable if a hub is running, or if there is no room for a second copy; then nothing
    is changed.
    """
    with _lock_for_hub(data):
        (data / _ADDRESS).unlink(missing_ok=True)  # of a hub that was killed
        fresh = data / _REWRITE
        shutil.rmtree(fresh, ignore_errors=True)  # of a run that was interrupted
        room = _check_room_for_copy(data)
        try:
            with _lock_for_engine(data) as lock:  # nobody writes between the copy and the swap
                with _copy_failures_explained(data, room):
                    _make_copy(data, fresh, report, lock)
                    before = _octets(data / _DATA)
                    (data / _DATA).rename(data / _OLD_DATA)
                    (fresh / _DATA).rename(data / _DATA)
                _finish_swap(data)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return before, _octets(data / _DATA)


def _make_copy(data: Path, fresh: Path, report: Report, lock: int) -> None:
    """Copy the database of `data` into the new directory `fresh`, which has the same password.

    `lock` is that of `data`.
    """
    fresh.mkdir(mode=0o700)
    shutil.copy2(data / _SECRET, fresh / _SECRET)
    with contextlib.ExitStack() as engines:
        uris = []
        for folder, settings, held in (
            (data, _SETTINGS_TEXT, lock),
            (fresh, _COPY_SETTINGS_TEXT, None),
        ):
            engine = Engine.private(folder, report, settings, lock=held)
            engines.callback(engine.stop)
            uris.append(engine.uri)
        _copy_databases(*uris)


def _check_room_for_copy(data: Path) -> int:
    """The octets that a copy of the database needs.  Raises Unavailable if fewer are free."""
    files = list((data / _DATA).glob("*")) or list((data / _OLD_DATA).glob("*"))
    tables = sum(file.stat().st_size for file in files if not file.name.startswith(_NOT_COPIED))
    room = tables + tables // _COPY_GROWTH_PART + _COPY_ROOM
    free = measure_free_octets(data)
    if free is not None and free < room:
        raise Unavailable(_describe_room(data, room, free))
    return room


@contextlib.contextmanager
def _copy_failures_explained(data: Path, room: int) -> Iterator[None]:
    """Raise Unavailable, with the room that a copy needs, if it fails on a full disk."""
    try:
        yield
    except (OSError, PyMongoError, Unavailable) as error:
        free = measure_free_octets(data)
        if free is not None and free < _FULL:
            raise Unavailable(_describe_room(data, room, free)) from error
        if isinstance(error, Unavailable):
            raise
        raise Unavailable(
            f"the database could not be copied ({str(error)[:200]}): nothing is changed; "
            f"the copy needs about {_mebibytes(room)} MiB of free space on the disk of {data}"
        ) from error


def _describe_room(data: Path, room: int, free: int) -> str:
    return (
        f"the copy needs about {_mebibytes(room)} MiB of free space on the disk of {data}, and "
        f"{free >> 20} MiB are free: nothing is changed; free space there, and run it again"
    )


def _mebibytes(octets: int) -> int:
    """Rounded up."""
    return -(-octets >> 20)


def _delete_interrupted_copy(data: Path) -> bool:
    """Delete what an interrupted `rewrite` has left; False if none did, or one works."""
    fresh = data / _REWRITE
    if not fresh.exists():
        return False
    with (data / _HUB_LOCK).open("a") as lock:
        if not _take_lock(lock):
            return False
        shutil.rmtree(fresh, ignore_errors=True)
    return True


def _finish_swap(data: Path) -> None:
    """Complete or undo a swap of the engine's data that was interrupted."""
    old = data / _OLD_DATA
    if not old.exists():
        return
    if (data / _DATA).exists():
        shutil.rmtree(old)
    else:
        old.rename(data / _DATA)


def _copy_databases(source: str, target: str) -> None:
    """Copy all documents and indexes, and count them afterwards.  Raises Unavailable."""
    with _connect(source) as here, _connect(target) as there:
        for name in sorted(set(here.list_database_names()) - _OWN_DATABASES):
            for collection in sorted(here[name].list_collection_names()):
                old, new = here[name][collection], there[name][collection]
                there[name].create_collection(collection)
                copied = 0
                for documents in _in_portions(old.find({})):
                    new.insert_many(documents)
                    there.admin.command("fsync")  # the engine deletes the journal up to here
                    copied += len(documents)
                for index in old.list_indexes():
                    if index["name"] != "_id_":
                        unique = bool(index.get("unique"))
                        new.create_index(list(index["key"].items()), unique=unique)
                if new.count_documents({}) != copied:
                    raise Unavailable(
                        f"{name}.{collection} could not be copied: nothing is changed"
                    )
        there.admin.command("fsync")


def _in_portions(documents: Iterable[Document]) -> Iterator[list[Document]]:
    portion: list[Document] = []
    octets = 0
    for document in documents:
        portion.append(document)
        octets += len(bson.encode(document))
        if octets > _COPY_OCTETS:
            yield portion
            portion, octets = [], 0
    if portion:
        yield portion


def _octets(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _launch(data: Path, lock: int, port: int = 0, *, authenticate: bool = True) -> _Child:
    """An engine that begins to run; it will listen on any free port if `port` is 0.

    It inherits the open file `lock`, and with it the lock, which the kernel releases when both
    have closed it.
    """
    log = data / _LOG
    if log.exists() and log.stat().st_size > _LOG_OCTETS:
        log.replace(log.with_name(f"{_LOG}.old"))
    before = log.stat().st_size if log.exists() else 0
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own launcher and the engine's command
            [
                *(sys.executable, "-P", engine_launcher.__file__, str(os.getpid())),
                *(sys.executable, "-P", "-m", "secantus"),
                *("--config", str(data / _SETTINGS), "--port", str(port)),
                *(["--auth"] if authenticate else []),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **_ENVIRONMENT},
            pass_fds=(lock,),
            umask=0o077,
            start_new_session=True,  # Ctrl-C is for its parent
        )
    finally:
        os.close(output)
    return _Child(process, log, before)


def _stop_process(process: subprocess.Popen[bytes], uri: str) -> None:
    """Let the engine write its pages to the files, and kill it.

    It is never asked to close its database.  When it opens one that was closed, it goes on looking
    at the state of then as long as it runs, so that it uses no room again.  Nothing is lost: the
    journal has every commit.  Pages in the files spare the next start its recovery.
    """
    if process.poll() is None:
        limit = pymongo.timeout(_STOP_SECONDS)
        with contextlib.suppress(PyMongoError), limit, _connect(uri) as client:
            client.admin.command("fsync")
        process.kill()
    process.wait()


@contextlib.contextmanager
def _open_to_all(data: Path, lock: int) -> Iterator[Client]:
    """An engine that runs without authentication, to be given our user and password.

    Its command has no other way.  Only users of this machine can connect in that second; before
    the database is used, other users created in it are dropped, and a new database into which one
    of them wrote is refused.
    """
    child = _launch(data, lock, authenticate=False)
    uri = f"mongodb://{_HOST}:{child.await_port()}/?directConnection=true"
    try:
        with _connect(uri) as client:
            yield client
    finally:
        _stop_process(child.process, uri)


def _make_tables(client: Client, folder: Path) -> None:
    """Let the engine make all tables for documents, which it makes as collections need them.

    A collection belongs to one of 16, by a hash of its name.
    """
    for number in range(_MOST_TRIED):
        if len(list(folder.glob("secantus_documents_sh*.wt"))) >= _DOCUMENT_TABLES:
            break
        client[_EMPTY].create_collection(f"c{number}")
    client.drop_database(_EMPTY)


def _accepts_password(uri: str) -> bool:
    try:
        with _connect(uri) as client:
            client.admin.command("ping")
    except OperationFailure as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
        return False
    return True


def _connect(uri: str) -> Client:
    return MongoClient(uri, serverSelectionTimeoutMS=round(_STOP_SECONDS * 1_000))


def _put_user(client: Client, data: Path) -> None:
    """Create the user of a data directory, or give it the password that stands there."""
    user, password = _read_secret(data)
    known = {each["user"] for each in client.admin.command("usersInfo", 1)["users"]}
    client.admin.command(
        "updateUser" if user in known else "createUser",
        user,
        pwd=password,
        roles=[{"role": "root", "db": "admin"}],
        mechanisms=["SCRAM-SHA-256"],
    )


def _drop_other_users(uri: str) -> None:
    with _connect(uri) as client:
        for each in client.admin.command("usersInfo", {"forAllDBs": True})["users"]:
            if (each["user"], each["db"]) != (_USER, "admin"):
                client[each["db"]].command("dropUser", each["user"])


def _check_empty(uri: str, folder: Path) -> None:
    """Refuse a new database into which another user of this machine wrote before it had a password.

    Raises Unavailable.
    """
    with _connect(uri) as client:
        foreign = set(client.list_database_names()) - {"admin", "config", "local"}
    if foreign:
        names = ", ".join(sorted(map(ascii, foreign)))
        raise Unavailable(
            f"another user of this machine wrote into the new database ({names}): "
            f"remove {folder} and start again"
        )


def _lock_for_engine(data: Path) -> contextlib.AbstractContextManager[int]:
    """The lock of the directory, as a descriptor for the engine to inherit.

    Raises Unavailable if it is not free in time; an engine that is stopping may hold it a moment.
    """
    refusal = f"another process is using the database in {data}: stop it"
    return _hold_lock(data / _LOCK, _LOCK_SECONDS, refusal)


def _lock_for_hub(data: Path) -> contextlib.AbstractContextManager[int]:
    """The lock of the hub itself; the kernel releases it however the hub ends.

    Raises Unavailable if another hub has it.  It waits only for an engine without a hub, or a
    command; and for who makes or deletes a copy, which takes longer.
    """
    refusal = _IN_USE.format(data)
    if (data / _REWRITE).exists():
        refusal = f"`compact` is rewriting the database in {data}: wait until it has ended"
        return _hold_lock(data / _HUB_LOCK, _LOCK_SECONDS, refusal)
    return _hold_lock(data / _HUB_LOCK, _PROBE_SECONDS, refusal)


@contextlib.contextmanager
def _hold_lock(path: Path, seconds: float, refusal: str) -> Iterator[int]:
    deadline = time.monotonic() + seconds
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as lock:
        while not _take_lock(lock):
            if time.monotonic() > deadline:
                raise Unavailable(refusal)
            time.sleep(_PAUSE_SECONDS)
        yield descriptor


def _is_locked(path: Path) -> bool:
    """True if a process holds this lock."""
    if not path.exists():
        return False
    with path.open("a") as lock:
        return not _take_lock(lock)


def _take_lock(lock: TextIO) -> bool:
    """True if the lock is ours now, until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def announced_folder(data: Path) -> str:
    """The path of the folder that the processes of a running hub share; empty if there is none."""
    return str(_read_address(data).get("shared", "")) if _is_locked(data / _HUB_LOCK) else ""


def _read_address(data: Path) -> Document:
    """The announcement of a hub's engine; empty if there is none."""
    try:
        address: Document = json.loads((data / _ADDRESS).read_text())
    except FileNotFoundError:
        return {}
    return address


def _prepare_directory(data: Path, settings_text: str) -> None:
    """Make the directory, readable by its owner only, with a password and the settings."""
    if importlib.util.find_spec("secantus") is None:
        raise Unavailable(
            "there is no embedded database: run pip install 'tocsin[embedded]', "
            "or set a mongodb:// URI of a replica set"
        )
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"cannot keep the database in {data}: {error.strerror}; name another --data"
        raise Unprocessable(message) from error
    data.chmod(0o700)
    if (data / _SECRET).exists():
        _read_secret(data)
    else:
        secret = {"user": _USER, "password": secrets.token_urlsafe(32)}
        partial = _write_partial(data / _SECRET, json.dumps(secret))
        with contextlib.suppress(FileExistsError):  # another process was first: its file stays
            os.link(partial, data / _SECRET)
        partial.unlink()
    path = json.dumps(str((data / _DATA).resolve()), ensure_ascii=False)  # TOML quotes alike
    text = settings_text.format(host=_HOST, path=path)
    settings = data / _SETTINGS
    if not settings.exists() or settings.read_text("utf-8") != text:
        _write(settings, text)


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    _write_partial(path, text).replace(path)


def _write_partial(path: Path, text: str) -> Path:
    """A new file next to `path` with the text, readable by its owner only."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        partial.unlink()
        raise
    return partial


def _read_secret(data: Path) -> tuple[str, str]:
    """User and password of a data directory.  Raises Unavailable if the file is damaged."""
    file = data / _SECRET
    try:
        secret = json.loads(file.read_bytes())
        return str(secret["user"]), str(secret["password"])
    except (ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{file} is damaged: stop the hub, if it runs, and remove the file; it is made again "
            "at the next start"
        ) from error


def _uri(data: Path, port: int) -> str:
    user, password = _read_secret(data)
    return (
        f"mongodb://{user}:{password}@{_HOST}:{port}/"
        "?authSource=admin&authMechanism=SCRAM-SHA-256&directConnection=true"
        f"&maxIdleTimeMS={_IDLE_MS}"
        "&retryWrites=false"  # of each such write the engine looks through all of half an hour
    )


def _format_ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
