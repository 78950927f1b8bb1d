"""State files of a poll: cursors are kept whole, or the old ones stay."""

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.taxii_servers import COLLECTION

from tocsin.admission.errors import Malformed
from tocsin.clients.files import UnusableFile
from tocsin.clients.state import Cursor, StateFile, cursor_key

CURSOR = Cursor(last=1_700_000_000_000_001, seen=frozenset({"a", "b"}), output="/x", size=7)


class TestStateFile:
    def test_a_saved_cursor_is_loaded_unchanged(self, tmp_path: Path) -> None:
        StateFile(tmp_path / "state").save("key", CURSOR)
        assert StateFile(tmp_path / "state").load("key") == CURSOR

    def test_one_state_file_holds_the_cursors_of_many_collections(self, tmp_path: Path) -> None:
        state = StateFile(tmp_path / "state")
        state.save("one", CURSOR)
        state.save("two", Cursor(last=5))
        assert (state.load("one"), state.load("two").last) == (CURSOR, 5)
        assert state.load("three") == Cursor()

    @pytest.mark.slow
    def test_two_polls_that_save_at_once_both_keep_their_cursors(self, tmp_path: Path) -> None:
        first, second = StateFile(tmp_path / "state"), StateFile(tmp_path / "state")
        with ThreadPoolExecutor() as pool:
            for number in range(100):
                saved = [
                    pool.submit(state.save, f"{state is first} {number}", CURSOR)
                    for state in (first, second)
                ]
                assert [each.result() for each in saved] == [None, None]
        content = json.loads((tmp_path / "state").read_text())
        assert len(content["cursors"]) == 200

    def test_each_collection_and_filter_has_its_own_cursor(self) -> None:
        filters = [{}, {"match[type]": "tool"}, {"match[id]": "tool"}]
        urls = ["https://a.example/root/collections/1/", "https://a.example/root/collections/2/"]
        assert len({cursor_key(url, query) for url in urls for query in filters}) == 6

    def test_a_collection_at_another_url_goes_on_from_its_cursor(self, tmp_path: Path) -> None:
        state = StateFile(tmp_path / "state")
        old, new = (
            f"{scheme}://hub/root/collections/{COLLECTION}/" for scheme in ("http", "https")
        )
        state.save(cursor_key(old, {}), CURSOR)
        state.save(cursor_key(old, {"match[type]": "tool"}), Cursor(last=5))
        assert state.load(cursor_key(new, {})) == CURSOR
        state.save(cursor_key(new, {}), Cursor(last=7))
        assert state.load(cursor_key(old, {})).last == 7
        assert state.load(cursor_key(old, {"match[type]": "tool"})).last == 5
        assert state.load(cursor_key(new.replace("/36", "/46"), {})) == Cursor()
        assert state.load(cursor_key(new.replace("//hub/", "//other/"), {})) == Cursor()

    @pytest.mark.parametrize(
        "damage", [b"", b"{", b"[]", b'{"tocsin_state": 99}', b"\xff", b"[" * 100_000]
    )
    def test_a_damaged_state_file_is_refused_and_not_changed(
        self, tmp_path: Path, damage: Any
    ) -> None:
        (tmp_path / "state").write_bytes(damage)
        with pytest.raises(Malformed, match="left as it is"):
            StateFile(tmp_path / "state").load("key")
        with pytest.raises(Malformed):
            StateFile(tmp_path / "state").save("key", CURSOR)
        assert (tmp_path / "state").read_bytes() == damage

    @pytest.mark.parametrize("entry", [{}, [], {"last": 5}, {"last": "x", "seen": []}])
    def test_an_incomplete_cursor_in_a_state_file_is_refused(
        self, tmp_path: Path, entry: Any
    ) -> None:
        content = {"tocsin_state": 1, "cursors": {"key": entry}}
        (tmp_path / "state").write_text(json.dumps(content))
        with pytest.raises(Malformed, match="incomplete"):
            StateFile(tmp_path / "state").load("key")

    def test_an_unwritable_state_file_raises_unusable_file(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableFile, match="cannot be written"):
            StateFile(tmp_path / "nosuch" / "state").save("key", CURSOR)

    @pytest.mark.parametrize(
        ("number", "is_saved"), [(errno.EIO, False), (errno.EINVAL, True), (errno.EBADF, True)]
    )
    def test_a_rename_that_the_disk_did_not_keep_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_saved: bool
    ) -> None:
        def sync(handle: int) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", sync)
        with nullcontext() if is_saved else pytest.raises(UnusableFile, match="Input/output error"):
            StateFile(tmp_path / "state").save("key", CURSOR)

    def test_saving_a_cursor_leaves_no_temporary_file(self, tmp_path: Path) -> None:
        StateFile(tmp_path / "state").save("key", CURSOR)
        assert os.listdir(tmp_path) == ["state"]

    def test_a_state_file_is_never_written_through_a_symbolic_link(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text('{"tocsin_state": 1, "cursors": {}}')
        before = (tmp_path / "precious").read_text()
        (tmp_path / "state").symlink_to("precious")
        state = StateFile(tmp_path / "state")
        with pytest.raises(UnusableFile, match="--state: .*symbolic link.*name the file itself"):
            state.check()
        with pytest.raises(UnusableFile, match="symbolic link"):
            state.save("key", CURSOR)
        assert (tmp_path / "precious").read_text() == before

    def test_a_state_file_is_for_its_owner_only(self, tmp_path: Path) -> None:
        StateFile(tmp_path / "state").save("key", CURSOR)
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600

    def test_only_temporary_files_of_killed_programs_are_removed(self, tmp_path: Path) -> None:
        names = [".state-backup", ".state-abcd1234.tmp", ".state-efgh5678.tmp"]
        for name in names:
            (tmp_path / name).touch()
            os.utime(tmp_path / name, (1, 1) if name != names[2] else None)
        StateFile(tmp_path / "state").check()
        assert sorted(os.listdir(tmp_path)) == [names[0], names[2]]
