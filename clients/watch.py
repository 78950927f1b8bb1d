"""A folder whose files are to be sent: which are complete, and where they go afterwards.

A file is complete when its size and time are the same at two looks, and still are right before it
is read.  When it was sent it moves to the folder `sent` inside, when nothing of it was taken to
`failed`; but a file that was replaced or written to meanwhile stays, so that it is sent as it is
now.  A program that is killed between both sends the file once more, which is safe.  Hidden files,
links and folders are left alone.  Knows no network.

A file that could not be sent waits, and the others go on: perhaps it is the only one that something
on the way refuses.  If the next one fails too, the hub seems to be away, and all wait.
"""

from __future__ import annotations

import os
import stat
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tocsin.admission.errors import ShareError
from tocsin.clients.files import WrongPath, hold_folder

SENT, FAILED = "sent", "failed"
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
"""Endings of files that other programs are still writing."""
_MOST_COPIES = 10_000
_MOST_FAILED = 2
"""Files in a row that cannot be sent, after which all wait."""
_LONGEST_PAUSE = 60.0
"""Seconds between two attempts while the hub is away."""
_LONGEST_REFUSED = 600.0
"""The same of a file that is refused though the hub is there: people must act first."""


class UnusableFolder(ShareError):
    """The folder cannot be watched; the text says why."""


class FileChanged(ShareError):
    """The file is another one than the one that was read."""


class FileVersion(NamedTuple):
    """The content of a file, as far as its properties tell it from others."""

    device: int
    inode: int
    size: int
    time: int
    """Its last change, in ns."""


class WatchedFolder:
    """The files of a folder, from look to look."""

    def __init__(self, path: Path) -> None:
        """Makes the folders inside.

        Raises WrongPath, and UnusableFolder if another program watches it: each would send what
        the other one has moved.
        """
        self._path = path
        self._seen: dict[str, tuple[int, int]] = {}
        self._skipped: set[tuple[str, int, int]] = set()
        if not path.is_dir():
            raise WrongPath(f"--watch: {path} is not a folder; name a folder")
        try:
            for name in (SENT, FAILED):
                (path / name).mkdir(mode=0o700, exist_ok=True)
                if (path / name).is_symlink():
                    raise WrongPath(f"--watch: {path / name} is a link; remove it")
        except OSError as error:
            raise WrongPath(f"--watch: {path}: {error.strerror}") from error
        release = hold_folder(path / SENT)
        if release is None:
            raise UnusableFolder(
                f"--watch: another `tocsin push --watch` already watches {path}; stop that one, or "
                "leave the folder to it"
            )
        weakref.finalize(self, release)

    def list_complete(self) -> list[Path]:
        """The files that have not changed since the last look, the oldest first.

        Raises UnusableFolder if the folder is gone.
        """
        try:
            found = dict(self._look())
        except OSError as error:
            raise UnusableFolder(f"--watch: {self._path}: {error.strerror}") from error
        complete = [
            (time, name)
            for name, (size, time) in found.items()
            if self._seen.get(name) == (size, time) and (name, size, time) not in self._skipped
        ]
        self._seen = found
        return [self._path / name for _, name in sorted(complete)]

    def find_complete(self, file: Path) -> FileVersion | None:
        """The version of a listed file, to be taken right before it is read.

        None if it has changed since the look, or is gone: a later look lists it again.
        """
        try:
            status = file.lstat()
        except OSError:
            return None
        version = _version(status)
        is_same = self._seen.get(file.name) == (version.size, version.time)
        return version if is_same and stat.S_ISREG(status.st_mode) else None

    def finish(self, file: Path, version: FileVersion, folder: str) -> str:
        """Move a file to one of the folders inside; returns a reason if that is impossible.

        Then the file is left where it is, and not listed again until it changes.

        Raises FileChanged, and leaves the file, if it is not the version that was read.
        """
        try:
            if _version(file.lstat()) != version:
                raise FileChanged(f"{file.name} has changed")
            self._move(file, version, self._path / folder)
        except OSError as error:
            self._skipped.add((file.name, version.size, version.time))
            return error.strerror or str(error)
        return ""

    def _look(self) -> Iterator[tuple[str, tuple[int, int]]]:
        with os.scandir(self._path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.endswith(_UNFINISHED):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and status.st_size:
                        yield entry.name, (status.st_size, status.st_mtime_ns)

    def _move(self, file: Path, version: FileVersion, folder: Path) -> None:
        """Never over another file: a name that is taken gets a number."""
        for number in range(_MOST_COPIES):
            name = f"{file.stem}-{number}{file.suffix}" if number else file.name
            with suppress(FileExistsError):
                _move_version(file, version, folder / name)
                return
        raise FileExistsError(f"{folder} has too many files of this name; move some of them away")


@dataclass(frozen=True, slots=True)
class SendingFailure:
    """Why a file could not be sent, as far as it says when to try again."""

    is_away: bool
    """True if the hub was not reached, or says that it will be back."""
    wait: float = 0.0
    """Seconds that the hub asks to wait at least."""
    is_checked: bool = False
    """True if what the check found in the file has been printed."""


@dataclass(slots=True)
class _Waiting:
    """A file that could not be sent."""

    version: FileVersion
    pause: float = 0.0
    due: float = 0.0
    """When it is tried again."""
    is_overtaken: bool = False
    """True if another file was sent since it failed first."""
    is_checked: bool = False
    """See SendingFailure."""


class SendingOrder:
    """The order in which files are sent; one that failed waits, in pauses that grow.

    Times are in seconds.
    """

    def __init__(self, first_pause: float) -> None:
        """Every pause is twice as long as the one before, and begins with twice the first."""
        self._first_pause = first_pause
        self._waiting: dict[str, _Waiting] = {}
        self._failed = 0
        """Attempts in a row that failed."""
        self._pause = self._due = 0.0
        """The time that all files wait after these, and its end."""

    def select(self, files: Mapping[Path, FileVersion], now: float) -> list[Path]:
        """Those of the complete files that are to be sent now, in this order.

        One that has not failed comes before others.  Files that are gone or have changed are
        forgotten.
        """
        versions = {file.name: version for file, version in files.items()}
        known = self._waiting.items()
        self._waiting = {name: each for name, each in known if versions.get(name) == each.version}
        if not self.may_send(now):
            return []
        due = {file: each.due for file in files if (each := self._waiting.get(file.name))}
        chosen = [file for file in files if due.get(file, 0.0) <= now]
        return sorted(chosen, key=lambda file: due.get(file, 0.0))

    def may_send(self, now: float) -> bool:
        """False while all files wait."""
        return self._failed < _MOST_FAILED or now >= self._due

    def is_waiting(self, file: Path) -> bool:
        """True if a file, as it is, could not be sent before."""
        return file.name in self._waiting

    def is_checked(self, file: Path) -> bool:
        """True if what the check found in a file, as it is, has been printed."""
        return self.is_waiting(file) and self._waiting[file.name].is_checked

    def is_overtaken(self, file: Path) -> bool:
        """True if others were sent while a file waited."""
        return self.is_waiting(file) and self._waiting[file.name].is_overtaken

    def note_failure(
        self, file: Path, version: FileVersion, failure: SendingFailure, now: float
    ) -> float:
        """Let a file wait that could not be sent; the seconds that it waits at least."""
        waiting = self._waiting.setdefault(file.name, _Waiting(version))
        waiting.is_checked |= failure.is_checked
        for_hub = failure.is_away and not waiting.is_overtaken
        longest = _LONGEST_PAUSE if for_hub else _LONGEST_REFUSED
        waiting.pause = self._next_pause(waiting.pause, longest, failure)
        waiting.due = now + waiting.pause
        self._failed += 1
        self._pause = self._next_pause(self._pause, _LONGEST_PAUSE, failure)
        self._due = now + self._pause
        return waiting.pause if self.may_send(now) else max(waiting.pause, self._pause)

    def note_success(self, file: Path, now: float) -> None:
        """Note that a file was sent: the hub is there, so those that waited for it need not."""
        self._waiting.pop(file.name, None)
        self._failed, self._pause = 0, 0.0
        for each in self._waiting.values():
            if not each.is_overtaken:
                each.is_overtaken, each.pause, each.due = True, 0.0, now

    def _next_pause(self, pause: float, longest: float, failure: SendingFailure) -> float:
        return max(min(2 * (pause or self._first_pause), longest), failure.wait)


def _version(status: os.stat_result) -> FileVersion:
    return FileVersion(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _move_version(file: Path, version: FileVersion, to: Path) -> None:
    """Move a file.  Raises FileExistsError if there is one at the new place.

    Another program may replace the file at any moment, so the one that has moved is looked at once
    more, and returns if it is not the version: raises FileChanged.
    """
    to.touch(0o600, exist_ok=False)  # nobody else takes the name, which the file then replaces
    try:
        file.replace(to)
    except OSError:
        to.unlink()
        raise
    if _version(to.lstat()) != version:
        _return(to, file)
        raise FileChanged(f"{file.name} has changed")


def _return(moved: Path, file: Path) -> None:
    """Undo a move, unless there is a newer file at the place by now."""
    try:
        os.link(moved, file)
    except FileExistsError:
        moved.unlink()
    except OSError:  # some file systems have no links
        moved.replace(file)
    else:
        moved.unlink()
