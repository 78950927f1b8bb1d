"""Administration in the console: partners, people, keys, exclusions, journal."""

import re
from html import unescape
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from support.console import Visitor, post, serve_console, sign_in, visit
from support.hub import HubInProcess, indicator

from tocsin.server.model import Collection, CollectionKind
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.person import Person, Role

PARTNER = {
    "slug": "lisbon",
    "partner_name": "Lisbon Water",
    "country": "PT",
    "sectors": "water, utilities",
    "terms": "lisbon.example",
    "max_tlp": "amber",
    "consent": "none",
    "reliability": "B",
    "group": "",
    "reads": ["clear", "green"],
    "writes": ["inbox"],
    "mailbox": "",
}
PAGES = ("", "/partners", "/partners/new", "/partners/acme", "/people", "/feeds") + (
    "/exclusions",
    "/warning-lists",
    "/policy",
    "/journal",
)
HOSTILE = "<script>alert(1)</script>{{7*7}}\u202egpj.exe"


def test_an_operator_gives_a_partner_access_in_a_browser(
    visitor: Visitor, hub: HubInProcess
) -> None:
    page = visitor.sign_in("operator@hub.example", "/admin/partners")
    page.keyboard.press("n")
    page.fill("#slug", "lisbon")
    page.fill("#partner_name", "Lisbon Water")
    page.fill("#mailbox", "ana@lisbon.example")
    visitor.check()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=has a new key")
    visitor.check()
    secret = page.inner_text("dl.facts dd:nth-of-type(3) code")
    link = page.inner_text("h2:has-text('first person') ~ p code")
    token = hub.client.get("/hub/collections/", auth=("lisbon", secret), headers={"Accept": "*/*"})
    assert token.status_code == 200
    visitor.page.goto(link)
    page.fill("#name", "Ana")
    page.fill("#password", "a long and good password")
    page.click("button.main")
    page.wait_for_url(lambda url: "/invitation/" not in url)
    page.wait_for_selector("text=Ana")
    found = hub.services.store.people.find_by_login("ana@lisbon.example")
    assert found is not None and found.roles == frozenset({Role.ANALYST})
    assert found.partner == "lisbon"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_administration_looks_right(visitor: Visitor, path: str) -> None:
    visitor.sign_in("operator@hub.example", f"/admin{path}")
    visitor.check()


@pytest.mark.parametrize("width", [320, 390, 768])
@pytest.mark.parametrize("path", ["/agreements", "/journal", "/warning-lists"])
def test_a_table_of_administration_fits_a_narrow_window(
    visitor: Visitor, hub: HubInProcess, path: str, width: int
) -> None:
    terms = {"partner": "acme", "collections": "green", "max_tlp": "green", "until": "2999-12-31"}
    post(sign_in(hub, "operator@hub.example"), "/console/admin/agreements/new", terms)
    visitor.page.set_viewport_size({"width": width, "height": 844})
    page = visitor.sign_in("operator@hub.example", f"/admin{path}")
    assert page.locator("tbody tr").count() > 0
    assert visitor.overflow() <= 0, "the page scrolls sideways"


@pytest.mark.slow
def test_a_key_is_shown_once_and_works_until_it_is_revoked(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    page = post(client, "/console/admin/partners/acme/keys", {}).text
    secret = re.findall(r'data-copy="acme:([^"]+)"', page)[0]

    def ask() -> int:
        return int(hub.client.get("/hub/collections/", auth=("acme", secret)).status_code)

    assert ask() == 200
    page = client.get("/console/admin/partners/acme").text
    assert secret not in page
    keys = re.findall(r'name="key" value="([0-9a-f]{64})"', page)
    for key in keys:
        form = {"account": "acme", "key": key}
        assert post(client, "/console/admin/partners/acme/keys/revoke", form).status_code == 303
    assert ask() == 401


def test_the_page_of_a_partner_issues_keys_of_its_own_accounts_only(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    before = hub.services.store.accounts.list_keys("operator")
    for account in ("operator", "north", "x"):
        answer = post(client, "/console/admin/partners/acme/keys", {"account": account})
        assert answer.status_code == 404
    assert hub.services.store.accounts.list_keys("operator") == before


def test_an_unknown_marking_is_named_at_its_field(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    answer = post(client, "/console/admin/partners/acme", PARTNER | {"marking": "tlp9"})
    assert answer.status_code == 422 and '<a href="#marking">' in answer.text


@pytest.mark.slow
def test_wrong_values_of_a_partner_are_named_at_their_fields(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    for field, wrong in (
        ("slug", "No Slug"),
        ("slug", "acme"),
        ("country", "Atlantis"),
        ("reliability", "Z"),
        ("max_tlp", "blue"),
        ("consent", "x"),
        ("partner_name", ""),
        ("mailbox", "viewer@hub.example"),
    ):
        answer = post(client, "/console/admin/partners/new", PARTNER | {field: wrong})
        assert answer.status_code in (409, 422) and f'<a href="#{field}">' in answer.text, field
        assert "lisbon.example" in answer.text, "what was typed stays"
    assert hub.services.store.accounts.find_partner("lisbon") is None


def test_all_wrong_values_of_a_new_partner_are_named_at_once(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    wrong = {"slug": "No Slug", "country": "Atlantis", "reliability": "Z"}
    page = post(client, "/console/admin/partners/new", PARTNER | wrong).text
    assert all(f'<a href="#{field}">' in page for field in wrong)


def test_a_collection_without_an_alias_is_named_by_its_id_in_the_form(
    hub: HubInProcess,
) -> None:
    store = hub.services.store
    id = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
    store.feeds.add(Collection(id, "", CollectionKind.VERBATIM, "High value", ""))
    Partners(store).change("acme", PartnerChange(reads=["clear", id]), "test")
    page = sign_in(hub, "operator@hub.example").get("/console/admin/partners/acme").text
    # A box without the id would take the right away when the form is saved.
    assert f'name="reads" value="{id}" checked' in page


@pytest.mark.slow
def test_a_change_of_rights_holds_from_the_next_request_on(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    assert hub.ask("collections/amber/objects/").status_code == 200
    form = PARTNER | {"marking": "tlp2", "reads": ["clear"]}
    assert post(client, "/console/admin/partners/acme", form).status_code == 303
    assert hub.ask("collections/amber/objects/").status_code == 404
    form |= {"disabled": "yes"}
    assert post(client, "/console/admin/partners/acme", form).status_code == 303
    assert hub.ask("collections/").status_code == 401
    person = sign_in(hub, "viewer@hub.example")
    assert person.get("/console/me").status_code == 200


def test_people_are_invited_changed_and_removed(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    form = {"mailbox": "rui@acme.example", "partner": "acme", "roles": ["viewer"]}
    page = post(client, "/console/admin/people", form).text
    assert "/console/invitation/" in page
    wrong = post(client, "/console/admin/people", form | {"roles": ["operator"]})
    assert wrong.status_code == 422 and 'href="#roles"' in wrong.text
    viewer = hub.services.store.people.find_by_login("viewer@hub.example")
    assert viewer is not None
    path = f"/console/admin/people/{viewer.id}"
    other = sign_in(hub, "viewer@hub.example")
    assert post(client, path, {"act": "disable"}).status_code == 303
    assert other.get("/console/me").status_code == 303
    assert post(client, path, {"act": "remove"}).status_code == 303
    assert hub.services.store.people.find(viewer.id) is None
    operator = hub.services.store.people.find_by_login("operator@hub.example")
    assert operator is not None
    answer = post(client, f"/console/admin/people/{operator.id}", {"act": "remove"})
    assert answer.status_code == 409


def test_removing_a_person_asks_first_without_javascript_and_by_keys(
    hub: HubInProcess, browser: Browser
) -> None:
    def find() -> Person | None:
        return hub.services.store.people.find_by_login("viewer@hub.example")

    with (
        serve_console(hub) as origin,
        visit(browser, origin, java_script_enabled=False) as visitor,
    ):
        page = visitor.sign_in("operator@hub.example", "/admin/people")
        row = page.get_by_role("row", name="Viewer viewer@hub.example")
        row.get_by_text("Change Viewer").press("Enter")
        button = row.get_by_role("button", name="Remove person")
        expect(button).not_to_be_visible()
        row.get_by_text("Remove person… Viewer").press("Enter")
        expect(row).to_contain_text("They are signed out at once, and cannot be restored")
        assert find() is not None
        page.keyboard.press("Tab")
        expect(button).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("row", name="Viewer viewer@")).to_have_count(0)
    assert find() is None


@pytest.mark.slow
def test_an_excluded_value_is_refused_and_the_list_says_why(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    hub.push(indicator("cdn.bad-portal.top"))
    form = {"value": "cdn.bad-portal.top", "reason": HOSTILE}
    assert post(client, "/console/admin/exclusions", form).status_code == 303
    assert hub.verdicts(hub.push(indicator("cdn.bad-portal.top"), who="north")) == ["refused"]
    page = client.get("/console/admin/exclusions").text
    assert "<script>alert" not in page and "RLO" in page and "cdn[.]bad-portal[.]top" in page
    assert all(each["revoked"] for each in hub.feed("green"))
    assert 'href="/console/search?q=cdn.bad-portal.top"' in page
    wrong = post(client, "/console/admin/exclusions", {"value": "no value"})
    assert wrong.status_code == 422 and "no value" in wrong.text
    form = {"value": "cdn.bad-portal.top"}
    assert post(client, "/console/admin/exclusions/remove", form).status_code == 303
    assert hub.services.store.exclusions.list() == ()


def test_a_message_of_the_console_names_no_command(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    answer = post(client, "/console/admin/partners/new", PARTNER | {"slug": "acme"})
    assert "There is a partner acme already." in answer.text
    odd = PARTNER | {"reads": ["nowhere"]}
    answer = post(client, "/console/admin/partners/new", odd)
    assert "There is no collection" in answer.text and "tocsin-hub" not in answer.text


def test_a_level_that_the_form_does_not_offer_is_refused(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    before = hub.store.accounts.require_partner("acme")
    answer = post(client, "/console/admin/partners/acme", PARTNER | {"max_tlp": "red"})
    assert answer.status_code == 422 and "Choose one of the levels" in answer.text
    assert hub.store.accounts.require_partner("acme") == before


def test_the_page_of_a_partner_warns_of_terms_that_mask_parts_of_many_texts(
    hub: HubInProcess,
) -> None:
    client = sign_in(hub, "operator@hub.example")
    assert "Masked wherever" not in client.get("/console/admin/partners/acme").text
    post(client, "/console/admin/partners/acme", PARTNER | {"terms": "a, gizmo"})
    assert "Masked wherever" in client.get("/console/admin/partners/acme").text


@pytest.mark.slow
def test_after_an_exclusion_the_page_says_how_many_objects_were_revoked(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    hub.push(indicator("cdn.bad-portal.top"))
    places = "/console/admin/exclusions"
    answer = post(client, places, {"value": "cdn.bad-portal.top"})
    assert "1 published object was revoked" in client.get(answer.location).text
    answer = post(client, places, {"value": "192.0.2.0/24"})
    page = client.get(answer.location).text
    assert "No published object had to be revoked" in page
    assert "not for the addresses in it" in page
    for other in ("", "?revoked=", "?revoked=-1", "?revoked=<b>", "?revoked=9999999"):
        assert "The value is excluded" not in client.get(places + other).text


def test_the_journal_is_filtered_paged_and_exported(hub: HubInProcess) -> None:
    client = sign_in(hub, "auditor@hub.example")
    page = client.get("/console/admin/journal?act=sign_in&who=auditor@hub.example").text
    assert page.count("<strong>sign_in</strong>") == 1
    assert "Write the time like" in client.get("/console/admin/journal?since=soon").text
    lines = client.get("/console/admin/journal.jsonl").text.splitlines()
    last = hub.services.store.journal.last_entry()
    assert last is not None and len(lines) == last.sequence


def test_a_damaged_entry_of_the_journal_is_shown_as_damaged(hub: HubInProcess) -> None:
    client = sign_in(hub, "auditor@hub.example")
    damage = {"$set": {"what": "text", "at": "x"}}
    hub.services.store._base.journal.update_one({"_id": 1}, damage)
    pages = [client.get(f"/console/admin/journal{each}") for each in ("", ".jsonl")]
    assert [each.status_code for each in pages] == [200, 200]
    assert "(damaged)" in pages[0].text and '"damaged": true' in pages[1].text


@pytest.mark.slow
@pytest.mark.parametrize("login", ["viewer", "analyst", "reviewer"])
@pytest.mark.parametrize("path", PAGES)
def test_other_people_find_no_administration(hub: HubInProcess, login: str, path: str) -> None:
    client = sign_in(hub, f"{login}@hub.example")
    assert client.get(f"/console/admin{path}").status_code == 404


@pytest.mark.slow
def test_an_auditor_sees_everything_and_changes_nothing(hub: HubInProcess) -> None:
    client = sign_in(hub, "auditor@hub.example")
    for path in PAGES:
        expected = 404 if path == "/partners/new" else 200
        page = client.get(f"/console/admin{path}")
        assert page.status_code == expected
        assert "<button>" not in page.text.replace("<button>Filter", "").replace(
            "<button>Close", ""
        )
    acts: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/partners/new", PARTNER),
        ("/partners/acme", PARTNER),
        ("/partners/acme/keys", {}),
        ("/people", {"mailbox": "x@y.example"}),
        ("/exclusions", {"value": "a.example"}),
    )
    before = hub.services.store.journal.last_entry()
    for path, form in acts:
        assert post(client, f"/console/admin{path}", form).status_code == 404
    assert hub.services.store.journal.last_entry() == before


def test_all_terms_of_a_partner_are_kept_however_many(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    terms = tuple(f"host-{n}.acme.example" for n in range(100))
    post(client, "/console/admin/partners/acme", PARTNER | {"terms": ", ".join(terms)})
    assert hub.store.accounts.require_partner("acme").terms == terms


@pytest.mark.parametrize("path", ["/console/admin/partners/new", "/console/admin/partners/acme"])
@pytest.mark.parametrize(("name", "length"), [("group", 1_001), ("terms", 100_001)])
def test_a_field_that_is_too_long_is_refused_and_stays_in_the_form(
    hub: HubInProcess, path: str, name: str, length: int
) -> None:
    answer = post(sign_in(hub, "operator@hub.example"), path, PARTNER | {name: "x" * length})
    assert answer.status_code == 422 and "shorten the text" in answer.text
    assert f'value="{"x" * length}"' in answer.text
    assert hub.store.accounts.require_partner("acme").group == ""


def test_a_text_that_is_too_long_is_refused_and_not_cut(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    form = {"value": "evil.top", "reason": "x" * 2_001}
    answer = post(client, "/console/admin/exclusions", form)
    assert answer.status_code == 422 and "x" * 2_001 in answer.text
    assert hub.store.exclusions.list() == ()


def test_a_term_with_a_comma_is_one_term_after_its_partner_was_saved(hub: HubInProcess) -> None:
    client, terms = (
        sign_in(hub, "operator@hub.example"),
        ("ACME, Inc.", 'the "A" team', "a.example"),
    )
    change = PartnerChange({"terms": terms})
    Partners(hub.store).change("acme", change, "operator")
    page = client.get("/console/admin/partners/acme").text
    shown = re.search('id="terms"[^>]* value="([^"]*)"', page)
    assert shown is not None
    post(client, "/console/admin/partners/acme", PARTNER | {"terms": unescape(shown[1])})
    assert hub.store.accounts.require_partner("acme").terms == terms


def test_a_list_with_an_open_quote_is_refused(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    answer = post(client, "/console/admin/partners/acme", PARTNER | {"terms": '"ACME, a.example'})
    assert answer.status_code == 422 and "A double quote is not closed" in answer.text


def test_what_was_entered_stays_in_the_form_of_a_partner_that_is_refused(
    hub: HubInProcess,
) -> None:
    form = PARTNER | {"country": "Atlantis", "group": "gulf", "reads": ["amber"], "disabled": "yes"}
    answer = post(sign_in(hub, "operator@hub.example"), "/console/admin/partners/acme", form)
    assert answer.status_code == 422
    assert 'value="Atlantis"' in answer.text and 'value="gulf"' in answer.text
    assert re.findall('name="reads" value="([a-z]+)" checked', answer.text) == ["amber"]
    assert 'name="disabled" value="yes" checked' in answer.text


@pytest.mark.slow
def test_a_form_of_a_partner_does_not_undo_what_was_changed_since_it_was_opened(
    hub: HubInProcess,
) -> None:
    client, path = sign_in(hub, "operator@hub.example"), "/console/admin/partners/acme"
    post(client, path, PARTNER)
    opened = _shown(client.get(path).text)
    Partners(hub.store).change("acme", PartnerChange({"terms": ("new.example",)}), "another")
    answer = post(client, path, PARTNER | {"group": "gulf", "shown": opened})
    assert answer.status_code == 409
    assert "somebody has changed this since you opened the page" in answer.text
    assert 'value="new.example"' in answer.text and 'value="gulf"' in answer.text
    again = {"group": "gulf", "terms": "new.example", "shown": _shown(answer.text)}
    assert post(client, path, PARTNER | again).status_code == 303
    saved = hub.store.accounts.require_partner("acme")
    assert (saved.group, saved.terms) == ("gulf", ("new.example",))


def test_the_page_of_a_partner_says_that_it_was_saved(hub: HubInProcess) -> None:
    client = sign_in(hub, "operator@hub.example")
    answer = post(client, "/console/admin/partners/acme", PARTNER)
    assert ">Saved.</p>" in client.get(answer.location).text


@pytest.mark.slow
@pytest.mark.parametrize("shown", ["", "no JSON", "[1]", '{"terms": 5}', "[" * 20_000])
def test_a_form_that_does_not_say_what_its_page_showed_is_taken_as_it_is(
    hub: HubInProcess, shown: str
) -> None:
    client, path = sign_in(hub, "operator@hub.example"), "/console/admin/partners/acme"
    answer = post(client, path, PARTNER | {"group": "gulf", "shown": shown})
    assert answer.status_code == 303
    assert hub.store.accounts.require_partner("acme").group == "gulf"


def _shown(page: str) -> str:
    found = re.search('name="shown" value="([^"]*)"', page)
    assert found is not None
    return unescape(found[1])
