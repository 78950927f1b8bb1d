"""Worker processes that examine submissions: same result, bounded, expendable."""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.hub import (
    GREEN,
    HubInProcess,
    Object,
    default_admission,
    indicator,
    relationship,
    sdo,
)

from tocsin.admission.errors import Unavailable
from tocsin.admission.model import Candidate, Submitter
from tocsin.config import HubSettings, policy_text
from tocsin.server.examination.examiner import (
    ExaminationTask,
    LocalExamination,
    WorkerEnded,
)
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.store import Store, wall_clock

FAULTY = b'{"type": "indicator"'


@pytest.fixture(scope="module")
def examiner() -> Iterator[ExaminerProcesses]:
    with_processes = ExaminerProcesses(1, policy_text(), ExaminerLimits())
    yield with_processes
    with_processes.close()


def task(*objects: object) -> ExaminationTask:
    """Build a task of these objects; octets are taken as they are."""
    raw = tuple(o if isinstance(o, bytes) else json.dumps(o).encode() for o in objects)
    submitter = Submitter("acme", ("Acme",), ("acme.example",), identities=frozenset({"x"}))
    exclusions = (("domain-name", "excluded.top", "ours"),)
    return ExaminationTask(raw, submitter, "identity--0", wall_clock(), exclusions)


def examine_here(task: ExaminationTask) -> list[Candidate]:
    """Examine a task in this process."""
    admission = default_admission()
    examination = LocalExamination.begin(task, admission.policy, admission.warninglists)
    return examination.examine_next(len(task.objects))


def examine_there(examiner: ExaminerProcesses, task: ExaminationTask, most: int = 3) -> Any:
    """Examine a task in a worker process, a few objects at a time."""
    examination = examiner.begin(task)
    found: list[Candidate] = []
    while new := examination.examine_next(most):
        found += new
    examination.close()
    return found


def test_the_result_is_that_of_this_process(examiner: ExaminerProcesses) -> None:
    one, malware = indicator(confidence=70), sdo("malware", name="Foo", is_family=True)
    acs = {"type": "marking-definition", "id": "marking-definition--x", "definition": {}}
    amber = {"lang": "en", "marking_ref": GREEN, "selectors": ["description"]}
    given = task(
        one,
        malware,
        relationship(one, "indicates", malware),
        indicator("excluded.top"),
        indicator("host.acme.example", description="call Jane Doe, jane@acme.example"),
        indicator(description="\ud83d\ude00 ü", granular_markings=[amber]),
        indicator(x_number=1.5, x_big=2**53 - 1, x_deep=[[{}]], lang=None),
        acs,
        FAULTY,
        {"Event": {}},
        one,
    )
    assert examine_there(examiner, given) == examine_here(given)


def test_an_endless_submission_ends_its_process_and_no_other(store: Store) -> None:
    limits = ExaminerLimits(seconds=0.3)
    examiner = ExaminerProcesses(1, policy_text(), limits)
    try:
        many = task(
            *[indicator(f"{n}.top", description="jane@acme.example " * 900) for n in range(900)]
        )
        with pytest.raises(WorkerEnded, match="processor time"):
            examiner.begin(many).examine_next(900)
        few = task(indicator())
        assert [each.is_open for each in examine_there(examiner, few)] == [True]
    finally:
        examiner.close()


def test_a_process_has_bounded_memory() -> None:
    examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits(memory=250_000_000))
    try:
        with pytest.raises(WorkerEnded, match="MB of memory"):
            examiner.begin(task(b'{"a": "' + b"x" * 120_000_000 + b'"}')).examine_next(1)
    finally:
        examiner.close()


def test_what_a_killed_process_had_begun_is_lost_and_says_so(
    examiner: ExaminerProcesses,
) -> None:
    begun, other = (examiner.begin(task(indicator(), indicator())) for _ in range(2))
    assert len(begun.examine_next(1)) == len(other.examine_next(1)) == 1
    kill(examiner)
    with pytest.raises((WorkerEnded, Unavailable)):
        begun.examine_next(1)
    with pytest.raises(Unavailable):
        other.examine_next(1)
    assert len(examine_there(examiner, task(indicator()))) == 1


def kill(examiner: ExaminerProcesses) -> None:
    """Send SIGKILL to the worker process."""
    [pid] = examiner.process_ids()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)


class TestInAHub:
    @pytest.fixture
    def hub(self, store: Store, examiner: ExaminerProcesses) -> HubInProcess:
        return HubInProcess(store, settings=HubSettings(inline_objects=20), examiner=examiner)

    def post(self, hub: HubInProcess, count: int) -> Object:
        """Post a large submission."""
        objects = [indicator(f"{n}.top") for n in range(count)]
        answer = hub.ask(
            "collections/inbox/objects/", method="POST", data=json.dumps({"objects": objects})
        )
        return dict(answer.json)

    @pytest.mark.slow
    def test_the_process_is_killed_in_mid_batch_and_nothing_is_lost_or_twice(
        self, hub: HubInProcess, examiner: ExaminerProcesses
    ) -> None:
        posted = self.post(hub, 700)
        hub.services.intake.work()
        kill(examiner)
        while True:
            try:
                if not hub.services.intake.work():
                    break
            except Unavailable:
                continue
        status = hub.ask(f"status/{posted['id']}/").json
        assert status["success_count"] == 700
        patterns = [each["pattern"] for each in hub.feed("green")]
        assert len(patterns) == len(set(patterns)) == 700

    @pytest.mark.slow
    def test_what_ends_its_process_twice_is_set_aside(self, store: Store) -> None:
        examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits(seconds=0.05))
        hub = HubInProcess(store, settings=HubSettings(inline_objects=20), examiner=examiner)
        try:
            posted = self.post(hub, 400)
            while hub.services.intake.work():
                pass
        finally:
            examiner.close()
        status = hub.ask(f"status/{posted['id']}/").json
        assert "waits for the operator" in status["x_tocsin_set_aside"]
        assert hub.push(indicator("innocent.top"))["status"] == "complete"
