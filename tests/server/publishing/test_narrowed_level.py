"""A partner's stricter report of what it shared more widely before: the status says so."""

from __future__ import annotations

from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import AMBER, GREEN, HubInProcess, findings, indicator
from support.statement_marking import STATEMENT

from tocsin.server.model import Partner
from tocsin.server.store import Store, wall_clock

JANUARY, FEBRUARY = "2026-01-01T00:00:00.000Z", "2026-01-20T00:00:00.000Z"
MARCH = "2026-03-01T00:00:00.000Z"
NARROWED = (
    "replaces your earlier report at TLP:GREEN by one at TLP:AMBER: those who may only read "
    "TLP:GREEN do not get it from you any more; if you did not mean that, send it again at "
    "TLP:GREEN"
)


def report(level: str, **more: Any) -> dict[str, Any]:
    subject = indicator("evil.top", **({"seed": "one"} | more))
    return subject | {"object_marking_refs": [level]}


def messages(status: dict[str, Any]) -> list[str]:
    return [each["message"] for each in findings(status)]


def is_in_green(hub: HubInProcess) -> bool:
    found = [each for each in hub.feed("green") if each["type"] == "indicator"]
    return any(not each.get("revoked") for each in found)


@pytest.mark.slow
def test_a_stricter_version_of_the_same_report_is_said_to_reach_fewer_readers(
    hub: HubInProcess,
) -> None:
    hub.push(report(GREEN, modified=JANUARY))
    assert is_in_green(hub)
    assert NARROWED in messages(hub.push(report(AMBER, modified=FEBRUARY)))
    assert not is_in_green(hub)
    hub.push(report(GREEN, modified=MARCH))
    assert is_in_green(hub)


def test_it_is_said_of_an_observable_too(hub: HubInProcess) -> None:
    domain = {"type": "domain-name", "spec_version": "2.1", "value": "evil.top"}
    domain["id"] = "domain-name--6d4f7a0e-5c3b-5f5e-8c43-2f2f0e5b6c11"
    hub.push(domain | {"object_marking_refs": [GREEN]})
    assert NARROWED in messages(hub.push(domain | {"object_marking_refs": [AMBER]}))


def test_nothing_is_said_if_another_report_of_the_partner_keeps_the_level(
    hub: HubInProcess,
) -> None:
    hub.push(report(GREEN, seed="another"))
    hub.push(report(GREEN, modified=JANUARY))
    assert NARROWED not in messages(hub.push(report(AMBER, modified=FEBRUARY)))
    assert is_in_green(hub)


@pytest.mark.parametrize(("first", "second"), [(GREEN, GREEN), (AMBER, GREEN), (AMBER, AMBER)])
def test_nothing_is_said_if_the_level_stays_or_falls(
    hub: HubInProcess, first: str, second: str
) -> None:
    hub.push(report(first, modified=JANUARY))
    status = hub.push(report(second, modified=FEBRUARY, description="more"))
    assert not any("earlier report" in each for each in messages(status))


def test_the_reports_of_other_partners_change_nothing_about_it(hub: HubInProcess) -> None:
    hub.push(report(GREEN, seed="of north"), who="north")
    hub.push(report(AMBER, modified=JANUARY))
    status = hub.push(report(AMBER, modified=FEBRUARY, description="more"))
    assert not any("earlier report" in each for each in messages(status))


def test_nothing_is_said_of_a_report_that_had_ended(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock)
    until = "2099-01-01T00:00:00.000Z"
    hub.push(report(GREEN, modified=JANUARY, valid_until=until))
    clock.now += 80 * 366 * 86_400_000_000
    status = hub.push(report(AMBER, modified=FEBRUARY, seed="two"))
    assert not any("earlier report" in each for each in messages(status))


@pytest.mark.slow
def test_an_older_version_that_is_sent_twice_does_not_come_back(hub: HubInProcess) -> None:
    hub.join(Partner("watch", "Watch Limited"), ("clear", "green"))
    terms = STATEMENT | {"object_marking_refs": [GREEN]}
    older = report(GREEN, modified=JANUARY)
    older["object_marking_refs"] = [GREEN, terms["id"]]
    newer = older | {"modified": FEBRUARY, "object_marking_refs": [AMBER, terms["id"]]}
    hub.push(terms, older, who="watch")
    hub.push(newer, who="watch")
    for _ in range(3):
        assert hub.verdicts(hub.push(older, who="watch")) == ["duplicate"]
        assert not is_in_green(hub)
    hub.push(newer | {"modified": MARCH, "revoked": True}, who="watch")
    found = [each for each in hub.feed("amber") if each["type"] == "indicator"]
    assert found and all(each.get("revoked") for each in found)
