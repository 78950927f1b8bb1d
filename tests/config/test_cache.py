"""What is made once and kept in the user's cache folder."""

import os
import stat
import subprocess
import sys
import time

import pytest

from tocsin.config.cache import cache_folder, kept


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tocsin"


class Maker:
    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return b"made %d" % self.asked


def asked(make, times=1, name="kind-1"):
    """What came of asking so often, and how often it had to be made."""
    found = [bytes(kept(name, make)) for _ in range(times)]
    return found[-1], make.asked


class TestWhatIsKept:
    def test_is_made_once(self, folder):
        assert asked(Maker(), times=3) == (b"made 1", 1)

    def test_is_made_anew_under_another_name(self, folder):
        make = Maker()
        kept("kind-1", make)
        assert bytes(kept("kind-2", make)) == b"made 2"

    def test_is_for_its_owner_only(self, folder):
        kept("kind-1", Maker())
        (file,) = folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_is_left_for_few_releases(self, folder):
        for number in range(9):
            kept(f"kind-{number}", Maker())
            os.utime(folder / f"kind-{number}.bin", (number, number))
        kept("other-1", Maker())
        assert {file.name for file in folder.iterdir()} == {
            *(f"kind-{number}.bin" for number in (5, 6, 7, 8)),
            "other-1.bin",
        }

    @pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs Linux")
    def test_lies_in_memory_that_processes_share(self, folder):
        kept("kind-1", lambda: bytes(1_000_000))
        told = subprocess.run(
            [
                *(sys.executable, "-c"),
                "from tocsin.config.cache import kept\n"
                "view = kept('kind-1', lambda: 1 / 0)\n"
                "assert view.readonly and not any(view)\n"
                "print('kind-1.bin' in open('/proc/self/maps').read())",
            ],
            env={**os.environ, "XDG_CACHE_HOME": str(folder.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout == "True\n"


class TestWhatIsNotTrusted:
    @pytest.mark.parametrize("spoil", ["cut", "changed", "empty"])
    def test_a_spoilt_file_is_made_anew_and_replaced(self, folder, spoil, caplog):
        make = Maker()
        kept("kind-1", make)
        file = folder / "kind-1.bin"
        whole = file.read_bytes()
        file.write_bytes({"cut": whole[:-1], "changed": b"x" + whole[1:], "empty": b""}[spoil])
        assert asked(make, times=2) == (b"made 2", 2)
        assert "it is not whole" in caplog.text

    def test_one_that_others_can_write(self, folder, caplog):
        make = Maker()
        kept("kind-1", make)
        (folder / "kind-1.bin").chmod(0o666)
        assert asked(make) == (b"made 2", 2)
        assert "others can write it" in caplog.text

    def test_a_link_to_elsewhere(self, folder, tmp_path):
        make = Maker()
        kept("kind-1", make)
        os.rename(folder / "kind-1.bin", tmp_path / "elsewhere")
        (folder / "kind-1.bin").symlink_to(tmp_path / "elsewhere")
        assert asked(make) == (b"made 2", 2)
        assert (tmp_path / "elsewhere").read_bytes().startswith(b"made 1")

    def test_a_pipe_that_never_answers(self, folder):
        folder.mkdir(parents=True)
        os.mkfifo(folder / "kind-1.bin")
        assert asked(Maker(), times=2) == (b"made 1", 1)


class TestAWriteThatIsKilled:
    KILLED = (
        "import os, signal\n"
        "from tocsin.config import cache\n"
        "cache._digest = lambda content: os.kill(os.getpid(), signal.SIGKILL)\n"
        "cache.kept('kind-1', lambda: bytes(1_000_000))\n"
    )

    def left(self, folder, age):
        """What a killed program left, so many seconds ago."""
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent)}
        subprocess.run([sys.executable, "-c", self.KILLED], env=environment)
        (file,) = folder.iterdir()
        then = time.time() - age
        os.utime(file, (then, then))
        return file

    def test_leaves_nothing_once_the_next_program_has_started(self, folder):
        file = self.left(folder, age=61)
        kept("kind-1", Maker())
        assert [each.name for each in folder.iterdir()] == ["kind-1.bin"] != [file.name]

    def test_even_if_there_is_nothing_to_write(self, folder):
        file = self.left(folder, age=61)
        kept("kind-1", Maker())
        (folder / file.name).touch()
        os.utime(folder / file.name, (0, 0))
        assert asked(Maker())[1] == 0
        assert not (folder / file.name).exists()

    def test_is_not_taken_for_one_that_is_in_progress(self, folder):
        file = self.left(folder, age=30)
        kept("kind-1", Maker())
        assert file.exists()

    def test_what_others_put_there_stays(self, folder):
        folder.mkdir(parents=True)
        (folder / "mine.txt").touch()
        os.utime(folder / "mine.txt", (0, 0))
        kept("kind-1", Maker())
        assert (folder / "mine.txt").exists()


class TestWithoutAPlace:
    def test_it_is_made_each_time(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert asked(Maker(), times=2) == (b"made 2", 2)

    def test_there_is_none_without_a_home(self):
        assert cache_folder({}) is None
        assert cache_folder({"XDG_CACHE_HOME": "relative"}) is None
        assert str(cache_folder({"HOME": "/home/x"})) == "/home/x/.cache/tocsin"
