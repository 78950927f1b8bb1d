"""Read aggregates and snapshots: several feeds as one log, without copying anything.

All feeds have one clock (`clock.py`), so the latest stamp of the sources is a
horizon: everything stamped up to it is visible to a read that begins afterwards.
A page is a merge of the sources by stamp up to there, and the stamp is the
position.  Whether a view holds an entry is then decided among all entries that
the sources have of its object: one look-up in each source.

Each such decision looks only at entries added before the one in question, or
takes entries away, so nothing appears where a reader has passed already; only
the removal of an entry from a source can bring back another that it hid.
"""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from collections.abc import (
    Collection as Some,
)
from dataclasses import dataclass, replace
from functools import partial
from heapq import merge
from itertools import islice

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.model import Tlp
from tocsin.server.model import (
    Collection,
    CollectionKind,
    Entry,
    FeedHead,
    Page,
    Query,
    TermFilter,
    VersionKeyword,
    View,
)
from tocsin.server.store.connection import Base, time_limit
from tocsin.server.store.feeds.clock import joint_clock_since
from tocsin.server.store.feeds.id_index import find_entries
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
    """The stamps of the entries that the view holds and the choice takes, in order.

    `found` has all entries of some objects in the view's sources, up to its end, by
    their stamps; `instant` tells what has expired.
    """
    places = (_by_stamp(found[stamp][1]) for stamp in sorted(found))
    sources = {stamp: source for stamp, (source, _) in found.items()}
    stamps: list[int] = []
    for entries in group_by_object(places).values():
        admitted = [place for place in entries if _admitted(place, view)]
        held, marks = _held(_distinct(admitted, sources), view, instant)
        stamps += [place.stamp for place in held if choice.includes(place, marks)]
    return sorted(stamps)


def _held(
    held: Sequence[IndexedEntry], view: View, instant: int
) -> tuple[Sequence[IndexedEntry], StatusBits]:
    """The entries of one object that a view holds, and which of them are superseded in it."""
    marks = StatusBits(**{mark: frozenset(found) for mark, found in status_positions(held).items()})
    if not view.active:
        return held, marks
    past = marks.old | marks.shadowed
    current = [p for p in held if p.stamp not in past and p.visibility.active(instant)]
    return current, StatusBits()


def _admitted(place: IndexedEntry, view: View) -> bool:
    """True if the view shows an entry of this type and level."""
    of_type = not view.types or place.type in view.types
    return of_type and (view.max_tlp is None or place.visibility.tlp <= view.max_tlp)


def _distinct(
    entries: Sequence[IndexedEntry], sources: Mapping[int, str]
) -> Sequence[IndexedEntry]:
    """The entries, in order of stamp, without repetitions of another source.

    Of one version the first is kept, even if the others differ.  An object without
    versions of its own is a repetition until its content changes.
    """
    if len(entries) < 2:
        return entries
    kept: list[IndexedEntry] = []
    versions: set[tuple[str, int]] = set()
    latest: dict[str, IndexedEntry] = {}
    for place in entries:
        version = (place.spec, place.instant)
        if place.own:
            again = _repeats(place, latest.get(place.spec), sources)
        else:
            again = version in versions
        if not again:
            kept.append(place)
            versions.add(version)
            if place.own:
                latest[place.spec] = place
    return kept


def _repeats(place: IndexedEntry, latest: IndexedEntry | None, sources: Mapping[int, str]) -> bool:
    """True if the content equals the latest entry and that came from another source."""
    if latest is None or latest.digest != place.digest:
        return False
    return sources[latest.stamp] != sources[place.stamp]


def _by_stamp(place: IndexedEntry) -> IndexedEntry:
    """The entry as part of a view, where its stamp is its position and its index."""
    return replace(place, position=place.stamp, first=0)


MINUTE = 60_000_000
"""µs; what has expired leaves an aggregate within this, so that its head says so."""
_SOURCES = {CollectionKind.FEED, CollectionKind.VERBATIM}
_ALL = frozenset({VersionKeyword.ALL})
_LAST = frozenset({VersionKeyword.LAST})
_SPECS = frozenset({"2.0", "2.1"})
_ATTEMPTS = 5
_ROUNDS = 20
_FEWEST, _MOST = 32, 1_001
"""Entries that are looked up at once."""

Candidate = tuple[str, Entry]
"""An entry of a source, with the source's id."""


@dataclass(frozen=True, slots=True)
class ViewState:
    """A view at one moment."""

    view: View
    horizon: int
    """The latest stamp that is looked at."""
    instant: int
    """Until when what is shown must be valid."""
    head: FeedHead


class CollectionReader(FeedReader):
    """All collections for readers: feeds, and the views of them."""

    def __init__(self, base: Base, clock: Callable[[], int]) -> None:
        """`base` is the hub's database, `clock` tells what has expired."""
        super().__init__(base)
        self._clock = clock
        self._views: dict[str, View | None] = {}

    def add(self, collection: Collection) -> None:
        """Make a new collection; a view only of what can be read as one log.

        Raises Conflict if its id or alias is taken, or if its sources cannot be sources.
        """
        if (collection.kind in (CollectionKind.AGGREGATE, CollectionKind.SNAPSHOT)) != (
            collection.view is not None
        ):
            raise ValueError("an aggregate or a snapshot has a view, and nothing else has")
        if collection.view is not None:
            self._check(collection.view)
        super().add(collection)

    @time_limit()
    def head(self, feed: str) -> FeedHead:
        """Return the collection's head.

        Raises NotFound if there is no such collection.
        """
        view = self._view_of(feed)
        return super().head(feed) if view is None else self._sight(view).head

    @time_limit()
    def knows(self, feed: str, object_id: str) -> bool:
        """True if any version of the object is in the collection."""
        if self._view_of(feed) is None:
            return super().knows(feed, object_id)
        query = Query(limit=1, ids=frozenset({object_id}), keywords=_ALL)
        return bool(self.page(feed, query, bodies=False).entries)

    @time_limit()
    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """See `FeedReader.page`; in a view the position is the stamp."""
        view = self._view_of(feed)
        if view is None:
            return super().page(feed, query, bodies=bodies)
        for _ in range(_ATTEMPTS):
            sight = self._sight(view)
            if sight.head.is_past_end(query):
                return Page()
            try:
                entries = self._up_to_now(sight, query, bodies=bodies)
                found = tuple(islice(entries, query.limit + 1))
            except _Moved:
                continue
            return Page(keep_newest(found[: query.limit], query), more=len(found) > query.limit)
        raise Unavailable("the collection changed while it was read; ask again")

    def _view_of(self, feed: str) -> View | None:
        """The collection's view; None for a feed.  It never changes, so it is remembered."""
        if feed not in self._views:
            document = self._base.collections.find_one({"_id": feed})
            if document is None:
                raise NotFound("there is no such collection")
            self._views[feed] = view_of(document.get("view"))
        return self._views[feed]

    def _check(self, view: View) -> None:
        """Raises Conflict unless the sources are feeds with a common order."""
        kinds = {collection.id: collection.kind for collection in self.collections()}
        if not view.sources or {kinds.get(source) for source in view.sources} - _SOURCES:
            raise Conflict("only feeds and verbatim collections can be gathered")
        if len(set(view.sources)) == 1:
            return
        heads = {source: super(CollectionReader, self).head(source) for source in view.sources}
        begun = [source for source, head in heads.items() if head.position]
        if sum(self._start(source, 0) <= joint_clock_since(self._base) for source in begun) > 1:
            raise Conflict(
                "these collections were begun by an earlier version, where each had a clock of "
                "its own, so they have no common order: gather one of them, or newer ones"
            )

    def _sight(self, view: View) -> ViewState:
        """The view now.  What is read afterwards holds everything up to the horizon."""
        heads = list(self._base.heads.find({"_id": {"$in": list(view.sources)}}))
        if view.at is not None:  # only what is removed changes it
            removals = sum(int(head.get("removals", 0)) for head in heads)
            return ViewState(view, view.at, view.at, FeedHead(view.at, view.at, removals))
        horizon = max(int(head["stamp"]) for head in heads)
        writes, minutes = sum(int(head["writes"]) for head in heads), self._clock() // MINUTE
        head = FeedHead(horizon, horizon, writes + minutes * view.active)
        return ViewState(view, horizon, minutes * MINUTE, head)

    def _up_to_now(self, sight: ViewState, query: Query, *, bodies: bool) -> Iterator[Entry]:
        """The matching entries up to the current horizon (see `FeedReader._matching_entries`)."""
        for _ in range(_ROUNDS):
            yield from self._entries(sight, query, bodies=bodies)
            now = self._sight(sight.view)
            if now.horizon == sight.horizon or not _plain(sight.view, query):
                return
            query, sight = replace(query, position=sight.horizon), now
        raise _Moved

    def _entries(self, sight: ViewState, query: Query, *, bodies: bool) -> Iterator[Entry]:
        """The entries asked for, in order of stamp."""
        view = sight.view
        types = query.types & view.types if query.types and view.types else query.types | view.types
        if (query.types or view.types) and not types:
            return
        query = replace(query, types=types, position=0, added_after=_after(query))
        wanted = query.limit + 1
        wider = replace(_wider(view, query), limit=min(max(wanted, _FEWEST), _MOST))
        sources = (self._candidates(each, sight, wider, bodies=bodies) for each in view.sources)
        stream = merge(*sources, key=lambda candidate: candidate[1].stamp)
        while portion := list(islice(stream, min(max(wanted, _FEWEST), _MOST))):
            for entry in self._standing(sight, query, portion):
                wanted -= 1
                yield replace(entry, position=entry.stamp)

    def _candidates(
        self, source: str, sight: ViewState, query: Query, *, bodies: bool
    ) -> Iterator[Candidate]:
        """A source's entries up to the horizon that may be asked for, in order."""
        more = True
        while more:
            page = super().page(source, query, bodies=bodies)
            for entry in page.entries:
                if entry.stamp > sight.horizon:
                    return
                yield source, entry
            more = page.more
            if more and not page.entries:
                raise _Moved
            query = replace(query, position=page.entries[-1].position if more else 0)

    def _standing(
        self, sight: ViewState, query: Query, portion: Sequence[Candidate]
    ) -> Iterator[Entry]:
        """Those candidates that the view holds and the query asks for, in order.

        An object that is in one source only stands there as it stands in the view, if
        all of the source is shown; then that source need not be asked again.
        """
        judged = {entry.id for _, entry in portion}
        looked = {source: judged for source in sight.view.sources}
        found: dict[int, Found] = {}
        if _plain(sight.view, query):
            looked = {each: {e.id for source, e in portion if source != each} for each in looked}
            found = self._looked_up(sight, looked)
            judged = {place.id for _, place in found.values()}
            looked = {source: judged - already for source, already in looked.items()}
        found |= self._looked_up(sight, looked)
        standing = frozenset(select_entries(found, sight.view, VersionFilter(query), sight.instant))
        for _, entry in portion:
            if entry.id in judged and entry.stamp not in found:
                raise _Moved
            if entry.id not in judged or entry.stamp in standing:
                yield entry

    def _looked_up(self, sight: ViewState, ids: Mapping[str, Some[str]]) -> dict[int, Found]:
        """By their stamps, the entries that each source has of these objects."""
        return {
            place.stamp: (source, place)
            for source, wanted in ids.items()
            for place in self._steady.read(
                source, partial(find_entries, self._base, source, wanted)
            )
            if place.stamp <= sight.horizon
        }


class _Moved(Exception):
    """An entry that was found a moment ago is gone; the page must be read again."""


def _after(query: Query) -> int:
    """The stamp after which a view is read: `position` and `added_after` both hold."""
    return max(query.position, -1 if query.added_after is None else query.added_after)


def _plain(view: View, query: Query) -> bool:
    """True if the plain last versions are asked for, so superseded in a source means superseded."""
    asked = query.keywords == _LAST and not query.versions and not query.specs
    return asked and not view.active and view.max_tlp is None and view.at is None


def _wider(view: View, query: Query) -> Query:
    """The query to a source, which leaves nothing out of what may be asked for."""
    if _plain(view, query):
        return query
    return replace(
        query,
        keywords=_ALL,
        versions=frozenset(),
        specs=_SPECS,
        filters=(*query.filters, *_levels(view)),
    )


def _levels(view: View) -> tuple[TermFilter, ...]:
    """The filter that leads to what a view with a strictest level shows, however rare it is."""
    if view.max_tlp is None:
        return ()
    return (
        TermFilter("level", tuple(sorted(f"level={t.label}" for t in Tlp if t <= view.max_tlp))),
    )
