"""Read a feed page by page, in its one order.

Reading needs no transaction.  Positions are dense and become visible in order,
so a reader always sees a prefix of the feed, and the entry after the last one it
was given stays the next one (feeds.md).  A poll that has reached the end has met
every object that was there throughout.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import orjson
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.model import Tlp
from tocsin.server.index_terms import matches_filter
from tocsin.server.model import (
    Collection,
    CollectionKind,
    Entry,
    FeedHead,
    Page,
    Query,
    TermFilter,
    View,
)
from tocsin.server.store.connection import (
    Base,
    Document,
    chunk_keys,
    time_limit,
)
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    batch_columns,
    batch_id,
    block_number,
    decompress_batch,
    entry_body,
    entry_stamp,
    index_after,
    read_status_bits,
)
from tocsin.server.store.feeds.consistent_read import ConsistentReader
from tocsin.server.store.feeds.filter_index import (
    FilterSearch,
    Match,
    all_filters,
    span_number,
)
from tocsin.server.store.feeds.id_index import MAX_KEYS, find_entries, find_status_documents
from tocsin.server.store.feeds.versions import (
    IndexedEntry,
    StatusBits,
    VersionFilter,
    keep_newest,
)


def document_of(collection: Collection) -> Document:
    """The database document of a collection."""
    return {
        "_id": collection.id,
        "alias": collection.alias or collection.id,
        "kind": collection.kind.value,
        "title": collection.title,
        "description": collection.description,
        "max_tlp": collection.max_tlp.label,
        "view": _view_document(collection.view),
    }


def _view_document(view: View | None) -> Document | None:
    if view is None:
        return None
    return {
        "sources": list(view.sources),
        "types": sorted(view.types),
        "max_tlp": None if view.max_tlp is None else view.max_tlp.label,
        "active": view.active,
        "at": view.at,
    }


def view_of(document: Document | None) -> View | None:
    """The view that was stored with a collection."""
    if document is None:
        return None
    level = document["max_tlp"]
    return View(
        sources=tuple(document["sources"]),
        types=frozenset(document["types"]),
        max_tlp=None if level is None else Tlp.parse(level),
        active=document["active"],
        at=None if document["at"] is None else int(document["at"]),
    )


def collection_of(document: Document) -> Collection:
    """The collection in a database document."""
    alias = document["alias"]
    return Collection(
        id=document["_id"],
        alias="" if alias == document["_id"] else alias,
        kind=CollectionKind(document["kind"]),
        title=document["title"],
        description=document["description"],
        max_tlp=Tlp.parse(document["max_tlp"]),
        view=view_of(document.get("view")),
    )


MAX_BATCHES = 8
"""Batches in one selection at most; each body may have the maximum length."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Whole blocks, or the entries in them that match the filters."""

    blocks: tuple[int, ...]
    matches: Mapping[int, Match] | None = None
    """By position, in order; None: whole blocks."""

    @property
    def needs_bodies(self) -> bool:
        """True if the bodies of some entries must be looked at."""
        return any(match.unresolved for match in (self.matches or {}).values())

    def is_covered_by(self, runs: Sequence[Document]) -> bool:
        """True if the batches, in order, hold every match, and none twice."""
        begins = [run["first"] for run in runs]
        ends = [run["first"] + run["n"] for run in runs]
        apart = all(end <= begin for end, begin in zip(ends, begins[1:], strict=False))
        places = ((position, bisect_right(begins, position)) for position in self.matches or ())
        return apart and all(i and position < ends[i - 1] for position, i in places)

    def holds(self, run: Document, index: int) -> bool:
        """True if a matched entry is one that was asked for."""
        doubts = self.matches[run["first"] + index].unresolved if self.matches is not None else ()
        return not doubts or satisfies(entry_body(run, index), doubts)


def split_matches(matches_found: Iterable[tuple[int, Match]], enough: int) -> Iterator[Selection]:
    """Split matches, in order of position, into selections of few batches and `enough` entries."""
    part: dict[int, Match] = {}
    runs: set[int] = set()
    for position, match in matches_found:
        if len(runs | {match.first}) > MAX_BATCHES:
            yield _selection(part)
            part, runs = {}, set()
        part[position] = match
        runs.add(match.first)
        if len(part) == enough:  # before the next match is looked for
            yield _selection(part)
            part, runs = {}, set()
    if part:
        yield _selection(part)


def _selection(matches_found: Mapping[int, Match]) -> Selection:
    return Selection(
        tuple(sorted({block_number(position) for position in matches_found})), matches_found
    )


def satisfies(body: bytes | None, doubts: Iterable[TermFilter]) -> bool:
    """True if an object matches the filters; an object removed meanwhile matches none."""
    return bool(body) and all(matches_filter(orjson.loads(body or b""), each) for each in doubts)


_WHOLE: Document = {}
_WITHOUT_BODY = {"body": 0, "ends": 0}
_PLACES = {"first": 1, "n": 1, "stamp": 1, "stamps": 1, "gone": 1}
"""Enough to tell that an entry is there, if a query does not look at types or versions."""
_ONLY_BODY = {"body": 1, "zstd": 1, "ends": 1, "gone": 1}
_NONE = StatusBits()
_ROUNDS = 100
"""Times that a page goes on to the feed's new end; each time it finds only what is new."""


class FeedReader:
    """The collections and their entries, for readers."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base
        self._starts: dict[tuple[str, int], int] = {}
        self._steady = ConsistentReader(base)

    @time_limit()
    def collections(self) -> list[Collection]:
        """All collections, by id."""
        return sorted(map(collection_of, self._base.collections.find({})), key=lambda c: c.id)

    def add(self, collection: Collection) -> None:
        """Make a new collection, empty.

        Raises Conflict if its id or alias is the id or alias of another one.
        """
        names = {collection.id, collection.alias} - {""}
        taken = names & {name for other in self.collections() for name in (other.id, other.alias)}
        if taken:
            raise Conflict(f"another collection has this id or alias: {', '.join(sorted(taken))}")
        if collection.view is None:  # a view has no head, so nothing can be written to it
            head = {"_id": collection.id}
            nothing = {"position": 0, "stamp": 0, "writes": 0, "removals": 0}
            self._base.heads.update_one(head, {"$setOnInsert": nothing}, upsert=True)
        try:
            self._base.collections.insert_one(document_of(collection))
        except DuplicateKeyError as error:
            raise Conflict("another collection has this id or alias") from error

    @time_limit()
    def head(self, feed: str) -> FeedHead:
        """Return the feed's head.

        Raises NotFound if there is no such feed.
        """
        head = self._base.heads.find_one({"_id": feed})
        if head is None:
            raise NotFound("there is no such collection")
        return FeedHead(*(int(head[name]) for name in FeedHead._fields))

    @time_limit()
    def knows(self, feed: str, object_id: str) -> bool:
        """True if any version of the object is in the feed."""
        wanted = {"feed": feed, "ids": object_id}
        return self._base.shelves.find_one(wanted, {"_id": 1}) is not None

    @time_limit()
    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """Return the entries that the query asks for, in order of position; `more` is exact.

        Without `bodies` the entries' bodies are empty.  Raises NotFound if there is no such feed.
        """
        head = self.head(feed)
        if head.is_past_end(query):
            return Page()
        if query.ids:
            return self._steady.read(
                feed, lambda: self._page_of_objects(feed, query, head.position, bodies=bodies)
            )
        found_entries = self._matching_entries(feed, query, head.position, bodies=bodies)
        found = list(islice(found_entries, query.limit))
        more = len(found) == query.limit and (
            self._more(feed, query, head, found[-1]) or next(found_entries, None) is not None
        )
        entries = [_entry(run, i, entry_body(run, i) if bodies else b"") for run, i in found]
        return Page(keep_newest(entries, query), more=more)

    def _more(self, feed: str, query: Query, head: FeedHead, last: tuple[Document, int]) -> bool:
        """True if status bits alone show that the block behind a page holds more matches.

        Then no batch of it is read: the page that has others after it must not cost more than
        the last one.
        """
        position = last[0]["first"] + last[1] + 1
        begins = block_number(position) > block_number(position - 1)
        if not begins or head.removals or all_filters(query) or not VersionFilter(query).plain:
            return False

        def dead() -> set[int]:
            marks = self._base.marks.find({"feed": feed, "block": block_number(position)})
            return {
                int(document["_id"].rpartition("/")[2]) + i
                for document in marks
                for i in (*document["old"], *document["shadowed"])
            }

        end = min(head.position, position + BLOCK_SIZE - 1)
        return not self._steady.read(feed, dead).issuperset(range(position, end + 1))

    def _matching_entries(
        self, feed: str, query: Query, last: int, *, bodies: bool
    ) -> Iterator[tuple[Document, int]]:
        """Batches and indexes of the matching entries; beyond the limit, only as far as needed.

        It goes on to where the feed has come meanwhile: an entry that is superseded before its
        status bits are read is left out, and what superseded it lies there.
        """
        choice, found = VersionFilter(query), 0
        for _ in range(_ROUNDS):
            for portion in self._selections(feed, query, last):
                fields = _WHOLE if bodies or portion.needs_bodies else _WITHOUT_BODY
                if found >= query.limit and not portion.needs_bodies:
                    fields = _PLACES if choice.plain else _WITHOUT_BODY
                runs, marks = self._read(feed, portion, last, fields)
                for run in runs:
                    passed = max(query.position + 1 - run["first"], index_after(run, _after(query)))
                    looked_at = batch_columns(run, portion.matches)
                    for i in choice.indexes(looked_at, marks.get(run["_id"], _NONE), passed):
                        if run["first"] + i <= last and portion.holds(run, i):
                            found += 1
                            yield run, i
            now = self.head(feed).position
            if now == last:
                return
            query, last = replace(query, position=last), now
        raise Unavailable("the collection changes faster than it can be read; ask again")

    def _selections(self, feed: str, query: Query, last: int) -> Iterator[Selection]:
        """The selections to be read one at a time, in order: whole blocks, or matches in them."""
        end = block_number(last)
        start = max(block_number(query.position + 1), self._block_after(feed, query, end))
        wanted = all_filters(query)
        if not wanted:
            yield from (Selection((block,)) for block in range(start, end + 1))
            return
        matches_found = FilterSearch(self._base, feed, wanted).matches(start, end, self._steady)
        ahead = ((p, match) for p, match in matches_found if query.position < p <= last)
        yield from split_matches(ahead, query.limit + 1)

    def _read(
        self, feed: str, portion: Selection, last: int, fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        """The batches of a selection in order, and their status bits, read after them."""
        if portion.matches is None:
            return self._blocks(feed, portion.blocks, last, fields)
        ids = sorted({batch_id(feed, match.first) for match in portion.matches.values()})
        runs, marks = self._steady.read(feed, partial(self._runs, ids, fields))
        if not portion.is_covered_by(runs):  # packed since the filter index was read
            return self._blocks(feed, portion.blocks, last, fields)
        return runs, marks

    def _runs(
        self, ids: Sequence[str], fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        """The batches that are there, in order, and their status bits, read after them."""
        found = self._base.runs.find({"_id": {"$in": ids}}, fields)
        runs = sorted(found, key=lambda run: int(run["first"]))
        documents = find_status_documents(self._base, ids)
        marks = {run: read_status_bits(document) for run, document in documents.items()}
        return [decompress_batch(run) for run in runs], marks

    def _blocks(
        self, feed: str, blocks: Iterable[int], last: int, fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        runs: list[Document] = []
        marks: dict[str, StatusBits] = {}
        for block in blocks:
            more, theirs = self._block(feed, block, last, fields)
            runs += more
            marks |= theirs
        return runs, marks

    def _block(
        self, feed: str, block: int, last: int, fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        """The batches of a block in order, and their status bits, read after them."""
        wanted = {"feed": feed, "block": block}

        def read() -> tuple[list[Document], dict[str, StatusBits]] | None:
            runs = list(self._base.runs.find(wanted, fields).sort("first", 1))
            if not _whole(runs, block, last):
                return None
            marks = self._base.marks.find(wanted)
            kept = {document["_id"]: read_status_bits(document) for document in marks}
            return [decompress_batch(run) for run in runs], kept

        return self._steady.read(feed, read)

    def _block_after(self, feed: str, query: Query, last: int) -> int:
        """The last block that begins at or before `added_after`; nothing lies before it."""
        after = _after(query)
        if after < 0:
            return 0
        low, high = (last, last) if self._start(feed, last) <= after else (0, last)
        while low < high:
            middle = (low + high + 1) // 2
            if self._start(feed, middle) <= after:
                low = middle
            else:
                high = middle - 1
        return low

    def _start(self, feed: str, block: int) -> int:
        """The stamp of a block's first entry, which never changes."""
        if (feed, block) not in self._starts:
            wanted = {"feed": feed, "block": block, "first": block * BLOCK_SIZE + 1}
            run = self._base.runs.find_one(wanted, {"stamp": 1})
            if run is None:
                raise Unavailable("the collection is being reorganised; try again in a moment")
            self._starts[feed, block] = run["stamp"]
        return self._starts[feed, block]

    def _page_of_objects(self, feed: str, query: Query, last: int, *, bodies: bool) -> Page | None:
        """A page of the objects with given ids; None if a batch was packed meanwhile.

        All that there was of the objects up to `last` tells what superseded what, so what comes
        while it is read changes nothing.
        """
        there = [p for p in find_entries(self._base, feed, query.ids) if p.position <= last]
        chosen = [
            place
            for place in VersionFilter(query).select(there)
            if place.position > query.position and place.stamp > _after(query)
        ]
        kept = self._filtered(feed, query.filters, chosen) if query.filters else chosen
        if kept is None:
            return None
        more, chosen = len(kept) > query.limit, kept[: query.limit]
        runs = self._bodies({batch_id(feed, p.first) for p in chosen}) if bodies else {}
        if runs is None:
            return None
        entries = _with_bodies(feed, runs, chosen) if bodies else map(_bare, chosen)
        return Page(tuple(entries), more=more)

    def _filtered(
        self, feed: str, wanted: Sequence[TermFilter], chosen: Sequence[IndexedEntry]
    ) -> list[IndexedEntry] | None:
        """The entries that the filters match; None if a batch was packed away meanwhile."""
        spans = sorted({span_number(block_number(place.position)) for place in chosen})
        matches_found = FilterSearch(self._base, feed, wanted).find_in_spans(spans)
        picked = [place for place in chosen if place.position in matches_found]
        doubtful = [place for place in picked if matches_found[place.position].unresolved]
        runs = self._bodies({batch_id(feed, place.first) for place in doubtful})
        if runs is None:
            return None
        bodies = {entry.position: entry.body for entry in _with_bodies(feed, runs, doubtful)}
        refused = {
            place.position
            for place in doubtful
            if not satisfies(bodies.get(place.position), matches_found[place.position].unresolved)
        }
        return [place for place in picked if place.position not in refused]

    def _bodies(self, wanted: set[str]) -> dict[str, Document] | None:
        """The bodies of some batches, by batch id; None unless all of them are there."""
        runs = {
            run["_id"]: decompress_batch(run)
            for portion in chunk_keys(sorted(wanted), MAX_KEYS)
            for run in self._base.runs.find({"_id": {"$in": portion}}, _ONLY_BODY)
        }
        return runs if runs.keys() == wanted else None


def _after(query: Query) -> int:
    return -1 if query.added_after is None else query.added_after


def _with_bodies(
    feed: str, runs: dict[str, Document], chosen: Sequence[IndexedEntry]
) -> Iterator[Entry]:
    """The entries with their bodies, less what was withdrawn meanwhile."""
    for place in chosen:
        run = runs[batch_id(feed, place.first)]
        if place.index not in run["gone"]:
            yield _bare(place, entry_body(run, place.index))


def _whole(runs: Sequence[Document], block: int, last: int) -> bool:
    """True if the batches follow one another from the block's start to its end or the head."""
    expected = block * BLOCK_SIZE + 1
    for run in runs:
        if run["first"] != expected:
            return False
        expected += run["n"]
    return expected > min(last, (block + 1) * BLOCK_SIZE)


def _entry(run: Document, i: int, body: bytes) -> Entry:
    return Entry(
        position=run["first"] + i,
        stamp=entry_stamp(run, i),
        id=run["ids"][i],
        version=run["versions"][i],
        spec=run["specs"][i],
        body=body,
    )


def _bare(place: IndexedEntry, body: bytes = b"") -> Entry:
    return Entry(place.position, place.stamp, place.id, place.version, place.spec, body)
