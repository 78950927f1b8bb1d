"""The address of a hub in a browser."""

import pytest
from support.hub import HubInProcess

from tocsin.config.settings import HubSettings
from tocsin.server.console.forms import sentence
from tocsin.server.store import Store


def test_a_browser_is_sent_to_the_console_and_programs_are_not(hub: HubInProcess) -> None:
    html = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    answer = hub.client.get("/", headers=html)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/")
    for accept in ("*/*", "application/taxii+json;version=2.1", ""):
        assert hub.client.get("/", headers={"Accept": accept}).status_code == 404
    assert hub.client.get("/").status_code == 404


@pytest.mark.parametrize(
    "settings",
    [
        HubSettings(console=False),
        HubSettings(host="0.0.0.0"),  # noqa: S104
        HubSettings(host="192.0.2.1", public_url="http://hub.example"),
        HubSettings(host="::1234"),
    ],
)
def test_no_console_is_served_where_others_could_listen(
    store: Store, settings: HubSettings
) -> None:
    hub = HubInProcess(store, settings=settings)
    html = {"Accept": "text/html"}
    assert hub.client.get("/", headers=html).status_code == 404
    assert hub.client.get("/console/sign-in", headers=html).status_code == 404


def test_behind_a_proxy_with_tls_it_is_served_with_a_cookie_that_only_tls_carries(
    store: Store,
) -> None:
    settings = HubSettings(host="0.0.0.0", public_url="https://hub.example")  # noqa: S104
    hub = HubInProcess(store, settings=settings)
    answer = hub.client.get("/console/sign-in", headers={"Host": "hub.example"})
    assert answer.status_code == 200
    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_a_sentence_ends_once() -> None:
    assert sentence(ValueError("did you mean PT?")) == "Did you mean PT?"
    assert sentence(ValueError("no")) == "No."


def test_a_sentence_leaves_a_mailbox_as_it_is() -> None:
    assert sentence(ValueError("ana@x.example can sign in")) == "ana@x.example can sign in."
