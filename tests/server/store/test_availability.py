"""A database that does not answer, or a disk that is nearly full: it is noticed, and nobody waits.

Submissions are refused before the disk is full, and a reserve is kept.
"""

import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure
from support.processes import free_port

from tocsin.admission.errors import Unavailable
from tocsin.server.processes.shared_folder import LocalNumbers
from tocsin.server.store import Store, availability
from tocsin.server.store.availability import (
    Availability,
    DiskSpace,
    measure_free_octets,
    release_reserve,
)

INTERNAL_ERROR = OperationFailure("internal server error", 1)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Availability]:
    """Of a database that nobody runs."""
    monkeypatch.setattr(availability, "_PROBE_SECONDS", 0.1)
    with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{free_port()}/") as client:
        yield Availability(client.tocsin)


def test_a_database_that_answers_is_available(store: Store) -> None:
    assert store.availability.probe()
    store.availability.check()


def test_that_the_clocks_agree_again_is_no_error(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faults = iter(["the clock is wrong", "the clock is wrong", ""])
    monkeypatch.setattr(availability, "find_clock_fault", lambda client: next(faults))
    for _ in range(3):
        store.availability.compare_clocks()
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("ERROR", "the clock is wrong"),
        ("WARNING", "the clocks of this machine and of the database agree again"),
    ]


def test_a_short_absence_is_waited_out(away: Availability) -> None:
    assert not away.probe()
    away.check()


def test_a_longer_absence_is_refused_at_once_until_it_answers(
    away: Availability, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "_PATIENCE_SECONDS", 0.0)
    assert not away.probe()
    with pytest.raises(Unavailable, match="cannot be reached"):
        away.check()
    away._base = store._base
    monkeypatch.setattr(availability, "_PROBE_SECONDS", 10.0)
    assert away.probe()
    away.check()


class TestAnError:
    def test_of_the_connection_is_an_outage(self, store: Store) -> None:
        assert store.availability.is_outage(AutoReconnect("down"))

    def test_of_a_full_disk_is_an_outage(self, store: Store) -> None:
        assert store.availability.is_outage(OperationFailure("no room", 14031))

    @pytest.mark.slow
    def test_inside_the_database_is_one_if_it_fails_at_everything(
        self, store: Store, away: Availability, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert away.is_outage(INTERNAL_ERROR)
        monkeypatch.setattr(availability, "_PROBE_SECONDS", 10.0)
        assert not store.availability.is_outage(INTERNAL_ERROR)

    def test_of_a_command_is_none(self, away: Availability) -> None:
        assert not away.is_outage(OperationFailure("unknown operator", 9))
        assert not away.is_outage(ValueError())


@pytest.mark.slow
def test_a_commit_does_not_wait_for_others_while_the_database_is_away(
    store: Store, away: Availability, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "_PATIENCE_SECONDS", 0.0)
    away.probe()
    store.availability = away
    refused: list[object] = []

    def commit() -> None:
        try:
            store.commit(lambda txn: None)
        except Unavailable as error:
            refused.append(error)

    with store._lock:  # of a commit that waits for the database
        other = threading.Thread(target=commit)
        other.start()
        other.join(20)
        assert refused


MIN_FREE = 160_000


class Disk:
    """A disk of which the test says how much is free."""

    free: int | None = 10 * MIN_FREE

    def measure(self, folder: Path) -> int | None:
        return self.free


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def space(tmp_path: Path, disk: Disk) -> DiskSpace:
    return DiskSpace(tmp_path, MIN_FREE, disk.measure)


class TestSubmissions:
    def test_are_refused_with_advice_when_too_little_is_free(
        self, space: DiskSpace, disk: Disk
    ) -> None:
        space.check_room()
        disk.free = MIN_FREE - 1
        with pytest.raises(Unavailable, match=r"no room .* nothing was stored") as refusal:
            space.check_room()
        assert refusal.value.seconds == 30

    def test_are_taken_again_when_some_more_is_free(self, space: DiskSpace, disk: Disk) -> None:
        disk.free = 0
        space.look()
        disk.free = MIN_FREE
        with pytest.raises(Unavailable):
            space.check_room()
        disk.free = MIN_FREE + MIN_FREE // 16
        space.check_room()

    def test_that_are_queued_are_admitted_until_half_of_it_is_used(
        self, space: DiskSpace, disk: Disk
    ) -> None:
        disk.free = MIN_FREE // 2
        assert space.has_room_for_work()
        disk.free = MIN_FREE // 2 - 1
        assert not space.has_room_for_work()

    def test_are_still_taken_when_no_copies_are_made_any_more(
        self, space: DiskSpace, disk: Disk
    ) -> None:
        disk.free = 2 * MIN_FREE
        assert space.has_room_for_copies(9 * MIN_FREE)
        disk.free = 2 * MIN_FREE - 1
        assert not space.has_room_for_copies(9 * MIN_FREE)
        space.check_room()

    def test_small_copies_are_made_as_long_as_there_is_room_for_submissions(
        self, space: DiskSpace, disk: Disk
    ) -> None:
        disk.free = MIN_FREE + 1000
        assert space.has_room_for_copies(1000)
        assert not space.has_room_for_copies(1001)

    @pytest.mark.parametrize("free", [0, None])
    def test_are_taken_where_nobody_looks_or_nothing_is_known(
        self, tmp_path: Path, disk: Disk, free: int | None
    ) -> None:
        disk.free = free
        DiskSpace(tmp_path, 0 if free == 0 else MIN_FREE, disk.measure).check_room()

    def test_each_change_is_logged_once(
        self, space: DiskSpace, disk: Disk, caplog: pytest.LogCaptureFixture
    ) -> None:
        for disk.free in (0, 0, 1, 10 * MIN_FREE, 10 * MIN_FREE):
            space.look()
        assert [(each.levelno, "Free space" in each.message) for each in caplog.records] == [
            (logging.ERROR, True),
            (logging.WARNING, False),
        ]

    def test_copies_that_are_refused_are_logged_once(
        self, space: DiskSpace, disk: Disk, caplog: pytest.LogCaptureFixture
    ) -> None:
        for disk.free in (3 * MIN_FREE, MIN_FREE, MIN_FREE, 3 * MIN_FREE, 3 * MIN_FREE):
            space.has_room_for_copies(1000)
        assert [(each.levelno, "free space on" in each.message) for each in caplog.records] == [
            (logging.WARNING, True),
            (logging.WARNING, False),
        ]

    def test_of_several_processes_one_logs_that_copies_are_refused(
        self, tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
    ) -> None:
        numbers, disk.free = LocalNumbers(), MIN_FREE
        for _ in range(2):
            DiskSpace(tmp_path, MIN_FREE, disk.measure, numbers).has_room_for_copies(1000)
        assert len(caplog.records) == 1


class TestTheReserve:
    def test_occupies_an_eighth_and_is_for_nobody_else(
        self, space: DiskSpace, tmp_path: Path
    ) -> None:
        space.keep_reserve()
        found = (tmp_path / "reserve").stat()
        assert (found.st_size, stat.S_IMODE(found.st_mode)) == (MIN_FREE // 8, 0o600)
        assert found.st_blocks * 512 >= MIN_FREE // 8

    def test_is_not_made_where_little_is_free(
        self, space: DiskSpace, disk: Disk, tmp_path: Path
    ) -> None:
        disk.free = MIN_FREE + MIN_FREE // 16
        space.keep_reserve()
        assert list(tmp_path.iterdir()) == []

    def test_is_given_up_only_if_less_than_it_is_free(self, tmp_path: Path) -> None:
        with (tmp_path / "reserve").open("wb") as reserve:
            reserve.truncate(1_000)
        assert release_reserve(tmp_path) == 0
        with (tmp_path / "reserve").open("wb") as reserve:  # sparse, so that the test may
            reserve.truncate((measure_free_octets(tmp_path) or 0) + (1 << 30))
        assert release_reserve(tmp_path) > 0
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_has_no_known_room(tmp_path: Path) -> None:
    assert measure_free_octets(tmp_path / "none") is None


def test_a_process_that_measured_before_another_one_says_nothing_after_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = LocalNumbers()
    measured = iter([MIN_FREE - 1, MIN_FREE - 1, 10 * MIN_FREE, 10 * MIN_FREE])
    first = DiskSpace(tmp_path, MIN_FREE, lambda folder: next(measured), numbers)
    first.look()
    first.look()
    late = iter([MIN_FREE - 1, 10 * MIN_FREE])
    second = DiskSpace(tmp_path, MIN_FREE, lambda folder: next(late), numbers)
    second.look()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
