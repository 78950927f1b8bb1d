"""An errand that fails costs the question that it fails over, and nothing else."""

import pytest
from support.crash import work_later
from support.hub import (
    HubInProcess,
    indicator,
    relationship,
    sdo,
)

from tocsin.server.publishing.publisher import Publisher

ONE, OTHER = indicator("one.top"), sdo("malware", name="evil", is_family=False)
NAMES = ("indicates", "related-to")
BAD, GOOD = (relationship(ONE, name, OTHER) for name in NAMES)


@pytest.fixture
def hub(store):
    hub = HubInProcess(store)
    hub.push(ONE, BAD, GOOD, who="north")
    return hub


@pytest.fixture
def failing(monkeypatch):
    """The hub has a fault that one relationship meets, where it is admitted by itself."""
    settle = Publisher.settle

    def failed(self, txn, batch):
        if [each.source_id for each in batch.candidates] == [BAD["id"]]:
            raise ArithmeticError("a fault of the hub's")
        return settle(self, txn, batch)

    monkeypatch.setattr(Publisher, "settle", failed)


def names(hub):
    found = hub.feed("green")
    return {each["relationship_type"] for each in found if each["type"] == "relationship"}


@pytest.mark.usefixtures("failing")
def test_other_waiting_objects_are_admitted(hub):
    hub.push(OTHER, who="north")
    assert names(hub) == {"related-to"}


@pytest.mark.usefixtures("failing")
def test_a_failed_review_is_tried_again(hub, monkeypatch, engine_uri):
    hub.push(OTHER, who="north")
    monkeypatch.undo()
    work_later(hub, engine_uri)
    assert names(hub) == set(NAMES)
