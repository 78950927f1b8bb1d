"""Reading aggregates and snapshots: several feeds as one log, nothing copied.

All feeds have one clock (clock.py).  So the latest stamp of the sources is a
horizon: all that was stamped up to it can be seen by whoever reads after it was
read.  A page is a merge of the sources by stamp up to there, and the stamp is
the position.  Whether an entry stands is then decided among all that the
sources have of its object (members.py): one look-up in each source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Collection as Some
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, Entry, Head, Kind, Page, Query, Version, View
from tocsin.server.store.clock import since
from tocsin.server.store.connection import Base, timely
from tocsin.server.store.feeds import Feeds, view_of
from tocsin.server.store.lookup import objects
from tocsin.server.store.members import Found, chosen
from tocsin.server.store.runs import Document, block_of, columns
from tocsin.server.store.versions import Choice, Marks, Place

MINUTE = 60_000_000
"""µs; what has expired leaves an aggregate within this, so that its head says so."""
_SOURCES = {Kind.FEED, Kind.VERBATIM}
_ALL = frozenset({Version.ALL})
_LAST = frozenset({Version.LAST})
_ATTEMPTS = 5
_FEWEST, _MOST = 32, 1_001
"""Entries that are looked up at once."""
_SPAN = 64
"""Blocks that one search by level looks at."""
_NONE = Marks()


@dataclass(frozen=True, slots=True)
class Sight:
    """A view at one moment."""

    view: View
    horizon: int
    """The latest stamp that is looked at."""
    instant: int
    """Until when what is shown must be valid."""
    head: Head


class Library(Feeds):
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
        if (collection.kind in (Kind.AGGREGATE, Kind.SNAPSHOT)) != (collection.view is not None):
            raise ValueError("an aggregate or a snapshot has a view, and nothing else has")
        if collection.view is not None:
            self._check(collection.view)
        super().add(collection)

    @timely()
    def head(self, feed: str) -> Head:
        """How far the collection has come.

        Raises NotFound if there is no such collection.
        """
        view = self._view_of(feed)
        return super().head(feed) if view is None else self._sight(view).head

    @timely()
    def knows(self, feed: str, object_id: str) -> bool:
        """Whether any version of the object is in the collection."""
        if self._view_of(feed) is None:
            return super().knows(feed, object_id)
        query = Query(limit=1, ids=frozenset({object_id}), keywords=_ALL)
        return bool(self.page(feed, query, bodies=False).entries)

    @timely()
    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """See `Feeds.page`; in a view the position is the stamp."""
        view = self._view_of(feed)
        if view is None:
            return super().page(feed, query, bodies=bodies)
        for _ in range(_ATTEMPTS):
            sight = self._sight(view)
            if sight.head.reached(query):
                return Page()
            found = list(islice(self._found(sight, query), query.limit + 1))
            entries = self._entries(found[: query.limit], bodies=bodies)
            if entries is not None:
                return Page(entries, more=len(found) > query.limit)
        raise Unavailable("the collection changed while it was read; ask again")

    def _view_of(self, feed: str) -> View | None:
        """What the collection shows of others; None of a feed.  It never changes, so it is kept."""
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
        heads = {source: super(Library, self).head(source) for source in view.sources}
        begun = [source for source, head in heads.items() if head.position]
        if any(self._start(source, 0) <= since(self._base) for source in begun):
            raise Conflict(
                "these collections were begun by an earlier version, where each had a clock of "
                "its own, so they have no common order: gather one of them, or newer ones"
            )

    def _sight(self, view: View) -> Sight:
        """The view now.  What is read afterwards holds everything up to the horizon."""
        heads = list(self._base.heads.find({"_id": {"$in": list(view.sources)}}))
        if view.at is not None:  # only what is removed changes it
            removals = sum(head.get("removals", 0) for head in heads)
            return Sight(view, view.at, view.at, Head(view.at, view.at, removals))
        horizon = max(head["stamp"] for head in heads)
        writes, minutes = sum(head["writes"] for head in heads), self._clock() // MINUTE
        head = Head(horizon, horizon, writes + minutes * view.active)
        return Sight(view, horizon, minutes * MINUTE, head)

    def _found(self, sight: Sight, query: Query) -> Iterator[Found]:
        """What is asked for, in order of stamp."""
        view = sight.view
        types = query.types & view.types if query.types and view.types else query.types | view.types
        if (query.types or view.types) and not types:
            return
        query = replace(query, types=types, position=0, added_after=_after(query))
        if query.ids:
            everywhere = dict.fromkeys(view.sources, query.ids)
            yield from self._standing(sight, query, self._looked_up(sight, everywhere))
            return
        sources = (self._candidates(source, sight, query) for source in set(view.sources))
        stream = merge(*sources, key=lambda found: found[1].stamp)
        wanted = query.limit + 1
        while portion := list(islice(stream, min(max(wanted, _FEWEST), _MOST))):
            for found in self._judged(sight, query, portion):
                wanted -= 1
                yield found

    def _judged(self, sight: Sight, query: Query, portion: Sequence[Found]) -> Iterator[Found]:
        """Those candidates that the view holds and the query asks for, in order.

        What is in one source only stands there as it stands in the view, if all of
        the source is shown; then that source need not be asked again.
        """
        ids = {place.id for _, place in portion}
        looked = {source: ids for source in sight.view.sources}
        judged = ids
        found: dict[int, Found] = {}
        if _plain(sight.view, query):
            looked = {each: {p.id for s, p in portion if s != each} for each in looked}
            found = self._looked_up(sight, looked)
            judged = {place.id for _, place in found.values()}
            looked = {source: judged - already for source, already in looked.items()}
        found |= self._looked_up(sight, looked)
        standing = {place.stamp for _, place in self._standing(sight, query, found)}
        for source, place in portion:
            if place.id not in judged or place.stamp in standing:
                yield source, place

    def _looked_up(self, sight: Sight, ids: Mapping[str, Some[str]]) -> dict[int, Found]:
        """By their stamps, the entries that each source has of these objects."""
        return {
            place.stamp: (source, place)
            for source, wanted in ids.items()
            for place in objects(self._base, source, wanted)
            if place.stamp <= sight.horizon
        }

    def _standing(self, sight: Sight, query: Query, found: Mapping[int, Found]) -> Iterator[Found]:
        """Of all entries of some objects, those that the view holds and the query asks for."""
        for stamp in chosen(found, sight.view, Choice(query), sight.instant):
            if stamp > _after(query):
                yield found[stamp]

    def _candidates(self, source: str, sight: Sight, query: Query) -> Iterator[Found]:
        """A source's entries that may be asked for, in order."""
        last, after = super().head(source).position, _after(query)
        if not last:
            return
        choice, plain = Choice(_wider(sight.view, query)), _plain(sight.view, query)
        first = self._block_after(source, query, block_of(last))
        for block in self._blocks_of(source, sight.view, query, range(first, block_of(last) + 1)):
            runs, marks = self._block(source, block, last, bodies=False)
            for run in runs:
                known = marks.get(run["_id"], _NONE) if plain else _NONE
                for i in choice.indexes(columns(run), known, max(after + 1 - run["stamp"], 0)):
                    if run["stamp"] + i > sight.horizon:
                        return
                    yield source, _candidate(run, i)

    def _blocks_of(self, source: str, view: View, query: Query, span: range) -> Iterator[int]:
        """The blocks of a source, in order, that may hold something asked for."""
        if view.max_tlp is None:
            yield from self._blocks(source, query.types, span.start, span.stop - 1)
            return
        levels = [f"level={tlp.word}" for tlp in Tlp if tlp <= view.max_tlp]
        for first in range(span.start, span.stop, _SPAN):
            part = range(first, min(first + _SPAN, span.stop))
            yield from sorted(
                {
                    run["block"]
                    for level in levels
                    for run in self._base.runs.find(
                        {"feed": source, "facets": level, "block": {"$in": list(part)}},
                        {"block": 1},
                    )
                }
            )

    def _entries(self, found: Sequence[Found], *, bodies: bool) -> tuple[Entry, ...] | None:
        """The entries as part of the view; None if one of them was removed meanwhile.

        What that one hid may have to take its place, so the page must be made anew.
        """
        if not bodies:
            return tuple(_entry(place) for _, place in found)
        entries: dict[int, Entry] = {}
        for source in {source for source, _ in found}:
            places = [place for each, place in found if each == source]
            for entry in self._with_bodies(source, places):
                entries[entry.stamp] = replace(entry, position=entry.stamp)
        if len(entries) < len(found):
            return None
        return tuple(entries[place.stamp] for _, place in found)


def _after(query: Query) -> int:
    """The stamp after which a view is read: `position` and `added_after` both hold."""
    return max(query.position, -1 if query.added_after is None else query.added_after)


def _plain(view: View, query: Query) -> bool:
    """Whether what is superseded in its source is so in the view, and nothing else is asked."""
    asked = query.keywords == _LAST and not query.versions and not query.specs
    return asked and not view.active and view.max_tlp is None and view.at is None


def _wider(view: View, query: Query) -> Query:
    """A query to a source that leaves nothing out of what may be asked for."""
    keywords = _LAST if _plain(view, query) else _ALL
    return replace(query, keywords=keywords, versions=frozenset(), specs=frozenset())


def _candidate(run: Document, i: int) -> Place:
    """An entry as a run knows it: neither its digest nor its traits."""
    return Place(
        id=run["ids"][i],
        type=run["types"][i],
        spec=run["specs"][i],
        version=run["versions"][i],
        digest=b"",
        own=False,
        position=run["first"] + i,
        stamp=run["stamp"] + i,
        first=run["first"],
    )


def _entry(place: Place) -> Entry:
    return Entry(place.stamp, place.stamp, place.id, place.version, place.spec, b"")
