"""Files are read in a process with limits, as they are read here."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.misp_events import attribute, event

from tocsin.admission.model import Tlp, Verdict
from tocsin.config.loading import policy_text
from tocsin.server.examination.examiner import WorkerEnded
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.examination.reading import ReadTask, read_file

TEXT = b"We saw the-evil[.]top and 203.0.113.77 today."
TASK = ReadTask("pasted", TEXT, 1_800_000_000_000_000, Tlp.GREEN, most=100)


@pytest.fixture(scope="module")
def processes() -> Iterator[ExaminerProcesses]:
    found = ExaminerProcesses(1, policy_text(), ExaminerLimits())
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.parametrize("content", [TEXT, b'{"type": "indicator", "id": "x"', b"\x00\x01"])
def test_a_file_is_read_in_another_process_as_it_is_here(
    processes: ExaminerProcesses, content: bytes
) -> None:
    task = replace(TASK, content=content)
    assert processes.read(task) == read_file(task)


@pytest.mark.slow
def test_a_file_that_exceeds_the_limits_ends_its_process_and_no_other_file() -> None:
    limits = ExaminerLimits(seconds=1.0)
    processes = ExaminerProcesses(1, policy_text(), limits)
    hard = replace(TASK, content=b"a.b.c.evil.top x@y.example " * 100_000, most=1_000_000)
    try:
        with pytest.raises(WorkerEnded):
            processes.read(hard)
        assert processes.read(TASK).candidates
    finally:
        processes.close()


@pytest.mark.slow
def test_an_idle_process_ends_and_the_next_file_starts_another(
    processes: ExaminerProcesses,
) -> None:
    processes.read(TASK)
    processes.end_idle()
    assert processes.process_ids() == []
    assert processes.read(TASK).candidates


def test_no_more_objects_are_read_than_asked_for_and_one() -> None:
    content = "\n".join(f"evil{n}.top" for n in range(50)).encode()
    assert len(read_file(replace(TASK, content=content, most=10)).candidates) == 11


def test_labels_and_an_end_are_added() -> None:
    (first, *_) = read_file(replace(TASK, labels=("a",), valid_for=1_000_000)).candidates
    assert first.object is not None
    assert "a" in first.object["labels"] and "valid_until" in first.object


def test_a_draft_is_taken_as_finished_on_request() -> None:
    draft = {"Event": {**event(attribute())["Event"], "published": False}}
    content = json.dumps(draft).encode()
    task = replace(TASK, name="event.json", content=content)
    assert {each.verdict for each in read_file(task).candidates} == {Verdict.HELD}
    found = read_file(replace(task, include_held=True))
    assert {each.verdict for each in found.candidates} == {Verdict.OPEN}
