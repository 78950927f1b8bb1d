"""The cache: built once, stored in the user's cache folder, never trusted blindly."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tocsin.config.cache import cache_folder, load_or_build


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tocsin"


class Builder:
    def __init__(self) -> None:
        self.builds = 0

    def __call__(self) -> Any:
        self.builds += 1
        return b"made %d" % self.builds


def request(make: Any, times: Any = 1, name: Any = "kind-1") -> Any:
    """Return the last result after `times` requests, and the number of builds."""
    found = [bytes(load_or_build(name, make)) for _ in range(times)]
    return found[-1], make.builds


class TestCachedData:
    def test_cached_data_is_built_once(self, folder: Any) -> None:
        assert request(Builder(), times=3) == (b"made 1", 1)

    def test_data_of_another_name_is_built_separately(self, folder: Any) -> None:
        make = Builder()
        load_or_build("kind-1", make)
        assert bytes(load_or_build("kind-2", make)) == b"made 2"

    def test_cache_files_are_readable_by_their_owner_only(self, folder: Any) -> None:
        load_or_build("kind-1", Builder())
        (file,) = folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_only_the_newest_files_of_a_kind_are_kept(self, folder: Any) -> None:
        for number in range(9):
            load_or_build(f"kind-{number}", Builder())
            os.utime(folder / f"kind-{number}.bin", (number, number))
        load_or_build("other-1", Builder())
        assert {file.name for file in folder.iterdir()} == {
            *(f"kind-{number}.bin" for number in (5, 6, 7, 8)),
            "other-1.bin",
        }

    @pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs Linux")
    def test_cached_data_is_mapped_into_shared_memory(self, folder: Any) -> None:
        load_or_build("kind-1", lambda: bytes(1_000_000))
        done = subprocess.run(
            [
                *(sys.executable, "-c"),
                "from tocsin.config.cache import load_or_build\n"
                "view = load_or_build('kind-1', lambda: 1 / 0)\n"
                "assert view.readonly and not any(view)\n"
                "print('kind-1.bin' in open('/proc/self/maps').read())",
            ],
            env={**os.environ, "XDG_CACHE_HOME": str(folder.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "True\n"


class TestUntrustedFiles:
    @pytest.mark.parametrize("spoil", ["cut", "changed", "empty"])
    def test_a_damaged_file_is_rebuilt_and_replaced(
        self, folder: Any, spoil: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        make = Builder()
        load_or_build("kind-1", make)
        file = folder / "kind-1.bin"
        whole = file.read_bytes()
        file.write_bytes({"cut": whole[:-1], "changed": b"x" + whole[1:], "empty": b""}[spoil])
        assert request(make, times=2) == (b"made 2", 2)
        assert "it is incomplete or damaged" in caplog.text

    def test_a_file_that_other_users_can_write_is_rebuilt(
        self, folder: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        make = Builder()
        load_or_build("kind-1", make)
        (folder / "kind-1.bin").chmod(0o666)
        assert request(make) == (b"made 2", 2)
        assert "other users can write it" in caplog.text

    def test_a_symbolic_link_is_not_followed(self, folder: Any, tmp_path: Path) -> None:
        make = Builder()
        load_or_build("kind-1", make)
        os.rename(folder / "kind-1.bin", tmp_path / "elsewhere")
        (folder / "kind-1.bin").symlink_to(tmp_path / "elsewhere")
        assert request(make) == (b"made 2", 2)
        assert (tmp_path / "elsewhere").read_bytes().startswith(b"made 1")

    def test_a_named_pipe_does_not_block(self, folder: Any) -> None:
        folder.mkdir(parents=True)
        os.mkfifo(folder / "kind-1.bin")
        assert request(Builder(), times=2) == (b"made 1", 1)


class TestAWriteThatIsKilled:
    KILLED = (
        "import os, signal\n"
        "from tocsin.config import cache\n"
        "cache._digest = lambda content: os.kill(os.getpid(), signal.SIGKILL)\n"
        "cache.load_or_build('kind-1', lambda: bytes(1_000_000))\n"
    )

    def left(self, folder: Any, age: Any) -> Any:
        """The file that a program left which was killed `age` seconds ago."""
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent)}
        subprocess.run([sys.executable, "-c", self.KILLED], env=environment)
        (file,) = folder.iterdir()
        then = time.time() - age
        os.utime(file, (then, then))
        return file

    def test_a_half_written_file_is_removed_by_the_next_program(self, folder: Any) -> None:
        file = self.left(folder, age=61)
        load_or_build("kind-1", Builder())
        assert [each.name for each in folder.iterdir()] == ["kind-1.bin"] != [file.name]

    def test_a_half_written_file_is_removed_by_a_program_that_only_reads(self, folder: Any) -> None:
        file = self.left(folder, age=61)
        load_or_build("kind-1", Builder())
        (folder / file.name).touch()
        os.utime(folder / file.name, (0, 0))
        assert request(Builder())[1] == 0
        assert not (folder / file.name).exists()

    def test_a_write_in_progress_is_left_alone(self, folder: Any) -> None:
        file = self.left(folder, age=30)
        load_or_build("kind-1", Builder())
        assert file.exists()

    def test_files_of_other_programs_stay(self, folder: Any) -> None:
        folder.mkdir(parents=True)
        (folder / "mine.txt").touch()
        os.utime(folder / "mine.txt", (0, 0))
        load_or_build("kind-1", Builder())
        assert (folder / "mine.txt").exists()


class TestWithoutACacheFolder:
    def test_data_is_built_each_time(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert request(Builder(), times=2) == (b"made 2", 2)

    def test_no_home_means_no_cache_folder(self) -> None:
        assert cache_folder({}) is None
        assert cache_folder({"XDG_CACHE_HOME": "relative"}) is None
        assert str(cache_folder({"HOME": "/home/x"})) == "/home/x/.cache/tocsin"
