"""A file that a command writes is whole, or not there."""

import errno
from pathlib import Path

import pytest
from support.hub import HUB_SECRETS, HubInProcess

from tocsin.admission.errors import Conflict, NotFound
from tocsin.config.settings import HubSettings
from tocsin.server.cli.new_file import new_file
from tocsin.server.cli.partner import export_partner
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store


def test_a_file_on_a_full_disk_leaves_nothing_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError) as found, new_file(tmp_path / "x") as file:
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert found.value.filename == str(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_of_a_file_in_a_folder_that_is_missing_it_says_to_create_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "none", tmp_path / "file"):
        message = f"the folder {folder} does not exist: create it, or name another file"
        with pytest.raises(NotFound, match=message), new_file(folder / "x"):
            pass


def test_a_file_has_its_name_once_it_is_complete(tmp_path: Path) -> None:
    with new_file(tmp_path / "x") as file:
        file.write(b"whole")
        assert [each.name for each in tmp_path.iterdir()] == ["x.partial"]
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict, match="exists already"), new_file(tmp_path / "x"):
        pass


def test_what_a_killed_export_left_is_replaced(store: Store, tmp_path: Path) -> None:
    services = HubInProcess(store).services
    hub = Runtime(HubSettings(), HUB_SECRETS, services)
    (tmp_path / "acme.jsonl.partial").write_text("half of")
    answer = export_partner(hub, "acme", tmp_path / "acme.jsonl")
    assert [each.name for each in tmp_path.iterdir()] == ["acme.jsonl"]
    assert len((tmp_path / "acme.jsonl").read_text().splitlines()) == answer["lines"]
