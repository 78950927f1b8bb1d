"""Finding an object's entries by its id, without touching a body."""

from __future__ import annotations

from collections.abc import (
    Iterable,
)

from tocsin.server.store.connection import (
    Base,
    Session,
    portions,
)
from tocsin.server.store.feeds.blocks import (
    SHELVES,
    Document,
    places,
    shelf_of,
)
from tocsin.server.store.feeds.versions import (
    Place,
)

PORTION = 100
"""Keys in one `$in` on `_id`."""
_UNDIVIDED = 32


def objects(base: Base, feed: str, ids: Iterable[str], session: Session = None) -> list[Place]:
    """Every entry in the feed of the objects with these ids, in no order."""
    found: list[Place] = []
    for wanted in by_shelf(ids):
        keys = {"feed": feed, "ids": {"$in": wanted}}
        for shelf in base.shelves.find(keys, session=session):
            found.extend(places(shelf, wanted))
    return found


def mark_documents(base: Base, runs: Iterable[str], session: Session = None) -> dict[str, Document]:
    """The documents of marks of those among the runs that have one, by run."""
    return {
        document["_id"]: document
        for portion in portions(sorted(set(runs)), PORTION)
        for document in base.marks.find({"_id": {"$in": portion}}, session=session)
    }


def by_shelf(ids: Iterable[str]) -> list[list[str]]:
    """The ids in groups that stand on the same shelves of full runs; each id once."""
    distinct = sorted(set(ids))
    if len(distinct) <= _UNDIVIDED:
        return [distinct] if distinct else []
    groups: list[list[str]] = [[] for _ in range(SHELVES)]
    for id in distinct:
        groups[shelf_of(id)].append(id)
    return [group for group in groups if group]
