"""`tocsin-hub partner submissions`: what a partner's accounts and people sent."""

import json
from typing import Any

from support.clock import ManualClock
from support.console import add_person
from support.hub import HubInProcess, indicator

from tocsin.config.settings import HubSettings
from tocsin.server.auth import rights_of
from tocsin.server.cli.partner import list_submissions
from tocsin.server.person import Role
from tocsin.server.runtime import Runtime

JANE = "jane@acme.example"


def listed(hub: HubInProcess, **more: Any) -> list[str]:
    """The accounts of the submissions that are listed."""
    absent: Any = None
    opened = Runtime(HubSettings(), absent, hub.services)
    terms = {"since": 0, "limit": 100} | more
    return [str(each["account"]) for each in list_submissions(opened, "acme", **terms)]


def share(hub: HubInProcess) -> None:
    """Submit as a person of the partner, as the console does."""
    person = hub.store.people.find_by_login(JANE)
    assert person is not None
    rights = rights_of(person, hub.store.accounts.list_accounts("acme"))
    sent = json.dumps(indicator("two.top")).encode()
    raw = b'{"objects":[' + sent + b"]}"
    hub.services.intake.receive(rights, hub.collection("inbox"), [sent], raw)


def test_what_its_people_shared_in_the_console_is_among_it(
    timed: tuple[HubInProcess, ManualClock],
) -> None:
    hub, clock = timed
    add_person(hub, JANE, Role.ANALYST, partner="acme")
    hub.push(indicator())
    hub.push(indicator(), who="north")
    clock.now += 1
    share(hub)
    assert listed(hub) == ["acme", JANE]
    assert listed(hub, limit=1) == [JANE]


def test_it_stays_there_without_a_name_once_the_person_is_removed(hub: HubInProcess) -> None:
    add_person(hub, JANE, Role.ANALYST, partner="acme")
    share(hub)
    hub.services.people.remove(JANE, "operator")
    assert listed(hub) == ["removed person"]


def test_only_those_from_a_time_on_are_listed(timed: tuple[HubInProcess, ManualClock]) -> None:
    hub, clock = timed
    hub.push(indicator())
    clock.now += 1
    hub.push(indicator("two.top"))
    assert len(listed(hub)) == 2
    assert len(listed(hub, since=clock.now)) == 1
