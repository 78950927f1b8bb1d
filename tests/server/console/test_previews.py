"""Examination of drafts: beside the threads that answer, within limits, with its progress."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, expect
from support.console import add_person, post, serve_console, sign_in, visit
from support.hub import HubInProcess, default_admission, indicator

from tocsin.admission.model import Candidate
from tocsin.config.loading import policy_text
from tocsin.config.settings import HubSettings
from tocsin.server.console.previews import STALE_SECONDS
from tocsin.server.examination.examiner import Examination, ExaminationTask, WorkerEnded
from tocsin.server.examination.processes import ExaminerLimits, ExaminerProcesses
from tocsin.server.examination.reading import ReadFile, ReadTask, read_file
from tocsin.server.model import Partner
from tocsin.server.person import Role
from tocsin.server.store import Store

ANALYST = "ann@acme.example"


class Gated:
    """Examines when it is let go; then it may end as a process does."""

    def __init__(self, error: Exception | None = None) -> None:
        self.go, self.begun, self.error = threading.Event(), threading.Event(), error

    def read(self, task: ReadTask) -> ReadFile:
        """See `Examiner.read`."""
        return read_file(task)

    def begin(self, task: ExaminationTask) -> Examination:
        """See `Examiner.begin`."""
        self.begun.set()
        assert self.go.wait(120)
        if self.error:
            raise self.error
        return default_admission().previewer.begin(task)

    def end_idle(self) -> None:
        """See `Examiner.end_idle`."""


def open_hub(store: Store, data: Path, examiner: Gated | ExaminerProcesses) -> HubInProcess:
    hub = HubInProcess(store, settings=HubSettings(data=data), previewer=examiner)
    add_person(hub, ANALYST, Role.ANALYST, partner="acme")
    return hub


@pytest.fixture
def gated() -> Iterator[Gated]:
    gated = Gated()
    yield gated
    gated.go.set()


def begin(client: FlaskClient, text: str = "seen-evil.top") -> str:
    """Paste a report; the path of its page, whether it is examined or not."""
    return str(post(client, "/console/share", {"text": text}).headers["Location"])


def await_text(client: FlaskClient, path: str, text: str) -> None:
    for _ in range(1_800):
        if text in client.get(path).text:
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{text} did not appear")


@pytest.mark.slow
def test_a_report_is_examined_in_a_process_of_its_own(store: Store, tmp_path: Path) -> None:
    processes = ExaminerProcesses(1, policy_text(), ExaminerLimits(niceness=5))
    try:
        client = sign_in(open_hub(store, tmp_path, processes), ANALYST)
        report = indicator("a.evil-portal.top", description="To jane.doe@bank.example.net")
        path = begin(client, json.dumps({"type": "bundle", "id": "x", "objects": [report]}))
        await_text(client, path, "e-mail address masked")
        assert len(processes.process_ids()) == 1
    finally:
        processes.close()


@pytest.mark.slow
def test_a_report_that_ends_its_process_says_what_to_do(store: Store, tmp_path: Path) -> None:
    processes = ExaminerProcesses(1, policy_text(), ExaminerLimits(seconds=1.0))
    try:
        client = sign_in(open_hub(store, tmp_path, processes), ANALYST)
        path = begin(client, "a.b.c.evil.top x@y.example " * 100_000)
        await_text(client, path, "within the limits: send it in parts")
    finally:
        processes.close()


def test_progress_is_shown_until_the_preview_appears(
    store: Store, tmp_path: Path, browser: Browser, gated: Gated
) -> None:
    hub = open_hub(store, tmp_path, gated)
    with serve_console(hub) as origin, visit(browser, origin) as visitor:
        page = visitor.sign_in(ANALYST, "/share")
        page.fill("#text", "seen-evil.top")
        page.click("button.main")
        page.wait_for_selector("#progress")
        page.wait_for_selector("text=0 of 1 object is examined")
        visitor.check()
        gated.go.set()
        page.wait_for_selector("table.compare")
        expect(page.locator("#preview")).to_be_focused()
        visitor.check()


@pytest.mark.slow
def test_what_is_not_examined_yet_cannot_be_submitted(
    store: Store, tmp_path: Path, gated: Gated
) -> None:
    hub = open_hub(store, tmp_path, gated)
    client = sign_in(hub, ANALYST)
    path = begin(client)
    assert post(client, f"{path}/submit", {"run": "1"}).status_code == 409
    assert hub.store.submissions.list_of_partner("acme", 1) == []


@pytest.mark.slow
def test_a_draft_can_be_discarded_while_it_is_examined(
    store: Store, tmp_path: Path, gated: Gated
) -> None:
    client = sign_in(open_hub(store, tmp_path, gated), ANALYST)
    path = begin(client)
    assert gated.begun.wait(60)
    post(client, f"{path}/discard", {})
    gated.go.set()
    other = begin(client)
    await_text(client, other, "1 can be shared now")
    assert client.get(path).status_code == 404
    assert len(list((tmp_path / "drafts").glob("*/*"))) == 1


@pytest.mark.slow
def test_a_report_is_not_examined_twice_at_once(store: Store, tmp_path: Path, gated: Gated) -> None:
    client = sign_in(open_hub(store, tmp_path, gated), ANALYST)
    path = begin(client)
    answer = post(client, path, {"tlp": "green"})
    assert answer.status_code == 409 and "still being examined" in answer.text
    gated.go.set()
    await_text(client, path, "1 can be shared now")
    assert post(client, path, {"tlp": "green"}).status_code == 303
    await_text(client, path, 'name="run" value="2"')


@pytest.mark.slow
def test_a_person_has_two_reports_examined_at_most_a_partner_four_and_a_process_eight(
    store: Store, tmp_path: Path, gated: Gated
) -> None:
    hub = open_hub(store, tmp_path, gated)
    hub.join(Partner("south", "South Corporation", terms=()))
    statuses, messages = [], []
    for partner in ("acme", "north", "south"):
        for number in range(3):
            name = f"p{number}@{partner}.example"
            add_person(hub, name, Role.ANALYST, partner=partner)
            client = sign_in(hub, name)
            for each in range(3):
                answer = post(client, "/console/share", {"text": f"kept-evil-{each}.top"})
                statuses.append(answer.status_code)
            messages.append(answer.text)
    assert statuses == [303, 303, 429, 303, 303, *[503] * 4] * 2 + [503] * 9
    assert "other reports of your organisation" in messages[5]
    assert "The hub examines other reports" in messages[6]
    assert "kept-evil-2.top" in answer.text and answer.headers["Retry-After"]


class OneByOne(Gated):
    """Reads one report at each `let_go`, and notes which."""

    def __init__(self) -> None:
        super().__init__()
        self.go.set()
        self.let_go = threading.Semaphore(0)
        self.order: list[bytes] = []

    def read(self, task: ReadTask) -> ReadFile:
        self.order.append(task.content)
        assert self.let_go.acquire(timeout=120)
        return super().read(task)


def test_partners_take_turns_in_examinations(store: Store, tmp_path: Path) -> None:
    examiner = OneByOne()
    hub = open_hub(store, tmp_path, examiner)
    paths = {}
    for name, partner in (("a", "acme"), ("b", "acme"), ("c", "north")):
        add_person(hub, f"{name}@{partner}.example", Role.ANALYST, partner=partner)
        client = sign_in(hub, f"{name}@{partner}.example")
        for number in (1, 2):
            path = begin(client, f"{name}{number}-evil.top")
            paths[path] = client
    examiner.let_go.release(len(paths))
    for path, client in paths.items():
        await_text(client, path, "1 can be shared now")
    names = [content[:2].decode() for content in examiner.order]
    assert names == ["a1", "c1", "a2", "c2", "b1", "b2"]


@pytest.mark.slow
def test_an_examination_that_died_with_its_process_is_offered_again(
    store: Store, tmp_path: Path, gated: Gated
) -> None:
    client = sign_in(open_hub(store, tmp_path, gated), ANALYST)
    path = begin(client)
    (head,) = (tmp_path / "drafts").rglob("draft.json")
    draft = json.loads(head.read_bytes())
    draft["renewed"] -= (STALE_SECONDS + 1) * 1_000_000
    head.write_text(json.dumps(draft))
    assert "did not end" in client.get(path).text
    assert client.get(path.replace("/share/", "/part/share/")).headers["HX-Refresh"] == "true"
    gated.go.set()


@pytest.mark.parametrize("error", [ValueError("zq-marker"), WorkerEnded("zq-marker")])
def test_a_fault_says_nothing_of_the_report_in_the_log(
    store: Store, tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    gated = Gated(error)
    gated.go.set()
    client = sign_in(open_hub(store, tmp_path, gated), ANALYST)
    path = begin(client)
    await_text(client, path, "could not be examined")
    assert "zq-marker" not in caplog.text + client.get(path).text


def test_an_answer_about_other_objects_is_not_taken(store: Store, tmp_path: Path) -> None:
    class Swapping(Gated):
        def begin(self, task: ExaminationTask) -> Examination:
            return _Swapped(default_admission().previewer.begin(task))

    client = sign_in(open_hub(store, tmp_path, Swapping()), ANALYST)
    await_text(client, begin(client), "within the limits")


class _Swapped:
    def __init__(self, inner: Examination) -> None:
        self._inner = inner

    def examine_next(self, most: int) -> list[Candidate]:
        found = self._inner.examine_next(most)
        return [Candidate(each.index, each.object, "indicator--x") for each in found]

    def close(self) -> None:
        self._inner.close()
