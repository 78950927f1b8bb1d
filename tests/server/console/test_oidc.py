"""Signing in at an identity provider."""

import re
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from support.console import Visitor, add_person, serve_console, visit
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import NotAuthenticated, Unavailable
from tocsin.config.settings import HubSettings
from tocsin.server.console import oidc
from tocsin.server.console.oidc import Provider, ProviderSettings
from tocsin.server.person import Invitation, Role
from tocsin.server.store import Store

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it uses parts of its libraries that are deprecated
    from oidc_provider_mock import User, run_server_in_thread

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the provider
JANE = {"email": "jane@hub.example", "email_verified": True, "name": "Jane"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """The issuer of a provider on a socket; it knows some people by their subject."""
    people = [
        User(sub="jane", claims=JANE),
        User(sub="rui", claims=JANE | {"email": "rui@acme.example"}),
        User(sub="eve", claims={"email": "jane@hub.example", "email_verified": False}),
    ]
    with run_server_in_thread(user_claims=people) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def hub(store: Store, issuer: str) -> HubInProcess:
    settings = HubSettings(oidc_issuer=issuer, oidc_client_id="tocsin", oidc_client_secret="s")
    return HubInProcess(store, settings=settings)


def come_back(hub: HubInProcess, subject: str, change: dict[str, str] | None = None) -> Any:
    """Go to the provider, sign in there as a subject, and come back; the last answer."""
    client = hub.client.application.test_client()
    away = client.get("/console/oidc?next=/console/me").headers["Location"]
    answer = requests.post(away, data={"sub": subject}, allow_redirects=False, timeout=10)
    query = {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
    back = client.get("/console/oidc/return", query_string=query | (change or {}))
    return back if back.status_code != 303 else (back.headers["Location"], client)


def test_a_person_signs_in_at_the_provider_in_a_browser(
    browser: Any, store: Store, issuer: str
) -> None:
    hub = HubInProcess(store)
    with serve_console(hub) as origin:
        port = urlsplit(origin).port or 0
        settings = HubSettings(
            oidc_issuer=issuer, oidc_client_id="tocsin", oidc_client_secret="s", port=port
        )
        served = HubInProcess(store, settings=settings, founded=True).client.application
        setattr(hub.client.application, "wsgi_app", served.wsgi_app)  # noqa: B010 (it is a method)
        add_person(hub, "jane@hub.example", Role.OPERATOR)
        with visit(browser, origin) as visitor:
            sign_in_there(visitor)


def sign_in_there(visitor: Visitor) -> None:
    page = visitor.go("/me")
    visitor.check()
    page.click("text=Sign in with your organisation")
    page.fill("input[name=sub]", "jane")
    page.click("button")
    page.wait_for_url("**/console/me")
    visitor.faults.clear()  # of the provider's pages
    assert "jane@hub.example" in page.inner_text("main")
    visitor.check()


@pytest.mark.slow
def test_a_known_person_comes_back_signed_in(hub: HubInProcess) -> None:
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    target, client = come_back(hub, "jane")
    assert target == "/console/me" and client.get(target).status_code == 200


@pytest.mark.slow
def test_an_invitation_is_taken_at_the_provider(hub: HubInProcess) -> None:
    roles = frozenset({Role.VIEWER})
    hub.services.people.invite(Invitation("", "rui@acme.example", "", "acme", roles, 0, "t"))
    _, client = come_back(hub, "rui")
    assert "viewer" in client.get("/console/me").text
    found = hub.store.people.find_by_login("rui@acme.example")
    assert found is not None and (found.partner, found.password) == ("acme", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("subject", "change", "text"),
    [
        ("rui", {}, "no invitation for this mailbox"),
        ("eve", {}, "has not verified"),
        ("jane", {"state": "other"}, "did not confirm"),
        ("jane", {"code": "other"}, "did not confirm"),
    ],
)
def test_others_stay_outside(hub: HubInProcess, subject: str, change: Any, text: str) -> None:
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    answer = come_back(hub, subject, change)
    assert answer.status_code == 401 and text in answer.text.lower()


def test_a_disabled_person_stays_outside(hub: HubInProcess) -> None:
    add_person(hub, "otto@hub.example", Role.OPERATOR)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    hub.services.people.set_disabled("jane@hub.example", "t", disabled=True)
    assert come_back(hub, "jane").status_code == 401


def test_a_provider_that_is_away_is_said_and_passwords_still_work(store: Store) -> None:
    settings = HubSettings(oidc_issuer="http://localhost:9", oidc_client_id="tocsin")
    hub = HubInProcess(store, settings=settings)
    answer = hub.client.get("/console/oidc")
    assert answer.status_code == 503 and "cannot be reached" in answer.text


def test_the_cookie_of_another_sign_in_or_a_forged_one_is_refused(issuer: str) -> None:
    settings = ProviderSettings(issuer, "tocsin")
    provider = Provider(settings, HUB_SECRETS.page_token_key, "http://localhost/")
    authorization = provider.begin_sign_in("/console/")
    state = parse_qs(urlsplit(authorization.url).query)["state"][0]
    other = provider.begin_sign_in("/console/")
    forged = re.sub("^.", "A", authorization.cookie)
    for cookie in (other.cookie, forged, "", "x.y"):
        with pytest.raises(Exception, match="did not confirm"):
            provider.finish_sign_in(cookie, {"state": state, "code": "x"})


def test_the_secret_of_the_hub_is_not_in_the_url(issuer: str) -> None:
    settings = ProviderSettings(issuer, "tocsin", "very-secret")
    url = Provider(settings, b"k", "http://localhost/").begin_sign_in("/console/").url
    assert "very-secret" not in url and "code_challenge_method=S256" in url


def test_a_provider_that_is_away_is_not_asked_by_every_visitor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[str]()

    def fail(url: str) -> dict[str, Any]:
        asked.append(url)
        raise Unavailable("away")

    monkeypatch.setattr(oidc, "_get", fail)
    provider = Provider(ProviderSettings("https://id.example", "tocsin"), b"k", "https://hub/")
    for _ in range(3):
        with pytest.raises(Unavailable):
            provider.begin_sign_in("/console/")
    assert len(asked) == 1
    later = time.monotonic() + 11
    monkeypatch.setattr(time, "monotonic", lambda: later)
    with pytest.raises(Unavailable):
        provider.begin_sign_in("/console/")
    assert len(asked) == 2, "it is asked again after a while"


@pytest.mark.slow
def test_a_slow_provider_does_not_make_others_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, end = threading.Event(), threading.Event()

    def be_slow(_: str) -> dict[str, Any]:
        asked.set()
        end.wait(60)
        raise Unavailable("away")

    monkeypatch.setattr(oidc, "_get", be_slow)
    provider = Provider(ProviderSettings("https://id.example", "tocsin"), b"k", "https://hub/")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(provider.begin_sign_in, "/console/")
        assert asked.wait(60)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            provider.begin_sign_in("/console/")
        assert time.monotonic() - began < 30
        assert not first.done()
        end.set()
        assert isinstance(first.exception(), Unavailable)


@pytest.mark.slow
def test_few_codes_at_a_time_are_brought_to_the_provider(
    issuer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, settings = threading.Event(), ProviderSettings(issuer, "tocsin", "s")
    inside = threading.Semaphore(0)

    def fetch_slowly(*_: Any, **__: Any) -> dict[str, Any]:
        inside.release()
        end.wait(60)
        return {}

    provider = Provider(settings, b"k", "http://localhost/console/oidc/return")
    monkeypatch.setattr(OAuth2Session, "fetch_token", fetch_slowly)
    authorization = provider.begin_sign_in("/console/")
    query = {"state": parse_qs(urlsplit(authorization.url).query)["state"][0], "code": "x"}
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(provider.finish_sign_in, authorization.cookie, query) for _ in range(2)
        ]
        assert all(inside.acquire(timeout=60) for _ in waiting)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            provider.finish_sign_in(authorization.cookie, query)
        assert time.monotonic() - began < 30
        end.set()
        assert all(isinstance(each.exception(), NotAuthenticated) for each in waiting)
