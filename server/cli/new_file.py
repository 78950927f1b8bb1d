"""Files that commands write: whole or not at all, readable by their owner only."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tocsin.admission.errors import Conflict, NotFound
from tocsin.config.command_line import ParsedValue

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _parse_path(text: str) -> Path:
    if text == "-":
        raise ValueError("must be a file: what is in it is for its owner only")
    if text.endswith("/") and not Path(text).is_dir():
        raise ValueError("the folder does not exist: create it first")
    return Path(text)


NEW_FILE = ParsedValue("FILE", _parse_path)
"""The name of a new file; not `-`, since logs and terminals keep what is on standard output."""


@contextmanager
def new_file(name: Path, partial: Path | None = None) -> Iterator[BinaryIO]:
    """A new file that only its owner can read; it has its name only once it is complete.

    Until then it is called `partial`, or NAME.partial.  Such a file of a command that was killed
    is replaced.  Nothing is written through a link.

    Raises Conflict if there is such a file, NotFound if its folder is missing, OSError with the
    name if it cannot be written.
    """
    if os.path.lexists(name):
        raise Conflict(f"{name} exists already; name a new file")
    if not name.parent.is_dir():
        raise NotFound(f"the folder {name.parent} does not exist: create it, or name another file")
    partial = partial or name.with_name(f"{name.name}.partial")
    try:
        _remove_stale(partial)
        opened = _open_new(partial)
    except OSError as error:
        if not os.path.lexists(partial):  # else another command's
            error.filename = str(name)
        raise
    try:
        with opened as file:
            yield file
            write_to_disk(file)
            partial.rename(name)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            error.filename = error.filename or str(name)
        raise
    _sync_directory(name.parent)


def write_to_disk(file: BinaryIO) -> None:
    """Write all octets of a file to the disk.  Raises OSError if it is full."""
    file.flush()
    os.fsync(file.fileno())


def _open_new(partial: Path) -> BinaryIO:
    """Open a file that is not there yet, locked while it is written."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    file = os.fdopen(os.open(partial, flags, 0o600), "wb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _remove_stale(partial: Path) -> None:
    """Remove what a killed command has left.  Raises Conflict if one is still writing."""
    try:
        descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Conflict(f"{partial} is a link: remove it, or name another file") from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(f"another command is writing {partial}") from error
        partial.unlink()


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
