"""Contributions that wait for what they refer to."""

from typing import Any

import pytest

from tocsin.admission.model import Tlp
from tocsin.server.model import ArrivedIds, PendingReferences
from tocsin.server.store import Store, public_objects

ARRIVED = ArrivedIds("acme", frozenset({"own"}), frozenset({"public"}))


@pytest.fixture
def waiting(store: Store) -> list[PendingReferences]:
    """Contributions that wait for what arrives, among others."""
    targets = {
        "acme": ["own", "public", "else"],
        "north": ["public", "own", "public"],  # it has an id of the same name
    }
    every = [
        PendingReferences(f"id{number}", partner, Tlp.GREEN, frozenset({target, "more"}))
        for partner, names in targets.items()
        for number, target in enumerate(names)
    ]
    store.commit(lambda txn: txn.put_pending_references(every))
    return sorted(
        (e for e in every if e.key not in ("id2|acme", "id1|north")), key=lambda each: each.key
    )


def find(store: Store, after: str, most: int) -> list[PendingReferences]:
    return store.commit(lambda txn: txn.find_pending_references(ARRIVED, after, most))


@pytest.mark.parametrize("most", [1, 2, 3, 9])
def test_they_are_found_in_portions(
    store: Store, waiting: list[PendingReferences], most: int
) -> None:
    found, after = list[PendingReferences](), ""
    while portion := find(store, after, most):
        assert len(portion) <= most
        found, after = [*found, *portion], portion[-1].key
    assert found == waiting


@pytest.mark.usefixtures("waiting")
def test_only_those_of_a_portion_are_read_as_a_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = public_objects._waiting_from_document
    keys: list[str] = []

    def note(document: dict[str, Any]) -> PendingReferences:
        keys.append(document["_id"])
        return read(document)

    monkeypatch.setattr(public_objects, "MAX_KEYS", 1)
    monkeypatch.setattr(public_objects, "_waiting_from_document", note)
    find(store, "", 1)
    assert len(keys) == 1
