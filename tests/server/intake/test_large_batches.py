"""A transaction settles a bounded number of objects and of octets."""

import pytest
from support.hub import HubInProcess, indicator, sdo

from tocsin.server.intake import admission
from tocsin.server.publishing import references
from tocsin.server.publishing.publisher import Batch, Publisher, Settlement
from tocsin.server.store import Store, Transaction, TransactionTooLarge


def large(name: str, octets: int) -> dict[str, object]:
    return indicator(f"{name}.top", description="rented " * (octets // 7))


@pytest.mark.parametrize(("collection", "action"), [("inbox", "admit"), ("scratch", "deposit")])
@pytest.mark.parametrize(("octets", "batches"), [(1, 5), (5_000, 3), (1_000_000, 1)])
def test_a_batch_is_bounded_in_octets(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    collection: str,
    action: str,
    octets: int,
    batches: int,
) -> None:
    monkeypatch.setattr(admission, "BATCH_OCTETS", octets)
    hub = HubInProcess(store)
    status = hub.push(*(large(f"host{n}", 2_000) for n in range(5)), to=collection)
    assert hub.verdicts(status) == ["admitted"] * 5
    assert [e.action for e in store.journal.entries()].count(action) == batches


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["inbox", "scratch"])
def test_the_largest_objects_fit_into_the_transactions_of_the_database(
    store: Store, collection: str
) -> None:
    hub = HubInProcess(store)
    status = hub.push(*(large(f"host{n}", 990_000) for n in range(10)), to=collection)
    assert hub.verdicts(status) == ["admitted"] * 10


def test_a_batch_that_is_too_large_with_what_it_is_merged_into_is_halved(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, settle, sizes = HubInProcess(store), Publisher.settle, list[int]()

    def refuse_many(publisher: Publisher, txn: Transaction, batch: Batch) -> Settlement:
        sizes.append(len(batch.candidates))
        if len(batch.candidates) > 2:
            raise TransactionTooLarge
        return settle(publisher, txn, batch)

    monkeypatch.setattr(Publisher, "settle", refuse_many)
    subject = indicator("host5.top")
    sighting = sdo("sighting", sighting_of_ref=subject["id"])
    status = hub.push(sighting, *(indicator(f"host{n}.top") for n in range(5)), subject)
    assert hub.verdicts(status) == ["admitted"] * 7
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    [seen] = [each for each in hub.feed("green") if "host5" in str(each.get("pattern"))]
    [statistics] = seen["extensions"].values()
    assert statistics["sightings"] == 1


def test_completing_what_waits_is_bounded_in_octets(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "PORTION_OCTETS", 5_000)
    monkeypatch.setattr(references, "_LOADED", 1)
    hub, one, missing = HubInProcess(store), indicator(), indicator("late.top")
    words = {"description": "rented " * 300, "published": "2026-01-01T00:00:00Z"}
    refs = [one["id"], missing["id"]]
    hub.push(one, *(sdo("report", name=f"R{n}", object_refs=refs, **words) for n in range(7)))
    commits = list[bool]()
    store.listeners.append(lambda: commits.append(True))
    hub.push(missing)
    listed = [each["object_refs"] for each in hub.feed("green") if each["type"] == "report"]
    assert [len(each) for each in listed] == [2] * 7
    assert len(commits) >= 3
