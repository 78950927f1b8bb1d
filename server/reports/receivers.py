"""The accounts that were served an object, surely or possibly, and in which hours.

Computed from the stamps of an object's versions and the ranges of stamps that each
account was served (`server/store/deliveries.py`).  The number of reads depends on the
number of collections, not on that of objects or accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from tocsin.admission.errors import NotFound
from tocsin.admission.timestamps import HOUR, micros
from tocsin.server.auth import may_read
from tocsin.server.lifecycle.lifecycle import Lifecycle
from tocsin.server.lifecycle.purge import is_object_id
from tocsin.server.model import Account, Collection, CollectionKind, Query, VersionKeyword
from tocsin.server.store import Store
from tocsin.server.store.deliveries import Delivery, DeliveryGap
from tocsin.server.store.exclusions import parse_exclusion

_MOST_VERSIONS = 10_000
"""Versions of one object that are looked for in one collection."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """An account that was served an object through a collection, or may have been."""

    object: str
    """The object's id."""
    account: str
    partner: str
    """The account's partner; empty for an operator's account, or one that exists no more."""
    collection: Collection
    certain: bool
    """False: it was possibly served the object."""
    first: int
    """The first hour in which it was served, by its beginning in µs since 1970 UTC."""
    last: int
    """The last such hour."""
    why: str = ""
    """Why it is not certain; empty if it is."""


class ReceivedBy(NamedTuple):
    """The names of the accounts that were served an object, in order."""

    certain: list[str]
    possible: list[str]
    """Those that were possibly served it, and not certainly through any collection."""


def split_receivers(receivers: Iterable[Receiver]) -> ReceivedBy:
    """The accounts of receivers, by whether it is certain."""
    found = list(receivers)
    certain = {each.account for each in found if each.certain}
    possible = {each.account for each in found} - certain
    return ReceivedBy(sorted(certain), sorted(possible))


class VersionStamps(NamedTuple):
    """One entry of an object in a collection."""

    stamp: int
    replaced: int
    """The stamp of the entry after which pages have it no longer; 0: none.  Its own if it never
    was the latest version: an older one that was posted later."""


@dataclass(slots=True)
class _Receipt:
    """The hours in which an account was served an object, and how certain that is."""

    certain: bool = False
    why: str = ""
    hours: list[int] = field(default_factory=list)

    def add(self, hour: int, doubt: str) -> None:
        """Count one hour; an hour without doubt goes before all with one."""
        if not doubt and not self.certain:
            self.certain, self.why, self.hours = True, "", []
        if not doubt or not self.certain:
            self.why = self.why or doubt
            self.hours.append(hour)


class Receivers:
    """Finds who was served which object."""

    def __init__(self, store: Store, lifecycle: Lifecycle) -> None:
        """`lifecycle` finds the objects on a value."""
        self._store = store
        self._lifecycle = lifecycle

    def find_by_names(self, names: Iterable[str]) -> list[Receiver]:
        """The accounts that were served objects, named by public id or value.

        A value stands for all indicators on exactly that value.  Raises NotFound if nothing was
        published under a name, and Malformed if a value is of no known kind.
        """
        found: list[Receiver] = []
        for name in names:
            ids = [name] if is_object_id(name) else self._find_published(name)
            versions = {id: self.find_versions(id) for id in ids}
            if not any(versions.values()):
                raise NotFound(f"nothing was published as {name!r}")
            for id in ids:
                found += self.find(id, versions[id])
        return found

    def find_versions(self, id: str) -> dict[str, list[VersionStamps]]:
        """An object's entries in each collection that holds it, in order, by collection id."""
        feeds = self._store.feeds
        versions: dict[str, list[VersionStamps]] = {}
        for collection in feeds.collections():
            if collection.view is None and collection.kind is not CollectionKind.INBOX:
                entries = feeds.page(collection.id, _every_version(id), bodies=False).entries
                if entries:
                    versions[collection.id] = date_stamps(
                        [(each.stamp, each.spec, each.version) for each in entries]
                    )
        return versions

    def find(
        self,
        id: str,
        versions: Mapping[str, Sequence[VersionStamps]],
        known: Sequence[Account] | None = None,
    ) -> list[Receiver]:
        """The receivers of an object, given its entries by collection, by collection and account.

        An account that two collections served it has two.  `known` are all accounts, if they were
        read already.
        """
        store = self._store
        every = store.accounts.list_accounts() if known is None else known
        accounts = {each.name: each for each in every}
        held = _held_by_collection(store.feeds.collections(), versions)
        if not held:
            return []
        earliest = min(each.stamp for _, stamps in held for each in stamps)
        deliveries: dict[str, list[Delivery]] = {}
        for delivery in store.deliveries.of_collections([c.id for c, _ in held], earliest):
            deliveries.setdefault(delivery.collection, []).append(delivery)
        gaps = store.deliveries.gaps()
        found: list[Receiver] = []
        for collection, stamps in held:
            receipts = _find_receipts(deliveries.get(collection.id, ()), stamps)
            readers = [name for name, each in accounts.items() if may_read(each, collection)]
            _add_gaps(gaps, receipts, readers, min(each.stamp for each in stamps))
            found += [
                _make_receiver(id, accounts.get(name), name, collection, receipt)
                for name, receipt in sorted(receipts.items())
            ]
        return found

    def _find_published(self, value: str) -> list[str]:
        return self._lifecycle.find_published(parse_exclusion(value, "", 0))


def date_stamps(entries: Sequence[tuple[int, str, str]]) -> list[VersionStamps]:
    """The stamps of an object's entries in one collection, in order, and what replaced each.

    An entry is given by its stamp, spec_version and version.
    """
    dated: list[VersionStamps] = []
    replaced = 0
    stamps = [stamp for stamp, _, _ in entries]
    keys = [(spec, micros(version)) for _, spec, version in entries]
    newest = list(accumulate(keys, max))
    for stamp, key, newest_then in zip(stamps[::-1], keys[::-1], newest[::-1], strict=True):
        passed_over = key < newest_then
        dated.append(VersionStamps(stamp, stamp if passed_over else replaced))
        replaced = replaced if passed_over else stamp
    return dated[::-1]


def _every_version(id: str) -> Query:
    return Query(
        limit=_MOST_VERSIONS,
        ids=frozenset({id}),
        specs=frozenset({"2.0", "2.1"}),
        keywords=frozenset({VersionKeyword.ALL}),
    )


def _held_by_collection(
    collections: Iterable[Collection], versions: Mapping[str, Sequence[VersionStamps]]
) -> list[tuple[Collection, list[VersionStamps]]]:
    """The collections through which an object can be served, views included."""
    held: list[tuple[Collection, list[VersionStamps]]] = []
    for collection in collections:
        sources = collection.view.sources if collection.view else (collection.id,)
        stamps = [each for source in sources for each in versions.get(source, ())]
        if stamps:
            held.append((collection, stamps))
    return held


def _find_receipts(
    deliveries: Iterable[Delivery], versions: Sequence[VersionStamps]
) -> dict[str, _Receipt]:
    """The accounts that were served a version through a collection, or may have been."""
    receipts: dict[str, _Receipt] = {}
    for delivery in deliveries:
        doubts = [doubt for each in versions if (doubt := _doubt(delivery, each)) is not None]
        if doubts:
            receipt = receipts.setdefault(delivery.account, _Receipt())
            receipt.add(delivery.hour, min(doubts))  # the empty one first
    return receipts


def _doubt(delivery: Delivery, version: VersionStamps) -> str | None:
    """Why it is not sure that an hour's pages had a version; empty: it is; None: they had not."""
    stamp, replaced = version
    if any(start <= stamp <= end for start, end in delivery.exact):
        sure = not replaced or delivery.hour + HOUR <= replaced
        return "" if sure else "another version may have been served instead"
    if any(start <= stamp <= end for start, end in delivery.filtered):
        return "the page was filtered"
    return None


def _add_gaps(
    gaps: Sequence[DeliveryGap],
    receipts: dict[str, _Receipt],
    readers: Iterable[str],
    published: int,
) -> None:
    """Add the readers that may have been served it by a hub that died."""
    late = [gap for gap in gaps if published <= gap.end]
    for account in readers if late else ():
        if account not in receipts:
            doubt = "a hub died, or was restored, before it wrote what it had served"
            receipts[account] = _Receipt(why=doubt, hours=[gap.start for gap in late])


def _make_receiver(
    id: str, known: Account | None, name: str, collection: Collection, receipt: _Receipt
) -> Receiver:
    return Receiver(
        object=id,
        account=name,
        partner=known.partner if known else "",
        collection=collection,
        certain=receipt.certain,
        first=min(receipt.hours),
        last=max(receipt.hours),
        why=receipt.why,
    )
