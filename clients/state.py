"""Cursors that survive anything.

One file may hold the cursors of many collections and servers.  It is written
whole to a new file beside it, forced to the disk and then renamed over the
old one, so that whatever crashes, either the old or the new state is there.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin.admission.errors import Malformed, ShareError
from tocsin.admission.timestamps import micros, timestamp

_VERSION = 1
_ABANDONED = 60
"""Seconds after which a half-written file belongs to nobody."""


class Unusable(ShareError):
    """A file of the user's own cannot be read or written; the hub has no part in it."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a collection has been read and written away."""

    last: int | None = None
    """The greatest X-TAXII-Date-Added-Last so far, µs since 1970 UTC."""
    seen: frozenset[str] = field(default=frozenset(), repr=False)
    """What was delivered with that stamp, maybe more; see `poll.mark`."""
    output: str = ""
    """The file that the objects went to."""
    size: int = 0
    """How long that file was when the cursor was moved."""


class Memory:
    """Cursors that end with the program."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._cursors: dict[str, Cursor] = {}

    def cursor(self, key: str) -> Cursor:
        """Where to go on; the beginning if nothing is remembered."""
        return self._cursors.get(key, Cursor())

    def move(self, key: str, cursor: Cursor) -> None:
        """Remember `cursor`."""
        self._cursors[key] = cursor


class StateFile:
    """The file that remembers cursors by server, collection and filters."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist yet."""
        self._path = Path(os.path.realpath(path))
        self._swept = False

    def check(self) -> None:
        """Raises Malformed or Unusable if it will be of no use, before anything is polled."""
        try:
            if self._path.is_dir():
                raise IsADirectoryError
            tempfile.TemporaryFile(dir=self._path.parent).close()
        except OSError as error:
            raise Unusable(f"--state: {self._path} {unwritable(self._path, error)}") from error
        self._cursors()

    def cursor(self, key: str) -> Cursor:
        """Where to go on; the beginning if nothing is remembered.

        Raises Malformed if the file is not one of ours or is damaged: guessing
        would lose objects or deliver all of them again.
        """
        entry = self._cursors().get(key)
        try:
            return Cursor() if entry is None else _cursor(entry)
        except (KeyError, TypeError, ValueError, AttributeError, Malformed) as error:
            raise self._damaged("a cursor is incomplete") from error

    def move(self, key: str, cursor: Cursor) -> None:
        """Remember `cursor`, durably.

        Raises Unusable if the file cannot be written.
        """
        cursors = {**self._cursors(), key: _entry(cursor)}
        text = json.dumps({"tocsin_state": _VERSION, "cursors": cursors}, indent=1) + "\n"
        try:
            self._replace(text.encode())
        except OSError as error:
            raise Unusable(
                f"the state file {self._path} {unwritable(self._path, error)}. "
                "Nothing is lost: the next poll goes on from the last cursor"
            ) from error

    def _cursors(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unusable(
                f"the state file {self._path} cannot be read ({error.strerror}); "
                "let this user read it, or name another with --state"
            ) from error
        except (ValueError, RecursionError) as error:
            raise self._damaged("it is not JSON") from error
        if not isinstance(content, dict) or content.get("tocsin_state") != _VERSION:
            raise self._damaged("it is not a state file of this version")
        cursors = content.get("cursors")
        if not isinstance(cursors, dict):
            raise self._damaged("it holds no cursors")
        return cursors

    def _damaged(self, why: str) -> Malformed:
        return Malformed(
            f"the state file {self._path} cannot be used: {why}; it was left as it is. "
            "Restore it, or remove it to poll everything from the beginning"
        )

    def _replace(self, content: bytes) -> None:
        beginning = f".{self._path.name}-"
        if not self._swept:
            _sweep(self._path.parent, beginning)
            self._swept = True
        handle, fresh = tempfile.mkstemp(dir=self._path.parent, prefix=beginning)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self._path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(fresh)
            raise
        sync_folder(self._path.parent)


def unwritable(path: Path, error: OSError) -> str:
    """Why a file cannot be written, and what to do: the end of a sentence about it."""
    folder = path.parent
    if not folder.is_dir():
        return f"cannot be written: there is no folder {folder}; make it, or name another file"
    if path.is_dir():
        return "cannot be written: it is a folder; name a file in it"
    if isinstance(error, PermissionError):
        return "cannot be written: this user may not; name another file"
    return f"cannot be written: {error.strerror or error}"


def _sweep(folder: Path, beginning: str) -> None:
    """Remove what killed programs left; a write in progress is younger."""
    for left in folder.iterdir():
        if left.name.startswith(beginning):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    left.unlink()


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable, where the system can."""
    with suppress(OSError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def state_key(url: str, filters: Mapping[str, str]) -> str:
    """What a cursor is kept under: the collection's URL (by id) and what is asked of it."""
    asked = "&".join(f"{name}={value}" for name, value in sorted(filters.items()))
    return f"{url}objects/?{asked}" if asked else f"{url}objects/"


def _entry(cursor: Cursor) -> dict[str, Any]:
    return {
        "last": None if cursor.last is None else timestamp(cursor.last),
        "seen": sorted(cursor.seen),
        "output": cursor.output,
        "size": cursor.size,
    }


def _cursor(entry: Mapping[str, Any]) -> Cursor:
    last, seen, output, size = (entry[name] for name in ("last", "seen", "output", "size"))
    if not (isinstance(seen, list) and isinstance(output, str) and isinstance(size, int)):
        raise TypeError("wrong kind of value")
    return Cursor(
        last=None if last is None else micros(last),
        seen=frozenset(str(each) for each in seen),
        output=output,
        size=size,
    )
