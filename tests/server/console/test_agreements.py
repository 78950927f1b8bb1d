"""Agreements in the console: made, changed, ended, and what they do to people."""

import re
from html import unescape

import pytest
from playwright.sync_api import expect
from support.clock import ManualClock
from support.console import Visitor, add_person, end_sessions, post, sign_in
from support.hub import HubInProcess, indicator

from tocsin.admission.timestamps import DAY, timestamp
from tocsin.server.person import Role
from tocsin.server.store import Store, wall_clock

TERMS = {
    "partner": "acme",
    "max_tlp": "amber",
    "starts": "",
    "until": "",
    "purposes": "defence of its own network",
    "countries": "",
    "sectors": "",
    "note": "",
    "collections": ["inbox", "clear", "green"],
}


@pytest.mark.parametrize("path", ["", "/new"])
def test_the_pages_of_agreements_look_right(visitor: Visitor, hub: HubInProcess, path: str) -> None:
    post(sign_in(hub, "operator@hub.example"), "/console/admin/agreements/new", TERMS)
    visitor.sign_in("operator@hub.example", f"/admin/agreements{path}")
    visitor.check()


def test_partners_without_an_agreement_in_force_are_named(hub: HubInProcess) -> None:
    browser, note = sign_in(hub, "operator@hub.example"), "they read and send nothing: acme."
    post(browser, "/console/admin/agreements/new", TERMS | {"starts": "2999-12-31"})
    assert note in browser.get("/console/admin/agreements").text
    post(browser, "/console/admin/agreements/new", TERMS)
    assert note not in browser.get("/console/admin/agreements").text


def test_an_agreement_is_made_changed_and_ended(visitor: Visitor, hub: HubInProcess) -> None:
    page = visitor.sign_in("operator@hub.example", "/admin/agreements/new")
    page.select_option("#partner", "acme")
    page.fill("#until", "2999-12-31")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=1 agreement")
    page.click("tbody a")
    page.fill("#countries", "PT, Portug")
    page.click("button.main")
    expect(page.locator(".errors")).to_contain_text("did you mean PT")
    page.fill("#countries", "PT")
    page.click("button.main")
    page.wait_for_selector("text=1 agreement")
    page.click("tbody a")
    page.fill("#reason", "not renewed")
    page.click("text=End agreement")
    page.wait_for_selector("text=ended")
    acts = [e.action for e in hub.store.journal.entries() if e.action.startswith("agreement.")]
    assert acts == ["agreement.add", "agreement.change", "agreement.end"]
    who = {e.actor for e in hub.store.journal.entries() if e.action.startswith("agreement.")}
    assert who == {"operator@hub.example"}


def test_a_page_where_somebody_types_stays_when_the_session_ends(
    visitor: Visitor, hub: HubInProcess
) -> None:
    visitor.page.clock.install()
    page = visitor.sign_in("operator@hub.example", "/admin/agreements/new")
    page.fill("#note", "as the board decided")
    end_sessions(hub, "operator@hub.example")
    page.clock.run_for(16_000)
    page.wait_for_selector("#session a")
    visitor.faults.clear()  # the browser notes the status 401
    visitor.check()
    assert page.inner_text("#session") == "Your session has ended. Sign in again"
    assert page.input_value("#note") == "as the board decided"
    assert not page.query_selector(".waiting"), "it asks no longer"
    page.click("#session a")
    assert page.url.endswith("/console/sign-in?next=/console/admin/agreements/new")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("partner", "nobody"),
        ("until", "soon"),
        ("until", "2001-01-01"),
        ("starts", "31.12.2026"),
        ("countries", "XX"),
        ("sectors", "no sector!"),
        ("max_tlp", "blue"),
        ("collections", []),
    ],
)
def test_wrong_terms_are_named_at_their_fields(
    hub: HubInProcess, field: str, wrong: object
) -> None:
    client = sign_in(hub, "operator@hub.example")
    answer = post(client, "/console/admin/agreements/new", TERMS | {field: wrong})
    assert answer.status_code == 422 and f'<a href="#{field}">' in answer.text
    assert "defence of its own network" in answer.text and not hub.store.agreements.list_all()


@pytest.mark.slow
def test_at_its_end_the_people_of_the_partner_see_no_feed(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    for login, role, partner in (
        ("o@x.example", Role.OPERATOR, ""),
        ("a@x.example", Role.ANALYST, "acme"),
    ):
        add_person(hub, login, role, partner=partner)
    noon = (clock.now // DAY + 1) * DAY
    operator = sign_in(hub, "o@x.example")
    answer = post(operator, "/console/admin/agreements/new", TERMS | {"until": timestamp(noon)})
    assert answer.status_code == 303
    clock.now = noon - 1
    analyst = sign_in(hub, "a@x.example")
    assert hub.ask("collections/green/objects/").status_code == 200
    assert "<td>green</td>" in analyst.get("/console/partner").text.replace('class="first"', "")
    clock.now = noon
    assert hub.ask("collections/green/objects/").status_code == 404
    page = analyst.get("/console/partner").text
    assert "/green/" not in page and "<td>green</td>" not in page


@pytest.mark.slow
def test_at_its_end_the_people_of_the_partner_see_no_list_of_submissions(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "o@x.example", Role.OPERATOR)
    add_person(hub, "a@x.example", Role.ANALYST, partner="acme")
    noon, operator = (clock.now // DAY + 1) * DAY, sign_in(hub, "o@x.example")
    post(operator, "/console/admin/agreements/new", TERMS | {"until": timestamp(noon)})
    id = hub.push(indicator())["id"]
    clock.now = noon - 1
    analyst = sign_in(hub, "a@x.example")
    lists = ("/console/submissions", "/console/partner")
    assert all(id in analyst.get(each).text for each in lists)
    clock.now = noon
    for each in lists:
        page = analyst.get(each).text
        assert id not in page and "your submissions are not shown" in page
    operator = sign_in(hub, "o@x.example")
    for each in ("/console/submissions?partner=acme", "/console/partners/acme"):
        assert id in operator.get(each).text


@pytest.mark.parametrize("login", ["viewer", "analyst", "reviewer"])
def test_other_people_find_no_agreements(hub: HubInProcess, login: str) -> None:
    client = sign_in(hub, f"{login}@hub.example")
    for path in ("", "/new", "/x"):
        assert client.get(f"/console/admin/agreements{path}").status_code == 404


def test_an_auditor_sees_them_and_changes_nothing(hub: HubInProcess) -> None:
    post(sign_in(hub, "operator@hub.example"), "/console/admin/agreements/new", TERMS)
    (found,) = hub.store.agreements.list_all()
    client = sign_in(hub, "auditor@hub.example")
    assert client.get(f"/console/admin/agreements/{found.id}").status_code == 200
    for path in ("new", found.id, f"{found.id}/end"):
        answer = post(client, f"/console/admin/agreements/{path}", TERMS | {"reason": "x"})
        assert answer.status_code == 404
    assert hub.store.agreements.list_all() == [found]


@pytest.mark.slow
def test_the_end_of_its_agreement_is_the_reason_that_a_partner_reads(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    add_person(hub, "ana@acme.example", Role.ANALYST, partner="acme")
    until = clock.now + 20 * DAY
    terms = {**TERMS, "until": timestamp(until)}
    post(sign_in(hub, "operator@hub.example"), "/console/admin/agreements/new", terms)
    day = f'ends on <time datetime="{timestamp(until)[:10]}'
    assert f"Your agreement {day}" in sign_in(hub, "ana@acme.example").get("/console/partner").text
    clock.now += 21 * DAY
    ana, operator = sign_in(hub, "ana@acme.example"), sign_in(hub, "operator@hub.example")
    ended = day.replace("ends", "ended")
    for path in ("partner", "share"):
        page = ana.get(f"/console/{path}").text
        assert f"Your agreement {ended}" in page
        assert "No account of this partner" not in page
        assert "to no collection at present" not in page
    page = operator.get("/console/partners/acme").text
    assert f"Its agreement {ended}" in page
    assert "/console/admin/agreements?partner=acme" in page
    assert ">agreement ended<" in operator.get("/console/admin/partners").text


def test_a_partner_without_an_agreement_reads_nothing_about_one(hub: HubInProcess) -> None:
    for path in ("partner", "share"):
        assert "agreement" not in sign_in(hub, "analyst@hub.example").get(f"/console/{path}").text


def test_all_purposes_of_an_agreement_are_kept(hub: HubInProcess) -> None:
    purposes = [f"{n:02} " + "x" * 197 for n in range(20)]
    form = TERMS | {"purposes": "\r\n".join(purposes)}
    post(sign_in(hub, "operator@hub.example"), "/console/admin/agreements/new", form)
    assert hub.store.agreements.list_all()[0].purposes == tuple(purposes)


@pytest.mark.slow
def test_a_form_of_an_agreement_does_not_undo_what_was_changed_since_it_was_opened(
    hub: HubInProcess,
) -> None:
    client = sign_in(hub, "operator@hub.example")
    post(client, "/console/admin/agreements/new", TERMS | {"until": "2999-12-31"})
    path = f"/console/admin/agreements/{hub.store.agreements.list_all()[0].id}"
    opened = {"shown": _shown(client.get(path).text)}
    post(client, path, TERMS | {"until": "2100-12-31"})
    stale = TERMS | opened | {"until": "2999-12-31T00:00:00.000000Z", "note": "by telephone"}
    page = post(client, path, stale).text
    assert "Until (UTC): somebody has changed this since you opened the page" in page
    assert 'value="2100-12-31T00:00:00.000000Z"' in page and 'value="by telephone"' in page
    kept = hub.store.agreements.list_all()[0]
    assert (timestamp(kept.until or 0)[:4], kept.note) == ("2100", "")
    again = {"shown": _shown(page), "until": "2100-12-31", "note": "by telephone"}
    assert post(client, path, TERMS | again).status_code == 303
    assert hub.store.agreements.list_all()[0].note == "by telephone"


def _shown(page: str) -> str:
    found = re.search('name="shown" value="([^"]*)"', page)
    assert found is not None
    return unescape(found[1])
