"""Durable cursors: how far each collection was read, for `tocsin poll --state`.

One file holds the cursors of any number of collections and servers.  A change is written to a
new file that replaces the old one (see `files`), so that a crash leaves either the old or the new
state.  Knows neither the network nor the output formats.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.files import (
    Replacement,
    UnusableFile,
    changing_alone,
    remove_abandoned_files,
    resolve,
    writing,
)

log = logging.getLogger(__name__)

_VERSION = 1
_FEED = re.compile("/collections/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/objects/([?].*)?$")
"""The end of a key that is the same wherever the server is."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position up to which a collection was read and its objects written to the output."""

    last: int | None = None
    """The greatest X-TAXII-Date-Added-Last so far, µs since 1970 UTC; None: nothing was read."""
    seen: frozenset[str] = field(default=frozenset(), repr=False)
    """Fingerprints of the versions that were read with that stamp, and perhaps of others; see
    `poll.version_fingerprint`."""
    output: str = ""
    """The file that the objects were written to."""
    size: int = 0
    """The length of that file, in octets, when the cursor was saved."""


class MemoryState:
    """Cursors that end with the program."""

    def __init__(self) -> None:
        """Starts without cursors."""
        self._cursors: dict[str, Cursor] = {}

    def load(self, key: str) -> Cursor:
        """The cursor; at the beginning if none was saved."""
        return self._cursors.get(key, Cursor())

    def save(self, key: str, cursor: Cursor) -> None:
        """Remember the cursor."""
        self._cursors[key] = cursor


class StateFile:
    """The file that keeps cursors by server, collection and filters."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist yet."""
        self._path = resolve(path)
        self._unsaved: dict[str, Cursor] = {}
        """Cursors for which there was no room; what they cover was written, perhaps to a pipe."""

    def check(self) -> None:
        """Raises Malformed or UnusableFile if the file cannot be used, before a poll begins."""
        with writing(self._path, f"--state: {self._path}"):
            Replacement(self._path).abandon()
            remove_abandoned_files(self._path)
        self._read_cursors()

    def load(self, key: str) -> Cursor:
        """The cursor; at the beginning if none was saved.

        The one of the same collection at another URL holds too.
        Raises Malformed if the file is damaged or not a state file: guessing would lose
        objects or deliver all of them a second time.  Raises UnusableFile if there is still no
        room for a cursor that could not be saved.
        """
        for unsaved in [*self._unsaved]:
            self.save(unsaved, self._unsaved[unsaved])
        cursors = self._read_cursors()
        moved = find_moved(key, cursors)
        if key not in cursors and moved:
            log.warning("%s is the collection that was at %s; its cursor holds", key, moved[-1])
            cursors[key] = cursors[moved[-1]]
        entry = cursors.get(key)
        try:
            return Cursor() if entry is None else parse_cursor(entry)
        except (KeyError, TypeError, ValueError, AttributeError, Malformed) as error:
            raise self._damaged("a cursor is incomplete") from error

    def save(self, key: str, cursor: Cursor) -> None:
        """Keep the cursor durably.

        Raises UnusableFile if the file cannot be written; `load` tries again.
        """
        self._unsaved[key] = cursor
        with changing_alone(self._path.parent):  # other polls keep theirs in the same file
            self._write(key, cursor)
        del self._unsaved[key]

    def _write(self, key: str, cursor: Cursor) -> None:
        cursors = {**self._read_cursors(), key: format_cursor(cursor)}
        for old in find_moved(key, cursors):
            del cursors[old]
        text = json.dumps({"tocsin_state": _VERSION, "cursors": cursors}, indent=1) + "\n"
        advice = ". Nothing is lost: the next poll goes on from the last cursor"
        with writing(self._path, f"the state file {self._path}", advice):
            replacement = Replacement(self._path)
            try:
                replacement.stream.write(text.encode())
                replacement.finish()
            finally:
                replacement.abandon()

    def _read_cursors(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UnusableFile(
                f"the state file {self._path} cannot be read ({error.strerror}); "
                "let this user read it, or name another file with --state"
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


State = StateFile | MemoryState


def open_state(path: str | Path | None) -> State:
    """The cursors in a file that can be used; without one, those that end with the program."""
    if path is None:
        return MemoryState()
    state = StateFile(Path(path))
    state.check()
    return state


def cursor_key(url: str, filters: Mapping[str, str]) -> str:
    """The key of a cursor: the collection's URL, by id, with the filters of the poll."""
    query = "&".join(f"{name}={value}" for name, value in sorted(filters.items()))
    return f"{url}objects/?{query}" if query else f"{url}objects/"


def find_same(key: str, known: Iterable[str]) -> list[str]:
    """Those of the `known` keys that have the same collection id and filters at other URLs.

    The id of a collection is unique everywhere (TAXII 2.1 section 5.2).  Ids that are no UUIDs
    tell nothing.
    """
    feed = _FEED.search(key)
    return [
        each
        for each in known
        if each != key and feed and (other := _FEED.search(each)) and other[0] == feed[0]
    ]


def find_moved(key: str, known: Iterable[str]) -> list[str]:
    """The same on the same host: another scheme, port or path.

    A server on another host may have taken the id of a collection that is not its own.
    """
    host = urlsplit(key).hostname
    return [each for each in find_same(key, known) if urlsplit(each).hostname == host]


def format_cursor(cursor: Cursor) -> dict[str, Any]:
    """The cursor as JSON."""
    return {
        "last": None if cursor.last is None else timestamp(cursor.last),
        "seen": sorted(cursor.seen),
        "output": cursor.output,
        "size": cursor.size,
    }


def parse_cursor(entry: Mapping[str, Any]) -> Cursor:
    """The inverse of `format_cursor`.

    Raises KeyError, TypeError, ValueError, AttributeError or Malformed for anything else.
    """
    last, seen, output, size = (entry[name] for name in ("last", "seen", "output", "size"))
    if not (isinstance(seen, list) and isinstance(output, str) and isinstance(size, int)):
        raise TypeError("wrong kind of value")
    return Cursor(
        last=None if last is None else micros(last),
        seen=frozenset(str(each) for each in seen),
        output=output,
        size=size,
    )
