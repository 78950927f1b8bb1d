"""A hub in the hands of its operator, and of the power company."""

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

import pytest
from support.certificates import Authority, make_authority, write_private_file
from support.paths import ROOT
from support.processes import (
    BIN,
    MT,
    HubProcess,
    Writers,
    indicators,
    is_running,
    run_command,
)

from tocsin.server.intake.queue import LEASE

pytestmark = pytest.mark.slow

FOLLOW = ROOT / "bench" / "follow.py"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A data directory with one partner, whose hub has never run."""
    hub = HubProcess(tmp_path_factory.mktemp("founded") / "data")
    hub.join()
    return hub


def copied(founded: Any, folder: Any) -> Any:
    """A hub of its own on a copy of the directory, not started yet."""
    shutil.copytree(founded.data, folder / "data")
    return HubProcess(folder / "data", key=founded.key)


@pytest.fixture(scope="module")
def hub(founded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    hub = copied(founded, tmp_path_factory.mktemp("hub")).start()
    yield hub
    hub.kill()


@pytest.fixture
def fragile(founded: Any, tmp_path: Path) -> Iterator[Any]:
    hub = copied(founded, tmp_path).start()
    yield hub
    hub.kill()


@dataclass(frozen=True, slots=True)
class Restarted:
    """A hub that was asked to stop while it had a request in hand, and was started again."""

    hub: HubProcess
    answer: bytes
    """The answer to that request."""
    code: int
    """The exit code of the first start."""
    logs: tuple[str, str]
    """The log of each start."""
    ids: tuple[dict[str, str], dict[str, str]]
    """The ids of its collections by their aliases, at each start."""


@pytest.fixture(scope="module")
def restarted(founded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    hub = copied(founded, tmp_path_factory.mktemp("restarted")).start()
    before = ids_of_collections(hub)
    with begun(hub, indicators(20)) as (connection, rest):
        hub.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(rest)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    code, first = hub.process.wait(60), hub.read_log()
    hub.start()
    logs = (first, hub.read_log()[len(first) :])
    yield Restarted(hub, answer, code, logs, (before, ids_of_collections(hub)))
    hub.kill()


def ids_of_collections(hub: Any) -> dict[str, str]:
    return {each["alias"]: each["id"] for each in hub.command("collection", "list")}


@dataclass(frozen=True, slots=True)
class Killed:
    """A hub that was killed while it examined a submission."""

    aliases: set[str]
    """The collections that a command listed right after that."""
    worker_ended: bool
    """True if the process that examined it ended within a minute."""


@pytest.fixture(scope="module")
def killed(founded: Any, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    hub = copied(founded, tmp_path_factory.mktemp("killed")).start()
    hub.post(indicators(2_000))
    worker = _wait_for_worker(hub.process.pid)
    hub.kill()
    aliases, deadline = set(ids_of_collections(hub)), time.monotonic() + 60
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    return Killed(aliases, not is_running(worker))


class TestServe:
    def test_the_first_start_says_once_how_to_use_it(self, restarted: Restarted) -> None:
        first, second = restarted.logs
        assert "operator account: operator  key: " in first
        assert "key: " not in second
        before, now = restarted.ids
        assert set(before) == {"inbox", "clear", "green", "amber", "scratch"}
        assert now == before

    def test_secrets_are_for_nobody_elses_eyes(self, hub: Any) -> None:
        modes = {path.name: path.stat().st_mode & 0o777 for path in hub.data.iterdir()}
        assert hub.data.stat().st_mode & 0o777 == 0o700
        assert modes["secrets.json"] == modes["engine.secret"] == 0o600
        assert hub.key.split(":")[1] not in hub.read_log()

    def test_commands_work_before_a_hub_runs(self, founded: Any, hub: Any) -> None:
        assert founded.started == 0
        assert hub.ask("collections/", key=founded.key).status_code == 200

    def test_commands_work_while_it_runs(self, hub: Any) -> None:
        secret = hub.command("key", "issue", "acme")["key"]
        assert hub.ask("collections/", key=f"acme:{secret}").status_code == 200
        hub.command("collection", "add", "ics", "--kind", "feed", "--max-tlp", "green")
        hub.command("partner", "add", "ics-reader", "--name", "R", "--read", "ics")
        assert hub.command("review", "list") == []

    def test_a_second_hub_on_the_same_data_stops_with_a_sentence(self, hub: Any) -> None:
        command = [BIN / "tocsin-hub", "serve", "--data", hub.data, "--port", "0"]
        second = subprocess.run(command, capture_output=True, timeout=120)
        assert second.returncode == 3
        assert b"another hub is using" in second.stderr and b"Traceback" not in second.stderr
        assert hub.ask("collections/").status_code == 200

    def test_a_request_in_hand_is_finished_when_it_stops(self, restarted: Restarted) -> None:
        assert restarted.answer.startswith(b"HTTP/1.1 202 ") and restarted.code == 0
        status = json.loads(restarted.answer.partition(b"\r\n\r\n")[2])["id"]
        assert restarted.hub.wait_until_settled(status)["success_count"] == 20

    def test_a_command_right_after_a_kill_is_not_misled(self, killed: Killed) -> None:
        assert killed.aliases == {"inbox", "clear", "green", "amber", "scratch"}

    def test_a_standalone_mongod_is_sent_home_with_advice(self, tmp_path: Path) -> None:
        command = ["serve", "--mongo-uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500"]
        away = subprocess.run(
            [BIN / "tocsin-hub", *command, "--data", tmp_path / "d"], capture_output=True
        )
        assert (away.returncode, b"cannot reach MongoDB" in away.stderr) == (3, True)


@dataclass(frozen=True, slots=True)
class Secure:
    """A hub that does TLS, and the authority of its certificate and its clients'."""

    hub: HubProcess
    own: Authority
    folder: Path
    """Where its certificate is, `hub.pem`, and the authority's, `ca.pem`."""

    def read_certificate(self) -> str:
        """The certificate that the hub shows."""
        ca = str(self.folder / "ca.pem")
        return ssl.get_server_certificate(("127.0.0.1", self.hub.port), ca_certs=ca)

    def hang_up(self) -> None:
        """Have the hub read its certificate again."""
        assert self.hub.process is not None
        self.hub.process.send_signal(signal.SIGHUP)


@pytest.fixture(scope="module")
def secure(founded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    own, folder = make_authority(), tmp_path_factory.mktemp("secure")
    ca = write_private_file(folder / "ca.pem", own.certificate)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TOCSIN_TLS_CERTIFICATE", str(own.server().write_pem(folder)))
        environment.setenv("TOCSIN_TLS_CLIENT_CA", str(ca))
        hub = copied(founded, folder).start()
    yield Secure(hub, own, folder)
    hub.kill()


class TestTls:
    def test_a_partner_comes_in_with_a_certificate_until_it_is_revoked(
        self, secure: Secure, tmp_path: Path
    ) -> None:
        hub = secure.hub
        assert hub.url.startswith("https://") and f"answering at {hub.url}" in hub.read_log()
        file = secure.own.issue("acme").write_pem(tmp_path)
        registered = hub.command("key", "certificate", "acme", str(file))["id"]
        listed = hub.command("key", "list", "acme")
        assert sorted(one["kind"] for one in listed) == ["certificate", "key"]
        assert registered in {one["id"] for one in listed}
        tls_options = ("--url", hub.url, "--cert", file, "--ca", secure.folder / "ca.pem")
        command: list[str | Path] = [BIN / "tocsin", "poll", "green", *tls_options]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
        hub.command("key", "revoke", "acme", registered[:20])
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert refused.returncode == 3 and "401" in refused.stderr
        assert [one["kind"] for one in hub.command("key", "list", "acme")] == ["key"]

    def test_a_renewed_certificate_is_shown_after_a_hangup(self, secure: Secure) -> None:
        before = secure.read_certificate()
        secure.own.server().write_pem(secure.folder)
        secure.hang_up()
        deadline = time.monotonic() + 30
        while secure.read_certificate() == before:
            assert time.monotonic() < deadline, secure.hub.read_log()
            time.sleep(0.05)
        (secure.folder / "hub.pem").write_text("broken")
        secure.hang_up()
        while "the previous one stays in use: tls_certificate" not in secure.hub.read_log():
            assert time.monotonic() < deadline, secure.hub.read_log()
            time.sleep(0.05)
        assert secure.read_certificate() != before

    def test_nobody_is_refused_while_a_certificate_is_renewed(self, secure: Secure) -> None:
        file, next_one = secure.folder / "hub.pem", secure.folder / "next.pem"
        texts = itertools.cycle(
            each.certificate + each.key for each in (secure.own.server(), secure.own.server())
        )
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(secure.read_certificate) for _ in range(300)]
            while not all(each.done() for each in asked):
                write_private_file(next_one, next(texts)).replace(file)
                secure.hang_up()
                time.sleep(0.001)
        assert len({each.result() for each in asked}) > 1

    def test_a_wrong_file_stops_the_start_with_a_sentence(self, tmp_path: Path) -> None:
        command: list[str | Path] = [
            BIN / "tocsin-hub",
            "serve",
            "--data",
            tmp_path / "data",
            "--tls-cert",
            "none",
        ]
        stopped = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert stopped.returncode == 2
        said = "tocsin-hub: tls_certificate: cannot read none: No such file or directory\n"
        assert stopped.stderr == said

    def test_plain_http_is_warned_of_beyond_the_machine_only(
        self, founded: Any, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "plain HTTP" not in hub.read_log()
        monkeypatch.setenv("TOCSIN_HOST", "::ffff:127.0.0.1")
        public = copied(founded, tmp_path).start()
        try:
            assert public.stop() == 0
            log = public.read_log()
            assert "WARNING tocsin.server.serving plain HTTP at ::ffff:127.0.0.1" in log
        finally:
            public.kill()

    def test_only_what_is_there_is_revoked(self, hub: Any) -> None:
        for wrong in ("x509:none", ""):
            code, _, said = run_command("key", "revoke", "acme", wrong, "--data", hub.data)
            assert code == 1 and "key list acme" in said


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b'{"objects": [', 400),
            (b"[" * 10_000 + b"]" * 10_000, 400),
            (b'{"objects": 1}', 422),
        ],
    )
    def test_what_is_no_envelope(self, hub: Any, body: Any, code: int) -> None:
        answer = hub.ask("collections/inbox/objects/", "POST", data=body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (code, MT)
        assert answer.json()["title"]

    def test_a_wrong_key_and_an_unknown_collection(self, hub: Any) -> None:
        assert hub.ask("collections/", key="acme:wrong").status_code == 401
        assert hub.ask("collections/nowhere/objects/").status_code == 404

    def test_an_overlong_body_announced_or_in_pieces(self, hub: Any) -> None:
        long = b" " * (10 * 1024 * 1024 + 1)
        assert hub.ask("collections/inbox/objects/", "POST", data=long).status_code == 413
        pieces = (long[:65536] for _ in range(200))
        assert hub.ask("collections/inbox/objects/", "POST", data=pieces).status_code == 413

    def test_a_bogus_version_and_endless_depth_are_failures_of_those_objects_only(
        self, hub: Any
    ) -> None:
        good, bad, deep = indicators(3)
        depth = "[" * 10_000 + "]" * 10_000
        texts = [json.dumps(good), json.dumps({**bad, "modified": "bogus"})]
        texts.append(json.dumps({**deep, "x_deep": 0}).replace('"x_deep": 0', f'"x_deep": {depth}'))
        body = f'{{"objects": [{", ".join(texts)}]}}'
        answer = hub.ask("collections/inbox/objects/", "POST", data=body)
        if answer.status_code == 202:  # else the envelope as a whole was too deep for the parser
            status = hub.wait_until_settled(answer.json()["id"])
            assert (status["failure_count"], status["success_count"]) == (2, 1)
        else:
            assert (answer.status_code, answer.headers["Content-Type"]) == (400, MT)
            status = hub.wait_until_settled(
                hub.post([{**bad, "modified": "bogus"}, good]).json()["id"]
            )
            assert (status["failure_count"], status["success_count"]) == (1, 1)
        assert good["pattern"] in {o.get("pattern") for o in hub.walk()}

    def test_none_of_it_ends_the_worker(self, hub: Any) -> None:
        broken = [{**each, "modified": "bogus"} for each in indicators(250)]
        assert hub.wait_until_settled(hub.post(broken).json()["id"])["failure_count"] == 250
        many = indicators(250)  # more than are admitted inside the request
        assert hub.wait_until_settled(hub.post(many).json()["id"])["success_count"] == 250
        assert {o["pattern"] for o in many} <= {o.get("pattern") for o in hub.walk()}
        assert "Traceback" not in hub.read_log()


@pytest.mark.slow
def test_two_pollers_follow_four_writers_without_loss() -> None:
    followed = subprocess.run(
        [sys.executable, FOLLOW, "--seconds", "2", "--json"], capture_output=True, timeout=120
    )
    assert followed.returncode == 0, followed
    report = json.loads(followed.stdout)
    assert report["faults"] == [] and report["indicators acknowledged"] > 0


@pytest.mark.slow
class TestKills:
    def test_everything_acknowledged_survives_kill_9_of_the_hub(self, fragile: Any) -> None:
        writers = Writers(fragile)
        for _ in range(2):
            writers.wait_for(4)
            fragile.kill()
            fragile.start()
        writers.wait_for(4)
        writers.stop()
        _all_there(fragile, writers)

    def test_everything_acknowledged_survives_kill_9_of_the_database(self, fragile: Any) -> None:
        large = fragile.post(indicators(1_000)).json()["id"]
        writers = Writers(fragile)
        for _ in range(2):
            writers.wait_for(4)
            fragile.kill_engine()
        writers.wait_for(4)
        writers.stop()
        assert set(writers.answers) <= {202, 503}
        assert "starting it again" in fragile.read_log()
        writers.statuses.append(large)
        _all_there(fragile, writers)

    def test_while_the_database_is_away_everybody_is_asked_to_come_again(
        self, fragile: Any
    ) -> None:
        with locked_out(fragile):
            answer = fragile.ask("collections/green/objects/")
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, MT)
        assert int(answer.headers["Retry-After"]) > 0
        assert "try again" in answer.json()["description"]
        deadline = time.monotonic() + 90
        while (answer := fragile.post(indicators(1))).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert fragile.wait_until_settled(answer.json()["id"])["success_count"] == 1

    @pytest.mark.long
    def test_a_large_submission_goes_on_where_a_crash_left_it(self, fragile: Any) -> None:
        many, status = settled_in_part(fragile)
        fragile.kill()
        fragile.start()
        settled = fragile.wait_until_settled(status["id"], LEASE - 10)
        assert settled["success_count"] == 2_500
        counted = Counter(o.get("pattern") for o in fragile.walk())
        assert {each["pattern"] for each in many} <= set(counted)
        assert all(count == 1 for pattern, count in counted.items() if pattern)


def settled_in_part(hub: Any) -> Any:
    """The objects of a large submission, and its status once some of them are settled."""
    for _ in range(5):
        many = indicators(2_500)
        status = hub.post(many).json()
        while not status["success_count"]:
            time.sleep(0.05)  # more often would be more requests than an account may send
            status = hub.ask(f"status/{status['id']}/").json()
        if status["success_count"] < 2_500:
            return many, status
    raise AssertionError("all were settled at once")


@pytest.mark.slow
class TestWorkerProcesses:
    def test_answers_are_not_delayed_and_a_killed_worker_loses_nothing(self, hub: Any) -> None:
        many = [each | {"description": "seen by a sensor " * 200} for each in indicators(2_000)]
        status = hub.post(many).json()
        worker = _wait_for_worker(hub.process.pid)
        durations = [_seconds(lambda: hub.ask("collections/")) for _ in range(40)]
        os.kill(worker, signal.SIGKILL)
        settled = hub.wait_until_settled(status["id"], 150)
        assert settled["success_count"] == 2_000
        counted = Counter(o.get("pattern") for o in hub.walk())
        assert all(counted[each["pattern"]] == 1 for each in many)
        assert median(durations) < 0.5 and sorted(durations)[37] < 5  # the machine may be busy

    def test_the_workers_end_with_a_hub_that_is_killed(self, killed: Killed) -> None:
        assert killed.worker_ended


def _wait_for_worker(hub: int) -> int:
    """The id of a process of the hub's that examines submissions."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                command = (folder / "cmdline").read_bytes()
                if int(parent) == hub and b"examination.program" in command:
                    return int(folder.name)
        time.sleep(0.05)
    raise AssertionError("no worker process was started")


def _seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


@contextlib.contextmanager
def begun(hub: Any, objects: Any) -> Iterator[Any]:
    """A post of which the hub has read the half; the connection, and what it waits for."""
    body = json.dumps({"objects": objects}).encode()
    head = (
        f"POST /hub/collections/inbox/objects/ HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"
        f"Authorization: Basic {b64encode(hub.key.encode()).decode()}\r\n"
        f"Accept: {MT}\r\nContent-Type: {MT}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as connection:
        connection.sendall(head.encode() + body[:100])
        deadline = time.monotonic() + 60
        while hub.unread() != [0]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield connection, body[100:]


@contextlib.contextmanager
def locked_out(hub: Any) -> Iterator[Any]:
    """The database killed, and kept from being started again meanwhile."""
    with (hub.data / "engine.lock").open("a") as lock:
        deadline = time.monotonic() + 60
        while not _take_lock_of(hub, lock):  # the hub was starting a database at that moment
            assert time.monotonic() < deadline
            time.sleep(1)
        yield


def _take_lock_of(hub: Any, lock: IO[str]) -> bool:
    """Kill the database and take its lock before the hub does; False if that was faster."""
    hub.process.send_signal(signal.SIGSTOP)
    try:
        with contextlib.suppress(ProcessLookupError):
            hub.kill_engine()
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            time.sleep(0.1)
        return False
    finally:
        hub.process.send_signal(signal.SIGCONT)


def _all_there(hub: Any, writers: Any) -> None:
    """Every acknowledged submission is settled, and each of its objects is in the feed once."""
    for status in writers.statuses:
        assert json.dumps(hub.wait_until_settled(status, 150)["x_tocsin_counts"])
    counted = Counter(o["pattern"] for o in hub.walk() if "pattern" in o)
    assert len(writers.patterns) >= 12 * 20
    assert writers.patterns <= set(counted)
    assert max(counted.values()) == 1


_KILLS_ITS_DATABASE = """
import json, os, signal, sys, time
from tocsin.server import serving
from tocsin.server.cli.main import main
from tocsin.server.store.embedded import Engine

announce, restart, began = serving._announce, Engine._restart, time.monotonic()
Engine._restart = lambda engine: time.monotonic() > began + 32 and restart(engine)

def announce_and_kill(settings, *arguments):
    announce(settings, *arguments)
    os.kill(json.loads((settings.data / "engine.json").read_text())["pid"], signal.SIGKILL)

serving._announce = announce_and_kill
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.long
def test_a_database_that_ends_while_the_hub_says_where_it_answers_does_not_end_the_hub(
    founded: Any, tmp_path: Path
) -> None:
    hub = copied(founded, tmp_path)
    hub.program = (sys.executable, "-c", _KILLS_ITS_DATABASE, "serve")
    hub.start()
    deadline = time.monotonic() + 90
    while "starting it again" not in (log := hub.read_log()) or "console: http" not in log:
        assert hub.process.poll() is None and time.monotonic() < deadline, hub.read_log()
        time.sleep(0.1)
    while hub.ask("collections/").status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert hub.ask("collections/").status_code == 200
    assert hub.stop() == 0
