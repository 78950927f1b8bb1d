"""`tocsin push --watch`: which files of a folder are taken, and where they go."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.clients.watch import FAILED, SENT, UnusableFolder, WatchedFolder

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path)


def names(folder: WatchedFolder) -> list[str]:
    return [file.name for file in folder.list_complete()]


def test_a_file_is_complete_once_it_no_longer_grows(tmp_path: Path, folder: WatchedFolder) -> None:
    (tmp_path / "a.txt").write_text("evil")
    assert names(folder) == []
    (tmp_path / "a.txt").write_text("evil.top")
    assert names(folder) == []
    assert names(folder) == ["a.txt"]


def test_the_oldest_file_comes_first(tmp_path: Path, folder: WatchedFolder) -> None:
    for age, name in enumerate(("new.txt", "old.txt")):
        (tmp_path / name).write_text("evil.top")
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    folder.list_complete()
    assert names(folder) == ["old.txt", "new.txt"]


@pytest.mark.parametrize("name", [".hidden", "a.tmp", "a.part", "a.txt~", ".a.txt.swp"])
def test_files_that_others_still_write_are_left_alone(
    tmp_path: Path, folder: WatchedFolder, name: str
) -> None:
    (tmp_path / name).write_text("evil.top")
    folder.list_complete()
    assert names(folder) == []


def test_links_folders_pipes_and_empty_files_are_left_alone(
    tmp_path: Path, folder: WatchedFolder
) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "secret.txt").write_text("evil.top")
    (tmp_path / "link.txt").symlink_to(tmp_path / "target" / "secret.txt")
    (tmp_path / "empty.txt").touch()
    os.mkfifo(tmp_path / "pipe.txt")
    folder.list_complete()
    assert names(folder) == []


def test_a_file_that_was_sent_moves_and_replaces_no_other(
    tmp_path: Path, folder: WatchedFolder
) -> None:
    for text in ("one", "two", "three"):
        (tmp_path / "a.txt").write_text(text)
        assert folder.finish(tmp_path / "a.txt", SENT) == ""
    found = sorted((tmp_path / SENT).iterdir())
    assert {file.name: file.read_text() for file in found} == {
        **{"a.txt": "one", "a-1.txt": "two", "a-2.txt": "three"}
    }
    assert not (tmp_path / "a.txt").exists()


def test_a_file_that_cannot_be_moved_is_not_sent_again_and_again(
    tmp_path: Path, folder: WatchedFolder
) -> None:
    (tmp_path / "a.txt").write_text("evil.top")
    folder.list_complete()
    [file] = folder.list_complete()
    (tmp_path / FAILED).rmdir()
    (tmp_path / FAILED).write_text("in the way")
    assert folder.finish(file, FAILED)
    assert names(folder) == []
    file.write_text("evil.top and bad.top")
    folder.list_complete()
    assert "a.txt" in names(folder)


def test_a_folder_that_is_missing_or_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnusableFolder, match="No such file"):
        WatchedFolder(tmp_path / "nosuch")
    (tmp_path / "sub").mkdir()
    folder = WatchedFolder(tmp_path / "sub")
    for each in (SENT, FAILED, ""):
        (tmp_path / "sub" / each).rmdir()
    with pytest.raises(UnusableFolder):
        folder.list_complete()


def test_a_folder_for_sent_files_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / SENT).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnusableFolder, match="is a link"):
        WatchedFolder(tmp_path)


def test_files_and_watch_together_are_wrong_usage(tocsin: Run, tmp_path: Path) -> None:
    assert tocsin("push", "a.txt", "--watch", ".", "--to", "inbox")[0] == 2
    assert tocsin("push", "--to", "inbox")[0] == 2
