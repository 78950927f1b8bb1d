"""Processes that begin as copies of another one (tocsin.server.processes.forking)."""

import signal
import subprocess
import sys
import threading

import pytest

from tocsin.server.processes.forking import can_fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

_PROGRAM = """
import os, signal, sys
from pathlib import Path
from tocsin.server.processes.forking import ForkedProcess, can_fork
assert can_fork()
def fail():
    raise ValueError("a fault")
def leave():
    raise SystemExit("no")
def wait():
    signal.pause()
    return 0
def list_files():
    os.write(1, " ".join(sorted(os.listdir("/proc/self/fd"))).encode() + b"\\n")
    return len(os.read(0, 10))
{}
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has one thread only, as `can_fork` asks."""
    words = [sys.executable, "-c", _PROGRAM.format(code)]
    return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("function", "expected", "message"),
    [
        ("lambda: 0", 0, ""),
        ("lambda: 3", 3, ""),
        ("lambda: sys.exit(4)", 4, ""),
        ("lambda: sys.exit()", 0, ""),
        ("leave", 1, ""),
        ("fail", 1, "ValueError: a fault"),
    ],
)
def test_the_exit_code_is_that_of_the_function(function: str, expected: int, message: str) -> None:
    waits = "print(child.wait(), child.poll(), child.wait(1))"
    ended = run(f"child = ForkedProcess({function}, ())\n{waits}")
    assert ended.stdout.split() == [str(expected)] * 3
    assert message in ended.stderr


@pytest.mark.parametrize(
    ("function", "expected"), [("lambda: 3", 3), ("fail", 1), ("lambda: sys.exit(3)", 3)]
)
def test_a_child_without_standard_error_never_does_the_work_of_its_parent(
    function: str, expected: int
) -> None:
    code = f"""
sys.stderr = None
try:
    child = ForkedProcess({function}, ())
except BaseException:
    os._exit(9)
print(child.wait())
"""
    assert run(code).stdout == f"{expected}\n"


def test_a_child_of_a_process_that_ignores_the_end_of_children() -> None:
    code = """
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = ForkedProcess(wait, ())
child.kill()
print(child.wait())
other = ForkedProcess(wait, ())
os.kill(other.pid, signal.SIGKILL)
while Path(f"/proc/{other.pid}").exists():
    pass
other.kill()
print(other.wait(1))
"""
    assert run(code).stdout.split() == ["0", "0"]


def test_a_process_gets_its_name_where_it_cannot_open_a_file() -> None:
    code = """
import resource
from tocsin.server.processes.forking import name_process
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
name_process("tocsin-answer")
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(Path("/proc/self/comm").read_text())
"""
    assert run(code).stdout.split() == ["tocsin-answer"]


def test_nothing_that_waits_in_a_buffer_is_printed_twice() -> None:
    ended = run("print('once', end=''); ForkedProcess(lambda: 0, ()).wait()")
    assert ended.stdout == "once"


def test_a_child_has_only_the_files_that_it_is_given() -> None:
    code = """
kept, other = os.open("/dev/null", os.O_RDONLY), os.open("/dev/null", os.O_RDONLY)
with ForkedProcess(wait, ()) as first, ForkedProcess(list_files, {kept}) as child:
    files = set(child.stdout.readline().split()) - {b"0", b"1", b"2", str(kept).encode()}
    child.stdin.write(b"abc")
    print(len(files), child.wait())
    first.kill()
"""
    # One is the descriptor by which the list was read.
    assert run(code).stdout.split() == ["1", "3"]


def test_signals_end_it_and_are_not_sent_to_another_process_later() -> None:
    code = """
sent = []
for number in (signal.SIGTERM, signal.SIGKILL):
    child = ForkedProcess(wait, ())
    assert child.poll() is None
    child.send_signal(number)
    print(child.wait())
    kill, os.kill = os.kill, lambda *words: sent.append(words)
    child.terminate()
    child.kill()
    os.kill = kill
print(sent)
"""
    assert run(code).stdout.split() == [str(-signal.SIGTERM), str(-signal.SIGKILL), "[]"]


def test_a_wait_ends_in_time() -> None:
    code = """
import subprocess
child = ForkedProcess(wait, ())
try:
    child.wait(0.05)
except subprocess.TimeoutExpired:
    print("late")
child.kill()
"""
    assert run(code).stdout == "late\n"


def test_the_input_of_a_child_ends_with_its_parent_though_others_run() -> None:
    code = """
read, write = os.pipe()
def await_end():
    os.read(0, 1)
    os.write(write, b"e")
    return 0
first = ForkedProcess(await_end, {write})
other = ForkedProcess(wait, ())
print(other.pid, flush=True)
if os.fork() == 0:  # looks on, without the pipes
    first.stdin.close()
    os.close(write)
    print(os.read(read, 1), flush=True)
    os.kill(other.pid, signal.SIGKILL)
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = run(code)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split()[1:] == ["b'e'"]


def test_a_process_with_threads_is_not_copied() -> None:
    going = threading.Event()
    thread = threading.Thread(target=going.wait)
    thread.start()
    try:
        assert not can_fork()
    finally:
        going.set()
        thread.join()
