"""Submissions in the console: who may open them, and what their pages say."""

import re
from html import unescape

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import expect
from support.clock import ManualClock
from support.console import Visitor, add_person, post, sign_in
from support.hub import HubInProcess, Object, indicator, relationship, sdo

from tocsin.server.model import Partner
from tocsin.server.person import Role
from tocsin.server.store import Store

ANALYST, VIEWER = "analyst@hub.example", "viewer@hub.example"
AMBER = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421"
DAY = 24 * 3600 * 1_000_000


def words(html: str) -> str:
    """Return the text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def send(hub: HubInProcess, *objects: Object, who: str = "acme") -> str:
    return str(hub.push(*objects, who=who)["id"])


@pytest.mark.slow
def test_each_object_has_a_row_with_what_became_of_it_and_why(hub: HubInProcess) -> None:
    held = {**indicator(), "pattern": "[email-message:to_refs[*].value = 'a@bank.example']"}
    private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
    id_ = send(hub, indicator("a.evil-portal.top"), held, private)
    page = words(sign_in(hub, VIEWER).get(f"/console/submissions/{id_}").text)
    assert "3 objects: 1 published, 1 waits, 1 refused." in page
    assert "a[.]evil-portal[.]top published" in page
    assert "a private, reserved or documentation address" in page
    assert "pattern" not in page


def test_an_object_that_waits_for_others_waits_for_no_reviewer(hub: HubInProcess) -> None:
    link = relationship(indicator(), "indicates", sdo("malware", name="m", is_family=True))
    page = words(sign_in(hub, VIEWER).get(f"/console/submissions/{send(hub, link)}").text)
    assert "not published yet" in page and "waits for a reviewer" not in page


def test_a_report_that_reaches_fewer_readers_than_the_one_before_says_so(
    hub: HubInProcess,
) -> None:
    sent = indicator("a.evil-portal.top")
    send(hub, sent)
    later = sent | {"modified": "2026-02-01T00:00:00.000Z", "object_marking_refs": [AMBER]}
    page = words(sign_in(hub, VIEWER).get(f"/console/submissions/{send(hub, later)}").text)
    assert "replaces your earlier report at TLP:GREEN by one at TLP:AMBER" in page


@pytest.mark.slow
def test_rows_of_one_verdict_are_shown_on_request_and_fifty_on_a_page(hub: HubInProcess) -> None:
    private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
    id_ = send(hub, *(indicator(f"evil{n}.top") for n in range(60)), private)
    client, path = sign_in(hub, VIEWER), f"/console/submissions/{id_}"
    first = client.get(path).text
    assert "evil49[.]top" in first and "evil50[.]top" not in first and "next 50" in first
    second = client.get(f"{path}?page=2").text
    assert "evil50[.]top" in second and "192[.]168" in second and "previous 50" in second
    refused = client.get(f"{path}?show=refused").text
    assert "192[.]168" in refused and "evil1[.]top" not in refused


@pytest.mark.parametrize("login", [ANALYST, VIEWER, *(f"{r}@hub.example" for r in Role)])
def test_its_partner_and_the_hubs_people_may_open_it(hub: HubInProcess, login: str) -> None:
    id_ = send(hub, indicator())
    client = sign_in(hub, login)
    assert client.get(f"/console/submissions/{id_}").status_code == 200
    assert client.get(f"/console/part/submissions/{id_}").status_code == 204


def test_a_submission_of_another_partner_does_not_exist(hub: HubInProcess) -> None:
    id_ = send(hub, indicator(), who="north")
    client = sign_in(hub, VIEWER)
    absent = client.get(f"/console/submissions/{'0' * 8}-0000-4000-8000-{'0' * 12}")
    there = client.get(f"/console/submissions/{id_}")
    assert (there.status_code, there.data) == (absent.status_code, absent.data) != (200, b"")
    assert client.get(f"/console/part/submissions/{id_}").status_code == 404
    assert client.get("/console/submissions/..%2f").status_code == 404
    assert id_ not in client.get("/console/submissions?partner=north").text


def test_progress_is_shown_until_all_is_settled(hub: HubInProcess, visitor: Visitor) -> None:
    answer = hub.ask(
        "collections/inbox/objects/",
        method="POST",
        json={"objects": [indicator(f"evil{n}.top") for n in range(300)]},
    )
    page = visitor.sign_in(VIEWER, f"/submissions/{answer.json['id']}")
    assert "300 objects: 300 in progress." in page.inner_text("main")
    visitor.check()
    page.focus("text=Look again")
    page.evaluate("document.querySelector('#progress').classList.add('before')")
    expect(page.locator("#progress.before")).to_have_count(0)
    expect(page.locator("text=Look again")).to_be_focused()
    while hub.services.intake.work():
        pass
    expect(page.locator("text=300 objects: 300 published.")).to_be_focused()
    visitor.check()


def listed(page: str) -> list[str]:
    """Return the ids of the submissions on a page."""
    return re.findall(r'href="/console/submissions/([0-9a-f-]{36})"', page)


def link(page: str, rel: str) -> str:
    """Return the path of a page's link to the next or the previous one; empty without one."""
    found = re.search(rf'href="([^"]*)" rel="{rel}"', page)
    return f"/console/submissions{unescape(found[1])}" if found else ""


class TestList:
    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock(1_800_000_000_000_000)

    @pytest.fixture
    def hub(self, store: Store, clock: ManualClock) -> HubInProcess:
        hub = HubInProcess(store, clock)
        add_person(hub, VIEWER, Role.VIEWER, partner="acme")
        add_person(hub, "operator@hub.example", Role.OPERATOR)
        return hub

    @pytest.mark.slow
    def test_submissions_are_listed_by_day_the_newest_first(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        client = sign_in(hub, VIEWER)
        assert "Nothing was submitted yet." in client.get("/console/submissions").text
        ids = [send(hub, indicator())]
        clock.now += DAY
        ids += [send(hub, indicator(), indicator("b.top"))]
        send(hub, indicator(), who="north")
        page = sign_in(hub, VIEWER).get("/console/submissions").text
        found = re.findall(r"/console/submissions/([0-9a-f-]{36})", page)
        assert found == ids[::-1]
        assert re.findall(r"<h2>(\d+ \w+ \d+)</h2>", page) == ["16 January 2027", "15 January 2027"]

    def test_the_contents_of_each_are_shown_to_those_who_sent_it_while_they_are_kept(
        self, hub: HubInProcess
    ) -> None:
        url = {**indicator(), "pattern": "[url:value = 'http://x.evil-portal.top/a']"}
        names = [indicator(f"evil{n}.top") for n in range(3)]
        id_ = send(hub, *names, url)
        partner = sign_in(hub, VIEWER)
        page = words(partner.get("/console/submissions").text)
        assert "3 domains, 1 URL: evil0[.]top , evil1[.]top , evil2[.]top , …" in page
        operator = sign_in(hub, "operator@hub.example")
        assert "evil0" not in operator.get("/console/submissions?partner=acme").text
        hub.store.commit(lambda txn: txn.submissions.delete(id_))
        assert "evil0" not in partner.get("/console/submissions").text

    @pytest.mark.slow
    def test_older_and_newer_pages_hold_every_submission_once(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        ids = []
        for number in range(120):
            clock.now += number % 3  # some at the same time
            ids.append(send(hub, indicator(f"evil{number % 4}.top", seed=str(number % 4))))
        client = sign_in(hub, VIEWER)
        pages, paths = [], ["/console/submissions"]
        while paths[-1]:
            pages.append(client.get(paths[-1]).text)
            paths.append(link(pages[-1], "next"))
        assert list(map(len, map(listed, pages))) == [50, 50, 20]
        assert sorted(sum(map(listed, pages), [])) == sorted(ids)
        back = client.get(link(pages[-1], "prev")).text
        assert listed(back) == listed(pages[1])
        first = client.get(link(back, "prev")).text
        assert listed(first) == listed(pages[0]) and not link(first, "prev")

    def test_operators_choose_a_partner(self, hub: HubInProcess) -> None:
        id_ = send(hub, indicator())
        client = sign_in(hub, "operator@hub.example")
        assert id_ not in client.get("/console/submissions").text
        assert id_ in client.get("/console/submissions?partner=acme").text
        assert id_ not in client.get("/console/submissions?partner=north").text


def test_the_hubs_people_see_what_is_published_of_a_submission(hub: HubInProcess) -> None:
    sent = indicator("shown.bad-portal.top", name="of jane.doe@acme.example")
    status = hub.push(sent)
    page = sign_in(hub, "reviewer@hub.example").get(f"/console/submissions/{status['id']}").text
    assert "shown[.]bad-portal[.]top" in page and "jane" not in page


def withdraw(client: FlaskClient, id_: str, row: int, reason: str = "") -> int:
    """Withdraw the object in a row, from 1, as the page of a submission does."""
    form = {"row": str(row - 1), "reason": reason}
    return int(post(client, f"/console/submissions/{id_}/withdraw", form).status_code)


class TestWithdrawing:
    @pytest.fixture
    def blind(self, hub: HubInProcess) -> FlaskClient:
        """An analyst of a partner whose account does not read TLP:AMBER, at which it shares."""
        hub.join(Partner("bank", "Nordic Bank"), reads=("clear", "green"))
        add_person(hub, "ann@bank.example", Role.ANALYST, partner="bank")
        return sign_in(hub, "ann@bank.example")

    def test_an_object_that_its_partner_may_not_read_is_withdrawn_and_others_stay(
        self, hub: HubInProcess, blind: FlaskClient
    ) -> None:
        sent = [
            indicator(f"{n}.evil-portal.top", seed=n, object_marking_refs=[AMBER]) for n in "ab"
        ]
        id_ = send(hub, *sent, who="bank")
        page = blind.get(f"/console/submissions/{id_}").text
        assert page.count("Withdraw our report") == 2, words(page)
        assert "/console/objects/" not in page
        assert withdraw(blind, id_, 2, "a mistake") == 303
        assert [each["pattern"] for each in hub.feed("amber") if not each.get("revoked")] == [
            sent[0]["pattern"]
        ]
        entry = [e for e in hub.store.journal.entries() if e.action == "partner.withdraw"][-1]
        assert (entry.actor, entry.details["reason"]) == ("ann@bank.example", "a mistake")
        later = blind.get(f"/console/submissions/{id_}")
        assert "withdrawn (it was published)" in words(later.text)
        assert later.text.count("Withdraw our report") == 1

    @pytest.mark.slow
    def test_the_page_is_the_same_if_others_reported_the_object_too(
        self, hub: HubInProcess, blind: FlaskClient
    ) -> None:
        pages = []
        for is_shared in (False, True):
            name = f"{'b' if is_shared else 'a'}.evil-portal.top"
            mine = indicator(name, seed=name, object_marking_refs=[AMBER])
            if is_shared:
                hub.push(indicator(name, seed=f"{name}-theirs", object_marking_refs=[AMBER]))
            id_ = send(hub, mine, who="bank")
            path = f"/console/submissions/{id_}"
            seen = [words(blind.get(path).text)]
            for _ in range(2):
                assert withdraw(blind, id_, 1) == 303
                seen.append(words(blind.get(path).text))
            revoked = [e.get("revoked", False) for e in hub.feed("amber") if name in e["pattern"]]
            assert revoked[-1] is not is_shared
            assert "Withdraw our report" in seen[0] and "withdrawn (it" in seen[1]
            seen = [each.replace(f"{name[0]}[.]", "") for each in seen]
            pages.append([re.sub(r"\d\d:\d\d UTC", "", each) for each in seen])
        assert pages[0] == pages[1]

    @pytest.mark.parametrize("login", [VIEWER, "operator@hub.example", "reviewer@hub.example"])
    def test_only_analysts_of_the_partner_withdraw(self, hub: HubInProcess, login: str) -> None:
        id_ = send(hub, indicator())
        client = sign_in(hub, login)
        assert "Withdraw our report" not in client.get(f"/console/submissions/{id_}").text
        assert withdraw(client, id_, 1) == 404
        assert not any(each.get("revoked") for each in hub.feed("green"))

    def test_an_analyst_of_another_partner_finds_nothing_to_withdraw(
        self, hub: HubInProcess, blind: FlaskClient
    ) -> None:
        id_ = send(hub, indicator())
        assert withdraw(blind, id_, 1) == 404
        assert not any(each.get("revoked") for each in hub.feed("green"))

    @pytest.mark.parametrize("row", ["", "-1", "1", "x", "9" * 9])
    def test_a_row_that_is_not_there_or_not_published_is_not_found(
        self, hub: HubInProcess, row: str
    ) -> None:
        private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
        path = f"/console/submissions/{send(hub, indicator(), private)}/withdraw"
        assert post(sign_in(hub, ANALYST), path, {"row": row}).status_code == 404

    def test_a_form_of_another_site_withdraws_nothing(self, hub: HubInProcess) -> None:
        path = f"/console/submissions/{send(hub, indicator())}/withdraw"
        form = {"row": "0", "token": "x"}
        assert post(sign_in(hub, ANALYST), path, form).status_code == 403
        assert not any(each.get("revoked") for each in hub.feed("green"))

    def test_the_form_opens_without_javascript_and_has_no_barrier(
        self, hub: HubInProcess, visitor: Visitor
    ) -> None:
        id_ = send(hub, indicator("a.evil-portal.top"))
        page = visitor.sign_in(ANALYST, f"/submissions/{id_}")
        page.click("summary.button")
        visitor.check()
        page.fill('input[name="reason"]', "a mistake")
        page.click("text=Withdraw our report")
        page.wait_for_selector("text=What you reported of this object is withdrawn.")
        visitor.check()


class TestEnds:
    def test_a_row_says_that_the_hub_revoked_the_object(self, hub: HubInProcess) -> None:
        id_ = send(hub, indicator())
        (published,) = hub.feed("green")
        hub.services.lifecycle.revoke(published["id"], "op", "wrong")
        for login in (ANALYST, "operator@hub.example"):
            page = words(sign_in(hub, login).get(f"/console/submissions/{id_}").text)
            assert "revoked by the hub (it was published)" in page
            assert "Withdraw our report" not in page

    def test_a_row_says_so_at_a_level_that_the_partner_does_not_read(
        self, hub: HubInProcess
    ) -> None:
        hub.join(Partner("bank", "Nordic Bank"), reads=("clear", "green"))
        add_person(hub, "ann@bank.example", Role.ANALYST, partner="bank")
        id_ = send(hub, indicator(object_marking_refs=[AMBER]), who="bank")
        (published,) = hub.feed("amber")
        hub.services.lifecycle.revoke(published["id"], "op", "wrong")
        page = words(sign_in(hub, "ann@bank.example").get(f"/console/submissions/{id_}").text)
        assert "revoked by the hub (it was published)" in page

    @pytest.mark.slow
    def test_what_the_partner_withdrew_itself_says_so_even_if_the_hub_revokes_it_later(
        self, hub: HubInProcess
    ) -> None:
        id_ = send(hub, indicator(seed="mine"))
        hub.push(indicator(seed="theirs"), who="north")
        client = sign_in(hub, ANALYST)
        withdraw(client, id_, 1)
        (published,) = {each["id"] for each in hub.feed("green")}
        hub.services.lifecycle.revoke(published, "op", "wrong")
        page = words(client.get(f"/console/submissions/{id_}").text)
        assert "withdrawn (it was published)" in page and "revoked by" not in page
