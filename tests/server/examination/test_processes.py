"""Worker processes that examine submissions: same result, bounded, expendable."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.hub import GREEN, HubInProcess, Object, default_admission, indicator, relationship, sdo
from support.warning_lists import warning_lists, write_misp_lists

from tocsin.admission import parse_policy
from tocsin.admission.errors import Unavailable
from tocsin.admission.model import Candidate, Submitter, Verdict
from tocsin.admission.warninglists.sources import compile_lists, read_misp_lists
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.examination import processes
from tocsin.server.examination.examiner import ExaminationTask, LocalExamination, WorkerEnded
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.intake import queue
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_endless_submission_ends_its_process_and_no_other(store: Store) -> None:
    limits = ExaminerLimits(seconds=1.0)
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


@pytest.mark.slow
def test_a_process_applies_the_lists_that_the_operator_loaded(tmp_path: Path) -> None:
    source = write_misp_lists(tmp_path / "lists", {"google": ["host.top"]})
    loaded = tmp_path / "loaded.json.xz"
    loaded.write_bytes(compile_lists(read_misp_lists(source)))
    examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits(), loaded)
    try:
        (refused,) = examine_there(examiner, task(indicator("host.top")))
    finally:
        examiner.close()
    assert refused.verdict is Verdict.REFUSED and "List google" in refused.findings[-1].message


@pytest.mark.slow
def test_a_process_has_bounded_memory() -> None:
    examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits(memory=250_000_000))
    try:
        with pytest.raises(WorkerEnded, match="MB of memory"):
            examiner.begin(task(b'{"a": "' + b"x" * 120_000_000 + b'"}')).examine_next(1)
    finally:
        examiner.close()


@pytest.mark.slow
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


def test_a_process_that_does_not_start_is_no_fault_of_the_submission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "_PROGRAM", "tocsin.server.examination.none")
    examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits())
    with pytest.raises(Unavailable, match="did not start"):
        examiner.begin(task([indicator()])).examine_next(1)


def test_a_process_is_large_enough_for_all_that_it_may_have_in_hand() -> None:
    small, large = (ExaminerLimits.for_bodies(n * 1_000_000, 5) for n in (10, 50))
    assert small.memory >= 5 * 300_000_000
    assert large.memory > 4 * small.memory


def kill(examiner: ExaminerProcesses) -> None:
    """Send SIGKILL to the worker process."""
    [pid] = examiner.process_ids()
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)


def test_no_process_is_started_after_the_end() -> None:
    examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits())
    late = examiner.begin(task(indicator()))
    examiner.close()
    with pytest.raises(Unavailable, match="the hub is stopping"):
        late.examine_next(1)
    assert examiner.process_ids() == []


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
        self, hub: HubInProcess, examiner: ExaminerProcesses, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue, "SHORTEST_PAUSE", 0.0)
        posted = self.post(hub, 700)
        hub.services.intake.work()
        kill(examiner)
        hub.services.intake.work()
        while hub.services.intake.work():
            pass
        status = hub.ask(f"status/{posted['id']}/").json
        assert status["success_count"] == 700
        patterns = [each["pattern"] for each in hub.feed("green")]
        assert len(patterns) == len(set(patterns)) == 700

    @pytest.mark.slow
    def test_what_ends_its_process_twice_is_set_aside(self, store: Store) -> None:
        examiner = ExaminerProcesses(1, policy_text(), ExaminerLimits(seconds=0.02))
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


class Impostor:
    """Examines as a process would that its input has taken over."""

    def __init__(self, change: Callable[[list[Candidate]], list[Candidate]]) -> None:
        self._change = change

    def begin(self, task: ExaminationTask) -> Any:
        """See `Examiner.begin`."""
        real = LocalExamination.begin(task, parse_policy(policy_text()), warning_lists())
        examine_next = real.examine_next
        real.examine_next = lambda most: self._change(examine_next(most))  # type: ignore[method-assign]
        return real


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda found: [],
        lambda found: found[1:],
        lambda found: [*found, *found],
        lambda found: [replace(each, source_id="indicator--0") for each in found],
        lambda found: [replace(each, from_hub=True) for each in found],
    ],
    ids=["nothing", "too little", "too much", "other ids", "the hub's own"],
)
def test_an_answer_about_other_objects_is_not_taken(
    store: Store, change: Callable[[list[Candidate]], list[Candidate]]
) -> None:
    settings = HubSettings(inline_objects=20)
    hub = HubInProcess(store, settings=settings, examiner=Impostor(change))
    body = json.dumps({"objects": [indicator(f"{n}.top") for n in range(30)]})
    hub.ask("collections/inbox/objects/", method="POST", data=body)
    while hub.services.intake.work():
        pass
    assert len(store.submissions.list_set_aside()) == 1
    assert hub.feed("green") == []
