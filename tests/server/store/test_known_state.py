"""A commit does not read again what the one before it has left, unless another came between."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.databases import open_again
from support.feed_postings import EVERY, posting
from support.hub import HubInProcess, indicator
from support.wire_proxy import WireProxy

from tocsin.admission.errors import NotFound
from tocsin.server.model import Exclusion
from tocsin.server.store import Store, Transaction

EXCLUDED = Exclusion("ipv4-addr", "value", "192.0.2.1", "", 0)


@pytest.fixture
def far(far: Store, proxy: WireProxy) -> Store:
    """The store behind the proxy, after one commit that has published."""
    publish(far, 0)
    proxy.clear()
    return far


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """Another process of the same hub."""
    with open_again(store) as other:
        yield other


def publish(store: Store, number: int) -> tuple[int, int]:
    """Publish one object and write the journal; the revisions before."""

    def work(txn: Transaction) -> tuple[int, int]:
        revisions = txn.find_revisions()
        txn.publish("green", [posting(number)])
        txn.add_journal_entry("publish", "test", {"number": number})
        return revisions

    return store.commit(work)


def count_reads(proxy: WireProxy) -> int:
    return proxy.count("find", "heads") + proxy.count("find", "hub_state")


def is_whole(store: Store, count: int) -> bool:
    """True if a feed and the journal have this number of entries each, without a gap."""
    positions = [each.position for each in store.feeds.page("green", EVERY).entries]
    sequences = [each.sequence for each in store.journal.list_entries()]
    whole = list(range(1, count + 1))
    return positions == sequences == whole and store.journal.first_invalid_sequence() is None


def test_the_next_commit_reads_neither_heads_nor_revisions(far: Store, proxy: WireProxy) -> None:
    publish(far, 1)
    publish(far, 2)
    assert count_reads(proxy) == 0
    assert is_whole(far, 3)


def test_a_commit_of_another_process_is_seen_by_the_next(far: Store, other: Store) -> None:
    for number in range(1, 7):
        publish((far, other, other)[number % 3], number)
    assert is_whole(far, 7)


def test_a_commit_that_was_given_up_leaves_nothing_behind(far: Store) -> None:
    def give_up(txn: Transaction) -> None:
        txn.publish("green", [posting(1), posting(2)])
        txn.add_journal_entry("publish", "test", {})
        raise NotFound("given up")

    with pytest.raises(NotFound):
        far.commit(give_up)
    publish(far, 3)
    assert is_whole(far, 2)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["conflicts", "is lost", "is not confirmed"])
def test_a_commit_with_a_fault_leaves_what_is_true(
    far: Store, proxy: WireProxy, fault: str
) -> None:
    if fault == "conflicts":
        proxy.fail("bulkWrite", 112, "TransientTransactionError")
    else:
        proxy.close("commitTransaction", forwarded=fault == "is not confirmed")
    publish(far, 1)
    publish(far, 2)
    assert is_whole(far, 3)


def test_an_exclusion_of_another_process_changes_the_revision(far: Store, other: Store) -> None:
    before = publish(far, 1)
    other.commit(lambda txn: txn.exclusions.add(EXCLUDED))
    assert publish(far, 2) != before


def test_an_exclusion_of_the_same_commit_changes_the_revision(far: Store) -> None:
    before = publish(far, 1)

    def exclude(txn: Transaction) -> tuple[int, int]:
        txn.exclusions.add(EXCLUDED)
        return txn.find_revisions()

    assert far.commit(exclude) != before


def test_an_exclusion_of_the_commit_before_changes_the_revision(far: Store) -> None:
    def exclude(txn: Transaction) -> tuple[int, int]:
        before = txn.find_revisions()
        txn.exclusions.add(EXCLUDED)
        return before

    assert far.commit(exclude) != publish(far, 2)


def test_a_partner_changed_outside_of_a_commit_changes_the_revision(store: Store) -> None:
    hub = HubInProcess(store)
    hub.push(indicator("one.top"))
    before = store.commit(lambda txn: txn.find_revisions())
    partner = store.accounts.require_partner("north")
    store.accounts.update_partner(partner)
    assert store.commit(lambda txn: txn.find_revisions()) != before
