"""Find an object's entries by its id, without touching a body."""

from __future__ import annotations

from collections.abc import Iterable

from tocsin.server.store.connection import (
    Base,
    Document,
    Session,
    chunk_keys,
    find_by_keys,
)
from tocsin.server.store.feeds.blocks import ID_BUCKETS, id_bucket, indexed_entries
from tocsin.server.store.feeds.versions import IndexedEntry

MAX_KEYS = 100
"""Keys in one `$in` on `_id`."""
_UNGROUPED = 32


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


def find_status_documents(
    base: Base, batch_ids: Iterable[str], session: Session = None
) -> dict[str, Document]:
    """The status bit documents of these batches, by batch id; a batch may have none."""
    portions = list(chunk_keys(sorted(set(batch_ids)), MAX_KEYS))
    found = find_by_keys(base.status_bits, portions, lambda ids: {"_id": {"$in": ids}}, session)
    return {document["_id"]: document for document in found}


def group_by_bucket(ids: Iterable[str]) -> list[list[str]]:
    """Group the ids by the id document of a full batch that holds them; each id once."""
    distinct = sorted(set(ids))
    if len(distinct) <= _UNGROUPED:
        return [distinct] if distinct else []
    groups: list[list[str]] = [[] for _ in range(ID_BUCKETS)]
    for id in distinct:
        groups[id_bucket(id)].append(id)
    return [group for group in groups if group]
