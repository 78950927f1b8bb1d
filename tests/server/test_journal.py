"""Nothing in the journal can be altered unseen."""

from dataclasses import replace

import pytest

from tocsin.server.journal import (
    GENESIS,
    JournalEntry,
    with_hash,
    first_invalid_sequence,
)


@pytest.fixture
def chain() -> list[JournalEntry]:
    acts: list[JournalEntry] = []
    for i in range(1, 5):
        previous = acts[-1].hash if acts else GENESIS
        act = JournalEntry(i, 1_700_000_000_000_000 + i, "received", "acme", {"count": i}, previous)
        acts.append(with_hash(act))
    return acts


def test_a_chain_is_whole(chain):
    assert first_invalid_sequence(chain) is None


def test_a_chain_without_acts_is_whole():
    assert first_invalid_sequence([]) is None


@pytest.mark.parametrize(
    "change",
    [{"what": {"count": 9}}, {"who": "other"}, {"act": "deleted"}, {"at": 1}, {"hash": "0" * 64}],
)
def test_an_altered_act_is_found(chain, change):
    chain[2] = replace(chain[2], **change)
    assert first_invalid_sequence(chain) == 3


def test_an_act_that_was_altered_and_sealed_again_is_found_by_the_next_one(chain):
    chain[1] = with_hash(replace(chain[1], who="other"))
    assert first_invalid_sequence(chain) == 3


def test_a_missing_act_is_found(chain):
    assert first_invalid_sequence([*chain[:1], *chain[2:]]) == 2


def test_a_missing_beginning_is_found(chain):
    assert first_invalid_sequence(chain[1:]) == 1


def test_acts_in_another_order_are_found(chain):
    assert first_invalid_sequence([chain[0], chain[2], chain[1], chain[3]]) == 2


def test_a_part_is_verified_after_the_act_before_it(chain):
    assert first_invalid_sequence(chain[2:], after=chain[1]) is None
    assert first_invalid_sequence(chain[3:], after=chain[1]) == 3


def test_the_hash_does_not_depend_on_the_order_of_keys(chain):
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert with_hash(replace(chain[0], what=one)) == with_hash(replace(chain[0], what=other))
