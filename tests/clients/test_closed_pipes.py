"""Commands with a closed pipe or closed standard streams: exit codes, messages, no lost object."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.hub import HubInProcess
from support.processes import BIN, ENDED, make_data, run_command
from support.taxii_servers import COLLECTION, Medallion, indicator

pytestmark = pytest.mark.slow

Tocsin = Callable[..., tuple[int, list[str], str]]
COMMAND = " ".join([sys.executable, "-m", "tocsin.clients"])


def run_in_bash(line: str) -> tuple[list[str], str, str]:
    """Run a pipeline; returns the exit code of each part, stdout and stderr."""
    script = f"{line}; echo ${{PIPESTATUS[*]}} > codes"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, timeout=120, text=True)
    return Path("codes").read_text().split(), ran.stdout, ran.stderr


def await_octets(pipe: int, number: int) -> None:
    """Wait until a number of octets can be read from a pipe."""
    deadline, waiting = time.monotonic() + 60, bytearray(4)
    while int.from_bytes(waiting, sys.byteorder) < number:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)


@pytest.mark.parametrize("form", ["jsonl", "list", "bundle"])
def test_a_poll_into_head_exits_with_141_and_an_empty_stderr(partner: Medallion, form: str) -> None:
    partner.add(*(indicator(n) for n in range(300)))
    codes, out, stderr = run_in_bash(
        f"{COMMAND} poll {COLLECTION} --format {form} --limit 100 | head -1"
    )
    assert (codes, out.count("\n"), stderr) == (["141", "0"], 1, "")


@pytest.mark.parametrize("options", ["", "--json"])
@pytest.mark.parametrize("command", ["collections", "check iocs.txt"])
def test_every_client_command_exits_with_141_when_its_reader_closes_the_pipe(
    partner: Medallion, command: str, options: str
) -> None:
    Path("iocs.txt").write_text("evil-portal.top\n")
    codes, _, stderr = run_in_bash(f"{COMMAND} {command} {options} | exec <&-")
    assert (codes[0], stderr) == ("141", "")


def test_the_cursor_never_moves_past_the_objects_written(partner: Medallion) -> None:
    partner.add(*(indicator(n) for n in range(60)))
    poll = f"{COMMAND} poll {COLLECTION} --limit 20 --state s"
    run_in_bash(f"{poll} | (exec <&-; sleep 0.1)")
    _, first, _ = run_in_bash(f"{poll} | (sleep 1; cat > first)")
    written = Path("first").read_text().splitlines()
    assert [json.loads(line) for line in written] == [indicator(n) for n in range(60)]
    assert first == ""


def test_an_interrupted_poll_writes_no_line_twice_or_in_pieces_into_a_slow_pipe(
    partner: Medallion,
) -> None:
    partner.add(*(indicator(n) | {"description": "x" * 3_000} for n in range(100)))
    line = [*COMMAND.split(), "poll", COLLECTION]
    default = signal.signal(signal.SIGINT, signal.default_int_handler)  # where it is ignored
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as poll:
        signal.signal(signal.SIGINT, default)
        assert poll.stdout is not None
        out = os.read(poll.stdout.fileno(), 1_000)
        await_octets(poll.stdout.fileno(), 40_000)
        time.sleep(0.5)  # the pipe is full
        out += os.read(poll.stdout.fileno(), 4_000)  # and takes a part of what is next
        time.sleep(0.5)
        poll.send_signal(signal.SIGINT)
        time.sleep(0.2)
        out += poll.communicate(timeout=60)[0]
    ids = [json.loads(each)["id"] for each in out.splitlines()]
    assert ids == [indicator(n)["id"] for n in range(len(ids))] and 10 < len(ids) < 100


def test_a_pipe_that_does_not_block_gets_everything_though_its_reader_is_slow(
    partner: Medallion,
) -> None:
    added = [indicator(n) | {"description": "x" * 3_000} for n in range(100)]
    partner.add(*added)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    line = [*COMMAND.split(), "poll", COLLECTION]
    with subprocess.Popen(line, stdout=writing, stderr=subprocess.PIPE, text=True) as poll:
        os.close(writing)
        time.sleep(3)  # so that the pipe is full
        with open(reading) as pipe:
            written = [json.loads(each) for each in pipe]
        _, stderr = poll.communicate(timeout=60)
    assert (poll.returncode, stderr) == (0, "")
    assert written == added


STAYS = "standard output; what the command has sent or changed stays so\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_poll_to_a_full_disk_exits_with_1_and_does_not_move_the_cursor(
    tocsin: Tocsin, partner: Medallion, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    partner.add(*(indicator(n) for n in range(60)))
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    codes, _, stderr = run_in_bash(f"{COMMAND} poll {COLLECTION} --state s > /dev/full")
    assert (codes, stderr) == (["1"], f"tocsin: No space left on device: {STAYS}")
    assert len(tocsin("poll", COLLECTION, "--state", "s")[1]) == 60


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("output", "reason"),
    [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
@pytest.mark.parametrize("command", [f"{COMMAND} push --help", f"{BIN}/tocsin-hub key --help"])
def test_help_names_the_output_that_cannot_be_written(
    alone: None,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    output: str,
    reason: str,
    unbuffered: str,
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    codes, _, stderr = run_in_bash(f"{command} {output}")
    program = "tocsin-hub" if "hub" in command else "tocsin"
    assert (codes, stderr) == (["1"], f"{program}: {reason}: {STAYS}")


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1"])
def test_characters_that_the_output_cannot_show_are_escaped(
    alone: None, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    Path("prüf→.txt").write_text("evil-portal.top\n")
    codes, out, stderr = run_in_bash(f"{COMMAND} check *.txt | iconv -f {encoding}")
    assert codes == ["0", "0"] and "Traceback" not in stderr
    assert ("pr\\xfcf" if encoding == "ascii" else "prüf") + "\\u2192.txt" in out


@pytest.mark.parametrize("options", ["", "--output - --format csv", "--format bundle"])
def test_a_poll_to_a_closed_output_exits_with_1_and_does_not_move_the_cursor(
    tocsin: Tocsin, partner: Medallion, options: str
) -> None:
    partner.add(*(indicator(n) for n in range(60)))
    codes, _, stderr = run_in_bash(f"{COMMAND} poll {COLLECTION} --state s {options} >&-")
    assert (codes, stderr) == (["1"], f"tocsin: Bad file descriptor: {STAYS}")
    assert len(tocsin("poll", COLLECTION, "--state", "s")[1]) == 60


@pytest.mark.parametrize("command", ["conformance --list", "collection list --data d"])
def test_hub_commands_exit_with_141_when_their_reader_closes_the_pipe(
    alone: None, command: str
) -> None:
    make_data(Path("d"))
    codes, _, stderr = run_in_bash(f"{BIN}/tocsin-hub {command} | exec <&-")
    assert codes[0] == "141" and "Broken pipe" not in stderr and "Traceback" not in stderr


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [
        ("check iocs.txt", "<&- >&- 2>&-", "1"),
        ("check iocs.txt", "2>&-", "0"),
        ("check iocs.txt --json", ">&-", "1"),
        ("check iocs.txt --json", "<&-", "0"),
        ("check --help", ">&-", "1"),
        ("check --help", "<&- >&- 2>&-", "1"),
        ("nosuch", "<&- >&- 2>&-", "2"),
    ],
)
def test_only_a_command_whose_output_is_lost_fails_with_closed_standard_streams(
    alone: None, command: str, closed: str, code: str
) -> None:
    Path("iocs.txt").write_text("evil-portal.top\n")
    codes, _, stderr = run_in_bash(f"{COMMAND} {command} {closed}")
    assert codes == [code] and "Traceback" not in stderr


def test_a_watched_folder_is_sent_with_a_closed_output(served: HubInProcess) -> None:
    Path("outgoing").mkdir()
    Path("outgoing/iocs.txt").write_text("evil-portal.top\n")
    line = f"exec {COMMAND} push --watch outgoing --to inbox --no-wait >&-"
    with subprocess.Popen(["bash", "-c", line], stderr=subprocess.PIPE, text=True) as watch:
        try:
            deadline = time.monotonic() + 90
            while not Path("outgoing/sent/iocs.txt").exists():
                assert time.monotonic() < deadline and watch.poll() is None
                time.sleep(0.05)
            time.sleep(1)  # it goes on
        finally:
            watch.terminate()
        _, stderr = watch.communicate(timeout=60)
    assert (watch.returncode, stderr) == (-signal.SIGTERM, "")


@pytest.mark.parametrize(("output", "code"), [(">&-", "0"), ("> /dev/full", "1")])
def test_a_source_that_was_read_has_a_status_though_nobody_reads_of_it(
    tocsin: Tocsin, served: HubInProcess, output: str, code: str
) -> None:
    source = '[[source]]\nkind = "directory"\nname = "box"\npath = "box"\nevery = "1h"\n'
    Path("sources.toml").write_text(source)
    Path("box").mkdir()
    codes, _, _ = run_in_bash(f"{COMMAND} collect --once {output}")
    assert codes == [code]
    status, [line], _ = tocsin("collect", "--status", "--json")
    assert status == 0 and json.loads(line)["last_success"]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.slow
def test_no_file_of_a_hub_gets_the_descriptor_of_a_closed_stream(alone: None, closed: str) -> None:
    add = "exclusion add ours-portal.top --data d"  # it makes the hub
    codes, _, stderr = run_in_bash(f"{BIN}/tocsin-hub {add} {closed}")
    assert codes == ["1"] and "Traceback" not in stderr
    listed, out, _ = run_command("exclusion", "list", "--data", "d")
    assert listed == 0 and "ours-portal.top" in out
    codes, _, stderr = run_in_bash(f"{BIN}/tocsin-hub journal export --data d {closed}")
    assert codes == ["1"] and "Traceback" not in stderr


def test_an_interrupted_hub_command_exits_with_130_and_no_traceback(
    alone: None, tmp_path: Path
) -> None:
    add = ("exclusion", "add", "ours-portal.top", "--data", "d")  # it makes the hub
    line: list[str | Path] = [BIN / "tocsin-hub", *add]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as command:
        deadline = time.monotonic() + 60
        while not (tmp_path / "d").exists():
            assert time.monotonic() < deadline, "the command did not start within a minute"
            time.sleep(0.02)
        command.send_signal(signal.SIGINT)
        _, stderr = command.communicate(timeout=60)
    assert (command.returncode, stderr.splitlines()[-1]) == (130, "tocsin-hub: interrupted")
    assert "Traceback" not in stderr


def test_a_check_that_sigterm_ends_leaves_no_file_and_prints_nothing(
    alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    (tmp_path / "long.txt").write_text("".join(f"h{n}.evil-portal.top\n" for n in range(600_000)))
    line = [*COMMAND.split(), "check", "-", "--as", "a.txt"]
    with (
        (tmp_path / "long.txt").open() as stdin,
        subprocess.Popen(line, stdin=stdin, stderr=subprocess.PIPE, text=True) as check,
    ):
        deadline = time.monotonic() + 60
        while not list(folder.iterdir()):
            assert time.monotonic() < deadline and check.poll() is None
            time.sleep(0.02)
        time.sleep(4)  # so that it has begun to examine the copy
        check.terminate()
        _, stderr = check.communicate(timeout=60)
    assert (check.returncode, stderr, list(folder.iterdir())) == (-signal.SIGTERM, "", [])


def list_children(process: int) -> list[str]:
    """The ids of the processes that a process has started."""
    found: list[str] = []
    for each in Path(f"/proc/{process}/task").iterdir():
        with suppress(*ENDED):  # a thread that has ended
            found += (each / "children").read_text().split()
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_sigterm_while_a_check_starts_processes_prints_nothing(alone: None) -> None:
    Path("long.txt").write_text("".join(f"h{n}.evil-portal.top\n" for n in range(30_000)))
    line = [*COMMAND.split(), "check", "long.txt"]
    for number in range(6):  # without care, it printed a traceback about every second time
        with subprocess.Popen(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as check:
            deadline = time.monotonic() + 60
            while len(list_children(check.pid)) < 2 + number % 2:  # the first one tracks resources
                assert time.monotonic() < deadline and check.poll() is None
                time.sleep(0.001)  # or looking takes the processor that the check needs
            check.terminate()
            _, stderr = check.communicate(timeout=60)
        assert (check.returncode, stderr) == (-signal.SIGTERM, "")


def test_a_command_that_cannot_end_in_order_is_ended_ten_seconds_after_sigterm(alone: None) -> None:
    stuck = """if True:
        import signal, sys, threading, time
        from tocsin.clients.cli.main import main
        def wait():
            while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
                time.sleep(0.01)
            print("begun", flush=True)
            threading.Event().wait()
        threading.Thread(target=wait).start()
        sys.exit(main(["check", "-"]))
    """
    line, pipe = [sys.executable, "-c", stuck], subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe) as command:
        assert command.stdout is not None and command.stdout.readline() == b"begun\n"
        begin = time.monotonic()
        command.terminate()
        try:
            assert command.wait(timeout=30) == -signal.SIGALRM
            assert time.monotonic() - begin > 8
        finally:
            command.kill()
