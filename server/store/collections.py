"""Collections as documents."""

from __future__ import annotations

from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, CollectionKind, View
from tocsin.server.store.feeds.blocks import Document


def document_of(collection: Collection) -> Document:
    """The collection as it is written down."""
    return {
        "_id": collection.id,
        "alias": collection.alias or collection.id,
        "kind": collection.kind.value,
        "title": collection.title,
        "description": collection.description,
        "max_tlp": collection.max_tlp.label,
        "view": _view_document(collection.view),
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
    """What is shown of others, as it was written down with a collection."""
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
    """The collection that was written down so."""
    alias = document["alias"]
    return Collection(
        id=document["_id"],
        alias="" if alias == document["_id"] else alias,
        kind=CollectionKind(document["kind"]),
        title=document["title"],
        description=document["description"],
        max_tlp=Tlp.parse(document["max_tlp"]),
        view=view_of(document.get("view")),
    )
