"""`tocsin-hub partner change`: another name, right or standing of a partner that is in already."""

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from support.medallion_files import FEED, collection, write_data_file
from support.processes import HubProcess, run_command

from tocsin.server.model import Partner


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_is_not_named_stays_as_it_is(hub: Any) -> None:
    before, rights = list_partner(hub)
    hub.command("partner", "change", "acme", "--reliability", "B", "--group", "isac")
    after, same = list_partner(hub)
    assert rights == same
    assert after == before | {"reliability": after["reliability"], "group": "isac"}
    assert after["reliability"] > before["reliability"]


def test_an_empty_group_takes_a_partner_out_of_its_group(hub: Any) -> None:
    assert hub.command("partner", "change", "acme", "--group", "isac")["group"] == "isac"
    assert hub.command("partner", "change", "acme", "--group", "")["group"] == ""


@pytest.mark.slow
def test_a_partner_is_shown_tlp_1_from_the_next_request_on(hub: Any) -> None:
    page = "collections/green/objects/?match[type]=marking-definition"
    stored = hub.ask(page).json()["objects"]
    assert hub.command("partner", "change", "acme", "--marking", "tlp1")
    shown = hub.ask(page).json()["objects"]
    assert [each["definition"] for each in shown] == [{"tlp": "white"}, {"tlp": "green"}]
    assert list_partner(hub)[1]["marking"] == "tlp1"
    hub.command("partner", "change", "acme", "--marking", "tlp2")
    assert hub.ask(page).json()["objects"] == stored


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nobody", "--group", "isac"), 1, "there is no partner 'nobody'"),
        (("acme", "--read", "clear,nowhere"), 1, "there is no collection 'nowhere'"),
        (("acme", "--group", "No Slug"), 2, "lower-case letters"),
        (("acme", "--name", " "), 1, "the name is empty"),
        (("acme", "--name", "a\u202eb"), 1, "the name has hidden characters"),
        (("acme", "--name", "One", "--name", "Two"), 2, "repeat all of them with --term"),
        (("acme", "--disable", "--enable"), 2, "exclude each other"),
        (("acme",), 2, "name what to change"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    hub: Any, words: Any, code: int, message: str
) -> None:
    before = list_partner(hub)
    exit_code, _, stderr = run_command("partner", "change", *words, "--data", hub.data)
    assert (exit_code, message in stderr) == (code, True), stderr
    assert list_partner(hub) == before


@pytest.mark.parametrize(
    "words", [(), ("--all", "--value", "evil-portal.top"), ("--all", "--id", "x")]
)
def test_a_withdrawal_names_objects_or_all(hub: Any, words: Any) -> None:
    entries = hub.command("journal", "list", "--act", "partner.withdraw")
    given = ("withdraw", "acme", *words, "--reason", "x", "--data", hub.data)
    code, _, stderr = run_command("partner", *given)
    assert (code, "or give --all alone" in stderr) == (2, True), stderr
    assert hub.command("journal", "list", "--act", "partner.withdraw") == entries


@pytest.mark.slow
def test_what_changes_nothing_is_not_in_the_journal(hub: Any) -> None:
    hub.command("partner", "change", "acme", "--sector", "energy")
    entries = hub.command("journal", "list", "--act", "partner.change")
    hub.command("partner", "change", "acme", "--sector", "energy", "--enable")
    assert hub.command("journal", "list", "--act", "partner.change") == entries


@pytest.mark.slow
def test_all_settings_of_a_partner_are_shown(hub: Any) -> None:
    terms = ("--name", "ACME Corp", "--name", "ACME", "--term", "acme.example,quux-motors.example")
    hub.command("partner", "change", "acme", *terms)
    shown = hub.command("partner", "show", "acme")
    assert shown["terms"] == ["ACME", "acme.example", "quux-motors.example"]
    assert {field.name for field in fields(Partner)} - {"slug", "default_tlp"} <= shown.keys()
