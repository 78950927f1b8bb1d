"""Counters of a hub: bounded labels, no partner's name, and sums over processes that may die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from support.metrics import find_value, read_samples

from tocsin.server.processes import counters as module
from tocsin.server.processes.counters import Counters, stop_sharing
from tocsin.server.processes.shared_folder import SharedFolder

COUNTING = """
import sys
from pathlib import Path
from tocsin.server.processes.counters import Counters
from tocsin.server.processes.shared_folder import SharedFolder
folder = SharedFolder(Path(sys.argv[1]))
folder.join()
counters = Counters(folder)
for line in sys.stdin:
    counters.count_page("green", int(line))
    counters.count_request("/hub", "GET", 200, 0.003)
    counters.note_caught_up("acme", "green")
    print("counted", flush=True)
"""


def text_of(counters: Counters) -> str:
    return generate_latest(counters).decode()


class Process:
    """Another process of the same hub."""

    def __init__(self, folder: Path) -> None:
        self._running = subprocess.Popen(
            [sys.executable, "-c", COUNTING, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def count(self, objects: int) -> None:
        assert self._running.stdin and self._running.stdout
        self._running.stdin.write(f"{objects}\n")
        self._running.stdin.flush()
        assert self._running.stdout.readline() == "counted\n"

    def kill(self) -> None:
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()
        for pipe in (self._running.stdin, self._running.stdout):
            assert pipe
            pipe.close()


@pytest.fixture
def shared() -> Iterator[SharedFolder]:
    folder = SharedFolder.create()
    folder.join()
    yield folder
    stop_sharing()
    folder.remove()


class TestCounting:
    def test_a_method_that_is_not_served_is_counted_as_another(self) -> None:
        counters = Counters()
        for method in ("PURGE", "X" * 500, "GET"):
            counters.count_request("/hub", method, 405, 0.1)
        found = (dict(labels) for _, labels in read_samples(text_of(counters)))
        methods = {labels["method"] for labels in found if "method" in labels}
        assert methods == {"GET", "other"}

    def test_an_answer_that_may_have_waited_has_no_duration(self) -> None:
        counters = Counters()
        counters.count_request("/hub", "GET", 200, None)
        text, name = text_of(counters), "tocsin_http_request_duration_seconds_count"
        assert find_value(text, name, route="/hub", method="GET") is None
        assert find_value(
            text, "tocsin_http_requests_total", route="/hub", method="GET", status="200"
        )

    def test_a_failed_command_is_counted_with_its_time(self) -> None:
        counters = Counters()
        counters.count_command("find", 0.25)
        counters.count_command("find", 0.5, failed=True)
        text, name = text_of(counters), "tocsin_database_command"
        assert find_value(text, f"{name}_duration_seconds_sum", command="find") == 0.75
        assert find_value(text, f"{name}_failures_total", command="find") == 1


class TestPollers:
    def test_are_counted_and_none_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counters, began = Counters(), time.time()
        for account, at in (("acme", began - 90), ("north", began - 30)):
            monkeypatch.setattr(time, "time", lambda at=at: at)
            counters.note_caught_up(account, "green")
        monkeypatch.setattr(time, "time", lambda: began)
        text = text_of(counters)
        assert find_value(text, "tocsin_pollers", collection="green") == 2
        behind = find_value(text, "tocsin_poller_behind_seconds", collection="green")
        assert behind == pytest.approx(90, abs=0.01)
        assert "acme" not in text and "north" not in text

    def test_that_poll_no_longer_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counters, began = Counters(), time.time()
        counters.note_caught_up("acme", "green")
        monkeypatch.setattr(time, "time", lambda: began + 8 * 86_400)
        assert find_value(text_of(counters), "tocsin_pollers", collection="green") is None

    def test_that_have_not_caught_up_since_the_start_count_by_their_last_poll(self) -> None:
        counters, now = Counters(), time.time()
        counters.note_caught_up("acme", "green")
        polls = {("acme", "green"): now - 9_000, ("north", "green"): now - 7_200}
        found = {
            each.name: each.samples[0].value for each in counters.collect(polls) if each.samples
        }
        assert found["tocsin_pollers"] == 2
        assert found["tocsin_poller_behind_seconds"] == pytest.approx(7_200, abs=5)

    def test_are_remembered_up_to_a_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "_MOST_POLLERS", 3)
        counters = Counters()
        for number in range(5):
            counters.note_caught_up(f"account-{number}", "green")
        assert find_value(text_of(counters), "tocsin_pollers", collection="green") == 3


class TestProcesses:
    @pytest.mark.slow
    def test_that_were_killed_have_counted_nothing_in_vain(self, shared: SharedFolder) -> None:
        first, second = Process(shared.path), Process(shared.path)
        first.count(3)
        second.count(4)
        first.kill()
        second.count(5)
        counters = Counters(shared)
        text = text_of(counters)
        assert find_value(text, "tocsin_objects_served_total", collection="green") == 12
        duration = "tocsin_http_request_duration_seconds_count"
        assert find_value(text, duration, route="/hub", method="GET") == 3
        assert find_value(text, "tocsin_pollers", collection="green") == 1
        second.kill()

    @pytest.mark.slow
    def test_take_over_the_files_of_those_that_died(self, shared: SharedFolder) -> None:
        for _ in range(3):
            process = Process(shared.path)
            process.count(2)
            process.kill()
        assert len(list(shared.path.glob("*.db"))) == 3
        text = text_of(Counters(shared))
        assert find_value(text, "tocsin_objects_served_total", collection="green") == 6

    @pytest.mark.slow
    def test_have_room_in_their_files_before_they_count(self, shared: SharedFolder) -> None:
        process = Process(shared.path)
        process.count(1)
        for path in shared.path.glob("*.db"):
            assert path.stat().st_blocks * 512 >= 1 << 20
        process.kill()

    def test_names_are_those_of_one_process(self, shared: SharedFolder) -> None:
        process = Process(shared.path)
        process.count(1)
        process.kill()
        alone = Counters()
        alone.count_page("green", 1)
        alone.count_request("/hub", "GET", 200, 0.003)
        alone.note_caught_up("acme", "green")
        mine = {each for each, _ in read_samples(text_of(alone))}
        theirs = {each for each, _ in read_samples(text_of(Counters(shared)))}
        assert mine == theirs


class TestFolders:
    def test_of_a_living_hub_stay(self, shared: SharedFolder) -> None:
        another = SharedFolder.create()
        assert shared.path.exists()
        another.remove()
        assert not another.path.exists()

    def test_of_a_hub_that_was_killed_are_removed_by_the_next_one(self) -> None:
        killed = (
            "import os, sys; from tocsin.server.processes.shared_folder import SharedFolder;"
            "print(SharedFolder.create().path); sys.stdout.flush(); os.kill(os.getpid(), 9)"
        )
        found = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True)
        left = Path(found.stdout.strip())
        assert left.name.startswith("tocsin-hub-") and found.returncode == -signal.SIGKILL
        SharedFolder.create().remove()
        assert not left.exists()

    @pytest.mark.slow
    def test_without_room_are_not_used(self) -> None:
        """A process that may write no long files finds no room either."""
        code = (
            "import resource\n"
            "from tocsin.config.settings import HubSettings\n"
            "from tocsin.server import runtime, serving\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "with serving._shared_folder(1) as folder:\n"
            "    counters = runtime._make_counters(HubSettings(), folder)\n"
            "    counters.count_page('green', 7)\n"
            "    print(*(each.name for each in counters.collect()))\n"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "tocsin_pages_served" in ended.stdout
        assert (
            "no shared memory: each process counts metrics and limits separately: File too large"
            in ended.stderr
        )

    def test_are_private(self, shared: SharedFolder) -> None:
        assert os.stat(shared.path).st_mode & 0o077 == 0
