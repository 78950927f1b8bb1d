"""State that the processes of a hub share, also when one of them is killed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.server.processes import shared_folder
from tocsin.server.processes.shared_folder import (
    LocalNumbers,
    Notifier,
    SharedFolder,
    SharedNumbers,
)

OpenNotifier = Callable[[SharedFolder], Notifier]
COUNTING = """
import sys
from pathlib import Path
from tocsin.server.processes.shared_folder import SharedNumbers
numbers = SharedNumbers(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    numbers.update("all", lambda number: number + 1)
"""

ENTERING = """
import os, sys, time
from pathlib import Path
from tocsin.server.processes import shared_folder
shared_folder._PATIENCE = 60  # a busy machine may let the one that has the lock wait
commit_lock = shared_folder.SharedCommitLock(Path(sys.argv[1]))
with open(sys.argv[2], "a") as file:
    for _ in range(20):
        with commit_lock:
            print(os.getpid(), file=file, flush=True)
            time.sleep(0.001)
            print(os.getpid(), file=file, flush=True)
"""


@pytest.fixture
def folder() -> Iterator[SharedFolder]:
    folder = SharedFolder.create()
    folder.join()
    yield folder
    folder.remove()


def another(folder: SharedFolder) -> SharedFolder:
    """The folder as another process sees it."""
    other = SharedFolder(folder.path)
    other.join()
    return other


def counting(numbers: SharedNumbers, path: Path, times: int) -> "subprocess.Popen[bytes]":
    """A process that has begun to count."""
    before, deadline = numbers.get("all"), time.monotonic() + 20
    process = subprocess.Popen([sys.executable, "-c", COUNTING, str(path), str(times)])
    while numbers.get("all") == before:
        assert time.monotonic() < deadline
    return process


class TestNumbers:
    @pytest.mark.slow
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("abcdé"), st.integers(0, 1 << 50))))
    def test_a_number_is_the_one_noted_last(self, notes: list[tuple[str, int]]) -> None:
        folder = SharedFolder.create()
        try:
            shared, local, wanted = folder.numbers("n"), LocalNumbers(), {}
            for name, number in notes:
                for each in (shared, local):
                    assert each.update(name, lambda _, number=number: number) == number  # type: ignore[misc]
                wanted[name] = number
            for name in "abcdé":
                assert shared.get(name) == local.get(name) == wanted.get(name, 0)
        finally:
            folder.remove()

    def test_stay_as_they_were_if_a_change_fails(self, folder: SharedFolder) -> None:
        for numbers in (folder.numbers("n"), LocalNumbers()):
            numbers.update("name", lambda _: 7)
            with pytest.raises(ZeroDivisionError):
                numbers.update("name", lambda number: number / 0)
            assert numbers.get("name") == 7

    @pytest.mark.slow
    def test_of_several_processes_are_added(self, folder: SharedFolder) -> None:
        numbers, path = folder.numbers("n"), folder.path / "n.numbers"
        processes = [counting(numbers, path, 5_000) for _ in range(3)]
        threads = [
            threading.Thread(target=lambda: [add(folder.numbers("n")) for _ in range(2_000)])
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        assert [each.wait() for each in processes] == [0, 0, 0]
        for thread in threads:
            thread.join()
        assert folder.numbers("n").get("all") == 3 * 5_000 + 2 * 2_000

    @pytest.mark.slow
    def test_are_not_locked_by_a_process_that_is_killed(self, folder: SharedFolder) -> None:
        numbers, path = folder.numbers("n"), folder.path / "n.numbers"
        for _ in range(5):
            process = counting(numbers, path, 10_000_000)
            time.sleep(0.02)
            process.kill()
            process.wait()
            add(folder.numbers("n"))
        before = folder.numbers("n").get("all")
        assert before > 5
        assert add(folder.numbers("n")) == before + 1

    @pytest.mark.slow
    def test_are_read_whole_while_others_change_them(self, folder: SharedFolder) -> None:
        numbers, path = folder.numbers("n"), folder.path / "n.numbers"
        process = counting(numbers, path, 10_000_000)
        found = [numbers.get("all") for _ in range(200_000)]
        process.kill()
        process.wait()
        assert found == sorted(found)
        assert found[0] < found[-1]

    def test_where_there_are_too_many_the_least_are_forgotten(
        self, folder: SharedFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_folder, "_SLOTS", 16)
        numbers = folder.numbers("few")
        for number in range(1, 41):
            numbers.update(f"name {number}", lambda _, number=number: number)  # type: ignore[misc]
        kept = [n for n in range(1, 41) if numbers.get(f"name {n}")]
        assert kept == list(range(25, 41))

    def test_numbers_can_be_cleared(self, folder: SharedFolder) -> None:
        numbers = folder.numbers("n")
        add(numbers)
        numbers.clear()
        assert numbers.get("all") == 0


def add(numbers: SharedNumbers) -> float:
    return numbers.update("all", lambda number: number + 1)


class TestProcesses:
    def test_each_process_has_a_number_of_its_own(self, folder: SharedFolder) -> None:
        second, third = another(folder), another(folder)
        assert [each.number for each in (folder, second, third)] == [0, 1, 2]

    @pytest.mark.slow
    def test_take_over_the_number_of_one_that_was_killed(self, folder: SharedFolder) -> None:
        code = (
            "import os, sys, pathlib, tocsin.server.processes.shared_folder as m\n"
            "print(m.SharedFolder(pathlib.Path(sys.argv[1])).join(), flush=True)\n"
            "os.kill(os.getpid(), 9)"
        )
        for _ in range(2):
            command = [sys.executable, "-c", code, str(folder.path)]
            ended = subprocess.run(command, capture_output=True, text=True)
            assert ended.stdout == "1\n" and ended.returncode == -signal.SIGKILL

    def test_nobody_else_can_read_what_they_share(self, folder: SharedFolder) -> None:
        folder.numbers("n")
        assert {os.stat(each).st_mode & 0o077 for each in folder.path.glob("*.numbers")} == {0}


class TestCommitLocks:
    @pytest.mark.slow
    def test_let_one_process_after_the_other(self, folder: SharedFolder) -> None:
        path = folder.path / "entered"
        path.write_text("")
        command = [sys.executable, "-c", ENTERING, str(folder.path / "commit_lock"), str(path)]
        running = [subprocess.Popen(command) for _ in range(3)]
        assert [each.wait() for each in running] == [0, 0, 0]
        lines = path.read_text().split()
        assert len(lines) == 120
        assert lines[::2] == lines[1::2]

    def test_let_one_thread_after_the_other(self, folder: SharedFolder) -> None:
        commit_lock = folder.commit_lock()
        with commit_lock:
            assert not commit_lock.acquire(timeout=0.01)
        assert commit_lock.acquire(timeout=0.01)
        commit_lock.release()

    def test_a_lock_of_another_process_delays_nobody_for_ever(
        self, folder: SharedFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_folder, "_PATIENCE", 0.05)
        with folder.commit_lock(), another(folder).commit_lock():
            pass


class TestNotifiers:
    @pytest.fixture
    def open_notifier(self, folder: SharedFolder) -> Iterator[Callable[[SharedFolder], Notifier]]:
        """OpenNotifier up the notifier of a process."""
        notifiers: list[Notifier] = []

        def open_notifier(place: SharedFolder) -> Notifier:
            notifiers.append(Notifier(place))
            return notifiers[-1]

        yield open_notifier
        for notifier in notifiers:
            notifier.close()

    def test_wake_all_others_and_not_oneself(
        self, folder: SharedFolder, open_notifier: OpenNotifier
    ) -> None:
        notifiers = [open_notifier(each) for each in (folder, another(folder), another(folder))]
        heard: list[tuple[int, bytes]] = []
        woken = threading.Semaphore(0)
        for number, notifier in enumerate(notifiers):

            def note(message: bytes, number: int = number) -> None:
                heard.append((number, message))
                woken.release()

            notifier.listen(note)
        notifiers[1].notify(b"news")
        assert woken.acquire(timeout=5) and woken.acquire(timeout=5)
        assert not woken.acquire(timeout=0.05)
        assert sorted(heard) == [(0, b"news"), (2, b"news")]

    def test_notifying_a_process_that_does_not_listen_is_no_error(
        self, folder: SharedFolder, open_notifier: OpenNotifier
    ) -> None:
        open_notifier(another(folder))
        notifier = open_notifier(folder)
        for _ in range(2_000):  # more than its socket takes
            notifier.notify(b"news")
        (folder.path / "9.notifier").write_bytes(b"left by a process that was killed")
        notifier.notify(b"news")

    def test_the_next_process_takes_the_bell_of_one_that_died(
        self, folder: SharedFolder, open_notifier: OpenNotifier
    ) -> None:
        place = another(folder)
        open_notifier(place)
        notifier, heard = open_notifier(place), threading.Event()
        notifier.listen(lambda message: heard.set())
        open_notifier(another(folder)).notify(b"news")
        assert heard.wait(5)
