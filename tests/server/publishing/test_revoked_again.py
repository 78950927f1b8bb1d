"""What a partner revoked stays revoked when its older versions come again, from an export say."""

from dataclasses import replace

import pytest
from support.clock import LATER
from support.hub import (
    RED,
    details,
    indicator,
    relationship,
    sdo,
)
from support.several_ids import moved, revoked, shown

from tocsin.admission.errors import Conflict

OLD = {"modified": "2026-01-01T00:00:00.000Z"}


def verdicts(hub, *objects):
    return hub.verdicts(hub.push(*objects))


@pytest.fixture
def two():
    """One value under two ids of one partner."""
    return indicator("evil.top", **OLD), indicator("evil.top", **OLD)


@pytest.mark.parametrize("together", [True, False])
def test_an_id_that_was_revoked_beside_another_says_no_more(hub, two, together):
    first, second = two
    hub.push(first, second)
    if together:
        assert verdicts(hub, revoked(first), first)[-1] == "refused"
    else:
        hub.push(revoked(first))
        assert verdicts(hub, first) == ["refused"]
    assert shown(hub)["evil.top"] is not None  # the other one stands
    hub.push(revoked(second))
    assert shown(hub) == {"evil.top": None}


def test_nor_does_one_that_was_given_another_value_before(hub):
    sent = indicator("evil.top", **OLD)
    hub.push(sent), hub.push(moved(sent))
    hub.push({**revoked(moved(sent)), "modified": "2026-03-01T00:00:00.000Z"})
    assert verdicts(hub, sent) == ["refused"]
    assert shown(hub) == {"evil.top": None, "else.top": None}


def test_a_newer_version_does_not_bring_it_back(hub, two):
    first, second = two
    hub.push(first, second), hub.push(revoked(first))
    assert verdicts(hub, {**first, "modified": "2026-03-01T00:00:00.000Z"}) == ["refused"]


def test_a_new_id_may_say_it_again_and_so_may_other_partners(hub, two):
    first, second = two
    hub.push(first, second), hub.push(revoked(first))
    third = indicator("evil.top", modified=LATER)
    assert verdicts(hub, third) == ["duplicate"]
    assert hub.verdicts(hub.push(first, who="north")) == ["merged"]


@pytest.mark.parametrize("together", [True, False])
def test_what_comes_after_its_revocation_is_not_published(hub, two, together):
    """Nobody knows in which order an export is sent."""
    first, second = two
    if together:
        assert verdicts(hub, revoked(first), first) == ["duplicate", "refused"]
    else:
        hub.push(revoked(first))
        assert verdicts(hub, first) == ["refused"]
    assert shown(hub) == {}
    assert verdicts(hub, second) == ["admitted"]


class TestWhileItWaits:
    """What waits for an analyst, or for what it refers to, may be revoked like anything else."""

    @pytest.fixture
    def held(self):
        return indicator("vpn.acme.example", **OLD)

    @pytest.fixture
    def ends(self):
        return sdo("malware", name="m", is_family=True), sdo("tool", name="t")

    @pytest.mark.parametrize("together", [True, False])
    def test_an_analyst_need_not_decide_any_more(self, hub, held, together):
        if together:
            status = hub.push(held, revoked(held))
        else:
            status = hub.push(held)
            assert verdicts(hub, revoked(held)) == ["duplicate"]
        assert hub.store.reviews.list_waiting() == []
        told = hub.ask(f"status/{status['id']}/").json
        assert details(told)[0]["message"] == "refused: was revoked while it waited"
        assert told["status"] == "complete"

    def test_nor_if_the_revocation_itself_cannot_be_taken(self, hub, held):
        hub.push(held)
        assert verdicts(hub, revoked(held) | {"object_marking_refs": [RED]}) == ["refused"]
        assert hub.store.reviews.list_waiting() == []

    def test_it_may_wait_for_what_is_revoked_with_it(self, hub, clock, held, ends):
        """What else came with that is there for all the others that wait for it."""
        notes = [sdo("note", content="n", object_refs=[ends[0]["id"]]) for _ in range(2)]
        notes[0]["object_refs"].append(held["id"])
        for each in (held, *notes):
            hub.push(each)
            clock.advance(hours=1)
        hub.push(ends[0], revoked(notes[0]), revoked(held))
        assert hub.store.reviews.list_waiting() == []
        assert sorted(each["type"] for each in hub.feed("green")) == ["malware", "note"]

    def test_a_release_that_comes_too_late_publishes_nothing(self, hub, held):
        hub.push(held)
        [review] = hub.store.reviews.list_waiting()
        hub.push(revoked(held))
        with pytest.raises(Conflict):
            hub.services.intake.release(review, "operator")
        assert shown(hub) == {}

    def test_what_it_refers_to_comes_and_it_stays_away(self, hub, ends):
        link = relationship(ends[0], "uses", ends[1])
        hub.push(link)
        assert verdicts(hub, revoked(link)) == ["duplicate"]
        hub.push(*ends)
        assert {each["type"] for each in hub.feed("green", "north")} == {"malware", "tool"}

    def test_nothing_is_published_that_leads_to_it(self, hub, ends):
        status = hub.push(revoked(ends[0]), ends[1], relationship(ends[0], "uses", ends[1]))
        assert hub.verdicts(status) == ["duplicate", "admitted", "held"]

    def test_nor_when_it_is_sent_again(self, hub, ends):
        hub.push(revoked(ends[0]))
        report = sdo("report", name="r", published=LATER, object_refs=[each["id"] for each in ends])
        assert hub.verdicts(hub.push(*ends, report)) == ["refused", "admitted", "admitted"]
        [public] = [each for each in hub.feed("green", "north") if each["type"] == "report"]
        [tool] = [each for each in hub.feed("green", "north") if each["type"] == "tool"]
        assert public["object_refs"] == [tool["id"]]


class TestWhateverItSays:
    """A revocation is not judged by what it says: it shares nothing."""

    def test_of_what_has_become_the_partners_own_term(self, hub):
        sent = indicator("evil.top", **OLD)
        hub.push(sent)
        acme = hub.store.accounts.find_partner("acme")
        hub.store.accounts.update_partner(replace(acme, terms=(*acme.terms, "evil.top")))
        assert verdicts(hub, revoked(sent)) == ["admitted"]
        assert shown(hub) == {"evil.top": None}

    @pytest.mark.parametrize(
        "more",
        [{"object_marking_refs": [RED]}, {"pattern": "[broken"}, {"description": 5}],
    )
    def test_of_what_would_not_be_taken_any_more(self, hub, more):
        sent = indicator("evil.top", **OLD)
        hub.push(sent)
        assert verdicts(hub, revoked(sent) | more) == ["admitted"]
        assert shown(hub) == {"evil.top": None}

    def test_of_a_relationship_whose_ends_are_not_to_be_seen(self, hub):
        ends = sdo("malware", name="m", is_family=True), sdo("tool", name="t")
        link = relationship(ends[0], "uses", ends[1])
        hub.push(*ends, link)
        other = relationship(sdo("malware"), "uses", ends[1], id=link["id"])
        assert verdicts(hub, revoked(other)) == ["admitted"]

    def test_the_status_says_what_became_of_it(self, hub):
        sent = indicator("evil.top", **OLD)
        hub.push(sent)
        [entry] = details(hub.push(revoked(sent)))
        assert entry["message"] == "your contribution is withdrawn"
