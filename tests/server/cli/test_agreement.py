"""`tocsin-hub agreement`: the terms under which partners send and receive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.processes import HubProcess, run_command


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    hub = HubProcess(tmp_path_factory.mktemp("agreement") / "data")
    hub.start()
    hub.join("north")
    hub.join()
    yield hub
    hub.kill()


def after(**span: float) -> str:
    """A time after now, as a command takes it."""
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def state_of(hub: Any, id: str) -> Any:
    [found] = (each for each in hub.command("agreement", "list") if each["agreement"] == id)
    return found["state"]


def accounts_of(hub: Any) -> Any:
    return [each["accounts"] for each in hub.command("partner", "list")]


@pytest.mark.slow
def test_an_agreement_bounds_the_partner_from_the_next_request_on_until_it_is_ended(
    hub: Any,
) -> None:
    before = accounts_of(hub)
    assert hub.ask("collections/clear/objects/").status_code == 200
    words = ("--collection", "inbox,green,scratch", "--max-tlp", "green", "--purpose", "defence")
    made = hub.command("agreement", "add", "acme", *words, "--until", "2099-12-31T12:00:00Z")
    assert made == made | {
        "partner": "acme",
        "state": "in-force",
        "until": "2099-12-31T12:00:00.000000Z",
        "max_tlp": "green",
        "collections": ["green", "inbox", "scratch"],
        "lets_read": ["green"],
        "lets_write": ["inbox", "scratch"],
        "purposes": ["defence"],
        "note": "",
    }
    assert hub.ask("collections/clear/objects/").status_code == 404
    assert hub.ask("collections/green/objects/").status_code == 200
    assert accounts_of(hub) == before
    ended = hub.command("agreement", "end", made["agreement"], "--reason", "not renewed")
    assert ended["state"] == "ended"
    assert hub.ask("collections/green/objects/").status_code == 404


@pytest.mark.slow
def test_what_is_not_named_stays_as_it_is(hub: Any) -> None:
    words = ("--collection", "green", "--from", after(days=1), "--until", after(days=2))
    made = hub.command("agreement", "add", "north", *words, "--note", "by mail")
    assert made["state"] == "planned"
    assert hub.command("agreement", "list", "--partner", "north") == [made]
    id_ = made["agreement"]
    changed = hub.command("agreement", "change", id_, "--open-end", "--max-tlp", "clear")
    assert changed == made | {"until": None, "max_tlp": "clear", "lets_read": []}
    assert hub.command("agreement", "change", id_, "--from", after(hours=-1))["state"] == "in-force"
    assert state_of(hub, id_) == "in-force"


@pytest.mark.slow
def test_a_partner_that_a_planned_agreement_shuts_out_is_named(hub: Any) -> None:
    hub.command("partner", "add", "south", "--name", "South", "--read", "green")
    words = ("agreement", "add", "south", "--collection", "green", "--data", hub.data)
    code, out, err = run_command(*words, "--from", "2099-01-01", "--json")
    made = json.loads(out)
    assert (code, made["state"], made["collections"]) == (0, "planned", ["green"])
    assert (made["lets_read"], made["lets_write"]) == ([], [])
    begin = "2099-01-01T00:00:00.000000Z"
    assert f"warning: south reads and sends nothing until {begin}" in err
    assert f"agreement add south --collection … --until {begin}" in err
    code, out, err = run_command(*words, "--until", "2099-01-01", "--json")
    assert (code, json.loads(out)["lets_read"], err) == (0, ["green"], "")
    change = ("agreement", "change", json.loads(out)["agreement"], "--data", hub.data)
    assert "until 2098-" in run_command(*change, "--from", "2098-01-01")[2]


@pytest.mark.slow
def test_an_end_names_another_agreement_that_gives_rights(hub: Any) -> None:
    hub.command("partner", "add", "west", "--name", "West", "--read", "green")
    words = ("agreement", "add", "west", "--collection", "green")
    now, soon = hub.command(*words), hub.command(*words, "--until", "2099-01-01")
    later = hub.command(*words, "--from", "2099-01-01")

    def end(agreement: Any) -> str:
        words = ("agreement", "end", agreement["agreement"], "--reason", "x", "--data", hub.data)
        return run_command(*words)[2]

    said = end(now)
    assert "warning: west reads and sends all the same, by another agreement" in said
    assert f"agreement end {soon['agreement']}" in said
    assert "west reads and sends again from 2099-01-01T00:00:00.000000Z" in end(soon)
    assert end(later) == ""


def test_a_date_is_its_first_moment_in_utc(hub: Any) -> None:
    words = ("--collection", "green", "--from", "2099-01-31", "--until", "2099-12-31")
    made = hub.command("agreement", "add", "north", *words)
    assert made["from"] == "2099-01-31T00:00:00.000000Z"
    assert made["until"] == "2099-12-31T00:00:00.000000Z"


@pytest.mark.slow
def test_a_feed_that_does_not_serve_the_partner_is_not_among_what_it_may_read(hub: Any) -> None:
    hub.command("collection", "add", "french", "--kind", "feed", "--country", "FR")
    words = ("agreement", "add", "--collection", "green,french")
    lets_read = {}
    for slug, country in (("lyon", "FR"), ("porto", "PT")):
        hub.command("partner", "add", slug, "--name", slug.title(), "--country", country)
        lets_read[slug] = hub.command(*words, slug)["lets_read"]
    assert lets_read == {"lyon": ["french", "green"], "porto": ["green"]}


@pytest.mark.slow
def test_where_data_may_go_is_said_with_countries_and_sectors(hub: Any) -> None:
    bounded = ("--country", "de,FR", "--sector", "Energy")
    feed = hub.command("collection", "add", "eu-energy", "--kind", "feed", *bounded)
    audience = {"countries": ["DE", "FR"], "sectors": ["energy"]}
    assert feed == feed | audience
    assert feed in hub.command("collection", "list")
    made = hub.command("agreement", "add", "north", "--collection", "inbox", *bounded)
    assert made == made | audience
    id_ = made["agreement"]
    assert hub.command("agreement", "change", id_, "--note", "x") == made | {"note": "x"}
    other = hub.command("agreement", "change", id_, "--country", "DE")
    assert other == made | {"note": "x", "countries": ["DE"], "sectors": None}
    anywhere = hub.command("agreement", "change", id_, "--anywhere")
    assert anywhere == made | {"note": "x", "countries": None, "sectors": None}


@pytest.mark.slow
def test_the_list_has_a_line_for_each(hub: Any) -> None:
    made = hub.command("agreement", "add", "north", "--collection", "clear,green")
    _, out, _ = run_command("agreement", "list", "--data", str(hub.data))
    head, *lines = out.splitlines()
    assert head.split() == [
        "AGREEMENT",
        "PARTNER",
        "STATE",
        "FROM",
        "UNTIL",
        "MAX_TLP",
        "COLLECTIONS",
    ]
    [line] = (each for each in lines if each.startswith(made["agreement"]))
    assert line.split()[1:] == [
        "north",
        "in-force",
        made["from"],
        "-",
        "amber",
        "clear,green",
    ]


@pytest.mark.slow
def test_the_journal_has_the_person(hub: Any) -> None:
    words = ("--collection", "green", "--as", "jane")
    made = hub.command("agreement", "add", "north", *words)
    [entry] = hub.command("journal", "list", "--about", made["agreement"])
    assert (entry["act"], entry["who"]) == ("agreement.add", "operator:jane")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("add", "nobody", "--collection", "green"), "there is no partner 'nobody'"),
        (("add", "acme", "--collection", "nothing"), "there is no collection 'nothing'"),
        (("add", "acme"), "--collection"),
        (("add", "acme", "--collection", "green", "--until", "2001-01-01T00:00:00Z"), "ends after"),
        (("change", "nothing", "--open-end"), "there is no agreement 'nothing'"),
        (("change", "nothing"), "name what to change"),
        (("add", "acme", "--collection", "inbox", "--country", "Germania"), "for instance US"),
        (("add", "acme", "--collection", "inbox", "--sector", "a|b"), "must be lower-case"),
        (("change", "x", "--anywhere", "--country", "DE"), "--anywhere excludes"),
        (("end", "nothing", "--reason", "x"), "there is no agreement 'nothing'"),
        (("list", "--partner", "nobody"), "there is no partner 'nobody'"),
    ],
)
def test_a_mistake_is_named(hub: Any, words: Any, reason: str) -> None:
    code, _, err = run_command("agreement", *words, "--data", str(hub.data))
    assert code != 0
    assert reason in err


@pytest.mark.slow
def test_the_first_characters_of_an_id_name_an_agreement(hub: Any) -> None:
    made = [hub.command("agreement", "add", "north", "--collection", "green") for _ in range(17)]
    id_ = made[0]["agreement"]
    changed = hub.command("agreement", "change", id_[:12], "--note", "x")
    assert (changed["agreement"], changed["note"]) == (id_, "x")
    assert hub.command("agreement", "end", id_[:12], "--reason", "x")["state"] == "ended"
    first = [each["agreement"][0] for each in made]
    twice = next(each for each in first if first.count(each) > 1)
    for prefix, reason in ((twice, "is ambiguous"), ("", "there is no agreement ''")):
        words = ("change", prefix, "--note", "y", "--data", str(hub.data))
        code, _, err = run_command("agreement", *words)
        assert (code, reason in err) == (1, True), err


def test_an_end_and_no_end_exclude_each_other(hub: Any) -> None:
    words = ("change", "x", "--open-end", "--until", "2099-01-01T00:00:00Z")
    code, _, err = run_command("agreement", *words, "--data", str(hub.data), "--json")
    assert code != 0
    assert "exclude each other" in err


@pytest.mark.slow
def test_a_partner_is_shown_with_the_agreement_by_which_it_has_rights(hub: Any) -> None:
    hub.join("east")
    assert hub.command("partner", "show", "east")["agreement"] is None
    words = ("--collection", "green", "--from", after(days=1), "--until", "2099-12-31T12:00:00Z")
    later = hub.command("agreement", "add", "east", *words)["agreement"]
    id = hub.command("agreement", "add", "east", "--collection", "green")["agreement"]
    shown = hub.command("partner", "show", "east")["agreement"]
    assert (shown["agreement"], shown["state"], shown["until"]) == (id, "in-force", None)
    hub.command("agreement", "end", later, "--reason", "a test")
    ended = hub.command("agreement", "end", id, "--reason", "not renewed")
    shown = hub.command("partner", "show", "east")["agreement"]
    assert (shown["state"], shown["until"]) == ("ended", ended["until"])
    _, table, _ = run_command("partner", "list", "--data", str(hub.data))
    assert f"ended {ended['until'][:10]}" in table
