"""The search page: any spelling, filters in the URL, and nothing that the person may not read."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from support.console import Visitor, add_person, sign_in
from support.hub import AMBER, HubInProcess, indicator, sdo

from tocsin.server.console.pages.search import parse_time
from tocsin.server.model import Partner
from tocsin.server.person import Role

HOSTILE = '"><img src=x onerror=alert(1)>{{7*7}}\u202egpj.exe\u200b'


def text_of(page: str) -> str:
    """The text of a page, without tags."""
    return " ".join(re.sub(r"<[^>]+>", "", page).split())


def values(page: str) -> list[str]:
    """The values of the hits, as they are shown."""
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    return re.findall(r'<a href="/console/objects/[^"]+"><code class="value">([^<]+)', table)


@pytest.fixture
def operator(hub: HubInProcess) -> FlaskClient:
    """A client that is signed in as the operator."""
    return sign_in(hub, "operator@hub.example")


def test_a_single_hit_opens_its_object_in_any_spelling(
    hub: HubInProcess, operator: FlaskClient
) -> None:
    hub.push(indicator("evil-portal.top"), indicator("another.top"))
    [found] = [each for each in hub.feed("green") if "evil-portal" in each["pattern"]]
    for text in ("evil-portal.top", "EVIL-portal[.]top", found["id"]):
        answer = operator.get("/console/search", query_string={"q": text})
        assert (answer.status_code, answer.location) == (303, f"/console/objects/{found['id']}")


def test_hits_have_their_value_level_feed_and_state(
    hub: HubInProcess, operator: FlaskClient
) -> None:
    status = hub.push(indicator("evil-portal.top", name="Kit"), indicator("a.evil-portal.top"))
    ended = status["successes"][0]["x_tocsin_public_id"]
    hub.services.lifecycle.revoke(ended, "operator", "a false alarm")
    page = operator.get("/console/search?q=evil-portal[.]top").text
    assert "a domain, refanged: evil-portal[.]top" in text_of(page)
    assert sorted(values(page)) == ["a[.]evil-portal[.]top", "evil-portal[.]top"]
    assert "TLP:GREEN" in page and "amber" in page
    assert (
        page.count("exactly this") == 1
        and page.count("in force") == 1
        and page.count(">ended<") == 1
    )


def test_the_field_in_the_bar_and_the_form_keep_what_was_searched(operator: FlaskClient) -> None:
    page = operator.get("/console/search", query_string={"q": 'some "words"'}).text
    assert page.count('value="some &#34;words&#34;"') == 2


def test_an_empty_search_says_what_can_be_searched(operator: FlaskClient) -> None:
    assert "What can be searched" in operator.get("/console/search").text


def test_a_search_without_a_hit_says_so(operator: FlaskClient) -> None:
    page = operator.get("/console/search?q=nothing-here.top&type=malware").text
    assert "Nothing that you may read matches." in page and "Search without filters" in page


def test_filters_narrow_the_list_and_stay_in_the_form(
    hub: HubInProcess, operator: FlaskClient
) -> None:
    hub.push(indicator("evil-portal.top"), sdo("malware", name="QuietLoader", is_family=False))
    hub.push(indicator("quiet-portal.top"), who="north")
    page = operator.get("/console/search?type=malware&feed=amber").text
    assert values(page) == ["QuietLoader"]
    assert '<option value="malware" selected>' in page and "<details open>" in page
    assert values(operator.get("/console/search?partner=north").text) == ["quiet-portal[.]top"]
    assert "Nothing that you may read" in operator.get("/console/search?to=2020-01-01").text


def test_times_are_echoed_in_utc_and_wrong_ones_named_at_their_field(
    operator: FlaskClient,
) -> None:
    text = text_of(operator.get("/console/search?from=2026-01-31&to=2030-02-01 08:00").text)
    assert "Added from 31 Jan 2026 00:00:00 UTC. Added up to 1 Feb 2030 08:00:59 UTC." in text
    text = text_of(operator.get("/console/search?from=0001-01-01&to=9999-12-31").text)
    assert "Added up to 31 Dec 9999 23:59:59 UTC." in text
    page = operator.get("/console/search?from=soon&q=kept").text
    assert '<a href="#from">' in page and 'value="soon"' in page and 'value="kept"' in page
    page = operator.get("/console/search?from=2026-02-01&to=2026-01-01").text
    assert "The end lies before the beginning" in page


@pytest.mark.parametrize(
    ("text", "is_end", "expected"),
    [
        ("1970-01-02", False, 86_400_000_000),
        ("1970-01-01", True, 86_399_999_999),
        ("1970-01-01 00:01", True, 119_999_999),
        ("1970-01-01T00:01:00Z", False, 60_000_000),
        ("1970-01-01 00:00:05 UTC", True, 5_999_999),
    ],
)
def test_a_time_is_a_day_a_minute_or_a_second(text: str, is_end: bool, expected: int) -> None:
    assert parse_time(text, is_end=is_end) == expected


def walk_older(operator: FlaskClient, query: str, most: int) -> tuple[set[str], list[str]]:
    """The values on at most `most` pages, and the links to older ones that were followed."""
    found, links, path = set[str](), list[str](), f"/console/search?{query}"
    for _ in range(most):
        page = operator.get(path).text
        found |= set(values(page))
        older = re.findall(r'<a href="([^"]+)" rel="next">older', page)
        if not older:
            break
        path = older[0].replace("&amp;", "&")
        links.append(path)
    return found, links


@pytest.mark.slow
def test_older_hits_follow_by_a_link_and_none_is_missing(
    hub: HubInProcess, operator: FlaskClient
) -> None:
    hub.push(*(indicator(f"host{number}.evil-portal.top") for number in range(120)))
    found, links = walk_older(operator, "q=evil-portal.top&type=indicator", most=5)
    assert all(parse_qs(urlsplit(path).query)["q"] == ["evil-portal.top"] for path in links)
    assert len(found) == 120


@pytest.mark.slow
def test_hits_of_a_partner_that_reports_little_are_reached_by_the_link_to_older_ones(
    hub: HubInProcess, operator: FlaskClient
) -> None:
    wanted = {f"w{number}.evil-portal.top" for number in range(3)}
    for value in sorted(wanted):
        hub.push(indicator(value), who="north")
        hub.push(*(indicator(f"{value[:2]}-{n}.evil-portal.top") for n in range(150)))
    found, links = walk_older(operator, "partner=north&type=indicator", most=9)
    assert found == {value.replace(".", "[.]") for value in wanted} and len(links) < 9


def test_only_the_hubs_people_search_by_partner(hub: HubInProcess, operator: FlaskClient) -> None:
    viewer = sign_in(hub, "viewer@hub.example")
    assert viewer.get("/console/search?partner=north").status_code == 403
    assert "Reported by" not in viewer.get("/console/search").text
    assert "North Corporation" not in viewer.get("/console/search").text
    assert "North Corporation" in operator.get("/console/search").text


@pytest.mark.parametrize("role", list(Role))
def test_everybody_who_is_signed_in_may_search(hub: HubInProcess, role: Role) -> None:
    client = sign_in(hub, f"{role}@hub.example")
    assert client.get("/console/search?q=x").status_code == 200
    assert ">Search</a>" in client.get("/console/search").text


@pytest.mark.slow
def test_what_a_person_may_not_read_changes_no_byte_of_the_answers(hub: HubInProcess) -> None:
    hub.join(Partner("small", "Small"), reads=("clear", "green"))
    add_person(hub, "ana@small.example", Role.ANALYST, partner="small")
    hub.push(indicator("evil-portal.top"), indicator("a.evil-portal.top"))
    client = sign_in(hub, "ana@small.example")
    paths = ("?q=evil-portal.top", "?q=hidden-portal.top", "?type=indicator", "?from=2026-01-01")
    before = [client.get(f"/console/search{path}").data for path in paths]
    strict: dict[str, Any] = {"object_marking_refs": [AMBER]}
    hub.push(indicator("hidden-portal.top", **strict), indicator("evil-portal.top", **strict))
    hub.push(indicator("b.evil-portal.top", **strict), who="north")
    assert [client.get(f"/console/search{path}").data for path in paths] == before


def test_hostile_texts_are_visible_and_inert(hub: HubInProcess, operator: FlaskClient) -> None:
    hub.push(
        sdo("malware", name=HOSTILE, is_family=False, labels=["kit"]),
        sdo("tool", name="w" * 50_000, labels=["kit"]),
    )
    for page in (
        operator.get("/console/search?q=kit").text,
        operator.get("/console/search", query_string={"q": HOSTILE + "w" * 50_000}).text,
    ):
        assert "<img" not in page and "{{7*7}}" in page and "onerror=alert(1)" in page
        assert "\u202e" not in re.sub(r' value="[^"]*"', "", page)
        assert len(page) < 60_000


def test_searching_looks_right_and_needs_three_keys(visitor: Visitor, hub: HubInProcess) -> None:
    hub.push(indicator("evil-portal.top", name=HOSTILE), indicator("a.evil-portal.top"))
    hub.push(indicator("only-portal.top"))
    page = visitor.sign_in("viewer@hub.example", "/search")
    visitor.check()
    page.keyboard.press("/")
    page.keyboard.type("hxxp://only-portal[.]top")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/objects/*")
    visitor.go("/search?q=evil-portal.top&from=2026-01-01")
    visitor.check()
    page.set_viewport_size({"width": 390, "height": 844})
    visitor.check()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/objects/*")
