"""`tocsin-hub backup` and `restore`, against the database of this session."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from pymongo import MongoClient
from support.console import PASSWORD
from support.hub import indicator
from support.processes import run_command

from tocsin.admission.errors import NotAuthenticated, Unavailable
from tocsin.config.settings import HubSettings
from tocsin.server.cli.backup import RestoreOrder, restore
from tocsin.server.model import Query
from tocsin.server.partners.people import Attempt
from tocsin.server.runtime import Runtime, open_runtime
from tocsin.server.store import Store
from tocsin.server.store.backup import CLOCK_MARGIN
from tocsin.server.store.schema import SCHEMA_VERSION


@dataclass
class Place:
    """A data directory and a database, where commands are run."""

    uri: str
    data: Path
    database: str

    def run(self, *words: str | Path, json_: bool = True) -> tuple[int, str, str]:
        """Run a command; exit code, standard output, standard error."""
        place = ("--mongo-uri", self.uri, "--data", self.data)
        with mock.patch.dict(os.environ, {"TOCSIN_DATABASE": self.database}):
            return run_command(*words, *place, *(["--json"] if json_ else []))

    @property
    def settings(self) -> HubSettings:
        """The settings of a hub here."""
        return HubSettings(data=self.data, mongo_uri=self.uri, database=self.database)

    @contextmanager
    def opened(self) -> Iterator[Runtime]:
        """The open hub."""
        with open_runtime(self.settings, print) as hub:
            yield hub

    def push(self, *objects: Any) -> list[str]:
        """Submit objects as the partner acme; their verdicts."""
        with self.opened() as hub:
            store, intake = hub.services.store, hub.services.intake
            [account] = store.accounts.list_accounts("acme")
            [inbox] = (each for each in store.feeds.collections() if each.alias == "inbox")
            raws = [json.dumps(each).encode() for each in objects]
            body = b'{"objects": [' + b",".join(raws) + b"]}"
            receipt = intake.receive(account, inbox, raws, body)
            while intake.work():
                pass
            return [each.verdict for each in store.submissions.records(receipt.submission.id)]

    def patterns(self) -> list[str]:
        """The patterns of the indicators in the feed green that are in force."""
        with self.opened() as hub:
            feeds = hub.services.store.feeds
            [green] = (each for each in feeds.collections() if each.alias == "green")
            bodies = [json.loads(each.body) for each in feeds.page(green.id, Query()).entries]
        return [each["pattern"] for each in bodies if "pattern" in each and "revoked" not in each]

    def can_sign_in(self, login: str, password: str = PASSWORD) -> bool:
        """True if a person signs in with a password alone."""
        with self.opened() as hub:
            try:
                hub.services.people.sign_in(Attempt(login, password, "", "192.0.2.1"))
            except NotAuthenticated:
                return False
        return True

    def answer(self, *words: str | Path) -> Any:
        """Run a command that succeeds; its output."""
        code, out, err = self.run(*words)
        assert code == 0, err
        return json.loads(out)

    def dump(self) -> dict[str, list[Any]]:
        """All documents by collection."""
        with MongoClient[dict[str, Any]](self.uri) as client:
            base = client[self.database]
            return {
                name: sorted(base[name].find(), key=lambda each: str(each["_id"]))
                for name in base.list_collection_names()
            }

    def indexes(self) -> dict[str, list[str]]:
        """The names of all indexes by collection."""
        with MongoClient[dict[str, Any]](self.uri) as client:
            base = client[self.database]
            return {
                name: sorted(base[name].index_information())
                for name in base.list_collection_names()
            }


@pytest.fixture
def new_place(engine_uri: str, tmp_path: Path) -> Any:
    """A function that makes a place without a hub."""

    def make() -> Place:
        name = uuid.uuid4().hex
        return Place(engine_uri, tmp_path / name, f"test_{name}")

    return make


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, engine_uri: str) -> tuple[Place, Path]:
    """A hub with a partner, and a backup of it."""
    folder = tmp_path_factory.mktemp("kept")
    place = Place(engine_uri, folder / "data", f"test_{uuid.uuid4().hex}")
    place.answer("partner", "add", "acme", "--name", "ACME", "--read", "green")
    place.answer("exclusion", "add", "ours.top")
    place.answer("backup", folder / "x.tar")
    return place, folder / "x.tar"


@pytest.mark.slow
def test_a_restored_database_has_all_documents_and_indexes(
    kept: tuple[Place, Path], new_place: Any
) -> None:
    old, file = kept
    new = new_place()
    restored = new.answer("restore", file)
    before, after = old.dump(), new.dump()
    changing = {"journal", "hub_state", "clock", "turns", "delivery_marks"}
    assert set(before) == set(after)
    for name in set(before) - changing:
        assert before[name] == after[name], name
    assert new.indexes() == old.indexes()
    assert (new.data / "secrets.json").read_bytes() == (old.data / "secrets.json").read_bytes()
    assert (new.data / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert restored["documents"] > 10
    entries = new.answer("journal", "list", "--limit", "2")
    assert [each["act"] for each in entries][-1:] == ["restore"]
    assert entries[-1]["what"]["sha256"] == restored["sha256"]
    assert new.answer("journal", "verify")["valid"] is True


@pytest.mark.slow
def test_the_clock_goes_on_after_now_and_after_the_given_time(
    kept: tuple[Place, Path], new_place: Any
) -> None:
    from_now, from_given = new_place(), new_place()
    first = from_now.answer("restore", kept[1])
    second = from_given.answer("restore", kept[1], "--after", "2099-01-01T00:00:00Z")
    old, one, other = (
        next(each for each in place.dump()["clock"] if each["_id"] == "hub")
        for place in (kept[0], from_now, from_given)
    )
    assert one["stamp"] >= old["stamp"] + CLOCK_MARGIN
    assert second["clock"] == "2099-01-01T00:05:00.000000Z"
    assert first["epoch"] != second["epoch"] and {one["epoch"], other["epoch"]} == {
        first["epoch"],
        second["epoch"],
    }


@pytest.mark.slow
def test_a_backup_is_readable_by_its_owner_only_and_recorded(
    kept: tuple[Place, Path], tmp_path: Path
) -> None:
    place = kept[0]
    before = os.umask(0)
    try:
        made = place.answer("backup", tmp_path, "--as", "jane")
    finally:
        os.umask(before)
    [file] = tmp_path.iterdir()
    assert str(file) == made["file"] and file.name.startswith("tocsin-2")
    assert file.stat().st_mode & 0o777 == 0o600
    [entry] = place.answer("journal", "list", "--act", "backup", "--who", "jane")
    assert entry["what"]["sha256"] == made["sha256"]
    code, out, _ = run_command("backup", "--verify", file, "--json")
    assert (code, json.loads(out)) == (0, made)


@pytest.mark.slow
def test_no_backup_is_left_of_which_the_journal_does_not_know(
    kept: tuple[Place, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Unavailable("the database is away", 1)

    monkeypatch.setattr(Store, "commit", fail)
    code, _, err = kept[0].run("backup", tmp_path / "x.tar")
    assert code != 0 and "the database is away" in err
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over_a_file_or_through_a_link(
    kept: tuple[Place, Path], tmp_path: Path
) -> None:
    place, victim = kept[0], tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "link.tar").symlink_to(victim)
    (tmp_path / "dangling.tar").symlink_to(tmp_path / "nothing")
    (tmp_path / "new.tar.partial").symlink_to(victim)
    for name in ("victim", "link.tar", "dangling.tar", "new.tar"):
        code, _, err = place.run("backup", tmp_path / name)
        assert code == 1, err
    assert victim.read_text() == "mine"
    names = {"victim", "link.tar", "dangling.tar", "new.tar.partial"}
    assert {each.name for each in tmp_path.iterdir()} == names


@pytest.mark.slow
def test_what_a_killed_backup_left_is_replaced_but_not_one_in_progress(
    kept: tuple[Place, Path], tmp_path: Path
) -> None:
    partial = tmp_path / "x.tar.partial"
    partial.write_bytes(b"half")
    with partial.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, err = kept[0].run("backup", tmp_path / "x.tar")
        assert code == 1 and "another command is writing" in err
        assert partial.read_bytes() == b"half"
    kept[0].answer("backup", tmp_path / "x.tar")
    assert [each.name for each in tmp_path.iterdir()] == ["x.tar"]


def test_a_restore_leaves_a_folder_with_other_files_alone(
    kept: tuple[Place, Path], tmp_path: Path
) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "letter.txt").write_text("x")
    place = ("--data", tmp_path / "others")
    code, _, err = run_command("restore", kept[1], *place)
    assert code == 1 and "has other files: restore into a new directory" in err
    assert [each.name for each in (tmp_path / "others").iterdir()] == ["letter.txt"]


def test_a_folder_without_a_hub_is_refused_and_stays_empty(tmp_path: Path) -> None:
    code, _, err = run_command("backup", tmp_path / "x.tar", "--data", tmp_path / "none")
    assert code == 1 and "there is no hub in" in err and "name its data directory" in err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_backup_is_refused_and_nothing_is_written(
    kept: tuple[Place, Path], new_place: Any, tmp_path: Path
) -> None:
    octets = bytearray(kept[1].read_bytes())
    octets[len(octets) // 2] ^= 1
    (tmp_path / "bad.tar").write_bytes(octets)
    (tmp_path / "cut.tar").write_bytes(kept[1].read_bytes()[:-700])
    for name in ("bad.tar", "cut.tar"):
        place = new_place()
        code, _, err = place.run("restore", tmp_path / name)
        assert code == 1 and "use another backup" in err
        assert not place.data.exists() and place.dump() == {}
        assert run_command("backup", "--verify", tmp_path / name)[0] == 1


@pytest.mark.slow
def test_a_database_in_use_is_refused_and_stays_as_it_is(
    kept: tuple[Place, Path], new_place: Any
) -> None:
    place = new_place()
    place.answer("exclusion", "add", "theirs.top")
    before = place.dump()
    code, _, err = place.run("restore", kept[1])
    assert code == 1 and "the secrets of another hub" in err
    (place.data / "secrets.json").unlink()
    code, _, err = place.run("restore", kept[1])
    assert code == 1 and "is not empty" in err and "--data" in err
    assert place.dump() == before and not (place.data / "secrets.json").exists()


@pytest.mark.slow
def test_a_half_restored_database_is_refused_until_the_restore_is_run_again(
    kept: tuple[Place, Path], new_place: Any, tmp_path: Path
) -> None:
    place = new_place()
    with MongoClient[dict[str, Any]](place.uri) as client:
        client[place.database].schema.insert_one({"_id": "restore", "name": "killed"})
        client[place.database].entry_batches.insert_one({"_id": "of the killed one"})
    place.data.mkdir()
    shutil.copy(kept[0].data / "secrets.json", place.data)
    for words in (("collection", "list"), ("migrate",), ("backup", tmp_path / "y.tar")):
        code, _, err = place.run(*words)
        assert code == 3 and "half restored" in err and "run it again" in err
    place.answer("restore", kept[1])
    assert "of the killed one" not in [each["_id"] for each in place.dump()["entry_batches"]]
    assert {each["alias"] for each in place.answer("collection", "list")} >= {"green", "inbox"}


@pytest.mark.slow
def test_a_restore_that_was_killed_before_it_had_a_database_lets_no_new_hub_be_made(
    kept: tuple[Place, Path], new_place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place()

    def copy_and_fail(*_: Any) -> Any:
        shutil.copytree(place.data, place.data.with_name("killed"))
        raise RuntimeError

    with monkeypatch.context() as failing:
        failing.setattr("tocsin.server.cli.backup._open_empty", copy_and_fail)
        with pytest.raises(RuntimeError):
            restore(place.settings, RestoreOrder(kept[1]))
    assert not place.data.exists()
    place.data = place.data.with_name("killed")
    code, _, err = place.run("partner", "add", "acme", "--name", "ACME")
    assert code == 3 and "half restored" in err and "run it again" in err
    assert not (place.data / "secrets.json").exists() and place.dump() == {}
    place.answer("restore", kept[1])
    assert {each["alias"] for each in place.answer("collection", "list")} >= {"green", "inbox"}


def test_a_restore_that_fails_leaves_no_trace(
    kept: tuple[Place, Path], new_place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place()
    monkeypatch.setattr("tocsin.server.store.schema.INDEXES", {"schema": (), "clock": ()})
    code, _, err = place.run("restore", kept[1])
    assert code == 1 and "it is of no hub" in err
    assert place.dump() == {} and not place.data.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("change", "code"), [(1, 3), (-1, 0)])
def test_a_newer_schema_is_refused_and_an_older_one_is_migrated(
    kept: tuple[Place, Path], new_place: Any, tmp_path: Path, change: int, code: int
) -> None:
    old = new_place()
    old.answer("exclusion", "add", "theirs.top")
    version = SCHEMA_VERSION + min(change, 0)
    with MongoClient[dict[str, Any]](old.uri) as client:
        client[old.database].schema.update_one({}, {"$set": {"version": version}})
    with pytest.MonkeyPatch.context() as patch:
        if change > 0:
            patch.setattr("tocsin.server.store.schema.SCHEMA_VERSION", version + 1)
            with MongoClient[dict[str, Any]](old.uri) as client:
                client[old.database].schema.update_one({}, {"$set": {"version": version + 1}})
        old.answer("backup", tmp_path / "x.tar")
    new = new_place()
    found, _, err = new.run("restore", tmp_path / "x.tar")
    assert found == code, err
    if code:
        assert "newer than this program's" in err and new.dump() == {}
    else:
        assert new.answer("exclusion", "list")[0]["value"] == "theirs.top"
        [stored] = (each for each in new.dump()["schema"] if each["_id"] == "version")
        assert stored["version"] == SCHEMA_VERSION


EVIL, LATER = "evil-portal.top", "later-portal.top"


@pytest.fixture(scope="module")
def lost(
    kept: tuple[Place, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Place, Path, Path]:
    """A hub that went on after its backup; the backup, and an export of its journal."""
    folder = tmp_path_factory.mktemp("lost")
    place = Place(kept[0].uri, folder / "data", f"test_{uuid.uuid4().hex}")
    file, journal = folder / "x.tar", folder / "journal.jsonl"
    place.answer("partner", "add", "acme", "--name", "ACME", "--write", "inbox")
    place.push(indicator(EVIL), indicator("bad.top"))
    place.answer("backup", file)
    place.push(indicator(LATER))
    for value in (EVIL, LATER):
        place.answer("object", "purge", value, "--reason", "asked to")
    place.answer("exclusion", "add", "ours.top", "bad.top", "--reason", "ours")
    place.answer("exclusion", "remove", "ours.top")
    [key] = place.answer("key", "list", "acme")
    place.answer("key", "revoke", "acme", key["id"])
    place.answer("partner", "change", "acme", "--disable")
    journal.write_text(place.run("journal", "export", json_=False)[1])
    return place, file, journal


@pytest.mark.slow
def test_what_was_ended_after_the_backup_is_repeated(
    lost: tuple[Place, Path, Path], new_place: Any
) -> None:
    _, file, journal = lost
    new = new_place()
    _, out, err = new.run("restore", file, "--journal", journal, "--as", "jane")
    done = json.loads(out)
    assert (done["repeated"], done["without_effect"]) == (7, 0)
    assert f"look at these entries of {journal}" in err
    assert [line.split()[3] for line in err.splitlines() if line.startswith("     ")] == [
        "object.purge"
    ]
    looked_at = [json.loads(line) for line in journal.read_text().splitlines()]
    acts = [each["act"] for each in looked_at if each["sequence"] in done["look_at"]]
    assert acts == ["object.purge"] and done["locked_out"] == []
    purged = [each for each in new.dump()["public_objects"] if each["ended"] == "purged"]
    assert len(purged) == 2 and EVIL not in str(new.dump()["entry_batches"])
    assert [each["value"] for each in new.answer("exclusion", "list")] == ["bad.top"]
    assert new.answer("key", "list", "acme") == []
    assert new.answer("partner", "show", "acme")["accounts"][0]["disabled"] is True
    assert new.answer("journal", "list", "--act", "object.purge", "--who", "jane")
    assert new.answer("journal", "verify")["valid"] is True


@pytest.mark.slow
def test_a_journal_that_ends_before_the_backup_is_said_to_repeat_nothing(
    lost: tuple[Place, Path, Path], new_place: Any, tmp_path: Path
) -> None:
    """The operator would take purges for repeated that are undone."""
    _, file, journal = lost
    old = tmp_path / "old.jsonl"
    old.write_text(journal.read_text().splitlines(keepends=True)[0])
    code, _, err = new_place().run("restore", file, "--journal", old)
    assert code == 0 and "old.jsonl has no entry after number" in err
    assert "do again what must hold: purges" in err and "is ended again" not in err


@pytest.mark.slow
def test_a_restore_that_is_killed_before_the_acts_are_repeated_is_half_done(
    lost: tuple[Place, Path, Path], new_place: Any
) -> None:
    """A hub that starts then would publish again what was purged or revoked."""
    _, file, journal = lost
    new = new_place()
    words = (str(file), "--data", str(new.data), "--mongo-uri", new.uri)
    program = "import os, sys\nfrom tocsin.server.cli import backup, main\n"
    program += "backup.repeat_acts = lambda *_: os._exit(9)\nmain.main(sys.argv[1:])"
    killed = subprocess.run(
        [sys.executable, "-c", program, "restore", *words, "--journal", str(journal)],
        env={**os.environ, "TOCSIN_DATABASE": new.database},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == 9 and "is ended again" not in killed.stderr, killed.stderr
    assert EVIL in str(new.dump()["entry_batches"])
    for command in (("serve", "--port", "0"), ("collection", "list")):
        code, _, err = new.run(*command, json_=False)
        assert code == 3 and "half restored" in err and "--journal" in err
    done = new.answer("restore", file, "--journal", journal)
    assert done["repeated"] == 7 and EVIL not in str(new.dump()["entry_batches"])
    assert {each["alias"] for each in new.answer("collection", "list")} >= {"green", "inbox"}


@pytest.mark.slow
def test_a_restore_whose_acts_cannot_be_repeated_leaves_no_trace(
    lost: tuple[Place, Path, Path], new_place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise Unavailable("the database is away")

    new = new_place()
    monkeypatch.setattr("tocsin.server.cli.backup.repeat_acts", fail)
    code, _, err = new.run("restore", lost[1], "--journal", lost[2])
    assert code == 3 and "is away" in err and "is ended again" not in err
    assert new.dump() == {} and not new.data.exists()


REVOKED, PURGED, KEPT = "alarm.top", "victim.top", "still-bad.top"


@pytest.mark.slow
def test_what_was_revoked_or_purged_stays_so_when_partners_push_again(
    kept: tuple[Place, Path], new_place: Any, tmp_path: Path
) -> None:
    old, new = new_place(), new_place()
    pushed = [indicator(value) for value in (REVOKED, PURGED, KEPT)]
    old.answer("partner", "add", "acme", "--name", "ACME", "--read", "green", "--write", "inbox")
    old.answer("backup", tmp_path / "x.tar")
    old.push(*pushed)
    old.answer("object", "revoke", REVOKED, "--reason", "false alarm")
    [ended] = old.answer("journal", "list", "--act", "object.revoke")
    old.answer("object", "purge", PURGED, "--reason", "names a victim")
    (tmp_path / "j.jsonl").write_text(old.run("journal", "export", json_=False)[1])

    done = new.answer("restore", tmp_path / "x.tar", "--journal", tmp_path / "j.jsonl")
    assert (done["repeated"], done["without_effect"], len(done["look_at"])) == (2, 0, 1)
    new.answer("backup", tmp_path / "y.tar")
    assert new.push(*pushed) == ["held", "held", "admitted"]
    assert new.patterns() == [pushed[-1]["pattern"]]
    code, _, err = new.run("object", "revoke", ended["what"]["public"], "--reason", "again")
    assert code == 1 and "has been revoked already" in err


@pytest.mark.slow
def test_nobody_signs_in_as_before_what_ended_their_right(
    kept: tuple[Place, Path], new_place: Any, tmp_path: Path
) -> None:
    old, new = new_place(), new_place()
    logins = [f"{name}@hub.example" for name in ("boss", "gone", "locked", "robbed")]
    old.answer("exclusion", "add", "ours.top")
    for login in logins:
        link = old.answer("person", "invite", login, "--role", "operator")["link"]
        with old.opened() as hub:
            hub.services.people.accept(link.rpartition("/")[2], "", "A Person", PASSWORD)
    old.answer("backup", tmp_path / "x.tar")
    old.answer("person", "remove", logins[1])
    old.answer("person", "disable", logins[2])
    with old.opened() as hub:
        people = hub.services.people
        stay = people.sign_in(Attempt(logins[3], PASSWORD, "", "192.0.2.1"))
        people.change_password(stay.person, stay.session, PASSWORD, "another long pass phrase")
    (tmp_path / "j.jsonl").write_text(old.run("journal", "export", json_=False)[1])

    words = ("restore", tmp_path / "x.tar", "--journal", tmp_path / "j.jsonl")
    code, out, err = new.run(*words)
    done = json.loads(out)
    assert code == 0 and done["locked_out"] == [logins[3]] and logins[3] in err
    assert (done["repeated"], done["look_at"], "look at these" in err) == (3, [], False)
    assert [login for login in logins if new.can_sign_in(login)] == logins[:1]
    link = new.answer("person", "invite", logins[3], "--role", "operator")["link"]
    with new.opened() as hub:
        hub.services.people.accept(link.rpartition("/")[2], "", "A Person", PASSWORD)
    assert new.can_sign_in(logins[3])


def test_without_a_journal_the_message_says_what_to_repeat(
    lost: tuple[Place, Path, Path], new_place: Any
) -> None:
    new = new_place()
    code, _, err = new.run("restore", lost[1])
    assert code == 0 and "do again what must hold: purges" in err
    assert [each for each in new.dump()["public_objects"] if each["ended"] == "purged"] == []


@pytest.mark.parametrize("change", ["another hub", "a gap", "no journal"])
def test_a_journal_that_does_not_continue_the_backup_is_refused(
    kept: tuple[Place, Path],
    lost: tuple[Place, Path, Path],
    new_place: Any,
    tmp_path: Path,
    change: str,
) -> None:
    file, journal = lost[1], tmp_path / "journal.jsonl"
    lines = lost[2].read_text().splitlines(keepends=True)
    if change == "another hub":
        file = kept[1]
    journal.write_text("".join({"a gap": [*lines[:-3], *lines[-2:]]}.get(change, lines)))
    if change == "no journal":
        journal.write_text('{"sequence": 1}')
    new = new_place()
    code, _, err = new.run("restore", file, "--journal", journal)
    assert code == 1 and ("does not continue" in err or "line 1 is not an entry" in err)
    assert new.dump() == {} and not new.data.exists()


@pytest.mark.slow
def test_what_was_served_after_the_backup_is_noted_as_unknown(
    kept: tuple[Place, Path], new_place: Any
) -> None:
    place = new_place()
    restored = place.answer("restore", kept[1])
    [gap] = (each for each in place.dump()["delivery_marks"] if each["until"])
    assert gap["dead"] and gap["until"] > gap["written"]
    assert restored["created"] <= place.answer("journal", "list", "--act", "restore")[0]["at"]
