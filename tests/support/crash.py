"""A hub that dies right after one of its transactions, and another that goes on a while later.

Or that is overtaken by the other, after a transaction or within one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TypeVar

from support.hub import HUB_SECRETS, HubInProcess, default_admission

from tocsin.config import HubSettings
from tocsin.server.app import HubServices, build_services, create_app
from tocsin.server.store import Store, Transaction, wall_clock

T = TypeVar("T")

LATER = 120_000_000
"""µs after which nobody waits any more for who died."""


class Died(BaseException):
    """As `kill -9` does, it passes everything by."""


class Interrupted(Store):
    """Something happens right after one of its transactions; unless told otherwise, it dies."""

    left = -1
    """How many transactions until then; negative: nothing ever happens."""
    happens: Callable[[], object] | None = None
    within = False
    """Whether it dies before the last of them is committed, or is overtaken once that has begun."""

    def commit(self, work: Callable[[Transaction], T]) -> T:
        """See `Store.commit`: what it has done is there when it dies."""

        def done(txn: Transaction) -> T:
            if self.within and self.happens is not None:
                txn.accounts.list_partners()  # what it reads from now on is as it is now
                self._count()
            result = work(txn)
            if self.within and self.happens is None:
                self._count()
            return result

        result = super().commit(done)
        if not self.within:
            self._count()
        return result

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            if self.happens is None:
                raise Died
            self.happens()


def beside(store: Store, uri: str, kind: type[Store] = Store, late: int = 0) -> Store:
    """Another store on the same database, whose clock is late by so many µs."""
    return kind.connect(uri, name=store._base.name, clock=lambda: wall_clock() + late)


def housed(hub: HubInProcess, store: Store) -> HubServices:
    """The hub goes on with other parts, over this store."""
    settings = HubSettings()
    hub.services = build_services(store, HUB_SECRETS, settings, default_admission(), hub.clock)
    hub.client = create_app(hub.services, HUB_SECRETS, settings).test_client()
    return hub.services


def interrupted(
    hub: HubInProcess,
    uri: str,
    act: Callable[[], object],
    after: int,
    happens: Callable[[], object] | None = None,
    *,
    within: bool = False,
) -> Interrupted:
    """Do something over a store of which so many transactions go well."""
    store = Interrupted.connect(uri, name=hub.store._base.name)
    assert isinstance(store, Interrupted)
    housed(hub, store)
    store.left, store.happens, store.within = after, happens, within
    try:
        act()
    except Died:
        pass
    finally:
        store.close()
        housed(hub, hub.store)
    return store


def work_later(hub: HubInProcess, uri: str) -> None:
    """Another worker does what there is to do, when nobody waits any more for who died."""
    store = beside(hub.store, uri, late=LATER)
    parts = build_services(store, HUB_SECRETS, HubSettings(), default_admission(), hub.clock)
    while parts.intake.work():
        pass
    store.close()


def told(hub: HubInProcess) -> list[str]:
    """All that readers, submitters and analysts see, whenever it came to be."""
    return sorted(_lines(hub))


def _lines(hub: HubInProcess) -> Iterator[str]:
    for feed in ("green", "amber"):
        for each in hub.feed(feed, "north"):
            body = {k: v for k, v in each.items() if k not in ("created", "modified")}
            yield f"{feed} {json.dumps(body, sort_keys=True)}"
    for review in hub.store.reviews.list_waiting():
        yield f"{review.source_id} waits for {review.rules} {review.waits_for}"
    for submission in hub.store._base.submissions.find({}):
        for record in hub.store.submissions.records(submission["_id"]):
            yield f"{record.source_id} is {record.verdict} {record.public_id} {record.findings}"
