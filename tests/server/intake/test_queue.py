"""The queue: turns of partners, order of what depends on each other, submissions set aside."""

import json
import threading
import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, DocumentTooLarge, OperationFailure, PyMongoError
from support.crash import build_services_over, run_interrupted, work_later
from support.databases import open_again
from support.hub import AMBER, HubInProcess, Object, details, indicator, relationship, sdo
from support.presence import present
from support.stix_objects import yara_bomb

from tocsin.admission.errors import Unavailable
from tocsin.admission.timestamps import micros
from tocsin.config.settings import HubSettings
from tocsin.server.intake import queue
from tocsin.server.intake.admission import InboxAdmission
from tocsin.server.intake.intake import Intake
from tocsin.server.intake.review import DECIDED
from tocsin.server.intake.set_aside import MOST_ATTEMPTS
from tocsin.server.model import OpenSubmission, Partner
from tocsin.server.publishing import references
from tocsin.server.store import Store, wall_clock

YARA = 'rule a { strings: $a = "evil" condition: $a }'


@pytest.fixture
def hub(store: Store) -> HubInProcess:
    """A hub where more than 20 objects make a submission large."""
    return HubInProcess(store, settings=HubSettings(inline_objects=20))


def post(hub: HubInProcess, *objects: object, who: str = "acme", to: str = "inbox") -> Object:
    """Post objects without working on the queue; return the answer."""
    body = json.dumps({"objects": objects}).encode()
    answer = hub.ask(f"collections/{to}/objects/", who, "POST", data=body)
    assert answer.status_code == 202, answer.text
    return dict(answer.json)


def post_large(hub: HubInProcess, count: int = 30, who: str = "acme", to: str = "inbox") -> Object:
    """Post a large submission of new indicators."""
    marks = [indicator() for _ in range(count)]
    objects = [
        each | {"pattern": f"[domain-name:value = '{each['id'][11:]}.top']"} for each in marks
    ]
    return post(hub, *objects, who=who, to=to)


def status(hub: HubInProcess, posted: Object, who: str = "acme") -> Object:
    """Return the status of a submission now."""
    return dict(hub.ask(f"status/{posted['id']}/", who).json)


def is_settled(hub: HubInProcess, posted: Object, who: str = "acme") -> bool:
    """Return whether every object has a verdict."""
    return bool(status(hub, posted, who)["x_tocsin_settled"])


def work(hub: HubInProcess, turns: int) -> None:
    """Give the worker some turns; every other call looks at the outbox first."""
    for _ in range(turns):
        hub.services.intake.work()


def count_complete(hub: HubInProcess) -> int:
    """Return the number of groupings that list two objects."""
    found = (each for each in hub.feed("green") if each["type"] == "grouping")
    return sum(len(each["object_refs"]) == 2 for each in found)


def disable(hub: HubInProcess, *, disabled: bool) -> None:
    """Lock the account of acme out, or let it in again."""
    account = hub.store.accounts.find_account("acme")
    assert account is not None
    hub.store.accounts.update_account(replace(account, disabled=disabled))


def work_off(intake: Intake) -> None:
    """Work until nothing is left."""
    while intake.work():
        pass


@pytest.fixture
def every_turn_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count each turn as one, however busy the machine is."""
    monkeypatch.setattr(queue, "QUICK_TURN", 600.0)


class TestTurns:
    @pytest.mark.slow
    @pytest.mark.usefixtures("every_turn_is_quick")
    def test_a_partner_with_six_large_submissions_keeps_no_other_waiting(
        self, hub: HubInProcess
    ) -> None:
        floods = [post_large(hub) for _ in range(6)]
        small = post(hub, indicator(pattern_type="yara", pattern=YARA), who="north")
        assert small["status"] == "pending"
        work(hub, 2)
        assert is_settled(hub, small, "north")
        assert not any(is_settled(hub, each) for each in floods)
        work_off(hub.services.intake)
        assert all(is_settled(hub, each) for each in floods)

    @pytest.mark.usefixtures("every_turn_is_quick")
    @pytest.mark.slow
    def test_a_large_submission_lets_others_in_between_its_batches(self, hub: HubInProcess) -> None:
        large = post_large(hub, 1_100)
        work(hub, 5)
        other = post_large(hub, 30, who="north")
        work(hub, 6)
        assert is_settled(hub, other, "north")
        assert not is_settled(hub, large)
        work_off(hub.services.intake)
        assert status(hub, large)["success_count"] == 1_100

    @pytest.mark.slow
    @pytest.mark.usefixtures("every_turn_is_quick")
    def test_small_submissions_of_a_partner_go_first_but_not_for_ever(
        self, hub: HubInProcess
    ) -> None:
        large = post_large(hub, 30)
        small = [
            post(hub, indicator(f"{n}.top", pattern_type="yara", pattern=YARA)) for n in range(12)
        ]
        work(hub, 1)
        assert is_settled(hub, small[0]) and not is_settled(hub, large)
        for _ in range(20):
            hub.services.intake.work()
            if is_settled(hub, large):
                break
        assert is_settled(hub, large)
        assert not is_settled(hub, small[-1])

    @pytest.mark.slow
    @pytest.mark.usefixtures("every_turn_is_quick")
    def test_what_completes_many_objects_lets_others_in_between(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(references, "PORTION", 2)
        here, late = indicator("here.top"), indicator("late.top")
        refs = [here["id"], late["id"]]
        hub.push(
            here,
            *(sdo("grouping", context="unspecified", object_refs=refs) for _ in range(14)),
        )
        assert post(hub, late)["success_count"] == 1
        assert count_complete(hub) == 2  # the request waits for no more
        other = post_large(hub, 30, who="north")
        work(hub, 6)
        assert is_settled(hub, other, "north")
        assert 2 < count_complete(hub) < 14
        work_off(hub.services.intake)
        assert count_complete(hub) == 14

    def test_a_partner_with_hard_submissions_has_fewer_turns(self) -> None:
        hard, quick = (
            OpenSubmission(
                id=who, account=who, partner=who, received=0, is_large=False, lane="", after=(),
                attempts=0, is_queued=True, is_free=True, lease=0, digests=None,
            )
            for who in ("hard", "quick")
        )  # fmt: skip
        turns = queue.FairOrder()
        served = []
        for _ in range(24):
            chosen = turns.choose([hard, quick])[0]
            served.append(chosen.id)
            turns.take(chosen, has_large=False, seconds=2.5 if chosen is hard else 0.01)
        assert served.count("hard") == 3

    @pytest.mark.slow
    @pytest.mark.usefixtures("every_turn_is_quick")
    def test_partners_are_served_one_after_the_other(self, hub: HubInProcess) -> None:
        hub.join(Partner("east", "East Limited"))
        posted = {
            who: [
                post(hub, indicator(f"{who}{n}.top", pattern_type="yara", pattern=YARA), who=who)
                for n in range(4)
            ]
            for who in ("acme", "north", "east")
        }
        work(hub, 6)
        settled = {who: sum(is_settled(hub, p, who) for p in all) for who, all in posted.items()}
        assert settled == {"acme": 2, "north": 2, "east": 2}

    @pytest.mark.slow
    def test_what_has_waited_for_an_object_keeps_neither_its_request_nor_others_waiting(
        self, hub: HubInProcess
    ) -> None:
        late, known = indicator("late.top"), indicator("known.top")
        waiting = [relationship(known, f"related-{n}", late) for n in range(60)]
        for begin in range(0, len(waiting), 15):
            post(hub, *waiting[begin : begin + 15])
        assert len(hub.store.reviews.list_waiting()) == 60
        assert is_settled(hub, post(hub, late, known))
        assert len(hub.store.reviews.list_waiting()) == 60 - DECIDED
        other = post(hub, indicator(pattern_type="yara", pattern=YARA), who="north")
        work(hub, 2)
        assert is_settled(hub, other, "north")
        assert len(hub.store.reviews.list_waiting()) == 60 - 2 * DECIDED
        work_off(hub.services.intake)
        assert not hub.store.reviews.list_waiting()
        assert not hub.store.outbox.lease("anybody", 10, 10)

    @pytest.mark.slow
    def test_a_chain_of_objects_that_wait_for_each_other_keeps_no_other_waiting(
        self, hub: HubInProcess
    ) -> None:
        end = indicator("end.top")
        ids = [f"report--{uuid.uuid4()}" for _ in range(45)]
        refs = [*ids[1:], end["id"]]
        chain = [
            sdo("report", id=id, name=id, object_refs=[ref], published="2026-01-01T00:00:00Z")
            for id, ref in zip(ids, refs, strict=True)
        ]
        for begin in range(0, len(chain), 15):
            post(hub, *chain[begin : begin + 15])
        assert len(hub.store.reviews.list_waiting()) == 45
        assert is_settled(hub, post(hub, end))
        assert len(hub.store.reviews.list_waiting()) == 45 - DECIDED
        work_off(hub.services.intake)
        assert not hub.store.reviews.list_waiting()

    @pytest.mark.slow
    def test_what_less_strict_objects_bring_about_comes_first_in_all_turns(
        self, hub: HubInProcess
    ) -> None:
        late, known = indicator("late.top"), indicator("known.top")
        green = [relationship(known, f"green-{n}", late) for n in range(DECIDED + 5)]
        follows = sdo("note", content="x", object_refs=[green[0]["id"]])
        strict = [
            relationship(known, f"amber-{n}", late, object_marking_refs=[AMBER])
            for n in range(DECIDED + 5)
        ]
        sent = [*green, follows, *strict]
        for begin in range(0, len(sent), 15):
            post(hub, *sent[begin : begin + 15])
        post(hub, late, known)
        work_off(hub.services.intake)
        last = max(micros(each["modified"]) for each in hub.feed("green"))
        added = [each for each in hub.feed("amber") if each.get("object_marking_refs") == [AMBER]]
        assert len(added) == len(strict)
        assert all(micros(each["modified"]) >= last for each in added)

    @pytest.mark.slow
    def test_what_waited_for_one_partner_keeps_that_of_another_not_waiting(
        self, hub: HubInProcess
    ) -> None:
        for who, count in (("acme", 4 * DECIDED), ("north", 2 * DECIDED)):
            late, known = indicator(f"late{count}.top"), indicator(f"known{count}.top")
            waiting = [relationship(known, f"related-{n}", late) for n in range(count)]
            for begin in range(0, count, 15):
                post(hub, *waiting[begin : begin + 15], who=who)
            post(hub, late, known, who=who)
        work(hub, 3)
        left = {each.partner for each in hub.store.reviews.list_waiting()}
        assert left == {"acme"}

    @pytest.mark.slow
    def test_what_a_stopped_worker_has_not_decided_is_decided_by_another(
        self, hub: HubInProcess, store: Store
    ) -> None:
        late, known = indicator("late.top"), indicator("known.top")
        waiting = [relationship(known, f"related-{n}", late) for n in range(3 * DECIDED)]
        for begin in range(0, len(waiting), 15):
            post(hub, *waiting[begin : begin + 15])
        post(hub, late, known)
        work(hub, 1)
        assert len(store.reviews.list_waiting()) == DECIDED
        hub.services.intake.stop()
        work_off(HubInProcess(store, founded=True).services.intake)
        assert not store.reviews.list_waiting()

    @pytest.mark.slow
    def test_two_workers_settle_everything_once(self, hub: HubInProcess) -> None:
        posted = [post_large(hub, 25, who) for who in ("acme", "north") for _ in range(3)]
        with open_again(hub.store) as store:
            intakes = hub.services.intake, build_services_over(hub, store).intake
            threads = [threading.Thread(target=work_off, args=(each,)) for each in intakes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        work_off(hub.services.intake)
        counts = [
            status(hub, each, who)["success_count"]
            for each, who in zip(posted, ("acme",) * 3 + ("north",) * 3, strict=True)
        ]
        assert counts == [25] * 6
        assert len(hub.feed("green")) == 150


class TestFailures:
    @pytest.fixture
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
        """The faults that submissions of acme meet, one after the other; the last one stays."""
        faults: list[Exception] = []
        step = InboxAdmission.step

        def fail(self: InboxAdmission) -> bool:
            if self.submission.partner == "acme" and faults:
                raise faults.pop(0) if len(faults) > 1 else faults[0]
            return step(self)

        monkeypatch.setattr(InboxAdmission, "step", fail)
        return faults

    @pytest.mark.slow
    def test_a_submission_that_cannot_be_examined_keeps_no_other_waiting(
        self, hub: HubInProcess, failing: list[Exception]
    ) -> None:
        failing.append(Unavailable("no compiler"))
        bad = post_large(hub)
        other = post_large(hub, who="north")
        work_off(hub.services.intake)
        assert is_settled(hub, other, "north")
        assert not is_settled(hub, bad)
        [left] = hub.store.submissions.list_open(60)
        assert (left.attempts, left.is_free) == (0, True)

    @pytest.mark.slow
    def test_it_is_tried_again_after_a_pause(
        self, hub: HubInProcess, failing: list[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue, "SHORTEST_PAUSE", 0.0)
        failing.append(Unavailable("no compiler"))
        bad = post_large(hub)
        work(hub, 6)
        failing.clear()
        work_off(hub.services.intake)
        assert is_settled(hub, bad)

    def test_what_the_database_refuses_to_store_is_set_aside(
        self, hub: HubInProcess, failing: list[Exception], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queue, "SHORTEST_PAUSE", 0.0)
        failing.append(DocumentTooLarge("16 MiB"))
        bad = post_large(hub)
        work(hub, 8)
        assert [each.id for each in hub.store.submissions.list_set_aside()] == [bad["id"]]

    @pytest.mark.slow
    @pytest.mark.parametrize("error", [AutoReconnect("down"), OperationFailure("no room", 14031)])
    def test_an_outage_of_the_database_is_no_fault_of_a_submission(
        self, hub: HubInProcess, failing: list[Exception], error: PyMongoError
    ) -> None:
        failing += [error] * 5
        bad = post_large(hub)
        for _ in range(4):
            with pytest.raises(type(error)):
                work(hub, 2)
        failing.clear()
        work_off(hub.services.intake)
        assert is_settled(hub, bad)

    @pytest.mark.slow
    def test_leases_last_however_long_the_turns_of_others_are(self, store: Store) -> None:
        late = 0
        hub = HubInProcess(
            store, settings=HubSettings(inline_objects=20), clock=lambda: wall_clock() + late
        )
        store.submissions._clock = lambda: wall_clock() + late
        for who in ("acme", "north"):
            post_large(hub, 300, who)
        work(hub, 4)
        begun = store.submissions.list_open(60)
        assert len(begun) == 2
        for _ in range(3):
            late += 40_000_000
            assert not any(each.is_free for each in store.submissions.list_open(60))
            work(hub, 1)

    @pytest.mark.slow
    def test_leases_last_after_the_clock_was_stepped_back(self, store: Store) -> None:
        late = 0
        hub = HubInProcess(
            store, settings=HubSettings(inline_objects=20), clock=lambda: wall_clock() + late
        )
        store.submissions._clock = lambda: wall_clock() + late
        for who in ("acme", "north"):
            post_large(hub, 600, who)
        work(hub, 4)
        late -= 3_600_000_000
        work(hub, 1)
        assert [each.is_free for each in store.submissions.list_open(60)] == [False, False]


class TestPauses:
    def test_each_is_twice_as_long_as_the_one_before_up_to_a_minute(self) -> None:
        pauses = queue.Pauses(lambda: 0.0)
        assert [pauses.lengthen("a") for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
        pauses.forget("a")
        assert pauses.lengthen("a") == 1

    def test_one_rests_until_its_pause_is_over(self) -> None:
        now = 0.0
        pauses = queue.Pauses(lambda: now)
        pauses.lengthen("a")
        assert pauses.resting() == {"a"}
        now = 1.0
        assert pauses.resting() == set()
        assert pauses.lengthen("a") == 2


class TestInlineBudget:
    def test_who_has_used_it_up_waits_until_it_is_filled_again(self) -> None:
        now = 0.0
        budget = queue.InlineBudget(lambda: now)
        with budget.enter("acme", 10) as may_enter:
            assert may_enter
            began = time.thread_time()
            while time.thread_time() - began < 0.02:
                pass
        budget._left["acme"] = (budget._left["acme"][0] - queue.INLINE_BURST, now)
        with budget.enter("acme", 10) as may_enter:
            assert not may_enter
        with budget.enter("north", 10) as may_enter:
            assert may_enter
        now = 1.0
        with budget.enter("acme", 10) as may_enter:
            assert may_enter

    def test_few_hard_ones_of_a_partner_are_admitted_at_once(self) -> None:
        budget = queue.InlineBudget()
        hard = queue.HARD_OCTETS + 1
        with budget.enter("acme", hard), budget.enter("acme", hard):
            with budget.enter("acme", hard) as may_enter:
                assert not may_enter
            with budget.enter("acme", 10) as may_enter:
                assert may_enter
        with budget.enter("acme", hard) as may_enter:
            assert may_enter

    def test_a_partner_without_budget_is_admitted_from_the_queue(self, hub: HubInProcess) -> None:
        hub.services.intake._inline._left["acme"] = (-100.0, time.monotonic())
        posted = post(hub, indicator())
        assert posted["status"] == "pending"
        work_off(hub.services.intake)
        assert is_settled(hub, posted)


class TestLockedOut:
    @pytest.mark.parametrize("to", ["inbox", "scratch"])
    @pytest.mark.slow
    def test_nothing_more_of_a_disabled_account_is_taken(self, hub: HubInProcess, to: str) -> None:
        posted = post_large(hub, 1_200, to=to)
        while not status(hub, posted)["success_count"]:
            work(hub, 1)
        disable(hub, disabled=True)
        work_off(hub.services.intake)
        disable(hub, disabled=False)
        answer = status(hub, posted)
        assert answer["success_count"] + answer["failure_count"] == 1_200
        assert 0 < answer["success_count"] < 1_200

    @pytest.mark.parametrize("to", ["inbox", "scratch"])
    @pytest.mark.slow
    def test_nothing_more_is_taken_once_the_right_to_write_is_taken_away(
        self, hub: HubInProcess, to: str
    ) -> None:
        posted = post_large(hub, 1_200, to=to)
        while not status(hub, posted)["success_count"]:
            work(hub, 1)
        account = present(hub.store.accounts.find_account("acme"))
        left = account.writes - {hub.collection(to).id}
        hub.store.accounts.update_account(replace(account, writes=left))
        work_off(hub.services.intake)
        answer = status(hub, posted)
        assert answer["success_count"] + answer["failure_count"] == 1_200
        assert 0 < answer["success_count"] < 1_200
        assert "the right to write to this collection" in answer["failures"][0]["message"]

    @pytest.mark.slow
    def test_the_right_to_write_to_another_collection_does_not_count(
        self, hub: HubInProcess
    ) -> None:
        posted = post_large(hub)
        account = present(hub.store.accounts.find_account("acme"))
        left = frozenset({hub.collection("inbox").id})
        hub.store.accounts.update_account(replace(account, writes=left))
        work_off(hub.services.intake)
        assert status(hub, posted)["success_count"] == 30

    @pytest.mark.slow
    def test_verbatim_objects_are_published_in_no_feed(self, hub: HubInProcess) -> None:
        """Not even if the account is disabled and enabled while they are admitted."""
        posted = post_large(hub, 1_200, to="scratch")
        disable(hub, disabled=True)
        work(hub, 2)
        disable(hub, disabled=False)
        work_off(hub.services.intake)
        answer = status(hub, posted)
        assert answer["failure_count"] >= 500
        assert (
            len(hub.feed("scratch")) == answer["success_count"] == 1_200 - answer["failure_count"]
        )
        assert hub.feed("green") == hub.feed("amber") == []


class TestNarrowedReading:
    """An account from which the right to read the strict feed is taken."""

    def post(self, hub: HubInProcess, who: str) -> Object:
        objects = [indicator(f"{n}.top", object_marking_refs=[AMBER]) for n in range(30)]
        return post(hub, *objects, who=who)

    def narrow(self, hub: HubInProcess) -> None:
        account = present(hub.store.accounts.find_account("acme"))
        reads = frozenset({hub.collection("clear").id})
        hub.store.accounts.update_account(replace(account, reads=reads))

    @pytest.mark.slow
    def test_it_does_not_learn_that_others_sent_what_was_examined_before(
        self, hub: HubInProcess
    ) -> None:
        self.post(hub, "north")
        work_off(hub.services.intake)
        posted = self.post(hub, "acme")
        work(hub, 1)
        assert not is_settled(hub, posted)
        self.narrow(hub)
        work_off(hub.services.intake)
        assert status(hub, posted)["x_tocsin_counts"] == {"admitted": 30}

    @pytest.mark.slow
    def test_statuses_from_before_stay_as_they_were_decided(self, hub: HubInProcess) -> None:
        self.post(hub, "north")
        posted = self.post(hub, "acme")
        work_off(hub.services.intake)
        before = status(hub, posted)
        assert before["x_tocsin_counts"] == {"merged": 30}
        self.narrow(hub)
        assert status(hub, posted) == before


class TestOrder:
    def test_a_revocation_waits_for_the_object_that_is_still_in_the_queue(
        self, hub: HubInProcess
    ) -> None:
        revoked = indicator("gone.top")
        others = [indicator(f"{n}.top") for n in range(30)]
        post(hub, *others, revoked)
        later = {**revoked, "modified": "2026-02-01T00:00:00.000Z", "revoked": True}
        assert post(hub, later)["status"] == "pending"
        work_off(hub.services.intake)
        current = [each for each in hub.feed("green") if "gone.top" in each["pattern"]]
        assert [each.get("revoked", False) for each in current] == [True]

    def test_another_partner_with_the_same_id_does_not_wait(self, hub: HubInProcess) -> None:
        shared = indicator("shared.top")
        post(hub, *[indicator(f"{n}.top") for n in range(30)], shared)
        assert post(hub, shared, who="north")["status"] == "complete"

    def test_what_has_no_id_of_it_is_admitted_at_once(self, hub: HubInProcess) -> None:
        post_large(hub)
        assert post(hub, indicator("unrelated.top"))["status"] == "complete"

    def test_an_identity_waits_for_objects_that_name_it_as_their_creator(
        self, hub: HubInProcess
    ) -> None:
        author = {
            "type": "identity",
            "spec_version": "2.1",
            "id": "identity--5e4bfb8b-c1c9-4fa3-a6a1-9d7d5b5fa2c0",
            "created": "2026-01-01T00:00:00.000Z",
            "modified": "2026-01-01T00:00:00.000Z",
            "name": "Jane's desk at the bank",
            "identity_class": "organization",
        }
        post(hub, *[indicator(f"{n}.top", created_by_ref=author["id"]) for n in range(30)])
        named = post(hub, author)
        work_off(hub.services.intake)
        assert hub.verdicts(status(hub, named)) == ["duplicate"]
        assert "Jane" not in json.dumps(hub.ask("collections/amber/objects/").json)

    def test_a_verbatim_collection_keeps_the_posted_order(self, hub: HubInProcess) -> None:
        first = [indicator(f"{n}.top") for n in range(30)]
        last = indicator("last.top")
        post(hub, *first, to="scratch")
        post(hub, last, to="scratch")
        work_off(hub.services.intake)
        assert [each["id"] for each in hub.feed("scratch")] == [e["id"] for e in (*first, last)]


class TestSetAside:
    def crash(self, hub: HubInProcess) -> None:
        """Let a worker end in the middle of its next transaction, and its lease run out."""
        run_interrupted(hub, hub_work(hub), 1, within=True)
        hub.store._base.submissions.update_many({}, {"$set": {"lease": 0}})

    @pytest.mark.slow
    def test_a_submission_that_ends_its_worker_three_times_waits_for_the_operator(
        self, hub: HubInProcess
    ) -> None:
        posted = post_large(hub)
        for _ in range(MOST_ATTEMPTS):
            self.crash(hub)
        work_off(hub.services.intake)
        answer = status(hub, posted)
        assert (answer["status"], answer["x_tocsin_settled"]) == ("pending", False)
        assert "waits for the operator" in answer["x_tocsin_set_aside"]
        assert [each.id for each in hub.store.submissions.list_set_aside()] == [posted["id"]]
        actions = [each.action for each in hub.store.journal.list_entries()]
        assert actions.count("submission.set_aside") == 1

    @pytest.mark.slow
    def test_others_of_the_partner_are_admitted_meanwhile(self, hub: HubInProcess) -> None:
        post_large(hub)
        for _ in range(MOST_ATTEMPTS):
            self.crash(hub)
        other = post_large(hub)
        work_off(hub.services.intake)
        assert status(hub, other)["success_count"] == 30

    @pytest.mark.slow
    def test_two_crashes_set_nothing_aside(self, hub: HubInProcess) -> None:
        posted = post_large(hub)
        for _ in range(2):
            self.crash(hub)
        work_off(hub.services.intake)
        assert status(hub, posted)["success_count"] == 30

    @pytest.mark.slow
    def test_a_crash_is_blamed_on_the_submission_of_that_moment_only(
        self, hub: HubInProcess
    ) -> None:
        posted = [post_large(hub, 230, who) for who in ("acme", "north")]

        def work_until_crash() -> None:
            work_off(hub.services.intake)

        run_interrupted(hub, work_until_crash, 1, within=True)
        attempts = {each.id: each.attempts for each in hub.store.submissions.list_open(60)}
        assert sorted(attempts.values()) == [0, 1]
        assert set(attempts) == {each["id"] for each in posted}

    @pytest.mark.slow
    def test_progress_ends_the_count(self, hub: HubInProcess) -> None:
        posted = post_large(hub, 1_100)
        self.crash(hub)
        while not status(hub, posted)["success_count"]:
            hub.services.intake.work()
        hub.store._base.submissions.update_many({}, {"$set": {"lease": 0}})
        self.crash(hub)
        work_off(hub.services.intake)
        assert status(hub, posted)["success_count"] == 1_100

    @pytest.mark.slow
    def test_an_operator_can_try_it_again(self, hub: HubInProcess) -> None:
        posted = post_large(hub)
        for _ in range(MOST_ATTEMPTS):
            self.crash(hub)
        work_off(hub.services.intake)
        hub.services.intake.set_aside.retry(posted["id"], "operator")
        work_off(hub.services.intake)
        assert status(hub, posted)["success_count"] == 30

    @pytest.mark.slow
    def test_an_operator_can_drop_it_and_nothing_of_it_is_kept(self, hub: HubInProcess) -> None:
        posted = post_large(hub)
        for _ in range(MOST_ATTEMPTS):
            self.crash(hub)
        work_off(hub.services.intake)
        assert (
            hub.services.intake.set_aside.drop(posted["id"], "operator", "send less at once") == 30
        )
        answer = status(hub, posted)
        assert (answer["status"], answer["failure_count"]) == ("complete", 30)
        assert "send less at once" in details(answer)[0]["message"]
        assert hub.store._base.submission_bodies.count_documents({}) == 0
        assert hub.store.submissions.list_set_aside() == []

    @pytest.mark.slow
    def test_a_worker_that_stops_gives_back_what_it_began(self, hub: HubInProcess) -> None:
        posted = post_large(hub, 300)
        for _ in range(3):
            work(hub, 1)
            hub.services.intake.stop()
        work_off(hub.services.intake)
        assert status(hub, posted)["success_count"] == 300


def hub_work(hub: HubInProcess) -> Any:
    """Return a function that works off the queue of the hub's services of that moment."""
    return lambda: work_off(hub.services.intake)


class TestInline:
    def test_a_pattern_that_needs_a_compiler_is_not_admitted_inside_the_request(
        self, hub: HubInProcess
    ) -> None:
        bomb = indicator(pattern_type="yara", pattern=yara_bomb(12_000))
        assert post(hub, bomb)["status"] == "pending"

    def test_few_objects_of_many_octets_are_not_admitted_inside_the_request(
        self, hub: HubInProcess
    ) -> None:
        assert post(hub, indicator(description="x" * 300_000))["status"] == "pending"

    @pytest.mark.slow
    def test_a_request_that_died_is_resumed_after_its_lease(self, hub: HubInProcess) -> None:
        run_interrupted(hub, lambda: post(hub, indicator()), 1, within=True)
        work_later(hub)
        assert len(hub.feed("green")) == 1

    def test_a_submission_that_the_database_failed_under_is_resumed_at_once(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It keeps no lease for a minute in which everything behind it would have to wait."""
        commit = Store.commit

        def fail(*args: Any) -> Any:
            raise AutoReconnect("the database went down")

        monkeypatch.setattr(Store, "commit", fail)
        body = json.dumps({"objects": [indicator()]}).encode()
        assert hub.ask("collections/inbox/objects/", "acme", "POST", data=body).status_code == 503
        with pytest.raises(AutoReconnect):
            hub.services.intake.work()
        monkeypatch.setattr(Store, "commit", commit)
        work_off(hub.services.intake)
        assert len(hub.feed("green")) == 1
        assert not hub.store.submissions.list_open(60)
