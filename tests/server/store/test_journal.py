"""The journal: any altered, missing or reordered entry breaks its chain of hashes."""

from dataclasses import replace
from typing import Any

import pytest

from tocsin.server.store.journal import GENESIS, JournalEntry, first_invalid_sequence, with_hash


@pytest.fixture
def chain() -> list[JournalEntry]:
    entries: list[JournalEntry] = []
    for i in range(1, 5):
        previous = entries[-1].hash if entries else GENESIS
        at = 1_700_000_000_000_000 + i
        entries.append(with_hash(JournalEntry(i, at, "received", "acme", {"count": i}, previous)))
    return entries


def test_an_untouched_chain_is_valid(chain: list[JournalEntry]) -> None:
    assert first_invalid_sequence(chain) is None


def test_an_empty_chain_is_valid() -> None:
    assert first_invalid_sequence([]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"details": {"count": 9}},
        {"actor": "other"},
        {"action": "deleted"},
        {"at": 1},
        {"hash": "0" * 64},
    ],
)
def test_an_altered_entry_is_found(chain: list[JournalEntry], change: Any) -> None:
    chain[2] = replace(chain[2], **change)
    assert first_invalid_sequence(chain) == 3


def test_an_altered_entry_with_a_new_hash_breaks_the_chain_at_the_next_entry(
    chain: list[JournalEntry],
) -> None:
    chain[1] = with_hash(replace(chain[1], actor="other"))
    assert first_invalid_sequence(chain) == 3


def test_a_missing_entry_is_found(chain: list[JournalEntry]) -> None:
    assert first_invalid_sequence([*chain[:1], *chain[2:]]) == 2


def test_a_missing_first_entry_is_found(chain: list[JournalEntry]) -> None:
    assert first_invalid_sequence(chain[1:]) == 1


def test_reordered_entries_are_found(chain: list[JournalEntry]) -> None:
    assert first_invalid_sequence([chain[0], chain[2], chain[1], chain[3]]) == 2


def test_part_of_a_chain_is_verified_against_the_entry_before_it(chain: list[JournalEntry]) -> None:
    assert first_invalid_sequence(chain[2:], after=(2, chain[1].hash)) is None
    assert first_invalid_sequence(chain[3:], after=(2, chain[1].hash)) == 3


def test_the_hash_does_not_depend_on_the_order_of_keys(chain: list[JournalEntry]) -> None:
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert with_hash(replace(chain[0], details=one)) == with_hash(replace(chain[0], details=other))
