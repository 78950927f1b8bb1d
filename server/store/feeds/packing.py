"""Packing: many small batches of a block become one, so history is read in large pieces.

A full block is packed whole; in the one that is being filled, from time to time,
what came since the last time.  Positions and stamps stay, superseded versions
stay, and no answer changes: so a feed's `writes` stays too, and cached answers
remain valid.

One transaction packs up to 8 MB.  Like every writer of the feed it writes the
head at its end, so nothing can be published, superseded or removed meanwhile;
unlike them it does not retry at once, but yields.  After it has yielded some
times it writes the head first, so that the others retry once.

How far each feed was packed is remembered in one small document outside the
feed: nobody waits for it, and if it is lost, packed blocks are looked at again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain

import bson
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from tocsin.server.store.connection import (
    MAJORITY_JOURNALED,
    Base,
    Client,
    Document,
    chunk_keys,
)
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    MAX_BODY_OCTETS,
    batch_id,
    body_fields,
    decompress_batch,
    entry_stamp,
    id_bucket,
    id_bucket_count,
    indexed_entries,
    pack_visibility,
)
from tocsin.server.store.feeds.filter_index import build_filter_documents, merge_terms
from tocsin.server.store.feeds.id_index import MAX_KEYS
from tocsin.server.store.feeds.versions import IndexedEntry

log = logging.getLogger(__name__)

PACK_AFTER_WRITES = 64
"""Writes to a block that is not full yet, after which it is packed so far."""
MAX_BATCHES_PER_STEP = 100
"""Batches that one step packs; publishing in this process waits for the step."""
MAX_DOCUMENT_OCTETS = 15_000_000
"""Octets of a packed batch, all its fields; a document of the database ends at 16 MiB."""
MAX_YIELDS = 5
"""Times in a row that the packer yields to other writers."""
_SIZES = {"first": 1, "n": 1, "ends": 1, "stamps": 1}
_CONFLICT = "TransientTransactionError"
_UNKNOWN = "UnknownTransactionCommitResult"


@dataclass(frozen=True, slots=True)
class _Due:
    """A block that may be worth packing."""

    feed: str
    block: int
    writes: int
    """The feed's, when this was found out."""
    full: bool


class Packer:
    """Packs, one step at a time; any number of processes may do it at once."""

    def __init__(
        self, client: Client, base: Base, lock: threading.Lock, many: int = PACK_AFTER_WRITES
    ) -> None:
        """Every transaction in this process holds `lock`."""
        self._client, self._base, self._lock = client, base, lock
        self._many = many
        self._turn = self._waited = 0
        self.packed = 0
        """Packed batches that this process has written."""

    def pack_next(self) -> bool:
        """Look at one block and pack at most 8 MB of it; False if no block is due.

        Nothing happens if another writer changes the feed at the same moment.
        """
        due = list(self._due())
        if not due:
            return False
        self._turn += 1
        each = due[self._turn % len(due)]
        with self._lock:
            made = self._try(each)
        self._waited = self._waited + 1 if made is None else 0
        if made is False:
            self._advance(each)
        self.packed += made is True
        return True

    def progress(self) -> tuple[int, int]:
        """(times any process packed anything, full blocks that are done with)."""
        packs = sum(int(head.get("packs", 0)) for head in self._base.heads.find({}))
        return packs, sum(document["block"] for document in self._base.packing.find({}))

    def _due(self) -> Iterator[_Due]:
        """The next block of each feed that may be worth packing."""
        done = {document["_id"]: document for document in self._base.packing.find({})}
        for head in self._base.heads.find({}, {"position": 1, "writes": 1}):
            feed, writes = head["_id"], int(head["writes"])
            before = done.get(feed, {"block": 0, "writes": 0})
            if before["block"] < head["position"] // BLOCK_SIZE:
                yield _Due(feed, before["block"], writes, full=True)
            elif head["position"] % BLOCK_SIZE and writes - before["writes"] >= self._many:
                yield _Due(feed, before["block"], writes, full=False)

    def _advance(self, due: _Due) -> None:
        """Record that this block has nothing to pack, now or (if it is full) ever."""
        change = {"block": due.block + due.full, "writes": due.writes}
        self._base.packing.update_one({"_id": due.feed}, {"$max": change}, upsert=True)

    def _try(self, due: _Due) -> bool | None:
        """True if something was packed, False if nothing was left; None after yielding."""
        with self._client.start_session() as session:
            try:
                with session.start_transaction(
                    ReadConcern("snapshot"), MAJORITY_JOURNALED, ReadPreference.PRIMARY
                ):
                    if self._waited >= MAX_YIELDS:
                        _take_head(self._base, session, due.feed)
                    return _pack(self._base, session, due)
            except PyMongoError as error:
                if error.has_error_label(_CONFLICT) or error.has_error_label(_UNKNOWN):
                    log.debug("packing block %d of %s gives way: %s", due.block, due.feed, error)
                    return None
                raise


def _pack(base: Base, session: ClientSession, due: _Due) -> bool:
    """Pack the first batches of the block that fit together; False if there are none."""
    block = {"feed": due.feed, "block": due.block}
    sizes = list(base.runs.find(block, _SIZES, session=session).sort("first", 1))
    group = _group(sizes, full=due.full)
    if group is None:
        return False
    first, last = group[0]["first"], group[-1]["first"]
    within = {**block, "first": {"$gte": first, "$lte": last}}
    runs = list(base.runs.find(within, session=session).sort("first", 1))
    packed = merge_batches(runs)
    if len(bson.encode(packed)) > MAX_DOCUMENT_OCTETS:
        log.warning("the rest of block %d of %s stays as it is: too long", due.block, due.feed)
        return False
    ids = [run["_id"] for run in runs]
    shelves = _find_id_documents(base, session, ids)
    marks = [each for each in base.marks.find(block, session=session) if each["_id"] in ids]
    base.runs.replace_one({"_id": packed["_id"]}, packed, session=session)
    for portion in chunk_keys(ids[1:], MAX_KEYS):
        base.runs.delete_many({"_id": {"$in": list(portion)}}, session=session)
    for portion in chunk_keys(ids, MAX_KEYS):
        base.shelves.delete_many({"run": {"$in": list(portion)}}, session=session)
    fresh = merge_id_documents(due.feed, first, chain.from_iterable(map(_all, shelves)))
    if fresh:
        base.shelves.insert_many(fresh, session=session)
    _write_status_bits(base, session, runs, marks)
    _merge_filter_documents(base, session, due.feed, within)
    _take_head(base, session, due.feed)
    return True


def _take_head(base: Base, session: ClientSession, feed: str) -> None:
    """Write the head, so that concurrent writers and readers notice (`ConsistentReader`)."""
    base.heads.update_one({"_id": feed}, {"$inc": {"packs": 1}}, session=session)


def _group(sizes: Sequence[Document], *, full: bool) -> Sequence[Document] | None:
    """The batches of a block to be packed next.

    So as not to pack anything again and again, what is packed already waits until the block
    is full and few batches are left in it.
    """
    groups = (
        _groups(_unpacked(sizes)) if not full or len(sizes) > MAX_BATCHES_PER_STEP else iter(())
    )
    return next(chain(groups, _groups(sizes) if full else ()), None)


def _groups(sizes: Sequence[Document]) -> Iterator[Sequence[Document]]:
    """Consecutive batches whose bodies are short enough to be one, where there are several."""
    start = total = 0
    for i, run in enumerate(sizes):
        length = run["ends"][-1]
        if i > start and (total + length > MAX_BODY_OCTETS or i - start == MAX_BATCHES_PER_STEP):
            if i - start > 1:
                yield sizes[start:i]
            start, total = i, 0
        total += length
    if len(sizes) - start > 1:
        yield sizes[start:]


def _unpacked(sizes: Sequence[Document]) -> Sequence[Document]:
    """The batches that came after the last packed one."""
    start = next((i for i in range(len(sizes), 0, -1) if "stamps" in sizes[i - 1]), 0)
    return sizes[start:]


def _find_id_documents(base: Base, session: ClientSession, ids: Sequence[str]) -> list[Document]:
    return [
        shelf
        for portion in chunk_keys(ids, MAX_KEYS)
        for shelf in base.shelves.find({"run": {"$in": list(portion)}}, session=session)
    ]


def _write_status_bits(
    base: Base, session: ClientSession, runs: Sequence[Document], marks: Sequence[Document]
) -> None:
    if not marks:
        return
    packed = merge_status_bits(runs, marks)
    base.marks.replace_one({"_id": packed["_id"]}, packed, upsert=True, session=session)
    others = [each["_id"] for each in marks if each["_id"] != packed["_id"]]
    for portion in chunk_keys(others, MAX_KEYS):
        base.marks.delete_many({"_id": {"$in": list(portion)}}, session=session)


def _merge_filter_documents(
    base: Base, session: ClientSession, feed: str, within: Document
) -> None:
    """Merge the filter documents of the packed batches into those of the first one."""
    cards = list(base.cards.find(within, session=session))
    for portion in chunk_keys([card["_id"] for card in cards], MAX_KEYS):
        base.cards.delete_many({"_id": {"$in": list(portion)}}, session=session)
    fresh = build_filter_documents(feed, within["first"]["$gte"], merge_terms(cards))
    if fresh:
        base.cards.insert_many(fresh, session=session)


def merge_batches(runs: Sequence[Document]) -> Document:
    """Merge consecutive batches of a block into one, which has the id of the first."""
    runs = [decompress_batch(run) for run in runs]
    lengths = (_lengths(run["ends"]) for run in runs)
    head = runs[0]
    return {
        **{name: head[name] for name in ("_id", "feed", "block", "first", "stamp")},
        "n": sum(run["n"] for run in runs),
        "stamps": [entry_stamp(run, i) for run in runs for i in range(run["n"])],
        **{name: _joined(runs, name) for name in ("ids", "types", "specs", "versions")},
        "ends": list(accumulate(chain.from_iterable(lengths))),
        **body_fields(b"".join(run["body"] for run in runs), packed=True),
        "gone": [run["first"] - head["first"] + i for run in runs for i in run["gone"]],
    }


def _joined(runs: Iterable[Document], name: str) -> list[object]:
    return list(chain.from_iterable(run[name] for run in runs))


def _lengths(ends: Sequence[int]) -> Iterator[int]:
    return (end - begin for begin, end in zip([0, *ends], ends, strict=False))


def merge_status_bits(runs: Sequence[Document], marks: Iterable[Document]) -> Document:
    """The status bits of a packed batch, given those of the batches it was merged from."""
    firsts = {run["_id"]: run["first"] for run in runs}
    head = runs[0]
    shifted: dict[str, list[int]] = {"old": [], "later": [], "shadowed": []}
    for document in marks:
        offset = firsts[document["_id"]] - head["first"]
        for mark, indexes in shifted.items():
            indexes.extend(offset + i for i in document[mark])
    sorted_ = {mark: sorted(indexes) for mark, indexes in shifted.items()}
    return {**{name: head[name] for name in ("_id", "feed", "block")}, **sorted_}


def merge_id_documents(feed: str, first: int, entries: Iterable[IndexedEntry]) -> list[Document]:
    """The id documents of a packed batch that begins at position `first`."""
    kept = sorted((replace(each, first=first) for each in entries), key=lambda p: p.position)
    count = id_bucket_count(len(kept))
    shelves: dict[int, list[IndexedEntry]] = {}
    for place in kept:
        shelves.setdefault(id_bucket(place.id) % count, []).append(place)
    return [_id_document(feed, number, inside) for number, inside in sorted(shelves.items())]


def _id_document(feed: str, number: int, inside: Sequence[IndexedEntry]) -> Document:
    first = inside[0].first
    return {
        "_id": f"{batch_id(feed, first)}/{number}",
        "feed": feed,
        "run": batch_id(feed, first),
        "first": first,
        "stamps": [place.stamp for place in inside],
        "at": [place.index for place in inside],
        "ids": [place.id for place in inside],
        "types": [place.type for place in inside],
        "specs": [place.spec for place in inside],
        "versions": [place.version for place in inside],
        "traits": [pack_visibility(place.visibility) for place in inside],
        "own": [i for i, place in enumerate(inside) if place.own],
        "digests": b"".join(place.digest for place in inside),
    }


def _all(shelf: Document) -> Iterator[IndexedEntry]:
    return indexed_entries(shelf, shelf["ids"])
