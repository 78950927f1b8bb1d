"""Follow a collection without losing anything.

A walk goes from page to page by `next`.  Only from one walk to the other, and
where a server gives no `next`, is `added_after` used: set just before the
last stamp, since on other servers than ours many objects may share a stamp
and a page may end among them.  What comes twice that way is left out.

A walk that breaks starts again behind what was delivered, never with the old
`next`: some servers count a page as read when it is asked for.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Protocol

import msgspec

from tocsin.admission.errors import (
    Malformed,
    NotFound,
    ShareError,
    Unavailable,
)
from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.http import Hub, NotTaxii, Place
from tocsin.clients.responses import Page
from tocsin.clients.state import Cursor, Memory, state_key

log = logging.getLogger(__name__)

_EMPTY_PAGES = 20
_RESTARTS = 3
_CIRCLE = (
    "the server gives the same page again and says that there is more; "
    "the poll stops here, what was delivered is kept"
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted of a collection."""

    types: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    added_after: str = ""
    """Where to begin; a cursor that is further on goes before it."""
    limit: int = 1000
    """Objects a page; the server may give fewer."""

    def filters(self) -> dict[str, str]:
        """The match filters (TAXII 2.1 section 3.4.1)."""
        asked = {"match[type]": ",".join(self.types), "match[id]": ",".join(self.ids)}
        return {name: value for name, value in asked.items() if value}


@dataclass(frozen=True, slots=True)
class Batch:
    """New objects, and the cursor that is true once they are written away."""

    objects: tuple[bytes, ...]
    cursor: Cursor


class Sink(Protocol):
    """Where objects are written to."""

    stepwise: bool
    """Whether what is written stands after each `keep`; otherwise only after `finish`."""

    def resume(self, cursor: Cursor) -> None:
        """Get ready to go on where `cursor` was; called once, first."""
        ...

    def write(self, objects: Sequence[bytes]) -> None:
        """Take objects, each as its JSON."""
        ...

    def keep(self) -> tuple[str, int]:
        """Make durable what was written; answers the file's name and length, or ("", 0)."""
        ...

    def finish(self) -> tuple[str, int]:
        """Complete the output; like `keep`."""
        ...


class State(Protocol):
    """What remembers cursors: `StateFile` or `Memory`."""

    def cursor(self, key: str) -> Cursor:
        """Where to go on."""
        ...

    def move(self, key: str, cursor: Cursor) -> None:
        """Remember it."""
        ...


def poll(hub: Hub, place: Place, ask: Ask, sink: Sink, state: State | None = None) -> Iterator[int]:
    """Write what is new in a collection to `sink`; yields how many objects each page brought.

    With `state` the poll goes on where the last one ended.  The cursor moves
    only after what it covers is written away, so a crash may repeat objects
    but not lose them; a file that is appended to is looked through for those.
    """
    state = state or Memory()
    key = state_key(place.url, ask.filters())
    kept = state.cursor(key)
    sink.resume(kept)
    if sink.stepwise and not kept.output:
        kept = _begun(kept, sink, state, key)
    cursor = kept
    for batch in batches(hub, place, ask, kept):
        sink.write(batch.objects)
        cursor = batch.cursor
        if sink.stepwise and (batch.objects or cursor != kept):
            output, size = sink.keep()
            kept = cursor = replace(cursor, output=output, size=size)
            state.move(key, kept)
        yield len(batch.objects)
    output, size = sink.finish()
    if cursor != kept or kept == Cursor():
        state.move(key, replace(cursor, output=output, size=size))


def _begun(cursor: Cursor, sink: Sink, state: State, key: str) -> Cursor:
    """The cursor with the output's place before the first page, so that no crash repeats one."""
    output, size = sink.keep()
    if output:
        cursor = replace(cursor, output=output, size=size)
        state.move(key, cursor)
    return cursor


def batches(hub: Hub, place: Place, ask: Ask, cursor: Cursor) -> Iterator[Batch]:
    """The new objects of a collection, page by page.

    Raises Malformed if the server goes in circles, Unavailable if it stays away.
    """
    walk = _Walk(ask, place.exact, cursor)
    while not walk.over:
        try:
            page = hub.page(place, walk.query())
        except (Unavailable, Malformed, NotFound) as error:
            pause = walk.start_again(error)
            time.sleep(pause * hub.patience.pause)
        else:
            yield Batch(walk.take(page), walk.cursor)


@dataclass(slots=True)
class _Walk:
    """The state of one walk over a collection's pages."""

    ask: Ask
    exact: bool
    cursor: Cursor
    over: bool = False
    limit: int = 0
    after: str = ""
    token: str = ""
    restarts: int = 0
    empty: int = 0
    stuck: bytes = b""
    """The page that brought nothing new; wider, it must bring something else."""
    digests: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.limit = self.ask.limit
        self.after = self._behind()

    def query(self) -> dict[str, str]:
        """The parameters of the next page; within a walk only `next` changes."""
        asked = {**self.ask.filters(), "limit": str(self.limit)}
        asked |= {"added_after": self.after} if self.after else {}
        return asked | ({"next": self.token} if self.token else {})

    def take(self, page: Page) -> tuple[bytes, ...]:
        """The page's new objects; decides how to go on."""
        self._check(page)
        marks = [mark(each) for each in page.objects]
        fresh = {
            each_mark: each
            for each_mark, each in zip(marks, page.objects, strict=True)
            if each_mark not in self.cursor.seen
        }
        self.cursor = _moved(self.cursor, page, frozenset(marks))
        self.restarts = 0 if fresh else self.restarts
        self.over, self.token = not page.more, page.next
        if page.more and not page.next:
            self._without_next(page, progress=bool(fresh))
        return tuple(fresh.values())

    def start_again(self, error: ShareError) -> int:
        """Begin a new walk behind what was delivered; answers after how many pauses.

        Raises `error` if that is no use.
        """
        expired = not isinstance(error, Unavailable)
        useless = (expired and not self.token) or isinstance(error, NotTaxii)
        if useless or self.restarts >= _RESTARTS:
            raise error
        log.info("starting again behind what was delivered: %s", error)
        self.restarts += 1
        self.token, self.after = "", self._behind()
        self.digests.clear()
        return 0 if expired else 2**self.restarts

    def _check(self, page: Page) -> None:
        if page.objects and page.digest in self.digests:
            raise Malformed(_CIRCLE)
        self.digests.add(page.digest)
        self.empty = 0 if page.objects else self.empty + 1
        if self.empty > _EMPTY_PAGES:
            raise Malformed(
                f"the server gave {_EMPTY_PAGES} empty pages and says that there is more; "
                "the poll stops here, what was delivered is kept"
            )

    def _without_next(self, page: Page, progress: bool) -> None:
        """Go on by `added_after` (TAXII 2.1 section 3.5); a wider page if ties fill this one."""
        if page.last is None:
            raise Malformed(
                "the server says that there is more, but not how to go on "
                "(neither `next` nor X-TAXII-Date-Added-Last)"
            )
        if not progress and page.digest == self.stuck:
            raise Malformed(_CIRCLE)
        self.stuck = b"" if progress else page.digest
        self.limit = self.limit if progress else self.limit * 2
        self.after = self._behind()
        self.digests.clear()

    def _behind(self) -> str:
        """`added_after` for a walk that shall miss nothing after the cursor."""
        if self.cursor.last is None:
            return self.ask.added_after
        behind = self.cursor.last - (not self.exact)
        if self.ask.added_after:
            behind = max(behind, micros(self.ask.added_after))
        return timestamp(behind)


def mark(object: bytes) -> str:
    """What tells an object version from others: over id and version, or else the whole.

    A cursor keeps the marks of what was delivered with its last stamp.
    """
    try:
        head = _heads.decode(object)
    except msgspec.ValidationError:
        head = _Head()
    version = head.modified or head.created
    named = f"{head.id} {version}".encode() if head.id and version else object
    return blake2b(named, digest_size=9).hexdigest()


class _Head(msgspec.Struct):
    id: str | None = None
    modified: str | None = None
    created: str | None = None


_heads = msgspec.json.Decoder(_Head)


def _moved(cursor: Cursor, page: Page, marks: frozenset[str]) -> Cursor:
    """The cursor after a page: all with earlier stamps than its last are behind us."""
    if page.last is None or (cursor.last is not None and page.last <= cursor.last):
        return replace(cursor, seen=cursor.seen | marks)
    return replace(cursor, last=page.last, seen=marks)
