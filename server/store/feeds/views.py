"""Read aggregates and snapshots: several feeds as one log, without copying anything.

All feeds have one clock (`clock.py`), so the latest stamp of the sources is a
horizon: everything stamped up to it is visible to a read that begins afterwards.
A page is a merge of the sources by stamp up to the horizon, and the stamp is the
position.  All entries that the sources have of an object then decide which of
them the view shows.  Most of them are near each other, because one publication gave
the object to all its feeds: only what is not found there is looked up by id.

Each decision depends only on entries added before the one in question, or removes
entries, so nothing appears behind a reader's position; only the removal of an
entry from a source can make another one visible that it hid.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Collection as Some
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import merge
from itertools import chain, islice
from sys import maxsize

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.server.model import (
    OBJECTS,
    Account,
    Agreement,
    Collection,
    CollectionKind,
    Entry,
    FeedHead,
    ObjectPage,
    Page,
    Partner,
    Query,
    Representation,
    TermFilter,
    VersionKeyword,
    View,
)
from tocsin.server.processes.shared_folder import CommitCount
from tocsin.server.store.accounts import Accounts
from tocsin.server.store.agreements import Agreements, group_by_partner
from tocsin.server.store.configuration import CONFIGURATION, Configuration
from tocsin.server.store.connection import Base, Document, in_order, time_limit
from tocsin.server.store.feeds.blocks import (
    PackedHead,
    find_entries,
    find_entries_at,
    find_positions_with_status,
)
from tocsin.server.store.feeds.clock import joint_clock_since
from tocsin.server.store.feeds.filter_index import ENDED
from tocsin.server.store.feeds.reader import FeedReader, view_of
from tocsin.server.store.feeds.versions import (
    IndexedEntry,
    StatusBits,
    VersionFilter,
    group_by_object,
    keep_newest,
    status_positions,
)

Found = tuple[str, IndexedEntry]
"""An entry of a source, with the source's id."""


def select_entries(
    found: Mapping[int, Found], view: View, choice: VersionFilter, instant: int
) -> list[int]:
    """The stamps of the entries that the view shows and the version filter selects, in order.

    `found` has all entries of some objects in the view's sources, up to its end, by
    their stamps; entries that expired before `instant` are left out of an active view.
    """
    in_order = (_by_stamp(found[stamp][1]) for stamp in sorted(found))
    sources = {stamp: source for stamp, (source, _) in found.items()}
    stamps: list[int] = []
    for entries in group_by_object(in_order).values():
        visible = _of_first_owner([entry for entry in entries if _is_shown(entry, view)])
        shown, status_bits = _select_shown(_distinct(visible, sources), view, instant)
        stamps += [entry.stamp for entry in shown if choice.includes(entry, status_bits)]
    return sorted(stamps)


def _select_shown(
    entries: Sequence[IndexedEntry], view: View, instant: int
) -> tuple[Sequence[IndexedEntry], StatusBits]:
    """The entries of one object that a view shows, and their status bits in the view."""
    bits = StatusBits(
        **{bit: frozenset(stamps) for bit, stamps in status_positions(entries).items()}
    )
    if not view.active:
        return entries, bits
    superseded = bits.old | bits.shadowed
    current = [e for e in entries if e.stamp not in superseded and e.visibility.active(instant)]
    return current, StatusBits()


def _is_shown(entry: IndexedEntry, view: View) -> bool:
    """True if the view shows an entry of this type and level."""
    of_type = not view.types or entry.type in view.types
    return of_type and (view.max_tlp is None or entry.visibility.tlp <= view.max_tlp)


def _of_first_owner(entries: Sequence[IndexedEntry]) -> Sequence[IndexedEntry]:
    """The entries of one object, in order of stamp, without those that other partners added.

    Otherwise who may write to one source could replace what another source shows.
    """
    if len(entries) < 2:
        return entries
    first = entries[0].owner
    return [entry for entry in entries if entry.owner in ("", first)]


def _distinct(
    entries: Sequence[IndexedEntry], sources: Mapping[int, str]
) -> Sequence[IndexedEntry]:
    """The entries, in order of stamp, without repetitions from another source.

    The first entry of each version is kept, even if the others differ.  An object without its
    own versions is a repetition until its content changes.
    """
    if len(entries) < 2:
        return entries
    kept: list[IndexedEntry] = []
    versions: set[tuple[str, int]] = set()
    latest: dict[str, IndexedEntry] = {}
    for entry in entries:
        version = (entry.spec, entry.instant)
        if entry.own:
            repeated = _is_repetition(entry, latest.get(entry.spec), sources)
        else:
            repeated = version in versions
        if not repeated:
            kept.append(entry)
            versions.add(version)
            if entry.own:
                latest[entry.spec] = entry
    return kept


def _is_repetition(
    entry: IndexedEntry, latest: IndexedEntry | None, sources: Mapping[int, str]
) -> bool:
    """True if the content equals the latest entry, which came from another source."""
    if latest is None or latest.digest != entry.digest:
        return False
    return sources[latest.stamp] != sources[entry.stamp]


def _by_stamp(entry: IndexedEntry) -> IndexedEntry:
    """The entry as part of a view, where its stamp is its position and its index."""
    return replace(entry, position=entry.stamp, first=0)


MINUTE = 60_000_000
"""µs; expired entries leave an aggregate within this time, and its head changes."""
_SOURCES = {CollectionKind.FEED, CollectionKind.VERBATIM}
_ALL = frozenset({VersionKeyword.ALL})
_LAST = frozenset({VersionKeyword.LAST})
_SPECS = frozenset({"2.0", "2.1"})
_ATTEMPTS = 5
_ROUNDS = 20
_FEWEST, _MOST = 32, 1_001
"""Minimum and maximum number of entries that are looked up at once."""
_NEAR = 256_000
"""µs within which the copies of an object in several feeds are looked for around it.

One publication gives it to all of them, mostly in the same or the next window (`clock.py`)."""
_MOST_NEAR = 700
"""Entries of a source that are looked at before a page, and after it, at most.

A little more than two windows have; builds before them stamped thousands in a moment."""
MAX_VIEW_ENTRIES = 1_000
"""Maximum number of entries of a page of a view.

If all of them must be looked up by id, the embedded engine needs seconds for it."""

Candidate = tuple[str, Entry]
"""An entry of a source, with the source's id."""


@dataclass(frozen=True, slots=True)
class ViewState:
    """A view at one moment."""

    view: View
    horizon: int
    """The latest stamp that is read."""
    instant: int
    """Entries that expire before this time are not shown."""
    head: FeedHead


@dataclass(frozen=True, slots=True)
class HubState:
    """The configuration and the heads of one collection, as one look-up found them."""

    reader: CollectionReader = field(repr=False)
    configuration: Configuration
    documents: Mapping[str, Document]
    """Heads in the database, by feed."""

    @property
    def collections(self) -> Sequence[Collection]:
        """All collections, by id."""
        return self.configuration.collections

    def find_account_by_credential(self, digest: str) -> Account | None:
        """See `auth.AccountLookup`."""
        return self.reader.find_account(self.configuration, digest)

    def find_partner(self, slug: str) -> Partner | None:
        """The partner with this slug, or None."""
        return self.configuration.partners.get(slug)

    def agreements_of(self, partner: str) -> Sequence[Agreement]:
        """The partner's agreements, whether in force or not."""
        return self.configuration.agreements.get(partner, ())

    def head(self, collection: Collection) -> FeedHead:
        """The head of the collection that was asked for."""
        if collection.view is None:
            return self.packed_head(collection).head
        return self.reader.view_state(collection.view, self.documents.values()).head

    def packed_head(self, collection: Collection) -> PackedHead:
        """The head of a feed in full."""
        document = self.documents.get(collection.id)
        if document is None:
            raise NotFound("there is no such collection")
        return PackedHead.of(document)


_NEVER_CHANGED: Document = {"revision": 0}
_LOOK_SECONDS = 1.0
"""Age at which a look-up is made again in any case: a process may be killed after its commit and
before it counts it."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A look-up, as long as it is known that nothing was committed since."""

    commits: float | None
    """The number of commits before it; None: not known."""
    at: float
    configuration: Configuration
    documents: Mapping[str, Document]

    def holds_at(self, commits: float | None, configuration: Configuration) -> bool:
        """True if a new one would find the same."""
        is_same = commits is not None and commits == self.commits
        is_fresh = time.monotonic() - self.at < _LOOK_SECONDS
        return is_same and is_fresh and configuration is self.configuration


@dataclass(frozen=True, slots=True)
class _Definition:
    """The parts of a collection that never change."""

    kind: CollectionKind
    view: View | None


class CollectionReader(FeedReader):
    """All collections for readers: feeds, and the views of them."""

    def __init__(
        self, base: Base, clock: Callable[[], int], commits: CommitCount | None = None
    ) -> None:
        """`base` is the hub's database; entries expire by `clock`.

        `commits` counts those of all that write to the database; None: it is not known.
        """
        super().__init__(base)
        self._clock, self._commits = clock, commits or CommitCount()
        self._looks: dict[frozenset[str], _Look] = {}
        self._definitions: dict[str, _Definition] = {}
        self._accounts = Accounts(base)
        self._configuration = Configuration(revision=-1, collections=())

    @property
    def configuration_revision(self) -> int:
        """The revision of the configuration that the last look-up found; -1: none did."""
        return self._configuration.revision

    def add(self, collection: Collection) -> None:
        """Add a collection; the sources of a view must have a common order.

        Raises Conflict if its id or alias is taken, or if its sources cannot be sources.
        """
        if (collection.kind in (CollectionKind.AGGREGATE, CollectionKind.SNAPSHOT)) != (
            collection.view is not None
        ):
            raise ValueError("an aggregate or a snapshot has a view, and nothing else has")
        if collection.view is not None:
            self._check(collection.view)
        super().add(collection)
        self._commits.note()

    @time_limit()
    def look(self, name: str = "") -> HubState:
        """The configuration in force now, and what the collection of this id or alias is at.

        One look-up, unless the configuration has changed; none if nothing was committed since the
        last one, and that was a moment ago.
        """
        configuration, commits = self._configuration, self._commits.read()
        wanted = configuration.feeds_of(name)
        last = self._looks.get(wanted)
        if last is not None and last.holds_at(commits, configuration):
            return HubState(self, configuration, last.documents)
        documents = self._find_heads({CONFIGURATION, *wanted})
        revision = int(documents.pop(CONFIGURATION, _NEVER_CHANGED)["revision"])
        if not configuration.holds_at(revision):
            collections = tuple(super().collections())
            agreements = group_by_partner(Agreements(self._base).list_all())
            partners = {each.slug: each for each in self._accounts.list_partners()}
            configuration = Configuration(revision, collections, agreements, partners)
            self._configuration = configuration
            self._looks.clear()
            wanted = configuration.feeds_of(name)
            documents |= self._find_heads(wanted - documents.keys())
        for feed, document in documents.items():
            self.blocks.note(feed, PackedHead.of(document).head)
        self._looks[wanted] = _Look(commits, time.monotonic(), configuration, documents)
        return HubState(self, configuration, documents)

    def _find_heads(self, ids: Some[str]) -> dict[str, Document]:
        if not ids:
            return {}
        # A negative limit: all in one batch, so that the database need not keep a cursor.
        found = self._base.heads.find({"_id": {"$in": sorted(ids)}}, limit=-len(ids))
        return {document["_id"]: document for document in found}

    def find_account(self, configuration: Configuration, digest: str) -> Account | None:
        """The account of a credential in a configuration."""
        found = configuration.accounts.get(digest)
        if found is None:
            found = self._accounts.find_account_by_credential(digest)
            if found is not None:
                configuration.accounts[digest] = found
        return found

    @time_limit()
    def head(self, feed: str) -> FeedHead:
        """Return the collection's head.

        Raises NotFound if there is no such collection.
        """
        view = self._view_of(feed)
        return super().head(feed) if view is None else self._current_state(view).head

    @time_limit()
    def objects(
        self,
        collection: Collection,
        query: Query,
        state: HubState,
        representation: Representation = OBJECTS,
    ) -> tuple[FeedHead | None, ObjectPage]:
        """A page in a representation, and the collection's head at which it is this page.

        The head is None if the collection was written to meanwhile: then it may be a later page.
        """
        before = state.head(collection)
        if before.is_past_end(query):
            return before, ObjectPage()
        if collection.view is None:
            collected = self.collect(
                collection.id, query, state.packed_head(collection), representation
            )
            if collected is not None:
                return collected
        page = self.page(collection.id, query, bodies=representation.render is None)
        after = self.head(collection.id)
        return (before if after == before else None), ObjectPage.of(page, representation)

    @time_limit()
    def knows(self, feed: str, object_id: str) -> bool:
        """True if any version of the object is in the collection."""
        if self._view_of(feed) is None:
            return super().knows(feed, object_id)
        query = Query(limit=1, ids=frozenset({object_id}), keywords=_ALL)
        return bool(self.page(feed, query, bodies=False).entries)

    @time_limit()
    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """See `FeedReader.page`; in a view the position is the stamp.

        A page of a view has at most `MAX_VIEW_ENTRIES` entries, whatever the query's limit.
        """
        with in_order(self._base):
            return self._page(feed, query, bodies=bodies)

    @time_limit()
    def follow(self, collection: Collection, query: Query) -> Page:
        """As `page`, but of an active view also what is revoked or has expired.

        So who keeps what the view shows learns of the end of each object.
        """
        with in_order(self._base):
            if collection.view is None:
                return super().page(collection.id, query)
            return self._page_of_view(replace(collection.view, active=False), query, bodies=True)

    def _page(self, feed: str, query: Query, *, bodies: bool) -> Page:
        view = self._view_of(feed)
        if view is None:
            return super().page(feed, query, bodies=bodies)
        return self._page_of_view(view, query, bodies=bodies)

    def _page_of_view(self, view: View, query: Query, *, bodies: bool) -> Page:
        query = replace(query, limit=min(query.limit, MAX_VIEW_ENTRIES))
        for _ in range(_ATTEMPTS):
            state = self._current_state(view)
            if state.head.is_past_end(query):
                return Page()
            try:
                entries = self._read_up_to_now(state, query, bodies=bodies)
                found = tuple(islice(entries, query.limit + 1))
            except _ChangedDuringRead:
                continue
            return Page(keep_newest(found[: query.limit], query), more=len(found) > query.limit)
        raise Unavailable("the collection changed while it was read; ask again")

    def _view_of(self, feed: str) -> View | None:
        """The collection's view; None for a feed."""
        return self._definition_of(feed).view

    def _is_feed(self, source: str) -> bool:
        """True if it is a feed, and no verbatim collection."""
        return self._definition_of(source).kind is CollectionKind.FEED

    def _definition_of(self, feed: str) -> _Definition:
        """See `_Definition`; cached."""
        if feed not in self._definitions:
            document = self._base.collections.find_one({"_id": feed})
            if document is None:
                raise NotFound("there is no such collection")
            kind = CollectionKind(document["kind"])
            self._definitions[feed] = _Definition(kind, view_of(document.get("view")))
        return self._definitions[feed]

    def _check(self, view: View) -> None:
        """Raises Conflict unless the sources are feeds with a common order."""
        kinds = {collection.id: collection.kind for collection in self.collections()}
        if not view.sources or {kinds.get(source) for source in view.sources} - _SOURCES:
            raise Conflict("only feeds and verbatim collections can be sources")
        if len(set(view.sources)) == 1:
            return
        heads = {source: super(CollectionReader, self).head(source) for source in view.sources}
        non_empty = [source for source, head in heads.items() if head.position]
        since = joint_clock_since(self._base)
        if sum(self._first_stamp(source, 0) <= since for source in non_empty) > 1:
            raise Conflict(
                "these collections were started by an earlier version, where each had its own "
                "clock, so they have no common order: use one of them, or newer ones"
            )

    def _current_state(self, view: View) -> ViewState:
        """The current state of a view.  Later reads see everything up to the horizon."""
        return self.view_state(view, self._find_heads(view.sources).values())

    def view_state(self, view: View, heads: Some[Document]) -> ViewState:
        """The state of a view, given the heads of its sources."""
        removals = sum(int(head.get("removals", 0)) for head in heads)
        if view.at is not None:  # only removals change it, and the ends of marking definitions
            last = max(view.at, *(int(head.get("ended", 0)) for head in heads))
            head = FeedHead(last, last, removals, removals)
            return ViewState(view, view.at, view.at, head)
        horizon = max(int(head["stamp"]) for head in heads)
        writes, minutes = sum(int(head["writes"]) for head in heads), self._clock() // MINUTE
        head = FeedHead(horizon, horizon, writes + minutes * view.active, removals)
        return ViewState(view, horizon, minutes * MINUTE, head)

    def _read_up_to_now(self, state: ViewState, query: Query, *, bodies: bool) -> Iterator[Entry]:
        """The matching entries up to the current horizon (see `FeedReader._matching_entries`)."""
        for _ in range(_ROUNDS):
            yield from self._entries(state, query, bodies=bodies)
            now = self._current_state(state.view)
            if now.horizon == state.horizon or not _is_plain(state.view, query):
                return
            query, state = replace(query, position=state.horizon), now
        raise _ChangedDuringRead

    def _entries(self, state: ViewState, query: Query, *, bodies: bool) -> Iterator[Entry]:
        """The selected entries, in order of stamp."""
        view = state.view
        types = query.types & view.types if query.types and view.types else query.types | view.types
        if (query.types or view.types) and not types:
            return
        begin, wanted = _after(query), query.limit + 1
        query = replace(query, types=types, position=0, added_after=begin)
        limit = max(_how_many(wanted), _MOST_NEAR)
        source_query = replace(_source_query(view, query), limit=limit)
        sources = (
            self._candidates(each, state, source_query, bodies=bodies) for each in view.sources
        )
        stream = _Stream(merge(*sources, key=lambda candidate: candidate[1].stamp))
        near, most_near = stream.take_until(begin), _MOST_NEAR * len(view.sources)
        share = 1.0  # of the entries that the view shows
        while candidates := stream.take(_how_many(wanted / share)):
            last = candidates[-1][1].stamp
            near += stream.peek_until(last + _NEAR, most_near)
            shown = self._filter_candidates(state, query, candidates, near)
            yield from (replace(entry, position=entry.stamp) for entry in shown)
            wanted -= len(shown)
            share = max(0.1, len(shown) / len(candidates))
            near = [each for each in (*near, *candidates) if last - _NEAR < each[1].stamp <= last]
        if state.head.stamp > state.horizon:
            yield from self._ended_since(state, query, bodies=bodies)

    def _ended_since(self, state: ViewState, query: Query, *, bodies: bool) -> Iterator[Entry]:
        """The remains of a snapshot's marking definitions that ended after it, in order of stamp.

        Each took the place of its definition in every source; objects of the snapshot carry it.
        """
        filters = (*query.filters, *_level_filters(state.view), ENDED)
        wanted = replace(query, added_after=state.horizon, filters=filters)
        sources = (self._read_source(each, wanted, bodies=bodies) for each in state.view.sources)
        seen: set[str] = set()
        for entry in merge(*sources, key=lambda entry: entry.stamp):
            if entry.id not in seen and micros(entry.version) <= state.horizon:
                seen.add(entry.id)
                if entry.stamp > query.after:
                    yield replace(entry, position=entry.stamp)

    def _candidates(
        self, source: str, state: ViewState, query: Query, *, bodies: bool
    ) -> Iterator[Candidate]:
        """A source's entries up to the horizon that the query may select, in order.

        The first ones are near its begin: `_MOST_NEAR` in all, of which some may be before it.
        """
        begin = query.after
        early = replace(query, added_after=max(0, begin - _NEAR), limit=_MOST_NEAR)
        page = super().page(source, early, bodies=bodies)
        rest = replace(query, position=page.entries[-1].position) if page.entries else query
        following = self._read_source(source, rest, bodies=bodies) if page.more else ()
        for entry in chain(page.entries, following):
            if entry.stamp > state.horizon:
                return
            yield source, entry

    def _read_source(self, source: str, query: Query, *, bodies: bool) -> Iterator[Entry]:
        """A source's entries that the query may select, in order."""
        more = True
        while more:
            page = super().page(source, query, bodies=bodies)
            yield from page.entries
            more = page.more
            if more and not page.entries:
                raise _ChangedDuringRead
            query = replace(query, position=page.entries[-1].position if more else 0)

    def _filter_candidates(
        self,
        state: ViewState,
        query: Query,
        candidates: Sequence[Candidate],
        near: Sequence[Candidate],
    ) -> list[Entry]:
        """The candidates that the view shows and the query selects, in order.

        `near` are entries of the sources before and after them.

        Of most objects one source has one entry, and no other source any.  They need no look-up by
        id, as no other entry matters, and none at all if the view does not depend on levels or
        expiry.
        """
        several, found = self._find_several(state, query, candidates, near)
        by_visibility = state.view.active or state.view.max_tlp is not None
        if by_visibility:
            found |= self._find_alone(candidates, several)
        choice, shown = VersionFilter(query), []
        shown_stamps = frozenset(select_entries(found, state.view, choice, state.instant))
        for _, entry in candidates:
            if entry.stamp in shown_stamps:
                shown.append(entry)
            elif entry.stamp not in found:
                if entry.id in several or by_visibility:
                    raise _ChangedDuringRead
                if choice.includes_single(entry):
                    shown.append(entry)
        return shown

    def _find_several(
        self,
        state: ViewState,
        query: Query,
        candidates: Sequence[Candidate],
        near: Sequence[Candidate],
    ) -> tuple[set[str], dict[int, Found]]:
        """The candidates' objects of which there are several entries: ids, entries by stamp.

        An entry of a feed without a status bit is the only one of its object there, and is read by
        position.  All else is looked up by id, which takes far longer.
        """
        repeated, sole = self._find_repeated([*candidates, *near])
        elsewhere = {
            each: {entry.id for source, entry in candidates if source != each}
            for each in state.view.sources
        }
        unknown = {source: ids - sole[source].keys() for source, ids in elsewhere.items()}
        found = self._find_in_sources(state, unknown)
        several = {entry.id for _, entry in found.values()}
        several |= {id for source, ids in elsewhere.items() for id in ids & sole[source].keys()}
        if not _is_plain(state.view, query):
            several |= repeated & {entry.id for _, entry in candidates}
        for source, positions in sole.items():
            alone = [position for id, position in positions.items() if id in several]
            found |= self._find_at(source, alone)
        missing = {source: several - ids - sole[source].keys() for source, ids in elsewhere.items()}
        return several, found | self._find_in_sources(state, missing)

    def _find_repeated(
        self, entries_of_sources: Sequence[Candidate]
    ) -> tuple[set[str], dict[str, dict[str, int]]]:
        """Sort entries by what their status bits say.

        Returns the ids of those that are not the only entries of their objects in their source,
        and of each source that is a feed the positions of the others, by id.  A verbatim
        collection may have an object in another spec_version too, without a status bit.
        """
        ids: set[str] = set()
        sole: dict[str, dict[str, int]] = defaultdict(dict)
        for source, entries in _by_source(entries_of_sources).items():
            positions = [entry.position for entry in entries]
            read = partial(find_positions_with_status, self._base, source, positions)
            repeated = self._reader.read(source, read)
            ids |= {entry.id for entry in entries if entry.position in repeated}
            if self._is_feed(source):
                alone = (entry for entry in entries if entry.position not in repeated)
                sole[source] = {entry.id: entry.position for entry in alone}
        return ids, sole

    def _find_alone(self, candidates: Sequence[Candidate], several: Some[str]) -> dict[int, Found]:
        """The candidates that are the only entries of their objects, by their stamps."""
        found: dict[int, Found] = {}
        for source, entries in _by_source(candidates).items():
            positions = [entry.position for entry in entries if entry.id not in several]
            found |= self._find_at(source, positions)
        return found

    def _find_at(self, source: str, positions: Sequence[int]) -> dict[int, Found]:
        """The entries of a source at these positions, by their stamps."""
        if not positions:
            return {}
        read = partial(find_entries_at, self._base, source, positions)
        return {each.stamp: (source, each) for each in self._reader.read(source, read)}

    def _find_in_sources(self, state: ViewState, ids: Mapping[str, Some[str]]) -> dict[int, Found]:
        """Look these objects up in each source; return their entries by stamp."""
        return {
            entry.stamp: (source, entry)
            for source, wanted in ids.items()
            if wanted
            for entry in self._reader.read(
                source, partial(find_entries, self._base, source, wanted)
            )
            if entry.stamp <= state.horizon
        }


def _how_many(wanted: float) -> int:
    """The number of entries to look up at once if this many are expected to be needed."""
    return min(max(int(wanted), _FEWEST), _MOST)


class _Stream:
    """Entries of the sources in order of stamp, which can be looked at before they are taken."""

    def __init__(self, candidates: Iterator[Candidate]) -> None:
        self._candidates = candidates
        self._ahead: deque[Candidate] = deque()

    def take(self, most: int) -> list[Candidate]:
        """The next ones; none at the end."""
        taken = [self._ahead.popleft() for _ in range(min(most, len(self._ahead)))]
        return taken + list(islice(self._candidates, most - len(taken)))

    def take_until(self, stamp: int) -> list[Candidate]:
        """The next ones with this stamp or an earlier one."""
        return self.take(len(self.peek_until(stamp, maxsize)))

    def peek_until(self, stamp: int, most: int) -> list[Candidate]:
        """The same, which are still to be taken, from the first `most` ones."""
        while len(self._ahead) < most and (not self._ahead or self._ahead[-1][1].stamp <= stamp):
            following = next(self._candidates, None)
            if following is None:
                break
            self._ahead.append(following)
        return [each for each in self._ahead if each[1].stamp <= stamp]


class _ChangedDuringRead(Exception):
    """An entry disappeared during the read; the page must be read again."""


def _by_source(candidates: Iterable[Candidate]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for source, entry in candidates:
        found.setdefault(source, []).append(entry)
    return found


def _after(query: Query) -> int:
    """The stamp after which a view is read: the greater of `position` and `added_after`."""
    return max(query.position, query.after)


def _is_plain(view: View, query: Query) -> bool:
    """True if only last versions are selected: then superseded in a source means superseded."""
    only_last = query.keywords == _LAST and not query.versions and not query.specs
    return only_last and not view.active and view.max_tlp is None and view.at is None


def _source_query(view: View, query: Query) -> Query:
    """The query for a source; it includes every entry that the query may select."""
    if _is_plain(view, query):
        return query
    return replace(
        query,
        keywords=_ALL,
        versions=frozenset(),
        specs=_SPECS,
        filters=(*query.filters, *_level_filters(view)),
    )


def _level_filters(view: View) -> tuple[TermFilter, ...]:
    """The filter for the levels of a view with a maximum TLP level."""
    if view.max_tlp is None:
        return ()
    return (
        TermFilter("level", tuple(sorted(f"level={t.label}" for t in Tlp if t <= view.max_tlp))),
    )
