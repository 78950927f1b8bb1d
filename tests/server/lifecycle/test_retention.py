"""Bodies, statuses and what waits for a reviewer are kept for a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support.clock import LATER, ManualClock
from support.console import add_person, sign_in
from support.databases import open_again
from support.hub import HubInProcess, details, indicator, work_off
from support.presence import present

from tocsin.admission.errors import Unavailable
from tocsin.admission.timestamps import DAY
from tocsin.config.settings import HubSettings
from tocsin.server.cli.review import list_reviews
from tocsin.server.intake.review import Reviewer
from tocsin.server.intake.review_decisions import Chosen, ReviewDecision
from tocsin.server.lifecycle.retention import PAUSE, Retention
from tocsin.server.model import DecisionKind, Record, Review
from tocsin.server.person import Invitation, Person, Role
from tocsin.server.runtime import Runtime
from tocsin.server.store import Store, wall_clock
from tocsin.server.store.deliveries import Deliveries
from tocsin.server.store.journal import JournalFilter
from tocsin.server.store.retention import Kept
from tocsin.server.store.schema import add_days

pytestmark = pytest.mark.slow

UNKNOWN = "marking-definition--00000000-0000-4000-8000-000000000009"


@pytest.fixture
def held(hub: HubInProcess) -> Any:
    """The status of a submission whose object waits for a reviewer."""
    status = hub.push(indicator(object_marking_refs=[UNKNOWN]))
    assert hub.verdicts(status) == ["held"]
    return status


@pytest.fixture
def second(store: Store) -> Iterator[Store]:
    """Another worker's store on the same database."""
    with open_again(store) as other:
        yield other


def queue(hub: HubInProcess, one: Any = None) -> Any:
    """The status of a submission that waits in the queue, of 201 objects."""
    many = [one or indicator(f"n{n}.top") for n in range(201)]
    return hub.ask("collections/inbox/objects/", method="POST", json={"objects": many}).json


def status_of(hub: HubInProcess, status: Any) -> Any:
    """The submission as its submitter reads it now."""
    return hub.ask(f"status/{status['id']}/")


def body(hub: HubInProcess, status: Any) -> bytes:
    """The kept body of a submission."""
    return present(hub.store.submissions.find(status["id"])).raw


def after(hub: HubInProcess, clock: ManualClock, days: float) -> None:
    """Let time pass, and sweep."""
    clock.advance(days=days)
    work_off(hub.services.retention.work)


class TestBodies:
    @pytest.mark.parametrize("length", [10, 20_000], ids=["short", "long"])
    def test_a_body_is_kept_for_14_days(
        self, hub: HubInProcess, clock: ManualClock, length: int
    ) -> None:
        status = hub.push(indicator(description="x" * length))
        after(hub, clock, 14)
        assert body(hub, status)
        after(hub, clock, 1)
        assert body(hub, status) == b""
        assert not present(hub.store._base.submissions.find_one({"_id": status["id"]}))["body"]
        assert hub.store._base.submission_bodies.count_documents({}) == 0
        assert status_of(hub, status).json["status"] == "complete"

    def test_of_a_refused_submission_for_one(self, hub: HubInProcess, clock: ManualClock) -> None:
        refused, mixed = hub.push({"type": "x"}), hub.push({"type": "x"}, indicator())
        after(hub, clock, 2)
        assert (body(hub, refused), body(hub, mixed) != b"") == (b"", True)

    def test_of_a_large_submission_whose_first_part_was_taken_for_14(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        status = hub.push(*(indicator(f"n{n}.top") for n in range(500)), {"type": "x"})
        after(hub, clock, 2)
        assert body(hub, status)

    def test_what_is_not_settled_yet_keeps_its_body(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        many = [indicator(f"n{n}.top") for n in range(201)]
        answer = hub.ask("collections/inbox/objects/", method="POST", json={"objects": many})
        after(hub, clock, 30)
        while hub.services.intake.work():
            pass
        assert status_of(hub, answer.json).json["success_count"] == 201
        after(hub, clock, 15)
        assert body(hub, answer.json) == b""

    def test_one_that_is_settled_late_loses_its_body_the_day_after(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        status = queue(hub)
        after(hub, clock, 30)
        while hub.services.intake.work():
            pass
        assert body(hub, status)
        after(hub, clock, 1)
        assert body(hub, status) == b""

    def test_so_does_a_refused_one_that_was_set_aside_for_long(
        self, store: Store, clock: ManualClock
    ) -> None:
        hub = HubInProcess(store, clock, settings=HubSettings(retain_bodies_days=60), founded=True)
        hub.store.clock = clock
        status = queue(hub, {"type": "x"})
        (waiting,) = hub.store.submissions.list_open(60)
        hub.services.intake.set_aside.add(waiting)
        after(hub, clock, 55)
        hub.services.intake.set_aside.retry(status["id"], "operator")
        while hub.services.intake.work():
            pass
        after(hub, clock, 2)
        assert body(hub, status) == b""

    def test_the_log_warns_of_what_is_set_aside(
        self, hub: HubInProcess, clock: ManualClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        queue(hub)
        (waiting,) = hub.store.submissions.list_open(60)
        hub.services.intake.set_aside.add(waiting)
        after(hub, clock, 1)
        assert "keep their bodies until you decide: 1;" in caplog.text


class TestReviews:
    def test_what_is_left_of_a_decided_one_goes_with_the_statuses(
        self, hub: HubInProcess, clock: ManualClock, held: Any
    ) -> None:
        (review,) = hub.store.reviews.list_waiting()
        hub.services.intake.reviewer.reject(review, "analyst", "no")
        after(hub, clock, 90)
        assert hub.store.reviews.find(review.id)
        after(hub, clock, 1)
        assert hub.store.reviews.find(review.id) is None

    def test_the_reviewers_act_and_the_figures_of_its_day_go_in_the_end(
        self, hub: HubInProcess, clock: ManualClock, held: Any
    ) -> None:
        (review,) = hub.store.reviews.list_waiting()
        roles = frozenset({Role.REVIEWER})
        person = Person("jane", "jane@hub.example", "Jane", "", roles, undo_seconds=0)
        hub.store.people.add(person)
        chosen, base = Chosen(review.id, review.revision), hub.store._base
        hub.services.intake.decisions.decide(person, chosen, ReviewDecision(DecisionKind.REJECT))
        work_off(hub.services.intake.work)
        after(hub, clock, 90)
        assert base.review_acts.count_documents({}) == 2  # with the list of the person's acts
        after(hub, clock, 1)
        assert base.review_acts.count_documents({}) == 0
        assert base.review_figures.count_documents({"_id": {"$regex": "^day"}}) == 1
        after(hub, clock, 310)
        assert base.review_figures.count_documents({"_id": {"$regex": "^day"}}) == 0

    def test_one_that_cannot_be_rejected_keeps_nothing_else(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        statuses = [
            hub.push(indicator(n, object_marking_refs=[UNKNOWN])) for n in ("a.top", "b.top")
        ]
        bad, other = hub.store.reviews.list_waiting()
        reject = Reviewer.reject

        def failing(self: Reviewer, review: Review, who: str, reason: str) -> Record:
            if review.id == bad.id:
                raise ValueError
            return reject(self, review, who, reason)

        monkeypatch.setattr(Reviewer, "reject", failing)
        after(hub, clock, 15)
        assert [each.id for each in hub.store.reviews.list_waiting()] == [bad.id]
        assert body(hub, statuses[0]) == b""
        monkeypatch.undo()
        after(hub, clock, 1)
        assert hub.store.reviews.list_waiting() == []

    def test_an_object_on_which_nobody_decides_is_refused_with_what_to_do(
        self, hub: HubInProcess, clock: ManualClock, held: Any
    ) -> None:
        after(hub, clock, 15)
        (entry,) = details(status_of(hub, held).json)
        assert entry["x_tocsin_verdict"] == "refused"
        assert "not reviewed in time: send it again" in entry["message"]
        assert hub.store.reviews.list_waiting() == []

    def test_it_waits_for_14_days(self, hub: HubInProcess, clock: ManualClock, held: Any) -> None:
        after(hub, clock, 14)
        assert hub.verdicts(status_of(hub, held).json) == ["held"]

    def test_sent_again_it_waits_again(
        self, hub: HubInProcess, clock: ManualClock, held: Any
    ) -> None:
        after(hub, clock, 15)
        assert hub.verdicts(hub.push(indicator(object_marking_refs=[UNKNOWN]))) == ["held"]

    def test_the_list_warns_from_three_days_before(
        self, hub: HubInProcess, clock: ManualClock, held: Any
    ) -> None:
        runtime = Runtime(None, None, hub.services)  # type: ignore[arg-type]
        hub.store.clock = clock
        clock.advance(days=10)
        assert ["warning" in each for each in list_reviews(runtime, None)] == [False]
        clock.advance(days=2)
        [soon] = list_reviews(runtime, None)
        clock.advance(days=2)
        [last] = list_reviews(runtime, None)
        found = [each["warning"] for each in (soon, last)]
        assert found == [
            f"it is refused in {days} at most unless you decide" for days in ("3 days", "1 day")
        ]

    @pytest.mark.parametrize("way", ["release", "reject", "time"])
    def test_what_a_rule_removed_is_not_kept_after_the_decision(
        self, hub: HubInProcess, clock: ManualClock, way: str
    ) -> None:
        hub.push(indicator(description="call Dr Jane Kestrel-Smythe"))
        (review,) = hub.store.reviews.list_waiting()
        assert b"Kestrel" in review.object
        if way == "time":
            after(hub, clock, 15)
        elif way == "release":
            hub.services.intake.reviewer.release(review, "analyst")
        else:
            hub.services.intake.reviewer.reject(review, "analyst", "no")
        decided = present(hub.store.reviews.find(review.id))
        assert (decided.state != "waiting", decided.object) == (True, b"")


class TestStatuses:
    def test_a_status_is_kept_for_90_days(self, hub: HubInProcess, clock: ManualClock) -> None:
        status = hub.push(indicator())
        after(hub, clock, 90)
        assert status_of(hub, status).status_code == 200
        after(hub, clock, 1)
        assert status_of(hub, status).status_code == 404
        assert hub.store._base.verdicts.count_documents({}) == 0

    def test_what_it_published_stays(self, hub: HubInProcess, clock: ManualClock) -> None:
        sent = indicator()
        hub.push(sent)
        after(hub, clock, 91)
        assert len(hub.feed("green")) == 1
        assert hub.verdicts(hub.push({**sent, "revoked": True, "modified": LATER})) == ["admitted"]


class TestTheSweep:
    def test_gaps_in_the_deliveries_go_with_the_statuses(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.store.clock = clock
        deliveries = Deliveries(hub.store._base, clock)
        deliveries.begin(alone=True)  # and dies
        after(hub, clock, 90)
        assert len(deliveries.gaps()) == 1
        after(hub, clock, 1)
        assert deliveries.gaps() == []

    def test_several_workers_may_sweep_at_once(
        self, hub: HubInProcess, clock: ManualClock, second: Store
    ) -> None:
        kept = [hub.push(indicator(f"n{n}.top")) for n in range(12)]
        clock.advance(days=15)
        periods = hub.services.retention.periods
        sweeps = [Retention(s, hub.services.intake, periods, clock) for s in (hub.store, second)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work_off, (each.work for each in sweeps)))
        assert {body(hub, each) for each in kept} == {b""}

    def test_it_rests_when_nothing_is_due(self, hub: HubInProcess, clock: ManualClock) -> None:
        assert not hub.services.retention.work()
        hub.push(indicator())
        clock.advance(days=15)
        assert hub.services.retention.work()
        while hub.services.retention.work():
            pass
        clock.now += PAUSE // 2
        assert not hub.services.retention.work()

    def test_it_goes_on_after_the_clock_was_ahead_and_is_set_back(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        after(hub, clock, 365)
        clock.advance(days=-365)
        status = hub.push(indicator())
        after(hub, clock, 15)
        assert body(hub, status) == b""

    def test_it_says_in_one_line_that_the_database_is_busy(
        self,
        hub: HubInProcess,
        clock: ManualClock,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def refuse(work: Any) -> Any:
            raise Unavailable("the database is busy")

        status = hub.push(indicator())
        monkeypatch.setattr(hub.store, "commit", refuse)
        after(hub, clock, 15)
        (record,) = [each for each in caplog.records if status["id"] in each.getMessage()]
        assert (record.levelname, record.exc_info) == ("WARNING", None)
        monkeypatch.undo()
        clock.now += PAUSE
        work_off(hub.services.retention.work)
        assert body(hub, status) == b""

    def test_ended_invitations_and_sessions_go_with_it(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        person = add_person(hub, "jane@acme.example", Role.VIEWER, partner="acme")
        sign_in(hub, person.login)
        roles = frozenset({Role.VIEWER})
        made = Invitation("", "bob@acme.example", "", "acme", roles, 0, "operator")
        hub.services.people.invite(made)
        after(hub, clock, 6)
        assert hub.store.people.list_sessions(person.id) == []
        assert len(hub.store.people.list_invitations()) == 1
        after(hub, clock, 1)
        assert hub.store.people.list_invitations() == []

    def test_a_hub_that_was_down_for_long_catches_up(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        work_off(hub.services.retention.work)
        status = hub.push(indicator())
        after(hub, clock, 400)
        assert status_of(hub, status).status_code == 404

    def test_a_new_database_is_swept_from_its_first_day_on(self, store: Store) -> None:
        days = {store.expired.swept_day(kept) for kept in Kept}
        assert days <= {wall_clock() // DAY - 1, wall_clock() // DAY - 2}

    def test_one_that_an_older_hub_never_swept_is_swept_from_long_before(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.store._base.hub_state.delete_many({"_id": {"$in": [f"kept {k.name}" for k in Kept]}})
        status = hub.push(indicator())
        after(hub, clock, 3_000)
        assert status_of(hub, status).status_code == 404

    def test_it_covers_what_an_older_hub_stored(
        self, hub: HubInProcess, clock: ManualClock, held: Any
    ) -> None:
        status, base = hub.push(indicator()), hub.store._base
        base.submissions.update_many({}, {"$unset": {"day": "", "body_day": ""}})
        base.reviews.update_many({}, {"$unset": {"day": ""}})
        add_days(base)
        after(hub, clock, 15)
        assert body(hub, status) == b"" and hub.store.reviews.list_waiting() == []


class TestJournal:
    @pytest.fixture
    def hub(self, hub: HubInProcess, clock: ManualClock) -> HubInProcess:
        """A hub that keeps its journal for thirty days."""
        settings = HubSettings(retain_journal_days=30)
        hub.store.clock = clock
        return HubInProcess(hub.store, clock, settings=settings, founded=True)

    def test_old_entries_are_deleted_and_the_rest_is_valid(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        for number in range(5):
            hub.push(indicator(f"n{number}.top"))
        last = present(hub.store.journal.last_entry())
        after(hub, clock, 20)
        hub.push(indicator("later.top"))
        after(hub, clock, 12)
        left = list(hub.store.journal.entries())
        assert (left[0].sequence, left[0].action) == (last.sequence + 1, "admit")
        assert left[-1].action == "journal.forget"
        assert left[-1].details == {"first": last.sequence + 1, "count": last.sequence}
        assert hub.store.journal.first_invalid_sequence() is None
        assert list(hub.store.journal.search(JournalFilter(action="admit"))) == [left[0]]
        hub.store._base.journal.update_one({"_id": left[0].sequence}, {"$set": {"who": "x"}})
        assert hub.store.journal.first_invalid_sequence() == left[0].sequence

    def test_the_last_entry_is_kept_however_old_it_is(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        hub.push(indicator())
        last = present(hub.store.journal.last_entry())
        after(hub, clock, 100)
        assert next(hub.store.journal.entries()) == last
        after(hub, clock, 100)
        assert hub.store.journal.first_invalid_sequence() is None

    def test_entries_that_somebody_else_cut_off_are_missed(self, hub: HubInProcess) -> None:
        hub.push(indicator("one.top"), indicator("two.top"))
        hub.push(indicator("three.top"))
        found = list(hub.store.journal.entries())
        base = hub.store._base
        base.journal.delete_one({"_id": 1})
        base.hub_state.update_one(
            {"_id": "journal"}, {"$set": {"first": 2, "anchor": found[0].hash}}
        )
        assert hub.store.journal.first_invalid_sequence() == 2

    def test_who_received_what_goes_with_it(self, hub: HubInProcess, clock: ManualClock) -> None:
        hub.push(indicator())
        hub.feed("green", "north")
        hub.store.deliveries.flush()
        assert hub.store._base.deliveries.count_documents({}) > 0
        after(hub, clock, 100)
        assert hub.store._base.deliveries.count_documents({}) == 0


def test_the_journal_is_kept_by_default(hub: HubInProcess, clock: ManualClock) -> None:
    hub.push(indicator())
    after(hub, clock, 3_000)
    assert next(hub.store.journal.entries()).sequence == 1
