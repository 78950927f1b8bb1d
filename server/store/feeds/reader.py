"""Read a feed page by page, in its one order.

Reading needs no transaction.  Positions are dense and become visible in order,
so a reader always sees a prefix of the feed, and the entry after the last one it
received stays the next one.  A poll that has reached the end has
returned every object that was in the feed all the time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import orjson
from pymongo.errors import DuplicateKeyError

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.admission.markings.audience import parse_audience
from tocsin.admission.model import Tlp
from tocsin.server.model import (
    OBJECTS,
    Collection,
    CollectionKind,
    Entry,
    FeedHead,
    ObjectPage,
    ObjectVersion,
    Page,
    Query,
    Representation,
    TermFilter,
    View,
)
from tocsin.server.store.configuration import ONLY_FEEDS, increment_configuration_revision
from tocsin.server.store.connection import (
    MAX_KEYS,
    Base,
    Document,
    chunk_keys,
    in_order,
    time_limit,
)
from tocsin.server.store.feeds.block_cache import Block, BlockCache, Superseded
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    PackedHead,
    batch_columns,
    batch_id,
    block_number,
    decompress_batch,
    entry_at,
    entry_body,
    entry_stamp,
    find_entries,
    find_status_documents,
    first_position,
    index_after,
    read_status_bits,
)
from tocsin.server.store.feeds.clock import number_feed
from tocsin.server.store.feeds.consistent_read import ConsistentReader
from tocsin.server.store.feeds.filter_index import FilterSearch, Match, all_filters, span_number
from tocsin.server.store.feeds.page_collector import PageCollector
from tocsin.server.store.feeds.versions import (
    IndexedEntry,
    StatusBits,
    VersionFilter,
    keep_newest,
    status_positions,
)
from tocsin.server.store.match_filters import matches_filter


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
        "audience": collection.audience.as_scope(),
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
        audience=parse_audience(document.get("audience", "")),  # missing in older documents
    )


MAX_BATCHES = 8
"""Maximum number of batches in one selection; each body may have the maximum length."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Whole blocks, or the entries in them that match the filters."""

    blocks: tuple[int, ...]
    matches: Mapping[int, Match] | None = None
    """By position, in order; None: whole blocks."""

    @property
    def needs_bodies(self) -> bool:
        """True if the bodies of some entries must be examined."""
        return any(match.unresolved for match in (self.matches or {}).values())

    def is_covered_by(self, batches: Sequence[Document]) -> bool:
        """True if the batches, in order, contain every match exactly once."""
        starts = [batch["first"] for batch in batches]
        ends = [batch["first"] + batch["n"] for batch in batches]
        disjoint = all(end <= start for end, start in zip(ends, starts[1:], strict=False))
        positions = ((position, bisect_right(starts, position)) for position in self.matches or ())
        return disjoint and all(i and position < ends[i - 1] for position, i in positions)

    def holds(self, batch: Document, index: int) -> bool:
        """True if a matched entry also satisfies its unresolved filters."""
        unresolved = (
            self.matches[batch["first"] + index].unresolved if self.matches is not None else ()
        )
        return not unresolved or satisfies(entry_body(batch, index), unresolved)


def split_matches(matches_found: Iterable[tuple[int, Match]], enough: int) -> Iterator[Selection]:
    """Split matches, in order of position, into selections of few batches and `enough` entries."""
    part: dict[int, Match] = {}
    batches: set[int] = set()
    for position, match in matches_found:
        if len(batches | {match.first}) > MAX_BATCHES:
            yield _selection(part)
            part, batches = {}, set()
        part[position] = match
        batches.add(match.first)
        if len(part) == enough:  # before the next match is searched
            yield _selection(part)
            part, batches = {}, set()
    if part:
        yield _selection(part)


def _selection(matches_found: Mapping[int, Match]) -> Selection:
    return Selection(
        tuple(sorted({block_number(position) for position in matches_found})), matches_found
    )


def satisfies(body: bytes | None, unresolved: Iterable[TermFilter]) -> bool:
    """True if an object matches the filters; an object removed meanwhile matches none."""
    return bool(body) and all(
        matches_filter(orjson.loads(body or b""), each) for each in unresolved
    )


_ALL_FIELDS: Document = {}
_WITHOUT_BODY = {"body": 0, "ends": 0}
_POSITION_FIELDS = {"first": 1, "n": 1, "stamp": 1, "stamps": 1, "gone": 1}
"""Fields that show that an entry exists, if a query does not filter by type or version."""
_NEWEST_FIELDS = {"ids": 0, "types": 0, "specs": 0, "versions": 0}
"""Without the columns that nothing needs if only current entries are selected by the index."""
_BODY_FIELDS = {"body": 1, "zstd": 1, "ends": 1, "gone": 1}
_NO_STATUS_BITS = StatusBits()
_ROUNDS = 100
"""Maximum number of times that a page continues to the feed's new end."""
_ATTEMPTS = 5
"""Maximum number of times that a page is collected anew because the feed was written to."""


class FeedReader:
    """The collections and their entries, for readers."""

    def __init__(self, base: Base) -> None:
        """`base` is the hub's database."""
        self._base = base
        self._first_stamps: dict[tuple[str, int], int] = {}
        self._reader = ConsistentReader(base)
        self.blocks = BlockCache()
        """Blocks of the feeds that this process keeps in memory."""

    @time_limit()
    def collections(self) -> list[Collection]:
        """All collections, by id."""
        return sorted(map(collection_of, self._base.collections.find({})), key=lambda c: c.id)

    def add(self, collection: Collection) -> None:
        """Add an empty collection.

        Raises Conflict if its id or alias is the id or alias of another one.
        """
        names = {collection.id, collection.alias} - {""}
        taken = names & {name for other in self.collections() for name in (other.id, other.alias)}
        if taken:
            raise Conflict(f"another collection has this id or alias: {', '.join(sorted(taken))}")
        if collection.view is None:  # a view has no head, so nothing can be written to it
            head = {"_id": collection.id}
            initial = {"position": 0, "stamp": 0, "writes": 0, "removals": 0}
            self._base.heads.update_one(head, {"$setOnInsert": initial}, upsert=True)
            if collection.kind is not CollectionKind.INBOX:  # nothing is published into one
                number_feed(self._base, collection.id)
        try:
            self._base.collections.insert_one(document_of(collection))
        except DuplicateKeyError as error:
            raise Conflict("another collection has this id or alias") from error
        increment_configuration_revision(self._base)

    @time_limit()
    def head(self, feed: str) -> FeedHead:
        """Return the feed's head.

        Raises NotFound if there is no such feed.
        """
        return self._packed_head(feed).head

    def _packed_head(self, feed: str) -> PackedHead:
        document = self._base.heads.find_one({"_id": feed})
        if document is None:
            raise NotFound("there is no such collection")
        return PackedHead.of(document)

    @time_limit()
    def knows(self, feed: str, object_id: str) -> bool:
        """True if any version of the object is in the feed."""
        wanted = {"feed": feed, "ids": object_id}
        return self._base.id_index.find_one(wanted, {"_id": 1}) is not None

    @time_limit()
    def page(self, feed: str, query: Query, *, bodies: bool = True) -> Page:
        """Return the entries that the query selects, in order of position; `more` is exact.

        Without `bodies` the entries' bodies are empty.  Raises NotFound if there is no such feed.
        """
        head = self.head(feed)
        if head.is_past_end(query):
            return Page()
        if query.ids:
            return self._reader.read(
                feed, lambda: self._page_of_objects(feed, query, head.position, bodies=bodies)
            )
        found_entries = self._matching_entries(feed, query, head.position, bodies=bodies)
        found = list(islice(found_entries, query.limit))
        more = len(found) == query.limit and (
            self._has_more_by_status_bits(feed, query, head, found[-1])
            or next(found_entries, None) is not None
        )
        entries = [
            entry_at(batch, i, entry_body(batch, i) if bodies else b"") for batch, i in found
        ]
        return Page(keep_newest(entries, query), more=more)

    @time_limit()
    def heads(self) -> dict[str, FeedHead]:
        """The heads of all feeds and verbatim collections, by id."""
        return {each["_id"]: PackedHead.of(each).head for each in self._base.heads.find(ONLY_FEEDS)}

    @time_limit()
    def position_at(self, feed: str, stamp: int) -> int:
        """The position of the last entry with this stamp or an earlier one; 0 if there is none."""
        last = self.head(feed).position
        if not last or stamp < self._first_stamp(feed, 0):
            return 0
        block = self._block_after(feed, Query(added_after=max(stamp, 0)), block_number(last))
        position = block * BLOCK_SIZE
        for batch in self._base.entry_batches.find(
            {"feed": feed, "block": block}, _POSITION_FIELDS
        ):
            if batch["stamp"] <= stamp:
                passed = min(index_after(batch, stamp), batch["n"])
                position = max(position, batch["first"] - 1 + passed)
        return min(position, last)

    @time_limit()
    def newest(self, feed: str, query: Query, until: int | None = None) -> Page:
        """Current entries that a query's filters and types select, what was added last first.

        `until` is the latest stamp.  Nothing else of the query is looked at but its limit and
        `added_after`; `more` is exact.  Raises NotFound if there is no such feed.
        """
        found: list[Entry] = []
        for entry in self._newest(feed, query, until):
            if len(found) == query.limit:
                return Page(tuple(found), more=True)
            found.append(entry)
        return Page(tuple(found))

    def _newest(self, feed: str, query: Query, until: int | None) -> Iterator[Entry]:
        """The selected entries, what was added last first."""
        last = self.head(feed).position
        if not last:
            return
        choice, end = VersionFilter(Query()), block_number(last)
        first = self._block_after(feed, query, end)
        if until is not None:
            end = self._block_after(feed, Query(added_after=max(until, 0)), end)
        search = FilterSearch(self._base, feed, all_filters(query))
        found = search.newest_first(first, end, self._reader)
        ahead = ((position, match) for position, match in found if position <= last)
        for selection in split_matches(ahead, query.limit + 1):
            batches, status_bits = self._read(feed, selection, last, _NEWEST_FIELDS)
            for batch in reversed(batches):
                bits = status_bits.get(batch["_id"], _NO_STATUS_BITS)
                chosen = choice.indexes(batch_columns(batch, selection.matches), bits, 0)
                for i in reversed(list(chosen)):
                    stamp = entry_stamp(batch, i)
                    in_time = query.after < stamp and (until is None or stamp <= until)
                    if in_time and selection.holds(batch, i):
                        yield _read_entry(batch, i)

    @time_limit()
    def count_matches(self, feed: str, query: Query, most: int) -> int:
        """Count the current entries that a query's filters select, up to `most`.

        By the index alone: objects that it does not know completely count as matches.
        """
        last, count = self.head(feed).position, 0
        search = FilterSearch(self._base, feed, all_filters(query))
        found = search.newest_first(0, block_number(last), self._reader) if last else iter(())
        while count < most and (part := dict(islice(found, most - count))):
            count += self._count_current(feed, part)
        return count

    def _count_current(self, feed: str, matches: Mapping[int, Match]) -> int:
        """Count those of these entries that no later version has replaced."""
        blocks = sorted({block_number(position) for position in matches})
        superseded: set[int] = set()
        for chunk in chunk_keys(blocks, MAX_KEYS):
            wanted = {"feed": feed, "block": {"$in": list(chunk)}}
            for document in self._base.status_bits.find(wanted):
                first = first_position(document)
                superseded |= {first + i for i in (*document["old"], *document["shadowed"])}
        return len(matches.keys() - superseded)

    @time_limit()
    def find_object(self, feeds: Iterable[str], object_id: str) -> dict[str, list[ObjectVersion]]:
        """Every version of an object in some feeds, in order, by the feeds that have it.

        One look-up for each feed, and one for all bodies.
        """
        for _ in range(_ATTEMPTS):
            found = {feed: find_entries(self._base, feed, [object_id]) for feed in feeds}
            wanted = {batch_id(feed, e.first) for feed, every in found.items() for e in every}
            bodies = self._read_bodies(wanted)
            if bodies is not None:
                return {
                    feed: _versions_of(feed, bodies, entries)
                    for feed, entries in found.items()
                    if entries
                }
        raise Unavailable("the collection is being reorganised; try again in a moment")

    def collect(
        self, feed: str, query: Query, known: PackedHead, representation: Representation = OBJECTS
    ) -> tuple[FeedHead, ObjectPage] | None:
        """A page in a representation, and the head at which it is what the query selects.

        `known` is the head as it was read a moment ago.  Unchanged blocks come from memory.
        None if that is not possible for such a query, or the feed is written to all the time.
        """
        if all_filters(query) or not (query.ids or VersionFilter(query).plain):
            return None
        for _ in range(_ATTEMPTS):
            if known.head.is_past_end(query):
                return known.head, ObjectPage()
            with ExitStack() as reading:
                collector = PageCollector(self, feed, known, reading, representation)
                page = collector.collect_objects(query) if query.ids else collector.collect(query)
                before, known = known, self._packed_head(feed) if collector.has_read else known
            if known == before:
                collector.keep()
                return None if page is None else (known.head, page)
        return None

    def select_objects(self, feed: str, query: Query, last: int) -> list[IndexedEntry]:
        """The entries of the objects with given ids that a query without filters selects.

        The entries up to `last` determine which versions are superseded, so entries added during
        the read change nothing.
        """
        present = [p for p in find_entries(self._base, feed, query.ids) if p.position <= last]
        return [
            entry
            for entry in VersionFilter(query).select(present)
            if entry.position > query.position and entry.stamp > query.after
        ]

    @time_limit()
    def refresh(self) -> None:
        """Forget the blocks in memory of which something was removed, in whatever process."""
        for document in self._base.heads.find(ONLY_FEEDS):
            self.blocks.note(document["_id"], PackedHead.of(document).head)

    def read_block(
        self, feed: str, number: int, known: PackedHead, representation: Representation
    ) -> tuple[Block, Superseded]:
        """A block from the database in a representation, and its superseded entries."""
        fields = _ALL_FIELDS if representation.render is None else _WITHOUT_BODY
        batches, bits = self._read_block(feed, number, known.head.position, fields)
        positions = {
            batch["first"] + i
            for batch in batches
            if batch["_id"] in bits
            for i in bits[batch["_id"]].old | bits[batch["_id"]].shadowed
        }
        superseded = Superseded(sorted(positions), known.head.writes)
        return Block.of(batches, known.head.removals, representation), superseded

    def read_superseded(
        self, feed: str, numbers: Sequence[int], known: PackedHead
    ) -> dict[int, Superseded]:
        """The superseded entries of some blocks from the database."""
        wanted = {"feed": feed, "block": {"$in": list(numbers)}}
        found: dict[int, list[Document]] = {number: [] for number in numbers}
        for document in self._base.status_bits.find(wanted):
            found[document["block"]].append(document)
        writes = known.head.writes
        return {number: Superseded.of(each, writes) for number, each in found.items()}

    def in_order(self) -> AbstractContextManager[None]:
        """Within it, reads see what earlier ones saw: see `connection.in_order`."""
        return in_order(self._base)

    def first_block(self, feed: str, query: Query, last: int) -> int:
        """The block in which a page of the query begins, `last` being the feed's last one."""
        return max(block_number(query.position + 1), self._block_after(feed, query, last))

    def _has_more_by_status_bits(
        self, feed: str, query: Query, head: FeedHead, last: tuple[Document, int]
    ) -> bool:
        """True if status bits alone show that the block behind a page holds more matches.

        Then no batch of that block is read, so that a page with others after it costs no more
        than the last one.
        """
        position = last[0]["first"] + last[1] + 1
        starts_block = block_number(position) > block_number(position - 1)
        if (
            not starts_block
            or head.removals
            or all_filters(query)
            or not VersionFilter(query).plain
        ):
            return False

        def superseded_positions() -> set[int]:
            documents = self._base.status_bits.find({"feed": feed, "block": block_number(position)})
            return {
                first_position(document) + i
                for document in documents
                for i in (*document["old"], *document["shadowed"])
            }

        end = min(head.position, position + BLOCK_SIZE - 1)
        return not self._reader.read(feed, superseded_positions).issuperset(
            range(position, end + 1)
        )

    def _matching_entries(
        self, feed: str, query: Query, last: int, *, bodies: bool
    ) -> Iterator[tuple[Document, int]]:
        """Batches and indexes of the matching entries; beyond the limit, only as far as needed.

        It continues to the feed's new end: an entry that is superseded before its status bits are
        read is left out, and the newer one lies there.
        """
        choice, found = VersionFilter(query), 0
        for _ in range(_ROUNDS):
            for selection in self._selections(feed, query, last):
                fields = _ALL_FIELDS if bodies or selection.needs_bodies else _WITHOUT_BODY
                if found >= query.limit and not selection.needs_bodies:
                    fields = _POSITION_FIELDS if choice.plain else _WITHOUT_BODY
                batches, status_bits = self._read(feed, selection, last, fields)
                for batch in batches:
                    start = max(
                        query.position + 1 - batch["first"], index_after(batch, query.after)
                    )
                    columns = batch_columns(batch, selection.matches)
                    for i in choice.indexes(
                        columns, status_bits.get(batch["_id"], _NO_STATUS_BITS), start
                    ):
                        if batch["first"] + i <= last and selection.holds(batch, i):
                            found += 1
                            yield batch, i
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
        matches_found = FilterSearch(self._base, feed, wanted).matches(start, end, self._reader)
        ahead = ((p, match) for p, match in matches_found if query.position < p <= last)
        yield from split_matches(ahead, query.limit + 1)

    def _read(
        self, feed: str, selection: Selection, last: int, fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        """The batches of a selection in order, and their status bits, read after them."""
        if selection.matches is None:
            return self._read_blocks(feed, selection.blocks, last, fields)
        ids = sorted({batch_id(feed, match.first) for match in selection.matches.values()})
        batches, status_bits = self._reader.read(feed, partial(self._read_batches, ids, fields))
        if not selection.is_covered_by(batches):  # packed since the filter index was read
            return self._read_blocks(feed, selection.blocks, last, fields)
        return batches, status_bits

    def _read_batches(
        self, ids: Sequence[str], fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        """The existing batches, in order, and their status bits, read after them."""
        found = self._base.entry_batches.find({"_id": {"$in": ids}}, fields)
        batches = sorted(found, key=lambda batch: int(batch["first"]))
        documents = find_status_documents(self._base, ids)
        status_bits = {batch: read_status_bits(document) for batch, document in documents.items()}
        return [decompress_batch(batch) for batch in batches], status_bits

    def _read_blocks(
        self, feed: str, blocks: Iterable[int], last: int, fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        batches: list[Document] = []
        status_bits: dict[str, StatusBits] = {}
        for block in blocks:
            more, block_bits = self._read_block(feed, block, last, fields)
            batches += more
            status_bits |= block_bits
        return batches, status_bits

    def _read_block(
        self, feed: str, block: int, last: int, fields: Document
    ) -> tuple[list[Document], dict[str, StatusBits]]:
        """The batches of a block in order, and their status bits, read after them."""
        wanted = {"feed": feed, "block": block}

        def read() -> tuple[list[Document], dict[str, StatusBits]] | None:
            batches = list(self._base.entry_batches.find(wanted, fields).sort("first", 1))
            if not _is_complete(batches, block, last):
                return None
            documents = self._base.status_bits.find(wanted)
            status_bits = {document["_id"]: read_status_bits(document) for document in documents}
            return [decompress_batch(batch) for batch in batches], status_bits

        return self._reader.read(feed, read)

    def _block_after(self, feed: str, query: Query, last: int) -> int:
        """The last block that begins at or before `added_after`; nothing lies before it."""
        after = query.after
        if after < 0:
            return 0
        low, high = (last, last) if self._first_stamp(feed, last) <= after else (0, last)
        while low < high:
            middle = (low + high + 1) // 2
            if self._first_stamp(feed, middle) <= after:
                low = middle
            else:
                high = middle - 1
        return low

    def _first_stamp(self, feed: str, block: int) -> int:
        """The stamp of a block's first entry, which never changes."""
        if (feed, block) not in self._first_stamps:
            wanted = {"feed": feed, "block": block, "first": block * BLOCK_SIZE + 1}
            batch = self._base.entry_batches.find_one(wanted, {"stamp": 1})
            if batch is None:
                raise Unavailable("the collection is being reorganised; try again in a moment")
            self._first_stamps[feed, block] = batch["stamp"]
        return self._first_stamps[feed, block]

    def _page_of_objects(self, feed: str, query: Query, last: int, *, bodies: bool) -> Page | None:
        """A page of the objects with given ids; None if a batch was packed meanwhile."""
        chosen = self.select_objects(feed, query, last)
        kept = self._apply_filters(feed, query.filters, chosen) if query.filters else chosen
        if kept is None:
            return None
        more, chosen = len(kept) > query.limit, kept[: query.limit]
        batches = self._read_bodies({batch_id(feed, p.first) for p in chosen}) if bodies else {}
        if batches is None:
            return None
        entries = _with_bodies(feed, batches, chosen) if bodies else map(_build_entry, chosen)
        return Page(tuple(entries), more=more)

    def _apply_filters(
        self, feed: str, wanted: Sequence[TermFilter], chosen: Sequence[IndexedEntry]
    ) -> list[IndexedEntry] | None:
        """The entries that the filters match; None if a batch was packed meanwhile."""
        spans = sorted({span_number(block_number(entry.position)) for entry in chosen})
        matches_found = FilterSearch(self._base, feed, wanted).find_in_spans(spans)
        matching = [entry for entry in chosen if entry.position in matches_found]
        unresolved = [entry for entry in matching if matches_found[entry.position].unresolved]
        batches = self._read_bodies({batch_id(feed, entry.first) for entry in unresolved})
        if batches is None:
            return None
        bodies = {entry.position: entry.body for entry in _with_bodies(feed, batches, unresolved)}
        mismatched = {
            entry.position
            for entry in unresolved
            if not satisfies(bodies.get(entry.position), matches_found[entry.position].unresolved)
        }
        return [entry for entry in matching if entry.position not in mismatched]

    def _read_bodies(self, wanted: set[str]) -> dict[str, Document] | None:
        """The bodies of some batches, by batch id; None if one of them is missing."""
        batches = {
            batch["_id"]: decompress_batch(batch)
            for chunk in chunk_keys(sorted(wanted), MAX_KEYS)
            for batch in self._base.entry_batches.find({"_id": {"$in": chunk}}, _BODY_FIELDS)
        }
        return batches if batches.keys() == wanted else None


def _read_entry(batch: Document, index: int) -> Entry:
    """An entry of a batch that was read without its columns: they are in the object."""
    body = entry_body(batch, index)
    subject = orjson.loads(body)
    version = str(subject.get("modified") or subject.get("created") or "")
    spec = str(subject.get("spec_version", "2.0" if version else "2.1"))
    place = batch["first"] + index, entry_stamp(batch, index)
    return Entry(*place, str(subject["id"]), version, spec, body)


def _versions_of(
    feed: str, batches: dict[str, Document], entries: Sequence[IndexedEntry]
) -> list[ObjectVersion]:
    """All entries of one object with their bodies, in order, without those removed meanwhile."""
    in_order = sorted(entries, key=lambda entry: entry.position)
    bits = status_positions(in_order)
    superseded = bits["old"] | bits["shadowed"]
    kept = (e for e in in_order if e.index not in batches[batch_id(feed, e.first)]["gone"])
    return [
        ObjectVersion(
            stamp=each.stamp,
            version=each.version,
            spec=each.spec,
            body=entry_body(batches[batch_id(feed, each.first)], each.index),
            visibility=each.visibility,
            is_current=each.position not in superseded,
        )
        for each in kept
    ]


def _with_bodies(
    feed: str, batches: dict[str, Document], chosen: Sequence[IndexedEntry]
) -> Iterator[Entry]:
    """The entries with their bodies, without those removed meanwhile."""
    for entry in chosen:
        batch = batches[batch_id(feed, entry.first)]
        if entry.index not in batch["gone"]:
            yield _build_entry(entry, entry_body(batch, entry.index))


def _is_complete(batches: Sequence[Document], block: int, last: int) -> bool:
    """True if the batches follow one another from the block's start to its end or the head."""
    expected = block * BLOCK_SIZE + 1
    for batch in batches:
        if batch["first"] != expected:
            return False
        expected += batch["n"]
    return expected > min(last, (block + 1) * BLOCK_SIZE)


def _build_entry(entry: IndexedEntry, body: bytes = b"") -> Entry:
    return Entry(entry.position, entry.stamp, entry.id, entry.version, entry.spec, body)
