"""Bad hours of a replica set, imitated by a proxy before the engine.

Whatever happens to a commit, its content is there once or not at all, and what the hub says
of it is true.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_preferences import ReadPreference
from support.feed_postings import EVERY, object_id, posting
from support.hub import HubInProcess, indicator
from support.wire_proxy import (
    Document,
    Fault,
    WireProxy,
    as_abort,
    as_commit,
    error_reply,
    with_write_concern_error,
)

from tocsin.admission.errors import Conflict, NotFound, Unavailable
from tocsin.server.model import Record, Submission
from tocsin.server.store import OutcomeUnknown, Store, Transaction, availability, commits, database
from tocsin.server.store import connection as connection_module
from tocsin.server.store.commits import MOST_OCTETS, BulkWriteSupport
from tocsin.server.store.connection import Base, is_outage_error
from tocsin.server.store.schema import try_transactions

pytestmark = pytest.mark.slow

TRANSIENT, UNKNOWN = "TransientTransactionError", "UnknownTransactionCommitResult"
ALWAYS = 1_000_000


@pytest.fixture
def far(far: Store, proxy: WireProxy) -> Store:
    """The store behind the proxy, after one commit that has published."""
    far.commit(lambda txn: txn.publish("green", [posting(0)]))
    proxy.clear()
    return far


def publish(number: int) -> Callable[[Transaction], None]:
    def work(txn: Transaction) -> None:
        txn.publish("green", [posting(number)])
        txn.add_journal_entry("publish", "test", {"number": number})

    return work


def published(store: Store) -> tuple[int, int]:
    """The numbers of entries and of journal entries since the feed's first."""
    page = store.feeds.page("green", EVERY)
    assert [each.position for each in page.entries] == list(range(1, len(page.entries) + 1))
    return len(page.entries) - 1, len(store.journal.list_entries())


def lose_replies(proxy: WireProxy) -> None:
    proxy.close("commitTransaction", times=3)


def lose_commits(proxy: WireProxy) -> None:
    proxy.close("commitTransaction", forwarded=False)
    proxy.fail("commitTransaction", 251, TRANSIENT)


def lose_a_reply_and_forget(proxy: WireProxy) -> None:
    """As a database does that ends after the commit, and then does not know the transaction."""
    proxy.close("commitTransaction")
    proxy.fail("commitTransaction", 251, TRANSIENT, forwarded=True)


def fail_to_replicate(code: int) -> Callable[[WireProxy], None]:
    def arrange(proxy: WireProxy) -> None:
        change = with_write_concern_error(code, UNKNOWN)
        proxy.change("commitTransaction", change, times=3)

    return arrange


def step_down(proxy: WireProxy) -> None:
    proxy.fail("commitTransaction", 91, "RetryableWriteError", UNKNOWN)


def lose_to_another(proxy: WireProxy) -> None:
    proxy.fail("commitTransaction", 251, TRANSIENT)


def lose_to_another_without_a_reason(proxy: WireProxy) -> None:
    """As the embedded engine does where two transactions have changed the same document."""
    proxy.fail("commitTransaction", 1, times=2)


def fail_inside_after_the_commit(proxy: WireProxy) -> None:
    proxy.fail("commitTransaction", 1, forwarded=True)


def take_too_long(proxy: WireProxy) -> None:
    proxy.fail("commitTransaction", 50, UNKNOWN, forwarded=True)


def lose_a_write(proxy: WireProxy) -> None:
    proxy.close("bulkWrite", forwarded=False)
    proxy.close("bulkWrite")


def conflict(proxy: WireProxy) -> None:
    proxy.fail("findAndModify", 112, TRANSIENT, times=4)
    reply = error_reply(112, TRANSIENT)
    proxy.add(Fault("bulkWrite", times=2, forwarded=False, change=lambda _: reply))


def conflict_in_an_operation(proxy: WireProxy) -> None:
    """As a server does that fails one operation of the command, not all of it."""
    error = {"idx": 0, "ok": 0.0, "n": 0, "code": 112, "errmsg": "write conflict"}
    cursor = {"id": 0, "ns": "admin.$cmd.bulkWrite", "firstBatch": [error]}
    reply = {"ok": 1.0, "nErrors": 1, "cursor": cursor}
    proxy.add(Fault("bulkWrite", times=2, forwarded=False, change=lambda _: reply))


@pytest.mark.parametrize(
    "arrange",
    [
        lose_replies,
        lose_commits,
        lose_a_reply_and_forget,
        fail_to_replicate(64),
        pytest.param(fail_to_replicate(91), marks=pytest.mark.slow),
        pytest.param(step_down, marks=pytest.mark.slow),  # the driver waits for another primary
        lose_to_another,
        lose_to_another_without_a_reason,
        fail_inside_after_the_commit,
        take_too_long,
        lose_a_write,
        conflict,
        conflict_in_an_operation,
    ],
)
def test_a_commit_with_a_fault_is_applied_once(
    far: Store, proxy: WireProxy, arrange: Callable[[WireProxy], None]
) -> None:
    arrange(proxy)
    far.commit(publish(1))
    assert all(fault.met == fault.times for fault in proxy.faults)
    assert published(far) == (1, 1)


@pytest.mark.slow  # it waits between its attempts
@pytest.mark.parametrize("command", ["findAndModify", "bulkWrite"])
def test_a_commit_that_conflicts_fifty_times_is_applied_once(
    far: Store, proxy: WireProxy, command: str
) -> None:
    proxy.fail(command, 112, TRANSIENT, times=50)
    far.commit(publish(1))
    assert proxy.attempts() == 51
    assert published(far) == (1, 1)


class TestOnAServerWithoutBulkWrite:
    @pytest.fixture(autouse=True)
    def older(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BulkWriteSupport, "is_there", lambda self, base: False)

    def test_a_commit_whose_writes_are_lost_is_applied_once(
        self, far: Store, proxy: WireProxy
    ) -> None:
        proxy.close("insert", forwarded=False)
        proxy.close("update")
        far.commit(publish(1))
        assert all(fault.met == fault.times for fault in proxy.faults)
        assert published(far) == (1, 1)
        assert not any(each.name == "bulkWrite" for each in proxy.commands)

    def test_what_is_settled_cannot_be_settled_again(self, far: Store) -> None:
        settle_twice(far)


def settle_twice(store: Store) -> None:
    """Settle a submission; a second time is refused and changes nothing."""
    sent = Submission("s", "acme", "acme", "green", received=1, total=1, raw=b"{}")
    store.submissions.receive(sent)
    store.commit(lambda txn: txn.settle("s", [Record(0, "admitted")], total=1, settled=0))
    before = store.submissions.records("s"), store.submissions.require("s")
    with pytest.raises(Conflict, match="the next record .* is 1"):
        store.commit(lambda txn: txn.settle("s", [Record(0, "refused")], total=1, settled=0))
    long = Record(0, "refused", findings=({"message": "x" * MOST_OCTETS},))
    with pytest.raises(Conflict, match="the next record .* is 1"):
        store.commit(lambda txn: txn.settle("s", [long], total=1, settled=0))
    assert (store.submissions.records("s"), store.submissions.require("s")) == before
    with pytest.raises(NotFound):
        store.commit(lambda txn: txn.settle("t", [Record(0, "refused")], total=1, settled=0))


def test_what_is_settled_cannot_be_settled_again(far: Store) -> None:
    settle_twice(far)


@pytest.mark.parametrize("code", [13, 59, 115, 40415])
def test_a_server_that_refuses_several_writes_in_one_command_gets_them_singly(
    far: Store, proxy: WireProxy, code: int
) -> None:
    proxy.fail("bulkWrite", code)
    with pytest.raises(Unavailable, match="singly: retry"):
        far.commit(publish(1))
    assert published(far) == (0, 0)
    far.commit(publish(1))
    assert published(far) == (1, 1)
    assert not any(each.name == "bulkWrite" for each in proxy.commands[-9:])


class TestACommitThatIsNotConfirmed:
    @pytest.fixture(autouse=True)
    def short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "COMMIT_SECONDS", 2.5)
        monkeypatch.setattr(commits, "_LAST_LOOK_SECONDS", 1.0)

    def test_is_found_out_by_a_last_look(
        self, far: Store, proxy: WireProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "COMMIT_SECONDS", 11.5)
        monkeypatch.setattr(commits, "_LAST_LOOK_SECONDS", 10.0)
        proxy.close("commitTransaction", times=ALWAYS)
        assert far.commit(lambda txn: publish(1)(txn)) is None
        assert published(far) == (1, 1)

    def test_is_said_to_be_unknown_if_that_fails_too(self, far: Store, proxy: WireProxy) -> None:
        proxy.close("commitTransaction", times=ALWAYS)
        proxy.add(Fault("find", "clock", times=ALWAYS, delay=3.0))
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="may or may not be done") as caught:
            far.commit(publish(1))
        assert time.monotonic() - began < 15.0
        assert far.availability.is_outage(caught.value)
        proxy.clear()
        assert published(far) == (1, 1)

    def test_is_not_said_to_be_unknown_if_nothing_can_be_kept(
        self, far: Store, proxy: WireProxy
    ) -> None:
        proxy.fail("commitTransaction", 251, TRANSIENT, times=ALWAYS)
        with pytest.raises(PyMongoError) as caught:
            far.commit(publish(1))
        assert far.availability.is_outage(caught.value)
        proxy.clear()
        assert published(far) == (0, 0)

    def test_a_database_that_says_nothing_is_waited_for_no_longer(
        self, far: Store, proxy: WireProxy
    ) -> None:
        began = time.monotonic()
        with proxy.silent(), pytest.raises(PyMongoError) as caught:
            far.commit(publish(1))
        assert time.monotonic() - began < 15.0
        assert far.availability.is_outage(caught.value)
        far.commit(publish(2))
        assert published(far) == (1, 1)

    def test_others_do_not_wait_for_their_turn_for_ever(self, far: Store) -> None:
        began = time.monotonic()
        with far._lock, pytest.raises(Unavailable, match="nothing was changed"):
            far.commit(publish(1))
        assert time.monotonic() - began < 15.0


class TestAHub:
    @pytest.fixture
    def hub(self, store: Store, proxy: WireProxy) -> Iterator[HubInProcess]:
        """A hub whose store is behind the proxy."""
        far = Store.connect(proxy.uri, name=store._base.name)
        hub = HubInProcess(far)
        assert hub.client  # the application is made before anything fails
        proxy.clear()
        yield hub
        far.close()

    def post(self, hub: HubInProcess, value: str = "evil.top") -> Any:
        body = {"objects": [indicator(value, seed=value)]}
        return hub.ask("collections/inbox/objects/", method="POST", json=body)

    def settle(self, hub: HubInProcess) -> list[Any]:
        while hub.services.intake.work():
            pass
        return [each for each in hub.feed("green") if each["type"] == "indicator"]

    @pytest.mark.parametrize("arrange", [lose_replies, fail_to_replicate(64), conflict])
    def test_answers_202_to_what_it_published_in_the_end(
        self, hub: HubInProcess, proxy: WireProxy, arrange: Callable[[WireProxy], None]
    ) -> None:
        arrange(proxy)
        assert self.post(hub).status_code == 202
        assert len(self.settle(hub)) == 1

    def test_answers_503_if_it_does_not_know_and_the_object_sent_again_is_there_once(
        self, hub: HubInProcess, proxy: WireProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "COMMIT_SECONDS", 2.5)
        monkeypatch.setattr(commits, "_LAST_LOOK_SECONDS", 1.0)
        proxy.close("commitTransaction", times=ALWAYS)
        proxy.add(Fault("find", "clock", times=ALWAYS, delay=3.0))
        answer = self.post(hub)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "may or may not be done" in answer.json["description"]
        proxy.clear()
        assert self.post(hub).status_code == 202
        assert len(self.settle(hub)) == 1

    @pytest.mark.parametrize("code", [43, 365, pytest.param(262, marks=pytest.mark.slow)])
    def test_answers_503_to_a_reader_whose_read_was_ended(
        self, hub: HubInProcess, proxy: WireProxy, code: int
    ) -> None:
        proxy.fail("find", code, times=ALWAYS)
        assert hub.ask("collections/green/objects/").status_code == 503
        proxy.clear()
        assert hub.ask("collections/green/objects/").status_code == 200

    def test_answers_500_to_what_the_database_does_not_understand(
        self, hub: HubInProcess, proxy: WireProxy
    ) -> None:
        proxy.fail("find", 9, times=ALWAYS)
        assert hub.ask("collections/green/objects/").status_code == 500

    @pytest.mark.slow  # the driver waits for another primary
    def test_waits_out_a_change_of_primary(self, hub: HubInProcess, proxy: WireProxy) -> None:
        proxy.fail("find", 11600, "RetryableWriteError")
        assert hub.ask("collections/green/objects/").status_code == 200
        proxy.fail("insert", 24)
        assert self.post(hub).status_code == 503
        assert self.post(hub).status_code == 202
        assert len(self.settle(hub)) == 1

    @pytest.mark.slow  # it waits as long as readers and writers wait
    def test_answers_503_in_time_while_the_primary_says_nothing(
        self, hub: HubInProcess, proxy: WireProxy
    ) -> None:
        def read() -> int:
            return int(hub.ask("collections/green/objects/").status_code)

        def write() -> int:
            return int(self.post(hub).status_code)

        found: list[tuple[int, float]] = []

        def time_one(request: Callable[[], int]) -> None:
            began = time.monotonic()
            found.append((request(), time.monotonic() - began))

        with proxy.silent():
            threads = [threading.Thread(target=time_one, args=(each,)) for each in (read, write)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [status for status, _ in found] == [503, 503]
        assert max(seconds for _, seconds in found) < 80.0
        assert self.post(hub).status_code == 202
        assert len(self.settle(hub)) == 1


@pytest.mark.slow  # a stream of others, for a while
def test_a_long_batch_is_not_starved_by_a_stream_of_small_posts(
    far: Store, proxy: WireProxy
) -> None:
    other = Store.connect(proxy.uri, name=far._base.name)
    stop, ahead = threading.Event(), threading.Event()
    small: list[int] = []

    def stream() -> None:
        while not stop.is_set():
            small.append(len(small))
            other.commit(lambda txn: txn.publish("green", [posting(100 + small[-1])]))
            if len(small) > 3:
                ahead.set()

    attempts: list[int] = []

    def batch(txn: Transaction) -> None:
        attempts.append(1)
        txn.find_revisions()
        time.sleep(0.3)
        publish(1)(txn)

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        assert ahead.wait(60)
        far.commit(batch)
    finally:
        stop.set()
        thread.join()
        other.close()
    assert len(attempts) <= 10
    assert published(far) == (len(small) + 1, 1)


def test_the_clock_is_the_first_thing_that_a_commit_takes(far: Store, proxy: WireProxy) -> None:
    far.commit(publish(1))
    first = next(each for each in proxy.commands if each.begins_transaction)
    assert (first.name, first.target) == ("findAndModify", "clock")
    far.commit(lambda txn: txn.add_journal_entry("act", "test", {}))
    begun = [each.target for each in proxy.commands if each.begins_transaction]
    assert begun == ["clock", "clock"]


class TestReads:
    @pytest.mark.parametrize("preference", ["secondaryPreferred", "nearest"])
    def test_go_to_the_primary_whatever_the_uri_says(
        self, far: Store, proxy: WireProxy, preference: str
    ) -> None:
        uri = f"{proxy.uri}&readPreference={preference}"
        store = Store.connect(uri, name=far._base.name)
        proxy.clear()
        store.prepare()
        store.commit(publish(1))
        store.feeds.page("green", EVERY)
        store.feeds.collections()
        store.read(lambda snapshot: snapshot.public_objects(["public--1"]))
        store.submissions.list_open(60)
        store.packing.pack_next()
        store.close()
        reads = [each for each in proxy.commands if each.name in ("find", "aggregate", "getMore")]
        modes = {each.document.get("$readPreference", {}).get("mode") for each in reads}
        assert len(reads) > 10
        assert modes <= {None, "primary", "primaryPreferred"}  # the last: directConnection
        # The driver itself sends that instead of any other preference over a direct connection.
        assert store._base.read_preference == ReadPreference.PRIMARY

    def test_of_a_page_are_causally_ordered_at_no_further_command(
        self, far: Store, proxy: WireProxy
    ) -> None:
        far.feeds.page("green", EVERY)
        proxy.clear()
        far.feeds.page("green", EVERY)
        finds = proxy.commands
        assert {each.name for each in finds} == {"find"}
        assert len({bytes(each.document["lsid"]["id"]) for each in finds}) == 1
        after = [each.document["readConcern"].get("afterClusterTime") for each in finds]
        assert all(after[1:])


class TestContents:
    SECRET = "what-acme-reported"

    def fail_with_contents(self, proxy: WireProxy, code: int) -> None:
        quoted = f"cannot do {{ x: '{self.SECRET}' }}"
        error = {"index": 0, "code": code, "errmsg": quoted, "errInfo": {"x": self.SECRET}}
        proxy.change("insert", lambda reply: reply | {"n": 0, "writeErrors": [error]})
        cursor = {
            "id": 0,
            "ns": "admin.$cmd.bulkWrite",
            "firstBatch": [error | {"idx": 0, "ok": 0}],
        }
        proxy.change("bulkWrite", lambda reply: reply | {"nErrors": 1, "cursor": cursor})

    @pytest.mark.parametrize("together", [True, False])
    def test_of_a_bulk_write_are_in_no_log(
        self,
        far: Store,
        proxy: WireProxy,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        together: bool,
    ) -> None:
        monkeypatch.setattr(BulkWriteSupport, "is_there", lambda self, base: together)
        self.fail_with_contents(proxy, 2)
        try:
            far.commit(lambda txn: txn.publish("green", [posting(1, body=self.SECRET)]))
        except PyMongoError:
            logging.getLogger("test").exception("failed")
        assert "cannot do (code 2)" in caplog.text
        assert self.SECRET not in caplog.text
        assert object_id(1) not in caplog.text

    @pytest.mark.parametrize(("command", "times"), [("insert", 1), ("update", 2_000)])
    def test_of_a_submission_are_in_no_log(
        self,
        far: Store,
        proxy: WireProxy,
        caplog: pytest.LogCaptureFixture,
        command: str,
        times: int,
    ) -> None:
        raw = self.SECRET.encode() * times  # a long one is stored in pieces
        sent = Submission("s", "acme", "acme", "green", received=1, total=1, raw=raw)
        error = {"index": 0, "code": 2, "errmsg": "no"}
        proxy.change(command, lambda reply: reply | {"n": 0, "writeErrors": [error]})
        try:
            far.submissions.receive(sent)
        except PyMongoError:
            logging.getLogger("test").exception("failed")
        assert "no (code 2)" in caplog.text
        assert self.SECRET not in caplog.text

    def test_that_a_server_quotes_are_in_no_log(
        self, far: Store, proxy: WireProxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        reply = error_reply(2, message=f"bad value: '{self.SECRET}'")
        proxy.add(Fault("find", "id_index", forwarded=False, change=lambda _: reply))
        try:
            far.commit(publish(1))
        except PyMongoError:
            logging.getLogger("test").exception("failed")
        assert "bad value: (code 2)" in caplog.text
        assert self.SECRET not in caplog.text


def moved(**span: float) -> Callable[[Document], Document]:
    """A change of a server's greeting: its clock is so much later."""
    return lambda reply: reply | {"localTime": reply["localTime"] + timedelta(**span)}


class TestStarting:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"msg": "isdbgrid"}, "sharded cluster is not supported"),
            ({"maxWireVersion": 13}, "older than 6.0"),
            ({"isWritablePrimary": False, "secondary": True}, "not the primary"),
            ({"setName": ""}, "without a replica set"),
        ],
    )
    def test_what_cannot_keep_the_promises_is_refused(
        self, proxy: WireProxy, change: Document, sentence: str
    ) -> None:
        proxy.change("hello", lambda reply: reply | change, times=ALWAYS)
        with pytest.raises(Unavailable, match=sentence):
            Store.connect(proxy.uri)

    @pytest.mark.parametrize(
        ("seconds", "way"), [(-12.0, "12 s ahead of"), (12.0, "12 s behind"), (86_400.0, "behind")]
    )
    def test_a_machine_with_another_clock_is_refused(
        self, proxy: WireProxy, seconds: float, way: str
    ) -> None:
        proxy.change("hello", moved(seconds=seconds), times=ALWAYS)
        with pytest.raises(Unavailable, match=way):
            Store.connect(proxy.uri)

    @pytest.mark.parametrize("seconds", [-4.0, 0.0, 4.0])
    def test_clocks_may_differ_a_little(self, proxy: WireProxy, seconds: float) -> None:
        proxy.change("hello", moved(seconds=seconds), times=ALWAYS)
        Store.connect(proxy.uri).close()

    def test_a_slow_answer_is_no_difference_of_clocks(self, proxy: WireProxy) -> None:
        proxy.delay("hello", 0.6, times=ALWAYS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection_module, "_MOST_SKEW_SECONDS", 0.2)
            Store.connect(proxy.uri).close()

    @pytest.mark.parametrize(
        "fault",
        [
            Fault("insert", "hub_state", forwarded=False, change=lambda _: error_reply(263)),
            Fault("abortTransaction", rewrite=as_commit),
            Fault("commitTransaction", rewrite=as_abort),
        ],
        ids=["none", "no going back", "nothing kept"],
    )
    def test_a_database_whose_transactions_are_none_is_refused(
        self, far: Store, proxy: WireProxy, fault: Fault
    ) -> None:
        base: Base = far._base
        base.schema.delete_one({"_id": "tried"})
        proxy.add(fault)
        with pytest.raises(Unavailable, match="does not do transactions over two collections"):
            far.prepare()
        assert fault.met == 1
        assert not list(base.hub_state.find({"_id": re.compile("trial")}))
        proxy.clear()
        far.prepare()

    def test_transactions_are_tried_once_for_each_version(
        self, far: Store, proxy: WireProxy
    ) -> None:
        try_transactions(far._base)
        proxy.clear()
        try_transactions(far._base)
        assert [each.name for each in proxy.commands] == ["buildinfo", "find"]


def test_nothing_is_published_while_the_clocks_differ(
    far: Store, proxy: WireProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "_CLOCK_SECONDS", 0.0)
    proxy.change("hello", moved(minutes=-1), times=ALWAYS)
    assert far.availability.probe()
    with pytest.raises(Unavailable, match="60 s ahead of"):
        far.commit(publish(1))
    assert published(far) == (0, 0)
    proxy.clear()
    far.availability.probe()
    far.commit(publish(1))
    assert published(far) == (1, 1)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OperationFailure("x", 91), True),
        (OperationFailure("x", 11600), True),
        (OperationFailure("x", 251, {"errorLabels": [TRANSIENT]}), True),
        (OperationFailure("x", 8_000, {"errorLabels": ["RetryableWriteError"]}), True),
        (OperationFailure("x", 2), False),
        (OperationFailure("x"), False),
    ],
)
def test_an_error_that_passes_differs_from_one_of_the_command(
    error: PyMongoError, expected: bool
) -> None:
    assert is_outage_error(error) is expected
