"""Aggregates and snapshots over the feeds of a test."""

import uuid
from dataclasses import replace

from support.feed_postings import ALL, Feed, posting

from tocsin.admission.model import Tlp
from tocsin.server.model import Collection, CollectionKind, Entry, NewEntry, Query, View, Visibility


def add_view(*feeds: Feed, **definition: object) -> Feed:
    """Add an aggregate of these feeds; with `at`, a snapshot."""
    store, id = feeds[0].store, str(uuid.uuid4())
    kind = CollectionKind.SNAPSHOT if "at" in definition else CollectionKind.AGGREGATE
    view = View(tuple(feed.id for feed in feeds), **definition)  # type: ignore[arg-type]
    store.feeds.add(Collection(id, f"alias-{id}", kind, "A view", view=view))
    return Feed(store, id)


def pin(feed: Feed, at: int | None = None) -> int:
    """Pin a past moment and return its stamp."""
    return feed.store.commit(lambda txn: txn.pin_stamp(at))


def marked_posting(
    number: int, level: str, at: int = 1, until: int | None = None, *, revoked: bool = False
) -> NewEntry:
    """Build an indicator at a TLP level; `until` is its expiry."""
    tlp = Tlp.parse(level)
    return replace(posting(number, at), visibility=Visibility(tlp, revoked, until))


def walk(feed: Feed, query: Query, how: str = "position") -> list[Entry]:
    """Read every entry, page by page, by `position` (as `next` does) or by `added_after`."""
    log: list[Entry] = []
    while True:
        page = feed.store.feeds.page(feed.id, query)
        log += page.entries
        if not page.more:
            return log
        last = {"position": log[-1].position, "added_after": log[-1].stamp}
        query = replace(query, **{how: last[how]})  # type: ignore[arg-type]


def merge_feeds(*feeds: Feed) -> list[tuple[int, str, str]]:
    """Compute the expected content of an aggregate: the feeds merged, each version once."""
    entries = [entry for feed in feeds for entry in feed.page(Query(limit=10**6, keywords=ALL))]
    first: dict[tuple[str, str, str], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.stamp):
        first.setdefault((entry.id, entry.spec, entry.version), entry)
    return [(entry.stamp, entry.id, entry.version) for entry in first.values()]


def entry_keys(entries: list[Entry] | tuple[Entry, ...]) -> list[tuple[int, str, str]]:
    """Return stamp, id and version of each entry."""
    return [(entry.stamp, entry.id, entry.version) for entry in entries]
