"""Views made for tests, over the feeds of one test."""

import uuid
from collections.abc import Callable
from dataclasses import replace

from support.feed_postings import ALL, Feed, posting

from tocsin.admission.model import Tlp
from tocsin.server.model import (
    Collection,
    CollectionKind,
    Entry,
    NewEntry,
    Query,
    View,
    Visibility,
)


def view(*feeds: Feed, **definition: object) -> Feed:
    """An aggregate of these feeds; with `at`, a snapshot."""
    store, id = feeds[0].store, str(uuid.uuid4())
    kind = CollectionKind.SNAPSHOT if "at" in definition else CollectionKind.AGGREGATE
    shown = View(tuple(feed.id for feed in feeds), **definition)  # type: ignore[arg-type]
    store.feeds.add(Collection(id, f"alias-{id}", kind, "A view", view=shown))
    return Feed(store, id)


def pin(feed: Feed, at: int | None = None) -> int:
    """The stamp of a moment that has passed."""
    return feed.store.commit(lambda txn: txn.pin_stamp(at))


def marked(
    number: int, level: str, at: int = 1, until: int | None = None, *, revoked: bool = False
) -> NewEntry:
    """An indicator of a level; `until` is when it expires."""
    tlp = Tlp.parse(level)
    return replace(posting(number, at), visibility=Visibility(tlp, revoked, until))


def walk(feed: Feed, query: Query, how: str = "position") -> list[Entry]:
    """Every entry, page by page, by `position` (as `next` does) or by `added_after`."""
    log: list[Entry] = []
    while True:
        page = feed.store.feeds.page(feed.id, query)
        log += page.entries
        if not page.more:
            return log
        last = {"position": log[-1].position, "added_after": log[-1].stamp}
        query = replace(query, **{how: last[how]})  # type: ignore[arg-type]


def expected(*feeds: Feed) -> list[tuple[int, str, str]]:
    """What a union of feeds must show to whoever asks for all: a merge, each version once."""
    entries = [entry for feed in feeds for entry in feed.page(Query(limit=10**6, keywords=ALL))]
    first: dict[tuple[str, str, str], Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.stamp):
        first.setdefault((entry.id, entry.spec, entry.version), entry)
    return [(entry.stamp, entry.id, entry.version) for entry in first.values()]


def told(entries: list[Entry] | tuple[Entry, ...]) -> list[tuple[int, str, str]]:
    """The same of what was given."""
    return [(entry.stamp, entry.id, entry.version) for entry in entries]


Make = Callable[[], Feed]
