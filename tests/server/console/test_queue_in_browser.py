"""The queue of reviews in a browser, by keyboard alone: rows, pages, decisions on several."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from support.console import (
    Visitor,
    add_person,
    end_sessions,
    enter_password,
    is_said,
    serve_console,
    visit,
)
from support.databases import exchange, keep_state
from support.hub import HubInProcess, indicator

from tocsin.server.person import Role
from tocsin.server.store import Store

REVIEWER = "reviewer@hub.example"
_WAITING = "two pages of items wait"
"""The state of the database when a test begins."""
PERSON = "Reported by Jane Doe, who saw it"


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub with a reviewer, and two pages of items that wait."""
    if exchange(store, _WAITING):
        return HubInProcess(store, founded=True)
    hub = HubInProcess(store)
    add_person(hub, REVIEWER, Role.REVIEWER)
    hub.push(*(indicator(f"host{n:02}.top", description=PERSON) for n in range(60)))
    keep_state(store, _WAITING)
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


def test_selected_items_are_decided_by_a_key(visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    press(page, "j", "x", "j", "x")
    expect(page.locator("#selected")).to_have_text("2 selected")
    visitor.check()
    press(page, "a")
    expect(page.locator("#status")).to_contain_text("Kept masked: 2 items")


def test_a_whole_page_is_selected_and_rejected_by_keys(visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    press(page, "j", "x", "Shift+X")
    assert len(ticked(page)) == 50
    press(page, "Shift+X")
    assert ticked(page) == []
    press(page, "Shift+X", "r")
    expect(page.locator("#reason")).to_be_focused()
    press(page, "Tab", "Enter")
    expect(page.locator("#status")).to_contain_text("Rejected: 50 items")


def test_a_reason_that_is_typed_after_its_key_takes_the_place_of_the_usual_one(
    visitor: Visitor,
) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    press(page, "j", "x", "r")
    page.keyboard.type("sent twice")
    expect(page.locator("#reason")).to_have_value("sent twice")


def test_a_link_leads_past_the_rows_to_the_decision(visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    page.get_by_role("link", name="Skip to the decision on selected items").focus()
    visitor.check()
    press(page, "Enter", "Tab")
    expect(page.locator("button[value=keep_masked]")).to_be_focused()


@pytest.mark.parametrize("way", ["key", "Back"])
def test_the_way_back_leads_to_the_row_of_the_item(visitor: Visitor, way: str) -> None:
    visitor.sign_in(REVIEWER)
    page = visitor.go("/review?partner=acme&page=2")
    press(page, "j", "j", "j", "Enter")
    page.wait_for_url("**/review/*")
    expect(page.locator("h1")).to_be_focused()
    visitor.check()
    if way == "key":
        press(page, "q")
    else:
        page.go_back()
    expect(page).to_have_url(re.compile("/review[?]partner=acme&page=2#row-"))
    expect(page.locator("tr.chosen a")).to_be_focused()
    assert focused_row(page) == 3
    press(page, "j")
    assert focused_row(page) == 4


@pytest.mark.parametrize("width", [700, 768, 1024])
def test_a_tablet_shows_the_items_in_lines_that_can_be_read(
    visitor: Visitor, hub: HubInProcess, width: int
) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    visitor.go(f"/review/{hub.store.reviews.list_waiting()[0].id}")
    page.set_viewport_size({"width": width, "height": 1024})
    visitor.go("/review")
    expect(page.locator("table.list tbody tr").first).to_contain_text("Claimed by you until")
    box = page.locator("td.first").first.bounding_box()
    assert box is not None and box["width"] > 150
    assert visitor.overflow() <= 0


def test_after_a_decision_on_several_the_page_of_the_queue_stays(visitor: Visitor) -> None:
    visitor.sign_in(REVIEWER)
    page = visitor.go("/review?partner=acme&page=2")
    press(page, "j", "x", "j", "x")
    for key, said in (("a", "Kept masked"), ("u", "Withdrawn")):
        press(page, key)
        is_said(page, said)
        expect(page.locator("table.list caption")).to_contain_text("page 2")
        expect(page.locator("h1")).to_be_focused()


def test_after_a_session_that_ends_selected_items_and_their_reason_are_there_again(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    press(page, "j", "x", "j", "j", "x", "r")
    page.fill("#reason", "seen before")
    end_sessions(hub, REVIEWER)
    press(page, "Tab", "Enter")
    expect(page.locator("h1")).to_have_text("Your session has ended")
    page.click("main a")
    enter_password(page, REVIEWER)
    expect(page.locator("#reason")).to_have_value("seen before")
    expect(page.locator("#selected")).to_have_text("2 selected")
    assert ticked(page) == [1, 3]
