"""What a partner revoked stays revoked when its older versions come again, from an export say."""

import pytest
from hub import indicator
from later import LATER
from test_several_ids import moved, revoked, shown

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


def test_what_was_revoked_before_it_was_ever_sent_is_not_held_against_it(hub, two):
    first, _ = two
    hub.push(revoked(first))
    assert verdicts(hub, first) == ["admitted"]
