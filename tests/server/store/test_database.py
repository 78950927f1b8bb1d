"""The store keeps what a transaction writes, all of it or nothing."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure
from support.databases import open_again
from support.presence import present
from support.stored_values import public, review

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.server.model import (
    Collection,
    CollectionKind,
    FeedHead,
    NewEntry,
    Partner,
    PublishOutcome,
    Query,
    Record,
    Submission,
)
from tocsin.server.store import Store, Transaction, TransactionTooLarge, commits
from tocsin.server.store.commits import CommitNumber
from tocsin.server.store.journal import first_invalid_sequence

HOLDING = """
import sys, time
from tocsin.server.model import NewEntry
from tocsin.server.processes.shared_folder import Process
from tocsin.server.store import Store
uri, name, feed = sys.argv[1:]
store = Store.connect(uri, name=name, process=Process("killed"))
[waiting] = store.submissions.list_open(60)
assert store.submissions.lease(waiting, store.process, 600)
def work(txn):
    txn.publish(feed, [NewEntry("indicator--1", "indicator", "2.1", "", b"{}", b"0" * 16)])
    print("has the clock", flush=True)
    time.sleep(100)
store.commit(work)
"""
FEED = Collection("6f9d0f2e-6d1c-4c3f-9d1a-0c8d4f1b7a11", "green", CollectionKind.FEED, "Green")


@pytest.fixture
def holding(store: Store, engine_uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has leased a submission, and is in a transaction."""
    store.submissions.receive(submission())
    command = [sys.executable, "-c", HOLDING, engine_uri, store._base.name, FEED.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"has the clock\n"
        yield process
        process.kill()
    store.forget_process("killed")


def submission(number: int = 1, total: int = 3, raw: bytes = b"raw") -> Submission:
    id = str(uuid.UUID(int=number))
    return Submission(id, "acme-bot", "acme", FEED.id, received=number, total=total, raw=raw)


def records(*verdicts: str, start: int = 0) -> list[Record]:
    return [
        Record(i, verdict, f"indicator--{i}", "v", f"public--{i}", ({"rule": "schema"},))
        for i, verdict in enumerate(verdicts, start)
    ]


def posting(number: int) -> NewEntry:
    id = f"indicator--{uuid.UUID(int=number)}"
    return NewEntry(id, "indicator", "2.1", "2024-01-01T00:00:00.000Z", b"{}", b"d" * 16)


@contextmanager
def standalone_server(folder: Path) -> Iterator[str]:
    """A database server that is no replica set."""
    if importlib.util.find_spec("secantus") is None:
        pytest.skip("the embedded engine is not installed")
    command = [sys.executable, "-m", "secantus", "--standalone", "--port", "0"]
    with subprocess.Popen(
        [*command, "--storage-path", str(folder / "db")], stderr=subprocess.PIPE, text=True
    ) as server:
        said = next(line for line in present(server.stderr) if "listening on" in line)
        yield f"mongodb://{said.split()[-1]}/"
        server.kill()


class TestConnecting:
    def test_a_database_that_is_not_there_is_unavailable(self) -> None:
        with pytest.raises(Unavailable, match="cannot reach MongoDB"):
            Store.connect("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300")

    def test_an_embedded_engine_that_is_not_there_is_not_called_mongodb(self) -> None:
        uri = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300&directConnection=true"
        with pytest.raises(Unavailable, match="cannot reach the hub's database engine"):
            Store.connect(f"{uri}&retryWrites=false")

    def test_a_uri_that_is_none_is_unavailable(self) -> None:
        with pytest.raises(Unavailable, match="not a usable mongodb:// URI"):
            Store.connect("http://localhost/")

    def test_a_wrong_password_is_unavailable(self, engine_uri: str) -> None:
        wrong = engine_uri.replace("tocsin:", "tocsin:x")
        if wrong == engine_uri:
            pytest.skip("the server of this run needs no password")
        with pytest.raises(Unavailable, match="user or password"):
            Store.connect(wrong)

    @pytest.mark.slow
    def test_for_a_server_without_a_replica_set_the_message_says_how_to_make_one(
        self, tmp_path: Path
    ) -> None:
        with (
            standalone_server(tmp_path) as uri,
            pytest.raises(Unavailable, match=r"--replSet .* rs\.initiate\(\)"),
        ):
            Store.connect(uri)

    def test_preparing_twice_does_no_harm(self, store: Store) -> None:
        store.accounts.add_partner(Partner("acme", "ACME"))
        store.prepare()
        assert store.accounts.list_partners() == [Partner("acme", "ACME")]

    @pytest.mark.slow
    def test_several_hubs_may_prepare_one_database_at_once(self, engine_uri: str) -> None:
        name = f"test_{uuid.uuid4().hex}"
        with ThreadPoolExecutor() as pool:
            stores = [Store.connect(engine_uri, name=name) for _ in range(4)]
            list(pool.map(Store.prepare, stores))
        for hub in stores:
            hub.commit(lambda txn: txn.add_journal_entry("started", "test", {}))
        assert len(stores[0].journal.list_entries()) == 4
        stores[0]._client.drop_database(name)
        for hub in stores:
            hub.close()

    def test_the_secrets_of_the_first_hub_stay(self, store: Store) -> None:
        store.check_secrets("one")
        store.check_secrets("one")
        with pytest.raises(Unavailable, match="belongs to a hub with other secrets"):
            store.check_secrets("two")


class TestCommitting:
    @pytest.fixture(autouse=True)
    def feed(self, store: Store) -> None:
        store.feeds.add(FEED)

    def test_what_the_work_returns_is_returned(self, store: Store) -> None:
        assert store.commit(lambda txn: 42) == 42

    def test_nothing_is_kept_of_work_that_fails(self, store: Store) -> None:
        store.submissions.receive(submission())

        def work(txn: Transaction) -> None:
            txn.publish(FEED.id, [posting(1)])
            txn.put_public_objects([public(1, "acme")])
            txn.add_public_ids("acme", "s", {"a": "b"})
            txn.settle(submission().id, records("admitted"), total=3, settled=0)
            txn.reviews.add([review()])
            txn.add_journal_entry("admit", "acme", {})
            txn.finish(CommitNumber(store.process, 1))
            raise RuntimeError("struck by lightning")

        with pytest.raises(RuntimeError, match="lightning"):
            store.commit(work)
        assert store.feeds.head(FEED.id) == FeedHead()
        assert not store.feeds.knows(FEED.id, posting(1).id)
        assert store.commit(lambda txn: txn.public_objects(["public--1"])) == {}
        assert store.commit(lambda txn: txn.find_public_ids("acme", ["a"])) == {}
        assert store.submissions.find(submission().id) == submission()
        assert store.submissions.records(submission().id) == []
        assert store.reviews.list_waiting() == []
        assert store.journal.last_entry() is None

    def test_work_reads_what_it_has_written(self, store: Store) -> None:
        def work(txn: Transaction) -> list[PublishOutcome]:
            txn.put_public_objects([public(1, "acme")])
            assert txn.public_objects(["public--1"]) == {"public--1": public(1, "acme")}
            return txn.publish(FEED.id, [posting(1)]) + txn.publish(FEED.id, [posting(1)])

        assert store.commit(work) == [PublishOutcome.STORED, PublishOutcome.KNOWN]

    @pytest.mark.slow  # on the embedded engine the other waits a minute
    def test_of_two_hubs_that_write_at_once_one_tries_again(
        self, store: Store, engine_uri: str
    ) -> None:
        other = Store.connect(engine_uri, name=store._base.name)
        begun: list[Future[object]] = []

        def work(txn: Transaction) -> None:
            begun.append(pool.submit(other.commit, lambda theirs: publish(theirs, 2)))
            time.sleep(0.3)  # the other one meets the clock, which this one has
            assert not begun[0].done()
            publish(txn, 1)

        def publish(txn: Transaction, number: int) -> None:
            txn.publish(FEED.id, [posting(number)])

        with ThreadPoolExecutor(1) as pool:
            store.commit(work)
            begun[0].result()
        other.close()
        assert len(begun) == 1
        ids = [entry.id for entry in store.feeds.page(FEED.id, Query()).entries]
        assert ids == [posting(1).id, posting(2).id]

    def test_what_a_killed_process_has_begun_can_be_forgotten(
        self, store: Store, holding: subprocess.Popen[bytes]
    ) -> None:
        holding.kill()
        holding.wait()
        began = time.monotonic()
        store.forget_process("killed")
        store.commit(lambda txn: txn.publish(FEED.id, [posting(2)]))
        assert time.monotonic() - began < 20  # the database itself would take a minute
        assert [e.id for e in store.feeds.page(FEED.id, Query()).entries] == [posting(2).id]
        assert lease_next(store, "another", 600) == submission()

    @pytest.mark.slow
    def test_nobody_waits_long_for_the_transaction_of_a_killed_process(
        self, store: Store, holding: subprocess.Popen[bytes]
    ) -> None:
        holding.kill()
        holding.wait()
        began = time.monotonic()
        store.commit(lambda txn: txn.publish(FEED.id, [posting(2)]))
        assert time.monotonic() - began < 30  # the database itself would take a minute
        assert [e.id for e in store.feeds.page(FEED.id, Query()).entries] == [posting(2).id]

    def test_all_killed_processes_of_a_machine_can_be_forgotten(
        self, store: Store, holding: subprocess.Popen[bytes]
    ) -> None:
        store.forget_killed()
        assert lease_next(store, "another", 600) is None  # it lives
        holding.kill()
        holding.wait()
        store.forget_killed()
        assert lease_next(store, "another", 600) == submission()
        assert store._commits.find_killed() == []

    def test_a_process_is_found_also_if_it_was_killed_before_its_first_commit(
        self, store: Store, engine_uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Store.connect(engine_uri, name=store._base.name)
        other.forget_killed()
        store.submissions.receive(submission())
        assert lease_next(other, other.process, 60) == submission()
        monkeypatch.setattr(commits, "has_ended", lambda mark: True)
        store.forget_killed()
        assert lease_next(store, store.process, 60) == submission()
        other.close()

    def test_a_store_that_is_closed_leaves_nothing(self, store: Store, engine_uri: str) -> None:
        before = store._base.clock.count_documents({})
        other = Store.connect(engine_uri, name=store._base.name)
        other.commit(lambda txn: txn.publish(FEED.id, [posting(2)]))
        assert store._base.clock.count_documents({}) == before + 1
        other.close()
        assert store._base.clock.count_documents({}) == before

    def test_leases_end_also_where_transactions_of_others_may_not_be_ended(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(process: str) -> None:
            raise OperationFailure("not authorized", 13)

        monkeypatch.setattr(store._commits, "end_transaction_of", refuse)
        store.submissions.receive(submission())
        assert lease_next(store, "killed", 60) == submission()
        assert lease_next(store, "another", 60) is None
        store.forget_process("killed")
        assert lease_next(store, "another", 60) == submission()

    def test_threads_take_turns(self, store: Store) -> None:
        def work(number: int) -> None:
            store.commit(lambda txn: txn.add_journal_entry("turn", "test", {"number": number}))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        acts = store.journal.list_entries()
        assert sorted(int(str(act.details["number"])) for act in acts) == list(range(8))
        assert first_invalid_sequence(acts) is None


class TestPortions:
    def test_each_item_is_committed_once_in_order(self, store: Store) -> None:
        def read(txn: Transaction, portion: Sequence[int]) -> list[int]:
            return list(portion)

        assert list(store.commit_portions(range(5), 2, read)) == [[0, 1], [2, 3], [4]]

    @pytest.mark.skipif("TOCSIN_TEST_MONGO" in os.environ, reason="its cache is large enough")
    @pytest.mark.slow
    def test_what_the_database_finds_too_large_is_done_in_smaller_portions(
        self, store: Store
    ) -> None:
        """These documents, 7 MB each, take more than its cache has for one transaction."""
        done, text = list[int](), "x" * 7_000_000

        def write(txn: Transaction, portion: Sequence[int]) -> int:
            txn.put_public_objects([replace(public(n), scope=text) for n in portion])
            return len(portion)

        done += store.commit_portions(range(16), 16, write)
        assert sum(done) == 16 and 1 < len(done) < 16
        found = store.read(lambda known: known.public_objects([public(n).id for n in range(17)]))
        assert len(found) == 16

    @pytest.mark.slow
    @pytest.mark.skipif("TOCSIN_TEST_MONGO" in os.environ, reason="its cache is large enough")
    def test_one_item_that_is_too_large_is_an_error(self, store: Store) -> None:
        text = "x" * 7_000_000

        def write(txn: Transaction, portion: Sequence[int]) -> None:
            txn.put_public_objects([replace(public(n), scope=text) for n in range(20)])

        with pytest.raises(TransactionTooLarge):
            list(store.commit_portions([1], 9, write))
        assert not store.read(lambda known: known.public_objects([public(1).id]))


def lease_next(store: Store, owner: str, seconds: int) -> Submission | None:
    """Lease the oldest free submission."""
    for each in store.submissions.list_open(seconds):
        if each.is_free and (leased := store.submissions.lease(each, owner, seconds)):
            return leased
    return None


def settle(store: Store, settled: list[Record], id: str = "", total: int = 3) -> None:
    """Settle the next records of a submission, in order of index."""
    id, start = id or submission().id, settled[0].index
    store.commit(lambda txn: txn.settle(id, settled, total=total, settled=start))


class TestSubmissions:
    def test_are_kept_as_received(self, store: Store) -> None:
        store.submissions.receive(submission())
        assert store.submissions.find(submission().id) == submission()
        assert store.submissions.find(submission().id, raw=False) == submission(raw=b"")
        assert store.submissions.find("another") is None

    @pytest.mark.slow
    def test_may_be_longer_than_a_document(self, store: Store) -> None:
        long = submission(raw=bytes(range(256)) * 70_000)
        store.submissions.receive(long)
        found = store.submissions.find(long.id)
        assert hashlib.sha256(present(found).raw).digest() == hashlib.sha256(long.raw).digest()

    @pytest.mark.parametrize("raw", [b"", b"raw"])
    def test_are_not_received_twice(self, store: Store, raw: bytes) -> None:
        store.submissions.receive(submission(raw=raw))
        with pytest.raises(Conflict):
            store.submissions.receive(submission(raw=raw, total=9))
        assert present(store.submissions.find(submission().id)).total == 3

    def test_settling_counts_and_keeps_the_records(self, store: Store) -> None:
        store.submissions.receive(submission())
        first, rest = records("admitted", "held"), records("admitted", start=2)
        settle(store, first)
        halfway = store.submissions.find(submission().id)
        settle(store, rest)
        whole = store.submissions.find(submission().id)
        assert (present(halfway).settled, present(halfway).counts) == (
            2,
            {"admitted": 1, "held": 1},
        )
        assert (present(whole).settled, present(whole).counts) == (3, {"admitted": 2, "held": 1})
        assert store.submissions.records(submission().id) == first + rest

    @pytest.mark.parametrize("start", [0, 1, 3])
    def test_nothing_is_settled_twice_or_out_of_order(self, store: Store, start: int) -> None:
        store.submissions.receive(submission(total=9))
        settle(store, records("admitted", "held"), total=9)
        with pytest.raises(Conflict, match="is 2"):
            settle(store, records("held", start=start), total=9)
        assert present(store.submissions.find(submission().id)).counts == {"admitted": 1, "held": 1}

    def test_no_more_is_settled_than_was_received(self, store: Store) -> None:
        store.submissions.receive(submission(total=1))
        with pytest.raises(Conflict, match="only 1"):
            settle(store, records("held", "held"), total=1)

    def test_amending_moves_the_counts(self, store: Store) -> None:
        store.submissions.receive(submission())
        for record in records("held", "held", "refused"):
            settle(store, [record])
        changed = replace(records("held", "admitted")[1], public_id="public--9")
        store.commit(lambda txn: txn.submissions.replace_record(submission().id, changed))
        assert present(store.submissions.find(submission().id)).counts == {
            "admitted": 1,
            "held": 1,
            "refused": 1,
        }
        assert store.submissions.records(submission().id)[1] == changed

    def test_what_was_not_settled_cannot_be_amended(self, store: Store) -> None:
        store.submissions.receive(submission())
        with pytest.raises(NotFound):
            store.commit(
                lambda txn: txn.submissions.replace_record(submission().id, records("held")[0])
            )
        with pytest.raises(NotFound):
            settle(store, records("held"), id="another")


class TestLeases:
    @pytest.fixture
    def clock(self, store: Store) -> Iterator[list[int]]:
        """The time, in µs, that `self.store` believes in."""
        now = [1_000_000_000]
        with open_again(store, lambda: now[0]) as self.store:
            yield now

    def test_the_oldest_comes_first_and_nobody_gets_it_twice(self, clock: list[int]) -> None:
        for number in (2, 1, 3):
            self.store.submissions.receive(submission(number))
        leased = [lease_next(self.store, f"worker-{i}", 60) for i in range(4)]
        assert leased == [submission(1), submission(2), submission(3), None]

    def test_one_that_has_run_out_is_free_again(self, clock: list[int]) -> None:
        self.store.submissions.receive(submission())
        assert lease_next(self.store, "one", 60)
        clock[0] += 59_999_999
        assert lease_next(self.store, "two", 60) is None
        clock[0] += 1
        assert lease_next(self.store, "two", 60) == submission()

    def test_one_that_was_given_before_the_clock_stepped_far_back_is_free_again(
        self, clock: list[int]
    ) -> None:
        self.store.submissions.receive(submission(), owner="one", seconds=60)
        clock[0] -= 50_000_000
        assert lease_next(self.store, "two", 60) is None
        clock[0] -= 500_000_000
        assert lease_next(self.store, "two", 60) == submission()

    def test_one_that_was_given_back_is_free(self, clock: list[int]) -> None:
        self.store.submissions.receive(submission(), owner="one", seconds=60)
        self.store.submissions.release(submission().id, "two")
        assert lease_next(self.store, "two", 60) is None
        self.store.submissions.release(submission().id, "one")
        assert lease_next(self.store, "two", 60)

    def test_only_its_owner_can_renew_it(self, clock: list[int]) -> None:
        self.store.submissions.receive(submission(), owner="one", seconds=60)
        clock[0] += 50_000_000
        assert self.store.submissions.renew(submission().id, "one", 60, attempts=1)
        assert not self.store.submissions.renew(submission().id, "two", 60, attempts=1)
        clock[0] += 50_000_000
        assert lease_next(self.store, "two", 60) is None

    def test_what_is_settled_is_not_leased(self, clock: list[int]) -> None:
        self.store.submissions.receive(submission(total=2))
        settle(self.store, records("admitted"), total=2)
        assert present(lease_next(self.store, "one", 0)).settled == 1
        settle(self.store, records("held", start=1), total=2)
        assert lease_next(self.store, "one", 60) is None


class TestTheJournal:
    def test_chains_acts_across_commits(self, store: Store) -> None:
        def add_two(txn: Transaction) -> None:
            txn.add_journal_entry("one", "a", {"n": 1})
            txn.add_journal_entry("two", "b", {})

        store.commit(add_two)
        store.commit(
            lambda txn: txn.add_journal_entry("three", "c", {"deep": {"list": [1, None, "x"]}})
        )
        acts = store.journal.list_entries()
        assert [(act.sequence, act.action, act.actor) for act in acts] == [
            (1, "one", "a"),
            (2, "two", "b"),
            (3, "three", "c"),
        ]
        assert first_invalid_sequence(acts) is None
        assert store.journal.last_entry() == acts[-1]
        assert store.journal.list_entries(after=1, limit=1) == acts[1:2]

    def test_what_is_altered_in_the_database_is_found(self, store: Store) -> None:
        def add_five(txn: Transaction) -> None:
            for i in range(5):
                txn.add_journal_entry("act", "a", {"n": i})

        store.commit(add_five)
        store._base.journal.update_one({"_id": 3}, {"$set": {"who": "b"}})
        assert first_invalid_sequence(store.journal.list_entries()) == 3


def test_a_failure_of_the_database_is_not_hidden(store: Store) -> None:
    with pytest.raises(OperationFailure):
        store.commit(
            lambda txn: txn._base.entry_batches.find_one({"$nonsense": 1}, session=txn._session)
        )
