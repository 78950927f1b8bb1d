"""What a push sends, and how each object's line comes out of what the server answers."""

import json
import uuid
from typing import Any

import pytest
from support.taxii_servers import Answer, indicator, serve_script

from tocsin.admission.errors import NotAllowed, Unavailable
from tocsin.admission.model import (
    Action,
    Candidate,
    Finding,
    Verdict,
)
from tocsin.clients.check import ObjectResult, Preview, count_verdicts
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.push import PushOptions, push

HASTY = RetrySettings(connect=2, answer=2, retries=2, pause=0.01)
STATEMENT = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--00000000-0000-4000-8000-000000000001",
    "created": "2026-01-01T00:00:00.000Z",
    "definition_type": "statement",
    "definition": {"statement": "Copyright Partner"},
}


class Desk:
    """A scripted hub's way with submissions: it keeps the envelopes and answers statuses."""

    def __init__(self, **resource: Any) -> None:
        self.resource = resource
        self.envelopes: list[list[dict[str, Any]]] = []
        self.sizes: list[int] = []
        self.pending = 0
        self.asked: list[Any] = []
        self.errors: list[Exception] = []

    def __call__(self, asked: Any) -> Any:
        if asked.method == "POST":
            self.sizes.append(len(asked.body))
            self.envelopes.append(json.loads(asked.body)["objects"])
            return Answer(self.status(len(self.envelopes[-1])), 202)
        return Answer(self.status(1)) if "/status/" in asked.path else None

    def status(self, count: int) -> dict[str, Any]:
        self.pending -= 1
        counts = {"success_count": count, "failure_count": 0, "pending_count": 0}
        whole = {"id": str(uuid.uuid4()), "total_count": count, **counts}
        return whole | {"status": "pending" if self.pending > 0 else "complete"} | self.resource


def pushed(
    desk: Any, *candidates: Any, options: Any = None, longest: Any = 100_000
) -> list[ObjectResult]:
    with serve_script(desk, longest) as server, Hub(server.url, "", HASTY) as hub:
        preview = Preview("file", tuple(candidates))
        deliveries = list(push(hub, hub.find_collection("feed", "can_write"), [preview], options))
        desk.errors = [each.error for each in deliveries if each.error]
        desk.asked = server.asked
        return [line for each in deliveries for line in each.results]


def candidate(index: int, object: dict[str, Any] | None = None, **more: Any) -> Candidate:
    object = object or indicator(index)
    return Candidate(index=index, object=object, source_id=object["id"], **more)


def detail(index: int, **more: Any) -> dict[str, Any]:
    sent = indicator(index)
    return {"id": sent["id"], "version": sent["modified"], "x_tocsin_index": index, **more}


class TestLines:
    def test_the_hubs_verdicts_and_public_ids_come_by_index(self) -> None:
        desk = Desk(
            successes=[
                detail(2, x_tocsin_verdict="merged", x_tocsin_public_id="indicator--p"),
                detail(0, x_tocsin_verdict="duplicate"),
            ],
            failures=[detail(1, x_tocsin_verdict="refused", message="not so")],
            pendings=[detail(3, x_tocsin_verdict="held", x_tocsin_findings=[{"rule": "r"}])],
            status="pending",
            x_tocsin_settled=True,
        )
        lines = pushed(desk, *map(candidate, range(4)))
        assert [line.verdict for line in lines] == ["duplicate", "refused", "merged", "held"]
        assert lines[2].public_id == "indicator--p"
        assert lines[1].findings[-1]["message"] == "not so"
        assert lines[3].findings == ({"rule": "r"},)

    def test_another_servers_outcomes_come_by_id_and_version(self) -> None:
        def plain(index: Any) -> Any:
            return {key: value for key, value in detail(index).items() if key != "x_tocsin_index"}

        older = {**plain(1), "version": "2020-01-01T00:00:00.000Z"}
        desk = Desk(failures=[plain(1)], successes=[older, plain(0)], pendings=[plain(2)])
        lines = pushed(desk, *map(candidate, range(3)))
        assert [line.verdict for line in lines] == ["admitted", "refused", "held"]

    def test_a_server_that_only_counts_speaks_for_all(self) -> None:
        lines = pushed(Desk(), *map(candidate, range(3)))
        assert {line.verdict for line in lines} == {"admitted"}

    def test_what_the_preview_found_stays_with_what_the_hub_found(self) -> None:
        own = Finding("sanitise", "personal_data", Action.REPLACED, "an e-mail address")
        theirs = {**own.as_json(), "message": "another"}
        desk = Desk(successes=[detail(0, x_tocsin_findings=[own.as_json(), theirs])])
        (line,) = pushed(desk, candidate(0, findings=(own,)))
        assert line.findings == (own.as_json(), theirs)

    def test_what_was_not_open_is_told_but_not_sent(self) -> None:
        desk = Desk()
        shut = [candidate(n, verdict=Verdict(word)) for n, word in enumerate(("held", "refused"))]
        lines = pushed(desk, *shut, candidate(2))
        assert [(line.index, line.verdict) for line in lines] == [
            (0, "held"),
            (1, "refused"),
            (2, "admitted"),
        ]
        assert desk.envelopes == [[indicator(2)]]
        assert count_verdicts(lines) == {"received": 3, "admitted": 1, "held": 1, "refused": 1}


class TestEnvelopes:
    @pytest.mark.parametrize("longest", [700, 1000, 5000])
    def test_none_is_longer_than_the_server_takes(self, longest: int) -> None:
        desk = Desk()
        lines = pushed(desk, *map(candidate, range(30)), longest=longest)
        assert max(desk.sizes) < longest
        assert [each for envelope in desk.envelopes for each in envelope] == [
            indicator(n) for n in range(30)
        ]
        assert len(lines) == 30

    def test_none_has_more_objects_than_wanted(self) -> None:
        desk = Desk()
        pushed(desk, *map(candidate, range(5)), options=PushOptions(max_objects=2))
        assert [len(each) for each in desk.envelopes] == [2, 2, 1]

    def test_an_object_that_fits_in_none_is_refused_here(self) -> None:
        desk = Desk()
        lines = pushed(
            desk, candidate(0, {**indicator(0), "name": "x" * 900}), candidate(1), longest=800
        )
        assert {line.index: line.verdict for line in lines} == {0: "refused", 1: "admitted"}
        assert "octets" in lines[0].findings[-1]["message"]

    def test_a_marking_goes_with_every_envelope_that_refers_to_it(self) -> None:
        marked = [
            candidate(n, {**indicator(n), "object_marking_refs": [STATEMENT["id"]]})
            for n in range(3)
        ]
        desk = Desk()
        lines = pushed(desk, *marked, candidate(3, STATEMENT), options=PushOptions(max_objects=2))
        assert all(envelope[0] == STATEMENT for envelope in desk.envelopes)
        assert sorted(line.index for line in lines) == [0, 1, 2, 3]

    def test_413_in_spite_of_all_is_met_with_halves(self) -> None:
        class Narrow(Desk):
            def __call__(self, asked: Any) -> Any:
                if asked.method == "POST" and len(asked.body) > 900:
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(asked)

        desk = Narrow()
        lines = pushed(desk, *map(candidate, range(9)))
        assert [line.verdict for line in lines] == ["admitted"] * 9

    def test_a_server_that_takes_nothing_is_not_tried_a_thousand_times(self) -> None:
        def script(asked: Any) -> Any:
            return Answer({"title": "No"}, 422) if asked.method == "POST" else None

        class Stubborn(Desk):
            def __call__(self, asked: Any) -> Any:
                return script(asked)

        desk = Stubborn()
        lines = pushed(desk, *map(candidate, range(300)))
        assert [line.verdict for line in lines] == ["refused"] * 300
        assert len([each for each in desk.asked if each.method == "POST"]) < 60


class TestWaiting:
    def test_it_waits_until_the_status_is_complete(self) -> None:
        desk = Desk()
        desk.pending = 3
        (line,) = pushed(desk, candidate(0))
        assert line.verdict == "admitted"
        assert sum("/status/" in each.path for each in desk.asked) == 2

    def test_it_does_not_wait_if_told_so(self) -> None:
        pending = {"success_count": 0, "pending_count": 1, "status": "pending"}
        (line,) = pushed(Desk(**pending), candidate(0), options=PushOptions(wait=False))
        assert line.verdict == "pending"

    def test_it_does_not_wait_for_ever(self) -> None:
        pending = {"success_count": 0, "pending_count": 1, "status": "pending"}
        (line,) = pushed(Desk(**pending), candidate(0), options=PushOptions(timeout=0.3))
        assert line.verdict == "pending"


class Failing(Desk):
    """Answers the first POSTs as told, then properly."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)

    def __call__(self, asked: Any) -> Any:
        if asked.method == "POST" and self.answers:
            return self.answers.pop(0)
        return super().__call__(asked)


class TestBreaks:
    def test_a_lost_answer_is_asked_for_again(self) -> None:
        (line,) = pushed(Failing(Answer(break_off=True)), candidate(0))
        assert line.verdict == "admitted"

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_server_that_is_busy_is_asked_again(self, status: int) -> None:
        (line,) = pushed(Failing(Answer({}, status)), candidate(0))
        assert line.verdict == "admitted"

    def test_what_a_broken_push_did_not_send_is_told(self) -> None:
        class Fading(Desk):
            def __call__(self, asked: Any) -> Any:
                gone = asked.method == "POST" and self.envelopes
                return Answer({"title": "Gone"}, 500) if gone else super().__call__(asked)

        desk = Fading()
        lines = pushed(desk, *map(candidate, range(5)), options=PushOptions(max_objects=2))
        assert [line.verdict for line in lines] == ["admitted"] * 2 + ["unsent"] * 3
        assert isinstance(desk.errors[0], Unavailable)

    def test_a_right_that_is_missing_ends_the_push(self) -> None:
        desk = Failing(Answer({"title": "No"}, 403))
        lines = pushed(desk, *map(candidate, range(3)), options=PushOptions(max_objects=1))
        assert {line.verdict for line in lines} == {"unsent"}
        assert isinstance(desk.errors[0], NotAllowed)
