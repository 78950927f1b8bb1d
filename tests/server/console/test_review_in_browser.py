"""Review in a browser: by keyboard alone, two people at once, on a phone, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from support.console import PASSWORD, Visitor, add_person, is_said, serve_console, visit
from support.databases import exchange, keep_state
from support.hub import HubInProcess, indicator

from tocsin.server.person import Role
from tocsin.server.store import Store

REVIEWER, OTHER = "reviewer@hub.example", "other@hub.example"
PERSON = "Reported by Jane Doe, who saw it"
_WAITING = "four items wait"
"""The state of the database when a test begins."""
HOSTILE = '"><img src=x onerror=alert(1)>\u202e{{7*7}}'


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub with four items that wait, the last of them hostile, and two reviewers."""
    if exchange(store, _WAITING):
        return HubInProcess(store, founded=True)
    hub = HubInProcess(store)
    for login in (REVIEWER, OTHER):
        add_person(hub, login, Role.REVIEWER)
    for n in range(3):
        hub.push(indicator(f"host{n}.top", description=PERSON))
    hub.push(indicator("last.top", name=HOSTILE, description=f"{HOSTILE} {PERSON}"))
    keep_state(store, _WAITING)
    return hub


@pytest.fixture
def origin(hub: HubInProcess) -> Iterator[str]:
    with serve_console(hub) as origin:
        yield origin


@pytest.fixture
def visitor(browser: Browser, origin: str) -> Iterator[Visitor]:
    with visit(browser, origin) as visitor:
        yield visitor


def is_at(page: Page, name: str) -> None:
    """Wait until the item of this name is open, its scripts have run, and its heading has focus."""
    expect(page.locator("h1")).to_contain_text(name)
    page.wait_for_load_state()
    expect(page.locator("h1")).to_be_focused()


def test_the_whole_queue_is_decided_by_keyboard(hub: HubInProcess, visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/me")
    page.wait_for_url("**/console/me")
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/console/review")
    visitor.check()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/review/*")
    is_at(page, "host0[.]top")
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.textContent") == "Jane Doe"
    visitor.check()
    page.keyboard.press("a")
    is_said(page, "Kept masked")
    is_at(page, "host1[.]top")
    page.keyboard.press("u")
    is_said(page, "Withdrawn")
    is_at(page, "host0[.]top")
    page.keyboard.press("r")
    is_said(page, "Rejected")
    is_at(page, "host1[.]top")
    page.keyboard.press("e")
    expect(page.locator("#words")).to_be_focused()
    page.keyboard.type("saw it")
    page.keyboard.press("Control+Enter")
    is_said(page, "Published with words masked")
    is_at(page, "host2[.]top")
    page.keyboard.press("s")
    is_at(page, "last[.]top")
    visitor.check()
    page.keyboard.press("Shift+F")
    is_said(page, "Released in full")
    is_at(page, "host2[.]top")
    kinds = sorted(each.decision.kind for each in hub.store.reviews.list_waiting() if each.decision)
    assert kinds == ["edit", "reject", "release"]


def test_a_number_rejects_with_a_ready_reason_and_can_be_taken_back(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    page.click("tbody a")
    is_at(page, "host0[.]top")
    page.keyboard.press("1")
    is_said(page, "Rejected")
    is_at(page, "host1[.]top")
    person = hub.store.people.find_by_login(REVIEWER)
    assert person is not None
    assert hub.store.review_acts.list_latest(person.id)[0].reason == "it has personal data"
    page.keyboard.press("u")
    is_said(page, "Withdrawn")
    is_at(page, "host0[.]top")
    page.fill("#reason", "my own")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    is_said(page, "Not done: the reason that you typed would be lost.")
    page.keyboard.press("q")
    page.wait_for_url("**/console/review#row-*")
    page.keyboard.press("Shift+X")
    page.keyboard.press("2")
    is_said(page, "Rejected: 4 items")
    visitor.check()


def test_a_phone_shows_no_button_that_cannot_be_pressed_before_those_that_can(
    hub: HubInProcess, browser: Browser, origin: str
) -> None:
    hub.push(indicator("vpn.acme.example"))
    held = next(each for each in hub.store.reviews.list_waiting() if "victim_terms" in each.rules)
    size = {"width": 390, "height": 844}
    with visit(browser, origin, viewport=size, has_touch=True) as visitor:
        page = visitor.sign_in(REVIEWER, f"/review/{held.id}")
        shown = [each for each in page.locator(".decide button").all() if each.is_visible()]
        assert [each.is_disabled() for each in shown] == [False]
        expect(page.locator("#fault")).to_be_in_viewport()
        page.locator("#reason").focus()
        visitor.check()


def test_letters_typed_right_after_the_key_to_edit_decide_nothing(visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    page.click("tbody a")
    is_at(page, "host0[.]top")
    for text in ("area", "saw it"):
        page.keyboard.press("e")
        page.keyboard.type(text)
        assert page.input_value("#words").endswith(text)
        page.keyboard.press("Escape")
    assert "host0[.]top" in page.inner_text("h1")


def test_of_two_people_the_second_one_reads_what_the_first_decided(
    hub: HubInProcess, browser: Browser, origin: str, visitor: Visitor
) -> None:
    review = hub.store.reviews.list_waiting()[0]
    page = visitor.sign_in(REVIEWER, f"/review/{review.id}")
    with visit(browser, origin) as second:
        theirs = second.sign_in(OTHER, f"/review/{review.id}")
        assert f"{REVIEWER} has it open" in theirs.inner_text("main")
        assert theirs.locator("button[name=decision]").count() == 0
        theirs.keyboard.press("?")
        keys = theirs.inner_text("#key-list")
        assert "Next item" in keys and "Keep masked" not in keys and "Change lead" not in keys
        second.check()
        theirs.keyboard.press("Escape")
        theirs.keyboard.press("s")
        is_at(theirs, "host1[.]top")
        theirs.go_back()
        # The first one's claim ends, and the second one is faster.
        person = hub.store.people.find_by_login(REVIEWER)
        assert person is not None
        hub.store.review_queue.end_claim(review.id, person.id)
        theirs.reload()
        theirs.fill("#reason", "mine")
        theirs.keyboard.press("Enter")
        theirs.wait_for_url("**act=*")
    stay(page)
    before = place(page)
    page.click("summary[data-key=e]")
    page.fill("#words", "saw it")
    page.keyboard.press("Control+Enter")
    is_at(page, "Your decision was not taken")
    assert (has_stayed(page), place(page)) == (True, before)
    assert OTHER in page.inner_text("main")
    assert page.input_value("#own-words") == "saw it"
    visitor.faults.clear()  # the browser notes the status 409
    visitor.check()


def test_what_was_decided_in_another_tab_is_taken_back_with_u(
    hub: HubInProcess, visitor: Visitor
) -> None:
    path = f"/review/{hub.store.reviews.list_waiting()[0].id}"
    page = visitor.sign_in(REVIEWER, path)
    tab = visitor.context.new_page()
    tab.goto(page.url)
    tab.keyboard.press("a")
    is_said(tab, "Kept masked")
    page.keyboard.press("r")
    is_at(page, "Your decision was not taken")
    page.keyboard.press("u")
    is_said(page, "Withdrawn")
    is_at(page, "host0[.]top")


def stay(page: Page) -> None:
    """Mark the document, to see later if it is still the same one."""
    page.evaluate("window.stayed = true")


def place(page: Page) -> tuple[str, int]:
    """The address of a page, and how many there are in the history of the browser."""
    return page.url, page.evaluate("history.length")


def has_stayed(page: Page) -> bool:
    return bool(page.evaluate("window.stayed === true"))


def test_the_next_item_comes_without_loading_the_page_and_back_leads_to_the_one_before(
    hub: HubInProcess, visitor: Visitor
) -> None:
    first, second = (each.id for each in hub.store.reviews.list_waiting()[:2])
    page = visitor.sign_in(REVIEWER, f"/review/{first}?partner=acme")
    is_at(page, "host0[.]top")
    stay(page)
    page.keyboard.press("a")
    is_at(page, "host1[.]top")
    is_said(page, "Kept masked: host0[.]top")
    assert has_stayed(page)
    assert f"/console/review/{second}?partner=acme&act=" in page.url
    expect(page.locator("#waiting")).to_contain_text("3")
    assert page.evaluate("window.scrollY") == 0
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.textContent") == "Jane Doe"
    visitor.check()
    page.reload()
    is_at(page, "host1[.]top")
    page.go_back()  # a script loads the page then
    is_at(page, "This item is decided")
    assert page.url.endswith(f"/console/review/{first}?partner=acme")
    page.go_forward()
    is_at(page, "host1[.]top")
    visitor.check()


def test_the_queue_comes_after_the_last_item_without_loading_the_page(
    hub: HubInProcess, visitor: Visitor
) -> None:
    for review in hub.store.reviews.list_waiting()[1:]:
        hub.services.intake.reviewer.reject(review, "operator", "no")
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    stay(page)
    page.keyboard.press("r")
    is_said(page, "Rejected")
    expect(page.locator("main")).to_contain_text("Nothing waits.")
    assert has_stayed(page)
    assert "/console/review?act=" in page.url
    page.keyboard.press("u")
    is_at(page, "host0[.]top")
    assert has_stayed(page)
    visitor.check()


def test_a_rejection_without_a_reason_is_not_sent(hub: HubInProcess, visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    page.fill("#reason", "")
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    expect(page.locator("#reason")).to_be_focused()
    page.fill("#reason", " ")
    page.keyboard.press("Enter")
    expect(page.locator(".errors")).to_contain_text("Enter a reason for the submitter.")
    expect(page.locator(".errors")).to_be_focused()  # it takes the focus when the page has settled
    page.fill("#reason", "of no use")
    page.keyboard.press("Enter")
    is_said(page, "Rejected")
    visitor.go("/review")
    page.fill("#reason", "")
    page.locator("tbody input").first.check()
    page.click("text=Keep selected masked")
    is_said(page, "Kept masked: 1 item")
    visitor.faults.clear()  # the browser notes the status 422
    visitor.check()


@pytest.mark.parametrize(("key", "said"), [("s", ""), ("a", "Kept masked: last[.]top")])
def test_after_the_last_item_the_first_follows_and_the_page_says_so(
    hub: HubInProcess, visitor: Visitor, key: str, said: str
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[2].id}")
    is_at(page, "host2[.]top")
    page.keyboard.press("s")
    is_at(page, "last[.]top")
    expect(page.locator("#status")).not_to_contain_text("End of the queue")
    page.keyboard.press(key)
    is_at(page, "host0[.]top")
    is_said(page, "End of the queue: back at the beginning.")
    is_said(page, said)
    visitor.check()


def test_what_is_wrong_with_an_edit_is_said_in_the_page_and_the_address_stays(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    stay(page)
    before = place(page)
    page.keyboard.press("e")
    for box in page.locator("input[name=mark]").all():
        box.uncheck()
    page.fill("#words", "no such words")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".errors")).to_be_focused()
    assert page.input_value("#words") == "no such words"
    assert (has_stayed(page), place(page)) == (True, before)
    visitor.faults.clear()  # the browser notes the status 422
    visitor.check()


def test_a_decision_that_does_not_reach_the_hub_is_said(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    page.route(
        "**/console/review/*",
        lambda route: (
            route.fulfill(status=503, body="busy")
            if route.request.method == "POST"
            else route.continue_()
        ),
    )
    page.fill("#reason", "no longer seen")
    page.keyboard.press("Enter")
    is_said(page, "The hub answered 503. Reload the page to see how it stands.")
    assert not any(each.decision for each in hub.store.reviews.list_waiting())
    page.reload()
    assert page.input_value("#reason") == "no longer seen", "what was typed outlives the reload"


@pytest.mark.parametrize(
    ("field", "key"), [("words", "a"), ("words", "s"), ("words", "r"), ("reason", "Shift+F")]
)
def test_what_was_typed_for_another_decision_is_lost_only_at_the_second_time(
    hub: HubInProcess, visitor: Visitor, field: str, key: str
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    page.keyboard.press("e")
    expect(page.locator("#words")).to_be_focused()
    page.fill(f"#{field}", "saw it")
    page.keyboard.press("Escape")
    page.keyboard.press(key)
    is_said(page, "that you typed would be lost. Do it again to go on without.")
    assert page.input_value(f"#{field}") == "saw it"
    assert not any(each.decision for each in hub.store.reviews.list_waiting())
    page.keyboard.press(key)
    is_at(page, "host1[.]top")
    visitor.check()


def test_while_the_hub_is_slow_the_page_says_that_it_waits(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    waiting: list[Route] = []
    page.route("**/console/review/*", lambda route: waiting.append(route))
    page.keyboard.press("a")
    is_said(page, "Waiting for the hub")
    expect(page.locator("#main")).to_have_attribute("aria-busy", "true")
    visitor.check()
    waiting[0].continue_()
    is_said(page, "Kept masked: host0[.]top")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def test_a_session_that_ends_leads_back_to_the_item_and_what_was_typed(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    page.keyboard.press("e")
    page.fill("#words", "saw it")
    visitor.context.clear_cookies()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/sign-in?next=/console/review/*")
    assert "Your session has ended. Nothing was done" in page.inner_text("main")
    page.fill("#login", REVIEWER)
    page.fill("#password", PASSWORD)
    page.click("button.main")
    expect(page.locator("h1")).to_contain_text("host0[.]top")
    expect(page.locator("#words")).to_be_focused()
    assert page.input_value("#words") == "saw it"


def test_a_key_that_is_held_down_decides_one_item(hub: HubInProcess, visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    page.keyboard.down("a")
    is_at(page, "host1[.]top")
    page.keyboard.down("a")
    page.wait_for_timeout(500)
    page.keyboard.up("a")
    is_at(page, "host1[.]top")
    assert sum(each.decision is not None for each in hub.store.reviews.list_waiting()) == 1


def test_enter_that_ends_a_composition_does_not_send_the_reason(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    page.focus("#reason")
    enter = {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    page.dispatch_event("#reason", "keydown", enter)
    page.wait_for_timeout(300)
    assert not any(each.decision for each in hub.store.reviews.list_waiting())
    page.dispatch_event("#reason", "keydown", enter | {"isComposing": False})
    is_said(page, "Rejected: host0[.]top")


@pytest.mark.parametrize("keys", ["ga", "gs", "gx", "g1", "F"])
def test_keys_to_go_somewhere_and_capitals_by_caps_lock_decide_nothing(
    hub: HubInProcess, visitor: Visitor, keys: str
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    for key in keys:
        page.keyboard.press(key)  # capitals come without Shift, as with CapsLock
    page.wait_for_timeout(300)
    assert not any(each.decision for each in hub.store.reviews.list_waiting())
    page.keyboard.press("Escape")
    page.keyboard.press("A")
    is_said(page, "Kept masked: host0[.]top")


def test_the_key_after_g_goes_to_a_page_however_late_it_comes(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    is_at(page, "host0[.]top")
    for key in ("G", "g"):  # G without Shift, as with CapsLock
        page.keyboard.press(key)
    page.wait_for_timeout(1_700)
    page.keyboard.press("r")
    page.wait_for_url("**/console/review")
    assert not any(each.decision for each in hub.store.reviews.list_waiting())


def test_several_are_selected_and_rejected_by_keyboard(hub: HubInProcess, visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    page.click("text=Reject selected")
    page.wait_for_url("**act=*")
    is_said(page, "Rejected: 2 items")
    assert len(hub.store.review_queue.look()) == 2
    visitor.check()


def test_enter_that_is_pressed_twice_shows_what_was_decided_and_undo(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    page.keyboard.press("j")
    page.keyboard.press("x")
    button = page.locator("text=Keep selected masked")
    # The hub takes the first request, whose answer the browser gives up for the second one.
    button.evaluate(
        "b => fetch(b.form.action, { method: 'POST', redirect: 'manual',"
        " body: new URLSearchParams([...new FormData(b.form, b)]) }).then(() => {})"
    )
    assert len(hub.store.review_queue.look()) == 3
    button.press("Enter")
    is_said(page, "Kept masked: 1 item")
    expect(page.locator("#status [data-key=u]")).to_be_visible()
    visitor.check()


def test_the_number_in_the_bar_follows_the_queue_in_an_open_page(
    visitor: Visitor, hub: HubInProcess
) -> None:
    page = visitor.sign_in(REVIEWER, "/me")
    assert page.inner_text(".waiting").split()[0] == "4"
    hub.push(indicator("a.top", description=PERSON))
    path, how = "/console/part/waiting?seen=4", "{target: '.waiting', swap: 'outerHTML'}"
    page.evaluate(f"htmx.ajax('GET', '{path}', {how})")
    page.wait_for_function("document.querySelector('.waiting').innerText.startsWith('5')")
    visitor.check()


def test_ctrl_and_enter_decide_nothing_in_the_queue(hub: HubInProcess, visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, "/review")
    box = page.locator("tbody input").first
    box.check()
    box.press("Control+Enter")
    page.wait_for_timeout(300)
    assert page.url.endswith("/review") and box.is_checked()
    visitor.check()


def test_a_reason_and_the_button_that_sends_it_stand_in_one_line(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER)
    visitor.go(f"/review/{hub.store.reviews.list_waiting()[0].id}")
    reason = page.locator("#reason").bounding_box()
    button = page.locator("button[data-key=r]").bounding_box()
    assert reason and button and button["y"] < reason["y"] + reason["height"]


def test_the_usual_reason_takes_one_line_of_a_wide_window(
    hub: HubInProcess, visitor: Visitor
) -> None:
    page = visitor.sign_in(REVIEWER)
    visitor.go(f"/review/{hub.store.reviews.list_waiting()[0].id}")
    bar = page.locator(".decide").bounding_box()
    assert bar is not None and bar["height"] < 60
    visitor.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_a_phone(hub: HubInProcess, browser: Browser, origin: str, scheme: str) -> None:
    size = {"width": 320, "height": 640}
    with visit(browser, origin, viewport=size, color_scheme=scheme, has_touch=True) as phone:
        page = phone.sign_in(REVIEWER, "/review")
        phone.check()
        assert not page.locator("#rule").is_visible(), "the filters are folded"
        page.click("summary:has-text('Filter')")
        assert page.locator("#rule").is_visible()
        review = hub.store.reviews.list_waiting()[-1]
        phone.go(f"/review/{review.id}")
        phone.check()
        boxes = [page.locator(each).bounding_box() for each in (".after", ".before")]
        assert boxes[0] and boxes[1] and boxes[0]["y"] < boxes[1]["y"], "published comes first"
        assert page.locator(".before .text").first.is_visible()
        assert page.locator("#reason").is_visible(), "nobody sends a reason unseen"
        hidden = page.evaluate(
            "(e => e.scrollHeight - e.clientHeight)(document.querySelector('#reason'))"
        )
        assert hidden <= 0, "all of the reason is seen"
        release = page.locator("button[data-key=F]")
        assert not release.is_visible()
        page.click("summary:has-text('More')")
        assert release.is_visible()


@pytest.mark.parametrize("is_phone", [False, True])
def test_keys_are_shown_in_a_window_that_is_zoomed_and_not_on_a_phone(
    hub: HubInProcess, browser: Browser, origin: str, *, is_phone: bool
) -> None:
    size = {"width": 640, "height": 400}  # of 1280 by 800 at 200 %
    with visit(browser, origin, viewport=size, has_touch=is_phone) as visitor:
        page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
        visitor.check()
        for each in ("button[data-key=a] kbd", "summary[data-key=e] kbd", ".crumbs .keys-hint"):
            assert page.locator(each).is_visible() != is_phone


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_bar_of_decisions_hides_nothing_that_has_the_focus(
    hub: HubInProcess, browser: Browser, origin: str, width: int, height: int
) -> None:
    with visit(browser, origin, viewport={"width": width, "height": height}) as visitor:
        page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
        page.keyboard.press("s")  # the line below the bar is there, too
        is_at(page, "host1[.]top")
        page.locator("main a").first.focus()
        focus = page.locator(":focus")
        while not focus.evaluate("(each) => Boolean(each.closest('.decide'))"):
            box, bar = focus.bounding_box(), page.locator(".decide").bounding_box()
            assert box and bar and box["y"] + box["height"] <= bar["y"], focus.inner_text()
            page.keyboard.press("Tab")


@pytest.mark.parametrize(
    ("width", "height", "most"), [(360, 740, 190), (360, 340, 45), (740, 360, 45)]
)
def test_bars_leave_a_phone_room_for_the_text(
    hub: HubInProcess, browser: Browser, origin: str, width: int, height: int, most: int
) -> None:
    size = {"width": width, "height": height}
    with visit(browser, origin, viewport=size, has_touch=True) as phone:
        page = phone.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
        page.click("button:has-text('Keep masked')")
        is_said(page, "Kept masked")
        phone.check()
        taken = page.evaluate(
            """[".bar", ".decide", "#status"].map((each) => document.querySelector(each))
            .filter((each) => getComputedStyle(each).position === "sticky")
            .reduce((sum, each) => sum + each.offsetHeight, 0)"""
        )
        assert taken <= most


def test_on_paper_an_item_has_its_texts_and_no_buttons(hub: HubInProcess, visitor: Visitor) -> None:
    page = visitor.sign_in(REVIEWER, f"/review/{hub.store.reviews.list_waiting()[0].id}")
    page.emulate_media(media="print")
    expect(page.locator(".after .text").first).to_be_visible()
    expect(
        page.locator("button:visible, kbd:visible, .bar:visible, #reason:visible")
    ).to_have_count(0)


def test_turning_a_phone_hides_nothing(hub: HubInProcess, browser: Browser, origin: str) -> None:
    upright, across = ({"width": width, "height": 360} for width in (360, 740))
    hidden = "nav[aria-label=Main] >> text=Overview", "button[data-key=F]", "button[data-key=s]"
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    with visit(browser, origin, viewport=upright, has_touch=True) as phone:
        page = phone.sign_in("operator@hub.example", "/review")
        page.click("tbody a")
        page.wait_for_url("**/review/*")
        for _ in range(2):
            for each in hidden:
                expect(page.locator(each)).not_to_be_visible()
            page.set_viewport_size(across)  # type: ignore[arg-type]
            for each in hidden:
                expect(page.locator(each)).to_be_visible()
            page.set_viewport_size(upright)  # type: ignore[arg-type]


def test_works_without_scripts(hub: HubInProcess, browser: Browser, origin: str) -> None:
    with visit(browser, origin, java_script_enabled=False) as plain:
        page = plain.sign_in(REVIEWER, "/review")
        page.select_option("#partner", "acme")
        page.click("button:has-text('Filter')")
        expect(page).to_have_url(re.compile("partner=acme"))
        page.click("tbody a")
        expect(page).to_have_url(re.compile("/review/.*partner=acme"))
        page.click("button:has-text('Keep masked')")
        is_said(page, "Kept masked")
        assert "partner=acme" in page.url
        page.click("text=Undo")
        is_said(page, "Withdrawn")
        page.click("text=Edit:")
        page.fill("#words", "who saw it")
        page.click("text=Publish with these words masked")
        is_said(page, "words masked")
        assert sum(not each.is_open for each in hub.store.reviews.list_waiting()) == 1
