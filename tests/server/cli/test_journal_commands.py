"""`tocsin-hub journal`: every act with its person, found by time, act, person and id."""

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from support.hub import HubInProcess
from support.medallion_files import collection, day, threat, write_data_file
from support.processes import HubProcess, indicators, run_command

from tocsin.server.store import Store
from tocsin.server.store.embedded import database
from tocsin.server.store.journal import JournalFilter, entry_as_json


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A served hub with a partner that jane added and one submission."""
    hub = HubProcess(tmp_path_factory.mktemp("journal") / "data").start()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TOCSIN_AS", "jane")
        hub.join()
    status = hub.post(indicators(1)).json()["id"]
    hub.wait_until_settled(status)
    yield hub
    hub.kill()


def journal(hub: HubProcess, *words: str) -> list[Any]:
    return list(hub.command("journal", "list", *words))


class TestListing:
    def test_the_newest_entry_is_last(self, hub: HubProcess) -> None:
        sequences = [entry["sequence"] for entry in journal(hub)]
        assert sequences == sorted(sequences) and len(sequences) > 3

    @pytest.mark.slow
    def test_limit_gives_the_newest_and_before_the_page_before_them(self, hub: HubProcess) -> None:
        every = [entry["sequence"] for entry in journal(hub)]
        newest = [entry["sequence"] for entry in journal(hub, "--limit", "2")]
        assert newest == every[-2:]
        earlier = journal(hub, "--limit", "2", "--before", str(newest[0]))
        assert [entry["sequence"] for entry in earlier] == every[-4:-2]

    def test_an_act_is_found_by_its_name(self, hub: HubProcess) -> None:
        assert {entry["act"] for entry in journal(hub, "--act", "partner.add")} == {"partner.add"}

    def test_a_person_and_an_account_are_found_by_name(self, hub: HubProcess) -> None:
        assert {e["act"] for e in journal(hub, "--who", "jane")} == {"partner.add", "key.issue"}
        assert {e["who"] for e in journal(hub, "--who", "acme")} == {"acme"}

    def test_every_command_is_found_under_operator(self, hub: HubProcess) -> None:
        assert {"operator:jane"} <= {e["who"] for e in journal(hub, "--who", "operator")}

    @pytest.mark.slow
    def test_an_entry_is_found_by_the_id_that_it_is_about(self, hub: HubProcess) -> None:
        [entry] = journal(hub, "--act", "admit")
        submission = entry["what"]["submission"]
        assert entry in journal(hub, "--about", submission)
        assert journal(hub, "--about", "nothing") == []

    def test_filters_are_joined_by_and(self, hub: HubProcess) -> None:
        assert journal(hub, "--who", "jane", "--act", "admit") == []

    @pytest.mark.slow
    def test_since_leaves_out_what_is_older(self, hub: HubProcess) -> None:
        every = journal(hub)
        assert journal(hub, "--since", every[-1]["at"])[-1] == every[-1]
        assert journal(hub, "--since", "2999-01-01T00:00:00Z") == []

    def test_one_entry_is_shown_whole(self, hub: HubProcess) -> None:
        entry = hub.command("journal", "show", "2")
        assert entry["sequence"] == 2
        assert entry["previous"] == hub.command("journal", "show", "1")["hash"]

    def test_an_entry_that_does_not_exist_is_refused(self, hub: HubProcess) -> None:
        code, _, stderr = run_command("journal", "show", "999999", "--data", hub.data)
        assert (code, "no entry 999999" in stderr) == (1, True)


class TestVerifying:
    @pytest.mark.slow
    def test_an_untouched_journal_is_valid_and_its_last_hash_can_be_kept(
        self, hub: HubProcess
    ) -> None:
        answer = hub.command("journal", "verify")
        assert answer["valid"] is True
        known = f"{answer['entries']}:{answer['hash']}"
        assert hub.command("journal", "verify", "--known", known)["valid"] is True
        wrong = ("journal", "verify", "--known", f"{answer['entries']}:{'0' * 64}")
        code, out, _ = run_command(*wrong, "--data", hub.data, "--json")
        assert (code, json.loads(out)["first_invalid"]) == (1, answer["entries"])

    def test_an_altered_entry_is_reported_by_its_number(self, hub: HubProcess) -> None:
        with changed_entry(hub, 2, {"who": "nobody"}):
            code, out, stderr = run_command("journal", "verify", "--data", hub.data, "--json")
        assert (code, json.loads(out)["first_invalid"]) == (1, 2), stderr


class TestExporting:
    def test_each_line_is_one_entry_in_order(self, hub: HubProcess) -> None:
        code, out, _ = run_command("journal", "export", "--data", hub.data)
        entries = [json.loads(line) for line in out.splitlines()]
        assert code == 0
        assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
        assert entries[1] == hub.command("journal", "show", "2")

    def test_an_export_continues_after_a_number(self, hub: HubProcess) -> None:
        _, out, _ = run_command("journal", "export", "--after", "2", "--data", hub.data)
        assert json.loads(out.splitlines()[0])["sequence"] == 3


class changed_entry:  # noqa: N801
    """A context in which an entry of the database is not as it was written."""

    def __init__(self, hub: HubProcess, sequence: int, change: dict[str, Any]) -> None:
        self._data, self._key, self._change = hub.data, sequence, change

    def __enter__(self) -> None:
        with database(self._data, print) as uri, MongoClient[dict[str, Any]](uri) as client:
            entries = client["tocsin"].journal
            self._before = entries.find_one({"_id": self._key})
            entries.update_one({"_id": self._key}, {"$set": self._change})

    def __exit__(self, *_: object) -> None:
        with database(self._data, print) as uri, MongoClient[dict[str, Any]](uri) as client:
            client["tocsin"].journal.replace_one({"_id": self._key}, self._before or {})


class TestPersons:
    """Every act that changes something is in the journal, with the person who did it."""

    @pytest.mark.slow
    def test_the_person_is_the_login_name_unless_another_is_given(self, hub: HubProcess) -> None:
        hub.command("key", "issue", "acme")
        assert (
            journal(hub, "--act", "key.issue")[-1]["who"]
            == f"operator:{pwd.getpwuid(os.getuid()).pw_name}"
        )
        hub.command("key", "issue", "acme", "--as", "Jane Doe")
        assert journal(hub, "--act", "key.issue")[-1]["who"] == "operator:Jane Doe"

    def test_an_export_of_a_partner_has_its_person(self, hub: HubProcess, tmp_path: Path) -> None:
        hub.command(
            "partner", "export", "acme", "--output", str(tmp_path / "a"), "--as", "Jane Doe"
        )
        assert journal(hub, "--act", "partner.export")[-1]["who"] == "operator:Jane Doe"

    @pytest.mark.parametrize("name", ["", " ", "a\x1b[2J", "x" * 65, "a:b"])
    def test_a_name_that_cannot_be_shown_is_refused(self, hub: HubProcess, name: str) -> None:
        code, _, _ = run_command("key", "issue", "acme", "--as", name, "--data", hub.data)
        assert code == 2

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("words", "act"),
        [
            (("partner", "add", "south", "--name", "South"), "partner.add"),
            (("partner", "change", "south", "--group", "isac"), "partner.change"),
            (("collection", "add", "iocs", "--kind", "feed"), "collection.add"),
            (("exclusion", "add", "cdn.example.com"), "exclusion.add"),
            (("exclusion", "remove", "cdn.example.com"), "exclusion.remove"),
        ],
    )
    def test_an_act_is_written_down_with_its_person(
        self, hub: HubProcess, words: Any, act: str
    ) -> None:
        hub.command(*words, "--as", "mary")
        entry = journal(hub)[-1]
        if act == "partner.add":  # the key is issued last
            [entry] = journal(hub, "--about", "south", "--act", act)
        assert (entry["act"], entry["who"]) == (act, "operator:mary")

    @pytest.mark.slow
    def test_a_revoked_key_and_a_revoked_object_are_written_down(self, hub: HubProcess) -> None:
        answer = hub.command("key", "issue", "acme")
        assert answer["key"]
        key = hub.command("key", "list", "acme")[0]["id"]
        mine = hub.key
        hub.command("key", "issue", "acme")
        hub.command("key", "revoke", "acme", key, "--as", "mary")
        assert journal(hub, "--about", key)[-1]["who"] == "operator:mary"
        hub.key = f"acme:{answer['key']}" if hub.ask("collections/").status_code == 401 else mine
        [public] = [e for e in hub.walk("green") if e["type"] == "indicator"][:1]
        hub.command("object", "revoke", public["id"], "--reason", "cleaned", "--as", "mary")
        [entry] = journal(hub, "--about", public["id"])
        assert (entry["act"], entry["who"]) == ("object.revoke", "operator:mary")


@pytest.mark.slow
def test_an_import_is_written_down_with_its_person(hub: HubProcess, tmp_path: Path) -> None:
    write_data_file(tmp_path, collection((day(1), threat(1))), root="trustgroup1")
    hub.command("import", "medallion", str(tmp_path / "data.json"), "--as", "mary")
    assert journal(hub, "--act", "import")[-1]["who"] == "operator:mary"


def add_entry(store: Store, act: str, who: str, **details: object) -> None:
    store.commit(lambda txn: txn.add_journal_entry(act, who, details))


@pytest.mark.slow
def test_entries_far_apart_are_found_without_reading_those_between(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tocsin.server.store.journal._SPAN", 4)
    hub = HubInProcess(store)
    store.commit(lambda txn: txn.add_journal_entry("rare", "acme", {"id": "one"}))
    for number in range(40):
        add_entry(store, "often", "north", n=number)
    store.commit(lambda txn: txn.add_journal_entry("rare", "acme", {"id": "two"}))
    found = [e.details["id"] for e in hub.store.journal.search(JournalFilter(action="rare"))]
    assert found == ["two", "one"]
    often = [e.details["n"] for e in hub.store.journal.search(JournalFilter(actor="north"))]
    assert often == list(range(39, -1, -1))


def test_an_entry_whose_search_terms_were_altered_is_invalid(store: Store) -> None:
    for name in ("one", "two"):
        add_entry(store, "act", "acme", id=name)
    assert store.journal.first_invalid_sequence() is None
    store._base.journal.update_one({"_id": 2}, {"$set": {"terms": []}})
    assert store.journal.first_invalid_sequence() == 2


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_removed_entry_is_reported_by_its_number(store: Store, gone: int) -> None:
    for name in ("one", "two", "three"):
        add_entry(store, "act", "acme", id=name)
    store._base.journal.delete_one({"_id": gone})
    assert store.journal.first_invalid_sequence() == gone


def test_entries_of_older_databases_are_found_once_they_are_migrated(store: Store) -> None:
    store.commit(lambda txn: txn.add_journal_entry("act", "acme", {"id": "one"}))
    store._base.journal.update_many({}, {"$unset": {"terms": ""}})
    store._base.schema.update_one({"_id": "version"}, {"$set": {"version": 1}})
    store.migrate()
    assert len(list(store.journal.search(JournalFilter(about="one")))) == 1
    assert store.journal.first_invalid_sequence() is None


@pytest.mark.parametrize(
    "damage",
    [
        *({"what": "text"}, {"what": {"octets": [b"\0"]}}, {"at": "x"}, {"at": 1 << 62}),
        *({"act": 7}, {"who": None}, {"hash": 7}),
    ],
)
def test_a_damaged_entry_is_shown_as_damaged_among_the_others(
    store: Store, damage: dict[str, object]
) -> None:
    for name in ("one", "two", "three"):
        add_entry(store, "act", "acme", id=name)
    store._base.journal.update_one({"_id": 2}, {"$set": damage})
    assert [each.is_damaged for each in store.journal.entries()] == [False, True, False]
    exported = [json.loads(json.dumps(entry_as_json(each))) for each in store.journal.entries()]
    assert [each.get("damaged", False) for each in exported] == [False, True, False]
    found = store.journal.search(JournalFilter(since=1))
    assert {1, 3} <= {each.sequence for each in found}
    assert store.journal.first_invalid_sequence() == 2


def test_a_damaged_entry_does_not_stop_retention(store: Store) -> None:
    for name in ("one", "two", "three"):
        add_entry(store, "act", "acme", id=name)
    store._base.journal.update_one({"_id": 1}, {"$set": {"at": "x"}})
    assert store.commit(lambda txn: txn.forget_journal(-1, 2, "sweep")) == 2
