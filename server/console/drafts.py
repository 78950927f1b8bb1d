"""Reports that a person has pasted and not yet submitted.

They are files in the data directory and not documents, because a database keeps what is deleted for
days: in its journal, in the members of its replica set, in backups.  A file is gone when it is
removed.  Only the person who made a draft can open it; it is deleted after 30 minutes, and as soon
as it is discarded.  Of one that was submitted, the way to the submission is left until then.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from tocsin.admission.errors import NotFound, TooManyRequests
from tocsin.admission.model import Candidate, StixObject

SECONDS = 30 * 60
"""Seconds after which a draft is deleted."""
MOST = 5
"""Drafts of one person."""
MOST_WORKING = 2
"""Drafts of one person that are examined or wait for it, so that others get their turns."""
_PAUSE = 10
_SECOND = 1_000_000
_ID = re.compile(r"[0-9a-f]{24}")
_HEAD, _INPUT = "draft.json", "input"
_STILL_WORKING = "your other reports are still being examined: wait for one, or discard it"


class DraftGone(NotFound):
    """The person has no such draft.  The answer about another person's draft is the same."""

    def __init__(self) -> None:
        super().__init__(
            "this draft is gone: it was submitted or discarded, or its 30 minutes are over"
        )


class DraftState(StrEnum):
    """The state of a draft."""

    WORKING = "working"  # it is being examined
    READY = "ready"  # the preview can be seen
    FAILED = "failed"  # it cannot be read, or not be examined
    SUBMITTED = "submitted"  # only the id of its submission is left


class Standing(StrEnum):
    """The outcome for an object if the draft were submitted."""

    READY = "ready"  # it can be shared now
    ASKED = "asked"  # it can be shared now, a part of it waits for a reviewer
    HELD = "held"  # it waits for a reviewer
    UNCONFIRMED = "unconfirmed"  # a draft of MISP, or a value that may be the writer's own
    LEFT_OUT = "left out"  # everybody has it, or the file has it twice
    REFUSED = "refused"  # it is not sent
    TAKEN_OUT = "taken out"  # the person leaves it out


SENT = frozenset({Standing.READY, Standing.ASKED, Standing.HELD})
"""The outcomes whose objects become part of the submission."""


class DraftOptions(msgspec.Struct, frozen=True):
    """A person's choices for a report."""

    collection: str
    """Its id."""
    tlp: str
    """The label of the level of what states none."""
    anonymous: bool = True
    days: int = 0
    """Days for which indicators without an end are valid; 0: as the report says."""
    labels: tuple[str, ...] = ()
    format: str = ""
    """Empty: it is found out."""
    confirmed: bool = False
    """True to share what needs the person's confirmation too."""
    new_ids: bool = False
    """Share values that the partner withdrew again, under new ids."""


class DraftRow(msgspec.Struct, frozen=True, array_like=True):
    """One object of a preview: where it is in the file of results, and what becomes of it."""

    at: int
    length: int
    standing: Standing
    is_changed: bool
    has_text: bool = False
    """It has texts other than its value, which may name people whom no rule found."""


class PreviewedObject(msgspec.Struct, frozen=True):
    """One object of a preview."""

    before: StixObject | None
    """The object as it was read."""
    candidate: Candidate
    """The object after its examination."""


class PreviewResult(NamedTuple):
    """One object of a preview that is to be kept."""

    item: PreviewedObject
    standing: Standing
    is_changed: bool
    has_text: bool


class Draft(msgspec.Struct, frozen=True):
    """A draft, without its texts."""

    id: str
    person: str
    """Id of the person."""
    partner: str
    until: int
    """Time of its deletion, in µs."""
    name: str
    """Name of the file; empty for what was pasted."""
    octets: int
    options: DraftOptions
    submission: str
    """The id that its submission will have: it can be made only once."""
    run: int = 1
    """Grows with each examination, so that only what was seen is submitted."""
    state: DraftState = DraftState.WORKING
    renewed: int = 0
    """Time of the examination's last progress, in µs."""
    done: int = 0
    total: int = 0
    """Objects that are examined, and all of them; 0 until they are read."""
    error: str = ""
    """Why it failed, for the person."""
    format: str = ""
    """The format that was recognised."""
    never_shared: str = ""
    """The parts of the file that were read and are never shared."""
    anonymous: bool = True
    """The partner will not be named, by choice, by agreement or by what the report says."""
    taken_out: tuple[int, ...] = ()
    """The positions, from 0, of the objects that the person leaves out."""
    forgot_choice: bool = False
    """The format was changed: the objects are others, so none of them is left out any more."""
    withdrawn_count: int = 0
    """Number of withdrawn values that can be shared again under new ids."""
    rows: tuple[DraftRow, ...] = ()
    notes: tuple[tuple[str, int], ...] = ()
    """Notes on objects, each with the number of those."""

    def count(self, *standings: Standing) -> int:
        """The number of objects of which this becomes."""
        return sum(row.standing in standings for row in self.rows)


class Origin(NamedTuple):
    """The origin of a new draft."""

    person: str
    """Id of the person."""
    partner: str
    name: str
    """Name of the file; empty for what was pasted."""
    instead: str = ""
    """Id of the draft that it replaces, which is not counted."""


class DraftFiles:
    """The drafts in a folder.  Safe for threads and processes."""

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        self._folder, self._clock = folder, clock

    def begin(self, origin: Origin, content: bytes, options: DraftOptions) -> Draft:
        """Keep a new draft.  Raises TooManyRequests if the person has too many."""
        person = origin.person
        present = [each for each in self.list_of(person) if each.id != origin.instead]
        if len(present) >= MOST:
            text = f"you have {MOST} drafts: submit or discard one of them first"
            raise TooManyRequests(text, SECONDS)
        if sum(each.state is DraftState.WORKING for each in present) >= MOST_WORKING:
            raise TooManyRequests(_STILL_WORKING, _PAUSE)
        now = self._clock()
        draft = Draft(
            id=secrets.token_hex(12),
            person=person,
            partner=origin.partner,
            until=now + SECONDS * _SECOND,
            name=origin.name,
            octets=len(content),
            options=options,
            submission=str(uuid.uuid4()),
            renewed=now,
        )
        place = self._place(person, draft.id)
        for each in (self._folder, place.parent, place):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(place / _INPUT, content)
        self.put(draft)
        return draft

    def find_same(self, origin: Origin, content: bytes, options: DraftOptions) -> Draft | None:
        """A person's draft of the same content under the same options; None if there is none.

        One from which objects are left out is another one.  Under `lock_all`, no other request
        begins the same draft meanwhile.
        """
        for each in self.list_of(origin.person):
            is_other = each.id == origin.instead or each.state is DraftState.FAILED
            given = (each.partner, each.name, each.octets, each.options, each.taken_out)
            if is_other or given != (origin.partner, origin.name, len(content), options, ()):
                continue
            with suppress(FileNotFoundError):  # discarded meanwhile
                if self.read_input(each) == content:
                    return each
        return None

    def find(self, id: str, person: str) -> Draft:
        """The draft of a person.  Raises DraftGone if it is not there, or another person's."""
        draft = self._read(person, id) if _ID.fullmatch(id) else None
        if draft is None:
            raise DraftGone
        if draft.until <= self._clock():
            self.discard(draft)
            raise DraftGone
        return draft

    def list_of(self, person: str) -> list[Draft]:
        """The drafts of a person that are not submitted, the oldest first."""
        found = (self._read(person, id_) for id_ in self._ids(person))
        own = [each for each in found if each is not None and each.until > self._clock()]
        return sorted(
            (each for each in own if each.state is not DraftState.SUBMITTED),
            key=lambda each: (each.until, each.id),
        )

    def put(self, draft: Draft) -> None:
        """Replace what is known of a draft.  Raises FileNotFoundError if it was discarded."""
        place = self._place(draft.person, draft.id)
        new = place / f"{secrets.token_hex(4)}.new"
        _write(new, msgspec.json.encode(draft))
        new.replace(place / _HEAD)

    def change(self, draft: Draft, **fields: object) -> Draft | None:
        """Change a draft, if it is still being examined as it was; None if it is not."""
        with self.lock(draft.person, draft.id):
            current = self._read(draft.person, draft.id)
            if (
                current is None
                or current.run != draft.run
                or current.state is not DraftState.WORKING
            ):
                return None
            changed = msgspec.structs.replace(current, renewed=self._clock(), **fields)
            self.put(changed)
            return changed

    def read_input(self, draft: Draft) -> bytes:
        """Return the text that was pasted.  Raises FileNotFoundError if the draft was discarded."""
        return (self._place(draft.person, draft.id) / _INPUT).read_bytes()

    def write_results(
        self, draft: Draft, results: Iterable[PreviewResult], body: bytes
    ) -> tuple[DraftRow, ...]:
        """Keep a preview, and the body of the submission that it leads to."""
        place, rows, at = self._place(draft.person, draft.id), [], 0
        descriptor = _create(place / f"results-{draft.run}")
        with os.fdopen(descriptor, "wb") as file:
            for each in results:
                frame = msgspec.msgpack.encode(each.item)
                file.write(frame)
                row = DraftRow(at, len(frame), each.standing, each.is_changed, each.has_text)
                rows.append(row)
                at += len(frame)
        _write(place / f"body-{draft.run}", body)
        return tuple(rows)

    def read_items(self, draft: Draft, rows: Sequence[DraftRow]) -> list[PreviewedObject]:
        """Some objects of a preview."""
        path = self._place(draft.person, draft.id) / f"results-{draft.run}"
        with path.open("rb") as file:
            return [
                msgspec.msgpack.decode(_read_at(file, row), type=PreviewedObject) for row in rows
            ]

    def read_body(self, draft: Draft) -> bytes:
        """The body of the submission."""
        return (self._place(draft.person, draft.id) / f"body-{draft.run}").read_bytes()

    def begin_again(self, draft: Draft, options: DraftOptions, taken_out: Collection[int]) -> Draft:
        """Examine a draft once more, under other options or without some objects.

        In another format the objects are others, so none of them is left out then.
        """
        is_same = options.format == draft.options.format
        for kind in ("results", "body"):
            (self._place(draft.person, draft.id) / f"{kind}-{draft.run}").unlink(missing_ok=True)
        again = msgspec.structs.replace(
            draft,
            options=options,
            taken_out=tuple(sorted(taken_out)) if is_same else (),
            forgot_choice=bool(taken_out) and not is_same,
            run=draft.run + 1,
            state=DraftState.WORKING,
            renewed=self._clock(),
            done=0,
            total=0,
            error="",
            never_shared="",
            withdrawn_count=0,
            rows=(),
            notes=(),
        )
        self.put(again)
        return again

    def close(self, draft: Draft) -> None:
        """Delete the texts of a draft that was submitted; the way to its submission stays."""
        options = DraftOptions(draft.options.collection, draft.options.tlp)
        self.put(
            msgspec.structs.replace(
                draft,
                state=DraftState.SUBMITTED,
                name="",
                taken_out=(),
                rows=(),
                notes=(),
                options=options,
            )
        )
        for path in self._place(draft.person, draft.id).iterdir():
            if path.name != _HEAD:
                path.unlink(missing_ok=True)

    def discard(self, draft: Draft) -> None:
        """Delete a draft."""
        shutil.rmtree(self._place(draft.person, draft.id), ignore_errors=True)

    def sweep(self) -> None:
        """Delete the drafts whose time is over, and what a crash has left."""
        for person in _list_folder(self._folder):
            for id_ in self._ids(person):
                self._delete_if_due(person, id_)
            with suppress(OSError):  # it has other drafts
                (self._folder / person).rmdir()

    def _delete_if_due(self, person: str, id: str) -> None:
        draft, now = self._read(person, id), self._clock()
        if draft is None:
            with suppress(FileNotFoundError):
                if self._place(person, id).stat().st_mtime < now / _SECOND - SECONDS:
                    shutil.rmtree(self._place(person, id), ignore_errors=True)
        elif draft.until <= now:
            self.discard(draft)

    @contextmanager
    def lock(self, person: str, id: str) -> Iterator[None]:
        """Let no other thread or process change a draft.  Raises DraftGone if there is none."""
        if not _ID.fullmatch(id):
            raise DraftGone
        try:
            descriptor = os.open(self._place(person, id), os.O_RDONLY)
        except FileNotFoundError:
            raise DraftGone from None
        with _locked(descriptor):
            yield

    @contextmanager
    def lock_all(self) -> Iterator[None]:
        """Let one thread of one process at a time look for a draft and begin it.

        Not for each person: `sweep` removes the folder of a person without drafts.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(os.open(self._folder, os.O_RDONLY)):
            yield

    def _ids(self, person: str) -> list[str]:
        return [each for each in _list_folder(self._folder / person) if _ID.fullmatch(each)]

    def _place(self, person: str, id: str) -> Path:
        return self._folder / person / id

    def _read(self, person: str, id: str) -> Draft | None:
        try:
            content = (self._place(person, id) / _HEAD).read_bytes()
            return msgspec.json.decode(content, type=Draft)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Lock an open file or folder for others that open it, and close it at the end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _list_folder(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(_create(path), "wb") as file:
        file.write(content)


def _read_at(file: BinaryIO, row: DraftRow) -> bytes:
    file.seek(row.at)
    return file.read(row.length)
