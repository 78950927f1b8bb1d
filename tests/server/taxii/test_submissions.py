"""`/hub/submissions/`: what a partner sent, for that partner only, page by page."""

import hashlib
import json
from typing import Any

import pytest
from support.clock import ManualClock
from support.hub import HubInProcess, indicator
from support.presence import present

from tocsin.server.model import Account, Submission


def listed(hub: HubInProcess, who: str = "acme", **query: object) -> dict[str, Any]:
    answer = hub.ask("submissions/", who, query_string=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


@pytest.mark.slow
def test_a_partner_sees_its_own_submissions_the_newest_first(
    hub: HubInProcess, clock: ManualClock
) -> None:
    first = hub.push(indicator("one.top"))
    clock.advance(hours=1)
    second = hub.push(indicator("two.top"), {"type": "indicator"})
    hub.push(indicator("three.top"), who="north")
    found = listed(hub)["submissions"]
    assert [each["id"] for each in found] == [second["id"], first["id"]]
    assert found[0] == {
        "id": second["id"],
        "status": "complete",
        "request_timestamp": second["request_timestamp"],
        "collection_id": hub.collection("inbox").id,
        "collection_alias": "inbox",
        "account": "acme",
        "total_count": 2,
        "settled": True,
        "counts": {"admitted": 1, "refused": 1},
    }


def test_all_accounts_of_a_partner_see_the_same(hub: HubInProcess) -> None:
    pushed = hub.push(indicator("one.top"))
    hub.store.accounts.add_account(Account("acme-2", "acme", frozenset(), frozenset()))
    hub.store.accounts.add_key("acme-2", hub_key("acme-2"))
    found = listed(hub, "acme-2")["submissions"]
    assert [each["id"] for each in found] == [pushed["id"]]


def test_the_alias_of_a_collection_that_an_account_may_not_see_is_not_shown(
    hub: HubInProcess,
) -> None:
    hub.push(indicator("one.top"), to="scratch")
    account = Account("acme-2", "acme", frozenset({hub.collection("green").id}), frozenset())
    hub.store.accounts.add_account(account)
    hub.store.accounts.add_key("acme-2", hub_key("acme-2"))
    (seen,) = listed(hub)["submissions"]
    (hidden,) = listed(hub, "acme-2")["submissions"]
    assert seen["collection_alias"] == "scratch"
    assert "collection_alias" not in hidden


def hub_key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def test_a_partner_that_sent_nothing_gets_an_empty_page(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))
    assert listed(hub, "north") == {}


def test_the_counts_are_those_of_the_status(hub: HubInProcess) -> None:
    held = indicator("x.top", pattern="[email-message:to_refs[*].value = 'jo@acme-mail.top']")
    status = hub.push(indicator("one.top"), held)
    (found,) = listed(hub)["submissions"]
    assert found["counts"] == status["x_tocsin_counts"]
    assert (found["status"], found["settled"]) == ("pending", True)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_list_each_submission_once_even_if_many_came_in_one_moment(
    hub: HubInProcess, limit: int
) -> None:
    inbox = hub.collection("inbox").id
    names = [f"00000000-0000-4000-8000-00000000000{n}" for n in range(7)]
    for number, name in enumerate(names):
        moment = 1_780_000_000_000_000 + number // 4
        hub.store.submissions.receive(Submission(name, "acme", "acme", inbox, moment, 1))
    found: list[str] = []
    page = listed(hub, limit=limit)
    while True:
        found += [each["id"] for each in page["submissions"]]
        if not page.get("more"):
            break
        page = listed(hub, limit=limit, next=page["next"])
    assert found == [names[n] for n in (6, 5, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "many"}, {"next": "x"}, {"next": "1-"}, {"next": "9" * 60}]
)
def test_a_parameter_that_cannot_be_read_is_400(hub: HubInProcess, query: Any) -> None:
    answer = hub.ask("submissions/", query_string=query)
    assert (answer.status_code, present(answer.json)["http_status"]) == (400, "400")


def test_without_a_credential_it_is_401(hub: HubInProcess) -> None:
    assert hub.client.get("/hub/submissions/").status_code == 401


def test_an_unchanged_list_is_304(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))
    tag = hub.ask("submissions/").headers["ETag"]
    assert hub.ask("submissions/", headers={"If-None-Match": tag}).status_code == 304
    hub.push(indicator("two.top"))
    assert hub.ask("submissions/", headers={"If-None-Match": tag}).status_code == 200


def test_nothing_of_what_was_sent_is_in_the_list(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))
    assert "one.top" not in json.dumps(listed(hub))
