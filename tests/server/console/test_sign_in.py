"""Signing in to the console: passwords, codes, invitations, sessions, other sites' forms."""

import io
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pyotp
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect
from support.clock import ManualClock
from support.console import PASSWORD, Visitor, add_person, post, sign_in, token_of
from support.hub import HubInProcess
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from tocsin.config.settings import HubSettings
from tocsin.server.console.middleware import ConcurrencyLimit, limit_concurrency
from tocsin.server.partners.attempts import DEVICE_SECONDS, SECOND
from tocsin.server.partners.people import IDLE_SECONDS, SESSION_SECONDS, People
from tocsin.server.person import Invitation, Role
from tocsin.server.store import Store

DAY = 24 * 3600 * SECOND


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000 * SECOND)


def use_until_the_last_quarter(client: FlaskClient, clock: ManualClock) -> None:
    """Open a page every 15 minutes, up to 15 minutes before the longest session ends."""
    for _ in range(SESSION_SECONDS // IDLE_SECONDS * 2 - 1):
        clock.now += IDLE_SECONDS * SECOND // 2
        assert client.get("/console/me").status_code == 200


def attempt(hub: HubInProcess, login: str, password: str = PASSWORD, code: str = "") -> int:
    """Try to sign in; the status of the answer."""
    client = hub.client.application.test_client()
    form = {"login": login, "password": password, "code": code}
    return int(post(client, "/console/sign-in", form).status_code)


@pytest.mark.slow
def test_a_person_signs_in_in_a_browser_and_out_again(visitor: Visitor) -> None:
    page = visitor.go("/me")
    assert "/console/sign-in?next=/console/me" in page.url
    visitor.check()
    page.fill("#login", "viewer@hub.example")
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"{visitor.origin}/console/me")
    assert "Viewer" in page.inner_text("h1")
    visitor.check()
    page.click("text=Sign out")
    visitor.go("/me")
    assert "/console/sign-in" in page.url


@pytest.mark.slow
def test_a_page_that_the_browser_kept_for_back_is_not_seen_after_signing_out(
    visitor: Visitor,
) -> None:
    page = visitor.sign_in("viewer@hub.example")
    kept = "dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))"
    page.evaluate("document.title = 'kept'")
    page.evaluate(kept)
    page.wait_for_timeout(200)
    assert page.title() == "kept", "nobody has signed out"
    with visitor.context.expect_page() as opened:
        page.evaluate("open('/console/me')")
    opened.value.click("text=Sign out")
    opened.value.wait_for_url("**/console/sign-in")
    # In one tab, the page that comes after signing out writes down that nobody is signed in.
    page.evaluate("sessionStorage.setItem('person', '')")
    page.evaluate(kept)
    page.wait_for_url("**/console/sign-in?next=/console/me")


@pytest.mark.parametrize("role", Role)
def test_each_role_begins_at_a_page_that_it_may_open(hub: HubInProcess, role: Role) -> None:
    client = sign_in(hub, f"{role}@hub.example")
    assert client.get("/console/", follow_redirects=True).status_code == 200


@pytest.mark.slow
def test_boxes_before_long_labels_keep_their_size(visitor: Visitor) -> None:
    page = visitor.sign_in("viewer@hub.example")
    widths = page.evaluate(
        "[...document.querySelectorAll('[type=checkbox]')].map(e => e.offsetWidth)"
    )
    assert len(widths) > 1 and set(widths) == {18}


@pytest.mark.slow
def test_an_invited_person_sets_a_password_and_is_signed_in(
    visitor: Visitor, hub: HubInProcess
) -> None:
    roles = frozenset({Role.ANALYST})
    secret = hub.services.people.invite(
        Invitation("", "jane@acme.example", "", "acme", roles, 0, "t")
    )
    page = visitor.go(f"/invitation/{secret}")
    visitor.check()
    page.fill("#name", "Jane")
    page.fill("#password", "short")
    page.click("button.main")
    expect(page.locator(".errors")).to_contain_text("12 characters or more")
    visitor.faults.clear()  # the browser logs the 422
    visitor.check()
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(lambda url: "/invitation/" not in url)
    assert attempt(hub, "jane@acme.example") == 303
    assert hub.client.get(f"/console/invitation/{secret}").status_code == 404


@pytest.mark.slow
def test_a_code_of_an_app_is_asked_for_once_it_is_set_up(
    visitor: Visitor, hub: HubInProcess
) -> None:
    page = visitor.sign_in("viewer@hub.example")
    visitor.go("/me/code")
    secret = page.inner_text("figcaption")
    assert page.is_visible("figure svg.qr")
    visitor.check()
    page.fill("#code", pyotp.TOTP(secret).now())
    page.fill("#password", PASSWORD)
    page.click("button.main")
    page.wait_for_url(f"{visitor.origin}/console/me")
    stored = hub.services.store.people.find_by_login("viewer@hub.example")
    assert stored is not None and stored.totp and secret not in stored.totp
    assert attempt(hub, "viewer@hub.example") == 401
    step = stored.totp_step
    following = pyotp.TOTP(secret).generate_otp(step + 1)
    assert attempt(hub, "viewer@hub.example", code=following) == 303
    assert attempt(hub, "viewer@hub.example", code=following) == 401, "each code works once"


def test_wrong_passwords_unknown_people_and_disabled_ones_get_one_answer(hub: HubInProcess) -> None:
    hub.services.people.set_disabled("auditor@hub.example", "t", disabled=True)
    pages = set()
    for login, password in (
        ("viewer@hub.example", "wrong password"),
        ("nobody@hub.example", PASSWORD),
        ("auditor@hub.example", PASSWORD),
    ):
        client = hub.client.application.test_client()
        answer = post(client, "/console/sign-in", {"login": login, "password": password})
        pages.add((answer.status_code, answer.text.replace(login, "LOGIN")))
    assert len(pages) == 1


def test_attempts_must_wait_after_five_failures_but_not_from_another_address(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    for _ in range(5):
        assert attempt(hub, "jane@hub.example", "wrong") == 401
    assert attempt(hub, "jane@hub.example") == 429
    client = hub.client.application.test_client()
    form = {"login": "jane@hub.example", "password": PASSWORD}
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    answer = post(client, "/console/sign-in", form, environ_base=elsewhere)
    assert answer.status_code == 303
    clock.now += 3 * SECOND
    assert attempt(hub, "jane@hub.example") == 303


@pytest.mark.slow
@pytest.mark.parametrize("failures", [1, 6])
def test_a_failure_by_a_clock_that_was_ahead_locks_nobody_out(
    store: Store, clock: ManualClock, failures: int
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    clock.now += 365 * DAY
    for _ in range(failures):
        attempt(hub, "jane@hub.example", "wrong")
    clock.now -= 365 * DAY
    assert attempt(hub, "jane@hub.example") == 303


def test_attempts_must_wait_though_another_process_has_a_clock_that_is_a_little_ahead(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    for _ in range(5):
        assert attempt(hub, "jane@hub.example", "wrong") == 401
    clock.now -= SECOND
    assert attempt(hub, "jane@hub.example") == 429


@pytest.mark.slow
def test_failures_go_on_counting_whichever_of_two_processes_with_different_clocks_they_reach(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    found = []
    for n in range(16):
        clock.now += 120 * SECOND * (-1) ** n
        found.append(attempt(hub, "jane@hub.example", "wrong"))
    assert found[:6] == [401] * 6 and 429 in found[6:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "header", "status"),
    [
        (HubSettings(forwarded_for=True), "{n}", 401),
        (HubSettings(forwarded_for=True), "192.0.2.1, {n}", 401),
        (HubSettings(forwarded_for=True), "{n}, 192.0.2.1", 429),
        (HubSettings(), "{n}", 429),
    ],
)
def test_behind_a_proxy_attempts_count_by_what_it_says_of_the_client(
    store: Store, settings: HubSettings, header: str, status: int
) -> None:
    hub = HubInProcess(store, settings=settings)
    for n in range(30):
        assert attempt_from(hub, {"X-Forwarded-For": header.format(n=f"198.51.100.{n}")}) == 401
    assert attempt_from(hub, {"X-Forwarded-For": header.format(n="198.51.100.99")}) == status


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "status"), [("2001:db8::{n}", 429), ("2001:db8:{n}::1", 401)])
def test_who_has_a_network_of_ipv6_has_one_address(
    hub: HubInProcess, pattern: str, status: int
) -> None:
    for n in range(30):
        assert attempt_from(hub, {}, pattern.format(n=n)) == 401
    assert attempt_from(hub, {}, pattern.format(n="ff")) == status


def attempt_from(hub: HubInProcess, headers: dict[str, str], address: str = "192.0.2.9") -> int:
    """Try to sign in as somebody who is not known, each time another one."""
    client = hub.client.application.test_client()
    form = {"login": f"{uuid.uuid4().hex}@hub.example", "password": "wrong"}
    environ = {"REMOTE_ADDR": address}
    answer = post(client, "/console/sign-in", form, headers=headers, environ_base=environ)
    return int(answer.status_code)


@pytest.mark.parametrize(("path", "status"), [("/console/sign-in", 413), ("/console/share", 401)])
def test_a_long_form_of_somebody_who_has_not_signed_in_is_not_read(
    hub: HubInProcess, path: str, status: int
) -> None:
    class Unread(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise AssertionError("the body is read")

    body = {"wsgi.input": Unread(), "CONTENT_LENGTH": "70000"}
    client = hub.client.application.test_client()
    answer = post(client, path, {"login": "x", "token": ""}, environ_overrides=body)
    assert answer.status_code == status


@pytest.mark.slow
def test_a_session_that_was_used_by_a_clock_that_was_ahead_ends_when_it_is_set_back(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    client = sign_in(hub, "jane@hub.example")
    for _ in range(20):
        clock.now += IDLE_SECONDS * SECOND // 2
        assert client.get("/console/me").status_code == 200
    clock.now -= 10 * IDLE_SECONDS * SECOND
    assert client.get("/console/me").status_code == 303


@pytest.mark.slow
def test_a_session_ends_when_it_is_idle_and_at_the_latest_after_twelve_hours(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    client = sign_in(hub, "jane@hub.example")
    clock.now += IDLE_SECONDS * SECOND - 1
    assert client.get("/console/me").status_code == 200
    clock.now += IDLE_SECONDS * SECOND
    assert client.get("/console/me").status_code == 303
    client = sign_in(hub, "jane@hub.example")
    use_until_the_last_quarter(client, clock)
    clock.now += IDLE_SECONDS * SECOND // 2
    assert client.get("/console/me").status_code == 303


@pytest.mark.parametrize(
    ("page", "target"),
    [
        ("http://localhost/console/share?instead=a", "/console/share%3Finstead%3Da"),
        ("http://evil.test/console/share", "/console/share"),
        ("http://localhost/console/admin/policy/trial?x=y", "/console/admin/policy"),
        ("http://localhost/console/objects/indicator--1/lead", "/console/objects/indicator--1"),
        ("http://localhost/console/sign-out", "/console/"),
        ("http://localhost//evil.test/console/", "/console/"),
        ("http://[", "/console/"),
        ("", "/console/"),
    ],
)
def test_a_form_of_a_session_that_has_ended_leads_to_signing_in_and_back(
    hub: HubInProcess, page: str, target: str
) -> None:
    client = hub.client.application.test_client()
    for header in ("Referer", "HX-Current-URL"):
        answer = post(client, "/console/share", {"token": ""}, headers={header: page})
        link = f"/console/sign-in?next={target}"
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, f"{link}&said=ended")
        assert f'href="{link}"' in answer.text and "Your session has ended" in answer.text


def test_a_page_that_asks_for_a_part_of_itself_stays_and_links_to_signing_in_and_back(
    hub: HubInProcess,
) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://localhost/console/review?rule=a"}
    answer = hub.client.get("/console/part/waiting?seen=1", headers=headers)
    assert answer.status_code == 401 and "HX-Redirect" not in answer.headers
    assert 'href="/console/sign-in?next=/console/review%3Frule%3Da"' in answer.text


def test_a_session_that_was_begun_by_a_clock_that_was_ahead_ends_when_it_is_set_back(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    clock.now += 365 * DAY
    client = sign_in(hub, "jane@hub.example")
    clock.now -= 365 * DAY
    assert client.get("/console/me").status_code == 303


def test_the_number_in_the_bar_keeps_no_session_open(store: Store, clock: ManualClock) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.REVIEWER)
    client = sign_in(hub, "jane@hub.example")
    clock.now += IDLE_SECONDS * SECOND // 2
    assert client.get("/console/part/waiting?seen=0").status_code == 204
    clock.now += IDLE_SECONDS * SECOND // 2
    assert client.get("/console/part/waiting?seen=0").status_code == 401
    assert client.get("/console/review").status_code == 303


def test_an_open_page_warns_two_minutes_before_the_session_ends_and_can_keep_it(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.AUDITOR)
    client = sign_in(hub, "jane@hub.example")
    form = {"token": token_of(client)}
    clock.now += (IDLE_SECONDS - 121) * SECOND
    assert client.get("/console/part/session?shown=").status_code == 204
    clock.now += SECOND
    warned = client.get("/console/part/session?shown=")
    assert "ends within two minutes if you do nothing" in warned.text
    assert "/console/part/session?shown=idle" in warned.text
    assert client.get("/console/part/session?shown=idle").status_code == 204
    clock.now += 100 * SECOND
    kept = post(client, "/console/me/stay", form)
    assert kept.status_code == 200 and "two minutes" not in kept.text
    clock.now += (IDLE_SECONDS - 121) * SECOND
    assert client.get("/console/part/session?shown=").status_code == 204


@pytest.mark.slow
def test_an_open_page_warns_before_the_twelve_hours_of_a_session_are_over(
    store: Store, clock: ManualClock
) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.VIEWER)
    client = sign_in(hub, "jane@hub.example")
    use_until_the_last_quarter(client, clock)
    clock.now += (IDLE_SECONDS // 2 - 120) * SECOND
    warned = client.get("/console/part/session?shown=").text
    assert "after 12 hours" in warned and "Stay signed in" not in warned


@pytest.mark.slow
def test_who_types_for_long_is_warned_in_time_and_stays_signed_in(
    visitor: Visitor, hub: HubInProcess
) -> None:
    visitor.page.clock.install()
    page = visitor.sign_in("viewer@hub.example", "/me")
    people = hub.store.people
    person = people.find_by_login("viewer@hub.example")
    assert person is not None
    [session] = people.list_sessions(person.id)
    people.note_session(session.id, hub.services.clock() - (IDLE_SECONDS - 100) * SECOND)
    page.clock.run_for(31_000)
    page.wait_for_selector("#session button")
    assert page.inner_text("#session").startswith("Your session ends within two minutes")
    visitor.check()
    page.click("#session button")
    page.wait_for_selector("#session", state="hidden")
    assert people.list_sessions(person.id)[0].seen > hub.services.clock() - 60 * SECOND
    visitor.check()


def test_a_part_of_a_page_leads_nobody_to_the_second_factor(store: Store) -> None:
    settings = HubSettings(require_second_factor=True)
    hub = HubInProcess(store, settings=settings)
    add_person(hub, "jane@hub.example", Role.REVIEWER)
    client = sign_in(hub, "jane@hub.example")
    assert client.get("/console/review").status_code == 303
    assert client.get("/console/part/waiting?seen=7").status_code == 204


def test_signing_in_changes_the_cookie_and_ends_the_session_before(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    before = client.get_cookie("tocsin-console")
    post(client, "/console/sign-in", {"login": "viewer@hub.example", "password": PASSWORD})
    after = client.get_cookie("tocsin-console")
    assert before is not None and after is not None and before.value != after.value
    other = hub.client.application.test_client()
    other.set_cookie("tocsin-console", before.value)
    assert other.get("/console/me").status_code == 303


@pytest.mark.parametrize(
    "target",
    ["//evil.test", "https://evil.test/", "/console//evil", "/taxii2/"]
    + ["/console/../taxii2/", "/console/me/%2e%2E/%2e./taxii2/", "/console/.%2e//evil.test"],
)
def test_nobody_is_sent_to_another_site(hub: HubInProcess, target: str) -> None:
    client = hub.client.application.test_client()
    form = {"login": "viewer@hub.example", "password": PASSWORD, "next": target}
    answer = post(client, "/console/sign-in", form)
    assert answer.headers["Location"] == "/console/"


def test_a_search_for_two_dots_follows_after_signing_in(hub: HubInProcess) -> None:
    client, target = hub.client.application.test_client(), "/console/search?q=a/../b"
    form = {"login": "viewer@hub.example", "password": PASSWORD, "next": target}
    assert post(client, "/console/sign-in", form).headers["Location"] == target


def test_forms_of_other_sites_and_of_other_sessions_are_refused(hub: HubInProcess) -> None:
    client, other = sign_in(hub, "viewer@hub.example"), sign_in(hub, "analyst@hub.example")
    form = {"token": token_of(client)}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        answer = client.post("/console/me/sessions", data=form, headers=headers)
        assert answer.status_code == 403
    assert client.post("/console/me/sessions", data=form).status_code == 403, "no origin at all"
    origin = {"Origin": "http://localhost"}
    assert client.post("/console/me/sessions", data=form, headers=origin).status_code == 303
    assert post(client, "/console/me/sessions", {"token": token_of(other)}).status_code == 403
    assert post(client, "/console/me/sessions", {"token": "é"}).status_code == 403


@pytest.mark.parametrize("host", ["evil.test", "[::::]", "[", ""])
def test_another_host_name_is_refused(hub: HubInProcess, host: str) -> None:
    # Without the test client, which cannot read some of these names itself.
    environ = create_environ("/console/sign-in") | {"HTTP_HOST": host}
    body, status, _ = run_wsgi_app(hub.client.application, environ, buffered=True)
    assert status.startswith("421") and b"not that of the hub" in b"".join(body)


def test_pages_that_are_not_a_persons_look_like_pages_that_are_not(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    answers = [client.get(f"/console{path}") for path in ("/review", "/no-such-page")]
    seen = {
        (each.status_code, each.text, tuple(h for h in each.headers if h[0] != "X-Request-Id"))
        for each in answers
    }
    assert len(seen) == 1 and answers[0].status_code == 404


def test_every_answer_has_a_strict_policy_and_is_not_kept(hub: HubInProcess) -> None:
    for path in ("/console/sign-in", "/console/me", "/console/x"):
        answer = hub.client.get(path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_changed_password_ends_all_other_sessions(hub: HubInProcess) -> None:
    client, other = (sign_in(hub, "viewer@hub.example") for _ in range(2))
    form = {"old_password": PASSWORD, "new_password": "another good password"}
    assert post(client, "/console/me/password", form).status_code == 303
    assert client.get("/console/me").status_code == 200
    assert other.get("/console/me").status_code == 303
    assert attempt(hub, "viewer@hub.example") == 401
    assert attempt(hub, "viewer@hub.example", "another good password") == 303


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("settings", {"name": "Vera", "zone": "", "scheme": "", "undo_seconds": "20"}, "are saved"),
        ("password", {"old_password": PASSWORD, "new_password": "another good one"}, "is changed"),
        ("sessions", {}, "sessions have ended"),
    ],
)
def test_a_person_s_page_says_that_a_form_was_taken(
    hub: HubInProcess, path: str, form: dict[str, str], said: str
) -> None:
    client = sign_in(hub, "viewer@hub.example")
    assert 'class="note ok"' not in client.get("/console/me").text
    answer = post(client, f"/console/me/{path}", form)
    assert answer.status_code == 303
    assert re.search(
        f'class="note ok" role="status">Your [^<]*{said}', client.get(answer.location).text
    )


def test_an_old_password_that_is_being_checked_while_it_is_changed_is_no_use(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in(hub, "viewer@hub.example")
    form = {"old_password": PASSWORD, "new_password": "another good password"}
    verify, is_late = People._verify, [True]

    def verify_and_wait(people: People, hashed: str, password: str) -> bool:
        matches = verify(people, hashed, password)
        if is_late.pop() if is_late else False:
            assert post(client, "/console/me/password", form).status_code == 303
        return matches

    monkeypatch.setattr(People, "_verify", verify_and_wait)
    assert attempt(hub, "viewer@hub.example") == 401
    assert attempt(hub, "viewer@hub.example") == 401
    assert attempt(hub, "viewer@hub.example", "another good password") == 303


def test_of_two_changes_of_a_password_at_once_only_one_holds(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [sign_in(hub, "viewer@hub.example") for _ in range(2)]
    forms = [{"old_password": PASSWORD, "new_password": f"good password {n}"} for n in range(2)]
    verify, is_late = People._verify, [True]

    def verify_and_wait(people: People, hashed: str, password: str) -> bool:
        matches = verify(people, hashed, password)
        if is_late.pop() if is_late else False:
            assert post(clients[1], "/console/me/password", forms[1]).status_code == 303
        return matches

    token = token_of(clients[0])
    monkeypatch.setattr(People, "_verify", verify_and_wait)
    answer = post(clients[0], "/console/me/password", forms[0] | {"token": token})
    assert answer.status_code == 409
    assert attempt(hub, "viewer@hub.example", "good password 1") == 303


@pytest.mark.parametrize("secret", ["", "A" * 8, "A" * 64, "a b", "\N{SNOWMAN}" * 32])
def test_a_secret_that_the_hub_did_not_make_is_refused(hub: HubInProcess, secret: str) -> None:
    client = sign_in(hub, "viewer@hub.example")
    answer = post(
        client, "/console/me/code", {"secret": secret, "code": "123456", "password": PASSWORD}
    )
    assert answer.status_code == 422
    assert "The code is not that of the app" in answer.text


def test_a_second_app_does_not_replace_the_first_one(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    for status in (303, 409):
        secret = pyotp.random_base32()
        form = {"secret": secret, "code": pyotp.TOTP(secret).now(), "password": PASSWORD}
        assert post(client, "/console/me/code", form).status_code == status


def test_a_hub_keeps_an_operator(hub: HubInProcess) -> None:
    people = hub.services.people
    for change in (
        lambda: people.remove("operator@hub.example", "t"),
        lambda: people.set_disabled("operator@hub.example", "t", disabled=True),
        lambda: people.set_roles("operator@hub.example", [Role.AUDITOR], "t"),
    ):
        with pytest.raises(Exception, match="the hub needs an operator"):
            change()
    assert attempt(hub, "operator@hub.example") == 303


def test_what_people_do_is_in_the_journal_under_their_name(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    post(client, "/console/sign-out", {})
    found = [(e.action, e.actor) for e in hub.services.store.journal.entries()]
    assert ("sign_in", "viewer@hub.example") in found
    assert ("sign_out", "viewer@hub.example") in found


def test_the_secret_of_an_invitation_is_in_no_log_and_not_in_the_database(
    hub: HubInProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    roles = frozenset({Role.VIEWER})
    made = Invitation("", "jane@acme.example", "", "acme", roles, 0, "t")
    secret = hub.services.people.invite(made)
    assert hub.client.get(f"/console/invitation/{secret}").status_code == 200
    assert "/invitation/" in caplog.text and secret not in caplog.text
    stored = [str(each) for each in hub.store._base.invitations.find()]
    assert stored and all(secret not in each for each in stored)


@pytest.mark.parametrize("path", ["/admin", "/no-such-page", "/me"])
def test_methods_say_nothing_of_pages(hub: HubInProcess, path: str) -> None:
    client = sign_in(hub, "viewer@hub.example")
    headers = {"Sec-Fetch-Site": "same-origin", "X-Tocsin-Token": token_of(client)}
    for method in ("OPTIONS", "PUT", "DELETE"):
        answer = client.open(f"/console{path}", method=method, headers=headers)
        assert answer.status_code == 404 and "Allow" not in answer.headers


@pytest.mark.parametrize("path", ["/sign-in", "/invitation/x", "/oidc", "/oidc/return"])
def test_a_crowd_of_strangers_leaves_those_who_have_signed_in_their_places(path: str) -> None:
    release, statuses = threading.Event(), list[str]()

    def answer(environ: dict[str, Any], start: Any) -> list[bytes]:
        if environ["PATH_INFO"] == path:
            release.wait(30)
        start("200 OK", [])
        return [b""]

    middleware = limit_concurrency(answer)

    def visit(path: str) -> None:
        list(middleware({"PATH_INFO": path}, lambda status, _: statuses.append(status)))

    with ThreadPoolExecutor(12) as pool:
        strangers = [pool.submit(visit, path) for _ in range(12)]
        wait(strangers, timeout=10, return_when=FIRST_COMPLETED)
        statuses.clear()
        visit("/review")
        assert "200 OK" in statuses
        release.set()


def test_a_crowd_is_asked_to_come_again_and_a_few_may_wait() -> None:
    release, inside, statuses = threading.Event(), threading.Semaphore(0), list[str]()

    def slow(environ: object, start: Any) -> list[bytes]:
        inside.release()
        release.wait(10)
        start("200 OK", [])
        return [b""]

    middleware = ConcurrencyLimit(slow, most=1)
    visitors = [
        threading.Thread(target=lambda: middleware({}, lambda status, _: statuses.append(status)))
        for _ in range(2)
    ]
    visitors[0].start()
    inside.acquire()
    visitors[1].start()
    while middleware._queue._value:
        pass
    middleware({}, lambda status, _: statuses.append(status))
    assert statuses == ["503 Service Unavailable"]
    release.set()
    for each in visitors:
        each.join()
    assert statuses[1:] == ["200 OK", "200 OK"]


def test_a_hub_that_wants_a_second_factor_shows_its_people_nothing_else_before(
    store: Store,
) -> None:
    hub = HubInProcess(store, settings=HubSettings(require_second_factor=True))
    add_person(hub, "otto@hub.example", Role.OPERATOR)
    add_person(hub, "ana@acme.example", Role.VIEWER, partner="acme")
    client = sign_in(hub, "otto@hub.example")
    for path in ("/overview", "/admin/people", "/me", "/no-such-page"):
        assert client.get(f"/console{path}").headers["Location"] == "/console/me/code"
    secret = re.findall(r'name="secret" value="([A-Z2-7]+)"', client.get("/console/me/code").text)[
        0
    ]
    form = {"secret": secret, "code": pyotp.TOTP(secret).now(), "password": PASSWORD}
    form["token"] = re.findall(r'data-token="([^"]+)"', client.get("/console/me/code").text)[0]
    assert post(client, "/console/me/code", form).status_code == 303
    assert client.get("/console/overview").status_code == 200
    assert sign_in(hub, "ana@acme.example").get("/console/me").status_code == 200


def try_as(
    hub: HubInProcess, client: FlaskClient, address: str, password: str = PASSWORD
) -> TestResponse:
    """Try to sign in as the viewer, from an address."""
    form = {"login": "viewer@hub.example", "password": password}
    answer: TestResponse = post(
        client, "/console/sign-in", form, environ_base={"REMOTE_ADDR": address}
    )
    return answer


def lock_out_viewer(hub: HubInProcess) -> None:
    """Fail as the viewer from so many addresses that all must wait who are not known."""
    attempts = hub.services.people.attempts
    for n in range(50):
        attempts.note_failure(attempts.keys_of("viewer@hub.example", f"198.51.100.{n // 5}"))
    client = hub.client.application.test_client()
    assert try_as(hub, client, "192.0.2.7").status_code == 429


class TestKnownBrowsers:
    @pytest.mark.slow
    def test_strangers_cannot_lock_a_person_out_of_a_browser_used_before(
        self, hub: HubInProcess
    ) -> None:
        client = sign_in(hub, "viewer@hub.example")
        post(client, "/console/sign-out", {})
        lock_out_viewer(hub)
        assert try_as(hub, client, "192.0.2.7").status_code == 303
        stranger = hub.client.application.test_client()
        assert try_as(hub, stranger, "192.0.2.8").status_code == 429, "it helps only that browser"

    def test_a_known_browser_has_five_attempts_and_then_must_wait(self, hub: HubInProcess) -> None:
        client = sign_in(hub, "viewer@hub.example")
        statuses = [try_as(hub, client, f"192.0.2.{n}", "no").status_code for n in range(6)]
        assert statuses == [401] * 5 + [429]
        stranger = hub.client.application.test_client()
        assert try_as(hub, stranger, "192.0.2.9").status_code == 303, "others need not wait for it"

    @pytest.mark.slow
    def test_a_browser_is_known_as_the_person_who_signed_in_there_only(
        self, hub: HubInProcess
    ) -> None:
        client = sign_in(hub, "analyst@hub.example")
        lock_out_viewer(hub)
        assert try_as(hub, client, "192.0.2.7").status_code == 429

    @pytest.mark.parametrize(
        "change",
        [
            lambda cookie: "",
            lambda cookie: f"9{cookie}",
            lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
            lambda cookie: cookie.replace(".", ".A", 1)[: len(cookie)],
            lambda cookie: "é" * 200,
        ],
    )
    @pytest.mark.slow
    def test_a_cookie_that_was_changed_makes_no_browser_known(
        self, hub: HubInProcess, change: Callable[[str], str]
    ) -> None:
        cookie = sign_in(hub, "viewer@hub.example").get_cookie("tocsin-console-device")
        assert cookie is not None
        lock_out_viewer(hub)
        client = hub.client.application.test_client()
        client.set_cookie("tocsin-console-device", change(cookie.value))
        assert try_as(hub, client, "192.0.2.7").status_code == 429

    def test_a_browser_is_known_for_half_a_year(self, store: Store, clock: ManualClock) -> None:
        hub = HubInProcess(store, clock=clock)
        attempts = hub.services.people.attempts
        cookie = attempts.new_device("jane@hub.example")
        assert set(attempts.keys_of("Jane@hub.example ", "192.0.2.7", cookie)) == {"device"}
        clock.now += DEVICE_SECONDS * SECOND
        assert "device" not in attempts.keys_of("jane@hub.example", "192.0.2.7", cookie)

    @pytest.mark.slow
    def test_an_invitation_works_while_strangers_try_the_mailbox(self, hub: HubInProcess) -> None:
        lock_out_viewer(hub)
        known = hub.services.store.people.find_by_login("viewer@hub.example")
        assert known is not None
        made = Invitation("", known.login, "", "acme", known.roles, 0, "t", person=known.id)
        secret = hub.services.people.invite(made)
        client = hub.client.application.test_client()
        form = {"name": "Vi", "password": "another good password"}
        assert post(client, f"/console/invitation/{secret}", form).status_code == 303

    def test_the_cookie_does_not_say_who_signed_in(self, hub: HubInProcess) -> None:
        client = hub.client.application.test_client()
        answer = try_as(hub, client, "192.0.2.7")
        headers = [each for each in answer.headers.getlist("Set-Cookie") if "-device=" in each]
        assert len(headers) == 1 and "viewer" not in headers[0]
        assert "HttpOnly" in headers[0] and "SameSite=Lax" in headers[0]


def test_failures_at_the_same_time_count_each(hub: HubInProcess) -> None:
    attempts = hub.services.people.attempts
    keys = attempts.keys_of("viewer@hub.example", "192.0.2.7")
    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(attempts.note_failure, keys) for _ in range(8)]:
            each.result()
    assert hub.store.people.count_failures(keys["person"])[0] == 8


def test_attempts_of_strangers_do_not_fill_the_database(store: Store, clock: ManualClock) -> None:
    hub = HubInProcess(store, clock=clock)
    for _ in range(3):
        assert attempt_from(hub, {}) == 401
        clock.now += 2 * DAY
    assert attempt_from(hub, {}) == 401
    assert len(list(store._base.attempts.find())) == 3, "those of the last attempt"


@pytest.mark.slow
def test_who_must_wait_reads_for_how_long(store: Store, clock: ManualClock) -> None:
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "jane@hub.example", Role.OPERATOR)
    client = hub.client.application.test_client()
    form = {"login": "jane@hub.example", "password": "wrong"}
    for _ in range(5):
        assert post(client, "/console/sign-in", form).status_code == 401
    for seconds in ("2", "4", "8"):
        answer = post(client, "/console/sign-in", form)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, seconds)
        clock.now += int(seconds) * SECOND
        assert post(client, "/console/sign-in", form).status_code == 401


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/me/password", "/me/code", "/me/code/remove"])
def test_who_guesses_the_password_in_an_open_session_must_wait(
    hub: HubInProcess, path: str
) -> None:
    client = sign_in(hub, "viewer@hub.example")
    token = token_of(client)
    form = {"old_password": "wrong", "new_password": "another good password", "token": token}
    statuses = [post(client, f"/console{path}", form | {"password": "wrong"}) for _ in range(6)]
    assert [each.status_code for each in statuses] == [422] * 5 + [429]
    assert statuses[-1].headers["Retry-After"] == "2"


@pytest.mark.slow
def test_strangers_do_not_keep_a_person_from_changing_the_password(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    lock_out_viewer(hub)
    form = {"old_password": PASSWORD, "new_password": "another good password"}
    assert post(client, "/console/me/password", form).status_code == 303


@pytest.mark.slow
def test_an_app_is_set_up_and_removed_only_with_the_password(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    secret = pyotp.random_base32()
    form = {"secret": secret, "code": pyotp.TOTP(secret).now()}
    for password, has_app in (("wrong", False), (PASSWORD, True)):
        post(client, "/console/me/code", form | {"password": password})
        assert has_second_factor(hub) == has_app
    for password, has_app in (("wrong", True), (PASSWORD, False)):
        post(client, "/console/me/code/remove", {"password": password})
        assert has_second_factor(hub) == has_app
    actions = [each.action for each in hub.services.store.journal.entries()]
    assert {"person.second_factor", "person.second_factor_end"} <= set(actions)


def has_second_factor(hub: HubInProcess) -> bool:
    found = hub.services.store.people.find_by_login("viewer@hub.example")
    return found is not None and found.has_second_factor


@pytest.mark.slow
@pytest.mark.parametrize(
    ("login", "path", "status"),
    [
        ("viewer", "/me/settings", 413),
        ("viewer", "/me/password", 413),
        ("viewer", "/me/passkeys", 413),
        ("reviewer", "/review/all", 413),
        ("operator", "/admin/exclusions", 413),
        ("operator", "/admin/policy/trial", 422),
        ("analyst", "/share", 303),
    ],
)
def test_only_forms_for_documents_take_long_ones(
    hub: HubInProcess, login: str, path: str, status: int
) -> None:
    client = sign_in(hub, f"{login}@hub.example")
    answer = post(client, f"/console{path}", {"text": "x" * 300_000})
    assert answer.status_code == status
    assert ("This is longer than such a form can be" in answer.text) == (status == 413)
