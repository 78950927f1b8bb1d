"""Write the clients' files: private, never through a symbolic link, and completely or not at all.

A new file is for its owner only (mode 0600).  A file that is replaced is written under another
name in the same folder, forced to the disk and renamed, so that a reader finds the old content or
the new.  A link in place of the file is refused, because in a folder that others may write to it
could lead to any file of the user's; links among the folders on the way are followed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from tocsin.admission.errors import ShareError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

_ABANDONED_AFTER = 60
"""Seconds after which a temporary file is left over from a program that was killed."""
_SUFFIX = ".tmp"
_TEMPORARY = re.compile(rf"\.(.+)-[a-z0-9_]{{8}}{re.escape(_SUFFIX)}", re.DOTALL)
PRIVATE = 0o600
"""The mode of a file that only its owner can read."""
_NO_FOLDER_SYNC = (errno.EBADF, errno.EINVAL)
"""Errors of file systems that cannot force a folder to the disk, such as some network drives."""
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Errors of a full disk, a quota and a limit on the length of files."""
_LONGEST_LOCK = 5.0
"""Seconds after which a change no longer waits for a program that has stopped within its own."""
_IN_USE = "another poll is writing to it; wait until it has ended, or name another file"
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Windows has neither; its links need a privilege."""


class UnusableFile(ShareError):
    """An error about a local file; the hub is not involved."""


def resolve(path: Path) -> Path:
    """The absolute path; links among the folders are resolved, the last name is not."""
    return Path(os.path.realpath(path.parent)) / path.name if path.name else path.resolve()


def is_same_file(first: Path, second: Path) -> bool:
    """True if two paths lead to one file, also by links; neither file need exist."""
    try:
        return first.samefile(second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


class DiskFull(UnusableFile):
    """The disk, or the user's share of it, has no room for a file; later it may have."""


class WrongPath(UnusableFile):
    """A path at which there can be no such file or folder: wrong usage."""


@contextmanager
def writing(path: Path, what: str, advice: str = "", kind: str = "file") -> Iterator[None]:
    """Turn a failure to write `path` into UnusableFile; its text begins with `what`.

    `kind`: that of which the user could name another one.
    """
    try:
        if obstacle := _find_obstacle(path):
            raise WrongPath(f"{what} {obstacle}")
        yield
    except OSError as error:
        if remedy := _find_remedy(path, error, kind):
            raise WrongPath(f"{what} cannot be written: {remedy}{advice}") from error
        text = error.strerror or error
        kind_of_error = DiskFull if error.errno in _NO_ROOM else UnusableFile
        raise kind_of_error(f"{what} cannot be written: {text}{advice}") from error


def is_special(path: Path) -> bool:
    """True if the path leads to a device, a pipe or a socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _find_obstacle(path: Path) -> str:
    """The end of a sentence about a link or a device in place of the file; empty if none is."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if is_special(path):
        return "is a device or a pipe, not a file; name a file"
    if stat.S_ISLNK(mode):
        return (
            "is a symbolic link, which is never written through; "
            f"name the file itself ({os.path.realpath(path)}), or remove the link"
        )
    return ""


def open_to_append(path: Path) -> BinaryIO:
    """The file, open for reading and writing at its beginning; made if there is none.

    Until it is closed, no other program opens it in this way: both would write to the same places.
    Raises OSError if one has, or if it is a link or not a regular file.
    """
    try:
        handle = os.open(path, os.O_RDWR | _NO_FOLLOW)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError("it is not a file")
    if not _try_lock(handle):
        os.close(handle)
        raise OSError(errno.EBUSY, _IN_USE)
    return cast(BinaryIO, os.fdopen(handle, "r+b"))


@contextmanager
def changing_alone(folder: Path) -> Iterator[None]:
    """Let no other program change the files of a folder that it changes in this way too."""
    with ExitStack() as stack:
        with suppress(OSError):  # Windows cannot open folders
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            deadline = time.monotonic() + _LONGEST_LOCK
            while not _try_lock(handle) and time.monotonic() < deadline:
                time.sleep(0.01)
        yield


def hold_folder(folder: Path) -> Callable[[], None] | None:
    """Keep a folder for this program; None if another one has it.

    Gives what ends that; the end of the program does too.  Where there are no locks, nothing is
    known of others.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders
        return lambda: None
    if _try_lock(handle):
        return partial(os.close, handle)
    os.close(handle)
    return None


def _try_lock(handle: int) -> bool:
    """Lock a file until it is closed; False if another program has.

    Where there are no locks, as on some network drives, nothing is known of others.
    """
    if fcntl:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
    return True


class Replacement:
    """A new file that takes the place of another once it is complete."""

    def __init__(self, path: Path, mode: int | None = None) -> None:
        """Opens `stream`.

        Without `mode`, the mode is that of the file to be replaced, if it is the user's own, else
        PRIVATE.
        """
        self._path = path
        handle, self._name = tempfile.mkstemp(_SUFFIX, f".{path.name}-", path.parent)
        self.stream = cast(BinaryIO, os.fdopen(handle, "w+b"))
        if mode is not None:
            if mode != PRIVATE:  # as mkstemp made it
                os.chmod(self._name, mode)
            return
        with suppress(OSError):
            old = path.lstat()
            if stat.S_ISREG(old.st_mode) and old.st_uid == os.fstat(handle).st_uid:
                os.chmod(self._name, stat.S_IMODE(old.st_mode) & 0o777)

    def finish(self) -> None:
        """Close the stream and let the file take the place of `path`, durably."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()  # Windows does not rename a file that is open
        os.replace(self._name, self._path)
        self._name = ""
        _sync_folder(self._path.parent)

    def abandon(self) -> None:
        """Close the stream, and remove the file if it did not take its place."""
        with suppress(OSError):  # a full disk does not take what is not written yet
            self.stream.close()
        if self._name:
            Path(self._name).unlink(missing_ok=True)


def set_mode(path: Path, mode: int) -> None:
    """Set the permissions of a file or folder, if it is the user's own; a link is not followed.

    Raises OSError, also if there is none.
    """
    if not hasattr(os, "fchmod"):  # Windows has no such permissions
        return
    handle = os.open(path, os.O_RDONLY | _NO_FOLLOW)
    try:
        found = os.fstat(handle)
        old = stat.S_IMODE(found.st_mode)
        if found.st_uid == os.geteuid() and old & 0o777 != mode:
            os.fchmod(handle, old & ~0o777 | mode)
    finally:
        os.close(handle)


AbandonedFiles = Mapping[str, Sequence[Path]]
"""Temporary files of a folder, by the name of the file that each was to become."""


def find_abandoned_files(folder: Path) -> AbandonedFiles:
    """The temporary files that killed programs left in a folder.

    The files of a write in progress are younger.  Raises OSError if there is no such folder.
    """
    found: dict[str, list[Path]] = {}
    for file in folder.iterdir():
        if match := _TEMPORARY.fullmatch(file.name):
            with suppress(OSError):
                if time.time() - file.lstat().st_mtime > _ABANDONED_AFTER:
                    found.setdefault(match[1], []).append(file)
    return found


def remove_abandoned_files(path: Path, found: AbandonedFiles | None = None) -> None:
    """Remove temporary files that killed programs left for `path`.

    `found`: those of its folder, if many files in it are written; None: look for them.
    """
    for file in (find_abandoned_files(path.parent) if found is None else found).get(path.name, ()):
        with suppress(OSError):
            file.unlink()


def _find_remedy(path: Path, error: OSError, kind: str) -> str:
    """Why nobody can write there, and what to do; empty if the path is not to blame."""
    folder = path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist: create it, or name another {kind}"
    if path.is_dir():
        return "it is a folder; name a file in it"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"this user lacks the permission; name another {kind}"
    return ""


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, on systems that can.

    Raises OSError if the disk fails.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows cannot open folders
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)
