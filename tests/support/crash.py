"""Hubs that crash at a chosen transaction, or run into a concurrent one; and a second process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from support.databases import open_again, open_kind
from support.hub import HUB_SECRETS, HubInProcess, default_admission, work_off

from tocsin.server.app import create_app
from tocsin.server.services import HubServices, build_services
from tocsin.server.store import Store, Transaction, wall_clock

T = TypeVar("T")

LATER = 120_000_000
"""µs after which the leases of a crashed process have expired."""


class Crash(BaseException):
    """Simulates `kill -9`: nothing in the code under test catches it."""


class InterruptedStore(Store):
    """A store that crashes, or calls `happens`, at one of its transactions."""

    left = -1
    """Number of transactions until then; negative: never."""
    happens: Callable[[], object] | None = None
    """Called instead of the crash."""
    within = False
    """True: a crash before the commit, or a call just before the transaction, which begins with
    the clock: after that nobody else commits until it has ended."""

    def commit(self, work: Callable[[Transaction], T]) -> T:
        """See `Store.commit`; without `within`, the transaction is committed before the crash."""

        def count_and_work(txn: Transaction) -> T:
            result = work(txn)
            if self.within and self.happens is None:
                self._count()
            return result

        if self.within and self.happens is not None:
            self._count()
        result = super().commit(count_and_work)
        if not self.within:
            self._count()
        return result

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            if self.happens is None:
                raise Crash
            self.happens()


def replace_store(hub: HubInProcess, store: Store) -> HubServices:
    """Rebuild the hub's services over another store."""
    hub.services = build_services_over(hub, store)
    hub.client = create_app(hub.services, HUB_SECRETS, hub.settings).test_client()
    return hub.services


def build_services_over(hub: HubInProcess, store: Store) -> HubServices:
    """Build the services of another process of the hub, over a store of its own."""
    return build_services(store, HUB_SECRETS, hub.settings, default_admission(), hub.clock)


def run_interrupted(
    hub: HubInProcess,
    act: Callable[[], object],
    after: int,
    happens: Callable[[], object] | None = None,
    *,
    within: bool = False,
) -> InterruptedStore:
    """Call `act` with a store that is interrupted at transaction number `after`."""
    with open_kind(InterruptedStore, hub.store) as store:
        replace_store(hub, store)
        store.left, store.happens, store.within = after, happens, within
        with suppress(Crash):
            act()
    replace_store(hub, hub.store)
    return store


def work_later(hub: HubInProcess, late: int = LATER) -> None:
    """Do all outstanding work in a second worker, `late` µs from now: the leases have expired."""
    with open_again(hub.store, lambda: wall_clock() + late) as store:
        work_off(build_services_over(hub, store).intake.work)


def collect_visible_state(hub: HubInProcess) -> list[str]:
    """Return everything that readers, submitters and analysts can see, without its times."""
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
