"""Packing: many small batches of a block become one, so history is read in large pieces.

A full block is packed completely, unless it consists of a few packed batches; in the block
that is being filled, the new batches are packed from time to time.  Positions, stamps and
superseded versions stay, and no response changes: so a feed's `writes` stays too, and cached
responses remain valid.

One transaction packs up to 8 MB.  Like every writer of the feed it writes the
head at its end, so nothing can be published, superseded or removed meanwhile;
unlike them it does not retry at once, but yields.  After it has yielded several
times it writes the head first, so that the others retry once.

The progress of each feed is stored in one small document outside the feed: nothing
waits for it, and if it is lost, packed blocks are examined again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, groupby

import bson
from pymongo.client_session import ClientSession

from tocsin.server.processes.shared_folder import CommitLock
from tocsin.server.store.configuration import ONLY_FEEDS
from tocsin.server.store.connection import (
    MAX_KEYS,
    Base,
    Client,
    Document,
    chunk_keys,
    try_transaction,
)
from tocsin.server.store.feeds.blocks import (
    BLOCK_SIZE,
    MAX_BODY_OCTETS,
    body_fields,
    decompress_batch,
    entry_stamp,
    id_documents,
    indexed_entries,
)
from tocsin.server.store.feeds.filter_index import build_filter_documents, merge_terms
from tocsin.server.store.feeds.versions import IndexedEntry

log = logging.getLogger(__name__)

PACK_PAUSE_SECONDS = 2.0
"""Seconds between two looks for blocks to pack."""
PACK_REST = 4
"""Packing rests for this multiple of its last step's time."""
PACK_AFTER_WRITES = 64
"""Number of writes to a block that is not full yet, after which its new batches are packed."""
MAX_BATCHES_PER_STEP = 100
"""Maximum number of batches per step; publishing in this process waits for the step."""
FEW_BATCHES = 4
"""Packed batches of a full block that are left as they are: packing them would cost more."""
MAX_DOCUMENT_OCTETS = 15_000_000
"""Maximum length of a packed batch with all its fields; the database's limit is 16 MiB."""
MAX_YIELDS = 5
"""Maximum number of times in a row that the packer yields to other writers."""
_SIZES = {"first": 1, "n": 1, "ends": 1, "stamps": 1}


@dataclass(frozen=True, slots=True)
class _Due:
    """A block that may be worth packing."""

    feed: str
    block: int
    writes: int
    """The feed's number of writes when the block was found."""
    full: bool


class Packer:
    """Packs, one step at a time; any number of processes may do it at once."""

    def __init__(
        self,
        client: Client,
        base: Base,
        lock: CommitLock,
        after_writes: int = PACK_AFTER_WRITES,
    ) -> None:
        """`lock` is the store's commit lock; transactions of other processes may still overlap."""
        self._client, self._base, self._lock = client, base, lock
        self._after_writes = after_writes
        self._steps = self._yielded = 0
        self.packed = 0
        """Number of packed batches that this process has written."""

    def pack_next(self) -> bool:
        """Examine one block and pack at most 8 MB of it; False if no block is due.

        Nothing happens if another writer changes the feed at the same moment.
        """
        due = list(self._due())
        if not due:
            return False
        self._steps += 1
        due_block = due[self._steps % len(due)]
        with self._lock:
            packed = self._try(due_block)
        self._yielded = self._yielded + 1 if packed is None else 0
        if packed is False:
            self._advance(due_block)
        self.packed += packed is True
        return True

    def progress(self) -> tuple[int, int]:
        """Return how often any process packed, and the number of full blocks that are done."""
        packs = sum(int(head.get("packs", 0)) for head in self._base.heads.find(ONLY_FEEDS))
        return packs, sum(document["block"] for document in self._base.packing.find({}))

    def _due(self) -> Iterator[_Due]:
        """The next block of each feed that may be worth packing."""
        done = {document["_id"]: document for document in self._base.packing.find({})}
        for head in self._base.heads.find(ONLY_FEEDS, {"position": 1, "writes": 1}):
            feed, writes = head["_id"], int(head["writes"])
            before = done.get(feed, {"block": 0, "writes": 0})
            if before["block"] < head["position"] // BLOCK_SIZE:
                yield _Due(feed, before["block"], writes, full=True)
            elif head["position"] % BLOCK_SIZE and writes - before["writes"] >= self._after_writes:
                yield _Due(feed, before["block"], writes, full=False)

    def _advance(self, due: _Due) -> None:
        """Record that this block has nothing to pack, now or (if it is full) ever."""
        change = {"block": due.block + due.full, "writes": due.writes}
        self._base.packing.update_one({"_id": due.feed}, {"$max": change}, upsert=True)

    def _try(self, due: _Due) -> bool | None:
        """True if something was packed, False if nothing was left; None after yielding."""

        def pack(session: ClientSession) -> bool:
            if self._yielded >= MAX_YIELDS:
                _write_head(self._base, session, due.feed)
            return _pack(self._base, session, due)

        name = f"packing block {due.block} of {due.feed}"
        return try_transaction(self._client, pack, name, log)


def _pack(base: Base, session: ClientSession, due: _Due) -> bool:
    """Pack the first batches of the block that fit together; False if there are none."""
    block = {"feed": due.feed, "block": due.block}
    sizes = list(base.entry_batches.find(block, _SIZES, session=session).sort("first", 1))
    group = _next_group(sizes, full=due.full)
    if group is None:
        return False
    first = group[0]["first"]
    ids = [batch["_id"] for batch in group]
    batches = [
        batch
        for chunk in chunk_keys(ids, MAX_KEYS)
        for batch in base.entry_batches.find({"_id": {"$in": list(chunk)}}, session=session)
    ]
    batches.sort(key=lambda batch: int(batch["first"]))
    packed = merge_batches(batches)
    if len(bson.encode(packed)) > MAX_DOCUMENT_OCTETS:
        log.warning("the rest of block %d of %s is not packed: too long", due.block, due.feed)
        return False
    former = _find_id_documents(base, session, ids)
    status_documents = [
        each for each in base.status_bits.find(block, session=session) if each["_id"] in ids
    ]
    base.entry_batches.replace_one({"_id": packed["_id"]}, packed, session=session)
    for chunk in chunk_keys(ids[1:], MAX_KEYS):
        base.entry_batches.delete_many({"_id": {"$in": list(chunk)}}, session=session)
    for chunk in chunk_keys(ids, MAX_KEYS):
        base.id_index.delete_many({"run": {"$in": list(chunk)}}, session=session)
    entries = chain.from_iterable(map(_all_entries, former))
    kept = sorted((replace(e, first=first) for e in entries), key=lambda e: e.position)
    new_documents = id_documents(due.feed, kept, packed=True)
    if new_documents:
        base.id_index.insert_many(new_documents, session=session)
    _write_status_bits(base, session, batches, status_documents)
    _merge_filter_documents(base, session, block, {batch["first"] for batch in batches})
    _write_head(base, session, due.feed)
    return True


def _write_head(base: Base, session: ClientSession, feed: str) -> None:
    """Write the head, so that concurrent writers and readers notice (`ConsistentReader`)."""
    base.heads.update_one({"_id": feed}, {"$inc": {"packs": 1}}, session=session)


def _next_group(sizes: Sequence[Document], *, full: bool) -> Sequence[Document] | None:
    """The batches of a block to be packed next.

    To avoid repeated packing, packed batches are packed again only when the block is full and
    few batches are left in it, but more than `FEW_BATCHES`.
    """
    if full and len(sizes) <= FEW_BATCHES and all("stamps" in batch for batch in sizes):
        return None
    groups: Iterator[Sequence[Document]] = iter(())
    if not full or len(sizes) > MAX_BATCHES_PER_STEP:
        groups = chain.from_iterable(map(_split_groups, _unpacked(sizes)))
    return next(chain(groups, _split_groups(sizes) if full else ()), None)


def _split_groups(sizes: Sequence[Document]) -> Iterator[Sequence[Document]]:
    """Groups of two or more consecutive batches whose bodies fit into one batch."""
    start = total = 0
    for i, batch in enumerate(sizes):
        length = batch["ends"][-1]
        if i > start and (total + length > MAX_BODY_OCTETS or i - start == MAX_BATCHES_PER_STEP):
            if i - start > 1:
                yield sizes[start:i]
            start, total = i, 0
        total += length
    if len(sizes) - start > 1:
        yield sizes[start:]


def _unpacked(sizes: Sequence[Document]) -> Iterator[Sequence[Document]]:
    """The batches that are not packed, each time those between two packed ones."""
    for packed, batches in groupby(sizes, key=lambda batch: "stamps" in batch):
        if not packed:
            yield list(batches)


def _find_id_documents(base: Base, session: ClientSession, ids: Sequence[str]) -> list[Document]:
    return [
        id_document
        for chunk in chunk_keys(ids, MAX_KEYS)
        for id_document in base.id_index.find({"run": {"$in": list(chunk)}}, session=session)
    ]


def _write_status_bits(
    base: Base,
    session: ClientSession,
    batches: Sequence[Document],
    status_documents: Sequence[Document],
) -> None:
    if not status_documents:
        return
    packed = merge_status_bits(batches, status_documents)
    base.status_bits.replace_one({"_id": packed["_id"]}, packed, upsert=True, session=session)
    others = [each["_id"] for each in status_documents if each["_id"] != packed["_id"]]
    for chunk in chunk_keys(others, MAX_KEYS):
        base.status_bits.delete_many({"_id": {"$in": list(chunk)}}, session=session)


def _merge_filter_documents(
    base: Base, session: ClientSession, block: Document, firsts: Collection[int]
) -> None:
    """Merge the filter documents of the batches that begin at `firsts` into those of one."""
    filter_documents = [
        each for each in base.filter_index.find(block, session=session) if each["first"] in firsts
    ]
    for chunk in chunk_keys(
        [filter_document["_id"] for filter_document in filter_documents], MAX_KEYS
    ):
        base.filter_index.delete_many({"_id": {"$in": list(chunk)}}, session=session)
    new_documents = build_filter_documents(
        block["feed"], min(firsts), merge_terms(filter_documents)
    )
    if new_documents:
        base.filter_index.insert_many(new_documents, session=session)


def merge_batches(batches: Sequence[Document]) -> Document:
    """Merge consecutive batches of a block into one, which has the id of the first."""
    batches = [decompress_batch(batch) for batch in batches]
    lengths = (_lengths(batch["ends"]) for batch in batches)
    head = batches[0]
    return {
        **{name: head[name] for name in ("_id", "feed", "block", "first", "stamp")},
        "n": sum(batch["n"] for batch in batches),
        "stamps": [entry_stamp(batch, i) for batch in batches for i in range(batch["n"])],
        **{name: _concatenate(batches, name) for name in ("ids", "types", "specs", "versions")},
        "ends": list(accumulate(chain.from_iterable(lengths))),
        **body_fields(b"".join(batch["body"] for batch in batches), packed=True),
        "gone": [batch["first"] - head["first"] + i for batch in batches for i in batch["gone"]],
    }


def _concatenate(batches: Iterable[Document], name: str) -> list[object]:
    return list(chain.from_iterable(batch[name] for batch in batches))


def _lengths(ends: Sequence[int]) -> Iterator[int]:
    return (end - begin for begin, end in zip([0, *ends], ends, strict=False))


def merge_status_bits(
    batches: Sequence[Document], status_documents: Iterable[Document]
) -> Document:
    """The status bits of a packed batch, given those of the batches it was merged from."""
    firsts = {batch["_id"]: batch["first"] for batch in batches}
    head = batches[0]
    shifted: dict[str, list[int]] = {"old": [], "later": [], "shadowed": []}
    for document in status_documents:
        offset = firsts[document["_id"]] - head["first"]
        for bit, indexes in shifted.items():
            indexes.extend(offset + i for i in document[bit])
    sorted_ = {bit: sorted(indexes) for bit, indexes in shifted.items()}
    return {**{name: head[name] for name in ("_id", "feed", "block")}, **sorted_}


def _all_entries(id_document: Document) -> Iterator[IndexedEntry]:
    return indexed_entries(id_document, id_document["ids"])
