"""Accounts that submit: when they did last, how often they usually do, and how much is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.clock import ManualClock
from support.databases import open_again
from support.hub import HubInProcess, indicator
from support.presence import present

from tocsin.admission.errors import NotAllowed
from tocsin.admission.timestamps import DAY
from tocsin.server.model import Account, Agreement
from tocsin.server.reports.senders import SendingAccount, find_usual_gap
from tocsin.server.store import Store, wall_clock
from tocsin.server.store.senders import KEPT_RUNS

OPERATOR = Account("operator", "", operator=True)
MINUTE, HOUR = DAY // 1440, DAY // 24


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_clock())


@pytest.fixture
def hub(store: Store, clock: ManualClock) -> Iterator[HubInProcess]:
    """A hub whose database has the clock that tests can move, too."""
    HubInProcess(store)
    with open_again(store, clock) as moved:
        yield HubInProcess(moved, clock, founded=True)


def submit(hub: HubInProcess, clock: ManualClock, times: int, every: int = HOUR) -> None:
    """Submit an indicator so many times, and count."""
    for number in range(times):
        clock.now += every
        hub.push(indicator(f"a{number}.top"))
    count(hub)


def count(hub: HubInProcess) -> None:
    while hub.store.statistics.count_next():
        pass


def senders(hub: HubInProcess) -> dict[str, SendingAccount]:
    return {each.account: each for each in hub.services.statistics.senders(OPERATOR)}


@pytest.mark.slow
def test_a_rhythm_is_known_after_five_runs(hub: HubInProcess, clock: ManualClock) -> None:
    submit(hub, clock, 4)
    assert senders(hub)["acme"].usual is None
    submit(hub, clock, 1)
    acme = senders(hub)["acme"]
    assert (acme.usual, acme.last, acme.silent, acme.partner) == (HOUR, clock.now, False, "acme")


@pytest.mark.slow
def test_an_account_is_silent_after_three_times_its_usual_pause(
    hub: HubInProcess, clock: ManualClock
) -> None:
    submit(hub, clock, 6)
    clock.now += 3 * HOUR
    assert not senders(hub)["acme"].silent
    clock.now += MINUTE
    assert senders(hub)["acme"].silent


@pytest.mark.slow
def test_submissions_that_follow_each_other_closely_are_one_run(
    hub: HubInProcess, clock: ManualClock
) -> None:
    for _ in range(5):
        submit(hub, clock, 1)
        submit(hub, clock, 3, MINUTE)
    assert senders(hub)["acme"].usual == HOUR + 3 * MINUTE


@pytest.mark.slow
def test_an_account_without_a_rhythm_is_never_called_silent(
    hub: HubInProcess, clock: ManualClock
) -> None:
    for pause in (HOUR, 40 * HOUR, HOUR, 60 * HOUR, 2 * HOUR, 50 * HOUR):
        submit(hub, clock, 1, pause)
    clock.now += 30 * DAY
    acme = senders(hub)["acme"]
    assert (acme.usual, acme.silent) == (None, False)


def test_what_was_refused_is_counted_for_a_day(hub: HubInProcess, clock: ManualClock) -> None:
    hub.push(indicator("one.top"), {"type": "indicator"})
    count(hub)
    acme = senders(hub)["acme"]
    assert (acme.objects, acme.refused) == (2, 1)
    clock.now += DAY
    acme = senders(hub)["acme"]
    assert (acme.objects, acme.refused) == (0, 0)


@pytest.mark.slow
def test_nothing_is_counted_twice_and_only_the_latest_runs_are_kept(
    hub: HubInProcess, clock: ManualClock
) -> None:
    submit(hub, clock, KEPT_RUNS + 3)
    count(hub)
    record = hub.store.statistics.senders(["acme"])["acme"]
    assert (len(record.runs), record.objects) == (KEPT_RUNS, 24)


def test_an_account_that_never_submitted_or_is_disabled_is_not_listed(
    hub: HubInProcess, clock: ManualClock
) -> None:
    submit(hub, clock, 1)
    assert list(senders(hub)) == ["acme"]
    acme = present(hub.store.accounts.find_account("acme"))
    hub.store.commit(lambda txn: txn.accounts.update_account(replace(acme, disabled=True)))
    assert senders(hub) == {}


@pytest.mark.slow
def test_an_account_that_may_not_submit_now_is_not_listed(
    hub: HubInProcess, clock: ManualClock
) -> None:
    submit(hub, clock, 6)
    inbox = frozenset({hub.collection("inbox").id})
    terms = Agreement("", "acme", inbox, starts=clock.now, until=clock.now + 9 * HOUR)
    hub.services.agreements.add(terms, "t")
    clock.now += 8 * HOUR
    assert senders(hub)["acme"].silent
    clock.now += HOUR
    assert senders(hub) == {}


def test_a_partner_may_not_ask_for_it(hub: HubInProcess) -> None:
    with pytest.raises(NotAllowed):
        hub.services.statistics.senders(Account("acme", "acme"))


def test_it_is_forgotten_with_its_partner(hub: HubInProcess, clock: ManualClock) -> None:
    submit(hub, clock, 1)
    hub.push(indicator("b.top"), who="north")
    count(hub)
    hub.store.statistics.forget_partner("acme")
    assert list(senders(hub)) == ["north"]


@pytest.mark.slow
def test_an_account_that_stopped_is_silent_however_long_ago_that_was(
    hub: HubInProcess, clock: ManualClock
) -> None:
    """A person who shared in the console is forgotten after a time, and so are old counts."""
    submit(hub, clock, 6)
    record = hub.store._base.stats.find_one({"_id": "sender|acme"})
    someone = dict(present(record)) | {"_id": "sender|ana@acme.example"}
    hub.store._base.stats.insert_one(someone | {"account": "ana@acme.example"})
    before = senders(hub)["acme"]
    clock.now += 500 * DAY
    hub.store.statistics.forget()
    assert [each["_id"] for each in hub.store._base.stats.find({})] == ["sender|acme"]
    acme = senders(hub)["acme"]
    assert acme.silent and acme.last == before.last


@pytest.mark.parametrize(
    ("gaps", "usual"),
    [([], None), ([5] * 3, None), ([5] * 4, 5), ([5, 5, 5, 90], 5), ([1, 50, 2, 90], None)],
)
def test_a_rhythm_needs_several_pauses_that_are_alike(gaps: list[int], usual: int | None) -> None:
    assert find_usual_gap(gaps) == usual
