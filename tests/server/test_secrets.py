"""The secrets file of a hub is never made anew beside what was made with it."""

import stat
import subprocess
from pathlib import Path

import pytest
from pymongo import MongoClient
from support.processes import BIN, make_data, run_command

from tocsin.admission.errors import Malformed, NotFound, Unprocessable
from tocsin.server.secrets import load_secrets, read_secrets


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "{}", "[]", "7", '{"namespace": 7, "cursor_key": "aa"}'),
        '{"namespace": "00000000-0000-0000-0000-000000000007", "cursor_key": ""}',
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    load_secrets(tmp_path)
    (tmp_path / "secrets.json").write_text(content)
    with pytest.raises(Malformed, match=r"secrets\.json is damaged: put it back from a backup"):
        load_secrets(tmp_path)


def test_a_file_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    load_secrets(tmp_path)
    (tmp_path / "secrets.json").chmod(0o644)
    tmp_path.chmod(0o755)
    with pytest.raises(Unprocessable, match="run chmod 600 on it"):
        load_secrets(tmp_path)
    tmp_path.chmod(0o700)  # nobody else reaches it
    load_secrets(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("serve", "--port", "0"), ("partner", "list")])
def test_a_file_that_everybody_can_read_is_refused_before_the_directory_is_closed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    load_secrets(tmp_path)
    (tmp_path / "secrets.json").chmod(0o644)
    tmp_path.chmod(0o755)
    line: list[str | Path] = [BIN / "tocsin-hub", *command, "--data", tmp_path]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1 and "run chmod 600 on it" in ended.stderr
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert [each.name for each in tmp_path.iterdir()] == ["secrets.json"]


def test_reading_makes_no_secrets(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no hub in"):
        read_secrets(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("words", [("partner", "list"), ("exclusion", "add", "ours.top")])
def test_an_embedded_database_without_its_secrets_gets_no_new_ones(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    make_data(tmp_path / "data")
    (tmp_path / "data" / "secrets.json").unlink()
    code, _, err = run_command(*words, "--data", tmp_path / "data")
    assert code == 1 and "has no secrets.json" in err and "from a backup" in err
    assert not (tmp_path / "data" / "secrets.json").exists()


@pytest.mark.slow
def test_a_database_elsewhere_without_its_secrets_gets_no_new_ones(
    engine_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE", "test_secrets")
    place = ("--mongo-uri", engine_uri, "--data", tmp_path)
    assert run_command("exclusion", "add", "ours.top", *place)[0] == 0
    (tmp_path / "secrets.json").unlink()
    code, _, err = run_command("exclusion", "add", "theirs.top", *place)
    with MongoClient[dict[str, object]](engine_uri) as client:
        client.drop_database("test_secrets")
    assert code == 1 and "put secrets.json back" in err and list(tmp_path.iterdir()) == []
