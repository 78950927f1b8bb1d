"""Containers: an unmarked object has the marking of the reports and groupings that hold it."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest
from support.acs_markings import ID as ACS_ID
from support.acs_markings import acs, control
from support.hub import AMBER, CLEAR, GREEN, RED, HubInProcess, details, indicator, sdo
from support.misp_events import stix_export
from support.statement_marking import STATEMENT
from support.warning_lists import warning_lists

from tocsin.admission import Pipeline, parse_policy
from tocsin.admission.markings.containers import ContainerMarkings
from tocsin.admission.model import Candidate, Submitter, Tlp, Verdict
from tocsin.clients.check import Checker
from tocsin.clients.input_files import InputFile
from tocsin.config.loading import policy_text
from tocsin.config.settings import ClientSettings
from tocsin.server.examination.examiner import parse_candidate
from tocsin.server.store import Store

NOW = 1_790_000_000_000_000
EVERY_FEED = ("clear", "green", "amber")


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    return HubInProcess(store)


def unmarked(value: str = "evil-portal.top", **more: Any) -> Any:
    made = indicator(value, **more)
    del made["object_marking_refs"]
    return made


def container(kind: str, *members: Any, marks: Any = (), **more: Any) -> Any:
    kinds: dict[str, dict[str, Any]] = {
        "report": {"name": "r", "published": "2026-01-01T00:00:00Z"},
        "grouping": {"context": "suspicious-activity"},
        "observed-data": {
            "first_observed": "2026-01-01T00:00:00Z",
            "last_observed": "2026-01-01T00:00:00Z",
            "number_observed": 1,
        },
        "note": {"content": "n"},
        "opinion": {"opinion": "agree"},
    }
    own = kinds[kind]
    refs = [each["id"] for each in members]
    made = sdo(kind, object_refs=refs, object_marking_refs=list(marks), **own, **more)
    return made if marks else {k: v for k, v in made.items() if k != "object_marking_refs"}


def part_marked(mark: str, *selectors: str) -> dict[str, Any]:
    return {"granular_markings": [{"marking_ref": mark, "selectors": list(selectors)}]}


def address(value: str = "45.12.3.4") -> Any:
    return {
        "type": "ipv4-addr",
        "spec_version": "2.1",
        "id": "ipv4-addr--11111111-1111-4111-8111-111111111111",
        "value": value,
    }


def examine(*subjects: Any, default: Tlp = Tlp.GREEN, policy: str = "") -> list[Candidate]:
    submitter = Submitter("acme", default_tlp=default, max_tlp=Tlp.AMBER_STRICT)
    pipeline = Pipeline(parse_policy(policy_text(None) + policy), submitter, warning_lists())
    sent = [Candidate.from_object(at, each) for at, each in enumerate(subjects)]
    return pipeline.examine(sent, NOW)


def level(*subjects: Any, default: Tlp = Tlp.GREEN) -> Tlp | None:
    """The level of the first of these objects."""
    return examine(*subjects, default=default)[0].tlp


class TestLevels:
    @pytest.mark.parametrize("kind", ["report", "grouping"])
    @pytest.mark.parametrize("first", [True, False])
    def test_nothing_of_a_red_event_is_in_any_feed(
        self, hub: HubInProcess, kind: str, first: bool
    ) -> None:
        member = unmarked()
        event = container(kind, member, marks=[RED])
        status = hub.push(*((event, member) if first else (member, event)))
        assert hub.verdicts(status) == ["refused", "refused"]
        assert [hub.feed(each) for each in EVERY_FEED] == [[], [], []]

    def test_nothing_of_a_red_event_exported_by_misp_is_in_any_feed(
        self, hub: HubInProcess
    ) -> None:
        status = hub.push(*stix_export(RED))
        assert "admitted" not in hub.verdicts(status)
        assert [hub.feed(each) for each in EVERY_FEED] == [[], [], []]

    def test_a_misp_event_at_green_is_published_at_green_and_not_at_the_default(
        self, hub: HubInProcess
    ) -> None:
        hub.push(*stix_export(GREEN))
        kinds = {each["type"] for each in hub.feed("green")}
        assert {"grouping", "indicator", "observed-data", "domain-name"} <= kinds
        assert hub.feed("clear") == []

    @pytest.mark.parametrize("kind", ["report", "grouping"])
    @pytest.mark.parametrize(
        ("mark", "expected"), [(CLEAR, Tlp.CLEAR), (GREEN, Tlp.GREEN), (AMBER, Tlp.AMBER)]
    )
    def test_an_unmarked_member_has_the_level_of_its_container_before_any_default(
        self, kind: str, mark: str, expected: Tlp
    ) -> None:
        for default in (Tlp.CLEAR, Tlp.AMBER):
            member = unmarked()
            assert level(member, container(kind, member, marks=[mark]), default=default) is expected

    def test_an_unmarked_observable_has_the_level_of_its_observed_data(self) -> None:
        member = address()
        assert level(member, container("observed-data", member, marks=[AMBER])) is Tlp.AMBER

    @pytest.mark.parametrize("kind", ["note", "opinion"])
    def test_the_marking_of_a_note_or_opinion_is_not_that_of_its_objects(self, kind: str) -> None:
        member = unmarked()
        assert level(member, container(kind, member, marks=[AMBER])) is Tlp.GREEN

    def test_of_several_containers_the_strictest_counts_in_any_order(self) -> None:
        member = unmarked()
        held = [container("report", member, marks=[each]) for each in (CLEAR, AMBER, GREEN)]
        for order in itertools.permutations((member, *held)):
            examined = examine(*order)
            found = next(each for each in examined if each.source_id == member["id"])
            assert found.tlp is Tlp.AMBER

    def test_a_report_covers_what_a_grouping_in_it_holds(self) -> None:
        member = unmarked()
        for marks in ((), [GREEN]):
            inner = container("grouping", member, marks=marks)
            outer = container("report", inner, marks=[AMBER])
            for order in itertools.permutations((inner, outer)):
                assert level(member, *order) is Tlp.AMBER

    def test_containers_that_hold_each_other_have_one_level(self) -> None:
        member = unmarked()
        one, other = container("grouping", member), container("report", marks=[AMBER])
        one["object_refs"].append(other["id"])
        other["object_refs"] = [one["id"], other["id"]]
        assert [each.tlp for each in examine(member, one, other)] == [Tlp.AMBER] * 3

    def test_a_marked_member_keeps_its_own_level(self) -> None:
        for mark, expected in ((CLEAR, Tlp.CLEAR), (AMBER, Tlp.AMBER)):
            member = indicator(object_marking_refs=[mark])
            assert level(member, container("report", member, marks=[GREEN])) is expected

    def test_an_unmarked_container_has_the_default_and_leaves_its_members_alone(self) -> None:
        member = indicator(object_marking_refs=[AMBER])
        assert level(container("report", member), member, default=Tlp.CLEAR) is Tlp.CLEAR

    def test_a_definition_of_the_submission_may_state_the_containers_level(self) -> None:
        own = {**STATEMENT, "name": "TLP:AMBER"}
        member = unmarked()
        assert level(member, container("report", member, marks=[own["id"]]), own) is Tlp.AMBER

    def test_a_red_container_that_is_refused_for_a_fault_still_covers_its_members(self) -> None:
        member = unmarked()
        broken = container("report", member, marks=[RED], confidence=400)
        assert [each.verdict for each in examine(member, broken)] == [Verdict.REFUSED] * 2

    def test_the_finding_names_the_level_and_the_reason(self) -> None:
        member = unmarked()
        found = examine(member, container("report", member, marks=[AMBER]))[0].findings
        assert any("TLP:AMBER" in f.message and "hold" in f.message for f in found)

    def test_the_result_sent_alone_has_the_same_level(self) -> None:
        member = unmarked()
        once = examine(member, container("report", member, marks=[AMBER]))[0]
        assert once.object is not None
        alone = examine(once.object)[0]
        assert (alone.object, alone.tlp, alone.scope) == (once.object, once.tlp, once.scope)

    @pytest.mark.slow
    def test_a_member_that_an_analyst_releases_keeps_the_level_of_its_container(
        self, hub: HubInProcess
    ) -> None:
        posts = "https://twitter.com/someone/status/1234567890"
        member = unmarked(pattern=f"[url:value = '{posts}']")
        status = hub.push(member, container("report", member, marks=[AMBER]))
        assert hub.verdicts(status)[0] == "held"
        review = next(
            each for each in hub.store.reviews.list_waiting() if each.source_id == member["id"]
        )
        hub.services.intake.reviewer.release(review, "operator")
        assert [o for o in hub.feed("green") if o["type"] == "indicator"] == []
        assert [o["type"] for o in hub.feed("amber") if o["type"] == "indicator"] == ["indicator"]


class TestParts:
    def test_a_list_of_members_marked_as_a_part_covers_the_members(self) -> None:
        one, other = unmarked("a.evil-shop.ru"), unmarked("b.evil-shop.ru")
        event = container("report", one, other, marks=[GREEN])
        whole = event | part_marked(AMBER, "object_refs")
        assert [each.tlp for each in examine(one, other, whole)[:2]] == [Tlp.AMBER, Tlp.AMBER]
        second = event | part_marked(AMBER, "object_refs.[1]")
        assert [each.tlp for each in examine(one, other, second)[:2]] == [Tlp.GREEN, Tlp.AMBER]

    def test_a_part_that_is_not_the_list_does_not_cover_the_members(self) -> None:
        member = unmarked()
        event = container("report", member, marks=[GREEN], description="d")
        assert level(member, event | part_marked(AMBER, "description")) is Tlp.GREEN

    def test_a_member_with_a_marked_part_alone_is_unmarked_as_a_whole(self) -> None:
        member = unmarked(description="d") | part_marked(AMBER, "description")
        assert level(member, container("report", member, marks=[GREEN])) is Tlp.GREEN
        found = examine(member, container("report", member, marks=[RED]))
        assert found[0].verdict is Verdict.REFUSED

    @pytest.mark.parametrize("junk", [7, None, [7], [None], "x", [{"a": 1}], [["x"]]])
    def test_a_container_with_any_json_value_as_its_members_costs_only_itself(
        self, junk: Any
    ) -> None:
        member = unmarked()
        broken = container("report", marks=[AMBER]) | {"object_refs": junk}
        strange = container("report", member, marks=[AMBER]) | {"granular_markings": junk}
        examined = examine(member, broken, strange)
        assert (examined[0].tlp, examined[1].verdict) == (Tlp.AMBER, Verdict.REFUSED)


class TestOtherMarkings:
    def test_an_unmarked_member_carries_the_statements_of_its_containers(self) -> None:
        member = unmarked()
        marks = [GREEN, STATEMENT["id"]]
        found = examine(member, container("report", member, marks=marks), STATEMENT)[0]
        assert found.object is not None and found.object["object_marking_refs"] == marks

    def test_a_member_with_a_level_of_its_own_carries_no_statement_of_its_container(self) -> None:
        member = indicator()
        marks = [GREEN, STATEMENT["id"]]
        found = examine(member, container("report", member, marks=marks), STATEMENT)[0]
        assert found.object is not None and found.object["object_marking_refs"] == [GREEN]

    def test_the_members_of_a_container_with_an_unknown_marking_wait_with_it(self) -> None:
        member = unmarked()
        marks = [GREEN, STATEMENT["id"]]
        examined = examine(member, container("report", member, marks=marks))
        assert [each.verdict for each in examined] == [Verdict.HELD] * 2

    @pytest.mark.parametrize("marked", [True, False])
    def test_the_members_of_a_classified_container_are_refused(self, marked: bool) -> None:
        member = indicator(object_marking_refs=[AMBER]) if marked else unmarked()
        secret = control(classification="S")
        examined = examine(member, container("report", member, marks=[AMBER, ACS_ID]), secret)
        assert examined[0].verdict is Verdict.REFUSED

    def test_a_member_with_an_acs_marking_of_its_own_keeps_that(self) -> None:
        own = {**acs(), "id": "marking-definition--44444444-4444-4444-8444-444444444444"}
        member = indicator(object_marking_refs=[AMBER, own["id"]])
        event = container("report", member, marks=[AMBER, ACS_ID])
        scopes = '\n[rules.marking]\nacs_scopes = ["USA.USG"]\n'
        examined = examine(member, event, own, control(classification="S"), policy=scopes)
        assert [each.verdict for each in examined[:2]] == [Verdict.OPEN, Verdict.REFUSED]

    def test_a_listed_definition_that_nothing_carries_has_the_level_of_its_container(self) -> None:
        event = container("report", STATEMENT, marks=[RED])
        assert examine(STATEMENT, event)[0].verdict is Verdict.REFUSED

    def test_a_member_of_containers_with_too_many_markings_is_refused_with_advice(self) -> None:
        member = unmarked()
        marks = [GREEN, *(sdo("marking-definition")["id"] for _ in range(30))]
        found = examine(member, container("report", member, marks=marks))[0]
        assert found.verdict is Verdict.REFUSED
        assert "give the object a TLP marking of its own" in found.findings[-1].message

    @pytest.mark.slow
    def test_each_reference_between_large_nested_containers_is_followed_a_few_times(self) -> None:
        marks = [GREEN, *(sdo("marking-definition")["id"] for _ in range(3_000))]
        nested = [container("grouping", marks=marks) for _ in range(150)]
        for each in nested:
            each["object_refs"] = [one["id"] for one in nested]
        sent = [Candidate.from_object(at, each) for at, each in enumerate(nested)]
        started = time.process_time()
        found = ContainerMarkings.read(sent, {})
        marked = [found.mark(each) for each in sent]
        assert time.process_time() - started < 5
        assert [each.is_open for each in marked] == [True] * 150


def raw_event(event: Any, *parts: tuple[str, str]) -> str:
    """A container as JSON, with replaced parts that no serialiser would write."""
    text = json.dumps(event)
    for old, new in parts:
        assert old in text
        text = text.replace(old, new)
    return text


REFUSED_RECORDS: dict[str, tuple[str, str]] = {
    "half of a surrogate pair": ('"context": "', '"x_note": "\\ud800", "context": "'),
    "a long integer": ('"context"', '"x_n": 9007199254740993, "context"'),
    "a number beyond doubles": ('"context"', '"x_n": 1e999, "context"'),
    "not a number": ('"context"', '"x_n": NaN, "context"'),
    "a name twice": ('"context"', '"context": "a", "context"'),
    "deep nesting": ('"context"', f'"x_n": {"[" * 150}{"]" * 150}, "context"'),
    "control characters": ('"context": "', '"context": "\x01'),
}


class TestLabels:
    @pytest.mark.slow
    @pytest.mark.parametrize("label", ["tlp:red", 'misp:tlp="red"', "TLP:RED"])
    def test_nothing_that_a_label_says_is_red_is_in_any_feed(
        self, hub: HubInProcess, label: str
    ) -> None:
        old = {"spec_version": "2.0", "labels": ["malicious-activity", label]}
        sent = [
            unmarked("evil-one.top", labels=[label]),
            indicator("evil-two.top", object_marking_refs=[CLEAR], labels=[label]),
            {k: v for k, v in (unmarked("evil-three.top") | old).items() if k != "pattern_type"},
        ]
        assert hub.verdicts(hub.push(*sent)) == ["refused"] * 3
        member = unmarked("evil-four.top")
        event = container("grouping", member, labels=[label])
        assert hub.verdicts(hub.push(member, event)) == ["refused"] * 2
        assert [hub.feed(each) for each in EVERY_FEED] == [[], [], []]

    def test_a_label_is_the_level_of_an_unmarked_object_and_comes_before_containers(self) -> None:
        member = unmarked(labels=["tlp:green"])
        assert level(member, default=Tlp.AMBER) is Tlp.GREEN
        assert level(member, container("report", member, marks=[AMBER])) is Tlp.GREEN


class TestCopies:
    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("strict", [[AMBER], [GREEN, AMBER], None])
    def test_copies_of_one_version_all_have_the_strictest_level(
        self, hub: HubInProcess, first: bool, strict: Any
    ) -> None:
        clear = indicator(object_marking_refs=[CLEAR], description="secret")
        other = clear | {"object_marking_refs": strict, "modified": "2026-01-01T00:00:00Z"}
        if strict is None:
            del other["object_marking_refs"]
        hub.push(*((clear, other) if first else (other, clear)))
        assert (hub.feed("clear"), hub.feed("green")) == ([], [])
        assert len(hub.feed("amber")) == 1

    def test_a_part_that_one_copy_marks_raises_all(self) -> None:
        plain = indicator(object_marking_refs=[CLEAR], description="secret")
        found = examine(plain, plain | part_marked(AMBER, "description"))
        assert [each.tlp for each in found] == [Tlp.AMBER, Tlp.AMBER]

    def test_a_later_version_keeps_its_own_level(self) -> None:
        old = indicator(object_marking_refs=[AMBER])
        new = old | {"object_marking_refs": [CLEAR], "modified": "2026-02-01T00:00:00.000Z"}
        assert [each.tlp for each in examine(old, new)] == [Tlp.AMBER, Tlp.CLEAR]


class TestFaultyContainers:
    @pytest.mark.parametrize("fault", REFUSED_RECORDS)
    def test_a_container_that_breaks_i_json_still_covers_its_members(
        self, hub: HubInProcess, fault: str
    ) -> None:
        member = unmarked()
        event = raw_event(container("grouping", member, marks=[RED]), REFUSED_RECORDS[fault])
        sent = f'{{"objects": [{json.dumps(member)}, {event}]}}'.encode()
        answer = hub.ask("collections/inbox/objects/", method="POST", data=sent)
        while hub.services.intake.work():
            pass
        assert answer.status_code != 202 or hub.verdicts(
            hub.ask(f"status/{answer.json['id']}/").json
        ) == ["refused", "refused"]
        assert [hub.feed(each) for each in EVERY_FEED] == [[], [], []]

    @pytest.mark.parametrize("fault", REFUSED_RECORDS)
    def test_the_preview_covers_members_as_the_hub_does(self, fault: str) -> None:
        member = unmarked()
        event = raw_event(container("grouping", member, marks=[RED]), REFUSED_RECORDS[fault])
        lines = f"{json.dumps(member)}\n{event}\n"
        checker = Checker(ClientSettings(), parse_policy(policy_text(None)), warning_lists())
        preview = checker.preview(InputFile("event.jsonl", lines.encode()), NOW)
        assert [each.verdict for each in preview.results()] == ["refused", "refused"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda e: {**e, "object_refs": e["object_refs"][0]},
            lambda e: {**e, "object_refs": [e["object_refs"][0].upper()]},
            lambda e: {**e, "object_refs": [f"{e['object_refs'][0]} "]},
            lambda e: {**e, "object_refs": [[e["object_refs"][0]]]},
            lambda e: {**e, "object_refs": {"0": e["object_refs"][0]}},
            lambda e: {**e, "object_marking_refs": RED},
            lambda e: {**e, "object_marking_refs": [f" {RED.upper()}"]},
            lambda e: {**e, "object_marking_refs": {"tlp": RED}},
            lambda e: {**e, "type": "Grouping"},
            lambda e: {**e, "type": "x-misp-event", "id": f"x-misp-event--{e['id'][-36:]}"},
            lambda e: {**e, "type": None},
            lambda e: {"type": "bundle", "id": f"bundle--{e['id'][-36:]}", "objects": [e]},
            lambda e: {("Object_Refs" if k == "object_refs" else k): v for k, v in e.items()},
            lambda e: {("objectMarkingRefs" if k.endswith("g_refs") else k): e[k] for k in e},
        ],
    )
    def test_a_container_covers_its_members_however_it_is_written(
        self, hub: HubInProcess, change: Any
    ) -> None:
        member = unmarked()
        event = change(container("grouping", member, marks=[RED]))
        assert hub.verdicts(hub.push(member, event))[0] == "refused"

    def test_equal_names_all_count(self) -> None:
        member, other = unmarked("evil-one.top"), unmarked("evil-two.top")
        event = json.dumps(container("grouping", member, marks=[CLEAR]))
        event = (
            f'{event[:-1]}, "object_refs": ["{other["id"]}"], "object_marking_refs": ["{RED}"]}}'
        )
        sent = [Candidate.from_object(0, member), Candidate.from_object(1, other)]
        found = ContainerMarkings.read([*sent, parse_candidate(2, event.encode())], {})
        assert found.levels == {member["id"]: Tlp.RED, other["id"]: Tlp.RED}

    def test_a_selector_that_selects_nothing_covers_all_members(self) -> None:
        member = unmarked()
        event = container("report", member, **part_marked(RED, "object_refs.[7]"))
        assert level(member, event) is Tlp.RED

    @pytest.mark.parametrize("kind", ["note", "opinion"])
    def test_notes_and_opinions_hold_nothing_even_in_wrong_case(self, kind: str) -> None:
        member = unmarked()
        note = container(kind, member, marks=[RED]) | {"type": kind.title()}
        assert level(member, note) is Tlp.GREEN

    def test_next_to_an_unreadable_record_unmarked_objects_wait_for_an_analyst(
        self,
    ) -> None:
        member, marked = unmarked(), indicator("evil-two.top")
        unreadable = json.dumps([container("grouping", member, marks=[RED])])[1:-2].encode()
        lost = parse_candidate(2, unreadable)
        sent = [Candidate.from_object(0, member), Candidate.from_object(1, marked), lost]
        submitter = Submitter("acme", default_tlp=Tlp.CLEAR, max_tlp=Tlp.AMBER_STRICT)
        pipeline = Pipeline(parse_policy(policy_text(None)), submitter, warning_lists())
        found = pipeline.examine(sent, NOW)
        assert [each.verdict.value for each in found] == ["held", "open", "refused"]
        assert "could not be read" in found[0].findings[-1].message

    def test_a_broken_line_that_cannot_be_a_container_holds_nothing(self) -> None:
        lines = f'{json.dumps(unmarked())}\n{{"type": "tool", "name": }}\n'
        checker = Checker(ClientSettings(), parse_policy(policy_text(None)), warning_lists())
        preview = checker.preview(InputFile("feed.jsonl", lines.encode()), NOW)
        assert [each.verdict for each in preview.results()] == ["ready", "refused"]

    def test_recipients_and_authors_that_a_refused_record_names_are_hidden(self) -> None:
        message = sdo("email-message", to_refs=["email-addr--11111111-1111-4111-8111-111111111111"])
        raw = json.dumps(message).replace('"type"', '"x": 1e999, "type"', 1)
        victim = address("jane@evil-bank.top") | {
            "type": "email-addr",
            "id": "email-addr--11111111-1111-4111-8111-111111111111",
        }
        submitter = Submitter("acme", default_tlp=Tlp.GREEN)
        pipeline = Pipeline(parse_policy(policy_text(None)), submitter, warning_lists())
        sent = [Candidate.from_object(0, victim), parse_candidate(1, raw.encode())]
        assert pipeline.examine(sent, NOW)[0].verdict is Verdict.REFUSED


class TestClients:
    def test_the_preview_marks_members_so_that_they_may_be_sent_without_their_container(
        self,
    ) -> None:
        member = unmarked()
        sent = json.dumps({"objects": [member, container("report", member, marks=[AMBER])]})
        checker = Checker(
            ClientSettings(), parse_policy(policy_text(None)), warning_lists(), "green"
        )
        preview = checker.preview(InputFile("event.json", sent.encode()), NOW)
        ready = [each.object for each in preview.results() if each.object is not None]
        assert [each["object_marking_refs"] for each in ready] == [[AMBER], [AMBER]]

    def test_the_preview_sends_nothing_of_a_red_event(self) -> None:
        sent = json.dumps({"type": "bundle", "objects": stix_export(RED)})
        checker = Checker(
            ClientSettings(), parse_policy(policy_text(None)), warning_lists(), "green"
        )
        preview = checker.preview(InputFile("event.json", sent.encode()), NOW)
        assert [each.object for each in preview.results() if each.object is not None] == []


def test_members_and_their_container_have_the_same_verdicts_in_preview_and_hub(
    hub: HubInProcess,
) -> None:
    member = unmarked()
    subjects = [member, container("report", member, marks=[RED])]
    before = [each.verdict.value for each in examine(*subjects)]
    assert before == hub.verdicts(hub.push(*subjects)) == ["refused", "refused"]
    assert all("RED" in entry["message"] for entry in details(hub.push(*subjects)))
