"""A large submission is examined while the one before it is settled, by the rules in force."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from support.crash import build_services_over
from support.hub import HUB_SECRETS, HubInProcess, Object, default_admission, indicator
from support.warning_lists import warning_lists

from tocsin.admission import parse_policy
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.examination.examiner import (
    Examination,
    ExaminationTask,
    LocalExamination,
    WorkerEnded,
)
from tocsin.server.intake import admission, evaluate, queue
from tocsin.server.services import build_services
from tocsin.server.store import Store


class CountingExaminer:
    """Examines in this process, and notes what it was asked to examine."""

    def __init__(self) -> None:
        self.tasks: list[ExaminationTask] = []
        self.fatal = b"\0"
        """A text that ends the worker process if it is in an object."""

    def begin(self, task: ExaminationTask) -> Examination:
        """See `Examiner.begin`."""
        self.tasks.append(task)
        if any(self.fatal in each for each in task.objects):
            return Fatal()
        return LocalExamination.begin(task, parse_policy(policy_text()), warning_lists())

    def examined(self, name: str) -> int:
        """How often a submission with this name in it was begun."""
        return sum(any(name.encode() in each for each in task.objects) for task in self.tasks)


class Fatal:
    """The examination of what ends its process."""

    def examine_next(self, most: int) -> Any:
        """See `Examination.examine_next`."""
        raise WorkerEnded("it ended")

    def close(self) -> None:
        """See `Examination.close`."""


@pytest.fixture
def examiner() -> CountingExaminer:
    return CountingExaminer()


@pytest.fixture
def hub(store: Store, examiner: CountingExaminer) -> HubInProcess:
    """A hub where more than 20 objects make a submission large."""
    return HubInProcess(store, settings=HubSettings(inline_objects=20), examiner=examiner)


def post(hub: HubInProcess, name: str, *more: Object) -> str:
    """Post a large submission of domains below `name`; the id of its status."""
    objects = [*(indicator(f"a{n}.{name}.top") for n in range(30)), *more]
    body = json.dumps({"objects": objects})
    return str(hub.ask("collections/inbox/objects/", method="POST", data=body).json["id"])


def work_until(hub: HubInProcess, status: str) -> None:
    """Work until a submission is settled."""
    for _ in range(50):
        if hub.ask(f"status/{status}/").json["x_tocsin_settled"]:
            return
        hub.services.intake.work()
    raise AssertionError("it is not settled")


def work_off(hub: HubInProcess) -> None:
    """Work until nothing is left."""
    while hub.services.intake.work():
        pass


def verdicts(hub: HubInProcess, statuses: Sequence[str]) -> list[int]:
    """The number of objects of each submission that were published."""
    return [hub.ask(f"status/{each}/").json["success_count"] for each in statuses]


@pytest.mark.slow
def test_the_next_one_is_examined_before_its_turn_and_only_once(
    hub: HubInProcess, examiner: CountingExaminer
) -> None:
    sent = [post(hub, name) for name in ("one", "two", "three")]
    work_until(hub, sent[0])
    assert [examiner.examined(name) for name in ("one", "two", "three")] == [1, 1, 0]
    work_off(hub)
    assert [examiner.examined(name) for name in ("one", "two", "three")] == [1, 1, 1]
    assert verdicts(hub, sent) == [30, 30, 30]


@pytest.mark.slow
def test_what_was_excluded_meanwhile_is_not_published(
    hub: HubInProcess, examiner: CountingExaminer
) -> None:
    sent = [post(hub, name) for name in ("one", "two")]
    work_until(hub, sent[0])
    assert examiner.examined("two") == 1
    hub.services.lifecycle.exclude("a7.two.top", "ours", "operator")
    work_off(hub)
    assert verdicts(hub, sent) == [30, 29]


@pytest.mark.slow
def test_definitions_of_the_one_before_count(hub: HubInProcess, examiner: CountingExaminer) -> None:
    definition: Object = {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--0a1b2c3d-0000-4000-8000-000000000001",
        "created": "2026-01-01T00:00:00.000Z",
        "definition_type": "statement",
        "definition": {"statement": "for the sector"},
    }
    marked = indicator("marked.top")
    marked["object_marking_refs"] = [*marked["object_marking_refs"], definition["id"]]
    sent = [post(hub, "one", definition), post(hub, "two", marked)]
    work_off(hub)
    assert examiner.examined("two") == 2  # the first time the definition had not arrived
    assert verdicts(hub, sent) == [31, 31]


@pytest.mark.slow
def test_a_fault_ahead_is_counted_in_its_own_turn(
    hub: HubInProcess, examiner: CountingExaminer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SHORTEST_PAUSE", 0.0)
    examiner.fatal = b"a3.two.top"
    sent = [post(hub, name) for name in ("one", "two", "three")]
    work_until(hub, sent[0])
    assert hub.store.submissions.find(sent[1]) is not None
    [second] = [each for each in hub.store.submissions.list_open(60) if each.id == sent[1]]
    assert second.attempts == 0
    work_off(hub)
    assert [each.id for each in hub.store.submissions.list_set_aside()] == [sent[1]]
    assert verdicts(hub, [sent[0], sent[2]]) == [30, 30]


@pytest.mark.slow
def test_one_that_another_worker_settled_is_dropped(
    hub: HubInProcess, examiner: CountingExaminer, store: Store
) -> None:
    sent = [post(hub, name) for name in ("one", "two", "three")]
    work_until(hub, sent[0])
    other = build_services_over(hub, hub.store)
    while not hub.ask(f"status/{sent[1]}/").json["x_tocsin_settled"]:
        other.intake.work()
    work_off(hub)
    assert examiner.examined("two") == 1
    assert verdicts(hub, sent) == [30, 30, 30]


@pytest.mark.slow
def test_one_whose_body_is_gone_keeps_no_other_waiting(
    hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "SHORTEST_PAUSE", 0.0)
    sent = [post(hub, name) for name in ("one", "two", "three")]
    lost = {"$set": {"pieces": 1}, "$unset": {"body": ""}}
    assert hub.store._base.submissions.update_one({"_id": sent[1]}, lost).modified_count == 1
    for _ in range(60):
        hub.services.intake.work()
    assert verdicts(hub, [sent[0]]) == [30]


@pytest.mark.slow
def test_what_ends_the_hub_while_it_is_read_ahead_is_blamed_itself(
    hub: HubInProcess, examiner: CountingExaminer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [post(hub, name) for name in ("good", "poison")]
    for module in (evaluate, admission):
        monkeypatch.setattr(module, "parse_candidates", die_of(b"poison", module.parse_candidates))
    services = hub.services
    for _ in range(4):
        with suppress(Killed):
            for _ in range(40):
                services.intake.work()
        hub.store.submissions.release_all()  # as a start does
        admitting = replace(default_admission(), examiner=examiner)
        services = build_services(hub.store, HUB_SECRETS, hub.settings, admitting, hub.clock)
    assert verdicts(hub, [sent[0]]) == [30]
    assert [each.id for each in hub.store.submissions.list_set_aside()] == [sent[1]]


class Killed(BaseException):
    """In place of the end of the process."""


def die_of(poison: bytes, parse: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which ends the process if an object has the octets in it."""

    def parse_or_die(objects: Sequence[bytes]) -> Any:
        if any(poison in each for each in objects):
            raise Killed
        return parse(objects)

    return parse_or_die
