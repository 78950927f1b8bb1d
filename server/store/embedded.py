"""The embedded database, for a hub that has no MongoDB server of its own.

One process owns a directory at a time.  A running hub keeps the engine for as
long as it lives and lets the operator's commands use it too; a command that
finds no hub running starts an engine for itself and stops it at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from tocsin.admission.errors import Unavailable, Unprocessable

_LOCK = "engine.lock"
_HUB_LOCK = "hub.lock"
_SECRET = "engine.secret"  # noqa: S105 - the file's name
_ADDRESS = "engine.json"
_LOG = "engine.log"
_USER = "tocsin"
_STOP_SECONDS = 20.0
_WAIT_SECONDS = 30.0
_PROBE_SECONDS = 1.0
"""Longer than any command looks whether a hub is there, which takes the lock for a moment."""
_PAUSE = 0.1
_PAUSES = (0.2, 1.0, 5.0, 15.0)

Say = Callable[[str], None]


class Engine:
    """A database engine of our own, running as a child process."""

    def __init__(self, data: Path, say: Say) -> None:
        """Use `start` instead, which starts it."""
        self._data, self._say = data, say
        self._child: subprocess.Popen[str] | None = None
        self._port = 0
        self._stopping = threading.Event()
        self._house = contextlib.ExitStack()

    @classmethod
    def start(cls, data: Path, say: Say) -> Engine:
        """Start an engine on `data`, and let the operator's commands know where it is.

        Raises Unavailable, with a sentence, if there is no engine or another one has the
        directory.
        """
        _prepare(data)
        engine = cls(data, say)
        with contextlib.ExitStack() as house:
            house.enter_context(_only_hub(data))
            (data / _ADDRESS).unlink(missing_ok=True)  # of a hub that was killed
            engine._spawn()
            engine._announce()
            engine._house = house.pop_all()
        return engine

    @classmethod
    def private(cls, data: Path, say: Say) -> Engine:
        """Start an engine on `data` for this process only."""
        _prepare(data)
        engine = cls(data, say)
        engine._spawn()
        return engine

    @property
    def uri(self) -> str:
        """Where it listens, with the password."""
        return _uri(self._data, self._port)

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid if self._child else 0

    def watch(self) -> None:
        """Start the engine again, on the same port, whenever it ends unasked."""
        threading.Thread(target=self._keep_alive, name="engine-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop the engine; what was committed is on disk already."""
        self._stopping.set()
        (self._data / _ADDRESS).unlink(missing_ok=True)
        with self._house:
            child = self._child
            if child is None:
                return
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _spawn(self) -> None:
        log = os.open(self._data / _LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            child = subprocess.Popen(  # noqa: S603 - our own module
                [
                    *(sys.executable, "-m", "tocsin.server.store.engine"),
                    *("--data", str(self._data)),
                    *("--port", str(self._port)),
                    *("--parent", str(os.getpid())),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        finally:
            os.close(log)
        self._port = self._told(child)
        self._child = child

    def _told(self, child: subprocess.Popen[str]) -> int:
        """The port that the child says it listens on."""
        if child.stdout is None:
            raise AssertionError("the child's output is a pipe")
        with child.stdout as told:
            word, _, port = told.readline().strip().partition(" ")
        if word == "ready":
            return int(port)
        child.wait()
        if word == "busy":
            raise Unavailable(f"another process is using the database in {self._data}: stop it")
        raise Unavailable(f"the database engine did not start: see {self._data / _LOG}")

    def _announce(self) -> None:
        words = {"host": "127.0.0.1", "port": self._port, "pid": self.pid, "hub": os.getpid()}
        _write(self._data / _ADDRESS, json.dumps(words))

    def _keep_alive(self) -> None:
        while self._child is not None:
            code = self._child.wait()
            if self._stopping.is_set():
                return
            self._say(f"the database engine ended ({_ending(code)}); starting it again")
            pauses = iter(_PAUSES)
            while not self._again():
                if self._stopping.wait(next(pauses, _PAUSES[-1])):
                    return

    def _again(self) -> bool:
        """Start the engine again; False if that failed."""
        try:
            self._spawn()
        except Unavailable as error:
            self._say(f"{error}; trying again")
            return False
        self._announce()
        if self._stopping.is_set():  # `stop` came meanwhile and saw only the former child
            self.stop()
        return True


@contextlib.contextmanager
def database(data: Path, say: Say) -> Iterator[str]:
    """The URI of the database in `data`: a running hub's, or one of our own meanwhile.

    Raises Unavailable, with a sentence, if neither can be had.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        hub = _held(data / _HUB_LOCK)
        if not hub and not _held(data / _LOCK):
            break
        if hub and (port := _announced(data)):
            yield _uri(data, port)
            return
        time.sleep(_PAUSE)  # another command has it, or a hub is starting
    engine = Engine.private(data, say)
    try:
        yield engine.uri
    finally:
        engine.stop()


@contextlib.contextmanager
def _only_hub(data: Path) -> Iterator[None]:
    """The lock of the hub itself; the kernel gives it back however the hub ends.

    Raises Unavailable at once if another hub has it: only an engine without a hub, or a
    command, is worth waiting for.
    """
    deadline = time.monotonic() + _PROBE_SECONDS
    descriptor = os.open(data / _HUB_LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as lock:
        while not _taken(lock):
            if time.monotonic() > deadline:
                raise Unavailable(f"another hub is using {data}: stop it, or name another --data")
            time.sleep(_PAUSE)
        yield


def _held(path: Path) -> bool:
    """Whether a process holds this lock."""
    if not path.exists():
        return False
    with path.open("a") as lock:
        return not _taken(lock)


def _taken(lock: TextIO) -> bool:
    """Whether the lock is ours now, until it is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _announced(data: Path) -> int:
    """The port that a hub's engine listens on; 0 if it has not said so."""
    try:
        port: int = json.loads((data / _ADDRESS).read_text())["port"]
    except FileNotFoundError:
        return 0
    return port


def _prepare(data: Path) -> None:
    """The directory, for nobody else's eyes, with a password for the engine."""
    if importlib.util.find_spec("secantus") is None:
        raise Unavailable(
            "there is no embedded database: run pip install 'tocsin[embedded]', "
            "or set a mongodb:// URI of a replica set"
        )
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data.chmod(0o700)
    except OSError as error:
        said = f"cannot keep the database in {data}: {error.strerror}; name another --data"
        raise Unprocessable(said) from error
    if not (data / _SECRET).exists():
        words = {"user": _USER, "password": secrets.token_urlsafe(32)}
        partial = _written(data / _SECRET, json.dumps(words))
        with contextlib.suppress(FileExistsError):  # whoever comes second keeps the first one's
            os.link(partial, data / _SECRET)
        partial.unlink()


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    _written(path, text).replace(path)


def _written(path: Path, text: str) -> Path:
    """A file beside `path` with the text, for its owner's eyes only."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return partial


def _uri(data: Path, port: int) -> str:
    secret = json.loads((data / _SECRET).read_text())
    return (
        f"mongodb://{secret['user']}:{secret['password']}@127.0.0.1:{port}/"
        "?authSource=admin&authMechanism=SCRAM-SHA-256&directConnection=true"
    )


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit {code}"
