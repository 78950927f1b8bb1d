"""A large file is examined in several processes with the results of one."""

import gc
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import pytest
from support.taxii_servers import indicator
from support.warning_lists import warning_lists

from tocsin.admission import parse_policy
from tocsin.admission.model import Candidate
from tocsin.clients.check import Checker, describe_submitter
from tocsin.clients.check_processes import (
    CheckProcesses,
    ExaminerSettings,
    PlainWork,
    is_plain,
)
from tocsin.clients.cli.inputs import FREEZE_AFTER, freeze_between
from tocsin.clients.input_files import InputFile
from tocsin.clients.results import ObjectResult, encode_results
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings

PLAIN = {**indicator(1), "pattern": "[domain-name:value = 'evil.top']"}
NOW = 1_780_000_000_000_000
SETTINGS = ClientSettings(terms=("acme.example",))
LEVELS = ("green", "green", "green", "amber", "red", "")


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker(SETTINGS, parse_policy(policy_text()), warning_lists())


@pytest.fixture(scope="module")
def processes() -> Iterator[CheckProcesses]:
    """Two processes that take five candidates at once, and files from forty on."""
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2, part=5) as processes:
        yield processes


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_a_process_is_started_with_interrupts_blocked(checker: Checker) -> None:
    def is_blocked(id: int) -> bool:
        status = Path(f"/proc/{id}/status").read_text()
        (mask,) = re.findall("^SigBlk:\t([0-9a-f]+)$", status, re.MULTILINE)
        return bool(int(mask, 16) & 1 << signal.SIGINT - 1)

    before = active_children()
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2, part=5) as processes:
        checker.preview(InputFile("a.txt", text(40)), NOW, processes)
        started = [each.pid or 0 for each in active_children() if each not in before]
        assert started and all(map(is_blocked, started))
    assert not is_blocked(os.getpid())


def test_processes_end_with_the_program_though_they_have_not_begun_yet(
    processes: CheckProcesses,
) -> None:
    processes.submit(b"\x90", PlainWork(NOW, keep_before=False))  # of another use of them
    before, started = active_children(), []
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    with pytest.raises(SystemExit), CheckProcesses(settings, count=2, part=5) as ended:
        ended.submit(b"\x90", PlainWork(NOW, keep_before=False))  # no candidate at all
        started = [each for each in active_children() if each not in before]
        raise SystemExit
    assert [each.exitcode for each in started] == [-signal.SIGKILL]
    assert any(each.is_alive() for each in before)
    assert all(each.exitcode in (None, 0) for each in before)  # those of an earlier test may end


def preview_both_ways(
    checker: Checker, processes: CheckProcesses, file: InputFile
) -> tuple[list[ObjectResult], list[ObjectResult], list[int]]:
    """The results of one process, those of several, and the advances of the latter."""
    advances: list[int] = []
    several = checker.preview(replace(file, keep_before=True), NOW, processes, advances.append)
    one = checker.preview(file, NOW)
    return list(one.results(before=True)), list(several.results(before=True)), advances


def text(count: int) -> bytes:
    lines = [f"the host h{n}.evil-portal.top was seen" for n in range(count)]
    lines += ["10.0.4.12 and vpn.acme.example", "google.com"]
    return "\n".join(lines).encode()


@pytest.mark.slow
def test_a_text_gives_the_same_results_in_order(
    checker: Checker, processes: CheckProcesses
) -> None:
    one, several, advances = preview_both_ways(checker, processes, InputFile("a.txt", text(103)))
    assert several == one
    assert len(one) > 100
    assert max(advances) <= 5 and sum(advances) == len(one)


def test_a_value_with_several_levels_in_a_table_gets_the_strictest_one(
    checker: Checker, processes: CheckProcesses
) -> None:
    rows = [f"h{n}.evil-portal.top,green" for n in range(60)]
    table = "\n".join(["domain,tlp", *rows, "h3.evil-portal.top,amber", ""])
    one, several, _ = preview_both_ways(checker, processes, InputFile("a.csv", table.encode()))
    assert several == one
    assert {each.verdict for each in one} == {"ready", "duplicate"}


@pytest.mark.slow
def test_the_results_of_a_list_take_little_more_room_than_the_list(checker: Checker) -> None:
    content = "\n".join(f"http://h{n}.evil-portal.top/{n}/payload.bin" for n in range(500))
    found = checker.preview(InputFile("a.txt", content.encode()), NOW)
    pairs = zip(found.originals, found.candidates, strict=True)
    block = encode_results(pairs, keep_before=False)
    assert block.counts == {"ready": 500}
    assert len(block.octets) < 2 * len(content)


@pytest.mark.slow
def test_many_repeated_values_of_a_table_are_judged_as_one_process_judges_them(
    checker: Checker, processes: CheckProcesses
) -> None:
    choose = random.Random(7)
    notes = ("seen", "ask jane@bank.test", "at vpn.acme.example")
    rows = [
        f"h{choose.randrange(150)}.evil-portal.top,{choose.choice(LEVELS)},{choose.choice(notes)}"
        for _ in range(300)
    ]
    table = "\n".join(["domain,tlp,description", *rows])
    one, several, advances = preview_both_ways(
        checker, processes, InputFile("a.csv", table.encode())
    )
    assert several == one
    assert {each.verdict for each in one} == {"ready", "duplicate", "refused"}
    assert sum("strictest" in str(each.findings) for each in one) > 10
    assert sum(advances) == len(one) == 300


@pytest.mark.slow
def test_repeated_values_are_kept_on_disk_until_they_are_judged(
    checker: Checker, tmp_path: Path
) -> None:
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    path = tmp_path / "a.csv"
    with CheckProcesses(settings, count=1, part=50) as processes:
        peaks = []
        for count in (1_000, 1_000, 5_000):
            rows = (f"h{n % 300}.evil-portal.top,{'x' * 3_000}" for n in range(count))
            path.write_text("\n".join(["domain,description", *rows]))
            tracemalloc.start()
            preview = checker.preview(InputFile("a.csv", b"", path=path), NOW, processes)
            assert preview.store is not None and preview.store.counts["ready"] == 300
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + 2_000_000


@pytest.mark.parametrize(
    "more",
    [
        {"type": "report", "object_refs": [indicator(3)["id"]]},
        {"type": "identity", "name": "ACME"},
        {"type": "marking-definition"},
    ],
)
def test_a_file_with_other_objects_is_examined_as_one(
    checker: Checker, processes: CheckProcesses, more: dict[str, object]
) -> None:
    objects = [indicator(n) for n in range(60)]
    other = {**indicator(1), "id": f"{more['type']}--{indicator(1)['id'][11:]}", **more}
    bundle = json.dumps({"type": "bundle", "objects": [*objects, other]}).encode()
    one, several, advances = preview_both_ways(checker, processes, InputFile("a.json", bundle))
    assert several == one
    assert len(advances) >= 61 and set(advances[-61:]) == {1}


@pytest.mark.parametrize(
    "more",
    [
        {"created_by_ref": "identity--13003a89-9fed-40fd-aaa3-32d513b843e2"},
        {"object_marking_refs": ["marking-definition--13003a89-9fed-40fd-aaa3-32d513b843e2"]},
        {"granular_markings": []},
        {"pattern_type": "sigma"},
        {"object_refs": [indicator(3)["id"]]},
    ],
)
def test_an_indicator_that_concerns_others_is_not_examined_apart(more: dict[str, object]) -> None:
    assert is_plain(Candidate.from_object(0, PLAIN))
    assert not is_plain(Candidate.from_object(0, PLAIN | more))


def test_a_small_file_starts_no_process(checker: Checker) -> None:
    settings = ExaminerSettings("not a policy", None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2) as unused:
        assert len(checker.preview(InputFile("a.txt", text(20)), NOW, unused).candidates) > 20


@pytest.mark.slow
def test_processes_that_end_cost_only_time(checker: Checker) -> None:
    settings = ExaminerSettings("not a policy", None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2, part=5) as broken:
        one, several, _ = preview_both_ways(checker, broken, InputFile("a.txt", text(103)))
    assert several == one


@pytest.mark.slow
def test_results_of_a_large_file_are_exempted_from_garbage_collection() -> None:
    counts: list[int] = []
    advance = freeze_between(counts.append)
    try:
        gc.unfreeze()
        advance(FREEZE_AFTER - 1)
        before = gc.get_freeze_count()
        advance(1)
        assert (before, gc.get_freeze_count() > 0) == (0, True)
        assert counts == [FREEZE_AFTER - 1, 1]
    finally:
        gc.freeze()  # as before; see conftest.py


@pytest.mark.slow
def test_the_processes_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    lines = "\n".join(f"h{n}.evil-portal.top was seen" for n in range(60_000))
    (tmp_path / "a.txt").write_text(lines)
    command = [sys.executable, "-m", "tocsin.clients", "check", str(tmp_path / "a.txt")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as program:
        deadline = time.monotonic() + 60
        while not (workers := children_of(program.pid)):
            assert time.monotonic() < deadline and program.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        workers = children_of(program.pid)
        os.kill(program.pid, signal.SIGKILL)
    while any(Path(f"/proc/{each}").exists() for each in workers):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]
