"""A folder whose files are to be sent: which are complete, and where they go afterwards.

A file is complete when its size and time are the same at two looks.  When it was sent it moves to
the folder `sent` inside, when nothing of it was taken to `failed`.  A program that is killed
between both sends the file once more, which is safe.  Hidden files, links and folders are left
alone.  Knows no network.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tocsin.admission.errors import ShareError
from tocsin.clients.files import WrongPath

SENT, FAILED = "sent", "failed"
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
"""Endings of files that other programs are still writing."""
_MOST_COPIES = 10_000


class UnusableFolder(ShareError):
    """The folder cannot be watched; the text says why."""


class WatchedFolder:
    """The files of a folder, from look to look."""

    def __init__(self, path: Path) -> None:
        """Makes the folders inside.  Raises WrongPath."""
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

    def finish(self, file: Path, folder: str) -> str:
        """Move a file to one of the folders inside; returns a reason if that is impossible.

        Then the file is left where it is, and not listed again until it changes.
        """
        try:
            self._move(file, self._path / folder)
        except OSError as error:
            size, time = self._seen.get(file.name, (0, 0))
            self._skipped.add((file.name, size, time))
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

    def _move(self, file: Path, folder: Path) -> None:
        """Never over another file: a name that is taken gets a number."""
        for number in range(_MOST_COPIES):
            name = f"{file.stem}-{number}{file.suffix}" if number else file.name
            with suppress(FileExistsError):
                _link_or_rename(file, folder / name)
                return
        raise FileExistsError(f"{folder} has too many files of this name")


def _link_or_rename(file: Path, to: Path) -> None:
    """Move a file.  Raises FileExistsError if there is one at the new place."""
    try:
        os.link(file, to)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no links; there a moment remains for another program
        if to.exists():
            raise FileExistsError from None
        file.rename(to)
    else:
        file.unlink()
