"""Envelopes of a push, and the result of each object from the answers of the server."""

import json
import uuid
from typing import Any

import pytest
from support.taxii_servers import Answer, indicator, serve_script

from tocsin.admission.errors import NotAllowed, Unavailable
from tocsin.admission.model import Action, Candidate, Finding, Verdict
from tocsin.clients.check import Preview
from tocsin.clients.http import Hub, RetrySettings
from tocsin.clients.push import PushOptions, push
from tocsin.clients.results import ObjectResult, count_verdicts

FAST_RETRIES = RetrySettings(connect=30, read=30, retries=2, pause=0.01)
STATEMENT = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--00000000-0000-4000-8000-000000000001",
    "created": "2026-01-01T00:00:00.000Z",
    "definition_type": "statement",
    "definition": {"statement": "Copyright Partner"},
}


class ScriptedHub:
    """A script that keeps submitted envelopes and answers with a status."""

    def __init__(self, **resource: Any) -> None:
        self.resource = resource
        self.envelopes: list[list[dict[str, Any]]] = []
        self.sizes: list[int] = []
        self.pending = 0
        self.requests: list[Any] = []
        self.errors: list[Exception] = []

    def __call__(self, request: Any) -> Any:
        if request.method == "POST":
            self.sizes.append(len(request.body))
            self.envelopes.append(json.loads(request.body)["objects"])
            return Answer(self.status(len(self.envelopes[-1])), 202)
        return Answer(self.status(1)) if "/status/" in request.path else None

    def status(self, count: int) -> dict[str, Any]:
        self.pending -= 1
        counts = {"success_count": count, "failure_count": 0, "pending_count": 0}
        whole = {"id": str(uuid.uuid4()), "total_count": count, **counts}
        return whole | {"status": "pending" if self.pending > 0 else "complete"} | self.resource


def push_candidates(
    hub: Any, *candidates: Any, options: Any = None, max_content_length: Any = 100_000
) -> list[ObjectResult]:
    with (
        serve_script(hub, max_content_length) as server,
        Hub(server.url, "", FAST_RETRIES) as client,
    ):
        preview = Preview("file", tuple(candidates))
        deliveries = list(
            push(client, client.find_collection("feed", "can_write"), [preview], options)
        )
        hub.errors = [each.error for each in deliveries if each.error]
        hub.requests = server.requests
        return [result for each in deliveries for result in each.results]


def candidate(index: int, object: dict[str, Any] | None = None, **more: Any) -> Candidate:
    object = object or indicator(index)
    return Candidate(index=index, object=object, source_id=object["id"], **more)


def status_entry(index: int, **more: Any) -> dict[str, Any]:
    sent = indicator(index)
    return {"id": sent["id"], "version": sent["modified"], "x_tocsin_index": index, **more}


class TestResults:
    def test_verdicts_and_public_ids_of_the_hub_are_matched_by_index(self) -> None:
        hub = ScriptedHub(
            successes=[
                status_entry(2, x_tocsin_verdict="merged", x_tocsin_public_id="indicator--p"),
                status_entry(0, x_tocsin_verdict="duplicate"),
            ],
            failures=[status_entry(1, x_tocsin_verdict="refused", message="not so")],
            pendings=[status_entry(3, x_tocsin_verdict="held", x_tocsin_finding_indexes=[1, 9])],
            x_tocsin_findings=[{"rule": "q"}, {"rule": "r"}],
            status="pending",
            x_tocsin_settled=True,
        )
        results = push_candidates(hub, *map(candidate, range(4)))
        assert [result.verdict for result in results] == ["duplicate", "refused", "merged", "held"]
        assert results[2].public_id == "indicator--p"
        assert results[1].findings[-1]["message"] == "not so"
        assert results[3].findings == ({"rule": "r"},)

    def test_outcomes_of_another_server_are_matched_by_id_and_version(self) -> None:
        def plain(index: Any) -> Any:
            return {
                key: value for key, value in status_entry(index).items() if key != "x_tocsin_index"
            }

        older = {**plain(1), "version": "2020-01-01T00:00:00.000Z"}
        hub = ScriptedHub(failures=[plain(1)], successes=[older, plain(0)], pendings=[plain(2)])
        results = push_candidates(hub, *map(candidate, range(3)))
        assert [result.verdict for result in results] == ["admitted", "refused", "held"]

    def test_a_status_with_counts_only_applies_to_all_objects(self) -> None:
        results = push_candidates(ScriptedHub(), *map(candidate, range(3)))
        assert {result.verdict for result in results} == {"admitted"}

    def test_findings_of_the_preview_and_of_the_hub_are_joined_without_duplicates(self) -> None:
        own = Finding("sanitise", "personal_data", Action.REPLACED, "an e-mail address")
        theirs = {**own.as_json(), "message": "another"}
        hub = ScriptedHub(
            successes=[status_entry(0, x_tocsin_finding_indexes=[0, 1])],
            x_tocsin_findings=[own.as_json(), theirs],
        )
        (result,) = push_candidates(hub, candidate(0, findings=(own,)))
        assert result.findings == (own.as_json(), theirs)

    def test_held_objects_are_withheld_and_refused_ones_are_not_sent(self) -> None:
        hub = ScriptedHub()
        closed = [candidate(n, verdict=Verdict(word)) for n, word in enumerate(("held", "refused"))]
        results = push_candidates(hub, *closed, candidate(2))
        assert [(result.index, result.verdict) for result in results] == [
            (0, "withheld"),
            (1, "refused"),
            (2, "admitted"),
        ]
        assert hub.envelopes == [[indicator(2)]]
        assert count_verdicts(results) == {
            **{"received": 3, "admitted": 1, "withheld": 1, "refused": 1}
        }

    def test_held_objects_are_sent_on_request_and_get_the_hubs_verdict(self) -> None:
        hub = ScriptedHub(
            pendings=[status_entry(0, x_tocsin_verdict="held")],
            status="pending",
            x_tocsin_settled=True,
        )
        results = push_candidates(
            hub, candidate(0, verdict=Verdict.HELD), options=PushOptions(send_held=True)
        )
        assert [result.verdict for result in results] == ["held"]
        assert hub.envelopes == [[indicator(0)]]


class TestEnvelopes:
    @pytest.mark.parametrize("max_content_length", [700, 1000, 5000])
    def test_no_envelope_exceeds_the_max_content_length_of_the_server(
        self, max_content_length: int
    ) -> None:
        hub = ScriptedHub()
        results = push_candidates(
            hub, *map(candidate, range(30)), max_content_length=max_content_length
        )
        assert max(hub.sizes) < max_content_length
        assert [each for envelope in hub.envelopes for each in envelope] == [
            indicator(n) for n in range(30)
        ]
        assert len(results) == 30

    def test_no_envelope_has_more_objects_than_max_objects(self) -> None:
        hub = ScriptedHub()
        push_candidates(hub, *map(candidate, range(5)), options=PushOptions(max_objects=2))
        assert [len(each) for each in hub.envelopes] == [2, 2, 1]

    @pytest.mark.parametrize("max_objects", [2, 100])
    def test_what_others_need_is_in_an_earlier_envelope(self, max_objects: int) -> None:
        one, other = indicator(1), indicator(2)
        link = {"type": "relationship", "id": "relationship--1", "source_ref": one["id"]}
        link["target_ref"] = other["id"]
        report = {"type": "report", "id": "report--1", "object_refs": [link["id"], one["id"]]}
        sent = [report, link, one, other]
        hub = ScriptedHub()
        results = push_candidates(
            hub,
            *(candidate(n, each) for n, each in enumerate(sent)),
            options=PushOptions(max_objects=max_objects),
        )
        cut = [[one, other], [link, report]] if max_objects == 2 else [sent]
        assert hub.envelopes == cut
        assert sorted(result.index for result in results) == [0, 1, 2, 3]

    def test_what_others_list_is_in_no_later_envelope(self) -> None:
        address = {"type": "ipv4-addr", "id": "ipv4-addr--1"}
        traffic = {"type": "network-traffic", "id": "network-traffic--1", "src_ref": address["id"]}
        outer: dict[str, Any] = {"type": "network-traffic", "id": "network-traffic--2"}
        outer["encapsulates_refs"] = [traffic["id"]]
        seen = {"type": "observed-data", "id": "observed-data--1", "object_refs": [outer["id"]]}
        sent: list[dict[str, Any]] = [seen, outer, traffic, address]
        hub = ScriptedHub()
        push_candidates(
            hub,
            *(candidate(n, each) for n, each in enumerate(sent)),
            options=PushOptions(max_objects=1),
        )
        assert hub.envelopes == [[address], [traffic], [outer], [seen]]

    def test_references_are_followed_over_several_envelopes_also_if_objects_are_kept_on_disk(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tocsin.clients.push._SORTED_IN_MEMORY", 100)
        last = {"type": "report", "id": "report--9", "object_refs": [indicator(1)["id"]]}
        chain = [
            {"type": "report", "id": f"report--{n}", "object_refs": [f"report--{n + 1}"]}
            for n in range(9)
        ]
        sent = [*chain, last, indicator(1)]
        hub = ScriptedHub()
        results = push_candidates(
            hub,
            *(candidate(n, each) for n, each in enumerate(sent)),
            options=PushOptions(max_objects=2),
        )
        assert [each for envelope in hub.envelopes for each in envelope] == sent[::-1]
        assert [result.index for result in results] == [*range(10, -1, -1)]

    def test_an_object_too_large_for_any_envelope_is_refused_by_the_client(self) -> None:
        hub = ScriptedHub()
        results = push_candidates(
            hub,
            candidate(0, {**indicator(0), "name": "x" * 900}),
            candidate(1),
            max_content_length=800,
        )
        assert {result.index: result.verdict for result in results} == {0: "refused", 1: "admitted"}
        assert "octets" in results[0].findings[-1]["message"]

    def test_a_marking_definition_is_in_every_envelope_that_refers_to_it(self) -> None:
        marked = [
            candidate(n, {**indicator(n), "object_marking_refs": [STATEMENT["id"]]})
            for n in range(3)
        ]
        hub = ScriptedHub()
        results = push_candidates(
            hub, *marked, candidate(3, STATEMENT), options=PushOptions(max_objects=2)
        )
        assert all(envelope[0] == STATEMENT for envelope in hub.envelopes)
        assert sorted(result.index for result in results) == [0, 1, 2, 3]

    def test_an_unexpected_413_is_answered_with_envelopes_of_half_the_size(self) -> None:
        class SmallHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                if request.method == "POST" and len(request.body) > 900:
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(request)

        hub = SmallHub()
        results = push_candidates(hub, *map(candidate, range(9)))
        assert [result.verdict for result in results] == ["admitted"] * 9

    @pytest.mark.slow
    @pytest.mark.parametrize("taken", [0, 1])
    def test_a_limit_that_fell_is_found_once_and_then_kept(self, taken: int) -> None:
        class ShrinkingHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                is_long = len(request.body) > 4_000 and len(self.envelopes) >= taken
                if request.method == "POST" and is_long:
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(request)

        hub = ShrinkingHub()
        options = PushOptions(max_objects=100)
        results = push_candidates(hub, *map(candidate, range(1_000)), options=options)
        assert [result.verdict for result in results] == ["admitted"] * 1_000
        assert sorted(result.index for result in results) == [*range(1_000)]
        refused = len([each for each in hub.requests if each.method == "POST"])
        assert refused - len(hub.envelopes) < 20 and len(hub.envelopes) <= 160 + taken

    @pytest.mark.slow
    @pytest.mark.parametrize("taken", [0, 1])
    def test_a_server_for_which_everything_is_too_long_gets_few_requests(self, taken: int) -> None:
        class RefusingHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                if request.method == "POST" and len(self.envelopes) >= taken:
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(request)

        hub = RefusingHub()
        options = PushOptions(max_objects=500)
        results = push_candidates(hub, *map(candidate, range(3_000)), options=options)
        counts, admitted = count_verdicts(results, ("refused",)), sum(map(len, hub.envelopes))
        assert (counts["refused"], bool(admitted)) == (3_000 - admitted, taken > 0)
        assert len([each for each in hub.requests if each.method == "POST"]) < 90
        assert "others of its length or less were refused: " in results[-1].findings[-1]["message"]

    def test_objects_that_a_server_takes_are_sent_though_many_before_them_are_too_long(
        self,
    ) -> None:
        class SmallHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                if request.method == "POST" and len(request.body) > 3_000:
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(request)

        hub = SmallHub()
        long = [candidate(n, indicator(n) | {"name": "x" * 3_000}) for n in range(50)]
        results = push_candidates(hub, *long, *(candidate(n) for n in range(50, 100)))
        assert [each.verdict for each in results] == ["refused"] * 50 + ["admitted"] * 50
        assert len([each for each in hub.requests if each.method == "POST"]) < 80

    @pytest.mark.slow
    def test_a_limit_that_is_raised_again_is_noticed(self) -> None:
        class RestoredHub(ScriptedHub):
            refusals = 0

            def __call__(self, request: Any) -> Any:
                if request.method == "POST" and self.envelopes and self.refusals < 60:
                    self.refusals += 1
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(request)

        hub = RestoredHub()
        options = PushOptions(max_objects=50)
        results = push_candidates(hub, *map(candidate, range(3_000)), options=options)
        counts = count_verdicts(results, ("admitted", "refused"))
        assert counts["admitted"] > 2_000 and len(hub.envelopes[-1]) == 50

    @pytest.mark.parametrize("place", [0, 99, 199])
    def test_an_object_that_a_server_calls_too_long_does_not_shorten_the_envelopes_of_others(
        self, place: int
    ) -> None:
        class FussyHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                if request.method == "POST" and b"x" * 3_000 in request.body:
                    return Answer({"title": "Too long"}, 413)
                return super().__call__(request)

        hub = FussyHub()
        sent = [*map(indicator, range(1_000))]
        sent[place]["name"] = "x" * 3_000
        options = PushOptions(max_objects=200)
        results = push_candidates(
            hub, *(candidate(n, each) for n, each in enumerate(sent)), options=options
        )
        assert [each.index for each in results if each.verdict != "admitted"] == [place]
        assert len([each for each in hub.requests if each.method == "POST"]) < 40

    def test_a_server_that_refuses_every_envelope_gets_a_bounded_number_of_requests(self) -> None:
        def script(request: Any) -> Any:
            return Answer({"title": "No"}, 422) if request.method == "POST" else None

        class RefusingHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                return script(request)

        hub = RefusingHub()
        results = push_candidates(hub, *map(candidate, range(300)))
        assert [result.verdict for result in results] == ["refused"] * 300
        assert len([each for each in hub.requests if each.method == "POST"]) < 60


class TestWaiting:
    def test_a_push_waits_until_the_status_is_complete(self) -> None:
        hub = ScriptedHub()
        hub.pending = 3
        (result,) = push_candidates(hub, candidate(0))
        assert result.verdict == "admitted"
        assert sum("/status/" in each.path for each in hub.requests) == 2

    def test_a_push_with_wait_off_returns_pending_results(self) -> None:
        pending = {"success_count": 0, "pending_count": 1, "status": "pending"}
        (result,) = push_candidates(
            ScriptedHub(**pending), candidate(0), options=PushOptions(wait=False)
        )
        assert result.verdict == "pending"

    def test_parts_wait_whatever_numbers_their_statuses_have(self) -> None:
        hub = ScriptedHub(status="pending", x_number=2**70)
        options = PushOptions(wait=False, max_objects=1)
        results = push_candidates(hub, *map(candidate, range(9)), options=options)
        assert [each.source_id for each in results] == [indicator(n)["id"] for n in range(9)]

    def test_a_push_stops_waiting_after_its_timeout(self) -> None:
        pending = {"success_count": 0, "pending_count": 1, "status": "pending"}
        (result,) = push_candidates(
            ScriptedHub(**pending), candidate(0), options=PushOptions(timeout=0.3)
        )
        assert result.verdict == "pending"


class OvertakingHub(ScriptedHub):
    """A hub that admits the second envelope at once, and the first one, which it needs, later."""

    def __init__(self, is_found: bool = True) -> None:
        super().__init__()
        self.is_found = is_found
        self.asked: list[str] = []

    def __call__(self, request: Any) -> Any:
        if request.method == "POST":
            super().__call__(request)
            return Answer(self.hold() if len(self.envelopes) == 2 else self.wait(), 202)
        if "/status/" not in request.path:
            return None
        self.asked.append(request.path.split("/")[-2])
        if self.asked[-1] == "first":
            return Answer(self.status(1) | {"id": "first"})
        is_done = self.is_found and self.asked.count("second") > 1
        return Answer(self.status(1) | {"id": "second"} if is_done else self.hold())

    def wait(self) -> dict[str, Any]:
        return {"id": "first", "status": "pending", "total_count": 1, "pending_count": 1}

    def hold(self) -> dict[str, Any]:
        finding = {"stage": "publish", "rule": "references", "action": "held", "message": "waits"}
        entry = {"id": "note--1", "x_tocsin_index": 0, "x_tocsin_verdict": "held"}
        held = {"x_tocsin_findings": [finding], "x_tocsin_settled": True}
        held["pendings"] = [entry | {"x_tocsin_finding_indexes": [0]}]
        return self.wait() | held | {"id": "second"}


class TestOvertaking:
    def push(self, hub: OvertakingHub, **options: Any) -> list[str]:
        about = {"type": "note", "id": "note--1", "object_refs": [indicator(1)["id"]]}
        sent = (candidate(0, about), candidate(1, indicator(1)))
        results = push_candidates(hub, *sent, options=PushOptions(max_objects=1, **options))
        return [each.verdict for each in results]

    def test_a_part_that_waits_for_an_earlier_one_is_asked_about_once_that_is_settled(self) -> None:
        hub = OvertakingHub()
        assert self.push(hub) == ["admitted", "admitted"]
        assert hub.asked == ["first", "second", "second"]

    @pytest.mark.slow
    def test_a_part_that_waits_for_what_does_not_come_is_held(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tocsin.clients.push._LONGEST_PAUSE", 0.3)
        assert self.push(OvertakingHub(is_found=False)) == ["admitted", "held"]

    def test_without_waiting_nothing_is_asked(self) -> None:
        hub = OvertakingHub()
        assert (self.push(hub, wait=False), hub.asked) == (["pending", "held"], [])


class FailingHub(ScriptedHub):
    """A hub that answers the first POSTs with the given answers, then as usual."""

    def __init__(self, *answers: Answer) -> None:
        super().__init__()
        self.answers = list(answers)

    def __call__(self, request: Any) -> Any:
        if request.method == "POST" and self.answers:
            return self.answers.pop(0)
        return super().__call__(request)


class TestFailures:
    def test_a_push_is_repeated_after_a_lost_answer(self) -> None:
        (result,) = push_candidates(FailingHub(Answer(break_off=True)), candidate(0))
        assert result.verdict == "admitted"

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_push_is_repeated_at_a_busy_server(self, status: int) -> None:
        (result,) = push_candidates(FailingHub(Answer({}, status)), candidate(0))
        assert result.verdict == "admitted"

    def test_a_failed_push_reports_the_objects_that_it_did_not_send(self) -> None:
        class VanishingHub(ScriptedHub):
            def __call__(self, request: Any) -> Any:
                gone = request.method == "POST" and self.envelopes
                return Answer({"title": "Gone"}, 500) if gone else super().__call__(request)

        hub = VanishingHub()
        results = push_candidates(
            hub, *map(candidate, range(5)), options=PushOptions(max_objects=2)
        )
        assert [result.verdict for result in results] == ["admitted"] * 2 + ["unsent"] * 3
        assert isinstance(hub.errors[0], Unavailable)

    def test_a_missing_permission_ends_the_push(self) -> None:
        hub = FailingHub(Answer({"title": "No"}, 403))
        results = push_candidates(
            hub, *map(candidate, range(3)), options=PushOptions(max_objects=1)
        )
        assert {result.verdict for result in results} == {"unsent"}
        assert isinstance(hub.errors[0], NotAllowed)
