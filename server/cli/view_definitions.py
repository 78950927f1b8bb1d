"""Making aggregates and snapshots: of what, how much of it, as of when.

Whoever is given one reads through it what its sources hold, whether or not he
may read them.  So nothing is gathered from inboxes, whose content nobody has
judged, and the operator says how far it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tocsin.admission.errors import Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import timestamp
from tocsin.server.model import Collection, CollectionKind, View
from tocsin.server.store import Store

_TYPE = re.compile(r"[a-z][a-z0-9-]{1,248}[a-z0-9]")
_GATHERED = (CollectionKind.FEED, CollectionKind.VERBATIM)
_PINNED = (*_GATHERED, CollectionKind.AGGREGATE)
_OPTIONS = {
    CollectionKind.AGGREGATE: {"--source", "--type", "--active-only", "--max-tlp"},
    CollectionKind.SNAPSHOT: {"--source", "--at"},
}
"""What may be said of these kinds; of others only how strict a feed is."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator says of a new collection besides its name."""

    sources: tuple[str, ...] = ()
    """Ids or aliases."""
    types: frozenset[str] = frozenset()
    max_tlp: Tlp | None = None
    active: bool = False
    at: int | None = None


def gathered(store: Store, new: Collection, wish: Wish) -> Collection:
    """The new collection as it is wished for, not yet added.

    Raises Malformed if its kind has no such thing, NotFound for an unknown source.
    """
    _check(new.kind, wish)
    known = store.feeds.collections()
    sources = [_source(known, name, new.kind) for name in dict.fromkeys(wish.sources)]
    if new.kind is CollectionKind.AGGREGATE:
        ids = tuple(dict.fromkeys(source.id for source in sources))
        return replace(new, view=View(ids, wish.types, wish.max_tlp, wish.active))
    if new.kind is CollectionKind.SNAPSHOT:
        (source,) = sources
        at = store.commit(lambda txn: txn.pin_stamp(wish.at))
        view = replace(source.view or View((source.id,)), at=at)
        return replace(new, view=view, description=f"As it was at {timestamp(at)}.")
    return new if wish.max_tlp is None else replace(new, max_tlp=wish.max_tlp)


def described(view: View, known: Iterable[Collection]) -> dict[str, object]:
    """A definition, for the operator to read."""
    names = {collection.id: collection.alias or collection.id for collection in known}
    return {
        "sources": [names.get(source, source) for source in view.sources],
        "types": sorted(view.types),
        "max_tlp": None if view.max_tlp is None else view.max_tlp.word,
        "active_only": view.active,
        "at": None if view.at is None else timestamp(view.at),
    }


def _check(kind: CollectionKind, wish: Wish) -> None:
    """Raises Malformed if something is wished for that this kind does not have."""
    given = {
        "--source": bool(wish.sources),
        "--type": bool(wish.types),
        "--active-only": wish.active,
        "--max-tlp": wish.max_tlp is not None,
        "--at": wish.at is not None,
    }
    for option in given:
        if given[option] and option not in _OPTIONS.get(kind, {"--max-tlp"}):
            raise Malformed(f"{option} has no meaning for --kind {kind.value}")
    if kind is CollectionKind.AGGREGATE and not wish.sources:
        raise Malformed("--source is missing: name the collections that the aggregate shows")
    if kind is CollectionKind.SNAPSHOT and len(set(wish.sources)) != 1:
        raise Malformed("--source must name the one collection that the snapshot is of")
    for type in wish.types:
        if not _TYPE.fullmatch(type):
            raise Malformed(f"--type: not a STIX type: {ascii(type[:40])}")


def _source(known: Sequence[Collection], name: str, kind: CollectionKind) -> Collection:
    """The collection of this id or alias, which must be one that can be shown.

    Raises NotFound, or Malformed if it is an inbox or shows others itself.
    """
    for collection in known:
        if name in (collection.id, collection.alias):
            if collection.kind not in (_PINNED if kind is CollectionKind.SNAPSHOT else _GATHERED):
                raise Malformed(f"--source {name}: {collection.kind.value} cannot be a source here")
            return collection
    raise NotFound(f"there is no collection {name!r}; `tocsin-hub collection list` shows them")
