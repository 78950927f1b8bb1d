"""Two worlds: what a person may not read changes no page that the person can open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.clock import ManualClock
from support.console import add_person, sign_in
from support.databases import open_empty_store
from support.hub import HubInProcess, indicator, relationship, sdo

from tocsin.admission.timestamps import DAY
from tocsin.server.model import Partner
from tocsin.server.person import Role
from tocsin.server.store import Store, wall_clock

AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
MINUTE = 60_000_000
VALUE, HIDDEN = "seen.bad-portal.top", "hidden.bad-portal.top"
PATHS = (
    "/",
    "/partner",
    "/partners/east",
    "/partners/acme",
    "/overview",
    "/review",
    "/search",
    f"/search?q={VALUE}",
    f"/search?q={HIDDEN}",
    "/search?q=bad-portal.top",
    "/search?q=bad-portal.top&type=indicator&feed=amber",
    "/search?q=actor",
    "/admin/journal",
    "/me",
    "/help",
    "/no-such-page",
)


@pytest.fixture
def worlds(engine_uri: str) -> Iterator[tuple[HubInProcess, HubInProcess]]:
    """A hub, and one in which others have shared more at a level that `east` cannot read."""
    with ExitStack() as stack:
        found = []
        for is_fuller in (False, True):
            clock = ManualClock(wall_clock() // DAY * DAY + DAY // 2)
            empty = stack.enter_context(open_empty_store(engine_uri))
            store = Store.connect(engine_uri, name=empty._base.name, clock=clock)
            stack.callback(store.close)
            hub = HubInProcess(store, clock=clock)
            hub.join(Partner("east", "East Limited"), reads=("clear", "green"))
            add_person(hub, "eve@east.example", Role.ANALYST, partner="east")
            fill(hub, clock, is_fuller=is_fuller)
            found.append(hub)
        yield found[0], found[1]


def fill(hub: HubInProcess, clock: ManualClock, *, is_fuller: bool) -> None:
    """Share the same at GREEN at the same times; in the fuller world, more at AMBER by others."""
    mine = indicator(VALUE, seed="mine")
    actor = sdo(
        "threat-actor", id="threat-actor--11111111-1111-4111-8111-111111111111", name="actor"
    )
    hub.push(mine, who="east")
    clock.now += MINUTE
    hub.push(actor)
    clock.now += MINUTE
    if is_fuller:
        secret = indicator(VALUE, seed="secret", object_marking_refs=[AMBER])
        other = indicator(HIDDEN, seed="other", object_marking_refs=[AMBER])
        link = relationship(other, "indicates", actor, object_marking_refs=[AMBER])
        hub.push(secret, other, link)
        hub.push(indicator(HIDDEN, seed="third", object_marking_refs=[AMBER]), who="north")
    clock.now += MINUTE
    hub.push(indicator("last.bad-portal.top", seed="last"))
    while hub.store.values.index_next(fewest=1):
        pass
    while hub.store.statistics.count_next():
        pass


def page(hub: HubInProcess, client: object, path: str) -> tuple[int, str]:
    """The status and the text of a page without what is random in every world."""
    answer = client.get(f"/console{path}", follow_redirects=True)  # type: ignore[attr-defined]
    text = re.sub(r'(data-person|data-token|name="token" value)="[^"]+"', "TOKEN", answer.text)
    return answer.status_code, re.sub(r"/submissions/[0-9a-f-]{36}", "/submissions/ID", text)


@pytest.mark.slow
def test_what_a_person_may_not_read_changes_no_page(
    worlds: tuple[HubInProcess, HubInProcess],
) -> None:
    clients = [sign_in(hub, "eve@east.example") for hub in worlds]
    objects = {f"/objects/{each['id']}" for each in worlds[1].feed("amber")}
    assert len(objects) > 3
    for path in (*PATHS, *sorted(objects)):
        plain, full = (page(hub, client, path) for hub, client in zip(worlds, clients, strict=True))
        assert plain[1].splitlines() == full[1].splitlines(), path
        assert plain == full, path


@pytest.mark.slow
def test_the_two_worlds_differ_for_those_who_may_read_more(
    worlds: tuple[HubInProcess, HubInProcess],
) -> None:
    for hub in worlds:
        add_person(hub, "ana@acme.example", Role.ANALYST, partner="acme")
    clients = [sign_in(hub, "ana@acme.example") for hub in worlds]
    pages = [
        page(hub, client, f"/search?q={HIDDEN}")
        for hub, client in zip(worlds, clients, strict=True)
    ]
    assert pages[0] != pages[1]
