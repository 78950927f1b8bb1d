"""Fixtures: a browser, and a visitor of a hub's console."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from support.console import CHEAP_HASHER, Visitor, make_person, open_browser, serve_console, visit
from support.hub import HubInProcess

from tocsin.server.partners import people
from tocsin.server.person import Person, Role
from tocsin.server.store import Store

_BROWSERS: list[Browser] = []
_OPENED = ExitStack()


@pytest.fixture
def browser() -> Browser:
    """Debian's Chromium, started once for the tests of this folder that follow one another."""
    if not _BROWSERS:
        _BROWSERS.append(_OPENED.enter_context(open_browser()))
    return _BROWSERS[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """Close the browser after the last of them: other tests may run an event loop."""
    yield
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        _BROWSERS.clear()
        _OPENED.close()


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check passwords at once."""
    monkeypatch.setattr(people, "HASHER", CHEAP_HASHER)


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub with a person of each role; the partner's people are of `acme`."""
    return HubInProcess(store, people=_one_of_each_role())


@cache
def _one_of_each_role() -> tuple[Person, ...]:
    acme = (Role.VIEWER, Role.ANALYST)
    return tuple(
        make_person(f"{role}@hub.example", role, partner="acme" if role in acme else "")
        for role in Role
    )


@pytest.fixture
def visitor(browser: Browser, hub: HubInProcess) -> Iterator[Visitor]:
    """A visitor of the hub."""
    with serve_console(hub) as origin, visit(browser, origin) as visitor:
        yield visitor


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a browser are slow ones, but for those of signing in."""
    for item in items:
        if not {"browser", "visitor"}.isdisjoint(getattr(item, "fixturenames", ())) and (
            item.path.name != "test_sign_in.py" and item.path.parent.name == "console"
        ):
            item.add_marker("slow")
