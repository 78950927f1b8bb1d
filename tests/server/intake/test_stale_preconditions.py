"""Decisions made while a submission is examined hold for it: they are looked at when it settles."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support.crash import replace_store, run_interrupted
from support.databases import open_again
from support.hub import HubInProcess, indicator, sdo

from tocsin.admission.model import Consent
from tocsin.config.settings import HubSettings
from tocsin.server.cli.partner import change_partner
from tocsin.server.intake import admission
from tocsin.server.model import Partner
from tocsin.server.partners.administration import PartnerChange
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store

OPEN = sdo("identity", name="Open Limited", identity_class="organization")
NAMED = indicator("one.top", created_by_ref=OPEN["id"], description="seen by Open Limited")
HELD = indicator("vpn.open.top")


@pytest.fixture
def hub(store: Store) -> Any:
    hub = HubInProcess(store)
    hub.join(Partner("open", "Open Limited", terms=("open.top",), consent=Consent.EVERYONE))
    return hub


@pytest.fixture
def other(hub: Any) -> Iterator[Any]:
    """Another process of the same hub."""
    there = copy(hub)
    with open_again(hub.store) as store:
        replace_store(there, store)
        yield there


def forbid(other: Any, value: Any) -> Any:
    return other.services.lifecycle.exclude(value, "analyst", "enough")


def withdraw(other: Any) -> Any:
    absent: Any = None
    opened = Runtime(HubSettings(), absent, other.services)
    return change_partner(opened, "open", PartnerChange({"consent": Consent.NONE}))


def test_a_value_excluded_during_evaluation_is_not_published(hub: Any, other: Any) -> None:
    push = partial(hub.push, indicator("one.top"))
    run_interrupted(hub, push, 1, partial(forbid, other, "one.top"), within=True)
    assert hub.feed("green") == []


@pytest.mark.slow
def test_a_value_excluded_between_batches_is_not_published(
    hub: Any, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "BATCH", 1)
    push = partial(hub.push, *(indicator(f"{name}.top") for name in ("one", "two", "three")))
    run_interrupted(hub, push, 1, partial(forbid, other, "three.top"))
    assert sorted(o["pattern"][-9:-2] for o in hub.feed("green")) == ["one.top", "two.top"]


@pytest.mark.slow
def test_a_value_excluded_during_a_release_is_not_published(hub: Any, other: Any) -> None:
    partner = hub.store.accounts.find_partner("open")
    hub.store.accounts.update_partner(replace(partner, mask_everywhere=True))
    hub.push(HELD, who="north")
    [review] = hub.store.reviews.list_waiting()
    release = lambda: hub.services.intake.reviewer.release(review, "analyst")  # noqa: E731
    happens = partial(forbid, other, "vpn.open.top")
    run_interrupted(hub, release, 1, happens, within=True)
    assert hub.feed("green") == []


@pytest.mark.slow
def test_consent_withdrawn_during_evaluation_removes_the_name(hub: Any, other: Any) -> None:
    hub.push(OPEN, who="open")
    push = partial(hub.push, NAMED, who="open")
    run_interrupted(hub, push, 1, partial(withdraw, other), within=True)
    [public] = [each for each in hub.feed("green", "north") if each["type"] == "indicator"]
    assert public["created_by_ref"] == hub.identity and "Open" not in str(public)


@pytest.mark.slow
def test_an_account_disabled_before_evaluation_publishes_nothing(
    hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(indicator("one.top"))  # the hub knows from it that the account may send
    submissions = hub.store.submissions
    receive = submissions.receive

    def receive_and_disable(*args: Any, **options: Any) -> None:
        receive(*args, **options)
        monkeypatch.setattr(submissions, "receive", receive)
        account = hub.store.accounts.find_account("acme")
        hub.store.accounts.update_account(replace(account, disabled=True))
        hub.push(indicator("two.top"), who="north")  # reads the partners as they are now

    monkeypatch.setattr(submissions, "receive", receive_and_disable)
    hub.push(indicator("three.top"))
    patterns = [each["pattern"] for each in hub.feed("green", "north")]
    assert [each[-9:-2] for each in patterns] == ["one.top", "two.top"]
