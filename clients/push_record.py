"""The local record of pushes: the ids of their statuses, and the objects that were in them.

A push writes its record while it runs, so that what a server has taken is known after a broken
line or a killed program too.  The record of one push is one file of JSON lines, readable by its
owner only, in the user's folder for state.  It has the ids, labels and levels of the objects that
were sent, and nothing of those that were not.  A withdrawal is a push too, and its record says so.
Records are removed after 90 days, when hubs no longer know the statuses either.  Knows no network.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from tocsin.admission.descriptions import find_level
from tocsin.admission.errors import Malformed
from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.files import open_to_append
from tocsin.clients.http import Collection
from tocsin.clients.responses import StatusReport
from tocsin.clients.results import ObjectResult
from tocsin.config.settings import ClientSettings

log = logging.getLogger(__name__)

NO_STATE_FOLDER = "neither HOME nor XDG_STATE_HOME is the path of a folder"
"""Why `state_folder` gives none."""
_VERSION = 1
_SUFFIX = ".jsonl"
_KEPT_SECONDS = 90 * 86_400
_MAX_RECORDS = 10_000
MAX_LABEL = 200
"""Characters of a label that are kept."""


class PushKind(StrEnum):
    """Kinds of a push that are not ordinary.  The values are properties of its record."""

    WITHDRAWAL = "withdrawal"  # it revokes its objects
    NEW_IDS = "new_ids"  # values of texts and tables are sent under new ids


@dataclass(frozen=True, slots=True)
class SentObject:
    """An object that a server has taken."""

    source_id: str
    """The sender's id for it."""
    label: str
    """Its pattern, value or name, shortened."""
    level: str = ""
    """Its TLP level, as `find_level` gives it; empty in older records."""
    version: str = ""
    """Its `modified`, as it was sent; empty in older records, and if it has none."""

    @property
    def is_label_whole(self) -> bool:
        """True if the label was certainly not shortened."""
        return 0 < len(self.label) < MAX_LABEL


@dataclass(frozen=True, slots=True)
class SentVersion:
    """An object that was sent under an id; others may have been sent under the same one."""

    label: str
    is_withdrawn: bool
    """True if the id was withdrawn afterwards."""
    version: str = ""
    """See SentObject.version."""
    status: str = ""
    """The id of the status of its submission."""
    former: str = ""
    """The label of an older version that stays published as long as this one is not decided about;
    empty if there is none, or nothing waits."""

    def is_older(self, other: SentVersion) -> bool:
        """True if its `modified` is certainly before that of another version."""
        try:
            return micros(self.version) < micros(other.version)
        except Malformed:  # one of them is not known
            return False


@dataclass(frozen=True, slots=True)
class SentPart:
    """One submission of a push."""

    status: str
    """The id of its status."""
    objects: tuple[SentObject, ...]


@dataclass(frozen=True, slots=True)
class RecordedPush:
    """A push, as far as its record goes."""

    id: str
    """The name of its record."""
    time: int
    """Begin, in µs since 1970 UTC."""
    url: str
    """The URL of the hub."""
    root: str
    """The URL of the API root."""
    collection: str
    """The alias of the collection, else its title."""
    files: tuple[str, ...]
    collection_id: str = ""
    """Empty in older records."""
    parts: tuple[SentPart, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Objects by verdict; empty if the push did not reach its end."""
    is_withdrawal: bool = False
    """True if it revoked its objects."""
    has_new_ids: bool = False
    """True if values of texts and tables were sent under new ids."""

    @property
    def objects(self) -> Iterator[SentObject]:
        """The objects that the server has taken, in order."""
        return (each for part in self.parts for each in part.objects)

    def went_to(self, url: str, collection: Collection | None = None) -> bool:
        """True if it went to the hub with this URL and, if one is given, to this collection.

        A collection at another URL is the same one if its id is.
        """
        if collection is None:
            return self.url == url
        if self.collection_id:
            return self.collection_id == collection.id
        place = (self.url, self.root, self.collection)
        return place == (url, collection.root, _name(collection))


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """`$XDG_STATE_HOME/tocsin` or `~/.local/state/tocsin`; None if neither variable is set."""
    folder = environ.get("XDG_STATE_HOME", "")
    if not folder and environ.get("HOME"):
        folder = environ["HOME"] + "/.local/state"
    return Path(folder) / "tocsin" if Path(folder).is_absolute() else None


def open_records(settings: ClientSettings, environ: Mapping[str, str]) -> PushRecords:
    """The records that a push adds to; logs a warning if there is no place for them."""
    if not settings.record_pushes:
        return PushRecords(None)
    folder = state_folder(environ)
    if folder is None:
        log.warning("the push is not recorded: %s", NO_STATE_FOLDER)
    return PushRecords(folder)


class PushRecords:
    """The records of a user's pushes."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is that of `state_folder`; with None nothing is kept."""
        self._folder = folder / "pushes" if folder else None

    def begin(
        self,
        collection: Collection,
        url: str,
        files: Iterable[str],
        kind: PushKind | None = None,
    ) -> PushRecord:
        """Begin the record of a push.  A record that cannot be written costs only a warning."""
        record = PushRecord(self._open())
        where = {"url": url, "root": collection.root, "collection": _name(collection)}
        where |= {"collection_id": collection.id}
        head = {"tocsin_push": _VERSION, "time": timestamp(time.time_ns() // 1000), **where}
        record.write(head | {"files": list(files)} | ({kind.value: True} if kind else {}))
        return record

    def list_newest(self) -> Iterator[RecordedPush]:
        """The pushes that sent something, the newest first."""
        for file in self._list_files():
            push = _read_record(file)
            if push and push.parts:
                yield push

    def find(self, id: str) -> RecordedPush | None:
        """The push with this id, or one of whose statuses has it."""
        for push in self.list_newest():
            if id == push.id or any(part.status == id for part in push.parts):
                return push
        return None

    def find_collection(self, name: str, url: str) -> Collection | None:
        """The collection with this id or name that was last pushed to at a hub; any if it is empty.

        At its URL, else at another one on the same host; None: this computer pushed to none there.
        """
        found = None
        for push in self.list_newest():
            if push.collection_id and name in ("", push.collection_id, push.collection):
                if push.url == url:
                    return _as_collection(push)
                if not found and urlsplit(push.url).hostname == urlsplit(url).hostname:
                    found = push
        return _as_collection(found) if found else None

    def find_ids(
        self,
        labels: Container[str],
        url: str,
        collection: Collection | None = None,
        *,
        only_new: bool = True,
    ) -> dict[str, set[str]]:
        """The ids under which objects with these labels were sent to a hub, by label.

        `only_new`: an object that was sent under an id of its own, in a STIX or MISP file, is not
        meant.  `collection` None: to any of its collections.  A label that may have been shortened
        is left out, because other objects may begin as it does.
        """
        found: dict[str, set[str]] = {}
        for push in self.list_newest():
            is_meant = push.has_new_ids or not (only_new or push.is_withdrawal)
            if not is_meant or not push.went_to(url, collection):
                continue
            for each in push.objects:
                if each.is_label_whole and each.label in labels:
                    found.setdefault(each.label, set()).add(each.source_id)
        return found

    def find_ids_where(
        self, is_wanted: Callable[[str], bool], url: str, collection: Collection | None = None
    ) -> set[str]:
        """The ids under which objects with labels that pass a test were sent to a hub.

        A label may have been shortened.
        """
        return {
            each.source_id
            for push in self.list_newest()
            if not push.is_withdrawal and push.went_to(url, collection)
            for each in push.objects
            if is_wanted(each.label)
        }

    def find_versions(
        self, ids: Container[str], url: str, collection: Collection | None = None
    ) -> dict[str, list[SentVersion]]:
        """The objects that were sent to a hub under these ids, by id, the last one first."""
        found: dict[str, list[SentVersion]] = {}
        withdrawn: set[str] = set()
        for push in self.list_newest():
            if not push.went_to(url, collection):
                continue
            sent = [(part.status, each) for part in push.parts for each in part.objects]
            for status, each in reversed(sent):
                id = each.source_id
                if id in ids and push.is_withdrawal:
                    withdrawn.add(id)
                elif id in ids:
                    version = SentVersion(each.label, id in withdrawn, each.version, status)
                    found.setdefault(id, []).append(version)
        return found

    def find_levels(
        self, ids: Container[str | None], url: str, collection: Collection
    ) -> dict[str, list[str]]:
        """The ids of these under which something was sent to a hub, with its TLP levels.

        The level of what was sent last is the first one; older records have none.  `collection`:
        one of the hub's, which was perhaps at another URL before.
        """
        found: dict[str, list[str]] = {}
        for push in self.list_newest():
            if push.is_withdrawal or not (push.went_to(url) or push.went_to(url, collection)):
                continue
            for each in reversed([*push.objects]):
                if each.source_id in ids:
                    levels = found.setdefault(each.source_id, [])
                    levels += [each.level] if each.level and each.level not in levels else []
        return found

    def _open(self) -> tuple[BinaryIO, Path] | None:
        if not self._folder:
            return None
        seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
        stamp = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(seconds))}-{micros:06}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_old()
            path = self._folder / f"{stamp}-{secrets.token_hex(2)}{_SUFFIX}"
            return open_to_append(path), path
        except OSError as error:
            log.warning("the push is not recorded: %s: %s", self._folder, error.strerror or error)
            return None

    def _remove_old(self) -> None:
        for number, file in enumerate(self._list_files()):
            with suppress(OSError):
                if number >= _MAX_RECORDS or time.time() - file.stat().st_mtime > _KEPT_SECONDS:
                    file.unlink()

    def _list_files(self) -> list[Path]:
        try:
            names = os.listdir(self._folder) if self._folder else []
        except OSError:
            return []
        found = sorted((name for name in names if name.endswith(_SUFFIX)), reverse=True)
        return [Path(self._folder or "") / name for name in found]


class PushRecord:
    """The record of a push that is running."""

    def __init__(self, file: tuple[BinaryIO, Path] | None) -> None:
        """Writes to the stream of a file; nothing if that is None."""
        self._stream = file[0] if file else None
        self._path = file[1] if file else None
        self._has_part = False
        self.statuses: list[str] = []
        """The ids of the submissions that the server has taken, in order."""
        self.taken = 0
        """The objects in them."""

    def __enter__(self) -> PushRecord:
        """The record itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, and remove it if it has nothing that a server took.

        A watched folder begins one with every attempt, and the oldest records make room.
        """
        if self._stream:
            self._stream.close()
        if self._path and not self._has_part:
            with suppress(OSError):
                self._path.unlink()

    def acknowledge(self, report: StatusReport, results: Sequence[ObjectResult]) -> None:
        """Record that the server took these objects."""
        self.statuses.append(report.id)
        self.taken += len(results)
        rows = [
            [
                each.source_id or "",
                each.label[:MAX_LABEL],
                find_level(each.object or {}),
                str((each.object or {}).get("modified", "")),
            ]
            for each in results
        ]
        self.write({"status": report.id, "objects": rows})

    def finish(self, counts: Mapping[str, int]) -> None:
        """Record the end, with the counts by verdict."""
        self.write({"counts": dict(counts)})

    def write(self, line: Mapping[str, Any]) -> None:
        """Write one line, complete before this returns."""
        if not self._stream:
            return
        self._has_part = self._has_part or "status" in line
        try:
            self._stream.write(json.dumps(line).encode() + b"\n")
            self._stream.flush()
        except OSError as error:
            log.warning("the rest of this push is not recorded: %s", error.strerror or error)
            self._stream = None


def _as_collection(push: RecordedPush) -> Collection:
    """The collection that a push went to, as far as its record knows it."""
    return Collection(
        id=push.collection_id,
        alias=push.collection,
        title=push.collection,
        description="",
        can_read=False,
        can_write=True,
        root=push.root,
        url=f"{push.root}collections/{push.collection_id}/",
    )


def _name(collection: Collection) -> str:
    return collection.alias or collection.title


def _read_record(file: Path) -> RecordedPush | None:
    """The push of a file; None if that is not the record of one.

    The last line of a program that was killed may be incomplete; it is left out.
    """
    push: RecordedPush | None = None
    try:
        with file.open("rb") as stream:
            for line in stream:
                push = _read_line(push, json.loads(line), file.stem)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, Malformed):
        return push
    return push


def _read_line(push: RecordedPush | None, line: Any, id: str) -> RecordedPush | None:
    if push is None:
        if line["tocsin_push"] != _VERSION:
            return None
        return RecordedPush(
            id=id,
            time=micros(line["time"]),
            url=str(line["url"]),
            root=str(line["root"]),
            collection=str(line["collection"]),
            files=tuple(str(name) for name in line["files"]),
            collection_id=str(line.get("collection_id", "")),
            is_withdrawal=line.get(PushKind.WITHDRAWAL) is True,
            has_new_ids=line.get(PushKind.NEW_IDS) is True,
        )
    if "status" in line:
        objects = tuple(SentObject(*map(str, row)) for row in line["objects"])
        return replace(push, parts=(*push.parts, SentPart(str(line["status"]), objects)))
    return replace(push, counts={str(word): int(n) for word, n in line["counts"].items()})
