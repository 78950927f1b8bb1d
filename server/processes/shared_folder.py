"""Shared state of a hub's processes, in a folder in memory.

Each process that joins has a number, under which it has files of its own.  Numbers by name are
shared by all of them (`SharedNumbers`), and each can wake the others (`Notifier`).  A process that
is killed leaves nothing locked; the next one that joins takes over its number.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
import socket
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from tocsin.server.processes.nonblocking import check_may_block

_PREFIX = "tocsin-hub-"
_SLOT = struct.Struct("16sd")
"""A digest of the name, and the number."""
_NUMBER = struct.Struct("d")
_DIGEST_OCTETS = 16
_SLOTS = 4096
_PROBES = 16
"""Slots in which a name may be."""
_COMMITS = "commits"
_MAX_MESSAGE = 64
_PATIENCE = 1.0
"""Seconds that a thread waits for its turn while other processes have theirs."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.002
"""Seconds between two looks; they grow."""


class Numbers(Protocol):
    """Numbers by name; 0 where nothing was noted.  Safe for threads."""

    def get(self, name: str) -> float:
        """The number of a name."""
        ...

    def update(self, name: str, change: Callable[[float], float]) -> float:
        """Replace a number by `change(number)` atomically; the new one.  Kept if that raises."""
        ...


class LocalNumbers:
    """Numbers of one process alone."""

    def __init__(self) -> None:
        self._numbers: dict[str, float] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> float:
        """See `Numbers`."""
        return self._numbers.get(name, 0.0)

    def update(self, name: str, change: Callable[[float], float]) -> float:
        """See `Numbers`."""
        with self._lock:
            new = self._numbers[name] = change(self._numbers.get(name, 0.0))
        return new


class SharedNumbers:
    """Numbers in a file of fixed length, for a few thousand names.

    A name may use 16 slots.  If other names occupy them all, it replaces the one with the smallest
    number.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError if the file system is full."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size = _SLOT.size * _SLOTS
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size < size:  # set aside: a later write cannot fail
                _write_zeros(descriptor, size)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._octets = mmap.mmap(descriptor, size)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._key = str(path).encode()[-64:]  # so that nobody can choose names that collide
        self._lock = threading.Lock()

    def get(self, name: str) -> float:
        """See `Numbers`."""
        digest, first = self._find(name)
        for at in _slots_from(first):
            found, number = _SLOT.unpack_from(self._octets, at)
            if found == digest:
                return float(number)
        return 0.0

    def update(self, name: str, change: Callable[[float], float]) -> float:
        """See `Numbers`."""
        digest, first = self._find(name)
        with self._alone():
            slots = [(at, *_SLOT.unpack_from(self._octets, at)) for at in _slots_from(first)]
            own = next((each for each in slots if each[1] == digest), None)
            at, _, number = own or (min(slots, key=lambda each: each[2])[0], digest, 0.0)
            new = change(number)
            # Others read without the lock, and a process may be killed here: nothing but the
            # number changes, in one piece.  `pack_into` would write zeros first.
            self._octets[at + _DIGEST_OCTETS : at + _SLOT.size] = _NUMBER.pack(new)
            if own is None:
                self._octets[at : at + _DIGEST_OCTETS] = digest
        return new

    def clear(self) -> None:
        """Forget all numbers."""
        with self._alone():
            self._octets[:] = bytes(len(self._octets))

    def close(self) -> None:
        """Close the file; the numbers cannot be used afterwards."""
        self._octets.close()
        os.close(self._descriptor)

    def _find(self, name: str) -> tuple[bytes, int]:
        digest = blake2b(name.encode(), digest_size=16, key=self._key).digest()
        return digest, int.from_bytes(digest[:4], "big") % _SLOTS

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            check_may_block()
            self._lock.acquire()
        try:
            self._lock_file()
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            self._lock.release()

    def _lock_file(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            check_may_block()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)


class SharedCommitLock:
    """Lets one thread of all processes of a hub commit at a time, as a rule.

    One that has waited for a second for another process goes on all the same: what may not
    happen at once must be safe without this.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError if the file system is full."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()

    def acquire(self, *, timeout: float = -1) -> bool:
        """Take the lock, or after `_PATIENCE` seconds go on while another process has it.

        `timeout` applies to threads of this process only.
        """
        if not self._lock.acquire(timeout=timeout):
            return False
        deadline, pause = time.monotonic() + _PATIENCE, _FIRST_PAUSE
        while not self._try() and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return True

    def release(self) -> None:
        """See `threading.Lock`."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._lock.release()

    def __enter__(self) -> SharedCommitLock:
        self.acquire()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None:
        self.release()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


CommitLock: TypeAlias = "threading.Lock | SharedCommitLock"
"""The lock that serialises commits."""


class CommitCount:
    """The number of commits of all processes of a hub.  Safe for threads.

    As long as it stays the same, what a process has read still holds.  It is raised before a
    commit is acknowledged, so what was acknowledged is seen by all that read afterwards.
    """

    def __init__(self, numbers: Numbers | None = None) -> None:
        """`numbers` of all processes that write; None: others may write without counting."""
        self._numbers = numbers

    def read(self) -> float | None:
        """The number; None if it says nothing."""
        return None if self._numbers is None else self._numbers.get(_COMMITS)

    def note(self) -> None:
        """Count a commit, or what may have become one."""
        if self._numbers is not None:
            self._numbers.update(_COMMITS, lambda number: number + 1)


@dataclass(frozen=True, slots=True)
class Process:
    """A process among those of its hub."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    """The owner under which the process leases submissions and tasks."""
    commit_lock: CommitLock = field(default_factory=threading.Lock)
    """Lets the processes of a hub commit one after the other, so that they need not try again."""
    commits: CommitCount = field(default_factory=CommitCount)


def _write_zeros(descriptor: int, size: int) -> None:
    """Raises OSError if not all of them fit on the file system."""
    written = 0
    while written < size:
        written += os.pwrite(descriptor, bytes(size - written), written)


def _slots_from(first: int) -> Iterator[int]:
    return ((first + n) % _SLOTS * _SLOT.size for n in range(_PROBES))


class SharedFolder:
    """The folder, and the place of this process in it."""

    def __init__(self, path: Path, locks: list[int] | None = None) -> None:
        """`locks` are descriptors of files that this process has locked."""
        self.path = path
        self.number = -1
        """The number of this process; negative before it has joined."""
        self._locks = locks or []
        self._numbers: dict[str, SharedNumbers] = {}
        self._commit_lock: SharedCommitLock | None = None

    @classmethod
    def create(cls) -> SharedFolder:
        """A new folder in memory, where there is such a file system; what dead hubs left goes.

        Raises OSError if the file system is full.
        """
        memory = Path("/dev/shm")  # noqa: S108  (only for a folder with a name of its own)
        parent = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
        for left in parent.glob(f"{_PREFIX}*"):
            _remove_if_dead(left)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        locked = _try_lock(path / "new")
        assert locked is not None  # noqa: S101  (nobody else looks at this name)
        (path / "new").rename(path / "owner")  # so that it is never seen without its lock
        return cls(path, [locked])

    def join(self) -> int:
        """Take a number that no living process has; once in a process, the first one included.

        Raises OSError if the file system is full.
        """
        for number in count():
            locked = _try_lock(self.path / f"{number}.lock")
            if locked is not None:
                self._locks.append(locked)
                self.number = number
                return number
        raise AssertionError

    def numbers(self, name: str) -> SharedNumbers:
        """The numbers in a file of this name.  Raises OSError if the file system is full."""
        if name not in self._numbers:
            self._numbers[name] = SharedNumbers(self.path / f"{name}.numbers")
        return self._numbers[name]

    def commit_count(self) -> CommitCount:
        """Counts the commits of all that share the folder.  Raises OSError if there is no room."""
        return CommitCount(self.numbers(_COMMITS))

    def commit_lock(self) -> SharedCommitLock:
        """Lets one process after the other write.  Raises OSError if the file system is full."""
        if self._commit_lock is None:
            self._commit_lock = SharedCommitLock(self.path / "commit_lock")
        return self._commit_lock

    def remove(self) -> None:
        """Remove the folder: the hub ends."""
        if self._commit_lock is not None:
            self._commit_lock.close()
            self._commit_lock = None
        for numbers in self._numbers.values():
            numbers.close()
        self._numbers.clear()
        for descriptor in self._locks:
            os.close(descriptor)
        self._locks.clear()
        shutil.rmtree(self.path, ignore_errors=True)


class Notifier:
    """Wakes the other processes of a hub, and is woken by them."""

    def __init__(self, folder: SharedFolder) -> None:
        """Raises OSError if the folder's path is too long for a socket."""
        self._folder, self._own = folder, f"{folder.number}.notifier"
        path = folder.path / self._own
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(str(path))
        except OSError:
            self._socket.close()
            raise
        self._listener: threading.Thread | None = None

    def notify(self, message: bytes) -> None:
        """Wake all others.  One that does not listen, or is too busy to, misses it."""
        for path in self._folder.path.glob("*.notifier"):
            if path.name != self._own:
                with suppress(OSError):  # it has ended, or its queue is full
                    self._socket.sendto(message, socket.MSG_DONTWAIT, str(path))

    def listen(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard`, which raises nothing, with each message, on a thread of its own."""

        def work() -> None:
            while message := self._socket.recv(_MAX_MESSAGE):
                heard(message)

        self._listener = threading.Thread(target=work, name="notifier", daemon=True)
        self._listener.start()

    def close(self) -> None:
        """Listen no longer."""
        with suppress(OSError):  # the folder is gone already
            self._folder.path.joinpath(self._own).unlink()
        self._socket.shutdown(socket.SHUT_RDWR)
        if self._listener is not None:
            self._listener.join()
        self._socket.close()


def _try_lock(path: Path) -> int | None:
    """Lock a file; None if a living process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_if_dead(folder: Path) -> None:
    """Remove the folder of a hub of this user that was killed."""
    owner = folder / "owner"
    with suppress(OSError):  # another user's, or its hub has just removed it
        if folder.stat().st_uid != os.getuid() or not owner.exists():
            return
        locked = _try_lock(owner)
        if locked is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(locked)
