"""Code that runs in processes with limits (tocsin.admission.bounded_process)."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tocsin.admission.bounded_process import BoundedTask, Exceeded, Limits
from tocsin.admission.errors import Unavailable

TASK = """
import ctypes, os, resource, signal, socket, struct, subprocess, sys, time

def prepare(*arguments):
    print("a library that prints when it is loaded")
    def answer(request):
        words = request.decode().split()
        print("a library that prints")
        if words[0] == "spin":
            while True: pass
        elif words[0] == "allocate":
            return str(len(bytes(int(words[1])))).encode()
        elif words[0] == "die":
            os.kill(os.getpid(), int(words[1]))
        elif words[0] == "die_once" and not os.path.exists(words[1]):
            os.mkdir(words[1])
            os.kill(os.getpid(), signal.SIGKILL)
        elif words[0] == "sleep":
            time.sleep(float(words[1]))
        elif words[0] == "hold":
            while not os.path.exists(words[1]): time.sleep(0.01)
        elif words[0] == "raise":
            raise ValueError("\\x1b[31m")
        elif words[0] == "connect":
            socket.create_connection(("127.0.0.1", 9))
        elif words[0] == "write":
            with open(words[1], "w") as file: file.write("x" * 100)
        elif words[0] == "send":
            socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"a"], [], 0, ("127.0.0.1", 9))
        elif words[0] == "look_up":
            socket.gethostbyname("localhost")
        elif words[0] == "call":
            ctypes.CDLL(None).system(b"true")
        elif words[0] == "empty":
            os.truncate(words[1], 0)
        elif words[0] == "remove":
            os.remove(words[1])
        elif words[0] == "hard_limits":
            kinds = resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE
            return " ".join(str(resource.getrlimit(kind)[1]) for kind in kinds).encode()
        elif words[0] == "start":
            subprocess.run(["true"])
        elif words[0] == "files":
            return " ".join(sorted(os.listdir("/proc/self/fd"))).encode()
        elif words[0] == "modules":
            return " ".join(sys.modules).encode()
        elif words[0] == "pid":
            return str(os.getpid()).encode()
        elif words[0] == "big":
            return b"x" * int(words[1])
        elif words[0] == "forge":
            return struct.pack("!BdQ", 0, 0.0, 4) * 10_000
        return request
    return answer
"""
SMALL = Limits(seconds=0.3, memory=300_000_000, answer=100_000, wall=30)

Start = Callable[..., BoundedTask]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the task above with limits of its own; ended after the test."""
    path = tmp_path / "task.py"
    path.write_text(TASK)
    started = []

    def build(limits: Limits = SMALL, most: int = 2) -> BoundedTask:
        started.append(BoundedTask(str(path), limits, most))
        return started[-1]

    yield build
    for task in started:
        task.close()


def ask(task: BoundedTask, request: str) -> str:
    """The answer to one request, or the name of the limit that it exceeded."""
    outcome = task.run([request.encode()])[0]
    return outcome.exceeded.value if outcome.exceeded else outcome.content.decode()


def children() -> set[int]:
    """The processes whose parent is this one, dead ones that nobody waited for included."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = each.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended
        if int(fields[1]) == os.getpid():
            found.add(int(each.parent.name))
    return found


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class TestAnswers:
    def test_requests_are_answered_in_order_by_one_process(self, start: Start) -> None:
        task = start()
        outcomes = task.run([b"one", b"two", b"three"])
        assert [each.content for each in outcomes] == [b"one", b"two", b"three"]
        assert ask(task, "pid") == ask(task, "pid")

    def test_a_request_of_megabytes_is_answered(self, start: Start) -> None:
        long = "x" * 5_000_000
        assert ask(start(Limits(2.0, 300_000_000, 9_000_000)), long) == long

    @linux
    def test_no_process_runs_before_the_first_request_or_after_the_end(self, start: Start) -> None:
        before = children()
        task = start()
        assert children() == before
        ask(task, "one")
        assert len(children() - before) == 1
        task.close()
        assert children() == before

    def test_a_process_loads_only_the_task(self, start: Start) -> None:
        loaded = ask(start(), "modules").split()
        assert not [name for name in loaded if name.startswith("tocsin") and "errors" in name]
        assert "tocsin.admission.pipeline" not in loaded

    def test_a_process_of_a_task_that_keeps_state_answers_one_request(self, start: Start) -> None:
        task = start(Limits(1.0, 300_000_000, 1_000, requests=1))
        assert ask(task, "pid") != ask(task, "pid")


class TestLimits:
    @pytest.mark.slow
    def test_a_request_that_exceeds_its_time_is_ended_and_the_next_is_answered(
        self, start: Start
    ) -> None:
        task = start()
        assert ask(task, "spin") == Exceeded.TIME
        assert ask(task, "next") == "next"

    @pytest.mark.slow
    def test_sleeping_is_not_counted_as_processor_time(self, start: Start) -> None:
        assert ask(start(), "sleep 0.6") == "sleep 0.6"

    def test_the_time_of_a_request_does_not_count_for_the_next(self, start: Start) -> None:
        task = start(Limits(0.5, 300_000_000, 1_000))
        outcomes = [task.run([b"one"])[0] for _ in range(50)]
        assert not [each for each in outcomes if each.exceeded]

    def test_a_request_that_exceeds_its_memory_is_ended_and_the_next_is_answered(
        self, start: Start
    ) -> None:
        task = start()
        assert ask(task, "allocate 400000000") == Exceeded.MEMORY
        assert ask(task, "next") == "next"

    def test_an_answer_that_is_too_long_is_not_read(self, start: Start) -> None:
        task = start()
        assert ask(task, "big 200000") == Exceeded.MEMORY
        assert ask(task, "next") == "next"

    def test_an_answer_that_is_too_long_cannot_contain_answers_to_the_next_requests(
        self, start: Start
    ) -> None:
        (outcome,) = start().run([b"forge", b"two", b"three"])
        assert outcome.exceeded is Exceeded.MEMORY

    @pytest.mark.slow
    def test_the_answers_before_a_hostile_request_are_kept(self, start: Start) -> None:
        outcomes = start().run([b"one", b"spin", b"three"])
        assert [each.content for each in outcomes] == [b"one", b""]
        assert outcomes[1].exceeded is Exceeded.TIME

    @pytest.mark.slow
    def test_a_system_that_is_too_busy_decides_nothing(self, start: Start) -> None:
        task = start(Limits(0.3, 300_000_000, 1_000, wall=0.5))
        with pytest.raises(Unavailable, match="try again"):
            task.run([b"sleep 5"])
        task._limits = SMALL  # a process may take longer than half a second to start
        assert ask(task, "next") == "next"

    @pytest.mark.parametrize("request_", ["connect", "send", "look_up", "start", "call"])
    def test_a_task_cannot_use_the_network_processes_or_native_libraries(
        self, start: Start, caplog: pytest.LogCaptureFixture, request_: str
    ) -> None:
        assert ask(start(), request_) == Exceeded.CRASH
        assert "PermissionError: this program must not use" in caplog.text

    @pytest.mark.parametrize("request_", ["write", "empty", "remove"])
    def test_a_task_cannot_change_a_file(self, start: Start, tmp_path: Path, request_: str) -> None:
        path = tmp_path / "written"
        path.write_text("before")
        assert ask(start(), f"{request_} {path}") == Exceeded.CRASH
        assert path.read_text() == "before"

    @linux
    def test_a_task_cannot_raise_its_limits(self, start: Start) -> None:
        assert ask(start(), "hard_limits") == f"{SMALL.memory} 0 0"


class TestCrashes:
    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
    def test_a_request_that_ends_its_process_twice_is_given_up(
        self, start: Start, number: signal.Signals
    ) -> None:
        task = start()
        assert ask(task, f"die {number.value}") == Exceeded.CRASH
        assert ask(task, "next") == "next"

    def test_a_request_whose_process_is_killed_once_by_others_is_answered(
        self, start: Start, tmp_path: Path
    ) -> None:
        request = f"die_once {tmp_path / 'flag'}"
        assert ask(start(), request) == request

    def test_an_idle_process_that_was_killed_is_replaced(self, start: Start) -> None:
        task = start()
        os.kill(int(ask(task, "pid")), signal.SIGKILL)
        assert ask(task, "next") == "next"

    def test_an_error_of_the_task_is_logged_without_control_characters(
        self, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert ask(start(), "raise") == Exceeded.CRASH
        assert "ValueError" in caplog.text and "\x1b" not in caplog.text

    @pytest.mark.parametrize("octets", [1, 2_000_000], ids=["short", "longer than a pipe"])
    def test_a_task_that_cannot_be_loaded_blames_no_request(
        self, tmp_path: Path, octets: int
    ) -> None:
        path = tmp_path / "task.py"
        path.write_text("import a_library_that_does_not_exist")
        with pytest.raises(Unavailable, match="library"):
            BoundedTask(str(path), SMALL).run([b"x" * octets])

    @linux
    @pytest.mark.slow
    def test_crashes_leave_no_files_open_and_no_dead_processes(self, start: Start) -> None:
        task = start()
        ask(task, "one")
        files, processes = os.listdir("/proc/self/fd"), len(children())
        for _ in range(3):
            ask(task, "die 9")
            ask(task, "spin")
        ask(task, "one")
        assert len(os.listdir("/proc/self/fd")) == len(files)
        assert len(children()) == processes

    @linux
    def test_a_process_inherits_no_files(self, start: Start, tmp_path: Path) -> None:
        with (tmp_path / "secret").open("w") as file:
            os.set_inheritable(file.fileno(), True)
            assert len(ask(start(), "files").split()) <= 5  # its pipes, and the folder's own


class TestThreads:
    @linux
    @pytest.mark.slow
    def test_an_owner_with_many_requests_does_not_keep_others_waiting(
        self, start: Start, tmp_path: Path
    ) -> None:
        task, before = start(most=2), children()
        request, ended = f"hold {tmp_path / 'end'}", list[str]()
        holding = [
            threading.Thread(target=lambda: ended.append(ask(task, request))) for _ in range(2)
        ]
        for each in holding:
            each.start()
        while children() == before:
            time.sleep(0.01)
        try:
            assert task.run([b"one"], "another owner")[0].content == b"one"
            assert not ended
        finally:
            (tmp_path / "end").touch()
            for each in holding:
                each.join()
        assert ended == [request] * 2

    def test_a_process_outlives_the_thread_that_started_it(self, start: Start) -> None:
        task, seen = start(), []
        for _ in range(2):
            thread = threading.Thread(target=lambda: seen.append(ask(task, "pid")))
            thread.start()
            thread.join()
        assert seen[0] == seen[1]

    @pytest.mark.slow
    def test_no_more_processes_than_allowed_compute_at_a_time(self, start: Start) -> None:
        task, answers = start(most=2), []

        def compute(owner: str) -> None:
            answers.append(task.run([b"sleep 0.3"], owner)[0].content)

        threads = [threading.Thread(target=compute, args=(str(number),)) for number in range(6)]
        began = time.monotonic()
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(answers) == 6 and time.monotonic() - began >= 0.9

    @linux
    def test_a_forked_process_starts_its_own(self, start: Start) -> None:
        task = start()
        mine = ask(task, "pid")
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, ask(task, "pid").encode())
            task.close()
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading) as file:
            assert file.read() not in ("", mine)
        assert ask(task, "pid") == mine

    @pytest.mark.slow
    def test_a_process_ends_with_the_one_that_started_it(self, tmp_path: Path) -> None:
        (tmp_path / "task.py").write_text(TASK)
        code = (
            "import os, signal, sys; from tocsin.admission.bounded_process import *;"
            f"task = BoundedTask({str(tmp_path / 'task.py')!r}, Limits(9.0, 10**9, 10**5));"
            "print(task.run([b'pid'])[0].content.decode(), flush=True);"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                os.kill(int(ended.stdout), 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        raise AssertionError("it still runs")
