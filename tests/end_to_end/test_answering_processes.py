"""A hub whose requests are answered by several processes: one hub in all that a client sees."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from support.certificates import make_authority
from support.metrics import find_value
from support.processes import (
    BIN,
    MT,
    HubProcess,
    Writers,
    free_port,
    indicators,
    is_running,
    list_open_files,
)

from tocsin.config.loading import policy_text
from tocsin.server.auth import hash_secret
from tocsin.server.intake.queue import LEASE
from tocsin.server.processes.shared_folder import Notifier, SharedFolder
from tocsin.server.store import Store
from tocsin.server.store.embedded import database

Start = Callable[..., HubProcess]
QUOTA = 40
CONNECTIONS = 12
WAIT = {"Prefer": "wait=20"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> HubProcess:
    hub = HubProcess(tmp_path_factory.mktemp("founded") / "data")
    hub.join()
    return hub


@pytest.fixture
def start(founded: HubProcess, tmp_path: Path) -> Iterator[Start]:
    """Start a hub with two processes that answer, and with further settings."""
    started: list[HubProcess] = []

    def start(**values: object) -> HubProcess:
        hub = copied(founded, tmp_path)
        started.append(hub)
        return start_with(hub, **values)

    yield start
    for hub in started:
        hub.kill()


def copied(founded: HubProcess, folder: Path) -> HubProcess:
    """A hub of its own on a copy of the directory, not started yet."""
    shutil.copytree(founded.data, folder / "data")
    return HubProcess(folder / "data", key=founded.key)


def start_with(hub: HubProcess, **values: object) -> HubProcess:
    """Start a hub with two processes that answer, and with further settings."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"answering_processes": 2, **values}.items():
            environment.setenv(f"TOCSIN_{name.upper()}", str(value))
        return hub.start()


def wait_until(true: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ask_often(hub: HubProcess, times: int, path: str = "collections/") -> Counter[int]:
    """Statuses of requests on a connection each, so that all processes get some."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: hub.ask(path).status_code, range(times)))
    return Counter(answers)


def read_pages(hub: HubProcess) -> list[str]:
    """The same page on many connections."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: hub.ask("collections/green/objects/").text, range(20)))


def is_open(connection: socket.socket) -> bool:
    """True unless the hub has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextmanager
def connections(hub: HubProcess, count: int, pause: float = 0) -> Iterator[list[socket.socket]]:
    """Idle connections to a hub, with pauses in which its processes can take turns."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", hub.port)))
            time.sleep(pause)
        yield opened
    finally:
        for each in opened:
            each.close()


@contextmanager
def half_sent(hub: HubProcess) -> Iterator[tuple[socket.socket, bytes]]:
    """A post of which the hub has read the begin: the connection, and the rest of its body."""
    body = json.dumps({"objects": indicators(20)}).encode()
    name = b64encode(hub.key.encode()).decode()
    head = (
        f"POST /hub/collections/inbox/objects/ HTTP/1.1\r\nHost: h\r\n"
        f"Authorization: Basic {name}\r\nAccept: {MT}\r\nContent-Type: {MT}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", hub.port)) as connection:
        connection.sendall(head.encode() + body[:100])
        wait_until(lambda: hub.unread() == [0])
        yield connection, body[100:]


def read_command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def count_sockets(process: int) -> int:
    return sum(file.startswith("socket:") for file in list_open_files(process))


@pytest.fixture(scope="module")
def limited(founded: HubProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub that takes few connections from an address."""
    hub = copied(founded, tmp_path_factory.mktemp("limited"))
    yield start_with(hub, connections_per_address=CONNECTIONS)
    hub.kill()


@pytest.mark.slow
class TestLimits:
    def test_request_quotas_hold_for_all_processes_together(self, start: Start) -> None:
        hub = start(requests_per_minute=QUOTA)
        began = time.monotonic()
        statuses = ask_often(hub, 2 * QUOTA)
        come_back = (time.monotonic() - began) * QUOTA / 60
        assert QUOTA <= statuses[200] <= QUOTA + come_back + 3
        assert statuses[429] == 2 * QUOTA - statuses[200]

    def test_connection_limits_hold_for_all_processes_together(self, limited: HubProcess) -> None:
        hub = limited
        wait_until(lambda: not hub.unread())
        before = [count_sockets(each) for each in hub.answering()]
        with connections(hub, 40, 0.02) as sockets:
            # Two processes may accept one each in the same moment.
            wait_until(lambda: sum(map(is_open, sockets)) <= CONNECTIONS + 1)
            time.sleep(0.5)  # no more are closed
            more = [count_sockets(p) - n for p, n in zip(hub.answering(), before, strict=True)]
            assert sum(map(is_open, sockets)) >= CONNECTIONS
            assert all(each >= CONNECTIONS // 3 for each in more)
        wait_until(lambda: hub.ask("collections/").status_code == 200)

    def test_limits_of_unfinished_requests_hold_for_all_processes_together(
        self, start: Start
    ) -> None:
        hub = start(unfinished_per_address=CONNECTIONS)
        with connections(hub, 60) as sockets:
            for each in sockets:
                with suppress(OSError):
                    each.sendall(b"GET /taxii2/ HTTP/1.1\r\nHost: ")
                time.sleep(0.02)
            wait_until(lambda: sum(map(is_open, sockets)) <= CONNECTIONS + 1)
            assert sum(map(is_open, sockets)) >= CONNECTIONS // 2  # two may close one at once

    def test_connections_of_a_killed_process_are_free_again(self, limited: HubProcess) -> None:
        hub = limited
        wait_until(lambda: not hub.unread())
        with connections(hub, CONNECTIONS) as sockets:
            wait_until(lambda: len(hub.unread()) == CONNECTIONS)
            killed = hub.answering()
            for process in killed:
                os.kill(process, signal.SIGKILL)
            wait_until(lambda: not any(map(is_open, sockets)))
            wait_until(lambda: len(hub.answering()) == 2 and not set(killed) & set(hub.answering()))
        time.sleep(1.5)
        with connections(hub, CONNECTIONS) as sockets:
            wait_until(lambda: len(hub.unread()) == CONNECTIONS)
            time.sleep(0.3)
            assert all(map(is_open, sockets))


@pytest.fixture(scope="module")
def hub(founded: HubProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """A running hub with two processes that answer, in which ten objects wait in the queue."""
    hub = copied(founded, tmp_path_factory.mktemp("one"))
    yield start_with(hub, inline_objects=10, requests_per_minute=0)
    hub.kill()


class TestOneHub:
    @pytest.mark.slow
    def test_they_begin_as_copies_of_the_first_process_and_hold_none_of_its_files(
        self, hub: HubProcess
    ) -> None:
        assert hub.process is not None
        children = [*hub.answering(), *hub.console()]
        assert len(children) == 3
        for each in children:
            assert read_command(each) == read_command(hub.process.pid)
            assert not [file for file in list_open_files(each) if file.startswith(f"{hub.data}/")]

    @pytest.mark.slow
    def test_what_one_process_publishes_wakes_pollers_of_the_other(self, hub: HubProcess) -> None:
        first = hub.ask("collections/green/objects/").headers["X-TAXII-Date-Added-Last"]

        def follow(_: int) -> list[object]:
            query = {"added_after": first}
            answer = hub.ask("collections/green/objects/", params=query, headers=WAIT)
            return list(answer.json()["objects"])

        with ThreadPoolExecutor(2) as pool:  # as many as one account may have in a process
            waiting = pool.map(follow, range(2))
            time.sleep(0.5)
            hub.post(indicators(1))
            assert all(waiting)

    def test_each_process_tells_the_others_what_it_has_written_and_what_waits(
        self, hub: HubProcess
    ) -> None:
        place = SharedFolder(find_shared_folder(hub))
        place.join()
        notifier, heard = Notifier(place), set[bytes]()
        notifier.listen(heard.add)
        try:
            hub.post(indicators(1))
            wait_until(lambda: b"commit" in heard)
            assert b"queued" not in heard
            hub.post(indicators(30))
            wait_until(lambda: b"queued" in heard)
        finally:
            notifier.close()

    @pytest.mark.slow
    def test_a_long_submission_is_admitted_by_the_first_process(self, hub: HubProcess) -> None:
        for _ in range(4):
            settled = hub.wait_until_settled(hub.post(indicators(30)).json()["id"])
            assert settled["success_count"] == 30

    @pytest.mark.slow
    def test_a_key_that_is_revoked_is_refused_by_all(
        self, hub: HubProcess, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issued = hub.command("key", "issue", "acme")
        monkeypatch.setattr(hub, "key", f"acme:{issued['key']}")
        assert set(ask_often(hub, 30)) == {200}
        hub.command("key", "revoke", "acme", hash_secret(issued["key"]))
        assert set(ask_often(hub, 30)) == {401}

    @pytest.mark.slow
    def test_what_was_purged_is_on_no_page_of_any_process(self, hub: HubProcess) -> None:
        [sent] = indicators(1)
        hub.wait_until_settled(hub.post([sent]).json()["id"])
        [public] = [each for each in hub.walk() if each.get("pattern") == sent["pattern"]]
        assert all(public["pattern"] in page for page in read_pages(hub))
        hub.command("object", "purge", public["id"], "--reason", "a test")
        assert not any(public["pattern"] in page for page in read_pages(hub))

    @pytest.mark.slow
    def test_metrics_and_checks_are_those_of_the_hub(self, hub: HubProcess) -> None:
        operator = f"operator:{hub.command('key', 'issue', 'operator')['key']}"

        def read() -> str:
            url = f"{hub.url.removesuffix('taxii2/')}metrics"
            return requests.get(url, auth=pair(operator)).text

        def count_answered(text: str) -> float:
            labels = {"route": "/hub/collections", "method": "GET", "status": "200"}
            return find_value(text, "tocsin_http_requests_total", **labels) or 0

        before = count_answered(read())
        ask_often(hub, 40)
        wait_until(lambda: is_ready(hub))
        for _ in range(6):
            text = read()
            assert count_answered(text) == before + 40
            assert find_value(text, "tocsin_processes", process="answering") == 2
            assert find_value(text, "tocsin_processes", process="hub") == 1
        # Linux may leave a child out of the list while another one ends.
        wait_until(lambda: find_value(read(), "tocsin_processes", process="engine") == 1)


def pair(key: str) -> tuple[str, str]:
    name, _, secret = key.partition(":")
    return name, secret


def is_ready(hub: HubProcess) -> bool:
    url = f"{hub.url.removesuffix('taxii2/')}readyz"
    return all(requests.get(url).status_code == 200 for _ in range(6))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [0, 2])
def test_a_hub_is_ready_once_it_has_written_the_ready_file(start: Start, processes: int) -> None:
    port = free_port()
    hub = start(answering_processes=processes, metrics_address=f"127.0.0.1:{port}")
    at_metrics = requests.get(f"http://127.0.0.1:{port}/readyz")
    assert is_ready(hub) and at_metrics.status_code == 200, at_metrics.text


@pytest.mark.slow
class TestEnds:
    def test_a_process_that_is_killed_is_replaced_and_loses_nothing(self, start: Start) -> None:
        hub = start(requests_per_minute=0)
        writers = Writers(hub, size=5)
        for _ in range(4):
            writers.wait_for(5)
            killed = hub.answering()[0]
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda killed=killed: killed not in hub.answering())  # type: ignore[misc]
            wait_until(lambda: len(hub.answering()) == 2)
        writers.wait_for(5)
        writers.stop()
        for status in writers.statuses:
            assert hub.wait_until_settled(status)["failure_count"] == 0
        assert writers.patterns <= {each.get("pattern") for each in hub.walk()}
        assert set(writers.answers) == {202}

    def test_what_a_killed_process_had_begun_is_settled_at_once(self, start: Start) -> None:
        hub = start(inline_objects=2_000, inline_octets=4_000_000, requests_per_minute=0)
        statuses: list[str] = []

        def post() -> None:
            with suppress(requests.ConnectionError):
                statuses.append(hub.post(indicators(2_000)).json()["id"])

        thread = threading.Thread(target=post)
        thread.start()
        wait_until(lambda: list_open(hub))
        for process in hub.answering():
            os.kill(process, signal.SIGKILL)
        thread.join()
        assert not statuses

        def is_settled() -> bool:
            return len([o for o in hub.walk() if o["type"] == "indicator"]) == 2_000

        wait_until(is_settled, LEASE - 30)  # the lease of the dead would still hold

    def test_all_end_when_the_first_is_killed_or_asked_to_stop(self, start: Start) -> None:
        hub = start()
        ends: tuple[Callable[[], object], ...] = (hub.kill, hub.stop)
        for number, end in enumerate(ends):
            if number:
                start_with(hub)
            children = hub.answering()
            assert len(children) == 2
            end()
            wait_until(lambda children=children: not any(map(is_running, children)))  # type: ignore[misc]


def list_open(hub: HubProcess) -> bool:
    with database(hub.data, lambda text: None) as uri, closing(Store.connect(uri)) as store:
        return bool(store.submissions.list_open(LEASE))


@pytest.fixture(scope="module")
def secure(
    founded: HubProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[HubProcess, Callable[[], object]]]:
    """A running hub that does TLS, and a function that renews the file of its certificate."""
    own, folder = make_authority(), tmp_path_factory.mktemp("secure")

    def renew() -> Path:
        return own.server().write_pem(folder)

    hub = copied(founded, folder)
    yield start_with(hub, tls_certificate=renew()), renew
    hub.kill()


Secure = tuple[HubProcess, Callable[[], object]]


@pytest.mark.slow
def test_all_read_a_new_certificate_at_sighup(secure: Secure) -> None:
    hub, renew = secure
    before = {shown_certificate(hub) for _ in range(20)}
    assert len(before) == 1
    renew()
    assert hub.process is not None
    hub.process.send_signal(signal.SIGHUP)
    wait_until(lambda: before & {shown_certificate(hub) for _ in range(20)} == set())
    assert len({shown_certificate(hub) for _ in range(20)}) == 1


def shown_certificate(hub: HubProcess) -> str:
    return ssl.get_server_certificate(("127.0.0.1", hub.port))


@pytest.mark.slow
class TestBadMoments:
    def test_a_hub_that_cannot_start_says_so_at_once(self, hub: HubProcess) -> None:
        began = time.monotonic()
        command: list[str | Path] = [BIN / "tocsin-hub", "serve", "--workers", "2", "--port", "0"]
        command += ["--data", hub.data]
        second = subprocess.run(command, capture_output=True, timeout=60)
        assert second.returncode == 3 and b"another hub is using" in second.stderr
        assert time.monotonic() - began < 30

    def test_if_one_process_does_not_start_the_others_end_before_the_database(
        self, founded: HubProcess, tmp_path: Path
    ) -> None:
        hub = copied(founded, tmp_path)
        command: list[str | Path] = [BIN / "tocsin-hub", "serve", "--workers", "2", "--port", "0"]
        command += ["--data", hub.data]
        hub.process = process = subprocess.Popen(command, stderr=subprocess.PIPE)
        wait_until(hub.answering)
        os.kill(hub.answering()[-1], signal.SIGKILL)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 3 and b"did not start" in said
        assert b"Traceback" not in said

    def test_a_replaced_process_keeps_to_the_policy_in_force(
        self, start: Start, tmp_path: Path
    ) -> None:
        policy = tmp_path / "policy.toml"
        policy.write_text(policy_text())
        hub = start(policy=policy)
        policy.write_text("this is no policy")
        replace_all(hub)
        settled = hub.wait_until_settled(hub.post(indicators(1)).json()["id"])
        assert settled["success_count"] == 1

    def test_a_process_that_is_just_starting_survives_the_signal_to_read_a_certificate(
        self, secure: Secure
    ) -> None:
        hub, _ = secure
        assert hub.process is not None
        before, killed = set(hub.children()), hub.answering()
        for process in killed:
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: len(set(hub.children()) - before) == 2)
        began = sorted(set(hub.children()) - before)
        hub.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(hub.answering()) == 2 and can_connect(hub))
        assert hub.answering() == began

    def test_a_hub_whose_shared_folder_is_gone_goes_on(self, start: Start) -> None:
        hub = start()
        shutil.rmtree(find_shared_folder(hub))
        assert set(ask_often(hub, 10)) == {200}
        replace_all(hub)
        assert set(ask_often(hub, 10)) == {200}
        assert hub.wait_until_settled(hub.post(indicators(1)).json()["id"])["success_count"] == 1

    def test_a_hub_that_stops_refuses_connections_and_answers_requests_in_hand(
        self, start: Start
    ) -> None:
        hub = start()
        assert hub.process is not None
        with half_sent(hub) as (connection, rest):
            hub.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not can_connect(hub), 15)  # the rest of a body may take 20
            assert hub.process.poll() is None
            connection.sendall(rest)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 202 "), answer
        assert hub.process.wait(60) == 0

    def test_an_address_at_its_limit_can_still_connect(self, limited: HubProcess) -> None:
        hub, answered = limited, 0
        wait_until(lambda: not hub.unread())
        with connections(hub, CONNECTIONS):
            wait_until(lambda: len(hub.unread()) == CONNECTIONS)
            for _ in range(40):
                with suppress(requests.ConnectionError):  # rarely, two make room at once
                    answered += hub.ask("collections/").status_code == 200
        assert answered >= 36


def replace_all(hub: HubProcess) -> None:
    """Kill the processes that answer, and wait for their successors."""
    killed = hub.answering()
    for process in killed:
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: len(set(hub.answering()) - set(killed)) == 2)
    wait_until(lambda: can_connect(hub))
    time.sleep(1)


def can_connect(hub: HubProcess) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", hub.port), timeout=2):
            return True
    except OSError:
        return False


def find_shared_folder(hub: HubProcess) -> Path:
    """The folder that a hub's first process has locked."""
    assert hub.process is not None
    [owner] = [file for file in list_open_files(hub.process.pid) if file.endswith("/owner")]
    return Path(owner).parent
