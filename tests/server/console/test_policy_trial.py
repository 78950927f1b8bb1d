"""A trial of a policy: what would change, without changing anything."""

import re
import time

import pytest
from support.console import Visitor, end_sessions, enter_password, post, sign_in
from support.hub import HubInProcess, indicator

from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.console import policy_trial
from tocsin.server.store import Store

SECONDS = 300
"""Until a trial has ended: two processes load all that they need."""


@pytest.fixture(autouse=True)
def niceness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a trial have as much of the processors as the tests beside it."""
    monkeypatch.setattr(policy_trial, "_NICENESS", 0)


@pytest.fixture
def hub(hub: HubInProcess, tmp_path_factory: pytest.TempPathFactory, store: Store) -> HubInProcess:
    """The hub of the console, with its data in a folder of its own."""
    settings = HubSettings(data=tmp_path_factory.mktemp("data"))
    return HubInProcess(store, settings=settings, founded=True)


def wait(client: object, path: str) -> str:
    """The page of a trial once it is done."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        page = client.get(path).text  # type: ignore[attr-defined]
        if "objects examined" not in page:
            return str(page)
        time.sleep(0.2)
    raise AssertionError("the trial does not end")


def without(rule: str) -> str:
    """The shipped policy without a rule, and without its table."""
    text = re.sub(rf'\s*"{rule}",', "", policy_text())
    return re.sub(rf"\[rules\.{rule}\].*?(?=\n\[|\Z)", "", text, flags=re.DOTALL)


@pytest.mark.long
@pytest.mark.slow
def test_a_trial_says_what_would_change_and_changes_nothing(hub: HubInProcess) -> None:
    private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
    hub.push(indicator("a.bad-portal.top"), private)
    client = sign_in(hub, "operator@hub.example")
    last = hub.store.journal.last_entry()
    answer = post(client, "/console/admin/policy/trial", {"text": without("private_addresses")})
    page = wait(client, answer.headers["Location"])
    assert "1 object of 2 would become something else" in page
    assert "192[.]168[.]0[.]7" in page and "a[.]bad-portal[.]top" not in page
    assert re.search(r"<td>refused</td><td>ready</td><td>.*private_addresses", page)
    assert hub.store.journal.last_entry() == last


@pytest.mark.long
def test_the_same_policy_changes_nothing(visitor: Visitor, hub: HubInProcess) -> None:
    hub.push(indicator("a.bad-portal.top", description="jane.doe@bank.example wrote it"))
    page = visitor.sign_in("operator@hub.example", "/admin/policy")
    visitor.check()
    page.click("text=Try this policy")
    page.wait_for_selector("text=would become something else", timeout=SECONDS * 1000)
    assert "0 objects of 1 would become" in page.inner_text("main")
    visitor.check()


def test_a_policy_that_cannot_be_read_is_named_and_its_text_stays(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    text = policy_text().replace("object_octets", "octets_of_an_object")
    answer = post(client, "/console/admin/policy/trial", {"text": text})
    assert answer.status_code == 422 and "octets_of_an_object" in answer.text
    assert 'href="#text"' in answer.text


@pytest.mark.parametrize("more", ["", "# more"])
def test_a_policy_with_an_error_outlives_a_session_that_ends(
    visitor: Visitor, hub: HubInProcess, more: str
) -> None:
    page = visitor.sign_in("operator@hub.example", "/admin/policy")
    page.fill("#text", "faulty")
    page.click("text=Try this policy")
    page.wait_for_selector(".errors")
    page.fill("#text", f"faulty{more}")
    end_sessions(hub, "operator@hub.example")
    page.click("text=Try this policy")
    page.click("a.main")
    enter_password(page, "operator@hub.example")
    page.wait_for_url(f"{visitor.origin}/console/admin/policy")
    assert page.input_value("#text") == f"faulty{more}"


@pytest.mark.parametrize("login", ["auditor", "reviewer", "analyst"])
def test_only_operators_try_policies(hub: HubInProcess, login: str) -> None:
    client = sign_in(hub, f"{login}@hub.example")
    answer = post(client, "/console/admin/policy/trial", {"text": policy_text()})
    assert answer.status_code == 404
    for id in ("0" * 16, "..%2F..%2Fsecrets", "x"):
        assert client.get(f"/console/admin/policy/trial/{id}").status_code == 404
