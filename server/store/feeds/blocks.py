"""The documents of a feed: entry batches, the id index and status bits.  Pure.

An entry *batch* (collection `runs`) is written and read as one document: up to
1,000 consecutive entries with their bodies one after the other.  Its *id
documents* (`shelves`) hold the ids, so that looking an object up never touches a
body; each takes about 32 entries, chosen by a hash of the id, because an engine
that compares a list of wanted ids with a list of present ones pays for the
product of both.  Its *status bits* (`marks`) say which entries are superseded;
they change, batches do not.

What was written in many small batches is *packed* into one later: such a batch
lists its stamps, which are no longer consecutive, and its body is compressed.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import (
    Collection,
    Iterable,
    Iterator,
    Sequence,
)
from dataclasses import dataclass
from itertools import accumulate

import zstandard

from tocsin.admission.errors import TooLarge
from tocsin.admission.model import Tlp
from tocsin.server.model import LEAST_VISIBLE, NewEntry, Visibility
from tocsin.server.store.connection import Document
from tocsin.server.store.feeds.versions import BatchColumns, IndexedEntry, StatusBits

BLOCK_SIZE = 1_000
"""Positions in a block; a run never crosses a block's border."""
MAX_BODY_OCTETS = 8_000_000
"""Octets of body after which a run is closed."""
MAX_OBJECT_OCTETS = 15_000_000
"""Octets; a document of the database ends at 16 MiB."""
ID_BUCKETS = 32
"""Into how many shelves a full run is divided; a power of two."""
_PER_SHELF = 32
_DIGEST = 16
_LEVEL = 3
"""Of zstd: higher ones take much longer for little."""


@dataclass(frozen=True, slots=True)
class PlacedEntry:
    """A posting that was accepted, with its place in the feed."""

    posting: NewEntry
    version: str
    own: bool
    position: int
    stamp: int


def block_number(position: int) -> int:
    """The number of the block in which a position lies."""
    return (position - 1) // BLOCK_SIZE


def batch_id(feed: str, first: int) -> str:
    """The id of the run that begins at position `first`."""
    return f"{feed}/{first}"


def id_bucket(object_id: str) -> int:
    """The number of the shelf, in a full run, on which an object stands."""
    return zlib.crc32(object_id.encode()) % ID_BUCKETS


def pack_visibility(traits: Visibility) -> int:
    """Traits as one int64: `valid_until` + 1, a bit for revoked, three for the level."""
    until = 0 if traits.valid_until is None else max(traits.valid_until, 0) + 1
    return until << 4 | traits.revoked << 3 | traits.tlp


def unpack_visibility(written: int) -> Visibility:
    """The inverse of `pack_visibility`."""
    until = written >> 4
    return Visibility(Tlp(written & 7), bool(written & 8), until - 1 if until else None)


def split_batches(fresh: Sequence[PlacedEntry]) -> Iterator[Sequence[PlacedEntry]]:
    """Consecutive entries cut into what becomes one run each.

    Raises TooLarge if one object alone does not fit.
    """
    start = size = 0
    for i, entry in enumerate(fresh):
        length = len(entry.posting.body)
        if length > MAX_OBJECT_OCTETS:
            raise TooLarge(f"{entry.posting.id} is longer than {MAX_OBJECT_OCTETS:,} octets")
        border = block_number(entry.position) != block_number(fresh[start].position)
        if i > start and (border or size + length > MAX_BODY_OCTETS):
            yield fresh[start:i]
            start, size = i, 0
        size += length
    if fresh:
        yield fresh[start:]


def batch_document(feed: str, entries: Sequence[PlacedEntry]) -> Document:
    """The run that holds these entries."""
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
        "body": b"".join(p.body for p in postings),
        "gone": [],
    }


def id_documents(feed: str, entries: Sequence[PlacedEntry]) -> list[Document]:
    """The shelves of the run that holds these entries."""
    count = id_bucket_count(len(entries))
    shelves: dict[int, list[PlacedEntry]] = {}
    for entry in entries:
        shelves.setdefault(id_bucket(entry.posting.id) % count, []).append(entry)
    return [_shelf(feed, entries[0], number, shelf) for number, shelf in sorted(shelves.items())]


def id_bucket_count(entries: int) -> int:
    """Into how many shelves so many entries are divided."""
    count = 1
    while count < ID_BUCKETS and count * _PER_SHELF < entries:
        count *= 2
    return count


def _shelf(feed: str, head: PlacedEntry, number: int, entries: Sequence[PlacedEntry]) -> Document:
    postings = [entry.posting for entry in entries]
    return {
        "_id": f"{batch_id(feed, head.position)}/{number}",
        "feed": feed,
        "run": batch_id(feed, head.position),
        "first": head.position,
        "stamp": head.stamp,
        "at": [entry.position - head.position for entry in entries],
        "ids": [p.id for p in postings],
        "types": [p.type for p in postings],
        "specs": [p.spec for p in postings],
        "versions": [entry.version for entry in entries],
        "traits": [pack_visibility(p.visibility) for p in postings],
        "own": [i for i, entry in enumerate(entries) if entry.own],
        "digests": b"".join(p.digest for p in postings),
    }


def indexed_entries(shelf: Document, wanted: Iterable[str]) -> Iterator[IndexedEntry]:
    """The entries of the wanted objects on a shelf."""
    ids, wanted, traits = shelf["ids"], frozenset(wanted), shelf.get("traits")
    for i, at in enumerate(shelf["at"]):
        if ids[i] in wanted:
            yield IndexedEntry(
                id=ids[i],
                type=shelf["types"][i],
                spec=shelf["specs"][i],
                version=shelf["versions"][i],
                digest=shelf["digests"][i * _DIGEST : (i + 1) * _DIGEST],
                own=i in shelf["own"],
                position=shelf["first"] + at,
                stamp=shelf["stamps"][i] if "stamps" in shelf else shelf["stamp"] + at,
                first=shelf["first"],
                visibility=unpack_visibility(traits[i]) if traits else LEAST_VISIBLE,
            )


def batch_columns(run: Document, picked: Collection[int] | None = None) -> BatchColumns:
    """What a choice looks at in a run; of only the `picked` positions, if any are named.

    A plain choice needs neither types nor versions, so they may not have been read.
    """
    indexes = None if picked is None else sorted(position - run["first"] for position in picked)
    return BatchColumns(
        n=run["n"],
        types=run.get("types", ()),
        specs=run.get("specs", ()),
        versions=run.get("versions", ()),
        gone=frozenset(run["gone"]),
        picked=indexes and [i for i in indexes if 0 <= i < run["n"]],
    )


def entry_stamp(run: Document, index: int) -> int:
    """An entry's stamp."""
    stamp: int = run["stamps"][index] if "stamps" in run else run["stamp"] + index
    return stamp


def index_after(run: Document, stamp: int) -> int:
    """The index of the run's first entry with a later stamp; it may lie beyond the run."""
    if "stamps" in run:
        return bisect_right(run["stamps"], stamp)
    return max(0, stamp + 1 - int(run["stamp"]))


def decompress_batch(run: Document) -> Document:
    """The run with its body, if that was read, as it was before packing.

    `entry_body` takes no other.
    """
    if not run.get("zstd") or "body" not in run:
        return run
    length = run["ends"][-1]
    body = zstandard.ZstdDecompressor().decompress(run["body"], max_output_size=length)
    return {**run, "body": body, "zstd": False}


def entry_body(run: Document, index: int) -> bytes:
    """One object's JSON, as it was posted."""
    ends = run["ends"]
    body: bytes = run["body"]
    return body[ends[index - 1] if index else 0 : ends[index]]


def read_status_bits(document: Document | None) -> StatusBits:
    """A run's marks; a run that has no document of marks has none."""
    if document is None:
        return StatusBits()
    return StatusBits(*(frozenset(document[mark]) for mark in ("old", "later", "shadowed")))


def batch_without(run: Document, indexes: frozenset[int]) -> Document:
    """The fields of a run that change when entries are cut out of it.

    Bytes and id go; the positions stay.
    """
    run = decompress_batch(run)
    kept = [i not in indexes for i in range(run["n"])]
    bodies = [entry_body(run, i) if kept[i] else b"" for i in range(run["n"])]
    return {
        "ids": [id if kept[i] else "" for i, id in enumerate(run["ids"])],
        "versions": [version if kept[i] else "" for i, version in enumerate(run["versions"])],
        "ends": list(accumulate(map(len, bodies))),
        **body_fields(b"".join(bodies), packed="stamps" in run),
        "gone": sorted({*run["gone"], *indexes}),
    }


def id_document_without(shelf: Document, indexes: frozenset[int]) -> Document:
    """The fields of a shelf that change when entries (by index in the run) are taken out."""
    kept = [i for i, at in enumerate(shelf["at"]) if at not in indexes]
    own, digests = frozenset(shelf["own"]), shelf["digests"]
    names = ("at", "ids", "types", "specs", "versions", "traits", "stamps")
    return {
        **{key: [shelf[key][i] for i in kept] for key in names if key in shelf},
        "own": [new for new, i in enumerate(kept) if i in own],
        "digests": b"".join(digests[i * _DIGEST : (i + 1) * _DIGEST] for i in kept),
    }


def body_fields(body: bytes, *, packed: bool) -> Document:
    """The fields in which a run keeps its body; compressed in a packed one."""
    if not packed:
        return {"body": body}
    return {"body": zstandard.ZstdCompressor(_LEVEL).compress(body), "zstd": True}
