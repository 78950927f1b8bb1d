"""Warning lists as an operator loads them."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.processes import HubProcess, indicators
from support.warning_lists import write_misp_lists

from tocsin.config.settings import HubSettings
from tocsin.server.cli.main import main
from tocsin.server.runtime import open_runtime
from tocsin.server.services import warning_lists_file


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a hub."""
    folder = tmp_path_factory.mktemp("hub") / "data"
    with open_runtime(HubSettings(data=folder), lambda text: None):
        return folder


@pytest.fixture(autouse=True)
def in_its_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_DATA", str(data))


def answer(capsys: Any, *words: str) -> Any:
    capsys.readouterr()
    assert main(["warninglist", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_lists_are_loaded_applied_listed_and_reset(data: Path, tmp_path: Path, capsys: Any) -> None:
    shipped = answer(capsys, "list")
    assert {"cisco_top20k", "google", "shodan-scanning"} <= {each["name"] for each in shipped}
    source = write_misp_lists(tmp_path / "lists-of-may", {"google": ["search.example"]})
    loaded = answer(capsys, "load", str(source))
    assert (loaded["lists"], loaded["entries"]) == (1, 1) and "restart" in loaded["note"]
    (google,) = [each for each in answer(capsys, "list") if each["name"] == "google"]
    assert (google["version"], google["source"]) == (7, loaded["source"])
    with open_runtime(HubSettings(data=data), lambda text: None) as hub:
        actions = [each.action for each in hub.services.store.journal.entries()]
    assert "warninglist.load" in actions
    assert main(["warninglist", "list"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert max(map(len, table)) < 80 and len(table) == len(shipped) + 1
    assert [line.split()[-1] for line in table if line.startswith("google ")] == ["loaded"]
    assert table[-1].endswith("  shipped")
    assert "restart" in answer(capsys, "reset")["note"]
    assert answer(capsys, "list") == shipped
    assert answer(capsys, "reset")["note"] == "no lists were loaded"


@pytest.mark.slow
def test_lists_that_cannot_be_read_change_nothing(data: Path, tmp_path: Path, capsys: Any) -> None:
    good = write_misp_lists(tmp_path / "good", {"google": ["search.example"]})
    answer(capsys, "load", str(good))
    before = warning_lists_file(data).read_bytes()
    bad = write_misp_lists(tmp_path / "bad", {"google": {"name": "x"}})
    assert main(["warninglist", "load", str(bad)]) == 1
    assert "google: not a warning list" in capsys.readouterr().err
    assert warning_lists_file(data).read_bytes() == before
    answer(capsys, "reset")


@pytest.mark.slow
def test_a_damaged_file_stops_the_hub_with_its_name_and_the_remedy(data: Path, capsys: Any) -> None:
    file = warning_lists_file(data)
    file.write_bytes(b"junk")
    assert main(["warninglist", "list"]) == 2
    message = capsys.readouterr().err
    assert str(file) in message and "remove it" in message
    file.unlink()


@pytest.mark.slow
def test_a_hub_applies_loaded_lists_from_its_next_start_on(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "data")
    source = write_misp_lists(tmp_path / "lists", {"google": ["search.example.org"]})
    (subject,) = indicators(1)
    subject["pattern"] = "[domain-name:value = 'search.example.org']"
    try:
        hub.start()
        hub.join()
        hub.command("warninglist", "load", str(source))
        hub.stop()
        hub.start()
        status = hub.post([subject]).json()
    finally:
        hub.kill()
    assert status["failure_count"] == 1 and "List google" in status["failures"][0]["message"]
