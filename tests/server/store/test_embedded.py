"""The embedded engine: what it acknowledged stays, and it never outlives its hub."""

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import json
import logging
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from support.databases import CommandNames
from support.presence import present
from support.processes import is_running, make_data

from tocsin.admission.errors import Unavailable, Unprocessable
from tocsin.server.model import (
    Collection,
    CollectionKind,
    NewEntry,
    PublishOutcome,
    Query,
    Submission,
)
from tocsin.server.store import OutcomeUnknown, Store, Transaction, embedded
from tocsin.server.store.embedded import FILES_OF_A_HUB, Engine, database

pytestmark = pytest.mark.slow

if importlib.util.find_spec("secantus") is None:
    pytest.skip("the embedded engine is not installed", allow_module_level=True)

FEED = Collection("6f9d0f2e-6d1c-4c3f-9d1a-0c8d4f1b7a11", "green", CollectionKind.FEED, "Green")


FIRST_START = """
import sys
from pathlib import Path
from tocsin.server.store.embedded import Engine
Engine.start(Path(sys.argv[1]), print)
"""


def posting(number: int) -> NewEntry:
    id = f"indicator--{uuid.UUID(int=number)}"
    body = f'{{"id":"{id}"}}'.encode()
    digest = hashlib.sha256(body).digest()[:16]
    return NewEntry(id, "indicator", "2.1", "2024-01-01T00:00:00.000Z", body, digest)


def submission(number: int) -> Submission:
    return Submission(str(number), "bot", "acme", FEED.id, number, total=5, raw=b"raw")


def eventually(answer: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer():
            return True
        time.sleep(0.05)
    return False


def locked(data: Path) -> bool:
    with (data / "engine.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """The lines with level WARNING that engines write into the log."""
    lines, logger = [], logging.getLogger("tocsin.server.store.embedded")

    def note(record: logging.LogRecord) -> bool:
        lines.extend([record.getMessage()] * (record.levelno == logging.WARNING))
        return True

    logger.addFilter(note)
    yield lines
    logger.removeFilter(note)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which an engine ran and was stopped, with a hub's database."""
    data = tmp_path_factory.mktemp("original") / "hub"
    with database(data, print) as uri, contextlib.closing(Store.connect(uri)) as store:
        store.prepare()
        store.feeds.add(FEED)
    return data


@pytest.fixture
def used(original: Path, data: Path) -> Path:
    """A copy of `original` at `data`: a start there takes half the time of a first one."""
    return Path(shutil.copytree(original, data))


@pytest.fixture
def engine(used: Path) -> Iterator[Engine]:
    engine = Engine.start(used, print)
    engine.announce()
    yield engine
    engine.stop()


@pytest.fixture
def connect(engine: Engine) -> Iterator[Callable[[str], Store]]:
    """The store at a URI; closed before the engine is stopped."""
    with contextlib.ExitStack() as opened:

        def make(uri: str) -> Store:
            store = Store.connect(uri)
            opened.callback(store.close)
            return store

        yield make


class TestRoom:
    """Deletions make room, as the log of changes shows, which has 1,000 entries."""

    def write(self, uri: str) -> None:
        """Write 12 MB into the log of changes."""
        with MongoClient[dict[str, Any]](uri) as client:
            for _ in range(30):
                documents = [{"text": os.urandom(1_000).hex()} for _ in range(200)]
                client.room.documents.insert_many(documents)
                client.room.documents.delete_many({})
                client.admin.command("fsync")  # as the engine does each minute

    def size(self, data: Path) -> int:
        return (data / "db" / "secantus_oplog.wt").stat().st_size

    def test_is_used_again_after_the_first_start_and_after_each_later_one(self, data: Path) -> None:
        sizes = []
        for _ in range(2):
            with database(data, print) as uri:
                self.write(uri)
                sizes.append(self.size(data))
        assert max(sizes) < 8_000_000

    def test_is_used_again_once_a_database_that_was_closed_is_copied(self, used: Path) -> None:
        with database(used, print):
            pass  # the settings name the folder then
        command = [
            sys.executable,
            "-m",
            "secantus",
            "--config",
            str(used / "engine.toml"),
            "--port",
            "0",
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
            assert program.stderr is not None
            next(line for line in program.stderr if "listening" in line)
            program.terminate()
            program.communicate(timeout=60)
        with database(used, print) as uri:
            self.write(uri)
            assert self.size(used) > 12_000_000  # if not, 0090 has become needless
        embedded.rewrite(used, print)
        with database(used, print) as uri:
            self.write(uri)
            assert self.size(used) < 8_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="blocks signals on Linux")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_request_to_end_is_for_the_hub(used: Path, number: signal.Signals) -> None:
    engine = Engine.start(used, print)
    try:
        os.kill(engine.pid, number)
        time.sleep(0.5)
        with MongoClient[dict[str, Any]](engine.uri) as client:
            assert client.admin.command("ping")["ok"] == 1
    finally:
        engine.stop()
    assert not is_running(engine.pid)


class TestTheDirectory:
    def test_that_others_could_enter_is_closed_and_that_is_said_once(self, data: Path) -> None:
        data.mkdir(exist_ok=True)
        data.chmod(0o750)
        said = list[str]()
        Engine.start(data, said.append).stop()
        assert said == [f"{data} is closed to other users now (mode 0700)"]
        Engine.start(data, said.append).stop()
        assert len(said) == 1

    def test_with_files_that_are_not_a_hubs_is_left_as_it_is(self, data: Path) -> None:
        data.mkdir(exist_ok=True)
        (data / "letter.txt").write_text("x")
        data.chmod(0o755)
        with pytest.raises(Unprocessable, match="has files of others and no hub"):
            Engine.start(data, print)
        assert [each.name for each in data.iterdir()] == ["letter.txt"]
        assert stat.S_IMODE(data.stat().st_mode) == 0o755

    def test_that_is_closed_may_have_other_files(self, data: Path) -> None:
        data.mkdir(exist_ok=True)
        (data / "hub.toml").write_text("")
        data.chmod(0o700)
        Engine.start(data, print).stop()

    def test_has_only_files_that_are_known_as_a_hubs(self, tmp_path: Path) -> None:
        make_data(tmp_path / "hub")
        assert {each.name for each in (tmp_path / "hub").iterdir()} <= FILES_OF_A_HUB

    def test_is_for_nobody_else(self, data: Path) -> None:
        engine = Engine.start(data, print)
        engine.announce()
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        files = [path for path in data.rglob("*") if path.is_file()]
        assert {"engine.secret", "engine.json", "engine.log", "engine.lock"} <= {
            path.name for path in files
        }
        assert {path: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {
            path: 0 for path in files
        }
        engine.stop()

    def test_says_where_the_engine_is_but_not_the_password(
        self, engine: Engine, data: Path
    ) -> None:
        announced = (data / "engine.json").read_text()
        password = json.loads((data / "engine.secret").read_text())["password"]
        assert password in engine.uri
        assert password not in announced
        assert json.loads(announced)["pid"] == engine.pid

    def test_keeps_its_password(self, engine: Engine, data: Path) -> None:
        former = engine.uri
        engine.stop()
        again = Engine.start(data, print)
        again.stop()
        assert again.uri.split("@")[0] == former.split("@")[0]

    def test_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(Unprocessable, match="cannot keep the database in"):
            Engine.start(tmp_path / "file", print)


class TestDamage:
    @pytest.mark.parametrize("content", ["", "{", "{}", "7"])
    def test_a_damaged_password_file_is_named_with_what_to_do(
        self, tmp_path: Path, content: str
    ) -> None:
        (tmp_path / "engine.secret").write_text(content)
        advice = "engine.secret is damaged: stop the hub, if it runs, and remove the file"
        with pytest.raises(Unavailable, match=advice), database(tmp_path, print):
            pass

    @pytest.mark.parametrize("table", ["users", "natural_seq"])
    def test_a_damaged_file_of_the_database_is_said_to_be(self, tmp_path: Path, table: str) -> None:
        data = tmp_path / "data"
        make_data(data)
        with (data / "db" / f"secantus_{table}.wt").open("r+b") as file:
            file.write(b"not a table any more")
        with (
            pytest.raises(Unavailable, match=r"data/db may be damaged.*restore a backup"),
            database(data, print) as uri,
            MongoClient[dict[str, Any]](uri) as client,
        ):
            client.tocsin.journal.insert_one({})
            list(client.tocsin.journal.find())

    def test_of_an_engine_that_fails_on_a_full_disk_nothing_is_said_to_be_damaged(
        self, used: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "measure_free_octets", lambda folder: 0)
        with (
            pytest.raises(Unavailable, match=r"failed: the disk of .* is full \(0 MiB"),
            database(used, print),
        ):
            raise OperationFailure("internal server error", 1)


class TestTheDoor:
    def test_is_closed_without_the_password(self, engine: Engine) -> None:
        without = "mongodb://" + engine.uri.partition("@")[2].partition("/")[0]
        with (
            MongoClient[dict[str, Any]](without) as client,
            pytest.raises(OperationFailure, match="auth"),
        ):
            client.tocsin.feeds.find_one({})

    def test_is_on_the_loopback_interface_only(self, engine: Engine) -> None:
        assert "@127.0.0.1:" in engine.uri


def test_threads_of_the_engine_take_short_turns(engine: Engine) -> None:
    variables = Path(f"/proc/{engine.pid}/environ").read_bytes().split(b"\0")
    environment = dict(each.split(b"=", 1) for each in variables if b"=" in each)
    print_interval = "import sys; print(sys.getswitchinterval())"
    command = [sys.executable, "-P", "-c", print_interval]
    assert subprocess.check_output(command, env=environment) == b"0.001\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_engine_loads_no_library_for_places_on_maps(engine: Engine) -> None:
    loaded = Path(f"/proc/{engine.pid}/maps").read_text()
    assert "wiredtiger" in loaded
    assert "numpy" not in loaded and "shapely" not in loaded


def test_writes_are_not_sent_as_retryable_since_the_engine_keeps_and_searches_those(
    engine: Engine,
) -> None:
    commands = CommandNames()

    with MongoClient[dict[str, Any]](engine.uri, event_listeners=[commands]) as client:
        client["trial"]["things"].insert_one({"_id": 1})
        client["trial"]["things"].find_one_and_update({"_id": 1}, {"$set": {"n": 1}})
        client["trial"]["things"].delete_one({"_id": 1})

    assert {"insert", "findAndModify", "delete"} <= set(commands.names)
    assert commands.numbered == []


class TestEnding:
    def test_what_was_written_is_there_at_the_next_start(
        self, engine: Engine, data: Path, connect: Callable[[str], Store]
    ) -> None:
        store = connect(engine.uri)
        store.commit(lambda txn: txn.publish(FEED.id, [posting(1)]))
        store.close()
        engine.stop()
        assert not (data / "engine.json").exists()
        again = Engine.start(data, print)
        store = connect(again.uri)
        page = store.feeds.page(FEED.id, Query())
        store.close()
        again.stop()
        assert [entry.body for entry in page.entries] == [posting(1).body]

    def test_the_engine_ends_by_itself_when_its_parent_is_killed(self, used: Path) -> None:
        script = (
            "import sys, time; from pathlib import Path\n"
            "from tocsin.server.store.embedded import Engine\n"
            "print(Engine.start(Path(sys.argv[1]), print).pid, flush=True); time.sleep(600)\n"
        )
        hub = subprocess.Popen(
            [sys.executable, "-c", script, str(used)], stdout=subprocess.PIPE, text=True
        )
        with hub:
            pid = int(present(hub.stdout).readline())
            assert is_running(pid)
            hub.kill()
        assert eventually(lambda: not is_running(pid) and not locked(used))
        Engine.start(used, print).stop()

    def test_a_watched_engine_that_dies_is_started_again_on_its_port(
        self, engine: Engine, messages: list[str], connect: Callable[[str], Store]
    ) -> None:
        engine.watch()
        store, uri, first = connect(engine.uri), engine.uri, engine.pid
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: engine.pid != first and store.availability.probe())
        assert store.commit(lambda txn: txn.publish(FEED.id, [posting(1)])) == [
            PublishOutcome.STORED
        ]
        assert engine.uri == uri
        assert messages == ["the database engine ended (SIGKILL); starting it again"]


@pytest.mark.slow
class TestAWatchedEngine:
    def test_that_finds_no_room_for_its_journal_is_started_again(
        self, engine: Engine, messages: list[str], connect: Callable[[str], Store]
    ) -> None:
        engine.watch()
        store, first = connect(engine.uri), engine.pid
        publish(store, [posting(1)])
        fill_disk(engine.pid)
        with pytest.raises((OperationFailure, OutcomeUnknown)):
            for number in range(2, 1_000):
                publish(store, [posting(number)])
        assert eventually(lambda: engine.pid != first and store.availability.probe())
        publish(store, [posting(1_001)])
        assert messages[0].startswith("the database engine answers with errors only: see ")
        stored = [entry.id for entry in store.feeds.page(FEED.id, Query(limit=9_999)).entries]
        assert (stored[0], stored[-1]) == (posting(1).id, posting(1_001).id)

    def test_that_does_not_answer_is_ended_and_started_again(
        self,
        engine: Engine,
        messages: list[str],
        connect: Callable[[str], Store],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(embedded, "_ANSWER_SECONDS", 0.5)
        monkeypatch.setattr(embedded, "_SILENT_SECONDS", 2.0)
        engine.watch()
        store, first = connect(engine.uri), engine.pid
        os.kill(first, signal.SIGSTOP)
        assert eventually(lambda: messages)
        monkeypatch.setattr(embedded, "_SILENT_SECONDS", 300.0)  # the next one may start slowly
        assert eventually(lambda: engine.pid != first and store.availability.probe())
        publish(store, [posting(1)])
        assert messages[0].startswith("the database engine has not answered for ")

    def test_that_recovers_its_journal_for_longer_than_it_may_be_silent_is_left_alone(
        self,
        engine: Engine,
        messages: list[str],
        connect: Callable[[str], Store],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def await_late(child: embedded._Child) -> int:
            child.process.send_signal(signal.SIGSTOP)
            monkeypatch.setattr(embedded, "_SILENT_SECONDS", 2.0)
            noticed.append(eventually(lambda: len(messages) > 1, 10))
            monkeypatch.setattr(embedded, "_SILENT_SECONDS", 300.0)  # it may answer slowly at first
            child.process.send_signal(signal.SIGCONT)
            return await_port(child)

        noticed: list[bool] = []
        await_port = embedded._Child.await_port
        monkeypatch.setattr(embedded._Child, "await_port", await_late)
        monkeypatch.setattr(embedded, "_ANSWER_SECONDS", 0.5)
        engine.watch()
        store, first = connect(engine.uri), engine.pid
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: engine.pid != first and store.availability.probe())
        assert noticed == [False], messages

    def test_is_started_again_and_again_where_its_address_cannot_be_written(
        self, engine: Engine, data: Path, connect: Callable[[str], Store]
    ) -> None:
        engine.watch()
        store = connect(engine.uri)
        (data / "engine.json").unlink()
        (data / "engine.json").mkdir()
        for _ in range(2):
            former = engine.pid
            os.kill(former, signal.SIGKILL)
            assert eventually(lambda former=former: engine.pid != former)  # type: ignore[misc]
            assert eventually(store.availability.probe)  # it has a pid before it answers
        (data / "engine.json").rmdir()

    def test_is_started_again_where_the_log_is_on_a_full_disk(self, used: Path) -> None:
        def report(line: str) -> None:
            raise OSError(errno.ENOSPC, line)

        engine = Engine.start(used, report)
        engine.watch()
        former = engine.pid
        os.kill(former, signal.SIGKILL)
        assert eventually(lambda: engine.pid != former)
        engine.stop()


def fill_disk(pid: int) -> None:
    """Let a process write no more than a few octets more into any file, as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))


def publish(store: Store, batch: Any) -> None:
    store.commit(lambda txn: txn.publish(FEED.id, batch))


def write(store: Store, numbers: range, sent: list[int], acknowledged: list[int]) -> None:
    """Publish five objects and submit something, for each number."""
    for number in numbers:
        sent.append(number)
        batch = [posting(number * 10 + i) for i in range(5)]
        publish(store, batch)
        store.submissions.receive(submission(number))
        acknowledged.append(number)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_a_kill_in_mid_write_loses_nothing_and_repeats_nothing(
    engine: Engine, connect: Callable[[str], Store], turn: Any
) -> None:
    engine.watch()
    store = connect(engine.uri)
    sent: list[int] = []
    acknowledged: list[int] = []
    writer = threading.Thread(target=write, args=(store, range(50), sent, acknowledged))
    writer.start()
    assert eventually(lambda: len(sent) > 10 + 7 * turn)
    os.kill(engine.pid, signal.SIGKILL)
    writer.join()
    assert acknowledged == sent == list(range(50))
    here = store.feeds.page(FEED.id, Query(limit=9_999)).entries
    assert [e.id for e in here] == [posting(n * 10 + i).id for n in sent for i in range(5)]
    assert [e.position for e in here] == list(range(1, 251))
    assert all(store.submissions.find(str(number)) == submission(number) for number in sent)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(3))
def test_a_commit_is_on_disk_when_it_returns(
    engine: Engine, connect: Callable[[str], Store], turn: Any
) -> None:
    engine.watch()
    store = connect(engine.uri)
    for number in range(5 + turn):
        publish(store, [posting(number)])
    os.kill(engine.pid, signal.SIGKILL)
    assert store.feeds.head(FEED.id)[0] == 5 + turn
    assert len(store.feeds.page(FEED.id, Query()).entries) == 5 + turn


def test_the_largest_transaction_does_not_wait_for_its_own_end(engine: Engine) -> None:
    """The engine shortens its log, and so reads, while it commits each thousandth document."""
    with MongoClient[dict[str, Any]](engine.uri, socketTimeoutMS=60_000) as client:
        documents = client["large"]["documents"]
        documents.insert_many([{"_id": n} for n in range(990)])
        with client.start_session() as session, session.start_transaction():
            for n in range(9):
                large = {"_id": f"large-{n}", "body": bytes(4_000_000)}
                documents.insert_one(large, session=session)
            documents.insert_many([{"_id": f"small-{n}"} for n in range(20)], session=session)
        assert documents.count_documents({}) == 990 + 9 + 20


class Listener:
    """Passes everything on between a client and the engine, but for one answer."""

    def __init__(self, port: int, strike: Callable[[], object]) -> None:
        self._port, self._strike = port, strike
        self.armed = False
        self._silenced: socket.socket | None = None
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                try:
                    engine = socket.create_connection(("127.0.0.1", self._port))
                except ConnectionRefusedError:  # it is being started again
                    client.close()
                    continue
                for pair in ((client, engine), (engine, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        """When armed: let the commit through, wait until it is answered, strike, say nothing."""
        with contextlib.suppress(OSError), source, target:
            while octets := source.recv(1_000_000):
                if self.armed and b"commitTransaction" in octets:
                    self.armed = False
                    self._silenced = target
                elif source is self._silenced:
                    self._strike()
                    break
                target.sendall(octets)
            for end in (source, target):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread of the other direction


@pytest.mark.slow
def test_a_commit_whose_answer_was_lost_is_not_done_twice(
    engine: Engine, messages: list[str], connect: Callable[[str], Store]
) -> None:
    engine.watch()
    port = int(engine.uri.rpartition(":")[2].partition("/")[0])
    listener = Listener(port, lambda: os.kill(engine.pid, signal.SIGKILL))
    store = connect(engine.uri.replace(f":{port}/", f":{listener.port}/"))
    listener.armed = True

    def work(txn: Transaction) -> list[PublishOutcome]:
        txn.add_journal_entry("published", "test", {})
        return txn.publish(FEED.id, [posting(1)])

    assert store.commit(work) == [PublishOutcome.STORED]
    listener.close()
    assert messages[0] == "the database engine ended (SIGKILL); starting it again"
    assert all(each.endswith("; trying again") for each in messages[1:])  # a busy machine
    assert len(connect(engine.uri).journal.list_entries()) == 1


class TestTheOperatorsCommands:
    def test_use_the_engine_of_a_running_hub(
        self, engine: Engine, data: Path, connect: Callable[[str], Store]
    ) -> None:
        with database(data, print) as uri:
            assert uri == engine.uri
            connect(uri).commit(lambda txn: txn.add_journal_entry("command", "operator", {}))
        assert present(connect(engine.uri).journal.last_entry()).action == "command"
        assert is_running(engine.pid)

    def test_start_one_of_their_own_and_stop_it(self, data: Path) -> None:
        with database(data, print) as uri, contextlib.closing(Store.connect(uri)) as store:
            store.prepare()
            store.commit(lambda txn: txn.add_journal_entry("command", "operator", {}))
            assert locked(data)
            assert not (data / "engine.json").exists()
        assert not locked(data)
        with database(data, print) as uri, contextlib.closing(Store.connect(uri)) as store:
            assert present(store.journal.last_entry()).action == "command"

    def test_wait_for_one_another(self, used: Path) -> None:
        inside: list[int] = []

        def command(number: int) -> None:
            with database(used, print):
                inside.append(number)
                time.sleep(0.2)
                inside.append(number)

        threads = [threading.Thread(target=command, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert inside in ([0, 0, 1, 1], [1, 1, 0, 0])

    def test_are_not_misled_by_a_hub_that_was_killed(self, engine: Engine, data: Path) -> None:
        former = engine.uri
        (data / "kept.json").write_text((data / "engine.json").read_text())
        engine.stop()
        (data / "kept.json").rename(data / "engine.json")
        with database(data, print) as uri:
            assert uri != former
            Store.connect(uri).close()


def test_a_second_engine_is_refused_while_the_first_one_runs(
    engine: Engine, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_LOCK_SECONDS", 0)
    with pytest.raises(Unavailable, match="another process is using the database"):
        Engine.private(data, print)


def test_a_start_that_has_begun_is_complete_when_it_was_awaited(used: Path) -> None:
    engine = Engine.begin(used, print)
    assert engine.pid == 0
    engine.await_start()
    with contextlib.closing(Store.connect(engine.uri)) as store:
        assert store.is_prepared()
    engine.stop()


def test_a_start_that_is_given_up_leaves_no_engine_and_no_lock(used: Path) -> None:
    engine = Engine.begin(used, print)
    engine.stop()
    assert not locked(used)
    with database(used, print) as uri, contextlib.closing(Store.connect(uri)) as store:
        assert store.is_prepared()


def test_a_start_that_is_interrupted_leaves_no_engine_and_no_lock(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(child: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as changed:
        changed.setattr(embedded._Child, "await_port", interrupt)
        with pytest.raises(KeyboardInterrupt):
            Engine.start(used, print)
    assert not locked(used)
    with database(used, print) as uri, contextlib.closing(Store.connect(uri)) as store:
        assert store.is_prepared()


class TestADatabaseThatIsBeingMade:
    def test_is_made_anew_if_its_engine_was_killed_before_it_was_whole(self, data: Path) -> None:
        half = data / "new" / "db"
        half.mkdir(parents=True)
        (half / "WiredTiger.wt").write_text("a table that was being made")
        with database(data, print) as uri, contextlib.closing(Store.connect(uri)) as store:
            assert not store.is_prepared()
        assert not (data / "new").exists()

    @pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.1])
    def test_starts_however_early_its_engine_was_killed(self, data: Path, seconds: float) -> None:
        with subprocess.Popen([sys.executable, "-c", FIRST_START, data]) as process:
            while not any(data.rglob("*.wt")):
                assert process.poll() is None
                time.sleep(0.001)
            time.sleep(seconds)
            process.kill()  # and the engine with it
        with database(data, print) as uri, contextlib.closing(Store.connect(uri)) as store:
            store.prepare()
            store.feeds.add(FEED)
            assert store.is_prepared()

    def test_has_all_its_tables_before_it_is_used(self, data: Path) -> None:
        with database(data, print) as uri, contextlib.closing(Store.connect(uri)) as store:
            made = {file.name for file in (data / "db").glob("*.wt")}
            store.prepare()
            store.feeds.add(FEED)
            with MongoClient[dict[str, Any]](uri) as client:
                for number in range(100):
                    client.other[f"collection {number}"].insert_one({"x": 1})
                assert "empty" not in client.list_database_names()
        assert {file.name for file in (data / "db").glob("*.wt")} == made

    def test_is_refused_at_a_later_start_too_if_somebody_else_wrote_into_it(
        self, used: Path
    ) -> None:
        (used / "new").mkdir()  # stays until the database was found empty
        for _ in range(2):
            with pytest.raises(Unavailable, match="another user of this machine wrote"):
                Engine.start(used, print)
        shutil.rmtree(used / "db")
        Engine.start(used, print).stop()
        assert not (used / "new").exists()


def test_an_engine_that_does_not_start_names_its_log(data: Path) -> None:
    data.mkdir()
    (data / "db").write_text("not a database")
    with pytest.raises(Unavailable, match=r"did not start: see .*engine\.log"):
        Engine.start(data, print)
    assert (data / "engine.log").read_text()


def test_an_engine_that_does_not_start_on_a_full_disk_says_so(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.mkdir()
    (data / "db").write_text("not a database")
    monkeypatch.setattr(embedded, "measure_free_octets", lambda folder: 3 << 20)
    with pytest.raises(Unavailable, match=r"hub is full \(3 MiB are free\): free space .*log"):
        Engine.start(data, print)
