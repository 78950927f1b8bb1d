"""Where each value of a file came first."""

import os
import random
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from tocsin.admission.errors import Unavailable
from tocsin.admission.extraction.places import Places


def test_the_first_place_of_each_value_is_kept() -> None:
    places = Places()
    values = [f"[domain-name:value = 'host{number}.top']" for number in range(5_000)]
    assert {places.find_or_add(each, number) for number, each in enumerate(values)} == {None}
    assert [places.find_or_add(each, 9_999) for each in values] == list(range(5_000))
    assert len(places) == 5_000


@pytest.mark.parametrize("most_in_memory", [1, 7, 500, 20_000])
@pytest.mark.parametrize("first_capacity", [1, 1_000])
@pytest.mark.slow
def test_values_on_disk_are_known_like_those_in_memory(
    most_in_memory: int, first_capacity: int
) -> None:
    choose = random.Random(most_in_memory)
    places, expected = Places(most_in_memory, first_capacity), dict[str, int]()
    for place in range(10_000):
        value = f"host{choose.randrange(8_000)}.top"
        assert places.find_or_add(value, place) == expected.get(value)
        expected.setdefault(value, place)
    assert len(places) == len(expected)


@pytest.mark.slow
def test_further_values_take_hardly_any_memory() -> None:
    places = Places(most_in_memory=1_000, first_capacity=100_000)
    for number in range(1_000):
        places.find_or_add(str(number), number)
    tracemalloc.start()
    for number in range(1_000, 60_000):
        places.find_or_add(str(number), number)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 300_000


def test_the_files_have_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    places = Places(most_in_memory=1)
    assert [places.find_or_add(str(number), number) for number in range(3)] == [None] * 3
    assert os.listdir(tmp_path) == []


def test_values_that_find_no_room_are_an_error_that_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(Unavailable, match="more room in TMPDIR"):
        Places(most_in_memory=1).find_or_add("evil.top", 1)


def test_every_text_is_a_value() -> None:
    places = Places()
    assert [places.find_or_add(each, 7) for each in ("", "ü", "\ud800", "")] == [
        None,
        None,
        None,
        7,
    ]


def test_only_values_that_were_added_are_in_it() -> None:
    places = Places()
    for number in range(300):
        places.find_or_add(f"h{number}.top", 0)
    assert all(f"h{number}.top" in places for number in range(300))
    assert not any(f"h{number}.top" in places for number in range(300, 600))
