"""Fixtures of the clients' tests: a hub to which the settings of a partner point."""

from collections.abc import Iterator

import pytest
from support.hub import HubInProcess
from support.taxii_servers import serve_app

from tocsin.config import HubSettings
from tocsin.server.store import Store


@pytest.fixture
def served(store: Store, alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubInProcess]:
    """A hub on a socket without a limit of requests, to which the variables of `acme` point."""
    hub = HubInProcess(store, settings=HubSettings(requests_per_minute=0))
    with serve_app(hub.client.application) as origin:
        monkeypatch.setenv("TOCSIN_URL", f"{origin}/taxii2/")
        monkeypatch.setenv("TOCSIN_KEY", "acme:acme")
        yield hub
