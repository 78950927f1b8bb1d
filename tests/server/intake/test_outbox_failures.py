"""A failing outbox task loses only the object at which it fails."""

from typing import Any

import pytest
from support.crash import work_later
from support.hub import HubInProcess, indicator, relationship, sdo

from tocsin.server.publishing.publisher import Publisher
from tocsin.server.store import Store

ONE, OTHER = indicator("one.top"), sdo("malware", name="evil", is_family=False)
NAMES = ("indicates", "related-to")
BAD, GOOD = (relationship(ONE, name, OTHER) for name in NAMES)


@pytest.fixture
def hub(store: Store) -> Any:
    hub = HubInProcess(store)
    hub.push(ONE, BAD, GOOD, who="north")
    return hub


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub has a fault that one relationship meets, where it is admitted by itself."""
    settle = Publisher.settle

    def failed(self: Any, txn: Any, batch: Any) -> Any:
        if [each.source_id for each in batch.candidates] == [BAD["id"]]:
            raise ArithmeticError("a fault of the hub's")
        return settle(self, txn, batch)

    monkeypatch.setattr(Publisher, "settle", failed)


def names(hub: Any) -> Any:
    found = hub.feed("green")
    return {each["relationship_type"] for each in found if each["type"] == "relationship"}


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
def test_other_waiting_objects_are_admitted(hub: Any) -> None:
    hub.push(OTHER, who="north")
    assert names(hub) == {"related-to"}


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
def test_a_failed_review_is_tried_again(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push(OTHER, who="north")
    monkeypatch.undo()
    work_later(hub)
    assert names(hub) == set(NAMES)
