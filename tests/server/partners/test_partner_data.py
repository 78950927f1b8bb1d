"""A partner's own: withdrawn, exported, removed; and its queue when it is locked out."""

import errno
import json
import os
import stat
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.clock import LATER, indicators
from support.console import PASSWORD, add_person, sign_in
from support.hub import GREEN, HubInProcess, details, indicator, sdo
from support.observables import sco

from tocsin.admission.errors import Conflict, NotAuthenticated, NotFound, Unavailable
from tocsin.admission.timestamps import DAY, HOUR, stix_time, timestamp
from tocsin.config.settings import HubSettings
from tocsin.server.cli.partner import export_partner
from tocsin.server.intake.admission import InboxAdmission, VerbatimAdmission
from tocsin.server.model import Partner
from tocsin.server.partners.administration import PartnerChange, Partners
from tocsin.server.partners.partner_data import PartnerData, Withdrawal
from tocsin.server.person import Invitation, Role
from tocsin.server.runtime import Runtime
from tocsin.server.store import Transaction
from tocsin.server.store.journal import JournalFilter
from tocsin.server.store.partner_data import PartnerDocuments

WHY = "asked by mail"
PERSON = "Jane Doe"
UNKNOWN = "marking-definition--00000000-0000-4000-8000-000000000009"
DOMAIN = {
    "type": "domain-name",
    "spec_version": "2.1",
    "id": "domain-name--00000000-0000-4000-8000-000000000001",
    "value": "evil-portal.top",
    "object_marking_refs": [GREEN],
}


@pytest.fixture
def data(hub: HubInProcess) -> PartnerData:
    """The hub's operations on a partner's data."""
    return hub.services.partner_data


@pytest.fixture
def runtime(hub: HubInProcess) -> Runtime:
    """The hub as commands see it."""
    absent: Any = None
    return Runtime(HubSettings(), absent, hub.services)


STAFF = (
    ("jane@acme.example", Role.VIEWER, "acme"),
    ("jane@north.example", Role.VIEWER, "north"),
    ("otto@hub.example", Role.OPERATOR, ""),
)
"""Mailbox, role and partner."""


def invite(hub: HubInProcess, login: str, partner: str) -> str:
    """Invite a person of a partner; the secret of the link."""
    roles = frozenset({Role.VIEWER})
    return hub.services.people.invite(Invitation("", login, "Name", partner, roles, 0, "operator"))


def interrupt(*_: Any) -> Any:
    """Stop, as Ctrl-C does."""
    raise KeyboardInterrupt


def disable(hub: HubInProcess, slug: str) -> None:
    """Lock a partner out."""
    account = hub.store.accounts.find_account(slug)
    assert account is not None
    hub.store.accounts.update_account(replace(account, disabled=True))


class TestWithdrawing:
    @pytest.mark.slow
    def test_an_observable_is_withdrawn_by_its_value(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        hub.push(DOMAIN, indicator())
        found = data.withdraw("acme", ["EVIL-portal[.]top"], "operator", WHY)
        assert found == Withdrawal(objects=2, revoked=2, reviews=0)
        assert [o["revoked"] for o in hub.feed("green")] == [True, True]

    def test_by_the_partners_own_id(self, hub: HubInProcess, data: PartnerData) -> None:
        one, other = indicator("one.top"), indicator("other.top")
        hub.push(one, other)
        assert data.withdraw("acme", [one["id"]], "operator", WHY).objects == 1
        assert [o.get("revoked") for o in hub.feed("green")] == [None, True]

    @pytest.mark.parametrize("by_value", [True, False])
    def test_what_is_named_itself_is_withdrawn_whole_whatever_own_id_is_named_too(
        self, hub: HubInProcess, data: PartnerData, by_value: bool
    ) -> None:
        one, same = indicator(), indicator()
        hub.push(one, same)
        [public] = hub.feed("green")
        name = "evil-portal.top" if by_value else public["id"]
        found = data.withdraw("acme", [one["id"], name], "operator", WHY)
        assert found == Withdrawal(objects=1, revoked=1, reviews=0)

    def test_by_an_own_id_the_same_stays_that_it_reported_under_another(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        one, same = indicator(), indicator()
        hub.push(one, same)
        assert data.withdraw("acme", [one["id"]], "operator", WHY).revoked == 0

    def test_what_others_reported_too_stays_without_it(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        hub.push(indicator(description="first"))
        hub.push(indicator(description="second"), who="north")
        assert data.withdraw_all("acme", "operator", WHY) == Withdrawal(1, 0, 0)
        (public,) = indicators(hub)
        assert public["description"] == "second" and "revoked" not in public

    def test_what_waits_for_an_analyst_is_withdrawn_too(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        status = hub.push(indicator(object_marking_refs=[UNKNOWN]))
        assert data.withdraw_all("acme", "operator", WHY).reviews == 1
        (entry,) = details(hub.ask(f"status/{status['id']}/").json)
        assert (entry["x_tocsin_verdict"], "withdrawn" in entry["message"]) == ("refused", True)

    def test_it_is_not_published_again_from_the_same_id(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        sent = indicator()
        hub.push(sent)
        data.withdraw("acme", ["evil-portal.top"], "operator", WHY)
        assert hub.verdicts(hub.push({**sent, "modified": LATER})) == ["refused"]

    def test_it_is_written_in_the_journal(self, hub: HubInProcess, data: PartnerData) -> None:
        hub.push(indicator())
        ((name, journal),) = [(o["id"], hub.store.journal) for o in indicators(hub)]
        data.withdraw_all("acme", "operator", WHY)
        (entry,) = journal.search(JournalFilter(action="partner.withdraw", about=name))
        details = {"partner": "acme", "count": 1, "ids": [name], "reason": WHY}
        assert dict(entry.details) == details
        assert journal.first_invalid_sequence() is None

    def test_it_can_be_repeated(self, hub: HubInProcess, data: PartnerData) -> None:
        hub.push(indicator())
        data.withdraw_all("acme", "operator", WHY)
        before = hub.feed("green")
        assert data.withdraw_all("acme", "operator", WHY) == Withdrawal(0, 0, 0)
        assert hub.feed("green") == before

    def test_what_it_never_sent_is_an_error(self, hub: HubInProcess, data: PartnerData) -> None:
        hub.push(indicator(), who="north")
        with pytest.raises(NotFound):
            data.withdraw("acme", ["evil-portal.top"], "operator", WHY)
        with pytest.raises(NotFound):
            data.withdraw_all("nobody", "operator", WHY)
        assert "revoked" not in indicators(hub)[0]


class TestReviewsOfWhatIsWithdrawn:
    @pytest.fixture
    def asked(self, hub: HubInProcess) -> None:
        """An indicator, and a message, that are published without what a rule asks about."""
        hub.push(indicator(description=f"Reported by {PERSON} of the mail team"))
        sender = sco("email-addr", value="phisher@evil.top")
        message = sco("email-message", is_multipart=False, subject=PERSON, from_ref=sender["id"])
        hub.push(sender, message)
        assert len(hub.store.reviews.list_waiting("acme")) == 2

    @pytest.mark.parametrize("way", ["by value", "by public id"])
    def test_a_text_that_waits_is_withdrawn_with_its_object(
        self, hub: HubInProcess, data: PartnerData, asked: None, way: str
    ) -> None:
        name = "evil-portal.top" if way == "by value" else indicators(hub)[0]["id"]
        assert data.withdraw("acme", [name], "operator", WHY) == Withdrawal(1, 1, 1)
        assert [b"email-message" in r.object for r in hub.store.reviews.list_waiting()] == [True]

    def test_so_it_is_for_an_observable(
        self, hub: HubInProcess, data: PartnerData, asked: None
    ) -> None:
        (name,) = [o["id"] for o in hub.feed("amber") if o["type"] == "email-message"]
        assert data.withdraw("acme", [name], "operator", WHY) == Withdrawal(1, 1, 1)
        assert [b"indicator" in r.object for r in hub.store.reviews.list_waiting()] == [True]

    def test_what_is_held_on_the_value_is_withdrawn_though_nothing_is_published(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        held = [indicator(value, object_marking_refs=[UNKNOWN]) for value in ("a.top", "b.top")]
        hub.push(*held)
        assert data.withdraw("acme", ["a.top"], "operator", WHY) == Withdrawal(0, 0, 1)
        (left,) = hub.store.reviews.list_waiting("acme")
        assert b"b.top" in left.object

    @pytest.mark.parametrize("way", ["by id", "by value", "by an exclusion"])
    def test_a_text_waits_no_more_when_the_hub_revokes_its_object(
        self, hub: HubInProcess, asked: None, way: str
    ) -> None:
        lifecycle = hub.services.lifecycle
        if way == "by id":
            lifecycle.revoke(indicators(hub)[0]["id"], "operator", WHY)
        elif way == "by value":
            lifecycle.revoke_value("evil-portal.top", "operator", WHY)
        else:
            lifecycle.exclude("evil-portal.top", "operator", WHY)
        assert [b"email-message" in r.object for r in hub.store.reviews.list_waiting()] == [True]

    def test_no_text_waits_if_the_hub_ends_right_after_the_revocation(
        self, hub: HubInProcess, asked: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = hub.store.commit

        def end(work: Any) -> None:
            commit(work)
            raise Unavailable("the process has ended", 1)

        with monkeypatch.context() as patch, pytest.raises(Unavailable):
            patch.setattr(hub.store, "commit", end)
            hub.services.lifecycle.exclude("evil-portal.top", "operator", WHY)
        assert [b"email-message" in r.object for r in hub.store.reviews.list_waiting()] == [True]
        acts = [e.action for e in hub.store.journal.entries() if e.actor == "operator"]
        assert acts[-2:] == ["exclusion.add", "review.reject"]

    def test_a_newer_version_that_is_held_goes_on_waiting_when_the_hub_revokes_its_object(
        self, hub: HubInProcess
    ) -> None:
        first = indicator()
        hub.push(first)
        hub.push(first | {"modified": LATER, "object_marking_refs": [UNKNOWN]})
        hub.services.lifecycle.revoke(indicators(hub)[0]["id"], "operator", WHY)
        assert len(hub.store.reviews.list_waiting("acme")) == 1

    @pytest.mark.parametrize("way", ["withdrawn", "revoked"])
    def test_a_text_cannot_be_released_whose_object_is_gone(
        self, hub: HubInProcess, data: PartnerData, asked: None, way: str
    ) -> None:
        (review,) = [r for r in hub.store.reviews.list_waiting() if b"indicator" in r.object]
        name = indicators(hub)[0]["id"]
        if way == "revoked":
            hub.services.lifecycle._close_reviews = lambda *_: None  # type: ignore[method-assign]
            hub.services.lifecycle.revoke(name, "operator", WHY)
        else:
            data._close_reviews = lambda *_: 0  # type: ignore[method-assign]
            data.withdraw("acme", [name], "operator", WHY)
        with pytest.raises(Conflict, match="not published any more"):
            hub.services.intake.reviewer.release(review, "analyst")
        assert PERSON not in json.dumps(hub.feed("green"))

    def test_nothing_of_a_partner_that_is_locked_out_is_released(
        self, hub: HubInProcess, asked: None
    ) -> None:
        disable(hub, "acme")
        for review in hub.store.reviews.list_waiting():
            with pytest.raises(Conflict, match="may not send any more"):
                hub.services.intake.reviewer.release(review, "analyst")

    def test_nothing_is_released_once_the_right_to_write_is_taken_away(
        self, hub: HubInProcess, asked: None
    ) -> None:
        Partners(hub.store).change("acme", PartnerChange(writes=[]), "operator")
        waiting = hub.store.reviews.list_waiting()
        for review in waiting:
            with pytest.raises(Conflict, match="may not write to the collection any more"):
                hub.services.intake.reviewer.release(review, "analyst")
        assert waiting and hub.store.reviews.list_waiting() == waiting


class TestRemoving:
    @pytest.mark.slow
    @pytest.mark.parametrize("collection", ["inbox", "scratch"])
    def test_what_a_request_in_flight_sends_is_not_published(
        self,
        hub: HubInProcess,
        data: PartnerData,
        monkeypatch: pytest.MonkeyPatch,
        collection: str,
    ) -> None:
        kind: Any = {"inbox": InboxAdmission, "scratch": VerbatimAdmission}[collection]
        step, find = kind.step, PartnerDocuments.public_ids
        ready, withdrawn, settled = threading.Event(), threading.Event(), threading.Event()

        def late_step(self: Any) -> bool:
            if getattr(self, "_whole", self) is not None:  # it is evaluated
                ready.set()
                withdrawn.wait(30)
            return bool(step(self))

        def interrupted(self: PartnerDocuments, slug: str) -> set[str]:
            found = find(self, slug)
            withdrawn.set()
            settled.wait(30)
            return found

        def request() -> None:
            with suppress(Exception):  # in the end its submission is deleted
                hub.push(indicator(), to=collection)
            settled.set()

        monkeypatch.setattr(kind, "step", late_step)
        monkeypatch.setattr(PartnerDocuments, "public_ids", interrupted)
        thread = threading.Thread(target=request)
        thread.start()
        assert ready.wait(30)
        data.remove("acme", "operator", WHY)
        thread.join()
        base = hub.store._base
        assert base.public_objects.count_documents({"contributions.partner": "acme"}) == 0
        assert base.submissions.count_documents({}) == 0 == base.verdicts.count_documents({})
        assert hub.feed("green", "north") == [] == hub.feed("scratch", "north")

    @pytest.mark.slow
    def test_a_submission_is_deleted_whole_while_a_worker_refuses_it(
        self, hub: HubInProcess, data: PartnerData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many = [indicator(f"n{n}.top") for n in range(1_200)]
        hub.ask("collections/inbox/objects/", method="POST", json={"objects": many})
        delete, left = PartnerDocuments.submission_ids, iter(range(2))

        def listed(self: PartnerDocuments, slug: str) -> list[str]:
            found = delete(self, slug)
            for _ in left:
                hub.services.intake.work()
            return found

        monkeypatch.setattr(PartnerDocuments, "submission_ids", listed)
        data.remove("acme", "operator", WHY)
        while hub.services.intake.work():
            pass
        base = hub.store._base
        assert base.submissions.count_documents({}) == 0 == base.verdicts.count_documents({})

    @pytest.mark.slow
    def test_nothing_of_it_is_left_but_its_short_name_in_the_journal(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        hub.push(indicator("one.top"), sdo("malware", name="m", is_family=False))
        hub.push(indicator("two.top", object_marking_refs=[UNKNOWN]))
        hub.push(indicator("one.top"), who="north")
        data.remove("acme", "operator", WHY)
        base = hub.store._base
        for name in base.list_collection_names():
            if name != "journal":
                assert "acme" not in str(list(base[name].find())).lower(), name

    @pytest.mark.slow
    def test_what_it_shared_with_others_is_computed_without_it(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        hub.push(indicator("one.top"), indicator("two.top"))
        hub.push(indicator("one.top"), who="north")
        found = data.remove("acme", "operator", WHY)
        assert found == Withdrawal(objects=2, revoked=1, reviews=0)
        states = {
            o["pattern"].split("'")[1]: o.get("revoked", False) for o in hub.feed("green", "north")
        }
        assert states == {"one.top": False, "two.top": True}

    def test_it_is_locked_out_at_once(self, hub: HubInProcess, data: PartnerData) -> None:
        data.remove("acme", "operator", WHY)
        assert hub.ask("collections/").status_code == 401

    @pytest.mark.slow
    def test_its_people_are_locked_out_at_once_and_nobody_of_others(
        self, hub: HubInProcess, data: PartnerData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        people = hub.services.people
        for login, role, partner in STAFF:
            add_person(hub, login, role, partner=partner)
        clients = [sign_in(hub, login) for login, _, _ in STAFF]
        links = [invite(hub, "new@acme.example", "acme"), invite(hub, "new@north.example", "north")]
        monkeypatch.setattr(data, "withdraw_all", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.remove("acme", "operator", WHY)
        statuses = [client.get("/console/me").status_code for client in clients]
        assert statuses == [303, 200, 200]
        with pytest.raises(NotFound):
            people.accept(links[0], "", "", PASSWORD)
        assert people.accept(links[1], "", "", PASSWORD).partner == "north"

    @pytest.mark.slow
    def test_who_is_invited_meanwhile_is_removed_too(
        self, hub: HubInProcess, data: PartnerData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forget = hub.store.statistics.forget_partner

        def invite_late(slug: str) -> None:
            forget(slug)
            hub.services.people.accept(invite(hub, "bob@acme.example", slug), "", "", PASSWORD)
            invite(hub, "jane@acme.example", slug)

        monkeypatch.setattr(hub.store.statistics, "forget_partner", invite_late)
        data.remove("acme", "operator", WHY)
        assert hub.store.people.list_people("acme") == []
        assert hub.store.people.list_invitations() == []

    @pytest.mark.slow
    def test_another_partner_of_its_name_gets_nobody_who_was_left(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        data.remove("acme", "operator", WHY)
        add_person(hub, "jane@acme.example", Role.VIEWER, partner="acme")
        client = sign_in(hub, "jane@acme.example")
        Partners(hub.store).add(Partner("acme", "Other Company"), PartnerChange(), "operator")
        assert client.get("/console/partner").status_code == 303
        assert hub.store.people.list_people("acme") == []

    @pytest.mark.slow
    def test_an_invitation_of_a_partner_that_does_not_exist_is_not_accepted(
        self, hub: HubInProcess
    ) -> None:
        secret = invite(hub, "jane@acme.example", "acme")
        hub.store.accounts.remove_partner("acme")
        with pytest.raises(NotFound):
            hub.services.people.accept(secret, "", "", PASSWORD)
        with pytest.raises(NotAuthenticated):
            hub.services.people.sign_in_proven("jane@acme.example", "Jane", "")
        invite(hub, "jane@acme.example", "north")
        assert hub.services.people.sign_in_proven("jane@acme.example", "", "").person.partner == (
            "north"
        )

    def test_whom_it_removed_is_in_the_journal(self, hub: HubInProcess, data: PartnerData) -> None:
        add_person(hub, "jane@acme.example", Role.VIEWER, partner="acme")
        invite(hub, "bob@acme.example", "acme")
        data.remove("acme", "operator", WHY)
        for action, login in (
            ("person.remove", "jane@acme.example"),
            ("person.invite_end", "bob@acme.example"),
        ):
            (entry,) = hub.store.journal.search(JournalFilter(action=action))
            assert (entry.actor, entry.details["login"]) == ("operator", login)

    @pytest.mark.slow
    def test_one_that_was_interrupted_goes_on_when_it_is_run_again(
        self, hub: HubInProcess, data: PartnerData, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(3):
            hub.push(*(indicator(f"n{n}-{i}.top") for i in range(60)))
        commit, left = hub.store.commit, iter(range(2))

        def end_midway(work: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return commit(work)

        monkeypatch.setattr(hub.store, "commit", end_midway)
        with pytest.raises(KeyboardInterrupt):
            data.remove("acme", "operator", WHY)
        monkeypatch.setattr(hub.store, "commit", commit)
        assert 0 < sum(o.get("revoked", False) for o in hub.feed("green", "north")) < 180
        data.remove("acme", "operator", WHY)
        assert all(o["revoked"] for o in hub.feed("green", "north"))
        with pytest.raises(NotFound):
            data.remove("acme", "operator", WHY)


class TestExporting:
    @pytest.mark.slow
    def test_all_that_is_held_of_it_and_nothing_of_others(
        self, hub: HubInProcess, data: PartnerData, runtime: Runtime, tmp_path: Path
    ) -> None:
        hub.push(indicator("one.top", description="said by acme"))
        hub.push(indicator("two.top", object_marking_refs=[UNKNOWN]))
        hub.push(indicator("one.top", description="said by north"), who="north")
        place = tmp_path / "acme.jsonl"
        answer = export_partner(runtime, "acme", place)
        lines = [json.loads(line) for line in place.read_text("utf-8").splitlines()]
        assert answer["lines"] == len(lines)
        assert {line["kind"] for line in lines} == {
            *("partner", "account", "submission", "record", "contribution", "review", "journal"),
        }
        (review,) = hub.store.reviews.list_waiting("acme")
        hub.services.intake.reviewer.reject(review, "analyst", "names nobody")
        (kept,) = [each for each in data.export("acme") if each["kind"] == "review"]
        assert (kept["state"], kept["source_id"]) == ("rejected", review.source_id)
        text = place.read_text("utf-8")
        assert "said by acme" in text and "north" not in text

    def test_when_its_accounts_last_polled_and_submitted_is_among_it(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        hub.feed("green")
        for who in ("acme", "north"):
            hub.push(indicator(), who=who)
            hub.feed("amber", who=who)
        hub.store.deliveries.flush()
        while hub.store.statistics.count_next():
            pass
        lines = list(data.export("acme"))
        polls = {e["collection"]: e for e in lines if e["kind"] == "last_poll"}
        green, amber = (hub.collection(alias).id for alias in ("green", "amber"))
        assert polls.keys() == {green, amber}
        end = timestamp(hub.store.feeds.head(amber).stamp)
        assert (polls[amber]["account"], polls[amber]["served_up_to"]) == ("acme", end)
        assert polls[amber]["hour"] == stix_time(hub.store.clock() // HOUR * HOUR)
        (sender,) = [each for each in lines if each["kind"] == "sender"]
        (submission,) = [each for each in lines if each["kind"] == "submission"]
        came = submission["received"]
        assert (sender["account"], sender["runs"]) == ("acme", [{"first": came, "last": came}])
        assert (sender["objects_in_24_hours"], sender["refused_in_24_hours"]) == (1, 0)

    @pytest.mark.slow
    def test_its_people_and_invitations_are_among_it_without_secrets(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        for login, role, partner in STAFF:
            add_person(hub, login, role, partner=partner)
            sign_in(hub, login)
        for partner in ("acme", "north"):
            invite(hub, f"new@{partner}.example", partner)
        hub.services.people.set_disabled("jane@acme.example", "operator", disabled=True)
        lines = list(data.export("acme"))
        (person,) = [each for each in lines if each["kind"] == "person"]
        assert (person["mailbox"], person["name"]) == ("jane@acme.example", "Jane")
        assert (person["roles"], person["disabled"]) == (["viewer"], True)
        (invitation,) = [each for each in lines if each["kind"] == "invitation"]
        assert invitation["mailbox"] == "new@acme.example"
        journal = {e["action"]: e["at"] for e in lines if e["kind"] == "journal"}
        assert journal.keys() >= {"sign_in", "person.invite", "person.disable"}
        assert person["last_sign_in"] == journal["sign_in"]
        text = json.dumps(lines)
        assert "argon2" not in text and "north" not in text and "hub.example" not in text

    @pytest.mark.slow
    def test_what_the_mailbox_of_a_person_did_before_is_not_among_it(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        people = hub.services.people
        for partner in ("north", "acme"):
            login = "jane@else.example"
            people.accept(invite(hub, login, partner), "", "Jane", PASSWORD)
            people.set_disabled(login, "operator", disabled=True)
            people.set_disabled(login, "operator", disabled=False)
            sign_in(hub, login)
            if partner == "north":
                people.remove(login, "operator")
        lines = [each for each in data.export("acme") if each["kind"] == "journal"]
        assert [each["action"] for each in lines] == [
            *("person.invite", "person.add", "person.disable", "person.enable", "sign_in"),
        ]
        assert "north" not in json.dumps(lines)

    def test_nothing_of_a_former_partner_of_its_short_name_is_among_it(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        add_person(hub, "jane@acme.example", Role.VIEWER, partner="acme")
        data.remove("acme", "operator", WHY)
        Partners(hub.store).add(Partner("acme", "Other Company"), PartnerChange(), "operator")
        lines = [each for each in data.export("acme") if each["kind"] == "journal"]
        assert [each["action"] for each in lines] == ["partner.add"]

    @pytest.mark.slow
    def test_the_entries_that_the_journal_keeps_are_among_it_after_it_forgot_many(
        self, hub: HubInProcess, data: PartnerData
    ) -> None:
        def write(txn: Transaction) -> None:
            for n in range(1_100):
                txn.add_journal_entry("old", "operator", {"n": n})

        hub.store.clock = lambda: 0
        hub.store.commit(write)
        hub.store.clock = lambda: 40 * DAY
        hub.store.commit(lambda txn: txn.forget_journal(30, 2_000, "retention"))
        hub.store.commit(lambda txn: txn.add_journal_entry("kept", "acme", {}))
        (kept,) = [each for each in data.export("acme") if each["kind"] == "journal"]
        assert kept["action"] == "kept"

    def test_the_journal_says_who_wrote_it(
        self, hub: HubInProcess, runtime: Runtime, tmp_path: Path
    ) -> None:
        found = JournalFilter(action="partner.export")
        answer = export_partner(replace(runtime, actor="operator:jane"), "acme", tmp_path / "a")
        [entry] = hub.store.journal.search(found)
        assert entry.actor == "operator:jane"
        assert entry.details == {"partner": "acme", "lines": answer["lines"]}
        with pytest.raises(Conflict):
            export_partner(runtime, "acme", tmp_path / "a")
        assert len(list(hub.store.journal.search(found))) == 1

    def test_there_is_no_file_of_which_the_journal_does_not_know(
        self, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise Unavailable("no database")

        monkeypatch.setattr(runtime.services.store, "commit", fail)
        with pytest.raises(Unavailable):
            export_partner(runtime, "acme", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []

    def test_the_journal_names_no_file_for_which_the_disk_has_no_room(
        self, hub: HubInProcess, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
            patched.setattr(os, "fsync", fail)
            export_partner(runtime, "acme", tmp_path / "a")
        assert list(tmp_path.iterdir()) == []
        assert list(hub.store.journal.search(JournalFilter(action="partner.export"))) == []

    def test_only_the_operator_can_read_it_and_no_file_is_overwritten(
        self, hub: HubInProcess, runtime: Runtime, tmp_path: Path
    ) -> None:
        place = tmp_path / "acme.jsonl"
        export_partner(runtime, "acme", place)
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        with pytest.raises(Conflict):
            export_partner(runtime, "acme", place)
        with pytest.raises(NotFound):
            export_partner(runtime, "nobody", tmp_path / "none")
        assert not (tmp_path / "none").exists()


class TestTheQueueOfADisabledPartner:
    @pytest.mark.parametrize("collection", ["inbox", "scratch"])
    def test_it_is_not_published(self, hub: HubInProcess, collection: str) -> None:
        many = [indicator(f"n{n}.top") for n in range(201)]
        path = f"collections/{collection}/objects/"
        answer = hub.ask(path, method="POST", json={"objects": many})
        disable(hub, "acme")
        while hub.services.intake.work():
            pass
        assert hub.feed("green", "north") == [] == hub.feed("scratch", "north")
        records = hub.store.submissions.records(answer.json["id"])
        assert {record.verdict for record in records} == {"refused"} and len(records) == 201
        assert "disabled" in records[0].findings[0]["message"]

    def test_what_was_settled_before_stays(self, hub: HubInProcess) -> None:
        hub.push(indicator())
        disable(hub, "acme")
        assert len(hub.feed("green", "north")) == 1
