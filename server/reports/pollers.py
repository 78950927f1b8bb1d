"""Pollers: the accounts that may read a collection, how far they have read it, who is silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tocsin.admission.timestamps import DAY
from tocsin.server.model import Account, Collection, Query, VersionKeyword
from tocsin.server.store.deliveries import LastPoll
from tocsin.server.store.feeds.views import CollectionReader

SILENT = DAY
"""µs after its last poll from which on a poller can be silent."""
_EVERY_VERSION = frozenset({VersionKeyword.ALL})


@dataclass(frozen=True, slots=True)
class Poller:
    """An account that may read a collection, and how far it has read it."""

    account: str
    partner: str
    collection: Collection
    last_polled: int | None
    """The hour of its last poll, by its beginning in µs since 1970 UTC; None: it never polled."""
    behind: int | None
    """Entries added after the last one that it was served, or after its last answer that had none;
    None for a view."""
    silent_since: int | None
    """Time in µs since which it has not polled, and something new has waited for it, of a view in
    its sources; None: nothing waits, it never polled, or its last poll is less than `SILENT` ago.
    """


class FeedPositions:
    """Looks up what comes after a stamp in a feed, once for all pollers that stand there."""

    def __init__(self, feeds: CollectionReader) -> None:
        self._feeds, self._heads = feeds, feeds.heads()
        self.count_after, self.next_stamp = cache(self._count_after), cache(self._next_stamp)

    def _count_after(self, feed: str, stamp: int) -> int | None:
        """Entries added after a stamp; None if the feed does not exist."""
        head = self._heads.get(feed)
        if head is None:
            return None
        if stamp >= head.stamp:
            return 0
        return head.position - (self._feeds.position_at(feed, stamp) if stamp else 0)

    def _next_stamp(self, feed: str, stamp: int) -> int | None:
        """The stamp of the first entry after this one; None if all that came was removed."""
        next_one = Query(limit=1, added_after=stamp, keywords=_EVERY_VERSION)
        found = self._feeds.page(feed, next_one, bodies=False).entries
        return found[0].stamp if found else None


def describe_poller(
    reader: Account,
    collection: Collection,
    last: LastPoll,
    feeds: FeedPositions,
    now: int,
) -> Poller:
    """Describe an account's reading of a collection, from its last poll; `now` in µs."""
    view, since = collection.view, None
    behind = feeds.count_after(collection.id, last.stamp) if view is None else None
    hour = last.hour if last.hour <= now else 0  # else of a clock that was ahead
    if last.hour and behind != 0 and now - hour > SILENT:
        after = last.stamp if view is None else max(last.stamp, hour)
        waiting = min(_find_waiting(collection, after, feeds), default=None)
        since = None if waiting is None else max(hour, waiting)
    return Poller(reader.name, reader.partner, collection, last.hour or None, behind, since)


def _find_waiting(collection: Collection, after: int, feeds: FeedPositions) -> Iterator[int]:
    """The stamps of what came first after `after`, to a feed or to each source of a view."""
    view = collection.view
    if view is None or view.at is None:  # nothing new comes to a snapshot
        for source in (collection.id,) if view is None else view.sources:
            if (stamp := feeds.next_stamp(source, after)) is not None:
                yield stamp
