"""A database that does not answer: it is noticed, and nobody waits long for it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure
from support.processes import free_port

from tocsin.admission.errors import Unavailable
from tocsin.server.store import Store, availability
from tocsin.server.store.availability import Availability

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
    assert away.probe()
    away.check()


class TestAnError:
    def test_of_the_connection_is_an_outage(self, store: Store) -> None:
        assert store.availability.is_outage(AutoReconnect("down"))

    def test_of_a_full_disk_is_an_outage(self, store: Store) -> None:
        assert store.availability.is_outage(OperationFailure("no room", 14031))

    def test_inside_the_database_is_one_if_it_fails_at_everything(
        self, store: Store, away: Availability
    ) -> None:
        assert away.is_outage(INTERNAL_ERROR)
        assert not store.availability.is_outage(INTERNAL_ERROR)

    def test_of_a_command_is_none(self, away: Availability) -> None:
        assert not away.is_outage(OperationFailure("unknown operator", 9))
        assert not away.is_outage(ValueError())


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
