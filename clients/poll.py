"""Read what is new in a collection without losing an object.

Within a walk over the pages, `next` leads from page to page.  `added_after` is used only to
begin a walk, and when a server gives no `next`.  It is set just before the last stamp, because on
other servers many objects may share a stamp and a page may end among them.  Objects that come
twice for that reason are left out.

A walk that breaks off starts again after the delivered objects, never with the old `next`: some
servers count a page as read when it is requested.

A stamp is believed only if it is not in the future, and while a walk lasts only if stamps do not
go backwards.  Where it is not believed the cursor stays: objects may come twice, but none is
skipped.  A walk ends if page after page brings nothing new.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from typing import Protocol

import msgspec

from tocsin.admission.errors import Malformed, NotFound, ShareError, Unavailable
from tocsin.admission.timestamps import micros, timestamp
from tocsin.clients.bounds import ResponseRefused, ResponseTooLong
from tocsin.clients.http import Collection, Hub, NotTaxii
from tocsin.clients.responses import Page
from tocsin.clients.state import Cursor, MemoryState, State, cursor_key

log = logging.getLogger(__name__)

_MAX_USELESS_PAGES = 20
_MAX_RESTARTS = 3
_RECENT = 50_000
"""Versions of a walk that are remembered to tell whether a page brings something new."""
_MAX_SEEN = 100_000
"""Fingerprints of a cursor; with more, those of the last page are kept."""
_TOLERANCE = 10 * 60 * 1_000_000
"""µs that the server's clock may be ahead of ours."""
_SAVED_TOLERANCE = 24 * 60 * 60 * 1_000_000
"""The same for a saved cursor; more, because our own clock may have been put right since."""
_ADVICE = (
    "the poll stops; what was delivered is kept. "
    "Try another --limit, or tell the operator of the server"
)
_SAME_PAGE = f"the server gave the same page twice and says that there is more; {_ADVICE}"
_ONLY_USELESS_PAGES = (
    f"the server gave {_MAX_USELESS_PAGES} empty pages or pages without a new object, "
    f"and says that there is more; {_ADVICE}"
)
_NO_NEXT_PAGE = (
    "the server says that there is more, but not how to go on "
    f"(neither `next` nor a usable X-TAXII-Date-Added-Last); {_ADVICE}"
)
_IGNORED = (
    "the server does not know the match fields {}, and would send objects that do not match; "
    "correct them or leave them out"
)
_MAX_NAMED = 200
"""Characters of a server's list of fields that are shown."""
_BACKWARDS = (
    "the server's X-TAXII-Date-Added-Last goes backwards; the cursor moves only once all pages "
    "have been read, and if the poll breaks off before, objects come again"
)


@dataclass(frozen=True, slots=True)
class PollQuery:
    """The objects of a collection to read."""

    types: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    added_after: str = ""
    """RFC 3339; where to begin, unless the cursor is further on."""
    limit: int = 1000
    """Objects a page; the server may give fewer."""
    matches: tuple[tuple[str, str], ...] = ()
    """Further match fields with their values; values of one field are joined by OR."""

    def filters(self) -> dict[str, str]:
        """The match filters (TAXII 2.1 section 3.4.1)."""
        filters = {"match[type]": ",".join(self.types), "match[id]": ",".join(self.ids)}
        for name, value in sorted(self.matches):
            key = f"match[{name}]"
            filters[key] = ",".join(filter(None, (filters.get(key, ""), value)))
        return {name: value for name, value in filters.items() if value}


@dataclass(frozen=True, slots=True)
class Batch:
    """New objects of a page, and the cursor that holds once they are written."""

    objects: tuple[bytes, ...]
    cursor: Cursor


class Output(Protocol):
    """Destination of the objects: `LineOutput` or `BundleOutput`."""

    incremental: bool
    """True if written objects are durable after each `sync`; otherwise only after `finish`."""

    def resume(self, cursor: Cursor) -> None:
        """Prepare to continue at `cursor`; called once, before anything else."""
        ...

    def write(self, objects: Sequence[bytes]) -> None:
        """Write objects, each given as its JSON."""
        ...

    def sync(self) -> tuple[str, int]:
        """Force the written objects to the disk; the file's name and length, or ("", 0)."""
        ...

    def finish(self) -> tuple[str, int]:
        """Complete the output; the result is that of `sync`."""
        ...


def poll(
    hub: Hub, collection: Collection, query: PollQuery, output: Output, state: State | None = None
) -> Iterator[int]:
    """Write what is new in a collection to `output`; yields the number of new objects of each page.

    With `state` the poll goes on where the last one ended.  The cursor is saved only after the
    objects that it covers are durable, so a crash may repeat objects but not lose them;
    `Output.resume` finds the repeated ones in a file that is appended to.
    """
    state = state or MemoryState()
    key = cursor_key(collection.url, query.filters())
    saved = state.load(key)
    output.resume(saved)
    if output.incremental and not saved.output:
        saved = _save_output_place(saved, output, state, key)
    cursor = saved
    for batch in poll_batches(hub, collection, query, saved):
        output.write(batch.objects)
        cursor = batch.cursor
        if output.incremental and (batch.objects or cursor != saved):
            name, size = output.sync()
            saved = cursor = replace(cursor, output=name, size=size)
            state.save(key, saved)
        yield len(batch.objects)
    name, size = output.finish()
    # Without news too: others write to the file, and `resume` would read all that they ever wrote.
    cursor = replace(cursor, output=name, size=size)
    if cursor != saved or saved == Cursor():
        state.save(key, cursor)


def _save_output_place(cursor: Cursor, output: Output, state: State, key: str) -> Cursor:
    """Save the output's name and length before the first page, so that a crash repeats none."""
    name, size = output.sync()
    if name:
        cursor = replace(cursor, output=name, size=size)
        state.save(key, cursor)
    return cursor


def poll_batches(
    hub: Hub, collection: Collection, query: PollQuery, cursor: Cursor
) -> Iterator[Batch]:
    """The new objects of a collection, page by page.

    Raises Malformed if the server's pages have no end, it names a match field that it ignores, or
    `cursor` lies in the future, Unavailable if it stays unreachable or a response is refused.
    """
    _check_cursor(cursor)
    pager = _Pager(query, collection.exact, cursor)
    while not pager.is_done:
        try:
            page = hub.fetch_page(collection, pager.parameters())
        except (Unavailable, Malformed, NotFound) as error:
            pauses = pager.restart(error)
            time.sleep(pauses * hub.retries.pause)
        else:
            if page.ignored and query.matches:
                raise Malformed(_IGNORED.format(page.ignored[:_MAX_NAMED]))
            yield Batch(pager.accept(page), pager.cursor)


@dataclass(slots=True)
class _Pager:
    """The state of one walk over a collection's pages."""

    query: PollQuery
    exact: bool
    """See Collection.exact."""
    cursor: Cursor
    is_done: bool = False
    limit: int = 0
    added_after: str = ""
    next: str = ""
    restarts: int = 0
    useless_pages: int = 0
    """Pages in a row without a new object; negative where a new walk repeats pages."""
    useful_pages: int = 0
    recent: dict[str, None] = field(default_factory=dict)
    """Fingerprints of the last versions of this poll, in order."""
    begun: Cursor = field(default_factory=Cursor)
    """The cursor before this walk."""
    highest: int | None = None
    """The greatest stamp of this walk that was believed, if stamps went backwards in it."""
    is_warned: bool = False
    stuck_digest: bytes = b""
    """The page that brought nothing new; with a greater limit it must bring something else."""
    digests: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.limit = self.query.limit
        self.begun = self.cursor
        self.added_after = self._after_cursor()

    def parameters(self) -> dict[str, str]:
        """The parameters of the next page; within a walk only `next` changes."""
        parameters = {**self.query.filters(), "limit": str(self.limit)}
        parameters |= {"added_after": self.added_after} if self.added_after else {}
        return parameters | ({"next": self.next} if self.next else {})

    def accept(self, page: Page) -> tuple[bytes, ...]:
        """Move on to after `page`; its new objects."""
        page = self._without_doubtful_stamp(page)
        fingerprints = [version_fingerprint(each) for each in page.objects]
        is_new = self._check_progress(page, fingerprints)
        new = {
            fingerprint: each
            for fingerprint, each in zip(fingerprints, page.objects, strict=True)
            if fingerprint not in self.cursor.seen
        }
        self.is_done, self.next = not page.more, page.next
        self._advance(page, frozenset(fingerprints))
        self.restarts = 0 if is_new else self.restarts
        if page.more and not page.next:
            self._go_on_by_stamp(page, progress=bool(new))
        return tuple(new.values())

    def restart(self, error: ShareError) -> int:
        """Begin a new walk after the delivered objects; the number of pauses to wait before it.

        Raises `error` if a new walk would not help.
        """
        if isinstance(error, ResponseTooLong) and self.limit > 1:
            self.limit = max(1, self.limit // 8)
            log.warning("%s; polling on with --limit %d", error, self.limit)
            self._begin_again()
            return 0
        expired = not isinstance(error, Unavailable)
        useless = (expired and not self.next) or isinstance(error, NotTaxii | ResponseRefused)
        if useless or self.restarts >= _MAX_RESTARTS:
            raise error
        log.info("polling again after the delivered objects: %s", error)
        self.restarts += 1
        self._begin_again()
        return 0 if expired else 2**self.restarts

    def _begin_again(self) -> None:
        self.next, self.added_after = "", self._after_cursor()
        self.begun, self.highest = self.cursor, None
        self.useless_pages = -self.useful_pages
        self.digests.clear()

    def _without_doubtful_stamp(self, page: Page) -> Page:
        """The page, without its last stamp if that is later than now."""
        in_future = page.last is not None and page.last > _now() + _TOLERANCE
        if in_future or (page.last is None and page.last_as_received):
            self._warn(
                f"the server's X-TAXII-Date-Added-Last {ascii(page.last_as_received[:40])} is not "
                "a timestamp, or is later than this computer's clock; it is ignored, and the next "
                "poll starts where this one did. Check the clock, or tell the operator of the "
                "server"
            )
        return replace(page, last=None) if in_future else page

    def _warn(self, message: str) -> None:
        if not self.is_warned:
            log.warning("%s", message)
        self.is_warned = True

    def _check_progress(self, page: Page, fingerprints: Sequence[str]) -> bool:
        """True if the page brings something that this poll has not read lately."""
        if page.objects and page.digest in self.digests:
            raise Malformed(_SAME_PAGE)
        self.digests.add(page.digest)
        is_new = any(each not in self.recent for each in fingerprints)
        self.useful_pages += is_new
        self.useless_pages = 0 if is_new else self.useless_pages + 1
        if self.useless_pages >= _MAX_USELESS_PAGES:
            raise Malformed(_ONLY_USELESS_PAGES)
        self.recent.update(dict.fromkeys(fingerprints))
        for each in list(islice(self.recent, max(0, len(self.recent) - _RECENT))):
            del self.recent[each]
        return is_new

    def _advance(self, page: Page, fingerprints: frozenset[str]) -> None:
        """Move the cursor over a page.

        Where stamps went backwards, later pages may hold objects from before the greatest stamp:
        it counts only at the end of the walk.  Until then the walk may also come to what was read
        before it, if no stamp was believed then.
        """
        if self.highest is None and self._goes_back(page):
            self._warn(_BACKWARDS)
            self.highest = self.cursor.last
            self.cursor = replace(self.begun, seen=self.begun.seen | self.cursor.seen)
        if self.highest is None:
            self.cursor = _advance_cursor(self.cursor, page, fingerprints)
            if not self.is_done:
                seen = _join(self.begun.seen, self.cursor.seen)
                self.cursor = replace(self.cursor, seen=seen)
            return
        self.highest = max(self.highest, page.last or 0)
        last = self.highest if self.is_done else self.begun.last
        self.cursor = replace(self.cursor, last=last, seen=_join(self.cursor.seen, fingerprints))

    def _goes_back(self, page: Page) -> bool:
        """True if an earlier page of this walk by `next` had a greater stamp."""
        if page.last is None or self.cursor.last is None or (page.more and not page.next):
            return False
        return page.last < self.cursor.last != self.begun.last

    def _go_on_by_stamp(self, page: Page, progress: bool) -> None:
        """Go on by `added_after` (TAXII 2.1 section 3.5).

        If objects of one stamp fill the page, the next one is requested with twice the limit.
        """
        if page.last is None or self.highest is not None:
            raise Malformed(_NO_NEXT_PAGE)
        if not progress and page.digest == self.stuck_digest:
            raise Malformed(_SAME_PAGE)
        self.stuck_digest = b"" if progress else page.digest
        self.limit = self.limit if progress else self.limit * 2
        self.added_after = self._after_cursor()
        self.digests.clear()

    def _after_cursor(self) -> str:
        """The `added_after` of a walk that misses nothing after the cursor."""
        if self.cursor.last is None:
            return self.query.added_after
        stamp = self.cursor.last - (not self.exact)
        if self.query.added_after:
            stamp = max(stamp, micros(self.query.added_after))
        return timestamp(stamp)


def version_fingerprint(object: bytes) -> str:
    """A hash that tells object versions apart: over id and version, or else over the whole object.

    `created` is not enough: a marking definition that ended keeps it, with other content.
    A cursor keeps the fingerprints of the versions that were read with its last stamp.
    """
    try:
        head = _head_decoder.decode(object)
    except msgspec.ValidationError:
        head = _Head()
    versioned = head.id and head.modified
    hashed = f"{head.id} {head.modified}".encode() if versioned else object
    return blake2b(hashed, digest_size=9).hexdigest()


class _Head(msgspec.Struct):
    id: str | None = None
    modified: str | None = None


_head_decoder = msgspec.json.Decoder(_Head)


def _advance_cursor(cursor: Cursor, page: Page, fingerprints: frozenset[str]) -> Cursor:
    """The cursor after a page.  Versions with earlier stamps than its last need no fingerprint."""
    if page.last is None or (cursor.last is not None and page.last <= cursor.last):
        return replace(cursor, seen=_join(cursor.seen, fingerprints))
    return replace(cursor, last=page.last, seen=fingerprints)


def _join(seen: frozenset[str], fingerprints: frozenset[str]) -> frozenset[str]:
    joined = seen | fingerprints
    return joined if len(joined) <= _MAX_SEEN else fingerprints


def _check_cursor(cursor: Cursor) -> None:
    """Refuse a saved cursor in the future: `added_after` would skip all objects until then."""
    if cursor.last is not None and cursor.last > _now() + _SAVED_TOLERANCE:
        raise Malformed(
            f"the saved cursor {timestamp(cursor.last)} lies in the future by this computer's "
            "clock, and objects added before it would be skipped. Check the clock; if it is "
            "right, remove the state file to poll everything from the beginning"
        )


def _now() -> int:
    """µs since 1970 UTC."""
    return time.time_ns() // 1000
