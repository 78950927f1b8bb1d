"""Ids that several candidates of a large file have."""

import random
from collections import Counter

import pytest

from tocsin.clients.repeated_ids import RepeatedIds


def test_no_position_is_found_where_all_ids_differ() -> None:
    ids = RepeatedIds(most_in_memory=4)
    for number in range(50):
        ids.add(f"indicator--{number}")
    found = ids.find()
    assert not found
    assert 0 not in found and 1_000 not in found


@pytest.mark.parametrize("most_in_memory", [1, 3, 100, 5_000])
def test_every_position_of_an_id_that_is_repeated_is_found(most_in_memory: int) -> None:
    choose = random.Random(most_in_memory)
    given = [f"indicator--{choose.randrange(4_000)}" for _ in range(2_000)]
    ids = RepeatedIds(most_in_memory)
    for each in given:
        ids.add(each)
    found, counts = ids.find(), Counter(given)
    assert [n for n in range(2_100) if n in found] == [
        n for n, each in enumerate(given) if counts[each] > 1
    ]
