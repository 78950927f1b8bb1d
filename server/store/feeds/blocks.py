"""The documents of a feed: heads, entry batches, the id index and status bits.

An entry *batch* (collection `entry_batches`) is written and read as one document: up to
1,000 consecutive entries with their bodies one after the other.  Its *id
documents* (`id_index`) hold the ids, so that looking an object up never touches a
body; each has about 32 entries, chosen by a hash of the id, because the cost of
comparing a list of wanted ids with a list of present ones is the product of both.
Its *status bits* (`status_bits`) say which entries are superseded; they change, batches
do not.

Many small batches are *packed* into one later: such a batch lists its stamps,
which are no longer consecutive, and its body is compressed.  A large publication
is written in this form at once.

Pure, but for `find_entries` and `find_status_documents`, which look up many at a time.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import zstandard

from tocsin.admission.errors import TooLarge
from tocsin.admission.model import Tlp
from tocsin.server.model import LEAST_VISIBLE, Entry, FeedHead, NewEntry, Visibility
from tocsin.server.store.connection import (
    MAX_KEYS,
    Base,
    Document,
    Session,
    chunk_keys,
    find_by_keys,
)
from tocsin.server.store.feeds.versions import BatchColumns, IndexedEntry, StatusBits

BLOCK_SIZE = 1_000
"""Positions in a block; a batch never crosses the border of a block."""
MAX_BODY_OCTETS = 8_000_000
"""Octets of bodies after which a batch is closed."""
PACKED_AT_ONCE = 200
"""Entries of one publication from which on its batches are written as packed ones."""
MAX_OBJECT_OCTETS = 15_000_000
"""Octets of one object; the database takes documents of at most 16 MiB."""
ID_BUCKETS = 32
"""Id documents of a full batch; a power of two."""
_ENTRIES_PER_BUCKET = 32
_IDS_PER_GROUP = 16
"""Ids that are looked up together, about: a look-up costs the embedded engine a millisecond, and
it compares each of them with each one in a document that it finds."""
_DIGEST = 16
_COMPRESSION_LEVEL = 3
"""Compression level of zstd; higher levels take much longer and save little."""


class PackedHead(NamedTuple):
    """A feed's head, and its number of packings."""

    head: FeedHead
    packs: int

    @classmethod
    def of(cls, document: Document) -> PackedHead:
        """The head in a database document."""
        head = FeedHead(*(int(document[name]) for name in FeedHead._fields))
        return cls(head, int(document.get("packs", 0)))


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """A new entry that was accepted, with its place in the feed."""

    posting: NewEntry
    version: str
    own: bool
    position: int
    stamp: int


def block_number(position: int) -> int:
    """The number of the block in which a position lies."""
    return (position - 1) // BLOCK_SIZE


def batch_id(feed: str, first: int) -> str:
    """The id of the batch that begins at position `first`."""
    return f"{feed}/{first}"


def id_bucket(object_id: str) -> int:
    """The number of the id document of a full batch that holds an object."""
    return zlib.crc32(object_id.encode()) % ID_BUCKETS


def pack_visibility(visibility: Visibility) -> int:
    """Visibility as one int64: `valid_until` + 1, a bit for revoked, three for the level."""
    until = 0 if visibility.valid_until is None else max(visibility.valid_until, 0) + 1
    return until << 4 | visibility.revoked << 3 | visibility.tlp


def unpack_visibility(packed: int) -> Visibility:
    """The inverse of `pack_visibility`."""
    until = packed >> 4
    return Visibility(Tlp(packed & 7), bool(packed & 8), until - 1 if until else None)


def is_packed_at_once(entries: Sequence[PlacedEntry]) -> bool:
    """True if the batches of a publication are written as they would be packed later."""
    return len(entries) >= PACKED_AT_ONCE


def split_batches(entries: Sequence[PlacedEntry]) -> Iterator[Sequence[PlacedEntry]]:
    """Split consecutive entries into batches; unless they are packed, stamps are consecutive too.

    Raises TooLarge if one object exceeds `MAX_OBJECT_OCTETS`.
    """
    start, size, packed = 0, 0, is_packed_at_once(entries)
    for i, entry in enumerate(entries):
        length = len(entry.posting.body)
        if length > MAX_OBJECT_OCTETS:
            raise TooLarge(f"{entry.posting.id} is longer than {MAX_OBJECT_OCTETS:,} octets")
        border = block_number(entry.position) != block_number(entries[start].position)
        if not packed:
            border = border or entry.stamp != entries[start].stamp + i - start
        if i > start and (border or size + length > MAX_BODY_OCTETS):
            yield entries[start:i]
            start, size = i, 0
        size += length
    if entries:
        yield entries[start:]


def batch_document(feed: str, entries: Sequence[PlacedEntry], *, packed: bool) -> Document:
    """The batch that holds these entries."""
    postings = [entry.posting for entry in entries]
    first = entries[0].position
    return {
        "_id": batch_id(feed, first),
        "feed": feed,
        "block": block_number(first),
        "first": first,
        "n": len(entries),
        "stamp": entries[0].stamp,
        "ids": [p.id for p in postings],
        "types": [p.type for p in postings],
        "specs": [p.spec for p in postings],
        "versions": [entry.version for entry in entries],
        "ends": list(accumulate(len(p.body) for p in postings)),
        **body_fields(b"".join(p.body for p in postings), packed=packed),
        **({"stamps": [entry.stamp for entry in entries]} if packed else {}),
        "gone": [],
    }


def id_documents(feed: str, entries: Sequence[IndexedEntry], *, packed: bool) -> list[Document]:
    """The id documents of the batch that holds these entries, in order of position."""
    count = _id_bucket_count(len(entries))
    buckets: dict[int, list[IndexedEntry]] = {}
    for entry in entries:
        buckets.setdefault(id_bucket(entry.id) % count, []).append(entry)
    return [
        _id_document(feed, number, inside, packed=packed)
        for number, inside in sorted(buckets.items())
    ]


def _id_bucket_count(entries: int) -> int:
    """The number of id documents for a batch of this many entries."""
    count = 1
    while count < ID_BUCKETS and count * _ENTRIES_PER_BUCKET < entries:
        count *= 2
    return count


def _id_document(
    feed: str, number: int, inside: Sequence[IndexedEntry], *, packed: bool
) -> Document:
    first, owners = inside[0].first, [entry.owner for entry in inside]
    stamps = [entry.stamp for entry in inside]
    return {
        "_id": f"{batch_id(feed, first)}/{number}",
        "feed": feed,
        "run": batch_id(feed, first),
        "first": first,
        **({"stamps": stamps} if packed else {"stamp": stamps[0] - inside[0].index}),
        "at": [entry.index for entry in inside],
        "ids": [entry.id for entry in inside],
        "types": [entry.type for entry in inside],
        "specs": [entry.spec for entry in inside],
        "versions": [entry.version for entry in inside],
        "traits": [pack_visibility(entry.visibility) for entry in inside],
        "own": [i for i, entry in enumerate(inside) if entry.own],
        "digests": b"".join(entry.digest for entry in inside),
        **({"owners": owners} if any(owners) else {}),  # none in a feed
    }


def indexed_entries(
    document: Document, wanted: Iterable[str] | None = None
) -> Iterator[IndexedEntry]:
    """The entries of the wanted objects in an id document; None: of all."""
    ids, visibility = document["ids"], document.get("traits")
    wanted = None if wanted is None else frozenset(wanted)
    owners = document.get("owners")
    for i, at in enumerate(document["at"]):
        if wanted is None or ids[i] in wanted:
            yield IndexedEntry(
                id=ids[i],
                type=document["types"][i],
                spec=document["specs"][i],
                version=document["versions"][i],
                digest=document["digests"][i * _DIGEST : (i + 1) * _DIGEST],
                own=i in document["own"],
                position=document["first"] + at,
                stamp=document["stamps"][i] if "stamps" in document else document["stamp"] + at,
                first=document["first"],
                visibility=unpack_visibility(visibility[i]) if visibility else LEAST_VISIBLE,
                owner=owners[i] if owners else "",
            )


def batch_columns(batch: Document, matched: Collection[int] | None = None) -> BatchColumns:
    """The columns of a batch for `VersionFilter`; None for `matched` positions means all.

    A plain filter needs neither types nor versions, so they may not have been read.
    """
    indexes = None if matched is None else sorted(position - batch["first"] for position in matched)
    return BatchColumns(
        n=batch["n"],
        types=batch.get("types", ()),
        specs=batch.get("specs", ()),
        versions=batch.get("versions", ()),
        gone=frozenset(batch["gone"]),
        matched=indexes and [i for i in indexes if 0 <= i < batch["n"]],
    )


def entry_stamp(batch: Document, index: int) -> int:
    """An entry's stamp."""
    stamp: int = batch["stamps"][index] if "stamps" in batch else batch["stamp"] + index
    return stamp


def index_after(batch: Document, stamp: int) -> int:
    """The index of the batch's first entry with a later stamp; it may lie beyond the batch."""
    if "stamps" in batch:
        return bisect_right(batch["stamps"], stamp)
    return max(0, stamp + 1 - int(batch["stamp"]))


def decompress_batch(batch: Document) -> Document:
    """The batch with its body, if that was read, uncompressed, as `entry_body` needs it."""
    if not batch.get("zstd") or "body" not in batch:
        return batch
    length = batch["ends"][-1]
    body = zstandard.ZstdDecompressor().decompress(batch["body"], max_output_size=length)
    return {**batch, "body": body, "zstd": False}


def entry_body(batch: Document, index: int) -> bytes:
    """The JSON of one object, as it was published."""
    ends = batch["ends"]
    body: bytes = batch["body"]
    return body[ends[index - 1] if index else 0 : ends[index]]


def entry_at(batch: Document, index: int, body: bytes = b"") -> Entry:
    """One entry of a batch."""
    return Entry(
        position=batch["first"] + index,
        stamp=entry_stamp(batch, index),
        id=batch["ids"][index],
        version=batch["versions"][index],
        spec=batch["specs"][index],
        body=body,
    )


def read_status_bits(document: Document | None) -> StatusBits:
    """The status bits of a batch; none if it has no such document."""
    if document is None:
        return StatusBits()
    return StatusBits(*(frozenset(document[name]) for name in ("old", "later", "shadowed")))


def first_position(status: Document) -> int:
    """The first position of the batch to which a document of status bits belongs."""
    return int(status["_id"].rpartition("/")[2])


def batch_without(batch: Document, indexes: frozenset[int]) -> Document:
    """The fields of a batch that change when entries (by index) are removed from it.

    Bodies and ids go; the positions stay.
    """
    batch = decompress_batch(batch)
    kept = [i not in indexes for i in range(batch["n"])]
    bodies = [entry_body(batch, i) if kept[i] else b"" for i in range(batch["n"])]
    return {
        "ids": [id if kept[i] else "" for i, id in enumerate(batch["ids"])],
        "versions": [version if kept[i] else "" for i, version in enumerate(batch["versions"])],
        "ends": list(accumulate(map(len, bodies))),
        **body_fields(b"".join(bodies), packed="stamps" in batch),
        "gone": sorted({*batch["gone"], *indexes}),
    }


def id_document_without(document: Document, indexes: frozenset[int]) -> Document:
    """The fields of an id document that change when entries (by index in the batch) are removed."""
    kept = [i for i, at in enumerate(document["at"]) if at not in indexes]
    own, digests = frozenset(document["own"]), document["digests"]
    names = ("at", "ids", "types", "specs", "versions", "traits", "stamps", "owners")
    return {
        **{key: [document[key][i] for i in kept] for key in names if key in document},
        "own": [new for new, i in enumerate(kept) if i in own],
        "digests": b"".join(digests[i * _DIGEST : (i + 1) * _DIGEST] for i in kept),
    }


def body_fields(body: bytes, *, packed: bool) -> Document:
    """The fields that hold the body of a batch; it is compressed if the batch is packed."""
    if not packed:
        return {"body": body}
    return {"body": zstandard.ZstdCompressor(_COMPRESSION_LEVEL).compress(body), "zstd": True}


def find_entries(
    base: Base, feed: str, ids: Iterable[str], session: Session = None
) -> list[IndexedEntry]:
    """Every entry in the feed of the objects with these ids, in no particular order."""
    groups = group_by_bucket(ids)
    every = frozenset(id for group in groups for id in group)
    documents = find_by_keys(
        base.id_index, groups, lambda wanted: {"feed": feed, "ids": {"$in": wanted}}, session
    )
    found = {document["_id"]: document for document in documents}
    return [entry for each in found.values() for entry in indexed_entries(each, every)]


def find_entries_at(base: Base, feed: str, positions: Iterable[int]) -> list[IndexedEntry]:
    """The entries at these positions of the feed, in no particular order.

    Quicker than `find_entries`: no array of ids is compared.  An entry whose batch is packed
    meanwhile may be missing.
    """
    wanted = sorted(set(positions))
    starts: list[int] = []
    for chunk in chunk_keys(sorted(set(map(block_number, wanted))), MAX_KEYS):
        within = {"feed": feed, "block": {"$in": list(chunk)}}
        starts += (int(each["first"]) for each in base.entry_batches.find(within, {"first": 1}))
    starts.sort()
    firsts = {starts[i - 1] for i in (bisect_right(starts, each) for each in wanted) if i}
    runs = [batch_id(feed, first) for first in sorted(firsts)]
    at = frozenset(wanted)
    return [
        entry
        for chunk in chunk_keys(runs, MAX_KEYS)
        for document in base.id_index.find({"run": {"$in": list(chunk)}})
        for entry in indexed_entries(document)
        if entry.position in at
    ]


def find_positions_with_status(base: Base, feed: str, positions: Iterable[int]) -> set[int]:
    """Find those of these positions whose entries have a status bit.

    The others are the only entries of their objects in the feed, or in their spec_version.
    """
    wanted = set(positions)
    found: set[int] = set()
    for chunk in chunk_keys(sorted(set(map(block_number, wanted))), MAX_KEYS):
        for document in base.status_bits.find({"feed": feed, "block": {"$in": list(chunk)}}):
            first, bits = first_position(document), read_status_bits(document)
            found |= {first + i for i in bits.old | bits.later | bits.shadowed}
    return wanted & found


def find_status_documents(
    base: Base, batch_ids: Iterable[str], session: Session = None
) -> dict[str, Document]:
    """The status bit documents of these batches, by batch id; a batch may have none."""
    portions = list(chunk_keys(sorted(set(batch_ids)), MAX_KEYS))
    found = find_by_keys(base.status_bits, portions, lambda ids: {"_id": {"$in": ids}}, session)
    return {document["_id"]: document for document in found}


def group_by_bucket(ids: Iterable[str]) -> list[list[str]]:
    """Group the ids by the id document of a full batch that holds them; each id once.

    A few ids are in fewer groups, each of which has all ids of some of these documents.
    """
    distinct = sorted(set(ids))
    count = 1
    while count < ID_BUCKETS and count * _IDS_PER_GROUP < len(distinct):
        count *= 2
    groups: list[list[str]] = [[] for _ in range(count)]
    for id in distinct:
        groups[id_bucket(id) % len(groups)].append(id)
    return [group for group in groups if group]
