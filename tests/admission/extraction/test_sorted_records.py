"""Records that are sorted on disk."""

import random
import tracemalloc

import pytest

from tocsin.admission.extraction.sorted_records import RecordSorter, SortedRuns


def make_records(count: int) -> list[bytes]:
    choose = random.Random(count)
    return [choose.randbytes(8) + number.to_bytes(4, "big") for number in range(count)]


@pytest.mark.parametrize("most_in_memory", [1, 10, 300, 5_000])
@pytest.mark.parametrize("count", [0, 1, 2_000])
def test_records_come_back_in_order(count: int, most_in_memory: int) -> None:
    records, sorter = make_records(count), RecordSorter(12, most_in_memory)
    for each in records:
        sorter.add(each)
    assert [list(sorter) for _ in range(2)] == [sorted(records)] * 2


def test_a_record_is_found_by_its_beginning_in_any_run() -> None:
    records, runs = make_records(2_000), SortedRuns(12)
    for start in range(0, 2_000, 100):
        runs.add(sorted(records[start : start + 100]))
    assert [runs.find(each[:8]) for each in records] == [each[8:] for each in records]
    assert runs.find(bytes(8)) is runs.find(b"\xff" * 8) is None


def test_a_beginning_between_two_records_is_not_found() -> None:
    runs = SortedRuns(10)
    runs.add([b"aaaaaaaabb", b"aaaaaabbbb", b"bbbbbbbbbb"])
    assert runs.find(b"aaaaaabb") == b"bb"
    assert runs.find(b"bbaaaaaa") is None


@pytest.mark.slow
def test_records_on_disk_take_hardly_any_memory() -> None:
    sorter = RecordSorter(12, 100)
    tracemalloc.start()
    for number in range(20_000):
        sorter.add(number.to_bytes(12, "little"))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 150_000
