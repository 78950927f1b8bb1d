"""Write a feed: one clock for all feeds, and every entry at its position.

Used only inside a transaction.  The feed's head is read and written in it, so
one of two concurrent publishers retries: nothing becomes visible before
something earlier, and what was looked up is still true at commit (feeds.md
section 2).
"""

from __future__ import annotations

from collections.abc import (
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from itertools import chain

from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import micros, timestamp
from tocsin.server.model import NewEntry, PublishOutcome, Query
from tocsin.server.store.connection import Base, Document
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    PlacedEntry,
    batch_document,
    batch_id,
    batch_without,
    block_number,
    id_document_without,
    id_documents,
    read_status_bits,
    split_batches,
)
from tocsin.server.store.feeds.clock import HubClock
from tocsin.server.store.feeds.filter_index import filter_document_without, filter_documents
from tocsin.server.store.feeds.id_index import find_entries, find_status_documents
from tocsin.server.store.feeds.versions import (
    IndexedEntry,
    VersionFilter,
    group_by_object,
    status_positions,
)

_UNPLACED = 0
_DIGEST_LENGTH = 16


class Writer:
    """The writer of one feed within one transaction; it has read the head."""

    def __init__(
        self, base: Base, session: ClientSession, head: Document, stamps: HubClock
    ) -> None:
        """`head` is the feed's, as it was read in the session."""
        self._base, self._session, self._feed = base, session, str(head["_id"])
        self._position: int = head["position"]
        self._stamp: int = head["stamp"]
        self._stamps = stamps

    def publish(self, postings: Sequence[NewEntry], *, replace: bool) -> list[PublishOutcome]:
        """See `Transaction.publish`."""
        self._stamps.take()
        staged = self.stage(postings, replace=replace)
        write_staged(self._base, self._session, [staged])
        return staged.outcomes

    def stage(
        self, postings: Sequence[NewEntry], *, replace: bool, new: Collection[str] = ()
    ) -> Staged:
        """The entries with their positions and stamps, not written yet.

        Objects with ids in `new` are known to be in no feed, so that they are not looked for.
        """
        if any(len(posting.digest) != _DIGEST_LENGTH for posting in postings):
            raise ValueError("a digest has 16 octets")
        wanted = (p.id for p in postings if p.id not in new)
        found = find_entries(self._base, self._feed, wanted, self._session)
        here = group_by_object(found)
        fresh: list[PlacedEntry] = []
        outcomes: list[PublishOutcome] = []
        for posting in postings:
            entries = here.setdefault(posting.id, [])
            outcomes.append(_outcome(posting, entries, replace=replace))
            if outcomes[-1] is PublishOutcome.STORED:
                fresh.append(self._placed(posting))
                entries.append(_place(fresh[-1], _UNPLACED))
        return Staged(self, outcomes, found, list(split_batches(fresh)) if fresh else [])

    def remove(self, query: Query, *, everything: bool) -> int:
        """Remove the entries of one object that the query selects, or all of them."""
        found = find_entries(self._base, self._feed, query.ids, self._session)
        documents = find_status_documents(self._base, map(self._run, found), self._session)
        choice = VersionFilter(query)
        chosen = [
            place
            for place in found
            if (everything and (not query.specs or place.spec in query.specs))
            or (
                not everything
                and choice.includes(place, read_status_bits(documents.get(self._run(place))))
            )
        ]
        for run, places in _by_run(self._feed, chosen).items():
            self._cut(run, frozenset(place.index for place in places))
        if chosen:
            self.mark([place for place in found if place not in chosen], cleared=chosen)
            self._base.heads.bulk_write([self.head_change(removed=True)], session=self._session)
        return len(chosen)

    def _placed(self, posting: NewEntry) -> PlacedEntry:
        self._position += 1
        self._stamp = self._stamps.next(self._stamp)
        return PlacedEntry(
            posting=posting,
            version=posting.version or timestamp(self._stamp),
            own=not posting.version,
            position=self._position,
            stamp=self._stamp,
        )

    def documents(
        self, runs: Sequence[Sequence[PlacedEntry]]
    ) -> Iterator[tuple[str, list[Document]]]:
        """The documents to insert for some batches, by the name of the database's collection."""
        yield "runs", [batch_document(self._feed, entries) for entries in runs]
        yield "shelves", [each for run in runs for each in id_documents(self._feed, run)]
        yield "cards", [each for run in runs for each in filter_documents(self._feed, run)]

    def mark(self, places: Sequence[IndexedEntry], cleared: Sequence[IndexedEntry] = ()) -> None:
        """Update the status bits, given all entries of some objects as they are now."""
        groups = [group for group in group_by_object(places).values() if len(group) > 1 or cleared]
        touched = _by_run(self._feed, [*chain.from_iterable(groups), *cleared])
        wanted: dict[str, set[int]] = {"old": set(), "later": set(), "shadowed": set()}
        for group in groups:
            for mark, positions in status_positions(group).items():
                wanted[mark].update(positions)
        documents = find_status_documents(self._base, touched, self._session)
        changes = [
            ReplaceOne({"_id": run}, document, upsert=True)
            for run, inside in touched.items()
            if (document := _remarked(self._feed, inside, wanted, documents.get(run)))
            != documents.get(run)
        ]
        if changes:
            self._base.marks.bulk_write(changes, session=self._session)

    def _cut(self, run: str, indexes: frozenset[int]) -> None:
        kept = self._base.runs.find_one({"_id": run}, session=self._session)
        if kept is None:
            raise LookupError(f"no batch {run}")
        change = {"$set": batch_without(kept, indexes)}
        self._base.runs.update_one({"_id": run}, change, session=self._session)
        for shelf in list(self._base.shelves.find({"run": run}, session=self._session)):
            if indexes.intersection(shelf["at"]):
                change = {"$set": id_document_without(shelf, indexes)}
                self._base.shelves.update_one({"_id": shelf["_id"]}, change, session=self._session)
        self._cut_cards(kept, indexes)

    def _cut_cards(self, run: Document, indexes: frozenset[int]) -> None:
        places = {(run["first"] + index - 1) % BLOCK_SIZE for index in indexes}
        wanted = {"feed": self._feed, "block": run["block"]}
        for card in list(self._base.cards.find(wanted, session=self._session)):
            if (change := filter_document_without(card, places)) is not None:
                self._base.cards.update_one(
                    {"_id": card["_id"]}, {"$set": change}, session=self._session
                )

    def head_change(self, *, removed: bool = False) -> UpdateOne:
        """Moves the head, though only entries were removed: other writers must notice."""
        change = {
            "$set": {"position": self._position, "stamp": self._stamp},
            "$inc": {"writes": 1, "removals": int(removed)},
        }
        return UpdateOne({"_id": self._feed}, change)

    def _run(self, place: IndexedEntry) -> str:
        return batch_id(self._feed, place.first)


@dataclass(frozen=True, slots=True)
class Staged:
    """The entries that will be written to one feed."""

    writer: Writer
    outcomes: list[PublishOutcome]
    """One for each entry, in order."""
    found: Sequence[IndexedEntry]
    """Entries that the feed already has of the same objects."""
    runs: Sequence[Sequence[PlacedEntry]]
    """New entries, split_batches as they are stored."""

    def places(self) -> list[IndexedEntry]:
        """Entries that the feed has of these objects afterwards."""
        return [*self.found, *(_place(each, run[0].position) for run in self.runs for each in run)]


def publish_to_feeds(
    base: Base,
    session: ClientSession,
    stamps: HubClock,
    entries: Mapping[str, Sequence[NewEntry]],
    new: Collection[str],
) -> None:
    """See `Transaction.publish_to_feeds`."""
    found = {head["_id"]: head for head in find_heads(base, session, list(entries))}
    stamps.take(sum(map(len, entries.values())))
    staged = [
        Writer(base, session, found[feed], stamps).stage(each, replace=True, new=new)
        for feed, each in entries.items()
    ]
    write_staged(base, session, staged)


def find_heads(base: Base, session: ClientSession, feeds: Sequence[str]) -> list[Document]:
    """The heads of feeds; raises NotFound if there is no such feed."""
    heads = list(base.heads.find({"_id": {"$in": feeds}}, session=session))
    if len(heads) < len(feeds):
        raise NotFound("there is no such collection")
    return heads


def write_staged(base: Base, session: ClientSession, staged: Sequence[Staged]) -> None:
    """Write what was staged, for all feeds together."""
    staged = [each for each in staged if each.runs]
    inserted: dict[str, list[Document]] = {}
    for each in staged:
        for name, documents in each.writer.documents(each.runs):
            inserted.setdefault(name, []).extend(documents)
    for name, documents in inserted.items():
        base[name].insert_many(documents, session=session)
    for each in staged:
        each.writer.mark(each.places())
    if staged:
        base.heads.bulk_write([each.writer.head_change() for each in staged], session=session)


def _outcome(
    posting: NewEntry, entries: Sequence[IndexedEntry], *, replace: bool
) -> PublishOutcome:
    """The relation of a new entry to the entries that its object has already."""
    alike = [place for place in entries if place.spec == posting.spec]
    if posting.version:
        instant = micros(posting.version)
        same = [place for place in alike if place.instant == instant]
    else:
        same = sorted((p for p in alike if p.own), key=lambda p: p.instant)
    if not same:
        return PublishOutcome.STORED
    if same[-1].digest == posting.digest:
        return PublishOutcome.KNOWN
    return PublishOutcome.STORED if replace and not posting.version else PublishOutcome.CONFLICT


def _place(entry: PlacedEntry, first: int) -> IndexedEntry:
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
    )


def _by_run(feed: str, places: Iterable[IndexedEntry]) -> dict[str, list[IndexedEntry]]:
    found: dict[str, list[IndexedEntry]] = {}
    for place in places:
        found.setdefault(batch_id(feed, place.first), []).append(place)
    return found


def _remarked(
    feed: str,
    inside: Sequence[IndexedEntry],
    wanted: Mapping[str, set[int]],
    document: Document | None,
) -> Document:
    """The status bit document of a batch, with new bits for the entries `inside`."""
    touched = {place.index for place in inside}
    fresh: Document = {
        "_id": batch_id(feed, inside[0].first),
        "feed": feed,
        "block": block_number(inside[0].first),
    }
    for mark, positions in wanted.items():
        kept = set(document[mark]) - touched if document else set()
        carrying = {place.index for place in inside if place.position in positions}
        fresh[mark] = sorted(kept | carrying)
    return fresh
