"""Agreements: what a partner may do ends with them, at the very microsecond."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection as Collection_
from support.clock import ManualClock
from support.crash import build_services_over
from support.databases import open_again
from support.hub import AMBER, GREEN, HubInProcess, details, indicator, sdo
from support.presence import present

from tocsin.admission.errors import Conflict, Malformed, NotFound
from tocsin.admission.model import Tlp
from tocsin.admission.timestamps import micros
from tocsin.config.settings import HubSettings
from tocsin.server.auth import hash_secret
from tocsin.server.model import Account, Agreement, AgreementState
from tocsin.server.partners.agreement_lifecycle import PAUSE, AgreementChange, find_current
from tocsin.server.store import Store
from tocsin.server.store.journal import JournalEntry, JournalFilter
from tocsin.server.taxii.long_poll import LongPolls
from tocsin.server.worker import run_intake

NOON = micros("2027-01-01T12:00:00.000000Z")
SECOND = 1_000_000
EVERYTHING = ("inbox", "clear", "green", "amber", "scratch")
GREEN_PAGE = "collections/green/objects/"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON - 3600 * SECOND)


@pytest.fixture
def hub(store: Store, clock: ManualClock, tmp_path: Path) -> HubInProcess:
    return HubInProcess(store, clock, settings=HubSettings(data=tmp_path))


def agree(hub: HubInProcess, *aliases: str, partner: str = "acme", **more: Any) -> Agreement:
    """Add an agreement, which ends at noon unless something else is said."""
    named = frozenset(hub.collection(alias).id for alias in aliases or EVERYTHING)
    terms = {"starts": present(hub.clock)(), "until": NOON, "max_tlp": Tlp.AMBER_STRICT} | more
    return hub.services.agreements.add(Agreement("", partner, named, **terms), "operator:jane")


def fetch(hub: HubInProcess, path: str, who: str = "acme", **more: Any) -> Any:
    token = base64.b64encode(f"{who}:{who}".encode()).decode()
    headers = {"Authorization": f"Basic {token}"} | more.pop("headers", {})
    return hub.client.get(f"/export/{path}", headers=headers)


def entries(hub: HubInProcess, action: str) -> list[JournalEntry]:
    """The journal's entries of an action, the latest first."""
    return list(hub.store.journal.search(JournalFilter(action=action)))


def answers(hub: HubInProcess, paths: Any) -> dict[str, Any]:
    return {path: hub.ask(path) for path in paths}


class TestAtNoon:
    """Everything that a partner can ask for, a microsecond before the end and at the end."""

    @pytest.fixture
    def sent(self, hub: HubInProcess) -> Any:
        status = hub.push(indicator())
        [public] = (each for each in hub.feed("green") if each["type"] == "indicator")
        return status, public

    def test_every_endpoint_answers_until_then_and_knows_no_collection_from_then_on(
        self, hub: HubInProcess, clock: ManualClock, sent: Any
    ) -> None:
        status, public = sent
        one = f"{GREEN_PAGE}{public['id']}/"
        paths = ["collections/green/", GREEN_PAGE, "collections/green/manifest/", one]
        paths += [f"{one}versions/", f"status/{status['id']}/"]
        agree(hub)
        clock.now = NOON - 1
        assert {path: each.status_code for path, each in answers(hub, paths).items()} == (
            dict.fromkeys(paths, 200)
        )
        clock.now = NOON
        ended = answers(hub, paths)
        assert {path: each.status_code for path, each in ended.items()} == (
            dict.fromkeys(paths, 404)
        )
        nothing = hub.ask("collections/nothing/objects/")
        assert {each.text for path, each in ended.items() if "status" not in path} == {nothing.text}
        assert ended[f"status/{status['id']}/"].text == hub.ask(f"status/{'0' * 36}/").text

    def test_the_lists_are_empty_from_then_on(
        self, hub: HubInProcess, clock: ManualClock, sent: Any
    ) -> None:
        agree(hub)
        clock.now = NOON - 1
        assert len(hub.ask("collections/").json["collections"]) == 5
        assert len(hub.ask("submissions/").json["submissions"]) == 1
        clock.now = NOON
        assert hub.ask("collections/").json == {}
        assert not hub.ask("submissions/").json.get("submissions")
        assert hub.ask("").status_code == 200  # the key is still the partner's

    def test_nothing_can_be_posted_or_deleted_from_then_on(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub)
        clock.now = NOON - 1
        name = hub.push(indicator(), to="scratch")["successes"][0]["id"]
        clock.now = NOON
        body = json.dumps({"objects": [indicator()]})
        for alias in ("inbox", "scratch"):
            posted = hub.ask(f"collections/{alias}/objects/", "acme", "POST", data=body)
            assert posted.status_code == 404
        path = f"collections/scratch/objects/{name}/"
        assert hub.ask(path, "acme", "DELETE").status_code == 404
        assert hub.ask(path, "north").status_code == 200

    def test_a_tag_and_a_page_token_from_before_are_of_no_use(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub)
        hub.push(indicator("one.top"), indicator("two.top"))
        page = hub.ask(GREEN_PAGE, query_string={"limit": 1})
        again = {"If-None-Match": page.headers["ETag"]}
        clock.now = NOON - 1
        assert hub.ask(GREEN_PAGE, query_string={"limit": 1}, headers=again).status_code == 304
        clock.now = NOON
        assert hub.ask(GREEN_PAGE, query_string={"limit": 1}, headers=again).status_code == 404
        further = {"limit": 1, "next": page.json["next"]}
        assert hub.ask(GREEN_PAGE, query_string=further).status_code == 404

    def test_files_of_feeds_are_served_until_then(
        self, hub: HubInProcess, clock: ManualClock, sent: Any
    ) -> None:
        agree(hub)
        clock.now = NOON - 1
        paths = ("green", "green/edl/", "green/edl/domain.txt", "green/csv")
        found = {path: fetch(hub, path) for path in paths}
        assert {each.status_code for each in found.values()} == {200}
        clock.now = NOON
        tag = {"If-None-Match": found["green/edl/domain.txt"].headers["ETag"]}
        assert {fetch(hub, path, headers=tag).status_code for path in paths} == {404}
        assert fetch(hub, "green", "north").status_code == 200

    def test_the_next_agreement_begins_at_its_microsecond(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub, "green", until=NOON - 10)
        agree(hub, "green", starts=NOON, until=None)
        found = []
        for now in (NOON - 11, NOON - 10, NOON - 1, NOON):
            clock.now = now
            found.append(hub.ask(GREEN_PAGE).status_code)
        assert found == [200, 404, 404, 200]

    def test_an_operator_is_not_bound(self, hub: HubInProcess, clock: ManualClock) -> None:
        hub.store.accounts.add_account(Account("operator", "", operator=True))
        hub.store.accounts.add_key("operator", hash_secret("operator"))
        agree(hub)
        clock.now = NOON
        assert hub.ask(GREEN_PAGE, "operator").status_code == 200


class TestLongPolls:
    """A request that waits when the agreement ends."""

    @pytest.fixture
    def pool(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(2) as pool:
            yield pool

    def wait(self, hub: HubInProcess, seconds: int = 20, who: str = "acme") -> Any:
        last = hub.ask(GREEN_PAGE, who).headers["X-TAXII-Date-Added-Last"]
        client = hub.client.application.test_client()
        token = base64.b64encode(f"{who}:{who}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Prefer": f"wait={seconds}"}
        return client.get(f"/hub/{GREEN_PAGE}?added_after={last}", headers=headers)

    def await_waiting(self, hub: HubInProcess, number: int = 1) -> None:
        """Wait until this number of requests wait."""
        owners = (getattr(each, "__self__", None) for each in hub.store.listeners)
        (polls,) = (each for each in owners if isinstance(each, LongPolls))
        deadline = time.monotonic() + 60
        while polls._waiting.total() < number:
            assert time.monotonic() < deadline, "no request waits"
            time.sleep(0.01)

    def test_what_is_published_after_the_end_is_not_delivered_to_a_request_that_waits(
        self, hub: HubInProcess, clock: ManualClock, pool: ThreadPoolExecutor
    ) -> None:
        agree(hub)
        clock.now = NOON - 60 * SECOND
        waits = pool.submit(self.wait, hub)
        other = pool.submit(self.wait, hub, 20, "north")
        self.await_waiting(hub, 2)
        clock.now = NOON + SECOND
        hub.push(indicator(), who="north")
        assert waits.result().status_code == 404
        assert [each["type"] for each in other.result().json["objects"]] == ["indicator"]

    @pytest.mark.slow
    def test_a_request_that_waits_is_answered_when_the_agreement_ends(
        self, hub: HubInProcess, clock: ManualClock, pool: ThreadPoolExecutor
    ) -> None:
        agree(hub)
        clock.now = NOON - SECOND
        waits = pool.submit(self.wait, hub)
        self.await_waiting(hub)
        clock.now, began = NOON, time.monotonic()
        assert waits.result().status_code == 404
        assert time.monotonic() - began < 10

    @pytest.mark.slow
    def test_a_wait_that_outlasts_the_agreement_without_news_ends_with_404(
        self, hub: HubInProcess, clock: ManualClock, pool: ThreadPoolExecutor
    ) -> None:
        agree(hub)
        clock.now = NOON - 60 * SECOND
        waits = pool.submit(self.wait, hub, 2)
        self.await_waiting(hub)
        clock.now = NOON
        assert waits.result().status_code == 404

    @pytest.mark.slow
    def test_a_request_goes_on_waiting_under_another_agreement(
        self, hub: HubInProcess, clock: ManualClock, pool: ThreadPoolExecutor
    ) -> None:
        agree(hub)
        agree(hub, until=None)
        clock.now = NOON - SECOND
        waits = pool.submit(self.wait, hub)
        self.await_waiting(hub)
        clock.now = NOON
        time.sleep(1.5)
        assert not waits.done()
        hub.push(indicator(), who="north")
        assert waits.result().status_code == 200

    def test_what_is_read_when_the_agreement_ends_is_not_served(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub)
        read = hub.store.feeds.objects

        def read_slowly(*arguments: Any) -> Any:
            clock.now = NOON
            return read(*arguments)

        clock.now = NOON - 1
        monkeypatch.setattr(hub.store.feeds, "objects", read_slowly)
        assert hub.ask(GREEN_PAGE).status_code == 404
        hub.store.deliveries.flush()
        assert list(hub.store.deliveries.of_collections([hub.collection("green").id], 0)) == []

    def test_a_file_that_is_read_when_the_agreement_ends_is_not_served(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub)
        find = hub.services.exports.find

        def find_slowly(wanted: Any) -> Any:
            clock.now = NOON
            return find(wanted)

        clock.now = NOON - 1
        monkeypatch.setattr(type(hub.services.exports), "find", lambda _, each: find_slowly(each))
        assert fetch(hub, "green/edl/domain.txt").status_code == 404


class TestSubmissions:
    """Objects that are sent under an agreement."""

    def test_an_object_above_the_highest_level_of_the_agreement_is_refused(
        self, hub: HubInProcess
    ) -> None:
        agree(hub, max_tlp=Tlp.GREEN)
        both = (indicator(object_marking_refs=[AMBER]), indicator(object_marking_refs=[GREEN]))
        status = hub.push(*both)
        assert hub.verdicts(status) == ["refused", "admitted"]
        assert "TLP:GREEN" in str(details(status)[0])

    def test_the_level_of_the_partner_still_holds(self, hub: HubInProcess) -> None:
        hub.store.accounts.update_partner(
            replace(hub.store.accounts.require_partner("acme"), max_tlp=Tlp.GREEN)
        )
        agree(hub, max_tlp=Tlp.AMBER)
        assert hub.verdicts(hub.push(indicator(object_marking_refs=[AMBER]))) == ["refused"]

    def test_a_verbatim_collection_takes_nothing_above_the_level(self, hub: HubInProcess) -> None:
        agree(hub, max_tlp=Tlp.GREEN)
        assert hub.ask("collections/scratch/objects/").status_code == 403
        both = (indicator(object_marking_refs=[AMBER]), indicator(object_marking_refs=[GREEN]))
        assert hub.verdicts(hub.push(*both, to="scratch")) == ["refused", "admitted"]

    def test_an_account_that_may_not_read_a_verbatim_collection_learns_nothing_of_it(
        self, hub: HubInProcess
    ) -> None:
        taken = indicator(seed="taken")
        hub.push(taken, who="north", to="scratch")
        assert hub.verdicts(hub.push(taken | {"name": "x"}, to="scratch")) == ["refused"]
        agree(hub, max_tlp=Tlp.AMBER)
        assert hub.verdicts(hub.push(taken | {"name": "x"}, to="scratch")) == ["admitted"]

    @pytest.mark.slow
    def test_a_new_agreement_counts_although_the_end_of_the_last_is_in_memory(
        self, store: Store, clock: ManualClock, tmp_path: Path
    ) -> None:
        settings = HubSettings(data=tmp_path, inline_objects=0)
        hub = HubInProcess(store, clock, settings=settings)
        agree(hub)
        clock.now = NOON - 1
        path, body = "collections/inbox/objects/", json.dumps({"objects": [indicator()]})
        hub.push(indicator())
        received = hub.ask(path, "acme", "POST", data=body)
        clock.now = NOON
        named = frozenset(each.id for each in store.feeds.collections())
        terms = Agreement("", "acme", named, starts=NOON)
        with open_again(store) as other:
            build_services_over(hub, other).agreements.add(terms, "operator:jane")
        while hub.services.intake.work():
            pass
        [record] = store.submissions.records(received.json["id"])
        assert record.verdict != "refused"

    def test_a_status_says_only_what_the_account_may_read_under_its_agreements(
        self, hub: HubInProcess
    ) -> None:
        hub.push(indicator("evil.top", object_marking_refs=[AMBER]), who="north")
        agree(hub, "inbox", "green", max_tlp=Tlp.AMBER)
        status = hub.push(indicator("evil.top", object_marking_refs=[AMBER]))
        assert hub.verdicts(status) == ["admitted"]  # and not that it was merged

    @pytest.mark.parametrize("alias", ["inbox", "scratch"])
    def test_what_waits_in_the_queue_when_the_agreement_ends_is_refused(
        self, store: Store, clock: ManualClock, tmp_path: Path, alias: str
    ) -> None:
        settings = HubSettings(data=tmp_path, inline_objects=0)
        hub = HubInProcess(store, clock, settings=settings)
        agree(hub)
        clock.now = NOON - 1
        body = json.dumps({"objects": [indicator()]})
        path = f"collections/{alias}/objects/"
        received = hub.ask(path, "acme", "POST", data=body)
        assert received.json["pending_count"] == 1
        clock.now = NOON
        while hub.services.intake.work():
            pass
        [record] = store.submissions.records(received.json["id"])
        assert record.verdict == "refused"
        assert "no agreement in force" in record.findings[-1]["message"]
        assert hub.feed("green", "north") == hub.feed("scratch", "north") == []

    def test_what_waits_in_the_queue_is_judged_by_the_agreement_that_is_then_in_force(
        self, store: Store, clock: ManualClock, tmp_path: Path
    ) -> None:
        settings = HubSettings(data=tmp_path, inline_objects=0)
        hub = HubInProcess(store, clock, settings=settings)
        agree(hub)
        clock.now = NOON - 1
        objects = [indicator(object_marking_refs=[each]) for each in (AMBER, GREEN)]
        body = json.dumps({"objects": objects})
        received = hub.ask("collections/inbox/objects/", "acme", "POST", data=body)
        clock.now = NOON
        agree(hub, max_tlp=Tlp.GREEN, until=None)
        while hub.services.intake.work():
            pass
        records = store.submissions.records(received.json["id"])
        assert [each.verdict for each in records] == ["refused", "admitted"]

    def test_an_agreement_that_ends_between_examination_and_settling_is_noticed(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub)
        clock.now = NOON - 1
        settle = hub.store.commit

        def settle_late(work: Any) -> Any:
            clock.now = NOON
            return settle(work)

        monkeypatch.setattr(hub.store, "commit", settle_late)
        body = json.dumps({"objects": [indicator()]})
        received = hub.ask("collections/inbox/objects/", "acme", "POST", data=body)
        assert received.json["failure_count"] == 1
        assert hub.feed("green", "north") == []

    def test_an_agreement_that_the_operator_ends_meanwhile_is_noticed(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agreement = agree(hub)
        settle = hub.store.commit

        def end_first(work: Any) -> Any:
            monkeypatch.setattr(hub.store, "commit", settle)
            hub.services.agreements.end(agreement.id, "operator:jane", "breach")
            return settle(work)

        monkeypatch.setattr(hub.store, "commit", end_first)
        body = json.dumps({"objects": [indicator()]})
        received = hub.ask("collections/inbox/objects/", "acme", "POST", data=body)
        assert received.json["failure_count"] == 1

    @pytest.mark.slow
    def test_what_was_held_is_not_released_without_an_agreement(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub)
        hub.push(sdo("malware", is_family=True, name="Reported by Jane Doe, who saw it"))
        [review] = hub.store.reviews.list_waiting()
        clock.now = NOON
        with pytest.raises(Conflict, match="no agreement with acme is in force"):
            hub.services.intake.reviewer.release(review, "operator:jane")
        agree(hub, until=None)
        hub.services.intake.reviewer.release(review, "operator:jane")


class TestRequired:
    """The setting `require_agreements`."""

    @pytest.fixture
    def strict(self, store: Store, clock: ManualClock, tmp_path: Path) -> HubInProcess:
        settings = HubSettings(data=tmp_path, require_agreements=True)
        return HubInProcess(store, clock, settings=settings)

    def test_a_partner_without_any_agreement_has_no_access(self, strict: HubInProcess) -> None:
        assert strict.ask("collections/").json == {}
        assert fetch(strict, "green").status_code == 404
        agree(strict, "green")
        assert [c["alias"] for c in strict.ask("collections/").json["collections"]] == ["green"]
        assert strict.ask("collections/", "north").json == {}

    def test_nothing_of_it_is_admitted_from_the_queue(self, strict: HubInProcess) -> None:
        inbox = strict.collection("inbox")
        account = present(strict.store.accounts.find_account("acme"))
        raw = json.dumps(indicator()).encode()
        receipt = strict.services.intake.receive(account, inbox, [raw], raw)
        assert [each.verdict for each in receipt.records] == ["refused"]

    def test_without_the_setting_it_keeps_its_rights(self, hub: HubInProcess) -> None:
        agree(hub, partner="north")
        assert len(hub.ask("collections/").json["collections"]) == 5


class TestJournal:
    """The journal's entries about agreements."""

    def test_a_begin_and_an_end_by_time_are_written_once_with_their_times(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agreement = agree(hub, starts=NOON - 10 * SECOND)
        assert not hub.services.agreements.work()
        clock.now = NOON - 9 * SECOND
        assert hub.services.agreements.work()
        clock.now = NOON + 5 * SECOND
        assert hub.services.agreements.work()
        other = build_services_over(hub, hub.store)  # after a restart
        for services in (hub.services, other):
            assert not services.agreements.work()
        [begin], [end] = entries(hub, "agreement.begin"), entries(hub, "agreement.end")
        about = {"agreement": agreement.id, "partner": "acme"}
        assert begin.details == about | {"from": "2027-01-01T11:59:50.000000Z"}
        over = {"until": "2027-01-01T12:00:00.000000Z", "reason": "its time is over"}
        assert end.details == about | over
        assert (begin.actor, end.actor) == ("sweep", "sweep")

    def test_what_passed_while_no_hub_ran_is_written_at_the_next_start(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub, starts=NOON - SECOND)
        clock.now = NOON + 1
        assert build_services_over(hub, hub.store).agreements.work()
        assert len(entries(hub, "agreement.begin")) == len(entries(hub, "agreement.end")) == 1

    @pytest.mark.slow
    def test_the_worker_of_a_hub_writes_it(self, hub: HubInProcess, clock: ManualClock) -> None:
        agree(hub)
        clock.now = NOON
        stop = threading.Event()
        worker = threading.Thread(target=run_intake, args=(hub.services, stop))
        worker.start()
        deadline = time.monotonic() + 20
        while not entries(hub, "agreement.end") and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()
        worker.join()
        assert len(entries(hub, "agreement.end")) == 1

    def test_what_another_process_has_written_meanwhile_is_not_written_again(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub)
        agree(hub, until=None, starts=NOON)
        listed = hub.store.agreements.list_open()
        clock.now = NOON
        other = build_services_over(hub, hub.store).agreements
        hub.services.agreements.work()
        monkeypatch.setattr(hub.store.agreements, "list_open", lambda: listed)
        other.work()
        found = (entries(hub, "agreement.end"), entries(hub, "agreement.begin"))
        assert [len(each) for each in found] == [1, 1]

    def test_the_agreements_are_not_read_again_before_one_is_due(
        self, hub: HubInProcess, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub)
        hub.services.agreements.work()
        monkeypatch.setattr(hub.store.agreements, "list_open", lambda: pytest.fail("was read"))
        clock.now += PAUSE - 1
        assert not hub.services.agreements.work()

    def test_once_its_end_is_written_an_agreement_stays_ended_if_the_clock_is_set_back(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agree(hub)
        clock.now = NOON
        hub.services.agreements.work()
        clock.now = NOON - SECOND
        assert hub.ask(GREEN_PAGE).status_code == 404

    def test_every_act_is_written_with_the_person_and_what_it_raises(
        self, hub: HubInProcess
    ) -> None:
        agreement = agree(hub, "green", max_tlp=Tlp.GREEN, note="by mail")
        change = AgreementChange(max_tlp=Tlp.AMBER, is_open=True, note="by letter")
        hub.services.agreements.change(agreement.id, change, "operator:joe")
        hub.services.agreements.end(agreement.id, "operator:eve", "breach")
        [added], [changed] = entries(hub, "agreement.add"), entries(hub, "agreement.change")
        [ended] = entries(hub, "agreement.end")
        assert (added.actor, changed.actor, ended.actor) == (
            "operator:jane",
            "operator:joe",
            "operator:eve",
        )
        assert added.details["max_tlp"] == "green" and added.details["state"] == "in-force"
        assert changed.details["raises"] == ["max_tlp", "until"]
        before = {"max_tlp": "green", "until": "2027-01-01T12:00:00.000000Z"}
        assert changed.details["before"] == before
        assert ended.details["reason"] == "breach"
        assert "mail" not in str((added, changed)) and "letter" not in str(changed)

    def test_an_agreement_that_is_ended_before_it_begins_has_no_begin(
        self, hub: HubInProcess
    ) -> None:
        agreement = agree(hub, starts=NOON - SECOND)
        hub.services.agreements.end(agreement.id, "operator:eve", "a mistake")
        assert len(entries(hub, "agreement.end")) == 1
        assert entries(hub, "agreement.begin") == []

    def test_terms_that_allow_less_raise_nothing(self, hub: HubInProcess) -> None:
        agreement = agree(hub, until=None)
        named = frozenset({hub.collection("green").id})
        change = AgreementChange(collections=named, max_tlp=Tlp.CLEAR, until=NOON)
        hub.services.agreements.change(agreement.id, change, "operator:joe")
        [changed] = entries(hub, "agreement.change")
        assert changed.details["raises"] == []


class TestChanges:
    """Adding, changing, ending; removing a partner."""

    def test_a_change_acts_from_the_next_request_on(self, hub: HubInProcess) -> None:
        agreement = agree(hub, "green")
        assert hub.ask("collections/clear/objects/").status_code == 404
        named = agreement.collections | {hub.collection("clear").id}
        hub.services.agreements.change(agreement.id, AgreementChange(collections=named), "o:j")
        assert hub.ask("collections/clear/objects/").status_code == 200
        hub.services.agreements.end(agreement.id, "o:j", "over")
        assert hub.ask("collections/clear/objects/").status_code == 404

    def test_the_same_terms_again_are_no_change(self, hub: HubInProcess) -> None:
        agreement = agree(hub, purposes=("defence",), note="by mail")
        same = AgreementChange(max_tlp=Tlp.AMBER_STRICT, purposes=("defence",), until=NOON)
        assert hub.services.agreements.change(agreement.id, same, "o:j") == agreement
        assert entries(hub, "agreement.change") == []
        hub.services.agreements.change(agreement.id, AgreementChange(note="by letter"), "o:j")
        [entry] = entries(hub, "agreement.change")
        assert entry.details["note"] == "changed"

    def test_an_agreement_that_has_ended_can_be_neither_changed_nor_ended(
        self, hub: HubInProcess, clock: ManualClock
    ) -> None:
        agreement = agree(hub)
        clock.now = NOON
        with pytest.raises(Malformed, match="has ended, for good"):
            hub.services.agreements.change(agreement.id, AgreementChange(is_open=True), "o:j")
        with pytest.raises(Malformed, match="has ended, for good"):
            hub.services.agreements.end(agreement.id, "o:j", "over")

    @pytest.mark.parametrize(
        "terms",
        [
            {"until": 1},
            {"starts": NOON, "until": NOON},
            {"purposes": ("x",) * 21},
            {"purposes": ("x" * 201,)},
            {"note": "x" * 2_001},
        ],
    )
    def test_terms_that_cannot_be_are_refused(self, hub: HubInProcess, terms: Any) -> None:
        with pytest.raises(Malformed):
            agree(hub, **terms)
        assert hub.store.agreements.list_all() == []

    def test_an_agreement_needs_a_partner_and_a_collection(self, hub: HubInProcess) -> None:
        with pytest.raises(NotFound):
            agree(hub, partner="nobody")
        with pytest.raises(Malformed, match="at least one collection"):
            hub.services.agreements.add(Agreement("", "acme", frozenset(), NOON), "o:j")

    def test_removing_a_partner_ends_its_agreements_and_keeps_none(self, hub: HubInProcess) -> None:
        agreement = agree(hub)
        assert any(each["kind"] == "agreement" for each in hub.services.partner_data.export("acme"))
        hub.services.partner_data.remove("acme", "operator:jane", "left")
        [ended] = entries(hub, "agreement.end")
        assert (ended.details["agreement"], ended.actor) == (agreement.id, "operator:jane")
        assert hub.store.agreements.list_all() == []

    def test_what_is_stored_is_what_was_agreed(self, hub: HubInProcess) -> None:
        terms: Any = {"max_tlp": Tlp.GREEN, "purposes": ("defence", "research"), "note": "by mail"}
        added = agree(hub, "green", **terms)
        assert hub.store.agreements.list_of("acme") == [added]
        assert hub.store.agreements.require(added.id).recorded is AgreementState.IN_FORCE
        assert hub.store.agreements.list_of("north") == []

    def test_reading_costs_no_command_for_agreements(
        self, hub: HubInProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        agree(hub)
        hub.ask(GREEN_PAGE)
        asked: list[str] = []
        find = Collection_.find

        def count(self: Any, *arguments: Any, **more: Any) -> Any:
            asked.append(self.name)
            return find(self, *arguments, **more)

        monkeypatch.setattr(Collection_, "find", count)
        hub.ask(GREEN_PAGE)
        assert asked == ["heads"]


@pytest.mark.parametrize(
    ("periods", "current"),
    [
        ([], None),
        ([(-9, -5), (-4, -2), (-8, -3)], (-4, -2)),  # the last that ended
        ([(-9, -1), (7, 8), (5, 9), (6, None)], (5, 9)),  # the next to begin
        ([(-9, -1), (-8, 3), (-7, 4), (1, 9), (2, None)], (-7, 4)),  # in force, ends last
        ([(-8, 3), (-7, None), (-6, 9)], (-7, None)),
    ],
)
def test_the_current_agreement_is_the_one_that_says_until_when_there_are_rights(
    periods: Any, current: Any
) -> None:
    known = [
        Agreement("", "acme", frozenset("c"), NOON + starts, end and NOON + end, Tlp.RED)
        for starts, end in periods
    ]
    found = find_current(known, NOON)
    assert found == (None if current is None else known[periods.index(current)])
