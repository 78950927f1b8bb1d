"""Reading a feed: pages of it, in the one order that it has.

Reading needs no transaction.  Positions are dense and become visible in
order, so what a reader sees of a feed is always its beginning, and the entry
after the last one it was given is the next one for ever (feeds.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, Entry, Head, Kind, Page, Query
from tocsin.server.store.connection import Base, portions, timely
from tocsin.server.store.lookup import PORTION, mark_documents, objects
from tocsin.server.store.runs import (
    BLOCK,
    Document,
    block_of,
    body_of,
    columns,
    index_after,
    marks_of,
    opened,
    run_id,
    stamp_of,
)
from tocsin.server.store.steady import Steady
from tocsin.server.store.versions import Choice, Marks, Place

_WITHOUT_FACETS = {"picks": 0, "facets": 0}
_WITHOUT_BODY = {"picks": 0, "facets": 0, "body": 0, "ends": 0}
_ONLY_BODY = {"body": 1, "zstd": 1, "ends": 1, "gone": 1}
_WIDEST_SEARCH = 64
"""Blocks that one search by type looks at."""
_NONE = Marks()


class Feeds:
    """The collections and their entries, for readers."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base
        self._starts: dict[tuple[str, int], int] = {}
        self._steady = Steady(base)

    @timely()
    def collections(self) -> list[Collection]:
        """All collections, by id."""
        return sorted(map(_collection, self._base.collections.find({})), key=lambda c: c.id)

    def add(self, collection: Collection) -> None:
        """Make a new collection, empty.

        Raises Conflict if its id or alias is the id or alias of another one.
        """
        names = {collection.id, collection.alias} - {""}
        taken = names & {name for other in self.collections() for name in (other.id, other.alias)}
        if taken:
            raise Conflict(f"another collection has this id or alias: {', '.join(sorted(taken))}")
        nothing = {"position": 0, "stamp": 0, "writes": 0}
        self._base.heads.update_one({"_id": collection.id}, {"$setOnInsert": nothing}, upsert=True)
        try:
            self._base.collections.insert_one(_document(collection))
        except DuplicateKeyError as error:
            raise Conflict("another collection has this id or alias") from error

    @timely()
    def head(self, feed: str) -> Head:
        """How far the feed has come.

        Raises NotFound if there is no such feed.
        """
        head = self._base.heads.find_one({"_id": feed})
        if head is None:
            raise NotFound("there is no such collection")
        return Head(*(int(head[name]) for name in Head._fields))

    @timely()
    def knows(self, feed: str, object_id: str) -> bool:
        """Whether any version of the object is in the feed."""
        wanted = {"feed": feed, "ids": object_id}
        return self._base.shelves.find_one(wanted, {"_id": 1}) is not None

    @timely()
    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """What the query asks for, in order of position; `more` is exact.

        Without `bodies` the entries' bodies are empty.  Raises NotFound if there is no such feed.
        """
        head = self.head(feed)
        if head.reached(query):
            return Page()
        position = head.position
        if query.ids:
            return self._steady.read(
                feed, lambda: self._page_of_objects(feed, query, position, bodies=bodies)
            )
        found = tuple(islice(self._walk(feed, query, position, bodies=bodies), query.limit + 1))
        return Page(found[: query.limit], more=len(found) > query.limit)

    def _walk(self, feed: str, query: Query, last: int, *, bodies: bool) -> Iterator[Entry]:
        choice, found = Choice(query), 0
        start = max(block_of(query.position + 1), self._block_after(feed, query, block_of(last)))
        for block in self._blocks(feed, query.types, start, block_of(last)):
            full = bodies and found < query.limit  # beyond the limit, only whether there is more
            runs, marks = self._block(feed, block, last, bodies=full)
            for run in runs:
                passed = max(query.position + 1 - run["first"], index_after(run, _after(query)))
                for i in choice.indexes(columns(run), marks.get(run["_id"], _NONE), passed):
                    if run["first"] + i <= last:
                        found += 1
                        yield _entry(run, i, body_of(run, i) if full else b"")

    def _blocks(self, feed: str, types: frozenset[str], first: int, last: int) -> Iterator[int]:
        """The blocks, in order, that may hold something asked for."""
        if not types:
            yield from range(first, last + 1)
            return
        width = 1
        while first <= last:
            span = range(first, min(first + width, last + 1))
            yield from self._steady.read(feed, partial(self._blocks_with, feed, types, span))
            first, width = first + width, min(width * 2, _WIDEST_SEARCH)

    def _blocks_with(self, feed: str, types: frozenset[str], span: range) -> list[int]:
        found: set[int] = set()
        for type in sorted(types):
            wanted = {"feed": feed, "facets": f"type={type}", "block": {"$in": list(span)}}
            found.update(run["block"] for run in self._base.runs.find(wanted, {"block": 1}))
        return sorted(found)

    def _block(
        self, feed: str, block: int, last: int, *, bodies: bool
    ) -> tuple[list[Document], dict[str, Marks]]:
        """The runs of a block in order, and their marks, read after them.

        An entry that is superseded between the two readings is left out; the one that
        supersedes it lies further on, where this reader has not been.
        """
        wanted = {"feed": feed, "block": block}
        projection = _WITHOUT_FACETS if bodies else _WITHOUT_BODY

        def read() -> tuple[list[Document], dict[str, Marks]] | None:
            runs = list(self._base.runs.find(wanted, projection).sort("first", 1))
            if not _whole(runs, block, last):
                return None
            marks = self._base.marks.find(wanted)
            kept = {document["_id"]: marks_of(document) for document in marks}
            return [opened(run) for run in runs] if bodies else runs, kept

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
            wanted = {"feed": feed, "block": block, "first": block * BLOCK + 1}
            run = self._base.runs.find_one(wanted, {"stamp": 1})
            if run is None:
                raise Unavailable("the collection is being reorganised; try again in a moment")
            self._starts[feed, block] = run["stamp"]
        return self._starts[feed, block]

    def _page_of_objects(self, feed: str, query: Query, last: int, *, bodies: bool) -> Page | None:
        """None if a run was packed away meanwhile."""
        choice = Choice(query)
        found = objects(self._base, feed, query.ids)
        kept = mark_documents(self._base, {run_id(feed, place.first) for place in found})
        marks = {run: marks_of(document) for run, document in kept.items()}
        chosen = [
            place
            for place in sorted(found, key=lambda place: place.position)
            if query.position < place.position <= last
            and place.stamp > _after(query)
            and choice.takes(place, marks.get(run_id(feed, place.first), _NONE))
        ]
        more, chosen = len(chosen) > query.limit, chosen[: query.limit]
        runs = self._bodies({run_id(feed, p.first) for p in chosen}) if bodies else {}
        if runs is None:
            return None
        entries = _with_bodies(feed, runs, chosen) if bodies else map(_bare, chosen)
        return Page(tuple(entries), more=more)

    def _bodies(self, wanted: set[str]) -> dict[str, Document] | None:
        """The bodies of some runs, by run; None unless all of them are there."""
        runs = {
            run["_id"]: opened(run)
            for portion in portions(sorted(wanted), PORTION)
            for run in self._base.runs.find({"_id": {"$in": portion}}, _ONLY_BODY)
        }
        return runs if runs.keys() == wanted else None


def _after(query: Query) -> int:
    return -1 if query.added_after is None else query.added_after


def _with_bodies(feed: str, runs: dict[str, Document], chosen: Sequence[Place]) -> Iterator[Entry]:
    """The entries with their bodies, less what was withdrawn meanwhile."""
    for place in chosen:
        run = runs[run_id(feed, place.first)]
        if place.index not in run["gone"]:
            yield _bare(place, body_of(run, place.index))


def _whole(runs: Sequence[Document], block: int, last: int) -> bool:
    """Whether the runs follow one another from the block's beginning to its end or the head."""
    expected = block * BLOCK + 1
    for run in runs:
        if run["first"] != expected:
            return False
        expected += run["n"]
    return expected > min(last, (block + 1) * BLOCK)


def _entry(run: Document, i: int, body: bytes) -> Entry:
    return Entry(
        position=run["first"] + i,
        stamp=stamp_of(run, i),
        id=run["ids"][i],
        version=run["versions"][i],
        spec=run["specs"][i],
        body=body,
    )


def _bare(place: Place, body: bytes = b"") -> Entry:
    return Entry(place.position, place.stamp, place.id, place.version, place.spec, body)


def _document(collection: Collection) -> Document:
    return {
        "_id": collection.id,
        "alias": collection.alias or collection.id,
        "kind": collection.kind.value,
        "title": collection.title,
        "description": collection.description,
        "max_tlp": collection.max_tlp.word,
    }


def _collection(document: Document) -> Collection:
    alias = document["alias"]
    return Collection(
        id=document["_id"],
        alias="" if alias == document["_id"] else alias,
        kind=Kind(document["kind"]),
        title=document["title"],
        description=document["description"],
        max_tlp=Tlp.of(document["max_tlp"]),
    )
