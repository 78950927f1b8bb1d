"""Entries for the tests of feeds, and a feed to publish them in."""

import hashlib
import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tocsin.server.model import Entry, NewEntry, PublishOutcome, Query, VersionKeyword
from tocsin.server.store import Store

STORED, KNOWN, CONFLICT = PublishOutcome.STORED, PublishOutcome.KNOWN, PublishOutcome.CONFLICT
ALL = frozenset({VersionKeyword.ALL})
FIRST = frozenset({VersionKeyword.FIRST})
LAST = frozenset({VersionKeyword.LAST})
EVERY = Query(limit=100_000, keywords=ALL)


def version(number: int) -> str:
    return f"2024-01-01T00:00:{number:02}.000Z"


def object_id(number: int, type: str = "indicator") -> str:
    return f"{type}--{uuid.UUID(int=number)}"


def posting(number: int, at: int | str = 1, spec: str = "2.1", body: str = "") -> NewEntry:
    """Build the entry with this number, in version `at`; "" for an object without versions."""
    when = version(at) if isinstance(at, int) else at
    id = object_id(number, "ipv4-addr" if not when else "indicator")
    octets = f'{{"id":"{id}","modified":"{when}","spec_version":"{spec}","x":"{body}"}}'.encode()
    digest = hashlib.sha256(octets).digest()[:16]
    return NewEntry(id, id.partition("--")[0], spec, when, octets, digest, ("labels=a", body))


@dataclass
class Feed:
    """A feed of a store."""

    store: Store
    id: str

    def publish(self, *postings: NewEntry, replace: bool = False) -> list[PublishOutcome]:
        return self.store.commit(lambda txn: txn.publish(self.id, postings, replace=replace))

    def remove(self, id: str, **filters: frozenset[object]) -> int:
        return self.store.commit(lambda txn: txn.remove(self.id, id, **filters))  # type: ignore[arg-type]

    def page(self, query: Query = EVERY) -> tuple[Entry, ...]:
        return self.store.feeds.page(self.id, query).entries

    def versions(self, **filters: object) -> list[str]:
        query = Query(limit=1_000, **filters)  # type: ignore[arg-type]
        return [entry.version for entry in self.page(query)]

    def walk(self, query: Query) -> Iterator[Entry]:
        """Yield every entry, page by page, by position."""
        more = True
        while more:
            page = self.store.feeds.page(self.id, query)
            yield from page.entries
            more = page.more
            query = replace(query, position=page.entries[-1].position if more else 0)


def follow(
    feed: Feed, how: str, done: threading.Event, keywords: frozenset[VersionKeyword] = ALL
) -> list[Entry]:
    """All that a poller is given until the writers are done, by next, added_after or both."""
    log: list[Entry] = []
    dice = random.Random(how)
    while True:
        ended = done.is_set()
        query = Query(limit=dice.randrange(1, 50), keywords=keywords)
        if log:
            last = {"position": log[-1].position, "added_after": log[-1].stamp}
            names = last if how == "both" else [how]
            changes: dict[str, Any] = {each: last[each] for each in names}
            query = replace(query, **changes)
        page = feed.store.feeds.page(feed.id, query)
        log.extend(page.entries)
        if ended and not page.more:
            return log
