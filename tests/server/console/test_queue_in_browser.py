"""The queue of reviews in a browser, by keyboard alone: rows, pages, decisions on several."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from support.console import Visitor, add_person, serve_console, visit
from support.hub import HubInProcess, indicator

from tocsin.server.person import Role
from tocsin.server.store import Store

REVIEWER = "reviewer@hub.example"
PERSON = "Reported by Jane Doe, who saw it"


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub with a reviewer, and two pages of items that wait."""
    hub = HubInProcess(store)
    add_person(hub, REVIEWER, Role.REVIEWER)
    hub.push(*(indicator(f"host{n:02}.top", description=PERSON) for n in range(60)))
    return hub


@pytest.fixture
def visitor(browser: Browser, hub: HubInProcess) -> Iterator[Visitor]:
    with serve_console(hub) as origin, visit(browser, origin) as visitor:
        yield visitor


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def ticked(page: Page) -> list[int]:
    """The rows that are selected, from 1."""
    boxes = page.locator("tbody input[name=item]").all()
    return [n for n, box in enumerate(boxes, 1) if box.is_checked()]


def focused_row(page: Page) -> int:
    """The row that has the focus, from 1; 0: none."""
    row: int = page.evaluate(
        """[...document.querySelectorAll("table.list tbody tr")]
        .indexOf(document.activeElement.closest("tr")) + 1"""
    )
    return row


@pytest.mark.parametrize("first", [[], ["j"]])
def test_keys_act_on_the_row_that_has_the_focus(visitor: Visitor, first: list[str]) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    press(page, *first)
    page.locator("tbody tr:nth-child(2) a").focus()
    press(page, "Tab", "Tab", "x")
    assert (focused_row(page), ticked(page)) == (3, [3])
    press(page, "j")
    assert focused_row(page) == 4
    expect(page.locator("tr.chosen")).to_have_count(1)
    visitor.check()
