"""The console in a browser, over a hub in this process."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from argon2 import PasswordHasher
from flask.testing import FlaskClient
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from support.hub import HubInProcess
from support.programs import require_program
from support.taxii_servers import serve_app

from tocsin.server.person import Person, Role

PASSWORD = "a long and good password"
_SERIOUS = ("serious", "critical")
_PATIENCE = 30_000
"""Milliseconds that may pass until something is there; it usually takes a few hundred."""
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => {
  window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`);
});
"""


_RUN_AXE = """
axe.run({ resultTypes: ["violations"] }).then((found) => found.violations.map(
  ({ id, impact, nodes }) => ({ id, impact, html: nodes[0].html })))
"""
"""Half of the work is to describe what passes, and to send that."""
CHEAP_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashes a password in microseconds; a real one takes 60 ms each time somebody signs in."""


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


@cache
def _hash() -> str:
    return CHEAP_HASHER.hash(PASSWORD)


def make_person(login: str, *roles: Role, partner: str = "") -> Person:
    """A person whose password is PASSWORD."""
    name = login.partition("@")[0].title()
    return Person(uuid.uuid4().hex, login, name, partner, frozenset(roles), _hash())


def add_person(hub: HubInProcess, login: str, *roles: Role, partner: str = "") -> Person:
    """Let a person sign in, with PASSWORD."""
    person = make_person(login, *roles, partner=partner)
    hub.store.people.add(person)
    return person


def sign_in(hub: HubInProcess, login: str) -> FlaskClient:
    """A client without a browser that is signed in; `post` sends what a browser would."""
    client = hub.client.application.test_client()
    answer = post(client, "/console/sign-in", {"login": login, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return client


def end_sessions(hub: HubInProcess, login: str) -> None:
    """End the sessions of a person, as time does."""
    person = hub.store.people.find_by_login(login)
    assert person is not None
    for session in hub.store.people.list_sessions(person.id):
        hub.store.people.end_session(session.id)


def enter_password(page: Page, login: str) -> None:
    """Sign in at the form that is shown."""
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("button.main")


def post(client: FlaskClient, path: str, form: dict[str, Any], **more: Any) -> Any:
    """Send a form as a page of the console does, with the token of the session."""
    headers = {"Sec-Fetch-Site": "same-origin"} | more.pop("headers", {})
    if "token" not in form and (token := token_of(client)):
        form = {**form, "token": token}
    return client.post(path, data=form, headers=headers, **more)


_TOKENS: dict[str, str] = {}
"""The token of each session, by its cookie; it stays the same."""


def token_of(client: FlaskClient) -> str:
    """The token of the session that a client's cookie names; empty without one."""
    names = ("tocsin-console", "__Host-tocsin")
    session = next((each.value for name in names if (each := client.get_cookie(name))), "")
    if session and session not in _TOKENS:
        page = client.get("/console/me").text
        _, found, rest = page.partition('data-token="')
        if not found:
            return ""
        _TOKENS[session] = rest.partition('"')[0]
    return _TOKENS.get(session, "")


def is_said(page: Page, text: str) -> None:
    """Wait until the status line says it, and the page that came with it is ready for keys.

    On a page that was loaded, a script takes the line away for 150 ms, with the button in it.
    """
    line = page.locator("#status")
    expect(line).to_contain_text(text)
    page.wait_for_load_state()
    expect(line).to_contain_text(text)
    expect(page.locator(".htmx-swapping, .htmx-settling")).to_have_count(0)


@dataclass
class Visitor:
    """A browser that looks at the console, and notes what goes wrong."""

    origin: str
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    """Errors of scripts and of the console of the browser."""

    def go(self, path: str) -> Page:
        """Open a page below the root of the console."""
        self.page.goto(f"{self.origin}/console{path}")
        return self.page

    def sign_in(self, login: str, path: str = "/me") -> Page:
        """Sign in at the form, to which a page below the root of the console leads."""
        page = self.go(f"/sign-in?next=/console{path}")
        with page.expect_navigation():
            enter_password(page, login)
        return page

    def check(self) -> None:
        """Assert that the page has no fault, no violation of the policy and no barrier."""
        self.page.wait_for_load_state()
        assert self.faults == []
        assert self.page.evaluate("window.violations") == []
        self.page.evaluate(_axe())
        found = self.page.evaluate(_RUN_AXE)
        assert [each for each in found if each["impact"] in _SERIOUS] == []
        assert self.overflow() <= 0, "the page scrolls sideways"

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width


_OFF_BY_PLAYWRIGHT = (
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding"),
    *("ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "AimEnabled"),
    *("OptimizationHints", "NetworkTimeServiceQuerying", "PreconnectToSearch"),
)
"""Features of the browser that Playwright turns off: its own list does not count beside another."""
_UNUSED = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess")
"""Pages below the address bar, which each window would load in a second of processor time, and a
process for the next page."""
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-software-rasterizer"),
    f"--disable-features={','.join(_OFF_BY_PLAYWRIGHT + _UNUSED)}",
]
"""Without a GPU process, which would draw in software: a tenth of the tests' processor time."""


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Debian's Chromium; the test is skipped without it."""
    program = require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        expect.set_options(timeout=_PATIENCE)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, origin: str, **options: Any) -> Iterator[Visitor]:
    """A visitor with a browser profile of its own; see `Browser.new_context` for the options."""
    options = {"viewport": {"width": 1280, "height": 800}} | options
    context = browser.new_context(**options)
    context.set_default_timeout(_PATIENCE)
    context.add_init_script(_WATCH)
    visitor = Visitor(origin, context, context.new_page())
    visitor.page.on("pageerror", lambda error: visitor.faults.append(str(error)))
    visitor.page.on(
        "console",
        lambda message: visitor.faults.append(message.text) if message.type == "error" else None,
    )
    yield visitor
    context.close()


@contextmanager
def serve_console(hub: HubInProcess) -> Iterator[str]:
    """Serve a hub on a socket; yields its origin, at a name with which browsers trust it."""
    with serve_app(hub.client.application) as origin:
        yield origin.replace("127.0.0.1", "localhost")
