"""Revoking and sending again costs only the partner that does it (docs/merging.md)."""

from typing import Any

import pytest
from support.clock import ManualClock, stix_time_after
from support.hub import HubInProcess, findings, indicator, sdo
from support.several_ids import change_value, revoke

from tocsin.server.model import Partner

pytestmark = pytest.mark.slow


def cycle(hub: HubInProcess, times: int, who: str = "acme", ending: Any = revoke) -> list[str]:
    """Report one value and take it back, under a new id each time; the verdicts of the reports."""
    verdicts: list[str] = []
    for _ in range(times):
        sent = indicator("evil.top")
        verdicts += hub.verdicts(hub.push(sent, who=who))
        hub.push(ending(sent), who=who)
    return verdicts


def living(hub: HubInProcess) -> list[str]:
    """The values of the indicators that are in force."""
    return [o["pattern"].split("'")[1] for o in hub.feed("green") if not o.get("revoked")]


@pytest.mark.parametrize("ending", [revoke, change_value])
def test_another_partner_may_report_a_value_however_often_it_was_withdrawn(
    hub: HubInProcess, ending: Any
) -> None:
    cycle(hub, 20, ending=ending)
    assert hub.verdicts(hub.push(indicator("evil.top"), who="north")) == ["admitted"]
    assert "evil.top" in living(hub)


def test_a_value_has_no_greatest_number_of_generations(hub: HubInProcess) -> None:
    for number in range(12):
        hub.join(Partner(f"p{number}", f"Partner {number} Limited"))
        assert cycle(hub, 3, f"p{number}") == ["admitted"] * 3
    status = hub.push(indicator("evil.top"), who="north")
    assert hub.verdicts(status) == ["admitted"]
    assert living(hub) == ["evil.top"]
    hub.services.lifecycle.exclude("evil.top", "operator", "it is ours")
    assert living(hub) == []


def test_a_value_that_expires_daily_can_be_reported_for_ever(
    hub: HubInProcess, clock: ManualClock
) -> None:
    for _ in range(40):
        sent = indicator("evil.top", valid_until=stix_time_after(clock, days=1))
        assert hub.verdicts(hub.push(sent)) == ["admitted"]
        clock.advance(days=1.1)
        hub.sweep()
    assert living(hub) == []


def test_only_the_partner_that_withdraws_again_and_again_is_held(hub: HubInProcess) -> None:
    assert cycle(hub, 5) == ["admitted"] * 3 + ["held"] * 2
    status = hub.push(indicator("evil.top"))
    assert "you withdrew" in findings(status)[-1]["message"]
    assert hub.verdicts(hub.push(indicator("else.top"))) == ["admitted"]
    assert hub.verdicts(hub.push(indicator("evil.top"), who="north")) == ["admitted"]
    assert hub.verdicts(hub.push(indicator("evil.top"))) == ["held"]


def test_withdrawing_beside_other_partners_counts_too(hub: HubInProcess) -> None:
    hub.push(indicator("evil.top"), who="north")
    assert cycle(hub, 4) == ["merged"] * 3 + ["held"]


def test_the_hold_ends_with_a_quiet_period(hub: HubInProcess, clock: ManualClock) -> None:
    cycle(hub, 3)
    sent = indicator("evil.top")
    status = hub.push(sent)
    assert hub.verdicts(status) == ["held"]
    assert "send it again 12 hours after the last withdrawal" in findings(status)[-1]["message"]
    clock.advance(hours=12)
    assert hub.verdicts(hub.push(sent)) == ["admitted"]


def test_the_hold_ends_when_a_clock_that_was_ahead_is_set_back(
    hub: HubInProcess, clock: ManualClock
) -> None:
    clock.advance(days=40)
    assert cycle(hub, 4)[-1] == "held"
    clock.advance(days=-40)
    assert hub.verdicts(hub.push(indicator("evil.top"))) == ["admitted"]


def test_a_partner_that_replaces_its_report_daily_is_not_held(
    hub: HubInProcess, clock: ManualClock
) -> None:
    for _ in range(6):
        assert cycle(hub, 1) == ["admitted"]
        clock.advance(hours=23)


def test_what_refers_to_a_held_report_waits_for_it(hub: HubInProcess) -> None:
    cycle(hub, 3)
    sent = indicator("evil.top")
    note = sdo("note", content="n", object_refs=[sent["id"]])
    assert hub.verdicts(hub.push(sent, note)) == ["held", "held"]
    [review] = [each for each in hub.store.reviews.list_waiting() if each.source_id == sent["id"]]
    hub.services.intake.reviewer.release(review, "analyst")
    assert sorted(o["type"] for o in hub.feed("green") if not o.get("revoked")) == [
        "indicator",
        "note",
    ]


def test_an_analyst_releases_what_is_held(hub: HubInProcess) -> None:
    cycle(hub, 3)
    hub.push(indicator("evil.top"))
    [review] = hub.store.reviews.list_waiting()
    assert hub.services.intake.reviewer.release(review, "analyst").verdict == "admitted"
    assert living(hub) == ["evil.top"]


def test_a_partner_corrects_a_report_that_was_released(hub: HubInProcess) -> None:
    cycle(hub, 3)
    sent = indicator("evil.top")
    hub.push(sent)
    [review] = hub.store.reviews.list_waiting()
    hub.services.intake.reviewer.release(review, "analyst")
    again = {**sent, "modified": "2026-03-01T00:00:00.000Z", "name": "corrected"}
    assert hub.verdicts(hub.push(again)) == ["admitted"]


def test_withdrawing_one_of_two_ids_is_no_withdrawal_of_the_value(hub: HubInProcess) -> None:
    hub.push(indicator("evil.top"))
    assert cycle(hub, 6) == ["duplicate"] * 6
