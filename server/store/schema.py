"""The collections of the database and their indexes.

Every read is an equality or a bounded set of keys, never an open range, so it
costs the same at every size (feeds.md section 3).
"""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel
from pymongo.errors import OperationFailure

from tocsin.server.store.connection import Base
from tocsin.server.store.feeds.clock import found

_EXISTS = 48

INDEXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "collections": (),
    "heads": (),
    "clock": (),
    "runs": (("feed", "block", "first"),),
    "cards": (("feed", "facets"), ("feed", "block")),
    "shelves": (("feed", "ids"), ("run",)),
    "marks": (("feed", "block"),),
    "packing": (),
    "publics": (),
    "dues": (("hour",),),
    "unwanted": (),
    "scopes": (),
    "sources": (("partner", "sources"),),
    "submissions": (("open", "received"), ("account", "received")),
    "raws": (),
    "verdicts": (("submission", "first"),),
    "reviews": (
        ("state", "partner", "asked"),
        ("partner", "source_id"),
        ("partner", "waits_for"),
        ("waits_for",),
    ),
    "waits": (("targets",),),
    "errands": (),
    "partners": (),
    "accounts": (("partner",),),
    "keys": (("account",),),
    "journal": (),
    "tails": (),
    "secrets": (),
    "turns": (),
}
"""Each collection with the indexes that it has besides the one on `_id`."""


def prepare(base: Base) -> None:
    """Make what is missing; harmless when nothing is."""
    present = set(base.list_collection_names())
    for name, indexes in INDEXES.items():
        if name not in present:
            _create(base, name)
        if indexes:
            keys = ([(field, ASCENDING) for field in fields] for fields in indexes)
            base[name].create_indexes([IndexModel(key) for key in keys])
    base.collections.create_indexes([IndexModel([("alias", ASCENDING)], unique=True)])
    found(base)
    base.tails.update_one({"_id": "journal"}, {"$setOnInsert": {"sequence": 0}}, upsert=True)


def _create(base: Base, name: str) -> None:
    """Beforehand, for a transaction on some servers cannot make a collection."""
    try:
        base.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _EXISTS:  # another hub was preparing it at the same moment
            raise
