"""Submissions in the console: who may open them, and what their pages say."""

import re
from html import unescape

import pytest
from support.clock import ManualClock
from support.console import Visitor, add_person, sign_in
from support.hub import HubInProcess, Object, indicator

from tocsin.server.person import Role
from tocsin.server.store import Store

ANALYST, VIEWER = "analyst@hub.example", "viewer@hub.example"
DAY = 24 * 3600 * 1_000_000


def words(html: str) -> str:
    """Return the text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def send(hub: HubInProcess, *objects: Object, who: str = "acme") -> str:
    return str(hub.push(*objects, who=who)["id"])


def test_each_object_has_a_row_with_what_became_of_it_and_why(hub: HubInProcess) -> None:
    held = {**indicator(), "pattern": "[email-message:to_refs[*].value = 'a@bank.example']"}
    private = {**indicator(), "pattern": "[ipv4-addr:value = '192.168.0.7']"}
    id_ = send(hub, indicator("a.evil-portal.top"), held, private)
    page = words(sign_in(hub, VIEWER).get(f"/console/submissions/{id_}").text)
    assert "3 objects: 1 published, 1 waits, 1 refused." in page
    assert "a[.]evil-portal[.]top published" in page
    assert "a private, reserved or documentation address" in page


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
    while hub.services.intake.work():
        pass
    page.wait_for_selector("text=300 objects: 300 published.")
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
