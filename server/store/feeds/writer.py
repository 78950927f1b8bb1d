"""Write a feed: one clock for all feeds, and every entry at its position.

Used only inside a transaction.  The feed's head is read and written in it, so
one of two concurrent publishers retries: entries become visible in order, and
the results of look-ups are still valid at commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

from pymongo import ReplaceOne
from pymongo.client_session import ClientSession

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.model import NewEntry, PublishOutcome, Query
from tocsin.server.store.commits import Writes
from tocsin.server.store.connection import Base, Document
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    PlacedEntry,
    batch_document,
    batch_id,
    batch_without,
    block_number,
    find_entries,
    find_status_documents,
    id_document_without,
    id_documents,
    is_packed_at_once,
    read_status_bits,
    split_batches,
)
from tocsin.server.store.feeds.clock import HubClock, Windows
from tocsin.server.store.feeds.filter_index import filter_document_without, filter_documents
from tocsin.server.store.feeds.versions import (
    IndexedEntry,
    VersionFilter,
    group_by_object,
    status_positions,
)

_NO_BATCH = 0
_HEAD_FIELDS = ("position", "stamp", "number")
"""The fields of a head that a writer needs; nothing changes them without the hub's clock."""
_DIGEST_LENGTH = 16
_BATCHES_PER_PURGE = 10
"""Batches, of up to 8 MB each, that one transaction of a purge rewrites."""


class Writer:
    """The writer of one feed within one transaction; it has read the head."""

    def __init__(
        self, base: Base, session: ClientSession, writes: Writes, head: Document, clock: HubClock
    ) -> None:
        """`head` is the feed's, as it is in the session; it is changed with it."""
        self._base, self._session, self._feed = base, session, str(head["_id"])
        self._writes, self._head = writes, head
        self._position: int = head["position"]
        self._stamp: int = head["stamp"]
        self._number: int = head.get("number", 0)  # an inbox has none
        self._clock = clock

    def publish(self, postings: Sequence[NewEntry], *, replace: bool) -> list[PublishOutcome]:
        """See `Transaction.publish`."""
        windows = self._clock.open({self._feed: self._number}, self._stamp)
        staged = self.stage(postings, windows, replace=replace)
        write_staged(self._writes, [staged])
        return staged.outcomes

    def stage(
        self,
        postings: Sequence[NewEntry],
        windows: Windows,
        *,
        replace: bool,
        new: Collection[str] = (),
    ) -> Staged:
        """Assign positions and stamps to the entries, without writing them.

        Objects with ids in `new` are known to be in no feed, so they are not looked up.
        """
        if any(len(posting.digest) != _DIGEST_LENGTH for posting in postings):
            raise ValueError("a digest has 16 octets")
        wanted = (p.id for p in postings if p.id not in new)
        found = find_entries(self._base, self._feed, wanted, self._session)
        known = group_by_object(found)
        outcomes: list[PublishOutcome] = []
        stored: list[int] = []
        replaced: list[IndexedEntry] = []
        owned = list(postings)
        expected = windows.stamps(self._feed, range(len(postings)))  # if all of them are new
        for index, posting in enumerate(postings):
            entries = known.setdefault(posting.id, [])
            outcomes.append(_outcome(posting, entries, replace=replace))
            if outcomes[-1] is PublishOutcome.STORED:
                stored.append(index)
                owned[index] = posting = _keep_owner(posting, entries)
                replaced += _of_same_version(posting, entries)
                placed = _place(posting, self._position + len(stored), expected[index])
                entries.append(_indexed_entry(placed, _NO_BATCH))
        stamps = windows.stamps(self._feed, stored)
        every = [
            _place(owned[index], self._position + number, stamp)
            for number, (index, stamp) in enumerate(zip(stored, stamps, strict=True), 1)
        ]
        if every:
            self._position, self._stamp = every[-1].position, every[-1].stamp
            self._clock.use(self._stamp)
        batches, packed = list(split_batches(every)), is_packed_at_once(every)
        return Staged(self, outcomes, found, batches, packed, replaced)

    def remove(self, query: Query, *, everything: bool) -> int:
        """Remove the entries of one object that the query selects, or all of them."""
        found = find_entries(self._base, self._feed, query.ids, self._session)
        documents = find_status_documents(self._base, map(self._batch_of, found), self._session)
        choice = VersionFilter(query)
        chosen = [
            entry
            for entry in found
            if (everything and (not query.specs or entry.spec in query.specs))
            or (
                not everything
                and choice.includes(entry, read_status_bits(documents.get(self._batch_of(entry))))
            )
        ]
        return self._cut(found, chosen)

    def purge(self, object_id: str, *, keep_last: bool) -> int:
        """See `Transaction.purge_entries`."""
        found = find_entries(self._base, self._feed, [object_id], self._session)
        in_order = sorted(found, key=lambda entry: entry.position)
        batches = _group_by_batch(self._feed, in_order[:-1] if keep_last else in_order)
        portion = islice(batches.values(), _BATCHES_PER_PURGE)
        return self._cut(found, list(chain.from_iterable(portion)))

    def _cut(self, found: Sequence[IndexedEntry], chosen: Sequence[IndexedEntry]) -> int:
        """Remove some of the entries that were found of some objects; the number removed."""
        self.remove_bodies(chosen)
        if chosen:
            self.update_status_bits(
                [entry for entry in found if entry not in chosen], cleared=chosen
            )
            self.write_head(removed=True)
        return len(chosen)

    def remove_bodies(self, chosen: Iterable[IndexedEntry]) -> None:
        """Remove entries from their batches and indexes; neither status bits nor head change."""
        for batch, entries in _group_by_batch(self._feed, chosen).items():
            self._remove_from_batch(batch, frozenset(entry.index for entry in entries))

    def documents(
        self, staged: Staged, indexed: Sequence[Sequence[IndexedEntry]]
    ) -> Iterator[tuple[str, list[Document]]]:
        """The documents to insert for staged batches, by the name of the database's collection."""
        feed, batches, packed = self._feed, staged.batches, staged.packed
        yield "entry_batches", [batch_document(feed, entries, packed=packed) for entries in batches]
        yield (
            "id_index",
            [each for batch in indexed for each in id_documents(feed, batch, packed=packed)],
        )
        yield "filter_index", [each for batch in batches for each in filter_documents(feed, batch)]

    def update_status_bits(
        self, entries: Sequence[IndexedEntry], cleared: Sequence[IndexedEntry] = ()
    ) -> None:
        """Update the status bits, given all entries of some objects as they are now."""
        groups = [group for group in group_by_object(entries).values() if len(group) > 1 or cleared]
        affected = _group_by_batch(self._feed, [*chain.from_iterable(groups), *cleared])
        wanted: dict[str, set[int]] = {"old": set(), "later": set(), "shadowed": set()}
        for group in groups:
            for bit, positions in status_positions(group).items():
                wanted[bit].update(positions)
        documents = find_status_documents(self._base, affected, self._session)
        updated = {
            batch: _update_status_document(self._feed, entries, wanted, documents.get(batch))
            for batch, entries in affected.items()
        }
        changes = [
            ReplaceOne({"_id": batch}, document, upsert=True)
            for batch, document in updated.items()
            if document != documents.get(batch)
        ]
        if changes:
            self._base.status_bits.bulk_write(changes, session=self._session)

    def _remove_from_batch(self, batch: str, indexes: frozenset[int]) -> None:
        document = self._base.entry_batches.find_one({"_id": batch}, session=self._session)
        if document is None:
            raise LookupError(f"no batch {batch}")
        change = {"$set": batch_without(document, indexes)}
        self._base.entry_batches.update_one({"_id": batch}, change, session=self._session)
        for id_document in list(self._base.id_index.find({"run": batch}, session=self._session)):
            if indexes.intersection(id_document["at"]):
                change = {"$set": id_document_without(id_document, indexes)}
                self._base.id_index.update_one(
                    {"_id": id_document["_id"]}, change, session=self._session
                )
        self._remove_from_filter_documents(document, indexes)

    def _remove_from_filter_documents(self, batch: Document, indexes: frozenset[int]) -> None:
        places = {(batch["first"] + index - 1) % BLOCK_SIZE for index in indexes}
        wanted = {"feed": self._feed, "block": batch["block"]}
        for filter_document in list(self._base.filter_index.find(wanted, session=self._session)):
            if (change := filter_document_without(filter_document, places)) is not None:
                self._base.filter_index.update_one(
                    {"_id": filter_document["_id"]}, {"$set": change}, session=self._session
                )

    def write_head(self, *, removed: bool = False, ended: bool = False) -> None:
        """Change the head, which removals do too, so that writers conflict.

        `ended`: one of the new entries is the end of a marking definition.
        """
        place = {"position": self._position, "stamp": self._stamp}
        self._head |= place
        change = {
            "$set": place | ({"ended": self._stamp} if ended else {}),
            "$inc": {"writes": 1, "removals": int(removed)},
        }
        self._writes.update("heads", {"_id": self._feed}, change)

    def _batch_of(self, entry: IndexedEntry) -> str:
        return batch_id(self._feed, entry.first)


@dataclass(frozen=True, slots=True)
class Staged:
    """The entries that will be written to one feed."""

    writer: Writer
    outcomes: list[PublishOutcome]
    """One for each entry, in order."""
    found: Sequence[IndexedEntry]
    """Entries that the feed already has of the same objects."""
    batches: Sequence[Sequence[PlacedEntry]]
    """New entries, divided into batches as they are stored."""
    packed: bool
    """True if the batches are written as packed ones."""
    replaced: Sequence[IndexedEntry] = ()
    """Those of `found` of which new entries take the place."""


class Publication:
    """Entries for several feeds in one transaction, stamped in the same windows."""

    def __init__(
        self,
        base: Base,
        session: ClientSession,
        writes: Writes,
        clock: HubClock,
        heads: Sequence[Document],
    ) -> None:
        """See `Transaction.begin_publication`; `heads` are those of the feeds."""
        self._base, self._session, self._writes, self._clock = base, session, writes, clock
        self._heads = {str(head["_id"]): head for head in heads}
        numbers = {feed: int(head["number"]) for feed, head in self._heads.items()}
        self._windows = clock.open(numbers, max(int(head["stamp"]) for head in heads))

    def window(self, index: int) -> int:
        """The begin of the window of the entries with this index, in µs: before their stamps."""
        return self._windows.begin(index)

    def write(self, entries: Mapping[str, Sequence[NewEntry]], new: Collection[str] = ()) -> None:
        """Publish the entries, each as `Transaction.publish` does with `replace`.

        Objects with ids in `new` must be in no feed yet; this is not checked.
        """
        staged = [
            Writer(self._base, self._session, self._writes, self._heads[feed], self._clock).stage(
                each, self._windows, replace=True, new=new
            )
            for feed, each in entries.items()
        ]
        write_staged(self._writes, staged)


def find_heads(
    base: Base, session: ClientSession, feeds: Sequence[str], known: dict[str, Document]
) -> list[Document]:
    """The heads of feeds, those that are not among the `known` ones read and added to them.

    Raises NotFound if a feed does not exist.
    """
    if missing := [feed for feed in feeds if feed not in known]:
        fields = dict.fromkeys(_HEAD_FIELDS, 1)
        found = list(base.heads.find({"_id": {"$in": missing}}, fields, session=session))
        if len(found) < len(missing):
            raise NotFound("there is no such collection")
        known |= {str(head["_id"]): head for head in found}
    return [known[feed] for feed in feeds]


def write_staged(writes: Writes, staged: Sequence[Staged]) -> None:
    """Write what was staged, for all feeds together."""
    for each in staged:
        if each.batches:
            indexed = [
                [_indexed_entry(entry, batch[0].position) for entry in batch]
                for batch in each.batches
            ]
            each.writer.remove_bodies(each.replaced)
            for name, documents in each.writer.documents(each, indexed):
                writes.insert(name, documents)
            left = [entry for entry in each.found if entry not in each.replaced]
            each.writer.update_status_bits(
                [*left, *chain.from_iterable(indexed)], cleared=each.replaced
            )
            ended = bool(each.replaced)
            each.writer.write_head(removed=ended, ended=ended)


def _outcome(
    posting: NewEntry, entries: Sequence[IndexedEntry], *, replace: bool
) -> PublishOutcome:
    """The relation of a new entry to the entries that its object has already."""
    foreign = bool(posting.owner) and any(entry.owner != posting.owner for entry in entries)
    same_spec = [entry for entry in entries if entry.spec == posting.spec]
    if posting.version:
        instant = micros(posting.version)
        same_version = [entry for entry in same_spec if entry.instant == instant]
    else:
        same_version = sorted((p for p in same_spec if p.own), key=lambda p: p.instant)
    if same_version and same_version[-1].digest == posting.digest:
        return PublishOutcome.KNOWN
    if foreign:
        return PublishOutcome.FOREIGN
    if not same_version:
        return PublishOutcome.STORED
    replaceable = not posting.version or _may_end(posting, same_version)
    return PublishOutcome.STORED if replace and replaceable else PublishOutcome.CONFLICT


def _may_end(posting: NewEntry, same_version: Sequence[IndexedEntry]) -> bool:
    """True if the entry may take the place of others; of those of the same call it may not."""
    return posting.ends and all(p.first != _NO_BATCH for p in same_version)


def _of_same_version(posting: NewEntry, entries: Sequence[IndexedEntry]) -> list[IndexedEntry]:
    """The entries of which a new one takes the place, as it was not refused."""
    if not posting.ends:
        return []
    instant = micros(posting.version)
    return [each for each in entries if each.spec == posting.spec and each.instant == instant]


def _keep_owner(posting: NewEntry, entries: Sequence[IndexedEntry]) -> NewEntry:
    """The entry with the owner of its object: a further version does not change it."""
    if not entries or entries[0].owner == posting.owner:
        return posting
    return replace(posting, owner=entries[0].owner)


def _place(posting: NewEntry, position: int, stamp: int) -> PlacedEntry:
    """An entry in its place; an object without a version gets the stamp for one."""
    return PlacedEntry(
        posting=posting,
        version=posting.version or timestamp(stamp),
        own=not posting.version,
        position=position,
        stamp=stamp,
    )


def _indexed_entry(entry: PlacedEntry, first: int) -> IndexedEntry:
    posting = entry.posting
    return IndexedEntry(
        id=posting.id,
        type=posting.type,
        spec=posting.spec,
        version=entry.version,
        digest=posting.digest,
        own=entry.own,
        position=entry.position,
        stamp=entry.stamp,
        first=first,
        visibility=posting.visibility,
        owner=posting.owner,
    )


def _group_by_batch(feed: str, entries: Iterable[IndexedEntry]) -> dict[str, list[IndexedEntry]]:
    found: dict[str, list[IndexedEntry]] = {}
    for entry in entries:
        found.setdefault(batch_id(feed, entry.first), []).append(entry)
    return found


def _update_status_document(
    feed: str,
    entries: Sequence[IndexedEntry],
    wanted: Mapping[str, set[int]],
    document: Document | None,
) -> Document:
    """The status bit document of a batch, with new bits for these entries of it."""
    affected = {entry.index for entry in entries}
    updated: Document = {
        "_id": batch_id(feed, entries[0].first),
        "feed": feed,
        "block": block_number(entries[0].first),
    }
    for bit, positions in wanted.items():
        unchanged = set(document[bit]) - affected if document else set()
        with_bit = {entry.index for entry in entries if entry.position in positions}
        updated[bit] = sorted(unchanged | with_bit)
    return updated
