"""Fixtures of the clients' tests: a hub to which the settings of a partner point."""

from collections.abc import Iterator
from functools import partial

import pytest
from support.clock import hub_and_clock
from support.hub import HubInProcess
from support.taxii_servers import serve_app

from tocsin.clients import http
from tocsin.config.settings import HubSettings
from tocsin.server.store import Store


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat a request after milliseconds; by default the pauses before three retries take 3 s."""
    monkeypatch.setattr(http, "RetrySettings", partial(http.RetrySettings, pause=0.01))


@pytest.fixture
def served(store: Store, alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubInProcess]:
    """A hub on a socket, to which the variables of `acme` point.

    It has no limit of requests, and its clock stands still.
    """
    hub, _ = hub_and_clock(store, HubSettings(requests_per_minute=0))
    with serve_app(hub.client.application) as origin:
        monkeypatch.setenv("TOCSIN_URL", f"{origin}/taxii2/")
        monkeypatch.setenv("TOCSIN_KEY", "acme:acme")
        yield hub
