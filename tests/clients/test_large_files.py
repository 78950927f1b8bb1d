"""Large files are checked and sent in bounded memory, with the results of small ones."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.taxii_servers import Answer, indicator, serve_script
from support.warning_lists import warning_lists

from tocsin.admission import parse_policy
from tocsin.admission.extraction import verified_file
from tocsin.admission.extraction.verified_file import VerifiedFile
from tocsin.admission.formats import misp
from tocsin.admission.formats.misp import large
from tocsin.admission.markings.tlp import TLP_2_IDS
from tocsin.admission.model import Candidate, Tlp
from tocsin.clients import check, results
from tocsin.clients.check import Checker, Preview, describe_submitter
from tocsin.clients.check_processes import (
    CheckProcesses,
    ExaminationAhead,
    ExaminerSettings,
    KeptCandidates,
    LargeExaminer,
    SurveyedExaminer,
    cut_parts,
)
from tocsin.clients.cli import inputs
from tocsin.clients.input_files import InputFile
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings

pytestmark = pytest.mark.slow

NOW = 1_780_000_000_000_000
SETTINGS = ClientSettings(terms=("acme.example",))
Run = Callable[..., Any]


def objects(count: int) -> Iterator[dict[str, Any]]:
    """Indicators, with a report at the end that marks the first of them."""
    for number in range(count):
        made = indicator(number)
        if not number % 10:
            made["description"] = "seen by vpn.acme.example"
        yield made
    report = indicator(0) | {"type": "report", "name": "r", "published": "2026-01-02T03:04:05Z"}
    for name in ("pattern", "pattern_type", "valid_from"):
        del report[name]
    refs = {"object_refs": [indicator(0)["id"]], "object_marking_refs": [TLP_2_IDS[Tlp.GREEN]]}
    yield report | refs | {"id": f"report--{indicator(0)['id'][11:]}"}


def write_bundle(path: Path, count: int = 1_200) -> Path:
    path.write_text(json.dumps({"type": "bundle", "id": "b", "objects": [*objects(count)]}))
    return path


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker(SETTINGS, parse_policy(policy_text()), warning_lists())


@pytest.fixture(scope="module")
def processes() -> Iterator[CheckProcesses]:
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2) as found:
        yield found


def list_results(preview: Preview) -> list[results.ObjectResult]:
    assert preview.error == ""
    return list(preview.results(before=True))


@pytest.mark.parametrize("several", [False, True])
def test_the_results_of_a_large_file_are_those_of_a_small_one(
    several: bool, checker: Checker, processes: CheckProcesses, tmp_path: Path
) -> None:
    path = write_bundle(tmp_path / "a.json")
    given: dict[str, Any] = {"labels": ("phishing",), "valid_for": 10**12}
    small = checker.preview(InputFile("a.json", path.read_bytes(), **given), NOW)
    file = InputFile("a.json", b"", path=path, keep_before=True, **given)
    advances: list[int] = []
    large = checker.preview(file, NOW, processes if several else None, advances.append)
    assert large.store is not None and large.count == small.count == sum(advances) == 1_201
    assert list_results(large) == list_results(small)
    first = next(large.results())
    assert first.object is not None
    assert first.object["object_marking_refs"] == [TLP_2_IDS[Tlp.GREEN]]


@pytest.mark.parametrize("several", [False, True])
def test_nothing_of_a_large_file_is_lost_that_begins_with_a_report(
    several: bool, checker: Checker, processes: CheckProcesses, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"type": "bundle", "id": "b", "objects": [*objects(1_200)][::-1]}))
    small = checker.preview(InputFile("a.json", path.read_bytes()), NOW)
    file = InputFile("a.json", b"", path=path, keep_before=True)
    large = checker.preview(file, NOW, processes if several else None)
    assert large.store is not None and large.count == small.count == 1_201
    assert list_results(large) == list_results(small)


def test_only_what_a_rule_changed_is_kept_as_it_was_read(checker: Checker, tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "a.json", 30)
    found = list_results(checker.preview(InputFile("a.json", b"", path=path), NOW))
    assert [each.index for each in found if each.before] == [0, 10, 20]


def test_a_file_that_changes_between_its_readings_is_not_shared(
    checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path / "a.json")

    class Changing(LargeExaminer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            path.write_bytes(path.read_bytes().replace(b"bad700.test", b"bad701.test"))

    monkeypatch.setattr(check, "LargeExaminer", Changing)
    preview = checker.preview(InputFile("a.json", b"", path=path), NOW)
    assert "the file changed while it was read" in preview.error
    assert list(preview.results()) == []


def write_search(path: Path, *, published: bool = True) -> Path:
    """A search for MISP events; the last of them has a list that is read in pieces."""
    events = [
        {
            "Event": {
                "info": f"seen by vpn.acme.example {first}",
                "published": published,
                "Attribute": [
                    {
                        "type": "domain",
                        "value": f"bad{number}.top",
                        "to_ids": True,
                        "uuid": indicator(number)["id"][11:],
                        "comment": "seen by vpn.acme.example" if number % 10 == 0 else "",
                        "Sighting": [{"date_sighting": "1770000000", "type": "0"}],
                    }
                    for number in range(first, first + count)
                ],
            }
        }
        for first, count in ((0, 5), (3, 5), (100, 300))
    ]
    path.write_text(json.dumps({"response": events}))
    return path


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("published", [True, False])
def test_the_results_of_a_large_search_in_misp_are_those_of_a_small_one(
    several: bool,
    published: bool,
    checker: Checker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check, "_MOST_KEPT", 40)
    monkeypatch.setattr(large, "_LONGEST_EVENT", 5_000)
    path = write_search(tmp_path / "a.json", published=published)
    given: dict[str, Any] = {"labels": ("phishing",), "valid_for": 10**12}
    small = checker.preview(InputFile("a.json", path.read_bytes(), **given), NOW)
    file = InputFile("a.json", b"", path=path, keep_before=True, **given)
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2, part=5) as processes:
        found = checker.preview(file, NOW, processes if several else None)
    assert found.store is not None and found.count == small.count > 600
    assert list_results(found) == list_results(small)


def test_a_search_in_misp_that_changes_while_it_is_read_is_not_shared(
    checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_MOST_KEPT", 40)
    path = write_search(tmp_path / "a.json")
    find_events = large.find_events

    def change(file: VerifiedFile) -> large.LargeMisp | None:
        found = find_events(file)
        path.write_bytes(path.read_bytes().replace(b"bad399.top", b"bad398.top"))
        return found

    monkeypatch.setattr(misp, "find_events", change)
    monkeypatch.setattr(verified_file, "_BLOCK", 1_000)
    preview = checker.preview(InputFile("a.json", b"", path=path), NOW)
    assert "the file changed while it was read" in preview.error
    assert list(preview.results()) == []


def test_a_search_in_misp_that_changes_after_it_was_read_is_shared_as_it_was(
    checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "_MOST_KEPT", 40)
    path = write_search(tmp_path / "a.json")
    file = InputFile("a.json", b"", path=path)
    unchanged = list_results(checker.preview(file, NOW))

    class Changing(SurveyedExaminer):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            path.write_bytes(path.read_bytes().replace(b"bad399.top", b"bad398.top"))

    monkeypatch.setattr(check, "SurveyedExaminer", Changing)
    assert list_results(checker.preview(file, NOW)) == unchanged


def test_candidates_that_are_kept_are_read_from_their_file_once() -> None:
    built = [Candidate.from_object(number, indicator(number)) for number in range(25)]
    kept = KeptCandidates(cut_parts(iter(built), 10))
    assert [*islice(kept.read(), 13)] == built[:13]
    assert [*kept.read()] == [*kept.read()] == built
    assert len([*kept.parts()]) == 3


@pytest.mark.parametrize("several", [False, True])
def test_a_table_that_changes_before_its_repeated_values_are_read_again_is_not_shared(
    several: bool, checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"bad{number}.top,seen" for number in range(100)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["domain,description", *rows, rows[5]]))
    settings = ExaminerSettings(policy_text(), None, describe_submitter(SETTINGS))
    with CheckProcesses(settings, count=2 if several else 1, part=5) as processes:
        file = InputFile("a.csv", b"", path=path)
        unchanged = checker.preview(file, NOW, processes)
        assert unchanged.store is not None and unchanged.count == 101
        judge = ExaminationAhead.judge_together

        def change_and_judge(ahead: Any, *arguments: Any) -> None:
            path.write_text("\n".join(["domain,description", "new.top,seen", *rows, rows[5]]))
            judge(ahead, *arguments)

        monkeypatch.setattr(ExaminationAhead, "judge_together", change_and_judge)
        preview = checker.preview(file, NOW, processes)
    assert "the file changed while it was read" in preview.error
    assert list(preview.results()) == []


def test_new_ids_are_no_change_of_the_file(
    checker: Checker, processes: CheckProcesses, tmp_path: Path
) -> None:
    given = [indicator(number) for number in range(4_001)]
    lines = "\n".join(json.dumps(each) for each in [*given, given[7]])
    file = InputFile("a.jsonl", lines.encode(), new_ids=True)
    assert len(list_results(checker.preview(file, NOW, processes))) == 4_002


def test_processes_that_end_are_an_error_of_the_file(checker: Checker, tmp_path: Path) -> None:
    settings = ExaminerSettings("not a policy", None, describe_submitter(SETTINGS))
    file = InputFile("a.json", b"", path=write_bundle(tmp_path / "a.json"))
    with CheckProcesses(settings, count=2) as broken:
        assert "was killed, probably for lack of memory" in checker.preview(file, NOW, broken).error


@pytest.mark.parametrize("content", [b"evil.top\n" * 3, b'{"type":"bundle","objects":[{]}'])
def test_a_large_file_that_is_not_stix_is_read_as_a_whole(
    checker: Checker, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    large = checker.preview(InputFile("a.txt", b"", path=path), NOW)
    assert large == checker.preview(InputFile("a.txt", content), NOW)


def test_results_that_find_no_room_are_an_error_of_the_file(
    checker: Checker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_bundle(tmp_path / "a.json")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    preview = checker.preview(InputFile("a.json", b"", path=path), NOW)
    assert "results cannot be kept" in preview.error and "TMPDIR" in preview.error


def test_a_long_standard_input_is_checked_and_leaves_no_file(
    tocsin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(inputs, "LARGE", 10_000)
    with write_bundle(tmp_path / "a.json").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        code, lines, _ = tocsin("check", "-", "--as", "a.json", "--json")
    assert code == 0 and len(lines) == 1_202
    assert json.loads(lines[-1])["counts"]["ready"] == 1_201
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_parts_that_wait_for_their_status_are_kept_on_disk_and_reported_in_order(
    tocsin: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "LARGE", 10_000)
    sent: dict[str, list[str]] = {}
    asked: set[str] = set()

    def answer(request: Any) -> Answer | None:
        if request.method == "POST":
            status = f"{len(sent):08}-0000-4000-8000-000000000000"
            sent[status] = [each["id"] for each in json.loads(request.body)["objects"]]
            return Answer(format_status(status, "pending"), 202)
        if "/status/" not in request.path:
            return None
        status = request.path.rstrip("/").rpartition("/")[2]
        asked.add(status)
        return Answer(format_status(status, "complete"))

    def format_status(status: str, word: str) -> dict[str, Any]:
        ids = sent[status]
        done = word == "complete"
        entries = [{"id": each, "version": indicator(0)["modified"]} for each in ids]
        counts = {"success_count": len(ids) * done, "pending_count": len(ids) * (not done)}
        named = {"successes" if done else "pendings": entries}
        whole = {"id": status, "status": word, "total_count": len(ids), "failure_count": 0}
        return whole | counts | named

    path = write_bundle(tmp_path / "a.json", 1_500)
    with serve_script(answer, max_content_length=20_000) as server:
        monkeypatch.setenv("TOCSIN_URL", server.url)
        code, lines, _ = tocsin("push", str(path), "--to", "feed", "--yes", "--json")
    results_ = [json.loads(each) for each in lines]
    assert code == 0 and len(sent) > 20 and asked == set(sent)
    assert [each["index"] for each in results_[:-1]] == list(range(1_501))
    assert {each["verdict"] for each in results_[:-1]} == {"admitted"}
    assert [each for ids in sent.values() for each in ids] == [
        each["source_id"] for each in results_[:-1]
    ]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured in /proc")
def test_a_bundle_of_60_mb_is_checked_within_300_mb_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("w") as stream:
        stream.write('{"type":"bundle","id":"b","objects":[')
        for number in range(25_000):
            made = indicator(number) | {"description": "x" * 2_200}
            stream.write(f"{',' if number else ''}{json.dumps(made)}")
        stream.write("]}")
    assert path.stat().st_size > 60_000_000
    assert 20_000 < measure_peak_of_check(path) < 300_000


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is measured in /proc")
@pytest.mark.long
def test_a_list_of_60_mb_is_checked_within_300_mb_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("w") as stream:
        for number in range(32_000):
            stream.write(f"http://bad-portal{number}.top/{'x' * 1_850}/{number}\n")
    assert path.stat().st_size > 60_000_000
    assert 20_000 < measure_peak_of_check(path) < 300_000


def measure_peak_of_check(path: Path) -> int:
    """The most memory, in KiB, of a check on two processors with all of its processes."""
    arguments = [sys.executable, "-m", "tocsin.clients", "check", str(path)]
    two = sorted(os.sched_getaffinity(0))[:2]
    with subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, two)
    ) as program:
        peak = 0
        while program.poll() is None:
            peak = max(peak, sum(map(measure_memory, family_of(program.pid))))
            time.sleep(0.3)  # to measure takes 20 ms of the processor that the check needs
    assert program.returncode == 0
    return peak


def family_of(pid: int) -> list[int]:
    """The process and all processes that it started."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(each for child in found for each in family_of(int(child)))]


def measure_memory(pid: int) -> int:
    """The memory of a process in KiB, with its share of what it shares with others."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(each.split()[1]) for each in lines if each.startswith("Pss:")), 0)
