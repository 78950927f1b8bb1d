"""Contributions that refer to objects which have not arrived yet.

One small document per contribution, replaced or removed when its missing
references change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pymongo.client_session import ClientSession

from tocsin.admission.model import Tlp
from tocsin.server.model import ArrivedIds, PendingReferences
from tocsin.server.store.connection import Base, Document, chunk_keys, find_by_keys
from tocsin.server.store.feeds.id_index import MAX_KEYS


def put_pending_references(
    base: Base, session: ClientSession, references: Sequence[PendingReferences]
) -> None:
    """See `Transaction.put_pending_references`."""
    for each in references:
        key = {"_id": each.key}
        if each.targets:
            base.pending_references.replace_one(
                key, key | _to_document(each), upsert=True, session=session
            )
        else:
            base.pending_references.delete_one(key, session=session)


def find_pending_references(
    base: Base, session: ClientSession, arrivals: ArrivedIds, after: str, most: int
) -> list[PendingReferences]:
    """See `Transaction.find_pending_references`."""
    found: dict[str, Document] = {}
    portions = list(chunk_keys(sorted(arrivals.source_ids | arrivals.public_ids), MAX_KEYS))
    for document in find_by_keys(base.pending_references, portions, _with_targets, session):
        if concerns(arrivals, document["partner"], document["targets"]):
            found[document["_id"]] = document
    return [_from_document(found[name]) for name in sorted(found) if name > after][:most]


def _with_targets(targets: Sequence[str]) -> Document:
    return {"targets": {"$in": targets}}


def concerns(arrivals: ArrivedIds, partner: str, targets: Collection[str]) -> bool:
    """True if something has arrived that a partner's object waits for."""
    known = arrivals.public_ids
    if partner == arrivals.partner:
        known = known | arrivals.source_ids
    return not known.isdisjoint(targets)


def _to_document(each: PendingReferences) -> Document:
    return {
        "public": each.public_id,
        "partner": each.partner,
        "source": each.source_id,
        "sees": each.max_tlp.label,
        "targets": sorted(each.targets),
    }


def _from_document(document: Document) -> PendingReferences:
    return PendingReferences(
        public_id=document["public"],
        partner=document["partner"],
        max_tlp=Tlp.parse(document["sees"]),
        targets=frozenset(document["targets"]),
        source_id=document.get("source", ""),  # missing in older documents
    )
