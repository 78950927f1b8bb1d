"""A revoked id stays revoked when its older versions are sent again, from an export say."""

from dataclasses import replace
from typing import Any

import pytest
from support.clock import LATER, ManualClock
from support.hub import RED, HubInProcess, details, findings, indicator, relationship, sdo
from support.presence import present
from support.several_ids import change_value, revoke, visible_descriptions

from tocsin.admission.errors import Conflict

pytestmark = pytest.mark.slow

OLD = {"modified": "2026-01-01T00:00:00.000Z"}


def verdicts(hub: Any, *objects: Any) -> Any:
    return hub.verdicts(hub.push(*objects))


@pytest.fixture
def two() -> Any:
    """One value under two ids of one partner."""
    return indicator("evil.top", **OLD), indicator("evil.top", **OLD)


@pytest.mark.parametrize("together", [True, False])
def test_a_revoked_id_is_refused_while_another_id_stands(
    hub: HubInProcess, two: Any, together: bool
) -> None:
    first, second = two
    hub.push(first, second)
    if together:
        assert verdicts(hub, revoke(first), first)[-1] == "refused"
    else:
        hub.push(revoke(first))
        assert verdicts(hub, first) == ["refused"]
    assert visible_descriptions(hub)["evil.top"] is not None  # the other one stands
    hub.push(revoke(second))
    assert visible_descriptions(hub) == {"evil.top": None}


def test_a_revoked_id_is_refused_for_a_value_that_it_had_before(hub: HubInProcess) -> None:
    sent = indicator("evil.top", **OLD)
    hub.push(sent), hub.push(change_value(sent))
    hub.push({**revoke(change_value(sent)), "modified": "2026-03-01T00:00:00.000Z"})
    assert verdicts(hub, sent) == ["refused"]
    assert visible_descriptions(hub) == {"evil.top": None, "else.top": None}


def test_a_newer_version_under_a_revoked_id_is_refused(hub: HubInProcess, two: Any) -> None:
    first, second = two
    hub.push(first, second), hub.push(revoke(first))
    assert verdicts(hub, {**first, "modified": "2026-03-01T00:00:00.000Z"}) == ["refused"]


def test_a_new_id_or_another_partner_may_report_it_again(hub: HubInProcess, two: Any) -> None:
    first, second = two
    hub.push(first, second), hub.push(revoke(first))
    third = indicator("evil.top", modified=LATER)
    assert verdicts(hub, third) == ["duplicate"]
    assert hub.verdicts(hub.push(first, who="north")) == ["merged"]


@pytest.mark.parametrize("together", [True, False])
def test_an_object_sent_after_its_revocation_is_not_published(
    hub: HubInProcess, two: Any, together: bool
) -> None:
    """Nobody knows in which order an export is sent."""
    first, second = two
    if together:
        assert verdicts(hub, revoke(first), first) == ["duplicate", "refused"]
    else:
        hub.push(revoke(first))
        assert verdicts(hub, first) == ["refused"]
    assert visible_descriptions(hub) == {}
    assert verdicts(hub, second) == ["admitted"]


class TestRevokedWhileWaiting:
    """An object that waits for a reviewer or for its references may be revoked like any other."""

    @pytest.fixture
    def held(self) -> Any:
        return indicator("vpn.acme.example", **OLD)

    @pytest.fixture
    def ends(self) -> Any:
        return sdo("malware", name="m", is_family=True), sdo("tool", name="t")

    @pytest.mark.parametrize("together", [True, False])
    def test_a_revocation_closes_the_review(
        self, hub: HubInProcess, held: Any, together: bool
    ) -> None:
        if together:
            status = hub.push(held, revoke(held))
            assert hub.verdicts(status)[-1] == "admitted"
        else:
            status = hub.push(held)
            assert verdicts(hub, revoke(held)) == ["admitted"]
            assert verdicts(hub, revoke(held)) == ["duplicate"]
        assert hub.store.reviews.list_waiting() == []
        settled = hub.ask(f"status/{status['id']}/").json
        assert details(settled)[0]["message"] == "refused: was revoked while it waited"
        assert settled["status"] == "complete"

    def test_a_revocation_that_would_be_refused_closes_the_review(
        self, hub: HubInProcess, held: Any
    ) -> None:
        hub.push(held)
        status = hub.push(revoke(held) | {"object_marking_refs": [RED]})
        [entry] = details(status)
        assert entry["message"] == "what waited under this id will not be published"
        assert hub.store.reviews.list_waiting() == []

    def test_an_object_may_wait_for_one_that_is_revoked_with_it(
        self, hub: HubInProcess, clock: ManualClock, held: Any, ends: Any
    ) -> None:
        """Other objects of that submission are there for all that wait for them."""
        notes = [sdo("note", content="n", object_refs=[ends[0]["id"]]) for _ in range(2)]
        notes[0]["object_refs"].append(held["id"])
        for each in (held, *notes):
            hub.push(each)
            clock.advance(hours=1)
        hub.push(ends[0], revoke(notes[0]), revoke(held))
        assert hub.store.reviews.list_waiting() == []
        assert sorted(each["type"] for each in hub.feed("green")) == ["malware", "note"]

    def test_a_release_that_comes_too_late_publishes_nothing(
        self, hub: HubInProcess, held: Any
    ) -> None:
        hub.push(held)
        [review] = hub.store.reviews.list_waiting()
        hub.push(revoke(held))
        with pytest.raises(Conflict):
            hub.services.intake.reviewer.release(review, "operator")
        assert visible_descriptions(hub) == {}

    def test_a_revoked_relationship_is_not_published_when_its_ends_arrive(
        self, hub: HubInProcess, ends: Any
    ) -> None:
        link = relationship(ends[0], "uses", ends[1])
        hub.push(link)
        assert verdicts(hub, revoke(link)) == ["admitted"]
        hub.push(*ends)
        assert {each["type"] for each in hub.feed("green", "north")} == {"malware", "tool"}

    def test_a_relationship_to_a_revoked_object_is_held(self, hub: HubInProcess, ends: Any) -> None:
        status = hub.push(revoke(ends[0]), ends[1], relationship(ends[0], "uses", ends[1]))
        assert hub.verdicts(status) == ["duplicate", "admitted", "held"]

    def test_a_report_leaves_out_a_revoked_object_that_is_sent_again(
        self, hub: HubInProcess, ends: Any
    ) -> None:
        hub.push(revoke(ends[0]))
        report = sdo("report", name="r", published=LATER, object_refs=[each["id"] for each in ends])
        assert hub.verdicts(hub.push(*ends, report)) == ["refused", "admitted", "admitted"]
        [public] = [each for each in hub.feed("green", "north") if each["type"] == "report"]
        [tool] = [each for each in hub.feed("green", "north") if each["type"] == "tool"]
        assert public["object_refs"] == [tool["id"]]


class TestContentOfARevocation:
    """A revocation is not judged by what it says: it shares nothing."""

    def test_a_value_that_became_the_partners_own_term_can_be_revoked(
        self, hub: HubInProcess
    ) -> None:
        sent = indicator("evil.top", **OLD)
        hub.push(sent)
        acme = hub.store.accounts.find_partner("acme")
        hub.store.accounts.update_partner(
            replace(present(acme), terms=(*present(acme).terms, "evil.top"))
        )
        assert verdicts(hub, revoke(sent)) == ["admitted"]
        assert visible_descriptions(hub) == {"evil.top": None}

    @pytest.mark.parametrize(
        "more",
        [{"object_marking_refs": [RED]}, {"pattern": "[broken"}, {"description": 5}],
    )
    def test_a_revocation_that_would_be_refused_takes_effect(
        self, hub: HubInProcess, more: Any
    ) -> None:
        sent = indicator("evil.top", **OLD)
        hub.push(sent)
        assert verdicts(hub, revoke(sent) | more) == ["admitted"]
        assert visible_descriptions(hub) == {"evil.top": None}

    @pytest.mark.parametrize(
        "more",
        [
            {"pattern": "[ipv4-addr:value = '10.0.0.7']"},
            {"object_marking_refs": [RED]},
            {"pattern": "[broken"},
        ],
    )
    def test_a_revocation_of_what_was_never_published_says_only_that(
        self, hub: HubInProcess, more: Any
    ) -> None:
        status = hub.push(revoke(indicator("evil.top", **OLD)) | more)
        assert hub.verdicts(status) == ["duplicate"]
        [finding] = findings(status)
        assert finding["message"] == "nothing of yours is published under this id"

    @pytest.mark.parametrize("wrong", ["indicator", "indicator--1", "malware--" + "0" * 36])
    def test_a_revocation_says_that_its_id_is_none(self, hub: HubInProcess, wrong: str) -> None:
        status = hub.push(revoke(indicator("evil.top", **OLD)) | {"id": wrong})
        assert hub.verdicts(status) == ["refused"]
        assert {finding["path"] for finding in findings(status)} >= {"id"}

    def test_a_revocation_with_unknown_ends_takes_effect(self, hub: HubInProcess) -> None:
        ends = sdo("malware", name="m", is_family=True), sdo("tool", name="t")
        link = relationship(ends[0], "uses", ends[1])
        hub.push(*ends, link)
        other = relationship(sdo("malware"), "uses", ends[1], id=link["id"])
        assert verdicts(hub, revoke(other)) == ["admitted"]

    def test_the_status_of_a_revocation_says_withdrawn(self, hub: HubInProcess) -> None:
        sent = indicator("evil.top", **OLD)
        hub.push(sent)
        [entry] = details(hub.push(revoke(sent)))
        assert entry["message"] == "your contribution is withdrawn"


def test_what_a_reviewer_would_look_at_is_refused_under_a_revoked_id(hub: HubInProcess) -> None:
    asked = indicator("10.1.2.3", pattern="[ipv4-addr:value != '10.1.2.3']")
    assert verdicts(hub, asked) == ["held"]
    hub.push(revoke(asked))
    again = hub.push({**asked, "modified": "2026-03-01T00:00:00.000Z"})
    assert hub.verdicts(again) == ["refused"]
    assert "send it under a new id" in details(again)[0]["message"]


def test_what_waits_under_a_revoked_id_ends_with_another_revocation(hub: HubInProcess) -> None:
    note = sdo("note", content="c", object_refs=[indicator("never.top")["id"]], **OLD)
    for day in ("02", "04"):
        hub.push({**revoke(note), "modified": f"2026-03-{day}T00:00:00.000Z"})
        waits = hub.push({**note, "modified": f"2026-03-{day}T12:00:00.000Z"})
        assert hub.verdicts(waits) == ["held"]
    end = hub.push({**revoke(note), "modified": "2026-03-05T00:00:00.000Z"})
    assert hub.verdicts(end) == ["admitted"]
    status = hub.ask(f"status/{waits['id']}/").json
    assert (status["status"], hub.verdicts(status)) == ("complete", ["refused"])
    assert hub.store.reviews.list_waiting("acme") == []
