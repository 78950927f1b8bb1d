"""`tocsin-hub partner change`: another name, right or standing of a partner that is in already."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.medallion_files import FEED, collection, write_data_file
from support.processes import HubProcess, run_command


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    hub = HubProcess(tmp_path_factory.mktemp("change") / "data")
    hub.start()
    hub.join()
    hub.command("collection", "add", "iocs", "--kind", "feed", "--max-tlp", "green")
    yield hub
    hub.kill()


def list_partner(hub: Any, slug: Any = "acme") -> Any:
    """Return a partner and its account from `partner list`."""
    (partner,) = (each for each in hub.command("partner", "list") if each["partner"] == slug)
    (account,) = partner.pop("accounts")
    return partner, account


def test_a_new_collection_can_be_read_from_the_next_request_on(hub: Any) -> None:
    assert hub.ask("collections/iocs/objects/").status_code == 404
    answer = hub.command("partner", "change", "acme", "--read", "clear,green,iocs")
    assert answer["accounts"][0]["read"] == ["clear", "green", "iocs"]
    assert hub.ask("collections/iocs/objects/").status_code == 200
    assert hub.ask("collections/amber/objects/").status_code == 404  # was taken away


def test_a_collection_without_an_alias_is_shown_by_its_id(hub: Any, tmp_path: Path) -> None:
    hub.command("import", "medallion", write_data_file(tmp_path, collection()))
    answer = hub.command("partner", "change", "acme", "--read", f"clear,green,{FEED}")
    assert answer["accounts"][0]["read"] == sorted([FEED, "clear", "green"])
    assert list_partner(hub)[1]["read"] == answer["accounts"][0]["read"]


def test_what_is_not_named_stays_as_it_is(hub: Any) -> None:
    before, rights = list_partner(hub)
    hub.command("partner", "change", "acme", "--reliability", "B", "--group", "isac")
    after, same = list_partner(hub)
    assert rights == same
    assert after == before | {"reliability": after["reliability"], "group": "isac"}
    assert after["reliability"] > before["reliability"]


def test_a_partner_is_shown_tlp_1_from_the_next_request_on(hub: Any) -> None:
    page = "collections/green/objects/?match[type]=marking-definition"
    stored = hub.ask(page).json()["objects"]
    assert hub.command("partner", "change", "acme", "--marking", "tlp1")
    shown = hub.ask(page).json()["objects"]
    assert [each["definition"] for each in shown] == [{"tlp": "white"}, {"tlp": "green"}]
    assert list_partner(hub)[1]["marking"] == "tlp1"
    hub.command("partner", "change", "acme", "--marking", "tlp2")
    assert hub.ask(page).json()["objects"] == stored


def test_terms_are_masked_from_the_next_submission_on(hub: Any) -> None:
    hub.command("partner", "change", "acme", "--term", "quux-motors.example", "--write", "inbox")
    name = "indicator--7d3a3c6a-8c0f-4c57-9d2b-0f6f0f6b1a11"
    posted = hub.post(
        [
            {
                **{"type": "indicator", "spec_version": "2.1", "id": name},
                **dict.fromkeys(("created", "modified", "valid_from"), "2026-01-01T00:00:00.000Z"),
                **{"pattern": "[domain-name:value = 'evil-portal.top']", "pattern_type": "stix"},
                "object_marking_refs": ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],
                "description": "sent to quux-motors.example",
            }
        ]
    )
    hub.wait_until_settled(posted.json()["id"])
    (public,) = (each for each in hub.walk("green") if each["type"] == "indicator")
    assert "quux" not in json.dumps(public)


def test_a_disabled_account_is_let_in_no_more_until_it_is_enabled(hub: Any) -> None:
    hub.command("partner", "change", "acme", "--disable")
    assert hub.ask("collections/").status_code == 401
    hub.command("partner", "change", "acme", "--enable")
    assert hub.ask("collections/").status_code == 200


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nobody", "--group", "isac"), "there is no partner 'nobody'"),
        (("acme", "--read", "clear,nowhere"), "there is no collection 'nowhere'"),
        (("acme", "--group", "No Slug"), "lower-case letters"),
        (("acme", "--name", " "), "the name is empty"),
        (("acme", "--name", "a\u202eb"), "the name has hidden characters"),
        (("acme", "--name", "One", "--name", "Two"), "give all terms"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(hub: Any, words: Any, message: str) -> None:
    before = list_partner(hub)
    code, _, stderr = run_command("partner", "change", *words, "--data", hub.data)
    assert (code, message in stderr) == (1, True), stderr
    assert list_partner(hub) == before
