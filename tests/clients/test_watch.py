"""`tocsin push --watch`: which files of a folder are taken, and where they go."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.taxii_servers import Answer, serve_script

from tocsin.clients import watch
from tocsin.clients.files import WrongPath
from tocsin.clients.watch import (
    FAILED,
    SENT,
    FileChanged,
    FileVersion,
    SendingFailure,
    SendingOrder,
    UnusableFolder,
    WatchedFolder,
)

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path)


def names(folder: WatchedFolder) -> list[str]:
    return [file.name for file in folder.list_complete()]


def read(folder: WatchedFolder, file: Path) -> FileVersion:
    """The version of a file that is complete."""
    folder.list_complete()
    assert file in folder.list_complete()
    version = folder.find_complete(file)
    assert version is not None
    return version


def replace(file: Path, text: str) -> None:
    """Another file takes the place at once, with the same time, as a producer does that renames."""
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    new = file.with_name(".new")
    new.write_text(text)
    os.utime(new, ns=times)
    new.replace(file)


def test_a_folder_is_watched_by_one_program_only(tmp_path: Path) -> None:
    first = WatchedFolder(tmp_path)
    for _ in range(2):
        with pytest.raises(UnusableFolder, match="another `tocsin push --watch` already watches"):
            WatchedFolder(tmp_path)
    del first
    WatchedFolder(tmp_path)


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
        version = read(folder, tmp_path / "a.txt")
        assert folder.finish(tmp_path / "a.txt", version, SENT) == ""
    found = sorted((tmp_path / SENT).iterdir())
    assert {file.name: file.read_text() for file in found} == {
        **{"a.txt": "one", "a-1.txt": "two", "a-2.txt": "three"}
    }
    assert not (tmp_path / "a.txt").exists()


def test_a_file_that_cannot_be_moved_is_not_sent_again_and_again(
    tmp_path: Path, folder: WatchedFolder
) -> None:
    (tmp_path / "a.txt").write_text("evil.top")
    file = tmp_path / "a.txt"
    version = read(folder, file)
    (tmp_path / FAILED).rmdir()
    (tmp_path / FAILED).write_text("in the way")
    assert folder.finish(file, version, FAILED)
    assert names(folder) == []
    file.write_text("evil.top and bad.top")
    folder.list_complete()
    assert "a.txt" in names(folder)


@pytest.mark.parametrize("change", [replace, Path.write_text])
def test_a_file_that_changes_while_it_is_sent_stays_and_is_listed_again(
    tmp_path: Path, folder: WatchedFolder, change: Callable[[Path, str], None]
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("evil.top")
    version = read(folder, file)
    change(file, "evil.org and bad.top")
    with pytest.raises(FileChanged):
        folder.finish(file, version, SENT)
    assert file.read_text() == "evil.org and bad.top" and not list((tmp_path / SENT).iterdir())
    assert folder.finish(file, read(folder, file), SENT) == ""


def test_a_file_of_the_same_length_and_time_that_replaces_one_that_is_sent_stays(
    tmp_path: Path, folder: WatchedFolder
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("evil.top")
    version = read(folder, file)
    replace(file, "evil.org")
    with pytest.raises(FileChanged):
        folder.finish(file, version, SENT)
    assert file.read_text() == "evil.org"


@pytest.mark.parametrize("is_newer", [False, True])
def test_a_file_that_changes_at_the_very_moment_of_its_move_comes_back(
    tmp_path: Path, folder: WatchedFolder, monkeypatch: pytest.MonkeyPatch, is_newer: bool
) -> None:
    file, look = tmp_path / "a.txt", watch._version

    def look_and_replace(status: os.stat_result) -> FileVersion:
        found = look(status)
        if file.exists():  # before the move; after it there may be one more
            replace(file, "evil.org")
        elif is_newer:
            file.write_text("evil.net")
        return found

    file.write_text("evil.top")
    version = read(folder, file)
    monkeypatch.setattr(watch, "_version", look_and_replace)
    with pytest.raises(FileChanged):
        folder.finish(file, version, SENT)
    assert file.read_text() == ("evil.net" if is_newer else "evil.org")
    assert not list((tmp_path / SENT).iterdir())


def test_a_file_that_changes_before_its_turn_is_not_read(
    tmp_path: Path, folder: WatchedFolder
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("evil.top")
    version = read(folder, file)
    file.write_text("bad.")
    assert folder.find_complete(file) is None
    assert names(folder) == []
    assert read(folder, file) != version
    file.unlink()
    assert folder.find_complete(file) is None


def test_a_folder_that_is_missing_or_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WrongPath, match="nosuch is not a folder; name a folder"):
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
    with pytest.raises(WrongPath, match="is a link"):
        WatchedFolder(tmp_path)


def test_files_and_watch_together_are_wrong_usage(tocsin: Run, tmp_path: Path) -> None:
    assert tocsin("push", "a.txt", "--watch", ".", "--to", "inbox")[0] == 2
    assert tocsin("push", "--to", "inbox")[0] == 2


AWAY, REFUSED = SendingFailure(is_away=True), SendingFailure(is_away=False)


class TestSendingOrder:
    @pytest.fixture
    def order(self) -> SendingOrder:
        return SendingOrder(2.0)

    @staticmethod
    def version(number: int) -> FileVersion:
        return FileVersion(1, number, 8, number)

    def select(self, order: SendingOrder, names: str, now: float) -> str:
        files = {Path(name): self.version(ord(name)) for name in names}
        return "".join(map(str, order.select(files, now)))

    def fail(
        self, order: SendingOrder, name: str, now: float, failure: SendingFailure = AWAY
    ) -> float:
        return order.note_failure(Path(name), self.version(ord(name)), failure, now)

    def test_a_file_that_failed_waits_and_the_others_are_sent(self, order: SendingOrder) -> None:
        assert self.select(order, "abc", 0) == "abc"
        assert self.fail(order, "a", 0) == 4
        assert self.select(order, "abc", 1) == "bc"
        assert self.select(order, "abc", 4) == "bca"

    def test_after_two_failures_in_a_row_all_files_wait(self, order: SendingOrder) -> None:
        self.fail(order, "a", 0)
        assert self.fail(order, "b", 0) == 8
        assert not order.may_send(7) and self.select(order, "abc", 7) == ""
        assert order.may_send(8) and self.select(order, "abc", 8) == "cab"
        assert [self.fail(order, name, 8) for name in "cab"] == [16, 32, 60]
        assert self.select(order, "abcd", 67) == "" and self.select(order, "abcd", 68) == "dcab"

    def test_while_the_hub_is_away_no_file_waits_longer_than_a_minute(
        self, order: SendingOrder
    ) -> None:
        assert [self.fail(order, "a", 0) for _ in range(7)] == [4, 8, 16, 32, 60, 60, 60]

    def test_once_a_file_was_sent_those_that_failed_before_are_tried_once_more(
        self, order: SendingOrder
    ) -> None:
        for name in "aaaab":
            self.fail(order, name, 0)
        assert self.select(order, "ab", 50) == ""
        order.note_success(Path("c"), 50)
        assert self.select(order, "ab", 50) == "ab"

    def test_a_file_that_others_overtake_is_tried_at_last_every_ten_minutes(
        self, order: SendingOrder
    ) -> None:
        pauses = []
        for now in range(0, 10_000, 1000):
            pauses.append(self.fail(order, "a", now))
            order.note_success(Path("b"), now)
        assert pauses == [4, 4, 8, 16, 32, 64, 128, 256, 512, 600]
        assert order.is_overtaken(Path("a"))

    def test_what_refuses_one_file_delays_the_others_for_a_minute_at_most(
        self, order: SendingOrder
    ) -> None:
        for name in "ab" * 9:
            self.fail(order, name, 0, REFUSED)
        assert self.fail(order, "a", 0, REFUSED) == 600
        assert self.select(order, "abc", 59) == "" and self.select(order, "abc", 60) == "c"

    def test_all_files_wait_as_long_as_the_hub_says(self, order: SendingOrder) -> None:
        for name in "ab":
            assert self.fail(order, name, 0, SendingFailure(True, 3600.0)) == 3600
        assert self.select(order, "abc", 3599) == "" and self.select(order, "abc", 3600) == "cab"

    def test_a_file_that_has_changed_or_was_gone_need_not_wait(self, order: SendingOrder) -> None:
        self.fail(order, "a", 0)
        assert order.select({Path("a"): self.version(7)}, 1) == [Path("a")]
        self.fail(order, "b", 0)
        order.note_success(Path("c"), 0)
        assert self.select(order, "", 1) == "" and not order.is_waiting(Path("b"))


_LOOKS_OFTEN = """
from tocsin.clients.cli import main, push
push._WATCH_SECONDS = 0.1
raise SystemExit(main.main())
"""
"""`tocsin`, which looks for files ten times a second, not every other second."""


_BUSY_AT_FIRST = """
from tocsin.admission.bounded_process import BoundedTask
from tocsin.admission.errors import Unavailable
run = BoundedTask.run
def refuse(*words):
    BoundedTask.run = run
    raise Unavailable("the system is too busy")
BoundedTask.run = refuse
"""
"""Before it: of a system that is too busy to check the first pattern."""


@contextmanager
def watching(
    url: str, *words: str, before: str = "", inside: bool = False
) -> Iterator[Callable[..., None]]:
    """`tocsin push --watch out`, or `--watch .` inside it, while it runs.

    Gives a function that waits for a path, and for a message in the file `stderr`, which has its
    standard error.
    """
    command = [sys.executable, "-c", before + _LOOKS_OFTEN, "push", "--to", "feed"]
    command += ["--url", url, "--watch", "." if inside else "out", *words]
    folder = "out" if inside else "."
    with (
        open("stderr", "wb") as stderr,
        open("stdout", "wb") as stdout,
        subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=folder) as running,
    ):

        def wait_for(path: str, message: str = "") -> None:
            deadline = time.monotonic() + 90
            while not Path(path).exists() or message not in Path("stderr").read_text():
                assert time.monotonic() < deadline and running.poll() is None
                time.sleep(0.05)

        try:
            yield wait_for
        except BaseException:
            running.kill()  # or a test that fails would wait for it
            raise
        running.send_signal(signal.SIGINT)
        running.wait(timeout=30)
    assert running.returncode == 130


class TestWatching:
    @pytest.fixture(autouse=True)
    def folder(self, alone: None) -> None:
        Path("out").mkdir()

    @pytest.mark.slow
    def test_a_file_that_the_hub_has_not_decided_about_counts_as_sent(self) -> None:
        def script(request: Any) -> Any:
            status = {"id": str(uuid.uuid4()), "status": "pending", "total_count": 1}
            wanted = request.method == "POST" or "/status/" in request.path
            return Answer(status | {"pending_count": 1}, 202) if wanted else None

        Path("out/a.txt").write_text("evil-portal.top")
        with serve_script(script) as server, watching(server.url, "--timeout", "0.1") as wait_for:
            wait_for("out/sent/a.txt")

    @pytest.mark.slow
    def test_a_file_that_is_replaced_while_it_is_sent_is_sent_again_as_it_is_now(self) -> None:
        bodies: list[bytes] = []

        def script(request: Any) -> Any:
            if request.method != "POST":
                return None
            if not bodies:
                replace(Path("out/a.txt"), "bad-portal.top")
            bodies.append(request.body)
            status = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            return Answer(status, 202)

        line = "tocsin: a.txt changed while it was sent; it is sent again as it is now; 1 admitted"
        Path("out/a.txt").write_text("evil-portal.top")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/a.txt", line)
        assert Path("out/sent/a.txt").read_text() == "bad-portal.top"
        first, second = bodies
        assert b"evil-portal.top" in first and b"bad-portal.top" in second

    @pytest.mark.slow
    def test_a_file_that_grows_before_its_turn_is_sent_once_it_is_complete(self) -> None:
        bodies: list[bytes] = []

        def script(request: Any) -> Any:
            if request.method != "POST":
                return None
            if not bodies:
                Path("out/b.txt").write_text("bad-portal.top and more-portal.top")
            bodies.append(request.body)
            status = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            return Answer(status, 202)

        for age, name in ((2, "a.txt"), (1, "b.txt")):
            Path("out", name).write_text("evil-portal.top")
            os.utime(Path("out", name), (time.time() - age, time.time() - age))
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/b.txt")
        assert b"more-portal.top" in bodies[1] and Path("stderr").read_text().count("\n") == 1

    @pytest.mark.slow
    def test_a_file_of_which_nothing_is_shared_moves_to_failed(self) -> None:
        Path("out/a.txt").write_text("10.0.4.12")
        with serve_script(lambda request: None) as server, watching(server.url) as wait_for:
            wait_for("out/failed/a.txt")

    @pytest.mark.slow
    def test_standard_error_says_why_a_file_was_moved_to_failed(self) -> None:
        line = "tocsin: a.txt was moved to failed; 2 refused: a private, reserved or documentation"
        Path("out/a.txt").write_text("10.0.4.12\n10.0.4.13\n")
        with serve_script(lambda request: None) as server, watching(server.url) as wait_for:
            wait_for("out/failed/a.txt", line)

    @pytest.mark.slow
    def test_standard_error_says_what_was_not_taken_of_a_file_that_was_sent(self) -> None:
        def script(request: Any) -> Any:
            status = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            return Answer(status, 202) if request.method == "POST" else None

        line = "tocsin: a.txt was moved to sent; 1 admitted, 1 refused: a private, reserved"
        Path("out/a.txt").write_text("evil-portal.top\n10.0.4.12\n")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/a.txt", line)

    @pytest.mark.slow
    def test_standard_error_says_nothing_of_a_file_that_was_taken_as_a_whole(self) -> None:
        def script(request: Any) -> Any:
            status = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            return Answer(status, 202) if request.method == "POST" else None

        Path("out/a.txt").write_text("evil-portal.top")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/a.txt")
        assert Path("stderr").read_text() == "tocsin: interrupted\n"

    @pytest.mark.slow
    def test_a_file_waits_as_long_as_the_hub_says_up_to_an_hour(self) -> None:
        quota = {"title": "Too many", "description": "retry in 10 h 50 min, after midnight UTC"}
        full = Answer(quota, 429, headers={"Retry-After": "38982"})

        def script(request: Any) -> Any:
            return full if request.method == "POST" else None

        Path("out/a.txt").write_text("evil-portal.top\n10.0.4.12\n")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out", "a.txt waits, the next attempt is in 1 h\n")
            assert len(server.paths("POST")) == 1
        said = "429: Too many: retry in 10 h 50 min, after midnight UTC\n"
        assert said in Path("stderr").read_text()
        text = Path("stdout").read_text()
        assert text.startswith("refused") and "unsent" not in text

    @pytest.mark.slow
    def test_what_is_not_sent_is_printed_once_while_the_hub_is_away(self) -> None:
        def script(request: Any) -> Any:
            return Answer({"title": "Away"}, 500) if request.method == "POST" else None

        Path("out/a.txt").write_text("evil-portal.top\n10.0.4.12\n")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out", "the next attempt is in 10 s")
        assert Path("stdout").read_text().count("10.0.4.12") == 1

    @pytest.mark.slow
    def test_what_is_not_sent_is_printed_if_nothing_could_be_sent_before_the_check(self) -> None:
        away = [Answer({"title": "Not there"}, 404)]

        def script(request: Any) -> Any:
            status = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            done = Answer(status, 202) if request.method == "POST" else None
            return away.pop() if away else done

        Path("out/a.txt").write_text("evil-portal.top\n10.0.4.12\n")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out", "the next attempt is in")
            wait_for("out/sent/a.txt")
        assert not away and Path("stdout").read_text().count("10.0.4.12") == 1

    @pytest.mark.slow
    def test_a_file_waits_while_the_hub_is_away(self) -> None:
        answers = [Answer({"title": "Away"}, 500)] * 2

        def script(request: Any) -> Any:
            if request.method == "POST" and answers:
                return answers.pop()
            counts = {"success_count": 1, "failure_count": 0, "pending_count": 0}
            status = {"id": str(uuid.uuid4()), "status": "complete", **counts}
            return Answer(status, 202) if request.method == "POST" else None

        Path("out/a.txt").write_text("evil-portal.top")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/a.txt")
        assert answers == []

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("method", "place", "status"),
        [
            ("GET", "/taxii2/", 404),
            ("GET", "/collections/", 404),
            ("GET", "/collections/", 400),
            ("POST", "", 404),
            ("POST", "", 406),
            ("POST", "", 410),
        ],
    )
    def test_a_file_waits_while_the_hub_takes_nothing_for_whatever_reason(
        self, method: str, place: str, status: int
    ) -> None:
        answers = [Answer({"title": "Ended"}, status)]

        def script(request: Any) -> Any:
            if answers and request.method == method and request.path.endswith(place):
                return answers.pop()
            counts = {"success_count": 1, "failure_count": 0, "pending_count": 0}
            status = {"id": str(uuid.uuid4()), "status": "complete", **counts}
            return Answer(status, 202) if request.method == "POST" else None

        Path("out/a.txt").write_text("evil-portal.top")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out", "a.txt waits, the next attempt is in ")
            wait_for("out/sent/a.txt")
        text = Path("stderr").read_text()
        assert answers == [] and f"says {status}: Ended" in text

    @pytest.mark.parametrize("status", [403, pytest.param(502, marks=pytest.mark.slow)])
    @pytest.mark.slow
    def test_a_file_that_something_on_the_way_refuses_delays_no_other_one(
        self, status: int
    ) -> None:
        is_refused = True

        def script(request: Any) -> Any:
            if request.method == "POST" and is_refused and b"evil-portal.top" in request.body:
                return Answer({"title": "Blocked"}, status)
            complete = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            return Answer(complete, 202) if request.method == "POST" else None

        for age, name in ((3, "evil"), (2, "bad"), (1, "more")):
            Path(f"out/{name}.txt").write_text(f"{name}-portal.top")
            os.utime(Path(f"out/{name}.txt"), (time.time() - age, time.time() - age))
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/more.txt")
            wait_for("out/sent/bad.txt")
            wait_for("out", "; the other files go on")
            assert Path("out/evil.txt").exists()
            is_refused = False
            wait_for("out/sent/evil.txt")
        first, second, *_ = Path("stderr").read_text().splitlines()
        assert f"says {status}: Blocked" in first
        assert second.startswith("tocsin: evil.txt waits, the next attempt is in ")

    @pytest.mark.slow
    def test_a_file_waits_while_this_computer_is_too_busy_to_check_it(self) -> None:
        def script(request: Any) -> Any:
            complete = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            return Answer(complete, 202) if request.method == "POST" else None

        Path("out/a.yar").write_text('rule bad { strings: $a = "evil-portal" condition: $a }')
        with (
            serve_script(script) as server,
            watching(server.url, before=_BUSY_AT_FIRST) as wait_for,
        ):
            wait_for("out", "the system is too busy\ntocsin: a.yar waits, the next attempt is in ")
            wait_for("out/sent/a.yar")

    @pytest.mark.slow
    def test_a_file_named_like_standard_input_is_sent(self) -> None:
        bodies: list[bytes] = []

        def script(request: Any) -> Any:
            complete = {"id": str(uuid.uuid4()), "status": "complete", "success_count": 1}
            bodies.append(request.body)
            return Answer(complete, 202) if request.method == "POST" else None

        Path("out/-").write_text("evil-portal.top")
        with (
            serve_script(script) as server,
            watching(server.url, "--as", "a.txt", inside=True) as wait_for,
        ):
            wait_for("out/sent/-")
        assert b"evil-portal.top" in b"".join(bodies)

    @pytest.mark.slow
    def test_a_file_that_was_taken_counts_as_sent_if_its_status_is_not_found(self) -> None:
        def script(request: Any) -> Any:
            status = {"id": str(uuid.uuid4()), "status": "pending", "pending_count": 1}
            if "/status/" in request.path:
                return Answer({"title": "Gone"}, 404)
            return Answer(status, 202) if request.method == "POST" else None

        Path("out/a.txt").write_text("evil-portal.top")
        with serve_script(script) as server, watching(server.url) as wait_for:
            wait_for("out/sent/a.txt")
            assert len(server.paths("POST")) == 1


def test_without_a_hub_it_ends_at_once(tocsin: Run, alone: None) -> None:
    Path("out").mkdir()
    code, _, stderr = tocsin("push", "--watch", "out", "--to", "feed")
    assert code == 2 and "no hub is named" in stderr
