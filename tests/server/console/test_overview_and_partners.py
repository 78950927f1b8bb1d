"""The overview, the page of a partner, and the documentation in the console."""

import re
from time import sleep

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect
from support.clock import ManualClock
from support.console import Visitor, add_person, post, sign_in
from support.hub import HubInProcess, indicator, relationship
from support.observables import sco
from support.paths import ROOT

from tocsin.admission.timestamps import DAY
from tocsin.server.console.charts import columns, lines
from tocsin.server.console.texts import find_zone, hour, shown, time, value
from tocsin.server.model import Collection, CollectionKind, Partner, View
from tocsin.server.partners.administration import NewKey, Partners
from tocsin.server.person import Role
from tocsin.server.store import Store, wall_clock

HOUR = DAY // 24
NOW = "00000000-0000-4000-8000-000000000077"
"""The id of an aggregate."""


def fill(hub: HubInProcess) -> None:
    """Let two partners share a few objects, and count them."""
    hub.push(*(indicator(f"a{n}.bad-portal.top") for n in range(4)))
    hub.push(indicator("a1.bad-portal.top"), who="north")
    fill_statistics(hub)


def fill_statistics(hub: HubInProcess) -> None:
    """Count what was settled."""
    while hub.store.statistics.count_next():
        pass


@pytest.mark.parametrize("path", ["/overview", "/overview?days=7", "/partners", "/partners/acme"])
def test_the_pages_for_operators_look_right(visitor: Visitor, hub: HubInProcess, path: str) -> None:
    fill(hub)
    visitor.sign_in("operator@hub.example", path)
    visitor.check()


def test_the_page_of_the_own_partner_looks_right_and_fits_a_phone(
    visitor: Visitor, hub: HubInProcess
) -> None:
    fill(hub)
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    page = visitor.sign_in("analyst@hub.example", "/partner")
    visitor.check()
    assert "Acme Corporation" in page.inner_text("h1")


_TEXTS_OF_CHARTS = """
() => Array.from(document.querySelectorAll("figure svg"), (svg) => {
  const edges = (each) => { const b = each.getBoundingClientRect(); return [b.left, b.right]; };
  const texts = Array.from(svg.querySelectorAll("text"));
  const size = (each) => parseFloat(getComputedStyle(each).fontSize) * each.getScreenCTM().a;
  const days = texts.slice(0, -1).map(edges);
  return { size: Math.min(...texts.map(size)), frame: edges(svg), days };
})
"""
"""The size of the smallest letters of each chart, and where its labels begin and end; in pixels."""


@pytest.mark.parametrize(
    "path", ["/overview?days=7", "/overview", "/overview?days=90", "/partners/acme"]
)
def test_the_texts_of_charts_can_be_read_in_every_window(
    visitor: Visitor, hub: HubInProcess, path: str
) -> None:
    fill(hub)
    visitor.sign_in("operator@hub.example", path)
    for width in (320, 390, 768, 1280):
        visitor.page.set_viewport_size({"width": width, "height": 800})
        charts = visitor.page.evaluate(_TEXTS_OF_CHARTS)
        assert charts
        for chart in charts:
            assert chart["size"] >= 11
            ends = [chart["frame"][0], *(end for _, end in chart["days"])]
            begins = [*(begin for begin, _ in chart["days"]), chart["frame"][1]]
            assert all(end <= begin + 1 for end, begin in zip(ends, begins, strict=True)), chart


@pytest.mark.parametrize("path", ["/partners", "/admin/partners", "/partners/long"])
def test_a_name_without_spaces_fits_a_phone(visitor: Visitor, hub: HubInProcess, path: str) -> None:
    hub.join(Partner("long", "Donaudampfschiffahrts" * 9))
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    visitor.sign_in("operator@hub.example", path)
    assert visitor.overflow() <= 0


@pytest.mark.parametrize("path", ["/help/console", "/help/connect/siems"])
def test_a_page_of_help_with_long_addresses_fits_a_phone(visitor: Visitor, path: str) -> None:
    visitor.page.set_viewport_size({"width": 320, "height": 640})
    visitor.sign_in("viewer@hub.example", path)
    assert visitor.overflow() <= 0


LONG = "Gemeinschaftliches Rechenzentrum der nordwestdeutschen Sparkassen und Versicherungen" * 2


@pytest.mark.parametrize("path", ["/search?type=indicator", "/submissions?partner=acme"])
def test_a_choice_of_partners_with_long_names_fits_a_tablet(
    visitor: Visitor, hub: HubInProcess, path: str
) -> None:
    hub.join(Partner("long", LONG))
    visitor.page.set_viewport_size({"width": 768, "height": 1024})
    visitor.sign_in("operator@hub.example", path)
    visitor.check()


def test_the_bar_takes_two_lines_of_a_tablet_at_most(visitor: Visitor, hub: HubInProcess) -> None:
    add_person(hub, "reviewing-operator@hub.example", Role.OPERATOR, Role.REVIEWER)
    visitor.page.set_viewport_size({"width": 768, "height": 1024})
    page = visitor.sign_in("reviewing-operator@hub.example", "/overview")
    box = page.locator(".bar").bounding_box()
    assert box is not None and box["height"] < 100


@pytest.mark.parametrize("path", ["/help", "/help/console", "/me", "/me/code", "/partner"])
def test_the_bar_says_which_page_is_open(hub: HubInProcess, path: str) -> None:
    page = sign_in(hub, "viewer@hub.example").get(f"/console{path}").text
    current = re.findall('<a href="([^"]+)"[^>]* aria-current="page"', page)
    assert current == [f"/console/{path.split('/')[1]}"]


@pytest.mark.slow
def test_what_waits_for_its_references_only_waits_for_nobody(hub: HubInProcess) -> None:
    found = indicator("a.bad-portal.top")
    waits = relationship(found, "based-on", sco("ipv4-addr", value="45.77.1.1"))
    assert hub.verdicts(hub.push(found, waits)) == ["admitted", "held"]
    unknown = f"marking-definition--{'1' * 8}-1111-4111-8111-{'1' * 12}"
    hub.push(indicator("b.bad-portal.top", object_marking_refs=[unknown]))
    page = sign_in(hub, "reviewer@hub.example").get("/console/partners/acme").text
    assert '<span class="off"> wait</span>' in page
    assert re.findall('>([0-9]+)<span class="off"> wait', page) == ["1"], "the bar"
    assert "<li>1 waits for a reviewer</li><li>1 waits for what it refers to</li>" in page


@pytest.mark.slow
def test_an_object_of_which_a_text_waits_counts_once_among_those_sent(hub: HubInProcess) -> None:
    asked = indicator("a.bad-portal.top", description="Reported by Jane Doe, who saw it")
    assert hub.verdicts(hub.push(asked, indicator("b.bad-portal.top"))) == ["admitted"] * 2
    while hub.store.statistics.count_next():
        pass
    page = sign_in(hub, "viewer@hub.example").get("/console/partner").text
    assert '<p class="figure"><strong>2</strong> objects</p>' in page
    assert "<li>2 published; of 1, a masked text waits for a reviewer</li>" in page
    assert "<li>0 wait for a reviewer</li>" in page


@pytest.mark.parametrize(
    ("who", "is_offered"),
    [("viewer", True), ("reviewer", True), ("operator", True), ("auditor", False)],
)
def test_mails_are_offered_to_those_who_get_notices(
    hub: HubInProcess, who: str, *, is_offered: bool
) -> None:
    page = sign_in(hub, f"{who}@hub.example").get("/console/me").text
    assert ("Send me notices by mail" in page) is is_offered
    assert ("late reviews" in page) is (who in ("reviewer", "operator"))
    assert ("silent pollers" in page) is (who in ("viewer", "operator"))


def test_the_bar_covers_nothing_that_a_link_leads_to(visitor: Visitor, hub: HubInProcess) -> None:
    add_person(hub, "reviewing-operator@hub.example", Role.OPERATOR, Role.REVIEWER)
    visitor.page.set_viewport_size({"width": 768, "height": 500})
    page = visitor.sign_in("reviewing-operator@hub.example", "/partners/acme")
    visitor.go("/partners/acme#connect")
    top = page.locator("#connect").bounding_box()
    bar = page.locator(".bar").bounding_box()
    assert top is not None and bar is not None and top["y"] >= bar["height"]


def test_a_copy_that_the_browser_does_not_allow_is_said(visitor: Visitor) -> None:
    page = visitor.sign_in("analyst@hub.example", "/partner")
    refusal = "navigator.clipboard.writeText = () => Promise.reject(new Error('no'))"
    page.evaluate(f"() => {{ {refusal}; }}")
    page.get_by_role("button", name="copy").first.click()
    expect(page.locator("#status")).to_contain_text("Not copied")
    visitor.check()


@pytest.mark.parametrize(
    ("person", "path"), [("operator", "/admin/people"), ("analyst", "/partner")]
)
def test_what_a_row_opens_has_a_name_of_its_own(hub: HubInProcess, person: str, path: str) -> None:
    client = sign_in(hub, f"{person}@hub.example")
    if person == "analyst":
        for _ in range(2):
            post(client, "/console/partner/keys", {})
    page = client.get(f"/console{path}").text
    names = re.findall("<summary>((?:Change|Revoke).*?)</summary>", page)
    assert len(names) > 1 and len(names) == len(set(names))


def test_the_page_of_a_partner_without_people_names_a_feed_that_it_reads(
    hub: HubInProcess,
) -> None:
    hub.join(Partner("quiet", "Quiet"), ("clear",))
    page = sign_in(hub, "operator@hub.example").get("/console/partners/quiet").text
    assert "tocsin poll clear" in page


@pytest.mark.slow
def test_an_analyst_issues_keys_until_the_account_has_twenty(hub: HubInProcess) -> None:
    accounts = hub.store.accounts
    accounts.add_key("acme", "x509:1")
    client = sign_in(hub, "analyst@hub.example")
    for _ in range(20 - len(accounts.list_keys("acme")) + 1):
        assert "Secret (password)" in post(client, "/console/partner/keys", {}).text
    before = accounts.list_credentials("acme")
    answer = post(client, "/console/partner/keys", {})
    assert answer.status_code == 409
    text = "The account acme has 20 keys already: revoke those that no tool uses any more"
    assert text in answer.text and f'name="key" value="{before[-1].id}"' in answer.text
    oldest = next(each.id for each in before if not each.id.startswith("x509:"))
    assert f"(SHA-256 {oldest[:16]}…)" in answer.text
    assert accounts.list_credentials("acme") == before
    post(client, "/console/partner/keys/revoke", {"key": oldest})
    assert "Secret (password)" in post(client, "/console/partner/keys", {}).text
    operator = sign_in(hub, "operator@hub.example")
    page = post(operator, "/console/admin/partners/acme/keys", {}).text
    assert "Secret (password)" in page and len(accounts.list_keys("acme")) == 22


def test_a_double_click_issues_one_key_also_at_a_slow_hub(
    visitor: Visitor, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue = Partners.issue_own_key

    def issue_slowly(partners: Partners, account: str, actor: str) -> NewKey:
        sleep(0.5)
        return issue(partners, account, actor)

    monkeypatch.setattr(Partners, "issue_own_key", issue_slowly)
    before = len(hub.store.accounts.list_keys("acme"))
    page = visitor.sign_in("analyst@hub.example", "/partner")
    button = page.get_by_role("button", name="Issue a further key")
    button.evaluate("(button) => { button.click(); setTimeout(() => button.click(), 200); }")
    expect(page.locator("main")).to_contain_text("Secret (password)")
    page.wait_for_timeout(1_000)
    assert len(hub.store.accounts.list_keys("acme")) == before + 1


def test_a_form_that_had_no_answer_is_sent_again(visitor: Visitor) -> None:
    page = visitor.sign_in("analyst@hub.example", "/partner")
    button = page.get_by_role("button", name="Issue a further key")
    page.route("**/partner/keys", lambda route: route.fulfill(status=204))
    button.click()
    page.wait_for_timeout(1_100)
    page.unroute_all()
    button.click()
    expect(page.locator("main")).to_contain_text("Secret (password)")


def test_the_numbers_by_day_fit_a_phone_and_are_scrolled_by_keys(
    visitor: Visitor, hub: HubInProcess
) -> None:
    fill(hub)
    visitor.page.set_viewport_size({"width": 320, "height": 640})
    page = visitor.sign_in("operator@hub.example", "/overview")
    page.get_by_text("The numbers as a table").click()
    box = page.locator("td.day").first.bounding_box()
    assert box is not None and box["height"] < 40, "a day stands in one line"
    page.get_by_role("region", name="The numbers by day").focus()
    visitor.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("person", "path"),
    [("operator", "/partners"), ("operator", "/overview"), ("analyst", "/partner")],
)
def test_numbers_on_the_cards_of_a_phone_say_what_they_count(
    hub: HubInProcess, person: str, path: str
) -> None:
    fill(hub)
    page = sign_in(hub, f"{person}@hub.example").get(f"/console{path}").text
    tables = re.findall(r'(?s)<table class="[^"]*cards.*?</table>', page)
    numbers = [each for table in tables for each in re.findall('<td class="number".*?>', table)]
    assert numbers and all("data-label=" in each for each in numbers)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.slow
def test_no_link_of_the_first_pages_leads_where_the_person_may_not_go(
    hub: HubInProcess, role: Role
) -> None:
    client = sign_in(hub, f"{role}@hub.example")
    for page in ("/", "/partner", "/partners", "/search", "/me", "/help"):
        text = client.get(f"/console{page}", follow_redirects=True).text
        for path in set(re.findall('href="(/console/[^"#]*)', text)):
            assert client.get(path).status_code < 400, f"{page} leads {role} to {path}"


def test_only_who_may_add_a_partner_is_led_to_add_the_first_one(store: Store) -> None:
    hub = HubInProcess(store, founded=True)
    for role, is_led in ((Role.OPERATOR, True), (Role.AUDITOR, False)):
        add_person(hub, f"{role}@hub.example", role)
        page = sign_in(hub, f"{role}@hub.example").get("/console/partners").text
        assert "No partner yet." in page
        assert ("/console/admin/partners/new" in page) is is_led


def test_what_is_not_well_leads_to_the_page_that_says_what_to_do(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = dict.fromkeys(("database", "disk", "worker", "feeds"), False)
    monkeypatch.setattr(type(hub.services.monitor), "check", lambda monitor: checks)
    monkeypatch.setattr(type(hub.store.submissions), "count_set_aside", lambda *args: 2)
    client = sign_in(hub, "operator@hub.example")
    page = client.get("/console/overview").text
    help_of = dict(re.findall('<li><a href="([^"]+)"><bdi dir="auto">([^<]+)', page)[::-1])
    assert len(help_of) == 3
    assert any(text.startswith("2 submissions are set aside.") for text in help_of.values())
    for path, text in help_of.items():
        assert f'id="{path.partition("#")[2]}"' in client.get(path).text, text


@pytest.mark.slow
def test_the_overview_says_first_what_is_not_well(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    fill(hub)
    held = indicator(
        "b.bad-portal.top",
        object_marking_refs=[f"marking-definition--{'1' * 8}-1111-4111-8111-{'1' * 12}"],
    )
    assert hub.verdicts(hub.push(held)) == ["held"]
    clock.now += 5 * HOUR
    page = sign_in(hub, "operator@hub.example").get("/console/overview").text
    assert re.search(r"80 % of what was published came from acme", page)
    assert re.search(r"A review waits for (5 h|4 h 59 min)", page)
    assert "All is well" not in page


def test_certificates_that_expire_are_among_what_is_not_well(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    hub.store.accounts.add_key("acme", "x509:1", clock.now, clock.now + 29 * DAY)
    hub.store.accounts.add_key("north", "x509:2", clock.now, clock.now + 90 * DAY)
    hub.services.monitor.certificate = ServedCertificate(clock.now / 1e6 - 60)
    page = sign_in(hub, "operator@hub.example").get("/console/overview").text
    assert re.search(r"The hub&#39;s TLS certificate expired at [^ ]+Z: renew it", page)
    assert re.search(r'href="/console/partners/acme#key">.*acme expires at [^ ]+Z, in 2', page)
    assert "certificate of north" not in page


class ServedCertificate:
    """The hub's certificate, with its end in seconds since 1970 UTC."""

    def __init__(self, end: float) -> None:
        self.certificate_end = end

    def find_warning(self) -> str:
        return ""


def test_the_page_of_a_partner_says_when_its_certificates_expire(hub: HubInProcess) -> None:
    now = wall_clock()
    hub.store.accounts.add_key("acme", "x509:1", now, now - DAY)
    hub.store.accounts.add_key("acme", "x509:2", now)
    for path in ("/console/partners/acme", "/console/admin/partners/acme"):
        page = sign_in(hub, "operator@hub.example").get(path).text
        [expired] = re.findall(r"<tr>.*x509:1….*</tr>", page)
        [older] = re.findall(r"<tr>.*x509:2….*</tr>", page)
        assert '<span class="state danger">expired</span>' in expired
        assert ">not known</td>" in older


@pytest.mark.slow
def test_a_partner_sees_its_own_page_and_no_others(hub: HubInProcess) -> None:
    fill(hub)
    client = sign_in(hub, "viewer@hub.example")
    assert "4 published" in client.get("/console/partner").text
    assert client.get("/console/partners/acme").status_code == 200
    answers = [client.get(f"/console/{path}") for path in ("partners/north", "partners/x", "x/y")]
    assert len({(each.status_code, each.text) for each in answers}) == 1
    assert client.get("/console/partners").status_code == 404
    assert client.get("/console/overview").status_code == 404


@pytest.mark.slow
def test_the_page_of_a_partner_does_not_call_withdrawals_published(hub: HubInProcess) -> None:
    one = indicator()
    hub.push(one)
    hub.push({**one, "revoked": True, "modified": "2026-01-02T00:00:00.000Z"})
    fill_statistics(hub)
    client = sign_in(hub, "viewer@hub.example")
    page = client.get("/console/partner").text
    assert "<strong>1</strong> object<" in page and "<li>1 published</li>" in page
    assert "<td>1 withdrawn</td>" in page and "<td>1 published</td>" in page
    [newest, *_] = re.findall(r"/console/submissions/[0-9a-f-]{36}", page)
    page = client.get(newest).text
    assert "1 object: 1 withdrawn." in page


@pytest.mark.slow
def test_an_analyst_rotates_a_key_of_the_own_partner_only(hub: HubInProcess) -> None:
    viewer, analyst = sign_in(hub, "viewer@hub.example"), sign_in(hub, "analyst@hub.example")
    assert post(viewer, "/console/partner/keys", {}).status_code == 404
    page = post(analyst, "/console/partner/keys", {}).text
    secret = re.findall(r'data-copy="acme:([^"]+)"', page)[0]
    assert hub.client.get("/hub/collections/", auth=("acme", secret)).status_code == 200
    others = hub.store.accounts.list_keys("north")[0]
    for form in ({"key": others}, {"key": others, "account": "north"}):
        answer = post(analyst, "/console/partner/keys/revoke", form)
        assert answer.status_code in (403, 404)
    assert hub.store.accounts.list_keys("north") == [others]
    page = analyst.get("/console/partner").text
    (asked, *_) = [
        each for each in re.findall(r"<details>.*?</details>", page) if "Revoke…" in each
    ]
    assert "refused at once" in asked
    old, new = (each.id for each in hub.store.accounts.list_credentials("acme"))
    answer = post(analyst, "/console/partner/keys/revoke", {"key": old})
    assert answer.status_code == 303
    page = analyst.get(answer.location).text
    assert "Revoked: tools that use" in page and hub.store.accounts.list_keys("acme") == [new]
    assert re.search(r"acme</td><td[^>]*><time ", page), "the time of the issue is shown"


def test_a_push_with_the_lines_for_our_own_client_states_a_level(hub: HubInProcess) -> None:
    page = sign_in(hub, "viewer@hub.example").get("/console/partner").text
    assert "tocsin push report.txt --to inbox --tlp green\n" in page


def test_the_documentation_is_in_the_console(visitor: Visitor, hub: HubInProcess) -> None:
    page = visitor.sign_in("viewer@hub.example", "/help/first-hour")
    visitor.check()
    links = page.eval_on_selector_all("article a", "found => found.map((a) => a.href)")
    assert len(links) > 4
    client = sign_in(hub, "viewer@hub.example")
    for path in re.findall(r'href="(/console/help[^"#]*)', client.get("/console/help").text):
        text = client.get(path)
        assert text.status_code == 200, path
        for picture in re.findall(r'src="(/console/help/images/[^"]+)"', text.text):
            assert client.get(picture).status_code == 200, picture
    for path in ("../secrets", "images/../operate.md", "decisions/0001-one-clock-per-feed"):
        assert client.get(f"/console/help/{path}").status_code == 404


def list_help(client: FlaskClient) -> list[str]:
    """The addresses of the pages of help."""
    return re.findall(r'href="(/console/help/[^"#]+)', client.get("/console/help").text)


@pytest.mark.slow
def test_a_page_of_help_has_no_id_twice_no_style_and_no_empty_row_of_headings(
    hub: HubInProcess,
) -> None:
    client = sign_in(hub, "viewer@hub.example")
    for path in list_help(client):
        page = client.get(path).text
        ids = re.findall(r' id="([^"]+)"', page)
        assert sorted(ids) == sorted(set(ids)), path
        assert " style=" not in page, path
        assert not re.search(r"<thead>\s*<tr>\s*(<th></th>\s*)+</tr>", page), path


@pytest.mark.slow
def test_a_link_to_a_part_of_a_page_of_help_finds_it(hub: HubInProcess) -> None:
    client = sign_in(hub, "viewer@hub.example")
    pages = {path: client.get(path).text for path in list_help(client)}
    found = 0
    for path, text in pages.items():
        article = text.partition("<article")[2].partition("</article>")[0]
        for target, anchor in re.findall(r'href="(/console/help[^"#]*)?#([^"]+)"', article):
            found += 1
            assert f' id="{anchor}"' in pages[target or path], (path, target, anchor)
    assert found > 100


def test_every_page_for_operators_and_about_tools_is_in_the_console(hub: HubInProcess) -> None:
    listed = list_help(sign_in(hub, "viewer@hub.example"))
    for folder in ("operate", "connect"):
        for file in (ROOT / "docs" / folder).glob("*.md"):
            assert f"/console/help/{folder}/{file.stem}" in listed


def test_numbers_in_a_table_of_help_stand_on_the_right(visitor: Visitor) -> None:
    page = visitor.sign_in("viewer@hub.example", "/help/validation")
    cell = page.locator("td.number").first
    assert cell.evaluate("(cell) => getComputedStyle(cell).textAlign") == "right"
    visitor.check()


def test_the_list_of_keys_opens_on_the_page_of_help_about_keys(visitor: Visitor) -> None:
    page = visitor.sign_in("viewer@hub.example", "/help/console")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    visitor.check()


@pytest.mark.parametrize("path", ["/help/operate", "/help/operate/database", "/partners/acme"])
def test_long_lines_of_commands_are_read_without_scrolling_sideways(
    visitor: Visitor, path: str
) -> None:
    visitor.page.set_viewport_size({"width": 320, "height": 640})
    page = visitor.sign_in("operator@hub.example", path)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    visitor.check()
    beyond = "(all) => all.filter((each) => each.scrollWidth > each.clientWidth).length"
    assert page.locator("pre").evaluate_all(beyond) == 0


def test_the_page_of_settings_has_all_of_them(hub: HubInProcess) -> None:
    page = sign_in(hub, "viewer@hub.example").get("/console/help/settings").text
    assert "#console = true" in page and "8&lt;" not in page and "8<" not in page


def test_charts_have_a_column_for_each_value_and_gaps_where_there_is_none() -> None:
    chart = columns([0, DAY, 2 * DAY], [1, 0, 4])
    assert [round(each.height / chart.columns[-1].height, 2) for each in chart.columns] == [0.25, 1]
    assert columns([], []).columns == ()
    drawn = lines([0, DAY, 2 * DAY], [5, None, 7], [None, None, None])
    assert [len(each) for each in drawn.lines] == [2, 0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u202eb", "RLO"),
        ("a\u200bb", "ZWSP"),
        ("a\U000e0041b", "U+E0041"),
        ("a\u3164b", "U+3164"),
        ("a\u2800b", "U+2800"),
        ("a" + "\u0301" * 9, "U+0301"),
        ('"><img onerror=x>', "&lt;img"),
        ("{{7*7}}", "{{7*7}}"),
    ],
)
def test_hostile_text_is_visible_and_inert(text: str, expected: str) -> None:
    for page in (shown(text), value(text)):
        assert expected in page and "<img" not in page


def test_long_text_is_cut_and_says_by_how_much() -> None:
    assert "… 48,000 more characters" in shown("x" * 50_000)


def test_values_make_no_links() -> None:
    assert "hxxps://evil[.]test/a.b" in value("https://evil.test/a.b")
    assert "jane[@]bank[.]test" in value("jane@bank.test")


@pytest.mark.slow
def test_the_overview_says_which_accounts_submit_less_often_than_usual(
    store: Store, engine_uri: str
) -> None:
    HubInProcess(store)
    clock = ManualClock(wall_clock())
    moved = Store.connect(engine_uri, name=store._base.name, clock=clock)
    hub = HubInProcess(moved, clock, founded=True)
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    for number in range(6):
        clock.now += HOUR
        hub.push(indicator(f"a{number}.top"), {"type": "indicator"})
        fill_statistics(hub)
    page = sign_in(hub, "operator@hub.example").get("/console/overview").text
    row = page.partition("Collectors and other senders")[2].partition("</tbody>")[0]
    assert "every 1 h" in row and "as usual" in row and "6 of 12 (50 %)" in row
    clock.now += 5 * HOUR
    page = sign_in(hub, "operator@hub.example").get("/console/overview").text
    assert "acme has submitted nothing for 5 h; usual is every 1 h." in page
    assert "silent for 5 h" in page
    moved.close()


@pytest.mark.slow
def test_the_overview_says_who_stopped_polling_and_what_waits(store: Store) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    hub.push(indicator())
    view = View((hub.collection("green").id,), active=True)
    hub.store.feeds.add(Collection(NOW, "now", CollectionKind.AGGREGATE, "Now", view=view))
    hub.join(Partner("south", "South"), reads=("now",))
    hub.feed("green", who="north")
    hub.feed("now", who="south")
    hub.store.deliveries.flush()
    hub.push(indicator("two.top"))
    for days in (0, 100):
        clock.now += days * DAY
        page = sign_in(hub, "operator@hub.example").get("/console/overview").text
        assert (f"north has not polled green for {days} d; 1 entry waits" in page) == bool(days)
        of_view = f"south has not polled now for {days} d; its sources have something new."
        assert (of_view in page) == bool(days)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/overview", "/review"])
def test_the_ages_of_the_queue_stand_on_the_overview_and_above_the_queue(
    store: Store, path: str
) -> None:
    clock = ManualClock(wall_clock())
    hub = HubInProcess(store, clock=clock)
    add_person(hub, "operator@hub.example", Role.OPERATOR)
    for pause in (30 * HOUR, 2 * HOUR, 0):
        hub.push(indicator(description="Reported by Jane Doe, who saw it"))
        clock.now += pause
    page = sign_in(hub, "operator@hub.example").get(f"/console{path}").text
    table = page.partition('<table class="ages">')[2].partition("</table>")[0]
    heads = re.findall(r"<th scope[^>]*>([^<]*)", table)
    counts = map(int, re.findall(r"</svg> (\d+)</td>", table))
    expected = {"under 1 h": 1, "1–4 h": 1, "4–24 h": 0, "1–3 days": 1, "longer": 0}
    assert dict(zip(heads, counts, strict=True)) == expected


def test_times_are_shown_in_the_time_zone_of_the_reader_too(
    visitor: Visitor, hub: HubInProcess
) -> None:
    fill(hub)
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    page = visitor.sign_in("analyst@hub.example", "/me")
    assert page.locator(".zone").count() == 0
    page.fill("#zone", "Asia/Kolkata")
    page.click("text=Save settings")
    for path in ("/me", "/partner", "/submissions", "/search?q=bad-portal.top"):
        visitor.go(path)
        visitor.check()
        times, zones = page.locator("time").all(), page.locator("time + .zone").all()
        assert len(times) == len(zones) > 0, path
        assert re.fullmatch(r"\(.*[0-9]{2}:[0-9]{2}.* IST\)", zones[0].inner_text()), path
    other = sign_in(hub, "viewer@hub.example").get("/console/me").text
    assert 'class="zone"' not in other


@pytest.mark.parametrize("zone", ["Mars/Olympus", "localtime", "Factory"])
def test_an_unknown_time_zone_is_refused(hub: HubInProcess, zone: str) -> None:
    client = sign_in(hub, "analyst@hub.example")
    form = {"name": "A", "zone": zone, "scheme": "", "undo_seconds": "0"}
    answer = post(client, "/console/me/settings", form)
    assert answer.status_code == 422
    assert "Write the name of a time zone, like Europe/Lisbon." in answer.text


def test_a_time_in_another_zone_names_its_day_where_it_is_another() -> None:
    paris, kolkata, at = (
        find_zone("Europe/Paris"),
        find_zone("Asia/Kolkata"),
        23 * HOUR + 90_000_000,
    )
    assert str(time(at, zone=paris)).endswith(
        '1 Jan 1970 23:01 UTC</time> <span class="zone">(2 Jan 00:01 CET)</span>'
    )
    assert str(time(0, seconds=True, zone=paris)).endswith(">(01:00:00 CET)</span>")
    assert str(hour(HOUR, zone=kolkata)).endswith(">(06:30–07:30 IST)</span>")
    last = 253_402_300_799 * 1_000_000
    assert time(last, zone=paris) == time(last) == time(last, zone=find_zone("not/there"))
