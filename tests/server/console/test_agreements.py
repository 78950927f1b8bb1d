"""The people of a partner are bound by its agreements, as its accounts are."""

from types import SimpleNamespace
from typing import Any

from support.clock import ManualClock
from support.hub import HubInProcess

from tocsin.server.console.visit import rights_of
from tocsin.server.model import Agreement
from tocsin.server.person import Person, Role
from tocsin.server.store import Store

NOON = 2_000_000_000_000_000


def test_a_person_has_the_rights_of_the_partner_until_the_agreement_ends(store: Store) -> None:
    clock = ManualClock(NOON - 1)
    hub = HubInProcess(store, clock)
    settings = SimpleNamespace(require_agreements=False)
    services: Any = SimpleNamespace(store=store, settings=settings, clock=clock)
    jane = Person("1", "jane@acme.example", "Jane", "acme", frozenset({Role.ANALYST}))
    named = frozenset(hub.collection(alias).id for alias in ("inbox", "green"))
    assert len(rights_of(jane, services).reads) == 4
    terms = Agreement("", "acme", named, starts=NOON - 10, until=NOON)
    hub.services.agreements.add(terms, "operator:joe")
    bound = rights_of(jane, services)
    assert bound.reads == {hub.collection("green").id}
    assert bound.writes == {hub.collection("inbox").id}
    clock.now = NOON
    ended = rights_of(jane, services)
    assert ended.reads | ended.writes == frozenset()
    joe = Person("2", "joe@hub.example", "Joe", "", frozenset({Role.OPERATOR}))
    assert rights_of(joe, services).operator
    settings.require_agreements = True
    north = Person("3", "n@north.example", "N", "north", frozenset({Role.VIEWER}))
    assert rights_of(north, services).reads == frozenset()
