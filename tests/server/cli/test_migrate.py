"""`tocsin-hub migrate`, against the database of this session."""

import importlib.util
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from support.processes import make_data

from tocsin.config.settings import HubSettings
from tocsin.server.cli.main import main
from tocsin.server.store.embedded import Engine
from tocsin.server.store.schema import SCHEMA_VERSION


@pytest.mark.slow
def test_a_current_database_stays_as_it_is(
    engine_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE", f"test_{uuid.uuid4().hex}")
    place = ("--mongo-uri", engine_uri, "--data", str(tmp_path / "data"), "--json")
    assert main(["exclusion", "add", "ours-portal.top", *place]) == 0
    capsys.readouterr()
    assert main(["migrate", *place]) == 0
    versions = {"from_version": SCHEMA_VERSION, "to_version": SCHEMA_VERSION}
    out, err = capsys.readouterr()
    assert json.loads(out) == versions
    assert err == "tocsin-hub: the schema is current; nothing was changed\n"


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_folder_without_a_hub_is_refused_and_stays_empty(
    words: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["migrate", "--data", str(tmp_path / "none"), *words]) == 1
    assert "has no hub; name its data directory with --data" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("x")
    assert main(["migrate", "--data", str(tmp_path)]) == 1
    assert "has no hub" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.slow
def test_a_migration_is_in_the_journal_with_its_person(
    engine_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = f"test_{uuid.uuid4().hex}"
    monkeypatch.setenv("TOCSIN_DATABASE", name)
    place = ("--mongo-uri", engine_uri, "--data", str(tmp_path / "data"), "--json")
    assert main(["exclusion", "add", "ours-portal.top", *place]) == 0
    with MongoClient[dict[str, Any]](engine_uri) as client:
        client[name].schema.update_one({}, {"$set": {"version": 1}})
    assert main(["journal", "list", *place]) == 3
    capsys.readouterr()
    assert main(["migrate", "--as", "mary", *place]) == 0
    capsys.readouterr()
    assert main(["journal", "list", "--act", "migrate", *place]) == 0
    [entry] = json.loads(capsys.readouterr().out)
    assert (entry["who"], entry["what"]["from_version"]) == ("operator:mary", 1)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("secantus") is None, reason="no embedded engine")
def test_an_older_database_stays_as_it_is_while_a_hub_uses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    make_data(data)
    engine = Engine.start(data, print)
    try:
        engine.announce()
        with MongoClient[dict[str, Any]](engine.uri) as client:
            schema = client[HubSettings().database].schema
            schema.update_one({"_id": "version"}, {"$set": {"version": 1}})
            assert main(["migrate", "--data", str(data)]) == 3
            assert schema.find_one({"_id": "version"}) == {"_id": "version", "version": 1}
    finally:
        engine.stop()
    assert f"another hub is using {data}: stop it" in capsys.readouterr().err
    assert main(["migrate", "--data", str(data)]) == 0
