"""Which public id each of a partner's own ids was given; the newest counts.

Kept in batches, as they came, divided like the shelves of a run and for the
same reason (`runs.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bson import ObjectId
from pymongo.client_session import ClientSession

from tocsin.server.store.connection import Base
from tocsin.server.store.feeds.blocks import Document
from tocsin.server.store.feeds.id_index import group_by_bucket

Batch = tuple[str, str, int]
"""Partner, submission, and when."""


def insert_public_ids(
    base: Base, session: ClientSession, batch: Batch, pairs: Mapping[str, str]
) -> None:
    """See `Transaction.add_public_ids`."""
    partner, submission, at = batch
    documents: list[Document] = [
        {
            "_id": ObjectId(),
            "partner": partner,
            "submission": submission,
            "at": at,
            "sources": sources,
            "publics": [pairs[source] for source in sources],
        }
        for sources in group_by_bucket(pairs)
    ]
    if documents:
        base.sources.insert_many(documents, session=session)


def find_public_ids(
    base: Base, session: ClientSession, partner: str, ids: Collection[str]
) -> dict[str, str]:
    """See `Transaction.find_public_ids`."""
    found: list[Document] = []
    for wanted in group_by_bucket(ids):
        keys = {"partner": partner, "sources": {"$in": wanted}}
        found.extend(base.sources.find(keys, session=session))
    asked = frozenset(ids)
    newest: dict[str, str] = {}
    for document in sorted(found, key=lambda document: (document["at"], document["_id"])):
        pairs = zip(document["sources"], document["publics"], strict=True)
        newest.update((source, public) for source, public in pairs if source in asked)
    return newest
