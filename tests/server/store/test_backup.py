"""A backup is of one moment, whatever is written while it is made."""

import io
from pathlib import Path
from typing import Any

import bson
import pytest
from bson.max_key import MaxKey
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect
from support.hub import HubInProcess, indicator

from tocsin.admission.errors import Unavailable
from tocsin.server.store import Store, backup
from tocsin.server.store.archive import ArchiveReader, ArchiveWriter
from tocsin.server.store.backup import failures_explained
from tocsin.server.store.schema import INDEXES

Documents = dict[str, dict[str, Any]]


def dump(store: Store) -> Documents:
    """All documents of the hub's collections, by their id."""
    return {name: {str(d["_id"]): d for d in store._base[name].find()} for name in INDEXES}


def back_up(store: Store, happens: Any = None) -> Documents:
    """The documents of a backup; `happens` is called whenever a part of it was read."""
    file = io.BytesIO()
    archive = ArchiveWriter(file)
    manifest = store.backups.write(archive, b"{}", "0", lambda *_: happens and happens())
    archive.finish(manifest)
    found: Documents = {name: {} for name in INDEXES}
    for part in ArchiveReader(file, "x").parts():
        for each in map(bson.decode, part.documents):
            assert str(each["_id"]) not in found[part.collection], "a document comes twice"
            found[part.collection][str(each["_id"])] = each
    assert manifest.documents == {name: len(documents) for name, documents in found.items()}
    return found


@pytest.mark.slow
def test_everything_is_in_it(hub: HubInProcess) -> None:
    for number in range(3):
        hub.push(*(indicator(f"a{number}-{each}.top") for each in range(70)))
    hub.push(indicator("held.top", labels=["x"]), to="scratch")
    assert back_up(hub.store) == dump(hub.store)


@pytest.mark.slow
def test_what_is_written_while_it_is_made_is_not_in_it(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"), indicator("two.top"))
    before, count = dump(hub.store), 0

    def write() -> None:
        nonlocal count
        count += 1
        hub.push(indicator(f"later{count}.top"), indicator("one.top", confidence=count % 90))

    assert back_up(hub.store, write) == before
    assert count > 10 and dump(hub.store) != before


@pytest.mark.slow
def test_a_public_object_that_nothing_names_is_in_it(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))
    public = hub.store._base.public_objects.find_one({})
    assert public is not None
    hub.store._base.public_objects.insert_one(public | {"_id": "indicator--lost"})
    assert back_up(hub.store) == dump(hub.store)


@pytest.mark.slow
def test_no_cursor_stays_at_a_page_that_others_write_into(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(*(indicator(f"a{each}.top") for each in range(150)))
    asked: list[str] = []
    find, find_raw = Collection.find, backup._find_raw

    def note_read(base: Any, name: str, *more: Any) -> Any:
        asked.append("read")
        return find_raw(base, name, *more)

    def note_look_up(documents: Collection[Any], wanted: Any = None, *more: Any, **by: Any) -> Any:
        if MaxKey() in wanted.values():
            asked.append(f"{documents.name} {next(iter(wanted))}")
        return find(documents, wanted, *more, **by)

    monkeypatch.setattr(backup, "_find_raw", note_read)
    monkeypatch.setattr(Collection, "find", note_look_up)
    back_up(hub.store)
    once = ["read", "verdicts uncounted", "verdicts _id"]
    assert asked == once * (len(asked) // 3) and len(asked) > 3 * len(INDEXES)


def test_the_look_ups_that_leave_no_cursor_lead_beyond_the_last_index(hub: HubInProcess) -> None:
    base = hub.store._base
    names = {(c, i) for c in base.list_collection_names() for i in base[c].index_information()}
    assert max(each for each in names if each[1] != "_id_") == ("verdicts", "uncounted_1")
    plan = base.verdicts.find({"uncounted": MaxKey()}).explain()["queryPlanner"]["winningPlan"]
    assert "uncounted_1" in str(plan)


@pytest.mark.slow
def test_on_a_mongodb_whole_collections_are_read_in_a_snapshot_session(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.push(*(indicator(f"a{each}.top") for each in range(150)))
    monkeypatch.setattr(backup, "is_embedded", lambda client: False)
    assert back_up(hub.store) == dump(hub.store)


def test_a_snapshot_that_the_database_ends_is_reported(hub: HubInProcess) -> None:
    hub.push(indicator("one.top"))

    def end_transactions() -> None:
        client: MongoClient[Any] = hub.store._client
        client.admin.command("killAllSessions", [])

    with pytest.raises(Unavailable, match="try again"):
        back_up(hub.store, end_transactions)


def test_the_first_error_of_a_restore_survives_a_database_that_cannot_be_emptied() -> None:
    gone = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"
    with MongoClient[dict[str, Any]](gone) as client:
        backups = backup.Backups(client, client.tocsin, lambda: 0)
        with pytest.raises(Unavailable, match="no room"), backups.undone_if_it_fails():
            raise Unavailable("no room")


@pytest.mark.parametrize("error", [AutoReconnect("gone"), Unavailable("gone"), OSError("gone")])
def test_a_restore_that_fails_on_a_full_disk_says_so(error: Exception) -> None:
    nothing_is_free = Path("/proc")
    with (
        pytest.raises(Unavailable, match="the disk of /proc is full"),
        failures_explained(nothing_is_free),
    ):
        raise error


def test_a_restore_that_fails_on_a_disk_with_room_does_not_blame_it(tmp_path: Path) -> None:
    with (
        pytest.raises(Unavailable, match="could not restore the backup: AutoReconnect"),
        failures_explained(tmp_path),
    ):
        raise AutoReconnect("gone")
