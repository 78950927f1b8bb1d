"""Passkeys: adding, removing and signing in, in a browser and with a hostile authenticator."""

import json
import re
from typing import Any

import pyotp
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, expect
from support.clock import ManualClock
from support.console import PASSWORD, Visitor, add_person, post, serve_console, sign_in, visit
from support.hub import HubInProcess
from support.passkeys import (
    Authenticator,
    add_passkey,
    add_virtual_authenticator,
    creation_options,
    request_options,
    use_passkey,
)

from tocsin.config.settings import HubSettings
from tocsin.server.partners.attempts import SECOND
from tocsin.server.partners.passkeys import CHALLENGE_SECONDS, MOST_PASSKEYS, passkey_handle
from tocsin.server.person import Invitation, Passkey, Person, Role
from tocsin.server.store import Store

LOGIN = "viewer@hub.example"
OTHER = "analyst@hub.example"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000 * SECOND)


@pytest.fixture
def key() -> Authenticator:
    """An authenticator; with `client`, the viewer has its passkey."""
    return Authenticator()


@pytest.fixture
def client(hub: HubInProcess, key: Authenticator) -> FlaskClient:
    """A client in which the viewer is signed in, who has a passkey."""
    client = sign_in(hub, LOGIN)
    assert add_passkey(client, key) == 303
    return client


def stranger(hub: HubInProcess) -> FlaskClient:
    return hub.client.application.test_client()


def person(hub: HubInProcess, login: str = LOGIN) -> Person:
    found = hub.services.store.people.find_by_login(login)
    assert found is not None
    return found


def journal(hub: HubInProcess) -> list[tuple[str, str]]:
    return [(each.action, each.actor) for each in hub.services.store.journal.entries()]


def remove(client: FlaskClient, passkey: Passkey, password: str = PASSWORD) -> int:
    path = f"/console/me/passkeys/{passkey_handle(passkey)}/remove"
    return int(post(client, path, {"password": password}).status_code)


class TestInABrowser:
    def test_a_person_adds_a_passkey_signs_in_with_it_and_removes_it(
        self, visitor: Visitor, hub: HubInProcess
    ) -> None:
        page = visitor.sign_in(LOGIN)
        add_virtual_authenticator(page)
        page.click("text=Add a passkey")
        visitor.check()
        page.fill("#name", "office laptop")
        page.fill("#password", PASSWORD)
        page.click("button.main")
        visitor.check()
        page.click("text=Create the passkey >> nth=-1")
        page.wait_for_url("**/console/me")
        assert "office laptop" in page.inner_text("table.cards") and "never" in page.content()
        visitor.check()
        page.click("text=Sign out")
        page.click("text=Sign in with a passkey")
        page.wait_for_url("**/console/partner")
        visitor.go("/me")
        assert "never" not in page.inner_text("table.cards")
        page.click("text=Remove office laptop")
        visitor.check()
        page.fill("#password", PASSWORD)
        page.click("button.danger")
        page.wait_for_url("**/console/me")
        assert "office laptop" not in page.inner_text("main")
        assert person(hub).passkeys == ()

    def test_a_copy_of_a_passkey_is_refused(self, visitor: Visitor, hub: HubInProcess) -> None:
        page = visitor.sign_in(LOGIN)
        authenticator = add_virtual_authenticator(page)
        visitor.go("/me/passkeys/new")
        page.fill("#name", "key")
        page.fill("#password", PASSWORD)
        page.click("button.main")
        page.click("button.main")
        page.wait_for_url("**/console/me")
        page.click("text=Sign out")
        authenticator.rewind()
        page.click("text=Sign in with a passkey")
        expect(page.locator(".errors")).to_contain_text("its counter went back")
        visitor.faults.clear()  # the browser logs the 401
        visitor.check()

    def test_who_cancels_reads_so_and_can_try_again(self, visitor: Visitor) -> None:
        page = visitor.go("/sign-in")
        add_virtual_authenticator(page)
        page.click("text=Sign in with a passkey")
        page.wait_for_selector("#status:has-text('No passkey was used')")
        assert page.is_enabled("text=Sign in with a passkey")
        visitor.check()

    def test_at_an_address_the_page_says_at_which_name_passkeys_work(
        self, visitor: Visitor
    ) -> None:
        visitor.origin = visitor.origin.replace("localhost", "127.0.0.1")
        page = visitor.sign_in(LOGIN)
        assert not page.is_visible("text=Add a passkey")
        visitor.check()
        page.click("a[href*=localhost]")
        assert "//localhost:" in page.url

    def test_without_script_the_form_is_as_it_was(
        self, browser: Browser, hub: HubInProcess
    ) -> None:
        with (
            serve_console(hub) as origin,
            visit(browser, origin, java_script_enabled=False) as visitor,
        ):
            page = visitor.go("/sign-in")
            assert not page.is_visible("text=Sign in with a passkey")
            page = visitor.sign_in(LOGIN, "/me/passkeys/new")
            assert "Passkeys need JavaScript" in page.inner_text("main")


class TestAdding:
    def test_it_asks_for_the_password(self, hub: HubInProcess) -> None:
        client = sign_in(hub, LOGIN)
        form = {"name": "laptop", "password": "wrong"}
        answer = post(client, "/console/me/passkeys/new", form)
        assert answer.status_code == 422 and "data-options" not in answer.text
        assert "The present password is wrong" in answer.text

    def test_a_challenge_of_signing_in_does_not_stand_for_the_password(
        self, hub: HubInProcess, key: Authenticator
    ) -> None:
        client = sign_in(hub, LOGIN)
        options = request_options(client) | {"user": {"id": "AA"}}
        form = {"name": "laptop", "passkey": key.create(options)}
        assert post(client, "/console/me/passkeys", form).status_code == 422
        assert person(hub).passkeys == ()

    @pytest.mark.slow
    def test_only_the_session_that_gave_the_password_can_add_it(
        self, hub: HubInProcess, key: Authenticator
    ) -> None:
        first, second = sign_in(hub, LOGIN), sign_in(hub, LOGIN)
        form = {"name": "laptop", "passkey": key.create(creation_options(first))}
        assert post(second, "/console/me/passkeys", form).status_code == 422
        assert post(first, "/console/me/passkeys", form).status_code == 303

    @pytest.mark.parametrize(
        "wrong",
        [
            {"origin": "http://localhost:8080"},
            {"origin": "https://localhost"},
            {"origin": "http://evil.localhost"},
            {"rp_id": "hub.example"},
            {"cross_origin": True},
        ],
        ids=str,
    )
    def test_one_that_was_made_for_another_site_is_refused(
        self, hub: HubInProcess, wrong: dict[str, Any]
    ) -> None:
        assert add_passkey(sign_in(hub, LOGIN), Authenticator(**wrong)) == 422
        assert person(hub).passkeys == ()

    @pytest.mark.parametrize(
        "answer",
        ["", "{}", "[]", "null", "x", "[" * 20_000, '{"response":{}}', '{"id":1,"rawId":2}'],
        ids=lambda text: text[:12],
    )
    def test_an_answer_that_is_none_is_refused(self, hub: HubInProcess, answer: str) -> None:
        client = sign_in(hub, LOGIN)
        form = {"name": "laptop", "passkey": answer}
        assert post(client, "/console/me/passkeys", form).status_code == 422

    def test_a_passkey_belongs_to_one_person(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        assert add_passkey(sign_in(hub, OTHER), key) == 409
        assert person(hub, OTHER).passkeys == ()

    def test_one_that_was_removed_does_not_come_back_by_the_same_answer(
        self, hub: HubInProcess, key: Authenticator
    ) -> None:
        client = sign_in(hub, LOGIN)
        form = {"name": "laptop", "passkey": key.create(creation_options(client))}
        assert post(client, "/console/me/passkeys", form).status_code == 303
        assert remove(client, person(hub).passkeys[0]) == 303
        assert post(client, "/console/me/passkeys", form).status_code == 422

    @pytest.mark.slow
    def test_there_are_ten_at_most(self, hub: HubInProcess) -> None:
        client = sign_in(hub, LOGIN)
        statuses = [add_passkey(client, Authenticator()) for _ in range(MOST_PASSKEYS + 1)]
        assert statuses == [303] * MOST_PASSKEYS + [409]
        assert "remove one to add another" in client.get("/console/me").text

    @pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\N{RIGHT-TO-LEFT OVERRIDE}b"])
    def test_it_needs_a_name_that_can_be_read(self, hub: HubInProcess, name: str) -> None:
        client = sign_in(hub, LOGIN)
        form = {"name": name, "password": PASSWORD}
        assert post(client, "/console/me/passkeys/new", form).status_code == 422

    def test_a_browser_is_given_the_passkeys_that_are_there(
        self, client: FlaskClient, key: Authenticator, hub: HubInProcess
    ) -> None:
        present = creation_options(client)["excludeCredentials"]
        assert [each["id"] for each in present] == [person(hub).passkeys[0].id]

    def test_a_passkey_satisfies_a_hub_that_wants_a_second_factor(self, store: Store) -> None:
        hub = HubInProcess(store, settings=HubSettings(require_second_factor=True))
        add_person(hub, "otto@hub.example", Role.OPERATOR)
        client = sign_in(hub, "otto@hub.example")
        token = client.get("/console/me/code").text.partition('data-token="')[2].partition('"')[0]
        assert "/console/me/passkeys/new" in client.get("/console/me/code").text
        assert client.get("/console/overview").headers["Location"] == "/console/me/code"
        form = {"name": "key", "password": PASSWORD, "token": token}
        page = post(client, "/console/me/passkeys/new", form).text
        options = json.loads(
            page.partition('data-options="')[2].partition('"')[0].replace("&#34;", '"')
        )
        form = {"name": "key", "passkey": Authenticator().create(options), "token": token}
        assert post(client, "/console/me/passkeys", form).status_code == 303
        assert client.get("/console/overview").status_code == 200


class TestSigningIn:
    def test_one_that_checks_a_pin_needs_no_password(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        visitor = stranger(hub)
        answer = use_passkey(visitor, key, next="/console/me")
        assert answer.status_code == 303 and answer.headers["Location"] == "/console/me"
        assert visitor.get("/console/me").status_code == 200
        assert person(hub).passkeys[0].used > 0
        assert all(each.has_second_factor for each in hub.services.people.sessions(person(hub))[:1])

    def test_the_password_alone_is_no_longer_enough(
        self, hub: HubInProcess, client: FlaskClient
    ) -> None:
        form = {"login": LOGIN, "password": PASSWORD}
        answer = post(stranger(hub), "/console/sign-in", form)
        assert answer.status_code == 401 and "or a passkey is needed" in answer.text

    def test_a_code_of_the_app_still_does_beside_a_passkey(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        secret = pyotp.random_base32()
        form = {"secret": secret, "code": pyotp.TOTP(secret).now(), "password": PASSWORD}
        assert post(client, "/console/me/code", form).status_code == 303
        step = person(hub).totp_step
        code = pyotp.TOTP(secret).generate_otp(step + 1)
        form = {"login": LOGIN, "password": PASSWORD, "code": code}
        assert post(stranger(hub), "/console/sign-in", form).status_code == 303
        assert use_passkey(stranger(hub), key).status_code == 303

    @pytest.mark.parametrize(
        ("form", "status"),
        [
            ({}, 401),
            ({"login": LOGIN, "password": "wrong"}, 401),
            ({"login": OTHER, "password": PASSWORD}, 401),
            ({"login": LOGIN, "password": PASSWORD}, 303),
        ],
    )
    def test_one_that_checks_nothing_needs_the_password_too(
        self,
        hub: HubInProcess,
        client: FlaskClient,
        key: Authenticator,
        form: dict[str, str],
        status: int,
    ) -> None:
        key.is_verified = False
        assert use_passkey(stranger(hub), key, **form).status_code == status

    def test_guesses_of_the_password_beside_a_passkey_must_wait_like_others(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        key.is_verified = False
        visitor = stranger(hub)
        form = {"login": LOGIN, "password": "wrong"}
        statuses = [use_passkey(visitor, key, **form).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"origin": "http://localhost:8080"},
            {"origin": "https://hub.example"},
            {"origin": "http://localhost.evil.test"},
            {"rp_id": "hub.example"},
            {"cross_origin": True},
            {"user": ""},
            {"user": "AAAA"},
        ],
        ids=str,
    )
    def test_an_answer_for_another_site_or_person_is_refused(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator, wrong: dict[str, Any]
    ) -> None:
        for name, value in wrong.items():
            setattr(key, name, value)
        assert use_passkey(stranger(hub), key).status_code == 401

    def test_another_key_with_the_same_id_is_refused(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        forged = Authenticator(id=key.id, user=key.user, counter=50)
        assert use_passkey(stranger(hub), forged).status_code == 401

    def test_a_passkey_of_one_person_does_not_sign_in_another(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        theirs = Authenticator()
        assert add_passkey(sign_in(hub, OTHER), theirs) == 303
        theirs.user = key.user
        assert use_passkey(stranger(hub), theirs).status_code == 401

    @pytest.mark.parametrize("counter", [0, 1])
    def test_an_answer_signs_in_once(self, hub: HubInProcess, counter: int) -> None:
        key = Authenticator(counter=counter)  # without a counter the challenge alone must do
        assert add_passkey(sign_in(hub, LOGIN), key) == 303
        visitor = stranger(hub)
        form = {"passkey": key.use(request_options(visitor))}
        cookie = visitor.get_cookie("tocsin-console-challenge")
        assert cookie is not None
        assert post(visitor, "/console/sign-in", form).status_code == 303
        again = stranger(hub)
        again.set_cookie("tocsin-console-challenge", cookie.value)
        answer = post(again, "/console/sign-in", form)
        assert answer.status_code == 401 and "sent twice" in answer.text

    def test_an_answer_works_only_in_the_browser_that_asked(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        form = {"passkey": key.use(request_options(stranger(hub)))}
        assert post(stranger(hub), "/console/sign-in", form).status_code == 401
        other = stranger(hub)
        request_options(other)
        assert post(other, "/console/sign-in", form).status_code == 401

    def test_a_challenge_holds_for_five_minutes(
        self, store: Store, clock: ManualClock, key: Authenticator
    ) -> None:
        hub = HubInProcess(store, clock=clock)
        add_person(hub, LOGIN, Role.VIEWER, partner="acme")
        assert add_passkey(sign_in(hub, LOGIN), key) == 303
        visitor = stranger(hub)
        for passed, status in ((CHALLENGE_SECONDS, 401), (CHALLENGE_SECONDS - 1, 303)):
            clock.now += SECOND
            form = {"passkey": key.use(request_options(visitor))}
            clock.now += passed * SECOND
            assert post(visitor, "/console/sign-in", form).status_code == status

    def test_a_sign_in_by_a_clock_that_was_ahead_uses_up_no_challenge_of_today(
        self, store: Store, clock: ManualClock, key: Authenticator
    ) -> None:
        hub = HubInProcess(store, clock=clock)
        add_person(hub, LOGIN, Role.VIEWER, partner="acme")
        assert add_passkey(sign_in(hub, LOGIN), key) == 303
        clock.now += CHALLENGE_SECONDS * SECOND
        assert use_passkey(stranger(hub), key).status_code == 303
        clock.now -= CHALLENGE_SECONDS * SECOND
        assert use_passkey(stranger(hub), key).status_code == 303

    @pytest.mark.parametrize("challenge", ["", "AA", "A" * 43, "A" * 200])
    def test_a_challenge_that_the_hub_did_not_make_is_refused(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator, challenge: str
    ) -> None:
        visitor = stranger(hub)
        options = request_options(visitor) | {"challenge": challenge}
        answer = post(visitor, "/console/sign-in", {"passkey": key.use(options)})
        assert answer.status_code == 401

    def test_a_counter_that_goes_back_is_refused_and_in_the_journal(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        key.counter = 9
        assert use_passkey(stranger(hub), key).status_code == 303
        for counter in (9, 1, 0):
            key.counter = counter
            answer = use_passkey(stranger(hub), key)
            assert answer.status_code == 401 and "its counter went back" in answer.text
        assert ("person.passkey_cloned", LOGIN) in journal(hub)
        key.counter = 10
        assert use_passkey(stranger(hub), key).status_code == 303

    def test_one_that_never_counts_is_accepted(self, hub: HubInProcess, key: Authenticator) -> None:
        key.counter = 0
        assert add_passkey(sign_in(hub, LOGIN), key) == 303
        assert [use_passkey(stranger(hub), key).status_code for _ in range(2)] == [303, 303]

    def test_who_is_locked_out_is_refused(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        hub.services.people.set_disabled(LOGIN, "t", disabled=True)
        assert use_passkey(stranger(hub), key).status_code == 401
        hub.services.people.set_disabled(LOGIN, "t", disabled=False)
        assert use_passkey(stranger(hub), key).status_code == 303

    @pytest.mark.slow
    def test_wrong_answers_must_wait_by_address_and_cost_the_person_nothing(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        forged, visitor = Authenticator(id=key.id, user=key.user), stranger(hub)
        statuses = [use_passkey(visitor, forged).status_code for _ in range(31)]
        assert statuses == [401] * 30 + [429]
        environ = {"REMOTE_ADDR": "192.0.2.7"}
        elsewhere = stranger(hub)
        form = {"passkey": key.use(request_options(elsewhere))}
        answer = post(elsewhere, "/console/sign-in", form, environ_base=environ)
        assert answer.status_code == 303

    def test_options_say_nothing_of_people(self, hub: HubInProcess, client: FlaskClient) -> None:
        options = request_options(stranger(hub))
        assert set(options) == {"rpId", "challenge", "timeout", "userVerification"}

    def test_another_site_cannot_have_a_challenge_made(self, hub: HubInProcess) -> None:
        headers = {"Sec-Fetch-Site": "cross-site"}
        answer = stranger(hub).post("/console/sign-in/challenge", headers=headers)
        assert answer.status_code == 403


class TestRemoving:
    def test_it_asks_for_the_password(self, hub: HubInProcess, client: FlaskClient) -> None:
        passkey = person(hub).passkeys[0]
        assert remove(client, passkey, "wrong") == 422
        assert person(hub).passkeys == (passkey,)
        assert remove(client, passkey) == 303
        assert person(hub).passkeys == ()

    def test_a_passkey_that_was_removed_opens_nothing(
        self, hub: HubInProcess, client: FlaskClient, key: Authenticator
    ) -> None:
        assert remove(client, person(hub).passkeys[0]) == 303
        assert use_passkey(stranger(hub), key).status_code == 401
        form = {"login": LOGIN, "password": PASSWORD}
        assert post(stranger(hub), "/console/sign-in", form).status_code == 303

    def test_a_person_cannot_remove_that_of_another(
        self, hub: HubInProcess, client: FlaskClient
    ) -> None:
        assert remove(sign_in(hub, OTHER), person(hub).passkeys[0]) == 404
        assert len(person(hub).passkeys) == 1

    def test_an_operator_is_asked_and_removes_all_second_factors(
        self, hub: HubInProcess, client: FlaskClient
    ) -> None:
        operator = sign_in(hub, "operator@hub.example")
        page = operator.get("/console/admin/people").text
        assert "1 passkey" in page
        asks = re.findall(r"<details><summary>Remove second factors….*?</details>", page, re.DOTALL)
        assert len(asks) == 1 and "their password alone is enough to sign in" in asks[0]
        assert page.count('value="factors"') == asks[0].count('value="factors"') == 1
        path = f"/console/admin/people/{person(hub).id}"
        assert post(operator, path, {"act": "factors"}).status_code == 303
        assert not person(hub).has_second_factor

    def test_a_new_password_by_an_invitation_removes_them(
        self, hub: HubInProcess, client: FlaskClient
    ) -> None:
        known = person(hub)
        key = Invitation("", LOGIN, "", "acme", known.roles, 0, "t", person=known.id)
        secret = hub.services.people.invite(key)
        form = {"name": "Vi", "password": "another good password"}
        answer = post(stranger(hub), f"/console/invitation/{secret}", form)
        assert answer.status_code == 303 and not person(hub).has_second_factor


class TestThePlace:
    @pytest.mark.parametrize(
        ("url", "works"),
        [
            ("https://hub.example", True),
            ("https://192.0.2.1", False),
            ("https://[2001:db8::1]", False),
            ("http://hub.example", False),
        ],
    )
    def test_passkeys_work_where_the_hub_has_a_name_and_tls(
        self, store: Store, url: str, works: bool
    ) -> None:
        hub = HubInProcess(store, settings=HubSettings(host="127.0.0.1", public_url=url))
        page = hub.client.get("/console/sign-in").text
        assert ("data-passkey" in page) == works

    def test_only_answers_for_the_public_url_are_taken(self, store: Store) -> None:
        settings = HubSettings(public_url="https://hub.example/")
        hub = HubInProcess(store, settings=settings)
        options = request_options(stranger(hub))
        assert options["rpId"] == "hub.example"

    def test_a_name_that_the_browser_alone_says_is_not_trusted(self, hub: HubInProcess) -> None:
        page = hub.client.get("/console/sign-in", headers={"Host": "127.0.0.1:8080"}).text
        assert "data-passkey" not in page
        headers = {"Host": "127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}
        answer = hub.client.post("/console/sign-in/challenge", headers=headers)
        assert answer.status_code == 404


def test_all_that_is_done_with_passkeys_is_in_the_journal(
    hub: HubInProcess, client: FlaskClient, key: Authenticator
) -> None:
    use_passkey(stranger(hub), key)
    remove(client, person(hub).passkeys[0])
    found = {
        each.action: each.details.get("passkey")
        for each in hub.services.store.journal.entries()
        if each.actor == LOGIN and each.details.get("passkey")
    }
    expected = ("person.passkey", "sign_in", "person.passkey_end")
    assert found == dict.fromkeys(expected, "laptop")
